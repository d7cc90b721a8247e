#!/usr/bin/python3
"""viaduct-turnd whose bound channels the kernel carries (--xdp), in a network of its own:

    clients 10.1.0.2 -- 10.1.0.1 turnd 10.2.0.1 -- 10.2.0.2 peers
            fd01::2     fd01::1        fd02::1     fd02::2

The calls of class Calls are made with XDP and without it. That packets went past user space is read off turnd's own figures: what its
sockets have received does not grow, what was relayed does.
"""

import ctypes
import fcntl
import os
import re
import signal
import socket
import struct
import subprocess
import time
import unittest

import turn_client
from stage import Place, bpf, ip, unshare
from test_turnd import PASSWORD, PATIENCE_S, USER, Peer, Turnd, TurndCase
from turn_client import TurnClient

BPF_MAP_GET_NEXT_KEY, BPF_MAP_GET_FD_BY_ID, BPF_MAP_TYPE_HASH, KEY_LEN = 4, 14, 1, 40
CHANNEL = 0x4000
PACKETS = 40
SIOCADDRT, SIOCDELRT = 0x890B, 0x890C
ADVERTISED = 0x1 | 0x2 | 0x10000 | 0x40000  # RTF_UP, RTF_GATEWAY, RTF_DEFAULT, RTF_ADDRCONF

SETUP = """
link set lo up
link add v0 type veth peer name c0
link add w0 type veth peer name p0
addr add 10.1.0.1/24 dev v0
addr add 10.2.0.1/24 dev w0
addr add fd01::1/64 dev v0 nodad
addr add fd02::1/64 dev w0 nodad
link set v0 up
link set w0 up
"""
CLIENTS = """
link set lo up
addr add 10.1.0.2/24 dev c0
addr add fd01::2/64 dev c0 nodad
link set c0 up
route add default via 10.1.0.1
-6 route add default via fd01::1
"""
PEERS = """
link set lo up
addr add 10.2.0.2/24 dev p0
addr add fd02::2/64 dev p0 nodad
link set p0 up
route add default via 10.2.0.1
-6 route add default via fd02::1
"""
LISTEN = ["-L", "10.1.0.1", "-L", "fd01::1", "-E", "10.2.0.1", "-E", "fd02::1"]
OPEN = ["--allowed-peer-ip=10.2.0.0/24", "--allowed-peer-ip=fd02::/64"]
ARGS = ["-u", f"{USER}:{PASSWORD}", "-r", "example.org", "-m", "2", *OPEN]
XDP = ["--xdp=v0,w0"]


def entries(process):
    """How many keys there are in the maps of channels that a process has open."""
    found = 0
    for fd in os.listdir(f"/proc/{process.pid}/fdinfo"):
        with open(f"/proc/{process.pid}/fdinfo/{fd}", encoding="ascii") as f:
            info = dict(line.split(":", 1) for line in f if ":" in line)
        if int(info.get("map_type", 0)) != BPF_MAP_TYPE_HASH or int(info["key_size"]) != KEY_LEN:
            continue
        copy, key = bpf(BPF_MAP_GET_FD_BY_ID, "=I", int(info["map_id"])), ctypes.create_string_buffer(KEY_LEN)
        try:
            bpf(BPF_MAP_GET_NEXT_KEY, "=IIQQ", copy, 0, 0, ctypes.addressof(key))
            while True:
                found += 1
                bpf(BPF_MAP_GET_NEXT_KEY, "=IIQQ", copy, 0, ctypes.addressof(key), ctypes.addressof(key))
        except OSError:
            os.close(copy)  # there is no other
    return found


def change_advertised_route(change, interface):
    """A route as the kernel makes it out of a router's advertisement (struct in6_rtmsg)."""
    to, via = socket.inet_pton(socket.AF_INET6, "2001:db8:77::"), socket.inet_pton(socket.AF_INET6, "fe80::99")
    message = struct.pack("@16s16s16sIHHILIi", to, bytes(16), via, 0, 48, 0, 1024, 0, ADVERTISED, socket.if_nametoindex(interface))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, change, message)


def read_flag(path):
    with open(path, encoding="ascii") as f:
        return f.read().strip()


def write_flag(path, value):
    with open(path, "w", encoding="ascii") as f:
        f.write(value)


