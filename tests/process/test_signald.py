#!/usr/bin/python3
"""viaduct-signald as a process: the protocol over WebSocket, the page over HTTP and HTTPS, limits, bad input, options, signals."""
import asyncio
import base64
import hashlib
import hmac
import json
import logging
import os
import signal
import socket
import ssl
import struct
import time
import unittest
import warnings

import websockets

import signald_client
from signald_client import PATIENCE_S, SOURCE, Answer, Client, http, make_certificate, make_expired_certificate, metric, pair, raw_http, run, soon, start

MASK = b"\x01\x02\x03\x04"


def frame(opcode, payload=b"", final=True, length=None):
    """A masked frame as clients send them; `length` may lie."""
    size = len(payload) if length is None else length
    head = bytes([opcode | (0x80 if final else 0)])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += bytes([0xFE]) + struct.pack(">H", size)
    else:
        head += bytes([0xFF]) + struct.pack(">Q", size)
    return head + MASK + bytes(b ^ MASK[i % 4] for i, b in enumerate(payload))


class RawSocket:
    """A WebSocket by hand, for what no decent library sends."""

    REQUEST = ("GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: viaduct.v1\r\n\r\n")

    def __init__(self, case, daemon):
        self.sock = socket.create_connection(("127.0.0.1", daemon.ports["http"]), timeout=PATIENCE_S)
        case.addCleanup(self.sock.close)
        self.sock.sendall(self.REQUEST.encode())
        self.rest = b""
        while b"\r\n\r\n" not in self.rest:
            more = self.sock.recv(4096)
            assert more, self.rest
            self.rest += more
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head

    def take(self):
        """(opcode, payload), or None at the end of the stream."""
        while True:
            if len(self.rest) >= 2:
                size, at = self.rest[1] & 127, 2
                if size == 126 and len(self.rest) >= 4:
                    size, at = struct.unpack(">H", self.rest[2:4])[0], 4
                if size < 126 or at == 4:
                    if len(self.rest) >= at + size:
                        got = self.rest[0] & 15, self.rest[at:at + size]
                        self.rest = self.rest[at + size:]
                        return got
            try:
                more = self.sock.recv(65536)
            except ConnectionResetError:
                return None
            if not more:
                return None
            self.rest += more

    def take_error(self, code):
        opcode, payload = self.take()
        message = json.loads(payload)
        assert (opcode, message["type"], message["code"]) == (1, "error", code), payload

    def take_close(self, code):
        opcode, payload = self.take()
        assert opcode == 8 and struct.unpack(">H", payload[:2])[0] == code, (opcode, payload)


class Async(unittest.IsolatedAsyncioTestCase):
    def start(self, *args, **kwargs):
        return start(self, *args, **kwargs)


