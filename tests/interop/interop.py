"""What the tests with other people's programs share: the server, certificates, echoing peers, and how a program is run.

Nothing is skipped: a program that is missing fails its test, and the message names the package.
"""

import os
import pathlib
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "process"))
from test_turnd import PASSWORD, PATIENCE_S, SOURCE, USER, Turnd  # noqa: E402

RUN_S = 90  # for a program that takes five seconds where nothing else runs
IPV4, IPV6 = "127.0.0.1", "::1"
FAMILIES = (IPV4, IPV6)


def need(program, package):
    path = shutil.which(program)
    if path is None:
        raise AssertionError(f"{program} is missing; scripts/setup --test installs it (package {package})")
    return path


def run(*command, timeout=RUN_S, **options):
    """Its exit status and all it printed."""
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=timeout, **options,
    )  # fmt: skip
    return done.returncode, done.stdout


def environment(**more):
    return {**os.environ, **more}


class Echo:
    """A peer that sends every datagram back, until it is closed; `count` says how many."""

    def __init__(self, ip):
        self.socket = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((ip, 0))
        self.port, self.count = self.socket.getsockname()[1], 0
        self.wake, self.end = os.pipe()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while self.wake not in (ready := select.select([self.socket, self.wake], [], [])[0]):
            for each in ready:
                data, source = each.recvfrom(65536)
                each.sendto(data, source)
                self.count += 1

    def close(self):
        os.close(self.end)  # the other end becomes readable
        self.thread.join()
        os.close(self.wake)
        self.socket.close()


class InteropCase(unittest.TestCase):
    """One turnd for each class: UDP, TCP, TLS and DTLS on both loopback addresses, with a development certificate."""

    ARGS = ()

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="viaduct-interop-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        status, output = run(SOURCE / "certs" / "make-dev-certs", cls.folder)
        assert status == 0, output
        cls.ca = cls.folder / "ca.pem"
        listen = [word for ip in FAMILIES for word in ("-L", ip, "-E", ip)]
        secure = [f"--cert={cls.folder}/server.pem", f"--pkey={cls.folder}/server.key", "--tls-listening-port=0"]
        who = ["-u", f"{USER}:{PASSWORD}", "-r", "example.org", "--allow-loopback-peers"]
        cls.turnd = Turnd(*listen, *secure, *who, *cls.ARGS)
        cls.addClassCleanup(cls.end)

    @classmethod
    def end(cls):
        status = cls.turnd.stop()
        assert status == 0, f"turnd ended with {status}:\n" + "\n".join(cls.turnd.lines)

    def port(self, transport, ip=IPV4):
        """`transport` is udp, tcp, tls or dtls."""
        return self.turnd.listening[transport, ip]

    def echo(self, ip=IPV4):
        peer = Echo(ip)
        self.addCleanup(peer.close)
        return peer
