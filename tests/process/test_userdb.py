#!/usr/bin/python3
"""viaduct-turnd with users in coturn's databases: an SQLite file that turnadmin made, a Redis."""

import base64
import hashlib
import os
import socket
import sqlite3
import struct
import subprocess
import time
import unittest

import test_turnd_oauth as oauth
import turn_client
from databases import Redis, Sqlite, until
from test_turnd import PATIENCE_S, TURND, Turnd, TurndCase
from turn_client import TurnClient, TurnError

REALM = "example.org"
# One thread, unless a test is about several: each remembers for itself whom it has seen.
COMMON = ["-L", "127.0.0.1", "-E", "127.0.0.1", "--allow-loopback-peers", "-r", REALM, "--relay-threads=1"]

HOSTILE = [
    "x' OR '1'='1",
    "'; DROP TABLE turnusers_lt; --",
    '"', "%s%n%x%p", "bob\r\nFLUSHALL\r\n", "bob\0", "*", "../bob", "bob/key", "bob ", " bob", "u" * 513, "\u202ebob",
    "$3\r\nbob", "?", "b%",
]


def key_of(name, password, realm=REALM):
    return hashlib.md5(f"{name}:{realm}:{password}".encode()).hexdigest()


def end(client):
    """Its allocation too: the next client may come from the same port."""
    try:
        if client.relayed:
            client.refresh(0)
    except (TurnError, OSError, AssertionError):
        pass
    client.close()


class Users:
    """What holds for every database; `add`, `delete`, `hold` and `release` are the subclass's."""

    turnd = None

    def client(self, name="bob", password="secret", transport="udp", ip="127.0.0.1"):
        c = TurnClient(self.turnd.server(ip), transport, name, password, timeout=PATIENCE_S)
        self.addCleanup(end, c)
        return c

    def code(self, name, password, transport="udp"):
        try:
            self.client(name, password, transport).allocate()
        except TurnError as e:
            return e.code
        return 0

    def test_found_over_udp_and_tcp(self):
        for transport in ("udp", "tcp"):
            c = self.client(transport=transport)
            c.allocate()
            self.assertEqual(c.refresh(900), 900)

    def test_wrong_password_and_wrong_name(self):
        for transport in ("udp", "tcp"):
            self.assertEqual(self.code("bob", "guess", transport), 401)
            self.assertEqual(self.code("nobody", "secret", transport), 401)

    def test_hostile_names_are_names(self):
        for name in HOSTILE:
            self.assertEqual(self.code(name, "secret"), 401, name)
        self.assertEqual(self.code("bob", "secret"), 0)

    def test_hostile_names_can_be_users(self):
        for name in ("it's", '100% "quoted"', "a b", "%s%n", "ü\u202e", "u" * 512):
            self.add(name, "secret")
            until(lambda n=name: self.code(n, "secret") == 0)
            self.assertEqual(self.code(name, "guess"), 401)

    def test_another_realm_is_another_user(self):
        self.add("amy", "secret", "other.example")
        self.assertEqual(self.code("amy", "secret"), 401)

    def test_added_and_deleted_while_it_runs(self):
        self.assertEqual(self.code("new", "secret"), 401)
        self.add("new", "secret")
        c = self.client("new", "secret")
        until(lambda: c.allocate(), TurnError)
        self.delete("new")
        until(lambda: self.code("new", "secret") == 401)
        self.assertEqual(c.refresh(600), 600)  # who is in stays in

    def test_pipelined_messages_of_a_connection_stay_in_order(self):
        self.add("tom", "secret")
        self.client("tom", "secret")
        c = self.client("tom", "secret", "tcp")
        c.key = None
        with self.assertRaises(TurnError):
            c.username = None
            c.allocate()
        c.username = "tom"
        first = c.transact(turn_client.build(turn_client.ALLOCATE, turn_client.REQUEST, []))
        c.realm, c.nonce = first.get(turn_client.REALM), first.get(turn_client.NONCE)
        c.key = hashlib.md5(f"tom:{REALM}:secret".encode()).digest()
        allocate = c.authenticated(turn_client.ALLOCATE, [(turn_client.REQUESTED_TRANSPORT, bytes([17, 0, 0, 0]))])
        refresh = c.authenticated(turn_client.REFRESH, [(turn_client.LIFETIME, struct.pack("!I", 700))])
        c.send_bytes(allocate + refresh)
        answers = [turn_client.Message(c.read_frame(time.monotonic() + PATIENCE_S)) for _ in range(2)]
        self.assertEqual([a.method for a in answers], [turn_client.ALLOCATE, turn_client.REFRESH])
        self.assertEqual([a.kind for a in answers], [turn_client.SUCCESS] * 2)

    def test_a_database_that_is_away(self):
        """Who is known goes on, others are told to come again (500), and nobody is told 401."""
        self.add("late", "secret")
        c = self.client()
        c.allocate()
        self.hold()
        try:
            code = until(lambda: self.code("late", "secret"))
            self.assertEqual(code, 500)
            self.assertEqual(c.refresh(700), 700)
            self.assertEqual(self.code("bob", "secret"), 0)
            self.turnd.wait_line(r"error turnd userdb-away")
        finally:
            self.release()
        until(lambda: self.code("late", "secret") == 0)
        self.turnd.wait_line(r"info turnd userdb-back")

    def test_a_flood_of_names_costs_nothing(self):
        """From another address than bob's, who gets in all the while."""
        c = self.client("bob", "guess")
        c.socket.close()
        c.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        c.socket.bind(("127.0.0.2", 0))
        c.socket.connect(self.turnd.server())
        with self.assertRaises(TurnError):
            c.allocate()  # learns the nonce

        def flood(first, count):
            for i in range(first, first + count):
                c.username, c.key = f"user-{i}", bytes(16)
                c.send_bytes(c.authenticated(turn_client.ALLOCATE, [(turn_client.REQUESTED_TRANSPORT, bytes([17, 0, 0, 0]))]))
            self.assertEqual(self.code("bob", "secret"), 0)
            with open(f"/proc/{self.turnd.process.pid}/statm", encoding="ascii") as f:
                return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        before = flood(0, 2000)
        after = flood(2000, 20000)
        self.assertLess(after, before + 2**21)


