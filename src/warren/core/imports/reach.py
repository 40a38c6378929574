"""What confs say can be reached where: the LANs behind hosts, and who takes everything.

AllowedIPs say by which peer a prefix is reached, not who owns it: a client sends the whole network to its server. So a
prefix is followed from conf to conf until somebody has it behind no further peer.

    phone: server 10.0.0.0/24, 192.168.2.0/24 ──► server: office 10.0.0.3/32, 192.168.2.0/24 ──► office: it is its LAN

What takes in most of the internet is no LAN: it is an exit, and what it leaves out are its exceptions.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network

from warren.core.check.nesting import Holders
from warren.core.conf.conf import ConfPeer
from warren.core.imports.addresses import Addressed
from warren.core.imports.diagnostics import finding
from warren.core.imports.given import Given
from warren.core.imports.parties import Party
from warren.model.diagnostic import Diagnostic
from warren.model.key import PublicKey
from warren.model.prefix import (
    FAMILIES,
    PRIVATE,
    Family,
    Prefix,
    Span,
    covers,
    merge,
    overlaps,
    prefixes_of,
    span_of,
    subtract,
)

# Unicast that a router forwards; who takes half of it takes everything, but for what it names.
INTERNET: dict[Family, tuple[Prefix, ...]] = {
    Family.IPV4: (ip_network("0.0.0.0/0"),),
    Family.IPV6: (ip_network("2000::/3"),),
}
_NOBODYS = tuple(map(ip_network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")))
_MOST_EXCEPTIONS = 1000


@dataclass(frozen=True)
class Everything:
    """A peer that takes everything of a family, but for exceptions."""

    family: Family
    exceptions: tuple[Prefix, ...]


@dataclass
class Reached:
    """The LAN prefixes of each party, sorted, and the exits of each conf by its key: the peer, what it takes."""

    lans: dict[PublicKey, tuple[Prefix, ...]] = field(default_factory=dict)
    exits: dict[PublicKey, list[tuple[PublicKey, Everything]]] = field(default_factory=dict)


def everything(peer: ConfPeer, family: Family) -> Everything | None:
    """Say whether a peer takes the internet of a family: all of it, its halves, or all but some prefixes."""
    mine = merge(span_of(prefix) for prefix in peer.allowed_ips if prefix.version == family)
    whole = [span_of(prefix) for prefix in INTERNET[family]]
    left_out = subtract(whole, mine)
    if 2 * _size(left_out) >= _size(whole):
        return None
    left_out = subtract(left_out, [span_of(prefix) for prefix in _NOBODYS if prefix.version == family])
    exceptions = tuple(prefixes_of(left_out, family))
    return Everything(family, exceptions) if len(exceptions) <= _MOST_EXCEPTIONS else None


def _size(spans: Iterable[Span]) -> int:
    return sum(last - first + 1 for first, last in spans)


def find_reached(parties: Mapping[PublicKey, Party], addressed: Addressed) -> tuple[Reached, tuple[Diagnostic, ...]]:
    """Find everybody's LANs and the exits."""
    reached = Reached()
    follow = _Follow(parties, addressed)
    found: list[Diagnostic] = []
    owners: dict[Prefix, dict[PublicKey, tuple[Given, PublicKey]]] = {}
    for party in parties.values():
        given = party.given
        for peer in given.peers if given is not None else ():
            assert given is not None
            whole = {family: everything(peer, family) for family in FAMILIES}
            exits = [one for one in whole.values() if one is not None]
            reached.exits.setdefault(party.key, []).extend((peer.public_key, one) for one in exits)
            for prefix in peer.allowed_ips:
                # What is wider than a site, of who takes everything, is a piece of everything.
                if whole[Family(prefix.version)] is not None and not _is_site(prefix):
                    continue
                owner = follow.owned(prefix, party.key, peer.public_key)
                if owner is not None:
                    owners.setdefault(prefix, {}).setdefault(owner, (given, peer.public_key))
    held: dict[PublicKey, list[Prefix]] = {}
    for prefix, claims in owners.items():
        first, *others = claims
        held.setdefault(first, []).append(prefix)
        for other in others:
            given, seen_as = claims[other]
            what = f"{prefix} is said to be behind `{parties[first].name}` and behind `{parties[other].name}`"
            remedy = (
                f"The file gives it to `{parties[first].name}`. If both have such a LAN, write it at both: neither "
            )
            remedy += "is announced to the others then."
            found.append(finding("W162", given.allowed(seen_as, prefix), what=what, remedy=remedy))
    reached.lans = _without_nested(held)
    return reached, tuple(found)


