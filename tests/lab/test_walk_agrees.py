"""Walk against the kernel: random networks in namespaces, real packets, and the same questions to walk.

Same disposition, same exit, same way, same source; where they differ, walk is wrong. A failure names the seed:
`python -c 'from tests.core.walk.random_networks import show; show(SEED)'` prints its file.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from itertools import count

import pytest

from tests.core.walk.random_networks import random_network
from tests.kernel.leaks import RULES
from tests.lab.enclosed import enclosed
from warren.core.walk import (
    DefaultHijacked,
    DeviceGone,
    FirewallGone,
    RulesGone,
    TableFlushed,
    Walker,
    faults_of,
    probes_of,
)
from warren.core.walk.faults import HostFault, halves
from warren.lab.judge import Found, unlike
from warren.lab.lab import Lab, bring_up
from warren.lab.topology import host_space
from warren.lab.trial import Verdict, try_all, try_as_it_is, walker_of
from warren.model.expect import Down, Expect, Target
from warren.model.place import PlaceKind
from warren.model.prefix import FAMILIES, Family, family_of
from warren.model.trace import Disposition, Trace

SEEDS = range(60)
ATTEMPTS = 8
FAULTS = 2  # different faults of `when:` tried in one network: each has to be healed
STRANGERS = ("9.9.9.9", "2620:fe::9")


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_walk_says_what_packets_do(seed: int) -> None:
    """Ten questions to each network, whole and with hosts and tunnels down, then its portals with one more fault."""
    print(f"seed {seed}")
    asked, differing = enclosed(lambda: compare(seed))
    print(f"{asked} questions")
    assert differing == []
    assert asked >= 2


def compare(seed: int) -> tuple[int, list[str]]:
    """Bring a network up and ask, in the lab's namespaces; gives the number of questions and what differs."""
    loaded = random_network(seed)
    assert loaded.network is not None
    lab = bring_up(loaded.network, loaded.lock)
    walker = walker_of(lab)
    questions = foretold(lab, walker, some(lab.network.expects))
    asked, differing = len(questions), ask("", questions, lambda again: try_all(lab, again))
    fault = choose_fault(lab, walker, random.Random(seed))
    if fault is not None:
        broken = walker.broken(fault)
        break_host(lab, walker, fault)
        questions = foretold(lab, broken, portals_out(lab))
        asked += len(questions)
        differing += ask(str(fault), questions, lambda again: try_as_it_is(lab, again, broken))
    return asked, differing


def ask(fault: str, questions: list[Expect], test: Callable[[list[Expect]], Iterator[Verdict]]) -> list[str]:
    """Ask, and ask again what differs.

    After a fault is healed a handshake may be due for 5 s more, and packets that nobody answers are only waited for
    a moment. What differs every time differs; what once left by an uplink that walk does not name has leaked.
    """
    differing: list[str] = []
    leaked: list[str] = []
    for _ in range(ATTEMPTS):
        verdicts = list(test(questions))
        leaked += [text for verdict in verdicts for text in leaks(fault, verdict)]
        differing = [text for verdict in verdicts for text in differences(fault, verdict)]
        questions = [verdict.expect for verdict in verdicts if differences(fault, verdict)]
        if not differing:
            break
    return leaked + differing


def some(expects: Iterable[Expect]) -> list[Expect]:
    """Leave out the questions with a third and further fault."""
    faults: dict[tuple[Down, ...], None] = {}
    for expect in expects:
        faults[expect.down] = None
    kept = [down for down in faults if down][:FAULTS]
    return [expect for expect in expects if not expect.down or expect.down in kept]


def portals_out(lab: Lab) -> list[Expect]:
    """Ask where each portal's packets go."""
    targets = [Target(address=ip_address(stranger)) for stranger in STRANGERS]
    return [
        Expect(portal.source, target, families=None)
        for portal in lab.network.portals
        for target in targets
        if target.address is not None and family_of(target.address) in portal.families
    ]


