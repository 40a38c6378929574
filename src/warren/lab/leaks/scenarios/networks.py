"""Other networks on the same host: wg-quick's, `warren up`'s, and a second one of warren's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path

from warren.core.allot import allot
from warren.lab.keys import PLACE
from warren.lab.leaks.scenario import LIVES, Check, Play, Scenario, everybody
from warren.lab.leaks.senders import Sender
from warren.lab.leaks.stage import Stage
from warren.lab.topology import INTERNET, host_space
from warren.lab.works import applier, memory, on_each
from warren.model.lock import Lock
from warren.model.network import Network
from warren.sys import apply as verbs

_WARREN = "from warren.cli.main import main; main()"
SERVER, PORT = "8.8.4.4", 51999


def _pair(stage: Stage) -> tuple[str, str]:
    private = stage.sh(stage.hosts[0], "wg genkey").strip()
    return private, stage.sh(stage.hosts[0], f"echo {private} | wg pubkey").strip()


def _serve(stage: Stage) -> dict[str, Path]:
    """Put somebody else's server on the internet, and a conf of a full tunnel to it for each host with a portal."""
    private, public = _pair(stage)
    folder = PLACE / "foreign"
    folder.mkdir(exist_ok=True, mode=0o700)
    server = f"[Interface]\nPrivateKey = {private}\nListenPort = {PORT}\n"
    confs = {}
    for number, host in enumerate(stage.entries, start=2):
        own, known = _pair(stage)
        addresses = f"10.99.0.{number}, fd99::{number}"
        server += f"[Peer]\nPublicKey = {known}\nAllowedIPs = {addresses}\n"
        confs[host] = folder / host / "wq0.conf"
        confs[host].parent.mkdir(exist_ok=True)
        confs[host].touch(mode=0o600)
        confs[host].write_text(
            f"[Interface]\nPrivateKey = {own}\nAddress = {addresses}\n"
            f"[Peer]\nPublicKey = {public}\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = {SERVER}:{PORT}\n"
        )
    (folder / "srv.conf").write_text(server)
    stage.sh(
        INTERNET,
        "ip link add srv type wireguard 2>/dev/null || wireguard-go srv >/dev/null 2>&1; "
        f"until wg show srv >/dev/null 2>&1; do sleep 0.02; done; wg setconf srv {folder}/srv.conf; "
        "ip link set srv mtu 1400 up; ip route add 10.99.0.0/24 dev srv table local; "
        "ip -6 route add fd99::/64 dev srv table local",
    )
    stage.afterwards(lambda: stage.sh(INTERNET, "ip link del srv"))
    return confs


def _forwarded(sender: Sender) -> bool:
    """Hold for all but a host's own traffic: where its owner leads that into another tunnel of his, it goes there."""
    return sender.kind != "own"


def _wg_quick(stage: Stage) -> Generator[Check]:
    confs = _serve(stage)
    for host, conf in confs.items():
        stage.undo(host, f"wg-quick down {conf} 2>/dev/null || true")
        stage.sh(host, f"wg-quick up {conf} 2>&1")
    yield Check(held=_forwarded, uplinks=False)
    for host, conf in confs.items():
        stage.sh(host, f"wg-quick down {conf} 2>&1")
    stage.forgive(_forwarded)
    yield LIVES


def _wg_quick_then_apply(stage: Stage) -> Generator[Check]:
    confs = _serve(stage)
    for host, conf in confs.items():
        stage.undo(host, f"wg-quick down {conf} 2>/dev/null || true")
        stage.sh(host, f"wg-quick up {conf} 2>&1")
    stage.apply()
    stage.forgive(_forwarded)
    yield Check(lives=everybody, uplinks=False)


def _warren_up(stage: Stage) -> Generator[Check]:
    confs = _serve(stage)
    for host, conf in confs.items():
        stage.afterwards(partial(_warren, stage, host, "down", str(conf)))
        _warren(stage, host, "up", str(conf))
        stage.sh(host, "ip link show wq0")
    yield Check(held=_forwarded, uplinks=False)
    for host, conf in confs.items():
        _warren(stage, host, "down", str(conf))
    stage.forgive(_forwarded)
    yield LIVES


def _warren(stage: Stage, host: str, *words: str) -> None:
    process = stage.lab.spaces.start(
        host_space(host),
        (sys.executable, "-P", "-c", _WARREN, *words),
        env={**os.environ, "WARREN_STATE_DIR": str(memory(host))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    process.wait(60)


def _without_portals(stage: Stage) -> tuple[Network, Lock]:
    """Another network of the same hosts: other tunnels at other ports, and nothing else."""
    overlay = tuple(map(ip_network, ("10.88.0.0/24", "fd88:8:8::/64")[: len(stage.network.overlay)]))
    bare = replace(
        stage.network, name="second", portals=(), overlay=overlay, expects=(), publishes=(), delegates=(), devices=()
    )
    hosts = []
    for host in bare.hosts:
        there = replace(host.endpoint, port=host.endpoint.port + 100) if host.endpoint is not None else None
        hosts.append(replace(host, lans=(), psk=(), port=None, endpoint=there))
    other = replace(bare, hosts=tuple(hosts))
    lock = allot(other, Lock())
    moved = [
        replace(host, devices=tuple(replace(one, port=20000 + number) for number, one in enumerate(host.devices)))
        if other.by_name[host.name].endpoint is None
        else host
        for host in lock.hosts
    ]
    return other, replace(lock, hosts=tuple(moved))


def _second(stage: Stage) -> Generator[Check]:
    stage.afterwards(lambda: stage.on(stage.hosts, lambda _, machine: verbs.down("second", machine)))
    on_each(stage.lab.spaces, list(stage.hosts), applier(*_without_portals(stage)))
    yield LIVES
    stage.on(stage.hosts, lambda _, machine: verbs.down("second", machine))
    yield LIVES


def _scenario(name: str, says: str, promise: str, play: Play) -> Scenario:
    return Scenario(name, "networks", says, promise, play)


SCENARIOS = (
    _scenario(
        "wg-quick-later",
        "wg-quick brings up a full tunnel of somebody else's, and takes it down",
        "nothing forwarded leaks, then all arrives",
        _wg_quick,
    ),
    _scenario(
        "wg-quick-and-apply",
        "wg-quick brings up a full tunnel, then warren applies again",
        "all arrives by the exits",
        _wg_quick_then_apply,
    ),
    _scenario(
        "warren-up-conf",
        "`warren up` brings up a full tunnel of somebody else's conf, and takes it down",
        "nothing forwarded leaks, then all arrives",
        _warren_up,
    ),
    _scenario(
        "second-network",
        "a second network of warren's comes to the same hosts, and goes",
        "all arrives by the exits",
        _second,
    ),
)
