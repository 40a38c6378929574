"""Which IPv4 addresses of a LAN are given to whoever asks: as written, or a fair part of the subnet.

/24   .100 to .250      the rest is for what has a fixed address
/28   .4 to .14         a quarter is left
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface

from warren.model.host import Lan
from warren.model.prefix import Interface

FIRST = 100  # number of the first address, where a subnet has room for it
SPARE = 6  # of a subnet with room, the last addresses that are left, the broadcast's included
MOST = 4096  # addresses to give


def leased_subnet(lan: Lan) -> IPv4Interface | None:
    """Give the router's address in the subnet that leases are of: the range's, else the first; None without IPv4."""
    own = [address for address in lan.addresses if isinstance(address, IPv4Interface)]
    first = lan.dhcp.first if lan.dhcp is not None else None
    return next((address for address in own if first is None or first in address.network), None)


def pool(lan: Lan) -> tuple[IPv4Address, IPv4Address] | None:
    """Give the first and the last address that is given away; None for a LAN without DHCP, or without room for it."""
    router = leased_subnet(lan)
    if lan.dhcp is None or router is None:
        return None
    if isinstance(lan.dhcp.first, IPv4Address) and isinstance(lan.dhcp.last, IPv4Address):
        return lan.dhcp.first, lan.dhcp.last
    subnet = router.network
    size = subnet.num_addresses
    if size < 4:
        return None
    first = FIRST if size > 2 * FIRST else max(1, size // 4)
    last = size - (SPARE if size > 2 * FIRST else 2)
    return subnet[first], subnet[min(last, first + MOST - 1)]


def leases(lan: Lan) -> int:
    """Count the leases that there can be at once."""
    ends = pool(lan)
    static = len(lan.dhcp.static) if lan.dhcp is not None else 0
    return int(ends[1]) - int(ends[0]) + 1 + static if ends is not None else static


def fixed_address(lan: Lan, mac: str) -> IPv4Interface | None:
    """Give the address that a machine always gets; None if it gets any."""
    router = leased_subnet(lan)
    for one in lan.dhcp.static if lan.dhcp is not None and router is not None else ():
        if one.mac == mac.lower() and isinstance(one.address, IPv4Address) and router is not None:
            return IPv4Interface((one.address, router.network.prefixlen))
    return None


def is_leased(lan: Lan, address: Interface) -> bool:
    """Say whether a machine gets this address by asking for it; any other was set by hand."""
    ends = pool(lan)
    if lan.dhcp is None or ends is None or not isinstance(address, IPv4Interface):
        return False
    return ends[0] <= address.ip <= ends[1] or any(one.address == address.ip for one in lan.dhcp.static)
