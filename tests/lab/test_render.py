"""Hosts that run no warren: what was rendered brings them up, and packets keep the promises of the examples.

renders.py and managers.py have the programs that do it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from tests.core.render.golden import example
from tests.lab.enclosed import enclosed
from tests.lab.managers import by_networkd, by_networkmanager
from tests.lab.renders import by_wg_quick
from warren.lab.lab import Lab, bring_up
from warren.lab.spaces import LabError
from warren.lab.topology import host_space
from warren.lab.trial import try_all
from warren.lab.works import Works

pytestmark = pytest.mark.lab

NYC = host_space("nyc")
LEFT = r"""
{ ip -4 rule; ip -6 rule; } | grep '^77' || :
{ ip -4 route show table all proto 77; ip -6 route show table all proto 77; } 2>/dev/null
nft list tables | grep warren || :
"""
SETTINGS = "sysctl net.ipv4.conf.eth0.rp_filter net.ipv4.ip_forward net.ipv6.conf.eth0.accept_ra"


def kept(name: str, works: Works, then: Callable[[Lab], list[str]] = lambda lab: []) -> list[str]:
    """Try all that an example promises, its hosts brought up by `works`; give what was not kept, or goes wrong then."""
    lab = bring_up(*example(name), works)
    verdicts = list(try_all(lab))
    assert len(verdicts) == len(lab.network.expects)
    return [f"{one.expect}: {one.shortfall} {one.disagreement}" for one in verdicts if not one.holds] + then(lab)


@pytest.mark.parametrize("name", ["site-to-site", "gateway"])
def test_what_wg_quick_brings_up_keeps_the_promises(name: str) -> None:
    assert enclosed(lambda: kept(name, by_wg_quick)) == []


def test_what_wg_quick_brings_up_keeps_its_order_and_goes_without_a_trace() -> None:
    assert enclosed(lambda: kept("portals", by_wg_quick, order_and_end)) == []


def order_and_end(lab: Lab) -> list[str]:
    """Take New York's devices down and up in the wrong order and in the right one; give what is not as it should be."""
    wrong = []
    if "take portals-tokyo down first" not in wg_quick(lab, "down", "portals-paris"):
        wrong.append("the first went before the second")
    wrong += [wg_quick(lab, "down", device) for device in ("portals-tokyo", "portals-paris")]
    wrong += shell(lab, LEFT).splitlines()
    wrong += [line for line in shell(lab, SETTINGS).splitlines() if line not in BEFORE]
    if "bring portals-paris up first" not in wg_quick(lab, "up", "portals-tokyo"):
        wrong.append("the second came before the first")
    with lab.spaces.inside(NYC), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as in_the_way:
        in_the_way.bind(("", 51821))
        if not wg_quick(lab, "up", "portals-paris"):
            wrong.append("a port that is taken was no hindrance")
        if "iif eth2" not in shell(lab, LEFT) or "warren-portals" not in shell(lab, LEFT):
            wrong.append("a start that failed left no guard")
    wrong += [wg_quick(lab, verb, "portals-paris") for verb in ("up", "down")]
    return [line for line in (*wrong, *shell(lab, LEFT).splitlines()) if line]


BEFORE = (  # as the lab gives it to a router
    "net.ipv4.conf.eth0.rp_filter = 1",
    "net.ipv4.ip_forward = 1",
    "net.ipv6.conf.eth0.accept_ra = 0",
)


def shell(lab: Lab, script: str) -> str:
    return lab.spaces.run(NYC, ("sh", "-c", script))


def wg_quick(lab: Lab, verb: str, device: str) -> str:
    """Give what wg-quick complains of; nothing if it succeeds."""
    try:
        lab.spaces.run(NYC, ("env", "WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go", "wg-quick", verb, device))
    except LabError as error:
        return error.says
    return ""


@pytest.mark.parametrize("works", [by_networkd, by_networkmanager])
def test_what_a_network_manager_brings_up_keeps_the_promises(works: Works) -> None:
    assert enclosed(lambda: kept("portals", works)) == []
