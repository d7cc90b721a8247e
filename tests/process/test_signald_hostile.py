#!/usr/bin/python3
"""Bad input to viaduct-signald, as tables: every member of every message type missing, of each wrong type, too long, deep, twice, not UTF-8;
requests that two servers could read in two ways; heads without end. Each gets its documented error, and nobody else notices."""
import json
import logging
import re
import socket
import struct
import time
import unittest

import signald_client
from signald_client import PATIENCE_S, SOURCE, metric, start
from signald_http import MASK, UPGRADE, Events, Http, Session

FREE = ["--max-message-rate=0", "--max-byte-rate=0", "--max-address-message-rate=0", "--max-address-byte-rate=0"]
GOOD = {"room": "r", "to": "nobody", "name": "Ada", "meta": {"m": 1}, "data": {"sdp": "v=0"}, "id": 7, "t": 1, "seq": 0, "token": "t",
        "resume": {"session": "s" * 22, "key": "k" * 43, "after": 0}, "session": "s" * 22, "key": "k" * 43, "after": 0}
# What is wrong for each form of message.c, as JSON.
WRONG = {
    "FORM_TEXT": ["1", "true", "{}", "[]", '["r"]'], "FORM_LABEL": ["1", "true", "{}", "[]", '"a\\u0007b"', '"\\ud800"'],
    "FORM_OPAQUE": [], "FORM_SCALAR": ["true", "{}", "[]"], "FORM_OBJECT": ["1", "true", '"x"', "[]"],
    "FORM_UINT": ['"1"', "-1", "1.5", "1e3", "18446744073709551616", "true", "{}", "[]"],
}
LONGEST = {"room": 128, "name": 128, "meta": 2048, "id": 128, "t": 128}


def message_table():
    """The rows of message.c: {type: (needed members, other members)}, {member: form}."""
    text = (SOURCE / "signal/core/message.c").read_text()
    forms = {name: (word, form) for word, name, form in re.findall(r'\[(\w+)\] = \{"(\w+)", (FORM_\w+),', text)}
    names = {word: name for name, (word, _) in forms.items()}
    types = {}
    for name, needs, may in re.findall(r'\[SIG_\w+\] = \{"(\w+)", ([^,]+), ([^}]+)\}', text):
        types[name] = tuple([names[word] for word in re.findall(r"BIT\((\w+)\)", bits)] for bits in (needs, may))
    needs = re.search(r"resume_needs = ([^;]+);", text)[1]
    types["resume"] = [names[word] for word in re.findall(r"BIT\((\w+)\)", needs)], []
    assert len(types) > 10 and len(forms) > 13
    return types, {name: form for name, (_, form) in forms.items()}


def write(kind, members):
    """A message from JSON texts of its members."""
    if kind == "resume":
        return '{"type":"hello","resume":{%s}}' % ",".join(f'"{name}":{value}' for name, value in members)
    return "{" + ",".join([f'"type":"{kind}"', *(f'"{name}":{value}' for name, value in members)]) + "}"


def cases():
    """(what is wrong, type, bytes, the codes that may answer it)."""
    types, forms = message_table()
    for kind, (needs, may) in types.items():
        good = [(name, json.dumps(GOOD[name])) for name in needs]
        for name in [*needs, *may]:
            others = [(n, v) for n, v in good if n != name]
            if name in needs:
                yield f"without {name}", kind, write(kind, others).encode(), {"bad-message"}
                if forms[name] != "FORM_OPAQUE":  # of which null is one
                    yield f"{name} null", kind, write(kind, [*others, (name, "null")]).encode(), {"bad-message"}
            for value in WRONG[forms[name]]:
                yield f"{name} {value}", kind, write(kind, [*others, (name, value)]).encode(), {"bad-message"}
            value = json.dumps(GOOD[name])
            yield f"{name} twice", kind, write(kind, [*others, (name, value), (name, value)]).encode(), {"bad-message"}
            yield f"{name} twice, once escaped", kind, write(kind, [*others, (name, value), (f"\\u{ord(name[0]):04x}{name[1:]}", value)]).encode(), {"bad-message"}
            yield f"{name} deep", kind, write(kind, [*others, (name, "[" * 100 + "]" * 100)]).encode(), {"bad-json"}
            yield f"{name} open", kind, write(kind, [*others, (name, "[" * 30000)]).encode(), {"bad-json"}
            yield f"{name} not UTF-8", kind, write(kind, [*others, (name, '"\xff"')]).encode("latin-1"), {"bad-json"}
            if name in LONGEST:
                yield f"{name} too long", kind, write(kind, [*others, (name, json.dumps("x" * (LONGEST[name] + 1)))]).encode(), {"bad-message"}
            elif forms[name] in ("FORM_TEXT", "FORM_LABEL"):
                yield (f"{name} too long", kind, write(kind, [*others, (name, json.dumps("x" * 60000))]).encode(),
                       {"bad-message", "no-such-room", "not-in-room", "no-such-peer", "unauthorized", "session-gone", "forbidden"})
        if kind != "resume":
            yield "an unknown member is deep", kind, write(kind, [*good, ("more", "[" * 100 + "]" * 100)]).encode(), {"bad-json"}
            yield "behind it more", kind, (write(kind, good) + "{}").encode(), {"bad-json"}
            yield "a type twice", kind, write(kind, [*good, ("type", '"ping"')]).encode(), {"bad-message"}
            yield "cut short", kind, write(kind, good).encode()[:-1], {"bad-json"}


