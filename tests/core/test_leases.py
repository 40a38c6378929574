"""Which addresses of a LAN are given away: a fair part, never the router's nor those of the subnet itself."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, ip_address, ip_interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren.core.leases import fixed_address, is_leased, leased_subnet, leases, pool
from warren.model.host import Lan
from warren.model.lan_words import Dhcp, Static


def lan(address: str, **words: object) -> Lan:
    return Lan("eth2", (ip_interface(address),), dhcp=Dhcp(**words))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("address", "ends"),
    [
        ("192.168.21.1/24", "192.168.21.100 192.168.21.250"),
        ("10.0.0.1/8", "10.0.0.100 10.0.16.99"),
        ("192.168.21.1/25", "192.168.21.32 192.168.21.126"),
        ("192.168.21.1/29", "192.168.21.2 192.168.21.6"),
        ("192.168.21.1/30", "192.168.21.1 192.168.21.2"),
        ("192.168.21.1/31", ""),
        ("fd21::1/64", ""),
    ],
)
def test_a_subnet_is_given_away_in_part(address: str, ends: str) -> None:
    found = pool(lan(address))

    assert " ".join(map(str, found or ())) == ends


@given(st.integers(8, 30), st.integers(0, 2**32 - 1))
def test_what_is_given_away_lies_in_the_subnet(length: int, number: int) -> None:
    router = IPv4Interface((IPv4Address(number), length))
    found = pool(Lan("eth2", (router,), dhcp=Dhcp()))

    assert found is not None
    first, last = found
    assert router.network.network_address < first <= last < router.network.broadcast_address
    assert leases(Lan("eth2", (router,), dhcp=Dhcp())) == int(last) - int(first) + 1 <= 4096


def test_the_range_says_which_subnet() -> None:
    two = Lan(
        "eth2",
        (ip_interface("192.168.1.1/24"), ip_interface("192.168.2.1/24")),
        dhcp=Dhcp(ip_address("192.168.2.50"), ip_address("192.168.2.60")),
    )

    assert leased_subnet(two) == ip_interface("192.168.2.1/24")
    assert is_leased(two, ip_interface("192.168.2.60/24")) and not is_leased(two, ip_interface("192.168.2.61/24"))
    assert not is_leased(two, ip_interface("192.168.1.50/24"))


def test_a_fixed_address_need_not_be_in_the_range() -> None:
    mine = lan("192.168.1.1/24", static=(Static("02:00:5e:00:00:32", ip_address("192.168.1.7")),))

    assert fixed_address(mine, "02:00:5E:00:00:32") == ip_interface("192.168.1.7/24")
    assert fixed_address(mine, "02:00:5e:00:00:33") is None
    assert is_leased(mine, ip_interface("192.168.1.7/24")) and leases(mine) == 152
