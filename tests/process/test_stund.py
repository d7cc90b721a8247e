#!/usr/bin/python3
"""viaduct-stund as a process: UDP and TCP, IPv4 and IPv6, bad clients, bad options, signals, metrics."""
import contextlib
import json
import os
import pathlib
import queue
import random
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
import zlib

SOURCE = pathlib.Path(__file__).resolve().parents[2]
STUND = pathlib.Path(os.environ.get("VIADUCT_BIN", SOURCE / "build" / "bin")) / "viaduct-stund"
COOKIE = 0x2112A442
PATIENCE_S = 10  # how long anything that must happen may take on a busy machine


def attribute(code, value=b""):
    return struct.pack(">HH", code, len(value)) + value + bytes(-len(value) % 4)


def binding(txid, body=b"", kind=0x0001):
    return struct.pack(">HHI", kind, len(body), COOKIE) + txid + body


def new_txid():
    return os.urandom(12)


class Response:
    """A STUN message taken apart; `attributes` by code, the last of several counts."""

    def __init__(self, data):
        self.kind, length, self.cookie = struct.unpack(">HHI", data[:8])
        assert len(data) == 20 + length, "the length field does not fit the message"
        self.txid, self.attributes, at = data[8:20], {}, 20
        while at < len(data):
            code, size = struct.unpack(">HH", data[at:at + 4])
            self.attributes[code] = data[at + 4:at + 4 + size]
            at += 4 + size + (-size % 4)
        self.data = data

    def mapped(self):
        value = self.attributes[0x0020]
        mask = struct.pack(">I", COOKIE) + self.txid
        family, port = struct.unpack(">xBH", value[:4])
        ip = bytes(a ^ b for a, b in zip(value[4:], mask))
        return socket.inet_ntop({1: socket.AF_INET, 2: socket.AF_INET6}[family], ip), port ^ (COOKIE >> 16)

    def error(self):
        value = self.attributes[0x0009]
        return value[2] * 100 + value[3]


class Stund:
    """A daemon that runs, its log lines, and where it listens."""

    binary = STUND

    def __init__(self, *args, env=None):
        self.process = subprocess.Popen([self.binary, *args], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **(env or {})})
        self.lines, self.fresh, self.listening = [], queue.Queue(), []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            self.fresh.put(line.rstrip("\n"))
        self.fresh.put(None)

    def wait_line(self, pattern):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            line = self.fresh.get(timeout=max(0.01, deadline - time.monotonic()))
            assert line is not None, "it ended instead: " + "\n".join(self.lines)
            self.lines.append(line)
            found = re.search(r" listening transport=(\w+) address=(\S+):(\d+)$", line)
            if found:
                self.listening.append((found[1], found[2].strip("[]"), int(found[3])))
            if re.search(pattern, line):
                return line

    def port(self, transport, ip):
        return next(port for what, at, port in self.listening if (what, at) == (transport, ip))

    def stop(self, number=signal.SIGTERM):
        """The exit status and how long it took."""
        begin = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(PATIENCE_S)
        self.reader.join(PATIENCE_S)
        self.process.stderr.close()
        self.process.stdout.close()
        while not self.fresh.empty():
            self.lines.append(self.fresh.get() or "")
        return status, time.monotonic() - begin

    def close(self):
        """At a test's end: whoever crashed, or was told off by a sanitizer, does not end with 0."""
        status, _ = self.stop()
        assert status == 0, f"ended with {status}: " + "\n".join(self.lines)


def receive_message(sock, rest=b""):
    """One message from a TCP socket, and what came behind it; (None, b"") at the end of the stream."""
    data = rest
    while len(data) < 20 or len(data) < 20 + struct.unpack(">H", data[2:4])[0]:
        more = sock.recv(65536)
        if not more:
            return None, data
        data += more
    end = 20 + struct.unpack(">H", data[2:4])[0]
    return Response(data[:end]), data[end:]


