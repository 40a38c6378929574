"""The kinds of places a host may stand in, as users have them: what simulated worlds and the lab try in pairs.

A name like `ei-apd` says mapping, then filtering, by RFC 4787: endpoint-independent, address-dependent,
address-and-port-dependent. Their ports are random, which is the hardest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, product

from warren.lab.spaces import LabError
from warren.model.lab import Mapping, NatBox, Ports
from warren.proto.nat import Behaviour
from warren.proto.theory import Stand, goes_direct

INDEPENDENT, ADDRESS, BOTH = Mapping
SHORT = {INDEPENDENT: "ei", ADDRESS: "ad", BOTH: "apd"}
SOON = 20  # seconds after which a NAT with a short memory forgets; RFC 4787 wants 120


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of place: the NATs in front of it, the outermost first, and what else is there.

    `shared` of the NATs are in front of both hosts of this kind. `firewall`: the host itself lets in answers only; its
    agent hears probes before the firewall does, and what it sends opens it for WireGuard, so theory need not know.
    `tunnel`: all that it sends goes through a tunnel to another host, but WireGuard's own packets.
    """

    name: str
    says: str
    nats: tuple[NatBox, ...] = ()
    shared: int = 0
    ipv6: bool = False
    firewall: bool = False
    blocks_udp: bool = False
    tunnel: bool = False

    @property
    def stand(self) -> Stand:
        """What theory has to know of it."""
        boxes = [behaviour_of(nat) for nat in self.nats]
        if self.blocks_udp:
            boxes[0] = replace(boxes[0], blocks_udp=True)
        return Stand(tuple(boxes), self.ipv6)


@dataclass(frozen=True, slots=True)
class Pairing:
    """A host of one kind and a host of another, or the two of the same."""

    one: Kind
    other: Kind

    @property
    def shared(self) -> int:
        """How many NATs are in front of both."""
        return self.one.shared if self.one == self.other else 0

    @property
    def connects(self) -> bool:
        """Whether the two reach each other at all."""
        return not (self.one.blocks_udp or self.other.blocks_udp)

    @property
    def direct(self) -> bool:
        """Whether theory says that they go direct."""
        return goes_direct(self.one.stand, self.other.stand, self.shared)

    @property
    def direct_in_lab(self) -> bool:
        """Whether they go direct in the lab, whose NATs are Linux's.

        These answer by the port at which a stranger came in, and not by the one that they show him: a NAT that lets
        everybody in is as good as one that shows everybody the same.
        """
        return goes_direct(_in_lab(self.one.stand), _in_lab(self.other.stand), self.shared)

    @property
    def name(self) -> str:
        """How people call it."""
        return f"{self.one.name} × {self.other.name}"


def _in_lab(stand: Stand) -> Stand:
    boxes = (replace(box, mapping=INDEPENDENT) if box.filtering is INDEPENDENT else box for box in stand.boxes)
    return replace(stand, boxes=tuple(boxes))


def behaviour_of(nat: NatBox) -> Behaviour:
    """Say what a NAT of the lab is in a simulated world."""
    return Behaviour(nat.mapping, nat.filtering, nat.ports, float(nat.timeout), nat.hairpin)


def _nat(mapping: Mapping, filtering: Mapping, ports: Ports = Ports.RANDOM, **more: object) -> NatBox:
    return NatBox("", mapping, filtering, ports, **more)  # type: ignore[arg-type]


_HOME = _nat(INDEPENDENT, BOTH, Ports.PRESERVING)
_HARD = _nat(BOTH, BOTH)
_CARRIER = _nat(INDEPENDENT, BOTH)
_BY_RFC = tuple(
    Kind(f"{SHORT[m]}-{SHORT[f]}", f"mapping {m}, filtering {f}, random ports", (_nat(m, f),))
    for m, f in product(Mapping, Mapping)
)
KINDS = (
    Kind("public", "on the internet, nothing in front"),
    Kind("firewall", "on the internet, the host lets in answers only", firewall=True),
    *_BY_RFC,
    Kind("home", "most home routers: ei-apd that keeps ports", (_HOME,)),
    Kind("brief", f"a home router that forgets after {SOON} s", (replace(_HOME, timeout=SOON),)),
    Kind("masq", "apd-apd that keeps a port where it is free", (_nat(BOTH, BOTH, Ports.PRESERVING),)),
    Kind("counting", "apd-apd that takes one port after the other", (_nat(BOTH, BOTH, Ports.SEQUENTIAL),)),
    Kind("cgnat", "a home router behind the provider's NAT", (_CARRIER, _HOME), shared=1),
    Kind("hairpin", "the same, and the provider's NAT hairpins", (replace(_CARRIER, hairpin=True), _HOME), shared=1),
    Kind("hard-cgnat", "a home router behind a provider's apd-apd", (_HARD, _HOME)),
    Kind("lan", "two in one LAN, behind an apd-apd", (_HARD,), shared=1),
    Kind("dual", "a home router, with IPv6 behind its filter", (_HOME,), ipv6=True),
    Kind("hard-dual", "an apd-apd, with IPv6 behind its filter", (_HARD,), ipv6=True),
    Kind("tunnel", "a home router; all traffic goes by an exit", (_HOME,), tunnel=True),
    Kind("blocked", "UDP is blocked: not connected, as expected", (_HOME,), blocks_udp=True),
)


HOME, HARD = next(kind for kind in KINDS if kind.name == "home"), next(kind for kind in KINDS if kind.name == "apd-apd")
CAFE = Kind("cafe", "where others are, too: somewhere to move to", (_HOME,), shared=1)


def choose(names: Iterable[str]) -> tuple[Kind, ...]:
    """Give the kinds of these names, or all; LabError if there is no such."""
    wanted, by_name = tuple(dict.fromkeys(names)), {kind.name: kind for kind in KINDS}
    for name in wanted:
        if name not in by_name:
            raise LabError(f"there is no kind of place called {name}", f"There are: {', '.join(by_name)}.")
    return tuple(kind for kind in KINDS if not wanted or kind.name in wanted)


def kinds_of(hosts: Iterable[str]) -> tuple[Kind, ...]:
    """Give the kinds of which these hosts are."""
    names = {name.rpartition("-")[0] for name in hosts}
    return tuple(kind for kind in (*KINDS, CAFE) if kind.name in names)


def pairings(kinds: Iterable[Kind]) -> tuple[Pairing, ...]:
    """Give every pair of these kinds, each with itself, too."""
    return tuple(Pairing(*pair) for pair in combinations_with_replacement(kinds, 2))
