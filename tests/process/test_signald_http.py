#!/usr/bin/python3
"""viaduct-signald over the transports that are plain HTTP, and changes between all four: one outbox, each message once and in order."""
import http.client
import itertools
import json
import re
import socket
import ssl
import threading
import time
import unittest

import signald_client
from signald_client import PATIENCE_S, make_certificate, metric, raw_http, start
from signald_http import TRANSPORTS, Events, Http, Session, WebSocket

UNLIMITED = ["--max-message-rate=0", "--max-byte-rate=0", "--max-address-message-rate=0", "--max-address-byte-rate=0"]


def eventually(case, holds):
    """Something that the server does by itself, soon."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        case.assertLess(time.monotonic(), deadline)
        time.sleep(0.01)


class Case(unittest.TestCase):
    def start(self, *args):
        self.daemon = start(self, *args)
        return self.daemon

    def session(self, **kwargs):
        session = Session(self.daemon, **kwargs)
        self.addCleanup(session.close)
        return session

    def reader(self, name, session, after=0):
        reader = TRANSPORTS[name](session, after)
        self.addCleanup(reader.close)
        return reader

    def pair(self, room="r"):
        """Two in a room; both outboxes acknowledged."""
        a, b = self.session(), self.session()
        a.join(room)
        b.join(room)
        return a, b

    def http(self, **kwargs):
        connection = Http(self.daemon, **kwargs)
        self.addCleanup(connection.close)
        return connection

    def refused(self, reply, status, code):
        self.assertEqual((reply.status, reply.json["type"], reply.json["code"]), (status, "error", code), reply)
        self.assertTrue(reply.json["message"])
        return reply


class OpenAndSend(Case):
    def test_a_session(self):
        self.start("--node=here")
        a = self.session()
        self.assertEqual((a.welcome["resumed"], a.welcome["node"], "seq" in a.welcome), (False, "here", False))
        self.assertEqual(a.get().json, {"messages": [], "last": 0})
        self.assertEqual(a.post({"type": "join", "room": "r"}), {"accepted": 1})
        reply = a.get()
        self.assertEqual(reply.json, {"messages": [{"seq": 1, "type": "joined", "room": "r", "peers": []}], "last": 1})
        self.assertEqual(reply.headers["cache-control"], "no-store")
        self.assertEqual(reply.headers["content-type"], "application/json")
        self.assertEqual(a.get(after=1).json, {"messages": [], "last": 1})
        # Acknowledged is gone.
        self.assertEqual(a.get(after=0).json, {"messages": [], "last": 1})
        a.post({"type": "bye"})
        self.refused(a.get(after=1), 410, "session-gone")
        self.assertEqual(metric(self.daemon, "viaduct_signal_sessions"), 0)

    def test_resume_by_post(self):
        self.start()
        a = self.session()
        a.join()
        stream = Events(a, 0)
        self.addCleanup(stream.close)
        self.assertEqual(stream.take()["type"], "joined")
        reply = a.http.request("POST", "/v1/session",
                               {"type": "hello", "resume": {"session": a.welcome["session"], "key": a.key, "after": 1}})
        self.assertEqual((reply.status, reply.json["resumed"], reply.json["peer"]), (201, True, a.peer))
        self.assertEqual(stream.take()["code"], "taken-over")
        gone = {"session": a.welcome["session"], "key": "x" * 43, "after": 0}
        self.refused(a.http.request("POST", "/v1/session", {"type": "hello", "resume": gone}), 410, "session-gone")

    def test_several_messages(self):
        self.start()
        a, b = self.pair()
        # "answers 202 {"accepted":N} once they are in the receivers' outboxes, or an error object per message"
        got = a.post({"type": "signal", "room": "r", "to": b.peer, "data": 1, "id": "x"}, {"type": "signal", "room": "r", "to": "nobody", "data": 2, "id": "y"},
                     {"type": "ping", "t": [3]}, {"type": "signal", "room": "r", "to": b.peer, "data": 4})
        self.assertEqual((got["accepted"], got["messages"]), (3, [{"type": "pong", "t": [3]}]))
        self.assertEqual([(e["index"], e["code"], e["id"]) for e in got["errors"]], [(1, "no-such-peer", "y")])
        self.assertEqual([m["data"] for m in b.get(after=1).json["messages"]], [1, 4])
        self.assertEqual([m["type"] for m in a.get(after=2).json["messages"]], ["delivered"])
        # Again, as after a lost answer.
        self.assertEqual(a.post({"type": "signal", "room": "r", "to": b.peer, "data": 1, "id": "x"}), {"accepted": 1})
        self.assertEqual(len(b.get(after=1).json["messages"]), 2)
        self.assertEqual([m["id"] for m in a.get(after=2).json["messages"]], ["x", "x"])
        got = a.post({"type": "fly"}, {"type": "signal", "room": "none", "to": b.peer, "data": 2}, status=400)
        self.assertEqual((got["accepted"], [e["code"] for e in got["errors"]]), (0, ["unknown-type", "no-such-room"]))
        self.assertEqual(a.http.request("POST", "/v1/messages", [], key=a.key).json, {"accepted": 0})

    def test_each_error_has_its_status(self):
        self.start("--max-room-members=2", "--max-message-size=1024")
        a, b = self.pair()
        for message, status, code in [
                ({"type": "signal", "room": "r", "to": "nobody", "data": 1}, 404, "no-such-peer"), ({"type": "leave", "room": "none"}, 404, "no-such-room"),
                ({"type": "join"}, 400, "bad-message"), ({"type": "fly"}, 400, "unknown-type"), ({"type": "hello"}, 400, "bad-message"),
                ({"type": "ack", "seq": 99}, 400, "bad-message"), ({"type": "ping", "x": "y" * 1024}, 413, "too-large"), ("{", 400, "bad-json"),
                ("[{]", 400, "bad-json"), (b'{"type":"\xff"}', 400, "bad-json"), ("[" * 5000 + "]" * 5000, 400, "bad-json"), ("", 400, "bad-json"),
                ([{"type": "ping"}] * 129, 413, "too-large")]:
            with self.subTest(str(message)[:60]):
                self.refused(a.http.request("POST", "/v1/messages", message, key=a.key), status, code)
        c = self.session()
        self.assertEqual(c.post({"type": "join", "room": "r"}, status=409)["code"], "room-full")
        self.assertEqual(c.post({"type": "signal", "room": "r", "to": b.peer, "data": 1}, status=403)["code"], "not-in-room")
        for message, status, code in [({"type": "join", "room": "r"}, 401, "hello-first"), ("rubbish", 400, "bad-json"), ("[]", 400, "bad-message")]:
            self.refused(self.http().request("POST", "/v1/session", message), status, code)

    def test_keys(self):
        self.start()
        a = self.session()
        for method, path, body in [("GET", "/v1/messages", None), ("GET", "/v1/events", None), ("POST", "/v1/messages", {"type": "ping"})]:
            with self.subTest(method + path):
                connection = self.http()
                self.refused(connection.request(method, path, body), 401, "unauthorized")
                for key in ["x", "A" * 43, a.key[:-1], a.key + "A", a.welcome["session"], "A" * 8000]:
                    self.refused(connection.request(method, path, body, key=key), 410, "session-gone")
                self.refused(connection.request(method, path, body, headers={"Authorization": f"Basic {a.key}"}), 401, "unauthorized")
        # The query is for EventSource alone.
        self.refused(self.http().request("GET", f"/v1/messages?key={a.key}"), 401, "unauthorized")
        self.assertEqual(a.get().status, 200)

    def test_cursors(self):
        self.start()
        a = self.session()
        a.join()
        for after in ["2", "18446744073709551615", "18446744073709551616", "-1", "x", "1x", "", "0x1", "1%00", "9" * 100, "9" * 500]:
            with self.subTest(after[:30]):
                if "%" in after:  # libwebsockets hangs up
                    self.assertNotIn(b" 200 ", raw_http(self.daemon, f"GET /v1/messages?after={after} HTTP/1.1\r\nHost: a\r\n\r\n"))
                    continue
                self.refused(a.get(after=after), 400, "bad-message")
                self.refused(a.http.request("GET", f"/v1/events?after={after}", key=a.key), 400, "bad-message")
                self.refused(a.http.request("GET", "/v1/events", key=a.key, headers={"Last-Event-ID": after}), 400, "bad-message")
        self.refused(a.get(wait="x"), 400, "bad-message")
        self.assertEqual(a.get().json["last"], 1)

    def test_content_types_and_framing(self):
        self.start()
        a = self.session()
        for kind, status in [("application/json", 202), ("Application/JSON; charset=utf-8", 202), ("", 202), ("text/plain", 415),
                             ("application/x-www-form-urlencoded", 415), ("multipart/form-data; boundary=x", 415), ("application/json5", 415)]:
            with self.subTest(kind):
                reply = a.http.request("POST", "/v1/messages", {"type": "ping"}, key=a.key, headers={"Content-Type": kind} if kind else {"Content-Type": ""})
                self.assertEqual(reply.status, status, reply)
        head = f"POST /v1/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {a.key}\r\n"
        smuggled = "GET /v1/messages HTTP/1.1\r\nHost: a\r\n\r\n"
        for name, fields, body in [("chunked", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n" + smuggled),
                                   ("both", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + smuggled),
                                   ("two lengths", "Content-Length: 2\r\nContent-Length: 3\r\n", "{} " + smuggled),
                                   ("list of lengths", "Content-Length: 2, 2\r\n", "{}" + smuggled), ("sign", "Content-Length: +2\r\n", "{}" + smuggled),
                                   ("no length", "", smuggled), ("negative", "Content-Length: -1\r\n", smuggled), ("hex", "Content-Length: 0x2\r\n", "{}" + smuggled)]:
            with self.subTest(name):
                raw = raw_http(self.daemon, head + fields + "\r\n" + body)
                self.assertEqual(raw.count(b"HTTP/1.1 "), 1, raw)
                self.assertIn(b" 411 ", raw.partition(b"\r\n")[0])
        raw = raw_http(self.daemon, head + f"Content-Length: {10**18}\r\n\r\n")
        self.assertIn(b" 413 ", raw.partition(b"\r\n")[0])
        raw = raw_http(self.daemon, head + "Content-Length: 15\r\nConnection: close\r\n\r\n" + '{"type":"ping"}')
        self.assertIn(b" 202 ", raw.partition(b"\r\n")[0])
        for method in ["PUT", "DELETE", "PATCH", "HEAD"]:
            self.assertEqual(signald_client.http(self.daemon, "/v1/messages", method=method).status, 405)
        self.assertEqual(signald_client.http(self.daemon, "/v1/session").headers["allow"], "POST")
        self.assertEqual(signald_client.http(self.daemon, "/v1/session", listener="metrics").status, 404)

    def test_body_sizes(self):
        self.start("--max-body-size=2048", "--max-message-size=4096")
        a, b = self.pair()
        text = json.dumps({"type": "signal", "room": "r", "to": b.peer, "data": ""})
        # A message may have its own size whatever max-body-size says; one byte more is not even read.
        for extra, status in [(0, 202), (1, 413)]:
            body = text.replace('""', '"' + "x" * (4096 - len(text) + extra) + '"')
            self.assertEqual(a.http.request("POST", "/v1/messages", body, key=a.key).status, status)
        self.assertEqual(len(b.get(after=1).json["messages"]), 1)

    def test_body_in_pieces_and_drips(self):
        self.start()
        a, b = self.pair()
        body = json.dumps([{"type": "broadcast", "room": "r", "data": n} for n in range(50)]).encode()
        with socket.create_connection(("127.0.0.1", self.daemon.ports["http"]), timeout=PATIENCE_S) as sock:
            sock.sendall(f"POST /v1/messages HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {a.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            for at in range(0, len(body), 7):
                sock.sendall(body[at:at + 7])
            self.assertIn(b'{"accepted":50}', sock.makefile("rb").read())
        self.assertEqual([m["data"] for m in b.get(after=1).json["messages"]], list(range(50)))

    def test_a_body_that_waits_to_be_asked_for(self):
        self.start()
        a = self.session()
        head = f"POST /v1/messages HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {a.key}\r\nExpect: 100-continue\r\n"
        for kind, answer in [("application/json", b"HTTP/1.1 100 Continue\r\n"), ("text/plain", b"HTTP/1.1 415 Unsupported Media Type\r\n")]:
            with socket.create_connection(("127.0.0.1", self.daemon.ports["http"]), timeout=PATIENCE_S) as sock:
                file = sock.makefile("rb")
                sock.sendall((head + f"Content-Type: {kind}\r\nContent-Length: 15\r\n\r\n").encode())
                self.assertEqual(file.readline(), answer)
                if b" 100 " in answer:
                    self.assertEqual(file.readline(), b"\r\n")
                    sock.sendall(b'{"type":"ping"}')
                    self.assertIn(b" 202 ", file.readline())

    def test_bodies_that_never_end(self):
        self.start()
        a = self.session()
        before = self.daemon.resident_kb()
        waiting, cut, answered = [], 0, 0
        head = f"POST /v1/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {a.key}\r\nContent-Length: 262144\r\n\r\n".encode()
        for _ in range(400):  # 100 MB
            sock = socket.create_connection(("127.0.0.1", self.daemon.ports["http"]), timeout=PATIENCE_S)
            self.addCleanup(sock.close)
            try:
                sock.sendall(head + b" " * 262143)
                waiting.append(sock)
            except OSError:
                cut += 1
        self.assertEqual(a.get().status, 200)
        self.assertLess(self.daemon.resident_kb() - before, 16 * 1024)
        begin = time.monotonic()
        for sock in waiting:
            try:  # those beyond what one address may have on its way are told so, the others cut
                said = sock.recv(100)
                answered += said.startswith(b"HTTP/1.1 503 ")
                self.assertTrue(said == b"" or said.startswith(b"HTTP/1.1 503 "), said)
            except OSError:
                pass
        self.assertLess(time.monotonic() - begin, 25)
        self.assertGreater(answered + cut, 350)

    def test_a_rate(self):
        self.start("--max-message-rate=5")
        a, b = self.pair()
        got = a.post(*({"type": "signal", "room": "r", "to": b.peer, "data": n} for n in range(30)))
        self.assertLess(got["accepted"], 30)
        # What stood behind the first that was refused was not looked at: nothing overtakes.
        self.assertEqual([(e["index"], e["code"]) for e in got["errors"]], [(got["accepted"], "rate-limited")])
        self.assertGreater(got["errors"][0]["retryAfter"], 0)
        self.assertEqual([m["data"] for m in b.get(after=1).json["messages"]], list(range(got["accepted"])))
        reply = a.http.request("POST", "/v1/messages", {"type": "ping"}, key=a.key)
        self.refused(reply, 429, "rate-limited")
        self.assertEqual(int(reply.headers["retry-after"]), reply.json["retryAfter"])

    def test_polling_wildly(self):
        self.start("--max-address-message-rate=20")
        a = self.session()
        replies = [a.get() for _ in range(60)]
        limited = [reply for reply in replies if reply.status != 200]
        self.assertTrue(limited)
        self.assertEqual(limited[0].headers["retry-after"], "1")
        self.refused(limited[0], 429, "rate-limited")


class Cors(Case):
    def test_a_friend(self):
        self.start("--origin=https://friend.example")
        friend, enemy = {"Origin": "https://friend.example"}, {"Origin": "https://enemy.example"}
        for path, methods in [("/v1/session", "POST"), ("/v1/messages", "GET, POST"), ("/v1/events", "GET"), ("/v1/ice-servers", "GET")]:
            with self.subTest(path):
                reply = self.http().request("OPTIONS", path, headers={**friend, "Access-Control-Request-Method": "POST",
                                                                      "Access-Control-Request-Headers": "authorization,content-type"})
                self.assertEqual((reply.status, reply.body), (204, b""))
                self.assertEqual(reply.headers["access-control-allow-origin"], "https://friend.example")
                self.assertEqual(reply.headers["access-control-allow-methods"], methods)
                self.assertIn("Authorization", reply.headers["access-control-allow-headers"])
                self.assertEqual(reply.headers["vary"], "Origin")
                self.assertNotIn("content-length", reply.headers)
                reply = self.http().request("OPTIONS", path, headers=enemy)
                self.assertEqual(reply.status, 403)
                self.assertNotIn("access-control-allow-origin", reply.headers)
        connection = self.http()
        reply = connection.request("POST", "/v1/session", {"type": "hello"}, headers=friend)
        self.assertEqual((reply.status, reply.headers["access-control-allow-origin"]), (201, "https://friend.example"))
        self.assertNotIn("access-control-allow-credentials", reply.headers)
        key = reply.json["key"]
        for wait in [0, 1]:
            reply = connection.request("GET", f"/v1/messages?wait={wait}", key=key, headers=friend)
            self.assertEqual((reply.status, reply.headers["access-control-allow-origin"]), (200, "https://friend.example"))
        # A page has to be able to read what went wrong.
        reply = connection.request("GET", "/v1/messages?after=9", key=key, headers=friend)
        self.assertEqual((reply.status, reply.headers["access-control-allow-origin"], reply.headers["access-control-expose-headers"]),
                         (400, "https://friend.example", "Retry-After"))

    def test_an_enemy(self):
        self.start("--origin=https://friend.example")
        a = self.session()
        for method, path, body in [("POST", "/v1/session", {"type": "hello"}), ("GET", "/v1/messages", None), ("GET", "/v1/events", None),
                                   ("POST", "/v1/messages", {"type": "ping"})]:
            with self.subTest(method + path):
                reply = self.http().request(method, path, body, key=a.key, headers={"Origin": "https://enemy.example"})
                self.refused(reply, 403, "forbidden")
                self.assertNotIn("access-control-allow-origin", reply.headers)
                self.assertEqual(reply.headers["vary"], "Origin")

    def test_the_page_itself(self):
        self.start()
        origin = f"http://127.0.0.1:{self.daemon.ports['http']}"
        self.assertEqual(self.http().request("POST", "/v1/session", {"type": "hello"}, headers={"Origin": origin}).status, 201)
        self.assertEqual(self.http().request("POST", "/v1/session", {"type": "hello"}, headers={"Origin": "http://127.0.0.1:1"}).status, 403)


class LongPolling(Case):
    def test_waits(self):
        self.start()
        a, b = self.pair()
        waiting = self.http()
        begin = time.monotonic()
        waiting.begin("GET", "/v1/messages?after=2&wait=1", a.key)
        reply = waiting.finish()
        self.assertGreater(time.monotonic() - begin, 0.9)
        self.assertEqual(reply.json, {"messages": [], "last": 2})
        waiting.begin("GET", "/v1/messages?after=2&wait=50", a.key)
        eventually(self, lambda: metric(self.daemon, 'viaduct_signal_links_by_transport{transport="longpoll"}') == 1)
        b.post({"type": "broadcast", "room": "r", "data": "now"})
        self.assertEqual([m["data"] for m in waiting.finish().json["messages"]], ["now"])
        # The same connection goes on, and so may others of the same moment.
        self.assertEqual(a.get(after=3, http=waiting).json, {"messages": [], "last": 3})

    def test_one_waits_at_a_time(self):
        self.start()
        a, b = self.pair()
        first, second = self.http(), self.http()
        first.begin("GET", "/v1/messages?after=2&wait=50", a.key)
        eventually(self, lambda: metric(self.daemon, 'viaduct_signal_links_by_transport{transport="longpoll"}') == 1)
        second.begin("GET", "/v1/messages?after=2&wait=50", a.key)
        self.refused(first.finish(), 409, "taken-over")
        b.post({"type": "broadcast", "room": "r", "data": "now"})
        self.assertEqual(second.finish().json["last"], 3)

    def test_a_client_that_goes_away(self):
        self.start()
        a, b = self.pair()
        for end in ["close", "reset"]:
            waiting = self.http()
            waiting.begin("GET", "/v1/messages?after=2&wait=50", a.key)
            eventually(self, lambda: metric(self.daemon, 'viaduct_signal_links_by_transport{transport="longpoll"}') == 1)
            getattr(waiting, end)()
            eventually(self, lambda: metric(self.daemon, 'viaduct_signal_links_by_transport{transport="longpoll"}') == 0)
        b.post({"type": "broadcast", "room": "r", "data": "kept"})
        self.assertEqual([m["data"] for m in a.get(after=2).json["messages"]], ["kept"])

    def test_more_requests_behind_one_that_waits(self):
        self.start()
        a, b = self.pair()
        request = f"GET /v1/messages?after=2&wait=50 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {a.key}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.daemon.ports["http"]), timeout=PATIENCE_S) as sock:
            sock.sendall((request + "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").encode())
            eventually(self, lambda: metric(self.daemon, 'viaduct_signal_links_by_transport{transport="longpoll"}') == 1)
            before = self.cpu_ticks()
            time.sleep(0.5)
            self.assertLess(self.cpu_ticks() - before, 20)  # of 50: it does not spin
            b.post({"type": "broadcast", "room": "r", "data": "now"})
            got = sock.makefile("rb").read()
        self.assertEqual(got.count(b"HTTP/1.1 200 OK"), 2)
        self.assertLess(got.index(b'"data":"now"'), got.index(b"ok\n"))

    def cpu_ticks(self):
        with open(f"/proc/{self.daemon.process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def test_bye_and_the_end_of_the_server(self):
        daemon = self.start()
        a, b = self.session(), self.session()
        waiting, other = self.http(), self.http()
        waiting.begin("GET", "/v1/messages?wait=50", a.key)
        other.begin("GET", "/v1/messages?wait=50", b.key)
        eventually(self, lambda: metric(daemon, 'viaduct_signal_links_by_transport{transport="longpoll"}') == 2)
        a.post({"type": "bye"})
        self.refused(waiting.finish(), 410, "session-gone")
        stopped = threading.Thread(target=daemon.stop)
        stopped.start()
        reply = other.finish()
        stopped.join()
        self.assertEqual([(m["type"], m["seconds"]) for m in reply.json["messages"]], [("drain", 0)])

    def test_a_large_answer_in_parts(self):
        self.start(*UNLIMITED)
        a, b = self.pair()
        for n in range(30):
            b.post({"type": "broadcast", "room": "r", "data": "x" * 30000 + str(n)})
        got, after, answers = [], 2, 0
        while len(got) < 30:
            reply = a.get(after=after).json
            got += [m["data"][30000:] for m in reply["messages"]]
            after, answers = reply["last"], answers + 1
        self.assertEqual(got, [str(n) for n in range(30)])
        self.assertGreater(answers, 1)

    def test_answers_that_nobody_reads(self):
        self.start(*UNLIMITED)
        a, b = self.pair()
        for n in range(30):
            b.post({"type": "broadcast", "room": "r", "data": "x" * 30000})
        self.assertEqual(a.get(after=2).json["last"], 11)
        before = self.daemon.resident_kb()
        request = f"GET /v1/messages?after=2 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {a.key}\r\n\r\n".encode()
        answered = metric(self.daemon, 'viaduct_signal_http_answers_total{code="2xx"}')
        for n in range(600):  # 150 MB
            sock = socket.socket()
            self.addCleanup(sock.close)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", self.daemon.ports["http"]))
            sock.sendall(request)
        eventually(self, lambda: metric(self.daemon, 'viaduct_signal_http_answers_total{code="2xx"}') >= answered + 600)
        self.assertLess(self.daemon.resident_kb() - before, 40 * 1024)
        with sock, sock.makefile("rb") as file:  # the last one is as good as ever
            while (line := file.readline().strip()):
                length = int(line.split()[1]) if line.startswith(b"content-length:") else 0 if line.startswith(b"HTTP") else length
            self.assertEqual(json.loads(file.read(length))["last"], 11)
        self.assertEqual(a.get(after=32).json["messages"], [])

    def test_overflow(self):
        self.start("--max-outbox-messages=10", *UNLIMITED)
        a, b = self.pair()
        b.get(after=1)
        for n in range(12):
            reply = b.http.request("POST", "/v1/messages", {"type": "broadcast", "room": "r", "data": n}, key=b.key)
            self.assertEqual(reply.status, 202)
        self.assertEqual([m["reason"] for m in b.get(after=1).json["messages"]], ["outbox-overflow"])
        self.refused(a.get(after=2), 410, "session-gone")


class EventStreams(Case):
    def test_events(self):
        self.start()
        a, b = self.pair()
        for query in [False, True]:
            stream = Events(a, 0, query=query, headers={})
            self.addCleanup(stream.close)
            self.assertEqual((stream.status, stream.headers["content-type"]), (200, "text/event-stream"))
            self.assertEqual((stream.headers["cache-control"], stream.headers["connection"]), ("no-store", "close"))
            self.assertNotIn("content-length", stream.headers)
            ident, kind, data = stream.event()
            self.assertEqual((ident, kind, json.loads(data)["type"]), (1, "joined", "joined"))
            self.assertEqual(stream.take()["type"], "peer-joined")
        b.http.request("POST", "/v1/messages", '{"type":"broadcast","room":"r","data":{\n"a" :\r\n [1,\r2]\n\n} }', key=b.key)
        ident, kind, data = stream.event()
        self.assertEqual((ident, kind, json.loads(data)["data"]), (3, "broadcast", {"a": [1, 2]}))
        # Last-Event-ID counts, not what still stands in the address.
        again = Events(a, 0, query=True, headers={"Last-Event-ID": "2"})
        self.addCleanup(again.close)
        self.assertEqual(again.take()["seq"], 3)
        self.assertEqual(stream.event()[1], "error")
        self.assertIsNone(stream.event())

    def test_beats(self):
        self.start("--ping-interval=1")
        a = self.session()
        stream = Events(a, 0)
        self.addCleanup(stream.close)
        self.assertEqual(stream.file.readline(), b"retry: 1000\n")
        self.assertEqual(stream.file.readline(), b"\n")
        begin = time.monotonic()
        for _ in range(2):
            self.assertEqual([stream.file.readline(), stream.file.readline()], [b":\n", b"\n"])
        self.assertGreater(time.monotonic() - begin, 1.5)

    def test_acknowledged_by_post(self):
        self.start("--max-outbox-messages=20", *UNLIMITED)
        a, b = self.pair()
        b.get(after=1)
        stream = Events(a, 0)
        self.addCleanup(stream.close)
        stream.take(), stream.take()
        for n in range(100):
            b.post({"type": "broadcast", "room": "r", "data": n})
            self.assertEqual(stream.take()["data"], n)
            if n % 10 == 0:
                a.post({"type": "ack", "seq": stream.after})
        for n in range(30):  # and no more of them
            b.post({"type": "broadcast", "room": "r", "data": n})
        while (message := stream.take())["type"] == "broadcast":
            pass
        self.assertEqual(message["code"], "outbox-overflow")

    def test_a_slow_reader_overflows_and_nobody_else_waits(self):
        self.start(*UNLIMITED)
        a, b = self.pair()
        b.get(after=1)
        c, d = self.pair("other")
        before = self.daemon.resident_kb()
        stream = Events(a, 0)
        self.addCleanup(stream.close)
        text, turns = json.dumps({"type": "broadcast", "room": "r", "data": "x" * 30000}), 0
        while metric(self.daemon, 'viaduct_signal_sessions_ended_total{reason="outbox-overflow"}') == 0:
            self.assertEqual(b.http.request("POST", "/v1/messages", text, key=b.key).status, 202)
            turns += 1
            self.assertLess(turns, 1000)
            begin = time.monotonic()
            c.post({"type": "broadcast", "room": "other", "data": turns})
            self.assertEqual([m["data"] for m in d.get(after=turns).json["messages"]], [turns])
            self.assertLess(time.monotonic() - begin, 1)
        self.assertLess(self.daemon.resident_kb() - before, 16 * 1024)
        self.assertEqual(b.get(after=1).json["messages"][-1]["reason"], "outbox-overflow")

    def test_what_came_while_the_socket_was_full(self):
        """Full behind the last message that waited, and then more: it comes when the client reads, not with the next beat."""
        self.start("--ping-interval=300", "--max-outbox-messages=0", "--max-outbox-bytes=0", *UNLIMITED)
        a, b = self.pair()
        stream = Events(a, 0, buffer=4096)
        self.addCleanup(stream.close)
        for n in range(2000):
            b.post({"type": "broadcast", "room": "r", "data": [n, "x" * 1500]})
        stream.take(), stream.take()
        for n in range(2000):
            self.assertEqual(stream.take()["data"][0], n)

    def test_the_end(self):
        daemon = self.start()
        a, b = self.session(), self.session()
        stream, other = Events(a, 0), Events(b, 0)
        self.addCleanup(stream.close)
        self.addCleanup(other.close)
        eventually(self, lambda: metric(daemon, 'viaduct_signal_links_by_transport{transport="sse"}') == 2)
        a.post({"type": "bye"})
        self.assertEqual(stream.take()["code"], "session-gone")
        self.assertIsNone(stream.event())
        stopped = threading.Thread(target=daemon.stop)
        stopped.start()
        self.assertEqual(other.take()["type"], "drain")
        self.assertEqual(other.take()["code"], "draining")
        self.assertIsNone(other.event())
        stopped.join()


class Changes(Case):
    """ "A transport is only a cursor over the outbox, so a client may change transport in the middle of a call and lose nothing, repeat
    nothing". """
    MESSAGES, BURST = 300, 5

    def flood(self, sender, room, gate):
        """Numbers, in bursts, as fast as they are taken; a fifth of the requests is said twice, as after a lost answer."""
        for first in range(0, self.MESSAGES, self.BURST):
            burst = [{"type": "broadcast", "room": room, "data": n, "id": n} for n in range(first, first + self.BURST)]
            for _ in range(2 if first % 25 == 0 else 1):
                assert sender.post(*burst) == {"accepted": self.BURST}
            if first % 50 == 0:
                sender.get(after=sender.get().json["last"])
            gate.acquire()

    def test_each_pair_under_load(self):
        self.start(*UNLIMITED, "--max-outbox-messages=0", "--max-outbox-bytes=0")
        for one, two in itertools.product(TRANSPORTS, repeat=2):
            for breaks in [False, True]:
                with self.subTest(f"{one} to {two}", breaks=breaks):
                    self.change(one, two, breaks)

    def change(self, one, two, breaks):
        room = f"{one} {two} {breaks}"
        receiver, sender = self.session(), self.session()
        receiver.join(room)
        sender.join(room)
        gate = threading.Semaphore(20)  # so many requests ahead of what was read
        flood = threading.Thread(target=self.flood, args=(sender, room, gate), daemon=True)
        reader, got, seqs = self.reader(one, receiver, 2), [], [2]
        flood.start()
        for n in range(self.MESSAGES):
            old = None
            if n in [40, 41, 100, 170, 240]:
                old, name = reader, two if name_of(reader) == one else one
                if breaks:
                    old.reset()
                reader = self.reader(name, receiver, old.after)
            message = reader.take()
            if old and not breaks:
                self.told(old)
            got.append(message["data"])
            seqs.append(message["seq"])
            if n % self.BURST == 0:
                gate.release()
        for _ in range(self.MESSAGES):
            gate.release()
        flood.join()
        self.assertEqual(got, list(range(self.MESSAGES)))
        self.assertEqual(seqs, list(range(2, self.MESSAGES + 3)))
        self.assertEqual(receiver.get(after=reader.after).json["messages"], [])  # and nothing more
        for session in [receiver, sender]:
            session.post({"type": "bye"})

    def told(self, old):
        """ "4001 (session taken over by another transport)": whoever held a connection hears it, behind what was on its way."""
        if isinstance(old, WebSocket):
            self.assertEqual(old.close_code(), 4001)
        elif isinstance(old, Events):
            while (event := old.event())[1] != "error":
                pass
            self.assertEqual(json.loads(event[2])["code"], "taken-over")

    def test_a_changed_address(self):
        self.start("--max-sessions-per-address=2")
        a, b = self.session(source="127.0.0.2"), self.session()
        a.join()
        b.join()
        for source, n in zip(["127.0.0.3", "127.0.0.4", "127.0.0.2"], range(3)):
            b.post({"type": "broadcast", "room": "r", "data": n})
            moved = self.http(source=source)
            self.assertEqual([m["data"] for m in a.get(after=2 + n, http=moved).json["messages"]], [n])
            moved.request("POST", "/v1/messages", {"type": "broadcast", "room": "r", "data": n}, key=a.key)
        # It counts where it is now.
        self.session(source="127.0.0.3")
        self.assertEqual([m["type"] for m in b.get(after=1).json["messages"]], ["broadcast"] * 3)

    def test_absence_is_seen_after_its_time_only(self):
        self.start("--resume-seconds=1")
        a, b = self.pair()
        stream, first = Events(b, 1), Events(a, 1)
        self.addCleanup(stream.close)
        self.assertEqual(first.take()["type"], "peer-joined")
        first.close()
        b.post({"type": "broadcast", "room": "r", "data": "missed you"})
        again = Events(a, 2)
        self.assertEqual(again.take()["data"], "missed you")
        again.close()
        begin = time.monotonic()
        self.assertEqual(stream.take()["reason"], "timeout")
        self.assertGreater(time.monotonic() - begin, 0.9)


