"""`warren netcheck` and `warren status` where agents, servers, NATs and packets are real.

a ── home: same port for everybody, strict, hairpin         d ── dark: drops UDP
b ── open: same port for everybody, lets in other ports     e ── wall: refuses UDP, and says so
c ── firm: another port for each, as for g behind bank      f ── on the internet, both IP versions
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.shapes import SHAPES, differs
from tests.lab.enclosed import enclosed
from tests.lab.opening import Opening
from warren.core.parse import parse
from warren.lab.lab import Lab, bring_up
from warren.lab.topology import host_space
from warren.lab.works import memory
from warren.proto.address import Origin
from warren.proto.known import KnownPeer
from warren.proto.states import State
from warren.sys.known import find
from warren.sys.store import Store

pytestmark = pytest.mark.lab

TEXT = """
network: mesh
overlay: [10.78.0.0/24, "fd78::/64"]
rendezvous:
  - {address: rv1.example.net:51819, key: KoxN2ZaCrbA2YyeDci+kGcQ5AxN5SUhlp+yFtGO760w=}
  - {address: rv2.example.net:51819, key: u4w1QbNc/ia/uKfYBf6Eno17a8T1JKnbXcjpUZLD5RU=}
hosts:
  a: {key: vwztBHLYuj354hgI6Y5hs0QEqtc34rrhd4zrxpi0Dzc=, uplink: eth0}
  b: {key: OdwugTu0X/Bjo3bjFrEM0K3dcwZVXKDdKJAZTTeWAVI=, uplink: eth0}
  c: {key: ARiJoJiMy+1/SIh4xiwCBYfeI+u7rpulbdZ/2fQy+Ag=, uplink: eth0}
  d: {key: dAdEvSmsHi4crePLWSvTh0WkiRIi1BNDiF1nOAYZvQQ=, uplink: eth0}
  e: {key: xvhDcsD9Mdh9sTmSXqZiXnj2Mk4N2IFWRl2V5wdgb2I=, uplink: eth0}
  f: {key: 5mCMvuBT5ykqz9qNrSOm5uZQzGuNi3hPB4qEBPBVPiQ=, uplink: eth0}
  g: {key: mFUbG8MwsXfI43ceKegsig/rX4r6L/QNjTtYF9+uOzY=, uplink: eth0}
lab:
  nats:
    home: {mapping: endpoint-independent, filtering: address-and-port-dependent, hairpin: true}
    open: {mapping: endpoint-independent, filtering: address-dependent, ports: random}
    firm: {mapping: address-and-port-dependent, filtering: address-and-port-dependent, ports: random}
    bank: {mapping: address-and-port-dependent, filtering: address-and-port-dependent, ports: random}
    dark: {mapping: endpoint-independent, filtering: address-and-port-dependent}
    wall: {mapping: endpoint-independent, filtering: address-and-port-dependent}
  place: {a: home, b: open, c: firm, d: dark, e: wall, f: internet, g: bank}
  links:
    {a: {ipv6: false}, b: {ipv6: false}, c: {ipv6: false}, d: {ipv6: false}, e: {ipv6: false}, g: {ipv6: false}}
"""
PATIENCE = 90.0  # seconds, on a machine that has much else to do


def command(lab: Lab, host: str, *words: str, by: tuple[str, ...] = (), terminal: int = 0) -> subprocess.Popen[str]:
    env = {**os.environ, "WARREN_STATE_DIR": str(memory(host)), "NO_COLOR": "1"}
    argv = (*by, sys.executable, "-m", "warren", *words)
    return lab.spaces.start(host_space(host), argv, env=env, stdout=subprocess.PIPE, stderr=terminal or subprocess.PIPE)


def printed(started: subprocess.Popen[str]) -> tuple[int, str]:
    out, complaint = started.communicate(timeout=PATIENCE)
    assert "bug" not in (complaint or ""), complaint
    return started.returncode, out


def until(found: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {PATIENCE} s: {what}; last {found()!r}")


def device(lab: Lab, host: str) -> dict[str, Any]:
    told = json.loads(printed(command(lab, host, "status", "--json"))[1])
    assert differs(told, SHAPES["status"]) == []
    return told["owners"][0]["devices"][0]  # type: ignore[no-any-return]


def known(host: str) -> dict[str, KnownPeer]:
    """What the agent of a host wrote down, read as `warren status` does."""
    found = find(Store(memory(host)).run, "mesh")
    return {one.name: one for one in found.known.peers} if found is not None and found.alive else {}


def state_of(host: str, peer: str) -> State | None:
    one = known(host).get(peer)
    return one.state if one is not None else None


def asked_at_home(host: str, peer: str) -> int:
    """How often a host has asked a peer at the peer's own address, where no NAT lets anything through."""
    return max((one.asked for one in known(host)[peer].places if one.origin is Origin.HOST), default=0)


