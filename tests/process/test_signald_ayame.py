"""viaduct-signald and clients of Ayame: the paths, the sockets and the options; the protocol itself is in tests/unit/signal/test_ayame.c."""
import asyncio
import http.client
import json
import pathlib
import signal
import tempfile
import unittest

import websockets

import signald_client
from signald_client import soon, start

REGISTER = {"type": "register", "roomId": "tea"}


class Ayame:
    """One socket of an Ayame client; pings are answered and passed over."""

    opened = []  # of the test that runs

    def __init__(self, socket):
        self.socket, self.pings = socket, 0
        self.opened.append(socket)

    @classmethod
    async def connect(cls, daemon, path="/ayame", **kwargs):
        kwargs.setdefault("ping_interval", None)
        return cls(await soon(websockets.connect(f"ws://localhost:{daemon.ports['http']}{path}", max_size=None, **kwargs)))

    @classmethod
    async def register(cls, daemon, connect=None, **more):
        client = await cls.connect(daemon, **(connect or {}))
        await client.send(**{**REGISTER, **more})
        return client

    async def send(self, **message):
        await self.send_text(json.dumps(message))

    async def send_text(self, text):
        await soon(self.socket.send(text))

    async def take_text(self):
        while True:
            text = await soon(self.socket.recv())
            if json.loads(text) != {"type": "ping"}:
                return text
            self.pings += 1
            await self.send(type="pong")

    async def take(self, **expected):
        message = json.loads(await self.take_text())
        assert {key: message.get(key) for key in expected} == expected, f"{expected} was expected, not {message}"
        return message

    async def closed(self):
        try:
            while True:
                text = await soon(self.socket.recv())
                assert json.loads(text) == {"type": "ping"}, text
        except websockets.ConnectionClosed:
            return self.socket.close_code


async def pair(daemon, **more):
    ada = await Ayame.register(daemon, **more)
    await ada.take(type="accept", isExistClient=False, isExistUser=False)
    ben = await Ayame.register(daemon, **more)
    await ben.take(type="accept", isExistClient=True, isExistUser=True)
    return ada, ben


