#!/usr/bin/python3
"""viaduct-signald in operation: reload, drain, limits of memory, metrics, logs."""
import asyncio
import json
import logging
import math
import re
import signal
import socket
import time
import unittest

import websockets

import signald_client
from signald_client import Client, http, start
from signald_http import MASK, UPGRADE, Events, Http, Polls, Session


def frame(payload):
    """A short text frame of a client."""
    return bytes([0x81, 0x80 | len(payload)]) + MASK + bytes(b ^ MASK[i % 4] for i, b in enumerate(payload))


class Async(unittest.IsolatedAsyncioTestCase):
    def start(self, *args, **kwargs):
        return start(self, *args, **kwargs)


class Reload(Async):
    def write(self, *lines):
        self.path.write_text("\n".join(lines) + "\n")

    def hang_up(self, pattern):
        self.daemon.process.send_signal(signal.SIGHUP)
        return self.daemon.wait_line(pattern)

    def begin(self, *lines):
        self.path = signald_client.folder(self) / "signald.conf"
        self.write(*lines)
        self.daemon = self.start(f"--config={self.path}")

    async def test_what_can_change_does_and_sessions_go_on(self):
        self.begin("max-message-size=2000", "turn-uri=turn:192.0.2.1", "turn-secret=old", "node=one", "origin=https://one.example")
        client = await Client.open(self.daemon)
        self.write("max-message-size=3000", "turn-uri=turn:192.0.2.2", "turn-uri=stun:192.0.2.3", "turn-secret=new", "node=two",
                   "origin=https://two.example", "resume-seconds=7", "max-rooms-per-session=1")
        self.hang_up(r" info signald reloaded ")
        await client.send(type="ice")
        urls = [url for server in (await client.take("ice-servers"))["iceServers"] for url in server["urls"]]
        self.assertEqual(sorted(urls), ["stun:192.0.2.3", "turn:192.0.2.2"])
        other = await Client.open(self.daemon, origin="https://two.example")
        self.assertEqual((other.welcome["node"], other.welcome["limits"]["messageSize"], other.welcome["limits"]["resumeSeconds"]), ("two", 3000, 7))
        with self.assertRaises(Exception):
            await Client.open(self.daemon, origin="https://one.example")
        await client.join("a")  # who was there before has the new limits too
        await client.send(type="join", room="b")
        await client.error("forbidden")
        await client.send_text(json.dumps({"type": "ping", "more": "x" * 2500}))
        await client.take("pong")

    async def test_a_bad_file_changes_nothing_and_its_line_is_named(self):
        self.begin("node=one")
        for line, word in [("max-session=3", "max-sessions"), ("origin=example.org", "origin"), ("turn-uri=turn:192.0.2.1", "turn-secret"),
                           ("max-sessions=-1", "max-sessions"), ("tls-listen=127.0.0.1:0", "cert")]:
            self.write("node=two", line)
            said = self.hang_up(r" error signald reload-refused ")
            self.assertIn(word, said)
            if word not in ("turn-secret", "cert"):  # what is wrong with several lines together has none
                self.assertIn("signald.conf:2", said)
            client = await Client.open(self.daemon)
            self.assertEqual(client.welcome["node"], "one")
            await client.close()
        self.path.unlink()
        self.assertIn("signald.conf", self.hang_up(r" error signald reload-refused "))
        self.assertEqual((await Client.open(self.daemon)).welcome["node"], "one")

    async def test_a_secret_is_not_said(self):
        self.begin("turn-secret=hush-hush")
        self.write("turn-secret=hush-hush", "turn-secret=")
        self.hang_up(r" error signald reload-refused ")
        self.assertNotIn("hush-hush", "\n".join(self.daemon.lines))

    async def test_what_needs_a_restart_is_named(self):
        self.begin("node=one", "max-connections=100")
        self.write("node=two", "max-connections=5000", "log-format=json", "listen=127.0.0.1:1")
        self.daemon.process.send_signal(signal.SIGHUP)
        self.daemon.wait_line(r" info signald reloaded ")
        notes = [line for line in self.daemon.lines if " warn signald configuration " in line]
        for name in ("max-connections", "log-format"):
            self.assertEqual(len([line for line in notes if f"{name} has changed" in line and "next start" in line]), 1, notes)
        self.assertEqual(len(notes), 2, notes)  # node has changed at once, and --listen stands before the file's
        self.assertEqual((await Client.open(self.daemon)).welcome["node"], "two")

    async def test_the_level_of_the_log(self):
        self.begin("node=one")
        await (await Client.open(self.daemon)).close()
        self.write("verbose")
        self.hang_up(r" info signald reloaded ")
        self.assertNotIn(" debug ", "\n".join(self.daemon.lines))
        client = await Client.open(self.daemon)
        self.daemon.wait_line(r" debug signald session-opened ")
        self.write("node=one")
        self.hang_up(r" info signald reloaded ")
        said = len(self.daemon.lines)
        await client.close()
        await (await Client.open(self.daemon)).close()
        self.hang_up(r" info signald reloaded ")
        self.assertEqual([line for line in self.daemon.lines[said:] if " debug " in line], [])


