#!/usr/bin/python3
"""viaduct-stund on two addresses and two ports: RFC 5780 by a client of our own (others': tests/interop).

The addresses are 127.0.0.1 and 127.0.0.2. IPv6 has one loopback address alone, so that there four addresses are a matter of
tests/unit/stun/test_respond.c."""
import re
import select
import socket
import struct
import subprocess
import time
import unittest

from test_stund import PATIENCE_S, Response, Stund, attribute, binding, new_txid
import test_stund

CHANGE_REQUEST, RESPONSE_PORT, PADDING = 0x0003, 0x0027, 0x0026
MAPPED, RESPONSE_ORIGIN, OTHER_ADDRESS = 0x0001, 0x802B, 0x802C
CHANGE_IP, CHANGE_PORT = 4, 2
FIRST, SECOND = "127.0.0.1", "127.0.0.2"
PAIR = (f"--listening-ip={FIRST}", f"--listening-ip={SECOND}")
SILENCE_S = 0.3


def change(flags):
    return attribute(CHANGE_REQUEST, struct.pack(">I", flags))


def response_port(port):
    return attribute(RESPONSE_PORT, struct.pack(">HH", port, 0))


def address(response, code):
    family, port = struct.unpack(">xBH", response.attributes[code][:4])
    return socket.inet_ntop({1: socket.AF_INET, 2: socket.AF_INET6}[family], response.attributes[code][4:]), port


class Client:
    """What RFC 5780 section 4 has a client do: which mappings and which filters stand between it and the server."""

    def __init__(self, server):
        self.server = server
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((FIRST, 0))
        self.sock.settimeout(PATIENCE_S)

    def close(self):
        self.sock.close()

    def ask(self, to=None, body=b""):
        """The response and who sent it; RFC 5780's own responses alone count."""
        txid = new_txid()
        self.sock.sendto(binding(txid, body), to or self.server)
        data, sender = self.sock.recvfrom(65536)
        response = Response(data)
        assert response.txid == txid, "the answer to something else"
        return response, sender

    def is_silent(self):
        return not select.select([self.sock], [], [], SILENCE_S)[0]

    def mapping(self):
        """4.3, "Determining NAT Mapping Behavior"."""
        first, _ = self.ask()
        if first.mapped() == self.sock.getsockname():
            return "no NAT"
        other_ip, other_port = address(first, OTHER_ADDRESS)
        second, _ = self.ask((other_ip, self.server[1]))
        if second.mapped() == first.mapped():
            return "endpoint-independent"
        third, _ = self.ask((other_ip, other_port))
        return "address-dependent" if third.mapped() == second.mapped() else "address and port-dependent"

    def filtering(self):
        """4.4, "Determining NAT Filtering Behavior"."""
        first, _ = self.ask()
        for flags, name in ((CHANGE_IP | CHANGE_PORT, "endpoint-independent"), (CHANGE_PORT, "address-dependent")):
            try:
                _, sender = self.ask(body=change(flags))
            except TimeoutError:
                continue
            ip, port = address(first, OTHER_ADDRESS)
            assert sender == (ip if flags & CHANGE_IP else self.server[0], port), f"answered from {sender}"
            return name
        return "address and port-dependent"


