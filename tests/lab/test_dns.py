"""`dns:` between two sides with real packets: a resolver that lies, a box on the way that injects, and who sees what.

home ── its uplink ── a NAT, where somebody injects forged answers ── the internet, whose DNS answers each asker
  └──── tunnel ── cloud ── uplink ─────────────────────────────────────┘               in another way
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.lab.enclosed import enclosed
from warren.core.parse import parse
from warren.core.render.services import RESOLV_CONF
from warren.core.sets import fill
from warren.lab.lab import Lab, bring_up
from warren.lab.lookup import Lookup, look_up
from warren.lab.topology import client_space, host_space, nat_space
from warren.lab.works import memory
from warren.model.network import Network
from warren.proto.dns.message import A, Malformed, read_answer, read_query, wire_name, write_query
from warren.sys.apply import down
from warren.sys.machine import Machine
from warren.sys.store import Store

pytestmark = pytest.mark.lab

FILE = """
network: smart
overlay: [10.84.0.0/24, "fd84:8:4::/64"]
hosts:
  cloud: {key: KoxN2ZaCrbA2YyeDci+kGcQ5AxN5SUhlp+yFtGO760w=, endpoint: cloud.example.net:51820, uplink: ens3}
  home:
    key: u4w1QbNc/ia/uKfYBf6Eno17a8T1JKnbXcjpUZLD5RU=
    uplink: wan
    lans:
      fast: {address: 192.168.16.1/24}
      strict: {address: 192.168.17.1/24}
      plain: {address: 192.168.18.1/24}
portals:
  - from: home.fast
    exit: cloud
    dns: {domestic: 223.5.5.5, trusted: 8.8.8.8, domestic_set: [45.12.0.0/14, "2620:100::/32"], privacy: fast}
  - from: home.strict
    exit: cloud
    dns: {domestic: 223.5.5.5, trusted: 8.8.8.8, domestic_set: 45.12.0.0/14}
  - from: home.plain
    exit: cloud
    dns: 8.8.8.8
  - from: home
    exit: cloud
    dns: {domestic: 223.5.5.5, trusted: exit, domestic_set: 45.12.0.0/14, domestic_names: [cn]}
lab: {place: {cloud: internet}}
"""
SHOP, SHOP6, FAR_SHOP = "45.12.0.7", "2620:100::7", "93.184.0.7"
NEWS, NEWS6 = "93.184.216.34", "2606:2800::34"
FORGED, FORGED6 = "31.13.94.37", "2001::1f0d:5e25"

# Sniffs questions to 223.5.5.5 and answers first, as if it were that resolver: an injector sees, and cannot hold back.
INJECT = f"""
import socket, struct, sys
from ipaddress import ip_address
forged = {{1: ip_address("{FORGED}").packed, 28: ip_address("{FORGED6}").packed}}
ear = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
mouth = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
print("ready", flush=True)
while True:
    raw, where = ear.recvfrom(4096)
    if where[2] == socket.PACKET_OUTGOING or raw[9] != 17 or raw[16:20] != bytes((223, 5, 5, 5)):
        continue
    at = (raw[0] & 15) * 4
    dns = raw[at + 8:]
    end = 12
    while dns[end]:
        end += 1 + dns[end]
    kind = struct.unpack("!H", dns[end + 1:end + 3])[0]
    data = forged.get(kind, b"")
    answer = struct.pack("!HHHH", 0xC00C, kind, 1, 0) + struct.pack("!HH", 60, len(data)) + data if data else b""
    body = dns[:2] + bytes((0x81, 0x80, 0, 1, 0, bool(data), 0, 0, 0, 0)) + dns[12:end + 5] + answer
    udp = raw[at + 2:at + 4] + raw[at:at + 2] + struct.pack("!HH", 8 + len(body), 0) + body
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + raw[16:20] + raw[12:16]
    mouth.sendto(head + udp, (socket.inet_ntoa(raw[12:16]), 0))
