"""Which ports of a gateway lead where: publishes by gateway and by home, and the narrower before the wider.

    all ──────────────────────────────────────────────  → home
        8000 ────────────────── 8100                    → the server
               8080                                     → the laptop

Claims on the ports of one gateway, protocol and family nest, so that the narrowest wins; check refuses two that are
equal or that cross. What `except` names stays at the gateway, and does not fall to a wider publish.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from warren.model.endpoint import Endpoint
from warren.model.network import Network
from warren.model.place import PlaceKind
from warren.model.prefix import Address, Family, covers, family_of
from warren.model.publish import PortRange, Publish, SourceKept


@dataclass(frozen=True, slots=True)
class Claim:
    """Ports of one protocol that one publish asks for."""

    publish: Publish
    ports: PortRange


def published_at(network: Network, gateway: str) -> tuple[Publish, ...]:
    """List what a host publishes as gateway, in the file's order."""
    return tuple(publish for publish in network.publishes if publish.gateway == gateway)


def gateways_of(network: Network, host: str) -> tuple[str, ...]:
    """List the gateways that publish something of a host, sorted by name; the port of devices that dial one is such."""
    publishing = {publish.gateway for publish in network.publishes if publish.to.host == host != publish.gateway}
    return tuple(sorted(publishing | _dialled(network, host)))


def kept_gateways(network: Network, host: str) -> tuple[str, ...]:
    """List the gateways from which packets with any source come to a host, sorted by name.

    So do the outer packets of devices whose tunnel ends at the host behind a gateway that they dial.
    """
    publishing = {
        publish.gateway
        for publish in network.publishes
        if publish.to.host == host != publish.gateway and publish.source is SourceKept.KEPT
    }
    return tuple(sorted(publishing | _dialled(network, host)))


def _dialled(network: Network, host: str) -> set[str]:
    """The gateways through which devices dial a host."""
    return {gateway for gateway in network.guests.get(host, {}) if gateway not in ("", host)}


def gateway_names(network: Network, host: str) -> tuple[Endpoint, ...]:
    """List the endpoints of a host's gateways that are names: who is inside asks for an address."""
    endpoints = (network.by_name[name].endpoint for name in gateways_of(network, host))
    return tuple(endpoint for endpoint in endpoints if endpoint is not None and literal(endpoint) is None)


def literal(endpoint: Endpoint) -> Address | None:
    """Give the address that an endpoint is written with; None for a name."""
    try:
        return ip_address(endpoint.host)
    except ValueError:
        return None


def families_of(network: Network, publish: Publish) -> tuple[Family, ...]:
    """List the families in which something is published: those of the overlay that its target has."""
    prefix = publish.to.prefix if publish.to.kind is PlaceKind.PREFIX else None
    return tuple(family for family in network.families if prefix is None or family is family_of(prefix))


def is_routed(network: Network, publish: Publish) -> bool:
    """Say whether a target's address is routed to the gateway anyhow: it is delegated, and nothing is translated."""
    prefix = publish.to.prefix
    return prefix is not None and any(
        delegate.source == publish.gateway
        and delegate.to == publish.to.host
        and delegate.prefix is not None
        and covers(delegate.prefix, prefix)
        for delegate in network.delegates
    )


def claims(publishes: Iterable[Publish], proto: str) -> list[Claim]:
    """List the claims on ports of one protocol, each before those that lie within it."""
    found = [Claim(publish, ports) for publish in publishes for ports in publish.ports or () if ports.proto == proto]
    return sorted(found, key=lambda claim: (claim.ports.first, -claim.ports.last))


def clashes(ordered: Iterable[Claim]) -> Iterator[tuple[Claim, Claim]]:
    """List the claims of which neither is narrower than the other though they share ports: they are equal or cross."""
    around: list[Claim] = []
    for claim in ordered:
        while around and around[-1].ports.last < claim.ports.first:
            around.pop()
        if around:
            outer = around[-1].ports
            if (outer.first, outer.last) == (claim.ports.first, claim.ports.last) or outer.last < claim.ports.last:
                yield around[-1], claim
                continue
        around.append(claim)


def flatten(ordered: Iterable[Claim]) -> Iterator[tuple[int, int, Claim]]:
    """Cut nested claims into ports that do not overlap, each with the narrowest claim on them; exceptions left out."""
    for first, last, claim in _pieces(ordered):
        at = first
        for kept in sorted(claim.publish.exceptions, key=lambda ports: ports.first):
            if kept.proto != claim.ports.proto or kept.last < at or kept.first > last:
                continue
            if at < kept.first:
                yield at, kept.first - 1, claim
            at = kept.last + 1
        if at <= last:
            yield at, last, claim


def _pieces(ordered: Iterable[Claim]) -> Iterator[tuple[int, int, Claim]]:
    around: list[tuple[Claim, int]] = []  # claims that are open, and the first port of each not yet given out

    def close(before: int) -> Iterator[tuple[int, int, Claim]]:
        while around and around[-1][0].ports.last < before:
            claim, at = around.pop()
            if at <= claim.ports.last:
                yield at, claim.ports.last, claim
            if around:
                around[-1] = around[-1][0], max(around[-1][1], claim.ports.last + 1)

    for claim in ordered:
        yield from close(claim.ports.first)
        if around and around[-1][1] < claim.ports.first:
            yield around[-1][1], claim.ports.first - 1, around[-1][0]
        around.append((claim, claim.ports.first))
    yield from close(1 << 16)
