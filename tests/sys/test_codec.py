"""Values of the model as JSON and back: what comes out is what went in, and nothing else is let in."""

from __future__ import annotations

import json
from ipaddress import IPv4Network, ip_network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warren.model.change import Item
from warren.model.firewall import Chain, Hook, IfName, NftRule, Port, Set, SetRef, SetType, Table
from warren.model.state import HostState, Route
from warren.model.surroundings import Surroundings
from warren.sys.codec import CodecError, decode, encode

RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@given(st.from_type(HostState))
@RELAXED
def test_a_state_survives(state: HostState) -> None:
    """Whatever a HostState holds, JSON text brings it back."""
    assert decode(json.loads(json.dumps(encode(state))), HostState) == state


@given(st.from_type(Item))
@RELAXED
def test_a_change_survives(item: Item) -> None:
    """A union of dataclasses says which one it was."""
    assert decode(json.loads(json.dumps(encode(item))), Item) == item


@given(st.from_type(Surroundings))
@RELAXED
def test_surroundings_survive(surroundings: Surroundings) -> None:
    """Dataclasses without slots, with optional parts."""
    assert decode(json.loads(json.dumps(encode(surroundings))), Surroundings) == surroundings


def test_only_what_differs_from_the_defaults_is_written() -> None:
    """A journal of 20,000 routes stays small and readable."""
    assert encode(Route(ip_network("10.0.0.0/8"), 7700, "portals")) == {
        "prefix": "10.0.0.0/8",
        "table": 7700,
        "device": "portals",
    }


def test_text_and_prefix_are_told_apart() -> None:
    """The elements of a set may be prefixes or text, and text may look like a prefix."""
    held = Set("x", SetType.IFNAME, ("10.0.0.0/8", ip_network("10.0.0.0/8")))

    back = decode(encode(held), Set)

    assert [type(element) for element in back.elements] == [str, IPv4Network]


def test_numbers_and_pairs_are_told_apart() -> None:
    """A port or a range of ports."""
    table = Table(
        "t",
        chains=(
            Chain(
                "c",
                (NftRule((Port("tcp", "dport", (22, (80, 90))), IfName("iif", SetRef("s"))), ()),),
                Hook("filter", "forward", 0),
            ),
        ),
    )

    assert decode(json.loads(json.dumps(encode(table))), Table) == table


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "text",
        {"host": 5, "owner": "x"},
        {"owner": "x"},
        {"host": "a", "owner": "b", "unheard-of": 1},
        {"host": "a", "owner": "b", "backend": "steam"},
        {"host": "a", "owner": "b", "routes": [{"prefix": "10.0.0.1/8", "table": 1}]},
        {"host": "a", "owner": "b", "routes": {"prefix": "10.0.0.0/8"}},
        {"host": "a", "owner": "b", "rules": [{"family": 5, "priority": 1}]},
        {
            "host": "a",
            "owner": "b",
            "tables": [{"name": "t", "chains": [{"name": "c", "rules": [{"matches": [{"is": "Nonsense"}]}]}]}],
        },
    ],
)
def test_what_is_no_such_value_is_refused(data: object) -> None:
    """A damaged journal is an error of one kind, never a surprise later."""
    with pytest.raises(CodecError):
        decode(data, HostState)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["host", "owner", "routes", "is", "text"]), inner)
        ),
    )
)
@RELAXED
def test_any_json_is_accepted_or_refused(data: object) -> None:
    """Random JSON ends in a value or in CodecError."""
    try:
        state = decode(data, HostState)
    except CodecError:
        return
    assert decode(encode(state), HostState) == state
