#!/usr/bin/python3
"""viaduct-turnd as a process: every transport and family, credentials, policy, streams, faults."""

import hashlib
import os
import pathlib
import queue
import random
import re
import resource
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

import stage
import turn_client
from stage import HERE, HERE_6, THERE
from turn_client import TurnClient, TurnError

SOURCE = pathlib.Path(__file__).resolve().parents[2]
TURND = pathlib.Path(os.environ.get("VIADUCT_BIN", SOURCE / "build" / "bin")) / "viaduct-turnd"
PATIENCE_S = 10  # for what must happen on a busy machine
USER, PASSWORD = "bob", "open sesame"


class Turnd:
    """A daemon that runs: its log, where it listens, its metrics."""

    def __init__(self, *args, env=None, preexec_fn=None, before=()):
        # Not what this machine has as its /etc/turnserver.conf, which coturn's package brings.
        config = any(str(a).startswith(("-c", "--config")) for a in args)
        alone = [] if config else ["--no-config"]
        command = [*before, TURND, "--listening-port=0", "--prometheus", "--prometheus-port=0", *alone, *args]
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}, preexec_fn=preexec_fn
        )
        self.lines, self.fresh, self.listening = [], queue.Queue(), {}
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        try:
            self.wait_line(r"\bready\b")
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        for line in self.lines:
            found = re.search(r" listening transport=(\w+) address=(\S+):(\d+)", line)
            if found:
                transport, ip, port = found.groups()
                self.listening[transport, ip.strip("[]")] = int(port)

    def read(self):
        for line in self.process.stderr:
            self.fresh.put(line.rstrip("\n"))
        self.fresh.put(None)

    def wait_line(self, pattern):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            line = self.fresh.get(timeout=max(deadline - time.monotonic(), 0.01))
            assert line is not None, "turnd ended:\n" + "\n".join(self.lines)
            self.lines.append(line)
            if re.search(pattern, line):
                return line

    def server(self, ip=HERE):
        return ip, next(p for (t, i), p in self.listening.items() if t in ("udp", "tcp"))

    def http(self, path):
        port = next(p for (t, _), p in self.listening.items() if t == "http")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
            return answer.read().decode()

    def metric(self, name):
        """The value of one line, by its name with labels."""
        found = re.search(rf"^{re.escape(name)} (\d+)$", self.http("/metrics"), re.M)
        assert found, f"there is no metric {name}"
        return int(found.group(1))

    def wait_metric(self, name, value):
        deadline = time.monotonic() + PATIENCE_S
        while (now := self.metric(name)) != value:
            assert time.monotonic() < deadline, f"{name} is {now}, not {value}"
            time.sleep(0.01)

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        self.reader.join(PATIENCE_S)
        self.process.stderr.close()
        return status


class Peer:
    """A UDP socket that the relay talks to."""

    def __init__(self, ip=THERE):
        with stage.away():
            self.socket = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((ip, 0))
        self.socket.settimeout(PATIENCE_S)
        self.address = self.socket.getsockname()[:2]

    def receive(self):
        data, source = self.socket.recvfrom(65536)
        return data, source[:2]

    def echo(self):
        data, source = self.receive()
        self.socket.sendto(data, source)
        return data, source


class TurndCase(unittest.TestCase):
    """One daemon for each class, all clients new."""

    ARGS = ["-u", f"{USER}:{PASSWORD}", "-r", "example.org", *stage.OPEN]
    LISTEN = ["-L", HERE, "-L", HERE_6, "-E", HERE, "-E", HERE_6]
    ENV = {}

    @classmethod
    def setUpClass(cls):
        cls.turnd = Turnd(*cls.LISTEN, *cls.ARGS, *stage.xdp(), env=cls.ENV)

    @classmethod
    def tearDownClass(cls):
        status = cls.turnd.stop()
        assert status == 0, f"turnd ended with {status}:\n" + "\n".join(cls.turnd.lines)

    def client(self, transport="udp", ip=HERE, username=USER, password=PASSWORD):
        with stage.away():
            c = TurnClient(self.turnd.server(ip), transport, username, password, timeout=PATIENCE_S)
        self.addCleanup(c.close)
        return c

    def peer(self, ip=HERE):
        """Reached from that address of the relay's."""
        p = Peer(stage.there(ip))
        self.addCleanup(p.socket.close)
        return p

    def allocated(self, transport="udp", ip=HERE):
        c = self.client(transport, ip)
        c.allocate(family=2 if ":" in ip else None)
        return c

    def assert_code(self, code, function, *args):
        with self.assertRaises(TurnError) as caught:
            function(*args)
        self.assertEqual(caught.exception.code, code)

    def assert_closed(self, sock):
        """By the server, within the patience that the socket has."""
        try:
            while sock.recv(65536):
                pass
        except ConnectionResetError:
            pass


