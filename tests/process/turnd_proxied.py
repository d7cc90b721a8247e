"""What a load balancer puts before a connection: the PROXY protocol, written by hand."""
import ipaddress
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21


def v1(client, server):
    family = "TCP6" if ":" in client[0] else "TCP4"
    return f"PROXY {family} {client[0]} {server[0]} {client[1]} {server[1]}\r\n".encode()


def v2_block(command, family, block):
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(block)) + block


def v2(client, server, tlvs=b""):
    ips = b"".join(ipaddress.ip_address(a[0]).packed for a in (client, server))
    return v2_block(PROXY, 0x21 if ":" in client[0] else 0x11, ips + struct.pack("!HH", client[1], server[1]) + tlvs)
