"""What people are told of paths: every state, every place, and every reason why one is not used has its words."""

from __future__ import annotations

import time

import pytest

from warren.cli import view_netcheck, view_paths
from warren.cli.view_paths import host_lines, milliseconds, peer_lines
from warren.proto.address import Address, Origin
from warren.proto.check import Filtering, Hairpin
from warren.proto.known import Known, KnownNat, KnownPeer, KnownPlace, KnownRelay, KnownServer
from warren.proto.shown import Shown
from warren.proto.states import State
from warren.proto.tried import Fate
from warren.sys.known import Found

HERE, THERE = Address.of("198.51.100.7", 51820), Address.of("203.0.113.9", 30000)


def test_every_word_has_its_words() -> None:
    assert set(view_paths.PATHS) == set(State)
    assert set(view_paths.SHOWN) == set(view_netcheck._MAPPING) == set(Shown)
    assert set(view_paths._ORIGINS) == {*Origin, None}
    assert set(view_paths._FATES) == set(Fate) - {Fate.USED}
    assert milliseconds(None) == "an unknown time" and milliseconds(0.0042) == "4.2 ms"
    assert set(view_netcheck._FILTERING) == set(Filtering) and set(view_netcheck._HAIRPIN) == set(Hairpin)


@pytest.mark.parametrize("fate", [fate for fate in Fate if fate is not Fate.USED])
def test_every_place_is_told_with_its_reason(fate: Fate) -> None:
    places = (KnownPlace(THERE, Fate.USED, 3, 0.021, Origin.OBSERVED), KnownPlace(HERE, fate, 8, 0.5, Origin.HOST))
    used, other = peer_lines(KnownPeer("k", "b", State.DIRECT, THERE, 0.021, None, places))
    assert used == "directly, in 21 ms"
    assert other.startswith(f"not {HERE} (an address of its own): ") and "{" not in other


@pytest.mark.parametrize(
    ("peer", "says"),
    [
        (
            KnownPeer("k", "b", State.RELAYED, THERE, None, KnownRelay(THERE, True, True, 0.012)),
            "by the relay {}, 12 ms away",
        ),
        (
            KnownPeer("k", "b", State.SEEKING, None, None, KnownRelay(THERE, False, False)),
            "the relay {} does not answer",
        ),
        (KnownPeer("k", "b", State.SEEKING), "no server has lent a relay"),
        (KnownPeer("k", "b", State.ABSENT), "no server has seen it"),
    ],
)
def test_every_state_is_told(peer: KnownPeer, says: str) -> None:
    (line,) = peer_lines(peer)
    assert says.format(THERE) in line


def test_what_servers_see_and_that_an_agent_has_gone() -> None:
    servers = (KnownServer(THERE, True, HERE), KnownServer(HERE, False))
    known = Known(time.time() - 40, servers, (KnownNat(4, Shown.EACH, (HERE, THERE)),))
    lines = list(host_lines(Found(known, False)))
    assert lines[0] == f"seen over IPv4 as {HERE}, {THERE}: its NAT shows another port to each"
    assert lines[1] == f"the server {THERE} knows this host" and "does not answer" in lines[2]
    assert "the agent has gone; this is what it knew 40 s ago" in lines[3]
    assert len(list(host_lines(Found(known, True)))) == 3
