#!/usr/bin/python3
"""viaduct-turnd: other servers, its own listeners, what it serves, and where it relays."""

import re
import signal
import socket
import struct
import subprocess
import unittest

import turn_client
from databases import Sqlite
from test_turnd import PASSWORD, PATIENCE_S, TURND, USER, Turnd, TurndCase
from turn_client import TurnClient, TurnError

ALTERNATE_SERVER = 0x8023


def alternates(response):
    """The addresses in ALTERNATE-SERVER attributes, in their order."""
    found = []
    for code, value in response.attributes:
        if code == ALTERNATE_SERVER:
            family, port = struct.unpack("!xBH", value[:4])
            found.append((socket.inet_ntop(socket.AF_INET if family == 1 else socket.AF_INET6, value[4:]), port))
    return found


def free_port():
    """A port that UDP and TCP had free on loopback just now."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            try:
                udp.bind(tcp.getsockname())
                return tcp.getsockname()[1]
            except OSError:
                continue


def allocate(client):
    return client.transact(
        client.authenticated(turn_client.ALLOCATE, [(turn_client.REQUESTED_TRANSPORT, bytes([17, 0, 0, 0]))])
    )


class Redirection(TurndCase):
    ARGS = [
        *TurndCase.ARGS,
        "--alternate-server=192.0.2.1",
        "--alternate-server=192.0.2.2:5000",
        "--alternate-server=[2001:db8::1]:3479",
    ]

    def test_each_in_its_turn(self):
        for transport in ("udp", "tcp"):
            seen = set()
            for _ in range(4):
                response = allocate(self.client(transport))
                self.assertEqual(response.error, 300)
                first, second = alternates(response)
                self.assertEqual(second, ("2001:db8::1", 3479))
                seen.add(first)
            self.assertEqual(seen, {("192.0.2.1", 3478), ("192.0.2.2", 5000)})

    def test_ipv6(self):
        response = allocate(self.client("udp", "::1"))
        self.assertEqual(response.error, 300)
        self.assertEqual(alternates(response)[0], ("2001:db8::1", 3479))

    def test_signed(self):
        c = self.client()
        with self.assertRaises(TurnError):
            c.refresh()  # teaches realm and nonce
        response = allocate(c)
        self.assertEqual(response.error, 300)
        self.assertTrue(response.check_integrity(c.key))

    def test_binding_stays(self):
        c = self.client()
        self.assertEqual(c.binding(), c.address)


class RedirectionHere(TurndCase):
    """The one list of several servers, in which this one stands too."""

    @classmethod
    def setUpClass(cls):
        port = free_port()
        cls.turnd = Turnd(
            *cls.LISTEN,
            *cls.ARGS,
            f"--listening-port={port}",
            f"--alternate-server=127.0.0.1:{port}",
            "--alternate-server=192.0.2.1",
            "--alternate-server=[2001:db8::1]",
        )

    def test_stays(self):
        self.assertTrue(any("alternate-is-here" in line for line in self.turnd.lines))
        self.allocated()
        self.assertEqual(allocate(self.client("udp", "::1")).error, 300)


class Listeners(TurndCase):
    """No rule opens them, with wildcard listeners too."""

    ARGS = [*TurndCase.ARGS, "--allowed-peer-ip=127.0.0.0/8", "--allowed-peer-ip=127.0.0.1", "--allowed-peer-ip=::/0"]

    def places(self):
        return {(ip, port) for (_, ip), port in self.turnd.listening.items()}

    def check(self, transport, relay_ip, address):
        c = self.allocated(transport, relay_ip)
        c.create_permission(address[0])
        denied = self.turnd.metric('viaduct_turn_refused_total{reason="peer-denied"}')
        c.send_indication(address, turn_client.build(turn_client.BINDING, turn_client.REQUEST, []))
        self.turnd.wait_metric('viaduct_turn_refused_total{reason="peer-denied"}', denied + 1)
        self.assert_code(403, c.channel_bind, 0x4000, address)

    def test_not_reached(self):
        places = self.places()
        self.assertGreaterEqual(len(places), 3)  # IPv4, IPv6, metrics
        for ip, port in places:
            for transport in ("udp", "tcp"):
                self.check(transport, "::1" if ":" in ip else "127.0.0.1", (ip, port))

    def test_not_reached_in_disguise(self):
        c = self.allocated("udp", "::1")
        for ip, port in self.places():
            if ":" not in ip:
                self.assert_code(403, c.channel_bind, 0x4000, (f"::ffff:{ip}", port))
                self.assert_code(403, c.channel_bind, 0x4000, (f"64:ff9b::{ip}", port))

    def test_what_is_beside_is_open(self):
        c, p = self.allocated(), self.peer()
        c.create_permission("127.0.0.1")
        c.send_indication(p.address, b"x")
        self.assertEqual(p.receive(), (b"x", c.relayed))


class ListenersBesideADatabase(Listeners):
    """What a database adds to the configuration takes nothing from it."""

    @classmethod
    def setUpClass(cls):
        database = Sqlite(("ann", "secret"))
        cls.addClassCleanup(database.close)
        cls.turnd = Turnd(*cls.LISTEN, *cls.ARGS, "-a", "-b", database.file)


class EveryListener(Listeners):
    """Two addresses with RFC 5780's second port, one for the PROXY protocol, one more, on two threads."""

    LISTEN = ["-L", "127.0.0.1", "-L", "127.0.0.2", "-E", "127.0.0.1", "-E", "::1"]

    @classmethod
    def setUpClass(cls):
        aux, proxied = free_port(), free_port()
        more = [f"--aux-server=127.0.0.3:{aux}", f"--tcp-proxy-port={proxied}", "-m", "2"]
        cls.turnd = Turnd(*cls.LISTEN, *cls.ARGS, *more)
        cls.more = {("127.0.0.3", aux), ("127.0.0.1", proxied), ("127.0.0.2", proxied)}

    def client(self, transport="udp", ip="127.0.0.1", username=USER, password=PASSWORD):
        return super().client(transport, "127.0.0.1", username, password)

    def places(self):
        lines = re.findall(r" listening transport=\w+ address=(\S+):(\d+)", "\n".join(self.turnd.lines))
        found = {(ip.strip("[]"), int(port)) for ip, port in lines}
        self.assertLessEqual(self.more, found)
        self.assertEqual(len(found), 8)  # two ports at two addresses, three more, the metrics
        return found


