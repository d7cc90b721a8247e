#!/usr/bin/python3
"""viaduct-load's floods beside a call: at turnd and coturn, at servers that let something through, and over a veth. In a network of its
own: what is spoofed here leaves it by no way."""

import json
import struct
import subprocess
import threading
import unittest

from test_load import LOAD, Certificates, Coturn, Faulty, run
from test_turnd import PASSWORD, USER, Turnd, TurndCase
from stage import ip, unshare

KINDS = ("channels", "strangers", "peers", "bindings")
HERE, THERE = "198.18.0.1", "198.18.0.2"  # of this veth
SETUP = f"""
link set lo up
link add v0 type veth peer name v1
addr add {HERE}/24 dev v0
link set v0 up
"""
OTHER_END = f"""
link set lo up
addr add {THERE}/24 dev v1
addr add 198.18.0.3/24 dev v1
link set v1 up
route add local 198.19.0.0/16 dev lo
"""


def setUpModule():
    global other_end, files
    unshare()
    ip(SETUP)
    # A process that does nothing but own the other end.
    other_end = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 600 >/dev/null"], stdout=subprocess.PIPE)
    unittest.addModuleCleanup(stop_other_end)
    other_end.stdout.readline()
    ip(f"link set v1 netns {other_end.pid}")
    ip(OTHER_END, other_end.pid)
    ip(f"route add 198.19.0.0/16 via {THERE}")
    files = Certificates()
    unittest.addModuleCleanup(files.folder.cleanup)


def stop_other_end():
    other_end.kill()
    other_end.wait()
    other_end.stdout.close()


def unless_busy(attempt):
    """What `attempt` gives, (code, out, err), once the generator was fast enough: where others take its core it says that it was not."""
    for _ in range(8):
        code, out, err = attempt()
        if code != 1 or err or json.loads(out)["wrong"] != "generator-limit":
            break
    return code, out, err


class Beside:
    """A call and a flood at one server; `place(transport)`, `pid`."""

    def flood(self, kind, *args, transport="udp"):
        credentials = ("-u", USER, "-w", PASSWORD, "--pid", self.pid)
        more = ("--flood", kind, "--flood-rate", 2000, "-n", 4, "-d", "call", "-r", 400, "-t", 1, "-j")
        code, out, err = unless_busy(lambda: run("relay", "-T", transport, "-s", self.place(transport), *credentials, *more, *args))
        self.assertEqual((code, err), (0, ""), out)
        return json.loads(out)

    def check(self, result, kind):
        flood = result["flood"]
        self.assertEqual((flood["kind"], flood["rate"], flood["leaked"]), (kind, 2000, 0))
        self.assertGreater(flood["sent"], 1500)
        for call in (result, flood["alone"]):
            self.assertGreater(call["sent"], 300)
            self.assertEqual(call["received"], call["sent"])
            self.assertGreater(call["latency_ns"]["p50"], 0)
        self.assertGreater(flood["alone"]["server_ns"], 0)
        self.assertEqual(flood["answered"], flood["sent"] if kind == "bindings" else 0)

    def test_each_kind(self):
        for kind in KINDS:
            with self.subTest(kind=kind):
                self.check(self.flood(kind), kind)

    def test_channels_over_tcp(self):
        self.check(self.flood("channels", transport="tcp"), "channels")


