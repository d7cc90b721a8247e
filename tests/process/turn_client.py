"""A small TURN client for tests: Python's standard library only, blocking sockets with deadlines.

    c = TurnClient(("127.0.0.1", 3478), transport="udp", username="bob", password="secret")
    c.allocate()                       # c.relayed is ("127.0.0.1", 50123), c.lifetime 600
    c.create_permission("127.0.0.1")
    c.channel_bind(0x4000, ("127.0.0.1", 9))
    c.send_channel(0x4000, b"hello")
    peer, payload = c.receive()        # ChannelData, or a Data indication

A request that is refused raises TurnError with the code. It builds and reads messages by itself, in
another way than the server does, so that both would have to be wrong in the same way.
"""

import base64
import hashlib
import hmac
import ipaddress
import os
import socket
import struct
import time
import zlib

COOKIE = 0x2112A442

BINDING, ALLOCATE, REFRESH, SEND, DATA, CREATE_PERMISSION, CHANNEL_BIND = 1, 3, 4, 6, 7, 8, 9
REQUEST, INDICATION, SUCCESS, ERROR = 0, 1, 2, 3

MAPPED_ADDRESS = 0x0001
USERNAME = 0x0006
MESSAGE_INTEGRITY = 0x0008
ERROR_CODE = 0x0009
UNKNOWN_ATTRIBUTES = 0x000A
CHANNEL_NUMBER = 0x000C
LIFETIME = 0x000D
XOR_PEER_ADDRESS = 0x0012
DATA_ATTRIBUTE = 0x0013
REALM = 0x0014
NONCE = 0x0015
XOR_RELAYED_ADDRESS = 0x0016
REQUESTED_ADDRESS_FAMILY = 0x0017
REQUESTED_TRANSPORT = 0x0019
DONT_FRAGMENT = 0x001A
XOR_MAPPED_ADDRESS = 0x0020
SOFTWARE = 0x8022
FINGERPRINT = 0x8028


class TurnError(Exception):
    def __init__(self, code, reason=""):
        super().__init__(f"{code} {reason}")
        self.code = code


class Closed(Exception):
    """The server closed the connection."""


def message_type(method, kind):
    return (method & 0xF) | (method & 0x70) << 1 | (method & 0xF80) << 2 | (kind & 1) << 4 | (kind & 2) << 7


def split_type(number):
    method = (number & 0xF) | (number >> 1 & 0x70) | (number >> 2 & 0xF80)
    return method, (number >> 4 & 1) | (number >> 7 & 2)


def attribute(code, value):
    return struct.pack("!HH", code, len(value)) + value + bytes(-len(value) % 4)


def put_address(address, txid):
    """(ip, port) as an XOR-ed address."""
    ip = ipaddress.ip_address(address[0])
    mask = struct.pack("!I", COOKIE) + txid
    xored = bytes(a ^ b for a, b in zip(ip.packed, mask))
    return struct.pack("!BBH", 0, 1 if ip.version == 4 else 2, address[1] ^ COOKIE >> 16) + xored


def get_address(value, txid):
    _, family, port = struct.unpack("!BBH", value[:4])
    mask = struct.pack("!I", COOKIE) + txid
    packed = bytes(a ^ b for a, b in zip(value[4:], mask))
    assert len(packed) == (4 if family == 1 else 16), f"an address of {len(packed)} bytes"
    return str(ipaddress.ip_address(packed)), port ^ COOKIE >> 16


def rest_credentials(secret, name="test", lifetime=3600):
    """Time-limited credentials: (username, password)."""
    username = f"{int(time.time()) + lifetime}:{name}"
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return username, base64.b64encode(digest).decode()


