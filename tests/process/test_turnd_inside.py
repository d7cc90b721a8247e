#!/usr/bin/python3
"""viaduct-turnd where both ends of a call are relayed by it, and each may be with another worker."""

import itertools
import os
import pathlib
import re
import unittest

import stage
import turn_client
from stage import HERE, HERE_6
from test_turnd import Turnd, TurndCase

WORKERS = 2
FIRST, LAST = 50000, 50399
CLIENTS_MOST = 40  # the kernel chooses their workers
CHANNEL = 0x4000


def worker_of(c):
    """Relay ports are shared out by pairs."""
    return (c.relayed[1] >> 1) % WORKERS


def choose(clients, transports):
    """A pair of clients with one worker, and one of others with two; None."""
    pairs = [(a, b) for a, b in itertools.permutations(clients, 2) if (a.transport, b.transport) == transports]
    same = [(a, b) for a, b in pairs if worker_of(a) == worker_of(b)]
    other = [(a, b) for a, b in pairs if worker_of(a) != worker_of(b)]
    return next((pq for pq in itertools.product(same, other) if not set(pq[0]) & set(pq[1])), None)


class InsideCase(TurndCase):
    ARGS = [*TurndCase.ARGS, f"--relay-threads={WORKERS}", f"--min-port={FIRST}", f"--max-port={LAST}"]

    def pairs(self, transports=("udp", "udp")):
        """Two clients of one worker, and two others of two."""
        clients, found = [], None
        while found is None:
            self.assertLess(len(clients), CLIENTS_MOST, "all clients are with one worker")
            clients += [self.allocated(transport) for transport in transports]
            found = choose(clients, transports)
        for number, pair in enumerate(found):
            self.channel = CHANNEL + number
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
        if not stage.WITH_XDP or datagrams < 2 * count:  # else the kernel carries it
            self.turnd.wait_metric(names[1], before[1] + datagrams)

    def check_all(self, transports):
        for a, b in self.pairs(transports):
            self.bind(a, b)
            self.check_inside(a, b)
            a.send_channel(self.channel, b"x" * 9000)  # more than one datagram on Ethernet
            self.assertEqual(b.receive(), (a.relayed, b"x" * 9000))


def udp_ports(pid):
    """The local ports of a process' UDP sockets."""
    links = [os.readlink(fd) for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()]
    mine = {found[1] for link in links if (found := re.fullmatch(r"socket:\[(\d+)\]", link))}
    ports = []
    for table in ("udp", "udp6"):
        for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in mine:
                ports.append(int(fields[1].rpartition(":")[2], 16))
    return ports


class Calls:
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


class Sockets(Calls, InsideCase):
    def test_each_relayed_address_is_a_socket(self):
        c = self.allocated()
        self.assertIn(c.relayed[1], udp_ports(self.turnd.process.pid))


class Virtual(Calls, InsideCase):
    """Relayed addresses without sockets, of no machine here."""

    ARGS = [*InsideCase.ARGS, "--relay-mode=virtual"]
    LISTEN = ["-L", HERE, "-L", HERE_6, "-E", "203.0.113.5", "-E", "2001:db8::5"]

    def test_no_relayed_address_is_a_socket(self):
        listening = sorted(udp_ports(self.turnd.process.pid))
        self.assertEqual(set(listening), {self.turnd.server()[1]})
        for a, b in self.pairs():
            self.assertEqual((a.relayed[0], b.relayed[0]), ("203.0.113.5",) * 2)
            self.assertTrue(FIRST <= a.relayed[1] <= LAST)
            self.bind(a, b)
            self.check_inside(a, b)
            self.assertEqual(sorted(udp_ports(self.turnd.process.pid)), listening)

    def test_ipv6(self):
        a, b = (self.allocated(ip=HERE_6) for _ in range(2))
        self.assertEqual(a.relayed[0], "2001:db8::5")
        self.channel = CHANNEL
        self.bind(a, b)
        self.check_inside(a, b)

    def test_other_peers_are_refused_and_the_allocation_goes_on(self):
        a, b, p = self.allocated(), self.allocated(), self.peer()
        for address in (p.address, ("192.168.1.7", 50001), ("8.8.8.8", 50001)):
            self.assert_code(403, a.create_permission, address[0])
            self.assert_code(403, a.channel_bind, CHANNEL, address)
            a.send_indication(address, b"x")
        self.channel = CHANNEL
        self.bind(a, b)
        self.check_call(a, b)
        p.socket.settimeout(0)
        self.assertRaises(BlockingIOError, p.receive)

    def test_no_tcp_allocations(self):
        c = self.client("tcp")
        tcp = (turn_client.REQUESTED_TRANSPORT, bytes([6, 0, 0, 0]))
        self.assertRaises(turn_client.TurnError, c.request, turn_client.ALLOCATE, [tcp])
        with self.assertRaises(turn_client.TurnError) as caught:
            c.request(turn_client.ALLOCATE, [tcp])
        self.assertEqual(caught.exception.code, 442)

    def test_a_reserved_port(self):
        a, b, c = self.client("tcp"), self.client(), self.allocated()
        udp = (turn_client.REQUESTED_TRANSPORT, bytes([17, 0, 0, 0]))
        response = a.request(turn_client.ALLOCATE, [udp, (0x18, b"\x80")])
        even = response.address(turn_client.XOR_RELAYED_ADDRESS)
        b.allocate(more=[(0x22, response.get(0x22))])
        self.assertEqual(b.relayed, (even[0], even[1] + 1))
        self.channel = CHANNEL
        self.bind(b, c)
        self.check_call(b, c)

    def test_several_servers_may_tell_the_same_addresses(self):
        other = Turnd(*self.LISTEN, *self.ARGS)
        self.addCleanup(lambda: self.assertEqual(other.stop(), 0))
        mine, self.turnd = self.turnd, other
        self.addCleanup(setattr, self, "turnd", mine)
        for a, b in self.pairs(("tcp", "tcp")):
            self.bind(a, b)
            self.check_inside(a, b)

    def test_the_log_says_what_it_is(self):
        told = [line for line in self.turnd.lines if " relaying " in line]
        self.assertEqual(len(told), 2)
        for line in told:
            self.assertIn('reached_by="clients of this server alone: no port is opened"', line)


class BehindNat(InsideCase):
    """As in a container: the local address is private, and the public one is told."""

    ARGS = [*InsideCase.ARGS, "--relay-mode=virtual", "-X", f"198.51.100.7/{HERE}"]

    def test_the_public_address_is_told_and_reached(self):
        for a, b in self.pairs(("tcp", "tcp")):
            self.assertEqual((a.relayed[0], b.relayed[0]), ("198.51.100.7",) * 2)
            self.bind(a, b)
            self.check_inside(a, b)
            self.assert_code(403, a.create_permission, HERE)


if __name__ == "__main__":
    unittest.main()
