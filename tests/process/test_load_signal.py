#!/usr/bin/python3
"""viaduct-load signal against viaduct-signald over each transport, and as PeerJS clients against a server that loses, repeats, swaps,
damages and misroutes."""

import asyncio
import contextlib
import http
import json
import socket
import subprocess
import threading
import unittest
import urllib.parse

import websockets
from signald_client import PATIENCE_S, SIGNALD, Signald

LOAD = SIGNALD.parent / "viaduct-load"
LIFTED = [f"--max-{name}=0" for name in ("message-rate", "byte-rate", "address-message-rate", "address-byte-rate", "sessions-per-address",
                                         "connections-per-address")]  # fmt: skip


def run(*args):
    done = subprocess.run([LOAD, "signal", *map(str, args)], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


class Loads(unittest.TestCase):
    def load(self, *args, status=0):
        code, out, err = run("-j", "-t", 1, *args)
        self.assertEqual((code, err), (status, ""), out)
        return json.loads(out)

    def check(self, result, least):
        self.assertGreaterEqual(result["sent"], least)
        self.assertEqual(result["received"], result["sent"])
        keys = ("lost", "duplicates", "reordered", "damaged", "misrouted", "refused", "closed", "wrong")
        self.assertEqual([result[k] for k in keys], [0] * 7 + [None])
        self.assertEqual(result["latency_ns"]["count"], result["received"])


class Transports(Loads):
    @classmethod
    def setUpClass(cls):
        cls.signald = Signald("--listen=127.0.0.1:0", "--web-root=none", *LIFTED)
        cls.addClassCleanup(cls.signald.close)
        cls.signald.wait_line(" ready ")
        cls.url = f"http://127.0.0.1:{cls.signald.ports['http']}"

    def test_each_transport(self):
        for transport in ("websocket", "sse", "longpoll", "poll"):
            for more in (("-b", 777), ("--call",)):
                with self.subTest(transport=transport, more=more):
                    result = self.load("-T", transport, "-n", 4, "-r", 200, "--poll-ms", 100, "--pid", self.signald.process.pid, *more, self.url)
                    self.check(result, 150)
                    self.assertEqual((result["transport"], result["clients"], result["entered"]), (transport, 8, 8))
                    self.assertGreater(result["server_ns"], 0)
                    wire = result["wire"]
                    self.assertGreater(wire["bytes_in"], 150 * (777 if more[0] == "-b" else 200))
                    self.assertGreater(wire["packets_in"], 0)
                    self.assertEqual(wire["requests"] > 0, transport != "websocket")

    def test_flat_out(self):
        self.check(self.load("-n", 2, "-r", 0, self.url), 100)

    def test_coming_and_going(self):
        for transport in ("websocket", "longpoll"):
            with self.subTest(transport=transport):
                result = self.load("-w", "churn", "-T", transport, "--at-a-time", 4, "--sources", 3, self.url)
                self.assertGreater(result["left"], 10)
                self.assertEqual(result["wrong"], None)

    def test_idle(self):
        result = self.load("-w", "idle", "-n", 5, "--heartbeat-ms", 100, self.url)
        self.assertGreaterEqual(result["heartbeats"], 80)
        self.assertEqual(result["wrong"], None)

    def test_clients_that_do_not_read(self):
        """Theirs are given back, and nobody else notices."""
        result = self.load("-n", 2, "-r", 100, "--slow", 1, "--slow-rate", 400, self.url)
        self.check(result, 80)
        self.assertGreater(result["slow"]["sent"], 300)
        self.assertGreater(result["slow"]["refused"], 0)

    def test_people_s_words(self):
        code, out, err = run("-n", 1, "-r", 50, "-t", 1, self.url)
        self.assertEqual((code, err), (0, ""))
        for words in ("0 lost", "p99.9", "of a core", "packets in"):
            self.assertIn(words, out)


class PeerServer:
    """A server of PeerJS's protocol that does with each message what `fault` says: a list of (receiver's id, text)."""

    def __init__(self, fault):
        self.fault, self.clients, self.count, self.held = fault, {}, 0, None
        self.ready, self.loop = threading.Event(), asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self.serve(),), daemon=True)
        self.thread.start()
        assert self.ready.wait(PATIENCE_S)

    async def serve(self):
        self.done = asyncio.Event()
        async with websockets.serve(self.meet, "127.0.0.1", 0, compression=None, process_request=self.look) as server:
            self.url = "ws://127.0.0.1:%d/peerjs" % server.sockets[0].getsockname()[1]
            self.ready.set()
            await self.done.wait()

    async def look(self, path, _headers):
        return None if path.startswith("/peerjs/peerjs?") else (http.HTTPStatus.NOT_FOUND, [], b"not here")

    async def meet(self, connection, path):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)
        me = query["id"][0]
        self.clients[me] = connection
        await connection.send('{"type":"OPEN"}')
        with contextlib.suppress(websockets.ConnectionClosed):
            await self.relay(me, connection)

    async def relay(self, me, connection):
        async for text in connection:
            message = json.loads(text)
            if "dst" not in message:
                continue
            self.count += 1
            sent = json.dumps({"type": message["type"], "src": me, **{k: message[k] for k in ("dst", "payload")}}, separators=(",", ":"))
            for to, what in self.fault(self, message["dst"], sent):
                await self.clients[to].send(what)

    def close(self):
        self.loop.call_soon_threadsafe(self.done.set)
        self.thread.join(PATIENCE_S)
        self.loop.close()