class Relay(TurndCase):
    def check_echo(self, transport, ip):
        c, p = self.allocated(transport, ip), self.peer(ip)
        self.assertEqual(c.mapped, c.address)
        self.assertEqual(c.relayed[0], ip)
        self.assertTrue(49152 <= c.relayed[1] <= 65535)
        c.create_permission(p.address[0])
        c.send_indication(p.address, b"by indication")
        self.assertEqual(p.echo(), (b"by indication", c.relayed))
        self.assertEqual(c.receive(), (p.address, b"by indication"))
        c.channel_bind(0x4000, p.address)
        for size in (0, 1, 2, 3, 4, 160, 1200):
            payload = os.urandom(size)
            c.send_channel(0x4000, payload)
            self.assertEqual(p.echo(), (payload, c.relayed))
            self.assertEqual(c.receive(), (p.address, payload))
        if stage.WITH_XDP and transport == "udp":
            self.wait_carried()

    def wait_carried(self):
        """The kernel did it; its figures are read once in a second."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.turnd.metric('viaduct_turn_xdp_packets_total{direction="from-client"}'):
            self.assertLess(time.monotonic(), deadline, "\n".join(self.turnd.lines))
            time.sleep(0.02)

    def test_udp_ipv4(self):
        self.check_echo("udp", HERE)

    def test_udp_ipv6(self):
        self.check_echo("udp", HERE_6)

    def test_tcp_ipv4(self):
        self.check_echo("tcp", HERE)

    def test_tcp_ipv6(self):
        self.check_echo("tcp", HERE_6)

    def test_client_ipv4_peer_ipv6(self):
        c, p = self.client(), self.peer(HERE_6)
        c.allocate(family=2)
        c.channel_bind(0x4001, p.address)
        c.send_channel(0x4001, b"across")
        self.assertEqual(p.echo()[0], b"across")
        self.assertEqual(c.receive(), (p.address, b"across"))

    def test_large_datagrams(self):
        """As large as UDP gets on loopback, in both directions, over TCP too."""
        for transport in ("udp", "tcp"):
            c, p = self.allocated(transport), self.peer()
            c.channel_bind(0x4000, p.address)
            payload = os.urandom(60000)
            c.send_channel(0x4000, payload)
            self.assertEqual(p.echo()[0], payload)
            self.assertEqual(c.receive()[1], payload)

    def test_two_clients_of_this_relay(self):
        """Relayed to relayed, without any peer rule for loopback being needed (see Policy)."""
        a, b = self.allocated("udp"), self.allocated("tcp")
        a.channel_bind(0x4000, b.relayed)
        b.channel_bind(0x4001, a.relayed)
        for i in range(20):
            a.send_channel(0x4000, b"%d from a" % i)
            self.assertEqual(b.receive(), (a.relayed, b"%d from a" % i))
            b.send_channel(0x4001, b"%d from b" % i)
            self.assertEqual(a.receive(), (b.relayed, b"%d from b" % i))

    def test_binding_needs_no_credential(self):
        for transport in ("udp", "tcp"):
            c = self.client(transport)
            self.assertEqual(c.binding(), c.address)

    def test_without_permission_nothing_gets_in(self):
        c, p = self.allocated(), self.peer()
        before = self.turnd.metric('viaduct_turn_dropped_total{reason="no-permission"}')
        p.socket.sendto(b"uninvited", c.relayed)
        self.turnd.wait_metric('viaduct_turn_dropped_total{reason="no-permission"}', before + 1)
        self.assertTrue(c.receives_nothing())

    def test_refresh_zero_frees_the_port(self):
        c = self.allocated()
        self.assertEqual(c.refresh(0), 0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(c.relayed)
        self.assert_code(437, c.refresh, 600)

    def test_a_closed_connection_frees_the_port(self):
        c = self.allocated("tcp")
        c.close()
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                try:
                    s.bind(c.relayed)
                    break
                except OSError:
                    self.assertLess(time.monotonic(), deadline, "the relay socket is still open")
            time.sleep(0.01)

    def test_retransmission_is_answered_alike(self):
        c = self.client()
        c.allocate()
        again = c.authenticated(turn_client.ALLOCATE, [(turn_client.REQUESTED_TRANSPORT, bytes([17, 0, 0, 0]))])
        d = self.client()
        d.realm, d.nonce, d.key = None, None, None
        d.allocate()
        request = d.authenticated(turn_client.REFRESH, [(turn_client.LIFETIME, struct.pack("!I", 0))])
        self.assertEqual(d.transact(request).attributes, d.transact(request).attributes)
        self.assertEqual(c.transact(again).error, 437)  # another transaction

    def test_dont_fragment(self):
        """The bit is set for this datagram and for no other; each arrives."""
        c, p = self.allocated(), self.peer()
        c.create_permission(THERE)
        for more in ([(turn_client.DONT_FRAGMENT, b"")], [], [(turn_client.DONT_FRAGMENT, b"")]):
            c.send_indication(p.address, b"df", more)
            self.assertEqual(p.receive()[0], b"df")


class Metrics(TurndCase):
    def test_bytes_are_what_was_sent(self):
        c, p = self.allocated(), self.peer()
        self.turnd.wait_metric("viaduct_turn_allocations", 1)
        c.channel_bind(0x4000, p.address)
        sizes = [1, 100, 999]
        for size in sizes:
            c.send_channel(0x4000, bytes(size))
            p.echo()
            c.receive()
        p.socket.sendto(bytes(50), c.relayed)
        c.receive()
        self.turnd.wait_metric("viaduct_turn_from_client_packets_total", 3)
        self.turnd.wait_metric("viaduct_turn_from_client_bytes_total", sum(sizes))
        self.turnd.wait_metric("viaduct_turn_from_peer_packets_total", 4)
        self.turnd.wait_metric("viaduct_turn_from_peer_bytes_total", sum(sizes) + 50)
        c.refresh(0)
        self.turnd.wait_metric("viaduct_turn_allocations", 0)
        self.turnd.wait_metric('viaduct_turn_allocations_total{event="deleted"}', 1)

    def test_health_and_other_paths(self):
        self.assertEqual(self.turnd.http("/healthz"), "ok\n")
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.turnd.http("/etc/passwd")
        caught.exception.close()
        self.assertEqual(caught.exception.code, 404)

    def test_every_line_is_well_formed(self):
        for line in self.turnd.http("/metrics").splitlines():
            label = r'\w+="[^"\\]*"'
            self.assertRegex(line, rf"^(# (HELP|TYPE) viaduct_turn_\w+ .+|viaduct_turn_\w+(\{{{label}(,{label})*\}})? \d+)$")

    def test_an_idle_server_sleeps(self):
        before = self.turnd.metric("viaduct_turn_loop_rounds_total")
        time.sleep(0.5)
        self.assertLessEqual(self.turnd.metric("viaduct_turn_loop_rounds_total") - before, 1)


class Coalescing(TurndCase):
    """relay-coalesce-us: everything arrives, in fewer rounds, and nobody wakes up for nothing."""

    REST_MS = 5
    ARGS = [*TurndCase.ARGS, "--relay-threads=1", f"--relay-coalesce-us={1000 * REST_MS}"]

    def rounds(self):
        return self.turnd.metric("viaduct_turn_loop_rounds_total")

    def test_everything_arrives(self):
        for transport in ("udp", "tcp"):
            c, p = self.allocated(transport), self.peer()
            c.channel_bind(0x4000, p.address)
            for i in range(50):
                c.send_channel(0x4000, b"%d" % i)
                self.assertEqual(p.echo()[0], b"%d" % i)
                self.assertEqual(c.receive()[1], b"%d" % i)

    def test_rounds_are_apart(self):
        c, p = self.allocated(), self.peer()
        c.channel_bind(0x4000, p.address)
        before, start = self.rounds(), time.monotonic()
        for i in range(300):
            c.send_channel(0x4000, b"%d" % i)
            if i % 20 == 19:
                for k in range(i - 19, i + 1):
                    self.assertEqual(p.receive()[0], b"%d" % k)
        rounds, ms = self.rounds() - before, (time.monotonic() - start) * 1000
        self.assertLessEqual(rounds, ms / self.REST_MS + 2)

    def test_an_idle_server_sleeps(self):
        before = self.rounds()
        time.sleep(0.5)
        self.assertLessEqual(self.rounds() - before, 1)


class CoalescingStreams(TurndCase):
    """stream-coalesce-us: a worker rests while much comes over TCP, but not when a client over UDP has something too."""

    REST_MS = 5
    MANY = 2000  # in less than 100 ms, which makes 20 in a millisecond
    ARGS = [*TurndCase.ARGS, "--relay-threads=1", f"--stream-coalesce-us={1000 * REST_MS}"]

    def rounds(self):
        return self.turnd.metric("viaduct_turn_loop_rounds_total")

    def test_everything_arrives_in_order(self):
        c, p = self.allocated("tcp"), self.peer()
        c.channel_bind(0x4000, p.address)
        for start in range(0, self.MANY, 50):
            for i in range(start, start + 50):
                c.send_channel(0x4000, b"%d" % i)
            for i in range(start, start + 50):
                self.assertEqual(p.echo()[0], b"%d" % i)
            for i in range(start, start + 50):
                self.assertEqual(c.receive()[1], b"%d" % i)

    def test_an_idle_server_sleeps(self):
        before = self.rounds()
        time.sleep(0.5)
        self.assertLessEqual(self.rounds() - before, 1)


class Credentials(TurndCase):
    KEY = hashlib.md5(b"carol:example.org:with a key").hexdigest()
    ARGS = TurndCase.ARGS + ["-u", f"carol:0x{KEY}"]

    def test_wrong_password(self):
        before = self.turnd.metric('viaduct_turn_refused_total{reason="unauthorized"}')
        self.assert_code(401, self.client(password="wrong").allocate)
        self.turnd.wait_metric('viaduct_turn_refused_total{reason="unauthorized"}', before + 2)

    def test_unknown_user(self):
        self.assert_code(401, self.client(username="mallory").allocate)

    def test_no_credential(self):
        self.assert_code(401, self.client(username=None).allocate)

    def test_key_in_place_of_a_password(self):
        self.client(username="carol", password="with a key").allocate()
        self.assert_code(401, self.client(username="carol", password="wrong").allocate)

    def test_a_wrong_client_disturbs_nobody(self):
        c, p = self.allocated(), self.peer()
        c.channel_bind(0x4000, p.address)
        for _ in range(50):
            self.assert_code(401, self.client(password="wrong").allocate)
        c.send_channel(0x4000, b"still here")
        self.assertEqual(p.echo()[0], b"still here")
        self.assertEqual(c.receive()[1], b"still here")

    def test_hostile_names(self):
        for name in ("%s%n", "'; --", "a" * 513, "\x00", "\u00e4" * 100):
            self.assert_code(401, self.client(username=name).allocate)
        self.allocated()


class SharedSecret(TurndCase):
    ARGS = ["--use-auth-secret", "--static-auth-secret=old one", "--static-auth-secret=new one", "--fingerprint"]

    def test_every_secret_is_good(self):
        for secret in ("old one", "new one"):
            username, password = turn_client.rest_credentials(secret)
            c = self.client(username=username, password=password)
            c.allocate()

    def test_expired(self):
        username, password = turn_client.rest_credentials("new one", lifetime=-10)
        self.assert_code(401, self.client(username=username, password=password).allocate)

    def test_another_secret(self):
        username, password = turn_client.rest_credentials("guessed")
        self.assert_code(401, self.client(username=username, password=password).allocate)

    def test_fingerprint_in_every_response(self):
        response = self.client().transact(turn_client.build(turn_client.BINDING, turn_client.REQUEST, []))
        self.assertIsNotNone(response.get(turn_client.FINGERPRINT))


class Policy(TurndCase):
    """Without any peer rule: special-purpose addresses are denied, the relay's own are not."""

    ARGS = ["-u", f"{USER}:{PASSWORD}"]

    def test_special_purpose_peers_are_denied(self):
        c = self.allocated()
        before = self.turnd.metric('viaduct_turn_refused_total{reason="peer-denied"}')
        for ip in ("10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "0.0.0.0", "127.0.0.2"):
            self.assert_code(403, c.create_permission, ip)
            self.assert_code(403, c.channel_bind, 0x4000, (ip, 9))
        self.turnd.wait_metric('viaduct_turn_refused_total{reason="peer-denied"}', before + 14)

    def test_a_public_peer_is_allowed(self):
        self.allocated().create_permission("8.8.8.8")

    def test_two_clients_reach_each_other(self):
        a, b = self.allocated(), self.allocated()
        a.create_permission(b.relayed[0])
        b.channel_bind(0x4000, a.relayed)
        b.send_channel(0x4000, b"hello")
        self.assertEqual(a.receive(), (b.relayed, b"hello"))

    def test_other_services_of_this_host_stay_out_of_reach(self):
        """The relay's own address, but a port below the range."""
        with self.service_below_the_range() as service:
            service.settimeout(0.3)
            c = self.allocated()
            c.create_permission(HERE)
            c.send_indication(service.getsockname(), b"let me in")
            self.assert_code(403, c.channel_bind, 0x4000, service.getsockname())
            with self.assertRaises(socket.timeout):
                service.recv(100)

    def service_below_the_range(self):
        """A socket at a port below 49152, whichever is free."""
        service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for port in random.sample(range(20000, 49152), 100):
            try:
                service.bind((HERE, port))
                return service
            except OSError:
                continue
        self.fail("no port below the range is free")


class Rules(TurndCase):
    ARGS = [*Policy.ARGS, "--allowed-peer-ip=10.0.0.0/8", "--denied-peer-ip=10.1.1.1", "--denied-peer-ip=8.8.8.0-8.8.8.255"]

    def test_denied_and_allowed(self):
        c = self.allocated()
        c.create_permission("10.2.3.4")
        c.create_permission("10.1.1.1")  # allowed wins
        self.assert_code(403, c.create_permission, "8.8.8.8")
        self.assert_code(403, c.create_permission, "192.168.0.1")


class External(TurndCase):
    """Behind a NAT: clients are told another address, and reach each other by it all the same."""

    ARGS = [*Policy.ARGS, "-X", f"198.51.100.7/{HERE}"]

    def test_two_clients_by_their_external_addresses(self):
        a, b = self.allocated(), self.allocated("tcp")
        self.assertEqual((a.relayed[0], b.relayed[0]), ("198.51.100.7", "198.51.100.7"))
        a.channel_bind(0x4000, b.relayed)
        b.create_permission(a.relayed[0])
        a.send_channel(0x4000, b"through")
        self.assertEqual(b.receive(), (a.relayed, b"through"))
        b.send_indication(a.relayed, b"and back")
        self.assertEqual(a.receive(), (b.relayed, b"and back"))


class Unreachable(TurndCase):
    ARGS = [*Policy.ARGS, "--allowed-peer-ip=0.0.0.0/0", "--allowed-peer-ip=::/0"]

    def test_a_peer_without_a_route_harms_nothing(self):
        """A relay on loopback cannot send anywhere else: the kernel refuses at once."""
        c, p = self.allocated(), self.peer()
        c.channel_bind(0x4000, ("240.0.0.1", 9))
        c.channel_bind(0x4001, p.address)
        before = self.turnd.metric("viaduct_turn_udp_send_failures_total")
        for i in range(100):
            c.send_channel(0x4000, b"into the void")
            c.send_channel(0x4001, b"%d" % i)
            self.assertEqual(p.echo()[0], b"%d" % i)
            self.assertEqual(c.receive()[1], b"%d" % i)
        self.turnd.wait_metric("viaduct_turn_udp_send_failures_total", before + 100)
        self.assertEqual(c.refresh(600), 600)

    def test_a_peer_that_is_not_there(self):
        """Its ICMP "port unreachable" does not stop the relay socket."""
        c, p, gone = self.allocated(), self.peer(), self.peer()
        gone.socket.close()
        c.channel_bind(0x4000, gone.address)
        c.channel_bind(0x4001, p.address)
        for i in range(20):
            c.send_channel(0x4000, b"hello?")
            c.send_channel(0x4001, b"%d" % i)
            self.assertEqual(p.echo()[0], b"%d" % i)
            self.assertEqual(c.receive()[1], b"%d" % i)


class Streams(TurndCase):
    def raw(self):
        with stage.away():
            s = socket.create_connection(self.turnd.server(), timeout=PATIENCE_S)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.addCleanup(s.close)
        return s

    def test_a_byte_at_a_time(self):
        c, p = self.allocated("tcp"), self.peer()
        c.channel_bind(0x4000, p.address)
        c.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = struct.pack("!HH", 0x4000, 5) + b"bytes" + bytes(3)
        for byte in data + data:
            c.send_bytes(bytes([byte]))
        self.assertEqual(p.receive()[0], b"bytes")
        self.assertEqual(p.receive()[0], b"bytes")

    def test_many_in_a_segment(self):
        c, p = self.allocated("tcp"), self.peer()
        p.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        c.channel_bind(0x4000, p.address)
        payloads = [b"%03d" % i + bytes(i) for i in range(60)]
        c.send_bytes(b"".join(struct.pack("!HH", 0x4000, len(x)) + x + bytes(-len(x) % 4) for x in payloads))
        self.assertEqual([p.receive()[0] for _ in payloads], payloads)

    def test_a_large_message_in_small_pieces(self):
        c, p = self.allocated("tcp"), self.peer()
        c.channel_bind(0x4000, p.address)
        payload = os.urandom(50000)
        data = struct.pack("!HH", 0x4000, len(payload)) + payload
        for at in range(0, len(data), 1000):
            c.send_bytes(data[at : at + 1000])
        self.assertEqual(p.receive()[0], payload)

    def test_garbage_closes(self):
        cases = {
            "nearly http": b"GETS / HTTP/1.1\r\nHost: x\r\n\r\n",
            "cookie": struct.pack("!HHI", 1, 0, 0x12345678) + bytes(12),
            "length": struct.pack("!HHI", 1, 3, turn_client.COOKIE) + bytes(12),
            "tls": bytes.fromhex("16030100a5010000a1"),
            "channel": b"\x50\x00\x00\x00",
            "long": struct.pack("!HHI", 3, 65532, turn_client.COOKIE) + bytes(65532),
        }
        before = self.closed_bad()
        for name, data in cases.items():
            with self.subTest(name):
                s = self.raw()
                try:
                    s.sendall(data)
                except (ConnectionResetError, BrokenPipeError):
                    pass
                self.assert_closed(s)
        self.wait_closed_bad(before + len(cases))

    def closed_bad(self):
        return self.turnd.metric('viaduct_turn_connections_total{event="closed-bad-input"}')

    def wait_closed_bad(self, count):
        """The client sees the end before the figure moves: whoever causes one waits for it, or the next test counts it."""
        self.turnd.wait_metric('viaduct_turn_connections_total{event="closed-bad-input"}', count)

    def test_an_absurd_length_is_not_waited_for(self):
        """Of the first message, and of a later one as long as nothing is proven."""
        request = turn_client.build(turn_client.BINDING, turn_client.REQUEST, [])
        for before in (b"", request):
            for absurd in (struct.pack("!HHI", 3, 65532, turn_client.COOKIE), struct.pack("!HHI", 3, 4080, turn_client.COOKIE)):
                s, closed = self.raw(), self.closed_bad()
                s.sendall(before + absurd)
                self.assert_closed(s)
                self.wait_closed_bad(closed + 1)
        s, closed = self.raw(), self.closed_bad()
        s.sendall(request + struct.pack("!HH", 0x4000, 65000))
        self.assert_closed(s)
        self.wait_closed_bad(closed + 1)

    def test_a_length_that_may_be_is_waited_for(self):
        s, request = self.raw(), turn_client.build(turn_client.BINDING, turn_client.REQUEST, [(0x8022, bytes(4072 - 20))])
        s.sendall(request[:-1])
        s.sendall(request[-1:])
        s.shutdown(socket.SHUT_WR)
        answer = s.recv(1000)
        self.assertEqual(turn_client.Message(answer).txid, request[8:20])

    def test_garbage_behind_a_good_message(self):
        c, closed = self.client("tcp"), self.closed_bad()
        c.binding()
        c.send_bytes(b"\xff" * 32)
        self.assert_closed(c.socket)
        self.wait_closed_bad(closed + 1)

    def test_half_close_is_answered(self):
        s = self.raw()
        request = turn_client.build(turn_client.BINDING, turn_client.REQUEST, [])
        s.sendall(request)
        s.shutdown(socket.SHUT_WR)
        answer = b""
        while more := s.recv(1000):
            answer += more
        self.assertEqual(turn_client.Message(answer).txid, request[8:20])

    def test_a_silent_connection_is_given_up(self):
        s = self.raw()
        s.settimeout(20)
        begin = time.monotonic()
        self.assert_closed(s)
        self.assertLess(time.monotonic() - begin, 15)

    def test_a_slow_reader_costs_bounded_memory(self):
        """It takes nothing for a while: what finds no room is dropped and counted, others go on."""
        slow, p = self.client("tcp"), self.peer()
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        slow.allocate()
        slow.channel_bind(0x4000, p.address)
        other, q = self.allocated("tcp"), self.peer()
        other.channel_bind(0x4000, q.address)
        dropped = 'viaduct_turn_dropped_total{reason="slow-reader"}'
        before = self.turnd.metric(dropped)
        memory = self.memory()
        for i in range(20000):
            p.socket.sendto(bytes(1200), slow.relayed)
            if i % 1000 == 0:
                other.send_channel(0x4000, b"%d" % i)
                self.assertEqual(q.echo()[0], b"%d" % i)
                self.assertEqual(other.receive()[1], b"%d" % i)
        self.assertGreater(self.turnd.metric(dropped), before)
        self.assertLess(self.memory() - memory, 4 << 20)
        self.drain(slow, p)

    def drain(self, slow, p):
        """Reads what waits, until what is sent now arrives: the connection works on."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            p.socket.sendto(b"you are back", slow.relayed)
            for _ in range(500):
                try:
                    payload = slow.receive(0.1)[1]
                except socket.timeout:
                    break
                if payload == b"you are back":
                    return
        self.fail("the slow reader's connection is stuck")

    def memory(self):
        """Bytes that the daemon holds in memory."""
        pages = pathlib.Path(f"/proc/{self.turnd.process.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()

    def test_hundreds_of_connections(self):
        before = self.turnd.metric("viaduct_turn_connections")
        clients = [self.client("tcp") for _ in range(300)]
        self.turnd.wait_metric("viaduct_turn_connections", before + 300)
        for c in clients:
            self.assertEqual(c.binding(), c.address)
        for c in clients:
            c.close()
        self.turnd.wait_metric("viaduct_turn_connections", before)


class Thousands(TurndCase):
    COUNT = 4000

    def connect(self, begin):
        with stage.away():
            s = socket.create_connection(self.turnd.server(), timeout=PATIENCE_S)
        self.addCleanup(s.close)
        s.sendall(begin)
        return s

    def test_cost_little_and_stop_nobody(self):
        """Silent ones, ones in the middle of a message, and ones that ask; a client that relays does not notice."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.assertGreater(hard, self.COUNT + 100, "raise the limit of descriptors (ulimit -Hn)")
        c, p = self.allocated("tcp"), self.peer()
        c.channel_bind(0x4000, p.address)
        request = turn_client.build(turn_client.BINDING, turn_client.REQUEST, [])
        begins = (b"", request[:1], request[:-1], request, request + request[:2])
        before, memory = self.turnd.metric("viaduct_turn_connections"), Streams.memory(self)
        accepted = 'viaduct_turn_connections_total{event="accepted"}'
        begun = self.turnd.metric(accepted)
        for i in range(self.COUNT):
            self.connect(begins[i % len(begins)])
            if i % 400 == 0:
                c.send_channel(0x4000, b"%d" % i)
                self.assertEqual(p.echo()[0], b"%d" % i)
                self.assertEqual(c.receive()[1], b"%d" % i)
        self.turnd.wait_metric(accepted, begun + self.COUNT)
        self.assertLess(Streams.memory(self) - memory, self.COUNT * 2048)
        self.assertGreaterEqual(before, 1)
        self.assertEqual(self.client("tcp").binding()[0], THERE)
        self.assertEqual(c.refresh(600), 600)


class Datagrams(TurndCase):
    def test_hostile_datagrams(self):
        c, p = self.allocated(), self.peer()
        c.channel_bind(0x4000, p.address)
        good = c.authenticated(turn_client.REFRESH, [(turn_client.LIFETIME, struct.pack("!I", 600))])
        with stage.away():
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with s:
            s.connect(self.turnd.server())
            for size in (0, 1, 3, 4, 19, 20, 21, 100, 1500, 65000):
                s.send(os.urandom(size))
            for end in range(len(good)):
                s.send(good[:end])
            for at in range(len(good)):
                s.send(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
        c.send_channel(0x4000, b"unharmed")
        self.assertEqual(p.echo()[0], b"unharmed")
        self.assertEqual(c.receive()[1], b"unharmed")

    def test_channel_data_without_an_allocation(self):
        before = self.turnd.metric('viaduct_turn_dropped_total{reason="no-allocation"}')
        self.client().send_channel(0x4000, b"who are you?")
        self.turnd.wait_metric('viaduct_turn_dropped_total{reason="no-allocation"}', before + 1)


class Wildcard(TurndCase):
    """All addresses: an answer leaves from the address that was asked."""

    LISTEN = ["-E", HERE, "-E", HERE_6]

    def test_the_answer_comes_from_where_it_was_asked(self):
        for ip in (HERE, HERE_6) if stage.WITH_XDP else (HERE, "127.0.0.5", HERE_6):
            with self.subTest(ip):
                c = self.client(ip=ip)  # connected: another source would not reach it
                self.assertEqual(c.binding(), c.address)
                c.allocate()
                p = self.peer()
                c.channel_bind(0x4000, p.address)
                p.socket.sendto(b"in", c.relayed)
                self.assertEqual(c.receive(), (p.address, b"in"))


class Threads(TurndCase):
    ARGS = [*TurndCase.ARGS, "--relay-threads=3", "--min-port=50000", "--max-port=50099"]

    def test_many_clients_on_three_workers(self):
        p = self.peer()
        before = self.turnd.metric("viaduct_turn_from_client_bytes_total")
        clients = [self.allocated(t) for t in ("udp", "tcp") for _ in range(20)]
        self.assertEqual(len({c.relayed for c in clients}), len(clients))
        for c in clients:
            c.channel_bind(0x4000, p.address)
            c.send_channel(0x4000, b"x")
            self.assertEqual(p.echo()[1], c.relayed)
            self.assertEqual(c.receive()[1], b"x")
        self.turnd.wait_metric("viaduct_turn_allocations", len(clients))
        self.turnd.wait_metric("viaduct_turn_from_client_bytes_total", before + len(clients))

    def test_a_reserved_port_from_whatever_worker(self):
        """The second client's 5-tuple is at another worker in two of three cases; the port is where the first one's is."""
        p = self.peer()
        for transport in ("udp", "tcp"):
            for _ in range(8):
                first, second = self.client(transport), self.client(transport)
                udp = (turn_client.REQUESTED_TRANSPORT, bytes([17, 0, 0, 0]))
                response = first.request(turn_client.ALLOCATE, [udp, (0x18, b"\x80")])
                even = response.address(turn_client.XOR_RELAYED_ADDRESS)
                second.allocate(more=[(0x22, response.get(0x22))])
                self.assertEqual(second.relayed, (even[0], even[1] + 1))
                second.channel_bind(0x4000, p.address)
                second.send_channel(0x4000, b"x")
                self.assertEqual(p.echo()[1], second.relayed)
                self.assertEqual(second.receive()[1], b"x")
                second.refresh(0)
                first.refresh(0)
        self.turnd.wait_metric("viaduct_turn_allocations", 0)


class Quota(TurndCase):
    ARGS = [*TurndCase.ARGS, "--user-quota=2"]

    def test_user_quota(self):
        clients = [self.allocated() for _ in range(2)]
        self.assert_code(486, self.client().allocate)
        clients[0].refresh(0)
        self.allocated()


class Members(TurndCase):
    ARGS = [*TurndCase.ARGS, "--permission-quota=3", "--channel-quota=2"]

    def test_permissions_and_channels(self):
        c, net = self.allocated(), HERE.rpartition(".")[0]
        for last in range(1, 4):
            c.create_permission(f"{net}.{last}")
        self.assert_code(508, c.create_permission, f"{net}.4")
        c.create_permission(f"{net}.3")
        c.channel_bind(0x4000, (f"{net}.1", 1000))
        c.channel_bind(0x4001, (f"{net}.1", 1001))
        self.assert_code(508, c.channel_bind, 0x4002, (f"{net}.1", 1002))


class Ports(TurndCase):
    ARGS = [*TurndCase.ARGS, "--min-port=51000", "--max-port=51003"]

    def test_exhausted_and_given_back(self):
        clients = []
        with self.assertRaises(TurnError) as caught:
            for _ in range(5):
                clients.append(self.allocated())
        self.assertEqual(caught.exception.code, 508)
        self.assertTrue(clients)
        for c in clients:
            c.refresh(0)
        again = [self.allocated() for _ in clients]
        self.assertEqual({c.relayed for c in again}, {c.relayed for c in clients})


class Reload(unittest.TestCase):
    def test_sighup(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "turnserver.conf"
            path.write_text(f"listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nuser={USER}:{PASSWORD}\n")
            turnd = Turnd("-c", str(path))
            self.addCleanup(turnd.stop)

            def client(password):
                c = TurnClient(turnd.server(), "udp", USER, password, PATIENCE_S)
                self.addCleanup(c.close)
                return c

            before = client(PASSWORD)
            before.allocate()
            before.create_permission("8.8.8.8")
            path.write_text("listening-ip=127.0.0.1\nuser=bob:another\ndenied-peer-ip=8.8.8.8\nrealm=other\n")
            turnd.process.send_signal(signal.SIGHUP)
            turnd.wait_line("realm has changed, which takes effect at the next start")
            turnd.wait_line(r" reloaded users=1 ")
            self.assertEqual(client(PASSWORD).transact(turn_client.build(1, 0, [])).kind, turn_client.SUCCESS)
            with self.assertRaises(TurnError):
                client(PASSWORD).allocate()
            after = client("another")
            after.allocate()
            self.assertEqual((after.realm, after.relayed[0]), (b"viaduct", "127.0.0.1"))
            with self.assertRaises(TurnError):
                after.create_permission("8.8.8.8")
            path.write_text("user=bob:third\ndenied-peer-ip=nonsense\n")
            turnd.process.send_signal(signal.SIGHUP)
            self.assertIn("turnserver.conf:2", turnd.wait_line("reload-refused"))
            client("another").allocate()


class Start(unittest.TestCase):
    """What stops the start, and how it ends."""

    def run_turnd(self, *args):
        alone = [] if any(str(a).startswith(("-c", "--config")) for a in args) else ["-n"]
        done = subprocess.run([TURND, *alone, *args], capture_output=True, text=True, timeout=PATIENCE_S)
        return done.returncode, done.stderr.strip().splitlines()

    def assert_refused(self, status, pattern, *args):
        code, lines = self.run_turnd(*args)
        self.assertEqual(code, status, lines)
        last = [line for line in lines if line.startswith("viaduct-turnd: ")]
        self.assertEqual(len(last), 1, lines)
        self.assertRegex(last[0], pattern)

    def test_no_open_relay_by_accident(self):
        self.assert_refused(2, "static-auth-secret=SECRET, user=NAME:PASSWORD or userdb=FILE, or no-auth", "-p", "0")

    def test_wrong_options(self):
        auth = ["-u", "a:b", "-p", "0"]
        cases = [
            (["--min-prot=1"], "unknown option '--min-prot'; did you mean '--min-port'"),
            (["--min-port=70000"], "min-port must be a number from 1 to 65535"),
            (["--min-port=200", "--max-port=100"], "min-port 200 is above max-port 100"),
            (["--denied-peer-ip=10.0.0.0/99"], "denied-peer-ip must be"),
            (["-L", "localhost"], "listening-ip must be an IPv4 or IPv6 address"),
            (["-L", "127.0.0.1", "-L", "127.0.0.1"], "stands twice"),
            (["-u", "nopassword"], "user must be NAME:PASSWORD"),
            (["-u", "bob:0x1234"], "user must be NAME:PASSWORD"),
            (["-X", "198.51.100.7/10.9.9.9"], "set relay-ip"),
            (["--no-udp", "--no-tcp"], "leave no listener"),
            (["--no-auth"], "leave one out"),
            (["--use-auth-secret"], "use-auth-secret needs static-auth-secret"),
            (["--realm="], "realm"),
            (["-c", "/nonexistent/turnserver.conf"], "cannot read /nonexistent/turnserver.conf"),
            (["-c", "/tmp"], "cannot read /tmp: it is not a file"),
            (["-l", "/nonexistent/log"], "cannot open the log file /nonexistent/log"),
        ]
        for more, pattern in cases:
            with self.subTest(more):
                self.assert_refused(2, pattern, *auth, *more)

    def test_a_secret_is_never_repeated(self):
        for args in (["-u", "topsecret"], ["--usr=bob:topsecret"], ["-u", "a:b", "topsecret"]):
            _, lines = self.run_turnd("-p", "0", *args)
            if args[0] == "-u":
                self.assertNotIn("topsecret", lines[0].replace("'topsecret' is not an option", ""))

    def test_a_line_of_the_file_is_named(self):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write("# a comment\nuse-auth-secret\nstatic-auth-secret=x\n\nallowed-peer-ip=10.0.0.9-10.0.0.1\n")
            f.flush()
            self.assert_refused(2, rf"{re.escape(f.name)}:5: allowed-peer-ip must be", "-c", f.name)

    def test_a_file_of_coturn(self):
        """As guides tell people to write it: what is not there yet is a warning."""
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write(
                "use-auth-secret\nstatic-auth-secret=x\nrealm=turn.example.org\n"
                "no-tcp-relay\ndenied-peer-ip=10.0.0.0-10.255.255.255\nuser-quota=12\ntotal-quota=1200\n"
                "stale-nonce\nno-multicast-peers\nno-cli\ndh-file=/etc/ssl/x.pem\nlog-file=stdout\nsimple-log\n"
                "listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nverbose\nfingerprint\n"
            )
            f.flush()
            turnd = Turnd("-c", f.name)
            try:
                notes = [line for line in turnd.lines if " configuration " in line]
                self.assertTrue(any(":11: dh-file has no effect here" in line for line in notes), notes)
            finally:
                self.assertEqual(turnd.stop(), 0)

    def test_port_in_use(self):
        """By anybody, and by another server that shares ports as our own threads do among each other."""
        for kind, name in ((socket.SOCK_DGRAM, "udp"), (socket.SOCK_STREAM, "tcp")):
            for threads in ("1", "2"):
                with self.subTest(f"{name}, {threads} threads"), socket.socket(socket.AF_INET, kind) as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(threads == "2"))
                    s.bind(("127.0.0.1", 0))
                    if kind == socket.SOCK_STREAM:
                        s.listen()
                    port = s.getsockname()[1]
                    pattern = (
                        rf"cannot listen on {name} 127.0.0.1:{port}: the port is in use by .*"
                        rf"\(pid {os.getpid()}\).*listening-port"
                    )
                    self.assert_refused(
                        3, pattern, "-u", "a:b", "-L", "127.0.0.1", "-p", str(port), "--relay-threads", threads
                    )

    def test_metrics_port_in_use(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            port = s.getsockname()[1]
            self.assert_refused(
                3, f"tcp 127.0.0.1:{port}: the port is in use.*prometheus-port",
                "-u", "a:b", "-p", "0", "-L", "127.0.0.1", "--prometheus", f"--prometheus-port={port}",
            )

    def test_an_address_of_another_machine(self):
        self.assert_refused(3, "has no such address", "-u", "a:b", "-p", "0", "-L", "203.0.113.1", "-E", "127.0.0.1")
        self.assert_refused(3, "set relay-ip to an address of this machine", "-u", "a:b", "-p", "0", "-E", "203.0.113.1")

    def test_ends_on_request(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            turnd = Turnd("-u", "a:b", "-L", "127.0.0.1", "-E", "127.0.0.1")
            with TurnClient(turnd.server(), "tcp", "a", "b", PATIENCE_S) as c:
                c.allocate()
                begin = time.monotonic()
                self.assertEqual(turnd.stop(number), 0)
                self.assertLess(time.monotonic() - begin, 2)

    def test_killed_and_back_at_once(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        args = ["-u", "a:b", "-L", "127.0.0.1", "-E", "127.0.0.1", "-p", str(port)]
        turnd = Turnd(*args)
        c = TurnClient(turnd.server(), "tcp", "a", "b", PATIENCE_S)
        self.addCleanup(c.close)
        c.allocate()
        self.assertEqual(turnd.stop(signal.SIGKILL), -signal.SIGKILL)
        again = Turnd(*args)
        try:
            with TurnClient(again.server(), "tcp", "a", "b", PATIENCE_S) as d:
                d.allocate()
        finally:
            self.assertEqual(again.stop(), 0)

    def test_tells_that_it_is_ready(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            path = os.path.join(folder, "notify")
            s.bind(path)
            s.settimeout(PATIENCE_S)
            turnd = Turnd("-u", "a:b", "-L", "127.0.0.1", env={"NOTIFY_SOCKET": path})
            self.assertEqual(s.recv(100), b"READY=1")
            self.assertEqual(turnd.stop(), 0)
            self.assertEqual(s.recv(100), b"STOPPING=1")

    def test_pidfile_and_log_file(self):
        with tempfile.TemporaryDirectory() as folder:
            pid, log = pathlib.Path(folder) / "pid", pathlib.Path(folder) / "log"
            turnd = Turnd("-u", "a:b", "-L", "127.0.0.1", "--pidfile", str(pid), "-l", str(log), "--json-log")
            self.assertEqual(int(pid.read_text()), turnd.process.pid)
            self.assertEqual(turnd.stop(), 0)
            self.assertFalse(pid.exists())
            self.assertIn('"event":"ready"', log.read_text())

    def test_prints(self):
        for option, pattern in (("--help", "--static-auth-secret"), ("--version", "viaduct-turnd 0"),
                                ("--example-config", "listening-port"), ("--man", r"\.TH")):
            done = subprocess.run([TURND, option], capture_output=True, text=True, timeout=PATIENCE_S)
            self.assertEqual(done.returncode, 0)
            self.assertRegex(done.stdout, pattern)


class Background(unittest.TestCase):
    """--daemon: the command ends when the server serves, with 0, or with the status of a start that failed."""

    def start(self, folder, *args):
        command = [TURND, "-n", "-o", "-L", "127.0.0.1", "-E", "127.0.0.1", "-u", "a:b", "--no-tls", "--no-dtls", *args]
        command += [f"--pidfile={folder}/pid", f"--log-file={folder}/log"]
        env = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"}
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, env=env)

    def test_serves_when_the_command_has_ended(self):
        with tempfile.TemporaryDirectory(prefix="viaduct-turnd-") as folder:
            done = self.start(folder, "--listening-port=0")
            self.assertEqual(done.returncode, 0, done.stderr)
            pid = int(pathlib.Path(folder, "pid").read_text())
            try:
                log = pathlib.Path(folder, "log").read_text()
                port = int(re.search(r"transport=udp address=127.0.0.1:(\d+)", log).group(1))
                with TurnClient(("127.0.0.1", port)) as client:
                    client.binding()
                self.assertEqual(os.getsid(pid), pid)
                self.assertEqual({os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)}, {"/dev/null"})
            finally:
                os.kill(pid, signal.SIGTERM)
                deadline = time.monotonic() + PATIENCE_S
                while pathlib.Path(folder, "pid").exists():  # it goes last of all
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.01)

    def test_a_start_that_fails(self):
        with tempfile.TemporaryDirectory(prefix="viaduct-turnd-") as folder:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
                taken.bind(("127.0.0.1", 0))
                done = self.start(folder, f"--listening-port={taken.getsockname()[1]}")
            self.assertEqual(done.returncode, 3)
            self.assertIn("listening-port", done.stderr)


def limited(soft, hard):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Descriptors(unittest.TestCase):
    ARGS = ["-u", "a:b", "-L", "127.0.0.1", "-E", "127.0.0.1"]

    def start(self, *args, soft=None, hard):
        turnd = Turnd(*self.ARGS, *args, preexec_fn=limited(soft or hard, hard))
        self.addCleanup(turnd.stop)
        return turnd

    def client(self, turnd, transport="udp"):
        c = TurnClient(turnd.server(), transport, "a", "b", PATIENCE_S)
        self.addCleanup(c.close)
        return c

    def exhaust(self, turnd):
        """Clients with an allocation each, until one is refused."""
        clients = []
        with self.assertRaises(TurnError) as caught:
            while len(clients) < 1000:
                clients.append(self.client(turnd))
                clients[-1].allocate()
        self.assertEqual(caught.exception.code, 508)
        return clients

    def cpu_ticks(self, turnd):
        fields = pathlib.Path(f"/proc/{turnd.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def limits(self, turnd):
        text = pathlib.Path(f"/proc/{turnd.process.pid}/limits").read_text()
        return re.search(r"Max open files\s+(\d+)\s+(\d+)", text).groups()

    def test_the_soft_limit_is_raised(self):
        turnd = self.start("--total-quota=100", soft=64, hard=500)
        self.assertEqual(self.limits(turnd), ("500", "500"))
        self.assertFalse([line for line in turnd.lines if "descriptor-limit" in line])

    def test_what_to_raise_is_said_at_the_start(self):
        """The relay sockets of the port range or the quota, as many connections, and what turnd itself needs."""
        for args, wanted in (
            (["--min-port=50000", "--max-port=54999"], 2 * 5000 + 256),
            (["--total-quota=100"], 2 * 100 + 256),
            (["--min-port=50000", "--max-port=50099"], 2 * 100 + 256),
            (["--total-quota=300", "--no-tcp"], 300 + 256),
            (["--total-quota=100", "-E", "::1"], 2 * 200 + 256),
        ):
            turnd = self.start(*args, hard=wanted - 1)
            line = next(line for line in turnd.lines if " descriptor-limit " in line)
            self.assertIn(f" limit={wanted - 1} wanted={wanted} ", line)
            for mend in (f"LimitNOFILE={wanted}", f"ulimit -n {wanted};", f"--ulimit nofile={wanted}"):
                self.assertIn(mend, line)
            turnd.stop()
            turnd = self.start(*args, hard=wanted)
            self.assertFalse([line for line in turnd.lines if "descriptor-limit" in line])
            turnd.stop()

    def test_who_runs_it_still_gets_in(self):
        """Metrics and a reload with clients holding all that is theirs; the log says why, once; nothing spins."""
        turnd = self.start(hard=120)
        clients = self.exhaust(turnd)
        self.assertIn("no descriptors left", turnd.wait_line("relay-port-missing"))
        for _ in range(10):
            with self.assertRaises(TurnError) as caught:
                clients[-1].allocate()
            self.assertEqual(caught.exception.code, 508)
        waiting = [self.client(turnd, "tcp") for _ in range(5)]
        self.assertIn("no descriptors left", turnd.wait_line("accept-paused"))
        pages = [turnd.http("/metrics") for _ in range(3)]
        self.assertIn("viaduct_turn_allocations", pages[0])
        turnd.process.send_signal(signal.SIGHUP)
        turnd.wait_line(r"\breloaded\b")
        self.assertEqual(clients[0].binding(), clients[0].address)
        for c in clients[:-1]:
            c.refresh(0)
        for c in waiting:
            self.assertEqual(c.binding(), c.address)
        clients[-1].allocate()
        self.assertEqual(len([line for line in turnd.lines if "relay-port-missing" in line]), 1)

    def test_nothing_spins(self):
        """With the limit lowered below what is open, so that nothing is kept for anybody."""
        turnd = self.start(hard=120)
        resource.prlimit(turnd.process.pid, resource.RLIMIT_NOFILE, (3, 120))
        http = next(p for (t, _), p in turnd.listening.items() if t == "http")
        waiting = [socket.create_connection(("127.0.0.1", p)) for p in (http, turnd.server()[1]) for _ in range(3)]
        turnd.wait_line("accept-paused")
        before = self.cpu_ticks(turnd)
        time.sleep(1)
        self.assertLess(self.cpu_ticks(turnd) - before, os.sysconf("SC_CLK_TCK") // 4)
        resource.prlimit(turnd.process.pid, resource.RLIMIT_NOFILE, (120, 120))
        self.assertIn("viaduct_turn_allocations", turnd.http("/metrics"))
        for s in waiting:
            s.close()

    def test_none_left(self):
        """Out of descriptors: 508 for an Allocate, accepting pauses, and all goes on when there are some again."""

        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

        turnd = Turnd("-u", "a:b", "-L", "127.0.0.1", "-E", "127.0.0.1", preexec_fn=few)
        try:
            kept = TurnClient(turnd.server(), "udp", "a", "b", PATIENCE_S)
            clients = []
            with self.assertRaises(TurnError) as caught:
                for _ in range(50):
                    clients.append(TurnClient(turnd.server(), "udp", "a", "b", PATIENCE_S))
                    clients[-1].allocate()
            self.assertEqual(caught.exception.code, 508)
            self.assertEqual(kept.binding(), kept.address)
            waiting = TurnClient(turnd.server(), "tcp", "a", "b", PATIENCE_S)
            request = turn_client.build(turn_client.BINDING, turn_client.REQUEST, [])
            waiting.send_bytes(request)
            for c in clients[:-1]:
                c.refresh(0)
            self.assertEqual(turn_client.Message(waiting.read_frame(time.monotonic() + PATIENCE_S)).txid, request[8:20])
            for c in [kept, waiting, *clients]:
                c.close()
        finally:
            self.assertEqual(turnd.stop(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