class Drain(Async):
    def drain(self, *args):
        self.daemon = self.start("--drain-url=https://other.example/", *args)

    def term(self, number=signal.SIGTERM):
        self.daemon.process.send_signal(number)

    async def test_over_every_transport(self):
        self.drain("--drain-timeout=600")
        socket_ = await Client.open(self.daemon)
        await socket_.join("r")
        sessions = [Session(self.daemon) for _ in range(3)]
        stream, long_, poll = Events(sessions[0], 0), Polls(sessions[1], 0, wait=50), Polls(sessions[2], 0)
        long_.http.begin("GET", "/v1/messages?after=0&wait=50", sessions[1].key)
        self.term()
        self.daemon.wait_line(r" draining seconds=600 sessions=4$")
        said = {"type": "drain", "seconds": 600, "url": "https://other.example/"}
        self.assertLessEqual(said.items(), (await socket_.take("drain")).items())
        self.assertLessEqual(said.items(), long_.http.finish().json["messages"][0].items())
        for reader in (stream, poll):
            self.assertLessEqual(said.items(), reader.take().items())
        for listener in ("http", "metrics"):
            answer = http(self.daemon, "/readyz", listener=listener)
            self.assertEqual((answer.status, answer.body), (503, b"draining\n"))
            self.assertEqual(http(self.daemon, "/healthz", listener=listener).status, 200)
        # No new ones.
        reply = Http(self.daemon).request("POST", "/v1/session", {"type": "hello"})
        self.assertEqual((reply.status, reply.json["code"], reply.headers["retry-after"]), (503, "draining", "5"))
        new = await Client.connect(self.daemon)
        await new.send(type="hello")
        await new.error("draining")
        self.assertEqual(await new.closed(), 1001)
        for path in ("/peerjs/peerjs?key=peerjs&id=a&token=t", "/ayame"):
            with self.assertRaises(websockets.InvalidStatusCode) as refused:
                await signald_client.soon(websockets.connect(f"ws://localhost:{self.daemon.ports['http']}{path}"))
            self.assertEqual((refused.exception.status_code, refused.exception.headers["retry-after"]), (503, "5"))
        # Those that there are go on, and come back.
        sessions[2].join("r")
        await socket_.take("peer-joined")
        again = await Client.open(self.daemon, resume=socket_.resume(socket_.seq))
        self.assertTrue(again.welcome["resumed"])
        self.assertEqual(await socket_.closed(), 4001)
        # The last one switches off the light.
        await again.send(type="bye")
        for session in sessions:
            self.assertIsNone(self.daemon.process.poll())
            session.post({"type": "bye"})
        self.assertEqual(self.daemon.process.wait(signald_client.PATIENCE_S), 0)

    async def test_the_deadline(self):
        self.drain("--drain-timeout=1")
        client, stream = await Client.open(self.daemon), Events(Session(self.daemon), 0)
        self.term()
        self.assertEqual((await client.take("drain"))["seconds"], 1)
        self.assertEqual((await client.take("drain"))["seconds"], 0)
        self.assertEqual(await client.closed(), 1001)
        self.assertEqual([stream.take()["type"] for _ in range(2)], ["drain"] * 2)
        self.assertEqual(self.daemon.process.wait(signald_client.PATIENCE_S), 0)

    async def test_nobody_there(self):
        self.drain("--drain-timeout=600")
        self.assertEqual(self.daemon.stop()[0], 0)

    async def test_asked_twice(self):
        for second in (signal.SIGTERM, signal.SIGINT):
            self.drain("--drain-timeout=600")
            client = await Client.open(self.daemon)
            self.term()
            await client.take("drain")
            ended = asyncio.get_running_loop().run_in_executor(None, self.daemon.process.wait, signald_client.PATIENCE_S)
            while not ended.done():  # one that comes at once is the echo of the first
                self.term(second)
                await asyncio.wait([ended], timeout=0.1)
            self.assertEqual(await ended, 0)
            self.assertEqual(await client.closed(), 1001)

    async def test_ctrl_c_and_no_timeout_are_quick(self):
        for number, seconds in ((signal.SIGINT, 600), (signal.SIGTERM, 0)):
            self.drain(f"--drain-timeout={seconds}")
            client = await Client.open(self.daemon)
            self.term(number)
            self.assertEqual((await client.take("drain"))["seconds"], 0)
            self.assertEqual(await client.closed(), 1001)
            self.assertEqual(self.daemon.process.wait(signald_client.PATIENCE_S), 0)

    def test_bad_urls(self):
        for url in ("ftp://x/", "https://", "https://a b/", "other.example", "https://u@x/", "https://x/\x01"):
            status, _, said = signald_client.run("--listen=127.0.0.1:0", f"--drain-url={url}")
            self.assertEqual(status, 2, url)
            self.assertIn("drain-url", said)


