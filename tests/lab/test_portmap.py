"""A real router opens ports, by PCP, NAT-PMP and UPnP, and pairs go direct by them that nothing else brought together.

internet: rv1, rv2, exit
   │             │
 firm         carrier          each of them: another port for each whom one writes to, and only he is let in;
   │          │     │          all pairs stay on the relay, until firm and box-d are told to open ports
   a       box-b  box-d
              │     │          a has IPv6, too, and sends all of its own packets through the exit
              b     d          the address at which box-d opens ports is known to the carrier alone
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.lab.enclosed import enclosed
from tests.lab.opening import WITHOUT_PCP, Opening
from tests.lab.test_meeting import answers, endpoint, network_of, paths, until
from warren.daemon.asked_routers import ask_routers
from warren.lab.daemons import told_by
from warren.lab.lab import Lab, bring_up
from warren.lab.topology import host_space
from warren.model.prefix import Family
from warren.proto.portmap.values import By

pytestmark = pytest.mark.lab

HARD = "{mapping: address-and-port-dependent, filtering: address-and-port-dependent, ports: random}"
TEXT = f"""
network: mesh
overlay: [10.78.0.0/24, "fd78::/64"]
rendezvous:
  - {{address: rv1.example.net:51819, key: KoxN2ZaCrbA2YyeDci+kGcQ5AxN5SUhlp+yFtGO760w=}}
  - {{address: rv2.example.net:51819, key: u4w1QbNc/ia/uKfYBf6Eno17a8T1JKnbXcjpUZLD5RU=}}
hosts:
  a: {{key: vwztBHLYuj354hgI6Y5hs0QEqtc34rrhd4zrxpi0Dzc=, uplink: eth0}}
  b: {{key: OdwugTu0X/Bjo3bjFrEM0K3dcwZVXKDdKJAZTTeWAVI=, uplink: eth0}}
  d: {{key: dAdEvSmsHi4crePLWSvTh0WkiRIi1BNDiF1nOAYZvQQ=, uplink: eth0}}
  exit: {{key: xvhDcsD9Mdh9sTmSXqZiXnj2Mk4N2IFWRl2V5wdgb2I=, uplink: eth0, endpoint: "exit.example.net:51820"}}
portals:
  - {{from: a, exit: exit}}
lab:
  nats: {{firm: {HARD}, carrier: {HARD}, box-b: {HARD}, box-d: {HARD}}}
  place: {{a: firm, b: [carrier, box-b], d: [carrier, box-d], exit: internet}}
  links: {{b: {{ipv6: false}}, d: {{ipv6: false}}}}
"""


def said(host: str) -> str:
    """What a host's agent last told of its routers."""
    events = (json.loads(line) for line in told_by(host).read_text().splitlines())
    return "\n".join(event["says"] for event in events if event["kind"] == "mapped")


def anew(lab: Lab, host: str) -> None:
    """Start a host's agent anew, and forget what it told."""
    if host in lab.daemons.running:
        lab.daemons.stop(host)
    told_by(host).write_text("")
    lab.daemons.attend(host)


def asked(lab: Lab, host: str) -> list[tuple[str, list[str], str]]:
    """What `warren netcheck` would say of a host's routers."""
    file = Path(f"/run/asked-{host}")

    def work() -> int:  # in a process of its own: one that had threads may not go back to the lab's mounts
        found = asyncio.run(ask_routers("eth0", 0))
        file.write_text(json.dumps([(one.router, [str(by) for by in one.speaks], one.outside) for one in found]))
        return 0

    assert os.waitpid(lab.spaces.fork(host_space(host), work), 0)[1] == 0
    return [(router, speaks, outside) for router, speaks, outside in json.loads(file.read_text())]