class Message:
    def __init__(self, data):
        number, length, cookie = struct.unpack("!HHI", data[:8])
        assert cookie == COOKIE, f"cookie {cookie:#x}"
        assert length == len(data) - 20, f"length {length} in a message of {len(data)} bytes"
        self.bytes = data
        self.method, self.kind = split_type(number)
        self.txid = data[8:20]
        self.attributes = []
        self.offset = {}
        at = 20
        while at < len(data):
            code, size = struct.unpack("!HH", data[at : at + 4])
            assert at + 4 + size <= len(data), "an attribute overruns its message"
            self.attributes.append((code, data[at + 4 : at + 4 + size]))
            self.offset.setdefault(code, at)
            at += 4 + size + (-size % 4)

    def get(self, code):
        return next((value for c, value in self.attributes if c == code), None)

    def address(self, code):
        value = self.get(code)
        return None if value is None else get_address(value, self.txid)

    @property
    def error(self):
        value = self.get(ERROR_CODE)
        return 0 if value is None else value[2] % 8 * 100 + value[3]

    def check_integrity(self, key):
        at = self.offset[MESSAGE_INTEGRITY]
        head = self.bytes[:2] + struct.pack("!H", at + 24 - 20) + self.bytes[4:at]
        return hmac.compare_digest(hmac.new(key, head, hashlib.sha1).digest(), self.get(MESSAGE_INTEGRITY))


def build(method, kind, attributes, txid=None, key=None, fingerprint=False):
    """`attributes` is a list of (code, value)."""
    txid = txid or os.urandom(12)
    body = b"".join(attribute(code, value) for code, value in attributes)

    def head(length):
        return struct.pack("!HHI", message_type(method, kind), length, COOKIE) + txid

    if key is not None:
        mac = hmac.new(key, head(len(body) + 24) + body, hashlib.sha1).digest()
        body += attribute(MESSAGE_INTEGRITY, mac)
    if fingerprint:
        crc = zlib.crc32(head(len(body) + 8) + body) ^ 0x5354554E
        body += attribute(FINGERPRINT, struct.pack("!I", crc))
    return head(len(body)) + body