class Socket:
    """A WebSocket that sends any bytes in a text frame."""

    def __init__(self, daemon, hello=True):
        self.sock = socket.create_connection(("127.0.0.1", daemon.ports["http"]), timeout=PATIENCE_S)
        self.sock.sendall(UPGRADE.encode())
        self.file = self.sock.makefile("rb")
        assert b" 101 " in self.file.readline()
        while self.file.readline().strip():
            pass
        if hello:
            self.send(b'{"type":"hello"}')
            assert self.take()[1]["type"] == "welcome"

    def send(self, text):
        head = b"\x81" + (bytes([0x80 | len(text)]) if len(text) < 126 else struct.pack(">BH", 0xFE, len(text)))
        self.sock.sendall(head + MASK + bytes(b ^ MASK[i % 4] for i, b in enumerate(text)))

    def take(self):
        """(1, message), or (8, close code)."""
        first, size = self.file.read(2)
        if size == 126:
            size = struct.unpack(">H", self.file.read(2))[0]
        payload = self.file.read(size)
        return first & 15, json.loads(payload) if first & 15 == 1 else struct.unpack(">H", payload[:2])[0]

    def close(self):
        self.file.close()
        self.sock.close()


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        class Whole:  # what start() has to clean up, at the end of the class
            addCleanup = cls.addClassCleanup
        cls.daemon = start(Whole, *FREE)
        cls.there, cls.other = Session(cls.daemon), Session(cls.daemon)
        cls.there.join("bystanders")
        cls.other.join("bystanders")
        cls.after = cls.other.get().json["last"]

    def tearDown(self):
        """Nobody else has noticed: the two by-standers talk as ever, and nothing came in between."""
        cls = type(self)
        self.assertEqual(self.there.post({"type": "broadcast", "room": "bystanders", "data": self.id()}), {"accepted": 1})
        seen = self.other.get(cls.after).json
        cls.after = seen["last"]
        self.assertEqual([(m["type"], m["data"]) for m in seen["messages"]], [("broadcast", self.id())])


class Messages(Case):
    def test_over_websocket(self):
        link, fresh = Socket(self.daemon), Socket(self.daemon, hello=False)
        count = 0
        for what, kind, text, codes in cases():
            count += 1
            with self.subTest(what, type=kind):
                on = fresh if kind in ("hello", "resume") else link
                on.send(text)
                opcode, said = on.take()
                self.assertEqual((opcode, said.get("type")), (1, "error"), said)
                self.assertIn(said["code"], codes, said)
                if b"\xff" in text or said["code"] == "unauthorized":  # RFC 6455 section 8.1: failed
                    self.assertEqual(on.take(), (8, 1008))
                    on.close()
                    if on is fresh:
                        fresh = Socket(self.daemon, hello=False)
                    else:
                        link = Socket(self.daemon)
                elif on is fresh and count % 6 == 0:  # a few errors before hello are borne
                    fresh.close()
                    fresh = Socket(self.daemon, hello=False)
                elif count % 50 == 0:
                    link.send(b'{"type":"ack","seq":%d}' % said["seq"] if "seq" in said else b'{"type":"ice"}')
                    if "seq" not in said:
                        link.take()
        self.assertGreater(count, 250)
        link.close()
        fresh.close()

    def test_over_post(self):
        session, statuses = Session(self.daemon), {"bad-json": 400, "bad-message": 400, "unauthorized": 401, "forbidden": 403, "session-gone": 410, "no-such-room": 404}
        for what, kind, text, codes in cases():
            with self.subTest(what, type=kind):
                if kind in ("hello", "resume"):
                    reply = session.http.request("POST", "/v1/session", text)
                else:
                    reply = session.http.request("POST", "/v1/messages", text, key=session.key)
                self.assertEqual(reply.json["type"], "error", reply)
                self.assertIn(reply.json["code"], codes, reply)
                self.assertEqual(reply.status, statuses[reply.json["code"]], reply)
        self.assertEqual(session.get().json["messages"], [])  # it was told by the answers alone
        session.post({"type": "ping"})

    def test_in_the_middle_of_an_array(self):
        """One bad message costs itself, not those beside it; one that is no JSON, the whole array."""
        session = Session(self.daemon)
        for what, kind, text, codes in cases():
            if kind in ("hello", "resume"):
                continue
            with self.subTest(what, type=kind):
                reply = session.http.request("POST", "/v1/messages", b'[{"type":"ping"},' + text + b',{"type":"ping"}]', key=session.key)
                if codes == {"bad-json"}:
                    self.assertEqual((reply.status, reply.json["code"]), (400, "bad-json"), reply)
                else:
                    self.assertEqual((reply.status, reply.json["accepted"], reply.json["errors"][0]["index"]), (202, 2, 1), reply)

    def test_levels(self):
        link, session = Socket(self.daemon), Session(self.daemon)
        deep = b'{"type":"ping","more":' + b"[" * 30000 + b"]" * 30000 + b"}"
        link.send(deep)
        self.assertEqual(link.take()[1]["code"], "bad-json")
        for path, key in (("/v1/messages", session.key), ("/v1/session", None)):
            for body in (deep, b"[" * 100000 + b"]" * 100000):
                self.assertEqual(session.http.request("POST", path, body, key=key).status, 400 if len(body) <= 65536 or key else 413)
        link.close()