class Page:
    """Prometheus' text (version 0.0.4), read as strictly as promtool does; `value` of a series by its name and labels."""

    SERIES = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\n]|\\\\["\\\\n])*",?)*)\})? (\d+(?:\.\d+)?)')

    def __init__(self, text):
        assert text.endswith("\n")
        self.values, self.types, helped, family = {}, {}, None, None
        for line in text[:-1].split("\n"):
            if line.startswith("# HELP "):
                helped = line.split(" ", 3)[2]
                assert helped not in self.types and line.split(" ", 3)[3], line
            elif line.startswith("# TYPE "):
                _, _, family, kind = line.split(" ")
                assert family == helped and kind in ("counter", "gauge", "histogram"), line
                assert (kind == "counter") == family.endswith("_total"), line
                self.types[family] = kind
            else:
                found = self.SERIES.fullmatch(line)
                assert found, line
                name = re.sub(r"_(bucket|sum|count)$", "", found[1]) if self.types[family] == "histogram" else found[1]
                assert name == family, f"{line} stands under {family}"
                key = found[1] + "{" + (found[2] or "") + "}"
                assert key not in self.values, f"twice: {line}"
                self.values[key] = float(found[3])
        for family, kind in self.types.items():
            if kind == "histogram":
                self.check_histogram(family)

    def check_histogram(self, family):
        runs = {}
        for key, value in self.values.items():
            found = re.fullmatch(family + r'_bucket\{(.*),le="(.*)"\}', key)
            if found:
                runs.setdefault(found[1], []).append((float(found[2]), value))
        assert runs
        for labels, run in runs.items():
            assert run == sorted(run) and [v for _, v in run] == sorted(v for _, v in run), run
            assert run[-1][0] == math.inf and run[-1][1] == self.values[f"{family}_count{{{labels}}}"], run
            assert f"{family}_sum{{{labels}}}" in self.values

    def __call__(self, name, **labels):
        return self.values[name + "{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}"]