def name_of(reader):
    if isinstance(reader, WebSocket):
        return "websocket"
    if isinstance(reader, Events):
        return "sse"
    return "longpoll" if reader.wait else "poll"


class OverTls(Case):
    def request(self, method, path, body=None, key=None, connection=None):
        connection = connection or http.client.HTTPSConnection("localhost", self.daemon.ports["https"], timeout=PATIENCE_S, context=self.context)
        self.addCleanup(connection.close)
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        connection.request(method, path, body and json.dumps(body), headers)
        return connection

    def test_each_transport(self):
        cert, key_file = make_certificate(signald_client.folder(self))
        self.start("--tls-listen=127.0.0.1:0", f"--cert={cert}", f"--pkey={key_file}", *UNLIMITED)
        self.context = ssl.create_default_context(cafile=cert)
        sender = self.session()
        key = json.loads(self.request("POST", "/v1/session", {"type": "hello"}).getresponse().read())["key"]
        self.assertEqual(self.request("POST", "/v1/messages", {"type": "join", "room": "r"}, key).getresponse().status, 202)
        sender.join()
        stream = self.request("GET", "/v1/events?after=1", key=key).getresponse()
        self.assertEqual(stream.headers["content-type"], "text/event-stream")
        big = "x" * 50000
        for n in range(20):  # more than a socket takes at once
            sender.post({"type": "broadcast", "room": "r", "data": [n, big]})
        got = []
        while len(got) < 20:
            line = stream.readline()
            if line.startswith(b"data: ") and b'"broadcast"' in line:
                got.append(json.loads(line[6:])["data"])
        self.assertEqual(got, [[n, big] for n in range(20)])
        waiting = self.request("GET", "/v1/messages?after=22&wait=50", key=key)
        eventually(self, lambda: metric(self.daemon, 'viaduct_signal_links_by_transport{transport="longpoll"}') == 1)
        self.assertIn(b"taken-over", stream.read())
        sender.post({"type": "broadcast", "room": "r", "data": "now"})
        self.assertEqual(json.loads(waiting.getresponse().read())["messages"][0]["data"], "now")
        self.request("GET", "/v1/messages?after=23&wait=50", key=key, connection=waiting)
        eventually(self, lambda: metric(self.daemon, 'viaduct_signal_links_by_transport{transport="longpoll"}') == 1)
        waiting.close()
        eventually(self, lambda: metric(self.daemon, 'viaduct_signal_links_by_transport{transport="longpoll"}') == 0)


class Secrets(Case):
    def test_nothing_of_a_call_is_in_the_log(self):
        daemon = self.start("--verbose", "--max-outbox-messages=5")
        a, b = self.session(), self.session()
        a.join("the secret room")
        b.join("the secret room")
        stream = Events(a, 0, query=True, headers={})
        self.addCleanup(stream.close)
        for _ in range(8):
            b.http.request("POST", "/v1/messages", {"type": "broadcast", "room": "the secret room", "data": {"sdp": "v=0 ufrag"}}, key=b.key)
        self.http().request("GET", "/v1/messages", key="guess" * 8)
        self.http().request("POST", "/v1/session", {"type": "hello", "token": "a token of somebody"}, key="another token")
        socket_ = WebSocket(b, 0)
        self.addCleanup(socket_.close)
        daemon.close()
        log = "\n".join(daemon.lines)
        self.assertIn("session-ended", log)
        for word in [a.key, b.key, "sdp", "ufrag", "secret room", "guess", "a token of", "another token", a.welcome["session"]]:
            self.assertNotIn(word, log)
        self.assertIsNone(re.search(r"/v1/", log))


if __name__ == "__main__":
    unittest.main()
