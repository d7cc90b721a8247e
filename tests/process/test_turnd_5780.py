#!/usr/bin/python3
"""viaduct-turnd towards strangers: RFC 5780 on two addresses and two ports, and how much a 401 may be."""
import signal
import subprocess
import tempfile
import pathlib
import unittest

from test_stund import PATIENCE_S, STUND, Response, Stund, attribute, binding, new_txid
from test_stund_5780 import (CHANGE_IP, CHANGE_PORT, FIRST, MAPPED, OTHER_ADDRESS, PAIR, RESPONSE_ORIGIN, SECOND, Client, address,
                             change)
import test_stund

ALLOCATE = attribute(0x0019, b"\x11\0\0\0")
BASE = ("--listening-port=0", "--tls-listening-port=0", "--user=bob:secret", "--relay-ip=127.0.0.1")


class Turnd(Stund):
    binary = STUND.parent / "viaduct-turnd"

    def __init__(self, *args, **options):
        alone = () if "-c" in args else ("--no-config",)  # coturn's package brings an /etc/turnserver.conf
        super().__init__(*alone, *args, **options)


class Base(test_stund.Base):
    def start(self, *args):
        daemon = Turnd(*BASE, *args)
        self.addCleanup(daemon.close)
        daemon.wait_line(r" ready ")
        return daemon

    def client(self, port, ip=FIRST):
        client = Client((ip, port))
        self.addCleanup(client.close)
        return client

    def stranger(self, client, method=0x0003, body=ALLOCATE):
        """What an Allocate without credentials is answered, or None."""
        client.sock.sendto(binding(new_txid(), body, kind=method), client.server)
        return None if client.is_silent() else Response(client.sock.recv(2048))


class Discovery(Base):
    def test_four_addresses(self):
        daemon = self.start(*PAIR)
        ports = [port for what, ip, port in daemon.listening if (what, ip) == ("udp", FIRST)]
        self.assertEqual(ports[1], ports[0] + 1)
        self.assertEqual({(ip, port) for what, ip, port in daemon.listening if what == "tcp"},
                         {(ip, port) for ip in (FIRST, SECOND) for port in ports})
        self.assertEqual(self.client(ports[0]).mapping(), "no NAT")
        self.assertEqual(self.client(ports[0]).filtering(), "endpoint-independent")
        for ip in (FIRST, SECOND):
            for port in ports:
                for flags in (0, CHANGE_PORT, CHANGE_IP, CHANGE_IP | CHANGE_PORT):
                    client = self.client(port, ip)
                    other_ip, other_port = SECOND if ip == FIRST else FIRST, sum(ports) - port
                    want = (other_ip if flags & CHANGE_IP else ip, other_port if flags & CHANGE_PORT else port)
                    response, sender = client.ask(body=change(flags))
                    self.assertEqual((sender, address(response, RESPONSE_ORIGIN)), (want, want))
                    self.assertEqual(address(response, OTHER_ADDRESS), (other_ip, other_port))
        sock = self.tcp(ports[1], SECOND)
        self.assertEqual(address(self.ask(sock), OTHER_ADDRESS), (FIRST, ports[0]))
        self.assertEqual(self.ask(sock, change(CHANGE_PORT)).error(), 420)

    def test_behind_a_nat_the_public_addresses_are_told(self):
        daemon = self.start(*PAIR, f"--external-ip=198.51.100.1/{FIRST}", f"--external-ip=198.51.100.2/{SECOND}")
        port = daemon.port("udp", FIRST)
        response, sender = self.client(port).ask(body=change(CHANGE_IP))
        self.assertEqual(sender, (SECOND, port))
        self.assertEqual(address(response, RESPONSE_ORIGIN), ("198.51.100.2", port))
        self.assertEqual(address(response, OTHER_ADDRESS), ("198.51.100.2", port + 1))

    def test_without_them(self):
        for args in ((f"--listening-ip={FIRST}",), (*PAIR, "--no-rfc5780"), (*PAIR, "--rfc5780=off")):
            daemon = self.start(*args)
            self.assertTrue(any(" rfc5780-off " in line for line in daemon.lines))
            client = self.client(daemon.port("udp", FIRST))
            self.assertNotIn(OTHER_ADDRESS, client.ask()[0].attributes)
            self.assertEqual(client.ask(body=change(CHANGE_PORT))[0].error(), 420)

    def test_a_reload_keeps_them(self):
        daemon = self.start(*PAIR)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_line(r" reloaded ")
        port = daemon.port("udp", FIRST)
        client = self.client(port)
        self.assertEqual(client.ask(body=change(CHANGE_IP | CHANGE_PORT))[1], (SECOND, port + 1))

    def test_classic_clients(self):
        classic = b"\0\1\0\0" + b"sixteen bytes id"
        for args, answered in (((), True), (("--no-stun-backward-compatibility",), False)):
            daemon = self.start(f"--listening-ip={FIRST}", *args)
            client = self.client(daemon.port("udp", FIRST))
            client.sock.sendto(classic, client.server)
            self.assertEqual(not client.is_silent(), answered)
            if answered:
                self.assertEqual(address(Response(client.sock.recv(2048)), MAPPED), client.sock.getsockname())

    def test_ports_that_cannot_be(self):
        for args in (("--alt-listening-port=3478",), ("--alt-listening-port=5349",), ("--listening-port=65535",)):
            done = subprocess.run([Turnd.binary, "--no-config", "--user=bob:secret", *PAIR, *args], capture_output=True, text=True, timeout=PATIENCE_S)
            self.assertEqual(done.returncode, 2)
            self.assertIn("alt-listening-port has to be another port", done.stderr)


