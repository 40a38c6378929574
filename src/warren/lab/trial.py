"""Try what the file expects: walk foretells, packets show, and both are held against the promise.

    for each set of faults:  break · prove that the eyes see · ask · heal

Questions that must be answered are asked first, as many at once as can be told apart on a wire; those that must not
be come after, when the tunnels are known to be up, so that silence says something.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from warren.core.compile import compile_devices, compile_network
from warren.core.walk import Probe, Scene, Walker, faults_of
from warren.core.walk.resolving import resolve
from warren.core.world import surroundings_of
from warren.lab.agents import await_agents
from warren.lab.ask import Ask
from warren.lab.faults import break_down, heal
from warren.lab.judge import Found, observed, observed_name, predicted, predicted_name, shortfall, unlike
from warren.lab.lab import Lab
from warren.lab.spaces import LabError
from warren.model.expect import Down, Expect
from warren.model.prefix import Family

AT_ONCE = 120  # packets under way together


@dataclass(frozen=True, slots=True)
class Verdict:
    """One expectation, tried: what was predicted and what was found, by family; and in what it falls short."""

    expect: Expect
    predicted: tuple[Found, ...]
    observed: tuple[Found, ...]
    shortfall: str
    disagreement: str
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether the packets kept the promise, and walk had said so."""
        return not self.shortfall and not self.disagreement


@dataclass(frozen=True, slots=True)
class _Question:
    """An expectation with its packets and what walk says of them, by family."""

    expect: Expect
    foretold: tuple[Found, ...]
    asks: tuple[tuple[Ask, ...], ...]

    @property
    def packets(self) -> list[Ask]:
        return [ask for asks in self.asks for ask in asks]


def walker_of(lab: Lab) -> Walker:
    """Give a walker for the compiled states of a lab's hosts and devices."""
    names = [node.name for node in lab.world.machines]
    around = {name: surroundings_of(lab.world, lab.network, name, lab.backend) for name in names}
    states = compile_network(lab.network, lab.lock, around) | compile_devices(lab.network, lab.lock, around)
    return Walker(Scene(states, around, lab.world))


def try_all(lab: Lab, expects: Iterable[Expect] | None = None) -> Iterator[Verdict]:
    """Try these expectations, or the file's; those with the same faults together, each fault healed before the next."""
    groups: dict[tuple[Down, ...], list[Expect]] = {}
    for expect in lab.network.expects if expects is None else expects:
        groups.setdefault(expect.down, []).append(expect)
    walker = walker_of(lab)
    for down in sorted(groups, key=lambda down: (bool(down), str(down))):
        off = {one.host for one in down}
        try:
            break_down(lab, down)
            lab.prove_sight(node.name for node in lab.world.machines if node.name not in off)
            foretold = walker.broken(*faults_of(down)) if down else walker
            await_agents(lab, foretold)
            yield from try_as_it_is(lab, groups[down], foretold)
        finally:
            heal(lab, down)


def try_as_it_is(lab: Lab, expects: Iterable[Expect], walker: Walker) -> Iterator[Verdict]:
    """Try expectations in the lab as it is now, whatever is broken; `walker` foretells."""
    questions = [_question(lab, expect, walker) for expect in expects]
    for blocked in (False, True):
        waiting = [question for question in questions if question.expect.blocked is blocked]
        while waiting:
            together = _separable(waiting)
            waiting = [question for question in waiting if question not in together]
            started = time.monotonic()
            packets = [ask for question in together for ask in question.packets]
            _look_up(lab, together)
            lab.ask([ask for ask in packets if not ask.size], expecting_answers=not blocked)
            lab.ask([ask for ask in packets if ask.size], expecting_answers=False)
            for question in together:
                yield _verdict(lab, question, time.monotonic() - started)


def _look_up(lab: Lab, questions: Iterable[_Question]) -> None:
    """Have the senders ask for the names first; whoever is told nothing, or something else, has nothing to send to."""
    troubles = lab.ask_for_names(question.expect for question in questions)
    for question in questions:
        for ask in question.packets:
            ask.flaw = ask.flaw or troubles.get((ask.space, question.expect.target.name), "")


