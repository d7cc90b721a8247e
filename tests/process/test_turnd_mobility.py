#!/usr/bin/python3
"""viaduct-turnd with mobility (RFC 8016): clients that go to another port, transport and family."""

import unittest

import stage
import test_turnd_tls
import turn_client
from stage import HERE_6, THERE
from test_turnd import PATIENCE_S, TurndCase
from test_turnd_tls import TlsCase
from turn_client import TurnClient, TurnError

MOBILITY_TICKET = 0x8030
CHANNEL = 0x4000


def setUpModule():
    test_turnd_tls.setUpModule()


def tearDownModule():
    test_turnd_tls.tearDownModule()


def allocate(c, p):
    """A session with a ticket: relayed address, a channel to `p`. Returns the ticket."""
    tickets = []
    request = c.request
    c.request = lambda *a: (tickets.append(request(*a)), tickets[-1])[1]
    c.allocate(more=[(MOBILITY_TICKET, b"")])
    c.request = request
    c.channel_bind(CHANNEL, p.address)
    return tickets[0].get(MOBILITY_TICKET)


def move(c, ticket, old):
    """`c` takes the session over. Returns the next ticket."""
    response = c.request(turn_client.REFRESH, [(MOBILITY_TICKET, ticket)])
    c.channels, c.relayed = old.channels, old.relayed
    return response.get(MOBILITY_TICKET)


class Moves(TlsCase):
    TLS = ["--mobility"]

    def check_move(self, old, new):
        p = self.peer()
        ticket = allocate(old, p)
        self.check_echo_over(old, p)
        fresh = move(new, ticket, old)
        self.assertNotEqual(ticket, fresh)
        # The old way is open until the new one is used.
        p.socket.sendto(b"to the old", old.relayed)
        self.assertEqual(old.receive(), (p.address, b"to the old"))
        self.check_echo_over(old, p)
        self.check_echo_over(new, p)
        old.close()
        self.check_echo_over(new, p)
        return p, fresh

    def check_echo_over(self, c, p):
        c.send_channel(CHANNEL, b"there and back")
        self.assertEqual(p.echo(), (b"there and back", c.relayed))
        self.assertEqual(c.receive(), (p.address, b"there and back"))

    def test_another_port(self):
        new = self.client()
        p, ticket = self.check_move(self.client(), new)
        another = self.client()
        move(another, ticket, new)
        self.check_echo_over(another, p)
        another.refresh(0)

    def test_from_udp_to_tcp_and_back(self):
        tcp = self.client("tcp")
        p, ticket = self.check_move(self.client(), tcp)
        udp = self.client()
        move(udp, ticket, tcp)
        self.check_echo_over(udp, p)
        udp.refresh(0)

    def test_from_ipv4_to_ipv6(self):
        new = self.client(ip=HERE_6)
        self.check_move(self.client(), new)
        new.refresh(0)

    def test_between_connections(self):
        for make_old in (self.tls_client, self.dtls_client, lambda: self.client("tcp")):
            for make_new in (self.tls_client, self.dtls_client, lambda: self.client("tcp")):
                with self.subTest(old=make_old.__name__, new=make_new.__name__):
                    new = make_new()
                    self.check_move(make_old(), new)
                    new.refresh(0)
                    new.close()
        self.turnd.wait_metric("viaduct_turn_allocations", 0)
        self.turnd.wait_metric("viaduct_turn_connections", 0)

    def test_a_connection_that_breaks(self):
        old, p = self.client("tcp"), self.peer()
        ticket = allocate(old, p)
        self.turnd.wait_metric("viaduct_turn_connections", 1)
        old.close()
        self.turnd.wait_metric("viaduct_turn_connections", 0)
        self.turnd.wait_metric("viaduct_turn_allocations", 1)
        new = self.tls_client()
        move(new, ticket, old)
        self.check_echo_over(new, p)
        new.refresh(0)
        new.close()
        self.turnd.wait_metric("viaduct_turn_allocations", 0)
        self.turnd.wait_metric("viaduct_turn_connections", 0)

    def test_who_may(self):
        old, p = self.client(), self.peer()
        ticket = allocate(old, p)
        new = self.client()
        with self.assertRaises(TurnError) as caught:
            move(new, ticket[:-1] + bytes([ticket[-1] ^ 1]), old)
        self.assertEqual(caught.exception.code, 400)
        moved = self.turnd.metric('viaduct_turn_allocations_total{event="moved"}')
        move(new, ticket, old)
        with self.assertRaises(TurnError) as caught:
            move(self.client(), ticket, old)
        self.assertEqual(caught.exception.code, 400)
        self.turnd.wait_metric('viaduct_turn_allocations_total{event="moved"}', moved + 1)
        new.refresh(0)
        log = "\n".join(self.turnd.lines)
        self.assertNotIn(ticket.hex(), log)


class MovesBetweenThreads(Moves):
    """The kernel hands a new address to whatever thread, and its allocation is with one."""

    TLS = ["--mobility", "--relay-threads=4"]
    MOVES = 24  # that all of them stay at one of four threads happens once in 10^14 runs

    def test_many_moves(self):
        old, p = self.client(), self.peer()
        ticket = allocate(old, p)
        kinds = (self.client, lambda: self.client("tcp"), self.tls_client, self.dtls_client)
        forwarded = self.turnd.metric('viaduct_turn_between_workers_total{event="forwarded"}')
        for i in range(self.MOVES):
            new = kinds[i % 4]()
            fresh = move(new, ticket, old)
            p.socket.sendto(b"to the old", old.relayed)
            self.assertEqual(old.receive(), (p.address, b"to the old"))
            for _ in range(3):
                self.check_echo_over(new, p)
            p.socket.sendto(b"unasked", new.relayed)
            self.assertEqual(new.receive(), (p.address, b"unasked"))
            new.create_permission(THERE)
            old.close()
            old, ticket = new, fresh
        after = self.turnd.metric('viaduct_turn_between_workers_total{event="forwarded"}')
        self.assertGreater(after, forwarded + self.MOVES)
        self.assertEqual(self.turnd.metric('viaduct_turn_between_workers_total{event="dropped"}'), 0)
        old.refresh(0)
        self.turnd.wait_metric("viaduct_turn_allocations", 0)
        # The flow is an ordinary one again.
        old.allocate()
        old.refresh(0)

    def test_connections_that_break(self):
        for _ in range(8):
            self.test_a_connection_that_breaks()


class Off(TurndCase):
    def test_no_tickets(self):
        with stage.away():
            c = TurnClient(self.turnd.server(), "udp", "bob", "open sesame", timeout=PATIENCE_S)
        self.addCleanup(c.close)
        with self.assertRaises(TurnError) as caught:
            allocate(c, self.peer())
        self.assertEqual(caught.exception.code, 405)
        c.allocate()


if __name__ == "__main__":
    unittest.main()
