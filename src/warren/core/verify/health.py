"""Exits that the agent chooses from can be watched: what is asked through each leaves there, and is answered."""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.verify.verdict import Kind, Verdict, all_of, prediction
from warren.core.walk import Probe, Walker
from warren.core.walk.course import OnHost
from warren.core.walk.places import PING
from warren.model.network import Network


def judge_health(network: Network, walker: Walker) -> Iterator[Verdict]:
    """Ask every health address through every exit of every choice, as the agent does: bound to the exit's device."""
    deaf = asked = 0
    expected = "what is asked through an exit leaves there and is answered"
    for host in network.hosts:
        for choice in walker.view(host.name).state.choices:
            for one in choice.exits:
                for address in choice.health:
                    asked += 1
                    probe = Probe(OnHost(host.name), address, size=PING[choice.family], device=one.device)
                    trace = walker.walk(probe)
                    if trace.exit != one.host or trace.reply is None or not trace.reply.arrived:
                        deaf += 1
                        claim = f"{host.name} asks {address} through {one.host}"
                        told = prediction(trace)
                        yield Verdict(
                            Kind.HEALTH, claim, False, expected, told, told, host.at, choice.family, (), trace
                        )
    if asked and not deaf:
        yield Verdict(Kind.HEALTH, "exits can be watched", True, expected, all_of(asked, "question"))
