"""Peers of a living WireGuard device, by `wg`: where they are sent to, and how much went to and fro."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from warren.core.render.wg import peer_section
from warren.model.change import Command
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey, SecretRef
from warren.model.state import Peer
from warren.proto.address import Address
from warren.sys.run import Run, run

AT_ONCE = 100  # peers of one command


def send_to(device: str, peer: PublicKey, endpoint: Address, *, greet: int = 0, run: Run = run) -> None:
    """Have WireGuard send to a place for a peer; CommandFailed if the device is gone.

    With `greet`, the keepalive in seconds, it is turned off and on again: that makes WireGuard send something at once,
    and so shake hands.
    """
    send_all(device, ((peer, endpoint, greet),), run)


def send_all(device: str, sends: Sequence[tuple[PublicKey, Address, int]], run: Run = run) -> None:
    """Do the same for many peers at once: each with its place, and the keepalive to greet it with, or 0."""
    for at in range(0, len(sends), AT_ONCE):
        words: list[str] = ["wg", "set", device]
        for peer, endpoint, greet in sends[at : at + AT_ONCE]:
            words += ["peer", peer, "endpoint", str(endpoint)]
            words += ["persistent-keepalive", "0", "peer", peer, "persistent-keepalive", str(greet)] if greet else []
        run(Command(tuple(words), says=f"where {device} sends to"))


def make_anew(device: str, peer: Peer, endpoint: Address, run: Run = run) -> None:
    """Take a peer away and make it again, to be sent to at a place; CommandFailed if the device is gone.

    A peer with a keepalive sends something at once, and so shakes hands.
    """
    make_all_anew(device, ((peer, endpoint),), run)


def make_all_anew(device: str, peers: Sequence[tuple[Peer, Address]], run: Run = run) -> None:
    """Do the same for many peers at once."""
    for at in range(0, len(peers), AT_ONCE):
        each = peers[at : at + AT_ONCE]
        says = f"{', '.join(peer.name for peer, _ in each)} of {device}, anew"
        gone = [word for peer, _ in each for word in ("peer", peer.public_key, "remove")]
        run(Command(("wg", "set", device, *gone), says=says))
        secrets: list[SecretRef] = []
        text = "\n".join(
            peer_section(replace(peer, endpoint=Endpoint(str(place.ip), place.port)), None, secrets)
            for peer, place in each
        )
        run(Command(("wg", "addconf", device, "/dev/stdin"), text, tuple(secrets), says=says))


def transfers(device: str, run: Run = run) -> dict[PublicKey, tuple[int, int]]:
    """Give what was received from each peer and sent to it, in bytes; CommandFailed if the device is gone."""
    lines = run(Command(("wg", "show", device, "transfer"))).splitlines()
    return {PublicKey(key): (int(got), int(gave)) for key, got, gave in (line.split("\t") for line in lines)}


def handshakes(device: str, run: Run = run) -> dict[PublicKey, int]:
    """Give when each peer last shook hands, in seconds since 1970 (0: never); CommandFailed if the device is gone."""
    lines = run(Command(("wg", "show", device, "latest-handshakes"))).splitlines()
    return {PublicKey(key): int(at) for key, at in (line.split("\t") for line in lines)}


def sent_to(device: str, run: Run = run) -> dict[PublicKey, str]:
    """Say where WireGuard sends to for each peer: `address:port`, or `(none)`; CommandFailed if the device is gone."""
    lines = run(Command(("wg", "show", device, "endpoints"))).splitlines()
    return {PublicKey(key): at for key, at in (line.split("\t") for line in lines)}


def refill(table: str, sets: Iterable[tuple[str, Iterable[Address]]], run: Run = run) -> None:
    """Put places into live sets of our table in the place of what is in them, at once; CommandFailed if it is gone."""
    lines = []
    for name, places in sets:
        lines.append(f"flush set inet {table} {name}")
        held = ", ".join(f"{place.ip} . {place.port}" for place in places)
        lines += [f"add element inet {table} {name} {{ {held} }}"] if held else []
    run(Command(("nft", "-f", "-"), "\n".join(lines) + "\n", says="places that were left"))


def lead(table: str, maps: Iterable[tuple[str, Mapping[Address, int]]], run: Run = run) -> None:
    """Have live maps of our table lead from places to ports, and from nowhere else; CommandFailed if it is gone."""
    lines = []
    for name, ports in maps:
        lines.append(f"flush map inet {table} {name}")
        held = ", ".join(f"{place.ip} . {place.port} : {port}" for place, port in ports.items())
        lines += [f"add element inet {table} {name} {{ {held} }}"] if held else []
    run(Command(("nft", "-f", "-"), "\n".join(lines) + "\n", says="ports beside WireGuard's own"))
