#!/usr/bin/python3
"""viaduct-turnd with TCP allocations (RFC 6062): connections to peers and from them, over TCP and TLS, IPv4 and IPv6."""

import hashlib
import os
import re
import select
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
import unittest

import test_turnd_tls
import turn_client
from test_turnd import PASSWORD, PATIENCE_S, USER, TurndCase
from test_turnd_tls import TlsCase, tls_context
from turn_client import TurnClient, TurnError

CONNECT, CONNECTION_BIND, CONNECTION_ATTEMPT = 10, 11, 12
CONNECTION_ID = 0x002A
TCP = [(turn_client.REQUESTED_TRANSPORT, bytes([6, 0, 0, 0]))]
CONNECTIONS = "viaduct_turn_peer_connections"
LARGE = 64 << 20


def event(name):
    return f'viaduct_turn_peer_connections_total{{event="{name}"}}'


def setUpModule():
    test_turnd_tls.setUpModule()


def tearDownModule():
    test_turnd_tls.tearDownModule()


class Control(TurnClient):
    """The control connection of a TCP allocation."""

    def allocate(self, family=None, lifetime=None, more=()):
        attributes = TCP + ([(turn_client.REQUESTED_ADDRESS_FAMILY, bytes([family, 0, 0, 0]))] if family else [])
        response = self.request(turn_client.ALLOCATE, attributes + list(more))
        self.relayed = response.address(turn_client.XOR_RELAYED_ADDRESS)
        return self.relayed

    def open(self, peer):
        """Connect: the CONNECTION-ID, as its four bytes."""
        return self.peer_request(CONNECT, peer).get(CONNECTION_ID)

    def attempt(self):
        """The next ConnectionAttempt: (CONNECTION-ID, peer)."""
        message = turn_client.Message(self.waiting.pop(0) if self.waiting else self.read_frame(time.monotonic() + PATIENCE_S))
        assert (message.method, message.kind) == (CONNECTION_ATTEMPT, turn_client.INDICATION)
        return message.get(CONNECTION_ID), message.address(turn_client.XOR_PEER_ADDRESS)


class TcpRelayCase(TlsCase):
    """Each client comes over TCP or TLS."""

    SECURE = False

    def dial(self, kind, ip="127.0.0.1", secure=None):
        secure = self.SECURE if secure is None else secure
        c = kind(self.secure(ip) if secure else self.turnd.server(ip), "tcp", USER, PASSWORD, timeout=PATIENCE_S)
        self.addCleanup(lambda: c.close())
        if secure:
            c.socket = tls_context().wrap_socket(c.socket, server_hostname="localhost", suppress_ragged_eofs=False)
        return c

    def control(self, ip="127.0.0.1"):
        c = self.dial(Control, ip)
        c.allocate(family=2 if ":" in ip else None)
        return c

    def bind(self, name, ip="127.0.0.1", secure=None):
        """A connection of the client's that is joined with the peer's: a socket, and nothing read beyond the response."""
        c = self.dial(TurnClient, ip, secure)
        c.request(CONNECTION_BIND, [(CONNECTION_ID, name)])
        self.early = c.stream
        return c.socket

    def listener(self, ip="127.0.0.1"):
        s = socket.create_server((ip, 0), family=socket.AF_INET6 if ":" in ip else socket.AF_INET)
        s.settimeout(PATIENCE_S)
        self.addCleanup(s.close)
        return s

    def accept(self, listener):
        s = listener.accept()[0]
        s.settimeout(PATIENCE_S)
        self.addCleanup(s.close)
        return s

    def pair(self, ip="127.0.0.1"):
        """(control, the client's data connection, the peer's socket), by Connect."""
        c, listener = self.control(ip), self.listener(ip)
        name = c.open(listener.getsockname()[:2])
        peer = self.accept(listener)
        self.assertEqual(peer.getpeername()[:2], c.relayed)
        return c, self.bind(name, ip), peer

    def reads(self, s, data):
        got = b""
        while len(got) < len(data):
            more = s.recv(len(data) - len(got))
            self.assertTrue(more, "closed early")
            got += more
        self.assertEqual(got, data)

    def assert_eof(self, s):
        self.assertEqual(s.recv(1), b"")

    def silent(self):
        """The address of a peer that never answers: its backlog is full, and the kernel drops what comes."""
        full = socket.socket()
        self.addCleanup(full.close)
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(2):
            s = socket.socket()
            s.setblocking(False)
            self.addCleanup(s.close)
            s.connect_ex(full.getsockname())
        return full.getsockname()

    def none_left(self):
        self.turnd.wait_metric(CONNECTIONS, 0)


