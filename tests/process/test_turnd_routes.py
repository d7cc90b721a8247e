#!/usr/bin/python3
"""viaduct-turnd in a network of its own, with routes that lead nowhere and a router that complains.

    turnd 10.1.0.1 -- 10.1.0.2 router -- a link with a small MTU: 10.9.0.0/24
          fd01::1     fd01::2                                     fd09::/64

Whatever happens to a datagram for one peer, the allocation goes on and reaches the others.
"""

import os
import struct
import subprocess
import time
import unittest

import turn_client
from stage import ip, unshare
from test_turnd import PATIENCE_S, TurndCase

ICMP = 0x8004
DONT_FRAGMENT = [(turn_client.DONT_FRAGMENT, b"")]

SETUP = """
link set lo up
link add v0 type veth peer name v1
addr add 10.1.0.1/24 dev v0
addr add fd01::1/64 dev v0 nodad
link set v0 up
route add 10.9.0.0/16 via 10.1.0.2
route add unreachable 10.2.0.0/24
route add prohibit 10.3.0.0/24
route add blackhole 10.4.0.0/24
route add throw 10.5.0.0/24
-6 route add unreachable fd02::/64
-6 route add prohibit fd03::/64
-6 route add blackhole fd04::/64
-6 route add fd09::/16 via fd01::2
link add s0 type veth peer name s1
addr add 10.6.0.1/24 dev s0
addr add fd06::1/64 dev s0 nodad
link set s0 up
link set s1 up
neigh add 10.6.0.2 lladdr 02:00:00:00:00:02 dev s0
neigh add fd06::2 lladdr 02:00:00:00:00:02 dev s0
"""

# A link that takes a datagram in a second, and a queue that has room for all that the kernel lets a socket queue.
SLOW = "qdisc add dev s0 root tbf rate 8kbit burst 2000 limit 100000000"

ROUTER = """
link set lo up
addr add 10.1.0.2/24 dev v1
addr add fd01::2/64 dev v1 nodad
link set v1 up
link add d0 type veth peer name d1
link set d0 mtu 1280
addr add 10.9.0.1/24 dev d0
addr add fd09::1/64 dev d0 nodad
link set d0 up
link set d1 up
route add unreachable 10.9.1.0/24
route add prohibit 10.9.2.0/24
-6 route add unreachable fd09:1::/64
-6 route add prohibit fd09:2::/64
"""


def make_router(pid):
    """Forwards, and complains as often as there is a reason."""
    knobs = {"ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1, "ipv4/icmp_ratemask": 0, "ipv6/icmp/ratelimit": 0}
    script = "".join(f"echo {value} > /proc/sys/net/{name};" for name, value in knobs.items())
    subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "sh", "-ec", script], check=True)


def setUpModule():
    global router
    unshare()
    ip(SETUP)
    subprocess.run(["tc", *SLOW.split()], check=True)
    # The router is a process that does nothing but own the other end.
    router = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 600 >/dev/null"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    router.stdout.readline()
    unittest.addModuleCleanup(stop_router)
    ip(f"link set v1 netns {router.pid}")
    ip(ROUTER, router.pid)
    make_router(router.pid)


def stop_router():
    router.kill()
    router.wait()
    router.stdout.close()


