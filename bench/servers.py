"""The servers that bench/run compares, and the load for them: processes that live within a `with`, in the place of a trial."""

import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time

USER, PASSWORD, REALM = "bench", "bench-password", "bench"
PATIENCE_S = 20
LOAD_S = 120  # no run of the load takes longer
CLONE_NEWNET = 0x40000000


class Trouble(Exception):
    """One sentence: why this trial has no figure."""


class Place:
    """Where servers and load stand: the loopback interface, and for that nothing has to be made."""

    server_at, prefix, load_prefix = "127.0.0.1", [], []
    interface = None  # of the server

    def __init__(self, server_cores, load_core):
        self.server_cores, self.load_core = server_cores, load_core

    @contextlib.contextmanager
    def inside(self):
        """Sockets that are opened within stand where the load does."""
        yield

    def prepare(self, xdp):
        """Before a server starts."""

    def interface_ns(self):
        """CPU time of kernel threads that take packets in for the server."""
        return 0

    def cores(self, workers):
        return self.server_cores[:workers]


@contextlib.contextmanager
def network_of(name):
    """This thread is in the namespace `name`."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{name}") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(home.fileno(), CLONE_NEWNET)


def free_port(place):
    """Of UDP and TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind(("0.0.0.0", 0))
            try:
                tcp.bind(("0.0.0.0", udp.getsockname()[1]))
            except OSError:
                continue
            return udp.getsockname()[1]


def cpu_ns(pid):
    """Of all threads of a process (schedstat counts in nanoseconds, where stat has ticks)."""
    ns = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        ns += int((task / "schedstat").read_text().split()[0])
    return ns


def wake_ups(pid):
    count = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        count += int((task / "status").read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0])
    return count


class Descriptors:
    """How many a process had at most, looked at now and then."""

    def __init__(self, pid):
        self.pid, self.most, self.stop = pid, 0, threading.Event()
        self.first = self.count()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def count(self):
        try:
            return len(os.listdir(f"/proc/{self.pid}/fd"))
        except OSError:
            return 0

    def look(self):
        while not self.stop.wait(0.2):
            self.most = max(self.most, self.count())

    def end(self):
        """How many there were more than at first."""
        self.stop.set()
        self.thread.join()
        return max(0, self.most - self.first)


class Server:
    def __init__(self, name, place, command, ports, workers=1, folder=None):
        self.name, self.place, self.command, self.ports, self.folder = name, place, command, ports, folder
        self.workers = workers

    def __enter__(self):
        self.log = tempfile.TemporaryFile()
        cores = ",".join(map(str, self.place.cores(self.workers)))
        command = [*self.place.prefix, "taskset", "-c", cores, *map(str, self.command)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            self.await_answer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.process.terminate()
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.process.kill()
            self.process.wait()
            self.log.close()
            if self.folder:
                self.folder.cleanup()

    def await_answer(self):
        deadline = time.monotonic() + PATIENCE_S
        while not self.answered():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                last = self.log.read().decode(errors="replace").strip().splitlines()[-1:]
                raise Trouble(f"{self.name} does not start: {''.join(last) or 'it says nothing'}")

    def answered(self):
        """Whether it answers to a Binding request."""
        with self.place.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.05)
            s.connect((self.place.server_at, self.ports["udp"]))
            return self.answers(s)

    @staticmethod
    def answers(s):
        try:
            s.send(bytes.fromhex("000100002112a442") + os.urandom(12))
            return s.recv(2048)[:2] == b"\x01\x01"
        except ConnectionRefusedError:
            time.sleep(0.02)  # no server yet
            return False
        except OSError:
            return False

    def load_command(self, binary, trial):
        transport = trial.args[trial.args.index("--transport") + 1] if "--transport" in trial.args else "udp"
        return [binary, *trial.args, "--server", f"{self.place.server_at}:{self.ports[transport]}", "--username", USER,
                "--password", PASSWORD, "--pid", self.process.pid, "--json"]  # fmt: skip

    def load(self, binary, trial, sockets=None):
        """The result of one run of viaduct-load. `sockets`: the kernel's bytes for one socket, where descriptors are counted."""
        command = [*self.place.load_prefix, "taskset", "-c", self.place.load_core, *self.load_command(binary, trial)]
        descriptors = Descriptors(self.process.pid) if sockets and trial.sockets else None
        interface_ns = self.place.interface_ns()
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=LOAD_S, check=False)
        interface_ns = self.place.interface_ns() - interface_ns
        more = descriptors.end() if descriptors else None
        if not done.stdout:
            raise Trouble(f"{self.name}: {done.stderr.strip() or 'viaduct-load says nothing'}")
        result = json.loads(done.stdout)
        result["interface_ns"] = interface_ns
        result["socket_memory"] = more * sockets if more is not None else None
        return result

    def rest(self):
        time.sleep(1)  # what a start leaves to do
        ns, count = cpu_ns(self.process.pid), wake_ups(self.process.pid)
        time.sleep(2)
        return {"idle_ns": (cpu_ns(self.process.pid) - ns) / 2, "wake_ups": (wake_ups(self.process.pid) - count) / 2, "wrong": None}

    def used_s(self):
        return (cpu_ns(self.process.pid) + self.place.interface_ns()) / 1e9


