"""What of these tests is also run on a kernel with WireGuard of its own (tests/vm/run.py).

In the VM they get the mark `vm`; elsewhere they run with wireguard-go like all the others.
"""

from __future__ import annotations

import os

import pytest

# A few that show most: the VM's processor is an emulated one, twenty times slower.
KERNEL_TOO = (
    "test_flows.py::test_changing_one_peer_leaves_the_others_alone",
    "test_flows.py::test_a_roamed_peer_is_no_change",
    "test_apply.py::test_a_portal_carries_packets_and_leaves_no_trace",
    "test_confirm.py::test_a_bad_change_is_undone_by_itself",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them before -m looks at marks."""
    if os.environ.get("WARREN_IN_VM"):
        for item in items:
            if any(f"tests/sys/{name}" in item.nodeid for name in KERNEL_TOO):
                item.add_marker(pytest.mark.vm)