class Metrics(Async):
    def page(self):
        answer = http(self.daemon, "/metrics", listener="metrics")
        self.assertEqual(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        return Page(answer.body.decode())

    async def test_a_page_after_a_bit_of_everything(self):
        self.daemon = self.start("--max-sessions-per-address=6", "--origin=https://one.example")
        self.page()
        a = await Client.open(self.daemon)
        sessions = [Session(self.daemon) for _ in range(4)]
        stream, long_ = Events(sessions[0], 0), Http(self.daemon)
        long_.begin("GET", "/v1/messages?after=0&wait=50", sessions[1].key)
        await a.join("r")
        for session in sessions[:3]:
            session.join("r")
        self.assertEqual(stream.take()["type"], "joined")
        for _ in range(3):
            await a.take("peer-joined")
        self.assertEqual(long_.finish().status, 200)
        long_.begin("GET", "/v1/messages?after=2&wait=50", sessions[1].key)
        await a.send(type="ack", seq=a.seq)
        await a.quiet()
        await Client.open(self.daemon)
        self.assertEqual(Http(self.daemon).request("POST", "/v1/session", {"type": "hello"}).status, 503)
        self.assertEqual(Http(self.daemon).request("POST", "/v1/session", {"type": "hello"}, headers=[("Origin", "https://x.example")]).status, 403)
        while True:  # a long poll is one of these once its request was read
            page = self.page()
            if page("viaduct_signal_sessions_by_transport", transport="longpoll") == 1:
                break
        sessions_by = {t: page("viaduct_signal_sessions_by_transport", transport=t) for t in ("websocket", "sse", "longpoll", "poll", "none")}
        self.assertEqual(sessions_by, {"websocket": 2, "sse": 1, "longpoll": 1, "poll": 0, "none": 2})
        self.assertEqual(sum(sessions_by.values()), page("viaduct_signal_sessions"))
        self.assertEqual(page("viaduct_signal_latency_seconds_count", transport="websocket"), 4)
        self.assertGreaterEqual(page("viaduct_signal_latency_seconds_count", transport="sse"), 1)
        self.assertGreaterEqual(page("viaduct_signal_latency_seconds_count", transport="longpoll"), 1)
        self.assertLess(page("viaduct_signal_latency_seconds_sum", transport="websocket"), 10)
        self.assertEqual(page("viaduct_signal_outbox_depth_sessions", messages="+Inf"), 6)
        self.assertEqual(page("viaduct_signal_outbox_depth_sessions", messages="0"), 4)  # but for the first of them and the third
        self.assertGreaterEqual(page("viaduct_signal_outbox_deepest_messages"), 3)
        self.assertGreater(page("viaduct_signal_outbox_deepest_bytes"), 100)
        self.assertEqual(page("viaduct_signal_refused_total", reason="max-sessions-per-address"), 1)
        self.assertEqual(page("viaduct_signal_refused_total", reason="origin"), 1)
        self.assertEqual(page("viaduct_signal_draining"), 0)
        self.daemon.process.send_signal(signal.SIGTERM)

    async def test_a_message_that_waits_is_late(self):
        self.daemon = self.start("--drain-timeout=60")
        session = Session(self.daemon)
        session.join("r")
        slow = Page(http(self.daemon, "/metrics", listener="metrics").body.decode())
        begin = time.monotonic()
        while time.monotonic() - begin < 0.11:  # what it waits is what is measured
            http(self.daemon, "/healthz")
        session.get()
        page = self.page()
        self.assertEqual(slow("viaduct_signal_latency_seconds_count", transport="poll"), 0)
        self.assertEqual(page("viaduct_signal_latency_seconds_count", transport="poll"), 1)
        self.assertEqual(page("viaduct_signal_latency_seconds_bucket", transport="poll", le="0.100000"), 0)
        self.assertGreater(page("viaduct_signal_latency_seconds_sum", transport="poll"), 0.1)
        session.post({"type": "bye"})


class Limits(Async):
    def begin_body(self, length, source="127.0.0.1", sent=b"{"):
        sock = socket.create_connection(("127.0.0.1", self.daemon.ports["http"]), timeout=signald_client.PATIENCE_S, source_address=(source, 0))
        self.addCleanup(sock.close)
        sock.sendall(b"POST /v1/session HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % length)
        answer = sock.recv(4096)
        if b" 100 " in answer.split(b"\r\n")[0]:
            sock.sendall(sent)
            return sock, answer
        more = sock.recv(4096)
        while more:
            answer += more
            more = sock.recv(4096)
        return sock, answer

    def test_bodies_of_one_address(self):
        self.daemon = start(self, "--max-address-bodies=300000", "--max-body-size=200000")
        first, answer = self.begin_body(200000)
        self.assertIn(b" 100 ", answer)
        _, answer = self.begin_body(100001)
        self.assertIn(b"HTTP/1.1 503 ", answer)
        self.assertIn(b"retry-after: 1", answer.lower())
        self.assertIn(b"server-full", answer)
        self.assertIn(b" 100 ", self.begin_body(100000)[1])
        self.assertIn(b" 100 ", self.begin_body(200000, source="127.0.0.2")[1])  # another address has its own
        self.assertEqual(Http(self.daemon, "127.0.0.3").request("POST", "/v1/session", {"type": "hello"}).status, 201)
        first.close()  # and what is given up can be had again
        while b" 100 " not in self.begin_body(200000)[1]:
            pass
        self.assertGreaterEqual(signald_client.metric(self.daemon, 'viaduct_signal_bodies_refused_total{bound="address"}'), 1)

    def test_a_body_is_always_possible(self):
        self.daemon = start(self, "--max-address-bodies=1", "--max-body-size=200000")
        self.assertEqual(Http(self.daemon).request("POST", "/v1/session", {"type": "hello", "client": "x" * 100000}).status, 413)
        self.assertEqual(Http(self.daemon).request("POST", "/v1/session", {"type": "hello"}).status, 201)

    def test_lifted(self):
        self.daemon = start(self, "--max-address-bodies=0", "--header-timeout=0", "--body-timeout=0", "--max-body-size=16000000")
        for _ in range(5):
            self.assertIn(b" 100 ", self.begin_body(16000000)[1])

    def test_slow_heads_and_bodies(self):
        self.daemon = start(self, "--header-timeout=1", "--body-timeout=1")
        head = socket.create_connection(("127.0.0.1", self.daemon.ports["http"]), timeout=signald_client.PATIENCE_S)
        self.addCleanup(head.close)
        head.sendall(b"GET / HTTP/1.1\r\nHost:")
        body, _ = self.begin_body(1000)
        for sock in (head, body):
            try:
                self.assertEqual(sock.recv(4096), b"")
            except ConnectionResetError:
                pass
        self.assertEqual(signald_client.metric(self.daemon, "viaduct_signal_connections_cut_total"), 2)

    async def test_unique_names(self):
        for args, answers in ([], ("joined", "joined")), (["--unique-names"], ("joined", "error")):
            self.daemon = self.start(*args)
            for kind in answers:
                client = await Client.open(self.daemon)
                await client.send(type="join", room="r", name="Ada")
                said = await client.take(kind)
                self.assertEqual(said.get("code"), "name-taken" if kind == "error" else None)


class Memory(unittest.TestCase):
    READERS, OUTBOX = 1000, 32768

    def test_a_thousand_that_never_read_cost_at_most_their_outboxes(self):
        daemon = start(self, f"--max-outbox-bytes={self.OUTBOX}", "--max-sessions-per-address=0", "--max-connections-per-address=0",
                       "--max-message-rate=0", "--max-byte-rate=0", "--max-address-message-rate=0", "--max-address-byte-rate=0",
                       "--max-rooms-per-session=0", "--ping-interval=300")
        sender, sockets = Session(daemon), []
        for i in range(self.READERS):  # a room with each: bodies that nobody shares
            sock = socket.socket()
            self.addCleanup(sock.close)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", daemon.ports["http"]))
            sock.settimeout(signald_client.PATIENCE_S)
            sock.sendall(UPGRADE.encode() + frame(b'{"type":"hello"}') + frame(b'{"type":"join","room":"%d"}' % i))
            sockets.append(sock)
        after = 0
        for i in range(0, self.READERS, 100):
            rooms = [{"type": "join", "room": str(room)} for room in range(i, i + 100)]
            while rooms:  # those whose reader was not heard yet are empty: out again, and once more
                sender.post(*rooms)
                seen = sender.get(after).json
                after = seen["last"]
                empty = [m["room"] for m in seen["messages"] if m["type"] == "joined" and not m["peers"]]
                if empty:
                    sender.post(*({"type": "leave", "room": room} for room in empty), {"type": "ping"})
                rooms = [{"type": "join", "room": room} for room in empty]
        before = most = daemon.resident_kb()
        for _ in range(24):  # 96 KB to each: three times its outbox
            for i in range(0, self.READERS, 50):
                sender.http.request("POST", "/v1/messages", [{"type": "broadcast", "room": str(room), "data": "x" * 4000} for room in range(i, i + 50)],
                                    key=sender.key)
                after = sender.get(after).json["last"]
            most = max(most, daemon.resident_kb())
        cost = (most - before) / self.READERS
        # Each its outbox, and what its socket did not take of the frame that was being written.
        self.assertLess(cost, (self.OUTBOX + 8192) / 1024)
        self.assertGreater(cost, self.OUTBOX / 1024 / 4, "it did not come near its bound")
        self.assertGreater(signald_client.metric(daemon, 'viaduct_signal_sessions_ended_total{reason="outbox-overflow"}'), self.READERS * 0.9)
        sender.post({"type": "ping"})


if __name__ == "__main__":
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    unittest.main(warnings="ignore")
