"""What is due next: the same as looking at everything, and no more kept than there is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from warren.proto.agenda import SPARE, Agenda

steps = st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 20)), max_size=80)


@given(steps)
def test_it_gives_what_looking_at_everything_would(done: list[tuple[bool, int, int]]) -> None:
    agenda: Agenda[int] = Agenda()
    plain: dict[int, float] = {}
    for plans, what, when in done:
        if plans:
            agenda.plan(what, when)
            plain[what] = min(plain.get(what, when), when)
        else:
            wanted = sorted(at for at in plain.values() if at <= when)
            assert [plain.pop(one) for one in agenda.due(when)] == wanted
        assert agenda.next() == min(plain.values(), default=None) and len(agenda) == len(plain)


def test_what_was_overtaken_is_not_kept_for_ever() -> None:
    agenda: Agenda[str] = Agenda()
    for when in range(10_000, 0, -1):
        agenda.plan("one", when)
        agenda.plan("other", when)

    assert len(agenda._heap) <= 2 * 2 + SPARE + 1
    assert agenda.due(1) == ["one", "other"] and agenda.next() is None
