#!/usr/bin/python3
"""A thread of viaduct-turnd that fails or hangs: never half of the service, silently."""

import os
import pathlib
import re
import signal
import socket
import tempfile
import time
import unittest

from test_turnd import PATIENCE_S, Turnd
from up_instance import Up, stun_binding, wait_until

SHIM = os.environ.get("VIADUCT_SHIM_EPOLL", "build/tests/shim_epoll_fault.so")
ARGS = ["-u", "a:b", "-L", "127.0.0.1", "-E", "127.0.0.1", "--relay-threads=2"]


class Faults(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="viaduct-faults-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.env = {"LD_PRELOAD": SHIM, "VIADUCT_FAULTS": str(self.folder)}

    def start(self, **env):
        turnd = Turnd(*ARGS, env={**self.env, **env})
        self.addCleanup(self.end, turnd)
        return turnd

    def end(self, turnd):
        if turnd.process.poll() is None:
            turnd.process.kill()
        turnd.stop()

    def break_one(self, server, fault):
        """The workers wake up, and one of them finds it: whoever does answers nothing more, so nobody waits for that."""
        (self.folder / fault).touch()
        deadline = time.monotonic() + PATIENCE_S
        request = bytes.fromhex("000100002112a442") + bytes(12)
        while (self.folder / fault).exists():
            self.assertLess(time.monotonic(), deadline, "nobody had the fault")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.sendto(request, server)
            time.sleep(0.01)

    def gives_up(self, turnd):
        self.assertEqual(turnd.process.wait(PATIENCE_S), 1)
        turnd.reader.join(PATIENCE_S)
        while (line := turnd.fresh.get()) is not None:
            turnd.lines.append(line)
        return turnd.lines

    def test_a_worker_that_fails_ends_the_process(self):
        turnd = self.start()
        self.break_one(turnd.server(), "worker-fails")
        lines = self.gives_up(turnd)
        self.assertTrue([line for line in lines if re.search(r"error turnd worker-died worker=[01] why=", line)], lines)
        self.assertTrue([line for line in lines if 'gives-up why="viaduct-turnd gives up: a thread ended' in line], lines)

    def test_a_main_thread_that_fails_ends_the_process(self):
        turnd = self.start()
        (self.folder / "main-fails").touch()
        turnd.process.send_signal(signal.SIGHUP)
        lines = self.gives_up(turnd)
        self.assertTrue([line for line in lines if "the event loop of the main thread failed" in line], lines)

    def test_viaduct_up_starts_it_again(self):
        os.environ.update(self.env)
        self.addCleanup(lambda: [os.environ.pop(name) for name in self.env])
        up = Up(self).running()
        self.break_one(("127.0.0.1", up.turn), "worker-fails")
        wait_until("the second start", lambda: up.log().count("server-ready server=turnd") == 2)
        self.assertIn('server-stopped server=turnd reason="exit status 1"', up.log())
        self.assertEqual(stun_binding(up.turn), b"\x01\x01")

    def test_viaduct_up_ends_one_that_hangs(self):
        os.environ.update(self.env)
        self.addCleanup(lambda: [os.environ.pop(name) for name in self.env])
        up = Up(self).running()
        (self.folder / "worker-hangs").touch()
        wait_until("the second start", lambda: up.log().count("server-ready server=turnd") == 2, 60)
        self.assertIn('server-killed server=turnd reason="its watchdog has been silent for 20 seconds"', up.log())
        self.assertRegex(up.log(), "worker-stuck worker=")

    def watched(self, **env):
        """A socket that gets what the daemon says to its supervisor, and the daemon."""
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(notify.close)
        notify.bind(str(self.folder / "notify"))
        notify.settimeout(PATIENCE_S)
        turnd = self.start(NOTIFY_SOCKET=str(self.folder / "notify"), **env)
        self.assertEqual(notify.recv(100), b"READY=1")
        return notify, turnd

    def test_a_worker_that_hangs_is_told_to_the_watchdog(self):
        notify, turnd = self.watched(WATCHDOG_USEC="400000")
        for _ in range(3):
            self.assertEqual(notify.recv(100), b"WATCHDOG=1")
        self.break_one(turnd.server(), "worker-hangs")
        turnd.wait_line(r"error turnd worker-stuck worker=[01] ")
        # It never comes back, so neither does the word; what was said before waits in the socket.
        notify.setblocking(False)
        with self.assertRaises(BlockingIOError):
            while True:
                notify.recv(100)
        for _ in range(3):
            turnd.wait_line(r"worker-stuck")
        self.assertRaises(BlockingIOError, notify.recv, 100)

    def test_without_a_watchdog_nobody_wakes_up(self):
        for env in ({}, {"WATCHDOG_USEC": "10000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}):
            notify, turnd = self.watched(**env)
            notify.settimeout(0.3)
            self.assertRaises(TimeoutError, notify.recv, 100)
            self.assertEqual(turnd.stop(), 0)
            (self.folder / "notify").unlink()


if __name__ == "__main__":
    unittest.main()
