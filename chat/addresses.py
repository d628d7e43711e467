"""What counts as one address on the network; pure."""

from __future__ import annotations

import ipaddress


def network(address: str) -> str:
    """Return what an address is counted as: for IPv6 its /64, of which whoever has one address has all."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]  # what a proxy calls it
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(ip), 64), strict=False))


def is_private(network: str) -> bool:
    """Whether it is no address of the public internet, so perhaps that of a proxy."""
    try:
        return ipaddress.ip_network(network).is_private
    except ValueError:
        return False
