"""Databases for tests: coturn's SQLite file, made by its turnadmin, and a Redis of one's own."""

import pathlib
import socket
import subprocess
import tempfile
import time

PATIENCE_S = 10


def until(function, *errors):
    """What `function` gives, once it raises none of `errors` and gives something."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            if (got := function()) is not None and got is not False:
                return got
        except errors:
            pass
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.05)


class Folder:
    def __init__(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.temporary.name)

    def close(self):
        self.temporary.cleanup()


class Sqlite(Folder):
    REALM = "example.org"

    def __init__(self, *users):
        super().__init__()
        self.file = self.path / "turndb"
        for name, password in users:
            self.add(name, password)

    def turnadmin(self, *args):
        command = ["turnadmin", "-b", self.file, *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, cwd=self.path, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def add(self, name, password, realm=REALM):
        self.turnadmin("-a", "-u", name, "-r", realm, "-p", password)

    def delete(self, name, realm=REALM):
        self.turnadmin("-d", "-u", name, "-r", realm)


class Redis(Folder):
    """A server that this test started, at a port that was free. It saves nothing."""

    def __init__(self, password=None):
        super().__init__()
        self.password = password
        self.process = self.socket = None
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.start()

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.path]
        if self.password:
            command += ["--requirepass", self.password]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.socket = until(self.connect, OSError)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)
        if self.password:
            ask(s, "AUTH", self.password)
        ask(s, "PING")
        return s

    def do(self, *words):
        return ask(self.socket, *words)

    def connection(self, **more):
        words = {"ip": "127.0.0.1", "port": self.port, **more}
        if self.password:
            words["password"] = self.password
        return " ".join(f"{k}={v}" for k, v in words.items())

    def kill(self):
        self.socket.close()
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def close(self):
        if self.process.poll() is None:
            self.kill()
        super().close()


def send(s, *words):
    words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))


def read_line(s):
    line = b""
    while not line.endswith(b"\r\n"):
        byte = s.recv(1)
        if not byte:
            raise ConnectionResetError("Redis has gone")
        line += byte
    return line[:-2]


def read_answer(s):
    line = read_line(s)
    kind, rest = line[:1], line[1:]
    if kind == b"-":
        raise RuntimeError(rest.decode())
    if kind == b"+":
        return rest
    if kind == b":":
        return int(rest)
    if kind == b"*":
        return [read_answer(s) for _ in range(int(rest))]
    if int(rest) < 0:
        return None
    data = b""
    while len(data) < int(rest) + 2:
        data += s.recv(int(rest) + 2 - len(data))
    return data[:-2]


def ask(s, *words):
    send(s, *words)
    return read_answer(s)
