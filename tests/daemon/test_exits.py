"""Which exit is in use: on a virtual clock, with exits that live and die as hypothesis says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from warren.daemon.exits import BACK, DOUBT, HURRIED, IN_USE, LOST, SPARE, SURE, Exits
from warren.model.choice import DIRECT

RTT = 0.2
# Each exit's life: how long it is alive, then dead, and so on.
LIVES = st.lists(st.integers(1, 120), max_size=6)
SLACK = 0.05


def alive_at(life: Sequence[int], now: float) -> bool:
    end = 0.0
    for at, seconds in enumerate(life):
        end += seconds
        if now < end:
            return at % 2 == 0
    return len(life) % 2 == 0


@dataclass
class Run:
    """A machine and the exits it asks, run by its own timers."""

    lives: Sequence[Sequence[int]]
    direct: bool = False
    in_use: int = 0
    now: float = 0.0
    asked: int = 0
    switches: list[tuple[float, int]] = field(default_factory=list)
    ended: list[tuple[float, int]] = field(default_factory=list)
    moments: list[tuple[float, int]] = field(default_factory=list)  # what was in use from when on

    def __post_init__(self) -> None:
        self.exits = Exits(len(self.lives), self.in_use, direct=self.direct)
        self.moments.append((0.0, self.in_use))

    def until(self, end: float) -> None:
        under_way: list[tuple[float, int]] = []
        while self.now < end:
            for at, rank in [each for each in under_way if each[0] <= self.now]:
                self.exits.heard(rank, at)
                under_way.remove((at, rank))
            judged = self.exits.judge(self.now)
            if judged.in_use != self.moments[-1][1]:
                self.switches.append((self.now, judged.in_use))
                self.moments.append((self.now, judged.in_use))
            self.ended += [(self.now, rank) for rank in judged.ended]
            for rank in self.exits.due(self.now):
                self.asked += 1
                if alive_at(self.lives[rank], self.now) and alive_at(self.lives[rank], self.now + RTT):
                    under_way.append((self.now + RTT, rank))
            wait = self.exits.wait(self.now)
            assert wait > 0, "it asks for its own attention for ever"
            self.now = min([self.now + wait, end, *(at for at, _ in under_way)])

    def used(self, now: float) -> int:
        return next(rank for at, rank in reversed(self.moments) if at <= now)


def test_the_first_is_in_use_and_asked_once_a_second() -> None:
    run = Run(([], []))
    run.until(600)

    assert run.switches == []
    assert run.asked <= 600 / IN_USE + 600 / SPARE + 10


def test_a_dead_one_is_left_in_time() -> None:
    """At most a question's interval and LOST after it died."""
    run = Run(([100], []))
    run.until(200)

    ((at, rank),) = run.switches
    assert rank == 1 and 100 + LOST - RTT - IN_USE <= at <= 100 + IN_USE + LOST + SLACK
    assert run.ended == [(at, 0)]


def test_the_preferred_one_is_taken_again_after_a_while() -> None:
    run = Run(([100, 50], []))
    run.until(300)

    (_, (at, rank)) = run.switches
    assert rank == 0 and 150 + BACK <= at <= 150 + BACK + IN_USE + RTT + SLACK
    assert [rank for _, rank in run.ended] == [0]  # the other one is alive: its flows go on


def test_whoever_flaps_is_not_taken_again() -> None:
    flapping = [100, *([20] * 20)]
    run = Run((flapping, []))
    run.until(480)

    assert run.switches and {rank for _, rank in run.switches} == {1}


def test_while_nobody_answers_what_was_in_use_stays() -> None:
    run = Run(([100, 100], [100, 100]))
    run.until(150)

    assert run.switches == []
    assert not run.exits.judge(150).answered
    run.until(250)
    assert run.exits.judge(250).answered


def test_after_a_time_without_any_what_was_in_use_is_taken_again() -> None:
    """The host's own line was away: the other exit answers a moment earlier, and nobody's flows are ended for that."""
    run = Run(([101, 58, 400], [100, 57, 400]))
    run.until(300)

    assert run.switches == []


def test_the_uplink_comes_last() -> None:
    run = Run(([100, 100],), direct=True)
    run.until(300)

    (left, direct), (back, rank) = run.switches
    assert (direct, rank) == (DIRECT, 0)
    assert left <= 100 + IN_USE + LOST + SLACK
    assert 200 + SURE <= back <= 200 + SURE + 2 * IN_USE + SLACK


def test_a_spare_one_that_dies_has_its_flows_ended() -> None:
    """Flows that began there while the first was dead went on there."""
    run = Run(([], [100]))
    run.until(200)

    assert run.switches == [] and [rank for _, rank in run.ended] == [1]


def test_nobody_who_was_never_heard_is_taken() -> None:
    run = Run(([1], [0, 1000], [0, 1000]))
    run.until(100)

    assert run.switches == []


def test_a_lost_answer_is_no_death() -> None:
    """Within LOST seconds a doubtful one is asked so often that one answer in ten is enough, nearly always."""
    assert (LOST - DOUBT) / HURRIED >= 8


@settings(max_examples=60, deadline=None)
@given(st.lists(LIVES, min_size=1, max_size=4), st.booleans())
def test_whatever_dies_and_lives(lives: list[list[int]], direct: bool) -> None:
    """Never long with a dead one while another has lived; back to a preferred one if that has lived for long."""
    run = Run(lives, direct)
    run.until(240)
    settled = int(IN_USE + LOST + SPARE + LOST + SURE + 2)  # it dies, then the spare one turns out to be dead, too
    lived = [[alive_at(life, tick / 4) for tick in range(4 * 240 + 1)] for life in lives]

    def during(rank: int, begin: float, end: float) -> list[bool]:
        return lived[rank][max(0, int(begin * 4)) : int(end * 4) + 1]

    for second in range(20, 240, 3):
        used, since = run.used(second), second - settled
        steady = [rank for rank in range(len(lives)) if all(during(rank, since, second))]
        if steady:
            assert used != DIRECT and any(during(used, since, second)), second
        assert direct or used != DIRECT
    for (_, before), (now, rank) in pairwise(run.moments):
        if rank != DIRECT:
            assert any(during(rank, now - SPARE - LOST - 1, now))
        if 0 <= rank < before:  # for its own sake, or because the other one died
            assert all(during(rank, now - BACK + 1, now - IN_USE - RTT)) or not all(during(before, now - settled, now))
