#!/usr/bin/python3
"""viaduct-load against viaduct-turnd, and against servers that lose, damage, repeat and misroute."""

import json
import random
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from test_turnd import PASSWORD, PATIENCE_S, SOURCE, TURND, USER, Turnd, TurndCase

LOAD = TURND.parent / "viaduct-load"


def run(*args, timeout=60):
    done = subprocess.run([LOAD, *map(str, args)], capture_output=True, text=True, timeout=timeout)
    return done.returncode, done.stdout, done.stderr


class Relay(TurndCase):
    def load(self, *args, status=0):
        port = self.turnd.listening["udp", "127.0.0.1"]
        code, out, err = run(
            *args, "-s", f"127.0.0.1:{port}", "-u", USER, "-w", PASSWORD, "--pid", self.turnd.process.pid, "-j", "-t", 1
        )
        self.assertEqual((code, err), (status, ""), out)
        return json.loads(out)

    def check(self, result, sent_least):
        self.assertGreaterEqual(result["sent"], sent_least)
        self.assertEqual(result["received"], result["sent"])
        self.assertEqual([result[k] for k in ("damaged", "misrouted", "duplicates", "wrong")], [0, 0, 0, None])

    def test_each_direction_both_ways_to_send(self):
        for direction in ("up", "down", "call"):
            for more in ([], ["-i"], ["-k", 8], ["-k", 8, "-g"]):
                with self.subTest(direction=direction, more=more):
                    result = self.load("relay", "-n", 4, "-d", direction, "-r", 400, "-b", 333, *more)
                    self.check(result, 300)
                    self.assertEqual(result["allocations"], 4)
                    self.assertGreater(result["server_ns"], 0)
                    self.assertGreater(result["latency_ns"]["p50"], 0)

    def test_bindings(self):
        self.check(self.load("binding", "-r", 500), 400)

    def test_nothing_is_left(self):
        self.load("relay", "-n", 20, "-r", 100)
        self.turnd.wait_metric("viaduct_turn_allocations", 0)