class Protocol(Async):
    async def test_welcome_with_credentials_that_turnd_accepts(self):
        daemon = self.start("--turn-uri=turn:192.0.2.1:3478?transport=udp", "--turn-uri=turns:turn.example.org:5349",
                            "--turn-uri=stun:[2001:db8::1]:3478", "--turn-secret=of the town", "--ice-ttl=600", "--node=here")
        client = await Client.open(daemon)
        welcome = client.welcome
        self.assertEqual((welcome["resumed"], welcome["node"], welcome["iceTtl"]), (False, "here", 600))
        self.assertEqual(client.socket.subprotocol, "viaduct.v1")
        self.assertEqual(welcome["limits"]["messageSize"], 65536)
        turn = [server for server in welcome["iceServers"] if "username" in server]
        self.assertEqual(len(turn), 1)
        self.assertEqual(turn[0]["urls"], ["turn:192.0.2.1:3478?transport=udp", "turns:turn.example.org:5349"])
        self.assertIn({"urls": ["stun:[2001:db8::1]:3478"]}, welcome["iceServers"])
        expiry, _, name = turn[0]["username"].partition(":")
        self.assertAlmostEqual(int(expiry), time.time() + 600, delta=30)
        self.assertTrue(name)
        mac = hmac.new(b"of the town", turn[0]["username"].encode(), hashlib.sha1).digest()
        self.assertEqual(base64.b64decode(turn[0]["credential"]), mac)
        await client.send(type="ice")
        self.assertEqual((await client.take("ice-servers"))["iceTtl"], 600)
        self.assertNotIn("of the town", "\n".join(daemon.lines))
        await client.close()

    async def test_a_call(self):
        a, b = await Client.open(daemon := self.start()), await Client.open(daemon)
        self.assertEqual((await a.join("r", name="Ada"))["peers"], [])
        there = (await b.join("r", name="Bo", meta={"v": [1]}))["peers"]
        self.assertEqual([(p["peer"], p["name"]) for p in there], [(a.peer, "Ada")])
        came = await a.take("peer-joined")
        self.assertEqual((came["peer"], came["name"], came["meta"]), (b.peer, "Bo", {"v": [1]}))
        self.assertNotEqual(came["polite"], there[0]["polite"])
        await a.send(type="signal", room="r", to=b.peer, data={"sdp": "v=0"}, id="one")
        self.assertEqual((await b.take("signal"))["from"], a.peer)
        self.assertEqual((await a.take("delivered"))["id"], "one")
        await a.send(type="signal", room="r", to=b.peer, data={"sdp": "v=0"}, id="one")
        self.assertEqual((await a.take("delivered"))["id"], "one")
        await b.quiet()  # not a second time
        await b.send(type="broadcast", room="r", data="all")
        self.assertEqual((await a.take("broadcast"))["data"], "all")
        await b.send(type="ack", seq=b.seq)
        await b.send(type="leave", room="r")
        self.assertEqual((await a.take("peer-left"))["reason"], "leave")
        await b.send(type="signal", room="r", to=a.peer, data=1)
        await b.error("not-in-room")
        await a.send(type="signal", room="r", to=b.peer, data=1)
        await a.error("no-such-peer")
        await b.join("r")
        await a.take("peer-joined")
        await b.send(type="bye")
        self.assertEqual(await b.closed(), 1000)
        self.assertEqual((await a.take("peer-left"))["reason"], "bye")
        self.assertEqual(metric(daemon, "viaduct_signal_sessions"), 1)
        self.assertEqual(metric(daemon, "viaduct_signal_deliveries_total"), 2)
        await a.close()

    async def test_data_goes_through_byte_for_byte(self):
        a, b = await pair(self.start())
        for data in ['{ "x" :\t1e400 , "y":[ ] }', "12345678901234567890", '"\\u00e9\\/\\ud83d\\ude00 \\u0000"', '{"a":{"a":{"a":1.10}}}',
                     '"\u00e9\u2028\U0001f600"', "-0.0", "1E+2", "null", "[[],{},\"\"]", '{"data":{"data":"}"},"room":"other"}',
                     '"' + "x" * 60000 + '"']:
            with self.subTest(data=data[:40]):
                await a.send_text('{"data": %s ,"type":"signal","to":"%s","room":"r"}' % (data, b.peer))
                text = await b.take_text()
                self.assertTrue(text.endswith(',"data":' + data + "}"), text[:200])

    async def test_resume_after_a_reset_loses_and_repeats_nothing(self):
        daemon = self.start()
        a, b = await pair(daemon)
        await a.send(type="signal", room="r", to=b.peer, data=1)
        seen = (await b.take("signal"))["seq"]
        b.abort()
        for data in range(2, 30):
            await a.send(type="signal", room="r", to=b.peer, data=data, id=str(data))
            await a.take("delivered")
        again = await Client.open(daemon, resume=b.resume(seen))
        self.assertEqual((again.welcome["resumed"], again.peer), (True, b.peer))
        again.seq = seen
        self.assertEqual([(await again.take("signal"))["data"] for _ in range(2, 30)], list(range(2, 30)))
        await again.quiet()
        await a.quiet()  # and nobody saw it go
        self.assertEqual(metric(daemon, 'viaduct_signal_sessions_started_total{how="resumed"}')
                         + metric(daemon, 'viaduct_signal_sessions_started_total{how="taken-over"}'), 1)

    async def test_takeover(self):
        daemon = self.start()
        a, b = await pair(daemon)
        again = await Client.open(daemon, resume=b.resume(b.seq))
        self.assertTrue(again.welcome["resumed"])
        self.assertEqual(await b.closed(), 4001)
        again.seq = b.seq
        await a.send(type="signal", room="r", to=b.peer, data="still here")
        self.assertEqual((await again.take("signal"))["data"], "still here")

    async def test_a_session_that_is_gone(self):
        daemon = self.start("--resume-seconds=1")
        a, b = await pair(daemon)
        client = await Client.connect(daemon)
        await client.send(type="hello", resume={**b.resume(0), "key": "guess"})
        await client.error("session-gone")
        b.abort()
        self.assertEqual((await a.take("peer-left"))["reason"], "timeout")
        client = await Client.connect(daemon)
        await client.send(type="hello", resume=b.resume(0))
        await client.error("session-gone")

    async def test_ping(self):
        client = await Client.open(self.start())
        await client.send_text('{"type":"ping","t":{ "n" : 1.50}}')
        self.assertIn('"t":{ "n" : 1.50}', await client.take_text())


