"""Checks of what is published: that the gateway can, that the target is within reach, that a port leads one way."""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.check.subject import Check, Subject, family_name, finding
from warren.core.compile.publishes import claims, clashes, families_of, is_routed, published_at
from warren.core.parse.addresses import parse_address
from warren.model.diagnostic import Diagnostic, Where
from warren.model.host import Host
from warren.model.place import PlaceKind
from warren.model.prefix import family_of
from warren.model.publish import PortRange, Publish

PROTOS = ("tcp", "udp", "icmp")


def clashing(subject: Subject) -> Iterator[Diagnostic]:
    """Of two publishes that share ports of a gateway, one is narrower."""
    for host in subject.network.hosts:
        at = published_at(subject.network, host.name)
        for family in subject.network.families:
            translated = (publish for publish in at if not is_routed(subject.network, publish))
            here = tuple(publish for publish in translated if family in families_of(subject.network, publish))
            whole = [publish for publish in here if publish.ports is None]
            for publish in whole[1:]:
                says = f"Two publishes want all of `{host.name}`: one for `{whole[0].to}`, one for `{publish.to}`."
                hint = f"Name the ports of one of them; the other is in line {_line(whole[0])}."
                yield finding("W110", _spot(subject, publish, "ports"), says, hint)
            for proto in PROTOS:
                for one, other in clashes(claims(here, proto)):
                    first, later = sorted((one, other), key=lambda claim: (_line(claim.publish), claim is other))
                    says = (
                        f"`{later.ports}` at `{host.name}` for `{later.publish.to}` and `{first.ports}` for "
                        f"`{first.publish.to}` share ports, and neither is the narrower."
                    )
                    hint = f"Publish each port once, or one range within the other; see line {_line(first.publish)}."
                    yield finding("W110", _spot_of(subject, later.publish, later.ports), says, hint)


def gateways(subject: Subject) -> Iterator[Diagnostic]:
    """The gateway can be dialled, does not publish itself, and keeps the ports its tunnels live on."""
    for publish in subject.network.publishes:
        gateway = subject.network.by_name[publish.gateway]
        if publish.to.host == gateway.name and publish.to.kind is not PlaceKind.DEVICE:
            says = f"`{gateway.name}` publishes `{publish.to}`, which is its own: no tunnel leads there."
            hint = (
                "Take it out: what listens on a gateway is reached there without warren."
                if publish.to.kind is PlaceKind.HOST
                else "Take it out: the gateway's own port forwarding can do this."
            )
            yield finding("W115", _spot(subject, publish, "to"), says, hint)
        if gateway.endpoint is None:
            says = f"`{gateway.name}` has no endpoint, so nobody knows an address of it where something is published."
            hint = "Give it an `endpoint:`, or publish at a host that has one."
            yield finding("W112", _spot(subject, publish, "at"), says, hint)
        yield from _own_ports(subject, publish, gateway)


def _own_ports(subject: Subject, publish: Publish, gateway: Host) -> Iterator[Diagnostic]:
    if is_routed(subject.network, publish):
        return
    own = {port for port in (gateway.port, gateway.endpoint.port if gateway.endpoint else None) if port is not None}
    for at, ports in enumerate(publish.ports or ()):
        for port in sorted(own):
            if ports.proto != "udp" or not ports.first <= port <= ports.last:
                continue
            if any(kept.proto == "udp" and kept.first <= port <= kept.last for kept in publish.exceptions):
                continue
            says = (
                f"`{ports}` holds udp/{port}, on which the tunnels of `{gateway.name}` live: they would never come up."
            )
            hint = f"Add `except: [udp/{port}]`." if ports.first < ports.last else "Publish another port."
            yield finding("W111", _spot(subject, publish, "ports", at), says, hint)


