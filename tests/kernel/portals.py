"""The portals network as the tests of real kernels know it: who stands where, and whom the internet should see.

eth1 192.168.1.0/24  ─┐                                  ┌─ eth1  192.168.1.0/24   (the same subnet)
eth2 192.168.21.0/24 ─┴─ nyc ── internet ── NAT ── paris ─ wlan0 192.168.22.0/24
                                   └── tokyo
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from tests.kernel.wire import Question
from tests.kernel.world import Remote

LAN, WIFI = "nyc.eth2", "paris.wlan0"  # portals of whole LANs, into each other's host
MAC = "nyc.eth1.02:00:5e:00:00:32"  # one device, out at tokyo
CHAIN = "nyc.192.168.1.51"  # one address, through paris out at tokyo; its IPv6 has no portal
PLAIN, PLAIN_PARIS = "nyc.eth1", "paris.eth1"  # no portal

EXITS = {LAN: "paris", WIFI: "nyc", MAC: "tokyo", PLAIN: "nyc", PLAIN_PARIS: "paris", "nyc": "nyc", "paris": "paris"}
# In one family only: IPv4, then IPv6.
BY_FAMILY = {CHAIN: ("tokyo", "nyc"), "tokyo": ("nyc", "tokyo")}

_numbers = count(1)


def fresh(version: int = 4) -> str:
    """Give an address of the internet that no other question of this run is sent to: a capture sees one probe alone."""
    number = next(_numbers)
    return f"9.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}" if version == 4 else f"2620:fe:{number:x}::1"


def questions(places: Sequence[str], protos: Sequence[str] = ("udp", "tcp"), timeout: float = 2.0) -> list[Question]:
    """Ask the internet from places, in both families."""
    return [
        Question(place, fresh(version), proto, timeout=timeout)
        for place in places
        for version in (4, 6)
        for proto in protos
    ]


def answers(world: Remote, asked: Sequence[Question]) -> dict[str, str]:
    """Ask, and name each question shortly."""
    return {
        f"{q.space} {'ipv6' if ':' in q.to else 'ipv4'} {q.proto}": answer
        for q, answer in zip(asked, world.ask(list(asked)), strict=True)
    }


def exits(world: Remote, asked: Sequence[Question]) -> dict[str, str]:
    """Say what should come of questions to the internet: the addresses of the exits."""
    seen = {host.name: world.seen_as(host.name) for host in world.network.hosts}
    return {
        f"{q.space} {'ipv6' if six else 'ipv4'} {q.proto}": seen[_exit(q.space, six)][six]
        for q in asked
        for six in (":" in q.to,)
    }


def _exit(place: str, six: bool) -> str:
    return BY_FAMILY[place][six] if place in BY_FAMILY else EXITS[place]


def everywhere() -> Iterator[str]:
    """All places whose packets to the internet are told apart."""
    yield from EXITS
    yield from BY_FAMILY
