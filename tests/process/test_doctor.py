#!/usr/bin/python3
"""viaduct-peer doctor: each cause is made in a network of its own, and the doctor has to name it.

The server stands on the public side of a laboratory (viaduct lab), the doctor on a site."""

import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest

SOURCE = pathlib.Path(os.environ.get("VIADUCT_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BIN = pathlib.Path(os.environ.get("VIADUCT_BIN", SOURCE / "build" / "bin"))
PATIENCE_S = 90
SERVER, SECRET = "198.18.0.10", "a-secret-that-nobody-knows"
AUTH = ("--use-auth-secret", f"--static-auth-secret={SECRET}", "--realm=example.org")
OPEN = ("--allowed-peer-ip=198.18.0.0-198.19.255.255",)


def run(*words, **more):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=PATIENCE_S, **more)


class Doctor(unittest.TestCase):
    sites = ("none",)

    @classmethod
    def setUpClass(cls):
        cls.name = f"d{os.getpid()}"
        cls.addClassCleanup(run, BIN / "viaduct", "lab", "--name", cls.name, "down")
        done = run(BIN / "viaduct", "lab", "--name", cls.name, "--no-servers", "up", *cls.sites)
        assert done.returncode == 0, done.stderr

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="viaduct-doctor-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.secret = self.folder / "secret"
        self.secret.write_text(SECRET + "\n", encoding="ascii")

    def inside(self, where, *words):
        return [str(word) for word in (BIN / "viaduct", "lab", "--name", self.name, "exec", where, *words)]

    @contextlib.contextmanager
    def server(self, *options, program="viaduct-turnd", ready="listening"):
        """On the public side, until the end of the block."""
        log = self.folder / f"{program}.log"
        with log.open("wb") as out:
            command = self.inside("net", BIN / program, "--listening-ip", SERVER, *options)
            process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            deadline = time.monotonic() + PATIENCE_S
            while ready not in log.read_text(encoding="utf-8"):
                self.assertIsNone(process.poll(), log.read_text(encoding="utf-8"))
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE_S)

    def turnd(self, *options, peers=OPEN):
        return self.server(*AUTH, *peers, *options, ready="relaying")

    def doctor(self, *words, where="a", secret=True):
        credentials = ("--secret-file", self.secret) if secret else ()
        done = run(*self.inside(where, BIN / "viaduct-peer", "doctor", "--json", *credentials, *words))
        self.assertEqual(done.stderr, "")
        told = json.loads(done.stdout)
        self.assertEqual(done.returncode == 0, told["works"])
        self.assertNotIn(SECRET, done.stdout)
        return told

    def causes(self, *words, **more):
        return sorted({finding["cause"] for finding in self.doctor(*words, **more)["findings"]})

    def certificate(self, subject, *options):
        """One that signs itself, in cert.pem: the options of a server."""
        cert, key = self.folder / "cert.pem", self.folder / "key.pem"
        done = run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-subj", "/CN=relay",
                   "-addext", f"subjectAltName={subject}", *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return f"--cert={cert}", f"--pkey={key}"

    @contextlib.contextmanager
    def rule(self, text):
        """A firewall of the public side."""
        ruleset = f"table inet wall {{ chain here {{ type filter hook input priority 0\n{text}\n}}\n}}\n"
        self.assertEqual(run(*self.inside("net", "nft", "-f", "-"), input=ruleset).stderr, "")
        try:
            yield
        finally:
            self.assertEqual(run(*self.inside("net", "nft", "delete", "table", "inet", "wall")).stderr, "")


