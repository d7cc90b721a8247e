#!/usr/bin/python3
"""viaduct-signald in operation: reload, drain, limits of memory, metrics, logs."""
import json
import logging
import signal
import unittest

import signald_client
from signald_client import Client, http, start
from signald_http import Http, Session


class Async(unittest.IsolatedAsyncioTestCase):
    def start(self, *args, **kwargs):
        return start(self, *args, **kwargs)


class Reload(Async):
    def write(self, *lines):
        self.path.write_text("\n".join(lines) + "\n")

    def hang_up(self, pattern):
        self.daemon.process.send_signal(signal.SIGHUP)
        return self.daemon.wait_line(pattern)

    def begin(self, *lines):
        self.path = signald_client.folder(self) / "signald.conf"
        self.write(*lines)
        self.daemon = self.start(f"--config={self.path}")

    async def test_what_can_change_does_and_sessions_go_on(self):
        self.begin("max-message-size=2000", "turn-uri=turn:192.0.2.1", "turn-secret=old", "node=one", "origin=https://one.example")
        client = await Client.open(self.daemon)
        self.write("max-message-size=3000", "turn-uri=turn:192.0.2.2", "turn-uri=stun:192.0.2.3", "turn-secret=new", "node=two",
                   "origin=https://two.example", "resume-seconds=7", "max-rooms-per-session=1")
        self.hang_up(r" info signald reloaded ")
        await client.send(type="ice")
        urls = [url for server in (await client.take("ice-servers"))["iceServers"] for url in server["urls"]]
        self.assertEqual(sorted(urls), ["stun:192.0.2.3", "turn:192.0.2.2"])
        other = await Client.open(self.daemon, origin="https://two.example")
        self.assertEqual((other.welcome["node"], other.welcome["limits"]["messageSize"], other.welcome["limits"]["resumeSeconds"]), ("two", 3000, 7))
        with self.assertRaises(Exception):
            await Client.open(self.daemon, origin="https://one.example")
        await client.join("a")  # who was there before has the new limits too
        await client.send(type="join", room="b")
        await client.error("forbidden")
        await client.send_text(json.dumps({"type": "ping", "more": "x" * 2500}))
        await client.take("pong")

    async def test_a_bad_file_changes_nothing_and_its_line_is_named(self):
        self.begin("node=one")
        for line, word in [("max-session=3", "max-sessions"), ("origin=example.org", "origin"), ("turn-uri=turn:192.0.2.1", "turn-secret"),
                           ("max-sessions=-1", "max-sessions"), ("tls-listen=127.0.0.1:0", "cert")]:
            self.write("node=two", line)
            said = self.hang_up(r" error signald reload-refused ")
            self.assertIn(word, said)
            if word not in ("turn-secret", "cert"):  # what is wrong with several lines together has none
                self.assertIn("signald.conf:2", said)
            client = await Client.open(self.daemon)
            self.assertEqual(client.welcome["node"], "one")
            await client.close()
        self.path.unlink()
        self.assertIn("signald.conf", self.hang_up(r" error signald reload-refused "))
        self.assertEqual((await Client.open(self.daemon)).welcome["node"], "one")

    async def test_a_secret_is_not_said(self):
        self.begin("turn-secret=hush-hush")
        self.write("turn-secret=hush-hush", "turn-secret=")
        self.hang_up(r" error signald reload-refused ")
        self.assertNotIn("hush-hush", "\n".join(self.daemon.lines))

    async def test_what_needs_a_restart_is_named(self):
        self.begin("node=one", "max-connections=100")
        self.write("node=two", "max-connections=5000", "log-format=json", "listen=127.0.0.1:1")
        self.daemon.process.send_signal(signal.SIGHUP)
        self.daemon.wait_line(r" info signald reloaded ")
        notes = [line for line in self.daemon.lines if " warn signald configuration " in line]
        for name in ("max-connections", "log-format"):
            self.assertEqual(len([line for line in notes if f"{name} has changed" in line and "next start" in line]), 1, notes)
        self.assertEqual(len(notes), 2, notes)  # node has changed at once, and --listen stands before the file's
        self.assertEqual((await Client.open(self.daemon)).welcome["node"], "two")

    async def test_the_level_of_the_log(self):
        self.begin("node=one")
        await (await Client.open(self.daemon)).close()
        self.write("verbose")
        self.hang_up(r" info signald reloaded ")
        self.assertNotIn(" debug ", "\n".join(self.daemon.lines))
        client = await Client.open(self.daemon)
        self.daemon.wait_line(r" debug signald session-opened ")
        self.write("node=one")
        self.hang_up(r" info signald reloaded ")
        said = len(self.daemon.lines)
        await client.close()
        await (await Client.open(self.daemon)).close()
        self.hang_up(r" info signald reloaded ")
        self.assertEqual([line for line in self.daemon.lines[said:] if " debug " in line], [])


if __name__ == "__main__":
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    unittest.main()
