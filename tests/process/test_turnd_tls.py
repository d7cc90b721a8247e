#!/usr/bin/python3
"""viaduct-turnd over TLS and DTLS: handshakes good and bad, certificates, both kinds on both ports."""

import errno
import os
import pathlib
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import time
import unittest

import stage
import turn_client
from stage import HERE, HERE_6
from test_turnd import PASSWORD, PATIENCE_S, SOURCE, TURND, USER, Turnd, TurndCase
from turn_client import TurnClient

CHANNEL = 0x4000
BINDING = turn_client.BINDING, turn_client.REQUEST


def openssl(*args, **options):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=60, **options)


def wait_readable(file, deadline):
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return poll.poll(max(deadline - time.monotonic(), 0) * 1000)


class Files:
    """Certificates of all kinds, made once."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="viaduct-tls-"))
        self.ca, self.cert, self.key = self.development("first")
        self.other_ca, self.other_cert, self.other_key = self.development("second")
        self.expired = self.path("expired.pem")
        # The same key, so that nothing but the date is wrong.
        request = openssl("req", "-new", "-key", self.key, "-subj", "/CN=localhost").stdout
        signer = ("-CA", self.ca, "-CAkey", self.ca.replace(".pem", ".key"), "-CAcreateserial")
        openssl("x509", "-req", *signer, "-days", "-1", "-out", self.expired, input=request)
        self.client_cert, self.client_key = self.path("client.pem"), self.path("client.key")
        new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.client_key)
        self.issue("/CN=a client", self.client_cert, *new_key, "-days", "30")
        self.locked_key = self.path("locked.key")
        openssl("pkey", "-in", self.key, "-aes256", "-passout", "pass:open it", "-out", self.locked_key)
        self.garbage = self.path("garbage.pem")
        pathlib.Path(self.garbage).write_text("no certificate, and no key\n")
        self.damaged = self.path("damaged.pem")
        text = pathlib.Path(self.cert).read_text()
        pathlib.Path(self.damaged).write_text(text + text.replace("MII", "XII", 1))

    def path(self, name):
        return str(self.folder / name)

    def development(self, name):
        subprocess.run([SOURCE / "certs" / "make-dev-certs", self.path(name)], check=True, capture_output=True, timeout=60)
        return [self.path(f"{name}/{file}") for file in ("ca.pem", "server.pem", "server.key")]

    def issue(self, subject, out, *args):
        signer = ("-CA", self.ca, "-CAkey", self.ca.replace(".pem", ".key"))
        openssl("req", "-x509", *signer, "-subj", subject, *args, "-out", out)


def setUpModule():
    global FILES
    FILES = Files()


def tearDownModule():
    shutil.rmtree(FILES.folder)


def tls_context(ca=None, **settings):
    context = ssl.create_default_context(cafile=ca or FILES.ca)
    for name, value in settings.items():
        setattr(context, name, value)
    return context


class DtlsClient(TurnClient):
    """openssl s_client in the middle: each write is a datagram, and what comes is unpadded."""

    def __init__(self, server, username=USER, password=PASSWORD, args=()):
        host = f"[{server[0]}]:{server[1]}" if ":" in server[0] else f"{server[0]}:{server[1]}"
        command = ["openssl", "s_client", "-dtls1_2", "-quiet", "-no_ign_eof", "-verify_return_error", "-CAfile", FILES.ca, "-connect", host]
        self.process = subprocess.Popen(
            [*command, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
        self.transport, self.timeout, self.stream = "udp", PATIENCE_S, b""  # no padding, as over UDP
        self.username, self.password = username, password
        self.realm = self.nonce = self.key = None
        self.channels, self.waiting = {}, []

    def close(self):
        """At the end of its input, s_client says goodbye (with -quiet it would not end)."""
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
            self.process.stdout.close()

    def send_bytes(self, data):
        self.process.stdin.write(data)

    def read_frame(self, deadline):
        while True:
            if len(self.stream) >= 4:
                first, length = struct.unpack("!HH", self.stream[:4])
                size = 20 + length if first < 0x4000 else 4 + length
                if len(self.stream) >= size:
                    frame, self.stream = self.stream[:size], self.stream[size:]
                    return frame
            if not wait_readable(self.process.stdout, deadline):
                raise socket.timeout()
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                raise turn_client.Closed()
            self.stream += more


class Raw:
    """A TLS client whose every byte on the wire is in the test's hands."""

    def __init__(self, address, context):
        self.socket = socket.create_connection(address, PATIENCE_S)
        self.inward, self.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.inward, self.outward, server_hostname="localhost")

    def ciphertext(self):
        return self.outward.read()

    def fetch(self):
        data = self.socket.recv(65536)
        if data:
            self.inward.write(data)
        else:
            self.inward.write_eof()

    def handshake(self, send):
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                send(self.ciphertext())
                self.fetch()
        send(self.ciphertext())

    def read(self, size):
        data = b""
        while len(data) < size:
            try:
                data += self.tls.read(size - len(data))
            except ssl.SSLWantReadError:
                self.fetch()
        return data