"""


def network_of(text: str) -> Network:
    parsed = parse(text.encode(), "smart.yaml")
    assert parsed.network is not None, parsed.diagnostics
    return fill(parsed.network, None)


class Scene:
    """The lab, up, with a DNS that answers each asker in another way."""

    def __init__(self) -> None:
        self.lab: Lab = bring_up(network_of(FILE), None)
        world = self.lab.world
        self.cloud = str(world.host_by_name["cloud"].attachment.addresses[0].ip)
        self.truth = self.lab.zone.answer
        self.lab.zone.answer = self.answer  # type: ignore[method-assign]
        self.lab.prove_sight(("home", "cloud"))
        self.lies: dict[str, tuple[str, ...]] = {}
        self.slow = 0.0

    def answer(self, data: bytes, asker: str) -> bytes:
        """Answer as the truth is for whoever asks: from the cloud's address abroad, from any other at home."""
        try:
            name = read_query(data).question.key
        except Malformed:
            return b""
        abroad = asker == self.cloud
        told = {"shop": (FAR_SHOP, SHOP6), "news": (NEWS, NEWS6), "both": ("45.12.9.9",)}
        if not abroad:
            time.sleep(self.slow)
            told |= {"shop": (SHOP, SHOP6), "both": (SHOP,), **self.lies}
        kind = name[1 : 1 + name[0]].decode().partition("-")[0]
        self.lab.zone.addresses[name] = tuple(map(ip_address, told.get(kind, (NEWS,))))
        return self.truth(data, asker)

    def space(self, lan: str) -> str:
        client = next(one for one in self.lab.world.clients if one.name == f"home.{lan}")
        return client_space(self.lab.world, client)

    def ask(self, lan: str, name: str) -> set[str]:
        """Ask a LAN's resolver for a name, of both families."""
        resolver = str(self.lab.network.by_name["home"].lan(lan).addresses[0].ip)
        return self.told(Lookup(self.space(lan), resolver, name))

    def told(self, lookup: Lookup, seconds: float = 8.0) -> set[str]:
        look_up([lookup], self.lab.spaces, self.lab.selector, self.lab.wait, seconds)
        return {str(address) for address in lookup.addresses}

    def own(self, name: str) -> set[str]:
        """Ask whom the host itself asks, as its resolv.conf says."""
        with self.lab.spaces.inside(host_space("home")):
            resolver = Path(RESOLV_CONF).read_text().rpartition("nameserver ")[2].strip()
        return self.told(Lookup(host_space("home"), resolver, name))

    def seen_by(self, name: str) -> set[str]:
        """Where a name was asked from, as the internet saw it."""
        askers = {asker for asker, asked, _ in self.lab.zone.asked if asked == wire_name(name)}
        return {"cloud" if asker == self.cloud else "home" for asker in askers}

    def first_word(self, name: str) -> str:
        """Ask the domestic resolver directly, and give the first address that comes back: what a naive one believes."""
        with self.lab.spaces.inside(host_space("home")):
            asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wan\0")
        with asking:
            asking.setblocking(False)
            heard: list[bytes] = []
            self.lab.selector.register(asking, 1, lambda: heard.append(asking.recv(4096)))
            asking.sendto(write_query(7, wire_name(name), A, 1, 0, signatures=False), ("223.5.5.5", 53))
            assert self.lab.wait(lambda: bool(heard), 5.0)
            self.lab.selector.unregister(asking)
        return str(ip_address(read_answer(heard[0]).addresses[0][1]))


@pytest.fixture(scope="module")
def seen() -> dict[str, object]:
    """Everything that is tried, in one lab: what was seen at each step."""
    return enclosed(lambda: dict(_tried(Scene())))


def _tried(scene: Scene) -> Iterator[tuple[str, object]]:
    # With nobody in between.
    yield "a shop, fast", scene.ask("fast", "shop-1.example")
    yield "news, fast", scene.ask("fast", "news-1.example")
    yield "who saw fast", scene.seen_by("news-1.example")
    yield "news, strict", scene.ask("strict", "news-2.example")
    yield "who saw strict", scene.seen_by("news-2.example")
    yield "domestic by the word of the trusted side", scene.ask("strict", "both-1.example")
    yield "who saw that", scene.seen_by("both-1.example")
    yield "plain", (scene.ask("plain", "news-3.example"), scene.seen_by("news-3.example"))
    yield "names of hosts", scene.ask("plain", "cloud.warren")

    # The ISP's resolver lies.
    scene.lies = {"news": ("10.10.34.35",)}
    yield "news, with a resolver that lies", scene.ask("fast", "news-4.example")
    scene.lies = {"news": (SHOP, FORGED)}
    yield "news, with one that lies by half", scene.ask("fast", "news-5.example")
    scene.lies = {}

    # Somebody injects, and the true answer comes later.
    scene.slow = 0.05
    code = (sys.executable, "-c", INJECT)
    injector = scene.lab.spaces.start(nat_space("nat-home"), code, stdout=subprocess.PIPE)
    assert injector.stdout is not None and injector.stdout.readline().strip() == "ready"
    yield "what a naive resolver believes", scene.first_word("news-6.example")
    yield "news, poisoned", scene.ask("fast", "news-7.example")
    yield "a shop, poisoned", scene.ask("fast", "shop-2.example")
    injector.kill()
    injector.wait()
    scene.slow = 0.0

    # The host's own programs.
    yield "own", (scene.own("news-8.example"), scene.seen_by("news-8.example"))
    yield "own, domestic", (scene.own("shop.example.cn"), scene.seen_by("shop.example.cn"))

    # What runs dies, or is taken away.
    _kill(scene)
    yield "news, after a kill", scene.ask("fast", "news-9.example")
    scene.lab.spaces.run(host_space("home"), ("ip", "link", "del", "smart-cloud"))
    yield "without the tunnel", scene.told(Lookup(scene.space("fast"), "192.168.16.1", "news-10.example"), 3.0)
    yield "plain without the tunnel", scene.told(Lookup(scene.space("plain"), "192.168.18.1", "news-11.example"), 2.0)
    yield "strict without the tunnel", scene.told(Lookup(scene.space("strict"), "192.168.17.1", "news-12.example"), 2.0)
    hidden = ("news-11.example", "news-12.example")
    yield "who saw what the tunnel was for", {one for name in hidden for one in scene.seen_by(name)}
    yield "where the tunnel goes", (bool(scene.own("cloud.example.net")), scene.seen_by("cloud.example.net"))
    scene.lab.apply(["home"])
    yield "fast, applied again", scene.ask("fast", "news-13.example")
    yield "plain, applied again", scene.ask("plain", "news-14.example")

    # Somebody writes the host's file again.
    with scene.lab.spaces.inside(host_space("home")):
        Path(RESOLV_CONF).write_text("nameserver 192.0.2.99\n")
    scene.lab.apply(["home"])
    yield "own, applied again", (scene.own("news-15.example"), scene.seen_by("news-15.example"))

    # Taken down.
    with scene.lab.spaces.inside(host_space("home")):
        down("smart", Machine(Store(memory("home"))))
        yield "resolv.conf, taken down", Path(RESOLV_CONF).read_text()
        yield "left running", _processes("home")


