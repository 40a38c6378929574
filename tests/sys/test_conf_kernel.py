"""Confs on the real WireGuard module: the lab's own tests once more, where no wireguard-go stands in for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sys.boxes import Box
from tests.sys.test_conf import World, test_two_full_tunnels_at_once_and_either_may_go, world
from tests.sys.test_wg_quick import test_warren_leaves_what_wg_quick_leaves, twins

pytestmark = pytest.mark.vm

_two_tunnels, _compare = test_two_full_tunnels_at_once_and_either_may_go, test_warren_leaves_what_wg_quick_leaves
# Here they would be collected a second time, for the wrong lane.
del test_two_full_tunnels_at_once_and_either_may_go, test_warren_leaves_what_wg_quick_leaves

__all__ = ["twins", "world"]  # the fixtures


def test_the_module_is_what_carries_them() -> None:
    assert Path("/sys/module/wireguard").is_dir()


def test_two_full_tunnels_on_the_real_module(world: World) -> None:
    _two_tunnels(world, "a")
    assert "wireguard" in world.servers[0].sh("ip -d link show wg0")


@pytest.mark.parametrize("name", ["all of both", "a preshared key"])
def test_warren_leaves_what_wg_quick_leaves_on_the_real_module(name: str, twins: tuple[Box, Box]) -> None:
    _compare(name, twins)
