"""systemd as the first process of a host: the order of its boot, and of its end, as packets see it.

First without warren: the client's packets leave by the uplink as soon as networkd has brought it up. Then the same host
with a portal, installed by its owner, is switched off and on again.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sys.site import UPLINKS, Site, site
from tests.sys.test_boot import EXITED, LEAKED, count, seen, send, sending
from tests.sys.test_commands import FILE
from tests.vm.booted import Booted, furnish, until

pytestmark = pytest.mark.vm
STATE = Path("/var/lib/warren")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    furnish()
    with site(tmp_path, "nyc", "paris", "client") as made:
        made["nyc"].state = STATE
        count(made["inet"])
        yield made


def switch_on(here: Site) -> Booted:
    """Start nyc with nothing but its cables, which are not up."""
    nyc = here.restart("nyc")
    here["inet"].wire("nyc", nyc, "eth0")
    v4, v6 = (address.rpartition(sign)[0] for address, sign in zip(UPLINKS["nyc"], (".", "::"), strict=True))
    here["inet"].sh(f"ip addr add {v4}.1/24 dev nyc; ip addr add {v6}::1/64 dev nyc nodad")
    nyc.wire("eth2", here["client"], "eth0")
    nyc.sh("ip link set eth0 down; ip link set eth2 down")
    here["client"].sh("ip addr add 192.168.21.100/24 dev eth0; ip addr add fd21:21::100/64 dev eth0 nodad")
    here["client"].sh("ip route add default via 192.168.21.1; ip -6 route add default via fd21:21::1")
    return Booted(nyc)


def test_the_order_of_a_boot_and_of_its_end(here: Site, tmp_path: Path) -> None:
    keys = {name: host.key for name, host in here.hosts.items()}
    place = Path("/etc/warren")  # units have a /tmp of their own
    place.mkdir()
    for name in keys:
        shutil.copy(here.directory / f"{name}.key", place)
    file = place / "portals.yaml"
    file.write_text(FILE.format(directory=place, portal="nyc.eth2", **keys))

    with sending(here, 0.2):
        nyc = switch_on(here)
        until(lambda: seen(here)[LEAKED] > 20, nyc.said)  # what must never be seen again

    nyc.run("warren", "lock", str(file))
    far = ("env", f"WARREN_STATE_DIR={tmp_path}/far", "/usr/local/bin/warren", "apply", str(file), "--host", "paris")
    subprocess.run(here["paris"].argv(*far), check=True, timeout=300)
    nyc.run("warren", "apply", str(file), "--host", "nyc")
    assert "warren-agent@portals" in nyc.run("warren", "install", str(file), "--host", "nyc")
    until(lambda: nyc.is_active("warren-agent@portals.service"), nyc.said)
    before = seen(here)[LEAKED]
    file.write_text("network: [")

    with sending(here, 0.2):
        nyc.power_off()
        send(here)
        nyc = switch_on(here)
        off = seen(here)[EXITED]
        until(lambda: seen(here)[EXITED] > off + 20, nyc.said)
        until(lambda: nyc.is_active("warren-agent@portals.service"), nyc.said)
        assert nyc.is_active("warren-guard.service") and nyc.is_active("systemd-networkd.service")
        assert '"state": "up"' in nyc.run("warren", "status", "--json")
        assert "portals is what was confirmed last" in nyc.said()

        # Stopped, all of it: the network goes on.
        nyc.run("systemctl", "stop", "warren-agent@portals", "warren-apply", "warren-guard")
        still = seen(here)[EXITED]
        until(lambda: seen(here)[EXITED] > still + 20, nyc.said)
        nyc.run("systemctl", "stop", "nftables")
        send(here)
        nyc.power_off()
        send(here)
    assert seen(here)[LEAKED] == before, nyc.said()
