#!/usr/bin/python3
"""coturn's TURN client, turnutils_uclient (Debian's package coturn, 4.6), over all transports."""

import os
import re
import unittest
from concurrent.futures import ThreadPoolExecutor

from interop import FAMILIES, IPV4, IPV6, PASSWORD, USER, Echo, InteropCase, environment, need, run

CHANNELS_SO = os.environ.get("INTEROP_CHANNELS_SO", "")
TRANSPORTS = {"udp": (), "tcp": ("-t",), "tls": ("-t", "-S"), "dtls": ("-S",)}
MESSAGES = 5
AT_ONCE = 16


class Uclient(InteropCase):
    """turnutils_uclient waits for most of its five seconds, so that all runs go on at once; each test looks at some of them."""

    # Its flags; which channel numbers it draws; how many of its ends send; whether they send to a peer of ours.
    INDICATIONS_TO_A_PEER = (("-c", "-s"), None, 1, True)
    CHANNELS_TO_A_PEER = (("-c",), "rfc8656", 1, True)
    INDICATIONS = (("-y", "-c", "-s"), None, 2, False)
    CHANNELS = (("-y", "-c"), "rfc8656", 2, False)
    PAIRS = (("-y",), "rfc8656", 4, False)
    MORE = (("-y", "-c", "-s", "-g", "-G"), None, 2, False)
    KINDS = (INDICATIONS_TO_A_PEER, CHANNELS_TO_A_PEER, INDICATIONS, CHANNELS, PAIRS, MORE)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.peers = {(kind, ip): Echo(ip) for kind in cls.KINDS if kind[3] for ip in FAMILIES}
        for peer in cls.peers.values():
            cls.addClassCleanup(peer.close)
        pool = ThreadPoolExecutor(AT_ONCE)
        cls.addClassCleanup(pool.shutdown)
        places = [(kind, transport, ip) for kind in cls.KINDS for transport in TRANSPORTS for ip in FAMILIES]
        cls.runs = {place: pool.submit(cls.uclient, *place) for place in places}

    @classmethod
    def uclient(cls, kind, transport, ip):
        """Its exit status, and its output."""
        flags, channels, _, to_a_peer = kind
        peer = ("-e", ip, "-r", cls.peers[kind, ip].port) if to_a_peer else ()
        secure = ("-E", cls.ca) if transport in ("tls", "dtls") else ()
        who = ("-u", USER, "-w", PASSWORD, "-p", cls.turnd.listening[transport, ip])
        family = ("-x",) if ip == IPV6 else ()
        settings = {"LD_PRELOAD": CHANNELS_SO, "INTEROP_CHANNELS": channels} if channels else {}
        command = (*TRANSPORTS[transport], *secure, *family, *flags, *peer, "-n", MESSAGES, "-m", 1, "-l", 161, *who, ip)
        return run(need("turnutils_uclient", "coturn"), *command, env=environment(**settings))

    def check(self, kind):
        flags, _, ends, to_a_peer = kind
        for transport in TRANSPORTS:
            for ip in FAMILIES:
                with self.subTest(f"{transport} {ip} {flags}"):
                    status, output = self.runs[kind, transport, ip].result()
                    self.assertEqual(status, 0, output)
                    sent, received = map(int, re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)\n", output)[-1])
                    self.assertEqual(sent, MESSAGES * ends, output)
                    # Over TLS 1.3 it reads one message less than came, for each of its ends, from any server.
                    self.assertGreaterEqual(received, sent - (ends if transport == "tls" else 0), output)
                    self.assertLessEqual(received, sent)
        if to_a_peer:
            for ip in FAMILIES:
                self.assertEqual(self.peers[kind, ip].count, MESSAGES * len(TRANSPORTS))

    def test_indications_to_a_peer(self):
        self.check(self.INDICATIONS_TO_A_PEER)

    def test_channels_to_a_peer(self):
        self.check(self.CHANNELS_TO_A_PEER)

    def test_indications_between_two_relayed_addresses(self):
        self.check(self.INDICATIONS)

    def test_channels_between_two_relayed_addresses(self):
        self.check(self.CHANNELS)

    def test_pairs_of_relayed_addresses(self):
        """Without -c each end has a second allocation, for RTCP: EVEN-PORT with the next port, and its RESERVATION-TOKEN."""
        self.check(self.PAIRS)

    def test_dont_fragment_and_requests_that_nobody_needs(self):
        self.check(self.MORE)

    def test_channel_numbers_of_the_older_rfc(self):
        """RFC 8656 section 12 leaves 0x4000-0x4FFF of RFC 5766's 0x4000-0x7FFF, and section 12.2 wants 400 for the others.
        uclient draws from all of them, and gives up at the first refusal: its channels work one time in four."""
        for transport in TRANSPORTS:
            with self.subTest(transport):
                status, output = self.uclient((("-y", "-c"), "rfc5766", 2, False), transport, IPV4)
                self.assertNotEqual(status, 0)
                self.assertIn("channel bind: error 400 (Bad Request)", output)

    def test_a_wrong_password(self):
        status, output = run("turnutils_uclient", "-y", "-c", "-s", "-u", USER, "-w", "wrong", "-p", self.port("udp"), IPV4)
        self.assertNotEqual(status, 0)
        self.assertIn("Cannot complete Allocation", output)


if __name__ == "__main__":
    unittest.main(verbosity=2)