def post(fields, body=b"", path="/v1/session", line_end="\r\n"):
    lines = [f"POST {path} HTTP/1.1", "Host: a", "Content-Type: application/json", *fields, "", ""]
    return line_end.join(lines).encode("latin-1") + body


HELLO = b'{"type":"hello"}'
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"10\r\n" + HELLO + b"\r\n0\r\n\r\n"
# Requests whose end is a matter of opinion (RFC 9112 section 11.2). None is answered by a success, and what stands behind is not looked at.
SHAPES = {
    "length and chunks": post(["Content-Length: 16", "Transfer-Encoding: chunked"], CHUNKED),
    "chunks and length": post(["Transfer-Encoding: chunked", "Content-Length: 4"], CHUNKED),
    "chunks alone": post(["Transfer-Encoding: chunked"], CHUNKED),
    "chunks with an odd name": post(["Transfer-Encoding: xchunked"], CHUNKED),
    "chunks, identity": post(["Transfer-Encoding: chunked, identity"], CHUNKED),
    "chunks after a tab": post(["Transfer-Encoding:\tchunked"], CHUNKED),
    "chunks with an extension": post(["Transfer-Encoding: chunked"], b"10;a=b\r\n" + HELLO + b"\r\n0\r\n\r\n"),
    "a chunk of 2^64": post(["Transfer-Encoding: chunked"], b"10000000000000000\r\n" + HELLO),
    "a trailer with a length": post(["Transfer-Encoding: chunked", "Trailer: Content-Length"], b"10\r\n" + HELLO + b"\r\n0\r\nContent-Length: 5\r\n\r\n"),
    "two lengths that differ": post(["Content-Length: 16", "Content-Length: 5"], HELLO),
    "two lengths alike": post(["Content-Length: 16", "Content-Length: 16"], HELLO),
    "a list of lengths": post(["Content-Length: 16, 16"], HELLO),
    "a length with a sign": post(["Content-Length: +16"], HELLO),
    "a negative length": post(["Content-Length: -16"], HELLO),
    "a hexadecimal length": post(["Content-Length: 0x10"], HELLO),
    "a length of 2^64 + 16": post(["Content-Length: 18446744073709551632"], HELLO),
    "an empty length": post(["Content-Length:"], HELLO),
    "a length with a fraction": post(["Content-Length: 16.0"], HELLO),
    "no length": post([], HELLO),
    "two hosts": post(["Content-Length: 16", "Host: b"], HELLO),
    "a folded length": post(["Content-Length:", " 16"], HELLO),
    "a name with a space before the colon": post(["Content-Length : 16"], HELLO),
    "a NUL in a length": post(["Content-Length: 1\x006"], HELLO),
    "a length in a folded line": post(["X-A: b", " Content-Length: 16"], HELLO),
    "lengths in two cases": post(["Content-Length: 5", "CONTENT-LENGTH: 16"], HELLO),
}


