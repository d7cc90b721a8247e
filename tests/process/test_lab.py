#!/usr/bin/python3
"""viaduct lab: every kind of NAT is what it is called, a NAT that is not is found out, and nothing is left behind.

Each test has a laboratory of its own name, so that several test runs do not meet."""

import concurrent.futures
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

SOURCE = pathlib.Path(os.environ.get("VIADUCT_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BIN = pathlib.Path(os.environ.get("VIADUCT_BIN", SOURCE / "build" / "bin"))
NAMESPACES, FILES = pathlib.Path("/run/netns"), pathlib.Path("/run/viaduct-lab")
PATIENCE_S = 90

# What RFC 5780 has to find, in the words of RFC 4787.
KINDS = {
    "none": "mapping none, filtering endpoint-independent",
    "full-cone": "mapping endpoint-independent, filtering endpoint-independent, hairpinning no",
    "address-restricted": "mapping endpoint-independent, filtering address-dependent, hairpinning no",
    "port-restricted": "mapping endpoint-independent, filtering address-and-port-dependent, hairpinning no",
    "symmetric": "mapping address-and-port-dependent, filtering address-and-port-dependent, hairpinning no",
    "full-cone+carrier": "mapping endpoint-independent, filtering address-and-port-dependent, hairpinning no",
    "address-restricted+hairpin": "mapping endpoint-independent, filtering address-dependent, hairpinning yes",
    "port-restricted+no-udp": "UDP does not pass",
}
OTHERS = {
    "none+v6": "mapping none, filtering endpoint-independent",
    "port-restricted+v6": "mapping none, filtering address-and-port-dependent",
    "symmetric+dual": KINDS["symmetric"],
    "symmetric+carrier": KINDS["symmetric"],
    "full-cone+only-443": "UDP does not pass",
}

# Twice a Binding request from one socket, with a silence between them, and whether the port outside stayed.
SAME_PORT = """
import os, socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
def mapped():
    txid = os.urandom(12)
    s.sendto(struct.pack(">HHI", 1, 0, 0x2112A442) + txid, ("198.18.0.10", 3479))
    data = s.recv(2048)
    at = data.index(struct.pack(">HH", 0x0020, 8)) + 6
    return struct.unpack(">H", data[at:at + 2])[0] ^ 0x2112
first = mapped()
time.sleep(float(sys.argv[1]))
print("same" if mapped() == first else "another")
"""

# How many datagrams arrive; whole batches of them, so that the socket has to have room.
COUNT = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 4 << 20) # SO_RCVBUFFORCE
s.bind(("198.18.0.11", 9))
print("listens", flush=True)
n = 0
while s.recv(9) != b"end":
    n += 1
print(n)
"""
SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for word in [b"x"] * int(sys.argv[1]) + [b"end"] * 99:
    s.sendto(word, ("198.18.0.11", 9))
"""


def lab(name, *words, **more):
    return subprocess.run(
        [BIN / "viaduct", "lab", "--name", name, *words], capture_output=True, text=True, timeout=PATIENCE_S, **more
    )


class Lab(unittest.TestCase):
    def setUp(self):
        self.name = f"t{os.getpid()}"
        self.addCleanup(self.gone)

    def gone(self):
        done = lab(self.name, "down")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(list(NAMESPACES.glob(f"vlab-{self.name}-*")), [])
        self.assertFalse((FILES / self.name).exists())

    def up(self, *sites):
        done = lab(self.name, "up", *sites)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def run_in(self, where, *words, **more):
        return lab(self.name, "exec", where, *words, **more)

    def assert_found(self, want):
        done = lab(self.name, "check")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        lines = [line.split(maxsplit=5) for line in done.stdout.splitlines()]
        self.assertEqual({line[4]: line[5] for line in lines}, want, done.stdout)

    def refused(self, status, pattern, *words, **more):
        done = lab(self.name, *words, **more)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertRegex(done.stderr, pattern)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_every_kind_is_what_it_is_called(self):
        self.up(*KINDS)
        self.assert_found(KINDS)

    def test_what_stands_behind_a_plus(self):
        self.up(*OTHERS)
        self.assert_found(OTHERS)

    def test_a_nat_that_is_not_what_it_is_called_is_found_out(self):
        self.up("port-restricted", "full-cone")
        self.assertEqual(self.run_in("b-nat", "nft", "delete", "rule", "ip", "lab", "inward", "handle", self.handle()).returncode, 0)
        done = lab(self.name, "check")
        self.assertEqual(done.returncode, 1)
        self.assertIn("a  as it is", done.stdout)
        self.assertRegex(done.stdout, "b  WRONG .* filtering address-and-port-dependent.*it should be: .*endpoint-independent")

    def handle(self):
        listed = self.run_in("b-nat", "nft", "-a", "list", "chain", "ip", "lab", "inward").stdout
        return next(line.rsplit(maxsplit=1)[1] for line in listed.splitlines() if "dnat" in line)

    def test_an_idle_mapping_lives_as_long_as_it_is_told(self):
        self.up("symmetric+lifetime=1", "symmetric+lifetime=60")
        for where, want in (("a", "another"), ("b", "same")):
            done = self.run_in(where, "/usr/bin/python3", "-c", SAME_PORT, "1.5")
            self.assertEqual(done.stdout.strip(), want, done.stderr)

    def test_only_443_lets_the_page_through(self):
        self.up("full-cone+only-443")
        dial = "import socket,sys; socket.create_connection(('198.18.0.10', int(sys.argv[1])), 2)"
        serve = "import socket; s = socket.create_server(('198.18.0.10', 443)); print('listens', flush=True); s.accept()"
        command = [BIN / "viaduct", "lab", "--name", self.name, "exec", "net", "/usr/bin/python3", "-c", serve]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            self.assertEqual(server.stdout.readline(), "listens\n")
            self.assertEqual(self.run_in("a", "/usr/bin/python3", "-c", dial, "443").returncode, 0)
        self.assertIn("TimeoutError", self.run_in("a", "/usr/bin/python3", "-c", dial, "8443").stderr)

    def test_loss_is_what_it_is_told(self):
        self.up("none+loss=20")
        sent = 1000
        command = [BIN / "viaduct", "lab", "--name", self.name, "exec", "net", "/usr/bin/python3", "-c", COUNT]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:
            self.assertEqual(receiver.stdout.readline(), "listens\n")
            self.assertEqual(self.run_in("a", "/usr/bin/python3", "-c", SEND, str(sent)).returncode, 0)
            arrived = int(receiver.stdout.readline())
        # 800 are expected with a deviation of 13: seven of them to either side.
        self.assertTrue(700 < arrived < 900, arrived)

    def test_exec_is_the_program(self):
        self.up("none")
        self.assertEqual(self.run_in("a", "sh", "-c", "exit 7").returncode, 7)
        self.assertIn("198.19.1.2/24", self.run_in("a", "ip", "addr").stdout)
        shell = lab(self.name, "shell", "net", input="ip addr; exit 3", env={**os.environ, "SHELL": "/bin/sh"})
        self.assertEqual(shell.returncode, 3)
        self.assertIn("198.18.0.11/16", shell.stdout)
        self.assertEqual(
            [line for line in lab(self.name, "list").stdout.splitlines() if line.startswith(f"{self.name}-")],
            [f"{self.name}-{part}" for part in ("a", "a-nat", "net")],
        )
        self.refused(1, "cannot enter .*-z: No such file", "exec", "z", "true")
        self.refused(1, "cannot start no-such-program", "exec", "a", "no-such-program")

    def test_a_second_one_of_that_name_is_refused_and_the_first_lives(self):
        self.up("none")
        self.refused(1, "stands already; 'viaduct lab down' removes it", "up", "symmetric")
        self.assert_found({"none": KINDS["none"]})

    def test_what_a_kill_leaves_is_removed(self):
        command = [BIN / "viaduct", "lab", "--name", self.name, "up", *KINDS]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as p:
            deadline = time.monotonic() + PATIENCE_S
            while not (NAMESPACES / f"vlab-{self.name}-h-nat").exists():
                self.assertIsNone(p.poll())
                self.assertLess(time.monotonic(), deadline)
            p.send_signal(signal.SIGKILL)
        self.assertNotEqual(list(NAMESPACES.glob(f"vlab-{self.name}-*")), [])
        # self.gone() is the test.

    def test_the_servers_end_with_it(self):
        self.up("none")
        inside = subprocess.run(["ip", "netns", "pids", f"vlab-{self.name}-net"], capture_output=True, text=True, check=True)
        pids = [int(pid) for pid in inside.stdout.split()]
        self.assertGreaterEqual(len(pids), 4)  # the supervisor, signald, stund, turnd
        self.assertEqual(lab(self.name, "down").returncode, 0)
        self.assertEqual([pid for pid in pids if pathlib.Path(f"/proc/{pid}/exe").exists()], [])

    def test_the_native_peer_says_what_a_nat_means_for_calls(self):
        self.up("symmetric", "address-restricted", "none+no-udp", "port-restricted+v6")
        server, by_ipv6 = "stun:198.18.0.10:3479", "stun:[2001:2::10]:3479"
        rows = (
            ("a", server, 0, "address-and-port-dependent", "address-and-port-dependent", "only with a peer that lets any port in"),
            ("b", server, 0, "endpoint-independent", "address-dependent", "hole punching with every kind of NAT"),
            ("c", server, 1, "unknown", "unknown", "need a relay over TCP or TLS"),
            ("d", by_ipv6, 0, "none", "address-and-port-dependent", "No NAT, but a firewall"),
            ("net", "stun:198.18.0.10:3478", 0, "none", "unknown", "No NAT"),
        )
        # Side by side: each waits for what does not come.
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answers = list(pool.map(lambda row: self.run_in(row[0], BIN / "viaduct-peer", "nat", "--json", row[1]), rows))
        for (where, _, status, mapping, filtering, meaning), done in zip(rows, answers):
            with self.subTest(where):
                told = json.loads(done.stdout)
                self.assertEqual((done.returncode, done.stderr), (status, ""))
                self.assertEqual((told["mapping"], told["filtering"]), (mapping, filtering))
                self.assertIn(meaning, told["meaning"])
                self.assertEqual(told["answers"], status == 0)
        text = self.run_in("a", BIN / "viaduct-peer", "nat", server).stdout
        self.assertRegex(text, r"here +192\.168\.1\.2:\d+\nseen as +198\.18\.1\.1:\d+\nmapping +address-and-port-dependent")
        self.assertIn("there is no route to 2001:2::10", self.run_in("a", BIN / "viaduct-peer", "nat", by_ipv6).stderr)

    def test_wrong_words_to_the_native_peer(self):
        for words, status, pattern in (
            ((), 2, "a command is missing"),
            (("nta",), 2, "there is no command 'nta'; 'viaduct-peer --help' lists them"),
            (("nat",), 2, "name one server: viaduct-peer nat stun:"),
            (("nat", "-4", "-6", "stun:127.0.0.1"), 2, "exclude each other"),
            (("nat", "--jason", "stun:127.0.0.1"), 2, "did you mean '--json'"),
            (("nat", "stun://127.0.0.1"), 2, "is no STUN URI: one has no // behind its scheme"),
            (("nat", "turn:127.0.0.1?transport=tcp"), 2, "measured over UDP"),
            (("nat", "-6", "stun:127.0.0.1"), 1, "no IPv6 address of 127.0.0.1 is known"),
        ):
            done = subprocess.run([BIN / "viaduct-peer", *words], capture_output=True, text=True, timeout=PATIENCE_S)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertRegex(done.stderr, pattern)

    def test_wrong_words(self):
        self.refused(2, "say what to do: up SITE", *())
        self.refused(2, "say what to do: up SITE", "upp")
        self.refused(2, "name the sites: viaduct lab up port-restricted symmetric", "up")
        self.refused(2, "'cone' is no kind of NAT; there are none, full-cone,", "up", "none", "cone")
        self.refused(2, "'los=3' is nothing that a site can have; there are carrier,", "up", "none+los=3")
        self.refused(2, "'loss=101' must be a percentage from 0 to 100", "up", "none+loss=101")
        self.refused(2, "'lifetime=0' must be from 1 to 86400 seconds", "up", "full-cone+lifetime=0")
        self.refused(2, "needs a NAT of the site's own and IPv4", "up", "none+carrier")
        self.refused(2, "needs a NAT that maps independently of the endpoint", "up", "symmetric+hairpin")
        self.refused(2, "at most 8 sites", "up", *["none"] * 9)
        self.refused(2, "at most 128 characters", "up", "none" + "+dual" * 30)
        self.refused(2, "name the place and the program", "exec", "a")
        self.refused(2, "that is no place", "exec", "a" * 99, "true")
        self.refused(2, "down takes no further word", "down", "a")
        self.refused(1, "there is no laboratory .*; 'viaduct lab up SITE...' makes one", "check")
        self.assertRegex(lab("a-b", "list").stderr, "name is 1 to 16 letters and digits")

    def test_without_root_it_says_what_is_missing(self):
        with tempfile.TemporaryDirectory(prefix="viaduct-lab-") as folder:
            folder = pathlib.Path(folder)
            folder.chmod(0o755)
            program = folder / "viaduct"
            program.write_bytes((BIN / "viaduct").read_bytes())
            program.chmod(0o755)
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, "lab", "up", "none"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, cwd="/")
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, "making network namespaces needs root; start it with sudo")
            empty = {**os.environ, "PATH": str(folder)}
            self.refused(1, "the program ip is missing; install the package iproute2", "up", "none", env=empty)
            for path in ("/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"):
                if os.path.exists(path):
                    (folder / "ip").symlink_to(path)
                    break
            self.refused(1, "the program nft is missing; install the package nftables", "up", "none", env=empty)


if __name__ == "__main__":
    unittest.main()
