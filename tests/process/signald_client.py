"""viaduct-signald as a process, and clients of its protocol: what test_signald.py is written with."""
import asyncio
import json
import os
import pathlib
import queue
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

import websockets

SOURCE = pathlib.Path(__file__).resolve().parents[2]
SIGNALD = pathlib.Path(os.environ.get("VIADUCT_BIN", SOURCE / "build" / "bin")) / "viaduct-signald"
PATIENCE_S = 10  # how long anything that must happen may take on a busy machine


class Signald:
    """A daemon that runs, its log lines, and where it listens."""

    def __init__(self, *args, env=None):
        self.process = subprocess.Popen([SIGNALD, *args], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **(env or {})})
        self.lines, self.fresh, self.ports = [], queue.Queue(), {}
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            self.fresh.put(line.rstrip("\n"))
        self.fresh.put(None)

    def wait_line(self, pattern):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            line = self.fresh.get(timeout=max(0.01, deadline - time.monotonic()))
            assert line is not None, "it ended instead: " + "\n".join(self.lines)
            self.lines.append(line)
            found = re.search(r" listening transport=([\w-]+) address=\S+:(\d+)$", line)
            if found:
                self.ports[found[1]] = int(found[2])
            if re.search(pattern, line):
                return line

    def resident_kb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])

    def stop(self, number=signal.SIGTERM):
        """The exit status and how long it took."""
        begin = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(PATIENCE_S)
        took = time.monotonic() - begin
        self.reader.join(PATIENCE_S)
        self.process.stderr.close()
        self.process.stdout.close()
        while not self.fresh.empty():
            self.lines.append(self.fresh.get() or "")
        return status, took

    def close(self):
        """At a test's end: whoever crashed, or was told off by a sanitizer, does not end with 0."""
        status, _ = self.stop()
        assert status == 0, f"ended with {status}: " + "\n".join(self.lines)


def start(case, *args, **kwargs):
    """A daemon at ports that the system chooses, with a fresh admin listener; stopped when the test ends."""
    if not any(arg.startswith("--listen") for arg in args):
        args = ("--listen=127.0.0.1:0", *args)
    daemon = Signald("--admin-listen=127.0.0.1:0", *args, **kwargs)
    case.addCleanup(daemon.close)
    daemon.wait_line(r" ready workers=1$")
    return daemon


def run(*args):
    """A daemon that is expected to end by itself: status, what it said."""
    done = subprocess.run([SIGNALD, *args], capture_output=True, text=True, timeout=PATIENCE_S)
    return done.returncode, done.stdout, done.stderr


def make_certificate(folder, name="server"):
    """A self-signed certificate for localhost: the paths of it and its key."""
    cert, key = pathlib.Path(folder) / f"{name}.pem", pathlib.Path(folder) / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", key, "-out", cert, "-days", "2"], check=True, capture_output=True)
    return cert, key


def make_expired_certificate(folder):
    """The same, but it was good in 2020 only."""
    folder = pathlib.Path(folder)
    cert, key = make_certificate(folder, name="expired")
    (folder / "index.txt").write_text("")
    (folder / "ca.conf").write_text("[ca]\ndefault_ca=a\n[a]\ndatabase=%s/index.txt\nnew_certs_dir=%s\nserial=%s/serial\n"
                                    "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n" % ((folder,) * 3))
    subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", "/CN=expired", "-out", folder / "expired.csr"], check=True,
                   capture_output=True)
    subprocess.run(["openssl", "ca", "-batch", "-selfsign", "-config", folder / "ca.conf", "-keyfile", key, "-in", folder / "expired.csr",
                    "-out", cert, "-startdate", "20200101000000Z", "-enddate", "20200601000000Z", "-create_serial", "-notext"],
                   check=True, capture_output=True)
    return cert, key


async def soon(awaitable):
    return await asyncio.wait_for(awaitable, PATIENCE_S)


