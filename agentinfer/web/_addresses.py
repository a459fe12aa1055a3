"""Which addresses and host names belong to the public internet, as pure functions."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

__all__ = ["BadHost", "IPAddress", "is_inner_name", "is_public", "parse_host"]

IPAddress = IPv4Address | IPv6Address

# Spelled out rather than asked of `ipaddress`, whose answers have changed between versions of Python.
_NOT_PUBLIC_V4 = [
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a platform's inner services, under a public address
        "169.254.0.0/16",  # link-local, metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments, metadata services
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
]
_PUBLIC_V6 = IPv6Network("2000::/3")
"""All that is global unicast; private, link-local, multicast and unspecified addresses lie outside."""
_NOT_PUBLIC_V6 = [
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
]
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)

_INNER_NAMES = {"localhost", "metadata", "metadata.goog", "instance-data"}
_INNER_SUFFIXES = (".localhost", ".local", ".internal", ".localdomain", ".home.arpa")
_NUMERIC = re.compile(r"\d+|0x[0-9a-f]*")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")


class BadHost(ValueError):
    """Not a host name or address in its usual form."""


def parse_host(host: str) -> IPAddress | str:
    """The address that a URL's host is, or the name, in lower case and without a final dot.

    Addresses count only as everybody writes them: `0x7f.1`, `017700000001` and `2130706433` are refused, since
    programs do not agree on what they mean.

    Raises:
        BadHost: It is neither.
    """
    host = host.lower()
    if ":" in host:
        host = host.removeprefix("[").removesuffix("]")
        try:
            if "%" in host:
                raise BadHost(host)
            return IPv6Address(host)
        except AddressValueError:
            raise BadHost(host) from None
    host = host.removesuffix(".")
    if not _NAME.fullmatch(host):
        raise BadHost(host)
    if not _NUMERIC.fullmatch(host.rpartition(".")[2]):
        return host
    try:
        return IPv4Address(host)
    except AddressValueError:
        raise BadHost(host) from None


def is_inner_name(name: str) -> bool:
    """Whether a name is one of machines that only their neighbours can reach, whatever it resolves to."""
    return name in _INNER_NAMES or name.endswith(_INNER_SUFFIXES)


def is_public(address: IPAddress | str) -> bool:
    """Whether an address is one of the public internet, and so is any IPv4 address inside it."""
    if isinstance(address, str):
        address = ip_address(address)
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    if address.scope_id is not None:
        return False
    inner = IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.ipv4_mapped is not None or address in _NAT64:
        return is_public(inner)
    if address not in _PUBLIC_V6 or any(address in network for network in _NOT_PUBLIC_V6):
        return False
    return int(address) >> 32 & 0xFFFF_FFFF not in _ISATAP or is_public(inner)