def targets(subject: Subject) -> Iterator[Diagnostic]:
    """A tunnel leads from the gateway to the target, in a family that somebody comes by."""
    for publish in subject.network.publishes:
        place = publish.to
        where = _spot(subject, publish, "to")
        gateway = subject.network.by_name[publish.gateway]
        if place.kind is not PlaceKind.PREFIX or place.prefix is None or place.host == gateway.name:
            continue
        family = family_of(place.prefix)
        if family not in subject.network.families:
            name = family_name(family)
            says = f"The overlay has no {name}, so no tunnel carries anything to `{place}`."
            yield finding("W117", where, says, f"Add an {name} prefix to `overlay:`, or publish another address.")
            continue
        prefix = subject.lan_prefix(place, family)
        if prefix is not None and not subject.is_announced(place.host, prefix):
            why = subject.why_not_announced(place.host, place.lan, prefix)
            says = f"`{gateway.name}` has no way to `{place}`: {why}."
            closed = why.endswith("closed")
            hint = (
                f"Take `closed: true` away at `{place.host}.{place.lan}`, or publish `{place.host}` itself."
                if closed
                else f"Give `{place.host}.{place.lan}` a `map:` of its own, or renumber one of the LANs."
            )
            yield finding("W113", where, says, hint)
        literal = parse_address(gateway.endpoint.host) if gateway.endpoint is not None else None
        otherwise = is_routed(subject.network, publish) or _otherwise(subject, publish)
        if literal is not None and family_of(literal) is not family and not otherwise:
            asked, other = family_name(family_of(literal)), family_name(family)
            says = f"`{gateway.name}` is known by {asked}, and `{place}` has only {other}: no {asked} is translated."
            hint = f"Publish an {asked} address of the machine, unless it is meant for {other} alone."
            yield finding("W116", where, says, hint)


def _otherwise(subject: Subject, publish: Publish) -> bool:
    """Say whether the same ports, or all, lead somewhere in the other family too."""
    family = families_of(subject.network, publish)
    return any(
        families_of(subject.network, other) != family
        and (other.ports is None or (publish.ports is not None and {*publish.ports} <= {*other.ports}))
        for other in published_at(subject.network, publish.gateway)
    )


def sources(subject: Subject) -> Iterator[Diagnostic]:
    """One service sees its clients in one way, whichever port of the gateway they came by."""
    for host in subject.network.hosts:
        seen: dict[tuple[str, str, int], Publish] = {}
        for publish in published_at(subject.network, host.name):
            for at, ports in enumerate(publish.ports or ()):
                if ports.to is None and ports.first != ports.last:
                    continue
                port = ports.to[0] if ports.to is not None else ports.first
                first = seen.setdefault((str(publish.to), ports.proto, port), publish)
                if first.source is not publish.source:
                    says = (
                        f"`{ports.proto}/{port}` of `{publish.to}` is published twice at `{host.name}`, with its "
                        f"source kept and not."
                    )
                    hint = f"Write the same `source:` as in line {_line(first)}."
                    yield finding("W119", _spot(subject, publish, "ports", at), says, hint)


def exceptions(subject: Subject) -> Iterator[Diagnostic]:
    """What is excepted was published."""
    for publish in subject.network.publishes:
        for at, kept in enumerate(publish.exceptions):
            if publish.ports is None or any(
                ports.proto == kept.proto and ports.first <= kept.last and kept.first <= ports.last
                for ports in publish.ports
            ):
                continue
            says = f"`{kept}` is excepted, but it is not published here."
            yield finding("W118", _spot(subject, publish, "except", at), says, "Take the exception out.")


def _spot(subject: Subject, publish: Publish, *keys: str | int) -> Where:
    return subject.spots(publish.at, *keys)


def _spot_of(subject: Subject, publish: Publish, ports: PortRange) -> Where:
    return _spot(subject, publish, "ports", (publish.ports or ()).index(ports))


def _line(publish: Publish) -> int:
    return publish.at.line if publish.at is not None else 0


CHECKS: tuple[Check, ...] = (clashing, gateways, targets, sources, exceptions)