class WildcardListeners(Listeners):
    LISTEN = ["-L", "0.0.0.0", "-L", "::", "-E", "127.0.0.1", "-E", "::1"]

    def places(self):
        port = self.turnd.listening["udp", "0.0.0.0"]
        metrics = self.turnd.listening["http", "127.0.0.1"]
        return {("127.0.0.1", port), ("127.0.0.7", port), ("::1", port), ("127.0.0.1", metrics)}

    def client(self, transport="udp", ip="127.0.0.1", username=USER, password=PASSWORD):
        c = TurnClient((ip, self.turnd.listening["udp", "0.0.0.0"]), transport, username, password, timeout=PATIENCE_S)
        self.addCleanup(c.close)
        return c


class WildcardListenersReload(WildcardListeners):
    """They are known behind a reload as before."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.turnd.process.send_signal(signal.SIGHUP)
        cls.turnd.wait_line(r" reloaded ")


class Auxiliary(TurndCase):
    @classmethod
    def setUpClass(cls):
        cls.aux, main = ("127.0.0.1", free_port()), free_port()
        cls.main = ("127.0.0.1", main)
        options = ["--aux-server=%s:%d" % cls.aux, "--alternate-server=192.0.2.1", f"--listening-port={main}"]
        cls.turnd = Turnd(*cls.LISTEN, *cls.ARGS, *options)

    def test_serves_and_sends_nobody_on(self):
        for transport in ("udp", "tcp"):
            c = TurnClient(self.aux, transport, USER, PASSWORD, timeout=PATIENCE_S)
            self.addCleanup(c.close)
            self.assertEqual(c.binding(), c.address)
            c.allocate()
            self.assert_code(403, c.channel_bind, 0x4000, self.aux)
        c = TurnClient(self.main, "udp", USER, PASSWORD, timeout=PATIENCE_S)
        self.addCleanup(c.close)
        self.assertEqual(allocate(c).error, 300)


class StunOnly(TurndCase):
    ARGS = [*TurndCase.ARGS, "-S"]

    def test_turn_is_ignored(self):
        c = self.client("tcp")
        c.send_bytes(c.authenticated(turn_client.ALLOCATE, [(turn_client.REQUESTED_TRANSPORT, bytes([17, 0, 0, 0]))]))
        self.assertEqual(c.binding(), c.address)
        self.turnd.wait_metric("viaduct_turn_not_served_total", 1)


class NoStun(TurndCase):
    ARGS = [*TurndCase.ARGS, "--no-stun"]

    def test_binding_is_ignored(self):
        c = self.client("tcp")
        c.send_bytes(turn_client.build(turn_client.BINDING, turn_client.REQUEST, []))
        c.allocate()
        self.assertEqual(self.turnd.metric("viaduct_turn_bindings_total"), 0)


class SecureStun(TurndCase):
    ARGS = [*TurndCase.ARGS, "--secure-stun"]

    def test_binding_with_credentials(self):
        c = self.client()
        self.assert_code(401, c.binding)
        response = c.request(turn_client.BINDING, [])
        self.assertEqual(response.address(turn_client.XOR_MAPPED_ADDRESS), c.address)


class Family(TurndCase):
    ARGS = [*TurndCase.ARGS, "-A", "keep"]

    def test_as_the_client(self):
        for ip in ("127.0.0.1", "::1"):
            c = self.client("udp", ip)
            self.assertEqual(c.allocate()[0], ip)


class FamilyOldName(Family):
    ARGS = [*TurndCase.ARGS, "-K"]


class SeveralAddresses(TurndCase):
    LISTEN = ["-L", "127.0.0.1", "-E", "127.0.0.1", "-E", "127.0.0.2", "-E", "127.0.0.3"]
    ARGS = [*TurndCase.ARGS, "--relay-threads=1", "-X", "198.51.100.2/127.0.0.2", "-X", "198.51.100.3/127.0.0.3"]

    def test_in_turn_and_by_their_names(self):
        clients = [self.allocated() for _ in range(6)]
        told = [c.relayed[0] for c in clients]
        self.assertEqual(sorted(told), sorted(["127.0.0.1", "198.51.100.2", "198.51.100.3"] * 2))
        peer = self.peer()
        for c in clients:
            c.create_permission("127.0.0.1")
            c.send_indication(peer.address, b"x")
            local = {"198.51.100.2": "127.0.0.2", "198.51.100.3": "127.0.0.3"}.get(c.relayed[0], c.relayed[0])
            self.assertEqual(peer.echo(), (b"x", (local, c.relayed[1])))
            self.assertEqual(c.receive(), (peer.address, b"x"))


class AsReached(TurndCase):
    LISTEN = ["-L", "127.0.0.1", "-L", "127.0.0.2"]
    ARGS = [*TurndCase.ARGS, "-X", "198.51.100.1/127.0.0.1", "-X", "198.51.100.2/127.0.0.2"]

    def test_at_the_address_that_was_reached(self):
        for ip, told in (("127.0.0.1", "198.51.100.1"), ("127.0.0.2", "198.51.100.2")):
            for _ in range(2):
                self.assertEqual(self.allocated("udp", ip).relayed[0], told)


class Devices(TurndCase):
    LISTEN = ["-d", "lo", "-i", "lo"]

    def test_their_addresses(self):
        self.assertIn(("udp", "127.0.0.1"), self.turnd.listening)
        self.assertEqual(self.allocated().relayed[0], "127.0.0.1")


class Timeout(TurndCase):
    ARGS = [*TurndCase.ARGS, "--max-allocate-timeout=1", "--max-allocate-lifetime=600"]

    def test_a_connection_without_an_allocation_ends(self):
        used, unused = self.allocated("tcp"), self.client("tcp")
        closed = self.turnd.metric('viaduct_turn_connections_total{event="closed-timeout"}')
        try:  # what it says meanwhile does not help
            while True:
                unused.binding()
        except (turn_client.Closed, ConnectionError):
            pass
        self.turnd.wait_metric('viaduct_turn_connections_total{event="closed-timeout"}', closed + 1)
        self.assertEqual(used.refresh(600), 600)


class Acme(TurndCase):
    ARGS = [*TurndCase.ARGS, "--acme-redirect=http://192.0.2.9/there/"]

    def get(self, text, *pieces):
        s = socket.create_connection(self.turnd.server(), PATIENCE_S)
        self.addCleanup(s.close)
        s.sendall(text)
        for piece in pieces:
            s.sendall(piece)
        answer = b""
        while more := s.recv(65536):
            answer += more
        return answer.decode()

    def test_a_challenge_is_sent_on(self):
        answer = self.get(b"GET /.well-known/acme-challenge/", b"ab_C-9", b" HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue(answer.startswith("HTTP/1.1 301 "), answer)
        self.assertIn("\r\nLocation: http://192.0.2.9/there/ab_C-9\r\n", answer)

    def test_all_else_is_not(self):
        for path in ("/", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/a%0d%0a", "/.well-known/acme-challenge/" + "a" * 200):
            answer = self.get(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            self.assertTrue(answer.startswith("HTTP/1.1 400 "), (path, answer))


class WrongOptions(unittest.TestCase):
    def test_refused(self):
        for wrong in (
            ["-S", "--no-stun"],
            ["--alternate-server=example.org"],
            ["--aux-server=127.0.0.1"],
            ["-A", "ipv5"],
            ["--acme-redirect=http://a b/"],
            ["--listening-device=none-such"],
        ):
            done = subprocess.run(
                [TURND, "-n", "-u", "a:b", "-r", "x", "--listening-port=0", *wrong], capture_output=True, text=True, timeout=60
            )
            self.assertEqual(done.returncode, 2, (wrong, done.stderr))


if __name__ == "__main__":
    unittest.main()
