#!/usr/bin/python3
"""signal/webclient.c against servers that are good, down, slow, strangers, or speak rubbish."""
import os
import socket
import subprocess
import tempfile
import unittest

from signald_client import PATIENCE_S, make_certificate
from web_receiver import ANSWER, Receiver

POST = os.environ.get("VIADUCT_WEBCLIENT_POST")
LONG_MS = 1000 * PATIENCE_S


class Case(unittest.TestCase):
    def receiver(self, answer=None, **kwargs):
        receiver = Receiver(answer, **kwargs)
        self.addCleanup(receiver.close)
        return receiver

    process = None

    def client(self, ca=""):
        self.end()
        self.process = subprocess.Popen([POST, ca], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env={**os.environ, "http_proxy": "http://127.0.0.1:1/", "https_proxy": "http://127.0.0.1:1/"})
        self.addCleanup(self.end)
        return self

    def end(self):
        """What it still said."""
        process, self.process = self.process, None
        if process is None:
            return ""
        heard, said = process.communicate(timeout=PATIENCE_S)
        self.assertEqual(process.returncode, 0, said)
        return heard

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def post(self, name, url, deadline_ms=LONG_MS, answer_max=1000, body_len=10, header=""):
        self.say(f"post {name} {url} {deadline_ms} {answer_max} {body_len} {header}")

    def hear(self):
        """(name, error, status, length, text) of the next call that has ended."""
        name, error, *rest = self.process.stdout.readline().rstrip("\n").split(" ", 4)
        return (name, error, *map(int, rest[:2]), *rest[2:])

    def once(self, url, **kwargs):
        self.post("x", url, **kwargs)
        self.say("wait")
        return self.hear()[1:]