class BadInput(Async):
    async def test_wrong_messages_get_their_error_and_harm_nobody(self):
        daemon = self.start()
        a, b = await pair(daemon)
        for text, code in [("{", "bad-json"), ("", "bad-json"), ("[1]", None), ('{"type":"join"}', "bad-message"),
                           ('{"type":"join","room":1}', "bad-message"), ('{"type":"fly"}', "unknown-type"),
                           ('{"type":"join","room":"%s"}' % ("x" * 129), "bad-message"),
                           ('{"type":"join","room":"s","name":"%s"}' % ("x" * 129), "bad-message"),
                           ('{"type":"signal","room":"nowhere","to":"x","data":1}', "no-such-room"),
                           ("[" * 50000, None), ('{"type":"ping","type":"bye"}', None)]:
            with self.subTest(text=text[:40]):
                await a.send_text(text)
                got = await a.take("error")
                self.assertIn(got["code"], [code] if code else ["bad-json", "bad-message"])
                self.assertTrue(got["message"])
        await a.send(type="signal", room="r", to=b.peer, data="works")
        self.assertEqual((await b.take("signal"))["data"], "works")

    async def test_before_hello(self):
        client = await Client.connect(self.start())
        await client.send(type="join", room="r")
        await client.error("hello-first")

    async def test_hello_deadline(self):
        daemon = self.start("--hello-timeout=1")
        client = await Client.connect(daemon)
        begin = time.monotonic()
        self.assertEqual(await client.closed(), 1008)
        self.assertGreater(time.monotonic() - begin, 0.9)

    async def test_binary_frame(self):
        client = await Client.open(self.start())
        await client.send_text(b"{}")
        await client.error("bad-message")
        self.assertEqual(await client.closed(), 1008)

    async def test_not_utf8(self):
        raw = RawSocket(self, self.start())
        raw.sock.sendall(frame(1, b'{"type":"\xff"}'))
        raw.take_error("bad-json")
        raw.take_close(1008)

    async def test_too_large(self):
        daemon = self.start("--max-message-size=4096")
        a, b = await pair(daemon)
        text = '{"type":"signal","room":"r","to":"%s","data":"%%s"}' % b.peer
        await a.send_text(text % ("x" * (4096 - len(text) + 2)))
        self.assertEqual(len((await b.take("signal"))["data"]), 4096 - len(text) + 2)
        await a.send_text(text % ("x" * (4096 - len(text) + 3)))
        await a.error("too-large")
        self.assertEqual(await a.closed(), 1009)

    async def test_fragments_with_control_frames_in_between(self):
        raw = RawSocket(self, self.start())
        raw.sock.sendall(frame(1, b'{"type"', final=False) + frame(9, b"beat") + frame(0, b"", final=False) + frame(0, b':"hello"}'))
        got = [raw.take(), raw.take()]
        self.assertIn((10, b"beat"), got)
        self.assertIn("welcome", [json.loads(payload)["type"] for opcode, payload in got if opcode == 1])

    async def test_fragments_that_grow_over_the_limit_are_not_kept(self):
        daemon = self.start("--max-message-size=65536")
        before = daemon.resident_kb()
        raw = RawSocket(self, daemon)
        raw.sock.sendall(frame(1, b"x" * 1000, final=False))
        piece = frame(0, b"x" * 1000, final=False) * 100
        for _ in range(80):  # 8 MB
            raw.sock.sendall(piece)
        self.assertLess(daemon.resident_kb() - before, 4096)
        raw.take_error("too-large")
        raw.take_close(1009)

    async def test_a_frame_of_2_to_the_63(self):
        daemon = self.start()
        raw = RawSocket(self, daemon)
        raw.sock.sendall(frame(1, b"x", length=2**63 - 1))
        raw.take_error("too-large")
        raw.take_close(1009)
        raw = RawSocket(self, daemon)
        raw.sock.sendall(frame(1, b"x", length=2**63))
        self.assertIsNone(raw.take())

    async def test_frames_that_break_the_protocol_end_the_connection_alone(self):
        daemon = self.start()
        a, b = await pair(daemon)
        for name, data in {"continues nothing": frame(0, b"x"), "reserved opcode": frame(3, b"x"), "long ping": frame(9, b"x" * 200),
                           "reserved bits": bytes([0xF1]) + frame(1, b"x")[1:], "fragmented ping": frame(9, b"x", final=False),
                           "text inside text": frame(1, b"x", final=False) + frame(1, b"y")}.items():
            with self.subTest(name):
                raw = RawSocket(self, daemon)
                raw.sock.sendall(data)
                got = raw.take()
                self.assertIn(got and got[0], [None, 8])
        await a.send(type="signal", room="r", to=b.peer, data="works")
        self.assertEqual((await b.take("signal"))["data"], "works")

    async def test_nobody_answers_pings(self):
        raw = RawSocket(self, self.start("--ping-interval=1", "--hello-timeout=0"))
        self.assertEqual(raw.take(), (9, b""))
        begin = time.monotonic()
        self.assertIsNone(raw.take())
        self.assertLess(time.monotonic() - begin, 8)

    async def test_whoever_answers_pings_stays(self):
        client = await Client.open(self.start("--ping-interval=1"))
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(client.socket.recv(), 5)
        await client.quiet()


