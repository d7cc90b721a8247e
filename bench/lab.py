"""Two network namespaces and a veth pair between them, for what loopback has not: an interface that XDP can be attached to. The
packets that arrive at either end are taken in by a kernel thread of its own (threaded NAPI), pinned beside whom they are for: what
the kernel does for the server is on the server's core and in its figures. Needs root."""

import array
import contextlib
import fcntl
import os
import pathlib
import socket
import struct
import subprocess
import time

import servers

SIOCETHTOOL, ETHTOOL_SGRO = 0x8946, 0x2C
PATIENCE_S = 10
PATH = ("/usr/sbin", "/sbin")


class Impossible(Exception):
    """One sentence: why there can be no such place."""


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Impossible(f"{' '.join(command)}: {(done.stderr or done.stdout or 'failed').strip()}")
    return done.stdout


def in_namespace(namespace, *command):
    return run("ip", "netns", "exec", namespace, *command)


def turn_gro_on(interface):
    """A veth's end without an XDP program has a NAPI only with this on."""
    value = array.array("B", struct.pack("=II", ETHTOOL_SGRO, 1))
    request = struct.pack("16sP16x", interface.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCETHTOOL, request)


def napi_threads(interface):
    """Process ids. A kernel thread's name is cut to 15 characters, so the interface's is short."""
    out = []
    for comm in pathlib.Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if comm.read_text().startswith(f"napi/{interface}-"):
                out.append(int(comm.parent.name))
    return out


class Veth(servers.Place):
    """The server stands at 198.18.0.1 and the load at 198.18.0.2, addresses for measurements (RFC 2544)."""

    server_at, load_at, peers = "198.18.0.1", "198.18.0.2", "198.18.0.0-198.18.0.255"

    def __init__(self, server_cores, load_core, programs):
        super().__init__(server_cores, load_core)
        self.floor = programs / "bench-forward"
        if os.geteuid() != 0:
            raise Impossible("network namespaces need root")
        os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), *PATH])
        me = os.getpid()
        self.namespaces = [f"viaduct-bench-{me}-{end}" for end in ("server", "load")]
        self.interface, self.load_interface = f"vs{me % 100000}", f"vl{me % 100000}"
        self.prefix, self.load_prefix = (["ip", "netns", "exec", n] for n in self.namespaces)
        self.made, self.other_end = [], None
        try:
            self.make()
        except BaseException:
            self.close()
            raise

    def make(self):
        for name in self.namespaces:
            run("ip", "netns", "add", name)
            self.made.append(name)
        server, load = self.namespaces
        queues = ("numtxqueues", "1", "numrxqueues", "1")
        run("ip", "link", "add", self.interface, *queues, "netns", server, "type", "veth",
            "peer", "name", self.load_interface, *queues, "netns", load)  # fmt: skip
        ends = ((server, self.interface, self.server_at), (load, self.load_interface, self.load_at))
        for namespace, interface, address in ends:
            with servers.network_of(namespace):
                turn_gro_on(interface)
            in_namespace(namespace, "ip", "address", "add", f"{address}/30", "dev", interface)
            in_namespace(namespace, "ip", "link", "set", "lo", "up")
            in_namespace(namespace, "ip", "link", "set", interface, "up")
            # Not before: it is up that has the NAPI which gets a thread.
            in_namespace(namespace, "sh", "-c", f"echo 1 >/sys/class/net/{interface}/threaded")

        self.let_pass()

    def let_pass(self):
        """What XDP_TX sends is taken in at the other end only if there is a program, too: one that lets everything pass."""
        command = [*self.load_prefix, self.floor, self.load_at, self.load_interface]
        self.other_end = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + PATIENCE_S
        while "xdp" not in in_namespace(self.namespaces[1], "ip", "link", "show", self.load_interface):
            if self.other_end.poll() is not None:
                raise Impossible(self.other_end.stderr.read().strip())
            if time.monotonic() > deadline:
                raise Impossible("no XDP program gets attached to a veth interface")
            time.sleep(0.05)

    def close(self):
        if self.other_end:
            self.other_end.kill()
            self.other_end.wait()
        for name in self.made:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
        self.made = []

    @contextlib.contextmanager
    def inside(self):
        with servers.network_of(self.namespaces[1]):
            yield

    def pin(self):
        for interface, core in ((self.interface, self.server_cores[0]), (self.load_interface, self.load_core)):
            for pid in napi_threads(interface):
                os.sched_setaffinity(pid, {core})
                # As urgent as a softirq is: beside a load that never sleeps, the ring of 256 would overflow.
                os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))

    def prepare(self, xdp):
        self.pin()

    def interface_ns(self):
        """Those that a program's attaching made anew are pinned, too, before they count."""
        self.pin()
        return sum(servers.cpu_ns(pid) for pid in napi_threads(self.interface))
