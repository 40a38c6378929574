"""Two hosts behind real NATs of Linux of which one is hard to pass: how often, and how soon, they meet by many ports.

    easy  ── masquerade ──────────────┐            the port is kept where it is free: the same to everybody
                                      ├── servers  both let in answers only
    hard  ── masquerade fully-random ─┘            another port for each flow

These are the very rules that routers have, unlike the lab's other NATs (nat.py), which make kinds that Linux lacks.
"""

from __future__ import annotations

import json
import time

from warren.core.parse import parse
from warren.lab.daemons import told_by
from warren.lab.lab import Lab
from warren.lab.spaces import LabError
from warren.lab.topology import host_space
from warren.model.network import Network

EASY, HARD = "e", "h"  # the hosts
NATS = {EASY: "easy", HARD: "hard"}  # in front of them
PATIENCE = 40.0  # seconds in which two attempts would have ended
_TEXT = """
network: mesh
overlay: [10.78.0.0/24, "fd78::/64"]
rendezvous:
  - {address: rv1.example.net:51819, key: KoxN2ZaCrbA2YyeDci+kGcQ5AxN5SUhlp+yFtGO760w=}
  - {address: rv2.example.net:51819, key: u4w1QbNc/ia/uKfYBf6Eno17a8T1JKnbXcjpUZLD5RU=}
hosts:
  e: {key: vwztBHLYuj354hgI6Y5hs0QEqtc34rrhd4zrxpi0Dzc=, uplink: eth0}
  h: {key: OdwugTu0X/Bjo3bjFrEM0K3dcwZVXKDdKJAZTTeWAVI=, uplink: eth0}
lab:
  nats: {easy: {}, hard: {mapping: address-and-port-dependent, ports: random}}
  place: {e: easy, h: hard}
  links: {e: {ipv6: false}, h: {ipv6: false}}
"""
_RULES = """
add table ip nat
delete table ip nat
table ip nat {{
	chain srcnat {{
		type nat hook postrouting priority srcnat;
		oifname "wan" masquerade {how}
	}}
	chain input {{
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		meta l4proto icmp accept
	}}
	chain forward {{
		type filter hook forward priority filter; policy drop;
		iifname "inner" accept
		ct state established,related accept
	}}
}}
"""


def hard_network() -> Network:
    """Give the network of the two hosts."""
    parsed = parse(_TEXT.encode(), "hard.yaml")
    assert parsed.network is not None, parsed.diagnostics
    return parsed.network


def harden(lab: Lab) -> None:
    """Give both NATs the rules of Linux routers; agents that run should be started anew."""
    for host, how in ((EASY, ""), (HARD, "fully-random")):
        lab.spaces.run(f"nat.{NATS[host]}", ("nft", "-f", "-"), _RULES.format(how=how))


def start_over(lab: Lab) -> None:
    """Let agents and NATs forget everything, and start the agents."""
    for host in (EASY, HARD):
        if host in lab.daemons.running:
            lab.daemons.stop(host)
    for host, nat in NATS.items():
        for space in (host_space(host), f"nat.{nat}"):
            lab.spaces.run(space, ("conntrack", "-F"))
    for host in (EASY, HARD):
        told_by(host).write_text("")
        lab.daemons.attend(host)


def is_direct(host: str) -> bool:
    """Say whether a host's agent reaches the other directly, by what it last told."""
    says = ""
    for line in told_by(host).read_text().splitlines():
        event = json.loads(line)
        says = event["says"] if event["kind"] == "path" else says
    return "directly" in says


def time_to_meet(lab: Lab, within: float = PATIENCE) -> float | None:
    """Start over, and give the seconds until both say that they are direct; None if that did not come to be."""
    start_over(lab)
    began = time.monotonic()
    while not (is_direct(EASY) and is_direct(HARD)):
        if time.monotonic() - began > within:
            return None
        for host in (EASY, HARD):
            if "Traceback" in told_by(host).read_text():
                raise LabError(f"the agent of {host} died", told_by(host).read_text())
        time.sleep(0.02)
    return time.monotonic() - began
