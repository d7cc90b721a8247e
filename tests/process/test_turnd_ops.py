#!/usr/bin/python3
"""viaduct-turnd in an operator's hands: another user, draining, logs, the control socket, figures that move.
Run as root: what a daemon gives up can be seen only where there is something to give up."""
import json
import os
import pathlib
import pwd
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest
import urllib.error

import test_turnd_tls
import turn_client
from test_turnd import PASSWORD, PATIENCE_S, TURND, USER, Peer, Turnd
from test_turnd_tls import tls_context
from turn_client import TurnClient, TurnError

CONNECT, CONNECTION_BIND, CONNECTION_ID = 10, 11, 0x002A
NOBODY = pwd.getpwnam("nobody")
BASE = ["-L", "127.0.0.1", "-E", "127.0.0.1", "-r", "example.org", "--allow-loopback-peers"]

setUpModule, tearDownModule = test_turnd_tls.setUpModule, test_turnd_tls.tearDownModule


class OpsCase(unittest.TestCase):
    """A daemon for each test."""

    def setUp(self):
        self.assertEqual(os.geteuid(), 0, "this test has to run as root")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="viaduct-ops-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.folder.chmod(0o755)

    def start(self, *args, user=True, **options):
        credentials = ["-u", f"{USER}:{PASSWORD}"] if user else []
        turnd = Turnd(*BASE, *credentials, *args, **options)
        self.addCleanup(turnd.stop, signal.SIGKILL)
        return turnd

    def client(self, turnd, transport="udp", password=PASSWORD, address=None):
        c = TurnClient(address or turnd.server(), transport, USER, password, timeout=PATIENCE_S)
        self.addCleanup(lambda: c.close())
        return c

    def allocated(self, turnd, transport="udp"):
        c = self.client(turnd, transport)
        c.allocate()
        return c

    def peer(self):
        p = Peer()
        self.addCleanup(p.socket.close)
        return p

    def assert_code(self, code, function, *args):
        with self.assertRaises(TurnError) as caught:
            function(*args)
        self.assertEqual(caught.exception.code, code)

    def check_echo(self, c, p, channel=0x4000):
        c.channel_bind(channel, p.address)
        c.send_channel(channel, b"hello")
        self.assertEqual(p.echo(), (b"hello", c.relayed))
        self.assertEqual(c.receive(), (p.address, b"hello"))

    def write(self, name, text, mode=0o644):
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)


