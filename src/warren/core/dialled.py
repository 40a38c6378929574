"""Peers whose endpoint is a name, once somebody has looked the names up: nothing waits for DNS halfway through.

A peer whose name stands for no address now is made without an endpoint, or keeps the one it has. What the journal is
told was reached does not have the name either, so for the next apply it is news, and looked up again (core.diff).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address

from warren.core.compare import peer_fields
from warren.model.change import Item, PutPeer
from warren.model.endpoint import Endpoint
from warren.model.state import HostState, Peer


def names_in(items: Iterable[Item]) -> dict[Endpoint, str]:
    """Give the endpoints that changes would write and that are names, each with the peer it belongs to."""
    return {
        item.change.peer.endpoint: item.change.peer.name or item.change.peer.public_key
        for item in items
        if isinstance(item.change, PutPeer) and item.change.peer.endpoint is not None and _written(item.change)
    }


def with_addresses(items: Iterable[Item], found: Mapping[Endpoint, Endpoint]) -> tuple[Item, ...]:
    """Put the addresses that were found in the place of names; a change that alters nothing without them is left out.

    An endpoint whose name was not found is left as it is: as a peer has learned it, or none.
    """
    kept = []
    for item in items:
        change = item.change
        if isinstance(change, PutPeer) and change.peer.endpoint is not None and _written(change):
            endpoint = found.get(change.peer.endpoint, change.before.endpoint if change.before else None)
            change = replace(change, peer=replace(change.peer, endpoint=endpoint))
            if change.before is not None and peer_fields(change.peer) == peer_fields(change.before):
                continue
        kept.append(replace(item, change=change))
    return tuple(kept)


def as_reached(desired: HostState, unfound: Collection[Endpoint], before: HostState | None) -> HostState:
    """Give the state without endpoints whose names were not found: a peer's is the one declared before, if any."""
    if not unfound:
        return desired
    declared = {
        (interface.name, peer.public_key): peer.endpoint
        for interface in (before.interfaces if before else ())
        for peer in interface.peers
    }

    def reached(device: str, peer: Peer) -> Peer:
        if peer.endpoint not in unfound:
            return peer
        former = declared.get((device, peer.public_key))
        return replace(peer, endpoint=former if former not in unfound else None)

    return replace(
        desired,
        interfaces=tuple(
            replace(interface, peers=tuple(reached(interface.name, peer) for peer in interface.peers))
            for interface in desired.interfaces
        ),
    )


def named_peers(state: HostState) -> Iterator[tuple[str, Peer, Endpoint]]:
    """List the peers that are dialled by a name: their device, they, and the name."""
    for interface in state.interfaces:
        for peer in interface.peers:
            if peer.endpoint is not None and not _is_address(peer.endpoint.host):
                yield interface.name, peer, peer.endpoint


def _written(change: PutPeer) -> bool:
    endpoint = change.peer.endpoint
    return (
        endpoint is not None
        and not _is_address(endpoint.host)
        and (change.before is None or change.before.endpoint != endpoint)
    )


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
