"""Machines on a LAN that are told their address and router by advertisement, as they are at home (RFC 4861, 4862).

The kernel of each does it by itself (`accept_ra`); the lab only has it ask at once, again and again, until it knows.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable
from ipaddress import IPv6Address
from pathlib import Path

from warren.lab.spaces import LabError, Spaces
from warren.model.prefix import Address, Family
from warren.model.world import Client

AGAIN = 0.5  # seconds until a machine asks once more
LEARNER = {
    "net.ipv6.conf.default.accept_ra": "1",
    "net.ipv6.conf.default.autoconf": "1",
    "net.ipv6.conf.default.use_tempaddr": "0",
    "net.ipv6.conf.default.addr_gen_mode": "0",  # of its MAC, so that we know the address beforehand
}
_ALL_ROUTERS = "ff02::2"
_SOLICITATION = struct.pack("!BBHI", 133, 0, 0, 0)  # RFC 4861 section 4.1; the kernel fills in the checksum
DEVICE = "eth0"

Wait = Callable[[Callable[[], bool], float, Callable[[float], None] | None], bool]


def await_learned(spaces: Spaces, learners: dict[str, Client], wait: Wait, seconds: float) -> None:
    """Have machines ask until each has its addresses and a router; LabError names one that was told nothing."""
    waiting = dict(learners)
    again = 0.0

    def all_told() -> bool:
        for space, client in list(waiting.items()):
            if knows(spaces, space, (address.ip for address in client.addresses if address.network in client.learned)):
                del waiting[space]
        return not waiting

    def prod(now: float) -> None:
        nonlocal again
        if now >= again:
            again = now + AGAIN
            for space in waiting:
                solicit(spaces, space)

    if not wait(all_told, seconds, prod):
        client = next(iter(waiting.values()))
        raise LabError(f"{client.name} was told no address and no router within {seconds:.0f} s")


def solicit(spaces: Spaces, space: str) -> None:
    """Have a machine ask for routers; what it hears, its kernel takes up."""
    with spaces.inside(space), socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as asker:
        asker.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        try:
            asker.sendto(_SOLICITATION, (_ALL_ROUTERS, 0, 0, socket.if_nametoindex(DEVICE)))
        except OSError:
            return  # its cable is not there yet: asked again soon


def knows(spaces: Spaces, space: str, addresses: Iterable[Address]) -> bool:
    """Say whether a machine has these addresses and a default route, both learned."""
    has = addresses_of(spaces, space)
    return all(address in has for address in addresses) and has_router(spaces, space)


def addresses_of(spaces: Spaces, space: str) -> dict[Address, bool]:
    """Give a machine's global IPv6 addresses, and whether each is one that new flows begin with."""
    found: dict[Address, bool] = {}
    for line in _proc(spaces, space, "if_inet6").splitlines():
        number, _, _, scope, flags, _ = line.split()
        if scope == "00":
            found[IPv6Address(int(number, 16))] = not int(flags, 16) & 0x20  # IFA_F_DEPRECATED (if_addr.h)
    return found


def has_router(spaces: Spaces, space: str) -> bool:
    """Say whether a machine has an IPv6 default route."""
    for line in _proc(spaces, space, "ipv6_route").splitlines():
        words = line.split()
        # Destination ::/0, not the kernel's own `unreachable` behind everything (RTF_REJECT, ipv6_route.h).
        if words[:2] == ["0" * 32, "00"] and not int(words[8], 16) & 0x200:
            return True
    return False


def learners_of(spaces: Iterable[tuple[str, Client]]) -> dict[str, Client]:
    """Pick the machines that are told something of IPv6."""
    return {space: client for space, client in spaces if client.learned and client.address(Family.IPV6) is not None}


def _proc(spaces: Spaces, space: str, name: str) -> str:
    with spaces.inside(space):
        return Path(f"/proc/self/net/{name}").read_text(encoding="ascii")
