"""Where turnd, its clients and its peers stand. All of them on loopback; or, with VIADUCT_TEST_XDP=1, in a network of its own where
the kernel carries for turnd what it can (--xdp), and clients and peers are at the other end of a cable:

    turnd 10.1.0.1 -- 10.1.0.2 clients and peers
          fd01::1     fd01::2

So the same tests run both ways. HERE is what turnd listens at and relays from, THERE are clients and peers.
"""

import contextlib
import ctypes
import functools
import os
import platform
import socket
import struct
import subprocess
import unittest

WITH_XDP = os.environ.get("VIADUCT_TEST_XDP") == "1"
HERE, HERE_6, THERE, THERE_6 = ("10.1.0.1", "fd01::1", "10.1.0.2", "fd01::2") if WITH_XDP else ("127.0.0.1", "::1", "127.0.0.1", "::1")
OPEN = ["--allowed-peer-ip=10.1.0.0/24", "--allowed-peer-ip=fd01::/64"] if WITH_XDP else ["--allow-loopback-peers"]

CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000
SYS_BPF = {"x86_64": 321, "aarch64": 280}
BPF_PROG_LOAD, BPF_LINK_CREATE, BPF_PROG_TYPE_XDP, BPF_XDP = 5, 28, 6, 37
libc = ctypes.CDLL(None, use_errno=True)

SETUP = f"""
link set lo up
link add v0 type veth peer name c0
addr add {HERE}/24 dev v0
addr add {HERE_6}/64 dev v0 nodad
link set v0 up
"""
AWAY = f"""
link set lo up
addr add {THERE}/24 dev c0
addr add {THERE_6}/64 dev c0 nodad
link set c0 up
"""


def there(ip):
    """A client's or peer's address of the same family; one that is not the server's stays as it is."""
    return {HERE: THERE, HERE_6: THERE_6}.get(ip, ip)


def unshare():
    """This process, its threads and children to come: a network of their own."""
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWNET if uid == 0 else CLONE_NEWUSER | CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no network namespace; the tests need root or user namespaces")
    if uid != 0:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as f:
                f.write(text)


def ip(lines, pid=None):
    enter = [] if pid is None else ["nsenter", f"--net=/proc/{pid}/ns/net"]
    for line in lines.strip().splitlines():
        subprocess.run([*enter, "ip", *line.split()], check=True)


def bpf(command, layout, *values):
    attributes = ctypes.create_string_buffer(struct.pack(layout, *values).ljust(128, b"\0"), 128)
    fd = libc.syscall(SYS_BPF[platform.machine()], command, attributes, 128)
    if fd < 0:
        raise OSError(ctypes.get_errno(), f"bpf({command})")
    return fd


def take_frames(interface):
    """A program that lets all pass: only then a veth's end takes what a program at the other end sends. It goes with the descriptor."""
    code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xB7, 0, 0, 2, 0x95, 0, 0, 0))  # r0 = XDP_PASS; exit
    licence = ctypes.create_string_buffer(b"GPL")
    program = bpf(BPF_PROG_LOAD, "=IIQQ", BPF_PROG_TYPE_XDP, 2, ctypes.addressof(code), ctypes.addressof(licence))
    link = bpf(BPF_LINK_CREATE, "=IIII", program, socket.if_nametoindex(interface), BPF_XDP, 0)
    os.close(program)
    return link


class Place:
    """A network namespace that a process holds; sockets are made there, and used from here."""

    def __init__(self, interface, lines):
        command = ["unshare", "--net", "sh", "-c", "echo; exec sleep 600 >/dev/null"]
        self.holder = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        unittest.addModuleCleanup(self.close)
        self.holder.stdout.readline()
        ip(f"link set {interface} netns {self.holder.pid}")
        self.fd = os.open(f"/proc/{self.holder.pid}/ns/net", os.O_RDONLY)
        ip(lines, self.holder.pid)
        with self:
            self.link = take_frames(interface)

    def __enter__(self):
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        assert libc.setns(self.fd, CLONE_NEWNET) == 0

    def __exit__(self, *_):
        assert libc.setns(self.home, CLONE_NEWNET) == 0
        os.close(self.home)

    def close(self):
        os.close(self.link)
        os.close(self.fd)
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


@functools.cache
def begin():
    """Makes the network; the place of clients and peers, or why there is none."""
    try:
        unshare()
        ip(SETUP)
        return Place("c0", AWAY)
    except (OSError, subprocess.CalledProcessError) as e:
        return f"no network namespaces with veth and XDP here: {e}"


def away():
    """Sockets that are opened within are at the other end of the cable."""
    if not WITH_XDP:
        return contextlib.nullcontext()
    place = begin()
    if isinstance(place, str):
        raise unittest.SkipTest(place)
    return place


def xdp():
    """What turnd's command has more than without, and nothing without."""
    with away():
        return ["--xdp=v0"] if WITH_XDP else []