def keyed(lab: Lab) -> str:
    """The file with the keys that servers have in the lab."""
    text, written = TEXT, re.findall(r"51819, key: ([^}]+)", TEXT)
    for was, server in zip(written, lab.network.rendezvous, strict=True):
        text = text.replace(was, server.key)
    return text


def story() -> dict[str, Any]:
    parsed = parse(TEXT.encode(), "mesh.yaml")
    assert parsed.network is not None, parsed.diagnostics
    lab = bring_up(parsed.network, None)
    for nat, verdict in (("dark", "drop"), ("wall", "reject with icmpx type admin-prohibited")):
        rules = f"type filter hook forward priority -300;\nip protocol udp {verdict}\n"
        rules = f"table inet wall {{\nchain stop {{\n{rules}}}\n}}\n"
        lab.spaces.run(f"nat.{nat}", ("nft", "-f", "-"), rules)
    found: dict[str, Any] = {}
    servers = [f"--server={one.address}={one.key}" for one in lab.network.rendezvous]
    asked = {host: command(lab, host, "netcheck", "--json", *servers) for host in "abcdef"}
    asked["one server"] = command(lab, "a", "netcheck", "--json", servers[0], by=("setpriv", "--bounding-set", "-all"))
    file = Path("/run/netcheck.yaml")
    file.write_text(keyed(lab))
    ours, theirs = os.openpty()
    asked["of a file"] = command(lab, "a", "netcheck", str(file), terminal=theirs)
    found["netcheck"] = {name: printed(started) for name, started in asked.items()}
    found["while it waits"] = os.read(ours, 1000).decode()
    found["outside"] = {name: str(nat.attachment.addresses[0].ip) for name, nat in lab.world.nat_by_name.items()}

    for host, peer, state in (("a", "b", State.DIRECT), ("c", "g", State.RELAYED)):
        until(lambda host=host, peer=peer, state=state: state_of(host, peer) is state, f"{host} and {peer}")
        until(lambda host=host, peer=peer: asked_at_home(host, peer) > 3, "places are tried")
    found["status"] = device(lab, "a")["paths"]
    found["status of c"] = device(lab, "c")["paths"]
    found["text"] = "".join(printed(command(lab, host, "status"))[1] for host in "ac")
    lab.daemons.stop("a", signal.SIGKILL)
    found["text of the killed"] = printed(command(lab, "a", "status"))[1]
    lab.daemons.stop("b")
    router = Opening(lab, "open", "11.0.0.1")
    router.begin()
    until(lambda: "PCP" in router.log(), "it listens")
    found["netcheck"]["a router that opens ports"] = printed(command(lab, "b", "netcheck", "--json", servers[0]))
    router.end()
    found["ended"] = find(Store(memory("b")).run, "mesh") is None, printed(command(lab, "b", "status"))[1]
    return found


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    found = enclosed(story)
    print(json.dumps(found, indent=1))
    return found


def checked(told: dict[str, Any], name: str) -> tuple[int, dict[str, Any], dict[str, Any], list[str]]:
    """Status, what was found over IPv4 and over IPv6, and the kinds of findings."""
    status, text = told["netcheck"][name]
    report = json.loads(text)
    assert differs(report, SHAPES["netcheck"]) == []
    four, six = report["families"]
    return status, four, six, [one["kind"] for one in report["findings"]]


@pytest.mark.parametrize(
    ("host", "nat", "mapping", "kept", "filtering", "hairpin", "kinds"),
    [
        ("a", "home", "same-port", True, "same-port", "yes", []),
        ("b", "open", "same-port", False, "other-ports", "no", []),
        ("c", "firm", "port-for-each", False, "same-port", "unknown", ["port-for-each"]),
    ],
)
def test_nats_are_told(
    told: dict[str, Any], host: str, nat: str, mapping: str, kept: bool, filtering: str, hairpin: str, kinds: list[str]
) -> None:
    status, four, six, found = checked(told, host)
    assert status == 0 and found == kinds
    assert (four["mapping"], four["port_kept"], four["filtering"], four["hairpin"]) == (
        mapping,
        kept,
        filtering,
        hairpin,
    )
    assert {one["observed"].rpartition(":")[0] for one in four["servers"]} == {told["outside"][nat]}
    assert all(0 < one["rtt"] < 5 for one in four["servers"]) and len(four["servers"]) == 2
    assert four["source"].startswith("100.64.") and six["source"] == ""


