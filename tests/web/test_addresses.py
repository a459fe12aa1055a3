"""Which addresses are public, in whatever notation."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer.errors import ToolError
from agentinfer.web._addresses import BadHost, is_inner_name, is_public, parse_host
from agentinfer.web._guard import Guard, parse_url

INNER_V4 = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32", "169.254.169.254/32",
]  # fmt: skip
INNER_V6 = [
    "::/128", "::1/128", "fc00::/7", "fd00:ec2::254/128", "fe80::/10", "fec0::/10", "ff00::/8", "100::/64",
    "2001::/32", "2001:db8::/32", "2002::/16", "3fff::/20", "64:ff9b:1::/48", "5f00::/16", "4000::/3", "8000::/1",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
    "223.255.255.255", "2606:4700:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
]  # fmt: skip


def members_v4() -> st.SearchStrategy[IPv4Address]:
    networks = [IPv4Network(text) for text in INNER_V4]
    return st.sampled_from(networks).flatmap(
        lambda net: st.integers(0, net.num_addresses - 1).map(lambda offset: net.network_address + offset)
    )


def members_v6() -> st.SearchStrategy[IPv6Address]:
    networks = [IPv6Network(text) for text in INNER_V6]
    return st.sampled_from(networks).flatmap(
        lambda net: st.integers(0, net.num_addresses - 1).map(lambda offset: net.network_address + offset)
    )


def notations_v4(address: IPv4Address) -> list[str]:
    """The ways in which one program or another takes an IPv4 address."""
    number = int(address)
    parts = [number >> shift & 255 for shift in (24, 16, 8, 0)]
    return [
        str(address),
        f"{address}.",
        str(number),
        hex(number),
        f"0{number:o}",
        ".".join(map(hex, parts)),
        ".".join(f"0{part:o}" for part in parts),
        ".".join(f"{part:03}" for part in parts),
        f"{parts[0]}.{number & 0xFFFFFF}",
        f"{parts[0]}.{parts[1]}.{number & 0xFFFF}",
        f"0x{parts[0]:x}.{number & 0xFFFFFF}",
        str(address).replace(".", "%2e"),
        str(address).replace(".", "。"),
        str(address).translate({48 + digit: 0xFF10 + digit for digit in range(10)}),
    ]


def embeddings(address: IPv4Address) -> list[str]:
    """IPv6 addresses that hold this IPv4 address."""
    number = int(address)
    return [
        str(IPv6Address(0xFFFF << 32 | number)),
        f"::ffff:{address}",
        f"::{address}",
        f"64:ff9b::{address}",
        f"64:ff9b:1::{address}",
        str(IPv6Address(0x2002 << 112 | number << 80 | 1)),
        str(IPv6Address(0x20010000 << 96 | (number ^ 0xFFFFFFFF))),
        str(IPv6Address(0x2A00_1450 << 96 | 0x5EFE << 32 | number)),
        str(IPv6Address(0x2A00_1450 << 96 | 0x0200_5EFE << 32 | number)),
    ]


async def never(name: str) -> list[str]:
    raise AssertionError(f"{name} was to be resolved")


async def refused(host: str) -> bool:
    try:
        await Guard(resolver=never).check(parse_url(f"http://{host}/"))
    except ToolError:
        return True
    return False


@given(members_v4())
async def test_no_inner_address_passes_in_any_notation(address: IPv4Address) -> None:
    assert not is_public(address)
    assert [host for host in notations_v4(address) if not await refused(host)] == []


@given(members_v4())
async def test_nor_inside_an_ipv6_address(address: IPv4Address) -> None:
    for text in embeddings(address):
        assert not is_public(text), text
        assert await refused(f"[{text}]"), text
        assert await refused(f"[{IPv6Address(text).exploded.upper()}]"), text


@given(members_v6())
async def test_no_inner_ipv6_address_passes(address: IPv6Address) -> None:
    # The IPv4-mapped and -compatible ones are those of the test above.
    assert not is_public(address) or address.ipv4_mapped
    for text in (address.compressed, address.exploded, address.exploded.upper()):
        assert await refused(f"[{text}]") or address.ipv4_mapped


@given(st.ip_addresses(v=4))
def test_what_python_knows_to_be_inner_is(address: IPv4Address) -> None:
    if address.is_private or address.is_multicast or address.is_reserved or address.is_link_local:
        assert not is_public(address)


@pytest.mark.parametrize("text", PUBLIC)
async def test_public_addresses_pass(text: str) -> None:
    assert is_public(text)
    host = f"[{text}]" if ":" in text else text
    assert await Guard(resolver=never).check(parse_url(f"https://{host}/")) == [str(ip_address(text))]


@pytest.mark.parametrize("text", ["fe80::1%eth0", "2606:4700::1111%eth0"])
def test_an_address_of_one_interface_is_not_public(text: str) -> None:
    assert not is_public(text)


@pytest.mark.parametrize(
    "host", ["", ".", "a..b", "127.1", "0", "1.2.3", "1.2.3.256", "0x7f", "a b", "a%2eb", "::1%eth0", "x" * 64,
             "1.2.3.4.5", "é.com", "a.b.09"],
)  # fmt: skip
def test_odd_hosts(host: str) -> None:
    with pytest.raises(BadHost):
        parse_host(host)


def test_hosts_in_their_usual_form() -> None:
    assert parse_host("Example.COM.") == "example.com"
    assert parse_host("[::1]") == IPv6Address("::1")
    assert parse_host("10.0.0.1") == IPv4Address("10.0.0.1")
    assert parse_host("3com.com") == "3com.com"


@pytest.mark.parametrize(
    "name", ["localhost", "a.localhost", "metadata.google.internal", "metadata", "metadata.goog", "printer.local",
             "instance-data.ec2.internal", "instance-data"],
)  # fmt: skip
async def test_inner_names_are_refused_before_they_are_resolved(name: str) -> None:
    assert is_inner_name(name)
    for host in (name, name.upper(), f"{name}."):
        assert await refused(host)


@pytest.mark.parametrize(
    "url", ["ftp://example.com/", "file:///etc/passwd", "javascript:alert(1)", "//example.com/", "example.com", "", "http://",
            "http://user@1.1.1.1/", "http://user:pw@1.1.1.1/", "http://1.1.1.1\\@127.0.0.1/", "http://1.1.1.1:22/",
            "http://1.1.1.1:99999/", "https://1.1.1.1:8443/", "http://1.1.1.1:x/", "http://\0/", "http://[1.1.1.1/",
            "http://1.1.1.1/" + "x" * 5_000, "gopher://1.1.1.1/", "http://ex ample.com/"],
)  # fmt: skip
async def test_urls_that_are_not_fetched(url: str) -> None:
    with pytest.raises(ToolError):
        await Guard(resolver=never).check(parse_url(url))


async def test_one_inner_address_among_several_is_enough() -> None:
    async def mixed(name: str) -> list[str]:
        return ["93.184.216.34", "10.0.0.1"]

    with pytest.raises(ToolError, match="not at an address of the public internet"):
        await Guard(resolver=mixed).check(parse_url("http://example.com/"))


async def test_trusted_hosts_pass_and_no_others() -> None:
    guard = Guard(resolver=never, allow_hosts={"127.0.0.1"})
    assert await guard.check(parse_url("http://127.0.0.1:8080/")) == ["127.0.0.1"]
    with pytest.raises(ToolError):
        await guard.check(parse_url("http://127.0.0.2/"))