class Certificates:
    """A server's certificate for 127.0.0.1 and the CA behind it, and a CA that is not."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="viaduct-load-")
        for name in ("ours", "other"):
            command = [SOURCE / "certs" / "make-dev-certs", f"{self.folder.name}/{name}"]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        self.cert, self.key, self.ca = (f"{self.folder.name}/ours/{file}" for file in ("server.pem", "server.key", "ca.pem"))
        self.other_ca = f"{self.folder.name}/other/ca.pem"


class Transports:
    """The same load over each transport; `place(transport)` is where this server listens, `pid` its process."""

    def load(self, *args, transport, status=0):
        code, out, err = run(
            *args, "-T", transport, "-s", self.place(transport), "-u", USER, "-w", PASSWORD, "--pid", self.pid, "-j", "-t", 1
        )
        self.assertEqual((code, err), (status, ""), out)
        return json.loads(out)

    def check(self, result, transport, sent_least):
        self.assertEqual(result["transport"], transport)
        self.assertGreaterEqual(result["sent"], sent_least)
        self.assertEqual(result["received"], result["sent"] + result["queued"])
        self.assertEqual([result[k] for k in ("damaged", "misrouted", "duplicates", "closed", "wrong")], [0, 0, 0, 0, None])

    def test_each_direction_over_each_transport(self):
        for transport in ("tcp", "tls", "dtls"):
            for direction, more in (("up", []), ("down", ["-i"]), ("call", ["-k", 8])):
                with self.subTest(transport=transport, direction=direction, more=more):
                    # 333: not a multiple of four, so that padding counts.
                    result = self.load("relay", "-n", 4, "-d", direction, "-r", 400, "-b", 333, *more, transport=transport)
                    self.check(result, transport, 300)
                    self.assertEqual(result["allocations"], 4)
                    for key in ("server_ns", "setup_server_ns"):
                        self.assertGreater(result[key], 0)

    def test_bindings_over_each_transport(self):
        for transport in ("tcp", "tls", "dtls"):
            with self.subTest(transport=transport):
                self.check(self.load("binding", "-r", 500, transport=transport), transport, 400)


class TurndTransports(Transports, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.files = Certificates()
        cls.addClassCleanup(cls.files.folder.cleanup)
        cls.turnd = Turnd(
            "-L", "127.0.0.1", "-E", "127.0.0.1", "--tls-listening-port=0", "--cert", cls.files.cert, "--pkey", cls.files.key, *TurndCase.ARGS
        )
        cls.pid = cls.turnd.process.pid

    @classmethod
    def tearDownClass(cls):
        assert cls.turnd.stop() == 0, "\n".join(cls.turnd.lines)

    def place(self, transport):
        return f"127.0.0.1:{self.turnd.listening[transport, '127.0.0.1']}"

    def test_nothing_is_left(self):
        for transport in ("tcp", "tls", "dtls"):
            with self.subTest(transport=transport):
                self.load("relay", "-n", 20, "-r", 100, transport=transport)
                self.turnd.wait_metric("viaduct_turn_allocations", 0)

    def test_certificates(self):
        for transport in ("tls", "dtls"):
            for args, status, words in (
                (["--ca", self.files.ca], 0, ""),
                (["--ca", self.files.ca, "--tls-name", "localhost"], 0, ""),
                (["--ca", self.files.other_ca], 3, "the handshake with the server failed"),
                (["--ca", self.files.ca, "--tls-name", "example.org"], 3, "mismatch"),
                (["--ca", self.files.key], 2, "--ca"),
                (["--ca", "/nonexistent"], 2, "--ca"),
            ):
                with self.subTest(transport=transport, args=args):
                    code, _, err = run("binding", "-T", transport, "-s", self.place(transport), "-r", 100, "-t", 1, *args)
                    self.assertEqual(code, status, err)
                    self.assertIn(words, err)


class Coturn:
    """A server that is not ours: what viaduct-load understands is TURN, not turnd. At 127.0.0.1, `place(transport)`."""

    def __init__(self, files):
        self.ports = {}
        with socket.socket() as plain, socket.socket() as tls:
            for s, names in ((plain, ("udp", "tcp")), (tls, ("tls", "dtls"))):
                s.bind(("127.0.0.1", 0))
                self.ports.update(dict.fromkeys(names, s.getsockname()[1]))
        self.process = subprocess.Popen(
            ["turnserver", "-n", "-L", "127.0.0.1", "-E", "127.0.0.1", "-p", str(self.ports["udp"]),
             "--tls-listening-port", str(self.ports["tls"]), "--cert", files.cert, "--pkey", files.key, "-a",
             "-u", f"{USER}:{PASSWORD}", "-r", "example.org", "-m", "1", "--allow-loopback-peers", "--no-cli", "--no-rfc5780",
             "--no-stdout-log", "--log-file", "/dev/null", "--pidfile", f"{files.folder.name}/pid",
             "--userdb", f"{files.folder.name}/db"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.pid = self.process.pid
        deadline = time.monotonic() + PATIENCE_S
        while not all(self.takes_connections(self.ports[t]) for t in ("tcp", "tls")):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError("coturn does not start")

    def takes_connections(self, port):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0

    def place(self, transport):
        return f"127.0.0.1:{self.ports[transport]}"

    def stop(self):
        self.process.kill()
        self.process.wait()


class CoturnTransports(Transports, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.files = Certificates()
        cls.addClassCleanup(cls.files.folder.cleanup)
        cls.coturn = Coturn(cls.files)
        cls.addClassCleanup(cls.coturn.stop)
        cls.pid, cls.place = cls.coturn.pid, cls.coturn.place


class Faulty:
    """A relay of sorts: it hands out one of its own sockets, without authentication, and forwards with a fault."""

    def __init__(self, fault):
        self.fault, self.random, self.last = fault, random.Random(1), b""
        self.front, self.back = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for s in (self.front, self.back):
            s.bind(("127.0.0.1", 0))
        self.place = self.front.getsockname()
        self.peer = None
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            data, client = self.front.recvfrom(2048)
            if not data:
                return
            if data[0] >= 0x40:
                self.forward(data[4:])
                continue
            kind, txid = struct.unpack("!H", data[:2])[0], data[8:20]
            body = b""
            if kind == 3:
                port = self.back.getsockname()[1] ^ 0x2112
                body = struct.pack("!HHBBH4s", 0x16, 8, 0, 1, port, bytes(a ^ b for a, b in zip((127, 0, 0, 1), b"\x21\x12\xa4\x42")))
            elif kind in (8, 9):
                at = data.index(struct.pack("!HHBB", 0x12, 8, 0, 1)) + 6
                self.peer = self.peer or ("127.0.0.1", struct.unpack("!H", data[at : at + 2])[0] ^ 0x2112)
            self.answer(struct.pack("!HHI", kind | 0x100, len(body), 0x2112A442) + txid + body, client)

    def answer(self, answer, client):
        self.front.sendto(answer, client)

    def forward(self, payload):
        for data in self.fault(self, payload):
            self.back.sendto(data, self.peer)

    def close(self):
        self.back.sendto(b"", self.place)
        self.thread.join()
        self.front.close()
        self.back.close()


class Faults(unittest.TestCase):
    def load(self, fault, *args):
        server = Faulty(fault)
        self.addCleanup(server.close)
        code, out, err = run("relay", "-s", "%s:%d" % server.place, "-n", 1, "-r", 500, "-t", 1, "-j", *args)
        self.assertEqual(err, "")
        return code, json.loads(out)

    def test_none(self):
        code, result = self.load(lambda s, p: [p])
        self.assertEqual((code, result["wrong"]), (0, None))

    def test_loss(self):
        code, result = self.load(lambda s, p: [p] if s.random.random() > 0.02 else [])
        self.assertEqual((code, result["wrong"]), (1, "loss"))
        self.assertLess(result["received"], result["sent"])

    def test_damage(self):
        code, result = self.load(lambda s, p: [p if s.random.random() > 0.02 else p[:-1] + b"?"])
        self.assertEqual((code, result["wrong"]), (1, "damaged"))

    def test_duplicates(self):
        code, result = self.load(lambda s, p: [p] if s.random.random() > 0.02 else [p, p])
        self.assertEqual((code, result["wrong"]), (1, "duplicates"))
        self.assertGreater(result["duplicates"], 0)

    def test_a_search_that_the_server_does_not_end(self):
        """The first trial is good; what goes wrong later is no rate that was too high."""
        def fault(server, payload):
            server.count = getattr(server, "count", 0) + 1
            return [payload] if server.count <= 10000 else [payload, payload]

        code, result = self.load(fault, "--find-rate")
        self.assertEqual((code, result["bound"]), (1, "duplicates"))

    def test_reordering_is_counted(self):
        def fault(server, payload):
            held, server.last = server.last, b""
            if held:
                return [payload, held]
            server.last = payload if server.random.random() < 0.1 else b""
            return [] if server.last else [payload]

        _, result = self.load(fault)
        self.assertGreater(result["reordered"], 10)

    def test_all_lost(self):
        code, result = self.load(lambda s, p: [])
        self.assertEqual((code, result["received"]), (1, 0))


class FaultyStream:
    """A relay of sorts over TCP: it sets one allocation up, and then does with the stream what `fault` does."""

    def __init__(self, fault):
        self.fault = fault
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.place = self.listener.getsockname()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        connection, _ = self.listener.accept()
        with connection, connection.makefile("rb") as stream:
            kind = 0
            while kind != 9:
                head = stream.read(20)
                kind, size = struct.unpack("!HH", head[:4])
                stream.read(size)
                body = struct.pack("!HHBBHI", 0x16, 8, 0, 1, 1, 1) if kind == 3 else b""
                answer = struct.pack("!HHI", kind | 0x100, len(body), 0x2112A442) + head[8:20] + body
                connection.sendall(answer[:7])  # two pieces of one message
                connection.sendall(answer[7:])
            self.fault(self, connection)

    def close(self):
        self.done.set()
        self.thread.join()
        self.listener.close()


class StreamFaults(unittest.TestCase):
    def load(self, fault, *args):
        server = FaultyStream(fault)
        self.addCleanup(server.close)
        code, out, err = run("relay", "-T", "tcp", "-s", "%s:%d" % server.place, "-n", 1, "-t", 1, "-j", *args)
        self.assertEqual(err, "")
        return code, json.loads(out)

    def test_a_server_that_does_not_read(self):
        """What it does not take stands in front of it, and is not sent; nothing waits for it."""
        code, result = self.load(lambda server, connection: server.done.wait(), "-r", 20000, "-b", 1400)
        self.assertEqual((code, result["wrong"], result["received"]), (1, "queued", 0))
        self.assertGreater(result["queued"], 0)
        self.assertGreater(result["refused"], 0)

    def test_a_server_that_closes(self):
        code, result = self.load(lambda server, connection: connection.recv(100), "-r", 500)
        self.assertEqual((code, result["wrong"], result["closed"]), (1, "closed", 1))

    def test_a_server_that_talks_of_something_else(self):
        def fault(server, connection):
            connection.recv(4)  # the setup is over
            connection.sendall(b"<html>no relay</html>")
            server.done.wait()

        code, result = self.load(fault, "-r", 500)
        self.assertEqual((code, result["wrong"], result["closed"]), (1, "closed", 1))


class Usage(unittest.TestCase):
    def test_wrong_words(self):
        for args, status, words in (
            ([], 2, "viaduct-load relay"),
            (["fly"], 2, "viaduct-load relay"),
            (["relay", "-d", "sideways"], 2, "up, down or call"),
            (["relay", "-s", "127.0.0.1"], 2, "ADDRESS:PORT"),
            (["relay", "-d", "call", "-n", "3"], 2, "even"),
            (["relay", "-b", "9000"], 2, "32 to 1400"),
            (["relay", "-T", "sctp"], 2, "udp, tcp, tls or dtls"),
            (["relay", "-t", "241"], 2, "1 to 240"),
            (["relay", "-t", "16", "--find-rate"], 2, "at most 15"),
        ):
            code, out, err = run(*args)
            self.assertEqual((code, out), (status, ""), args)
            self.assertIn(words, err)
            self.assertEqual(err.count("\n"), 1)

    def test_help(self):
        code, out, _ = run("--help")
        self.assertEqual(code, 0)
        self.assertIn("--allocations COUNT", out)

    def test_nobody_there(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            code, _, err = run("relay", "-s", "127.0.0.1:%d" % silent.getsockname()[1], "-n", 1)
        self.assertEqual(code, 3)
        self.assertIn("is there a TURN server?", err)


    def test_nobody_there_over_tcp(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # and no listen
            code, _, err = run("relay", "-T", "tcp", "-s", "127.0.0.1:%d" % closed.getsockname()[1], "-n", 1)
        self.assertEqual(code, 3)
        self.assertIn("cannot be reached over TCP", err)

    def test_descriptors(self):
        """The soft limit is raised; of the hard one, the sentence tells."""
        limited = ["prlimit", "--nofile=40:200", LOAD, "relay", "-s", "127.0.0.1:9", "-n"]
        done = subprocess.run([*limited, "1000"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 3)
        self.assertIn("ulimit -Hn", done.stderr)


class Credentials(TurndCase):
    def test_a_wrong_password(self):
        port = self.turnd.listening["udp", "127.0.0.1"]
        code, _, err = run("relay", "-s", f"127.0.0.1:{port}", "-u", USER, "-w", "wrong", "-n", 1)
        self.assertEqual(code, 3)
        self.assertIn("401", err)


if __name__ == "__main__":
    unittest.main()
