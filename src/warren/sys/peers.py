"""Peers of a living WireGuard device, by `wg`: where they are sent to, and how much went to and fro."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from warren.core.render.wg import peer_section
from warren.model.change import Command
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey, SecretRef
from warren.model.state import Peer
from warren.proto.address import Address
from warren.sys.run import Run, run


def send_to(device: str, peer: PublicKey, endpoint: Address, *, greet: int = 0, run: Run = run) -> None:
    """Have WireGuard send to a place for a peer; CommandFailed if the device is gone.

    With `greet`, the keepalive in seconds, it is turned off and on again: that makes WireGuard send something at once,
    and so shake hands.
    """
    again = ("persistent-keepalive", "0", "peer", peer, "persistent-keepalive", str(greet)) if greet else ()
    words = ("wg", "set", device, "peer", peer, "endpoint", str(endpoint), *again)
    run(Command(words, says=f"where {device} sends to"))


def make_anew(device: str, peer: Peer, endpoint: Address, run: Run = run) -> None:
    """Take a peer away and make it again, to be sent to at a place; CommandFailed if the device is gone.

    A peer with a keepalive sends something at once, and so shakes hands.
    """
    run(Command(("wg", "set", device, "peer", peer.public_key, "remove"), says=f"{peer.name} of {device}, anew"))
    secrets: list[SecretRef] = []
    text = peer_section(replace(peer, endpoint=Endpoint(str(endpoint.ip), endpoint.port)), None, secrets)
    run(Command(("wg", "addconf", device, "/dev/stdin"), text, tuple(secrets), says=f"{peer.name} of {device}, anew"))


def transfers(device: str, run: Run = run) -> dict[PublicKey, tuple[int, int]]:
    """Give what was received from each peer and sent to it, in bytes; CommandFailed if the device is gone."""
    lines = run(Command(("wg", "show", device, "transfer"))).splitlines()
    return {PublicKey(key): (int(got), int(gave)) for key, got, gave in (line.split("\t") for line in lines)}


def handshakes(device: str, run: Run = run) -> dict[PublicKey, int]:
    """Give when each peer last shook hands, in seconds since 1970 (0: never); CommandFailed if the device is gone."""
    lines = run(Command(("wg", "show", device, "latest-handshakes"))).splitlines()
    return {PublicKey(key): int(at) for key, at in (line.split("\t") for line in lines)}


def sent_to(device: str, peer: PublicKey, run: Run = run) -> str:
    """Say where WireGuard sends to for a peer: `address:port`, or `(none)`; CommandFailed if the device is gone."""
    lines = run(Command(("wg", "show", device, "endpoints"))).splitlines()
    return next((at for key, at in (line.split("\t") for line in lines) if key == peer), "(none)")


def refill(table: str, sets: Iterable[tuple[str, Iterable[Address]]], run: Run = run) -> None:
    """Put places into live sets of our table in the place of what is in them, at once; CommandFailed if it is gone."""
    lines = []
    for name, places in sets:
        lines.append(f"flush set inet {table} {name}")
        held = ", ".join(f"{place.ip} . {place.port}" for place in places)
        lines += [f"add element inet {table} {name} {{ {held} }}"] if held else []
    run(Command(("nft", "-f", "-"), "\n".join(lines) + "\n", says="places that were left"))