# ---- how each is started ----


def make_certificate(folder):
    """For TLS: (certificate, key)."""
    cert, key = f"{folder}/cert.pem", f"{folder}/key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
               "-subj", "/CN=bench", "-keyout", key, "-out", cert]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


def build_pion(source, folder):
    """From Debian's packages: GOPATH mode knows nothing else, and nothing is downloaded."""
    program = f"{folder}/pion"
    settings = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "CGO_ENABLED": "0", "GOFLAGS": "", "GOCACHE": f"{folder}/cache"}
    if not shutil.which("go"):
        raise Trouble("--pion needs Go and pion's packages: scripts/setup --test installs them")
    done = subprocess.run(["go", "build", "-o", program, "."], cwd=source, env=os.environ | settings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Trouble(f"pion does not build (scripts/setup --test installs its packages): {done.stderr.strip().splitlines()[-1:]}")
    return program


class Starter:
    """Everything that starting needs, in a folder that goes with it. `start(name, trial, place)` gives a Server to enter."""

    def __init__(self, folder_of_programs):
        self.bin, self.pion, self.certificate = folder_of_programs, None, None
        self.made = tempfile.TemporaryDirectory(prefix="viaduct-bench-")
        self.folder = self.made.name

    def close(self):
        self.made.cleanup()

    def start(self, name, trial, place):
        with place.inside() if place.prefix else contextlib.nullcontext():
            port, tls_port = free_port(place), free_port(place)
        if trial.tls and not self.certificate:
            self.certificate = make_certificate(self.folder)
        ports = {"udp": port, "tcp": port, "tls": tls_port, "dtls": tls_port}
        return getattr(self, f"start_{name}")(trial, place, ports)

    def common(self, trial, place, ports):
        out = ["-n", "-L", place.server_at, "-E", place.server_at, "-p", ports["udp"], "-a", "-u", f"{USER}:{PASSWORD}", "-r", REALM,
               "-m", trial.workers]  # fmt: skip
        out += ["--allow-loopback-peers"] if not place.prefix else [f"--allowed-peer-ip={place.peers}"]
        if trial.tls:
            cert, key = self.certificate
            out += ["--cert", cert, "--pkey", key, "--tls-listening-port", ports["tls"]]
        else:
            out += ["--no-tls", "--no-dtls"]
        return out

    def start_coturn(self, trial, place, ports):
        place.prepare(None)
        folder = tempfile.TemporaryDirectory(prefix="viaduct-bench-")
        more = ["--no-cli", "--no-rfc5780", "--no-stdout-log", "--log-file", "/dev/null", "--simple-log",
                "--pidfile", f"{folder.name}/pid", "--userdb", f"{folder.name}/db"]  # fmt: skip
        command = ["turnserver", *self.common(trial, place, ports), *more]
        return Server("coturn", place, command, ports, trial.workers, folder)

    def start_turnd(self, trial, place, ports):
        place.prepare(None)
        # All the load comes from one address, which no server would hold to be many clients. coturn has no such limit by itself.
        more = ["--unauthorized-ratelimit-rps=1000000"]
        more += ["--xdp", place.interface] if place.interface else []
        command = [self.bin / "viaduct-turnd", *self.common(trial, place, ports), *more]
        return Server("turnd", place, command, ports, trial.workers)

    def start_floor(self, trial, place, ports):
        place.prepare(True)
        command = [self.bin / "bench-forward", f"{place.server_at}:{ports['udp']}"]
        command += [place.interface] if place.interface else []
        return Server("floor", place, command, ports)

    def start_pion(self, trial, place, ports):
        if trial.tls:
            raise Trouble("pion is compared over UDP alone")
        place.prepare(None)
        command = ["env", f"GOMAXPROCS={trial.workers}", self.pion, f"{place.server_at}:{ports['udp']}", USER, PASSWORD, REALM]
        return Server("pion", place, command, ports, trial.workers)


def coturn_here():
    return shutil.which("turnserver") is not None
