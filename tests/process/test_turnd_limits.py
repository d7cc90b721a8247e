#!/usr/bin/python3
"""viaduct-turnd's limits over several threads: quotas, and bandwidth for one and for all."""

import os
import threading
import time
import unittest

import test_turnd_tls
from test_turnd import PASSWORD, USER, TurndCase
from test_turnd_tcp_relay import TcpRelayCase
from turn_client import TurnError

CLIENTS = 24  # that all of them come to one of two threads happens once in eight million runs
CHANNEL = 0x4000


def setUpModule():
    test_turnd_tls.setUpModule()


def tearDownModule():
    test_turnd_tls.tearDownModule()


class LimitCase(TurndCase):
    """Two threads, and clients over UDP and TCP whom the kernel spreads over them."""

    def allocate_many(self, count=CLIENTS, username=USER):
        """The clients that got an allocation; all others got 486."""
        served = []
        for i in range(count):
            c = self.client("tcp" if i % 2 else "udp", username=username)
            try:
                c.allocate()
            except TurnError as error:
                self.assertEqual(error.code, 486)
            else:
                served.append(c)
        return served

    def give_back(self, clients):
        for c in clients:
            c.refresh(0)


class Quotas(LimitCase):
    ARGS = [*TurndCase.ARGS, "-u", "eve:" + PASSWORD, "-u", "joe:" + PASSWORD, "--relay-threads=2"]
    ARGS += ["--user-quota=3", "--total-quota=7"]

    def test_for_each_user_and_in_all(self):
        refused = 'viaduct_turn_refused_total{reason="quota"}'
        bob, eve = self.allocate_many(), self.allocate_many(username="eve")
        self.assertEqual((len(bob), len(eve)), (3, 3))
        joe = self.allocate_many(username="joe")
        self.assertEqual(len(joe), 1)
        self.turnd.wait_metric(refused, 3 * CLIENTS - 7)
        # What was given back is there again, for whoever may have it.
        self.give_back(bob[:1])
        joe += self.allocate_many(username="joe")
        self.assertEqual(len(joe), 2)
        self.give_back(bob[1:] + eve + joe)
        self.turnd.wait_metric("viaduct_turn_allocations", 0)
        self.assertEqual(len(self.allocate_many()), 3)


class Capacity(LimitCase):
    ARGS = [*TurndCase.ARGS, "--relay-threads=2", "--max-bps=1000", "--bps-capacity=4500"]

    def test_each_reserves_its_limit(self):
        for _ in range(2):
            served = self.allocate_many()
            self.assertEqual(len(served), 5)
            self.turnd.wait_metric("viaduct_turn_reserved_bps", 4500)
            self.give_back(served)
            self.turnd.wait_metric("viaduct_turn_reserved_bps", 0)
        self.turnd.wait_metric('viaduct_turn_refused_total{reason="bps-capacity"}', 2 * (CLIENTS - 5))


class Bandwidth(TurndCase):
    ARGS = [*TurndCase.ARGS, "--max-bps=1000"]

    def test_what_is_over_is_dropped(self):
        for transport in ("udp", "tcp"):
            with self.subTest(transport):
                c, p = self.client(transport), self.peer()
                c.allocate()
                c.channel_bind(CHANNEL, p.address)
                dropped = self.turnd.metric('viaduct_turn_over_limit_bytes_total{direction="from-client"}')
                c.send_channel(CHANNEL, b"x" * 1001)
                c.send_channel(CHANNEL, b"y" * 1000)
                self.assertEqual(p.receive(), (b"y" * 1000, c.relayed))
                self.turnd.wait_metric('viaduct_turn_over_limit_bytes_total{direction="from-client"}', dropped + 1001)
                dropped = self.turnd.metric('viaduct_turn_over_limit_bytes_total{direction="from-peer"}')
                p.socket.sendto(b"x" * 1001, c.relayed)
                p.socket.sendto(b"z" * 1000, c.relayed)
                self.assertEqual(c.receive(), (p.address, b"z" * 1000))
                self.turnd.wait_metric('viaduct_turn_over_limit_bytes_total{direction="from-peer"}', dropped + 1001)
                c.refresh(0)


class Streams(TcpRelayCase):
    """What TCP carries for TCP is not dropped, but waits (RFC 6062); at two threads, of which one may have lent the other a peer."""

    BPS = 200_000
    READ = 64 * 1024  # what may be on its way beyond the second's worth
    ARGS = [*TurndCase.ARGS, f"--max-bps={BPS}", "--relay-threads=2"]

    def check_pace(self, source, sink):
        payload = os.urandom(2 * self.BPS)
        sender = threading.Thread(target=source.sendall, args=(payload,))
        start = time.monotonic()
        sender.start()
        self.reads(sink, payload)
        # The limit makes it last that long; a busy machine, longer.
        self.assertGreaterEqual(time.monotonic() - start, (self.BPS - self.READ) / self.BPS - 0.01)
        sender.join()

    def test_both_ways(self):
        for secure in (False, True, False, True):
            self.SECURE = secure
            _, data, peer = self.pair()
            self.check_pace(data, peer)
            self.check_pace(peer, data)
            # What waits keeps nobody from hanging up.
            data.sendall(bytes(2 * self.BPS))
            peer.close()
            data.close()
        self.none_left()


if __name__ == "__main__":
    unittest.main()
