#!/usr/bin/python3
"""libnice (Debian's libnice-dev, 0.1.21): two agents with force-relay, over UDP and TCP, from IPv4 and IPv6: nice.c.

Not over TLS: what 0.1.21 calls NICE_RELAY_TYPE_TURN_TLS is plain TCP in its mode for RFC 5245."""

import os
import unittest

from interop import FAMILIES, PASSWORD, USER, InteropCase, run

PROGRAM = os.environ.get("INTEROP_NICE", "")


class Libnice(InteropCase):
    def test_every_transport_and_family(self):
        for transport in ("udp", "tcp"):
            for ip in FAMILIES:
                with self.subTest(f"{transport} {ip}"):
                    status, output = run(PROGRAM, transport, ip, self.port(transport, ip), USER, PASSWORD)
                    self.assertEqual(status, 0, output)
                    self.assertEqual(output.count("candidate relay"), 2, output)
                    self.turnd.wait_metric("viaduct_turn_allocations", 0)  # each was given back


class LibniceVirtual(Libnice):
    """Relayed addresses without sockets, and two workers."""

    ARGS = ("--relay-mode=virtual", "--relay-threads=2")


if __name__ == "__main__":
    unittest.main(verbosity=2)
