"""What the tests of `viaduct up` share: one instance of it with ports and a state folder of its own."""
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

BIN = pathlib.Path(os.environ.get("VIADUCT_BIN", "build/bin")).resolve()
SERVERS = ["turnd", "stund", "signald"]
DEADLINE = 40


def free_ports(count):
    """Ports that are free for UDP and TCP at all addresses. `viaduct up` wants to know its ports beforehand, so these are
    from below those that the kernel gives out by itself (32768 and up): nobody gets one by chance in between."""
    held, ports = [], []
    for port in random.sample(range(12000, 32000), 200):
        tcp, udp = (socket.socket(socket.AF_INET6, kind) for kind in [socket.SOCK_STREAM, socket.SOCK_DGRAM])
        held += [tcp, udp]
        try:
            for s in [tcp, udp]:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                s.bind(("::", port))
        except OSError:
            continue
        ports.append(port)
        if len(ports) == count:
            break
    for s in held:
        s.close()
    return ports


def wait_until(what, condition, deadline_s=DEADLINE):
    """The condition's first true value; looks again and again until the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.02)


def is_alive(pid):
    """Whether a process runs; a zombie that nobody has reaped yet does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Up:
    """One `viaduct up` with ports and a state folder of its own."""

    def __init__(self, test, *args, viaduct=BIN / "viaduct", state=None, config=None, ports=True):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="viaduct-up-"))
        test.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.state = state or self.home / "state"
        self.http, self.https, self.turn, self.turns, self.stun = free_ports(5)
        command = [viaduct, "up", "--state-dir", self.state, *args]
        if ports:
            command += ["--http-port", self.http, "--https-port", self.https, "--turn-port", self.turn,
                        "--turns-port", self.turns, "--stun-port", self.stun, "--metrics-port", "0"]
        if config is not None:
            self.config = self.home / "my.conf"
            self.config.write_text(config)
            command += ["--config", self.config]
        self.stdout, self.stderr = [], []
        self.process = subprocess.Popen([str(part) for part in command], text=True, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, errors="replace")
        test.addCleanup(self.end)
        self.threads = [threading.Thread(target=self.collect, args=pair, daemon=True)
                        for pair in [(self.process.stdout, self.stdout), (self.process.stderr, self.stderr)]]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def collect(stream, into):
        for line in stream:
            into.append(line.rstrip("\n"))
        stream.close()

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for thread in self.threads:
            thread.join(10)

    def output(self):
        return "\n".join(self.stdout + self.stderr)

    def log(self):
        try:
            return (self.state / "viaduct.log").read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def running(self):
        def shown():
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}:\n{self.output()}")
            return "Ctrl-C stops everything." in self.stdout
        wait_until("the block of addresses", shown)
        return self

    def ended(self, deadline_s=DEADLINE):
        try:
            status = self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end:\n{self.output()}\n{self.log()}") from None
        for thread in self.threads:
            thread.join(10)
        return status

    def pids(self, event="server-started"):
        """The process ids that the log tells, the newest for each server."""
        return {m[1]: int(m[2]) for m in
                re.finditer(rf" up {event} server=(\w+) pid=(\d+)", self.log())}

    def children(self):
        try:
            children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        except FileNotFoundError:
            return []
        return [int(pid) for pid in children.split()]


def stun_binding(port, family=socket.AF_INET, host="127.0.0.1"):
    """The type of the answer to a Binding request over UDP."""
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.sendto(bytes.fromhex("000100002112a442") + os.urandom(12), (host, port))
        return s.recv(1500)[:2]
