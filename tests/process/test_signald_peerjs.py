#!/usr/bin/python3
"""viaduct-signald for clients of the npm package peerjs: each sentence of what PeerServer does, and what it does not do.

What both do can be held against npm's `peer`: with VIADUCT_PEERSERVER=PORT (path /peerjs, the defaults otherwise) the tests of
the class Both run against the server that listens there."""
import json
import os
import pathlib
import re
import signal
import socket
import struct
import tempfile
import time
import unittest
import urllib.parse

from signald_client import PATIENCE_S, http, metric, start

UUID4 = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
PEERSERVER = os.environ.get("VIADUCT_PEERSERVER")
OPEN = {"type": "OPEN"}


class PeerServer:
    def __init__(self, port):
        self.ports = {"http": int(port)}


def error(text):
    return {"type": "ERROR", "payload": {"msg": text}}


class Peer:
    """A socket by hand: text frames, JSON in and out."""

    def __init__(self, case, daemon, query, path="/peerjs/peerjs", headers="", buffer=None, status=101):
        self.sock = socket.socket()
        case.addCleanup(self.sock.close)
        self.sock.settimeout(PATIENCE_S)
        if buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.connect(("127.0.0.1", daemon.ports["http"]))
        self.sock.sendall((f"GET {path}?{query} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n").encode())
        self.file = self.sock.makefile("rb")
        case.addCleanup(self.file.close)
        got = int(self.file.readline().split()[1])
        assert got == status, got
        self.headers = {}
        while (line := self.file.readline().strip()):
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()

    @classmethod
    def open(cls, case, daemon, ident, token="t", **kwargs):
        query = urllib.parse.urlencode({"key": "peerjs", "id": ident, "token": token, "version": "1.5.5"}, quote_via=urllib.parse.quote)
        peer = cls(case, daemon, query, **kwargs)
        case.assertEqual(peer.take(), OPEN)
        return peer

    def send_text(self, text, opcode=1):
        payload = text if isinstance(text, bytes) else text.encode()
        size = len(payload)
        head = bytes([0x80 | opcode]) + (bytes([0x80 | size]) if size < 126 else struct.pack(">BH", 0xFE, size) if size < 65536
                                         else struct.pack(">BQ", 0xFF, size))
        # A mask of zeros: large frames need no work then.
        self.sock.sendall(head + b"\0\0\0\0" + payload)

    def send(self, kind, dst=None, payload=None):
        self.send_text(json.dumps({"type": kind, **({} if dst is None else {"dst": dst}), **({} if payload is None else {"payload": payload})}))

    def frame(self):
        """(opcode, payload); None at the end of the stream. Pings are answered."""
        while True:
            try:
                head = self.file.read(2)
            except ConnectionResetError:
                return None
            if len(head) < 2:
                return None
            size = head[1]
            if size == 126:
                size, = struct.unpack(">H", self.file.read(2))
            elif size == 127:
                size, = struct.unpack(">Q", self.file.read(8))
            payload = self.file.read(size)
            if head[0] & 15 != 9:
                return head[0] & 15, payload
            self.send_text(payload, opcode=10)

    def take_text(self):
        got = self.frame()
        assert got is not None and got[0] == 1, got
        return got[1].decode()

    def take(self):
        return json.loads(self.take_text())

    def is_closed(self):
        """The next thing is the end: a Close frame, which is answered, or the end of the stream."""
        got = self.frame()
        if got is None:
            return True
        assert got[0] == 8, got
        self.send_text(got[1][:2], opcode=8)
        return True

    def is_quiet(self):
        """Nothing is on its way: the next message is our own."""
        self.send("OFFER", self.ident, "quiet")
        return self.take()["payload"] == "quiet"

    def close(self):
        self.send_text(struct.pack(">H", 1000), opcode=8)
        while self.frame() is not None:
            pass
        self.file.close()
        self.sock.close()


