#!/usr/bin/python3
"""What the guides of other projects tell people to write for coturn, as docs/coturn.md has it: turnd starts with it and relays."""

import pathlib
import re
import shlex
import shutil
import ssl
import subprocess
import tempfile
import unittest

import turn_client
from test_turnd import PATIENCE_S, SOURCE, TURND, Turnd
from turn_client import TurnClient, TurnError

GUIDE = SOURCE / "docs" / "coturn.md"
PUBLIC = "203.0.113.10"
SECRET = "8f1d0c2b9e47a6535d1e0f7c64ab92830000000000000000000000000000cafe"
# A loopback address to listen and relay at, in place of all addresses and of the one that the internet is reached from.
HERE = ("-L", "127.0.0.1", "-E", "127.0.0.1", "--tls-listening-port=0")
# Not 127.0.0.1, which is the relay's own here.
DENIED = ("10.1.2.3", "192.168.1.1", "172.16.0.1", "127.0.0.2", "169.254.169.254", "224.0.0.1", "100.64.0.1")


def block(title):
    """The fenced block of a guide."""
    found = re.search(rf"^### {title}\n.*?^```\w+\n(.*?)^```\n", GUIDE.read_text(), re.M | re.S)
    assert found, f"{GUIDE} has no block under {title}"
    return found.group(1).replace("SECRET", SECRET)


class Guides(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="viaduct-guides-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        subprocess.run([SOURCE / "certs" / "make-dev-certs", cls.folder], check=True, capture_output=True, timeout=60)

    def start(self, *args):
        turnd = Turnd(*args, *HERE)
        self.addCleanup(lambda: self.assertEqual(turnd.stop(), 0))
        return turnd

    def from_file(self, title, *args):
        path = self.folder / "turnserver.conf"
        path.write_text(block(title).replace("/path/to/fullchain.pem", str(self.folder / "server.pem")))
        return self.start("-c", path, *args)

    def with_certificate(self, title):
        """The paths are those of other people's machines: the command line names others, and comes last."""
        return self.from_file(title, f"--cert={self.folder}/server.pem", f"--pkey={self.folder}/server.key")

    def check_relay(self, turnd, transport, credentials, told=PUBLIC):
        """Allocates, and is let through to a public peer alone."""
        port = turnd.listening[transport, "127.0.0.1"]
        with TurnClient(("127.0.0.1", port), "tcp" if transport == "tls" else transport, *credentials, timeout=PATIENCE_S) as c:
            if transport == "tls":
                context = ssl.create_default_context(cafile=self.folder / "ca.pem")
                c.socket = context.wrap_socket(c.socket, server_hostname="localhost")
            c.allocate()
            self.assertEqual(c.relayed[0], told)
            c.create_permission("192.0.1.1")  # public, and nobody is sent anything
            for peer in DENIED:
                with self.subTest(peer), self.assertRaises(TurnError) as caught:
                    c.create_permission(peer)
                self.assertEqual(caught.exception.code, 403)
            return c.relayed[1]

    def test_synapse(self):
        turnd = self.with_certificate("Synapse")
        for transport in ("udp", "tcp", "tls"):
            self.check_relay(turnd, transport, turn_client.rest_credentials(SECRET, "@ada:example.org"))
        self.assertIn("dtls", {kind for kind, _ in turnd.listening})

    def test_jitsi(self):
        turnd = self.with_certificate("Jitsi")
        self.assertNotIn("tcp", {kind for kind, _ in turnd.listening})
        for transport in ("udp", "tls"):
            self.check_relay(turnd, transport, turn_client.rest_credentials(SECRET))

    def test_nextcloud_talk(self):
        turnd = self.from_file("Nextcloud Talk")
        for transport in ("udp", "tcp"):
            self.check_relay(turnd, transport, turn_client.rest_credentials(SECRET, "nextcloud"), told="127.0.0.1")

    def test_the_container(self):
        program, *args = shlex.split(block("The coturn container").replace("\\\n", ""))
        self.assertEqual(program, TURND.name)
        port = self.check_relay(self.start(*args), "udp", ("bob", SECRET))
        self.assertTrue(49160 <= port <= 49200)

    def test_check_config_finds_no_error_in_them(self):
        for title in ("Synapse", "Jitsi", "Nextcloud Talk"):
            with self.subTest(title):
                text = block(title)
                for key, file in (("cert", "server.pem"), ("pkey", "server.key")):
                    text = re.sub(rf"^{key}=.*$", f"{key}={self.folder}/{file}", text, flags=re.M)
                # That address is no address of this machine, and external-ip alone needs one of its family: loopback.
                text += "listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\n"
                path = self.folder / "checked.conf"
                path.write_text(text)
                command = [TURND.parent / "viaduct", "check-config", path]
                done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertIn("\n0 errors, ", done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