class Four(test_stund.Base):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Stund("--listening-port=0", *PAIR)
        cls.daemon.wait_line(r" ready workers=1$")
        cls.addClassCleanup(cls.daemon.close)
        cls.ports = [port for what, ip, port in cls.daemon.listening if (what, ip) == ("udp", FIRST)]
        cls.all = {(ip, port) for ip in (FIRST, SECOND) for port in cls.ports}

    def client(self, server=None):
        client = Client(server or (FIRST, self.ports[0]))
        self.addCleanup(client.close)
        return client

    def opposite(self, server):
        return next((ip, port) for ip, port in self.all if ip != server[0] and port != server[1])

    def test_listens_at_four_addresses_over_both_transports(self):
        self.assertEqual(len(self.all), 4)
        for transport in ("udp", "tcp"):
            self.assertEqual({(ip, port) for what, ip, port in self.daemon.listening if what == transport}, self.all)
        self.assertEqual(self.ports[1], self.ports[0] + 1)

    def test_start_says_where(self):
        line = next(line for line in self.daemon.lines if " rfc5780 " in line)
        self.assertIn(f"address={FIRST}:{self.ports[0]} other={SECOND}:{self.ports[1]}", line)

    def test_mapping_finds_no_nat(self):
        self.assertEqual(self.client().mapping(), "no NAT")

    def test_filtering_is_endpoint_independent(self):
        self.assertEqual(self.client().filtering(), "endpoint-independent")

    def test_each_flag_at_each_address(self):
        for server in sorted(self.all):
            for flags in (0, CHANGE_PORT, CHANGE_IP, CHANGE_IP | CHANGE_PORT):
                with self.subTest(server=server, flags=flags):
                    other = self.opposite(server)
                    want = (other[0] if flags & CHANGE_IP else server[0], other[1] if flags & CHANGE_PORT else server[1])
                    client = self.client(server)
                    response, sender = client.ask(body=change(flags))
                    self.assertEqual((sender, address(response, RESPONSE_ORIGIN)), (want, want))
                    self.assertEqual(address(response, OTHER_ADDRESS), other)
                    self.assertEqual(response.mapped(), client.sock.getsockname())
                    self.assertEqual(address(response, MAPPED), client.sock.getsockname())

    def test_response_port(self):
        client, elsewhere = self.client(), self.client()
        client.sock.sendto(binding(b"t" * 12, response_port(elsewhere.sock.getsockname()[1])), client.server)
        data, sender = elsewhere.sock.recvfrom(2048)
        self.assertEqual((Response(data).txid, sender), (b"t" * 12, client.server))
        self.assertEqual(Response(data).mapped(), client.sock.getsockname())
        self.assertTrue(client.is_silent())

    def test_response_port_with_padding_is_refused(self):
        client, elsewhere = self.client(), self.client()
        response, _ = client.ask(body=response_port(elsewhere.sock.getsockname()[1]) + attribute(PADDING, bytes(64)))
        self.assertEqual(response.error(), 400)
        self.assertTrue(elsewhere.is_silent())

    def test_padding_comes_in_fragments(self):
        response, _ = self.client().ask(body=attribute(PADDING, bytes(1500)))
        self.assertGreaterEqual(len(response.data), 1480)  # with IP and UDP more than one frame of Ethernet
        self.assertLessEqual(len(response.data), 20 + 4 + 1500)

    def test_no_answer_is_more_than_three_times_the_request(self):
        client = self.client()
        for body in (b"", change(6), attribute(PADDING), attribute(PADDING, bytes(4)), attribute(0x7FFF),
                     attribute(0x0025, b"x"), attribute(0x8022, b"name")):
            response, _ = client.ask(body=body)
            self.assertLessEqual(len(response.data), 3 * len(binding(bytes(12), body)))

    def test_classic_client(self):
        client = self.client()
        client.sock.sendto(struct.pack(">HH", 1, 8) + b"sixteen bytes id" + change(CHANGE_IP), client.server)
        data, sender = client.sock.recvfrom(2048)
        self.assertEqual(sender, (SECOND, self.ports[0]))
        response = Response(data)
        self.assertEqual(address(response, MAPPED), client.sock.getsockname())
        self.assertEqual((address(response, 0x0004), address(response, 0x0005)), (sender, (SECOND, self.ports[1])))

    def test_tcp_names_the_others_but_answers_where_it_came(self):
        for ip, port in sorted(self.all):
            sock = self.tcp(port, ip)
            response = self.ask(sock, change(0))
            self.assert_mapped(response, sock)
            self.assertEqual(address(response, OTHER_ADDRESS), self.opposite((ip, port)))
            self.assertEqual(self.ask(sock, change(CHANGE_PORT)).error(), 420)


class Options(test_stund.Base):
    def plain(self, *args):
        """A daemon without four addresses, and why."""
        daemon = self.start(*args)
        port = daemon.port("udp", next(ip for what, ip, _ in daemon.listening if what == "udp" and ip != "::"))
        sock = self.udp(port)
        self.assertNotIn(OTHER_ADDRESS, self.ask(sock).attributes)
        self.assertEqual(self.ask(sock, change(CHANGE_PORT)).error(), 420)
        return next(line for line in daemon.lines if " rfc5780-off " in line)

    def test_one_address_is_not_enough(self):
        self.assertIn("two listening-ip of one family", self.plain(f"--listening-ip={FIRST}"))
        self.assertIn("two listening-ip of one family", self.plain(f"--listening-ip={FIRST}", "--listening-ip=::1"))
        self.assertIn("two listening-ip of one family", self.plain())

    def test_it_can_be_switched_off(self):
        for option in ("--rfc5780=off", "--no-rfc5780"):
            self.assertIn("switched off", self.plain(*PAIR, option))

    def test_every_worker_answers_from_all_four(self):
        daemon = self.start(*PAIR, "--workers=2")
        port = daemon.port("udp", FIRST)
        for _ in range(16):  # the kernel spreads them by their ports
            client = Client((FIRST, port))
            self.addCleanup(client.close)
            self.assertEqual(client.ask(body=change(CHANGE_IP | CHANGE_PORT))[1][0], SECOND)

    def test_ports_of_ones_own(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind((FIRST, 0))
            free = taken.getsockname()[1]
        daemon = self.start(*PAIR, f"--alt-listening-port={free}")
        client = Client((FIRST, daemon.port("udp", FIRST)))
        self.addCleanup(client.close)
        self.assertEqual(client.ask(body=change(CHANGE_PORT))[1], (FIRST, free))

    def refused(self, status, *args):
        done = subprocess.run([test_stund.STUND, *args], capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual((done.returncode, done.stdout), (status, ""))
        return done.stderr.splitlines()[-1]

    def test_the_same_port_twice(self):
        for args in (("-p3478", "--alt-listening-port=3478"), ("-p65535",)):
            self.assertIn("alt-listening-port has to be another port", self.refused(2, *PAIR, *args))

    def test_a_taken_alternate_port_is_named(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind((SECOND, 0))
            port = taken.getsockname()[1]
            line = self.refused(3, *PAIR, "-p0", f"--alt-listening-port={port}", "--no-tcp")
        self.assertRegex(line, "alt-listening-port|free at both")


if __name__ == "__main__":
    unittest.main(verbosity=2)
