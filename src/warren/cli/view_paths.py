"""What `warren status` tells of paths that the agent finds: by where each peer is reached, and why not otherwise."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from warren.cli.view import count, paint
from warren.proto.address import Origin
from warren.proto.known import KnownPeer, KnownPlace
from warren.proto.shown import Shown
from warren.proto.states import State
from warren.proto.tried import Fate
from warren.sys.known import Found

PATHS = {State.DIRECT: "direct", State.RELAYED: "relay", State.SEEKING: "sought", State.ABSENT: "absent"}
SHOWN = {
    Shown.NO_NAT: "no NAT stands before this host",
    Shown.SAME: "its NAT shows the same port to everybody",
    Shown.EACH: "its NAT shows another port to each",
    Shown.UNKNOWN: "how its NAT maps cannot be told: two servers have to see it",
}
_ORIGINS = {
    Origin.HOST: "an address of its own",
    Origin.OBSERVED: "as servers see it",
    Origin.MAPPED: "its router opened it",
    Origin.CONFIGURED: "as the file says",
    Origin.PEER: "as it is seen from here",
    None: "it spoke from there",
}
_FATES = {
    Fate.ANSWERS: "answers in {rtt}, not agreed on yet",
    Fate.SLOWER: "answers in {rtt}, not faster by enough",
    Fate.DECLINED: "answers in {rtt}, but {name} did not go over to it",
    Fate.LOST: "was used and fell silent",
    Fate.LEFT: "was used until {name} left it",
    Fate.FADED: "answered once, in {rtt}, and not any more",
    Fate.ELSEWHERE: "answered from another address than was asked",
    Fate.UNSENT: "there is no way to send there from here",
    Fate.SILENT: "never answered, asked {times}",
}


def peer_lines(peer: KnownPeer) -> Iterator[str]:
    """Say how a peer is reached, and what became of every other place."""
    name = peer.name or peer.key
    if peer.state is State.DIRECT:
        yield paint("directly", "green") + f", in {milliseconds(peer.rtt)}"
    elif peer.state is State.RELAYED and peer.relay is not None:
        away = f", {milliseconds(peer.relay.rtt)} away" if peer.relay.rtt is not None else ""
        yield paint("by the relay", "yellow") + f" {peer.relay.place}{away}"
    elif peer.state is State.SEEKING:
        relay = f"the relay {peer.relay.place} does not answer" if peer.relay else "no server has lent a relay"
        yield paint("a path is sought", "red") + f"; {relay}"
    else:
        yield paint("not here", "red") + ": no server has seen it"
    for one in peer.places:
        if one.fate is not Fate.USED:
            yield f"not {one.place} ({_ORIGINS[one.origin]}): {_why(one, name)}"


def _why(one: KnownPlace, name: str) -> str:
    return _FATES[one.fate].format(rtt=milliseconds(one.rtt), name=name, times=count(one.asked, "time"))


def host_lines(found: Found) -> Iterator[str]:
    """Say how servers see this host, which of them know it, and whether all of this still holds."""
    known = found.known
    for nat in known.nat:
        yield f"seen over IPv{nat.version} as {', '.join(map(str, nat.observed))}: {SHOWN[nat.shown]}"
    for server in known.servers:
        yield f"the server {server.place} " + ("knows this host" if server.up else paint("does not answer", "red"))
    if not found.alive:
        yield (
            paint("?", "yellow") + f" the agent has gone; this is what it knew {_age(found):.0f} s ago (`warren agent`)"
        )


def milliseconds(seconds: float | None) -> str:
    """Write a round-trip time."""
    if seconds is None:
        return "an unknown time"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.0095 else f"{seconds * 1000:.1f} ms"


def paths_json(found: Found) -> dict[str, Any]:
    """Give the same as in docs/json.md."""
    known = found.known
    return {
        "alive": found.alive,
        "age": _age(found),
        "nat": [
            {"family": f"ipv{one.version}", "shown": one.shown.value, "observed": [str(each) for each in one.observed]}
            for one in known.nat
        ],
        "servers": [
            {"address": str(one.place), "up": one.up, "observed": str(one.observed or "")} for one in known.servers
        ],
        "peers": [_peer_json(one) for one in known.peers],
    }


def _peer_json(one: KnownPeer) -> dict[str, Any]:
    relay = one.relay
    return {
        "name": one.name,
        "key": one.key,
        "path": PATHS[one.state],
        "endpoint": str(one.endpoint or ""),
        "rtt": one.rtt,
        "relay": {"address": str(relay.place), "answers": relay.answers, "heard": relay.heard, "rtt": relay.rtt}
        if relay
        else None,
        "places": [
            {
                "address": str(each.place),
                "origin": each.origin.name.lower() if each.origin else "",
                "fate": each.fate.value,
                "asked": each.asked,
                "rtt": each.rtt,
            }
            for each in one.places
        ],
    }


def _age(found: Found) -> float:
    return round(max(0.0, time.time() - found.known.at), 1)