class Base(unittest.TestCase):
    def start(self, *args, **kwargs):
        """All four listeners at ports that the system chooses, unless the arguments say otherwise."""
        if not any(arg.startswith("--listening-port") for arg in args):
            args = ("--listening-port=0", *args)
        daemon = Stund(*args, **kwargs)
        self.addCleanup(daemon.close)
        daemon.wait_line(r" ready workers=")
        return daemon

    def udp(self, port, ip="127.0.0.1"):
        """A socket that takes datagrams from that address and port alone."""
        sock = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.settimeout(PATIENCE_S)
        sock.connect((ip, port))
        return sock

    def tcp(self, port, ip="127.0.0.1"):
        sock = socket.create_connection((ip, port), timeout=PATIENCE_S)
        self.addCleanup(sock.close)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def ask(self, sock, body=b""):
        txid = new_txid()
        sock.send(binding(txid, body))
        response = Response(sock.recv(65536))
        self.assertEqual(response.txid, txid)
        return response

    def assert_mapped(self, response, sock):
        self.assertEqual(response.kind, 0x0101)
        self.assertEqual(response.mapped(), sock.getsockname()[:2])

    def assert_closed(self, sock):
        """By the other side, and long before a first request would be overdue; nothing came before."""
        sock.settimeout(PATIENCE_S / 2)
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(sock.recv(65536), b"")


class Answers(Base):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Stund("--listening-port=0", "--metrics-listen=127.0.0.1:0")
        cls.daemon.wait_line(r" ready workers=1$")
        cls.addClassCleanup(cls.daemon.close)

    def test_udp_ipv4(self):
        sock = self.udp(self.daemon.port("udp", "0.0.0.0"))
        self.assert_mapped(self.ask(sock), sock)

    def test_udp_ipv6(self):
        sock = self.udp(self.daemon.port("udp", "::"), "::1")
        self.assert_mapped(self.ask(sock), sock)

    def test_tcp_ipv4(self):
        sock = self.tcp(self.daemon.port("tcp", "0.0.0.0"))
        for _ in range(3):
            self.assert_mapped(self.ask(sock), sock)

    def test_tcp_ipv6(self):
        sock = self.tcp(self.daemon.port("tcp", "::"), "::1")
        self.assert_mapped(self.ask(sock), sock)

    def test_leaves_from_the_address_that_was_asked(self):
        # The kernel alone would answer from 127.0.0.1, which these connected sockets do not take.
        for ip in ["127.0.0.2", "127.3.2.1"]:
            sock = self.udp(self.daemon.port("udp", "0.0.0.0"), ip)
            self.assert_mapped(self.ask(sock), sock)

    def test_many_datagrams_at_once(self):
        sock = self.udp(self.daemon.port("udp", "0.0.0.0"))
        asked = {new_txid() for _ in range(200)}
        for txid in asked:
            sock.send(binding(txid))
        self.assertEqual({Response(sock.recv(2048)).txid for _ in asked}, asked)

    def test_unknown_attribute(self):
        response = self.ask(self.udp(self.daemon.port("udp", "0.0.0.0")), attribute(0x7FFF))
        self.assertEqual((response.kind, response.error()), (0x0111, 420))
        self.assertEqual(response.attributes[0x000A], b"\x7f\xff")

    def test_malformed_attribute(self):
        response = self.ask(self.udp(self.daemon.port("udp", "0.0.0.0")), attribute(0x000D, b"x"))
        self.assertEqual((response.kind, response.error()), (0x0111, 400))

    def test_classic_client(self):
        sock = self.udp(self.daemon.port("udp", "0.0.0.0"))
        sock.send(struct.pack(">HH", 1, 0) + b"sixteen bytes id")
        answer = sock.recv(2048)
        self.assertEqual(answer[4:20], b"sixteen bytes id")
        ip, port = sock.getsockname()
        self.assertEqual(Response(answer).attributes, {0x0001: struct.pack(">xBH", 1, port) + socket.inet_aton(ip)})

    def test_silence(self):
        sock = self.udp(self.daemon.port("udp", "0.0.0.0"))
        wrong = attribute(0x8028, b"\0\0\0\0")
        for datagram in [b"", b"\0", b"x" * 1400, binding(new_txid())[:19], binding(new_txid()) + b"\0\0\0\0",
                         binding(new_txid(), kind=0x0011), binding(new_txid(), kind=0x0101),
                         binding(new_txid(), kind=0x0003), binding(new_txid(), wrong), b"\0" * 65000]:
            sock.send(datagram)
        # Answered in order, so an answer to anything before would come first.
        self.assert_mapped(self.ask(sock), sock)

    def test_noise(self):
        source = random.Random(3478)
        sock = self.udp(self.daemon.port("udp", "0.0.0.0"))
        for _ in range(500):
            size = source.randrange(0, 200)
            sock.send(bytes([source.randrange(4, 256)]) + source.randbytes(size))
        self.assert_mapped(self.ask(sock), sock)

    def test_tcp_byte_by_byte(self):
        sock = self.tcp(self.daemon.port("tcp", "0.0.0.0"))
        txid = new_txid()
        for byte in binding(txid, attribute(0x8022, b"slow client")):
            sock.send(bytes([byte]))
        response, rest = receive_message(sock)
        self.assertEqual((response.txid, rest), (txid, b""))

    def test_tcp_many_in_one_segment(self):
        sock = self.tcp(self.daemon.port("tcp", "0.0.0.0"))
        asked = [new_txid() for _ in range(3000)]
        sock.sendall(b"".join(binding(txid) for txid in asked))
        rest = b""
        for txid in asked:
            response, rest = receive_message(sock, rest)
            self.assertEqual(response.txid, txid)

    def test_tcp_half_close_is_answered(self):
        sock = self.tcp(self.daemon.port("tcp", "0.0.0.0"))
        txid = new_txid()
        sock.send(binding(txid))
        sock.shutdown(socket.SHUT_WR)
        response, rest = receive_message(sock)
        self.assertEqual(response.txid, txid)
        self.assertEqual((rest, sock.recv(100)), (b"", b""))

    def test_tcp_garbage_closes(self):
        for garbage in [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0\1\0\0\0",
                        b"\0\1\0\2", b"\x40\0\0\4data", binding(bytes(12), bytes(4096))[:40], b"\xff" * 100]:
            sock = self.tcp(self.daemon.port("tcp", "0.0.0.0"))
            sock.send(garbage)
            self.assert_closed(sock)

    def test_tcp_answers_what_came_before_garbage(self):
        sock = self.tcp(self.daemon.port("tcp", "0.0.0.0"))
        self.assert_mapped(self.ask(sock), sock)
        sock.send(b"\xff")
        self.assert_closed(sock)

    def page(self, path):
        port = self.daemon.port("metrics", "127.0.0.1")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
            return answer.read().decode()

    def figure(self, name):
        found = re.search(rf"^{re.escape(name)} (\d+)$", self.page("/metrics"), re.MULTILINE)
        self.assertIsNotNone(found, name)
        return int(found[1])

    def wait_figure(self, name, value):
        """Figures are published at the end of the round that answers, a moment after the answer."""
        deadline = time.monotonic() + PATIENCE_S
        while self.figure(name) != value:
            self.assertLess(time.monotonic(), deadline, f"{name} is {self.figure(name)}, not {value}")

    def test_metrics(self):
        success, refused = 'viaduct_stun_responses_total{code="success"}', 'viaduct_stun_responses_total{code="420"}'
        dropped = "viaduct_stun_dropped_total"
        before = {name: self.figure(name) for name in [success, refused, dropped]}
        sock = self.udp(self.daemon.port("udp", "0.0.0.0"))
        sock.send(b"noise")
        self.ask(sock, attribute(0x7FFF))
        self.ask(sock)
        for name in before:
            self.wait_figure(name, before[name] + 1)
        self.assertEqual(self.page("/healthz"), "ok\n")
        with self.assertRaises(urllib.error.HTTPError) as raised:
            self.page("/elsewhere")
        raised.exception.close()
        self.assertEqual(raised.exception.code, 404)


