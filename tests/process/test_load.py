#!/usr/bin/python3
"""viaduct-load against viaduct-turnd, and against servers that lose, damage, repeat and misroute."""

import json
import random
import socket
import struct
import subprocess
import threading
import unittest

from test_turnd import PASSWORD, TURND, USER, TurndCase

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
                self.peer = ("127.0.0.1", struct.unpack("!H", data[at : at + 2])[0] ^ 0x2112)
            self.front.sendto(struct.pack("!HHI", kind | 0x100, len(body), 0x2112A442) + txid + body, client)

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


class Usage(unittest.TestCase):
    def test_wrong_words(self):
        for args, status, words in (
            ([], 2, "viaduct-load relay"),
            (["fly"], 2, "viaduct-load relay"),
            (["relay", "-d", "sideways"], 2, "up, down or call"),
            (["relay", "-s", "127.0.0.1"], 2, "ADDRESS:PORT"),
            (["relay", "-d", "call", "-n", "3"], 2, "even"),
            (["relay", "-b", "9000"], 2, "32 to 1400"),
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


class Credentials(TurndCase):
    def test_a_wrong_password(self):
        port = self.turnd.listening["udp", "127.0.0.1"]
        code, _, err = run("relay", "-s", f"127.0.0.1:{port}", "-u", USER, "-w", "wrong", "-n", 1)
        self.assertEqual(code, 3)
        self.assertIn("401", err)


if __name__ == "__main__":
    unittest.main()