class Case(unittest.TestCase):
    def start(self, *args):
        return start(self, "--web-root=none", *args)

    def peer(self, ident, daemon=None, **kwargs):
        peer = Peer.open(self, daemon or self.daemon, ident, **kwargs)
        peer.ident = ident
        return peer

    def refused(self, query, message, daemon=None):
        peer = Peer(self, daemon or self.daemon, query)
        self.assertEqual(peer.take(), message)
        self.assertTrue(peer.is_closed())


class Both(Case):
    """What PeerServer does too."""

    def setUp(self):
        self.daemon = PeerServer(PEERSERVER) if PEERSERVER else self.start()

    def get(self, path, method="GET", headers=()):
        return http(self.daemon, path, method, headers=headers)

    def test_about(self):
        for path in "/peerjs", "/peerjs/":
            answer = self.get(path)
            self.assertEqual((answer.status, answer.headers["content-type"]), (200, "application/json; charset=utf-8"))
            self.assertEqual(list(json.loads(answer.body)), ["name", "description", "website"])

    def test_a_fresh_id(self):
        ids = set()
        for key in "peerjs", "peerjs", "another":
            answer = self.get(f"/peerjs/{key}/id?ts=17636&version=1.5.5")
            self.assertEqual((answer.status, answer.headers["content-type"]), (200, "text/html; charset=utf-8"))
            self.assertRegex(answer.body, UUID4)
            ids.add(answer.body)
        self.assertEqual(len(ids), 3)

    def test_peers_are_not_told(self):
        answer = self.get("/peerjs/peerjs/peers")
        self.assertEqual((answer.status, answer.body), (401, b"Unauthorized"))

    def test_cors(self):
        for path in "/peerjs/", "/peerjs/peerjs/id", "/peerjs/peerjs/peers":
            answer = self.get(path, headers=[("Origin", "https://app.example.org")])
            self.assertEqual(answer.headers["access-control-allow-origin"], "https://app.example.org")
            self.assertEqual(answer.headers["vary"], "Origin")
            self.assertNotIn("access-control-allow-origin", self.get(path).headers)
            answer = self.get(path, "OPTIONS", [("Origin", "https://app.example.org"), ("Access-Control-Request-Method", "GET")])
            self.assertEqual(answer.status, 204)
            self.assertEqual(answer.headers["access-control-allow-origin"], "https://app.example.org")
            self.assertIn("GET", answer.headers["access-control-allow-methods"])

    def test_refusals(self):
        incomplete = error("No id, token, or key supplied to websocket server")
        for query in "", "id=a&token=t", "key=peerjs&token=t", "key=peerjs&id=a", "key=peerjs&id=&token=t", "key=peerjs&id=a&token=":
            self.refused(query, incomplete)
        self.refused("key=other&id=a&token=t", error("Invalid key provided"))
        self.peer("taken-1", token="mine")
        self.refused("key=peerjs&id=taken-1&token=other", {"type": "ID-TAKEN", "payload": {"msg": "ID is taken"}})

    def test_messages(self):
        a, b = self.peer("both-a"), self.peer("both b")
        for kind in "OFFER", "ANSWER", "CANDIDATE", "LEAVE", "EXPIRE":
            a.send_text(json.dumps({"type": kind, "src": "somebody else", "dst": "both b", "payload": {"of": kind}}))
            self.assertEqual(b.take(), {"type": kind, "src": "both-a", "dst": "both b", "payload": {"of": kind}})
        b.send("LEAVE", "both-a")
        self.assertEqual(a.take(), {"type": "LEAVE", "src": "both b", "dst": "both-a"})
        for kind in "OPEN", "ERROR", "ID-TAKEN", "offer", "constructor", "":
            a.send(kind, "both b", {})
        a.send("HEARTBEAT")
        self.assertTrue(b.is_quiet())

    def test_what_waits(self):
        a = self.peer("wait-a")
        a.send("OFFER", "wait-b", 1)
        a.send("ANSWER", "wait-b", 2)
        a.send("CANDIDATE", "wait-b", 3)
        a.send("LEAVE", "wait-b")
        a.send("EXPIRE", "wait-b")
        self.assertTrue(a.is_quiet())
        b = self.peer("wait-b")
        self.assertEqual([b.take()["payload"] for _ in range(3)], [1, 2, 3])
        self.assertTrue(b.is_quiet())

    def test_expire(self):
        a = self.peer("expire-a")
        for dst in "expire-b", "expire-c":
            a.send("OFFER", dst, 1)
            a.send("CANDIDATE", dst, 2)
        begin = time.monotonic()
        got = [a.take(), a.take()]
        self.assertGreater(time.monotonic() - begin, 4.5)
        self.assertEqual(sorted(m["src"] for m in got), ["expire-b", "expire-c"])
        self.assertEqual({(m["type"], m["dst"]) for m in got}, {("EXPIRE", "expire-a")})
        self.assertTrue(a.is_quiet())

    def test_leave_frees_the_id(self):
        a = self.peer("leave-a")
        a.send("LEAVE")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            again = Peer(self, self.daemon, "key=peerjs&id=leave-a&token=another")
            if again.take() == OPEN:
                return
            self.assertLess(time.monotonic(), deadline)

    def test_the_end_of_a_socket_frees_the_id(self):
        self.peer("end-a").close()
        deadline = time.monotonic() + PATIENCE_S
        while True:
            again = Peer(self, self.daemon, "key=peerjs&id=end-a&token=another")
            if again.take() == OPEN:
                return
            self.assertLess(time.monotonic(), deadline)


