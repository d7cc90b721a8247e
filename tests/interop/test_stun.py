#!/usr/bin/python3
"""STUN clients against both servers that answer them: turnutils_natdiscovery and turnutils_stunclient (Debian's coturn), RFC 5780;
stun (Debian's stun-client, Vovida's of 2005), RFC 3489.

All on 127.0.0.1 and 127.0.0.2: IPv6 has one loopback address alone. turnutils_rfc5769check is not in Debian's package, only a script
that calls it; tests/vectors/rfc5769 has the messages of that RFC. stunclient of Stuntman is not in Debian 12."""

import unittest

from interop import IPV4, need, run
from test_stund import Stund
from test_turnd_5780 import Turnd

SECOND = "127.0.0.2"
SERVERS = {
    "stund": (Stund, ()),
    "turnd": (Turnd, ("--user=bob:secret", f"--relay-ip={IPV4}", "--tls-listening-port=0", "--relay-threads=2")),
}


class StunCase(unittest.TestCase):
    def start(self, name):
        kind, args = SERVERS[name]
        daemon = kind("--listening-port=0", f"--listening-ip={IPV4}", f"--listening-ip={SECOND}", *args)
        self.addCleanup(daemon.close)
        daemon.wait_line(r" ready ")
        return daemon.port("udp", IPV4)


class Rfc5780(StunCase):
    def test_natdiscovery(self):
        program = need("turnutils_natdiscovery", "coturn")
        for name in SERVERS:
            with self.subTest(name):
                port = self.start(name)
                for padding in ((), ("-P",)):
                    with self.subTest(padding):
                        _, output = run(program, "-m", "-f", *padding, "-L", IPV4, "-p", port, IPV4)
                        self.assertIn("No NAT! (Endpoint Independent Mapping)", output)
                        self.assertIn("NAT with Endpoint Independent Filtering!", output)
                        self.assertIn(f"Other addr: : {SECOND}:{port + 1}", output)
                        self.assertIn(f"Response origin: : {SECOND}:{port + 1}", output)

    def test_stunclient(self):
        program = need("turnutils_stunclient", "coturn")
        for name in SERVERS:
            with self.subTest(name):
                port = self.start(name)
                _, output = run(program, "-f", "-L", IPV4, "-p", port, IPV4)
                self.assertRegex(output, r"UDP reflexive addr: 127\.0\.0\.1:\d+\n")


class Rfc3489(StunCase):
    def test_what_it_takes_the_network_for(self):
        """Tests I, II and III of section 10.1: CHANGED-ADDRESS, and answers from the other address and from the other port."""
        program = need("stun", "stun-client")
        for name in SERVERS:
            with self.subTest(name):
                port = self.start(name)
                _, output = run(program, f"{IPV4}:{port}", "-v")
                self.assertIn("Primary: Open", output)
                self.assertIn(f"ChangedAddress = {SECOND}:{port + 1}\n", output)
                for source in ((IPV4, port), (SECOND, port), (IPV4, port + 1)):
                    self.assertIn("SourceAddress = {}:{}\n".format(*source), output)


if __name__ == "__main__":
    unittest.main(verbosity=2)
