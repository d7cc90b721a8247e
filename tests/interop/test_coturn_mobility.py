#!/usr/bin/python3
"""coturn's TURN client with mobility (RFC 8016, -M): it goes to another port as soon as it has its allocation."""

import re
import unittest
from concurrent.futures import ThreadPoolExecutor

from interop import FAMILIES, IPV6, PASSWORD, USER, InteropCase, need, run

# Over TLS and DTLS it ends its old connection as a throw of its dice says, and may write into it afterwards.
TRANSPORTS = {"udp": (), "tcp": ("-t",)}
MESSAGES = 5


class Mobility(InteropCase):
    """To a peer that sends back what the client sent: it gets nothing at its new port before it has sent something from there
    (RFC 8016 section 3.2.2), so that two clients that only wait for each other would wait for ever."""

    ARGS = ("--mobility", "--relay-threads=4")

    def uclient(self, transport, ip, peer):
        family = ("-x",) if ip == IPV6 else ()
        who = ("-u", USER, "-w", PASSWORD, "-p", self.port(transport, ip))
        command = (*TRANSPORTS[transport], *family, "-M", "-c", "-s", "-e", ip, "-r", peer.port, "-n", MESSAGES)
        return run(need("turnutils_uclient", "coturn"), *command, "-m", 1, "-l", 161, *who, ip)

    def test_udp_and_tcp(self):
        places = [(transport, ip, self.echo(ip)) for transport in TRANSPORTS for ip in FAMILIES]
        with ThreadPoolExecutor(len(places)) as pool:
            for (transport, ip, peer), (status, output) in zip(places, pool.map(lambda place: self.uclient(*place), places)):
                with self.subTest(f"{transport} {ip}"):
                    self.assertEqual(status, 0, output)
                    sent, received = map(int, re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)\n", output)[-1])
                    self.assertEqual(sent, MESSAGES, output)
                    self.assertEqual(peer.count, MESSAGES)
                    self.assertEqual(received, MESSAGES, output)
        self.assertGreaterEqual(self.turnd.metric('viaduct_turn_allocations_total{event="moved"}'), len(places))


if __name__ == "__main__":
    unittest.main()
