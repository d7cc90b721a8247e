#!/usr/bin/python3
"""viaduct up with the real servers, what it refuses, and the other commands."""
import asyncio
import base64
import hashlib
import hmac
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import stat
import subprocess
import tempfile
import time
import unittest
import urllib.request

import websockets

from turn_client import TurnClient
from up_instance import BIN, SERVERS, Up, free_ports, is_alive, stun_binding, wait_until


class RealServers(unittest.TestCase):
    def test_the_suite(self):
        up = Up(self).running()
        block = "\n".join(up.stdout)
        self.assertIn(f"http://localhost:{up.http}/", block)
        address = re.search(rf"https://([^/]+):{up.https}/", block)[1]
        self.assertIn(f"{address}:{up.turn} (UDP and TCP)", block)
        self.assertIn(f"{address}:{up.turns} (TLS and DTLS)", block)
        self.assertIn(f"{address}:{up.stun} (UDP and TCP)", block)
        self.assertIn(str(up.state / "viaduct.log"), block)
        self.assertIn(str(up.state / "certs"), block)
        # every server answers
        self.assertEqual(stun_binding(up.turn), b"\x01\x01")
        self.assertEqual(stun_binding(up.stun), b"\x01\x01")
        with urllib.request.urlopen(f"http://localhost:{up.http}/", timeout=10) as page:
            self.assertEqual(page.status, 200)
            self.assertIn(b"<html", page.read().lower())
        trust = ssl.create_default_context(cafile=up.state / "certs" / "ca.pem")
        for host in [address, "localhost", "127.0.0.1"]:
            with urllib.request.urlopen(f"https://{host}:{up.https}/", timeout=10, context=trust) as page:
                self.assertEqual(page.status, 200)
        # secrets are in files that nobody else can read, and nowhere else
        secret = (up.state / "secret").read_text().strip()
        self.assertEqual(len(base64.urlsafe_b64decode(secret + "=")), 32)
        self.assertEqual(stat.S_IMODE(up.state.stat().st_mode), 0o700)
        for name in ["secret", "turnd.conf", "stund.conf", "signald.conf", "viaduct.log", "certs/ca.key"]:
            self.assertEqual(stat.S_IMODE((up.state / name).stat().st_mode), 0o600, name)
        for pid in up.pids().values():
            self.assertNotIn(secret, pathlib.Path(f"/proc/{pid}/cmdline").read_text())
            self.assertNotIn(secret, pathlib.Path(f"/proc/{pid}/environ").read_text())
        self.assertNotIn(secret, up.log() + up.output())
        # SIGTERM leaves nothing
        pids = up.pids()
        self.assertEqual(sorted(pids), sorted(SERVERS))
        begin = time.monotonic()
        up.process.terminate()
        self.assertEqual(up.ended(), 0)
        self.assertLess(time.monotonic() - begin, 5)
        for name, pid in pids.items():
            self.assertFalse(is_alive(pid), name)
            self.assertIn(f'server-stopped server={name} reason="exit status 0"', up.log())

    def test_credentials_from_signald_and_from_the_command_open_the_relay(self):
        up = Up(self).running()

        async def welcome():
            async with websockets.connect(f"ws://localhost:{up.http}/v1/ws", subprotocols=["viaduct.v1"]) as ws:
                await ws.send(json.dumps({"type": "hello"}))
                return json.loads(await asyncio.wait_for(ws.recv(), 20))
        ice = asyncio.run(welcome())["iceServers"]
        urls = [url for server in ice for url in ([server["urls"]] if isinstance(server["urls"], str)
                                                  else server["urls"])]
        minted = next(server for server in ice if "credential" in server)
        address = re.search(r"https://([^/]+):", "\n".join(up.stdout))[1]
        self.assertEqual(sorted(urls), [f"stun:{address}:{up.stun}", f"turn:{address}:{up.turn}?transport=tcp",
                                        f"turn:{address}:{up.turn}?transport=udp", f"turns:{address}:{up.turns}?transport=tcp"])
        command = [BIN / "viaduct", "credentials", "--state-dir", up.state, "--json"]
        made = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

        def relayed_call():
            """Two clients, one with each kind of credential, over UDP and TLS; a datagram from relay to relay."""
            trust = ssl.create_default_context(cafile=up.state / "certs" / "ca.pem")
            with TurnClient((address, up.turn), "udp", minted["username"], minted["credential"]) as one, \
                    TurnClient((address, up.turns), "tcp", made["username"], made["password"]) as two:
                two.socket = trust.wrap_socket(two.socket, server_hostname=address)
                one.allocate()
                two.allocate()
                one.create_permission(two.relayed[0])
                two.create_permission(one.relayed[0])
                one.send_indication(two.relayed, b"hello")
                self.assertEqual(two.receive(), (one.relayed, b"hello"))
        relayed_call()
        before = up.pids("server-ready")["turnd"]
        os.kill(before, signal.SIGKILL)
        wait_until("turnd again", lambda: up.pids("server-ready")["turnd"] != before)
        relayed_call()

    def test_killed_servers_come_back(self):
        up = Up(self).running()
        for name in SERVERS:
            before = up.pids("server-ready")[name]
            os.kill(before, signal.SIGKILL)
            wait_until(f"{name} again", lambda: up.pids("server-ready")[name] != before)
            self.assertRegex(up.log(), rf'warn up server-stopped server={name} reason="signal 9 \(SIGKILL\)" '
                                       r"again_in_ms=250 last=.*")
        self.assertEqual(stun_binding(up.turn), b"\x01\x01")
        self.assertEqual(stun_binding(up.stun), b"\x01\x01")
        with urllib.request.urlopen(f"http://localhost:{up.http}/", timeout=10) as page:
            self.assertEqual(page.status, 200)
        # the secret outlives it all: credentials stay good
        secret = (up.state / "secret").read_text()
        up.process.send_signal(signal.SIGINT)
        self.assertEqual(up.ended(), 0)
        again = Up(self, state=up.state).running()
        self.assertEqual((again.state / "secret").read_text(), secret)

    def test_killed_supervisor_takes_the_servers_along(self):
        up = Up(self).running()
        pids = up.pids()
        self.assertTrue(all(is_alive(pid) for pid in pids.values()))
        up.process.kill()
        up.process.wait()
        for name, pid in pids.items():
            wait_until(f"the end of {name}", lambda: not is_alive(pid), 10)
        # nothing that it left behind is in the way of the next
        Up(self, state=up.state).running()

    def test_port_in_use(self):
        options = ["--turn-port", "--turns-port", "--stun-port", "--http-port", "--https-port"]
        for option, kind in [("--turn-port", socket.SOCK_DGRAM), ("--turn-port", socket.SOCK_STREAM),
                             ("--turns-port", socket.SOCK_DGRAM), ("--turns-port", socket.SOCK_STREAM),
                             ("--stun-port", socket.SOCK_DGRAM), ("--http-port", socket.SOCK_STREAM),
                             ("--https-port", socket.SOCK_STREAM)]:
            with socket.socket(socket.AF_INET, kind) as taken:
                taken.bind(("127.0.0.1" if option == "--http-port" else "0.0.0.0", 0))
                if kind == socket.SOCK_STREAM:
                    taken.listen()
                port = taken.getsockname()[1]
                ports = dict(zip(options, free_ports(5)))
                ports[option] = port
                up = Up(self, "--metrics-port", "0", *[part for pair in ports.items() for part in pair], ports=False)
                self.assertEqual(up.ended(), 3, up.output())
                line = up.stderr[-1]
                self.assertIn(str(port), line)
                self.assertIn(option, line)
                self.assertRegex(line, r"viaduct-(turnd|stund|signald)")
                self.assertIn(f"pid {os.getpid()}", line)
                self.assertEqual(sum(str(port) in said and "viaduct-" in said for said in up.stderr), 1, up.stderr)
                self.assertEqual(up.stdout, [])
                for pid in up.pids().values():
                    self.assertFalse(is_alive(pid))

    def test_wrong_lines_are_named_where_they_stand(self):
        text = "# everything\n[up]\nmin-port=50000\n[turnd]\n\nrealm=x\n{}\n[stund]\n{}\n[signald]\n{}\n"
        for place, line, mend in [(0, "min-prot=1", "min-port"), (1, "listening-prot=1", "listening-port"),
                                  (2, "web-rot=/", "web-root")]:
            lines = ["", "", ""]
            lines[place] = line
            up = Up(self, config=text.format(*lines))
            self.assertEqual(up.ended(), 2, up.output())
            self.assertIn(f"{up.config}:{7 + 2 * place}: unknown option '{line.split('=')[0]}'", up.stderr[-1])
            self.assertIn(f"did you mean '{mend}'?", up.stderr[-1])
            for pid in up.pids().values():
                self.assertFalse(is_alive(pid))

    def test_config_file_reaches_the_servers(self):
        ports = free_ports(2)
        up = Up(self, config=f"[turnd]\nlistening-port={ports[0]}\nrealm=example.org\nstatic-auth-secret='a # \"b'\n"
                             f"[up]\nstun-port={ports[1]}\nmetrics-port=0\nturns-port=0\nhttp-port={free_ports(1)[0]}\n"
                             f"https-port={free_ports(1)[0]}\n", ports=False).running()
        self.assertEqual(stun_binding(ports[0]), b"\x01\x01")
        self.assertEqual(stun_binding(ports[1]), b"\x01\x01")
        self.assertIn("realm=example.org", up.log())
        self.assertIn("turn-secret='a # \"b'", (up.state / "signald.conf").read_text())
        made = subprocess.run([BIN / "viaduct", "credentials", "--state-dir", up.state, "--json", "--name", "bo b"],
                              capture_output=True, text=True, check=True)
        credentials = json.loads(made.stdout)
        mac = hmac.new(b'a # "b', credentials["username"].encode(), hashlib.sha1).digest()
        self.assertEqual(credentials["password"], base64.b64encode(mac).decode())

    def test_reload(self):
        up = Up(self, config="[turnd]\nrealm=one\n").running()
        pids = up.pids()
        up.config.write_text("[turnd]\nrealm=one\nuser-quota=7\n")
        up.process.send_signal(signal.SIGHUP)
        wait_until("the reload", lambda: " up reload " in up.log())
        self.assertIn("\nuser-quota=7\n", (up.state / "turnd.conf").read_text())
        up.config.write_text("[turnt]\n")
        up.process.send_signal(signal.SIGHUP)
        wait_until("the refusal", lambda: "reload-refused" in up.log())
        self.assertIn(f"{up.config}:1: unknown section [turnt]", up.log())
        self.assertIn("\nuser-quota=7\n", (up.state / "turnd.conf").read_text())
        self.assertEqual(up.pids(), pids)
        self.assertTrue(all(is_alive(pid) for pid in pids.values()))

    def test_second_instance(self):
        up = Up(self).running()
        second = Up(self, state=up.state)
        self.assertEqual(second.ended(), 1)
        self.assertEqual(len(second.stderr), 1, second.stderr)
        self.assertIn(f"another 'viaduct up' (pid {up.process.pid}) runs in {up.state}", second.stderr[0])
        self.assertEqual(stun_binding(up.turn), b"\x01\x01")