class Behaviour(Base):
    def test_software_fingerprint_and_no_classic(self):
        daemon = self.start("--software-attribute", "-f", "--no-stun-backward-compatibility")
        sock = self.udp(daemon.port("udp", "0.0.0.0"))
        sock.send(struct.pack(">HH", 1, 0) + b"sixteen bytes id")
        response = self.ask(sock)  # and nothing for the classic request before it
        self.assertEqual(response.attributes[0x8022], b"viaduct-stund")
        crc = zlib.crc32(response.data[:-8]) ^ 0x5354554E
        self.assertEqual(response.data[-8:], attribute(0x8028, struct.pack(">I", crc)))

    def test_only_udp_and_only_tcp(self):
        self.assertEqual({what for what, _, _ in self.start("--no-tcp").listening}, {"udp"})
        daemon = self.start("--no-udp", "--listening-ip=127.0.0.1", "-L", "::1")
        self.assertEqual([(what, ip) for what, ip, _ in daemon.listening], [("tcp", "127.0.0.1"), ("tcp", "::1")])
        sock = self.tcp(daemon.port("tcp", "::1"), "::1")
        self.assert_mapped(self.ask(sock), sock)

    def test_idle_connections_are_closed(self):
        daemon = self.start("--idle-timeout=1", "--listening-ip=127.0.0.1")
        port = daemon.port("tcp", "127.0.0.1")
        silent, begun, spoke = self.tcp(port), self.tcp(port), self.tcp(port)
        begun.send(binding(new_txid())[:10])
        self.ask(spoke)
        for sock in [silent, begun, spoke]:
            self.assert_closed(sock)

    def test_connection_limit(self):
        daemon = self.start("--max-connections=2", "--listening-ip=127.0.0.1")
        port = daemon.port("tcp", "127.0.0.1")
        first, second = self.tcp(port), self.tcp(port)
        self.ask(first)
        self.ask(second)
        self.assert_closed(self.tcp(port))
        self.ask(first)
        first.close()
        # The place is free as soon as the daemon has seen the end.
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.ask(self.tcp(port))
                return
            except (ConnectionError, struct.error):
                self.assertLess(time.monotonic(), deadline)

    def test_workers_share_the_ports(self):
        daemon = self.start("--workers=3", "--listening-ip=127.0.0.1")
        for make, what in [(self.udp, "udp"), (self.tcp, "tcp")]:
            for _ in range(40):  # the kernel spreads them by their addresses
                sock = make(daemon.port(what, "127.0.0.1"))
                self.assert_mapped(self.ask(sock), sock)

    def test_stops_on_request(self):
        for number in [signal.SIGTERM, signal.SIGINT]:
            daemon = self.start("--workers=2")
            sock = self.tcp(daemon.port("tcp", "0.0.0.0"))
            daemon_port = daemon.port("udp", "0.0.0.0")
            status, took = daemon.stop(number)
            self.assertEqual(status, 0)
            self.assertLess(took, 2)
            # The kernel sends the answer to what it has accepted itself as a reset.
            self.assert_closed(sock)
            with self.assertRaises(ConnectionRefusedError):
                self.ask(self.udp(daemon_port))

    def test_lives_through_sighup(self):
        daemon = self.start()
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_line(r" warn stund not-reloaded ")
        self.ask(self.udp(daemon.port("udp", "0.0.0.0")))

    def test_tells_its_supervisor(self):
        with tempfile.TemporaryDirectory(prefix="viaduct-stund-") as folder:
            path = os.path.join(folder, "notify")
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
                supervisor.bind(path)
                supervisor.settimeout(PATIENCE_S)
                daemon = Stund("--listening-port=0", env={"NOTIFY_SOCKET": path})
                self.addCleanup(daemon.close)
                self.assertEqual(supervisor.recv(100), b"READY=1")
                self.assertEqual(daemon.stop()[0], 0)
                self.assertEqual(supervisor.recv(100), b"STOPPING=1")

    def test_json_log(self):
        daemon = Stund("--listening-port=0", "--log-format=json", "--listening-ip=127.0.0.1", "--verbose")
        self.addCleanup(daemon.close)
        daemon.wait_line('"event":"ready"')
        records = [json.loads(line) for line in daemon.lines]
        self.assertEqual([r["event"] for r in records], ["rfc5780-off", "listening", "listening", "ready"])
        port = int(records[1]["address"].rpartition(":")[2])
        sock = self.udp(port)
        self.ask(sock)
        answered = json.loads(daemon.wait_line('"event":"answered"'))
        self.assertEqual(answered["client"], "127.0.0.1:%d" % sock.getsockname()[1])


