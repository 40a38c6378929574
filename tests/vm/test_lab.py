"""The examples on a kernel with WireGuard: the same promises, and outer packets that are never cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.enclosed import enclosed
from warren.core.load import load
from warren.core.walk.places import probe_of, spot_of
from warren.lab.ask import Ask
from warren.lab.lab import Lab, bring_up
from warren.lab.topology import host_space
from warren.lab.trial import try_all
from warren.model.expect import Target
from warren.model.place import Place, PlaceKind
from warren.model.prefix import FAMILIES
from warren.model.state import Backend

pytestmark = pytest.mark.vm

EXAMPLES = Path(__file__).parents[2] / "examples"


def lab_of(name: str) -> Lab:
    file = EXAMPLES / f"{name}.yaml"
    loaded = load(file.read_bytes(), file.with_suffix(".lock").read_bytes(), str(file))
    assert loaded.network is not None, loaded.text()
    return bring_up(loaded.network, loaded.lock)


def broken_promises(lab: Lab) -> list[str]:
    """What the packets did not keep, or walk did not foretell."""
    verdicts = list(try_all(lab))
    assert lab.backend is Backend.KERNEL
    assert len(verdicts) >= 12
    return [f"{one.expect.at}: {one.shortfall} {one.disagreement}" for one in verdicts if not one.holds]


@pytest.mark.parametrize("name", ["chain", "full-exit-mesh", "own-traffic", "portals"])
def test_an_example_keeps_its_promises_with_the_kernels_wireguard(name: str) -> None:
    assert enclosed(lambda: broken_promises(lab_of(name))) == []


NORTH, OFFICE = Place(PlaceKind.LAN, "north", "br0"), Place(PlaceKind.LAN, "office", "servers")


def big_packets(lab: Lab, start: Place, end: Place, *sizes: int) -> list[Ask]:
    """Full echoes that must not be cut, IPv4 and IPv6, through the tunnel between two LANs."""
    asks = []
    for family in FAMILIES:
        probe = probe_of(lab.world, lab.lock, start, Target(place=end), family)
        assert probe is not None
        space = lab.questions.space_of(spot_of(lab.world, start))
        asks += [Ask(space, family, "icmp", probe.destination, size=size) for size in sizes]
    return asks


def test_site_to_site_keeps_its_promises_and_its_outer_packets_are_never_cut() -> None:
    """A full packet passes whole, a larger one is refused, in both families."""

    def tried() -> tuple[list[str], list[tuple[int, bool]], int, int]:
        lab = lab_of("site-to-site")
        broken = broken_promises(lab)
        asks = big_packets(lab, NORTH, OFFICE, 1280, 1440, 1441)
        lab.ask(asks, False)
        cut = sum(eye.fragments for eye in lab.eyes.values())
        # The eyes see fragments when there are some: with a device's MTU that forgets the outer header. The other
        # way, because the northern client remembers now what fits.
        for host in ("north", "office"):
            lab.spaces.run(host_space(host), ("ip", "link", "set", "firm", "mtu", "1500"))
        lab.ask(big_packets(lab, OFFICE, NORTH, 1500), False)
        answers = [(ask.size, ask.answered) for ask in asks]
        return broken, answers, cut, sum(eye.fragments for eye in lab.eyes.values())

    broken, answers, cut, cut_with_a_wrong_mtu = enclosed(tried)

    assert broken == []
    assert answers == [(1280, True), (1440, True), (1441, False)] * 2
    assert cut == 0
    assert cut_with_a_wrong_mtu > 0
