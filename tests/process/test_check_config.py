#!/usr/bin/python3
"""viaduct check-config: explains files, finds what is wrong and what is dangerous; and knows every option of coturn."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("VIADUCT_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BIN = pathlib.Path(os.environ.get("VIADUCT_BIN", SOURCE / "build" / "bin"))
SOUND = """
listening-ip=127.0.0.1
relay-ip=127.0.0.1
external-ip=8.8.8.8
realm=example.org
use-auth-secret
static-auth-secret=6d3f0c5be58ad4f9b6e7f2b1
user-quota=12
total-quota=100
no-tls
no-dtls
"""


class CheckConfig(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="viaduct-check-")
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name) / "turnserver.conf"

    def check(self, text, *options, mode=0o600):
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.path.chmod(mode)
        done = subprocess.run(
            [BIN / "viaduct", "check-config", *options, self.path], capture_output=True, text=True, timeout=60
        )
        self.assertEqual(done.stderr, "")
        # One line each again: they are wrapped for reading.
        self.findings = re.findall(
            r"^(error|danger|note) +(.*(?:\n {8}.*)*)", done.stdout, re.MULTILINE
        )
        self.findings = [(kind, re.sub(r"\s+", " ", words)) for kind, words in self.findings]
        counts = re.search(r"^(\d+) errors?, (\d+) dangers?, (\d+) notes?$", done.stdout, re.MULTILINE)
        self.assertIsNotNone(counts, done.stdout)
        for kind, count in zip(("error", "danger", "note"), counts.groups()):
            self.assertEqual(int(count), len([1 for k, _ in self.findings if k == kind]), done.stdout)
        self.assertEqual(done.returncode, 1 if int(counts[1]) else 0, done.stdout)
        return done.stdout

    def assertFinds(self, kind, words, text, **how):
        self.check(text, **how)
        self.assertTrue(
            any(k == kind and words in w for k, w in self.findings), f"no {kind} with '{words}' in {self.findings}"
        )

    def test_a_sound_file_has_nothing_to_find(self):
        output = self.check(SOUND)
        self.assertEqual(self.findings, [])
        self.assertIn("   7  static-auth-secret=(a secret)\n", output)
        self.assertNotIn("6d3f0c5b", output)

    def test_bandwidth(self):
        self.assertFinds("danger", "set max-bps", SOUND + "bps-capacity=1000\n")
        self.assertFinds("note", "so 4 allocations at most", SOUND + "bps-capacity=1000\nmax-bps=300\n")

    def test_every_line_is_told(self):
        output = self.check("# c\nfingerprint\n\nno-cli\ncli-password=qwertz\nmin-port 50000\n" + SOUND)
        self.assertIn("   2  fingerprint\n      A FINGERPRINT in every response.", output)
        self.assertIn("   4  no-cli\n      No effect here: ", output)
        self.assertIn("   6  min-port=50000\n", output)
        self.assertNotIn("qwertz", output)

    def test_wrong_lines_are_all_told(self):
        self.check("min-prot=5\nrealm=\"x\nuser=bob\nmax-port=99999\ndenied-peer-ip=10.0.0.300\n" + SOUND)
        errors = [words for kind, words in self.findings if kind == "error"]
        self.assertEqual(len(errors), 5, errors)
        for number, words in enumerate(("did you mean 'min-port'", "quote", "NAME:PASSWORD", "0 to 65535", "like 10.0.0.0/8")):
            self.assertTrue(errors[number].startswith(f"line {number + 1}: "), errors)
        self.assertIn("did you mean 'min-port'", errors[0])
        self.assertIn("NAME:PASSWORD", errors[2])

    def test_more_wrong_lines_than_are_shown(self):
        self.check("nonsense\n" * 40)
        self.assertEqual(len(self.findings), 17)
        self.assertEqual(self.findings[-1], ("error", "and 24 lines more are wrong"))

    def test_what_lines_do_together(self):
        self.assertFinds("error", "min-port 6000 is above max-port 5000", SOUND + "min-port=6000\nmax-port=5000\n")
        self.assertFinds("error", "nobody is asked for a password", "realm=example.org\n")

    def test_a_line_that_stands_twice(self):
        self.assertFinds("note", "line 13: realm stands in line 5 already; the last one counts", SOUND + "\nrealm=b\n")

    def test_an_open_relay(self):
        self.assertFinds("danger", "line 1: an open relay", "no-auth\n")

    def test_secrets_that_anybody_knows(self):
        for secret, words in (("north", "stands in guides"), ("ChangeMe", "stands in guides"), ("k3jd9f", "6 characters")):
            text = SOUND.replace("6d3f0c5be58ad4f9b6e7f2b1", secret)
            self.assertFinds("danger", "line 7: ", text)
            self.assertFinds("danger", words, text)
            self.assertNotIn(secret + " ", str(self.findings))

    def test_passwords_that_anybody_knows(self):
        self.assertFinds("danger", "the password of 'ann'", SOUND + "lt-cred-mech\nuser=ann:ann\n")
        self.assertFinds("danger", "has only 4 characters", SOUND + "user=ann:9f3k\n")
        self.check(SOUND + "user=ann:0xbc807ee29df3c9ffa736523fb2c4e8ee\n")
        self.assertFalse([w for k, w in self.findings if k == "danger"])

    def test_a_private_relay_address(self):
        self.assertFinds("danger", "127.0.0.1 (loopback)", SOUND.replace("external-ip=8.8.8.8\n", ""))
        self.assertFinds("danger", "10.1.2.3 (private use)", SOUND.replace("8.8.8.8", "10.1.2.3"))

    def test_an_address_of_another_machine(self):
        self.assertFinds("danger", "192.0.2.77 is no address of this machine", SOUND + "listening-ip=192.0.2.77\n")

    def test_too_few_ports(self):
        self.assertFinds("danger", "101 ports for them", SOUND.replace("quota=100", "quota=102") + "min-port=50000\nmax-port=50100\n")
        self.check(SOUND.replace("quota=100", "quota=101") + "min-port=50000\nmax-port=50100\n")
        self.assertEqual(self.findings, [])

    def test_opened_networks(self):
        for opened, name in (("10.0.0.0/8", "private use"), ("9.0.0.0-11.0.0.0", "private use"), ("fc00::1", "unique local"), ("0.0.0.0/0", "this network")):
            self.assertFinds("danger", f"may reach {opened} ({name})", SOUND + f"allowed-peer-ip={opened}\n")
        self.assertFinds("danger", "loopback", SOUND + "allow-loopback-peers\n")
        self.check(SOUND + "allowed-peer-ip=9.9.9.9\n")
        self.assertEqual(self.findings, [])

    def test_virtual_relay_addresses(self):
        """Which need not be this machine's, nor public."""
        virtual = SOUND.replace("relay-ip=127.0.0.1", "relay-ip=10.0.0.5").replace("external-ip=8.8.8.8\n", "")
        virtual += "relay-mode=virtual\n"
        self.assertFinds("note", "ports 49152 to 65535 are names inside of it", virtual)
        self.assertEqual(len(self.findings), 1)
        self.assertFinds("note", "so this opens nothing", virtual + "allowed-peer-ip=10.0.0.0/8\n")
        self.assertFinds("error", "leave one out", virtual + "no-udp-relay\n")
        self.assertFinds("error", "must be socket or virtual", virtual.replace("virtual\n", "none\n"))

    def test_xdp(self):
        self.assertFinds("note", "IPsec policies of this machine", SOUND + "xdp=auto\n")
        self.assertEqual(len(self.findings), 1)
        self.assertFinds("note", "there is no interface nowhere0 here", SOUND + "xdp=nowhere0,nowhere1\n")
        self.assertEqual(len(self.findings), 3)
        self.assertFinds("error", "must be off, auto, or names of interfaces", SOUND + "xdp=../eth0\n")

    def test_files_that_others_read(self):
        self.assertFinds("danger", "chmod 640", SOUND, mode=0o644)

    def certificate(self, days):
        """Valid from two days ago for `days` days."""
        cert, key = (pathlib.Path(self.folder.name) / name for name in ("cert.pem", "key.pem"))
        config = pathlib.Path(self.folder.name) / "ca.cnf"
        folder = pathlib.Path(self.folder.name)
        config.write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndir={folder}\ndatabase={folder}/index\nserial={folder}/serial\n"
            f"new_certs_dir={folder}\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n"
        )
        (folder / "index").write_text("")
        (folder / "serial").write_text("01\n")
        openssl = lambda *args: subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=60)
        openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-subj", "/CN=t", "-out", folder / "req")
        date = lambda offset: subprocess.run(
            ["date", "-u", "-d", f"{offset} days", "+%Y%m%d%H%M%SZ"], check=True, capture_output=True, text=True
        ).stdout.strip()
        openssl("ca", "-batch", "-selfsign", "-config", config, "-keyfile", key, "-in", folder / "req", "-out", cert,
                "-startdate", date(-2), "-enddate", date(days), "-notext")  # fmt: skip
        key.chmod(0o600)
        return SOUND.replace("no-tls\nno-dtls\n", f"cert={cert}\npkey={key}\n")

    def test_certificates(self):
        self.check(self.certificate(60))
        self.assertEqual(self.findings, [])
        self.assertFinds("danger", "runs out in", self.certificate(5))
        self.assertFinds("error", "the certificate ran out on", self.certificate(-1))
        text = self.certificate(60)
        (pathlib.Path(self.folder.name) / "key.pem").chmod(0o644)
        self.assertFinds("danger", "private key", text)

    def test_the_other_servers(self):
        self.assertIn("listening-port=3478", self.check("listening-port=3478\n", "--server", "stund"))
        self.check("turn-uri=turn:example.org\n", "--server", "signald")
        self.assertIn("turn-secret", self.findings[0][1])

    def test_usage(self):
        for args, words in (
            ([], "name the file"),
            (["--server", "coturn", "f"], "turnd, stund or signald"),
            (["/does/not/exist"], "/does/not/exist"),
        ):
            done = subprocess.run([BIN / "viaduct", "check-config", *args], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 2)
            self.assertIn(words, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_nothing_in_a_file_moves_the_cursor(self):
        output = self.check(b"realm=a\x1b[2Jb\n" + SOUND.encode())
        self.assertNotIn("\x1b", output)


class CoturnOptions(unittest.TestCase):
    """Debian's coturn is installed for its clients; its server tells which options there are."""

    def known(self):
        help_text = subprocess.run([BIN / "viaduct-turnd", "--help"], capture_output=True, text=True, check=True).stdout
        letters = dict(re.findall(r"^  -(\w), --([\w-]+)", help_text, re.MULTILINE))
        return set(re.findall(r"^ .{5}--([\w-]+)", help_text, re.MULTILINE)), letters

    def test_every_long_and_short_option(self):
        names, letters = self.known()
        done = subprocess.run(["turnserver", "--help"], capture_output=True, text=True, timeout=60)
        rows = re.findall(r"^ ?(?:-(\w)[, ]*)?((?:[, ]*--[\w-]+)+)", done.stdout + done.stderr, re.MULTILINE)
        theirs = [(letter, re.findall(r"--([\w-]+)", row)) for letter, row in rows]
        self.assertGreater(len(theirs), 90)
        for letter, long in theirs:
            for name in long:
                self.assertIn(name, names)
            if letter:
                self.assertIn(letters.get(letter), long, f"-{letter}")
        self.assertEqual(letters["n"], "no-config")
        self.assertEqual(letters["c"], "config")

    def test_every_line_of_coturns_example(self):
        """Each option of Debian's /etc/turnserver.conf, uncommented: none is unknown."""
        names, _ = self.known()
        example = pathlib.Path("/etc/turnserver.conf").read_text()
        theirs = set(re.findall(r"^#([a-zA-Z][\w-]*)(?:[= ]\S|$)", example, re.MULTILINE)) - {"OR", "Local"}
        self.assertGreater(len(theirs), 90)
        self.assertEqual(theirs - names, set())


if __name__ == "__main__":
    unittest.main()