class Refusals(Base):
    def refuse(self, *args, status=2):
        """It ends at once with that status and one line; returns the line without the program's name."""
        done = subprocess.run([STUND, *args], capture_output=True, text=True, timeout=PATIENCE_S)
        complaint = [line for line in done.stderr.splitlines() if " stund " not in line]
        self.assertEqual((done.returncode, len(complaint)), (status, 1), done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertTrue(complaint[0].startswith("viaduct-stund: "), complaint[0])
        return complaint[0].removeprefix("viaduct-stund: ")

    def test_options(self):
        for args, wanted in [
                (["--listning-port=1"], "unknown option '--listning-port'; did you mean '--listening-port'?"),
                (["--listening-port=70000"], "--listening-port must be a number from 0 to 65535, not '70000'"),
                (["--listening-port=-1"], "--listening-port must be a number from 0 to 65535, not '-1'"),
                (["--listening-port"], "--listening-port needs a value"),
                (["--listening-ip=localhost"], "--listening-ip must be an IP address without a port"),
                (["--listening-ip=127.0.0.1:3478"], "--listening-ip must be an IP address without a port"),
                (["--metrics-listen=127.0.0.1"], "--metrics-listen must be an IP address and a port"),
                (["--metrics-listen=::1"], "--metrics-listen must be an IP address and a port"),
                (["--metrics-listen=[::1]"], "--metrics-listen must be an IP address and a port"),
                (["--log-format=xml"], "--log-format must be text or json, not 'xml'"),
                (["--workers=0"], "--workers must be a number from 1 to 64"),
                (["--idle-timeout=0"], "--idle-timeout must be a number from 1 to 86400"),
                (["--fingerprint=maybe"], "--fingerprint is on or off"),
                (["--no-udp", "--no-tcp"], "no-udp and no-tcp together leave nothing to listen at"),
                (["-L", "127.0.0.1", "-L", "127.0.0.1"], "listening-ip 127.0.0.1 stands twice"),
                (["--workers=3", "--max-connections=2"], "max-connections=2 is less than workers=3"),
                ([f"--listening-ip=127.0.0.{i}" for i in range(1, 18)], "more than 16 addresses at listening-ip"),
                (["stray"], "'stray'"),
                (["--config=/nowhere/stund.conf"], "cannot read /nowhere/stund.conf: No such file or directory"),
                (["-c", "/"], "cannot read /: it is not a file")]:
            with self.subTest(args=args[:2]):
                self.assertIn(wanted, self.refuse(*args))

    def test_file_names_the_line(self):
        with tempfile.TemporaryDirectory(prefix="viaduct-stund-") as folder:
            path = os.path.join(folder, "stund.conf")
            pathlib.Path(path).write_text("# mine\nlistening-ip=127.0.0.1\nworker=2\n")
            self.assertEqual(self.refuse("-c", path), f"{path}:3: unknown option 'worker'; did you mean 'workers'?")

    def test_file_and_arguments(self):
        with tempfile.TemporaryDirectory(prefix="viaduct-stund-") as folder:
            path = os.path.join(folder, "stund.conf")
            pathlib.Path(path).write_text("listening-ip=127.0.0.1\nlistening-port 1 # replaced\nno-tcp\nsoftware-attribute\n")
            daemon = self.start("--config", path, "--listening-port=0")
            self.assertEqual([(what, ip) for what, ip, _ in daemon.listening], [("udp", "127.0.0.1")])
            self.assertIn(0x8022, self.ask(self.udp(daemon.port("udp", "127.0.0.1"))).attributes)

    def test_port_in_use(self):
        for kind, name in [(socket.SOCK_DGRAM, "udp"), (socket.SOCK_STREAM, "tcp")]:
            for workers in ["1", "2"]:
                with socket.socket(socket.AF_INET, kind) as holder:
                    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # would share, if asked
                    holder.bind(("127.0.0.1", 0))
                    if kind == socket.SOCK_STREAM:
                        holder.listen()
                    port = holder.getsockname()[1]
                    line = self.refuse("--listening-ip=127.0.0.1", f"--listening-port={port}", f"--workers={workers}",
                                       status=3)
                    self.assertIn(f"{name} 127.0.0.1:{port}: the port is in use", line)
                    self.assertIn(f"(pid {os.getpid()})", line)
                    self.assertIn("listening-port", line)

    def test_metrics_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            line = self.refuse("--listening-port=0", f"--metrics-listen=127.0.0.1:{port}", status=3)
            self.assertIn(f"tcp 127.0.0.1:{port}: the port is in use", line)
            self.assertIn("metrics-listen", line)

    def test_no_such_address(self):
        line = self.refuse("--listening-ip=198.51.100.1", "--listening-port=0", status=3)
        self.assertIn("198.51.100.1: this machine has no such address", line)


class Prints(Base):
    def output(self, *args):
        return subprocess.run([STUND, *args], capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout

    def test_help_names_every_option_of_the_table(self):
        names = re.findall(r'\.name = "([\w-]+)"', (SOURCE / "stun" / "config.def").read_text())
        self.assertGreater(len(names), 15)
        for text in [self.output("--help"), self.output("--man").replace("\\-", "-")]:
            for name in names:
                self.assertIn("--" + name, text)

    def test_version(self):
        self.assertRegex(self.output("--version"), r"^viaduct-stund \d+\.\d+\.\d+\n$")

    def test_example_is_a_good_file(self):
        with tempfile.TemporaryDirectory(prefix="viaduct-stund-") as folder:
            path = os.path.join(folder, "stund.conf")
            pathlib.Path(path).write_text(self.output("--example-config"))
            self.start("-c", path)


if __name__ == "__main__":
    unittest.main(verbosity=2)