class Limits(Async):
    async def refused(self, daemon, **kwargs):
        with self.assertRaises(websockets.InvalidStatusCode) as caught:
            await Client.connect(daemon, **kwargs)
        return caught.exception.status_code

    async def test_origin(self):
        daemon = self.start("--origin=https://call.example.org", "--origin=https://*.example.net")
        self.assertEqual(await self.refused(daemon, origin="https://evil.example"), 403)
        self.assertEqual(await self.refused(daemon, origin="https://call.example.org.evil.example"), 403)
        for origin in ["https://call.example.org", "https://a.example.net", None]:
            await (await Client.open(daemon, origin=origin)).close()
        self.assertGreaterEqual(metric(daemon, "viaduct_signal_upgrades_refused_total"), 2)

    async def test_origin_of_the_page_itself(self):
        daemon = self.start()
        self.assertEqual(await self.refused(daemon, origin="http://evil.example"), 403)
        await (await Client.open(daemon, origin=f"http://localhost:{daemon.ports['http']}")).close()

    async def test_subprotocol(self):
        daemon = self.start()
        self.assertEqual(await self.refused(daemon, subprotocols=["viaduct.v2", "http"]), 400)
        self.assertEqual(await self.refused(daemon, subprotocols=None), 400)
        client = await Client.open(daemon, subprotocols=["other", "viaduct.v1"])
        self.assertEqual(client.socket.subprotocol, "viaduct.v1")

    async def test_connections_per_address(self):
        daemon = self.start("--max-connections-per-address=2")
        first, _ = await Client.open(daemon), await Client.open(daemon)
        self.assertEqual(await self.refused(daemon), 429)
        await first.close()
        await soon(self.until_open(daemon))

    async def until_open(self, daemon):
        while True:
            try:
                return await Client.open(daemon)
            except websockets.InvalidStatusCode:
                await asyncio.sleep(0.02)

    async def test_half_an_upgrade_is_not_counted_for_ever(self):
        daemon = self.start("--max-connections-per-address=2")
        for _ in range(5):
            self.assertNotIn(b" 101 ", raw_http(daemon, RawSocket.REQUEST.replace("Connection: Upgrade\r\n", "")))
        await soon(self.until_open(daemon))
        self.assertEqual(metric(daemon, "viaduct_signal_links"), 1)

    async def test_sessions_per_address(self):
        daemon = self.start("--max-sessions-per-address=1")
        await Client.open(daemon)
        client = await Client.connect(daemon)
        await client.send(type="hello")
        self.assertIn((await client.take("error"))["code"], ["rate-limited", "server-full"])

    async def test_sessions(self):
        daemon = self.start("--max-sessions=1")
        await Client.open(daemon)
        client = await Client.connect(daemon)
        await client.send(type="hello")
        await client.error("server-full")
        self.assertEqual(await client.closed(), 1013)

    async def test_message_rate(self):
        daemon = self.start("--max-message-rate=5")
        client = await Client.open(daemon)
        for _ in range(20):
            await client.send(type="ping")
        kinds = [json.loads(await client.take_text()) for _ in range(20)]
        limited = [message for message in kinds if message["type"] == "error"]
        self.assertTrue(limited)
        self.assertEqual(limited[0]["code"], "rate-limited")
        self.assertGreater(limited[0]["retryAfter"], 0)
        self.assertGreater(metric(daemon, 'viaduct_signal_errors_total{code="rate-limited"}'), 0)

    async def test_a_slow_reader_overflows_and_nobody_else_waits(self):
        daemon = self.start("--max-message-rate=0", "--max-byte-rate=0", "--max-address-message-rate=0",
                            "--max-address-byte-rate=0")
        a, slow = await pair(daemon)
        c, d = await pair(daemon, "other")
        before = daemon.resident_kb()
        slow.socket.transport.pause_reading()
        left = asyncio.create_task(self.flood(a, slow))
        turns = 0
        while not left.done():
            await c.send(type="signal", room="other", to=d.peer, data=turns)
            begin = time.monotonic()
            self.assertEqual((await d.take("signal"))["data"], turns)
            self.assertLess(time.monotonic() - begin, 1)
            turns += 1
        self.assertEqual((await left)["reason"], "outbox-overflow")
        self.assertGreater(turns, 0)
        self.assertLess(daemon.resident_kb() - before, 16 * 1024)
        slow.socket.transport.resume_reading()
        self.assertEqual(await slow.closed(), 4002)
        self.assertEqual(metric(daemon, 'viaduct_signal_sessions_ended_total{reason="outbox-overflow"}'), 1)

    async def flood(self, a, slow):
        """Until the slow one is told off: what `a` hears then."""
        text = json.dumps({"type": "signal", "room": "r", "to": slow.peer, "data": "x" * 30000})
        for _ in range(4000):
            await a.send_text(text)
            try:
                message = json.loads(await asyncio.wait_for(a.socket.recv(), 0.001))
            except asyncio.TimeoutError:
                continue
            if message["type"] == "peer-left":
                return message
        raise AssertionError("it was never told off")

    async def test_connections(self):
        daemon = self.start("--max-connections=2")
        a = await Client.open(daemon)
        await Client.open(daemon)
        self.assertEqual(raw_http(daemon, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), b"")
        await a.quiet()