class OfTheServer(Doctor):
    def test_all_is_well_on_every_way(self):
        with self.turnd(*self.certificate(f"IP:{SERVER}")):
            told = self.doctor("--ca", self.folder / "cert.pem", f"turn:{SERVER}", f"turn:{SERVER}?transport=tcp", f"turns:{SERVER}",
                               f"turns:{SERVER}?transport=udp", f"stun:{SERVER}")
            text = run(*self.inside("a", BIN / "viaduct-peer", "doctor", "--secret-file", self.secret, "--html", self.folder / "r.html",
                                    f"turn:{SERVER}"))
        self.assertEqual(told["findings"], [])
        self.assertTrue(told["works"] and told["worksOverUdp"])
        self.assertEqual([way["step"] for way in told["ways"]], ["done"] * 5)
        for way in told["ways"][:4]:
            self.assertEqual((way["sent"], way["received"]), (200, 200), way)
            self.assertTrue(way["relayed"].startswith(f"{SERVER}:"))
        self.assertRegex(text.stdout, r"works +turn:198\.18\.0\.10:3478\?transport=udp +IPv4 +200 of 200 echoes")
        self.assertIn("Calls will work from here.", text.stdout)
        page = (self.folder / "r.html").read_text(encoding="utf-8")
        self.assertIn("Calls will work from here.", page)
        self.assertNotRegex(page, "(src|href)=")

    def test_secret_password_and_expiry(self):
        with self.turnd():
            other = self.folder / "other"
            other.write_text("another-secret\n", encoding="ascii")
            self.assertEqual(self.causes("--secret-file", other, f"turn:{SERVER}", secret=False), ["wrong-secret"])
            self.assertEqual(self.causes("-u", "alice", "-w", "wrong", f"turn:{SERVER}", secret=False), ["wrong-password"])
            self.assertEqual(self.causes("-u", "1000000000:alice", "-w", "x", f"turn:{SERVER}", secret=False), ["credentials-expired"])

    def test_ports(self):
        with self.turnd(), self.server("--listening-port=3479", program="viaduct-stund"):
            self.assertEqual(self.causes(f"turn:{SERVER}:3480", f"turn:{SERVER}:3480?transport=tcp"), ["no-such-port"])
            self.assertEqual(self.causes(f"turn:{SERVER}:3479"), ["no-turn"])
            self.assertEqual(self.causes(f"turns:{SERVER}:3478"), ["tls-failed"])
            with self.rule("udp dport 3478 drop"):
                self.assertEqual(self.causes(f"turn:{SERVER}", f"stun:{SERVER}:3479"), ["silent"])
                self.assertEqual(self.causes(f"turn:{SERVER}", f"turn:{SERVER}?transport=tcp"), ["only-tcp", "udp-blocked"])
            with self.rule("meta l4proto { tcp, udp } th dport 3478 drop"):
                self.assertEqual(self.causes(f"turn:{SERVER}", f"turn:{SERVER}?transport=tcp"), ["silent"])

    def test_relay_ports_behind_a_firewall(self):
        with self.turnd(), self.rule("udp dport 49152-65535 drop"):
            self.assertEqual(self.causes(f"turn:{SERVER}"), ["relay-ports-blocked"])

    def test_a_relayed_address_that_is_private(self):
        added = run(*self.inside("net", "ip", "addr", "add", "10.9.9.9/32", "dev", "lo"))
        self.assertEqual(added.returncode, 0, added.stderr)
        with self.turnd("--relay-ip=10.9.9.9"), self.rule("iifname br0 ip daddr 10.9.9.9 drop"):
            self.assertEqual(self.causes(f"turn:{SERVER}"), ["relay-address-private"])

    def test_a_peer_that_is_denied(self):
        with self.turnd(peers=()):  # these addresses are nobody's (RFC 2544), so turnd denies them by itself
            self.assertEqual(self.causes(f"turn:{SERVER}"), ["peer-denied"])

    def test_quota_and_ports_that_are_all_taken(self):
        ways = (f"turn:{SERVER}", f"turn:{SERVER}")
        with self.turnd("--user-quota=1"):
            self.assertEqual(self.causes(*ways), ["quota-reached"])
        with self.turnd("--min-port=50000", "--max-port=50000"):
            self.assertEqual(self.causes(*ways), ["no-capacity"])

    def test_certificates(self):
        ca = ("--ca", self.folder / "cert.pem")
        with self.turnd(*self.certificate("DNS:relay.example.org")):
            self.assertEqual(self.causes(f"turns:{SERVER}"), ["certificate-untrusted"])
            self.assertEqual(self.causes(*ca, f"turns:{SERVER}"), ["certificate-name"])
        with self.turnd(*self.certificate(f"IP:{SERVER}", "-days", "7")):
            told = self.doctor(*ca, f"turns:{SERVER}")
            self.assertEqual([finding["cause"] for finding in told["findings"]], ["certificate-expires-soon", "only-tcp"])
            self.assertTrue(told["works"])

    def test_names_and_routes(self):
        self.assertEqual(self.causes("turn:no-such-host.invalid"), ["no-such-name"])
        self.assertEqual(self.causes("turn:[2001:2::10]"), ["no-route"])

    def test_no_secret_no_relay(self):
        with self.turnd():
            told = self.doctor(f"stun:{SERVER}", secret=False)
            self.assertFalse(told["works"])
            self.assertEqual(told["ways"][0]["step"], "done")

    def test_wrong_words(self):
        for words, pattern in (
            ((), "name a server: viaduct-peer doctor relay.example.org"),
            (("-4", "-6", SERVER), "exclude each other"),
            (("-w", "x", SERVER), "--password needs --username"),
            (("-u", "x", "-w", "x", "--secret-file", self.secret, SERVER), "--password and --secret-file exclude each other"),
            (("--secret-file", self.folder / "none", SERVER), "cannot be read or is empty"),
            (("--ca", self.folder / "none", SERVER), "--ca cannot be read"),
            (("--scret-file", "x", SERVER), "did you mean '--secret-file'"),
            (("turn://relay",), "has no // behind its scheme"),
            (("http://relay",), "begins with stun:, stuns:, turn: or turns:"),
            ([f"turn:{SERVER}:{port}" for port in range(1, 40)], "at most 32 ways at a time"),
        ):
            done = run(BIN / "viaduct-peer", "doctor", *words)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertRegex(done.stderr, pattern)


class OfTheNetwork(Doctor):
    sites = ("symmetric", "port-restricted+no-udp", "full-cone+loss=10", "none+v6", "port-restricted+carrier")

    def test_each_network(self):
        ways = (f"turn:{SERVER}", f"turn:{SERVER}?transport=tcp")
        with self.turnd():
            for where, want in (("a", []), ("b", ["only-tcp", "udp-blocked"]), ("c", ["loss"]), ("e", [])):
                with self.subTest(where):
                    self.assertEqual(self.causes(*ways[: 1 if where == "c" else 2], where=where), want)

    def test_ipv6(self):
        options = ("--listening-ip=2001:2::10", "--relay-ip=2001:2::10", "--allowed-peer-ip=2001:2::-2001:2:ffff:ffff:ffff:ffff:ffff:ffff")
        with self.turnd(*options):
            told = self.doctor("turn:[2001:2::10]", where="d")
        self.assertEqual(told["findings"], [])
        self.assertTrue(told["ways"][0]["relayed"].startswith("[2001:2::10]:"))


if __name__ == "__main__":
    unittest.main()