def get(daemon, path, face="http", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", daemon.ports[face], timeout=signald_client.PATIENCE_S)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


class Case(unittest.IsolatedAsyncioTestCase):
    async def asyncTearDown(self):
        await asyncio.gather(*[socket.close() for socket in Ayame.opened])
        Ayame.opened.clear()


class Calls(Case):
    @classmethod
    def setUpClass(cls):
        cls.daemon = start(cls, "--turn-uri=turn:192.0.2.7:3478", "--turn-secret=0123456789abcdef0123456789abcdef")

    @classmethod
    def addCleanup(cls, *args):  # of the class: one daemon for all
        cls.addClassCleanup(*args)

    async def test_a_call(self):
        ada = await Ayame.register(self.daemon, clientId="ada", roomId="call")
        accept = await ada.take(type="accept", isExistClient=False)
        self.assertEqual(accept["iceServers"][0]["urls"], ["turn:192.0.2.7:3478"])
        self.assertTrue(accept["iceServers"][0]["username"].endswith(":" + accept["connectionId"]))
        ben = await Ayame.register(self.daemon, roomId="call")
        await ben.take(type="accept", isExistClient=True)
        texts = ['{ "type":"offer" , "sdp":"v=0\\r\\n\u00e9\\u00e9" }', json.dumps({"type": "candidate", "ice": {"candidate": "x" * 60000}})]
        for text in texts:
            await ben.send_text(text)
            self.assertEqual(await ada.take_text(), text)
        await soon(ada.socket.send(b'{"type":"answer","sdp":"in a binary frame"}'))
        self.assertEqual(await ben.take_text(), '{"type":"answer","sdp":"in a binary frame"}')
        await soon(ada.socket.close())
        await ben.take(type="bye")
        self.assertEqual(await ben.closed(), 1000)

    async def test_two_in_a_room(self):
        ada, ben = await pair(self.daemon, roomId="full")
        cleo = await Ayame.register(self.daemon, roomId="full")
        await cleo.take(type="reject", reason="full")
        self.assertEqual(await cleo.closed(), 1000)
        await ada.send(type="offer", sdp="")
        await ben.take(type="offer")
        ada.socket.transport.abort()  # as when the network is gone
        await ben.take(type="bye")

    async def test_rooms_of_others(self):
        other = await signald_client.Client.open(self.daemon)
        self.addAsyncCleanup(other.close)
        await other.join("tea")
        ada, _ = await pair(self.daemon)
        await ada.send(type="offer", sdp="")
        await other.quiet()

    async def test_what_is_wrong(self):
        for text, code in [("nonsense", 1008), ('{"type":"offer"}', 1008), ('{"type":"hello"}', 1008), (json.dumps({"type": "offer", "sdp": "x" * 70000}), 1009)]:
            ada = await Ayame.connect(self.daemon)
            await ada.send_text(text)
            self.assertEqual(await ada.closed(), code, text[:40])
        ada = await Ayame.register(self.daemon, roomId="")
        await ada.take(type="reject", reason="bad register")
        self.assertEqual(await ada.closed(), 1008)

    async def test_path(self):
        self.assertEqual(get(self.daemon, "/ayame")[0], 426)
        self.assertEqual(get(self.daemon, "/ayame/")[0], 426)
        self.assertEqual(get(self.daemon, "/ayame/more")[0], 404)
        ada = await Ayame.register(self.daemon, connect={"path": "/ayame/?room=x"}, roomId="path")
        await ada.take(type="accept")

    async def test_origin(self):
        port = self.daemon.ports["http"]
        ada = await Ayame.register(self.daemon, connect={"origin": f"http://localhost:{port}"}, roomId="origin")
        await ada.take(type="accept")
        with self.assertRaises(websockets.InvalidStatusCode) as refused:
            await Ayame.connect(self.daemon, origin="https://elsewhere.example")
        self.assertEqual(refused.exception.status_code, 403)

    async def test_metrics(self):
        await pair(self.daemon, roomId="metrics")
        text = get(self.daemon, "/metrics", face="metrics")[1]
        for name in ["sockets", "clients", "rooms", "accepted_total"]:
            self.assertRegex(text, rf"\nviaduct_ayame_{name} [1-9]")
        self.assertIn('viaduct_ayame_refused_total{reason="full"}', text)


class Options(Case):
    async def test_signaling_key(self):
        daemon = start(self, "--ayame-signaling-key=s3cret", "--verbose")
        for more in [{}, {"signalingKey": "other"}, {"key": "s3cret", "signalingKey": "other"}]:
            ada = await Ayame.register(daemon, **more)
            await ada.take(type="reject", reason="wrong signalingKey")
            self.assertEqual(await ada.closed(), 1008)
        await pair(daemon, key="s3cret")
        daemon.stop()
        self.assertIn("wrong signalingKey", "\n".join(daemon.lines))
        self.assertNotIn("s3cret", "\n".join(daemon.lines))

    async def test_another_path_and_other_origins(self):
        daemon = start(self, "--ayame-path=/signaling/", "--ayame-origin=https://*.example.org", "--origin=https://no.example")
        ada = await Ayame.register(daemon, connect={"path": "/signaling", "origin": "https://call.example.org"})
        await ada.take(type="accept")
        self.assertEqual(get(daemon, "/ayame")[0], 404)
        for origin in ["https://no.example", f"http://localhost:{daemon.ports['http']}"]:
            with self.assertRaises(websockets.InvalidStatusCode):
                await Ayame.connect(daemon, path="/signaling", origin=origin)

    async def test_off(self):
        self.assertEqual(get(start(self, "--ayame-path=none"), "/ayame")[0], 404)

    async def test_no_way_around_tokens(self):
        secret = ["--auth=jwt", "--auth-secret=0123456789abcdef0123456789abcdef"]
        if "--auth-secret" not in signald_client.run("--help")[1].split():
            self.skipTest("there are no tokens yet")
        self.assertEqual(get(start(self, *secret), "/ayame")[0], 404)
        await pair(start(self, *secret, "--ayame-signaling-key=k"), signalingKey="k")

    async def test_pong_timeout(self):
        daemon = start(self, "--ayame-pong-timeout=1")
        ada, ben = await pair(daemon)
        code, _ = await soon(asyncio.gather(ada.closed(), ben.take(type="bye")))  # not for the 60 seconds that are usual
        self.assertEqual(code, 1008)  # it heard pings, and said nothing
        self.assertGreater(ben.pings, 0)
        self.assertIn('viaduct_ayame_refused_total{reason="no-pong"} 1', get(daemon, "/metrics", face="metrics")[1])

    async def test_limits(self):
        daemon = start(self, "--max-message-rate=5", "--hello-timeout=1", "--max-sessions=3", "--max-connections-per-address=4")
        ada, ben = await pair(daemon)
        idle = await Ayame.connect(daemon)
        self.assertEqual(await idle.closed(), 1008)
        await (await Ayame.register(daemon, roomId="third")).take(type="accept")
        fourth = await Ayame.register(daemon, roomId="fourth")
        await fourth.take(type="reject", reason="server full")
        self.assertEqual(await fourth.closed(), 1013)
        more = await Ayame.connect(daemon)
        with self.assertRaises(websockets.InvalidStatusCode) as refused:
            await Ayame.connect(daemon)
        self.assertEqual(refused.exception.status_code, 429)
        await soon(more.socket.close())
        with self.assertRaises(websockets.ConnectionClosed):
            for _ in range(10000):
                await ada.send_text('{"type":"candidate"}')
                await asyncio.sleep(0)
        self.assertEqual(ada.socket.close_code, 1008)
        while json.loads(await ben.take_text())["type"] != "bye":
            pass

    async def test_slow_reader(self):
        daemon = start(self, "--max-outbox-bytes=100000", "--max-message-rate=0", "--max-byte-rate=0")
        ada, ben = await pair(daemon)
        ben.socket.transport.pause_reading()
        text = json.dumps({"type": "candidate", "ice": "x" * 60000})
        with self.assertRaises(websockets.ConnectionClosed):
            for _ in range(1000):  # its kernel buffers take some
                await ada.send_text(text)
                await asyncio.sleep(0)
        self.assertEqual(ada.socket.close_code, 1000)
        ben.socket.transport.abort()
        self.assertIn('viaduct_ayame_refused_total{reason="slow-reader"} 1', get(daemon, "/metrics", face="metrics")[1])

    async def test_reload(self):
        with tempfile.TemporaryDirectory(prefix="viaduct-ayame-") as folder:
            path = pathlib.Path(folder, "signald.conf")
            path.write_text("ayame-path=/one\n")
            daemon = start(self, f"--config={path}")
            ada = await Ayame.register(daemon, connect={"path": "/one"})
            await ada.take(type="accept")
            path.write_text("ayame-path=/two\nayame-signaling-key=k\n")
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_line(r" reload")
            cleo = await Ayame.register(daemon, connect={"path": "/two"})
            await cleo.take(type="reject", reason="wrong signalingKey")
            ben = await Ayame.register(daemon, connect={"path": "/two"}, signalingKey="k")
            await ben.take(type="accept", isExistClient=True)  # who was there is there
            self.assertEqual(get(daemon, "/one")[0], 404)


if __name__ == "__main__":
    unittest.main()
