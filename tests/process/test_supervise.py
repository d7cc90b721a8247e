#!/usr/bin/python3
"""viaduct up over servers that misbehave in ways in which the real ones do not: small scripts in their place."""
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import tempfile
import time
import unittest

from up_instance import BIN, DEADLINE, SERVERS, Up, free_ports, is_alive, wait_until

SERVER = """#!/usr/bin/python3
import os, signal, socket, sys, time
def ready():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect(os.environ["NOTIFY_SOCKET"])
    s.send(b"READY=1")
def say(text):
    os.write(2, text.encode() + b"\\n")
def wait():
    while True:
        signal.pause()
signal.signal(signal.SIGTERM, lambda *a: os._exit(0))
signal.signal(signal.SIGHUP, lambda *a: say("hung up"))
here = os.path.dirname(os.path.abspath(sys.argv[0]))
def until(name):
    while not os.path.exists(here + "/" + name):
        time.sleep(0.02)
def first(name):
    try:
        os.close(os.open(here + "/" + name, os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False
"""


class FakeServers(unittest.TestCase):
    """`viaduct` finds its servers beside itself, so a copy of it finds these."""

    def fake(self, **bodies):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="viaduct-fake-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        shutil.copy(BIN / "viaduct", folder / "viaduct")
        for name in SERVERS:
            path = folder / f"viaduct-{name}"
            path.write_text(SERVER + bodies.get(name, "ready()\nwait()\n"))
            path.chmod(0o755)
        return folder / "viaduct"

    def test_crash_after_the_start_backs_off(self):
        up = Up(self, viaduct=self.fake(stund="ready()\nsay('about to fall')\nos._exit(7)\n")).running()
        wait_until("four crashes", lambda: up.log().count("server-stopped server=stund") >= 4)
        waits = re.findall(r'server=stund reason="exit status 7" again_in_ms=(\d+) last="about to fall"', up.log())
        self.assertEqual(waits[:4], ["250", "500", "1000", "2000"])

    def test_status_3_at_a_restart_is_tried_again(self):
        viaduct = self.fake(turnd="if first('a'):\n    ready()\n    until('go')\n    os._exit(1)\n"
                                  "if first('b'): say('port 5 is taken'); os._exit(3)\nready(); wait()\n")
        up = Up(self, viaduct=viaduct).running()
        (viaduct.parent / "go").touch()
        wait_until("the third start", lambda: up.log().count("server-ready server=turnd") == 2)
        self.assertIn('reason="exit status 3" again_in_ms=500 last="port 5 is taken"', up.log())

    def test_crash_while_starting_is_tried_again(self):
        up = Up(self, viaduct=self.fake(signald="if first('a'): os.abort()\nready(); wait()\n")).running()
        self.assertIn('server=signald reason="signal 6 (SIGABRT)', up.log())

    def test_failing_start_is_told_once(self):
        for status in [2, 3]:
            up = Up(self, viaduct=self.fake(signald=f"say('first'); say('the one line'); os._exit({status})\n"))
            self.assertEqual(up.ended(), status)
            self.assertEqual([line for line in up.stderr if "the one line" in line],
                             ["the one line" + (" (viaduct up: --http-port, --https-port, --metrics-port)"
                                                if status == 3 else "")])
            self.assertEqual(up.stderr[-1].split(" (")[0], "the one line")
            self.assertIn("first", up.log())
            for pid in up.pids().values():
                self.assertFalse(is_alive(pid))

    def test_silent_failure(self):
        up = Up(self, viaduct=self.fake(stund="os._exit(2)\n"))
        self.assertEqual(up.ended(), 2)
        self.assertEqual(up.stderr[-1], "viaduct-stund could not start: exit status 2")

    def test_never_ready(self):
        up = Up(self, viaduct=self.fake(turnd="say('thinking'); wait()\n"))
        self.assertEqual(up.ended(), 1)
        self.assertEqual(up.stderr[-1], "viaduct-turnd could not start: it was not ready within 15 seconds; "
                                        "its last line: thinking")
        for pid in up.pids().values():
            self.assertFalse(is_alive(pid))

    def test_readiness_of_somebody_else_does_not_count(self):
        viaduct = self.fake(turnd="until('go')\nready(); wait()\n")
        up = Up(self, viaduct=viaduct)
        wait_until("the others", lambda: len(up.pids("server-ready")) == 2)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.connect(str(up.state / "notify"))
            s.send(b"READY=1")
            s.send(b"X" * 4000)
        # poll(2) reported both by now: what came before the signal has been read
        up.process.send_signal(signal.SIGHUP)
        wait_until("the reload", lambda: " up reload " in up.log())
        self.assertNotIn("turnd", up.pids("server-ready"))
        (viaduct.parent / "go").touch()
        up.running()

    def test_a_server_that_does_not_stop_is_killed(self):
        up = Up(self, viaduct=self.fake(turnd="signal.signal(signal.SIGTERM, signal.SIG_IGN)\nready()\nwait()\n")).running()
        pid = up.pids()["turnd"]
        begin = time.monotonic()
        up.process.terminate()
        self.assertEqual(up.ended(), 0)
        self.assertGreater(time.monotonic() - begin, 4.5)
        self.assertFalse(is_alive(pid))
        self.assertIn('server-killed server=turnd reason="it did not stop within 5 seconds"', up.log())

    def test_output_is_kept_whole_and_bounded(self):
        body = ("ready()\nos.write(1, b'half ')\ntime.sleep(0.1)\nos.write(1, b'a line\\n')\n"
                "os.write(2, b'y' * 100000 + b'\\n')\nos.write(2, b'\\x1b[2Jevil\\r\\n')\n"
                "os.write(2, b'no newline')\nos._exit(0)\n")
        up = Up(self, viaduct=self.fake(turnd=body)).running()
        wait_until("the last line", lambda: 'last="no newline"' in up.log())
        lines = up.log().splitlines()
        self.assertIn("half a line", lines)
        self.assertIn("y" * 4096 + "...", lines)
        self.assertIn("?[2Jevil", lines)
        self.assertIn("no newline", lines)

    def test_hangup_is_passed_on(self):
        up = Up(self, viaduct=self.fake()).running()
        up.process.send_signal(signal.SIGHUP)
        wait_until("three answers", lambda: up.log().count("hung up") == 3)

    def test_servers_have_only_their_own_descriptors(self):
        body = "say('fds ' + ' '.join(sorted(os.listdir('/proc/self/fd'))))\nready()\nwait()\n"
        up = Up(self, viaduct=self.fake(turnd=body)).running()
        # 0, 1, 2, and the one that lists the folder
        self.assertRegex(up.log(), r"fds 0 1 2 3\n")

    def test_log_is_bounded(self):
        body = "ready()\nfor i in range(9000): say('z' * 4000)\nsay('all said')\nwait()\n"
        up = Up(self, viaduct=self.fake(turnd=body)).running()
        wait_until("the end of the lines", lambda: "all said" in up.log()[-10000:])
        sizes = [(up.state / name).stat().st_size for name in ["viaduct.log", "viaduct.log.1"]]
        self.assertLessEqual(max(sizes), (16 << 20) + 8192)
        self.assertEqual(sorted(path.name for path in up.state.glob("viaduct.log*")), ["viaduct.log", "viaduct.log.1"])

    def test_terminal(self):
        """On a terminal only what matters is shown, and Ctrl-C there is for the supervisor alone."""
        interrupted = "signal.signal(signal.SIGINT, lambda *a: say('interrupted'))\n"
        viaduct = self.fake(turnd=interrupted + "say('2026-11-24T08:49:11.123Z info turnd quiet')\n"
                                                "say('2026-11-24T08:49:11.123Z warn turnd loud')\nready()\nwait()\n")
        with tempfile.TemporaryDirectory(prefix="viaduct-tty-") as folder:
            ports = [str(port) for port in free_ports(4)]
            pid, terminal = pty.fork()
            if pid == 0:
                os.execv(viaduct, [viaduct, "up", "--state-dir", folder, "--metrics-port", "0", "--http-port", ports[0],
                                   "--https-port", ports[1], "--turn-port", ports[2], "--turns-port", "0", "--stun-port", ports[3]])
            seen = b""
            while b"Ctrl-C stops everything." not in seen:
                self.assertTrue(select.select([terminal], [], [], DEADLINE)[0], seen)
                seen += os.read(terminal, 65536)
            os.write(terminal, b"\x03")
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
            os.close(terminal)
            log = (pathlib.Path(folder) / "viaduct.log").read_text()
        self.assertIn(b"warn turnd loud", seen)
        self.assertNotIn(b" info ", seen)
        self.assertIn("info turnd quiet", log)
        self.assertIn("stopping signal=SIGINT", log)
        self.assertNotIn("interrupted", log)

    def test_missing_program(self):
        viaduct = self.fake()
        (viaduct.parent / "viaduct-stund").unlink()
        up = Up(self, viaduct=viaduct)
        self.assertEqual(up.ended(), 2)
        self.assertIn("the program viaduct-stund is not in", up.stderr[-1])


if __name__ == "__main__":
    unittest.main()
