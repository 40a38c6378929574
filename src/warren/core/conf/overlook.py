"""What a conf's hooks and its owner's hands have made of a device is theirs: reload alters only what the conf altered.

A hook may set a key, add an address or a peer, or give the device another MTU. So an observed value counts as the
declared one wherever the declaration has not moved, and what neither the old nor the new declaration names is not
seen. What is declared and missing is put back as for any owner.
"""

from __future__ import annotations

from dataclasses import replace

from warren.model.state import HostState, Peer, WgInterface


def overlook(observed: HostState, before: HostState | None, desired: HostState) -> HostState:
    """Give the observation without what is not the conf's business; `before` is the state applied last."""
    declared = {interface.name: interface for interface in before.interfaces} if before else {}
    wanted = {interface.name: interface for interface in desired.interfaces}
    interfaces = tuple(
        _device(seen, declared.get(seen.name), wanted[seen.name]) if seen.name in wanted else seen
        for seen in observed.interfaces
    )
    return replace(observed, interfaces=interfaces)


def _device(seen: WgInterface, before: WgInterface | None, desired: WgInterface) -> WgInterface:
    known = {*desired.addresses, *(before.addresses if before else ())}
    if not desired.private_key.path:
        seen = replace(seen, public_key=desired.public_key, private_key=desired.private_key)
    if before is not None:
        if seen.mtu and before.mtu == desired.mtu:  # 0: the device is down, which is nobody's wish
            seen = replace(seen, mtu=desired.mtu)
        if before.fwmark == desired.fwmark:
            seen = replace(seen, fwmark=desired.fwmark)
        if before.listen_port == desired.listen_port:
            seen = replace(seen, listen_port=desired.listen_port)
        if before.public_key == desired.public_key:
            seen = replace(seen, public_key=desired.public_key)
    return replace(
        seen,
        addresses=tuple(address for address in seen.addresses if address in known),
        peers=_peers(seen, before, desired),
    )


def _peers(seen: WgInterface, before: WgInterface | None, desired: WgInterface) -> tuple[Peer, ...]:
    was = {peer.public_key: peer for peer in before.peers} if before else {}
    wanted = {peer.public_key: peer for peer in desired.peers}
    return tuple(
        _peer(peer, was.get(peer.public_key), wanted.get(peer.public_key))
        for peer in seen.peers
        if peer.public_key in was or peer.public_key in wanted
    )


def _peer(seen: Peer, before: Peer | None, desired: Peer | None) -> Peer:
    if before is None or desired is None:
        return seen
    if before.allowed_ips == desired.allowed_ips:
        seen = replace(seen, allowed_ips=desired.allowed_ips)
    if before.keepalive == desired.keepalive:
        seen = replace(seen, keepalive=desired.keepalive)
    if before.psk_fingerprint == desired.psk_fingerprint:
        seen = replace(seen, psk_fingerprint=desired.psk_fingerprint)
    return seen