def crowd(lab: Lab, expects: Iterable[Expect], times: int) -> list[dict[str, int]]:
    """Ask each question so many times, all at the same time; count the packets by where they left.

    The keys are `HOST as SOURCE`; packets that were not answered are counted under an empty key.
    """
    questions = [[ask for _ in range(times) for ask in _datagrams(lab, expect)] for expect in expects]
    lab.ask([ask for turn in zip(*questions, strict=False) for ask in turn], expecting_answers=True)
    flaws = _joined([ask.flaw for asks in questions for ask in asks if ask.flaw])
    if flaws:
        raise LabError(flaws)
    counts: list[dict[str, int]] = []
    for asks in questions:
        count: dict[str, int] = {}
        for ask in asks:
            found = observed(ask.family, [ask], lab.world)
            where = ", ".join(f"{host} as {found.source}" for host in found.exits) if found.answered else ""
            count[where] = count.get(where, 0) + 1
        counts.append(count)
    return counts


def _datagrams(lab: Lab, expect: Expect) -> list[Ask]:
    return [ask for _, asks in lab.questions.of(expect).values() for ask in asks if ask.proto == "udp"]


def _question(lab: Lab, expect: Expect, walker: Walker) -> _Question:
    if expect.resolves is not None:
        told = resolve(walker, expect.source_place, expect.resolves.name)
        asks = lab.questions.of_name(expect, lab.resolver_of(expect.source_place))
        return _Question(expect, (predicted_name(told),), (tuple(asks),))
    made = lab.questions.of(expect)
    foretold = tuple(_foretell(walker, expect, family, probe) for family, (probe, _) in made.items())
    return _Question(expect, foretold, tuple(tuple(asks) for _, asks in made.values()))


def _foretell(walker: Walker, expect: Expect, family: Family, probe: Probe) -> Found:
    fits = 0
    if expect.mtu is not None:
        sized = walker.walk(replace(probe, size=expect.mtu))
        fits = expect.mtu if sized.arrived and (sized.reply is None or sized.reply.arrived) else 0
    return predicted(family, walker.walk(probe), fits)


def _separable(waiting: list[_Question]) -> list[_Question]:
    """Take the first questions whose packets can all be told apart, as many as go at once."""
    taken: list[_Question] = []
    keys: set[str] = set()
    count = 0
    for question in waiting:
        own = {key for ask in question.packets for key in ask.keys}
        if not taken or (not keys & own and count + len(question.packets) <= AT_ONCE):
            taken.append(question)
            keys |= own
            count += len(question.packets)
    return taken


def _verdict(lab: Lab, question: _Question, seconds: float) -> Verdict:
    expect = question.expect
    of_name = expect.resolves is not None
    seen = tuple(
        observed_name(list(asks), lab.world) if of_name else observed(asks[0].family, list(asks), lab.world)
        for asks in question.asks
    )
    lacking = [text for found in seen if (text := shortfall(expect, found, lab.world, lab.lock))]
    families = {found.family for found in seen}
    lacking += [
        f"one of the two ends has no {family.word} address"
        for family in expect.families or ()
        if family not in families
    ]
    if not seen and not lacking:
        lacking.append("the two ends have no family in common")
    flaws = [ask.flaw for ask in question.packets if ask.flaw]
    unsent = [ask for ask in question.packets if not ask.sightings and not ask.trouble]
    if expect.blocked and unsent:
        lacking.append(f"nobody saw that {unsent[0].proto} was sent, so that it did not arrive proves nothing")
    differ = [text for one, other in zip(question.foretold, seen, strict=True) if (text := unlike(one, other))]
    if flaws:  # what was found then is neither for nor against anything
        lacking, differ = flaws, []
    return Verdict(expect, question.foretold, seen, _joined(lacking), _joined(differ), seconds)


def _joined(texts: list[str]) -> str:
    return "; ".join(dict.fromkeys(texts))
