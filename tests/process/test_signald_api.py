#!/usr/bin/python3
"""viaduct-signald and the application's backend: its requests with keys (docs/server-api.md), and what it is told."""
import base64
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import queue
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

import jwt

from signald_client import PATIENCE_S, SIGNALD, SOURCE, make_certificate, metric, run, start
from signald_http import Events, Reply, Session
from web_receiver import ANSWER, Receiver

KEY = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
ARGS = ("--api-listen=127.0.0.1:0", f"--api-key=main:{KEY}")
NAMES = ["r", "a/b", "a/../b", "..", ".", "a//b", "/", "r\u00e4ume \u2603", "\U0001f600", "a&b;c=d", "a%2Fb", "%", "+ +", "?#", "'\"\\", "x" * 128, "messages"]


def quote(text):
    return urllib.parse.quote(text, safe="")


class Api:
    def __init__(self, daemon, key=KEY, context=None):
        port = daemon.ports["api-tls" if context else "api"]
        self.connection = (http.client.HTTPSConnection("localhost", port, timeout=PATIENCE_S, context=context) if context
                           else http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S))
        self.key = key

    def __call__(self, method, path, body=None, headers=()):
        fields = {"Authorization": f"Bearer {self.key}"} if self.key is not None else {}
        if body is not None:
            fields["Content-Type"] = "application/json"
            body = body if isinstance(body, (bytes, str)) else json.dumps(body)
        self.connection.request(method, path, body, {**fields, **dict(headers)})
        answer = self.connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())

    def close(self):
        self.connection.close()


