#!/usr/bin/python3
"""viaduct-turnd where both ends of a call are relayed by it, and each may be with another worker."""

import itertools
import unittest

from test_turnd import TurndCase

WORKERS = 2
FIRST, LAST = 50000, 50399
CLIENTS_MOST = 40  # the kernel chooses their workers
CHANNEL = 0x4000


def worker_of(c):
    """Relay ports are shared out by pairs."""
    return (c.relayed[1] >> 1) % WORKERS


class InsideCase(TurndCase):
    ARGS = [*TurndCase.ARGS, f"--relay-threads={WORKERS}", f"--min-port={FIRST}", f"--max-port={LAST}"]

    def pairs(self, transports=("udp", "udp")):
        """Two clients of one worker, and two of two."""
        clients, wanted = [], {}
        for i in range(CLIENTS_MOST):
            clients.append(self.allocated(transports[i % 2]))
            for a, b in itertools.permutations(clients, 2):
                if (a.transport, b.transport) == transports:
                    wanted.setdefault(worker_of(a) == worker_of(b), (a, b))
            if len(wanted) == 2:
                break
        self.assertEqual(len(wanted), 2, f"{CLIENTS_MOST} clients, and all are with one worker")
        for number, pair in enumerate((wanted[True], wanted[False])):
            self.channel = CHANNEL + number  # the pairs may have a client in common
            with self.subTest(workers=[worker_of(c) for c in pair], transports=transports):
                yield pair

    def bind(self, a, b):
        a.channel_bind(self.channel, b.relayed)
        b.channel_bind(self.channel, a.relayed)

    def check_call(self, a, b, count=100):
        """What each sends comes to the other, all of it and in order."""
        for i in range(count):
            a.send_channel(self.channel, b"from a %d" % i)
            b.send_channel(self.channel, b"from b %d" % i)
        for i in range(count):
            self.assertEqual(b.receive(), (a.relayed, b"from a %d" % i))
            self.assertEqual(a.receive(), (b.relayed, b"from b %d" % i))

    def check_inside(self, a, b, count=100):
        """The same, and no socket but the clients' sees it."""
        names = ("viaduct_turn_relayed_inside_total", 'viaduct_turn_udp_packets_total{direction="in"}')
        before = [self.turnd.metric(name) for name in names]
        self.check_call(a, b, count)
        datagrams = count * ((a.transport == "udp") + (b.transport == "udp"))
        self.turnd.wait_metric(names[0], before[0] + 2 * count)
        self.turnd.wait_metric(names[1], before[1] + datagrams)

    def check_all(self, transports):
        for a, b in self.pairs(transports):
            self.bind(a, b)
            self.check_inside(a, b)
            a.send_channel(self.channel, b"x" * 9000)  # more than one datagram on Ethernet
            self.assertEqual(b.receive(), (a.relayed, b"x" * 9000))


class Calls(InsideCase):
    def test_datagrams(self):
        self.check_all(("udp", "udp"))

    def test_streams(self):
        self.check_all(("tcp", "tcp"))

    def test_a_stream_and_datagrams(self):
        self.check_all(("tcp", "udp"))

    def test_without_a_channel(self):
        """The header of a Data indication is longer than that of the ChannelData that came."""
        for transports in (("udp", "udp"), ("tcp", "tcp")):
            for a, b in self.pairs(transports):
                before = self.turnd.metric("viaduct_turn_relayed_inside_total")
                a.channel_bind(self.channel, b.relayed)
                b.create_permission(a.relayed[0])
                a.send_channel(self.channel, b"one way")
                self.assertEqual(b.receive(), (a.relayed, b"one way"))
                b.send_indication(a.relayed, b"and back")
                self.assertEqual(a.receive(), (b.relayed, b"and back"))
                self.turnd.wait_metric("viaduct_turn_relayed_inside_total", before + 2)

    def test_who_gives_no_permission_gets_nothing(self):
        for a, b in self.pairs():
            before = self.turnd.metric('viaduct_turn_dropped_total{reason="no-permission"}')
            a.channel_bind(self.channel, b.relayed)
            a.send_channel(self.channel, b"let me in")
            self.turnd.wait_metric('viaduct_turn_dropped_total{reason="no-permission"}', before + 1)
            b.channel_bind(self.channel, a.relayed)
            self.check_call(a, b, 1)

    def test_an_allocation_that_ends(self):
        for a, b in self.pairs():
            self.bind(a, b)
            self.check_call(a, b, 1)
            b.refresh(0)
            inside = self.turnd.metric("viaduct_turn_relayed_inside_total")
            a.send_channel(self.channel, b"nobody is there")
            a.binding()  # it has been worked on
            self.assertEqual(self.turnd.metric("viaduct_turn_relayed_inside_total"), inside)


if __name__ == "__main__":
    unittest.main()