class SqliteUsers(Users, TurndCase):
    @classmethod
    def setUpClass(cls):
        cls.database = Sqlite(("bob", "secret"))
        cls.addClassCleanup(cls.database.close)
        cls.turnd = Turnd(*COMMON, "-a", "-b", cls.database.file)

    def add(self, name, password, realm=REALM):
        with sqlite3.connect(self.database.file) as db:
            db.execute(
                "INSERT OR REPLACE INTO turnusers_lt (realm, name, hmackey) VALUES (?, ?, ?)",
                (realm, name, key_of(name, password, realm)),
            )
        db.close()

    def delete(self, name):
        self.database.delete(name)

    def hold(self):
        self.lock = sqlite3.connect(self.database.file, isolation_level=None)
        self.lock.execute("BEGIN EXCLUSIVE")

    def release(self):
        self.lock.execute("ROLLBACK")
        self.lock.close()

    def test_turnadmin_adds_users(self):
        self.database.add("amy2", "sesame")
        until(lambda: self.code("amy2", "sesame") == 0)

    def test_another_file_takes_its_name(self):
        other = Sqlite(("bob", "secret"), ("sam", "sesame"))
        os.replace(other.file, self.database.file)
        other.close()
        until(lambda: self.code("sam", "sesame") == 0)

    def test_keys_that_are_none(self):
        with sqlite3.connect(self.database.file) as db:
            for name, key in (("k1", "secret"), ("k2", None), ("k3", 7), ("k4", "f" * 64)):
                db.execute("INSERT OR REPLACE INTO turnusers_lt VALUES (?, ?, ?)", (REALM, name, key))
        db.close()
        for name in ("k1", "k2", "k3", "k4"):
            self.assertEqual(self.code(name, "secret"), 401)


class RedisUsers(Users, TurndCase):
    @classmethod
    def setUpClass(cls):
        cls.database = Redis(password="open%sesame")
        cls.addClassCleanup(cls.database.close)
        cls.database.do("SET", f"turn/realm/{REALM}/user/bob/key", key_of("bob", "secret"))
        cls.turnd = Turnd(*COMMON, "-a", "--redis-userdb", cls.database.connection())
        cls.users = {"bob": key_of("bob", "secret")}

    def add(self, name, password, realm=REALM):
        self.users[name] = key_of(name, password, realm)
        self.database.do("SET", f"turn/realm/{realm}/user/{name}/key", self.users[name])

    def delete(self, name):
        self.database.do("DEL", f"turn/realm/{REALM}/user/{name}/key")

    def test_a_key_of_another_kind_stops_nobody(self):
        """What coturn does not put there is no sign that the database is away."""
        realm = f"turn/realm/{REALM}"
        for words in (("SET", "turn/oauth/kid/odd", "oops"), ("SET", f"{realm}/secret", "oops"), ("SADD", f"{realm}/max-bps", "oops"),
                      ("SADD", f"{realm}/user/odd/key", "oops")):
            self.database.do(*words)
            self.addCleanup(self.database.do, "DEL", words[1])
        lines = len(self.turnd.lines)
        began, count = time.monotonic(), 0
        while time.monotonic() < began + 2.5:  # it is all read again every second
            count += 1
            self.assertEqual(self.code(f"stranger-{count}", "secret"), 401)
            time.sleep(0.05)  # one address gets so many 401s a second
        self.assertEqual(self.code("odd", "secret"), 401)
        self.assertFalse([line for line in self.turnd.lines[lines:] if "userdb-away" in line])

    def hold(self):
        self.database.kill()

    def release(self):
        self.database.start()
        for name, key in self.users.items():
            self.database.do("SET", f"turn/realm/{REALM}/user/{name}/key", key)


