#!/usr/bin/python3
"""viaduct-turnd behind a load balancer: tcp-proxy-port."""
import socket
import time
import unittest

import test_turnd_tls
import turn_client
from test_turnd import PASSWORD, PATIENCE_S, USER, Turnd
from test_turnd_tls import TlsCase, tls_context
from turn_client import TurnClient
from turnd_proxied import LOCAL, PROXY, SIGNATURE, v1, v2, v2_block

CLIENT, SERVER = ("192.0.2.7", 50007), ("198.51.100.1", 3478)
CLIENT6, SERVER6 = ("2001:db8::7", 50007), ("2001:db8::1", 443)
HANDSHAKE_FAILED = 'viaduct_turn_connections_total{event="closed-handshake"}'

setUpModule, tearDownModule = test_turnd_tls.setUpModule, test_turnd_tls.tearDownModule


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class ProxyCase(TlsCase):
    LISTEN = ["-L", "127.0.0.1", "-E", "127.0.0.1"]

    @classmethod
    def setUpClass(cls):
        files = ["--cert", test_turnd_tls.FILES.cert, "--pkey", test_turnd_tls.FILES.key, "--tls-listening-port=0"]
        cls.turnd = Turnd(*cls.LISTEN, *cls.ARGS, *files, f"--tcp-proxy-port={free_port()}")

    def proxied(self, header, pieces=None):
        """A client behind the balancer, whose header went out in pieces."""
        c = TurnClient(self.port("proxy"), "tcp", USER, PASSWORD, timeout=PATIENCE_S)
        self.addCleanup(lambda: c.close())
        c.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces or [header]:
            c.send_bytes(piece)
        return c


class Proxied(ProxyCase):
    def test_both_versions(self):
        for header in (v1(CLIENT, SERVER), v2(CLIENT, SERVER), v2(CLIENT, SERVER, b"\x01\0\x04turn" + bytes(200))):
            with self.subTest(header[:20]):
                c = self.proxied(header)
                self.check_echo(c)
                self.assertEqual(c.mapped, CLIENT)
                self.turnd.wait_line(r"allocation-created client=192\.0\.2\.7:50007 transport=tcp")
                c.close()

    def test_ipv6_behind_an_ipv4_balancer(self):
        for header in (v1(CLIENT6, SERVER6), v2(CLIENT6, SERVER6)):
            self.assertEqual(self.proxied(header).binding(), CLIENT6)

    def test_tls_behind_it(self):
        for header in (v1(CLIENT, SERVER), v2(CLIENT, SERVER)):
            c = self.proxied(header)
            c.socket = tls_context().wrap_socket(c.socket, server_hostname="localhost")
            self.check_echo(c)
            self.assertEqual(c.mapped, CLIENT)
            self.turnd.wait_line(r"allocation-created client=192\.0\.2\.7:50007 transport=tls")
            c.close()

    def test_one_byte_at_a_time(self):
        for header in (v1(CLIENT, SERVER), v2(CLIENT, SERVER, bytes(30))):
            c = self.proxied(header, [bytes([b]) for b in header])
            self.assertEqual(c.binding(), CLIENT)

    def test_split_before_and_behind_its_end(self):
        request = turn_client.build(turn_client.BINDING, turn_client.REQUEST, [])
        for header in (v1(CLIENT, SERVER), v2(CLIENT, SERVER)):
            for at in (1, 6, 12, 15, 16, 17, len(header) - 1, len(header), len(header) + 1, len(header) + 10):
                with self.subTest(header=header[:12], at=at):
                    data = header + request
                    c = self.proxied(None, [data[:at], data[at:]])
                    answer = turn_client.Message(c.read_frame(time.monotonic() + PATIENCE_S))
                    self.assertEqual(answer.address(turn_client.XOR_MAPPED_ADDRESS), CLIENT)
                    c.close()

    def test_the_balancer_itself(self):
        """A health check: the connection's own addresses count."""
        for header in (v2_block(LOCAL, 0, b""), v2_block(LOCAL, 0x11, bytes(12)), v2_block(PROXY, 0, b"what"), b"PROXY UNKNOWN\r\n"):
            c = self.proxied(header)
            self.assertEqual(c.binding(), c.address)

    def test_http_behind_it_is_told_where_it_is(self):
        c = self.proxied(v1(CLIENT, SERVER))
        c.send_bytes(b"GET / HTTP/1.1\r\n\r\n")
        self.assertTrue(c.socket.recv(4096).startswith(b"HTTP/1.1 400 "))

    def test_what_is_no_header_is_closed(self):
        request = turn_client.build(turn_client.BINDING, turn_client.REQUEST, [])
        hostile = [
            request,
            b"\x16\x03\x01\x02\0\x01",
            b"GET / HTTP/1.1\r\n\r\n",
            b"PROXY TCP4 192.0.2.1\r\n",
            b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY TCP4 " + b"1" * 200,
            SIGNATURE + b"\x11\x11\0\x0c" + bytes(12),
            SIGNATURE + b"\x21\x11\xff\xff",
            v2_block(PROXY, 0x21, bytes(12)),
            v2_block(PROXY, 0x12, bytes(12)),
            v2_block(PROXY, 0x31, bytes(216)),
        ]
        before = self.turnd.metric(HANDSHAKE_FAILED)
        for data in hostile:
            with self.subTest(data[:16]):
                self.assert_closed(self.proxied(data).socket)
        self.turnd.wait_metric(HANDSHAKE_FAILED, before + len(hostile))

    def test_a_header_at_another_port_is_garbage(self):
        for address in (self.turnd.server(), self.secure()):
            with TurnClient(address, "tcp", timeout=PATIENCE_S) as c:
                c.send_bytes(v2(CLIENT, SERVER))
                self.assert_closed(c.socket)

    def test_two_connections_with_one_claim(self):
        """The second one finds no allocation, and its end takes none away."""
        first, p = self.proxied(v2(CLIENT, SERVER)), self.peer()
        first.allocate()
        first.channel_bind(0x4000, p.address)
        second = self.proxied(v2(CLIENT, SERVER))
        self.assertEqual(second.binding(), CLIENT)
        second.channels, second.realm, second.nonce, second.key = first.channels, first.realm, first.nonce, first.key
        self.assert_code(437, second.refresh)
        second.close()
        self.assertEqual(self.proxied(v1(CLIENT6, SERVER6)).binding(), CLIENT6)
        first.send_channel(0x4000, b"still here")
        self.assertEqual(p.receive(), (b"still here", first.relayed))


class Silent(ProxyCase):
    def test_a_header_that_never_ends_is_given_up(self):
        began = time.monotonic()
        c = self.proxied(v2(CLIENT, SERVER)[:-1])
        c.socket.settimeout(30)
        self.assert_closed(c.socket)
        self.assertGreater(time.monotonic() - began, 5)


if __name__ == "__main__":
    unittest.main(verbosity=2)