class Http(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = signald_client.folder(type("Case", (), {"addCleanup": cls.addClassCleanup}))
        root = cls.folder / "root"
        (root / "js" / "deep").mkdir(parents=True)
        (root / "index.html").write_text("<!doctype html><title>page</title>")
        (root / "js" / "main.js").write_text("export {};\n")
        (root / "js" / "deep" / "big.bin").write_bytes(bytes(range(256)) * 8192)
        (root / ".secret").write_text("secret")
        (root / "empty.txt").write_text("")
        (cls.folder / "outside.txt").write_text("secret")
        (root / "link.txt").symlink_to("../outside.txt")
        (root / "up").symlink_to("..")
        os.mkfifo(root / "pipe")
        cls.daemon = signald_client.Signald("--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", f"--web-root={root}",
                                            "--origin=https://friend.example")
        cls.addClassCleanup(cls.daemon.close)
        cls.daemon.wait_line(r" ready workers=1$")

    def get(self, path="/", **kwargs):
        return http(self.daemon, path, **kwargs)

    def test_page(self):
        for path in ["/", "/r/blue-heron", "/r/a%20b", "/r/", "/index.html", "/?x=1&y=2"]:
            with self.subTest(path):
                answer = self.get(path)
                self.assertEqual((answer.status, answer.body), (200, b"<!doctype html><title>page</title>"))
                self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")

    def test_headers(self):
        headers = self.get().headers
        self.assertIn("default-src 'self'", headers["content-security-policy"])
        self.assertIn("connect-src 'self' ws: wss:", headers["content-security-policy"])
        self.assertEqual(headers["x-content-type-options"], "nosniff")
        self.assertEqual(headers["referrer-policy"], "no-referrer")
        self.assertIn("camera=(self), microphone=(self), display-capture=(self)", headers["permissions-policy"])
        self.assertEqual(headers["cache-control"], "no-cache")
        self.assertIn(" GMT", headers["date"])
        self.assertEqual(self.get("/js/main.js").headers["content-type"], "text/javascript; charset=utf-8")

    def test_head(self):
        answer = self.get("/js/main.js", method="HEAD")
        self.assertEqual((answer.status, answer.headers["content-length"], answer.body), (200, "11", b""))
        answer = self.get("/healthz", method="HEAD")
        self.assertEqual((answer.status, answer.headers["content-length"], answer.body), (200, "3", b""))

    def test_large_and_empty(self):
        self.assertEqual(self.get("/js/deep/big.bin").body, bytes(range(256)) * 8192)
        self.assertEqual((self.get("/empty.txt").status, self.get("/empty.txt").body), (200, b""))

    def test_not_modified(self):
        tag = self.get().headers["etag"]
        for value in [tag, "W/" + tag, f'"other", {tag}', "*"]:
            answer = self.get(headers=[("If-None-Match", value)])
            self.assertEqual((answer.status, answer.body, answer.headers["etag"]), (304, b"", tag))
        self.assertEqual(self.get(headers=[("If-None-Match", '"other"')]).status, 200)

    def test_what_is_not_there(self):
        for path in ["/nope", "/js", "/js/", "/.secret", "/js/.", "/pipe", "/link.txt", "/up/outside.txt", "/up/root/index.html",
                     "/js/main.js/x", "/R/x", "/metrics", "/" + "a" * 300]:
            with self.subTest(path):
                answer = self.get(path)
                self.assertEqual(answer.status, 404)
                self.assertNotIn(b"secret", answer.body)
                self.assertIn("text/html", answer.headers["content-type"])
        answer = self.get("/v1/nope")
        self.assertEqual((answer.status, json.loads(answer.body)["type"]), (404, "error"))

    def test_traversal(self):
        for path in ["/../outside.txt", "/%2e%2e/outside.txt", "/js/../../outside.txt", "/js/%2e%2e/%2e%2e/outside.txt",
                     "/..%2foutside.txt", "/..%5coutside.txt", "/js/..\\..\\outside.txt", "//../outside.txt", "/./../outside.txt",
                     "/%252e%252e/outside.txt", "/outside.txt%00.js", "/js/main.js%00", "/%00js", "/%", "/%zz", "/js%2fmain.js%2f..%2f..%2f..%2foutside.txt",
                     "/%c0%ae%c0%ae/outside.txt", "../outside.txt", "/r/../.secret", "/x;/../.secret", "/x&/../../outside.txt"]:
            with self.subTest(path):
                raw = raw_http(self.daemon, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                self.assertNotIn(b"secret", raw)
                self.assertNotIn(b" 200 ", raw.partition(b"\r\n")[0])

    def test_methods(self):
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]:
            with self.subTest(method):
                answer = self.get(method=method)
                self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD"))
        answer = self.get(method="POST", headers=[("Content-Length", "5")], body=b"hello")
        self.assertEqual(answer.status, 405)

    def test_malformed(self):
        for name, text, status in [
                ("no Host", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
                ("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
                ("chunked", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
                ("two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 411),
                ("no length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5x\r\n\r\nhello", 411)]:
            with self.subTest(name):
                answer = Answer(raw_http(self.daemon, text))
                self.assertEqual((answer.status, answer.headers["connection"]), (status, "close"))

    def test_garbage_harms_nobody(self):
        for text in [b"\x16\x03\x01\x02\x00\x01\x00", b"\x00" * 5000, b"GET " + b"/" * 70000 + b" HTTP/1.1\r\n\r\n", b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
                     b"GET / HTTP/1.1\r\nUpgrade: tea\r\nConnection: Upgrade\r\nHost: a\r\n\r\n", b"\r\n" * 1000,
                     b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nHTTP2-Settings: AA\r\n\r\n",
                     b"GET /v1/ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                     b"GET / HTTP/1.1\r\n" + b"X-A: " + b"a" * 100000 + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"A:b\r\n" * 30000 + b"\r\n"]:
            with self.subTest(text[:30]):
                with socket.create_connection(("127.0.0.1", self.daemon.ports["http"]), timeout=PATIENCE_S) as sock:
                    try:
                        sock.sendall(text)
                        sock.shutdown(socket.SHUT_WR)
                        while sock.recv(65536):
                            pass
                    except OSError:  # it has closed already
                        pass
                self.assertEqual(self.get("/healthz").body, b"ok\n")

    def test_one_connection_many_requests(self):
        with socket.create_connection(("127.0.0.1", self.daemon.ports["http"]), timeout=PATIENCE_S) as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 3 + b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            received = b""
            while more := sock.recv(65536):
                received += more
        self.assertEqual((received.count(b"HTTP/1.1 200 "), received.count(b"ok\n"), received.count(b"ready\n")), (4, 3, 1))

    def test_health_and_metrics(self):
        self.assertEqual(self.get("/healthz").status, 200)
        self.assertEqual(self.get("/readyz").status, 200)
        for path in ["/healthz", "/readyz"]:
            self.assertEqual(self.get(path, listener="metrics").status, 200)
        answer = self.get("/metrics", listener="metrics")
        self.assertEqual(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        self.assertEqual(answer.body.count(b"# TYPE viaduct_signal_sessions gauge\n"), 1)
        self.assertEqual(self.get("/", listener="metrics").status, 404)
        self.assertGreater(metric(self.daemon, 'viaduct_signal_connections_accepted_total{listener="http"}'), 0)

    def test_ice_servers_over_http(self):
        answer = self.get("/v1/ice-servers")
        self.assertEqual(json.loads(answer.body), {"iceServers": [], "iceTtl": 86400})
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertEqual(self.get("/v1/ice-servers", headers=[("Origin", "https://friend.example")]).status, 200)
        self.assertEqual(self.get("/v1/ice-servers", headers=[("Origin", "https://evil.example")]).status, 403)
        self.assertEqual(self.get("/v1/ice-servers", method="POST").status, 405)

    def test_websocket_without_an_upgrade(self):
        answer = self.get("/v1/ws")
        self.assertEqual((answer.status, answer.headers["upgrade"]), (426, "websocket"))


class Deadlines(unittest.TestCase):
    def test_a_head_in_drips(self):
        daemon = start(self)
        with socket.create_connection(("127.0.0.1", daemon.ports["http"]), timeout=1) as sock:
            begin = time.monotonic()
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
            while time.monotonic() - begin < 20:
                try:
                    sock.sendall(b"X-A: b\r\n")
                    if sock.recv(1) == b"":
                        break
                except TimeoutError:
                    continue
                except (ConnectionResetError, BrokenPipeError):
                    break
            self.assertLess(time.monotonic() - begin, 14)
            self.assertGreater(time.monotonic() - begin, 5)


class Tls(Async):
    def client_context(self, cert):
        context = ssl.create_default_context(cafile=cert)
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context

    async def test_page_and_websocket(self):
        cert, key = make_certificate(signald_client.folder(self))
        daemon = self.start("--tls-listen=127.0.0.1:0", f"--cert={cert}", f"--pkey={key}")
        client = await Client.open(daemon, scheme="wss", ssl=self.client_context(cert))
        await client.quiet()
        await client.close()
        reader, writer = await soon(asyncio.open_connection("localhost", daemon.ports["https"], ssl=self.client_context(cert)))
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = Answer(await soon(reader.read()))
        self.assertEqual((answer.status, answer.body), (200, (SOURCE / "peer-demo/web/index.html").read_bytes()))
        writer.close()

    async def test_page_and_its_client(self):
        """The page and the client that it imports are served from one folder without further ado."""
        daemon = self.start()
        for path, source in [("/js/main.js", "peer-demo/web/js/main.js"), ("/viaduct.js", "signal/client/viaduct.js")]:
            reader, writer = await soon(asyncio.open_connection("localhost", daemon.ports["http"]))
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = Answer(await soon(reader.read()))
            self.assertEqual((answer.status, answer.body), (200, (SOURCE / source).read_bytes()), path)
            writer.close()

    async def test_garbage_and_old_versions(self):
        cert, key = make_certificate(signald_client.folder(self))
        daemon = self.start("--tls-listen=127.0.0.1:0", f"--cert={cert}", f"--pkey={key}")
        self.assertNotIn(b"200", raw_http(daemon, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "https"))
        context = self.client_context(cert)
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            await soon(asyncio.open_connection("localhost", daemon.ports["https"], ssl=context))
        await Client.open(daemon, scheme="wss", ssl=self.client_context(cert))

    async def test_reload(self):
        folder = signald_client.folder(self)
        cert, key = make_certificate(folder)
        old = self.client_context(cert)
        daemon = self.start("--tls-listen=127.0.0.1:0", f"--cert={cert}", f"--pkey={key}")
        client = await Client.open(daemon, scheme="wss", ssl=old)
        cert.write_text("rubbish")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_line(r" error signald reload-refused .*server\.pem")
        await (await Client.open(daemon, scheme="wss", ssl=old)).close()
        make_certificate(folder)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_line(r" info signald reloaded ")
        await Client.open(daemon, scheme="wss", ssl=self.client_context(cert))
        with self.assertRaises(ssl.SSLError):
            await Client.open(daemon, scheme="wss", ssl=old)
        await client.quiet()


class Start(unittest.TestCase):
    def assert_refused(self, args, *words, status=2):
        code, out, err = run(*args)
        self.assertEqual((code, out), (status, ""), err)
        self.assertEqual(err.count("\n"), 1, err)
        for word in ("viaduct-signald: ", *words):
            self.assertIn(word, err)

    def test_bad_options(self):
        for args, words in [
                (["--lisen=1"], ["lisen", "listen"]), (["--listen=8080"], ["listen", "127.0.0.1:8080"]),
                (["--listen=none"], ["tls-listen"]), (["--listen=0.0.0.0:0"], ["auth=none"]),
                (["--listen=127.0.0.1:0", "--tls-listen=0.0.0.0:0", "--cert=a", "--pkey=b"], ["auth=none"]),
                (["--auth=jwt"], ["auth-secret", "auth-jwks"]), (["--tls-listen=127.0.0.1:0"], ["cert", "pkey"]), (["--cert=x"], ["pkey"]),
                (["--turn-uri=turn:"], ["turn-uri"]), (["--turn-uri=http://x"], ["turn-uri"]), (["--turn-uri=turn:h:0"], ["turn-uri"]),
                (["--turn-uri=turn:h?transport=sctp"], ["turn-uri"]), (["--turn-uri=turn:192.0.2.1"], ["turn-secret"]),
                (["--origin=example.org"], ["origin"]), (["--origin=https://a/b"], ["origin"]), (["--ice-ttl=1"], ["ice-ttl", "60"]),
                (["--max-sessions=many"], ["max-sessions"]), (["--web-root=/nonexistent"], ["/nonexistent", "web-root"]),
                (["--log-format=xml"], ["log-format"]), (["--workers=2"], ["workers"]), (["--config=/nonexistent"], ["/nonexistent"]),
                (["--peerjs-path=x"], ["peerjs-path"]), (["--ayame-path=//"], ["ayame-path"]), (["stray"], ["stray"])]:
            with self.subTest(args):
                self.assert_refused(args, *words)

    def test_a_file_and_its_lines(self):
        path = signald_client.folder(self) / "signald.conf"
        path.write_text("# ours\nlisten=127.0.0.1:0\nturn-secret=hush\n\nmax-session=3\n")
        self.assert_refused([f"--config={path}"], "signald.conf:5", "max-sessions")
        path.write_text("listen=127.0.0.1:0\nturn-secret=hush\nturn-uri turn:192.0.2.1\nnode = there # not here\n")
        daemon = start(self, "--listen=127.0.0.1:0", f"--config={path}")
        answer = json.loads(http(daemon, "/v1/ice-servers").body)
        self.assertEqual(answer["iceServers"][0]["urls"], ["turn:192.0.2.1"])

    def test_a_secret_is_not_said(self):
        code, _, err = run("--turn-secret=hush-hush", "--turn-uri=bad")
        self.assertEqual(code, 2)
        self.assertNotIn("hush-hush", err)

    def test_certificates(self):
        folder = signald_client.folder(self)
        cert, key = make_certificate(folder)
        other, other_key = make_certificate(folder, name="other")
        expired, expired_key = make_expired_certificate(folder)
        (folder / "rubbish.pem").write_text("rubbish")
        base = ["--listen=127.0.0.1:0", "--tls-listen=127.0.0.1:0"]
        for args, words in [
                ([f"--cert={folder}/none.pem", f"--pkey={key}"], ["none.pem", "No such file"]),
                ([f"--cert={cert}", f"--pkey={folder}/none.key"], ["none.key"]),
                ([f"--cert={folder}/rubbish.pem", f"--pkey={key}"], ["rubbish.pem", "PEM"]),
                ([f"--cert={cert}", f"--pkey={cert}"], ["server.pem", "private key"]),
                ([f"--cert={cert}", f"--pkey={other_key}"], ["other.key", "server.pem"]),
                ([f"--cert={expired}", f"--pkey={expired_key}"], ["expired.pem", "expired"])]:
            with self.subTest(words):
                self.assert_refused([*base, *args], *words)

    def test_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.assert_refused([f"--listen=127.0.0.1:{port}"], str(port), "127.0.0.1", "viaduct-signald", status=3)
            code, _, err = run("--listen=127.0.0.1:0", f"--admin-listen=127.0.0.1:{port}")
            self.assertEqual(code, 3)
            self.assertIn(f"127.0.0.1:{port}", err.splitlines()[-1])

    def test_an_address_that_is_not_here(self):
        self.assert_refused(["--listen=198.51.100.1:0", "--auth=none"], "198.51.100.1", status=3)

    def test_help_and_the_like(self):
        for args, word in [(["--help"], "--max-outbox-bytes"), (["--version"], "viaduct-signald "), (["--example-config"], "turn-secret"),
                           (["--man"], ".TH")]:
            code, out, err = run(*args)
            self.assertEqual((code, err), (0, ""))
            self.assertIn(word, out)

    def test_ipv6(self):
        daemon = start(self, "--listen=[::1]:0")
        with socket.create_connection(("::1", daemon.ports["http"]), timeout=PATIENCE_S) as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n\r\n")
            self.assertIn(b" 200 ", sock.recv(65536))

    def test_json_log(self):
        process = signald_client.Signald("--listen=127.0.0.1:0", "--log-format=json")
        self.addCleanup(process.close)
        self.assertEqual(json.loads(process.wait_line('"ready"'))["event"], "ready")


class Stop(Async):
    async def test_goodbye(self):
        daemon = signald_client.Signald("--listen=127.0.0.1:0", env={})
        daemon.wait_line(r" ready workers=1$")
        clients = [await Client.open(daemon) for _ in range(5)]
        idle = socket.create_connection(("127.0.0.1", daemon.ports["http"]))
        self.addCleanup(idle.close)
        ended = asyncio.get_running_loop().run_in_executor(None, daemon.stop)
        self.assertEqual([await client.closed() for client in clients], [1001] * 5)
        status, took = await ended
        self.assertEqual(status, 0)
        self.assertLess(took, 2)
        self.assertRegex(daemon.lines[-2] + daemon.lines[-1], " stopped status=0")

    async def test_clients_that_do_not_listen_do_not_hold_it(self):
        daemon = signald_client.Signald("--listen=127.0.0.1:0")
        daemon.wait_line(r" ready workers=1$")
        raw = RawSocket(self, daemon)
        status, took = daemon.stop(signal.SIGINT)
        self.assertEqual(status, 0)
        self.assertLess(took, 2)
        raw.take_close(1001)

    async def test_readiness(self):
        path = str(signald_client.folder(self) / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.settimeout(PATIENCE_S)
            daemon = self.start(env={"NOTIFY_SOCKET": path})
            self.assertEqual(notify.recv(100), b"READY=1")
            daemon.process.send_signal(signal.SIGTERM)
            self.assertEqual(notify.recv(100), b"STOPPING=1")


if __name__ == "__main__":
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # its debug mode, which unittest switches on, is chatty
    unittest.main()
