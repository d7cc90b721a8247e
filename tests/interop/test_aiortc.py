#!/usr/bin/python3
"""aioice, and aiortc with it (Debian's python3-aioice 0.8, python3-aiortc 1.4): two peers that have relayed candidates and no others."""

import asyncio
import functools
import os
import unittest
import unittest.mock

from interop import FAMILIES, IPV4, PASSWORD, RUN_S, USER, InteropCase

try:
    import aioice
    import aiortc
    import aiortc.rtcicetransport
except ImportError as error:
    raise SystemExit(f"{error}; scripts/setup --test installs it (package python3-aiortc)")

RELAY = aioice.ice.TransportPolicy.RELAY
# turns: over UDP, that is DTLS, is what neither of them has.
URIS = {"udp": "turn:{}:{}?transport=udp", "tcp": "turn:{}:{}?transport=tcp", "tls": "turns:{}:{}?transport=tcp"}
SIZES = (1, 2, 3, 4, 5, 1000, 16000)


class AioCase(InteropCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        os.environ["SSL_CERT_FILE"] = str(cls.ca)  # where OpenSSL looks for those whom it trusts

    def within(self, work):
        async def limited():
            return await asyncio.wait_for(work, RUN_S)

        return asyncio.run(limited())

    def moved(self):
        return self.turnd.metric("viaduct_turn_from_client_bytes_total"), self.turnd.metric("viaduct_turn_from_peer_bytes_total")


class Aioice(AioCase):
    """ICE alone: the pair of two relayed addresses is nominated, and carries bytes both ways, by channels."""

    def connection(self, transport, ip, **more):
        return aioice.Connection(
            turn_server=(ip, self.port(transport, ip)), turn_username=USER, turn_password=PASSWORD, turn_ssl=transport == "tls",
            turn_transport="udp" if transport == "udp" else "tcp", transport_policy=RELAY, **more,
        )  # fmt: skip

    async def talk(self, one, two):
        for each in (one, two):
            await each.gather_candidates()
            self.assertEqual([c.type for c in each.local_candidates], ["relay"])
        for here, there in ((one, two), (two, one)):
            for candidate in there.local_candidates:
                await here.add_remote_candidate(candidate)
            await here.add_remote_candidate(None)
            here.remote_username, here.remote_password = there.local_username, there.local_password
        await asyncio.gather(one.connect(), two.connect())
        for size in (1, 2, 3, 4, 5, 160, 1200):
            for here, there in ((one, two), (two, one)):
                await here.sendto(payload := os.urandom(size), 1)
                self.assertEqual(await there.recvfrom(), (payload, 1))
        await asyncio.gather(one.close(), two.close())

    def test_every_transport_and_family(self):
        for transport in URIS:
            for ip in FAMILIES:
                with self.subTest(f"{transport} {ip}"):

                    async def work():
                        await self.talk(self.connection(transport, ip, ice_controlling=True), self.connection(transport, ip, ice_controlling=False))

                    self.within(work())


class Aiortc(AioCase):
    """WebRTC: DTLS, SCTP and a data channel through the relay."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # RTCConfiguration of aiortc 1.4 has no iceTransportPolicy; the aioice below it has.
        only_relay = functools.partial(aioice.Connection, transport_policy=RELAY)
        patch = unittest.mock.patch.object(aiortc.rtcicetransport, "Connection", only_relay)
        patch.start()
        cls.addClassCleanup(patch.stop)

    async def call(self, uri):
        servers = [aiortc.RTCIceServer(uri, USER, PASSWORD)]
        one, two = (aiortc.RTCPeerConnection(aiortc.RTCConfiguration(servers)) for _ in "ab")
        channel = one.createDataChannel("words")
        opened, back = asyncio.Event(), asyncio.Queue()
        channel.on("open", opened.set)
        channel.on("message", back.put_nowait)

        @two.on("datachannel")
        def answer(other):
            other.on("message", other.send)

        await one.setLocalDescription(await one.createOffer())
        for line in one.localDescription.sdp.splitlines():
            if line.startswith("a=candidate:"):
                self.assertIn(" typ relay ", line)
        await two.setRemoteDescription(one.localDescription)
        await two.setLocalDescription(await two.createAnswer())
        await one.setRemoteDescription(two.localDescription)
        await opened.wait()
        for size in SIZES:
            channel.send(payload := os.urandom(size))
            self.assertEqual(await back.get(), payload)
        channel.send("a text")
        self.assertEqual(await back.get(), "a text")
        await asyncio.gather(one.close(), two.close())

    def test_a_data_channel(self):
        for transport, uri in URIS.items():
            with self.subTest(transport):
                before = self.moved()
                self.within(self.call(uri.format(IPV4, self.port(transport))))
                # There and back through both relayed addresses.
                for was, now in zip(before, self.moved()):
                    self.assertGreater(now - was, 2 * sum(SIZES))


class AioiceVirtual(Aioice):
    """Relayed addresses without sockets, and two workers."""

    ARGS = ("--relay-mode=virtual", "--relay-threads=2")


class AiortcVirtual(Aiortc):
    ARGS = AioiceVirtual.ARGS


if __name__ == "__main__":
    unittest.main(verbosity=2)