def _kill(scene: Scene) -> None:
    """End what judges with no time to say anything; who watches over it starts it again."""
    before = _processes("home")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert scene.lab.wait(lambda: len(set(_processes("home")) - set(before)) >= len(before), 20.0, lambda _: None)


def _processes(_host: str) -> list[int]:
    """Find `warren dns` where we are: the lab has a space for processes of its own."""
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() == "warren-dns":
                found.append(int(path.parent.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


def test_the_nearer_answer_counts_where_it_is_domestic(seen: dict[str, object]) -> None:
    assert seen["a shop, fast"] == {SHOP, SHOP6}
    assert seen["news, fast"] == {NEWS, NEWS6}
    assert seen["domestic by the word of the trusted side"] == {SHOP}


def test_who_sees_a_name_is_a_choice(seen: dict[str, object]) -> None:
    assert seen["who saw fast"] == {"home", "cloud"}  # so the probe is visible
    assert seen["news, strict"] == {NEWS, NEWS6}
    assert seen["who saw strict"] == {"cloud"}
    assert seen["who saw that"] == {"home", "cloud"}
    assert seen["plain"] == ({NEWS, NEWS6}, {"cloud"})


def test_the_networks_own_names_are_known(seen: dict[str, object]) -> None:
    assert seen["names of hosts"] == {"10.84.0.1", "fd84:8:4::1"}


def test_a_resolver_that_lies_is_not_believed(seen: dict[str, object]) -> None:
    assert seen["news, with a resolver that lies"] == {NEWS, NEWS6}
    assert seen["news, with one that lies by half"] == {NEWS, NEWS6}


def test_injected_answers_are_not_believed(seen: dict[str, object]) -> None:
    assert seen["what a naive resolver believes"] == FORGED
    assert seen["news, poisoned"] == {NEWS, NEWS6}
    assert seen["a shop, poisoned"] == {SHOP, SHOP6}


def test_the_hosts_own_programs_are_answered_alike(seen: dict[str, object]) -> None:
    assert seen["own"] == ({NEWS, NEWS6}, {"cloud"})
    assert seen["own, domestic"] == ({SHOP, SHOP6}, {"home"})


def test_nothing_foreign_is_asked_past_a_tunnel_that_is_gone(seen: dict[str, object]) -> None:
    assert seen["without the tunnel"] == set()
    assert seen["plain without the tunnel"] == set()
    assert seen["strict without the tunnel"] == set()
    assert seen["who saw what the tunnel was for"] == set()


def test_where_a_tunnel_goes_is_asked_past_it(seen: dict[str, object]) -> None:
    assert seen["where the tunnel goes"] == (True, {"home"})


def test_it_comes_back(seen: dict[str, object]) -> None:
    assert seen["news, after a kill"] == {NEWS, NEWS6}
    assert seen["fast, applied again"] == {NEWS, NEWS6}
    assert seen["plain, applied again"] == {NEWS, NEWS6}
    assert seen["own, applied again"] == ({NEWS, NEWS6}, {"cloud"})


def test_down_puts_the_resolver_back(seen: dict[str, object]) -> None:
    assert seen["resolv.conf, taken down"] == "nameserver 192.0.2.99\n"  # as its last writer had left it
    assert seen["left running"] == []