class Case(unittest.TestCase):
    def start(self, *args, **kwargs):
        self.daemon = start(self, *ARGS, *args, **kwargs)
        self.api = self.client()
        return self.daemon

    def client(self, **kwargs):
        api = Api(self.daemon, **kwargs)
        self.addCleanup(api.close)
        return api

    def session(self, **kwargs):
        session = Session(self.daemon, **kwargs)
        self.addCleanup(session.close)
        return session

    def folder(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return pathlib.Path(folder.name)

    def refused(self, reply, status, code):
        self.assertEqual((reply.status, reply.json["type"], reply.json["code"]), (status, "error", code), reply)
        self.assertTrue(reply.json["message"])
        self.assertEqual(reply.headers["content-type"], "application/json")
        return reply


class Keys(Case):
    def test_a_key_is_needed_whatever_is_asked(self):
        self.start()
        for key in (None, "", "x", KEY[:-1], KEY + "0", KEY.upper(), OTHER, "main:" + KEY, "\u00e4", "x" * 9000):
            api = self.client(key=key if key is None else key.encode().decode("latin-1"))
            for method, path, body in [("GET", "/api/v1/rooms", None), ("DELETE", "/api/v1/rooms?room=r", None), ("POST", "/api/v1/messages", {}),
                                       ("GET", "/", None), ("GET", "/metrics", None), ("PUT", "/api/v1/rooms", None)]:
                with self.subTest(key=key, path=path):
                    reply = self.refused(api(method, path, body), 401, "unauthorized")
                    self.assertEqual(reply.headers["www-authenticate"], 'Bearer realm="viaduct"')
        basic = base64.b64encode(f"main:{KEY}".encode()).decode()
        self.refused(self.client(key=None)("GET", "/api/v1/rooms", headers={"Authorization": f"Basic {basic}"}), 401, "unauthorized")
        self.assertEqual(self.api("GET", "/api/v1/rooms").status, 200)

    def test_nobody_else_has_these_paths(self):
        self.start()
        for listener in ("http", "metrics"):
            connection = http.client.HTTPConnection("127.0.0.1", self.daemon.ports[listener], timeout=PATIENCE_S)
            self.addCleanup(connection.close)
            connection.request("GET", "/api/v1/rooms", headers={"Authorization": f"Bearer {KEY}"})
            self.assertEqual(connection.getresponse().status, 404)
        for path in ("/v1/messages", "/v1/ws", "/metrics", "/healthz", "/", "/api/v1", "/api/v1/rooms/r", "/api/v1/Rooms", "/api/v2/rooms"):
            self.refused(self.api("GET", path), 404, "not-found")

    def test_rotation(self):
        folder = self.folder()
        keys = folder / "keys"
        keys.write_text(f"# the backend\n\nnext:{OTHER}\r\n")
        self.daemon = start(self, *ARGS, f"--api-key-file={keys}")
        for key, status in [(KEY, 200), (OTHER, 200), ("x" * 32, 401)]:
            self.assertEqual(self.client(key=key)("GET", "/api/v1/rooms").status, status)
        third = "third-third-third-third"
        keys.write_text(f"third:{third}")
        self.daemon.process.send_signal(1)
        self.daemon.wait_line(" reloaded ")
        for key, status in [(KEY, 200), (OTHER, 401), (third, 200)]:
            self.assertEqual(self.client(key=key)("GET", "/api/v1/rooms").status, status)
        keys.write_text("third")
        self.daemon.process.send_signal(1)
        self.daemon.wait_line(" reload-refused ")
        self.assertEqual(self.client(key=third)("GET", "/api/v1/rooms").status, 200)

    def test_no_key_is_logged(self):
        self.start("--verbose")
        self.assertEqual(self.api("GET", "/api/v1/rooms").status, 200)
        self.client(key=OTHER)("GET", "/api/v1/rooms")
        self.daemon.wait_line(" backend-refused ")
        self.daemon.stop()
        log = "\n".join(self.daemon.lines)
        self.assertIn("backend-request key=main", log)
        self.assertNotIn(KEY, log)
        self.assertNotIn(OTHER, log)

    def test_over_tls(self):
        folder = self.folder()
        cert, key = make_certificate(folder)
        self.daemon = start(self, "--api-listen=0.0.0.0:0", f"--api-key=main:{KEY}", f"--cert={cert}", f"--pkey={key}", "--auth=none")
        context = ssl.create_default_context(cafile=str(cert))
        self.assertEqual(self.client(context=context)("GET", "/api/v1/rooms").json, {"rooms": [], "next": None})
        plain = start(self, "--api-listen=0.0.0.0:0", "--api-plain", f"--api-key=main:{KEY}", f"--cert={cert}", f"--pkey={key}", "--auth=none")
        self.daemon = plain
        self.assertEqual(self.client()("GET", "/api/v1/rooms").status, 200)

    def test_what_does_not_go_together(self):
        folder = self.folder()
        (folder / "keys").write_text("x:short\n")
        for args, says in [(["--api-listen=127.0.0.1:0"], "api-listen needs a key"),
                           ([f"--api-key=main:{KEY}"], "nothing listens for it"),
                           ([*ARGS[:1], "--api-key=main"], "must be NAME:KEY"),
                           ([*ARGS[:1], "--api-key=main:short"], "a key of 16 to 512 characters"),
                           ([*ARGS[:1], "--api-key=ma in:" + KEY], "must be NAME:KEY"),
                           ([*ARGS[:1], "--api-key=main:" + KEY + " x"], "a key of letters, digits"),
                           ([*ARGS, f"--api-key=main:{OTHER}"], "two keys of the server API are called main"),
                           ([*ARGS, *(f"--api-key=k{i}:{OTHER}" for i in range(32))], "more than 32 keys"),
                           ([*ARGS, f"--api-key-file={folder}/none"], "cannot be opened"),
                           ([*ARGS, f"--api-key-file={folder}/keys"], "line 1 must have a key of 16"),
                           ([*ARGS, f"--api-key-file={folder}"], "cannot be read"),
                           (["--api-listen=0.0.0.0:0", f"--api-key=main:{KEY}"], "add cert and pkey for TLS, or say api-plain")]:
            with self.subTest(says):
                status, _, err = run("--listen=127.0.0.1:0", *args)
                self.assertEqual(status, 2, err)
                self.assertIn(says, err)
                self.assertNotIn(KEY, err)


class Rooms(Case):
    def test_lists(self):
        self.start("--max-rooms-per-session=0", "--max-message-rate=0")
        self.assertEqual(self.api("GET", "/api/v1/rooms").json, {"rooms": [], "next": None})
        a, b = self.session(), self.session()
        rooms = [f"room-{i}" for i in range(25)]
        for room in rooms:
            a.join(room, name="A", meta={"n": [1]})
        b.join("room-3")
        reply = self.api("GET", "/api/v1/rooms")
        self.assertEqual([(r["room"], r["members"]) for r in reply.json["rooms"]], [(room, 2 if room == "room-3" else 1) for room in rooms])
        self.assertEqual(reply.headers["cache-control"], "no-store")
        got, after = [], 0
        while after is not None:
            page = self.api("GET", f"/api/v1/rooms?limit=10&after={after}").json
            self.assertLessEqual(len(page["rooms"]), 10)
            got += [r["room"] for r in page["rooms"]]
            after = page["next"]
        self.assertEqual(got, rooms)
        self.assertEqual(self.api("GET", "/api/v1/rooms?room=room-3").json, {"room": "room-3", "members": 2})
        self.assertEqual(self.api("HEAD", "/api/v1/rooms").body, b"")
        members = self.api("GET", "/api/v1/members?room=room-3").json
        self.assertEqual(members, {"room": "room-3", "members": [{"peer": a.peer, "name": "A", "meta": {"n": [1]}, "connected": True},
                                                                 {"peer": b.peer, "name": None, "meta": None, "connected": True}], "next": None})
        page = self.api("GET", "/api/v1/members?room=room-3&limit=1").json
        self.assertEqual([m["peer"] for m in page["members"]], [a.peer])
        page = self.api("GET", f"/api/v1/members?room=room-3&limit=1&after={page['next']}").json
        self.assertEqual(([m["peer"] for m in page["members"]], page["next"]), ([b.peer], None))

    def test_names_of_any_kind(self):
        self.start("--max-rooms-per-session=0")
        a = self.session()
        for name in NAMES:
            a.join(name)
        for name in NAMES:
            with self.subTest(name):
                self.assertEqual(self.api("GET", f"/api/v1/rooms?room={quote(name)}").json, {"room": name, "members": 1})
                self.assertEqual(self.api("GET", f"/api/v1/members?room={quote(name)}").json["members"][0]["peer"], a.peer)
                self.assertEqual(self.api("POST", "/api/v1/messages", {"type": "broadcast", "room": name, "data": name}).json, {"delivered": 1})
        for done, name in enumerate(NAMES, 1):
            with self.subTest(name):
                self.assertEqual(self.api("DELETE", f"/api/v1/rooms?room={quote(name)}").json, {"removed": 1})
                self.assertEqual(metric(self.daemon, "viaduct_signal_rooms"), len(NAMES) - done)
                self.refused(self.api("GET", f"/api/v1/rooms?room={quote(name)}"), 404, "no-such-room")

    def test_messages(self):
        self.start()
        a, b = self.session(), self.session()
        a.join()
        b.join()
        stream = Events(b, 1)
        self.addCleanup(stream.close)
        data = {"x": [1, None, "\u2603"]}
        reply = self.api("POST", "/api/v1/messages", {"type": "broadcast", "room": "r", "data": data})
        self.assertEqual((reply.status, reply.json), (202, {"delivered": 2}))
        self.assertEqual(stream.take(), {"seq": 2, "type": "broadcast", "room": "r", "from": "@server", "data": data})
        reply = self.api("POST", "/api/v1/messages", {"type": "signal", "room": "r", "to": b.peer, "data": 1})
        self.assertEqual((reply.status, reply.json), (202, {"delivered": 1}))
        self.assertEqual(stream.take(), {"seq": 3, "type": "signal", "room": "r", "from": "@server", "data": 1})
        self.assertEqual([m["type"] for m in a.get(after=2).json["messages"]], ["broadcast"])

    def test_kick_and_close(self):
        self.start()
        a, b = self.session(), self.session()
        a.join()
        b.join()
        self.assertEqual(self.api("DELETE", f"/api/v1/members?room=r&peer={b.peer}").json, {"removed": 1})
        left = {"type": "peer-left", "room": "r", "peer": b.peer, "reason": "kicked"}
        self.assertEqual(a.get(after=2).json["messages"], [{"seq": 3, **left}])
        self.assertEqual(b.get(after=1).json["messages"], [{"seq": 2, **left}])
        self.refused(self.api("DELETE", f"/api/v1/members?room=r&peer={b.peer}"), 404, "no-such-peer")
        b.join()
        self.assertEqual(self.api("DELETE", "/api/v1/rooms?room=r").json, {"removed": 2})
        self.assertEqual(b.get(after=3).json["messages"], [{"seq": 4, **left}])
        self.refused(self.api("DELETE", "/api/v1/rooms?room=r"), 404, "no-such-room")
        self.assertEqual(metric(self.daemon, "viaduct_signal_rooms"), 0)

    def test_turn_credentials(self):
        self.start("--turn-uri=turn:192.0.2.1:3478", "--turn-uri=stun:192.0.2.1", "--turn-secret=north", "--ice-ttl=600")
        for body, name, ttl in [({}, "backend", 600), ({"name": "bob", "ttl": 3600}, "bob", 3600), ({"name": "\u00e4" * 64}, "\u00e4" * 64, 600)]:
            got = self.api("POST", "/api/v1/turn-credentials", body)
            self.assertEqual((got.status, got.json["iceTtl"]), (200, ttl))
            turn = [s for s in got.json["iceServers"] if s["urls"] == ["turn:192.0.2.1:3478"]][0]
            self.assertEqual(turn["username"].split(":", 1)[1], name)
            mac = hmac.digest(b"north", turn["username"].encode(), hashlib.sha1)
            self.assertEqual(turn["credential"], base64.b64encode(mac).decode())
        for body in [{"name": 1}, {"name": "\u00e4" * 65}, {"name": "a\nb"}, {"ttl": 59}, {"ttl": 31536001}, {"ttl": "600"}, {"ttl": 60.5}, {"ttl": -1}, [], 1]:
            with self.subTest(str(body)):
                self.refused(self.api("POST", "/api/v1/turn-credentials", body), 400, "bad-message")
        for body in ["", "{", "{} {}", '{"ttl":600,"ttl":600}', "[" * 100 + "]" * 100, b'{"name":"\xff"}', "nan"]:
            with self.subTest(str(body)):
                self.refused(self.api("POST", "/api/v1/turn-credentials", body), 400, "bad-json")


class Tokens(Case):
    TOKEN_SECRET = "an application's secret, 32 bytes or more"

    def mint(self, **wish):
        reply = self.api("POST", "/api/v1/tokens", {"rooms": ["tea", "club-*"], **wish})
        self.assertEqual(reply.status, 201, reply)
        return reply.json

    def test_it_opens_what_it_says(self):
        self.start("--auth=jwt", f"--auth-secret={self.TOKEN_SECRET}", "--auth-issuer=shop", "--auth-audience=rooms")
        made = self.mint(sub="ann", ttl=60, can=["join", "signal"])
        claims = jwt.decode(made["token"], self.TOKEN_SECRET, algorithms=["HS256"], issuer="shop", audience="rooms")
        self.assertEqual({k: v for k, v in claims.items() if k not in ("iat", "exp")},
                         {"sub": "ann", "rooms": ["tea", "club-*"], "can": ["join", "signal"], "iss": "shop", "aud": "rooms"})
        self.assertEqual((claims["exp"] - claims["iat"], made["expires"]), (60, claims["exp"]))
        a = self.session(hello={"token": made["token"]})
        a.join("tea")
        a.join("club-7")
        self.assertEqual(a.post({"type": "join", "room": "other"}, status=403)["code"], "forbidden")
        self.assertEqual(a.post({"type": "broadcast", "room": "tea", "data": 1}, status=403)["code"], "forbidden")
        b = self.session(hello={"token": self.mint(rooms=["*"], can=["join", "kick"])["token"]})
        b.join("tea")
        b.post({"type": "kick", "room": "tea", "to": a.peer})
        self.assertEqual(jwt.decode(self.mint()["token"], self.TOKEN_SECRET, algorithms=["HS256"], audience="rooms").keys(),
                         {"rooms", "iss", "aud", "iat", "exp"})

    def test_wishes_that_are_none(self):
        self.start("--auth=jwt", f"--auth-secret={self.TOKEN_SECRET}")
        for wish in [{}, {"rooms": "tea"}, {"rooms": [1]}, {"rooms": [""]}, {"rooms": ["a\nb"]}, {"rooms": ["x"] * 33}, {"rooms": ["x" * 200]},
                     {"rooms": [], "room": "x"}, {"rooms": ["x"], "can": "join"}, {"rooms": ["x"], "can": ["fly"]}, {"rooms": ["x"], "can": [1]},
                     {"rooms": ["x"], "sub": 1}, {"rooms": ["x"], "sub": "x" * 129}, {"rooms": ["x"], "sub": "a\u0000b"}, {"rooms": ["x"], "ttl": 0},
                     {"rooms": ["x"], "ttl": 31536001}, {"rooms": ["x"], "ttl": "60"}, {"rooms": ["x"], "exp": 2000000000}, [], 1]:
            with self.subTest(str(wish)[:60]):
                self.refused(self.api("POST", "/api/v1/tokens", wish), 400, "bad-message")
        self.refused(self.api("POST", "/api/v1/tokens", "{"), 400, "bad-json")
        self.assertEqual(self.mint(rooms=[])["token"].count("."), 2)  # for no room: it may ask for credentials

    def test_without_a_secret(self):
        self.start()
        self.refused(self.api("POST", "/api/v1/tokens", {"rooms": ["tea"]}), 403, "forbidden")


class Applications(Case):
    def test_each_has_its_own(self):
        secret = "another application's secret, also long"
        (conf := self.folder() / "shop.conf").write_text(f"auth=jwt\nauth-secret={secret}\nauth-audience=shop\nauth-issuer=us\n")
        receiver = Receiver()
        self.addCleanup(receiver.close)
        self.start(f"--app={conf}", f"--webhook-url={receiver.url()}", f"--webhook-secret={SECRET}")
        made = self.api("POST", "/apps/shop/api/v1/tokens", {"rooms": ["r"]}).json["token"]
        claims = jwt.decode(made, secret, algorithms=["HS256"], audience="shop")
        self.assertEqual((claims["iss"], claims["aud"]), ("us", "shop"))
        self.session().join()
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.ports["http"], timeout=PATIENCE_S)
        self.addCleanup(connection.close)

        def post(path, body, key=None):
            connection.request("POST", "/apps/shop" + path, json.dumps(body),
                               {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        _, welcome = post("/v1/session", {"type": "hello", "token": made})
        self.assertEqual(post("/v1/messages", {"type": "join", "room": "r", "name": "S"}, welcome["key"])[0], 202)
        self.assertEqual(self.api("GET", "/api/v1/members?room=r").json["members"][0]["name"], None)
        self.assertEqual(self.api("GET", "/apps/shop/api/v1/members?room=r").json["members"][0]["name"], "S")
        self.refused(self.api("GET", "/apps/none/api/v1/rooms"), 404, "not-found")
        self.assertEqual(self.api("DELETE", "/apps/shop/api/v1/rooms?room=r").json, {"removed": 1})
        self.assertEqual(len(self.api("GET", "/api/v1/rooms").json["rooms"]), 1)
        events = []
        while not any(e["type"] == "room-ended" for e in events):
            events += json.loads(receiver.take().body)
        self.assertEqual([(e["type"], e.get("app")) for e in events],
                         [("server-started", None), ("room-created", None), ("member-joined", None), ("room-created", "shop"), ("member-joined", "shop"),
                          ("member-left", "shop"), ("room-ended", "shop")])


class Bad(Case):
    def test_what_is_missing_or_wrong(self):
        self.start()
        a = self.session()
        a.join()
        for method, path, status, code in [
                ("DELETE", "/api/v1/rooms", 400, "bad-message"), ("DELETE", "/api/v1/rooms?room=", 400, "bad-message"),
                ("GET", "/api/v1/rooms?room=", 404, "no-such-room"), ("DELETE", "/api/v1/rooms?Room=r", 400, "bad-message"),
                ("DELETE", "/api/v1/members?room=r", 400, "bad-message"), ("DELETE", "/api/v1/members?room=r&peer=", 400, "bad-message"),
                ("DELETE", f"/api/v1/members?peer={a.peer}", 400, "bad-message"), ("GET", "/api/v1/members", 400, "bad-message"),
                ("DELETE", "/api/v1/members?room=r&peer=@server", 404, "no-such-peer"), ("DELETE", f"/api/v1/members?room=s&peer={a.peer}", 404, "no-such-room"),
                ("GET", "/api/v1/rooms?limit=1001", 400, "bad-message"), ("GET", "/api/v1/rooms?limit=x", 400, "bad-message"),
                ("GET", "/api/v1/rooms?after=-1", 400, "bad-message"), ("GET", "/api/v1/rooms?after=18446744073709551616", 400, "bad-message"),
                ("GET", "/api/v1/members?room=r&after=x", 400, "bad-message"), ("GET", "/api/v1/rooms?room=" + "x" * 5000, 400, "bad-message")]:
            with self.subTest(method + path[:60]):
                self.refused(self.api(method, path), status, code)
        # The last one of a number.
        self.assertEqual(self.api("GET", "/api/v1/rooms?after=18446744073709551615").json, {"rooms": [], "next": None})
        self.assertEqual(metric(self.daemon, "viaduct_signal_members"), 1)

    def test_methods(self):
        self.start()
        for path, allow in [("rooms", "GET, HEAD, DELETE"), ("members", "GET, HEAD, DELETE"), ("messages", "POST"), ("turn-credentials", "POST")]:
            for method in ("PUT", "PATCH", "OPTIONS") + (("POST",) if "GET" in allow else ("GET", "DELETE")):
                with self.subTest(method + path):
                    reply = self.client()(method, f"/api/v1/{path}", headers={"Content-Length": "0"})
                    self.assertEqual((reply.status, reply.headers["allow"]), (405, allow))

    def test_bodies(self):
        self.start()
        a = self.session()
        a.join()
        ok = {"type": "broadcast", "room": "r", "data": 1}
        for name, body, headers, status, code in [
                ("no JSON", "x", {}, 400, "bad-json"), ("empty", "", {}, 400, "bad-json"), ("array", [ok], {}, 400, "bad-message"),
                ("deep", "[" * 100000 + "]" * 100000, {}, 413, "too-large"), ("deep enough", "[" * 20000 + "]" * 20000, {}, 400, "bad-json"),
                ("no UTF-8", b'{"type":"\xff"}', {}, 400, "bad-json"), ("type", {**ok, "type": "kick", "to": a.peer}, {}, 400, "bad-message"),
                ("no type", {"room": "r", "data": 1}, {}, 400, "bad-message"), ("hello", {"type": "hello"}, {}, 400, "bad-message"),
                ("no room", {"type": "broadcast", "data": 1}, {}, 400, "bad-message"), ("no data", {"type": "broadcast", "room": "r"}, {}, 400, "bad-message"),
                ("no to", {**ok, "type": "signal"}, {}, 400, "bad-message"), ("room is no text", {**ok, "room": 1}, {}, 400, "bad-message"),
                ("twice", '{"type":"broadcast","room":"r","room":"r","data":1}', {}, 400, "bad-message"), ("unknown", {**ok, "type": "fly"}, {}, 400, "unknown-type"),
                ("other room", {**ok, "room": "s"}, {}, 404, "no-such-room"), ("long", {**ok, "data": "x" * 70000}, {}, 413, "too-large"),
                ("10 MB", b"x" * 10000000, {}, 413, "too-large"), ("form", "a=b", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "bad-message")]:
            with self.subTest(name):
                try:
                    self.refused(self.client()("POST", "/api/v1/messages", body, headers), status, code)
                except (BrokenPipeError, ConnectionResetError):
                    self.assertEqual(name, "10 MB")  # it did not wait for all of it
        self.assertEqual(a.get(after=1).json["messages"], [])
        self.assertEqual(self.api("POST", "/api/v1/messages", ok).json, {"delivered": 1})


SECRET = "a secret of the webhook"


def verify(request, secret=SECRET.encode()):
    """As the Standard Webhooks specification says."""
    content = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    mac = base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()
    assert request.headers["webhook-signature"] == f"v1,{mac}", request.headers
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 60


class Hooks(Case):
    def hooked(self, answer=None, args=(), **kwargs):
        self.receiver = Receiver(answer, **kwargs)
        self.addCleanup(self.receiver.close)
        return self.start(f"--webhook-url={self.receiver.url()}", f"--webhook-secret={SECRET}", *args)

    def deliveries(self, until, receiver=None):
        """(id, events) of each request, up to the one with an event of this type."""
        got = []
        while True:
            request = (receiver or self.receiver).take()
            verify(request)
            events = json.loads(request.body)
            got.append((request.headers["webhook-id"], events))
            if any(e["type"] == until for e in events):
                return got

    def events(self, until, receiver=None):
        return [e for _, events in self.deliveries(until, receiver) for e in events]

    def eventually(self, holds):
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def told(self, result):
        return metric(self.daemon, f'viaduct_signal_webhook_events_total{{result="{result}"}}')

    def attempts(self, result):
        return metric(self.daemon, f'viaduct_signal_webhook_attempts_total{{result="{result}"}}')

    def test_what_is_told(self):
        daemon = self.hooked(args=["--node=here"])
        a, b = self.session(), self.session()
        a.join("r\u00e4", name="A", meta={"k": 1})
        b.join("r\u00e4")
        b.post({"type": "bye"})
        self.api("DELETE", "/api/v1/rooms?room=" + quote("r\u00e4"))
        got = self.events("room-ended")
        room = {"room": "r\u00e4"}
        want = [{"type": "server-started", "node": "here"}, {"type": "room-created", **room, "members": 1},
                {"type": "member-joined", **room, "peer": a.peer, "name": "A", "meta": {"k": 1}, "members": 1},
                {"type": "member-joined", **room, "peer": b.peer, "name": None, "meta": None, "members": 2},
                {"type": "member-left", **room, "peer": b.peer, "reason": "bye", "members": 1},
                {"type": "member-left", **room, "peer": a.peer, "reason": "kicked", "members": 0},
                {"type": "room-ended", **room, "members": 0}]
        self.assertEqual([{k: v for k, v in e.items() if k not in ("seq", "at")} for e in got], want)
        self.assertEqual([e["seq"] for e in got], list(range(1, 8)))
        self.assertTrue(all(abs(e["at"] / 1000 - time.time()) < 60 for e in got))
        self.eventually(lambda: self.told("delivered") == 7)
        self.assertEqual(daemon.stop()[0], 0)
        self.assertEqual([e["type"] for e in self.events("server-stopping")], ["server-stopping"])

    def test_order_through_an_outage(self):
        """Down, then errors of every kind, then well: each event once, in order, under the id that it was tried with first."""
        broken = [b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 302 Go\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", b"rubbish\r\n\r\n"]
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        daemon = self.start(f"--webhook-url=http://127.0.0.1:{port}/hooks", f"--webhook-secret={SECRET}", "--max-message-rate=0")
        daemon.wait_line(" webhook-not-taken ")
        a = self.session()
        for i in range(150):
            a.join(f"r{i}")
            a.post({"type": "leave", "room": f"r{i}"})
        self.receiver = Receiver(lambda request, sock: broken.pop() if broken else ANSWER, port=port)
        self.addCleanup(self.receiver.close)
        ids, seen = [], []
        while len(seen) < 601:
            request = self.receiver.take()
            verify(request)
            ident = request.headers["webhook-id"]
            events = json.loads(request.body)
            if ids and ids[-1] == ident:
                self.assertEqual(events, seen[-len(events):])  # the same again
                continue
            ids.append(ident)
            seen += events
        self.assertEqual([e["seq"] for e in seen], list(range(1, 602)))
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual([e["room"] for e in seen if e["type"] == "room-created"], [f"r{i}" for i in range(150)])
        daemon.wait_line(" webhook-taken-again ")
        self.eventually(lambda: self.told("delivered") == 601)
        self.assertEqual((self.told("dropped"), metric(daemon, "viaduct_signal_webhook_waiting")), (0, 0))
        self.assertEqual([self.attempts(result) for result in ("refused", "broken")], [2, 1])
        self.assertGreaterEqual(self.attempts("unreachable"), 1)

    def test_a_delivery_that_is_tried_again_is_the_same(self):
        answers, joined = [b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n"] * 2, threading.Event()
        self.hooked(lambda request, sock: joined.wait(PATIENCE_S) and (answers.pop() if answers else ANSWER))
        first = self.receiver.take()
        self.session().join()  # goes with the next one
        joined.set()
        second = self.receiver.take()
        third = self.receiver.take()
        fourth = self.receiver.take()
        self.assertEqual([r.body for r in (second, third)], [first.body] * 2)
        self.assertEqual([r.headers["webhook-id"] for r in (second, third)], [first.headers["webhook-id"]] * 2)
        self.assertNotEqual(fourth.headers["webhook-id"], first.headers["webhook-id"])
        self.assertEqual([e["type"] for e in json.loads(fourth.body)], ["room-created", "member-joined"])

    def test_a_receiver_that_hangs_holds_up_nobody(self):
        self.hooked(lambda request, sock: self.receiver.released.wait(PATIENCE_S) and None, args=["--webhook-timeout=1"])
        a = self.session()
        self.receiver.take()
        for i in range(10):
            a.join(f"r{i}")
        self.assertEqual(len(self.api("GET", "/api/v1/rooms").json["rooms"]), 10)
        self.eventually(lambda: self.attempts("deadline") >= 1)

    def test_a_queue_that_is_full(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        self.start(f"--webhook-url=http://127.0.0.1:{port}/hooks", f"--webhook-secret={SECRET}", "--webhook-queue=5")
        a = self.session()
        for i in range(10):
            a.join(f"r{i}")
        self.eventually(lambda: self.told("dropped") == 16)
        self.receiver = Receiver(port=port)
        self.addCleanup(self.receiver.close)
        got = self.events("events-dropped")
        self.assertEqual([e["type"] for e in got], ["server-started", *["room-created", "member-joined"] * 2, "events-dropped"])
        self.assertEqual((got[-1]["count"], got[-1]["seq"]), (16, 22))

    def test_giving_up(self):
        self.hooked(lambda request, sock: ANSWER.replace(b"200 OK", b"400 No") if b"room-created" in request.body else ANSWER,
                    args=["--webhook-give-up=1"])
        self.events("server-started")
        a = self.session()
        a.join()
        self.daemon.wait_line(" webhook-given-up events=2$")
        got = self.deliveries("events-dropped")[-1][1]
        self.assertEqual([(e["type"], e["count"]) for e in got], [("events-dropped", 2)])

    def test_the_last_try(self):
        """What could not be told yet is, while the server stops."""
        answers = [b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"]
        daemon = self.hooked(lambda request, sock: answers.pop() if answers else ANSWER)
        self.receiver.take()
        status, took = daemon.stop()
        self.assertEqual(status, 0)
        self.assertEqual([e["type"] for e in self.events("server-stopping")], ["server-started", "server-stopping"])
        # And where nobody takes it, the end is not put off.
        daemon = self.hooked(lambda request, sock: self.receiver.released.wait(PATIENCE_S) and None)
        self.receiver.take()
        status, took = daemon.stop()
        self.assertEqual(status, 0)
        self.assertLess(took, 5)
        self.assertIn("webhook-lost events=2", "\n".join(daemon.lines))

    def test_over_tls(self):
        folder = self.folder()
        certificate = make_certificate(folder)
        good = Receiver(certificate=certificate)
        self.addCleanup(good.close)
        self.start(f"--webhook-url={good.url(host='localhost')}", f"--webhook-secret={SECRET}", f"--webhook-ca={certificate[0]}")
        self.assertEqual(self.events("server-started", good)[0]["type"], "server-started")
        self.start(f"--webhook-url={good.url(host='localhost')}", f"--webhook-secret={SECRET}")
        line = self.daemon.wait_line(" webhook-not-taken ")
        self.assertIn("certificate", line)
        self.eventually(lambda: self.attempts("tls") >= 1)
        self.assertTrue(good.requests.empty())

    def test_reload(self):
        first, second = Receiver(), Receiver()
        self.addCleanup(first.close)
        self.addCleanup(second.close)
        conf = self.folder() / "conf"
        conf.write_text("")
        self.start(f"--config={conf}")

        def reload(text):
            conf.write_text(text)
            self.daemon.process.send_signal(signal.SIGHUP)
            self.daemon.wait_line(" reloaded ")
        a = self.session()
        a.join("before")
        reload(f"webhook-url={first.url()}\nwebhook-secret={SECRET}\n")
        self.events("server-started", first)
        a.join("one")
        self.assertEqual({e["room"] for e in self.events("member-joined", first)}, {"one"})
        other = b"another secret, of 32 bytes, or so"
        reload(f"webhook-url={second.url()}\nwebhook-secret=whsec_{base64.b64encode(other).decode()}\n")
        a.join("two")
        request = second.take()
        verify(request, other)
        self.assertEqual({e["room"] for e in json.loads(request.body)}, {"two"})
        self.eventually(lambda: metric(self.daemon, "viaduct_signal_webhook_waiting") == 0)
        reload("")
        a.join("three")
        with self.assertRaises(queue.Empty):
            second.requests.get(timeout=0.2)
        self.assertTrue(first.requests.empty())

    def test_what_does_not_go_together(self):
        url, secret = "--webhook-url=http://127.0.0.1:1/", f"--webhook-secret={SECRET}"
        for args, says in [([url], "needs a webhook-secret"), ([secret], "webhook-url, which is missing"), (["--webhook-ca=x"], "which is missing"),
                           ([url, "--webhook-secret=short"], "a text of 16 to 512 bytes"), ([url, "--webhook-secret=whsec_AAAA"], "a text of 16 to 512"),
                           ([url, "--webhook-secret=whsec_" + "!" * 40], "a text of 16 to 512"), ([url, secret, "--webhook-ca=/none"], "webhook-ca /none is no file"),
                           (["--webhook-url=app.example.org", secret], "must be a URL like https"), (["--webhook-url=http://a:b@c/", secret], "no name and password")]:
            with self.subTest(says):
                status, _, err = run("--listen=127.0.0.1:0", *args)
                self.assertEqual(status, 2, err)
                self.assertIn(says, err)
                self.assertNotIn(SECRET, err)


GUIDE = SOURCE / "docs" / "server-api.md"


def matches(want, got):
    """Whether an answer is as the page shows it; "…" is any text."""
    if want == "…":
        return isinstance(got, (str, int))
    if isinstance(want, dict):
        return isinstance(got, dict) and want.keys() == got.keys() and all(matches(want[k], got[k]) for k in want)
    if isinstance(want, list):
        return isinstance(got, list) and len(want) == len(got) and all(map(matches, want, got))
    return want == got


class Guide(Case):
    """docs/server-api.md, as it stands there."""

    def test_every_example(self):
        page = GUIDE.read_text()
        examples = re.findall(r"^```sh\n(.*?)^```\n\n^```json\n(.*?)^```$", page, re.M | re.S)
        self.assertEqual(len(examples), len(re.findall(r"^```sh$", page, re.M)))
        self.start("--turn-uri=turn:192.0.2.7:3478?transport=udp", "--turn-secret=north", "--auth=jwt", f"--auth-secret={Tokens.TOKEN_SECRET}")
        token = self.api("POST", "/api/v1/tokens", {"rooms": ["tea & cake"]}).json["token"]
        ann, bob = self.session(hello={"token": token}), self.session(hello={"token": token})
        ann.join("tea & cake", name="Ann", meta={"camera": True})
        bob.join("tea & cake", name="Bob")
        variables = {**os.environ, "API": f"http://127.0.0.1:{self.daemon.ports['api']}", "KEY": KEY, "BOB": bob.peer}
        for command, answer in examples:
            with self.subTest(command):
                done = subprocess.run(["bash", "-euc", command], env=variables, capture_output=True, text=True, timeout=PATIENCE_S)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertTrue(matches(json.loads(answer), json.loads(done.stdout)), done.stdout)

    def test_the_configuration_starts(self):
        lines = re.search(r"^```ini\n(.*?)^```$", GUIDE.read_text(), re.M | re.S)[1]
        conf = self.folder() / "conf"
        conf.write_text(lines.replace("127.0.0.1:8081", "127.0.0.1:0").replace("https://shop.example.org", "http://127.0.0.1:1"))
        self.daemon = start(self, f"--config={conf}")
        self.assertEqual(self.client(key=re.search(r"api-key=shop:(\w+)", lines)[1])("GET", "/api/v1/rooms").status, 200)
        done = subprocess.run([SIGNALD, "--check-config", conf], capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_the_check_of_the_signature(self):
        made = {}
        exec(re.search(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.M | re.S)[1], made)  # pylint: disable=exec-used
        for secret in (SECRET, "whsec_" + base64.b64encode(b"x" * 24).decode()):
            receiver = Receiver()
            self.addCleanup(receiver.close)
            self.start(f"--webhook-url={receiver.url()}", f"--webhook-secret={secret}")
            request = receiver.take()
            self.assertTrue(made["is_genuine"](request.headers, request.body, secret))
            self.assertFalse(made["is_genuine"](request.headers, request.body + b" ", secret))
            self.assertFalse(made["is_genuine"](request.headers, request.body, secret[:-2] + "AA"))
            old = {**request.headers, "webhook-timestamp": str(int(time.time()) - 400)}
            self.assertFalse(made["is_genuine"](old, request.body, secret))


if __name__ == "__main__":
    unittest.main(verbosity=2)
