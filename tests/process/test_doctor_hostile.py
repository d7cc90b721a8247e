#!/usr/bin/python3
"""viaduct-peer doctor comes to an end, whatever the server does."""

import hashlib
import json
import os
import pathlib
import socket
import struct
import subprocess
import threading
import unittest

SOURCE = pathlib.Path(os.environ.get("VIADUCT_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BIN = pathlib.Path(os.environ.get("VIADUCT_BIN", SOURCE / "build" / "bin"))
PATIENCE_S = 60
BINDING, ALLOCATE = 0x0001, 0x0003


def message(kind, txid, *attributes):
    body = b"".join(struct.pack("!HH", t, len(v)) + v + bytes(-len(v) % 4) for t, v in attributes)
    return struct.pack("!HHI", kind, len(body), 0x2112A442) + txid + body


class Hostile(unittest.TestCase):
    def doctor(self, uri):
        done = subprocess.run([BIN / "viaduct-peer", "doctor", "--json", "--username=u", "--password=p", uri],
                              capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        return json.loads(done.stdout)["ways"][0]

    def test_each_nonce_is_stale(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            port = server.getsockname()[1]

            def serve():
                nonce = b"0"
                while True:
                    data, peer = server.recvfrom(4096)
                    if not data:
                        return
                    kind, txid = struct.unpack("!H", data[:2])[0], data[8:20]
                    if kind == BINDING:
                        server.sendto(message(0x0101, txid, (0x0020, b"\0\1" + bytes(6))), peer)
                    elif kind == ALLOCATE:
                        nonce = hashlib.sha256(nonce).hexdigest().encode()
                        server.sendto(message(0x0113, txid, (0x0009, b"\0\0\4\x26"), (0x0014, b"r"), (0x0015, nonce)), peer)

            thread = threading.Thread(target=serve)
            thread.start()
            try:
                self.assertEqual(self.doctor(f"turn:127.0.0.1:{port}")["step"], "allocate")
            finally:
                server.sendto(b"", ("127.0.0.1", port))
                thread.join()

    def test_what_nobody_asked_for_never_ends(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]

            def serve():
                connection, _ = listener.accept()
                flood = message(0x0017, bytes(12)) * 1000
                with connection:
                    try:
                        while True:
                            connection.sendall(flood)
                    except OSError:
                        return

            thread = threading.Thread(target=serve)
            thread.start()
            try:
                self.assertEqual(self.doctor(f"turn:127.0.0.1:{port}?transport=tcp")["step"], "bind")
            finally:
                thread.join()


if __name__ == "__main__":
    unittest.main()