class Relaying:
    def check_both_ways(self, ip):
        _, data, peer = self.pair(ip)
        self.check_echo(data, peer)

    def check_echo(self, data, peer):
        for size in (1, 3, 1000, 70000):
            payload = os.urandom(size)
            data.sendall(payload)
            self.reads(peer, payload)
            peer.sendall(payload[::-1])
            self.reads(data, payload[::-1])

    def test_connect_ipv4(self):
        self.check_both_ways("127.0.0.1")

    def test_connect_ipv6(self):
        self.check_both_ways("::1")

    def check_attempt(self, ip):
        c = self.control(ip)
        c.create_permission(ip)
        peer = socket.create_connection(c.relayed, PATIENCE_S)
        self.addCleanup(peer.close)
        peer.sendall(b"I spoke before anybody came")
        name, address = c.attempt()
        self.assertEqual(address, peer.getsockname()[:2])
        data = self.bind(name, ip)
        self.reads(data, b"I spoke before anybody came"[len(self.early):])
        self.check_echo(data, peer)

    def test_attempt_ipv4(self):
        self.check_attempt("127.0.0.1")

    def test_attempt_ipv6(self):
        self.check_attempt("::1")

    def test_without_permission(self):
        c = self.control()
        before = self.turnd.metric(event("refused"))
        peer = socket.create_connection(c.relayed, PATIENCE_S)
        self.addCleanup(peer.close)
        self.assert_closed(peer)
        self.turnd.wait_metric(event("refused"), before + 1)

    def test_data_right_behind_the_request(self):
        """Eager, and all of it arrives: it stands behind the ConnectionBind, whatever is read with it."""
        c, listener = self.control(), self.listener()
        name = c.open(listener.getsockname())
        up = "viaduct_turn_from_client_bytes_total"
        before = self.turnd.metric(up)
        peer, d = self.accept(listener), self.dial(TurnClient)
        with self.assertRaises(TurnError):
            d.username = None
            d.request(CONNECTION_BIND, [(CONNECTION_ID, name)])
        d.username, d.realm, d.nonce, d.key = USER, c.realm, None, c.key
        challenge = d.transact(turn_client.build(CONNECTION_BIND, turn_client.REQUEST, [(CONNECTION_ID, name)]))
        d.nonce = challenge.get(turn_client.NONCE)
        rest = os.urandom(50000)
        d.socket.sendall(d.authenticated(CONNECTION_BIND, [(CONNECTION_ID, name)]) + rest)
        self.reads(peer, rest)
        self.turnd.wait_metric(up, before + len(rest))  # what is told late is not the next test's

    def transfer(self, source, sink, size, slow=False):
        """`size` bytes from one to the other in a thread each; what was sent and what came, as checksums."""
        sums = [hashlib.sha256(), hashlib.sha256()]
        threads = []
        block = os.urandom(1 << 20)

        def send():
            for i in range(size // len(block)):
                piece = block[i:] + block[:i]
                sums[0].update(piece)
                source.sendall(piece)

        def receive():
            left = size
            while slow and threads[0].is_alive() and select.select([], [source], [], 0)[1]:
                time.sleep(0.01)  # until all buffers on the way are full
            while left > 0:
                piece = sink.recv(1 << 18)
                if not piece:
                    return
                sums[1].update(piece)
                left -= len(piece)

        threads += [threading.Thread(target=send), threading.Thread(target=receive)]
        for s in (source, sink):
            s.settimeout(60)
        for t in threads:
            t.start()
        return threads, sums

    def check_transfers(self, runs):
        for threads, _ in runs:
            for t in threads:
                t.join()
        for _, sums in runs:
            self.assertEqual(sums[0].hexdigest(), sums[1].hexdigest())

    def test_large_to_the_peer(self):
        _, data, peer = self.pair()
        self.check_transfers([self.transfer(data, peer, LARGE, slow=True)])

    def test_large_to_the_client(self):
        _, data, peer = self.pair()
        self.check_transfers([self.transfer(peer, data, LARGE, slow=True)])

    def test_many_at_once(self):
        c, listener = self.control(), self.listener()
        pairs = []
        for _ in range(20):
            listener = self.listener()
            name = c.open(listener.getsockname())
            pairs.append((self.accept(listener), self.bind(name)))
        for peer, data in pairs:
            self.check_echo(data, peer)


class OverTcp(Relaying, TcpRelayCase):
    def test_large_both_ways_at_once(self):
        _, data, peer = self.pair()
        self.check_transfers([self.transfer(data, peer, LARGE), self.transfer(peer, data, LARGE)])

    def test_half_close_by_the_client(self):
        _, data, peer = self.pair()
        data.sendall(b"the last word")
        data.shutdown(socket.SHUT_WR)
        self.reads(peer, b"the last word")
        self.assert_eof(peer)
        peer.sendall(b"heard")
        self.reads(data, b"heard")
        peer.close()
        self.assert_eof(data)
        self.none_left()

    def test_half_close_by_the_peer(self):
        _, data, peer = self.pair()
        peer.sendall(b"the last word")
        peer.shutdown(socket.SHUT_WR)
        self.reads(data, b"the last word")
        self.assert_eof(data)
        data.sendall(b"heard")
        self.reads(peer, b"heard")
        data.close()
        self.assert_eof(peer)
        self.none_left()

    def test_close_with_much_on_its_way(self):
        """What was sent before the close arrives, though the reader is slow."""
        for sends_first in (True, False):
            _, data, peer = self.pair()
            source, sink = (data, peer) if sends_first else (peer, data)
            payload = os.urandom(8 << 20)
            sender = threading.Thread(target=lambda: (source.sendall(payload), source.close()))
            sender.start()
            self.reads(sink, payload)
            self.assert_eof(sink)
            sender.join()
            sink.close()
        self.none_left()

    def test_reset_by_the_peer(self):
        _, data, peer = self.pair()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        self.assert_closed(data)
        data.close()
        self.none_left()

    def test_reset_by_the_client(self):
        _, data, peer = self.pair()
        data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        data.close()
        self.assert_closed(peer)
        self.none_left()

    def test_a_peer_that_hangs_up_before_it_is_bound(self):
        """What it said is still for the client to read; a reset connection is nobody's."""
        c, listener = self.control(), self.listener()
        name = c.open(listener.getsockname())
        peer = self.accept(listener)
        peer.sendall(b"goodbye")
        peer.close()
        data = self.bind(name)
        self.reads(data, b"goodbye"[len(self.early):])
        self.assert_eof(data)
        data.close()
        self.none_left()
        name = c.open(listener.getsockname())
        peer = self.accept(listener)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        self.none_left()
        self.assert_code(400, self.bind, name)

    def test_the_end_of_the_allocation(self):
        for end in (lambda c: c.refresh(0), lambda c: c.close()):
            c, data, peer = self.pair()
            end(c)
            self.assert_closed(data)
            self.assert_closed(peer)
            self.none_left()

    def test_a_peer_that_refuses(self):
        c, listener = self.control(), self.listener()
        address = listener.getsockname()
        listener.close()
        before = self.turnd.metric(event("failed"))
        self.assert_code(447, c.open, address)
        self.turnd.wait_metric(event("failed"), before + 1)

    def test_a_peer_that_never_answers(self):
        """447 comes after 30 seconds (see Deadlines); until then the same peer is 446, and the end of the allocation ends the attempt."""
        c, silent = self.control(), self.silent()
        self.connect_request(c, silent)
        self.turnd.wait_metric(CONNECTIONS, 1)
        self.assert_code(446, c.open, silent)
        self.assertFalse(select.select([c.socket], [], [], 0.2)[0])
        c.refresh(0)
        self.none_left()

    def connect_request(self, c, address):
        txid = os.urandom(12)
        c.send_bytes(c.authenticated(CONNECT, [(turn_client.XOR_PEER_ADDRESS, turn_client.put_address(address, txid))], txid))

    def test_again(self):
        c, listener = self.control(), self.listener()
        name = c.open(listener.getsockname())
        self.assert_code(446, c.open, listener.getsockname())
        data = self.bind(name)
        self.assert_code(446, c.open, listener.getsockname())
        self.accept(listener).close()
        self.assert_eof(data)
        data.close()
        self.none_left()
        self.bind(c.open(listener.getsockname()))

    def test_wrong_names(self):
        c, listener = self.control(), self.listener()
        name = c.open(listener.getsockname())
        d = self.dial(TurnClient)
        self.assert_code(400, d.request, CONNECTION_BIND, [(CONNECTION_ID, bytes([name[0] ^ 1]) + name[1:])])
        self.assert_code(400, d.request, CONNECTION_BIND, [])
        self.assert_code(400, c.request, CONNECTION_BIND, [(CONNECTION_ID, name)])
        # The same connection is good for the right one.
        d.request(CONNECTION_BIND, [(CONNECTION_ID, name)])
        self.check_echo(d.socket, self.accept(listener))
        self.assert_code(400, self.bind, name)

    def test_two_clients_of_one_server(self):
        a, b = self.control(), self.control()
        b.create_permission("127.0.0.1")
        name = a.open(b.relayed)
        other, address = b.attempt()
        self.assertEqual(address, a.relayed)
        one, two = self.bind(name), self.bind(other)
        self.check_echo(one, two)

    def test_over_udp_there_is_none(self):
        c = Control(self.turnd.server(), "udp", USER, PASSWORD, timeout=PATIENCE_S)
        self.addCleanup(c.close)
        self.assert_code(400, c.allocate)

    def test_the_port_is_free_again(self):
        c, data, peer = self.pair()
        relayed = c.relayed
        c.refresh(0)
        self.assert_closed(peer)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(relayed)
            s.listen()

    def test_figures(self):
        up, down = ("viaduct_turn_from_client_bytes_total", "viaduct_turn_from_peer_bytes_total")
        before = {m: self.turnd.metric(m) for m in (up, down, event("made"), event("joined"))}
        _, data, peer = self.pair()
        data.sendall(bytes(1000))
        self.reads(peer, bytes(1000))
        peer.sendall(bytes(500))
        self.reads(data, bytes(500))
        for m, more in ((up, 1000), (down, 500), (event("made"), 1), (event("joined"), 1)):
            self.turnd.wait_metric(m, before[m] + more)

    def test_memory_does_not_grow_with_a_reader_that_stops(self):
        """The sender is slowed down by TCP itself, and the memory of the relay stays as it is."""
        def resident():
            with open(f"/proc/{self.turnd.process.pid}/statm") as f:
                return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        _, data, peer = self.pair()
        before = resident()
        for source in (data, peer):
            source.setblocking(False)
            sent, quiet = 0, 0
            while quiet < 5:
                try:
                    sent += source.send(bytes(1 << 18))
                    quiet = 0
                except BlockingIOError:
                    quiet += not select.select([], [source], [], 0.1)[1]
            self.assertLess(sent, 64 << 20)
        self.assertLess(resident() - before, 4 << 20)


class OverTls(Relaying, TcpRelayCase):
    SECURE = True

    def test_plain_data_for_a_secure_control_connection(self):
        c, listener = self.control(), self.listener()
        name = c.open(listener.getsockname())
        self.check_echo(self.bind(name, secure=False), self.accept(listener))

    def test_half_close_by_the_peer(self):
        """A close_notify, and the client can still write."""
        _, data, peer = self.pair()
        peer.sendall(b"the last word")
        peer.shutdown(socket.SHUT_WR)
        self.reads(data, b"the last word")
        self.assert_eof(data)
        data.sendall(b"heard")
        self.reads(peer, b"heard")
        data.close()
        self.assert_eof(peer)
        self.none_left()

    def test_close_notify_by_the_client(self):
        _, data, peer = self.pair()
        data.sendall(b"the last word")
        data.settimeout(0.2)
        with self.assertRaises((socket.timeout, TimeoutError, ssl.SSLError)):
            data.unwrap()  # the relay's own close_notify comes when the peer has closed
        self.reads(peer, b"the last word")
        self.assert_eof(peer)
        peer.close()
        self.none_left()


class Limits(TcpRelayCase):
    TLS = ["--connection-quota=2"]

    def test_connection_quota(self):
        c, listener = self.control(), self.listener()
        c.create_permission("127.0.0.1")
        c.open(listener.getsockname())
        peers = [socket.create_connection(c.relayed, PATIENCE_S) for _ in range(2)]
        for p in peers:
            self.addCleanup(p.close)
        self.assertEqual(c.attempt()[1], peers[0].getsockname())
        self.assert_closed(peers[1])
        self.assert_code(508, c.open, self.listener().getsockname())


class Switches(TcpRelayCase):
    def test_off(self):
        for flag, code, allocate in (("--no-tcp-relay", 442, Control.allocate), ("--no-udp-relay", 403, TurnClient.allocate)):
            turnd = test_turnd_tls.Turnd(*self.LISTEN, *self.ARGS, flag)
            self.addCleanup(turnd.stop)
            c = Control(turnd.server(), "tcp", USER, PASSWORD, timeout=PATIENCE_S)
            self.addCleanup(c.close)
            self.assert_code(code, allocate, c)
            other = TurnClient.allocate if allocate is Control.allocate else Control.allocate
            other(c)

    def test_denied(self):
        turnd = test_turnd_tls.Turnd(*self.LISTEN, "-u", f"{USER}:{PASSWORD}")
        self.addCleanup(turnd.stop)
        c = Control(turnd.server(), "tcp", USER, PASSWORD, timeout=PATIENCE_S)
        self.addCleanup(c.close)
        c.allocate()
        for peer in (("127.0.0.2", 80), ("10.0.0.1", 80), ("127.0.0.1", 22)):
            self.assert_code(403, c.open, peer)


class Threads(TcpRelayCase):
    """A ConnectionBind may reach another worker than that of its allocation."""

    ARGS = [*TurndCase.ARGS, "--relay-threads=2"]

    def test_every_mix(self):
        """The kernel chooses the worker of each connection: of forty, some are elsewhere, or there is one worker in truth."""
        for i in range(40):
            self.SECURE = i % 2 == 0
            c, listener = self.control(), self.listener()
            name = c.open(listener.getsockname())
            data, peer = self.bind(name), self.accept(listener)
            Relaying.check_echo(self, data, peer)
            if i % 4 == 0:
                peer.close()
                self.assertIn(self.last(data), (b"", None))
                data.close()
            elif i % 4 == 1:
                data.close()
                self.assert_eof(peer)
                peer.close()
            elif i % 4 == 2:
                c.refresh(0)
                self.assert_closed(peer)
                self.assertIn(self.last(data), (b"", None))
            else:
                c.close()
                self.assert_closed(data)
                self.assert_closed(peer)
        self.none_left()

    def last(self, s):
        try:
            return s.recv(1)
        except (ssl.SSLError, ConnectionResetError):
            return None

    def test_wrong_names(self):
        c, listener = self.control(), self.listener()
        name = c.open(listener.getsockname())
        for _ in range(10):
            d = self.dial(TurnClient)
            self.assert_code(400, d.request, CONNECTION_BIND, [(CONNECTION_ID, bytes([name[0] ^ 1]) + name[1:])])
            self.assert_code(400, d.request, CONNECTION_BIND, [(CONNECTION_ID, bytes(3) + bytes([name[3] ^ 1]))])
            d.password = "wrong"
            d.key = None
            self.assertRaises(Exception, d.request, CONNECTION_BIND, [(CONNECTION_ID, name)])
        d = self.dial(TurnClient)
        self.assert_code(400, d.request, CONNECTION_BIND, [(CONNECTION_ID, bytes([name[0] ^ 1]) + name[1:])])
        d.request(CONNECTION_BIND, [(CONNECTION_ID, name)])
        Relaying.check_echo(self, d.socket, self.accept(listener))

    def test_large(self):
        for _ in range(4):
            _, data, peer = self.pair()
            Relaying.check_transfers(self, [Relaying.transfer(self, data, peer, LARGE // 4, slow=True)])

    def test_an_end_in_the_middle(self):
        """The daemon stops while connections of both workers are joined with each other's."""
        turnd = test_turnd_tls.Turnd(*self.LISTEN, *self.ARGS)
        outer, type(self).turnd = self.turnd, turnd
        try:
            pairs = [self.pair() for _ in range(12)]
            self.assertEqual(turnd.stop(), 0)
            for _, data, peer in pairs:
                self.assert_closed(data)
                self.assert_closed(peer)
        finally:
            type(self).turnd = outer


class Deadlines(TcpRelayCase):
    """The two half minutes of RFC 6062, waited for together; the rest of the time is fake (tests/scenario/turn/tcp-*.scn)."""

    def test_half_a_minute(self):
        c, d, silent, listener = self.control(), self.control(), self.silent(), self.listener()
        d.timeout = 40
        waiting = threading.Thread(target=lambda: self.assert_code(447, d.open, silent))
        waiting.start()
        name = c.open(listener.getsockname())
        peer = self.accept(listener)
        peer.settimeout(40)
        self.assert_eof(peer)  # nobody came for it
        self.assert_code(400, self.bind, name)
        waiting.join()
        self.none_left()
        self.assertEqual(self.turnd.metric(event("unbound")), 1)
        self.assertEqual(self.turnd.metric(event("failed")), 1)


class Interop(TlsCase):
    """coturn's own client, which connects two TCP allocations of its own, or goes to coturn's peer."""

    def test_turnutils_uclient(self):
        if shutil.which("turnutils_uclient") is None:
            self.fail("turnutils_uclient is missing; scripts/setup --test installs it (package coturn)")
        runs = {flags: self.start(flags) for flags in (("-t",), ("-t", "-S"))}
        for flags, run in runs.items():
            output = run.communicate(timeout=90)[0]
            with self.subTest(flags):
                self.assertEqual(run.returncode, 0, output)
                sent, got = map(int, re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)\n", output)[-1])
                self.assertGreater(sent, 0, output)
                self.assertGreaterEqual(got, sent - (2 if "-S" in flags else 0), output)

    def start(self, flags):
        host, port = self.secure()
        command = ["turnutils_uclient", *flags, "-T", "-y", "-c", "-n", "5", "-m", "1", "-l", "160"]
        command += ["-u", USER, "-w", PASSWORD, "-p", str(port), host]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(lambda: (run.kill(), run.wait(), run.stdout.close()))
        return run


if __name__ == "__main__":
    unittest.main()
