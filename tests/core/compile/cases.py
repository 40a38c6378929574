"""Networks to compile: made by hand, drawn small, and drawn at random as files that check has nothing against."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import cast

from hypothesis import settings
from hypothesis import strategies as st

from tests.core.compile.networks import OVERLAY, host, lan, lock_of, portal, portals_network
from tests.core.compile.test_golden import GATEWAY, HUB, NARROW
from tests.core.walk.random_networks import random_network
from warren.core.check import check_network
from warren.core.compile import LedgerNeeds, compile_network, ledger_needs, sequential_ledger
from warren.core.diagnostics import has_errors
from warren.core.world import place_world, surroundings_of
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.portal import IfDown
from warren.model.prefix import Family
from warren.model.state import HostState
from warren.model.surroundings import Ledger

Case = tuple[Network, Lock]

NAMES = ("ash", "birch", "cedar", "elm")


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Draw up to four hosts, some dialable, with LANs that may overlap, and portals between them."""
    names = NAMES[: draw(st.integers(2, 4))]
    hosts = []
    for number, name in enumerate(names):
        endpoint = f"198.51.100.{number + 1}" if number == 0 or draw(st.booleans()) else ""
        subnet = draw(st.sampled_from([number, number, 9]))  # 9 is everybody's
        address = (f"192.168.{subnet}.1/24", f"fd11:{number}::1/64")
        hosts.append(host(name, endpoint, lan("lan0", *address, closed=draw(st.integers(0, 5)) == 0)))
    portals = []
    for name in names:
        exit_ = draw(st.sampled_from([None, *(other for other in names if other != name)]))
        if exit_ is None:
            continue
        source = draw(st.sampled_from([name, f"{name}.lan0", f"{name}.lan0.02:00:5e:00:00:01"]))
        via = draw(st.sampled_from([(), *((other,) for other in names if other not in (name, exit_))]))
        families = draw(st.sampled_from([(Family.IPV4, Family.IPV6), (Family.IPV4,), (Family.IPV6,)]))
        exceptions = draw(st.sampled_from([(), (ip_network("192.0.2.0/24"), ip_network("2001:db8:ff::/48"))]))
        others = [(), *((other,) for other in names if other not in (name, exit_))]
        more = {"spare": draw(st.sampled_from(others)), "if_down": draw(st.sampled_from((IfDown.BLOCK, *IfDown)))}
        portals.append(portal(source, exit_, via=via, families=families, exceptions=exceptions, **more))
    return Network("woods", OVERLAY, tuple(hosts), hub=names[0], portals=tuple(portals))


def is_sound(network: Network) -> bool:
    """Say whether check lets the network pass: what it refuses is never compiled."""
    return not has_errors(check_network(network))


def locked(network: Network) -> Case:
    """Give a network with its lock."""
    return network, lock_of(network)


def random_case(seed: int) -> Case:
    """Make a network that check has nothing against, with its lock."""
    loaded = random_network(seed, questions=0)
    return cast(Network, loaded.network), cast(Lock, loaded.lock)


BY_HAND = tuple(locked(network) for network in (portals_network(), HUB, NARROW, GATEWAY))
CASES = st.sampled_from(BY_HAND) | networks().filter(is_sound).map(locked) | st.integers(0, 1 << 20).map(random_case)
over_networks = settings(max_examples=60)


def steady(needs: LedgerNeeds, slot: int = 0) -> Ledger:
    """Hand numbers out by name, whatever the order of the file."""
    ordered = LedgerNeeds(tuple(sorted(needs.tables)), tuple(sorted(needs.marks)))
    return replace(sequential_ledger(ordered), slot=slot)


def compiled(case: Case, slot: int = 0) -> dict[str, HostState]:
    """Compile every host in the lab's surroundings."""
    network, lock = case
    world = place_world(network, lock)
    around = {
        host.name: replace(
            surroundings_of(world, network, host.name), ledger=steady(ledger_needs(network, lock, host.name), slot)
        )
        for host in network.hosts
    }
    return compile_network(network, lock, around)