def links(interface):
    return subprocess.run(["ip", "-d", "link", "show", interface], capture_output=True, text=True, check=True).stdout


def setUpModule():
    global clients, peers
    try:
        unshare()
        ip(SETUP)
        clients, peers = Place("c0", CLIENTS), Place("p0", PEERS)
        probe = Turnd(*LISTEN, *ARGS, *XDP)
    except (OSError, subprocess.CalledProcessError) as e:
        raise unittest.SkipTest(f"no network namespaces with veth here: {e}") from e
    probe.stop()
    if why := next((line for line in probe.lines if "xdp-off" in line), None):
        raise unittest.SkipTest(f"no XDP here: {why}")


class XdpCase(TurndCase):
    LISTEN, ARGS, XDP = LISTEN, ARGS, XDP

    @classmethod
    def setUpClass(cls):
        cls.turnd = Turnd(*cls.LISTEN, *cls.ARGS, *cls.XDP)

    def client(self, transport="udp", ip="10.1.0.1", username=USER, password=PASSWORD):
        with clients:
            c = TurnClient(self.turnd.server(ip), transport, username, password, timeout=PATIENCE_S)
        self.addCleanup(c.close)
        return c

    def peer(self, ip="10.2.0.2"):
        with peers:
            p = Peer(ip)
        self.addCleanup(p.socket.close)
        return p

    def bound(self, ip="10.1.0.1", peer_ip="10.2.0.2", transport="udp"):
        c, p = self.client(transport, ip), self.peer(peer_ip)
        c.allocate(family=2 if ":" in peer_ip else None)
        c.channel_bind(CHANNEL, p.address)
        return c, p

    def check_echo(self, c, p, payload):
        c.send_channel(CHANNEL, payload)
        self.assertEqual(p.echo(), (payload, c.relayed))
        self.assertEqual(c.receive(), (p.address, payload))

    def received(self):
        """What came in at turnd's UDP sockets. It is published with the round that a later question belongs to."""
        return self.turnd.metric('viaduct_turn_udp_packets_total{direction="in"}')

    def carried(self, direction):
        return self.turnd.metric(f'viaduct_turn_xdp_packets_total{{direction="{direction}"}}')

    def wait_carried(self, direction, least):
        deadline = time.monotonic() + PATIENCE_S
        while self.carried(direction) < least:
            self.assertLess(time.monotonic(), deadline, self.why())
            time.sleep(0.02)

    def why(self):
        return "\n".join(line for line in self.turnd.http("/metrics").splitlines() if "xdp" in line and line[0] != "#")

    def warm(self, c, p):
        """The first packets go up until the next hops' link addresses are known."""
        self.check_echo(c, p, b"warm")
        self.check_echo(c, p, b"warm")

    def wait_published(self, c):
        seen = -1
        while seen != (seen := self.received()):
            time.sleep(0.05)

    def check_both_ends_here(self):
        """From one allocation to another, whichever worker has either: each by its channel, and by the other's permission."""
        a, b = self.client(), self.client()
        a.allocate()
        b.allocate()
        inside, denied = 'viaduct_turn_xdp_total{what="inside"}', 'viaduct_turn_dropped_total{reason="no-permission"}'
        before = self.turnd.metric(denied)
        a.channel_bind(CHANNEL, b.relayed)
        a.send_channel(CHANNEL, b"uninvited")
        # b may be another worker's: its permission could overtake what a has sent.
        self.turnd.wait_metric(denied, before + 1)
        b.create_permission(a.relayed[0])
        a.send_channel(CHANNEL, b"without a channel back")
        self.assertEqual(b.receive(), (a.relayed, b"without a channel back"))
        b.channel_bind(CHANNEL + 1, a.relayed)
        self.wait_published(a)
        carried, seen, relayed = self.turnd.metric(inside), self.received(), self.turnd.metric("viaduct_turn_relayed_inside_total")
        for size in range(PACKETS):
            payload = os.urandom(size * 30)
            a.send_channel(CHANNEL, payload)
            self.assertEqual(b.receive(), (a.relayed, payload))
            b.send_channel(CHANNEL + 1, payload)
            self.assertEqual(a.receive(), (b.relayed, payload))
        self.assertEqual(self.turnd.metric(inside), carried + 2 * PACKETS, self.why())
        self.turnd.wait_metric("viaduct_turn_relayed_inside_total", relayed + 2 * PACKETS)
        self.assertEqual(self.received(), seen, self.why())
        b.refresh(0)
        a.send_channel(CHANNEL, b"to nobody")
        a.refresh()
        self.assertEqual(self.turnd.metric(inside), carried + 2 * PACKETS)


