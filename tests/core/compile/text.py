"""A HostState as text for people: what a reviewer of a change to the compiler reads as a diff."""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.render.ip import route_words, rule_words
from warren.core.render.nft import render_table
from warren.model.state import HostState


def state_text(state: HostState) -> str:
    """Write everything of a state; keys by the names of their peers."""
    return "".join(f"{line}\n" for line in _lines(state))


def _lines(state: HostState) -> Iterator[str]:
    yield f"# {state.owner} on {state.host}, {state.backend.value}"
    for interface in state.interfaces:
        addresses = " ".join(str(address) for address in interface.addresses)
        mark = f"{interface.fwmark:#x}"
        yield f"device {interface.name} port {interface.listen_port} mark {mark} mtu {interface.mtu} {addresses}"
        for peer in interface.peers:
            dialled = f" at {peer.endpoint}" if peer.endpoint else ""
            kept = f" keepalive {peer.keepalive}" if peer.keepalive else ""
            yield f"    peer {peer.name}{dialled}{kept}: {' '.join(str(prefix) for prefix in peer.allowed_ips)}"
    yield from (f"route {route_words(route)}" for route in state.routes)
    yield from (f"rule -{rule.family.value} {rule_words(rule)}" for rule in state.rules)
    for table in state.tables:
        yield from render_table(table).splitlines()[2:]
    yield from (f"setting {setting.name} = {setting.value}: {setting.why}" for setting in state.sysctls)
    yield from (f"consent {one.tool} {one.direction} {one.device or one.udp_port}" for one in state.consents)
    yield from (f"address {given.address} of ours on {given.device}" for given in state.lan_addresses)
    for service in state.services:
        yield f"service {service.name}: {service.why}"
        yield from (f"    {line}" for line in service.config.replace("@live@", "LIVE").splitlines())
        yield from (f"    live: {line}" for line in service.live.splitlines())
    for choice in state.choices:
        exits = ", ".join(f"{one.host} by {one.device} mark {one.mark:#x}" for one in choice.exits)
        asked = " ".join(map(str, choice.health)) + (f" or directly by {choice.direct}" if choice.direct else "")
        yield f"choice of {choice.portal} {choice.family.word} in table {choice.table}: {exits}; asked {asked}"
    yield from (f"forget flows from {flows.source}: {flows.reason}" for flows in state.forget)