class Framing(Case):
    def exchange(self, request, wait=0.0):
        """All that comes until the end of the connection, or until nothing comes any more once its answer is there."""
        with socket.create_connection(("127.0.0.1", self.daemon.ports["http"]), timeout=PATIENCE_S) as sock:
            got = b""
            try:
                sock.sendall(request)
                sock.shutdown(socket.SHUT_WR)
                while more := sock.recv(65536):
                    got += more
            except (ConnectionResetError, BrokenPipeError):
                pass
            return got

    def test_shapes(self):
        before = metric(self.daemon, "viaduct_signal_sessions")
        for name, request in SHAPES.items():
            with self.subTest(name):
                got = self.exchange(request + SMUGGLED * 2)
                self.assertLessEqual(got.count(b"HTTP/1.1 "), 1, got)
                self.assertNotRegex(got, rb"^HTTP/1\.[01] [123]", got)
                self.assertNotIn(b"ok\n", got)
        self.assertEqual(metric(self.daemon, "viaduct_signal_sessions"), before)

    def test_sound_ones_are_answered(self):
        for name, request in {"plain": post(["Content-Length: 16"], HELLO), "space": post(["Content-Length:   16  "], HELLO)}.items():
            with self.subTest(name):
                got = self.exchange(request + SMUGGLED)
                self.assertTrue(got.startswith(b"HTTP/1.1 201 "), got)
                self.assertEqual(got.count(b"HTTP/1.1 "), 2, got)

    def test_request_lines(self):
        for line in ("", "GET", "GET /", "GET / HTTP/9.9", "GET / HTTP/2.0", "GET /healthz HTTP/1.1 more", "PRI * HTTP/2.0",
                     "GET healthz HTTP/1.1", "GET http:/ HTTP/1.1", "G\x00T / HTTP/1.1", "CONNECT a:1 HTTP/1.1", "\x16\x03\x01\x02\x00\x01"):
            with self.subTest(line):
                got = self.exchange(line.encode("latin-1") + b"\r\nHost: a\r\nConnection: close\r\n\r\n")
                self.assertNotRegex(got, rb"^HTTP/1\.[01] [12]", got)

    def test_heads_without_end(self):
        before = self.daemon.resident_kb()
        for name, head in {"one field": b"X-A: " + b"a" * 10_000_000, "many": b"X-A: b\r\n" * 1_250_000, "a name": b"X" * 10_000_000,
                           "a path": None, "a fold": b"X-A: b\r\n" + b" c\r\n" * 2_500_000, "known, many times": b"Cookie: a\r\n" * 900_000}.items():
            with self.subTest(name):
                request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + head if head else b"GET /" + b"a" * 10_000_000 + b" HTTP/1.1\r\nHost: a"
                got = self.exchange(request + b"\r\n\r\n")
                self.assertNotRegex(got, rb"^HTTP/1\.[01] [123]", got)
        self.assertLess(self.daemon.resident_kb() - before, 4096)

    def test_methods(self):
        paths = {"/v1/ws": {"GET"}, "/v1/events": {"GET"}, "/v1/messages": {"GET", "POST"}, "/v1/session": {"POST"},
                 "/v1/ice-servers": {"GET", "HEAD"}, "/healthz": {"GET", "HEAD"}, "/readyz": {"GET", "HEAD"}, "/": {"GET", "HEAD"}}
        for path, allowed in paths.items():
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
                with self.subTest(f"{method} {path}"):
                    if method in allowed or (method == "OPTIONS" and path.startswith("/v1/")):
                        continue
                    got = self.exchange(f"{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                    self.assertRegex(got, rb"^HTTP/1\.1 (405|400) ", got)
                    if b" 405 " in got:
                        said = set(re.search(rb"\r\nallow: ([^\r]*)", got)[1].decode().split(", "))
                        self.assertEqual(said, allowed)

    def test_content_types(self):
        http = Http(self.daemon)
        for kind, status in [("application/json", 201), ("application/json; charset=utf-8", 201), ("APPLICATION/JSON", 201), ("text/plain", 415),
                             ("application/x-www-form-urlencoded", 415), ("multipart/form-data; boundary=x", 415), ("application/jsonp", 415), ("json", 415)]:
            with self.subTest(kind):
                self.assertEqual(http.request("POST", "/v1/session", {"type": "hello"}, headers=[("Content-Type", kind)]).status, status)

    def test_cursors_from_the_future_and_from_nowhere(self):
        session = Session(self.daemon)
        for cursor in (1, 2 ** 63, 2 ** 64 - 1, 2 ** 64, -1, "x", "", "1 1", "0x0"):
            for headers, path in (({"Last-Event-ID": cursor}, "/v1/events"), ({}, f"/v1/events?after={str(cursor).replace(' ', '+')}"),
                                  ({}, f"/v1/messages?after={str(cursor).replace(' ', '+')}")):
                with self.subTest(f"{path} {headers}"):
                    if cursor == "" and not headers:
                        continue
                    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                    got = self.exchange(f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {session.key}\r\n{head}Connection: close\r\n\r\n".encode())
                    self.assertTrue(got.startswith(b"HTTP/1.1 400 "), got)
                    self.assertIn(b"bad-message", got)
        session.join()
        stream = Events(session, 0)
        self.assertEqual(stream.take()["type"], "joined")
        stream.close()


if __name__ == "__main__":
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    unittest.main(warnings="ignore")