def binding():
    return turn_client.build(*BINDING, [])


class TlsCase(TurndCase):
    TLS = []

    @classmethod
    def setUpClass(cls):
        files = ["--cert", FILES.cert, "--pkey", FILES.key, "--tls-listening-port=0"]
        cls.turnd = Turnd(*cls.LISTEN, *cls.ARGS, *files, *cls.TLS, *stage.xdp(), env=cls.ENV)

    def port(self, *transports, ip=HERE):
        return ip, next(self.turnd.listening[t, ip] for t in transports if (t, ip) in self.turnd.listening)

    def secure(self, ip=HERE):
        return self.port("tls", "dtls", ip=ip)

    def tls_client(self, address=None, context=None, session=None, name="localhost"):
        """A TurnClient whose socket speaks TLS."""
        with stage.away():
            c = TurnClient(address or self.secure(), "tcp", USER, PASSWORD, timeout=PATIENCE_S)
        self.addCleanup(lambda: c.close())
        c.socket = (context or tls_context()).wrap_socket(c.socket, server_hostname=name, session=session)
        return c

    def dtls_client(self, address=None, args=()):
        with stage.away():
            c = DtlsClient(address or self.secure(), args=args)
        self.addCleanup(c.close)
        return c

    def raw(self, context=None):
        r = Raw(self.secure(), context or tls_context())
        self.addCleanup(r.socket.close)
        return r

    def connect(self, address=None):
        with stage.away():
            s = socket.create_connection(address or self.secure(), PATIENCE_S)
        self.addCleanup(s.close)
        return s

    def assert_refused(self, **settings):
        """The handshake fails with an alert, not with silence."""
        with self.assertRaises(ssl.SSLError) as caught:
            self.tls_client(context=tls_context(**settings)).binding()
        return caught.exception.reason

    def check_echo(self, c, ip=HERE, sizes=(0, 1, 2, 3, 4, 160, 1200)):
        p = self.peer(ip)
        c.allocate(family=2 if ":" in ip else None)
        c.create_permission(p.address[0])
        c.send_indication(p.address, b"by indication")
        self.assertEqual(p.echo(), (b"by indication", c.relayed))
        self.assertEqual(c.receive(), (p.address, b"by indication"))
        c.channel_bind(CHANNEL, p.address)
        for size in sizes:
            payload = os.urandom(size)
            c.send_channel(CHANNEL, payload)
            self.assertEqual(p.echo(), (payload, c.relayed))
            self.assertEqual(c.receive(), (p.address, payload))