def foretold(lab: Lab, walker: Walker, expects: Iterable[Expect]) -> list[Expect]:
    """Expect what walk foretells, so that the lab waits long for answers that come, and briefly for others.

    Where walk says that an echo, UDP and TCP fare differently, each is asked for by itself. Left out is what leaves
    for a host that is cut off: the lab's internet then answers in its place.
    """
    ports = count(30000)
    found = []
    for expect in expects:
        broken = walker.broken(*faults_of(expect.down))
        kinds = [expect.target, *(replace(expect.target, proto=proto, port=next(ports)) for proto in ("udp", "tcp"))]
        for family, _ in probes_of(lab.world, lab.lock, expect):
            fates = [_fate(lab, broken, replace(expect, target=target), family) for target in kinds]
            if any(trace.exit and trace.disposition is Disposition.HOST_DOWN for trace, _ in fates):
                continue
            if fates[0][0].at == fates[0][0].hops[0].node:
                continue  # two LANs of one subnet: the address is the sender's own
            alike_all = len({(trace.disposition, trace.exit, answered) for trace, answered in fates}) == 1
            for target, (_, answered) in list(zip(kinds, fates, strict=True))[: 1 if alike_all else 3]:
                arrives = True if answered else None
                if not alike_all and target.proto == "icmp":
                    continue  # without a port the lab asks with all three
                found.append(replace(expect, target=target, families=(family,), blocked=not answered, arrives=arrives))
    return found


def _fate(lab: Lab, walker: Walker, expect: Expect, family: Family) -> tuple[Trace, bool]:
    probe = dict(probes_of(lab.world, lab.lock, expect))[family]
    trace = walker.walk(probe)
    return trace, trace.arrived and (trace.reply is None or trace.reply.arrived)


def choose_fault(lab: Lab, walker: Walker, chance: random.Random) -> HostFault | None:
    """Choose something to break on a host that a portal begins at."""
    entries = sorted({portal.source.host for portal in lab.network.portals})
    if not entries:
        return None
    host = chance.choice(entries)
    state = walker.view(host).state
    tables = sorted({route.table for route in state.routes})
    faults: list[HostFault] = [FirewallGone(host), RulesGone(host), DefaultHijacked(host)]
    faults += [DeviceGone(host, interface.name) for interface in state.interfaces]
    faults += [TableFlushed(host, table) for table in tables]
    return chance.choice(faults)


def break_host(lab: Lab, walker: Walker, fault: HostFault) -> None:
    """Do to the kernel what walk supposes."""
    space = host_space(fault.host)
    node = lab.world.host_by_name[fault.host]
    if isinstance(fault, FirewallGone):
        lab.spaces.run(space, ("nft", "delete", "table", "inet", f"warren-{lab.network.name}"))
    elif isinstance(fault, RulesGone):
        lab.spaces.run(space, ("sh", "-c", RULES))
    elif isinstance(fault, DeviceGone):
        lab.spaces.run(space, ("ip", "link", "delete", fault.device))
    elif isinstance(fault, TableFlushed):
        for family in families_of_table(walker, fault):
            lab.spaces.run(space, ("ip", f"-{family}", "route", "flush", "table", str(fault.table)))
    else:
        lines = [
            f"route add {half} via {gateway} dev {node.uplink} onlink"
            for family in FAMILIES
            for gateway in node.attachment.gateways
            if gateway.version == family
            for half in halves(family)
        ]
        lab.spaces.run(space, ("ip", "-batch", "-"), "\n".join(lines) + "\n")


def families_of_table(walker: Walker, fault: TableFlushed) -> list[int]:
    """List the IP versions that have routes in the table: ip(8) fails on a table that does not exist."""
    routes = walker.view(fault.host).state.routes
    return sorted({route.prefix.version for route in routes if route.table == fault.table})


def differences(fault: str, verdict: Verdict) -> list[str]:
    """Say in what walk and the kernel differ."""
    expect = verdict.expect
    found = []
    for said, seen in zip(verdict.predicted, verdict.observed, strict=True):
        differs = unlike(*(alike(one, expect) for one in (said, seen)))
        if differs:
            found.append(f"{expect.source_place} to {expect.target} with {fault or expect.down}: {differs}")
    return found


def leaks(fault: str, verdict: Verdict) -> list[str]:
    """Say which uplinks packets left by that walk does not name: once is enough."""
    expect = verdict.expect
    found = []
    for said, seen in zip(verdict.predicted, verdict.observed, strict=True):
        astray = set(alike(seen, expect).exits) - set(said.exits)
        if astray:
            found.append(f"{expect.source_place} to {expect.target} with {fault or expect.down}: leaks at {astray}")
    return found


def alike(found: Found, expect: Expect) -> Found:
    """Leave out what the lab cannot see as it is.

    A cable just pulled still takes packets for a moment. What exits to an address that some LAN has too is seen to
    leave, but nobody looks whether the internet got it. A packet for a host is seen at its door, also when the host
    then drops it.
    """
    cut = {one.host for one in expect.down}
    exits = tuple(host for host in found.exits if host not in cut)
    place = expect.target.place
    unheard = not found.answered and place is not None and place.kind is PlaceKind.HOST
    return replace(found, exits=exits, at="" if exits or unheard else found.at)
