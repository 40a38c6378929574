"""Hosts that run no warren: what was rendered brings them up, and packets keep the promises of the examples.

renders.py and managers.py have the programs that do it.
"""

from __future__ import annotations

import pytest

from tests.core.render.golden import example
from tests.lab.enclosed import enclosed
from tests.lab.managers import by_networkd, by_networkmanager
from tests.lab.renders import by_wg_quick
from warren.lab.lab import bring_up
from warren.lab.trial import try_all
from warren.lab.works import Works

pytestmark = pytest.mark.lab


def kept(name: str, works: Works) -> list[str]:
    """Try all that an example promises, its hosts brought up by `works`; give what was not kept."""
    lab = bring_up(*example(name), works)
    verdicts = list(try_all(lab))
    assert len(verdicts) == len(lab.network.expects)
    return [f"{one.expect}: {one.shortfall} {one.disagreement}" for one in verdicts if not one.holds]


@pytest.mark.parametrize("name", ["portals", "site-to-site", "gateway"])
def test_what_wg_quick_brings_up_keeps_the_promises(name: str) -> None:
    assert enclosed(lambda: kept(name, by_wg_quick)) == []


@pytest.mark.parametrize("name", ["portals"])
def test_what_networkd_brings_up_keeps_the_promises(name: str) -> None:
    assert enclosed(lambda: kept(name, by_networkd)) == []


@pytest.mark.parametrize("name", ["portals"])
def test_what_networkmanager_brings_up_keeps_the_promises(name: str) -> None:
    assert enclosed(lambda: kept(name, by_networkmanager)) == []