def _is_site(prefix: Prefix) -> bool:
    """Say whether a prefix is such as a site uses: private, or narrow."""
    private = any(covers(one, prefix) for one in PRIVATE)
    return private or prefix.prefixlen >= (24 if prefix.version == 4 else 48)


class _Follow:
    """Follows prefixes through confs; what each conf holds is indexed once."""

    def __init__(self, parties: Mapping[PublicKey, Party], addressed: Addressed) -> None:
        self.parties, self.addressed = parties, addressed
        self._beyond: dict[PublicKey, _Beyond] = {}

    def owned(
        self, prefix: Prefix, viewer: PublicKey, holder: PublicKey, passed: frozenset[PublicKey] = frozenset()
    ) -> PublicKey | None:
        """Name who has a prefix that a conf (the viewer's) has behind a peer; None for the overlay, and for what is
        only a sum of prefixes that others have."""
        if any(overlaps(prefix, one) for one in self.addressed.overlay):
            return None
        beyond = self._beyond.get(holder)
        if beyond is None:
            beyond = self._beyond[holder] = _Beyond(self.parties[holder].given)
        key = beyond.around(prefix, passed | {viewer})
        if key is not None:
            return self.owned(prefix, holder, key, passed | {holder})
        return None if beyond.inside(prefix, viewer) else holder


class _Beyond:
    """What a party's own conf has behind its peers."""

    def __init__(self, given: Given | None) -> None:
        held = [
            (prefix, peer.public_key)
            for peer in (given.peers if given is not None else ())
            for prefix in peer.allowed_ips
            if prefix.prefixlen
        ]
        self._holders = Holders(held)
        self._sorted = sorted((prefix.version, *span_of(prefix), key) for prefix, key in held)

    def around(self, prefix: Prefix, but: frozenset[PublicKey]) -> PublicKey | None:
        """Name the peer behind which all of a prefix is, by the longest prefix."""
        return next((key for _, key in reversed(list(self._holders.around(prefix))) if key not in but), None)

    def inside(self, prefix: Prefix, but: PublicKey) -> bool:
        """Say whether a part of a prefix is behind a peer."""
        first, last = span_of(prefix)
        at = bisect_left(self._sorted, (prefix.version, first))
        return any(
            key != but
            for version, start, _, key in self._sorted[at : at + 2]
            if version == prefix.version and start <= last
        )


def _without_nested(held: Mapping[PublicKey, Sequence[Prefix]]) -> dict[PublicKey, tuple[Prefix, ...]]:
    """Cut out of each prefix what another party has more exactly: WireGuard gives it to the longer prefix too."""
    every = Holders((prefix, owner) for owner, prefixes in held.items() for prefix in prefixes)
    holes: dict[Prefix, list[Span]] = {}
    for owner, prefixes in held.items():
        for prefix in prefixes:
            for wider, of in every.around(prefix):
                if of != owner:
                    holes.setdefault(wider, []).append(span_of(prefix))
    return {
        owner: tuple(
            piece
            for prefix in sorted(prefixes, key=lambda one: (one.version, span_of(one)))
            for piece in (
                prefixes_of(subtract([span_of(prefix)], holes[prefix]), Family(prefix.version))
                if prefix in holes
                else (prefix,)
            )
        )
        for owner, prefixes in held.items()
    }
