#!/usr/bin/python3
"""The client of pion/turn (Debian's golang-github-pion-turn.v2-dev), built here from Debian's sources: pion/main.go.

It asks for no address family, so its relayed addresses are IPv4, also where it comes by IPv6."""

import pathlib
import shutil
import tempfile
import unittest

from interop import FAMILIES, PASSWORD, USER, InteropCase, environment, need, run

HERE = pathlib.Path(__file__).resolve().parent
TRANSPORTS = ("udp", "tcp", "tls", "dtls")
BUILD_S = 240  # six seconds of CPU time


def setUpModule():
    global PROGRAM
    folder = pathlib.Path(tempfile.mkdtemp(prefix="viaduct-pion-"))
    unittest.addModuleCleanup(shutil.rmtree, folder)
    PROGRAM = folder / "pion"
    # Nothing is downloaded: GOPATH mode knows the folder of Debian's packages alone.
    settings = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "CGO_ENABLED": "0", "GOFLAGS": "", "GOCACHE": str(folder / "cache")}
    command = (need("go", "golang-go"), "build", "-o", PROGRAM, ".")
    status, output = run(*command, cwd=HERE / "pion", timeout=BUILD_S, env=environment(**settings))
    assert status == 0, output


class PionCase(InteropCase):
    def pion(self, transport, ip, *more):
        host = f"[{ip}]" if ":" in ip else ip
        server = f"{host}:{self.port(transport, ip)}"
        who = ("-user", USER, "-password", PASSWORD, "-ca", self.ca)
        status, output = run(PROGRAM, "-transport", transport, "-server", server, *who, *more)
        self.assertEqual(status, 0, output)
        self.assertRegex(output, r"^rounds \d+, relayed 127\.0\.0\.1:\d+ and 127\.0\.0\.1:\d+\n$")
        # Each closed with a Refresh of 0, whose answer it does not wait for.
        self.turnd.wait_metric("viaduct_turn_allocations", 0)


class Pion(PionCase):
    def test_every_transport_and_family(self):
        for transport in TRANSPORTS:
            for ip in FAMILIES:
                with self.subTest(f"{transport} {ip}"):
                    self.pion(transport, ip)


class Refreshes(PionCase):
    """Allocations of three seconds and nonces of one: it has to refresh, and to take 438 with a new nonce."""

    ARGS = ("--max-allocate-lifetime=3", "--stale-nonce=1")

    def test_a_session_outlives_its_first_lifetime(self):
        self.pion("udp", FAMILIES[0], "-while", "5s")


if __name__ == "__main__":
    unittest.main(verbosity=2)
