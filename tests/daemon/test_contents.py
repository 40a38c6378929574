"""The duty that keeps countries and lists current: once a day, by whoever comes first, and never in the loop's way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from warren.daemon import contents
from warren.daemon.contents import AGAIN, DAY, JITTER, Contents
from warren.daemon.duty import Duties, Event
from warren.sys.geo import GeoStore
from warren.sys.store import Store

FED = Duties("home", "eth0", (), (), "/nowhere", fed=True)
TOLD = '{"networks": [{"network": "home", "sets": [{"name": "country_fr_4", "elements": 1840, "new": 3, "gone": 1}]}]}'


def days(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, act: Callable[[Contents, float], None], duties: Duties
) -> list[Event]:
    """Let the duty run with a program in `geo update`'s place; gives what it told."""
    monkeypatch.setenv("WARREN_GEO_DIR", str(tmp_path))
    monkeypatch.setattr(contents, "UPDATE", ("sh", "-c", script))
    told: list[Event] = []

    async def live() -> None:
        duty = Contents(told.append)
        now = asyncio.get_running_loop().time()
        duty.begin(duties, now)
        act(duty, now)
        await settled(duty)
        duty.end()

    asyncio.run(live())
    return told


async def settled(duty: Contents) -> None:
    while duty._work is not None:
        await asyncio.sleep(0.01)


def test_it_updates_once_and_says_what_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def act(duty: Contents, now: float) -> None:
        for _ in range(3):  # one at a time
            duty.tick(now + JITTER)

    (told,) = days(monkeypatch, tmp_path, f"echo >> {tmp_path}/ran; echo '{TOLD}'", act, FED)

    assert (told.kind, told.subject) == ("refreshed", "home")
    assert told.says == "set country_fr_4: 1,840 elements, 3 new, 1 gone"
    assert (tmp_path / "ran").read_text() == "\n"


@pytest.mark.parametrize("why", ["not due", "not fed", "done by another"])
def test_it_leaves_alone_what_needs_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, why: str) -> None:
    if why == "done by another":
        Store(tmp_path).write(int(time.time()) - 100, "asked")
        assert GeoStore(tmp_path).asked()

    def act(duty: Contents, now: float) -> None:
        monkeypatch.setattr("random.uniform", lambda _low, high: high)
        duty.begin(FED if why != "not fed" else Duties("home", "eth0", (), (), "/nowhere"), now)
        duty.tick(now if why == "not due" else now + JITTER)
        if why == "done by another":
            duty.tick(now + DAY - 200)

    assert days(monkeypatch, tmp_path, f"echo >> {tmp_path}/ran", act, FED) == []
    assert not (tmp_path / "ran").exists()


def test_what_fails_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = "echo 'warren: arin: the server says 503' >&2; echo 'other words' >&2; exit 1"

    def act(duty: Contents, now: float) -> None:
        duty.tick(now + JITTER)

    (told,) = days(monkeypatch, tmp_path, script, act, FED)

    assert (told.kind, told.says) == ("trouble", "arin: the server says 503")
    assert AGAIN < DAY
