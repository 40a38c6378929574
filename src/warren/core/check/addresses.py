"""Checks of addresses: the overlay, the LANs of a host, and the LANs of all hosts beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from warren.core.allot import addresses_needed, room
from warren.core.check.nesting import lans_of, nested
from warren.core.check.subject import Check, Subject, family_name, finding
from warren.model.diagnostic import Diagnostic
from warren.model.prefix import PRIVATE, Prefix, covers, family_of, overlaps


def overlay(subject: Subject) -> Iterator[Diagnostic]:
    """One private prefix per family, with room for everybody."""
    needed = addresses_needed(subject.network) if subject.network.overlay else 0
    seen: dict[int, Prefix] = {}
    for at, prefix in enumerate(subject.network.overlay):
        where = subject.spots(None, "overlay", at)
        first = seen.setdefault(prefix.version, prefix)
        if first is not prefix:
            says = f"The overlay has two {family_name(family_of(prefix))} prefixes, `{first}` and `{prefix}`."
            yield finding("W055", where, says, "Keep one of them; a single larger one holds more hosts.")
            continue
        if not any(covers(private, prefix) for private in PRIVATE):
            says = f"The overlay prefix `{prefix}` is not private."
            hint = "Take for instance `10.77.0.0/24` or `fd77:7:7::/64`, unless these addresses are yours."
            yield finding("W056", where, says, hint)
        if room(prefix) < needed:
            says = f"The overlay prefix `{prefix}` has room for {room(prefix)} addresses, and {needed} are needed."
            length = prefix.max_prefixlen - (needed + 1).bit_length()
            wider = prefix.supernet(new_prefix=min(length, prefix.prefixlen))
            yield finding("W053", where, says, f"Write `{wider}` or another prefix of that length.")


def overlay_and_lans(subject: Subject) -> Iterator[Diagnostic]:
    """Tunnel addresses are nobody's on a LAN."""
    for host, lan, prefix, _ in lans_of(subject.network.hosts):
        for at, ours in enumerate(subject.network.overlay):
            if overlaps(ours, prefix):
                says = f"The overlay prefix `{ours}` overlaps `{prefix}`, the LAN `{host.name}.{lan.name}`."
                hint = (
                    "Choose a prefix for the overlay that no site uses: machines of the LAN reach tunnel addresses "
                    "through their router, so none has to lie in its subnet."
                )
                yield finding("W054", subject.spots(None, "overlay", at), says, hint)


def lans_of_one_host(subject: Subject) -> Iterator[Diagnostic]:
    """A host's LANs do not overlap; two addresses in one subnet of one LAN are fine."""
    for host in subject.network.hosts:
        if len(host.lans) < 2:
            continue
        for one, around in nested(lans_of([host])):
            for other in around:
                if one.lan is other.lan:
                    continue
                first, later = sorted((one, other), key=lambda owned: owned.position)
                names = f"`{first.lan.name}` and `{later.lan.name}` of `{host.name}`"
                says = f"{names} overlap: `{other.prefix}` holds `{one.prefix}`."
                hint = "Renumber one of them, or bridge the two."
                yield finding("W057", subject.spots(later.lan.at, "address"), says, hint)


def lans_of_two_hosts(subject: Subject) -> Iterator[Diagnostic]:
    """A LAN inside another host's wider LAN would shadow a part of it. Equal ones are common, and no finding."""
    for (host, lan, prefix, _), around in nested(lans_of(subject.network.hosts)):
        mapped = lan.is_mapped(prefix)
        wider_ones = (
            owned
            for owned in around
            if owned.host is not host and owned.prefix != prefix and not (mapped and owned.lan.is_mapped(owned.prefix))
        )
        for other, other_lan, wider, _ in islice(wider_ones, 1):
            left = "neither is announced"
            if mapped or other_lan.is_mapped(wider):
                left = f"`{wider if mapped else prefix}`, which has no map, is not announced"
            says = (
                f"`{prefix}`, the LAN `{host.name}.{lan.name}`, lies in `{wider}`, `{other.name}.{other_lan.name}`: "
                f"as allowed IPs one would shadow a part of the other, so {left}."
            )
            hint = f"Give each a prefix of its own (`map: auto`), or narrow `{wider}` to what it uses, or renumber one."
            yield finding("W058", subject.spots(lan.at, "address"), says, hint)


CHECKS: tuple[Check, ...] = (overlay, overlay_and_lans, lans_of_one_host, lans_of_two_hosts)
