"""What all tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# Machines are noisy: how long an example takes is no property of ours.
settings.register_profile("warren", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("warren")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests of the kernel lane out, unless this is its VM (see tests/vm/run.py)."""
    if os.environ.get("WARREN_IN_VM"):
        return
    kernel_lane = [item for item in items if item.get_closest_marker("vm")]
    if kernel_lane:
        config.hook.pytest_deselected(items=kernel_lane)
        items[:] = [item for item in items if item not in kernel_lane]