class Faults(TurndCase):
    LISTEN = ["-L", "127.0.0.1", "-L", "::1", "-E", "10.1.0.1", "-E", "fd01::1"]
    ARGS = [*TurndCase.ARGS, "--allowed-peer-ip=10.0.0.0/8", "--allowed-peer-ip=fd00::/8"]

    def dual(self, transport="udp"):
        """One allocation that reaches both families, and a peer of each that lives."""
        c = self.client(transport)
        c.allocate(more=[(0x8000, bytes([2, 0, 0, 0]))])
        peers = [self.peer("10.1.0.1"), self.peer("fd01::1")]
        for p in peers:
            c.create_permission(p.address[0])
        return c, peers

    def check_alive(self, c, peers):
        for p in peers:
            payload = os.urandom(8)
            c.send_indication(p.address, payload)
            data, source = p.receive()
            self.assertEqual(data, payload)
            p.socket.sendto(b"back " + payload, source)
            self.assertEqual(c.receive(), (p.address, b"back " + payload))

    def icmp(self, c):
        """The next Data indication with ICMP: (peer, type, code, data)."""
        while True:
            message = turn_client.Message(c.waiting.pop(0) if c.waiting else c.read_frame(self.deadline()))
            value = message.get(ICMP)
            if value is not None:
                self.assertIsNone(message.get(turn_client.DATA_ATTRIBUTE))
                reserved, both, data = struct.unpack("!HHI", value)
                self.assertEqual(reserved, 0)
                return message.address(turn_client.XOR_PEER_ADDRESS), both >> 9, both & 0x1FF, data

    def deadline(self):
        return time.monotonic() + PATIENCE_S

    def check_unsent(self, ips):
        """The system refuses each at once: nothing is told, and nothing else suffers."""
        for transport in ("udp", "tcp"):
            c, peers = self.dual(transport)
            for peer_ip in ips:
                before = self.turnd.metric("viaduct_turn_udp_send_failures_total")
                c.create_permission(peer_ip)
                for _ in range(3):
                    c.send_indication((peer_ip, 9), b"lost")
                    self.check_alive(c, peers)
                self.turnd.wait_metric("viaduct_turn_udp_send_failures_total", before + 3)
            c.channel_bind(0x4001, (ips[0], 9))
            c.send_channel(0x4001, b"lost")
            self.check_alive(c, peers)
            self.assertEqual(c.refresh(600), 600)

    def test_no_route(self):  # ENETUNREACH
        self.check_unsent(["10.77.0.1", "fd77::1", "10.5.0.1"])

    def test_unreachable(self):  # EHOSTUNREACH
        self.check_unsent(["10.2.0.1", "fd02::1"])

    def test_prohibited(self):  # EACCES; a filter's EPERM takes the same way
        self.check_unsent(["10.3.0.1", "fd03::1"])

    def test_blackhole(self):  # EINVAL
        self.check_unsent(["10.4.0.1", "fd04::1"])

    def test_a_full_send_buffer(self):  # EAGAIN
        """What finds no room is dropped and counted. Nothing waits for it: what comes in and what other allocations send goes on."""
        full = 'viaduct_turn_dropped_total{reason="send-buffer-full"}'
        for transport, slow in (("udp", "10.6.0.2"), ("tcp", "fd06::2")):
            (c, peers), (d, others) = self.dual(transport), self.dual(transport)
            before = self.turnd.metric(full)
            relayed = []
            for p in peers:
                c.send_indication(p.address, b"where are you?")
                relayed.append(p.receive()[1])
            c.create_permission(slow)
            deadline = self.deadline()
            while self.turnd.metric(full) < before + 10:
                self.assertLess(time.monotonic(), deadline, "the buffer is never full")
                for _ in range(20):
                    c.send_indication((slow, 9), bytes(1100))
                self.check_alive(d, others)
            self.assertEqual(c.refresh(600), 600)
            for p, address in zip(peers, relayed):
                p.socket.sendto(b"in", address)
                self.assertEqual(c.receive(), (p.address, b"in"))
            self.assertEqual(c.refresh(0), 0)
            self.check_alive(d, others)

    def test_too_large_for_the_interface(self):  # EMSGSIZE, which no router has to say
        before = self.turnd.metric("viaduct_turn_udp_send_failures_total")
        # Towards IPv6, DONT-FRAGMENT counts from TCP alone (RFC 8656 section 13).
        for peer, answer in ((("10.1.0.2", 9), (3, 4)), (("fd01::2", 9), (2, 0))):
            c, peers = self.dual("tcp")
            c.create_permission(peer[0])
            c.send_indication(peer, bytes(2000), DONT_FRAGMENT)
            told, kind, code, mtu = self.icmp(c)
            # Of IPv4, the system does not tell the port.
            self.assertIn(told, (peer, (peer[0], 0)))
            self.assertEqual((kind, code, mtu), (*answer, 1500))
            self.check_alive(c, peers)
        self.turnd.wait_metric("viaduct_turn_udp_send_failures_total", before + 2)

    def check_told(self, peer, kind, code, data=0, size=4, more=(), times=3):
        for transport in ("udp", "tcp"):
            c, peers = self.dual(transport)
            c.create_permission(peer[0])
            c.send_indication(peer, bytes(size), list(more))
            self.assertEqual(self.icmp(c), (peer, kind, code, data))
            for _ in range(times):
                self.check_alive(c, peers)
                c.send_indication(peer, bytes(size), list(more))
            self.check_alive(c, peers)
            c.close()

    def test_port_unreachable(self):  # ECONNREFUSED
        self.check_told(("10.1.0.2", 9), 3, 3)
        self.check_told(("fd01::2", 9), 1, 4)

    # A router's kernel says so five times to one address, and then once a second.
    def test_router_has_no_route(self):
        self.check_told(("10.9.1.1", 9), 3, 1, times=0)
        self.check_told(("fd09:1::1", 9), 1, 0, times=0)

    def test_router_prohibits(self):
        self.check_told(("10.9.2.1", 9), 3, 13, times=0)
        self.check_told(("fd09:2::1", 9), 1, 1, times=0)

    def test_too_big_for_the_next_link(self):
        self.check_told(("10.9.0.2", 9), 3, 4, 1280, 1400, DONT_FRAGMENT)
        self.check_told(("fd09::2", 9), 2, 0, 1280, 1400, DONT_FRAGMENT)


if __name__ == "__main__":
    unittest.main()
