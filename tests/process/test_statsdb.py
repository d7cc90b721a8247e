#!/usr/bin/python3
"""redis-statsdb of viaduct-turnd: what a subscriber hears of allocations, with coturn's keys."""

import re
import unittest

import databases
from databases import Redis, until
from test_turnd import PATIENCE_S, Turnd, TurndCase
from turn_client import TurnClient

REALM = "example.org"
HOSTILE = 'e/v %s*"il'
COMMON = ["-L", "127.0.0.1", "-E", "127.0.0.1", "--allow-loopback-peers", "-r", REALM]


class Subscriber:
    def __init__(self, redis):
        self.socket = redis.connect()
        databases.send(self.socket, "PSUBSCRIBE", "turn/realm/*/user/*/allocation/*")
        assert databases.read_answer(self.socket)[0] == b"psubscribe"

    def next(self):
        """(user, allocation, what, text)"""
        kind, _, key, text = databases.read_answer(self.socket)
        assert kind == b"pmessage"
        found = re.fullmatch(r"turn/realm/example\.org/user/(.*)/allocation/(\d{18})/(.+)", key.decode())
        assert found, key
        return (*found.groups(), text.decode())

    def next_new(self):
        """Passes over the end of what was there before."""
        while not (event := self.next())[3].startswith("new"):
            pass
        return event

    def close(self):
        self.socket.close()


class Stats(TurndCase):
    @classmethod
    def setUpClass(cls):
        cls.redis = Redis(password="sesame")
        cls.addClassCleanup(cls.redis.close)
        cls.turnd = Turnd(
            *COMMON, "-u", "bob:secret", "-u", f"{HOSTILE}:secret", f"--redis-statsdb={cls.redis.connection(dbname=0)}"
        )

    def subscriber(self):
        s = Subscriber(self.redis)
        self.addCleanup(s.close)
        return s

    def client(self, name="bob"):
        c = TurnClient(self.turnd.server(), "udp", name, "secret", timeout=PATIENCE_S)
        self.addCleanup(c.close)
        return c

    def test_an_allocation_from_its_beginning_to_its_end(self):
        heard, c, peer = self.subscriber(), self.client(), self.peer()
        c.allocate()
        user, number, what, text = heard.next_new()
        self.assertEqual((user, what, text), ("bob", "status", "new lifetime=600"))
        key = f"turn/realm/{REALM}/user/bob/allocation/{number}/status"
        self.assertEqual(self.redis.do("GET", key), b"new lifetime=600")
        self.assertGreater(self.redis.do("TTL", key), 600)
        c.refresh(900)
        self.assertEqual(heard.next(), ("bob", number, "status", "refreshed lifetime=900"))
        self.assertEqual(self.redis.do("GET", key), b"refreshed lifetime=900")
        c.channel_bind(0x4000, peer.address)
        for _ in range(1024):  # a packet there and one back: 2048 of them
            c.send_channel(0x4000, b"12345678")
            peer.echo()
            c.receive()
        text = "rcvp=1024, rcvb=8192, sentp=1024, sentb=8192"
        self.assertEqual(heard.next(), ("bob", number, "traffic", text))
        self.assertEqual(heard.next(), ("bob", number, "traffic/peer", text))
        c.send_channel(0x4000, b"123")
        peer.receive()
        c.refresh(0)
        self.assertEqual(heard.next(), ("bob", number, "traffic", "rcvp=1, rcvb=3, sentp=0, sentb=0"))
        self.assertEqual(heard.next(), ("bob", number, "traffic/peer", "rcvp=0, rcvb=0, sentp=1, sentb=3"))
        self.assertEqual(heard.next(), ("bob", number, "status", "deleted"))
        total = ("bob", number, "total_traffic", "rcvp=1025, rcvb=8195, sentp=1024, sentb=8192")
        self.assertEqual(heard.next(), total)
        self.assertEqual(heard.next()[2:], ("total_traffic/peer", "rcvp=1024, rcvb=8192, sentp=1025, sentb=8195"))
        self.assertIsNone(self.redis.do("GET", key))

    def test_hostile_names_are_names(self):
        heard, c = self.subscriber(), self.client(HOSTILE)
        c.allocate()
        self.assertEqual(heard.next_new()[0::2], (HOSTILE, "status"))
        c.refresh(0)

    def statuses(self):
        return [self.redis.do("GET", k) for k in self.redis.do("KEYS", "turn/realm/*/user/bob/allocation/*/status")]

    def test_a_redis_that_goes_and_comes_back(self):
        """Sessions do not notice, and what happened meanwhile is told when it is back."""
        first = self.client()
        first.allocate()
        first.refresh(0)
        self.redis.kill()
        c = self.client()
        c.allocate()
        c.refresh(1800)
        self.turnd.wait_line(r"statsdb-away")
        self.redis.start()
        self.turnd.wait_line(r"statsdb-back")
        # It may be told a batch at a time: what stands there in the end counts.
        until(lambda: self.statuses() == [b"refreshed lifetime=1800"])
        c.refresh(0)


class Ends(unittest.TestCase):
    def test_sessions_that_end_with_the_server_are_told(self):
        redis = Redis()
        self.addCleanup(redis.close)
        turnd = Turnd(*COMMON, "-u", "bob:secret", "-O", redis.connection())
        self.addCleanup(turnd.stop)
        heard = Subscriber(redis)
        self.addCleanup(heard.close)
        c = TurnClient(turnd.server(), "udp", "bob", "secret", timeout=PATIENCE_S)
        self.addCleanup(c.close)
        c.allocate()
        self.assertEqual(heard.next()[3], "new lifetime=600")
        self.assertEqual(turnd.stop(), 0)
        self.assertEqual([heard.next()[2] for _ in range(3)], ["traffic", "traffic/peer", "status"])
        self.assertEqual(redis.do("KEYS", "*"), [])

    def test_without_a_redis_it_serves_all_the_same(self):
        redis = Redis()
        self.addCleanup(redis.close)
        redis.kill()
        turnd = Turnd(*COMMON, "-u", "bob:secret", "-O", redis.connection())
        self.addCleanup(turnd.stop)
        c = TurnClient(turnd.server(), "udp", "bob", "secret", timeout=PATIENCE_S)
        self.addCleanup(c.close)
        for _ in range(3000):
            c.allocate()
            c.refresh(0)
        self.assertGreater(turnd.metric("viaduct_turn_statsdb_dropped_total"), 1000)
        self.assertEqual(turnd.stop(), 0)


if __name__ == "__main__":
    unittest.main()