class Calls(XdpCase):
    """What clients and peers see is the same with XDP and without."""

    def check_sizes(self, *ends, transport="udp"):
        c, p = self.bound(*ends, transport=transport)
        for size in (0, 1, 2, 3, 4, 5, 160, 1001, 1200, 1400):
            self.check_echo(c, p, os.urandom(size))

    def test_ipv4(self):
        self.check_sizes()

    def test_ipv6(self):
        self.check_sizes("fd01::1", "fd02::2")

    def test_between_families(self):
        self.check_sizes("10.1.0.1", "fd02::2")
        self.check_sizes("fd01::1", "10.2.0.2")

    def test_tcp(self):
        self.check_sizes(transport="tcp")

    def test_padding(self):
        c, p = self.bound()
        self.warm(c, p)
        for padded in (b"abc\0", b"abc\0\0\0\0\0"):
            c.send_bytes(struct.pack("!HH", CHANNEL, 3) + padded)
            self.assertEqual(p.receive()[0], b"abc")
        c.send_bytes(struct.pack("!HH", CHANNEL, 9) + b"short")
        self.check_echo(c, p, b"after it")

    def test_fragments(self):
        for ends in ((), ("fd01::1", "fd02::2")):
            c, p = self.bound(*ends)
            self.warm(c, p)
            self.check_echo(c, p, os.urandom(4000))

    def test_binding(self):
        for server in ("10.1.0.1", "fd01::1"):
            c = self.client(ip=server)
            for _ in range(4):
                self.assertEqual(c.binding(), c.address)

    def test_deleted(self):
        c, p = self.bound()
        self.warm(c, p)
        c.refresh(0)
        c.send_channel(CHANNEL, b"late")
        p.socket.settimeout(0.3)
        self.assertRaises(socket.timeout, p.receive)
        p.socket.sendto(b"late", c.relayed)
        self.assertTrue(c.receives_nothing())

    def test_both_ends_here(self):
        """From one allocation to another."""
        a, b = self.client(), self.client()
        a.allocate()
        b.allocate()
        a.channel_bind(CHANNEL, b.relayed)
        b.channel_bind(CHANNEL, a.relayed)
        for size in (0, 5, 1200):
            payload = os.urandom(size)
            a.send_channel(CHANNEL, payload)
            self.assertEqual(b.receive(), (a.relayed, payload))
            b.send_channel(CHANNEL, payload)
            self.assertEqual(a.receive(), (b.relayed, payload))


class CallsWithout(Calls):
    XDP = []


class Expiry(XdpCase):
    ARGS = [*ARGS, "--permission-lifetime=2"]

    def wait_until_it_ends(self, c, p):
        deadline = time.monotonic() + PATIENCE_S
        p.socket.settimeout(0.2)
        with self.assertRaises(socket.timeout):
            while time.monotonic() < deadline:
                c.send_channel(CHANNEL, b"?")
                p.receive()
        p.socket.sendto(b"late", c.relayed)
        self.assertTrue(c.receives_nothing())
        p.socket.settimeout(PATIENCE_S)

    def test_permission_expires(self):
        """Nothing passes from then on, either way, until there is another; and as long as that one lasts."""
        c, p = self.bound()
        self.warm(c, p)
        self.wait_until_it_ends(c, p)
        c.create_permission(p.address[0])
        self.check_echo(c, p, b"again")
        self.wait_until_it_ends(c, p)


class ExpiryWithout(Expiry):
    XDP = []