class TurnClient:
    def __init__(self, server, transport="udp", username=None, password=None, timeout=5.0):
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self.socket = socket.socket(family, kind)
        self.socket.settimeout(timeout)
        self.socket.connect(server)
        self.address = self.socket.getsockname()[:2]
        self.transport = transport
        self.timeout = timeout
        self.username, self.password = username, password
        self.realm = self.nonce = self.key = None
        self.relayed = self.mapped = self.lifetime = None
        self.channels = {}
        self.stream = b""
        self.waiting = []  # relayed data that came while a response was waited for

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    # -- bytes --

    def send_bytes(self, data):
        self.socket.sendall(data)

    def read_frame(self, deadline):
        """One STUN message or ChannelData, as bytes without padding."""
        self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
        if self.transport == "udp":
            return self.socket.recv(65536)
        while True:
            if len(self.stream) >= 4:
                first, length = struct.unpack("!HH", self.stream[:4])
                size = 20 + length if first < 0x4000 else 4 + length
                padded = size + (-size % 4)
                if len(self.stream) >= padded:
                    frame, self.stream = self.stream[:size], self.stream[padded:]
                    return frame
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            more = self.socket.recv(65536)
            if not more:
                raise Closed()
            self.stream += more

    # -- requests --

    def transact(self, data):
        """Sends a request and returns its response, whatever it says."""
        txid = data[8:20]
        self.send_bytes(data)
        deadline = time.monotonic() + self.timeout
        while True:
            frame = self.read_frame(deadline)
            if frame[0] >= 0x40:
                self.waiting.append(frame)
                continue
            message = Message(frame)
            if message.txid == txid:
                return message
            if message.kind == INDICATION:
                self.waiting.append(frame)

    def authenticated(self, method, attributes, txid=None):
        full = list(attributes)
        if self.key is not None:
            full += [(USERNAME, self.username.encode()), (REALM, self.realm), (NONCE, self.nonce)]
        return build(method, REQUEST, full, txid=txid, key=self.key)

    def request(self, method, attributes):
        """With authentication; follows one 401 and one 438. Raises TurnError."""
        for _ in range(3):
            response = self.transact(self.authenticated(method, attributes))
            assert response.method == method, f"a response to method {response.method}"
            if response.kind == SUCCESS:
                assert self.key is None or response.check_integrity(self.key), "wrong MESSAGE-INTEGRITY"
                return response
            stale = response.error == 438
            challenged = response.error == 401 and self.key is None and self.username is not None
            if not stale and not challenged:
                raise TurnError(response.error, response.get(ERROR_CODE)[4:].decode())
            self.realm, self.nonce = response.get(REALM) or self.realm, response.get(NONCE)
            text = b":".join([self.username.encode(), self.realm, self.password.encode()])
            self.key = hashlib.md5(text).digest()
        raise TurnError(response.error)

    def binding(self):
        response = self.transact(build(BINDING, REQUEST, []))
        if response.kind != SUCCESS:
            raise TurnError(response.error)
        return response.address(XOR_MAPPED_ADDRESS)

    def allocate(self, family=None, lifetime=None, more=()):
        attributes = [(REQUESTED_TRANSPORT, bytes([17, 0, 0, 0]))]
        if lifetime is not None:
            attributes.append((LIFETIME, struct.pack("!I", lifetime)))
        if family is not None:
            attributes.append((REQUESTED_ADDRESS_FAMILY, bytes([family, 0, 0, 0])))
        response = self.request(ALLOCATE, attributes + list(more))
        self.relayed = response.address(XOR_RELAYED_ADDRESS)
        self.mapped = response.address(XOR_MAPPED_ADDRESS)
        self.lifetime = struct.unpack("!I", response.get(LIFETIME))[0]
        return self.relayed

    def refresh(self, lifetime=600):
        response = self.request(REFRESH, [(LIFETIME, struct.pack("!I", lifetime))])
        return struct.unpack("!I", response.get(LIFETIME))[0]

    def peer_request(self, method, address, more=()):
        """XOR-PEER-ADDRESS depends on the transaction id of an IPv6 message: built anew each time."""
        for _ in range(3):
            txid = os.urandom(12)
            attributes = [(XOR_PEER_ADDRESS, put_address(address, txid))] + list(more)
            response = self.transact(self.authenticated(method, attributes, txid))
            if response.kind == SUCCESS:
                return response
            if response.error != 438:
                raise TurnError(response.error, response.get(ERROR_CODE)[4:].decode())
            self.nonce = response.get(NONCE)
        raise TurnError(response.error)

    def create_permission(self, ip):
        self.peer_request(CREATE_PERMISSION, (ip, 0))

    def channel_bind(self, number, peer):
        self.peer_request(CHANNEL_BIND, peer, [(CHANNEL_NUMBER, struct.pack("!HH", number, 0))])
        self.channels[number] = peer

    # -- data --

    def send_channel(self, number, payload):
        data = struct.pack("!HH", number, len(payload)) + payload
        if self.transport != "udp":
            data += bytes(-len(payload) % 4)
        self.send_bytes(data)

    def send_indication(self, peer, payload, more=()):
        txid = os.urandom(12)
        attributes = [(XOR_PEER_ADDRESS, put_address(peer, txid))] + list(more) + [(DATA_ATTRIBUTE, payload)]
        self.send_bytes(build(SEND, INDICATION, attributes, txid=txid))

    def receive(self, timeout=None):
        """The next relayed payload: (peer, payload). socket.timeout when there is none in time."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            frame = self.waiting.pop(0) if self.waiting else self.read_frame(deadline)
            if frame[0] >= 0x40:
                number, length = struct.unpack("!HH", frame[:4])
                assert len(frame) >= 4 + length, "ChannelData shorter than it says"
                return self.channels[number], frame[4 : 4 + length]
            message = Message(frame)
            # What has no DATA is an ICMP error, for who asks for it.
            if message.method == DATA and message.kind == INDICATION and message.get(DATA_ATTRIBUTE) is not None:
                return message.address(XOR_PEER_ADDRESS), message.get(DATA_ATTRIBUTE)

    def read_frame_soon(self):
        """Whatever comes next, as bytes."""
        return self.read_frame(time.monotonic() + self.timeout)

    def receives_nothing(self, seconds=0.3):
        try:
            self.receive(seconds)
        except (socket.timeout, BlockingIOError):
            return True
        return False
