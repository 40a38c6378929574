"""A tunnel in a tunnel on a kernel with WireGuard, which cuts outer packets that are too large to pass whole.

So here, and only here, a wrong MTU is seen as fragments; with the right one there is none on any wire.
"""

from __future__ import annotations

import pytest

from tests.lab.enclosed import enclosed
from tests.lab.nested import MTU, Facts, ends, lab_of, measure, probe
from tests.lab.wires import Wires
from warren.model.prefix import FAMILIES, Family
from warren.model.state import Backend

pytestmark = pytest.mark.vm

SOME = 1 << 17  # bytes of a transfer: the VM's processor is emulated


def test_full_packets_pass_both_layers_and_none_is_cut() -> None:
    def tried() -> tuple[Backend, Facts, int]:
        lab = lab_of("nested")
        wires = Wires(lab)
        facts = measure(lab, wires, SOME)
        # 1440 is what one tunnel carries: right for a device that dials its host, and too much inside another tunnel.
        for space, device in (("device.phone", "nested"), ("host.home", "nested-devices")):
            lab.spaces.run(space, ("ip", "link", "set", device, "mtu", "1440"))
        there = ends(lab)
        (phone, _), (house, addresses) = there["phone"], there["house"]
        probe(lab, phone, house, addresses[Family.IPV4], Family.IPV4, 1440)
        return lab.backend, facts, wires.look().total()

    backend, facts, cut_with_a_wrong_mtu = enclosed(tried)

    assert backend is Backend.KERNEL
    ways = [f"{family.word} {end}" for family in FAMILIES for end in ("phone", "house")]
    assert facts.carried == dict.fromkeys(ways, SOME)
    assert facts.largest == dict.fromkeys(ways, MTU)
    assert facts.refused == dict.fromkeys(ways, "EMSGSIZE")
    assert facts.cut == {}
    assert cut_with_a_wrong_mtu > 0
