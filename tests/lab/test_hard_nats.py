"""A NAT of Linux that shows another port to each is passed by many ports: with real agents, WireGuard, and flows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

from tests.lab.enclosed import enclosed
from tests.lab.test_meeting import address, endpoint, outside, paths, talking, until
from warren.lab.hard_nats import EASY, HARD, NATS, hard_network, harden, is_direct, start_over
from warren.lab.lab import Lab, bring_up
from warren.lab.topology import host_space
from warren.model.many_ports import FIRST_PORT, LAST_PORT

pytestmark = pytest.mark.lab

# One TCP connection: each line that is sent comes back, and is written down when it does.
ECHO = """
import socket, sys
with socket.create_server((sys.argv[1], 7000)) as door:
    flow, _ = door.accept()
    while data := flow.recv(100): flow.sendall(data)
"""
ASKS = """
import socket, sys, time
def door():
    while True:
        try: return socket.create_connection((sys.argv[1], 7000), 20)
        except ConnectionRefusedError: time.sleep(0.1)
with door() as flow:
    while True:
        flow.sendall(b"x")
        if not flow.recv(1): break
        print(time.monotonic(), flush=True)
        time.sleep(0.02)
"""


def bound(lab: Lab) -> list[int]:
    """The ports that the hard side's WireGuard sends from, beside its own."""
    words = ("nft", "-j", "list", "map", "inet", "warren-mesh", "bound4_51820")
    listed = json.loads(lab.spaces.run(host_space(HARD), words))["nftables"]
    return [to for entry in listed if "map" in entry for _, to in entry["map"].get("elem", ())]


def story() -> dict[str, object]:
    lab = bring_up(hard_network(), None)
    harden(lab)
    start_over(lab)
    found: dict[str, object] = {}
    until(lambda: paths(EASY).get(HARD) and paths(HARD).get(EASY), 10, "both are there")
    echo = lab.spaces.start(host_space(HARD), ("python3", "-c", ECHO, address(lab, HARD)))
    with talking(lab, EASY, HARD) as talk, open("/run/asked", "w+") as lines:
        found["before"] = paths(EASY)[HARD]
        with lab.spaces.inside(host_space(EASY)):
            asks = subprocess.Popen(("python3", "-c", ASKS, address(lab, HARD)), stdout=lines)
        until(lambda: lines_of("/run/asked"), 20, "TCP begins")
        found["TCP began"] = paths(EASY)[HARD], asks.poll()
        began = time.monotonic()
        until(lambda: is_direct(EASY) and is_direct(HARD), 60, "direct")
        until(lambda: min(talk.last(EASY), talk.last(HARD)) > time.monotonic() - 0.1, 10, "they talk")
        time.sleep(0.5)
        found["going over"] = talk.gap(began)
        found["endpoints"] = endpoint(lab, EASY, HARD).split(":")[0], endpoint(lab, HARD, EASY).split(":")[0]
        found["ports"] = bound(lab)

        began = time.monotonic()
        for how in (signal.SIGSTOP, signal.SIGCONT):
            for host in (EASY, HARD):
                os.kill(lab.daemons.running[host], how)
            until(lambda how=how: how is signal.SIGCONT or time.monotonic() > began + 1, 5)  # type: ignore[misc]
        found["without agents"] = talk.gap(began)

        hook = "type filter hook forward priority -300;"
        rules = f"table ip wall {{\nchain stop {{\n{hook}\nip daddr {outside(lab, NATS[HARD])} drop\n}}\n}}\n"
        began = time.monotonic()
        lab.spaces.run(f"nat.{NATS[EASY]}", ("nft", "-f", "-"), rules)
        until(lambda: talk.gap(began) > 1, 10, "it was direct, and is cut")
        until(lambda: min(talk.last(EASY), talk.last(HARD)) > time.monotonic() - 0.1, 15, "by the relay")
        found["dead path to relay"] = talk.gap(began)
        found["ports then"] = bound(lab)
        back = time.monotonic()
        until(lambda: float(lines_of("/run/asked")[-1]) > back, 15, "TCP goes on")
        found["TCP"] = asks.poll()
        asks.kill()
        asks.wait()
    echo.kill()
    echo.wait()
    return found


def lines_of(file: str) -> list[str]:
    with open(file) as held:
        return held.read().splitlines()


@pytest.fixture(scope="module")
def found() -> dict[str, object]:
    found = enclosed(story)
    print(json.dumps(found, indent=1))
    return found


def test_it_is_by_the_relay_first_and_then_directly(found: dict[str, object]) -> None:
    (port,) = found["ports"]  # type: ignore[misc]
    assert found["before"] == "relay" and float(str(found["going over"])) < 3
    assert FIRST_PORT <= port <= LAST_PORT  # type: ignore[has-type]


def test_each_sends_to_the_others_nat(found: dict[str, object]) -> None:
    hard, easy = found["endpoints"]  # type: ignore[misc]
    assert hard != easy and "203.0.113." not in f"{hard} {easy}"


def test_no_agent_is_in_the_way_of_a_packet(found: dict[str, object]) -> None:
    assert float(str(found["without agents"])) < 1


def test_silence_leads_back_to_the_relay_and_flows_live(found: dict[str, object]) -> None:
    assert float(str(found["dead path to relay"])) < 6  # 5 s, and the tests of others on the same machine
    assert found["ports then"] == [] and found["TCP"] is None
