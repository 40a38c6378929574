"""docs/protocol.md says of every packet and message what the code says; UPDATE_GOLDEN=1 writes it anew."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path

import pytest

from tests.proto.parts import MESSAGES
from warren.model.many_ports import FIRST_PORT, HEAD, LAST_PORT, MANY
from warren.proto import knock
from warren.proto.asking import ALL
from warren.proto.asking import ASK_RATE as QUESTION_RATE
from warren.proto.asking import ASKS as QUESTIONS
from warren.proto.birthday import AGAIN, LASTS, PHASES, RATE, Phase
from warren.proto.codec import MAX_CANDIDATES, Laid, layout
from warren.proto.cookie import ROTATES
from warren.proto.door import HELLO_RATE, HELLOS, TRIALS
from warren.proto.packet import HEADER, LARGEST, MAGIC, PACKETS, VERSION
from warren.proto.rendezvous import ASK_RATE, ASKS, CHANGE_RATE, CHANGES, EACH
from warren.proto.states import TABLE, State
from warren.proto.window import WIDTH

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"


def table(laid: Iterable[type[Laid]]) -> str:
    rows = ["| type | name | layout | says |", "|---|---|---|---|"]
    for one in laid:
        parts = " · ".join(f"{name} {codec.length}" for name, codec in layout(one))
        says = " ".join((one.__doc__ or "").split())
        rows.append(f"| {one.TYPE} | `{one.__name__}` | {parts or '–'} | {says} |")
    return "\n".join(rows)


def diagram(begins: StrEnum, changes: Mapping[tuple[StrEnum, StrEnum], StrEnum]) -> str:
    rows = [f"    {state} --> {then}: {happened}" for (state, happened), then in changes.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {begins}", *rows, "```"])


DRAWN = {
    "packet": table(PACKETS),
    "knock": table([knock.Knock]),
    "message": table(MESSAGES),
    "states": diagram(State.ABSENT, TABLE),
    "birthday": diagram(Phase.RESTS, PHASES),
}


@pytest.mark.parametrize("name", DRAWN)
def test_the_tables_are_those_of_the_code(name: str) -> None:
    head, tail = f"<!-- drawn from src/warren/proto/{name}.py -->\n", "<!-- end -->"
    page = PAGE.read_text()
    found = re.search(re.escape(head) + "(.*?)" + re.escape(tail), page, re.DOTALL)
    assert found
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(page.replace(found[0], f"{head}{DRAWN[name]}\n{tail}"))
    else:
        assert found[1].strip() == DRAWN[name]


def test_the_numbers_are_those_of_the_code() -> None:
    page = PAGE.read_text()

    assert f"`{MAGIC.hex(' ')}`" in page and f"the version ({VERSION})" in page
    assert (HEADER, ROTATES) == (8, 120.0)  # "eight bytes", "two minutes"
    assert f"at most {LARGEST} bytes" in page and f"at most {MAX_CANDIDATES})" in page
    assert f"a window of {WIDTH}" in page
    assert f"{RATE:.0f} packets a second for {LASTS:.0f} seconds" in page and f"{AGAIN / 60:.0f} minutes" in page
    assert (
        f"each of {MANY} ports ({FIRST_PORT} to {LAST_PORT})" in page
        and int.from_bytes(MAGIC + bytes([VERSION])) == HEAD
    )
    assert f"{HELLOS} Hellos of a source at once" in page and f"and {HELLO_RATE:.0f} a second" in page
    assert f"{ASKS} messages of a host at once and {ASK_RATE:.0f} a second, at once {EACH} more for each link" in page
    assert f"{QUESTIONS} of a source at once and {QUESTION_RATE:.0f} a" in page and f"{ALL} a second of all" in page
    assert f"{CHANGES} new registrations at once" in page and (CHANGE_RATE, TRIALS) == (0.5, 4)


def test_the_numbers_of_knocks_are_those_of_the_code() -> None:
    page, story = PAGE.read_text(), (PAGE.parent / "knock.md").read_text()

    one = f"({knock.KNOCKS} at once and {knock.KNOCK_RATE:.0f} a second)"
    assert f"{one} and all together ({knock.ALL} and {knock.ALL_RATE:.0f})" in page
    assert f"within {knock.NEAR // 1_000_000} seconds of its own" in page and f"the member's last {knock.KEPT}," in page
    assert (
        f"one UDP packet** of {knock.LENGTH} bytes" in story and f"no more than {knock.ALL_RATE:.0f} a second" in story
    )
