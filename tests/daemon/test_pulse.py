"""Who is silent: told once when it begins, and once when it ends."""

from __future__ import annotations

from warren.daemon.pulse import SILENT, Pulse


def test_silence_is_told_after_five_seconds_and_once() -> None:
    pulse = Pulse(["r2", "r3"], 100.0)
    pulse.heard("r3", 103.0)

    assert pulse.changed(100.0 + SILENT - 0.1) == ((), ())
    assert pulse.changed(100.0 + SILENT) == (("r2",), ())
    assert pulse.changed(100.0 + SILENT + 1) == ((), ())
    assert pulse.down == {"r2"}


def test_one_answer_ends_it() -> None:
    pulse = Pulse(["r2"], 0.0)
    assert pulse.changed(60.0) == (("r2",), ())

    pulse.heard("r2", 61.0)

    assert pulse.changed(61.0) == ((), ("r2",))
    assert pulse.changed(65.9) == ((), ())
    assert pulse.changed(66.0) == (("r2",), ())