class Threads(TurndCase):
    """Whatever thread a client comes to, the database is asked for him."""

    @classmethod
    def setUpClass(cls):
        cls.database = Redis()
        cls.addClassCleanup(cls.database.close)
        cls.database.do("SET", f"turn/realm/{REALM}/user/bob/key", key_of("bob", "secret"))
        cls.turnd = Turnd(*COMMON, "--relay-threads=3", "-a", "--redis-userdb", cls.database.connection())

    def test_every_thread_finds_him(self):
        for transport in ("udp", "tcp"):
            clients = [self.client(transport, username="bob", password="secret") for _ in range(15)]
            for c in clients:
                c.allocate()
            for c in clients:
                self.assertEqual(c.refresh(0), 0)
            for c in [self.client(transport, username="bob", password="guess") for _ in range(5)]:
                self.assert_code(401, c.allocate)


ORIGIN = 0x802F


class Rows:
    """What a database holds beside users; `put` and `drop` are the subclass's."""

    turnd = None

    def client(self, name, password):
        c = TurnClient(self.turnd.server(), "udp", name, password, timeout=PATIENCE_S)
        self.addCleanup(end, c)
        return c

    def allocated(self, secret, more=()):
        c = self.client(*turn_client.rest_credentials(secret))
        c.allocate(more=more)
        return c

    def refused(self, secret, more=()):
        try:
            self.allocated(secret, more)
        except TurnError as e:
            return e.code == 401
        return False

    def may_reach(self, ip):
        c = self.allocated("hero")
        try:
            c.create_permission(ip)
        except TurnError as e:
            self.assertEqual(e.code, 403)
            return False
        finally:
            c.refresh(0)
        return True

    def test_secrets_are_rotated(self):
        self.allocated("hero")
        self.assertTrue(self.refused("heroine"))
        self.put("secret", REALM, "heroine")
        c = until(lambda: self.allocated("heroine"), TurnError)
        self.allocated("hero")
        self.drop("secret", REALM, "heroine")
        until(lambda: self.refused("heroine"))
        self.assertEqual(c.refresh(700), 700)
        self.allocated("hero")

    def test_peer_rules(self):
        self.assertTrue(self.may_reach("9.9.9.9"))
        self.put("denied-peer-ip", REALM, "9.9.9.0-9.9.9.255")
        until(lambda: not self.may_reach("9.9.9.9"))
        self.assertFalse(self.may_reach("192.168.7.7"))
        self.put("allowed-peer-ip", REALM, "192.168.7.0/24")
        until(lambda: self.may_reach("192.168.7.7"))
        self.put("allowed-peer-ip", "other.example", "192.168.8.0/24")
        self.drop("denied-peer-ip", REALM, "9.9.9.0-9.9.9.255")
        until(lambda: self.may_reach("9.9.9.9"))
        self.assertFalse(self.may_reach("192.168.8.8"))
        self.drop("allowed-peer-ip", REALM, "192.168.7.0/24")
        until(lambda: not self.may_reach("192.168.7.7"))

    def test_a_rule_that_is_none_changes_nothing(self):
        self.put("denied-peer-ip", REALM, "9.9.8.8")
        until(lambda: not self.may_reach("9.9.8.8"))
        self.put("denied-peer-ip", REALM, "nonsense")
        line = self.turnd.wait_line(r"userdb-refused")
        self.assertIn("denied-peer-ip=nonsense", line)
        self.assertFalse(self.may_reach("9.9.8.8"))
        self.drop("denied-peer-ip", REALM, "nonsense")
        self.drop("denied-peer-ip", REALM, "9.9.8.8")
        until(lambda: self.may_reach("9.9.8.8"))

    def test_user_quota_of_the_realm(self):
        user, password = turn_client.rest_credentials("hero", "quota")
        first = self.client(user, password)
        first.allocate()
        self.limit(REALM, "user-quota", 1)

        def is_refused():
            c = self.client(user, password)
            try:
                c.allocate()
                c.refresh(0)
            except TurnError as e:
                return e.code == 486
            return False

        until(is_refused)
        self.limit(REALM, "user-quota", 9999)
        until(lambda: not is_refused())