class Faults(Loads):
    def against(self, fault, *more, status=1):
        server = PeerServer(fault)
        self.addCleanup(server.close)
        return self.load("-p", "peerjs", "-n", 2, "-r", 200, *more, server.url, status=status)

    def test_none(self):
        self.check(self.against(lambda server, to, text: [(to, text)], status=0), 150)

    def test_loss(self):
        result = self.against(lambda server, to, text: [(to, text)] if server.count != 50 else [])
        self.assertEqual((result["wrong"], result["lost"]), ("loss", 1))

    def test_repetition(self):
        result = self.against(lambda server, to, text: [(to, text)] * (2 if server.count == 50 else 1))
        self.assertEqual((result["wrong"], result["duplicates"]), ("duplicates", 1))

    def test_another_order(self):
        """The fiftieth waits for the next one to the same client."""
        def fault(server, to, text):
            if server.count == 50:
                server.held = to, text
                return []
            if server.held and server.held[0] == to:
                held, server.held = server.held, None
                return [(to, text), held]
            return [(to, text)]

        result = self.against(fault)
        self.assertEqual((result["wrong"], result["reordered"]), ("reordered", 1))

    def test_damage(self):
        result = self.against(lambda server, to, text: [(to, text.replace("XYZ", "XyZ") if server.count == 50 else text)])
        self.assertEqual((result["wrong"], result["damaged"]), ("damaged", 1))

    def test_somebody_else_s(self):
        def fault(server, to, text):
            other = next(who for who in server.clients if who != to)
            return [(other if server.count == 50 else to, text)]

        result = self.against(fault)
        self.assertEqual((result["wrong"], result["misrouted"]), ("misrouted", 1))

    def test_a_wrong_sender(self):
        def fault(server, to, text):
            return [(to, text.replace('"src":"load', '"src":"lord') if server.count == 50 else text)]

        result = self.against(fault)
        self.assertEqual((result["wrong"], result["misrouted"]), ("misrouted", 1))

    def test_a_message_that_is_given_back(self):
        def fault(server, to, text):
            return [(to, text)] + ([(to, '{"type":"EXPIRE","src":"x"}')] if server.count == 50 else [])

        result = self.against(fault)
        self.assertEqual((result["wrong"], result["refused"]), ("refused", 1))
        self.assertIn("EXPIRE", result["trouble"])

    def test_what_is_no_server_of_the_protocol(self):
        server = PeerServer(lambda server, to, text: [])
        self.addCleanup(server.close)
        code, out, err = run("-p", "peerjs", "-n", 1, "-t", 1, server.url.replace("/peerjs", "/other"))
        self.assertEqual((code, out), (3, ""))
        self.assertIn("404", err)


class Usage(unittest.TestCase):
    def test_wrong_words(self):
        for args, words in (
            (["-T", "udp"], "websocket, sse, longpoll or poll"),
            (["-p", "smtp"], "viaduct or peerjs"),
            (["-w", "sleep"], "relay, idle or churn"),
            (["https://127.0.0.1"], "behind the proxy"),
            (["-b", "10"], "64 to 60000"),
            (["-p", "peerjs", "-T", "sse"], "PeerJS clients have one transport"),
            (["--sources", "3", "http://[::1]:8080"], "127.0.0.1"),
            (["-w", "idle", "--slow", "1"], "--work relay"),
        ):
            code, out, err = run(*args)
            self.assertEqual((code, out), (2, ""), args)
            self.assertIn(words, err)
            self.assertEqual(err.count("\n"), 1)

    def test_help(self):
        code, out, _ = run("--help")
        self.assertEqual(code, 0)
        self.assertIn("--transport websocket|sse|longpoll|poll", out)
        self.assertIn(".TH", run("--man")[1])

    def test_nobody_there(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # and no listen
            code, _, err = run("http://127.0.0.1:%d" % closed.getsockname()[1])
        self.assertEqual(code, 3)
        self.assertIn("refused", err)


if __name__ == "__main__":
    unittest.main()
