#!/usr/bin/python3
"""certs/make-dev-certs: what it makes, that a second run changes nothing, and when it makes anew."""
import os
import pathlib
import stat
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "certs" / "make-dev-certs"


def openssl(*args):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, text=True).stdout


class Certs(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="viaduct-certs-")
        self.addCleanup(temporary.cleanup)
        self.dir = pathlib.Path(temporary.name) / "certs"

    def make(self, *names, status=0):
        done = subprocess.run([SCRIPT, self.dir, *names], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def sans(self):
        text = openssl("x509", "-in", self.dir / "server.pem", "-noout", "-ext", "subjectAltName")
        return [name.strip() for name in text.splitlines()[1].split(",")]

    def contents(self):
        return {path.name: path.read_bytes() for path in self.dir.iterdir()}

    def test_first_run(self):
        self.make("192.0.2.7", "2001:db8::7", "call.example.org")
        openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", self.dir / "ca.pem",
                self.dir / "server.pem")
        for name in ["DNS:localhost", "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1",
                     "IP Address:192.0.2.7", "IP Address:2001:DB8:0:0:0:0:0:7", "DNS:call.example.org"]:
            self.assertIn(name, self.sans())
        text = openssl("x509", "-in", self.dir / "server.pem", "-noout", "-text")
        self.assertIn("prime256v1", text)
        self.assertIn("CA:FALSE", text)
        for key in ["ca.key", "server.key"]:
            self.assertEqual(stat.S_IMODE(os.stat(self.dir / key).st_mode), 0o600)

        def lasts(pem, days):
            command = ["openssl", "x509", "-in", self.dir / pem, "-noout", "-checkend", str(days * 86400)]
            return subprocess.run(command, capture_output=True).returncode == 0
        self.assertTrue(lasts("server.pem", 396))
        self.assertFalse(lasts("server.pem", 398))
        self.assertTrue(lasts("ca.pem", 3649))

    def test_second_run_changes_nothing(self):
        self.make("192.0.2.7", "2001:db8::7", "call.example.org")
        before = self.contents()
        self.assertIn("in order", self.make("192.0.2.7", "2001:DB8:0::7", "Call.Example.org"))
        self.assertIn("in order", self.make())
        self.assertEqual(self.contents(), before)

    def test_missing_address_renews_the_leaf_alone(self):
        self.make("192.0.2.7")
        ca = (self.dir / "ca.pem").read_bytes()
        self.assertIn("192.0.2.8 was missing", self.make("192.0.2.8"))
        self.assertEqual((self.dir / "ca.pem").read_bytes(), ca)
        self.assertIn("IP Address:192.0.2.7", self.sans())
        self.assertIn("IP Address:192.0.2.8", self.sans())

    def test_about_to_run_out(self):
        self.make()
        key = self.dir / "server.key"
        openssl("req", "-x509", "-key", key, "-CA", self.dir / "ca.pem", "-CAkey", self.dir / "ca.key", "-days", "29",
                "-subj", "/CN=old", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1",
                "-out", self.dir / "server.pem")
        self.assertIn("runs out within 30 days", self.make())
        self.assertIn("in order", self.make())

    def test_damage_is_mended_or_named(self):
        self.make()
        (self.dir / "server.pem").write_bytes(b"not a certificate")
        self.assertIn("did not belong together", self.make())
        (self.dir / "server.key").unlink()
        self.assertIn("there was none", self.make())
        before = self.contents()
        (self.dir / "ca.key").rename(self.dir / "away")
        self.assertIn("its key ca.key is not", self.make(status=1))
        self.assertEqual((self.dir / "ca.pem").read_bytes(), before["ca.pem"])
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.dir / "ca.key")
        self.assertIn("do not belong together", self.make(status=1))
        (self.dir / "ca.key").unlink()
        (self.dir / "ca.pem").unlink()
        self.assertIn("this CA did not sign it", self.make())
        self.assertIn("in order", self.make())

    def test_hostile_names(self):
        for name in ["a b", "a\nb", "a,DNS:evil", "-x", "", "::1::2", "1:2:3", "300.1.1.1", "1.2.3", "g::1", "x" * 64,
                     "$(id)", "$ENV::HOME"]:
            self.assertIn("neither a host name nor an IP address", self.make(name, status=1))
        self.assertFalse((self.dir / "server.pem").exists())

    def test_usage(self):
        done = subprocess.run([SCRIPT], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("usage: make-dev-certs DIR", done.stderr)


if __name__ == "__main__":
    unittest.main()