class Carried(XdpCase):
    """And with it, user space sees nothing of them."""

    def check_carried(self, *ends):
        c, p = self.bound(*ends)
        self.warm(c, p)
        c.refresh()  # everything before it is in the figures
        self.wait_published(c)
        up, before = self.carried("from-client"), self.received()
        down = self.carried("from-peer")
        for size in range(PACKETS):
            self.check_echo(c, p, os.urandom(size * 30))
        self.wait_carried("from-client", up + PACKETS)
        self.wait_carried("from-peer", down + PACKETS)
        self.assertEqual(self.received(), before, self.why())

    def test_ipv4(self):
        self.check_carried()

    def test_ipv6(self):
        self.check_carried("fd01::1", "fd02::2")

    def test_binding(self):
        c = self.client()
        c.binding()
        before, answered = self.turnd.metric("viaduct_turn_bindings_total"), self.turnd.metric('viaduct_turn_xdp_total{what="binding"}')
        for _ in range(PACKETS):
            c.binding()
        self.assertEqual(self.turnd.metric("viaduct_turn_bindings_total"), before + PACKETS)
        self.assertEqual(self.turnd.metric('viaduct_turn_xdp_total{what="binding"}'), answered + PACKETS, self.why())

    def test_both_ends_here(self):
        self.check_both_ends_here()

    def test_figures(self):
        """A session's own, which its end shows in the log, count what the kernel carried."""
        c, p = self.bound()
        for _ in range(PACKETS):
            self.check_echo(c, p, b"x" * 100)
        c.refresh(0)
        line = self.turnd.wait_line(rf"allocation-deleted .*client={c.address[0]}:{c.address[1]}")
        self.assertIn(f"from-client-packets={PACKETS} from-client-bytes={PACKETS * 100}", line)
        self.assertIn(f"from-peer-packets={PACKETS} from-peer-bytes={PACKETS * 100}", line)

    def test_mtu(self):
        """What the way out does not carry goes up, and out in fragments."""
        subprocess.run(["ip", "link", "set", "w0", "mtu", "1280"], check=True)
        self.addCleanup(subprocess.run, ["ip", "link", "set", "w0", "mtu", "1500"], check=True)
        c, p = self.bound()
        self.warm(c, p)
        payload = os.urandom(1400)
        c.send_channel(CHANNEL, payload)
        self.assertEqual(p.receive(), (payload, c.relayed))
        self.assertGreater(self.turnd.metric('viaduct_turn_xdp_total{what="up_mtu"}'), 0)


class Mapped(XdpCase):
    """Behind a NAT that maps one address to another: clients reach each other by what they are told."""

    ARGS = [*ARGS, "-X", "198.51.100.7/10.2.0.1"]

    def test_both_ends_here(self):
        self.check_both_ends_here()