class Relay(TlsCase):
    def test_tls(self):
        for ip in (HERE, HERE_6):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                with self.subTest(ip=ip, version=version.name):
                    c = self.tls_client(self.secure(ip), tls_context(minimum_version=version, maximum_version=version))
                    self.check_echo(c, ip, (0, 1, 2, 3, 4, 160, 1200, 60000))
                    self.assertEqual(c.mapped, c.address)

    def test_dtls(self):
        # openssl s_client lets nothing be fragmented, and the stage's cable takes 1,500 bytes, with XDP and without.
        longest = () if stage.WITH_XDP else (8000,)
        for ip in (HERE, HERE_6):
            with self.subTest(ip):
                self.check_echo(self.dtls_client(self.secure(ip)), ip, (1, 2, 3, 4, 160, 1200, *longest))

    def test_log_names_the_transport(self):
        self.tls_client().allocate()
        self.dtls_client().allocate()
        self.turnd.wait_line(r"allocation-created .*transport=tls")
        self.turnd.wait_line(r"allocation-created .*transport=dtls")

    def test_between_transports(self):
        a, b = self.tls_client(), self.dtls_client()
        a.allocate()
        b.allocate()
        a.channel_bind(CHANNEL, b.relayed)
        b.channel_bind(CHANNEL, a.relayed)
        for i in range(20):
            a.send_channel(CHANNEL, b"%d from a" % i)
            self.assertEqual(b.receive(), (a.relayed, b"%d from a" % i))
            b.send_channel(CHANNEL, b"%d from b" % i)
            self.assertEqual(a.receive(), (b.relayed, b"%d from b" % i))

    @staticmethod
    def is_free(address):
        """Whether nobody holds that UDP port. (The count of allocations has those of earlier tests in it, which go when they go.)"""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            try:
                s.bind(address)
            except OSError as e:
                if e.errno != errno.EADDRINUSE:
                    raise
                return False
            return True

    def test_the_end_of_a_connection_frees_its_port(self):
        for make in (self.tls_client, self.dtls_client):
            with self.subTest(make.__name__):
                c = make()
                c.allocate()
                self.assertFalse(self.is_free(c.relayed))
                c.close()  # with a close_notify
                deadline = time.monotonic() + PATIENCE_S
                while not self.is_free(c.relayed):
                    self.assertLess(time.monotonic(), deadline, "the port is still taken")
                    time.sleep(0.01)

    def test_a_slow_reader(self):
        """What finds no room is dropped and counted; what was queued arrives whole, and then the connection works on."""
        c, p = self.tls_client(), self.peer()
        c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        c.allocate()
        c.channel_bind(CHANNEL, p.address)
        dropped = 'viaduct_turn_dropped_total{reason="slow-reader"}'
        before, sent = self.turnd.metric(dropped), 0
        while self.turnd.metric(dropped) == before:
            for _ in range(500):
                p.socket.sendto(struct.pack("!I", sent) + bytes(1196), c.relayed)
                sent += 1
            self.assertLess(sent, 100000)
        deadline = time.monotonic() + PATIENCE_S
        numbers, payload = [], b""
        while payload != b"you are back":
            self.assertLess(time.monotonic(), deadline, "the connection is stuck")
            p.socket.sendto(b"you are back", c.relayed)
            try:
                payload = c.receive(0.1)[1]
            except socket.timeout:
                continue
            if len(payload) == 1200:
                numbers.append(struct.unpack("!I", payload[:4])[0])
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertGreater(len(numbers), 50)


