"""Flows stay with the exit they began by, whatever the agent chooses for others: by a mark of the connection.

    prerouting, output   a connection's mark ─► the packet's: its exit's table
    guard_N, own_exits   out by an exit: the flow is new, and has that exit's mark from now on; or it has it already
    ended                a flow that was forgotten, because its exit is dead: TCP is reset, not sent out elsewhere

Without this table new and old flows go where the portal's table says: by an exit all the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.compile.failover import by_agent, direct_set, mark_of
from warren.core.compile.firewall.sets import FAMILY_TYPE, MARK_UPLINK, SAVE_UPLINK, leaves_by, near, rule, to
from warren.core.compile.here import Here
from warren.core.compile.portals import ways_of
from warren.model.firewall import (
    Chain,
    Counter,
    CtDirection,
    CtMark,
    CtState,
    Drop,
    Goto,
    Jump,
    L4Proto,
    NftRule,
    Reject,
    RejectWith,
    Return,
    Set,
    SetCtMark,
    SetMark,
    SetRef,
    TcpSyn,
)
from warren.model.network import Way
from warren.model.place import PlaceKind
from warren.model.portal import Portal
from warren.model.prefix import Family
from warren.model.state import MARK_MASK

ENDED, OWN_EXITS = "ended", "own_exits"


def exit_chains(here: Here) -> Iterator[Chain]:
    """Make the chains that hold flows to their exits."""
    if by_agent(here):
        yield Chain(ENDED, tuple(_ended()))
    own = _own(here)
    if own:
        yield Chain(OWN_EXITS, tuple(_own_exits(here, own)))


def goes_on(here: Here) -> Iterator[NftRule]:
    """Send a flow's packets the way that it began."""
    for peer in here.chosen_exits:
        mark = mark_of(here, peer)
        yield rule(
            CtDirection("original"),
            CtMark(MARK_MASK, mark),
            SetMark(MARK_MASK, mark),
            Return(),
            why=f"goes on by {peer}, as it began",
        )


def stays_with_exit(here: Here, way: Way) -> Iterator[NftRule]:
    """Let out by each of a portal's exits what begins there, and what began there."""
    peers = tuple(one.hops[1] for one in ways_of(here.fabric.network, way.portal))
    yield rule(leaves_by(*map(here.device, peers)), Jump(ENDED))
    for peer in peers:
        mark = mark_of(here, peer)
        yield rule(leaves_by(here.device(peer)), CtMark(MARK_MASK, 0), SetCtMark(MARK_MASK, mark), Return())
        yield rule(leaves_by(here.device(peer)), CtMark(MARK_MASK, mark), Return())


def own_exits(here: Here) -> Iterator[NftRule]:
    """Hold the host's own flows to the exits that they begin by."""
    own = _own(here)
    if own:
        peers = (one.hops[1] for portal in own for one in ways_of(here.fabric.network, portal))
        devices = tuple(dict.fromkeys(map(here.device, peers)))
        yield rule(leaves_by(*devices), CtDirection("original"), Jump(OWN_EXITS))


def direct_sets(here: Here) -> tuple[Set, ...]:
    """Make the sets that hold everything while a portal leaves directly, which only the agent fills."""
    return tuple(
        Set(name, FAMILY_TYPE[family], live=True)
        for way in here.entering
        for family in way.portal.families
        if family in here.carried and (name := direct_set(here, way, family))
    )


def leave_directly(here: Here, way: Way, family: Family) -> Iterator[NftRule]:
    """Exempt whatever begins while no exit answers."""
    name = direct_set(here, way, family)
    if name and family in here.carried:
        why = "no exit answers: leaves directly"
        yield rule(to(family, SetRef(name)), SAVE_UPLINK, MARK_UPLINK, Return(), why=why)


def only_what_begins(chain: str) -> Iterator[NftRule]:
    """Let a chain exempt what begins; TCP of an exit that died meets its reset there, whatever is exempt by now."""
    yield rule(TcpSyn(), Goto(chain))
    yield rule(L4Proto(("tcp",)), Return(), why="goes on what nobody saw begin")
    yield rule(Goto(chain))


def _ended() -> Iterator[NftRule]:
    yield rule(TcpSyn(), Return())
    yield rule(
        L4Proto(("tcp",)),
        CtState(("new",)),
        Counter(),
        Reject(RejectWith.RESET),
        why="goes on what nobody saw begin: its exit is dead",
    )
    yield rule(CtState(("invalid",)), Counter(), Drop(), why="of no flow that is known")


def _own(here: Here) -> tuple[Portal, ...]:
    return tuple(portal for portal in by_agent(here) if portal.source.kind is PlaceKind.HOST)


def _own_exits(here: Here, own: tuple[Portal, ...]) -> Iterator[NftRule]:
    for family in here.usable:
        yield rule(to(family, near(family)), Return())
    yield rule(Jump(ENDED))
    for peer in dict.fromkeys(one.hops[1] for portal in own for one in ways_of(here.fabric.network, portal)):
        yield rule(
            leaves_by(here.device(peer)), CtMark(MARK_MASK, 0), SetCtMark(MARK_MASK, mark_of(here, peer)), Return()
        )