class OriginRows:
    def test_origins_choose_realms(self):
        more = [(ORIGIN, b"https://a.example")]
        c = until(lambda: self.allocated("south", more), TurnError)
        self.assertEqual(c.realm, b"a.example")
        self.assertTrue(self.refused("hero", more))
        self.assertEqual(self.allocated("hero").realm, REALM.encode())


class SqliteRows(Rows, OriginRows, TurndCase):
    @classmethod
    def setUpClass(cls):
        cls.database = Sqlite()
        cls.addClassCleanup(cls.database.close)
        cls.database.turnadmin("-s", "hero", "-r", REALM)
        cls.database.turnadmin("-s", "south", "-r", "a.example")
        cls.database.turnadmin("-O", "-o", "https://a.example", "-r", "a.example")
        cls.turnd = Turnd(*COMMON, "--use-auth-secret", "-b", cls.database.file)

    def execute(self, statement, *values):
        with sqlite3.connect(self.database.file) as db:
            db.execute(statement, values)
        db.close()

    def put(self, what, realm, value):
        table, column = {
            "secret": ("turn_secret", "value"),
            "allowed-peer-ip": ("allowed_peer_ip", "ip_range"),
            "denied-peer-ip": ("denied_peer_ip", "ip_range"),
        }[what]
        self.execute(f"INSERT INTO {table} (realm, {column}) VALUES (?, ?)", realm, value)

    def drop(self, what, realm, value):
        table = {"secret": "turn_secret"}.get(what, what.replace("-", "_"))
        column = {"secret": "value"}.get(what, "ip_range")
        self.execute(f"DELETE FROM {table} WHERE realm = ? AND {column} = ?", realm, value)

    def limit(self, realm, name, value):
        self.database.turnadmin("-g", "-r", realm, f"--{name}={value}")


class RedisRows(Rows, OriginRows, TurndCase):
    @classmethod
    def setUpClass(cls):
        cls.database = Redis()
        cls.addClassCleanup(cls.database.close)
        cls.database.do("SELECT", 3)
        cls.database.do("SADD", f"turn/realm/{REALM}/secret", "hero")
        cls.database.do("SADD", "turn/realm/a.example/secret", "south")
        cls.database.do("SET", "turn/origin/https://a.example", "a.example")
        connection = cls.database.connection(dbname=3, connect_timeout=30)
        cls.turnd = Turnd(*COMMON, "--use-auth-secret", f"--redis-userdb={connection}")

    def put(self, what, realm, value):
        self.database.do("SADD", f"turn/realm/{realm}/{what}", value)

    def drop(self, what, realm, value):
        self.database.do("SREM", f"turn/realm/{realm}/{what}", value)

    def limit(self, realm, name, value):
        self.database.do("SET", f"turn/realm/{realm}/{name}", value)


class Keys:
    """OAuth keys (RFC 7635), and the realm that one of them may have."""

    turnd = None
    ARGS = ["--oauth", f"--server-name={oauth.SERVER}", *COMMON]

    def code(self, kid):
        c = oauth.TokenClient(self.turnd.server(), oauth.token(), kid=kid)
        self.addCleanup(end, c)
        try:
            c.allocate()
        except TurnError as e:
            return e.code
        return 0

    def test_keys_come_and_go(self):
        now = int(time.time())
        self.assertEqual(self.code("new"), 401)
        self.add("new", oauth.KEY)
        until(lambda: self.code("new") == 0)
        self.add("other", oauth.OTHER_KEY)
        self.add("old", oauth.KEY, timestamp=now - 1000, lifetime=10)
        self.add("young", oauth.KEY, timestamp=now - 1000, lifetime=100000)
        until(lambda: self.code("young") == 0)
        self.assertEqual(self.code("other"), 401)
        self.assertEqual(self.code("old"), 401)
        self.drop("new")
        until(lambda: self.code("new") == 401)


