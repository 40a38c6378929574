"""The portals network on the kernel's own WireGuard: what tests/lab holds against wireguard-go holds here too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.core.compile.networks import lock_of, portals_network
from tests.kernel.leaks import BREAKS, SOURCES, TABLE, Watcher
from tests.kernel.portals import LAN, answers, everywhere, exits, fresh, questions
from tests.kernel.wire import Question
from tests.kernel.world import Remote, a_risen_world

pytestmark = pytest.mark.vm

NETWORK = portals_network()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """The portals network, up."""
    with a_risen_world(NETWORK, lock_of(NETWORK), tmp_path_factory.mktemp("keys")) as world:
        yield world


def test_everything_leaves_where_the_file_says(world: Remote) -> None:
    """Both portals at once, one device, a chain, own traffic; and who comes by the uplink is answered there."""
    assert " wireguard " in world.sh("nyc", "ip -details link show portals-paris")
    asked = questions(list(everywhere()), timeout=10)
    assert answers(world, asked) == exits(world, asked)
    inbound = [Question("internet", world.seen_as("tokyo")[0], "tcp", source=fresh(), timeout=10)]
    assert world.ask([*inbound, Question(LAN, "192.168.22.100")]) == [inbound[0].source, "192.168.21.100"]


def test_nothing_leaks_when_its_pieces_go(world: Remote) -> None:
    """Peers, devices and halves in main, one after the other; the last test of this world."""
    watcher = Watcher(world, SOURCES)
    assert not any(watcher.probe(timeout=10).values())
    breaks = next(one for one in BREAKS if "peers removed" in one and TABLE not in one.values())
    for says, script in breaks.items():
        for host in ("nyc", "paris", "tokyo"):
            world.sh(host, script)
        counted = watcher.probe(timeout=2)
        assert counted == dict.fromkeys(counted, 0), says
