"""Clients of viaduct-signald over each of its transports, one beside the other: what test_signald_http.py is written with.

A reader has take() (the next message, in the order of its transport), after (the last seq that take() gave) and close().
It holds one connection and knows no retries: tests decide what breaks and when."""
import http.client
import json
import socket
import struct

from signald_client import PATIENCE_S

MASK = b"\x01\x02\x03\x04"
UPGRADE = ("GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: viaduct.v1\r\n\r\n")


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


class Http:
    """One connection, kept from request to request as browsers do."""

    def __init__(self, daemon, source=None):
        self.address = "127.0.0.1", daemon.ports["http"]
        self.connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE_S, source_address=(source, 0) if source else None)

    def request(self, method, path, body=None, key=None, headers=()):
        fields = dict(headers)
        if key is not None:
            fields["Authorization"] = f"Bearer {key}"
        if body is not None:
            fields.setdefault("Content-Type", "application/json")
            body = body if isinstance(body, (bytes, str)) else json.dumps(body)
        self.connection.request(method, path, body, fields)
        answer = self.connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())

    def begin(self, method, path, key, headers=()):
        """A request whose answer is not waited for."""
        self.connection.request(method, path, headers={"Authorization": f"Bearer {key}", **dict(headers)})

    def finish(self):
        answer = self.connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())

    def reset(self):
        """As when the network is gone."""
        if self.connection.sock:
            self.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.connection.close()


class Session:
    """Opened by POST; sends by POST over a connection of its own."""

    def __init__(self, daemon, source=None, hello=None):
        self.daemon = daemon
        self.http = Http(daemon, source)
        reply = self.http.request("POST", "/v1/session", {"type": "hello", **(hello or {})})
        assert reply.status == 201, reply
        self.welcome = reply.json
        assert self.welcome["type"] == "welcome", reply
        self.key, self.peer = self.welcome["key"], self.welcome["peer"]

    def post(self, *messages, status=202):
        reply = self.http.request("POST", "/v1/messages", messages[0] if len(messages) == 1 else list(messages), key=self.key)
        assert reply.status == status, reply
        return reply.json

    def get(self, after=0, wait=0, http=None):
        return (http or self.http).request("GET", f"/v1/messages?after={after}&wait={wait}", key=self.key)

    def join(self, room="r", **more):
        self.post({"type": "join", "room": room, **more})

    def close(self):
        self.http.close()


class Polls:
    """Polling, and with `wait` long polling."""

    def __init__(self, session, after, wait=0):
        self.session, self.after, self.wait = session, after, wait
        self.http, self.ready = Http(session.daemon), []

    def take(self):
        while not self.ready:
            reply = self.session.get(self.after, self.wait, self.http)
            assert reply.status == 200, reply
            self.ready = reply.json["messages"]
            last = self.ready[-1]["seq"] if self.ready else self.after
            assert reply.json["last"] == last, reply
        message = self.ready.pop(0)
        self.after = message["seq"]
        return message

    def reset(self):
        self.http.reset()

    def close(self):
        self.http.close()


class Events:
    """Server-Sent Events, read as HTML says. `buffer`: what the system keeps of what is not read yet, in bytes."""

    def __init__(self, session, after, query=False, headers=None, buffer=None):
        self.session, self.after = session, after
        self.sock = socket.socket()
        self.sock.settimeout(PATIENCE_S)
        if buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.connect(("127.0.0.1", session.daemon.ports["http"]))
        fields = {"Last-Event-ID": after} if headers is None else headers
        if not query:
            fields = {**fields, "Authorization": f"Bearer {session.key}"}
        path = "/v1/events" + (f"?key={session.key}&after={after}" if query else "")
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n".encode()
                          + "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode() + b"\r\n")
        self.file = self.sock.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while (line := self.file.readline().strip()):
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()
        self.comments = 0

    def event(self):
        """(id, type, data) of the next one; None at the end of the stream."""
        ident, kind, data = None, "message", []
        for line in self.file:
            name, _, value = line.decode().rstrip("\n").partition(":")
            value = value[1:] if value.startswith(" ") else value
            if name == "" and line.startswith(b":"):
                self.comments += 1
            elif name == "id":
                ident = int(value)
            elif name == "event":
                kind = value
            elif name == "data":
                data.append(value)
            elif line == b"\n" and data:
                return ident, kind, "\n".join(data)
        return None

    def take(self):
        ident, kind, data = self.event()
        message = json.loads(data)
        assert (message["type"], message.get("seq")) == (kind, ident), (ident, kind, data)
        if ident is not None:
            self.after = ident
        return message

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.file.close()
        self.sock.close()


class WebSocket:
    """A WebSocket that resumes the session."""

    def __init__(self, session, after):
        self.after = after
        self.sock = socket.create_connection(("127.0.0.1", session.daemon.ports["http"]), timeout=PATIENCE_S)
        self.sock.sendall(UPGRADE.encode())
        self.file = self.sock.makefile("rb")
        assert b" 101 " in self.file.readline()
        while self.file.readline().strip():
            pass
        self.send({"type": "hello", "resume": {"session": session.welcome["session"], "key": session.key, "after": after}})
        self.welcome = self.take()
        assert self.welcome["type"] == "welcome" and self.welcome["resumed"], self.welcome

    def send(self, message):
        payload = json.dumps(message).encode()
        head = struct.pack(">BBH", 0x81, 0xFE, len(payload)) if len(payload) > 125 else bytes([0x81, 0x80 | len(payload)])
        self.sock.sendall(head + MASK + bytes(b ^ MASK[i % 4] for i, b in enumerate(payload)))

    def frame(self):
        """(opcode, payload)"""
        first, size = self.file.read(2)
        if size == 126:
            size, = struct.unpack(">H", self.file.read(2))
        elif size == 127:
            size, = struct.unpack(">Q", self.file.read(8))
        return first & 15, self.file.read(size)

    def take(self):
        opcode, payload = self.frame()
        assert opcode == 1, (opcode, payload)
        message = json.loads(payload)
        self.after = message.get("seq", self.after)
        return message

    def close_code(self):
        """What the server has closed it with; what came before is passed over."""
        while True:
            opcode, payload = self.frame()
            if opcode == 8:
                return struct.unpack(">H", payload[:2])[0]

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.file.close()
        self.sock.close()


def websocket(session, after):
    return WebSocket(session, after)


def events(session, after):
    return Events(session, after)


def longpoll(session, after):
    return Polls(session, after, wait=20)


def poll(session, after):
    return Polls(session, after)


TRANSPORTS = {"websocket": websocket, "sse": events, "longpoll": longpoll, "poll": poll}
