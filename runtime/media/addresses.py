"""Addresses that pictures may be fetched from: those of the public internet, and no others."""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

PUBLIC6 = IPv6Network("2000::/3")
"""All that was ever given out."""
NAT64 = IPv6Network("64:ff9b::/96")
"""An IPv4 address in its last bytes, which a gateway translates to."""
RELAYS = IPv4Network("192.88.99.0/24")
"""Of 6to4, which lead anywhere."""


def is_public(text: str) -> bool:
    """Return whether `text` is an address of the public internet.

    None of this machine, of its networks, of providers' inner ones, for many or for tests; nor one
    in which such an address is wrapped.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:  # such as one with a scope, which is of a link
        return False
    if isinstance(address, IPv6Address):
        return _is_public6(address)
    return _is_public4(address)


def _is_public4(address: IPv4Address) -> bool:
    return address.is_global and not address.is_multicast and address not in RELAYS


def _is_public6(address: IPv6Address) -> bool:
    if address.scope_id:
        return False
    if address in NAT64:
        return _is_public4(IPv4Address(int(address) & 0xFFFFFFFF))
    if address not in PUBLIC6 or not address.is_global:  # among these, IPv4 written as IPv6
        return False
    # 2002:: has the address of a gateway in it; Teredo's are not global as a whole.
    return address.sixtofour is None or _is_public4(address.sixtofour)