class Client:
    """One WebSocket connection; messages as objects, or as text where bytes matter."""

    def __init__(self, socket_):
        self.socket, self.seq, self.welcome = socket_, 0, None

    @classmethod
    async def connect(cls, daemon, scheme="ws", **kwargs):
        kwargs.setdefault("subprotocols", ["viaduct.v1"])
        kwargs.setdefault("ping_interval", None)
        port = daemon.ports["https" if scheme == "wss" else "http"]
        return cls(await soon(websockets.connect(f"{scheme}://localhost:{port}/v1/ws", **kwargs)))

    @classmethod
    async def open(cls, daemon, resume=None, **kwargs):
        client = await cls.connect(daemon, **kwargs)
        await client.send(type="hello", **({"resume": resume} if resume else {}))
        client.welcome = await client.take("welcome")
        return client

    @property
    def peer(self):
        return self.welcome["peer"]

    def resume(self, after):
        return {"session": self.welcome["session"], "key": self.welcome["key"], "after": after}

    async def send_text(self, text):
        await soon(self.socket.send(text))

    async def send(self, **message):
        await self.send_text(json.dumps(message))

    async def take_text(self):
        return await soon(self.socket.recv())

    async def take(self, kind):
        """The next message, which has to be of that type."""
        message = json.loads(await self.take_text())
        assert message["type"] == kind, f"{kind} was expected, not {message}"
        if "seq" in message:
            assert message["seq"] == self.seq + 1, f"after {self.seq} came {message}"
            self.seq = message["seq"]
        return message

    async def error(self, code):
        message = await self.take("error")
        assert message["code"] == code, f"{code} was expected, not {message}"
        return message

    async def join(self, room, **more):
        await self.send(type="join", room=room, **more)
        return await self.take("joined")

    async def closed(self):
        """Its close code, once the server has closed it; what came before is passed over."""
        try:
            while True:
                await self.take_text()
        except websockets.ConnectionClosed:
            return self.socket.close_code

    async def quiet(self):
        """Nothing stands in the queue: the answer to a ping is the next that comes."""
        await self.send(type="ping", t="quiet")
        message = await self.take("pong")
        assert message["t"] == "quiet"

    async def close(self):
        await soon(self.socket.close())

    def abort(self):
        """As when the network is gone: no Close frame, a reset."""
        self.socket.transport.abort()


async def pair(daemon, room="r"):
    """Two clients in a room, everything read that this causes."""
    a, b = await Client.open(daemon), await Client.open(daemon)
    await a.join(room)
    await b.join(room)
    await a.take("peer-joined")
    return a, b


def raw_http(daemon, text, listener="http", timeout=PATIENCE_S):
    """What comes back for these bytes, until the server closes."""
    with socket.create_connection(("127.0.0.1", daemon.ports[listener]), timeout=timeout) as sock:
        sock.sendall(text if isinstance(text, bytes) else text.encode())
        received = b""
        while True:
            try:
                more = sock.recv(65536)
            except ConnectionResetError:
                return received
            if not more:
                return received
            received += more


class Answer:
    def __init__(self, raw):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        assert re.match(r"HTTP/1\.1 \d{3} ", lines[0]), raw
        self.status = int(lines[0].split()[1])
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()


def http(daemon, path="/", method="GET", listener="http", headers=(), body=b""):
    """One request on a connection of its own, the path as it stands."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in (("Host", "localhost"), ("Connection", "close"), *headers))
    return Answer(raw_http(daemon, f"{method} {path} HTTP/1.1\r\n{fields}\r\n".encode() + body, listener))


def metric(daemon, name):
    """The value of one line of /metrics, its labels included in the name."""
    for line in http(daemon, "/metrics", listener="metrics").body.decode().splitlines():
        if line.rpartition(" ")[0] == name:
            return int(line.rpartition(" ")[2])
    raise AssertionError(f"there is no metric {name}")


def folder(case):
    made = tempfile.TemporaryDirectory(prefix="signald-test-")
    case.addCleanup(made.cleanup)
    return pathlib.Path(made.name)
