"""A host is started anew: nothing of a portal leaves by its uplink, at no moment, whatever else goes wrong.

    its memory is gone ─► guard.sh ─► cables, addresses, forwarding ─► apply --at-boot ─► what a shutdown does

The client on the portal's LAN sends all the while; what of it comes out of nyc's uplink is counted on the internet.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.core.compile.networks import portal
from tests.sys.boxes import Box
from tests.sys.dying import KILLED, dying
from tests.sys.site import ANYWHERE, Site, lock_of, site
from tests.sys.test_commands import Desk
from tests.sys.verbs import wait_for
from warren.core.install.files import Init
from warren.model.change import Command
from warren.sys import boot_guard, journal
from warren.sys.apply import apply, down
from warren.sys.boot import at_boot
from warren.sys.errors import HostError
from warren.sys.install import install, plan
from warren.sys.machine import Machine
from warren.sys.prepare import allot, prepare
from warren.sys.run import run

pytestmark = pytest.mark.lab

LEAKED, EXITED = "leaked", "exited"
COUNT = """\
add table inet seen
add chain inet seen pre { type filter hook prerouting priority -300; }
add counter inet seen leaked
add counter inet seen exited
add rule inet seen pre iifname "nyc" ip saddr 192.168.21.0/24 counter name leaked
add rule inet seen pre iifname "nyc" ip6 saddr fd21:21::/64 counter name leaked
add rule inet seen pre iifname "paris" icmp type echo-request counter name exited
add rule inet seen pre iifname "paris" icmpv6 type echo-request counter name exited
"""
FORWARDING = "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, "nyc", "paris", "client") as made:
        count(made["inet"])
        yield made


def count(inet: Box) -> None:
    """Begin to count what nyc and paris send to the internet."""
    subprocess.run(inet.argv("nft", "-f", "-"), input=COUNT, text=True, check=True)


def put_in_place(box: Box, root: Path) -> None:
    """Do what `warren install` does, with a root of the test's own and nobody to enable anything."""
    machine = replace(box.machine, act=lambda command: "")
    box.call(lambda: install(machine, plan(machine.store, Init.SYSTEMD, ["portals"], geo=False), ["portals"], root))


def guard(box: Box) -> None:
    """Do what the first unit does."""
    box.sh(f"sh {boot_guard.path_of(box.machine.store)}")


def lay(here: Site) -> None:
    """Have a network manager bring the network up, and somebody turn forwarding on at once."""
    here["nyc"].sh(FORWARDING)
    here.lay_uplink("nyc")
    here.lay_lan()


def seen(here: Site) -> dict[str, int]:
    listed = json.loads(here["inet"].sh("nft -j list counters table inet seen"))["nftables"]
    return {each["counter"]["name"]: each["counter"]["packets"] for each in listed if "counter" in each}


@contextmanager
def sending(here: Site, every: float = 0.02) -> Iterator[None]:
    """Have the client send to the internet, in both families, every so many seconds."""
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    senders = [here["client"].popen("ping", "-i", str(every), to, **silent) for to in ANYWHERE]
    try:
        yield
    finally:
        for one in senders:
            one.kill()
            one.wait()


def send(here: Site) -> None:
    here["client"].sh("; ".join(f"ping -q -c 10 -i 0.02 -W 1 {to} || true" for to in ANYWHERE))


def leaks(here: Site) -> int:
    """Count what leaves by the uplink of a burst of the client's."""
    before = seen(here)[LEAKED]
    send(here)
    return seen(here)[LEAKED] - before


def test_from_the_first_moment_to_the_last(here: Site, tmp_path: Path) -> None:
    """The file is invalid meanwhile, and what was applied last was not confirmed: the last good state comes back."""
    desk = Desk(here, tmp_path)
    file = str(desk.file)
    for name in ("nyc", "paris"):
        desk.warren(name, "apply", file, "--host", name)
    put_in_place(here["nyc"], tmp_path / "root")
    desk.write("nyc")
    desk.warren("nyc", "lock", file)
    desk.warren("nyc", "apply", file, "--host", "nyc", "--confirm", "600")
    desk.file.write_text("network: [")

    # Without the guard, packets do leave: this is what must never be seen.
    here.restart("nyc")
    lay(here)
    assert leaks(here) >= 10

    nyc = here.restart("nyc")
    guard(nyc)
    before = seen(here)
    lay(here)
    with sending(here):
        send(here)
        told = desk.warren("nyc", "apply", "--at-boot")
        assert f"{file} has 1 error; portals is what was confirmed last" in told.stderr
        wait_for(lambda: seen(here)[EXITED] > before[EXITED] + 20)
        assert "iif lo lookup 7701" not in nyc.sh("ip rule"), "what was not confirmed came back"
        guard(nyc)  # at any time
        at_peace = seen(here)[EXITED]
        wait_for(lambda: seen(here)[EXITED] > at_peace + 20)
        # A shutdown: programs end and devices with them, nftables.service empties the ruleset; the kernel forwards on.
        nyc.sh("ip link del portals-paris; nft flush ruleset")
        send(here)
    assert seen(here)[LEAKED] == before[LEAKED]


