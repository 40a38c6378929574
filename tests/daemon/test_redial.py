"""Names of endpoints are asked for again for peers that do not answer, and for nobody else."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from tests.sys.boxes import Box
from tests.sys.site import ANYWHERE, Site, site
from tests.sys.test_commands import Desk
from warren.daemon import redial
from warren.daemon.agent import Agent
from warren.daemon.duties import duties_here
from warren.daemon.duty import Event
from warren.daemon.redial import FRESH, LONGEST, LOOK, Look, Named, Redial, choose
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey

PARIS = Named("home-paris", PublicKey("p" * 43 + "="), "paris", Endpoint("paris.example", 51820))
HERE, THERE = Endpoint("192.0.2.20", 51820), Endpoint("2001:db8:2::20", 51820)


def looked(machine: Redial, now: float, *, handshake: float | None, sent: int, at: Endpoint | None = HERE) -> bool:
    return bool(machine.look([PARIS], {(PARIS.device, PARIS.key): Look(handshake, sent, at)}, now))


def test_a_peer_with_a_fresh_handshake_is_left_alone() -> None:
    machine = Redial()
    assert not any(looked(machine, 10.0 * step, handshake=FRESH - 1, sent=step) for step in range(50))


def test_a_peer_that_nobody_sends_to_is_left_alone() -> None:
    machine = Redial()
    assert not any(looked(machine, 10.0 * step, handshake=9999, sent=7) for step in range(50))


def test_a_peer_without_an_address_is_asked_for_at_once() -> None:
    assert looked(Redial(), 0.0, handshake=None, sent=0, at=None)


def test_who_is_asked_for_in_vain_is_asked_for_ever_more_rarely() -> None:
    machine = Redial()
    asked = [now for step in range(400) if looked(machine, now := step * LOOK, handshake=None, sent=step)]

    waits = [later - earlier for earlier, later in pairwise(asked)]
    assert waits[:5] == [10, 20, 40, 80, 160] and set(waits[5:]) == {LONGEST}
    assert not looked(machine, 5000.0, handshake=1, sent=401)
    assert not looked(machine, 5010.0, handshake=FRESH, sent=401)
    assert looked(machine, 5020.0, handshake=FRESH, sent=402), "an answer in between is a new beginning"


def test_a_peer_that_is_gone_is_forgotten() -> None:
    machine = Redial()
    assert looked(machine, 0.0, handshake=None, sent=0, at=None)
    assert machine.look([PARIS], {}, 1.0) == ()
    assert looked(machine, 2.0, handshake=None, sent=0, at=None)


@pytest.mark.parametrize(
    ("current", "found", "chosen"),
    [
        (None, (HERE, THERE), HERE),
        (HERE, (), None),
        (HERE, (HERE,), None),
        (HERE, (HERE, THERE), THERE),  # the other family
        (THERE, (HERE, THERE), HERE),
        (Endpoint("192.0.2.99", 51820), (HERE, THERE), HERE),
    ],
)
def test_which_address_is_dialled(
    current: Endpoint | None, found: tuple[Endpoint, ...], chosen: Endpoint | None
) -> None:
    assert choose(current, found) == chosen


# --- with a name server, and packets -------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Paris is called by a name, which a name server on the internet knows."""
    with site(tmp_path, "nyc", "paris", "client") as made:
        nyc, inet = made["nyc"], made["inet"]
        nyc.sh("mkdir -p /run/u /run/w; mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/u,workdir=/run/w /etc")
        nyc.sh(f"rm -f /etc/resolv.conf; echo 'nameserver {ANYWHERE[0]}' >/etc/resolv.conf; echo >/etc/hosts")
        server = inet.popen(
            *("dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--pid-file=", "--user=root"),
            *(f"--addn-hosts={tmp_path}/names", f"--listen-address={ANYWHERE[0]}", "--bind-interfaces"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        desk = Desk(made, tmp_path)
        desk.file.write_text(desk.file.read_text().replace("192.0.2.20:", "paris.example:"))
        lead(desk, server, "192.0.2.20")
        desk.server = server  # type: ignore[attr-defined]
        desk.warren("nyc", "lock", str(desk.file))
        for name in ("paris", "nyc"):
            desk.warren(name, "apply", str(desk.file), "--host", name)
        yield desk
        server.kill()
        server.wait()


def lead(desk: Desk, server: subprocess.Popen[str], *addresses: str) -> None:
    """Have the name lead elsewhere."""
    desk.file.with_name("names").write_text("".join(f"{address} paris.example\n" for address in addresses))
    server.send_signal(signal.SIGHUP)
    answers = ("getent", "ahosts", "paris.example")
    until(
        lambda: all(
            address in subprocess.run(desk.here["nyc"].argv(*answers), capture_output=True, text=True).stdout
            for address in addresses
        )
    )


def until(what: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


@contextmanager
def agent(here: Site, desk: Desk) -> Iterator[Path]:
    """The agent of nyc in a process of its own; what it tells is a line of a file."""
    from warren.cli.network import open_network

    nyc, told = here["nyc"], here["nyc"].state / "told"
    told.touch()
    network, lock = open_network(str(desk.file), locked=True)

    def tell(event: Event) -> None:
        with told.open("a") as file:
            file.write(f"{event.kind} {event.subject} {event.says}\n")

    def run() -> None:
        os.environ["WARREN_STATE_DIR"] = str(nyc.state)
        asyncio.run(Agent(duties_here(network, lock, "nyc", nyc.machine), tell).run())

    number = nyc.start(run)
    try:
        until(lambda: "watching" in told.read_text())
        yield told
    finally:
        os.kill(number, signal.SIGTERM)
        os.waitpid(number, 0)


def move(box: Box, old: str, new: str) -> None:
    """Give a host another address."""
    box.sh(f"ip addr del {old}/24 dev eth0; ip addr add {new}/24 dev eth0; ip route add default via 192.0.2.1")


def endpoint(desk: Desk) -> str:
    return desk.here["nyc"].sh("wg show portals-paris endpoints").split()[-1]


def answers(desk: Desk) -> bool:
    return desk.here["client"].ok(f"ping -c1 -W1 {ANYWHERE[0]}")


@pytest.mark.lab
def test_a_tunnel_comes_back_where_its_name_leads_now(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paris gets another address; then one of the other family, beside one at which nobody answers."""
    here = desk.here
    until(lambda: answers(desk))
    monkeypatch.setattr(redial, "LOOK", 0.5)
    monkeypatch.setattr(redial, "FRESH", 2.0)
    with agent(here, desk) as told:
        move(here["paris"], "192.0.2.20", "192.0.2.21")
        lead(desk, desk.server, "192.0.2.21")  # type: ignore[attr-defined]
        until(lambda: answers(desk))
        assert endpoint(desk) == "192.0.2.21:51820"
        assert "dialled paris does not answer; paris.example leads to 192.0.2.21" in told.read_text()

        move(here["paris"], "192.0.2.21", "192.0.2.23")
        lead(desk, desk.server, "192.0.2.22", "2001:db8:2::20")  # type: ignore[attr-defined]
        until(lambda: answers(desk), 60)
        assert endpoint(desk) == "[2001:db8:2::20]:51820"


@pytest.mark.lab
def test_a_peer_that_answers_stays_where_it_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name leads elsewhere by now, and that is nobody's business."""
    until(lambda: answers(desk))
    monkeypatch.setattr(redial, "LOOK", 0.2)
    with agent(desk.here, desk) as told:
        lead(desk, desk.server, "192.0.2.99")  # type: ignore[attr-defined]
        for _ in range(10):
            assert answers(desk)
            time.sleep(0.2)
        assert endpoint(desk) == "192.0.2.20:51820" and "dialled" not in told.read_text()
