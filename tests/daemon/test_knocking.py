"""When the agent knocks: at the beginning, where something changed, and where nobody answers; else it is quiet."""

from __future__ import annotations

from itertools import pairwise

from warren.daemon.knocking import FIRST, LONGEST, LOOK, SILENT, Seen, Urge
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey

NYC = PublicKey("n" * 43 + "=")
HERE, THERE = Endpoint("192.0.2.20", 51820), Endpoint("2001:db8:2::20", 51820)


def looked(urge: Urge, now: float, sent: int, received: int, at: Endpoint | None = HERE) -> bool:
    return NYC in urge.look([NYC], {NYC: Seen(at, sent, received)}, now)


def test_it_knocks_at_the_beginning_and_when_it_is_told_of_a_move() -> None:
    urge = Urge()

    assert looked(urge, 0.0, 0, 0)
    assert not looked(urge, 100.0, 0, 0), "nobody uses it"
    urge.moved()
    assert looked(urge, 102.0, 0, 0)


def test_a_peer_that_answers_is_left_alone() -> None:
    urge = Urge()
    looked(urge, 0.0, 0, 0)

    assert not any(looked(urge, LOOK * step, 1000 * step, 10 * (step // 5)) for step in range(5, 500))


def test_who_does_not_answer_is_knocked_at_ever_more_rarely() -> None:
    urge = Urge()
    knocked = [now for step in range(300) if looked(urge, now := step * LOOK, 148 * step, 0)]

    waits = [later - earlier for earlier, later in pairwise(knocked)]
    assert waits[0] <= FIRST + LOOK and set(waits[6:]) == {LONGEST}
    assert waits == sorted(waits)


def test_silence_of_a_tunnel_that_worked_is_noticed() -> None:
    urge = Urge()
    looked(urge, 0.0, 0, 0)
    looked(urge, 50.0, 10, 10)

    assert not looked(urge, 50.0 + SILENT - 1, 2000, 10)
    assert looked(urge, 50.0 + SILENT + 1, 2000, 10)


def test_it_knocks_where_the_peer_is_dialled_now_but_not_where_it_has_gone_by_itself() -> None:
    urge = Urge()
    looked(urge, 0.0, 0, 0)
    looked(urge, 2.0, 10, 10)

    assert looked(urge, 4.0, 10, 10, THERE)
    looked(urge, 6.0, 20, 20, THERE)
    assert not looked(urge, 8.0, 20, 30, HERE), "a packet came from there: WireGuard has followed it"


def test_without_an_address_there_is_nowhere_to_knock() -> None:
    urge = Urge()

    assert not looked(urge, 0.0, 0, 0, None)
    assert looked(urge, 2.0, 0, 0)


def test_only_the_first_of_a_series_is_told() -> None:
    urge = Urge()
    told = [urge.look([NYC], {NYC: Seen(HERE, 148 * step, 0)}, step * LOOK).get(NYC) for step in range(100)]

    assert [one for one in told if one is not None][:3] == [True, False, False]
