"""The numbers a full tunnel needs: a mark for its outer packets, a routing table, and places among the rules.

    7800        fwmark 51820 lookup main         the outer packets of each of our full tunnels, before all of them
     …
    7996  B     lookup main, but no default      the newest tunnel stands first, as with wg-quick
    7997  B     not fwmark 51821 lookup 51821
    7998  A     lookup main, but no default
    7999  A     not fwmark 51820 lookup 51820

Every tunnel has rules of its own, so whichever goes takes nothing from the others. They stand behind the rules of
networks (7700 to 7799), whose portals know where their packets go, and before a foreign rule that would catch
everything first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from warren.core.conf.conf import Conf
from warren.model.state import HostState, Rule
from warren.model.surroundings import Surroundings

FIRST_TABLE = 51820  # as wg-quick counts
EXEMPT = 7800
PLACES = range(EXEMPT + 1, 8000)


@dataclass(frozen=True, slots=True)
class Numbers:
    """What one full tunnel is given: `mark` and `table` are one number; `place` is its first rule's priority.

    `exempt` is where rules for outer packets stand; `others` are the marks of other full tunnels that need one here.
    """

    table: int
    place: int
    exempt: int
    others: tuple[int, ...] = ()


def choose_numbers(
    conf: Conf, surroundings: Surroundings, others: Iterable[HostState] = (), previous: HostState | None = None
) -> Numbers:
    """Choose a full tunnel's numbers; those it has already stay.

    `others` are the applied states of warren's other owners on the host, `previous` is this conf's own.
    """
    states = tuple(others)
    held = _held(previous)
    table, place = held if held is not None else (0, _place(surroundings, states))
    # A foreign full tunnel that was started later stands in front: our outer packets are kept out of it too.
    exempt = max(1, min((EXEMPT, place - 1, *(front - 1 for front in _in_front(surroundings)))))
    if conf.fwmark or not table:
        table = conf.fwmark or _free_table(surroundings, states)
    behind = {rule.mark for rule in _exempting(states) if rule.priority > place}
    return Numbers(table, place, exempt, tuple(sorted({*_foreign_marks(surroundings), *behind} - {table})))


def _held(previous: HostState | None) -> tuple[int, int] | None:
    """Read table and place out of the state the tunnel was applied with."""
    steering = [rule for rule in previous.rules if rule.invert] if previous else []
    if not steering:
        return None
    return steering[0].table, steering[0].priority - 1


def _place(surroundings: Surroundings, others: Sequence[HostState]) -> int:
    """Find the place before all other full tunnels, and before foreign rules that catch everything."""
    taken = set(_taken(others))
    front = min((PLACES.stop, *_in_front(surroundings), *taken))
    if front - 2 in PLACES or 4 <= front < PLACES.start:
        return front - 2
    # So many came and went that the front is used up: the free place nearest to it will do.
    return next(place for place in range(PLACES.start + 1, 2**31, 2) if place not in taken)


def _free_table(surroundings: Surroundings, others: Sequence[HostState]) -> int:
    """Find the first table from 51820 on that is empty for both families and looked up by nobody."""
    used = {route.table for route in surroundings.routes} | {rule.table for rule in surroundings.rules}
    for state in others:
        used |= {route.table for route in state.routes} | {rule.table for rule in state.rules}
        used |= {interface.fwmark for interface in state.interfaces}
    return next(table for table in range(FIRST_TABLE, 2**32) if table not in used)


def _taken(others: Sequence[HostState]) -> Iterator[int]:
    """Give the places of other full tunnels."""
    for state in others:
        if state.is_conf:
            yield from (rule.priority - 1 for rule in state.rules if rule.invert)


def _exempting(others: Sequence[HostState]) -> Iterator[Rule]:
    """Give the rules by which other full tunnels lead their outer packets to main."""
    for state in others:
        if state.is_conf:
            yield from (rule for rule in state.rules if rule.mark and not rule.invert)


def _in_front(surroundings: Surroundings) -> Iterator[int]:
    """Give the priorities of foreign rules that catch everything and stand before ours."""
    wide = {(route.table, route.prefix.version) for route in surroundings.routes if route.prefix.prefixlen <= 1}
    for rule in surroundings.rules:
        if 0 < rule.priority < PLACES.stop and _catches_all(rule) and (rule.table, rule.family.value) in wide:
            yield rule.priority


def _foreign_marks(surroundings: Surroundings) -> tuple[int, ...]:
    """Give the marks by which foreign full tunnels, wg-quick's, keep their outer packets out of themselves."""
    marks = {rule.mark for rule in surroundings.rules if rule.invert and rule.mark and _catches_all(rule)}
    return tuple(sorted(marks))


def _catches_all(rule: Rule) -> bool:
    selective = rule.source or rule.destination or rule.iif or rule.oif or rule.opaque or rule.ipproto
    return not selective and (not rule.mark or rule.invert) and rule.suppress_prefixlength < 0
