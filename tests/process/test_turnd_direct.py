#!/usr/bin/python3
"""viaduct-turnd: the socket beside a relay socket, connected to the peer that most goes to."""

import errno
import pathlib
import socket
import unittest

import turn_client
from test_turnd import TurndCase

AFTER = 32  # turn/direct.c
MANY = 3 * AFTER


def remote_ports(port, ip="127.0.0.1"):
    """Of the UDP sockets at this port: where each is connected, 0 where it is not."""
    found = []
    for line in pathlib.Path("/proc/net/udp6" if ":" in ip else "/proc/net/udp").read_text().splitlines()[1:]:
        local, remote = (int(field.split(":")[1], 16) for field in line.split()[1:3])
        if local == port:
            found.append(remote)
    return sorted(found)


class Direct(TurndCase):
    def send(self, c, channel, p, count=MANY):
        """One after the other, there and back: each in its place."""
        for i in range(count):
            c.send_channel(channel, b"%d" % i)
            self.assertEqual(p.echo(), (b"%d" % i, c.relayed))
            self.assertEqual(c.receive(), (p.address, b"%d" % i))

    def check(self, ip):
        c, p = self.allocated(ip=ip), self.peer(ip)
        c.channel_bind(0x4000, p.address)
        self.send(c, 0x4000, p, AFTER - 1)
        self.assertEqual(remote_ports(c.relayed[1], ip), [0])
        self.send(c, 0x4000, p)
        self.assertEqual(remote_ports(c.relayed[1], ip), [0, p.address[1]])
        self.assertEqual(c.refresh(0), 0)
        self.assertEqual(remote_ports(c.relayed[1], ip), [])

    def test_ipv4(self):
        self.check("127.0.0.1")

    def test_ipv6(self):
        self.check("::1")

    def test_another_peer_gets_in(self):
        """RFC 8656 section 9: a permission is for an IP address, and port numbers do not count."""
        c, p, other = self.allocated(), self.peer(), self.peer()
        c.channel_bind(0x4000, p.address)
        self.send(c, 0x4000, p)
        self.assertEqual(len(remote_ports(c.relayed[1])), 2)
        for i in range(10):
            other.socket.sendto(b"other %d" % i, c.relayed)
            self.assertEqual(c.receive(), (other.address, b"other %d" % i))
            p.socket.sendto(b"%d" % i, c.relayed)
            self.assertEqual(c.receive(), (p.address, b"%d" % i))

    def test_without_permission_nobody_gets_in(self):
        c, p, stranger = self.allocated(), self.peer(), self.peer("127.0.0.2")
        c.channel_bind(0x4000, p.address)
        self.send(c, 0x4000, p)
        stranger.socket.sendto(b"let me in", c.relayed)
        p.socket.sendto(b"behind it", c.relayed)
        self.assertEqual(c.receive(), (p.address, b"behind it"))

    def test_it_follows_the_peer(self):
        c, first, second = self.allocated(), self.peer(), self.peer()
        c.channel_bind(0x4000, first.address)
        c.channel_bind(0x4001, second.address)
        for _ in range(2):
            self.send(c, 0x4000, first)
            self.assertEqual(remote_ports(c.relayed[1]), [0, first.address[1]])
            self.send(c, 0x4001, second)
            self.assertEqual(remote_ports(c.relayed[1]), [0, second.address[1]])

    def test_two_peers_in_turns(self):
        c, first, second = self.allocated(), self.peer(), self.peer()
        c.channel_bind(0x4000, first.address)
        c.channel_bind(0x4001, second.address)
        for _ in range(MANY):
            self.send(c, 0x4000, first, 1)
            self.send(c, 0x4001, second, 1)
        self.assertEqual(remote_ports(c.relayed[1]), [0])

    def test_bursts_keep_their_order(self):
        """Both ways, over the moment in which the socket is opened."""
        c, p = self.allocated(), self.peer()
        c.channel_bind(0x4000, p.address)
        for i in range(MANY):
            c.send_channel(0x4000, b"%d" % i)
            p.socket.sendto(b"back %d" % i, c.relayed)
        for i in range(MANY):
            self.assertEqual(p.receive(), (b"%d" % i, c.relayed))
            self.assertEqual(c.receive(), (p.address, b"back %d" % i))

    def test_a_peer_that_goes_is_told(self):
        """RFC 8656 section 11.5: what ICMP says comes to the client from this socket too."""
        c, p = self.allocated(), self.peer()
        c.channel_bind(0x4000, p.address)
        self.send(c, 0x4000, p)
        p.socket.close()
        c.send_channel(0x4000, b"hello?")
        told = turn_client.Message(c.read_frame_soon())
        self.assertEqual((told.method, told.kind), (turn_client.DATA, turn_client.INDICATION))
        self.assertEqual(told.address(turn_client.XOR_PEER_ADDRESS), p.address)

    def test_the_port_stays_ours(self):
        """A second socket was let in for one bind; nobody else is, whatever he asks for."""
        c, p = self.allocated(), self.peer()
        c.channel_bind(0x4000, p.address)
        self.send(c, 0x4000, p)
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            with socket.socket(type=socket.SOCK_DGRAM) as s:
                s.setsockopt(socket.SOL_SOCKET, option, 1)
                with self.assertRaises(OSError) as caught:
                    s.bind(c.relayed)
                self.assertEqual(caught.exception.errno, errno.EADDRINUSE)


if __name__ == "__main__":
    unittest.main()
