"""Hole punching with natpunch-go's protocol, on interfaces that no file of ours describes: real NATs and packets.

a ── NAT one ──┐                ┌── NAT two ── b        a and b have wg0, wg1, wg2 with nothing but each other's key
               └── internet: X ─┘                       X: our server, and one as the original's (tests/lab/original.py)
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.enclosed import enclosed
from warren.core.world import place_world
from warren.lab.build import build
from warren.lab.spaces import Spaces
from warren.lab.topology import host_space, nat_space, wire
from warren.model.host import Host
from warren.model.key import PublicKey, encode_key
from warren.model.lab import Lab, Mapping, NatBox, Ports
from warren.model.network import Network
from warren.model.prefix import Family, ip_network
from warren.proto.noise import KeyPair

pytestmark = pytest.mark.lab

OURS, THEIRS = 12345, 12346
SERVER = KeyPair.of(bytes([9]) * 32)
KEYS = {(host, number): KeyPair.of(f"{host}{number}".encode() * 16) for host in "ab" for number in range(3)}
PEER = {"a": "b", "b": "a"}
GO = os.environ.get("NATPUNCH_GO", "")
WARREN = str(Path(sys.executable).with_name("warren"))
ROOT = Path(__file__).parents[2]
FORGET = (
    "for each in 'map ip nat out' 'map ip nat in' 'set ip nat taken' 'set ip nat allowed'; do nft flush $each; done; "
    "conntrack -F 2>/dev/null"
)
PATIENCE = 40.0  # seconds; it takes two or three


def until(what: Callable[[], object], note: str) -> float:
    began = time.monotonic()
    while not what():
        assert time.monotonic() < began + PATIENCE, f"{note}\n{told()}"
        time.sleep(0.05)
    return time.monotonic() - began


def told() -> str:
    return "\n".join(f"{path.name}:\n{path.read_text()}" for path in sorted(Path("/run").glob("told.*")))


def said(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in Path(f"/run/told.{name}").read_text().splitlines() if line.startswith("{")]


class Ground:
    """The world, and what runs in it."""

    def __init__(self) -> None:
        key = PublicKey("A" * 43 + "=")
        boxes = tuple(
            NatBox(
                name, mapping=Mapping.ENDPOINT_INDEPENDENT, filtering=Mapping.ADDRESS_AND_PORT_DEPENDENT, ports=ports
            )
            for name, ports in (("one", Ports.RANDOM), ("two", Ports.RANDOM))
        )
        lab = Lab(nats=boxes, place=(("a", ("one",)), ("b", ("two",)), ("s", ())))
        hosts = tuple(Host(name, key) for name in ("a", "b", "s"))
        network = Network("punch", (ip_network("10.77.0.0/24"),), hosts, lab=lab)
        world = place_world(network, None)
        self.server = str(world.host_by_name["s"].attachment.address(Family.IPV4))
        self.outer = {"a": world.nat_by_name["one"], "b": world.nat_by_name["two"]}
        self.spaces: Spaces = build(wire(world, network))

    def outside(self, host: str) -> str:
        """The address that a host has for others."""
        return str(self.outer[host].attachment.address(Family.IPV4))

    def sh(self, host: str, script: str) -> str:
        return self.spaces.run(host_space(host), ("sh", "-euc", script))

    def device(self, host: str, number: int) -> None:
        """Make a device that knows the other's key, and nothing of where it is."""
        name, peer = f"wg{number}", encode_key(KEYS[PEER[host], number].public)
        Path(f"/run/{host}{number}.key").write_text(encode_key(KEYS[host, number].private))
        own, other = (f"10.9.{number}.{'ab'.index(one) + 1}" for one in (host, PEER[host]))
        self.sh(
            host,
            f"ip link add {name} type wireguard 2>/dev/null || wireguard-go {name} >/dev/null 2>&1; "
            f"wg set {name} private-key /run/{host}{number}.key listen-port {51820 + number} "
            f"peer {peer} allowed-ips {other}/32; ip addr add {own}/24 dev {name}; ip link set {name} up",
        )

    def start(self, name: str, space: str, *argv: str) -> subprocess.Popen[str]:
        environ = {**os.environ, "WARREN_STATE_DIR": f"/run/state.{space}"}
        with Path(f"/run/told.{name}").open("w") as out:
            return self.spaces.start(space, argv, stdout=out, stderr=subprocess.STDOUT, env=environ, cwd=ROOT)

    def punch(self, host: str, number: int, port: int, *more: str) -> subprocess.Popen[str]:
        words = (WARREN, "punch", f"wg{number}", f"{self.server}:{port}", encode_key(SERVER.public), "--json", *more)
        return self.start(f"punch.{host}{number}", host_space(host), *words)

    def original(self, host: str, number: int, port: int) -> subprocess.Popen[str]:
        program = (f"{GO}/client",) if GO else (sys.executable, "-m", "tests.lab.original", "client")
        words = (*program, f"wg{number}", f"{self.server}:{port}", encode_key(SERVER.public))
        return self.start(f"original.{host}{number}", host_space(host), *words)

    def shown(self, host: str, number: int, what: str) -> str:
        """One word that WireGuard has of the other."""
        return self.sh(host, f"wg show wg{number} {what}").split()[-1]

    def answers(self, host: str, number: int) -> bool:
        other = f"10.9.{number}.{'ab'.index(PEER[host]) + 1}"
        with self.spaces.inside(host_space(host)):
            words = ("ping", "-c", "1", "-W", "0.3", "-q", other)
            return subprocess.run(words, stdout=subprocess.DEVNULL, check=False).returncode == 0