class Refusals(unittest.TestCase):
    def refused(self, *args, status=2, **kwargs):
        up = Up(self, *args, **kwargs)
        self.assertEqual(up.ended(), status, up.output())
        self.assertEqual(up.stdout, [])
        self.assertEqual(len(up.stderr), 1, up.stderr)
        return up.stderr[0]

    def test_options(self):
        self.assertIn("unknown option '--turn-prot'; did you mean '--turn-port'?", self.refused("--turn-prot=5"))
        self.assertIn("--turn-port must be a number from 1 to 65535, not '0'", self.refused("--turn-port=0", ports=False))
        self.assertIn("--address must be one address", self.refused("--address=nonsense"))
        self.assertIn("min-port 60000 is above max-port 50000", self.refused("--min-port=60000", "--max-port=50000"))
        self.assertIn("cannot read /nonexistent/file", self.refused("--config=/nonexistent/file"))

    def test_files(self):
        for text, message in [("[up]\nhttp-prot=1\n", ":2: unknown option 'http-prot'; did you mean 'http-port'?"),
                              ("[up]\n[turn]\n", ":2: unknown section [turn]; did you mean [turnd]?"),
                              ("\nx=1\n[up]\n", ":2: this line belongs to no section"),
                              ("[up]\nconfig=other\n", "cannot name another file")]:
            line = self.refused(config=text)
            self.assertIn("my.conf", line)
            self.assertIn(message, line)

    def test_open_state_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            self.assertIn("is open to others (mode 0755); chmod 700 it", self.refused(state=pathlib.Path(folder)))
            self.assertEqual(stat.S_IMODE(os.stat(folder).st_mode), 0o755)

    def test_secret_that_is_none(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o700)
            (pathlib.Path(folder) / "secret").write_text("")
            up = Up(self, state=pathlib.Path(folder))
            self.assertEqual(up.ended(), 1)
            self.assertIn("remove the file to get a new one", up.stderr[-1])

    def test_commands(self):
        def run(*args):
            done = subprocess.run([BIN / "viaduct", *args], capture_output=True, text=True, timeout=30)
            return done.returncode, done.stdout, done.stderr
        self.assertEqual(run()[0], 2)
        self.assertEqual(run("upp"), (2, "", "viaduct: unknown command 'upp'; did you mean 'up'?\n"))
        self.assertEqual(run("xyzzy"), (2, "", "viaduct: unknown command 'xyzzy'; 'viaduct help' lists them all\n"))
        self.assertRegex(run("version")[1], r"^viaduct \d+\.\d+\.\d+\n$")
        for words in [["help"], ["--help"], ["-h"]]:
            self.assertIn("  credentials  ", run(*words)[1])
        for word in ["--help", "--example-config", "--man"]:
            status, text, _ = run("up", word)
            self.assertEqual(status, 0)
            self.assertIn("turn", text)
        with tempfile.TemporaryDirectory() as folder:
            status, _, text = run("credentials", "--state-dir", folder)
            self.assertEqual(status, 2)
            self.assertIn(f"there is no {folder}/secret; start 'viaduct up' once", text)
            secret = pathlib.Path(folder) / "s"
            secret.write_text("north\n")
            status, text, _ = run("credentials", "--secret-file", secret, "--ttl", "60", "--name", "bob")
            self.assertEqual(status, 0)
            fields = dict(line.split("=", 1) for line in text.splitlines())
            self.assertRegex(fields["username"], r"^\d+:bob$")
            self.assertAlmostEqual(int(fields["username"].split(":")[0]), time.time() + 60, delta=30)
            mac = hmac.new(b"north", fields["username"].encode(), hashlib.sha1).digest()
            self.assertEqual(fields["password"], base64.b64encode(mac).decode())
            self.assertIn("control characters", run("credentials", "--secret-file", secret, "--name", "a\nb")[2])


if __name__ == "__main__":
    unittest.main()