class Privileges(OpsCase):
    DROP = ["--proc-user=nobody", "--proc-group=nogroup"]

    def status_of_threads(self, pid):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            text = (task / "status").read_text()
            yield dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)

    def test_nothing_of_root_is_left(self):
        turnd = self.start(*self.DROP, "-m", "2", preexec_fn=lambda: os.setgroups([0, 4]))
        threads = list(self.status_of_threads(turnd.process.pid))
        self.assertGreaterEqual(len(threads), 4)  # main, two workers, metrics
        for status in threads:
            self.assertEqual(status["Uid"].split(), [str(NOBODY.pw_uid)] * 4)
            self.assertEqual(status["Gid"].split(), [str(NOBODY.pw_gid)] * 4)
            self.assertEqual(status["Groups"].split(), [str(NOBODY.pw_gid)])
            for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                self.assertEqual(int(status[name], 16), 0, name)
            self.assertEqual(status["NoNewPrivs"], "1")
        self.check_echo(self.allocated(turnd), self.peer())
        self.check_echo(self.allocated(turnd, "tcp"), self.peer())
        self.assertEqual(turnd.stop(), 0)

    def test_the_user_brings_his_group(self):
        turnd = self.start("--proc-user=nobody")
        for status in self.status_of_threads(turnd.process.pid):
            self.assertEqual(status["Gid"].split(), [str(NOBODY.pw_gid)] * 4)

    def test_a_group_alone_is_not_enough(self):
        turnd = self.start("--proc-group=nogroup")
        self.assertTrue([line for line in turnd.lines if re.search(r"warn turnd still-root ", line)])

    def test_a_port_of_root(self):
        with socket.socket() as s:
            port = next(p for p in range(1023, 600, -1) if s.connect_ex(("127.0.0.1", p)) != 0)
        turnd = self.start(*self.DROP, f"--listening-port={port}")
        self.check_echo(self.allocated(turnd), self.peer())

    def test_reload_without_root(self):
        cert, key = str(self.folder / "cert.pem"), str(self.folder / "key.pem")
        files = test_turnd_tls.FILES
        shutil.copy(files.cert, cert)
        shutil.copy(files.key, key)
        os.chmod(key, 0o600)
        config = self.write("turnserver.conf", f"user={USER}:first\ncert={cert}\npkey={key}\ntls-listening-port=0\n")
        turnd = self.start("-c", config, *self.DROP, user=False)
        self.client(turnd, password="first").allocate()
        # Another certificate, whose key this user cannot read: all the rest counts.
        shutil.copy(files.other_cert, cert)
        self.write("turnserver.conf", f"user={USER}:second\ncert={cert}\npkey={key}\ntls-listening-port=0\n")
        turnd.process.send_signal(signal.SIGHUP)
        turnd.wait_line(r"cannot read \S*key\.pem: Permission denied.*; the certificate in use stays: let nobody read")
        turnd.wait_line(r"\breloaded\b")
        self.client(turnd, password="second").allocate()
        secure = "127.0.0.1", next(p for (t, _), p in turnd.listening.items() if t == "tls")
        c = self.client(turnd, "tcp", "second", secure)
        c.socket = tls_context(files.ca).wrap_socket(c.socket, server_hostname="localhost")
        c.allocate()
        # Now it can.
        shutil.copy(files.other_key, key)
        os.chmod(key, 0o644)
        turnd.process.send_signal(signal.SIGUSR2)
        turnd.wait_line(r"\breloaded\b")
        c = self.client(turnd, "tcp", "second", secure)
        c.socket = tls_context(files.other_ca).wrap_socket(c.socket, server_hostname="localhost")
        c.allocate()
        # A file of options that it cannot read changes nothing.
        os.chmod(config, 0o600)
        turnd.process.send_signal(signal.SIGHUP)
        turnd.wait_line(r"reload-refused .*cannot read \S*turnserver\.conf: Permission denied.*user=nobody")
        self.client(turnd, password="second").allocate()
        self.assertEqual(turnd.stop(), 0)

    def test_pidfile_where_only_root_may_write(self):
        pid = self.folder / "pid"
        turnd = self.start(*self.DROP, f"--pidfile={pid}")
        self.assertEqual(pid.read_text(), f"{turnd.process.pid}\n")
        self.assertEqual(turnd.stop(), 0)
        self.assertEqual(pid.read_text(), "")  # it may not be removed, and names no process

    def refused(self, *args, program=TURND, uid=None):
        file = os.open(program, os.O_RDONLY | os.O_CLOEXEC)  # its folder may be closed to that user
        self.addCleanup(os.close, file)

        def become():
            os.setgroups([])
            os.setresgid(NOBODY.pw_gid, NOBODY.pw_gid, NOBODY.pw_gid)
            os.setresuid(uid, uid, uid)

        return subprocess.run(
            [program, "-n", "-L", "127.0.0.1", "--listening-port=0", *args],
            executable=f"/proc/self/fd/{file}",
            pass_fds=[file],
            preexec_fn=become if uid else None,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    def test_names_that_nobody_has(self):
        for option in ("user", "group"):
            done = self.refused("-u", "a:b", f"--proc-{option}=no-such-one")
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr, rf"there is no {option} no-such-one; set proc-{option}")

    def test_capabilities_that_no_root_has(self):
        """They do not go with the user, as root's do, and each thread has its own (AmbientCapabilities=)."""
        turnd = [TURND, *BASE, "-n", "-m", "2", "-u", f"{USER}:{PASSWORD}", "--prometheus", "--prometheus-port=0"]
        turnd += ["--redis-statsdb=ip=127.0.0.1 port=1"]
        stund = [TURND.parent / "viaduct-stund", "-L", "127.0.0.1", "--metrics-listen=127.0.0.1:0"]
        for user in ([], ["--proc-user=nobody"], ["--proc-user=daemon"]):  # his own name changes nothing
            self.check_capabilities([*turnd, *user], 5)  # main, two workers, metrics, redis-statsdb
            self.check_capabilities([*stund, *user], 3)

    def check_capabilities(self, daemon, thread_count):
        had = "+setuid,+setgid,+net_bind_service,+net_admin"
        command = ["setpriv", f"--reuid={NOBODY.pw_uid}", "--clear-groups", f"--inh-caps={had}", f"--ambient-caps={had}"]
        command += [*daemon, "--listening-port=0"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertTrue(any(" ready " in line for line in process.stderr))
        threads = list(self.status_of_threads(process.pid))
        self.assertGreaterEqual(len(threads), thread_count)
        for status in threads:
            self.assertEqual([int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")], [0] * 4)

    def test_only_root_can(self):
        done = self.refused("-u", "a:b", "-E", "127.0.0.1", "--proc-user=daemon", uid=NOBODY.pw_uid)
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, r"cannot go on as daemon: Operation not permitted; start it as root")

    def test_stund(self):
        stund = TURND.parent / "viaduct-stund"
        process = subprocess.Popen([stund, "-L", "127.0.0.1", "--listening-port=0", *self.DROP], stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stderr.close)
        self.assertTrue(any(" ready " in line for line in process.stderr))
        for status in self.status_of_threads(process.pid):
            self.assertEqual((status["Uid"].split()[1], status["Gid"].split()[1]), (str(NOBODY.pw_uid), str(NOBODY.pw_gid)))
            self.assertEqual((int(status["CapEff"], 16), status["NoNewPrivs"]), (0, "1"))


class Drain(OpsCase):
    def notified(self):
        path = str(self.folder / "notify")
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.bind(path)
        s.settimeout(PATIENCE_S)
        self.addCleanup(s.close)
        return s, {"NOTIFY_SOCKET": path}

    def ends_by_itself(self, turnd):
        self.assertEqual(turnd.process.wait(PATIENCE_S), 0)

    def health(self, turnd):
        try:
            return turnd.http("/healthz")
        except urllib.error.HTTPError as e:
            with e:
                return e.code

    def test_the_last_session_ends_it(self):
        notify, env = self.notified()
        turnd = self.start("-m", "3", env=env)
        self.assertEqual(notify.recv(100), b"READY=1")
        sessions = [self.allocated(turnd, t) for t in ("udp", "tcp", "udp", "tcp", "udp")]
        turnd.wait_metric("viaduct_turn_allocations", len(sessions))
        self.assertEqual((self.health(turnd), turnd.metric("viaduct_turn_draining")), ("ok\n", 0))
        turnd.process.send_signal(signal.SIGUSR1)
        turnd.wait_line(r" draining sessions=5 ")
        self.assertEqual(notify.recv(100), b"STATUS=draining: 5 sessions are left")
        self.assertEqual((self.health(turnd), turnd.metric("viaduct_turn_draining")), (503, 1))
        for transport in ("udp", "tcp"):
            c = self.client(turnd, transport)
            self.assert_code(508, c.allocate)
            c.binding()
        for c in sessions:
            self.assertEqual(c.refresh(), 600)
            self.check_echo(c, self.peer())
        self.assertEqual(sessions.pop().refresh(0), 0)
        sessions.pop(1).close()
        turnd.wait_metric("viaduct_turn_allocations", 3)
        turnd.process.send_signal(signal.SIGUSR1)
        turnd.wait_line(r" draining sessions=3 ")
        self.assertEqual(notify.recv(100), b"STATUS=draining: 3 sessions are left")
        for c in sessions:
            self.check_echo(c, self.peer(), 0x4001)
            c.refresh(0)
        self.ends_by_itself(turnd)
        turnd.wait_line(r" stopping reason=drained$")
        self.assertEqual(notify.recv(100), b"STOPPING=1")

    def test_without_sessions_it_ends_at_once(self):
        turnd = self.start("-m", "2")
        turnd.process.send_signal(signal.SIGUSR1)
        self.ends_by_itself(turnd)

    def test_sigterm_does_not_wait(self):
        turnd = self.start()
        self.allocated(turnd)
        turnd.wait_metric("viaduct_turn_allocations", 1)
        turnd.process.send_signal(signal.SIGUSR1)
        turnd.wait_line(r" draining sessions=1 ")
        turnd.process.send_signal(signal.SIGTERM)
        self.ends_by_itself(turnd)


class Logs(OpsCase):
    def test_logrotate(self):
        """The file is moved away and SIGHUP comes; nothing is lost, as another user too."""
        logs = self.folder / "logs"
        logs.mkdir()
        os.chown(logs, NOBODY.pw_uid, NOBODY.pw_gid)
        file, moved = logs / "turnd.log", logs / "turnd.log.1"
        turnd = self.start(f"--log-file={file}", "--simple-log", "--proc-user=nobody")
        self.assertEqual(file.stat().st_uid, NOBODY.pw_uid)
        self.allocated(turnd)
        turnd.wait_line("allocation-created")
        file.rename(moved)
        self.allocated(turnd)
        turnd.wait_line("allocation-created")
        self.assertEqual(moved.read_text().count("allocation-created"), 2)
        turnd.process.send_signal(signal.SIGHUP)
        turnd.wait_line(r"\breloaded\b")
        self.allocated(turnd)
        turnd.wait_line("allocation-created")
        self.assertEqual(moved.read_text().count("allocation-created"), 2)
        self.assertEqual(file.read_text().count("allocation-created"), 1)
        self.assertIn(" reloaded ", file.read_text())

    def test_a_file_that_cannot_be_opened_again(self):
        file = self.folder / "turnd.log"
        turnd = self.start(f"--log-file={file}", "--proc-user=nobody")
        file.rename(self.folder / "moved")
        turnd.process.send_signal(signal.SIGHUP)
        turnd.wait_line(r"log-file-kept why=\"cannot open the log file \S+turnd.log: Permission denied")
        self.assertIn("log-file-kept", (self.folder / "moved").read_text())

    def test_verbose_and_anonymous_while_it_runs(self):
        config = self.write("turnserver.conf", "")
        turnd = self.start("-c", config)
        c = self.allocated(turnd)
        self.assert_code(403, c.create_permission, "10.0.0.1")
        line = turnd.wait_line("allocation-created")
        self.assertIn(f"client=127.0.0.1:{c.address[1]} ", line)
        self.assertIn(f"relayed=127.0.0.1:{c.relayed[1]} ", line)
        config = self.write("turnserver.conf", "verbose\nlog-anonymize\n")
        turnd.process.send_signal(signal.SIGHUP)
        turnd.wait_line(r"\breloaded\b")
        self.assertFalse([line for line in turnd.lines if " debug turnd " in line])
        self.assert_code(403, c.create_permission, "10.0.0.1")
        self.assertRegex(turnd.wait_line(r" debug turnd "), r"peer=10\.0\.0\.0(:\d+)? client=127\.0\.0\.0:|client=127\.0\.0\.0:\d+")
        c = self.allocated(turnd)
        line = turnd.wait_line("allocation-created")
        self.assertIn(f"client=127.0.0.0:{c.address[1]} ", line)
        self.assertIn(f"relayed=127.0.0.0:{c.relayed[1]} ", line)
        self.assertNotIn("127.0.0.1", line)

    def test_json_lines(self):
        config = self.write("turnserver.conf", "json-log\n")
        command = [TURND, *BASE, "--listening-port=0", "-u", f"{USER}:{PASSWORD}", "-c", config]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        lines = []
        for line in process.stderr:
            lines.append(json.loads(line))
            if lines[-1]["event"] == "ready":
                process.terminate()
        self.assertEqual(process.wait(PATIENCE_S), 0)
        self.assertEqual(lines[-1]["event"], "stopping")

    def test_the_systems_log(self):
        """With a /dev of its own, in which this test listens at /dev/log."""
        dev = self.folder / "dev"
        dev.mkdir()
        for name in ("null", "random", "urandom"):
            (dev / name).symlink_to(f"/proc/1/root/dev/{name}")
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.bind(str(dev / "log"))
        os.chmod(dev / "log", 0o666)
        s.settimeout(PATIENCE_S)
        self.addCleanup(s.close)
        command = [TURND, *BASE, "-n", "--listening-port=0", "-u", f"{USER}:{PASSWORD}", "--proc-user=nobody"]
        mount = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /dev && exec "$@"', str(dev)]
        options = ["--syslog", "--syslog-facility=LOG_LOCAL3", "--no-stdout-log"]
        process = subprocess.Popen([*mount, *command, *options], stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        text = ""
        while "]: ready " not in text:
            text = s.recv(8192).decode()
            # <facility 19 * 8 + severity>Mon dd hh:mm:ss program[pid]: event
            self.assertRegex(text, rf"^<15[5689]>[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d viaduct-turnd\[{process.pid}\]: [a-z0-9-]+ ")
        process.terminate()
        self.assertEqual(process.wait(PATIENCE_S), 0)
        self.assertEqual(process.stderr.read(), "")
        self.assertIn("]: stopping ", s.recv(8192).decode())

    def test_no_log_daemon(self):
        """As in a container: the lines go to standard error, which says so, and to whoever comes."""
        dev = self.folder / "dev"
        dev.mkdir()
        for name in ("null", "random", "urandom"):
            (dev / name).symlink_to(f"/proc/1/root/dev/{name}")
        mount = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /dev && exec "$@"', str(dev)]
        command = [TURND, *BASE, "-n", "--listening-port=0", "-u", f"{USER}:{PASSWORD}", "-l", "syslog", "--no-stdout-log"]
        process = subprocess.Popen([*mount, *command], stderr=subprocess.PIPE, text=True, cwd=self.folder)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        self.assertRegex(process.stderr.readline(), r"syslog-silent why=\"nobody takes the system's log at /dev/log: No such file")
        self.assertTrue(any(" ready " in line for line in process.stderr))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(str(dev / "log"))
            s.settimeout(PATIENCE_S)
            process.terminate()
            self.assertIn("]: stopping ", s.recv(8192).decode())
        self.assertEqual(process.wait(PATIENCE_S), 0)


class Control(OpsCase):
    VIADUCT = TURND.parent / "viaduct"

    def setUp(self):
        super().setUp()
        self.path = str(self.folder / "control")

    def start(self, *args, **options):
        return super().start(f"--control-socket={self.path}", *args, **options)

    def ask(self, *words, status=0):
        """The answer's lines, by the front command."""
        done = subprocess.run([self.VIADUCT, "control", self.path, *words], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, status, done.stderr + done.stdout)
        return [json.loads(line) for line in done.stdout.split("\n") if line]

    def raw(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(PATIENCE_S)
        s.connect(self.path)
        self.addCleanup(s.close)
        return s

    def read_all(self, s):
        data = b""
        while more := s.recv(65536):
            data += more
        return data

    def test_status_and_sessions(self):
        turnd = self.start("-m", "3")
        clients = [self.allocated(turnd, t) for t in ("udp", "tcp", "udp")]
        p = self.peer()
        self.check_echo(clients[0], p)
        turnd.wait_metric("viaduct_turn_allocations", 3)
        (status,) = self.ask("status")
        self.assertEqual((status["pid"], status["workers"], status["sessions"]), (turnd.process.pid, 3, 3))
        self.assertEqual((status["draining"], status["log_level"]), (False, "info"))
        *sessions, end = self.ask("sessions")
        self.assertEqual(end, {"shown": 3, "sessions": 3})
        self.assertEqual(len({s["id"] for s in sessions}), 3)
        for c in clients:
            (s,) = [s for s in sessions if s["relayed"] == ["%s:%d" % c.relayed]]
            self.assertEqual((s["user"], s["client"], s["transport"]), (USER, "%s:%d" % c.address, c.transport))
            self.assertEqual(s["server"], "%s:%d" % turnd.server())
            self.assertTrue(590 <= s["left_s"] <= 600 and s["age_s"] < 10, s)
        (s,) = [s for s in sessions if s["channels"]]
        self.assertEqual((s["from_client_packets"], s["from_client_bytes"], s["from_peer_bytes"]), (1, 5, 5))
        self.assertEqual(len(self.ask("sessions", "2")), 3)
        self.assertEqual(self.ask("sessions", "2")[-1], {"shown": 2, "sessions": 3})
        self.assertEqual(turnd.stop(), 0)
        self.assertFalse(os.path.exists(self.path))

    def test_what_another_worker_carries(self):
        """The kernel chooses the worker of each data connection (RFC 6062): of sixteen, some are not their allocation's."""
        turnd = self.start("--relay-threads=2")
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(PATIENCE_S)
        self.addCleanup(listener.close)
        control = self.client(turnd, "tcp")
        control.request(turn_client.ALLOCATE, [(turn_client.REQUESTED_TRANSPORT, bytes([6, 0, 0, 0]))])
        for count in range(1, 17):
            connected = control.peer_request(CONNECT, listener.getsockname())
            peer = listener.accept()[0]
            data = self.client(turnd, "tcp")
            data.request(CONNECTION_BIND, [(CONNECTION_ID, connected.get(CONNECTION_ID))])
            data.socket.sendall(b"hello")
            self.assertEqual(peer.recv(5, socket.MSG_WAITALL), b"hello")
            peer.sendall(b"hi")
            self.assertEqual(data.socket.recv(2, socket.MSG_WAITALL), b"hi")
            if count % 2 == 0:  # counted while it lasts, and with its end
                self.wait_carried(5 * count, 2 * count)
            peer.close()
            data.close()
            self.wait_carried(5 * count, 2 * count)
            turnd.wait_metric("viaduct_turn_peer_connections", 0)  # and the same peer may be asked for again

    def wait_carried(self, up, down):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            s = self.ask("sessions")[0]
            got = s["from_client_bytes"], s["from_peer_bytes"]
            if got == (up, down):
                return
            self.assertLess(time.monotonic(), deadline, f"{got} is not {(up, down)}")

    def test_close(self):
        hostile = 'x";\t\u2028%s\x7f'
        turnd = self.start("-m", "2", "-u", "17:other", "-u", f"{hostile}:third")
        bob, ann, strange = (self.client(turnd, t) for t in ("udp", "tcp", "udp"))
        ann.username, ann.password = "17", "other"
        strange.username, strange.password = hostile, "third"
        for c in (bob, ann, strange):
            c.allocate()
        turnd.wait_metric("viaduct_turn_allocations", 3)
        ids = {s["user"]: s["id"] for s in self.ask("sessions")[:-1]}
        self.assertEqual(set(ids), {USER, "17", hostile})
        self.assertEqual(self.ask("close", "nobody"), [{"closed": 0}])
        self.assertEqual(self.ask("close", "999999"), [{"closed": 0}])
        self.assertEqual(self.ask("close", "user=17"), [{"closed": 1}])
        self.assert_code(437, ann.refresh)
        self.assertEqual(self.ask("close", str(ids[hostile])), [{"closed": 1}])
        self.assert_code(437, strange.refresh)
        bob.refresh()
        self.assertEqual(self.ask("close", USER), [{"closed": 1}])
        self.assert_code(437, bob.refresh)
        turnd.wait_line(r"allocation-deleted .*username=bob reason=operator")
        bob.allocate()

    def test_a_time_limited_user(self):
        turnd = self.start("--static-auth-secret=north", user=False)
        c = self.client(turnd)
        c.username, c.password = turn_client.rest_credentials("north", "carol")
        c.allocate()
        self.assertEqual(self.ask("sessions")[0]["user"], c.username)
        self.assertEqual(self.ask("close", "carol"), [{"closed": 1}])
        self.assert_code(437, c.refresh)

    def test_levels(self):
        config = self.write("turnserver.conf", "")
        turnd = self.start("-c", config)
        c = self.allocated(turnd)
        self.assertIn("done", self.ask("log-level", "debug")[0])
        self.assertEqual(self.ask("status")[0]["log_level"], "debug")
        self.assert_code(403, c.create_permission, "10.0.0.1")
        turnd.wait_line(r" debug turnd ")
        self.assertIn("error", self.ask("log-level", "loud", status=1)[0])
        self.ask("log-level", "error")
        self.allocated(turnd)
        self.ask("log-level", "info")
        self.allocated(turnd)
        turnd.wait_line("allocation-created")
        self.assertEqual(len([line for line in turnd.lines if "allocation-created" in line]), 2)
        self.ask("log-level", "error")
        self.assertIn("done", self.ask("reload")[0])
        self.assertEqual(self.ask("status")[0]["log_level"], "info")
        self.write("turnserver.conf", "no-such-key=1\n")
        self.assertRegex(self.ask("reload", status=1)[0]["error"], r"turnserver.conf:1: .*no-such-key")

    def test_drain(self):
        turnd = self.start()
        c = self.allocated(turnd)
        self.ask("drain")
        self.assertTrue(self.ask("status")[0]["draining"])
        c.refresh(0)
        self.assertEqual(turnd.process.wait(PATIENCE_S), 0)

    def test_only_its_owner(self):
        turnd = self.start("--proc-user=nobody")
        st = os.stat(self.path)
        self.assertEqual((stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid), (0o600, NOBODY.pw_uid, NOBODY.pw_gid))
        self.assertTrue(stat.S_ISSOCK(st.st_mode))
        self.assertEqual(self.ask("status")[0]["sessions"], 0)
        other = pwd.getpwnam("daemon").pw_uid
        code = f"import os,socket\nos.setresuid({other},{other},{other})\nsocket.socket(socket.AF_UNIX).connect({self.path!r})"
        done = subprocess.run(["/usr/bin/python3", "-c", code], capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertIn("PermissionError", done.stderr)
        turnd.stop()

    def test_a_path_that_is_taken(self):
        first = self.start()
        done = subprocess.run(
            [TURND, *BASE, "-n", "-u", "a:b", "--listening-port=0", f"--control-socket={self.path}"],
            capture_output=True, text=True, timeout=PATIENCE_S,
        )
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, "another process listens at control-socket")
        self.ask("status")
        first.stop(signal.SIGKILL)
        self.assertTrue(os.path.exists(self.path))  # left behind, and no obstacle
        self.start()
        self.ask("status")
        file = self.write("file", "mine")
        done = subprocess.run(
            [TURND, *BASE, "-n", "-u", "a:b", "--listening-port=0", f"--control-socket={file}"],
            capture_output=True, text=True, timeout=PATIENCE_S,
        )
        self.assertRegex(done.stderr, "is there and no socket; name another file")
        self.assertEqual(pathlib.Path(file).read_text(), "mine")

    def test_hostile_lines(self):
        turnd = self.start()
        for line in (b"\n", b"\0\n", b"status\0\n", b"STATUS\n", b"sessions 0\n", b"sessions 1001\n", b"sessions -1\n",
                     b"close\n", b"close \n", b"log-level\n", b"x" * 1000 + b"\n", b"close " + b"9" * 500 + b"\n"):
            with self.subTest(line[:20]):
                s = self.raw()
                s.sendall(line)
                answer = json.loads(self.read_all(s))
                self.assertTrue("error" in answer or answer == {"closed": 0}, answer)
        s = self.raw()  # too long, and never ended
        s.sendall(b"y" * 2000)
        try:
            self.assertEqual(self.read_all(s), b"")
        except ConnectionResetError:
            pass
        s = self.raw()  # one byte at a time, then the other half closed; what comes behind is not read
        for byte in b"status\r\n":
            s.sendall(bytes([byte]))
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(json.loads(self.read_all(s))["sessions"], 0)
        crowd = []
        for _ in range(40):  # more than there may be: the others are closed, and nobody else is hurt
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.addCleanup(s.close)
            s.connect(self.path)
            crowd.append(s)
        self.allocated(turnd)
        for s in crowd:
            s.close()
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.assertEqual(self.ask("status")[0]["sessions"], 1)
                break
            except AssertionError:
                self.assertLess(time.monotonic(), deadline)

    def test_the_front_command(self):
        self.assertEqual(subprocess.run([self.VIADUCT, "control", "--help"], capture_output=True).returncode, 0)
        for args, status in (([], 2), ([self.path], 2), ([self.path, "status"], 3), ([self.path, "a\nb"], 2), ([self.path, "x" * 1024], 2)):
            self.assertEqual(subprocess.run([self.VIADUCT, "control", *args], capture_output=True).returncode, status, args)


class Figures(OpsCase):
    LABEL = re.compile(r'^viaduct_turn_(\w+)\{listener="([^"]*)",transport="(\w+)",realm="((?:[^"\\]|\\.)*)"(?:,direction="([\w-]+)")?\} (\d+)$', re.M)

    def rows(self, turnd, path="/metrics"):
        """{(family, transport): value} of what is not 0; each has the listener of its transport and the realm."""
        found = {}
        for family, listener, transport, realm, direction, value in self.LABEL.findall(turnd.http(path)):
            if int(value):
                found[(family, transport, direction)] = int(value)
                kinds = {"udp": ("udp",), "tcp": ("tcp",), "tls": ("tls", "tcp"), "dtls": ("dtls", "udp")}[transport]
                ports = {p for (t, ip), p in turnd.listening.items() if t in kinds and ip == "127.0.0.1"}
                self.assertIn(listener, {f"127.0.0.1:{p}" for p in ports})
                self.assertEqual(realm, self.realm)
        return found

    def test_they_move_while_a_session_runs(self):
        self.realm = "example.org"
        files = test_turnd_tls.FILES
        turnd = self.start("-m", "2", "--cert", files.cert, "--pkey", files.key, "--tls-listening-port=0")
        secure = "127.0.0.1", next(p for (t, _), p in turnd.listening.items() if t == "tls")
        self.assertEqual(self.rows(turnd), {})
        udp, tcp, tls = self.client(turnd), self.client(turnd, "tcp"), self.client(turnd, "tcp", address=secure)
        tls.socket = tls_context().wrap_socket(tls.socket, server_hostname="localhost")
        dtls = test_turnd_tls.DtlsClient(secure)
        self.addCleanup(dtls.close)
        for transport, c in (("udp", udp), ("tcp", tcp), ("tls", tls), ("dtls", dtls)):
            p = self.peer()
            c.allocate()
            c.channel_bind(0x4000, p.address)
            one = ("sessions", transport, ""), ("sessions_created_total", transport, "")
            for round in (1, 2, 3):
                c.send_channel(0x4000, b"12345")
                data, source = p.receive()
                self.assertEqual(data, b"12345")
                p.socket.sendto(b"123", source)
                self.assertEqual(c.receive()[1], b"123")
                want = {key: 1 for key in one}
                want |= {("relayed_packets_total", transport, d): round for d in ("from-client", "from-peer")}
                want |= {("relayed_bytes_total", transport, d): round * n for d, n in (("from-client", 5), ("from-peer", 3))}
                self.wait_rows(turnd, transport, want)
            c.refresh(0)
            del want[one[0]]
            self.wait_rows(turnd, transport, want)
        self.assertEqual(turnd.metric("viaduct_turn_from_client_bytes_total"), 4 * 15)
        self.assertEqual(turnd.metric("viaduct_turn_from_peer_packets_total"), 4 * 3)

    def wait_rows(self, turnd, transport, want):
        deadline = time.monotonic() + PATIENCE_S
        while (now := {k: v for k, v in self.rows(turnd).items() if k[1] == transport}) != want:
            self.assertLess(time.monotonic(), deadline, f"{now} is not {want}")
            time.sleep(0.01)

    def test_a_realm_that_needs_escapes_and_another_path(self):
        self.realm = 'a\\\\b\\"c'
        turnd = self.start("-r", 'a\\b"c', "--prometheus-path=/figures")
        self.allocated(turnd)
        deadline = time.monotonic() + PATIENCE_S
        while self.rows(turnd, "/figures") != {("sessions", "udp", ""): 1, ("sessions_created_total", "udp", ""): 1}:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        with self.assertRaises(urllib.error.HTTPError) as caught:
            turnd.http("/metrics")
        with caught.exception as answer:
            self.assertEqual((answer.code, answer.read()), (404, b"here are /figures and /healthz\n"))

    def test_a_path_that_is_none(self):
        for path in ("metrics", "/", "/a b", "/a?b"):
            done = subprocess.run([TURND, *BASE, "-n", "-u", "a:b", f"--prometheus-path={path}"], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr, "prometheus-path.* must be a path like /metrics")


if __name__ == "__main__":
    unittest.main(verbosity=2)