def story() -> dict[str, object]:
    here = Ground()
    found: dict[str, object] = {}
    Path("/run/server.key").write_text(encode_key(SERVER.private))
    words = (WARREN, "rendezvous", "--natpunch", str(OURS), "--key", "/run/server.key", "--json")
    ours = here.start("ours", host_space("s"), *words)
    words = (sys.executable, "-m", "tests.lab.original", "server", str(THEIRS), "/run/server.key")
    if GO:
        words = (f"{GO}/server", str(THEIRS), encode_key(SERVER.private))
    theirs = here.start("theirs", host_space("s"), *words)
    for number in range(3):
        for host in PEER:
            here.device(host, number)
    until(lambda: said("ours") and Path("/run/told.theirs").read_text(), "servers")
    with here.spaces.inside(host_space("s")), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mischief:
        for deadly in (b"", b"\x01", b"\x03", bytes(64)):
            mischief.sendto(deadly, (here.server, OURS))

    # The original's client on one side, ours on the other, at our server.
    programs = [here.original("a", 1, OURS), here.punch("b", 1, OURS)]
    found["original and ours"] = [each.wait(PATIENCE) for each in programs]
    until(lambda: here.answers("a", 1) and here.answers("b", 1), "by the original and ours")

    # Ours on both sides, at the original's server.
    programs = [here.punch(host, 2, THEIRS) for host in PEER]
    found["at the original's server"] = [each.wait(PATIENCE) for each in programs]
    found["answers by it"] = here.answers("a", 2), here.answers("b", 2)
    found["the original's server is alive"] = theirs.poll() is None

    # Ours everywhere, and a sends everything into its tunnel.
    here.sh(
        "a",
        f"wg set wg0 fwmark 51820 peer {encode_key(KEYS['b', 0].public)} allowed-ips 0.0.0.0/0; "
        "ip route add default dev wg0 table 51820; ip rule add not fwmark 51820 table 51820; "
        "ip rule add table main suppress_prefixlength 0; "
        "for each in all eth0; do echo 0 > /proc/sys/net/ipv4/conf/$each/rp_filter; done",
    )
    programs = [here.punch(host, 0, OURS) for host in PEER]
    found["ours"] = [each.wait(PATIENCE) for each in programs]
    found["answers"] = here.answers("a", 0), here.answers("b", 0)
    found["events"] = [event["event"] for event in said("punch.a0")]
    found["endpoints"] = {host: here.shown(host, 0, "endpoints").rpartition(":")[0] for host in PEER}
    found["outside"] = {host: here.outside(PEER[host]) for host in PEER}
    found["keepalive"] = {host: here.shown(host, 0, "persistent-keepalive") for host in PEER}
    found["times"] = json.loads(Path("/run/state.host.a/punch.json").read_text())

    # A NAT forgets all, and shows a at another port: whoever asks on finds it there.
    programs = [here.punch(host, 0, OURS, "-c", "-d", "0.5") for host in PEER]
    until(lambda: all(any(e["event"] == "kept" for e in said(f"punch.{host}0")) for host in PEER), "both know")
    before = here.shown("b", 0, "endpoints")
    here.spaces.run(nat_space("one"), ("sh", "-euc", FORGET))
    until(lambda: here.shown("b", 0, "endpoints") != before, "b knows where a is now")
    found["after a rebinding"] = until(lambda: here.answers("b", 0), "they talk again, and a is not made to begin")
    for each in programs:
        each.terminate()
    found["ended"] = [each.wait(PATIENCE) for each in programs]

    found["refused"] = [refusal(here, *words) for words in (("wg7",), ("eth0",))]
    ours.terminate()
    found["our server"] = ours.wait(PATIENCE)
    found["server's log"] = [event["event"] for event in said("ours")]
    theirs.kill()
    theirs.wait()
    return found


def refusal(here: Ground, interface: str) -> str:
    """What somebody reads who asks for what is not there."""
    words = (WARREN, "punch", interface, f"{here.server}:{OURS}", encode_key(SERVER.public))
    name = f"refused.{interface}"
    assert here.start(name, host_space("a"), *words).wait(PATIENCE) == 1
    return Path(f"/run/told.{name}").read_text()


@pytest.fixture(scope="module")
def found() -> dict[str, object]:
    told = enclosed(story)
    print(json.dumps(told, indent=1))
    return told


def test_the_originals_client_meets_ours_at_our_server(found: dict[str, object]) -> None:
    assert found["original and ours"] == [0, 0]


def test_ours_meet_at_the_originals_server(found: dict[str, object]) -> None:
    assert found["at the original's server"] == [0, 0]
    assert found["answers by it"] == (True, True)
    assert found["the original's server is alive"]


def test_a_tunnel_comes_up_without_any_file_also_under_a_full_tunnel(found: dict[str, object]) -> None:
    assert found["ours"] == [0, 0] and found["answers"] == (True, True)
    assert found["endpoints"] == found["outside"]
    assert found["keepalive"] == {"a": "25", "b": "25"}
    events = found["events"]
    assert isinstance(events, list) and events[0] == "asking" and events[-1] == "talks"
    assert {"answers", "seen", "found"} <= set(events)
    assert isinstance(found["times"], dict) and found["times"]["last"] > 10**18


def test_a_peer_whose_nat_forgot_it_is_found_again(found: dict[str, object]) -> None:
    assert found["ended"] == [0, 0]


def test_what_kills_the_original_did_nothing_and_the_log_says_who_came(found: dict[str, object]) -> None:
    log = found["server's log"]
    assert found["our server"] == 0 and isinstance(log, list)
    assert log[:2] == ["serving", "trouble"] and log.count("came") >= 2


def test_what_is_not_there_is_refused_in_words(found: dict[str, object]) -> None:
    gone, ethernet = found["refused"]  # type: ignore[misc]
    assert "there is no interface wg7" in gone and "eth0 is no WireGuard interface" in ethernet