def test_a_host_on_the_internet_has_no_nat(told: dict[str, Any]) -> None:
    status, four, six, found = checked(told, "f")
    assert status == 0 and found == []
    for one in (four, six):
        assert (one["mapping"], one["port_kept"], one["hairpin"]) == ("no-nat", True, "no-nat")
        assert one["filtering"] == "other-ports" and len(one["servers"]) == 2
        assert {each["observed"].rpartition(":")[0].strip("[]") for each in one["servers"]} == {one["source"]}


def test_where_udp_vanishes_it_is_told_from_a_network_that_is_down(told: dict[str, Any]) -> None:
    status, four, _, found = checked(told, "d")
    assert status == 1 and found == ["udp-blocked"]
    assert four["tcp"] is True and four["mapping"] == "unknown" and four["filtering"] == "unknown"


def test_a_firewall_that_says_no_is_named(told: dict[str, Any]) -> None:
    status, four, _, found = checked(told, "e")
    assert status == 1 and found == ["udp-blocked"]
    assert all(one["trouble"].startswith("forbidden, says 100.64.") for one in four["servers"])


def test_one_server_is_too_few_and_no_privilege_is_needed(told: dict[str, Any]) -> None:
    assert json.loads(told["netcheck"]["one server"][1])["by_uplink"] is False
    assert json.loads(told["netcheck"]["a"][1])["by_uplink"] is True
    status, four, _, found = checked(told, "one server")
    assert status == 0 and found == ["one-server"]
    assert (four["mapping"], four["filtering"]) == ("unknown", "same-port")


def test_routers_say_by_what_they_open_ports(told: dict[str, Any]) -> None:
    _, four, *_ = checked(told, "b")
    inside = four["source"].rpartition(".")[0] + ".1"
    silent, opening = (json.loads(told["netcheck"][name][1])["routers"] for name in ("b", "a router that opens ports"))
    assert silent == [{"address": inside, "speaks": [], "outside": "", "behind_nat": False}]
    speaks = ["PCP", "NAT-PMP", "UPnP"]
    assert opening == [{"address": inside, "speaks": speaks, "outside": "11.0.0.1", "behind_nat": True}]


def test_people_are_told_by_a_file(told: dict[str, Any]) -> None:
    status, text = told["netcheck"]["of a file"]
    assert status == 0 and told["while it waits"].startswith("\rasking, for 1 s")
    assert told["while it waits"].endswith("\r\x1b[K"), "and nothing of that stays"
    assert f"and sees {told['outside']['home']}:" in text
    assert "a NAT that shows everybody the same port" in text and "IPv6\n  no way out" in text
    assert ": opens no ports (PCP, NAT-PMP, UPnP)" in text


def test_status_says_how_each_peer_is_reached_and_why_not_otherwise(told: dict[str, Any]) -> None:
    paths = told["status"]
    peers = {one["name"]: one for one in paths["peers"]}
    assert paths["alive"] and paths["age"] < 30
    assert [(one["family"], one["shown"]) for one in paths["nat"]] == [("ipv4", "same-port")]
    assert paths["nat"][0]["observed"] == [f"{told['outside']['home']}:51820"]
    assert all(one["up"] for one in paths["servers"])

    b, d = (peers[name] for name in "bd")
    assert b["endpoint"].startswith(told["outside"]["open"]) and 0 < b["rtt"] < 5
    fates = {one["origin"]: one for one in b["places"]}
    assert fates["observed"]["fate"] == "used"
    assert fates["host"]["fate"] == "silent" and fates["host"]["asked"] > 2
    g = next(one for one in told["status of c"]["peers"] if one["name"] == "g")
    assert g["relay"]["answers"] and g["endpoint"] == g["relay"]["address"] and g["rtt"] is None
    assert 0 < g["relay"]["rtt"] < 5
    assert {one["fate"] for one in g["places"] if one["origin"] == "host"} == {"silent"}
    assert d["path"] in ("absent", "sought", "relay") and d["rtt"] is None
    assert [one["shown"] for one in told["status of c"]["nat"]] == ["port-for-each"]


def test_status_tells_people(told: dict[str, Any]) -> None:
    text = told["text"]
    assert "directly, in " in text and "by the relay " in text
    assert "(an address of its own): never answered, asked " in text
    assert "its NAT shows the same port to everybody" in text and "knows this host" in text
    assert "the agent has gone" not in text


def test_an_agent_that_was_killed_is_told_and_one_that_ended_says_nothing(told: dict[str, Any]) -> None:
    assert "the agent has gone; this is what it knew " in told["text of the killed"]
    assert "directly, in " in told["text of the killed"]
    gone, text = told["ended"]
    assert gone and "none is at work here (`warren agent`)" in text