class Strangers(Base):
    def test_a_challenge_is_three_times_the_allocate_at_most(self):
        daemon = self.start(f"--listening-ip={FIRST}", "--fingerprint")
        client = self.client(daemon.port("udp", FIRST))
        for method, body in ((0x0003, ALLOCATE), (0x0003, ALLOCATE + attribute(0x8022, b"a client")),
                             (0x0004, attribute(0x000D, bytes(4))), (0x0008, attribute(0x0012, b"\0\1\0\0\1\2\3\4"))):
            response = self.stranger(client, method, body)
            self.assertEqual(response.error(), 401)
            self.assertTrue({0x0014, 0x0015, 0x8002} <= set(response.attributes))
            self.assertLessEqual(len(response.data), 3 * (20 + len(body)))

    def test_a_longer_realm_is_refused(self):
        done = subprocess.run([Turnd.binary, "--no-config", *BASE, "--realm=" + "x" * 65], capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 2)
        self.assertIn("1 to 64 bytes", done.stderr)

    def count(self, daemon, asked):
        """Answers to so many Allocates of one address, from several ports."""
        clients = [self.client(daemon.port("udp", FIRST)) for _ in range(4)]
        answered = 0
        for i in range(asked):
            client = clients[i % 4]
            client.sock.sendto(binding(new_txid(), ALLOCATE, kind=0x0003), client.server)
        for client in clients:
            while not client.is_silent():
                self.assertEqual(Response(client.sock.recv(2048)).error(), 401)
                answered += 1
        return answered

    def test_challenges_are_limited_per_address(self):
        # Ten at once, and one more for each second that this takes.
        daemon = self.start(f"--listening-ip={FIRST}", "--unauthorized-ratelimit-rps=1", "--relay-threads=1")
        self.assertIn(self.count(daemon, 60), range(10, 16))
        self.assertEqual(self.client(daemon.port("udp", FIRST)).ask()[0].kind, 0x0101)  # Binding is no challenge
        sock = self.tcp(daemon.port("tcp", FIRST))
        sock.send(binding(new_txid(), ALLOCATE, kind=0x0003))
        self.assertEqual(Response(sock.recv(2048)).error(), 401)

    def test_the_limit_can_be_lifted_by_a_reload(self):
        with tempfile.TemporaryDirectory(prefix="viaduct-turnd-") as folder:
            path = pathlib.Path(folder) / "turnserver.conf"
            path.write_text("unauthorized-ratelimit-rps=1\n")
            daemon = self.start(f"--listening-ip={FIRST}", "-c", str(path))
            self.assertLess(self.count(daemon, 40), 20)
            path.write_text("unauthorized-ratelimit=off\n")
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_line(r" reloaded ")
            self.assertEqual(self.count(daemon, 40), 40)


if __name__ == "__main__":
    unittest.main(verbosity=2)