@unittest.skipIf(PEERSERVER, "what PeerServer does not do")
class Ours(Case):
    def test_no_subprotocol(self):
        self.daemon = self.start()
        self.assertNotIn("sec-websocket-protocol", self.peer("a").headers)
        # And the Viaduct protocol still wants its own.
        Peer(self, self.daemon, "", path="/v1/ws", status=400)

    def test_payload_byte_for_byte(self):
        self.daemon = self.start()
        a, b = self.peer("a"), self.peer("b")
        a.send_text('{ "payload" : {"n":1.0,"e":1e400 , "u":"\\u00e9\u00e9"} ,\n"dst":"b","type":"OFFER"}')
        self.assertEqual(b.take_text(), '{"type":"OFFER","src":"a","dst":"b","payload":{"n":1.0,"e":1e400 , "u":"\\u00e9\u00e9"}}')

    def test_what_is_not_json_is_ignored(self):
        self.daemon = self.start()
        a, b = self.peer("a"), self.peer("b")
        for text in "not json", "", "null", "5", "[]", '"OFFER"', "{", "[" * 60000, '{"type":"OFFER","dst":"b"', '{"type":"OFFER","dst":["b"]}':
            a.send_text(text)
        a.send_text(b'{"type":"OFFER","dst":"b","payload":"as binary"}', opcode=2)
        self.assertEqual(b.take()["payload"], "as binary")
        self.assertEqual(metric(self.daemon, "viaduct_peerjs_ignored_total"), 10)

    def test_bad_frames_end_their_own_connection(self):
        self.daemon = self.start()
        b = self.peer("b")
        for i, text in enumerate([b'"\xff"', b" " * 65537]):
            a = self.peer(f"a{i}")
            a.send_text(text)
            self.assertTrue(a.is_closed())
        self.assertTrue(b.is_quiet())

    def test_takeover(self):
        self.daemon = self.start()
        b, old = self.peer("b"), self.peer("a", token="mine")
        new = self.peer("a", token="mine")
        opcode, payload = old.frame()
        self.assertEqual((opcode, payload[:2]), (8, struct.pack(">H", 4001)))
        try:  # it does not even answer the Close, and speaks on
            old.send("OFFER", "b", "stolen")
        except OSError:
            pass
        b.send("OFFER", "a", 1)
        self.assertEqual(new.take()["payload"], 1)
        self.assertTrue(b.is_quiet())
        old.sock.close()
        b.send("OFFER", "a", 2)
        self.assertEqual(new.take()["payload"], 2)
        self.assertEqual(metric(self.daemon, "viaduct_peerjs_clients"), 2)

    def test_who_left_speaks_no_more(self):
        self.daemon = self.start()
        a, b = self.peer("a"), self.peer("b")
        a.send("LEAVE")
        a.send("OFFER", "b", "from nobody")
        a.send("HEARTBEAT")
        c = self.peer("c")
        c.send("OFFER", "b", "from c")
        self.assertEqual(b.take()["src"], "c")

    def test_heartbeats(self):
        self.daemon = self.start("--peerjs-alive-timeout=1000")
        a, b = self.peer("a"), self.peer("b")
        begin = time.monotonic()
        b.sock.settimeout(0.1)
        while True:
            a.send("HEARTBEAT")
            try:
                got = b.sock.recv(1, socket.MSG_PEEK)
                break
            except TimeoutError:
                self.assertLess(time.monotonic() - begin, PATIENCE_S)
        self.assertGreater(time.monotonic() - begin, 0.9)
        b.sock.settimeout(PATIENCE_S)
        self.assertEqual(got[0] & 15, 8)
        self.assertTrue(a.is_quiet())
        self.assertEqual(metric(self.daemon, "viaduct_peerjs_timeouts_total"), 1)

    def test_a_full_server(self):
        self.daemon = self.start("--peerjs-limit=1")
        a = self.peer("a")
        self.refused("key=peerjs&id=b&token=t", error("Server has reached its concurrent user limit"))
        a.close()
        deadline = time.monotonic() + PATIENCE_S
        while Peer(self, self.daemon, "key=peerjs&id=b&token=t").take() != OPEN:
            self.assertLess(time.monotonic(), deadline)

    def test_options_of_path_key_and_discovery(self):
        daemon = self.start("--peerjs-path=/my/peers/", "--peerjs-key=k1", "--peerjs-discovery", "--peerjs-expire-timeout=50")
        self.assertEqual(http(daemon, "/peerjs/peerjs/id").status, 404)
        self.assertEqual(http(daemon, "/my/peers").status, 200)
        self.assertRegex(http(daemon, "/my/peers/x/id").body, UUID4)
        self.assertEqual(json.loads(http(daemon, "/my/peers/k1/peers").body), [])
        self.assertEqual(http(daemon, "/my/peers/peerjs/peers").status, 401)
        a = Peer(self, daemon, "key=k1&id=a&token=t", path="/my/peers/peerjs")
        self.assertEqual(a.take(), OPEN)
        self.assertEqual(json.loads(http(daemon, "/my/peers/k1/peers").body), ["a"])
        a.send("OFFER", "b")
        self.assertEqual(a.take()["type"], "EXPIRE")
        off = self.start("--peerjs-path=none")
        self.assertEqual(http(off, "/peerjs/peerjs/id").status, 404)
        root = self.start("--peerjs-path=/")
        self.assertRegex(http(root, "/peerjs/id").body, UUID4)
        Peer.open(self, root, "a", path="/peerjs")

    def test_origins(self):
        daemon = self.start("--peerjs-origin=https://app.example.org")
        for origin, status in ("https://app.example.org", 101), ("https://evil.example.org", 403):
            Peer(self, daemon, "key=peerjs&id=a&token=t", headers=f"Origin: {origin}\r\n", status=status)
            answer = http(daemon, "/peerjs/peerjs/id", headers=[("Origin", origin)])
            self.assertEqual(answer.headers.get("access-control-allow-origin"), origin if status == 101 else None)

    def test_no_client_of_the_other_protocol(self):
        daemon = self.start()
        self.peer("a", daemon)
        self.assertEqual(metric(daemon, "viaduct_signal_sessions"), 0)
        self.assertEqual(metric(daemon, "viaduct_signal_links"), 0)

    def test_too_many_messages(self):
        self.daemon = self.start("--max-message-rate=5")
        a = self.peer("a")
        for _ in range(11):
            a.send("HEARTBEAT")
        self.assertEqual(a.take(), error("Too many messages"))
        self.assertTrue(a.is_closed())
        self.assertEqual(metric(self.daemon, 'viaduct_peerjs_refused_total{reason="rate"}'), 1)

    def test_limits_of_an_address(self):
        self.daemon = self.start("--max-sessions-per-address=1")
        self.peer("a")
        self.refused("key=peerjs&id=b&token=t", error("Server has reached its concurrent user limit"))
        self.daemon = self.start("--max-connections-per-address=1")
        self.peer("a")
        Peer(self, self.daemon, "key=peerjs&id=b&token=t", status=429)

    def test_a_slow_reader_is_closed(self):
        self.daemon = self.start("--max-outbox-bytes=200000", "--max-message-rate=0", "--max-byte-rate=0", "--max-address-message-rate=0",
                                 "--max-address-byte-rate=0", "--peerjs-expire-timeout=100")
        a = self.peer("a")
        slow = self.peer("slow", buffer=4096)
        # The system takes some megabytes for it; then it is closed, and what comes behind expires.
        a.sock.settimeout(PATIENCE_S)
        for _ in range(2000):
            a.send("CANDIDATE", "slow", "x" * 30000)
            if metric(self.daemon, 'viaduct_peerjs_refused_total{reason="slow-reader"}') == 1:
                break
        self.assertEqual(a.take(), {"type": "EXPIRE", "src": "slow", "dst": "a"})
        self.assertLess(metric(self.daemon, "viaduct_peerjs_outbox_bytes"), 200001)
        self.assertEqual(metric(self.daemon, "viaduct_peerjs_clients"), 1)
        slow.sock.close()

    def test_too_long(self):
        self.daemon = self.start()
        self.refused("key=peerjs&token=t&id=" + "x" * 129, error("The id, the token or the key is too long"))
        self.refused("key=peerjs&id=a&token=" + "x" * 5000, error("The id, the token or the key is too long"))
        self.peer("x" * 128)

    def test_pings(self):
        daemon = self.start("--ping-interval=1")
        a = Peer.open(self, daemon, "a")
        head = a.file.read(2)
        self.assertEqual(head[0] & 15, 9)

    def test_reload(self):
        with tempfile.TemporaryDirectory(prefix="signald-test-") as folder:
            file = pathlib.Path(folder) / "signald.conf"
            file.write_text("peerjs-key=one\n")
            daemon = self.start(f"--config={file}")
            self.assertEqual(Peer(self, daemon, "key=one&id=a&token=t").take(), OPEN)
            file.write_text("peerjs-key=two\n")
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_line(" reloaded ")
            self.assertEqual(Peer(self, daemon, "key=one&id=b&token=t").take(), error("Invalid key provided"))
            self.assertEqual(Peer(self, daemon, "key=two&id=b&token=t").take(), OPEN)

    def test_secrets_are_in_no_log(self):
        daemon = self.start("--verbose", "--peerjs-key=of-the-town")
        Peer(self, daemon, "key=of-the-town&id=a&token=my-token").take()
        Peer(self, daemon, "key=wrong-town&id=a&token=my-token").take()
        daemon.stop()
        log = "\n".join(daemon.lines)
        self.assertIn("peerjs-socket", log)
        for secret in "of-the-town", "wrong-town", "my-token":
            self.assertNotIn(secret, log)

    def test_a_stop_closes_sockets(self):
        daemon = self.start()
        a = Peer.open(self, daemon, "a")
        status, _ = daemon.stop()
        self.assertEqual(status, 0)
        opcode, payload = a.frame()
        self.assertEqual((opcode, payload[:2]), (8, struct.pack(">H", 1001)))

    def test_wrong_methods(self):
        daemon = self.start()
        for path, status in ("/peerjs/", 405), ("/peerjs/peerjs/id", 405), ("/peerjs/peerjs", 405):
            self.assertEqual(http(daemon, path, "POST", headers=[("Content-Length", "0")]).status, status)
        self.assertEqual(http(daemon, "/peerjs/peerjs").status, 426)
        for path in "/peerjs//id", "/peerjs/peerjs/id/more", "/peerjs/peerjs/other", "/peerjsx":
            self.assertEqual(http(daemon, path).status, 404, path)


if __name__ == "__main__":
    unittest.main()