class BesideTurnd(Beside, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.turnd = Turnd("-L", "127.0.0.1", "-E", "127.0.0.1", *TurndCase.ARGS)
        cls.pid = cls.turnd.process.pid

    @classmethod
    def tearDownClass(cls):
        assert cls.turnd.stop() == 0, "\n".join(cls.turnd.lines)

    def place(self, transport):
        return f"127.0.0.1:{self.turnd.listening[transport, '127.0.0.1']}"

    def test_the_flood_reaches_it(self):
        """What the server says of it: as much as was sent, dropped for the reason that was meant."""
        for kind, reason in (("channels", "no-channel"), ("strangers", "no-allocation"), ("peers", "no-permission")):
            with self.subTest(kind=kind):
                name = f'viaduct_turn_dropped_total{{reason="{reason}"}}'
                before = self.turnd.metric(name)
                sent = self.flood(kind)["flood"]["sent"]
                self.turnd.wait_metric(name, before + sent)

    def test_without_the_privilege(self):
        command = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", LOAD, "relay", "-s", self.place("udp"), "--flood", "bindings"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 3)
        self.assertIn("CAP_NET_RAW", done.stderr)


class BesideCoturn(Beside, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.coturn = Coturn(files)
        cls.addClassCleanup(cls.coturn.stop)
        cls.pid, cls.place = cls.coturn.pid, cls.coturn.place


class Open(Faulty):
    """Whatever comes to its relayed address goes to the client."""

    def __init__(self):
        self.client = None
        super().__init__(lambda server, payload: [])
        self.opener = threading.Thread(target=self.let_in, daemon=True)
        self.opener.start()

    def answer(self, answer, client):
        self.client = client
        super().answer(answer, client)

    def let_in(self):
        while True:
            data, _ = self.back.recvfrom(2048)
            if not data:
                return
            self.front.sendto(struct.pack("!HH", 0x4000, len(data)) + data, self.client)

    def close(self):
        self.front.sendto(b"", self.back.getsockname())
        self.opener.join()
        super().close()


class LeftOpen(unittest.TestCase):
    def flood(self, server, *args):
        self.addCleanup(server.close)
        code, out, err = run("relay", "-s", "%s:%d" % server.place, "-n", 1, "-r", 200, "-t", 1, "-j", *args)
        self.assertEqual((code, err), (1, ""))
        return json.loads(out)

    def test_channels(self):
        # The server has one peer, that of its first client: the flood's.
        result = self.flood(Faulty(lambda server, payload: [payload]), "--flood", "channels")
        self.assertEqual(result["wrong"], "leaked")
        self.assertGreater(result["flood"]["leaked"], 0)

    def test_strangers(self):
        result = self.flood(Faulty(lambda server, payload: [payload]), "--flood", "strangers")
        self.assertEqual(result["wrong"], "misrouted")

    def test_peers(self):
        result = self.flood(Open(), "-d", "down", "--flood", "peers")
        self.assertEqual(result["wrong"], "misrouted")


class Refused(unittest.TestCase):
    def test_wrong_words(self):
        there = ("-s", "192.0.2.1:3478", "--local", "127.0.0.1", "--peer", "127.0.0.1")
        for args, status, words in (
            (["relay", "--flood", "everything"], 2, "channels, strangers, peers or bindings"),
            (["relay", "--flood", "peers", "--find-rate"], 2, "--find-rate"),
            (["relay", "--flood", "peers", "-t", "121"], 2, "at most 120"),
            (["relay", "--flood", "peers", "--flood-from", "127.0.0.1"], 2, "must not be"),
            (["relay", "--flood", "peers", "--peer", HERE], 2, "--flood-from"),
            (["binding", "--flood", "peers"], 2, "beside a relay"),
            # Spoofed addresses stay on this machine.
            (["relay", "--flood", "bindings", *there], 3, "never into a network"),
            (["relay", "--flood", "bindings", "-s", "[::1]:3478"], 3, "never into a network"),
        ):
            with self.subTest(args=args):
                code, out, err = run(*args)
                self.assertEqual((code, out), (status, ""))
                self.assertIn(words, err)
                self.assertEqual(err.count("\n"), 1)


class Veth(unittest.TestCase):
    """The server here, the load in another network namespace: a veth leaves checksums to hardware that it has not."""

    @classmethod
    def setUpClass(cls):
        cls.turnd = Turnd("-L", HERE, "-E", HERE, *TurndCase.ARGS, "--allowed-peer-ip=198.18.0.0/24")
        cls.pid = cls.turnd.process.pid

    @classmethod
    def tearDownClass(cls):
        assert cls.turnd.stop() == 0, "\n".join(cls.turnd.lines)

    def load(self, *args):
        command = ["nsenter", f"--net=/proc/{other_end.pid}/ns/net", LOAD, "relay", "-s", f"{HERE}:{self.turnd.listening['udp', HERE]}"]
        command += ["-u", USER, "-w", PASSWORD, "--pid", self.pid, "-n", 4, "-r", 400, "-t", 1, "-j", *args]

        def attempt():
            done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60)
            return done.returncode, done.stdout, done.stderr

        code, out, err = unless_busy(attempt)
        self.assertEqual((code, err), (0, ""), out)
        result = json.loads(out)
        self.assertEqual((result["received"], result["wrong"]), (result["sent"], None))
        self.assertGreater(result["server_ns"], 0)
        return result

    def test_each_direction(self):
        for args in (["-d", "up"], ["-d", "down"], ["-d", "call"], ["-d", "up", "-k", 8, "-g"], ["-d", "down", "-T", "tcp"]):
            with self.subTest(args=args):
                self.load(*args)

    def test_floods(self):
        for kind, more in (("channels", []), ("strangers", []), ("peers", ["--flood-from", "198.18.0.3"]), ("bindings", [])):
            with self.subTest(kind=kind):
                flood = self.load("--flood", kind, "--flood-rate", 2000, *more)["flood"]
                self.assertGreater(flood["sent"], 1500)
                self.assertEqual(flood["answered"], flood["sent"] if kind == "bindings" else 0)


if __name__ == "__main__":
    unittest.main()