class SqliteKeys(Keys, TurndCase):
    @classmethod
    def setUpClass(cls):
        cls.database = Sqlite(("bob", "secret"))
        cls.addClassCleanup(cls.database.close)
        cls.turnd = Turnd(*cls.ARGS, "-b", cls.database.file)

    def execute(self, statement, *values):
        with sqlite3.connect(self.database.file) as db:
            db.execute(statement, values)
        db.close()

    def add(self, kid, key, timestamp=0, lifetime=0):
        self.execute(
            "INSERT INTO oauth_key (kid, ikm_key, timestamp, lifetime, as_rs_alg, realm) VALUES (?, ?, ?, ?, ?, ?)",
            kid, base64.b64encode(key).decode(), timestamp, lifetime, "A256GCM", "",
        )

    def drop(self, kid):
        self.execute("DELETE FROM oauth_key WHERE kid = ?", kid)


class RedisKeys(TurndCase):
    @classmethod
    def setUpClass(cls):
        cls.database = Redis()
        cls.addClassCleanup(cls.database.close)
        key = base64.b64encode(oauth.KEY).decode()
        cls.database.do("HSET", "turn/oauth/kid/ours", "ikm_key", key, "realm", REALM)
        cls.database.do("HSET", "turn/oauth/kid/old", "ikm_key", key, "timestamp", 1, "lifetime", 1)
        cls.turnd = Turnd(*Keys.ARGS, f"--redis-userdb={cls.database.connection()}")

    code = Keys.code

    def test_keys(self):
        self.assertEqual(self.code("ours"), 0)
        self.assertEqual(self.code("old"), 401)
        self.assertEqual(self.code("nobody"), 401)
        key = base64.b64encode(oauth.OTHER_KEY).decode()
        self.database.do("HSET", "turn/oauth/kid/ours", "ikm_key", key)
        until(lambda: self.code("ours") == 401)


class Starts(unittest.TestCase):
    """What a start says of a database that is not there."""

    def run_turnd(self, *args):
        command = [TURND, "-n", "--listening-port=0", *COMMON, *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        return done.returncode, done.stderr

    def test_no_file(self):
        status, error = self.run_turnd("-b", "/nowhere/turndb")
        self.assertEqual(status, 2)
        self.assertIn("userdb /nowhere/turndb cannot be read", error)
        self.assertIn("turnadmin", error)

    def test_no_database(self):
        folder = Sqlite()
        self.addCleanup(folder.close)
        folder.file.write_text("this is no database, but it is long enough to be taken for the head of one" * 10)
        status, error = self.run_turnd("-b", folder.file)
        self.assertNotEqual(status, 0)
        self.assertIn("file is not a database", error)

    def test_a_rule_that_is_none(self):
        folder = Sqlite(("bob", "secret"))
        self.addCleanup(folder.close)
        with sqlite3.connect(folder.file) as db:
            db.execute("INSERT INTO denied_peer_ip VALUES (?, ?)", (REALM, "10.0.0.0/33"))
        db.close()
        status, error = self.run_turnd("-b", folder.file)
        self.assertNotEqual(status, 0)
        self.assertIn("denied-peer-ip=10.0.0.0/33", error)

    def test_another_schema(self):
        folder = Sqlite()
        self.addCleanup(folder.close)
        sqlite3.connect(folder.file).execute("CREATE TABLE notes (text)").connection.close()
        status, error = self.run_turnd("-b", folder.file)
        self.assertNotEqual(status, 0)
        self.assertIn("no such table: turnusers_lt", error)
        self.assertIn("turnadmin", error)

    def test_a_bad_connection_string_shows_no_password(self):
        status, error = self.run_turnd("--redis-userdb", "ip=127.0.0.1 password=hunter2 port=x")
        self.assertEqual(status, 2)
        self.assertNotIn("hunter2", error)

    def test_a_redis_that_comes_later(self):
        redis = Redis()
        self.addCleanup(redis.close)
        redis.kill()
        turnd = Turnd(*COMMON, "--redis-userdb", redis.connection())
        self.addCleanup(turnd.stop)
        turnd.wait_line("ready") if not any("ready" in line for line in turnd.lines) else None
        self.assertTrue(any("userdb-away" in line for line in turnd.lines))
        redis.start()
        redis.do("SET", f"turn/realm/{REALM}/user/bob/key", key_of("bob", "secret"))
        def allocate():
            c = TurnClient(turnd.server(), "udp", "bob", "secret", timeout=PATIENCE_S)
            try:
                return c.allocate()
            finally:
                c.close()
        until(allocate, TurnError)


if __name__ == "__main__":
    unittest.main()