class OnePort(TlsCase):
    """Plain and secure, datagrams and streams: each is understood at each port."""

    def test_plain_at_the_secure_port(self):
        for transport in ("udp", "tcp"):
            with TurnClient(self.secure(), transport, timeout=PATIENCE_S) as c:
                self.assertEqual(c.binding(), c.address)

    def test_secure_at_the_plain_port(self):
        self.check_echo(self.tls_client(self.turnd.server()))
        self.check_echo(self.dtls_client(self.turnd.server()), sizes=(1, 160))

    def test_http_is_told_what_is_here(self):
        for method in (b"GET / HTTP/1.1\r\n", b"HEAD / HTTP/1.0\r\n", b"POST /a HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n"):
            for address in (self.secure(), self.turnd.server()):
                s = self.connect(address)
                self.check_http(s, s.sendall, method)

    def test_http_over_tls(self):
        c = self.tls_client()
        self.check_http(c.socket, c.socket.sendall, b"GET / HTTP/1.1\r\n")

    def test_http_byte_by_byte(self):
        s = self.connect()
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def one_by_one(data):
            for byte in data[:4]:
                s.sendall(bytes([byte]))

        self.check_http(s, one_by_one, b"GET / HTTP/1.1\r\n")

    def check_http(self, s, send, request):
        send(request + b"Host: localhost\r\n\r\n")
        answer = b""
        while more := s.recv(4096):
            answer += more
        head, body = answer.split(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 400 "), head)
        self.assertIn(b"TURN", body)
        self.assertIn(b"Content-Length: %d" % len(body), head)

    def test_a_channel_that_looks_like_http(self):
        """0x4745 is "GE": once the connection speaks TURN, it is a channel."""
        c, p = self.tls_client(), self.peer()
        c.allocate()
        c.channel_bind(0x4745, p.address)
        payload = os.urandom(struct.unpack("!H", b"T ")[0])
        c.send_channel(0x4745, payload)
        self.assertEqual(p.receive()[0], payload)

    def test_garbage_in_tls_closes(self):
        c = self.tls_client()
        c.send_bytes(b"\xff" * 32)
        self.assert_closed(c.socket)

    def test_garbage_that_looks_like_tls(self):
        before = self.turnd.metric('viaduct_turn_connections_total{event="closed-handshake"}')
        s = self.connect()
        s.sendall(b"\x16" + os.urandom(500))
        self.assert_closed(s)
        self.turnd.wait_metric('viaduct_turn_connections_total{event="closed-handshake"}', before + 1)


class Records(TlsCase):
    def test_byte_by_byte_on_the_wire(self):
        """The ClientHello and all else, a segment for each byte."""
        r = self.raw()
        r.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def one_by_one(data):
            for byte in data:
                r.socket.sendall(bytes([byte]))

        r.handshake(one_by_one)
        request = binding()
        r.tls.write(request)
        one_by_one(r.ciphertext())
        self.assertEqual(turn_client.Message(r.read(32)).txid, request[8:20])

    def test_a_record_for_each_byte(self):
        c = self.tls_client()
        request = binding()
        for byte in request:
            c.send_bytes(bytes([byte]))
        self.assertEqual(turn_client.Message(c.read_frame(time.monotonic() + PATIENCE_S)).txid, request[8:20])

    def test_many_messages_in_a_record(self):
        requests = [binding() for _ in range(300)]
        self.check_answers(self.tls_client(), requests, b"".join(requests))

    def test_many_records_in_a_segment(self):
        """More than one turn of reading: what OpenSSL holds makes no socket readable, and must not be forgotten."""
        r = self.raw()
        r.handshake(r.socket.sendall)
        requests = [binding() for _ in range(300)]
        for request in requests:
            r.tls.write(request)
        r.socket.sendall(r.ciphertext())
        answers = r.read(32 * len(requests))
        for i, request in enumerate(requests):
            self.assertEqual(turn_client.Message(answers[32 * i : 32 * i + 32]).txid, request[8:20])

    def check_answers(self, c, requests, data):
        c.send_bytes(data)
        for request in requests:
            frame = c.read_frame(time.monotonic() + PATIENCE_S)
            self.assertEqual(turn_client.Message(frame).txid, request[8:20])

    def test_a_request_right_behind_the_handshake(self):
        """In one segment with the client's Finished."""
        r = self.raw()
        held = []
        r.handshake(lambda data: held.append(data) if len(held) else (held.append(b""), r.socket.sendall(data)))
        request = binding()
        r.tls.write(request)
        r.socket.sendall(b"".join(held) + r.ciphertext())
        self.assertEqual(turn_client.Message(r.read(32)).txid, request[8:20])

    def test_half_close_is_answered(self):
        for goodbye in (True, False):
            with self.subTest(close_notify=goodbye):
                r = self.raw()
                r.handshake(r.socket.sendall)
                r.tls.write(binding())
                if goodbye:
                    try:
                        r.tls.unwrap()
                    except ssl.SSLWantReadError:
                        pass
                r.socket.sendall(r.ciphertext())
                r.socket.shutdown(socket.SHUT_WR)
                if goodbye:
                    self.assertTrue(r.socket.recv(65536))  # ciphertext: OpenSSL opens no more after its own goodbye
                else:
                    self.assertEqual(len(r.read(32)), 32)
                    r.fetch()
                    self.assertEqual(r.tls.read(), b"")  # it says goodbye though we did not
                self.assert_closed(r.socket)

    def test_half_a_record_wakes_nobody(self):
        r = self.raw()
        r.handshake(r.socket.sendall)
        r.tls.write(binding())
        request = r.ciphertext()
        r.socket.sendall(request[:-1])
        self.turnd.metric("viaduct_turn_loop_rounds_total")  # one round for this, and it is over
        before = self.turnd.metric("viaduct_turn_loop_rounds_total")
        r.socket.settimeout(0.5)
        with self.assertRaises(socket.timeout):
            while True:
                r.socket.recv(65536)  # at most the session ticket
        self.assertLessEqual(self.turnd.metric("viaduct_turn_loop_rounds_total") - before, 3)
        r.socket.settimeout(PATIENCE_S)
        r.socket.sendall(request[-1:])
        self.assertTrue(r.socket.recv(65536))


class Handshakes(TlsCase):
    def test_alpn(self):
        turn, discovery = "stun.turn", "stun.nat-discovery"
        for offered, chosen in (
            ([turn], turn),
            ([discovery], discovery),
            ([discovery, turn], turn),
            (["http/1.1", turn], turn),
        ):
            with self.subTest(offered):
                context = tls_context()
                context.set_alpn_protocols(offered)
                c = self.tls_client(context=context)
                self.assertEqual(c.socket.selected_alpn_protocol(), chosen)
                self.assertEqual(c.binding(), c.address)
        self.assertIsNone(self.tls_client().socket.selected_alpn_protocol())

    def test_alpn_without_a_common_protocol(self):
        """RFC 7301 section 3.2: a fatal no_application_protocol."""
        context = tls_context()
        context.set_alpn_protocols(["http/1.1", "h2"])
        with self.assertRaises(ssl.SSLError):
            self.tls_client(context=context)
        self.wait_output(self.s_client("-alpn", "h2"), b"alert no application protocol")

    def test_alpn_over_dtls(self):
        self.check_echo(self.dtls_client(args=("-alpn", "stun.turn")), sizes=(4,))

    def test_old_versions(self):
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            with self.subTest(version.name):
                context = tls_context()
                context.set_ciphers("DEFAULT@SECLEVEL=0")
                context.minimum_version = context.maximum_version = version
                with self.assertRaises(ssl.SSLError) as caught:
                    self.tls_client(context=context)
                self.assertIn("PROTOCOL_VERSION", caught.exception.reason)

    def test_weak_ciphers(self):
        context = tls_context(maximum_version=ssl.TLSVersion.TLSv1_2)
        context.set_ciphers("ECDHE+AES:!AESGCM:@SECLEVEL=0")  # CBC
        with self.assertRaises(ssl.SSLError):
            self.tls_client(context=context)

    def test_the_certificate_is_ours(self):
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.tls_client(context=tls_context(FILES.other_ca))
        self.tls_client(name="127.0.0.1")

    def test_renegotiation_is_refused(self):
        p = self.s_client("-tls1_2")
        self.wait_output(p, b"Verify return code")
        p.stdin.write(b"R\n")
        self.wait_output(p, b"no renegotiation")

    def s_client(self, *args):
        command = ["openssl", "s_client", *args, "-CAfile", FILES.ca, "-connect", "%s:%d" % self.secure()]
        p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
        self.addCleanup(lambda: (p.kill(), p.wait(), p.stdin.close(), p.stdout.close()))
        return p

    def wait_output(self, p, text):
        deadline, output = time.monotonic() + PATIENCE_S, b""
        while text not in output:
            self.assertTrue(wait_readable(p.stdout, deadline), output)
            more = os.read(p.stdout.fileno(), 65536)
            self.assertTrue(more, output)
            output += more

    def test_a_ticket_resumes(self):
        context = tls_context(maximum_version=ssl.TLSVersion.TLSv1_2)
        first = self.tls_client(context=context)
        self.assertFalse(first.socket.session_reused)
        again = self.tls_client(context=context, session=first.socket.session)
        self.assertTrue(again.socket.session_reused)
        self.check_echo(again)

    def test_hundreds_of_half_handshakes_stop_nobody(self):
        """They end in bounded time, and cost nobody else anything meanwhile."""
        r = self.raw()
        try:
            r.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        hello = r.ciphertext()
        half = [self.connect() for _ in range(500)]
        begin = time.monotonic()
        for i, s in enumerate(half):
            s.sendall(hello[: 1 + i % len(hello)])
        self.check_echo(self.tls_client(), sizes=(160,))
        self.check_echo(self.dtls_client(), sizes=(160,))
        for s in half:
            s.settimeout(20)
            self.assert_closed(s)
        self.assertLess(time.monotonic() - begin, 20)


class Hello:
    """A DTLS 1.2 ClientHello, and what comes back, by hand (RFC 6347)."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(address)
        self.random, self.sequence = os.urandom(32), 0

    def send(self, cookie=b""):
        extensions = b"".join(
            struct.pack("!HH", code, len(value)) + value
            for code, value in (
                (10, bytes.fromhex("00020017")),  # P-256
                (11, bytes.fromhex("0100")),
                (13, bytes.fromhex("00020403")),  # ECDSA with SHA-256
                (0xFF01, b"\0"),
            )
        )
        body = b"\xfe\xfd" + self.random + b"\0" + bytes([len(cookie)]) + cookie
        body += bytes.fromhex("0002c02b0100") + struct.pack("!H", len(extensions)) + extensions
        length = struct.pack("!I", len(body))[1:]
        message = b"\1" + length + struct.pack("!H", bool(cookie)) + b"\0\0\0" + length + body
        record = b"\x16\xfe\xfd" + struct.pack("!HIHH", 0, 0, self.sequence, len(message)) + message
        self.sequence += 1
        self.socket.send(record)
        return len(record)

    def cookie(self):
        answer = self.socket.recv(2048)
        assert answer[0] == 22 and answer[13] == 3, "no HelloVerifyRequest"
        return answer[28 : 28 + answer[27]]

    def flight(self):
        """Whether the server's first flight comes: its ServerHello."""
        answer = self.socket.recv(2048)
        return answer[0] == 22 and answer[13] == 2


SESSIONS = "viaduct_turn_dtls_sessions"


class HelloCase(TlsCase):
    def hello(self):
        h = Hello(self.secure())
        self.addCleanup(h.socket.close)
        return h


class Flood(HelloCase):
    def test_a_thousand_half_handshakes_stop_nobody(self):
        """The newest push out the oldest, and those who are done lose nothing."""
        done = self.dtls_client()
        done.allocate()
        for _ in range(1100):
            h = self.hello()
            h.send()
            h.send(h.cookie())
            self.assertTrue(h.flight())
        self.assertLessEqual(self.turnd.metric(SESSIONS), 1025)
        self.check_echo(self.dtls_client(), sizes=(160,))
        self.assertEqual(done.refresh(), 600)


class Cookies(HelloCase):
    def test_no_state_before_a_cookie(self):
        self.ends_in_time()  # what another test has left
        before = self.turnd.metric("viaduct_turn_dtls_hellos_total")
        for _ in range(200):
            h = self.hello()
            size = h.send()
            answer = h.socket.recv(2048)
            self.assertEqual(answer[13], 3)
            self.assertLess(len(answer), size)  # nothing to amplify with
        self.turnd.wait_metric("viaduct_turn_dtls_hellos_total", before + 200)
        self.assertEqual(self.turnd.metric(SESSIONS), 0)

    def test_a_cookie_is_good_for_its_address_alone(self):
        self.ends_in_time()
        a, b = self.hello(), self.hello()
        a.send()
        cookie = a.cookie()
        for wrong in (bytes(len(cookie)), cookie[:-1], cookie[:-1] + bytes([cookie[-1] ^ 1])):
            a.send(wrong)
            self.assertEqual(a.cookie(), cookie)
        b.send(cookie)
        self.assertNotEqual(b.cookie(), cookie)
        self.assertEqual(self.turnd.metric(SESSIONS), 0)
        a.send(cookie)
        self.assertTrue(a.flight())
        self.turnd.wait_metric(SESSIONS, 1)
        self.ends_in_time()

    def ends_in_time(self):
        deadline = time.monotonic() + 15
        while self.turnd.metric(SESSIONS) != 0:
            self.assertLess(time.monotonic(), deadline)
            select.select([], [], [], 0.1)

    def test_the_flight_is_sent_again(self):
        h = self.hello()
        h.send()
        h.send(h.cookie())
        self.assertTrue(h.flight())
        while not h.flight():  # the rest of the first one; then ServerHello again, after a second
            pass
        self.ends_in_time()

    def test_a_client_that_starts_anew(self):
        """From the same address and port: only a good cookie ends the session of before (RFC 6347 section 4.2.8)."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        first = self.dtls_client(args=("-bind", f"127.0.0.1:{port}"))
        first.allocate()
        allocations = self.turnd.metric("viaduct_turn_allocations")
        first.process.kill()  # says no goodbye
        first.process.wait()
        h = self.hello()
        h.socket.close()
        h.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        h.socket.settimeout(PATIENCE_S)
        h.socket.bind(("127.0.0.1", port))
        h.socket.connect(self.secure())
        h.send()
        h.cookie()
        self.assertEqual(self.turnd.metric("viaduct_turn_allocations"), allocations)
        h.socket.close()
        second = self.dtls_client(args=("-bind", f"127.0.0.1:{port}"))
        second.allocate()  # no 437: what the client before it had is gone
        self.turnd.wait_metric("viaduct_turn_allocations", allocations)

    def test_hostile_datagrams(self):
        c, p = self.dtls_client(), self.peer()
        c.allocate()
        c.channel_bind(CHANNEL, p.address)
        h = self.hello()
        h.send()
        good = bytearray(h.socket.recv(2048))
        for first in range(20, 64):
            for size in (1, 12, 13, 14, 60, 200, 20000):
                h.socket.send(bytes([first]) + os.urandom(size - 1))
        hello = self.hello()
        hello.send()
        cookie = hello.cookie()
        for at in range(len(good)):
            h.socket.send(good[:at])
            h.socket.send(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
        hello.send(cookie)
        self.assertTrue(hello.flight())
        c.send_channel(CHANNEL, b"unharmed")
        self.assertEqual(p.echo()[0], b"unharmed")
        self.assertEqual(c.receive()[1], b"unharmed")


class Threads(TlsCase):
    ARGS = [*TurndCase.ARGS, "--relay-threads=3"]

    def test_many_clients(self):
        clients = [self.tls_client() for _ in range(12)] + [self.dtls_client() for _ in range(6)]
        for c in clients:
            self.check_echo(c, sizes=(160,))

    def test_a_ticket_is_good_at_every_worker(self):
        context = tls_context(maximum_version=ssl.TLSVersion.TLSv1_2)
        session = self.tls_client(context=context).socket.session
        for _ in range(10):
            self.assertTrue(self.tls_client(context=context, session=session).socket.session_reused)


class Strict(TlsCase):
    """No plain clients, TLS 1.3 only."""

    TLS = ["--no-udp", "--no-tcp", "--no-tlsv1_2"]

    def test_secure_clients(self):
        self.assertEqual({t for t, _ in self.turnd.listening} - {"http"}, {"tls", "dtls"})
        self.check_echo(self.tls_client())
        self.check_echo(self.dtls_client(), sizes=(160,))

    def test_tls_1_2_is_refused(self):
        self.assertIn("PROTOCOL_VERSION", self.assert_refused(maximum_version=ssl.TLSVersion.TLSv1_2))

    def test_plain_clients_are_refused(self):
        with TurnClient(self.secure(), "udp", timeout=PATIENCE_S) as c:
            c.send_bytes(binding())
            with self.assertRaises(socket.timeout):
                c.read_frame(time.monotonic() + 0.3)
        s = self.connect()
        s.sendall(binding())
        self.assert_closed(s)


class OneTransport(TlsCase):
    TLS = ["--no-dtls", "--cipher-list=ECDHE-ECDSA-AES128-GCM-SHA256"]

    def test_no_dtls(self):
        self.assertNotIn("dtls", {t for t, _ in self.turnd.listening})
        h = Hello(self.turnd.server())
        self.addCleanup(h.socket.close)
        h.send()
        with TurnClient(self.turnd.server(), timeout=PATIENCE_S) as c:
            c.binding()
        h.socket.settimeout(0.2)
        with self.assertRaises(socket.timeout):
            h.socket.recv(2048)

    def test_cipher_list(self):
        context = tls_context(maximum_version=ssl.TLSVersion.TLSv1_2)
        self.assertEqual(self.tls_client(context=context).socket.cipher()[0], "ECDHE-ECDSA-AES128-GCM-SHA256")
        context.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
        with self.assertRaises(ssl.SSLError):
            self.tls_client(context=context)


class Unused(TlsCase):
    TLS = ["--max-allocate-timeout=1"]

    def test_a_session_without_an_allocation_ends(self):
        used, unused = self.dtls_client(), self.dtls_client()
        used.allocate()
        closed = self.turnd.metric('viaduct_turn_dtls_sessions_total{event="closed-timeout"}')
        try:  # what it says meanwhile does not help
            while True:
                unused.binding()
        except (turn_client.Closed, OSError):
            pass
        self.turnd.wait_metric('viaduct_turn_dtls_sessions_total{event="closed-timeout"}', closed + 1)
        self.assertEqual(used.refresh(600), 600)


class ClientCertificates(TlsCase):
    @classmethod
    def setUpClass(cls):
        cls.TLS = ["--CA-file", FILES.ca, "--pkey", FILES.locked_key, "--pkey-pwd", "open it"]
        super().setUpClass()

    def test_without_one(self):
        self.assertIn("CERTIFICATE_REQUIRED", self.assert_refused())

    def test_of_another_ca(self):
        context = tls_context()
        context.load_cert_chain(FILES.other_cert, FILES.other_key)
        with self.assertRaises(ssl.SSLError):
            self.tls_client(context=context).binding()

    def test_with_one(self):
        context = tls_context()
        context.load_cert_chain(FILES.client_cert, FILES.client_key)
        self.check_echo(self.tls_client(context=context))
        self.check_echo(self.dtls_client(args=("-cert", FILES.client_cert, "-key", FILES.client_key)), sizes=(160,))


class Faults(unittest.TestCase):
    """What is wrong with the files ends the start with 2, and one line that names file and mend."""

    def check(self, *args, says):
        command = [TURND, "-n", "-L", "127.0.0.1", "-E", "127.0.0.1", "--listening-port=0", "--tls-listening-port=0", "-u", "a:b"]
        done = subprocess.run([*command, *args], capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 2, done.stderr)
        lines = [line for line in done.stderr.splitlines() if " warn turnd " not in line]
        self.assertEqual(len(lines), 1, done.stderr)
        for text in says:
            self.assertIn(text, lines[0])

    def pair(self, cert, key, *args, says):
        self.check("--cert", cert, "--pkey", key, *args, says=says)

    def test_files(self):
        f = FILES
        missing = f.path("missing.pem")
        for cert, key, says in (
            (missing, f.key, [missing, "No such file", "set cert to"]),
            (f.cert, missing, [missing, "No such file", "set pkey to"]),
            (str(f.folder), f.key, [str(f.folder), "set cert to"]),
            (f.garbage, f.key, [f.garbage, "no certificate", "set cert to"]),
            (f.key, f.key, [f.key, "no certificate"]),
            (f.damaged, f.key, [f.damaged, "certificate 2", "damaged"]),
            (f.cert, f.garbage, [f.garbage, "no private key", "set pkey to"]),
            (f.cert, f.cert, [f.cert, "no private key"]),
            (f.cert, f.other_key, [f.cert, f.other_key, "does not belong", "made together"]),
            (f.cert, f.locked_key, [f.locked_key, "encrypted", "no pkey-pwd", "set pkey-pwd"]),
            (f.expired, f.key, [f.expired, "ran out on", "renew it"]),
        ):
            with self.subTest(cert=cert, key=key):
                self.pair(cert, key, says=says)

    def test_wrong_password(self):
        self.pair(FILES.cert, FILES.locked_key, "--pkey-pwd=wrong", says=[FILES.locked_key, "does not open it"])

    def test_half_a_pair(self):
        self.check("--cert", FILES.cert, says=["cert is set and pkey is not"])
        self.check("--pkey", FILES.key, says=["pkey is set and cert is not"])

    def test_other_values(self):
        self.pair(FILES.cert, FILES.key, "--cipher-list=NONSENSE", says=["cipher-list=NONSENSE"])
        self.pair(FILES.cert, FILES.key, "--CA-file", FILES.garbage, says=[FILES.garbage, "set CA-file"])
        self.pair(FILES.cert, FILES.key, "--no-tls", "--no-dtls", "--no-udp", "--no-tcp", says=["leave no listener"])

    def test_a_busy_port(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            port = str(s.getsockname()[1])
            command = [TURND, "-n", "-L", "127.0.0.1", "-E", "127.0.0.1", "--listening-port=0", "-u", "a:b"]
            command += ["--cert", FILES.cert, "--pkey", FILES.key, "--tls-listening-port", port]
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 3)
        self.assertIn(port, done.stderr)
        self.assertIn("tls-listening-port", done.stderr)


class Without(TurndCase):
    def test_no_certificate(self):
        line = next(line for line in self.turnd.lines if " tls-off " in line)
        self.assertIn("cert=FILE", line)
        self.assertEqual({t for t, _ in self.turnd.listening}, {"udp", "tcp", "http"})
        with self.assertRaises((ssl.SSLError, ConnectionResetError)):
            with socket.create_connection(self.turnd.server(), PATIENCE_S) as s:
                tls_context().wrap_socket(s, server_hostname="localhost")


class Reload(TlsCase):
    """The file's certificate changes: who is connected stays, who comes gets the new one."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.cert, cls.key = (str(pathlib.Path(cls.folder.name) / name) for name in ("c.pem", "k.pem"))
        cls.put(FILES.cert, FILES.key)
        cls.TLS = ["--cert", cls.cert, "--pkey", cls.key]
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.folder.cleanup()

    @classmethod
    def put(cls, cert, key):
        shutil.copy(cert, cls.cert)
        shutil.copy(key, cls.key)

    def test_reload(self):
        context = tls_context(maximum_version=ssl.TLSVersion.TLSv1_2)
        before = [self.tls_client(context=context), self.dtls_client()]
        for c in before:
            c.allocate()
        for number in (signal.SIGHUP, signal.SIGUSR2):
            self.put(FILES.other_cert, FILES.other_key)
            self.turnd.process.send_signal(number)
            self.turnd.wait_line(r" reloaded ")
            self.wait_certificate(FILES.other_ca)
            for c in before:
                self.assertEqual(c.refresh(), 600)
            self.put(FILES.other_cert, FILES.key)
            self.turnd.process.send_signal(number)
            self.assertIn("does not belong", self.turnd.wait_line(r" reload-refused "))
            self.check_echo(self.tls_client(context=tls_context(FILES.other_ca)))
            self.put(FILES.cert, FILES.key)
            self.turnd.process.send_signal(number)
            self.turnd.wait_line(r" reloaded ")
            self.wait_certificate(FILES.ca)
        again = self.tls_client(context=context, session=before[0].socket.session)
        self.assertTrue(again.socket.session_reused)

    def wait_certificate(self, ca):
        """A worker takes the new settings from its mailbox."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.tls_client(context=tls_context(ca)).binding()
                return
            except ssl.SSLCertVerificationError:
                self.assertLess(time.monotonic(), deadline)


if __name__ == "__main__":
    unittest.main()
