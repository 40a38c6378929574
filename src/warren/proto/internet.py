"""A whole internet in one process, on a clock of its own: hosts behind boxes behind boxes, and packets between them.

    root ── server 203.0.113.1                          a realm is what can reach each other without a box between: the
      └─ box 198.51.100.1 ── home ── host 192.168.1.2   root, or the network behind a NAT; LANs may have the same
      └─ box 198.51.100.2 ── carrier ── box ── home     addresses, and what is meant for another LAN meets a stranger

A packet climbs through boxes to the first realm that knows its destination, travels, and comes down on the other side.
Each box judges it when it is there, so two hosts that punch at once race as they would in truth. The same seed gives
the same world.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from warren.proto.address import Address
from warren.proto.nat import Behaviour, Chance, Nat

IP = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Link:
    """How a host hangs on its realm: seconds one way, at most so many more by chance (packets overtake), share lost."""

    latency: float = 0.01
    jitter: float = 0.0
    loss: float = 0.0


class Host:
    """What sends and receives. `heard(data, source, port, now)` is called with each datagram, `port` being its own."""

    def __init__(self, internet: Internet, realm: Realm, ips: tuple[IP, ...], link: Link) -> None:
        self._internet = internet
        self.realm, self.ips, self.link = realm, ips, link
        self.heard: Callable[[bytes, Address, int, float], None] = lambda data, source, port, now: None

    def send(self, data: bytes, to: Address, port: int) -> None:
        """Send from this port; nothing happens where the host has no address of that family."""
        own = next((ip for ip in self.ips if ip.version == to.ip.version), None)
        if own is not None:
            self._internet.send(self, data, Address(own, port), to)


@dataclass
class Realm:
    """What can reach each other directly; `box` is the way out, in the realm `outer`."""

    box: Nat | None = None
    outer: Realm | None = None
    members: dict[IP, Host | Realm] = field(default_factory=dict)


class Internet:
    """The root, the clock, and all that is on the way."""

    def __init__(self, chance: Chance) -> None:
        self.root = Realm()
        self.now = 0.0
        self.delivered = self.lost = 0
        self._chance = chance
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    # --- building ---------------------------------------------------------------------------------------------

    def realm(self, behaviour: Behaviour, outside: IP, outer: Realm | None = None) -> Realm:
        """Put a box into a realm, and give the realm behind it."""
        outer = outer or self.root
        inner = Realm(Nat(behaviour, Address(outside, 0), self._chance), outer)
        if behaviour.translates:
            self._claim(outer, outside, inner)
        return inner

    def host(self, realm: Realm, *ips: IP, link: Link | None = None) -> Host:
        """Put a host into a realm; addresses that no box translates are reachable from all realms around it."""
        made = Host(self, realm, ips, link or Link())
        self._place(made)
        return made

    def move(self, host: Host, realm: Realm, *ips: IP) -> None:
        """Take a host to another place: its old addresses lead nowhere."""
        for ip in host.ips:
            at: Realm | None = host.realm
            while at is not None and at.members.pop(ip, None) is not None:
                at = at.outer
        host.realm, host.ips = realm, ips
        self._place(host)

    def _place(self, host: Host) -> None:
        for ip in host.ips:
            self._claim(host.realm, ip, host)
            at = host.realm
            while at.box is not None and at.outer is not None and (ip.version == 6 or not at.box.behaviour.translates):
                self._claim(at.outer, ip, at)
                at = at.outer

    def _claim(self, realm: Realm, ip: IP, what: Host | Realm) -> None:
        if ip in realm.members:
            raise ValueError(f"{ip} is there already")
        realm.members[ip] = what

    # --- time ---------------------------------------------------------------------------------------------------

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Have something happen; at once, if that time is past."""
        self._count += 1
        heapq.heappush(self._queue, (max(when, self.now), self._count, call))

    def run(self, until: Callable[[], bool], within: float) -> bool:
        """Let time pass until something is so, at most so many seconds; says whether it came to be."""
        end = self.now + within
        while not until():
            if not self._queue or self._queue[0][0] > end:
                self.now = end
                return until()
            self.now, _, call = heapq.heappop(self._queue)
            call()
        return True

    # --- packets ------------------------------------------------------------------------------------------------

    def send(self, host: Host, data: bytes, source: Address, to: Address) -> None:
        """Have a host's packet climb to the realm that knows where it goes."""
        realm = host.realm
        while to.ip not in realm.members:
            climbed = realm.box.out(source, to, self.now) if realm.box else None
            if climbed is None or realm.outer is None:
                self.lost += 1
                return
            source, realm = climbed, realm.outer
        self._travel(host.link, lambda: self._descend(data, source, to, realm))

    def _descend(self, data: bytes, source: Address, to: Address, realm: Realm) -> None:
        turned = source.ip == to.ip  # it comes to the very box by which it left
        while isinstance(found := realm.members.get(to.ip), Realm):
            inside = found.box.into(source, to, self.now) if found.box else None
            if found.box is None or inside is None or (turned and not found.box.behaviour.hairpin):
                self.lost += 1
                return
            to, realm, turned = inside, found, False
        if found is None:
            self.lost += 1
            return
        host, port = found, to.port
        self._travel(host.link, lambda: self._deliver(host, data, source, port))

    def _deliver(self, host: Host, data: bytes, source: Address, port: int) -> None:
        self.delivered += 1
        host.heard(data, source, port, self.now)

    def _travel(self, link: Link, arrive: Callable[[], None]) -> None:
        if link.loss and self._chance.random() < link.loss:
            self.lost += 1
            return
        extra = link.jitter * self._chance.random() if link.jitter else 0.0
        self.at(self.now + link.latency + extra, arrive)
