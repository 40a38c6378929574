"""The operator and the gateway's own flows, while its very address is given away: nothing that is open breaks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sys.boxes import Box
from tests.sys.site import ANYWHERE, UPLINKS, Site, site
from tests.sys.talk import Echo, Talk
from warren.model.network import Network
from warren.model.place import Place, PlaceKind
from warren.model.publish import PortRange, Publish
from warren.sys import confirm, sockets
from warren.sys.apply import roll_back

pytestmark = pytest.mark.lab

V4, V6 = UPLINKS["nyc"]
SSHD, WEB = 2222, 80  # where nyc's sshd really listens, and a service that only paris has

# Asks, says so, and waits for the answer; the other side answers when it is told to.
_ASKS = """
import socket, sys
asks = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asks.settimeout(40)
asks.sendto(b"what?", (sys.argv[1], 9999))
print("asked", flush=True)
print(asks.recv(99).decode(), flush=True)
"""
_ANSWERS = """
import socket, sys
answers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
answers.bind((sys.argv[1], 9999))
print("here", flush=True)
_, who = answers.recvfrom(99)
print("heard", flush=True)
sys.stdin.readline()
answers.sendto(b"that", who)
sys.stdin.readline()
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, "nyc", "paris") as made:
        made.up(made.network(), "paris")
        Echo(made["nyc"], SSHD)
        Echo(made["paris"], WEB)
        yield made


def giving_all(here: Site, *ports: PortRange) -> Network:
    """Everything that comes to nyc is for paris, or only some ports are."""
    to = Place(PlaceKind.HOST, "paris")
    return replace(here.network(), publishes=(Publish("nyc", to, ports or None),))


def program(box: Box, text: str, *words: str) -> subprocess.Popen[str]:
    return box.popen(sys.executable, "-c", text, *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("now\n")
    process.stdin.flush()


@pytest.mark.parametrize("kept", [None, "confirmed", "rolled back"])
def test_the_operator_stays_and_comes_in_again(here: Site, kept: str | None) -> None:
    """Through the address that is given away: the session that applied it, and new ones, by both families."""
    operator, nyc, network = here["inet"], here["nyc"], giving_all(here)
    here.apply(network, "paris")
    with Talk(operator, V4, SSHD) as four, Talk(operator, V6, SSHD) as six:
        assert (four.say("before"), six.say("before")) == addresses_of_the_operator()

        here.apply(network, "nyc", window=None if kept is None else 300)

        assert four.say("during") and six.say("during")
        for address in (V4, V6):
            with Talk(operator, address, SSHD) as again, Talk(operator, address, WEB) as guest:
                assert again.say("again")
                assert guest.say("hello") == again.say("who am I")  # paris sees the same client as nyc does
        if kept == "confirmed":
            nyc.call(lambda: confirm.confirm("portals", nyc.machine))
        elif kept == "rolled back":
            nyc.call(lambda: roll_back("portals", nyc.machine))
            assert not operator.ok(f"timeout 3 bash -c 'exec 3<>/dev/tcp/{V4}/{WEB}' 2>/dev/null")
        assert four.say("after") and six.say("after")
        with Talk(operator, V4, SSHD) as again:
            assert again.say("and again")


def addresses_of_the_operator() -> tuple[str, str]:
    """The addresses from which the operator's box speaks to nyc."""
    return V4.rpartition(".")[0] + ".1", V6.rpartition("::")[0] + "::1"


def test_what_the_gateway_itself_had_open_is_still_answered(here: Site) -> None:
    """A TCP connection of its own, and a UDP question that is answered after the first apply: older than conntrack."""
    nyc, inet, network = here["nyc"], here["inet"], giving_all(here)
    here.apply(network, "paris")
    Echo(inet, 7000)
    answers = program(inet, _ANSWERS, ANYWHERE[0])
    assert line(answers) == "here"
    with Talk(nyc, ANYWHERE[0], 7000) as own:
        assert own.say("a") == V4
        asks = program(nyc, _ASKS, ANYWHERE[0])
        assert (line(asks), line(answers)) == ("asked", "heard")

        here.apply(network, "nyc")

        tell(answers)
        assert line(asks) == "that"
        assert own.say("b") == V4
        with Talk(nyc, ANYWHERE[0], 7000) as new:
            assert new.say("c") == V4
    assert not here.prepare(network, "nyc").plan.items  # clients that come and go change nothing


def test_a_port_with_a_listener_is_not_given_away_by_name_either(here: Site) -> None:
    """Who publishes sshd's port by mistake is told, and comes in all the same."""
    network = giving_all(here, PortRange("tcp", SSHD, SSHD), PortRange("tcp", WEB, WEB))
    here.apply(network, "paris")

    plan = here.prepare(network, "nyc").plan
    here.apply(network, "nyc")

    assert f"tcp/{SSHD} is published, but python" in "\n".join(obstacle.what for obstacle in plan.obstacles)
    assert any(told.startswith(f"tcp/{SSHD} (python") for told in plan.stays)
    assert "udp/68 (DHCP)" in plan.stays and "udp/51820 (portals)" in plan.stays
    with Talk(here["inet"], V4, SSHD) as again, Talk(here["inet"], V4, WEB) as guest:
        assert again.say("again") and guest.say("hello")


def test_the_sockets_of_a_host(here: Site) -> None:
    """Those that can be spoken to from outside, and which of UDP's are clients'."""
    nyc = here["nyc"]
    program(
        nyc,
        "import socket, sys\n"
        "S = socket.socket\n"
        "held = [S(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]\n"
        "held[0].bind(('', 53)); held[1].bind(('127.0.0.1', 54)); held[2].connect(('1.1.1.1', 53))\n"
        "held[3].setsockopt(socket.SOL_SOCKET, 25, b'lo'); held[3].bind(('', 55))\n"
        "inside = S(socket.AF_INET6); inside.bind(('::1', 56)); inside.listen()\n"
        "print('ready', flush=True); sys.stdin.readline()",
    ).stdout.readline()  # type: ignore[union-attr]

    found = nyc.call(sockets.listeners)

    assert {(one.proto, one.port) for one in found if not one.passing} == {("tcp", SSHD), ("udp", 53)}
    assert [one.proto for one in found if one.passing] == ["udp"]
    assert all(one.program.startswith("python") for one in found)


def test_what_ss_lists() -> None:
    """The kernel's own sockets have no program; a server may have a port where clients have theirs."""
    text = (
        "UNCONN 0 0 0.0.0.0:51820 0.0.0.0:*\n"
        'UNCONN 0 0 [::]%eth0:546 [::]:* users:(("dhclient",pid=90,fd=7))\n'
        'ESTAB 0 0 192.0.2.7:41000 9.9.9.9:53 users:(("dig",pid=91,fd=7))\n'
        'UNCONN 0 0 *:41641 *:* users:(("tailscaled",pid=92,fd=7))\n'
        'UNCONN 0 0 [::ffff:127.0.0.1]:99 *:* users:(("x",pid=93,fd=7))\n'
        "\n"
    )

    found = [(str(one), one.passing) for one in sockets.parse("udp", text, range(32768, 61000))]

    assert found == [
        ("udp/51820", False),
        ("udp/546 (dhclient)", False),
        ("udp/41000 (dig)", True),
        ("udp/41641 (tailscaled)", True),
    ]
