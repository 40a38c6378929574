"""What a gateway keeps to itself though it publishes the rest: told with every plan, port by port.

A port that is published by name and listened on here stays here, or whoever publishes his sshd's port by mistake would
be locked out.
"""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.compile.firewall.sets import DHCP_CLIENTS, OPEN_UDP, OWN_TCP, OWN_UDP
from warren.model.change import Obstacle
from warren.model.firewall import DnatMap, PortTo, Set
from warren.model.state import HostState
from warren.model.surroundings import Surroundings


def stays(state: HostState, surroundings: Surroundings) -> tuple[str, ...]:
    """List the ports that stay at this host, each with who listens there; none where nothing is published."""
    held = _own_sets(state)
    named = {(one.proto, one.port): str(one) for one in surroundings.listeners}
    named |= {("udp", port): f"udp/{port} (DHCP)" for port in DHCP_CLIENTS}
    named |= {("udp", one.listen_port): f"udp/{one.listen_port} ({one.name})" for one in state.interfaces}
    told = [
        named.get((proto, int(str(port))), f"{proto}/{port}")
        for proto, ref in (("tcp", OWN_TCP), ("udp", OWN_UDP))
        for port in (held[ref.name].elements if ref.name in held else ())
    ]
    waiting = len(held[OPEN_UDP.name].elements) if OPEN_UDP.name in held else 0
    if waiting:
        told.append(f"{waiting} UDP port{'s' if waiting > 1 else ''} of clients at work now")
    return tuple(told)


def taken(state: HostState, surroundings: Surroundings) -> Iterator[Obstacle]:
    """Name what is published by name and does not get through, because something listens on it here."""
    for listener in surroundings.listeners if _own_sets(state) else ():
        port = listener.port
        if listener.passing or not any(one.first <= port <= one.last for one in _entries(state, listener.proto)):
            continue
        by = f"{listener.program} listens" if listener.program else "something listens"
        yield Obstacle(
            f"{listener.proto}/{port} is published, but {by} on it here: it stays here",
            "Publish another port, or move what listens on this one and apply again.",
            f"ss -nlp sport = :{port}",
            blocks=False,
        )


def _own_sets(state: HostState) -> dict[str, Set]:
    names = {OWN_TCP.name, OWN_UDP.name, OPEN_UDP.name}
    return {held.name: held for table in state.tables for held in table.sets if held.name in names}


def _entries(state: HostState, proto: str) -> Iterator[PortTo]:
    for table in state.tables:
        for chain in table.chains:
            for rule in chain.rules if chain.name == "published" else ():
                for statement in rule.statements:
                    if isinstance(statement, DnatMap) and statement.proto == proto:
                        yield from statement.entries