class Good(Case):
    def test_one_post(self):
        receiver = self.receiver()
        self.assertEqual(self.client().once(receiver.url("/a?b=c"), header="X-Mine: 1"), ("none", 200, 2, "{}"))
        got = receiver.take()
        self.assertEqual((got.line, got.body), ("POST /a?b=c HTTP/1.1", b"b" * 10))
        self.assertEqual({k: got.headers[k] for k in ("content-type", "content-length", "x-mine", "user-agent")},
                         {"content-type": "application/json", "content-length": "10", "x-mine": "1", "user-agent": "webclient_post"})
        self.assertNotIn("expect", got.headers)

    def test_connections_are_kept(self):
        receiver = self.receiver()
        self.client()
        for _ in range(3):
            self.assertEqual(self.once(receiver.url(), body_len=3000000)[:2], ("none", 200))
        self.assertEqual([receiver.take().connection for _ in range(3)], [1, 1, 1])

    def test_a_kept_connection_that_the_server_has_closed(self):
        receiver = self.receiver(lambda request, sock: sock.sendall(ANSWER))
        self.client()
        for _ in range(3):
            self.assertEqual(self.once(receiver.url())[:2], ("none", 200))
        self.assertEqual(receiver.connections, 3)

    def test_any_status_is_an_answer(self):
        for status in (204, 301, 401, 500):
            with self.subTest(status):
                other = self.receiver()
                receiver = self.receiver(lambda request, sock: f"HTTP/1.1 {status} X\r\nLocation: {other.url()}\r\nContent-Length: 0\r\n\r\n".encode())
                self.assertEqual(self.client().once(receiver.url())[:3], ("none", status, 0))
                self.assertEqual(other.connections, 0)

    def test_chunks(self):
        receiver = self.receiver(lambda request, sock: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        self.assertEqual(self.client().once(receiver.url(), answer_max=5), ("none", 200, 5, "abcde"))
        trailer = self.receiver(lambda request, sock: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n")
        self.assertEqual(self.once(trailer.url()), ("none", 200, 1, "a"))
        self.assertEqual(self.once(receiver.url(), answer_max=4)[:2], ("too-large", 0))


class Tls(Case):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.certificate = make_certificate(self.folder.name)

    def test_an_issuer_of_their_own(self):
        receiver = self.receiver(certificate=self.certificate)
        self.assertEqual(self.client(str(self.certificate[0])).once(receiver.url(host="localhost")), ("none", 200, 2, "{}"))

    def test_strangers(self):
        receiver = self.receiver(certificate=self.certificate)
        other = make_certificate(self.folder.name, name="other")
        for ca, host in [("", "localhost"), (str(other[0]), "localhost"), (str(self.certificate[0]), "127.0.0.2")]:
            with self.subTest(ca=ca, host=host):
                if host == "127.0.0.2":
                    listener = socket.create_server((host, 0))
                    self.addCleanup(listener.close)
                    receiver.listener, old = listener, receiver.listener
                    old.shutdown(socket.SHUT_RDWR)
                    old.close()
                    receiver.port = listener.getsockname()[1]
                    receiver.spawn(receiver.accept)
                self.assertEqual(self.client(ca).once(receiver.url(host=host))[:2], ("tls", 0))
        self.assertTrue(receiver.requests.empty())

    def test_no_tls_there(self):
        receiver = self.receiver(lambda request, sock: None)
        self.assertEqual(self.client().once(receiver.url().replace("http:", "https:"), deadline_ms=5000)[:2], ("tls", 0))


class Bad(Case):
    def test_nobody_there(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        self.client()
        self.assertEqual(self.once(f"http://127.0.0.1:{port}/")[:2], ("unreachable", 0))
        self.assertEqual(self.once("http://no-such-name.invalid/", deadline_ms=60000)[:2], ("unreachable", 0))

    def test_deadlines(self):
        receiver = self.receiver(lambda request, sock: receiver.released.wait(PATIENCE_S) and None)
        self.assertEqual(self.client().once(receiver.url(), deadline_ms=50), ("deadline", 0, 0, ""))
        # Nobody accepts.
        with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
            fill = [socket.socket() for _ in range(3)]
            for sock in fill:
                sock.setblocking(False)
                sock.connect_ex(deaf.getsockname())
            self.assertEqual(self.once(f"http://127.0.0.1:{deaf.getsockname()[1]}/", deadline_ms=50)[:2], ("deadline", 0))
            for sock in fill:
                sock.close()

    def test_rubbish(self):
        for name, answer, error in [
                ("none", b"", "broken"), ("no HTTP", b"hello\r\n\r\n", "broken"), ("zeros", b"\0" * 1000, "broken"),
                ("half a head", b"HTTP/1.1 200 OK\r\nX: y", "broken"), ("half a body", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "broken"),
                ("no number", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "broken"), ("minus", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "broken"),
                ("no chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "broken"),
                ("long", b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001, "too-large"),
                ("endless", b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000000, "too-large"),
                ("long head", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20000 + b"\r\nContent-Length: 0\r\n\r\n", "too-large"),
                ("many heads", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n", "too-large"),
                ("many interim answers", b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 5000, "too-large")]:
            with self.subTest(name):
                def send(request, sock, answer=answer):
                    sock.sendall(answer)
                    return None
                receiver = self.receiver(send)
                self.assertEqual(self.client().once(receiver.url())[:2], (error, 0))


class Bounds(Case):
    def test_a_queue(self):
        receiver = self.receiver(lambda request, sock: receiver.released.wait(PATIENCE_S) and ANSWER)
        self.client()
        for i in range(9):  # 4 at a time and 4 that wait
            self.post(f"c{i}", receiver.url())
        self.assertEqual(self.process.stdout.readline(), "c8 refused 1\n")
        self.say("cancel c0")  # under way
        self.say("cancel c5")  # waits
        self.post("c9", receiver.url(), deadline_ms=50)  # ends in the queue
        self.say("wait")
        self.assertEqual(self.hear()[:2], ("c9", "deadline"))
        self.assertEqual(receiver.connections, 4)
        receiver.released.set()
        self.assertEqual(sorted(self.hear()[:3] for _ in range(6)), [(f"c{i}", "none", 200) for i in (1, 2, 3, 4, 6, 7)])

    def test_the_end_while_calls_are_under_way(self):
        receiver = self.receiver(lambda request, sock: receiver.released.wait(PATIENCE_S) and ANSWER)
        self.client()
        for i in range(7):
            self.post(f"c{i}", receiver.url() if i else "http://no-such-name.invalid/")
        self.say("end")
        self.assertEqual(self.end(), "")


if __name__ == "__main__":
    unittest.main()