def story() -> dict[str, object]:
    lab = bring_up(network_of(TEXT), None)
    firm, box = Opening(lab, "firm", "11.0.0.1"), Opening(lab, "box-d", "11.0.0.2", "nat.carrier")
    places = {host: str(lab.world.host_by_name[host].attachment.addresses[0].ip) for host in "abd"}
    places["a6"] = str(lab.world.host_by_name["a"].attachment.address(Family.IPV6))
    found: dict[str, object] = {"outside": (firm.outside, box.outside), "inside": places}

    until(lambda: {paths("a").get("b"), paths("d").get("b")} == {"relay"}, 20, "all by relay")
    found["asked in vain"] = asked(lab, "d")
    for each in (firm, box):
        each.begin(long_ago=True)
    for each in (firm, box):
        until(lambda each=each: "PCP" in each.log(), 5, "it listens")
    for host in ("a", "d"):
        anew(lab, host)
    began = time.monotonic()
    until(lambda: paths("a").get("b") == paths("b").get("a") == "directly", 20, "a and b\n" + firm.log())
    found["direct after"] = time.monotonic() - began
    until(lambda: paths("d").get("b") == paths("b").get("d") == "directly", 20, "d and b\n" + box.log())
    found["by PCP"] = said("a"), said("d")
    found["rules"] = firm.opened(), box.opened()
    # Who waits for the other's handshake has the endpoint only then.
    until(lambda: answers(lab, "b", "a") and answers(lab, "b", "d"), 20, "packets go by them")
    found["endpoints"] = endpoint(lab, "b", "a"), endpoint(lab, "b", "d")
    found["natpmpc"] = lab.spaces.run(host_space("d"), ("natpmpc",))
    found["all spoken"] = asked(lab, "d")

    firm.begin()  # it lost its power; what it says to everybody when it is there again is all that tells
    found["forgotten"] = firm.opened()
    began = time.monotonic()
    until(lambda: any("dnat" in rule for rule in firm.opened()), 15, "a asks again\n" + firm.log())
    found["asked again after"] = time.monotonic() - began

    lab.daemons.stop("a")
    found["the agent of a ended"] = firm.opened()
    firm.begin(pcp=False)
    box.lab.spaces.run(box.space, ("nft", WITHOUT_PCP))
    box.begin()
    for host in ("a", "d"):
        anew(lab, host)
    until(lambda: "(UPnP)" in said("a"), 20, "by UPnP\n" + firm.log())
    until(lambda: "(NAT-PMP)" in said("d"), 20, "by NAT-PMP\n" + box.log())
    found["by others"] = said("a"), said("d")
    found["their rules"] = firm.opened(), box.opened()
    found["others spoken"] = asked(lab, "d")
    for host in ("a", "d"):
        lab.spaces.run(host_space(host), ("ip", "link", "delete", "mesh"))
    lab.daemons.stop("a")
    until(lambda: not firm.opened(), 5, "given back by an agent that ends")
    until(lambda: not box.opened(), 30, "given back by an agent that goes on")
    return found


@pytest.fixture(scope="module")
def told() -> dict[str, object]:
    found = enclosed(story)
    print(json.dumps(found, indent=1))
    return found


def pair(told: dict[str, object], what: str) -> tuple[str, str]:
    one, other = told[what]  # type: ignore[misc]
    return one, other


def test_a_pair_goes_direct_by_a_port_of_one_router(told: dict[str, object]) -> None:
    """`story` waits for it; before, it was on the relay. All of a's own packets go by a tunnel, but not those."""
    outside, _ = pair(told, "outside")
    at, _ = pair(told, "endpoints")
    rules, _ = pair(told, "rules")
    inside = told["inside"]["a"]  # type: ignore[index]
    assert at == f"{outside}:51820"
    assert f"leads {at} to port 51820 here (PCP)" in pair(told, "by PCP")[0]
    assert any("51820" in rule and inside in rule and "dnat" in rule for rule in rules)


def test_a_hole_in_the_firewall_of_ipv6(told: dict[str, object]) -> None:
    six = told["inside"]["a6"]  # type: ignore[index]
    assert any(ip_address(six).packed.hex() in rule for rule in pair(told, "rules")[0])
    assert f"lets others in to [{six}]:51820 (PCP)" in pair(told, "by PCP")[0]


def test_neighbours_behind_one_provider_meet_by_an_address_that_it_alone_knows(told: dict[str, object]) -> None:
    assert pair(told, "endpoints")[1] == f"{pair(told, 'outside')[1]}:51820"


def test_an_honest_oracle_agrees(told: dict[str, object]) -> None:
    assert f"Public IP address : {pair(told, 'outside')[1]}" in str(told["natpmpc"])


def test_a_router_that_lost_everything_is_asked_again(told: dict[str, object]) -> None:
    assert told["forgotten"] == []


def test_an_agent_that_ends_leaves_its_port(told: dict[str, object]) -> None:
    assert any("dnat" in rule for rule in told["the agent of a ended"])  # type: ignore[attr-defined]


def test_natpmp_and_upnp_do_where_there_is_no_pcp(told: dict[str, object]) -> None:
    assert all(any("dnat" in rule for rule in rules) for rules in pair(told, "their rules"))


def test_netcheck_tells_what_a_router_speaks(told: dict[str, object]) -> None:
    every = [str(by) for by in By]
    _, outside = pair(told, "outside")
    assert [one[1:] for one in told["asked in vain"]] == [([], "")]  # type: ignore[attr-defined]
    assert [one[1:] for one in told["all spoken"]] == [(every, outside)]  # type: ignore[attr-defined]
    assert [one[1:] for one in told["others spoken"]] == [(every[1:], outside)]  # type: ignore[attr-defined]
