#!/usr/bin/python3
"""The floors of bench/run carry what viaduct-load sends, whole and to where it belongs."""

import json
import pathlib
import os
import socket
import subprocess
import unittest

BIN = pathlib.Path(os.environ["VIADUCT_BIN"])
PATIENCE_S = 20


class Forward(unittest.TestCase):
    def setUp(self):
        # It takes the port that it is given, and none is free for sure: it is asked until it has one.
        for _ in range(20):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.bind(("127.0.0.1", 0))
                self.port = s.getsockname()[1]
            self.process = subprocess.Popen([BIN / "bench-forward", f"127.0.0.1:{self.port}"], stderr=subprocess.DEVNULL)
            if self.answers():
                break
            self.process.wait(PATIENCE_S)
        self.addCleanup(self.end)

    def end(self):
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def answers(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.1)
            s.connect(("127.0.0.1", self.port))
            while self.process.poll() is None:
                try:
                    s.send(bytes.fromhex("000100002112a442") + bytes(12))
                    return s.recv(2048)[:2] == b"\x01\x01"
                except OSError:
                    pass
        return False

    def test_each_direction_each_way_to_send(self):
        for direction in ("up", "down", "call"):
            for more in ((), ("-i",), ("-k", 8), ("-k", 8, "-g"), ("-k", 16, "-g", "-i", "-b", 1200)):
                with self.subTest(direction=direction, more=more):
                    command = [BIN / "viaduct-load", "relay", "-s", f"127.0.0.1:{self.port}", "-n", 4, "-d", direction, "-r", 400,
                               "-t", 1, "-j", *more]  # fmt: skip
                    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60, check=False)
                    result = json.loads(done.stdout)
                    self.assertGreaterEqual(result["received"], 300)
                    self.assertEqual([result[k] for k in ("damaged", "misrouted", "duplicates", "reordered")], [0, 0, 0, 0])


if __name__ == "__main__":
    unittest.main()