class Limit(XdpCase):
    """What the kernel and user space relay is one allowance: a second's worth at once, and what comes meanwhile."""

    BPS, SIZE, FIRST, MORE = 20000, 500, 30, 60
    ARGS = [*ARGS, f"--max-bps={BPS}"]

    def dropped(self):
        return self.turnd.metric('viaduct_turn_dropped_total{reason="over-limit"}')

    def dropped_by_kernel(self):
        return self.turnd.metric('viaduct_turn_xdp_total{what="over_limit"}')

    def spend(self, by_kernel):
        """Three quarters of the allowance go one way and arrive, one by one; then more than all of it is sent the other way."""
        c, p = self.bound()
        ways = [lambda: c.send_channel(CHANNEL, b"c" * self.SIZE), lambda: c.send_indication(p.address, b"i" * self.SIZE)]
        first, second = ways if by_kernel else reversed(ways)
        start = time.monotonic()
        self.warm(c, p)
        for _ in range(self.FIRST):
            first()
            self.assertEqual(len(p.receive()[0]), self.SIZE)
        for _ in range(self.MORE):
            second()
        c.refresh(0)  # nothing is let through behind it
        allowed = self.BPS * (1 + time.monotonic() - start)
        line = self.turnd.wait_line(rf"allocation-deleted .*client={c.address[0]}:{c.address[1]}.* from-client-bytes=")
        passed = int(re.search(r" from-client-bytes=(\d+)", line).group(1)) - 2 * len(b"warm")
        self.assertLessEqual(passed, allowed)
        for _ in range(passed // self.SIZE - self.FIRST):
            self.assertEqual(len(p.receive()[0]), self.SIZE)
        return self.MORE - (allowed / self.SIZE - self.FIRST)  # that many have to be dropped, if any

    def wait_dropped(self, least):
        deadline = time.monotonic() + PATIENCE_S
        while self.dropped() < least:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def test_user_space_pays_what_the_kernel_carried(self):
        carried, dropped = self.carried("from-client"), self.dropped()
        least = self.spend(by_kernel=True)
        self.wait_carried("from-client", carried + self.FIRST)
        self.wait_dropped(dropped + least)

    def test_the_kernel_pays_what_user_space_relayed(self):
        dropped, dropped_by_kernel = self.dropped(), self.dropped_by_kernel()
        least = self.spend(by_kernel=False)
        self.assertGreaterEqual(self.dropped_by_kernel(), dropped_by_kernel + least, self.why())
        self.wait_dropped(dropped + least)


class Ends(XdpCase):
    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass

    def start(self, *args, **more):
        self.turnd = Turnd(*LISTEN, *ARGS, *args, **more)
        self.addCleanup(self.turnd.stop)

    def assert_detached(self):
        deadline = time.monotonic() + PATIENCE_S
        while any("xdp" in links(i) for i in ("v0", "w0")):
            self.assertLess(time.monotonic(), deadline, links("v0"))
            time.sleep(0.02)

    def test_detached_at_the_end(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            self.start(*XDP)
            self.assertIn("xdp", links("v0"))
            self.assertIn("xdp", links("w0"))
            self.turnd.stop(number)
            self.assert_detached()

    def test_auto(self):
        self.start("--xdp=auto")
        attached = [line for line in self.turnd.lines if " xdp interface=" in line]
        self.assertEqual(len(attached), 2, self.turnd.lines)
        c, p = self.bound()
        self.check_echo(c, p, b"hello")

    def test_another_user(self):
        """The maps are changed without root."""
        self.start(*XDP, "--proc-user=nobody")
        c, p = self.bound()
        self.warm(c, p)
        for _ in range(PACKETS):
            self.check_echo(c, p, b"hello")
        self.wait_carried("from-client", PACKETS)
        self.assertEqual(self.turnd.metric("viaduct_turn_xdp_refused_total"), 0)

    def start_with(self, had):
        self.start(*XDP, before=["setpriv", "--reuid=65534", "--clear-groups", f"--inh-caps={had}", f"--ambient-caps={had}"])

    def test_capabilities_alone(self):
        """Without root, as systemd's AmbientCapabilities= start it: none of them is left in any thread, and none is needed."""
        self.start_with("+bpf,+perfmon,+net_admin")
        for task in os.listdir(f"/proc/{self.turnd.process.pid}/task"):
            with open(f"/proc/{self.turnd.process.pid}/task/{task}/status", encoding="ascii") as f:
                self.assertEqual(set(re.findall(r"^Cap(?:Inh|Prm|Eff|Amb):\t(\w+)$", f.read(), re.M)), {"0" * 16})
        c, p = self.bound()
        self.warm(c, p)
        for _ in range(PACKETS):
            self.check_echo(c, p, b"hello")
        self.wait_carried("from-client", PACKETS)
        self.assertEqual(self.turnd.metric("viaduct_turn_xdp_refused_total"), 0)

    def test_no_privilege(self):
        self.start_with("-all")
        self.assert_off("with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN")

    def test_not_all_capabilities(self):
        """The warning names what is missing."""
        for had in ("+bpf,+perfmon", "+perfmon,+net_admin"):  # CAP_PERFMON: as the verifier likes
            self.start_with(had)
            self.assert_off("CAP_NET_ADMIN" if "net_admin" not in had else "with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN")
            self.turnd.stop()

    def test_no_such_interface(self):
        for name, why in (("nowhere0", "there is no interface nowhere0"), ("lo", "lo carries no packets of others")):
            self.start(f"--xdp={name}")
            self.assert_off(why)
            self.turnd.stop()

    def test_no_ethernet(self):
        """A tunnel's packets have no Ethernet header."""
        try:
            ip("tuntap add t0 mode tun")
        except subprocess.CalledProcessError as e:
            raise unittest.SkipTest("no tunnels here") from e
        self.addCleanup(ip, "link del t0")
        self.start("--xdp=v0,w0,t0")
        self.assert_off("t0 is no Ethernet interface")
        self.turnd.stop()
        ip("addr add 10.1.0.1/32 dev t0\nlink set t0 up")
        self.start("--xdp=auto")
        self.assertEqual(self.attached(), {"v0": "generic", "w0": "generic"})

    def test_one_mode_for_all(self):
        """What a native interface hands to a generic one may vanish."""
        try:
            ip("link add d0 type bridge")  # without a native way
        except subprocess.CalledProcessError as e:
            raise unittest.SkipTest("no bridges here") from e
        self.addCleanup(ip, "link del d0")
        self.start("--xdp=v0,w0,d0")
        self.assertEqual(self.attached(), {"v0": "generic", "w0": "generic", "d0": "generic"})
        c, p = self.bound()
        self.check_echo(c, p, b"hello")

    def test_auto_and_link_local(self):
        """That an interface has an address of its own kind makes it none of ours."""
        ip("link add d0 type veth peer name d1\naddr add fe80::77/64 dev d0 nodad\nlink set d0 up")
        self.addCleanup(ip, "link del d0")
        self.turnd = Turnd("-L", "::", "-E", "fd02::1", *ARGS, "--xdp=auto")
        self.addCleanup(self.turnd.stop)
        self.assertEqual(sorted(self.attached()), ["v0", "w0"])

    def attached(self):
        found = (re.search(r" xdp interface=(\S+) mode=(\S+)", line) for line in self.turnd.lines)
        return dict(m.groups() for m in found if m)

    def test_advertised_routes(self):
        """IPv6 forwarding, turned on wherever, takes them from the machine: then IPv6 stays in user space."""
        flags = {family: f"/proc/sys/net/{family}/conf/lo/forwarding" for family in ("ipv4", "ipv6")}
        for path in flags.values():
            write_flag(path, "0")
        self.addCleanup(change_advertised_route, SIOCDELRT, "v0")
        change_advertised_route(SIOCADDRT, "v0")
        self.start(*XDP)
        self.assertEqual((read_flag(flags["ipv4"]), read_flag(flags["ipv6"])), ("1", "0"))
        self.assertEqual(len([line for line in self.turnd.lines if "xdp-forwarding not_set=" in line]), 1, self.turnd.lines)
        c, p = self.bound("fd01::1", "fd02::2")
        self.warm(c, p)
        self.assertGreater(self.turnd.metric('viaduct_turn_xdp_total{what="up_forwarding"}'), 0)
        c, p = self.bound()
        self.warm(c, p)
        for _ in range(PACKETS):
            self.check_echo(c, p, b"hello")
        self.wait_carried("from-client", PACKETS)

    def test_a_family_that_is_not_ours(self):
        """Nothing of it is changed."""
        flag = "/proc/sys/net/ipv6/conf/lo/forwarding"
        write_flag(flag, "0")
        self.turnd = Turnd("-L", "10.1.0.1", "-E", "10.2.0.1", *ARGS, *XDP)
        self.addCleanup(self.turnd.stop)
        self.assertEqual(read_flag(flag), "0")

    def assert_off(self, why):
        warnings = [line for line in self.turnd.lines if "xdp" in line]
        self.assertEqual(len(warnings), 1, warnings)
        self.assertIn("xdp-off", warnings[0])
        self.assertIn(why, warnings[0])
        c, p = self.bound()
        self.check_echo(c, p, b"hello")

    def test_no_key_is_left(self):
        """A row is another channel's later."""
        self.start(*XDP)
        c, p = self.bound()
        self.check_echo(c, p, b"hello")
        self.assertEqual(entries(self.turnd.process), 2)  # the client's and the peer's
        c.refresh(0)
        self.assertEqual(entries(self.turnd.process), 0)

    def test_full(self):
        """What finds no room stays in user space."""
        self.start(*XDP, "--xdp-channels=16")
        c = self.client()
        c.allocate()
        many = [self.peer() for _ in range(20)]
        for i, p in enumerate(many):
            c.channel_bind(CHANNEL + i, p.address)
        for i, p in enumerate(many):
            c.send_channel(CHANNEL + i, b"hello")
            self.assertEqual(p.echo(), (b"hello", c.relayed))
            self.assertEqual(c.receive(), (p.address, b"hello"))
        self.assertEqual(self.turnd.metric("viaduct_turn_xdp_channels"), 16)
        self.assertGreaterEqual(self.turnd.metric("viaduct_turn_xdp_refused_total"), 4)  # tried again with each refreshment
        self.turnd.wait_line("xdp-full")

    def test_reload_that_denies(self):
        path = f"/tmp/viaduct-xdp-{os.getpid()}.conf"
        self.addCleanup(os.unlink, path)

        def write(*lines):
            with open(path, "w", encoding="ascii") as f:
                f.write("\n".join([f"user={USER}:{PASSWORD}", "realm=example.org", *lines, ""]))

        write("allowed-peer-ip=10.2.0.0/24")
        self.turnd = Turnd("-c", path, *LISTEN, *XDP)
        self.addCleanup(self.turnd.stop)
        c, p = self.bound()
        self.warm(c, p)
        write("denied-peer-ip=10.2.0.0/24")
        self.turnd.process.send_signal(signal.SIGHUP)
        self.turnd.wait_line("reloaded")
        deadline = time.monotonic() + PATIENCE_S
        while self.turnd.metric("viaduct_turn_xdp_channels"):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        c.send_channel(CHANNEL, b"late")
        p.socket.settimeout(0.3)
        self.assertRaises(socket.timeout, p.receive)


class Nat(XdpCase):
    """Clients know the relay by another address, and each other by that."""

    XDP = [*XDP, "--external-ip=203.0.113.7/10.2.0.1"]

    def test_both_ends_here(self):
        a, b = self.client(), self.client()
        self.assertEqual(a.allocate()[0], "203.0.113.7")
        b.allocate()
        a.channel_bind(CHANNEL, b.relayed)
        b.channel_bind(CHANNEL, a.relayed)
        for _ in range(PACKETS):
            a.send_channel(CHANNEL, b"hello")
            self.assertEqual(b.receive(), (a.relayed, b"hello"))
            b.send_channel(CHANNEL, b"and back")
            self.assertEqual(a.receive(), (b.relayed, b"and back"))

    def test_a_peer(self):
        c, p = self.client(), self.peer()
        c.allocate()
        c.channel_bind(CHANNEL, p.address)
        c.send_channel(CHANNEL, b"hello")
        data, source = p.echo()
        self.assertEqual((data, source[0]), (b"hello", "10.2.0.1"))
        self.assertEqual(c.receive(), (p.address, b"hello"))


class Everywhere(XdpCase):
    """A listener at all addresses."""

    LISTEN = ["-E", "10.2.0.1", "-E", "fd02::1"]

    def test_calls(self):
        for ends in (("10.1.0.1", "10.2.0.2"), ("fd01::1", "fd02::2")):
            c, p = self.bound(*ends)
            self.warm(c, p)
            before = self.carried("from-client")
            for _ in range(PACKETS):
                self.check_echo(c, p, b"hello")
            self.wait_carried("from-client", before + PACKETS)

    def test_binding(self):
        for server in ("10.1.0.1", "fd01::1"):
            c = self.client(ip=server)
            before = self.turnd.metric('viaduct_turn_xdp_total{what="binding"}')
            for _ in range(PACKETS):
                self.assertEqual(c.binding(), c.address)
            self.assertEqual(self.turnd.metric('viaduct_turn_xdp_total{what="binding"}'), before + PACKETS, self.why())


class Locked(XdpCase):
    """Binding requests that user space would not answer so are not answered in its place."""

    def check_up(self, *options):
        turnd = Turnd(*LISTEN, *ARGS, *XDP, *options)
        self.addCleanup(turnd.stop)
        with clients:
            c = TurnClient(turnd.server("10.1.0.1"), "udp", USER, PASSWORD, timeout=PATIENCE_S)
        self.addCleanup(c.close)
        answer = c.transact(turn_client.build(turn_client.BINDING, turn_client.REQUEST, []))
        self.assertEqual(turnd.metric('viaduct_turn_xdp_total{what="binding"}'), 0)
        turnd.stop()
        return answer

    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass

    def test_secure_stun(self):
        self.assertEqual(self.check_up("--secure-stun").error, 401)

    def test_fingerprint(self):
        self.assertIsNotNone(self.check_up("--fingerprint").get(turn_client.FINGERPRINT))


if __name__ == "__main__":
    unittest.main()