def test_a_boot_that_fails_is_tried_again_behind_its_guard(here: Site, tmp_path: Path) -> None:
    """The key is not there yet, then it is; undone is what was tried, not the guard."""
    nyc = here["nyc"]
    here.up(here.default())
    put_in_place(nyc, tmp_path / "root")
    key = tmp_path / "nyc.key"
    text = key.read_text()

    nyc = here.restart("nyc")
    guard(nyc)
    before = seen(here)[LEAKED]
    lay(here)
    key.unlink()
    failures: list[str] = []

    def wait(_: float) -> None:
        failures.append("tried")
        assert leaks(here) == 0
        assert "7701" in nyc.sh("ip rule; ip -6 rule")
        key.write_text(text)
        key.chmod(0o600)

    with sending(here):
        boot = nyc.call(lambda: at_boot(nyc.machine, wait=wait))
    assert boot.whole and failures == ["tried"]
    assert seen(here)[LEAKED] == before
    here["client"].sh(f"ping -c1 -W8 {ANYWHERE[0]}")


@pytest.mark.parametrize("steps", [2, 9])
def test_a_crash_in_the_middle_leaves_what_was_confirmed(steps: int, here: Site, tmp_path: Path) -> None:
    """The power goes while another network is being applied, and again while the boot is at work."""
    nyc, other = here["nyc"], here.network(portal("nyc", "paris"))
    here.up(here.default())
    put_in_place(nyc, tmp_path / "root")
    nyc.call(partial(allot, other, lock_of(other), "nyc", nyc.machine))
    assert dying(nyc, steps, applying(other)) == KILLED

    for crash in (steps, None):
        nyc = here.restart("nyc")
        guard(nyc)
        before = seen(here)[LEAKED]
        lay(here)
        with sending(here):
            if crash is not None:
                assert dying(nyc, crash, at_boot) == KILLED
                send(here)
            else:
                assert nyc.call(partial(at_boot, nyc.machine)).whole
                here["client"].sh(f"ping -c3 -i0.1 -W8 {ANYWHERE[0]}")
        assert seen(here)[LEAKED] == before
    assert nyc.call(lambda: journal.load(nyc.machine.store, "portals").applied) == nyc.call(
        lambda: journal.load(nyc.machine.store, "portals").confirmed
    )


def applying(network: object) -> Callable[[Machine], object]:
    lock = lock_of(network)  # type: ignore[arg-type]
    return lambda machine: apply(prepare(network, lock, "nyc", machine).desired, machine)  # type: ignore[arg-type]


def test_the_script_follows_what_is_confirmed(here: Site, tmp_path: Path) -> None:
    """Only where a boot is to use it; and what is taken down is guarded no more."""
    nyc = here["nyc"]
    script = boot_guard.path_of(nyc.machine.store)
    here.apply(here.default(), "nyc")
    assert not script.exists()
    put_in_place(nyc, tmp_path / "root")
    assert "iif eth2 lookup" in script.read_text()

    here.apply(here.network(portal("nyc", "paris")), "nyc", window=600)
    assert "iif eth2 lookup" in script.read_text()
    nyc.call(partial(down, "portals", nyc.machine))
    assert "for no network" in script.read_text()


def test_a_guard_without_nft_is_a_guard(here: Site, tmp_path: Path) -> None:
    """What one half refuses is said, and the other half stands: also when the boot's own try is undone."""
    nyc = here["nyc"]
    here.up(here.default())
    put_in_place(nyc, tmp_path / "root")
    script = boot_guard.path_of(nyc.machine.store)
    script.write_text(script.read_text().replace("nft add table", "nft make table"))

    nyc = here.restart("nyc")
    done = subprocess.run(nyc.argv("sh", str(script)), capture_output=True, text=True)
    assert done.returncode == 1 and "the firewall is not up: " in done.stderr
    lay(here)
    assert leaks(here) == 0

    def without_nft(command: Command) -> str:
        if command.argv[0] == "nft":
            raise HostError("no nft, made up for a test")
        return run(command)

    boot = nyc.call(partial(at_boot, replace(nyc.machine, act=without_nft)))
    assert "no nft" in boot.failed["portals"]
    assert leaks(here) == 0
