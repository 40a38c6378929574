"""Every kind of place against every other: theory says who meets directly, and simulated worlds agree."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from warren.lab.matrix.kinds import KINDS, Pairing, choose, pairings
from warren.lab.matrix.report import line_of, picture, simulated
from warren.lab.matrix.simulate import run, run_all
from warren.lab.spaces import LabError
from warren.model.lab import Mapping
from warren.proto.nat import Behaviour
from warren.proto.theory import OPEN, Stand, chained, goes_direct

CARRIER = Behaviour()
HARD = Behaviour(Mapping.ADDRESS_AND_PORT_DEPENDENT)


PAGE = Path(__file__).parents[2] / "docs" / "meeting.md"


def pair(one: str, other: str) -> Pairing:
    return Pairing(choose([one])[0], choose([other])[0])


def test_every_pair_of_kinds_meets_as_theory_says() -> None:
    wrong = []
    for pairing in pairings(KINDS):
        met = run(pairing, 1, lingers=4.0)
        if (met.first is not None, met.direct is not None) != (pairing.connects, pairing.direct):
            wrong.append((pairing.name, met))
    assert not wrong


@pytest.mark.parametrize(
    ("one", "other", "direct"),
    [
        ("home", "cgnat", True),
        ("home", "hard-cgnat", True),  # by many ports
        ("cgnat", "cgnat", False),  # one provider's NAT that does not hairpin is in front of both
        ("hairpin", "hairpin", True),
        ("lan", "lan", True),  # hard, but they are in one LAN
        ("lan", "apd-apd", False),
        ("hard-dual", "hard-dual", True),  # by IPv6
        ("hard-dual", "apd-apd", False),  # one has IPv4 only
        ("firewall", "home", True),
        ("blocked", "public", False),
    ],
)
def test_what_theory_says_of_places(one: str, other: str, direct: bool) -> None:
    """Both ways round."""
    assert pair(one, other).direct is pair(other, one).direct is direct


def test_where_the_labs_nats_are_kinder_than_theory() -> None:
    """A NAT of Linux's that lets everybody in answers by the port at which they came in."""
    differ = {pairing.name for pairing in pairings(KINDS) if pairing.direct_in_lab and not pairing.direct}
    assert differ and all("ad-ei" in name or "apd-ei" in name for name in differ)
    assert not [one for one in pairings(KINDS) if one.direct and not one.direct_in_lab]


def test_boxes_in_a_row_are_as_strict_as_the_strictest() -> None:
    assert chained(()) == OPEN
    assert chained((CARRIER, HARD)).mapping is Mapping.ADDRESS_AND_PORT_DEPENDENT
    assert chained((Behaviour(filtering=Mapping.ENDPOINT_INDEPENDENT), CARRIER)).filtering is CARRIER.filtering
    firewall = Behaviour(Mapping.ADDRESS_AND_PORT_DEPENDENT, translates=False)
    assert chained((firewall,)).mapping is Mapping.ENDPOINT_INDEPENDENT  # it translates nothing


def test_a_hairpin_lets_in_as_its_filter_does() -> None:
    """Two behind one provider's NAT, each with a home router: they meet at its outside, if it turns packets round."""
    turns = Behaviour(hairpin=True)
    assert goes_direct(Stand((turns, CARRIER)), Stand((turns, CARRIER)), shared=1)
    assert not goes_direct(Stand((turns, HARD)), Stand((turns, HARD)), shared=1)
    assert not goes_direct(Stand((CARRIER, CARRIER)), Stand((CARRIER, CARRIER)), shared=1)


def test_a_report_says_when_a_pair_went_unlike_theory() -> None:
    pairing = pair("home", "home")
    ((_, runs),) = run_all([pairing], 3, workers=1)
    fine, wrong = (
        simulated(line_of(pairing), pairing, found) for found in (runs, [*runs, run(pair("apd-apd", "apd-apd"), 1)])
    )
    kinds = (pairing.one,)

    assert fine.holds and fine.simulated.as_told == 3 and fine.simulated.direct is not None
    assert not wrong.holds and wrong.simulated.as_told == 3
    assert " D " in picture(kinds, [fine]) and " ! " in picture(kinds, [wrong])


def test_the_page_shows_what_theory_says() -> None:
    head, tail = "<!-- drawn from src/warren/proto/theory.py -->\n", "<!-- end -->"
    page = PAGE.read_text()
    shown = page.partition(head)[2].partition(tail)[0]
    drawn = f"```\n{picture(KINDS, [line_of(pairing) for pairing in pairings(KINDS)])}\n```\n"
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(page.replace(f"{head}{shown}{tail}", f"{head}{drawn}{tail}"))
    else:
        assert shown == drawn


def test_a_kind_that_is_none_is_said() -> None:
    with pytest.raises(LabError, match="there is no kind of place called nonsense"):
        choose(["nonsense"])
