#!/usr/bin/python3
"""Third-party authorization (RFC 7635) with coturn's tools: turnutils_oauth is the authorization server, turnutils_uclient a client."""

import base64
import json
import re
import struct
import subprocess
import time
import unittest

import stage
import turn_client
from stage import THERE
from test_turnd import PATIENCE_S, TurndCase
from turn_client import ALLOCATE, NONCE, REALM, REFRESH, REQUEST, USERNAME, TurnClient, TurnError

ACCESS_TOKEN, THIRD_PARTY_AUTHORIZATION = 0x001B, 0x802E
SERVER = "turn.example.org"
KEY = b"0123456789abcdef0123456789abcdef"
OTHER_KEY = b"fedcba9876543210fedcba9876543210"
MAC_KEY = b"mac-key-of-20-bytes!"
# The keys that turnutils_uclient -J seals with.
UCLIENT_KEYS = (
    "north:A256GCM:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEK",
    "union:A128GCM:MTIzNDU2Nzg5MDEyMzQ1Ngo=",
    "oldempire:A256GCM:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIK",
)


def token(key=KEY, algorithm="A256GCM", server=SERVER, lifetime=600, mac_key=MAC_KEY, made=None):
    """As coturn's tool seals it: the value of ACCESS-TOKEN."""
    made = int(time.time()) if made is None else made
    command = {
        "--server-name": server,
        "--auth-key-id": "ours",
        "--auth-key": base64.b64encode(key).decode(),
        "--auth-key-timestamp": 1,
        "--auth-key-lifetime": 2**31 - 1,
        "--auth-key-as-rs-alg": algorithm,
        "--token-mac-key": base64.b64encode(mac_key).decode(),
        "--token-timestamp": made << 16,
        "--token-lifetime": lifetime,
    }
    args = [str(part) for pair in command.items() for part in pair]
    out = subprocess.run(["turnutils_oauth", "-e", *args], capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    return base64.b64decode(json.loads(out.stdout)["access_token"])


class TokenClient(TurnClient):
    """Its key is the token's, and Allocate and Refresh bring the token."""

    def __init__(self, server, value, kid="ours", mac_key=MAC_KEY, transport="udp"):
        super().__init__(server, transport, username=kid, password="", timeout=PATIENCE_S)
        self.value, self.mac_key = value, mac_key

    def request(self, method, attributes):
        for _ in range(3):
            brings = [(ACCESS_TOKEN, self.value)] if method in (ALLOCATE, REFRESH) and self.nonce else []
            self.key = self.mac_key if self.nonce else None
            response = self.transact(self.authenticated(method, [*attributes, *brings]))
            if response.kind == turn_client.SUCCESS:
                assert response.check_integrity(self.mac_key), "wrong MESSAGE-INTEGRITY"
                return response
            if response.error not in (401, 438) or (response.error == 401 and self.nonce):
                raise TurnError(response.error)
            self.realm, self.nonce = response.get(REALM), response.get(NONCE)
            self.offered = response.get(THIRD_PARTY_AUTHORIZATION)
        raise TurnError(response.error)


class Tokens(TurndCase):
    ARGS = [
        "--oauth",
        f"--oauth-key=ours:A256GCM:{base64.b64encode(KEY).decode()}",
        f"--oauth-key=short:A128GCM:{base64.b64encode(KEY[:16]).decode()}",
        *(f"--oauth-key={key}" for key in UCLIENT_KEYS),
        f"--server-name={SERVER}",
        "--realm=example.org",
        "--user=bob:open sesame",
        *stage.OPEN,
    ]

    def with_token(self, value, **more):
        with stage.away():
            c = TokenClient(self.turnd.server(), value, **more)
        self.addCleanup(c.close)
        return c

    def test_a_token_of_coturns(self):
        for transport in ("udp", "tcp"):
            with self.subTest(transport):
                c = self.with_token(token(lifetime=300), transport=transport)
                c.allocate(lifetime=3600)
                self.assertEqual(c.offered, SERVER.encode())
                self.assertGreater(c.lifetime, 300 - PATIENCE_S)
                self.assertLessEqual(c.lifetime, 300)
                peer = self.peer()
                c.create_permission(THERE)
                c.send_indication(peer.address, b"with a token")
                self.assertEqual(peer.receive()[0], b"with a token")
                c.value, c.mac_key = token(mac_key=b"another-key-of-20-by"), b"another-key-of-20-by"
                self.assertGreater(c.refresh(3600), 300)

    def test_the_short_algorithm(self):
        self.with_token(token(algorithm="A128GCM"), kid="short").allocate()

    def test_what_is_no_token_for_us(self):
        now = int(time.time())
        for what, value in {
            "another key": token(key=OTHER_KEY),
            "another server": token(server="turn.example.com"),
            "run out": token(made=now - 700),
            "from the future": token(made=now + 700),
            "turned": bytes(a ^ (i == 40) for i, a in enumerate(token())),
            "cut": token()[:-1],
        }.items():
            with self.subTest(what):
                self.assert_code(401, self.with_token(value).allocate)
        self.assert_code(401, self.with_token(token(), kid="theirs").allocate)
        self.assert_code(401, self.with_token(token(), mac_key=b"x" * 20).allocate)

    def test_passwords_are_as_good_as_before(self):
        self.client().allocate()

    def test_coturns_client(self):
        created = self.turnd.metric('viaduct_turn_allocations_total{event="created"}')
        ip, port = self.turnd.server()
        command = ["turnutils_uclient", "-J", "-y", "-c", "-s", "-n", "3", "-m", "1", "-l", "100", "-u", "x", "-w", "x"]
        run = subprocess.run([*command, "-p", str(port), ip], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        sent, received = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)\n", run.stdout)[-1]
        self.assertEqual((sent, received), ("6", "6"), run.stdout)
        self.assertGreaterEqual(self.turnd.metric('viaduct_turn_allocations_total{event="created"}'), created + 2)


if __name__ == "__main__":
    unittest.main()
