"""What the kernel carries of a relay, and what it leaves to the process: real packets, and hosts behind real NATs."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.lab.enclosed import enclosed
from tests.lab.test_meeting import Talk, answers, endpoint, network_of, outside, paths, talking, until
from warren.daemon import carrier as carrier_module
from warren.daemon import lanes as lanes_module
from warren.daemon.carrier import Carrier
from warren.daemon.lanes import Lanes
from warren.lab.daemons import told_by
from warren.lab.lab import Lab, bring_up
from warren.lab.nat import render_nat
from warren.lab.spaces import Spaces, enter
from warren.lab.topology import INTERNET, host_space, nat_space
from warren.proto import grant, packet
from warren.proto.address import Address
from warren.proto.lend import Lent
from warren.proto.packet import RelayHello, header
from warren.sys.ingress import Ingress

pytestmark = pytest.mark.lab

# --- two hosts and a relay on a bench: x ── r ── y ----------------------------------------------------------

PORT, PORTS = 30000, range(30000, 30010)
X, Y = b"x" * 32, b"y" * 32
RELAY = (ip_address("10.1.0.1"), ip_address("fd01::1"))
ENDS = {"x": ("10.1.0.2", "fd01::2"), "y": ("10.2.0.2", "fd02::2")}
LINKS = """
link add rx netns {r} type veth peer name eth0 netns {x}
link add ry netns {r} type veth peer name eth0 netns {y}
"""
HOST = """
link set lo up
link set eth0 up
address add {four}/24 dev eth0
address add {six}/64 dev eth0 nodad
route add default via {four_router}
route add default via {six_router}
"""
ROUTER = """
link set lo up
link set rx up
link set ry up
address add 10.1.0.1/24 dev rx
address add fd01::1/64 dev rx nodad
address add 10.2.0.1/24 dev ry
address add fd02::1/64 dev ry nodad
"""
# Another cable to y, and a route by it.
OTHER_WAY = """
ip link add other type veth peer name eth1 netns {y}
nsenter --net={y} ip link set eth1 up
ip link set other up
ip route add 10.2.0.2/32 dev other src 10.2.0.1
"""


def bench() -> Spaces:
    spaces = Spaces()
    for name in ("x", "r", "y"):
        spaces.make(name)
    spaces.run("", ("ip", "-batch", "-"), LINKS.format(**{name: spaces[name].path for name in "xry"}))
    spaces.run("r", ("ip", "-batch", "-"), ROUTER)
    for name, (four, six) in ENDS.items():
        routers = {"four_router": four[:-1] + "1", "six_router": six[:-1] + "1"}
        spaces.run(name, ("ip", "-batch", "-"), HOST.format(four=four, six=six, **routers))
    return spaces


class Host:
    """One of the two: it shows its grant, and sends."""

    def __init__(self, spaces: Spaces, name: str, who: bytes, lent: Lent, version: int) -> None:
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        with spaces.inside(name):
            self.line = socket.socket(family, socket.SOCK_DGRAM)
        own = ENDS[name][0 if version == 4 else 1]
        self.line.bind((own, 0))
        self.line.setblocking(False)
        self.who, self.lent, self.counter = who, lent, 0
        self.place = str(RELAY[0 if version == 4 else 1]), lent.port_of(who)

    async def greet(self) -> None:
        self.counter += 1
        said = grant.hello(self.lent.grant, self.lent.secret, self.who, self.counter)
        self.line.sendto(packet.write(said), self.place)
        answer = packet.parse(await self.got())
        assert isinstance(answer, packet.RelayWelcome) and answer.counter == self.counter

    async def got(self, patience: float = 5.0) -> bytes:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.line, 65535), patience)


async def at_the_bench(spaces: Spaces, versions: tuple[int, int]) -> dict[str, object]:
    told: list[str] = []
    lent = Lent((X, Y), RELAY, PORT, 7, b"s" * 32, float("inf"))

    def moved_somebody() -> None:
        lanes.stir()

    carrier = Carrier(told.append, moved_somebody)
    ingress = Ingress("relay_here", PORTS, header(RelayHello)[:5])
    lanes = Lanes(ingress, carrier.ways, told.append)
    keeping = asyncio.create_task(lanes.run())
    assert carrier.open(lent), told
    x, y = Host(spaces, "x", X, lent, versions[0]), Host(spaces, "y", Y, lent, versions[1])
    for each in (x, y):
        await each.greet()
    same = versions[0] == versions[1]
    while same and len(lanes) < 2:
        assert not told and not keeping.done(), (told, keeping)
        await asyncio.sleep(0.005)

    found: dict[str, object] = {"lanes": len(lanes)}
    before = dict(carrier.packets)
    for at in range(20):
        x.line.sendto(b"\4to y %d" % at, x.place)
        assert await y.got() == b"\4to y %d" % at
        y.line.sendto(b"\4to x %d" % at, y.place)
        assert await x.got() == b"\4to x %d" % at
    found["process"] = carrier.packets["carried"] - before.get("carried", 0)
    found["kernel"] = sum(one.packets for one in ingress.counted().values())
    x.line.sendto(bytes(3000), x.place)  # in fragments, of which only the first knows its ports
    assert await y.got() == bytes(3000)
    found["in fragments, by the process"] = carrier.packets["carried"] - before.get("carried", 0)
    if versions[0] == 4:
        x.line.setsockopt(socket.SOL_SOCKET, 11, 1)  # SO_NO_CHECK: IPv4 may go without a checksum
        x.line.sendto(b"\4unchecked", x.place)
        assert await y.got() == b"\4unchecked"
    await x.greet()  # still heard by the process
    stranger = Host(spaces, "y", X, lent, versions[0])
    refused = carrier.packets["refused"]
    for port in (PORT, PORT + 1):
        stranger.line.sendto(b"\4strange", (stranger.place[0], port))
    while carrier.packets["refused"] < refused + 2:
        await asyncio.sleep(0.005)
    y.line.sendto(b"\4last", y.place)
    found["a stranger's"] = (await x.got()).decode()

    os.system("nft flush ruleset")  # what `systemctl reload nftables` does
    x.line.sendto(b"\4flushed", x.place)
    assert await y.got() == b"\4flushed"
    lanes.stir()
    moved = Host(spaces, "x", X, lent, versions[0])  # another port of the same host, as after a NAT's rebinding
    moved.counter = x.counter
    await moved.greet()
    while same and moved.line.getsockname()[1] not in {lane.source[1] for lane in tuple(ingress.lanes.values())}:
        await asyncio.sleep(0.005)
    y.line.sendto(b"\4found", y.place)
    found["after a move"] = (await moved.got()).decode()
    if versions == (4, 4):
        os.system(OTHER_WAY.format(y=spaces["y"].path))
        while not any(lane.hop.device == "other" for lane in tuple(ingress.lanes.values())):
            await asyncio.sleep(0.005)
        moved.line.sendto(b"\4by the other way", moved.place)
        assert await y.got() == b"\4by the other way"
    found["told"] = told
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    found["tables left"] = os.popen("nft list tables").read()
    carrier.close_all()
    return found


async def bounded(spaces: Spaces) -> dict[str, object]:
    """A lane of a hundred packets a second, and hosts that say hello once."""
    lent = Lent((X, Y), RELAY, PORT, 7, b"s" * 32, float("inf"))
    carrier = Carrier(print)
    ingress = Ingress("relay_here", PORTS, header(RelayHello)[:5], 100)
    lanes = Lanes(ingress, carrier.ways, print)
    keeping = asyncio.create_task(lanes.run())
    carrier.open(lent)
    x, y = Host(spaces, "x", X, lent, 4), Host(spaces, "y", Y, lent, 4)
    for each in (x, y):
        await each.greet()
    lanes.stir()
    while len(lanes) < 2:
        await asyncio.sleep(0.005)
    for _ in range(100):
        x.line.sendto(b"\4many", x.place)
    counted = ingress.counted()[lent.port_of(X)]
    found: dict[str, object] = {"passed": counted.packets, "over": counted.over}
    while "goto" in os.popen("nft list table netdev relay_here").read():
        await asyncio.sleep(0.05)
    y.line.sendto(b"\4late", y.place)
    found["late"] = (await x.got()).decode()
    found["by the process"] = carrier.packets["carried"]
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    carrier.close_all()
    return found


def on_the_bench() -> dict[str, dict[str, object]]:
    spaces = bench()
    spaces.base = spaces["r"]
    enter(spaces.base)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("0")  # it is not needed
    Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("0")
    lasts, carrier_module.SILENT = carrier_module.SILENT, 2.0
    held = asyncio.run(asyncio.wait_for(bounded(spaces), 30))
    carrier_module.SILENT = lasts
    return {"bounded": held} | {
        "{}-{}".format(*versions): asyncio.run(asyncio.wait_for(at_the_bench(spaces, versions), 30))
        for versions in ((4, 4), (6, 6), (4, 6))
    }


@pytest.fixture(scope="module")
def seen() -> dict[str, dict[str, object]]:
    found = enclosed(on_the_bench)
    print(json.dumps(found, indent=1))
    return found


@pytest.mark.parametrize("versions", ["4-4", "6-6"])
def test_two_of_one_family_are_carried_by_the_kernel(seen: dict[str, dict[str, object]], versions: str) -> None:
    found = seen[versions]
    assert (found["lanes"], found["kernel"], found["process"]) == (2, 40, 0)
    assert found["in fragments, by the process"] == 1


def test_two_of_different_families_are_carried_by_the_process(seen: dict[str, dict[str, object]]) -> None:
    found = seen["4-6"]
    assert (found["lanes"], found["kernel"], found["process"]) == (0, 0, 40)


@pytest.mark.parametrize("versions", ["4-4", "6-6", "4-6"])
def test_strangers_flushes_and_moves(seen: dict[str, dict[str, object]], versions: str) -> None:
    """What a stranger sends to either port is not passed on; a flush of all rules or a move stops nothing for long."""
    found = seen[versions]
    assert found["a stranger's"] == "\4last"
    assert found["after a move"] == "\4found"
    assert found["told"] == []
    assert found["tables left"] == ""


def test_a_lane_has_a_limit_and_an_end(seen: dict[str, dict[str, object]]) -> None:
    """What is over the limit is dropped; the lane of hosts that say nothing runs out, and the process carries."""
    found = seen["bounded"]
    assert 20 <= int(str(found["passed"])) < 100
    assert int(str(found["passed"])) + int(str(found["over"])) == 100
    assert (found["late"], found["by the process"]) == ("\4late", 1)


# --- hosts behind NATs, WireGuard, a whole server -------------------------------------------------------------

FIRM = "{mapping: address-and-port-dependent, filtering: address-and-port-dependent, ports: random}"
BEHIND = f"""
network: mesh
overlay: [10.78.0.0/24]
rendezvous:
  - {{address: rv1.example.net:51819, key: KoxN2ZaCrbA2YyeDci+kGcQ5AxN5SUhlp+yFtGO760w=}}
hosts:
  a: {{key: vwztBHLYuj354hgI6Y5hs0QEqtc34rrhd4zrxpi0Dzc=, uplink: eth0}}
  b: {{key: OdwugTu0X/Bjo3bjFrEM0K3dcwZVXKDdKJAZTTeWAVI=, uplink: eth0}}
  c: {{key: ARiJoJiMy+1/SIh4xiwCBYfeI+u7rpulbdZ/2fQy+Ag=, uplink: eth0}}
  six: {{key: dAdEvSmsHi4crePLWSvTh0WkiRIi1BNDiF1nOAYZvQQ=, uplink: eth0}}
lab:
  nats: {{one: {FIRM}, two: {FIRM}, hard: {FIRM}}} # no two of them meet directly
  place: {{a: one, b: two, c: hard}}
  links: {{a: {{ipv6: false}}, b: {{ipv6: false}}, c: {{ipv6: false}}}}
"""
METRICS = Address.of("127.0.0.1", 9151)


def serve(lab: Lab) -> None:
    """Have the lab's server tell what it counts."""
    from warren.daemon.kept import Sqlite
    from warren.daemon.rendezvous import Server
    from warren.daemon.served import settings_of

    def work(tell: Callable[[object], None]) -> None:
        settings = settings_of(lab.network, lab.network.rendezvous[0].private_key, str(METRICS), "kernel")
        asyncio.run(Server(settings, Sqlite("/run/kept.sqlite"), tell).run())

    lab.daemons._start("rendezvous.0", INTERNET, work)


def metrics(lab: Lab) -> dict[str, float]:
    with lab.spaces.inside(INTERNET):
        asking = socket.create_connection((str(METRICS.ip), METRICS.port), timeout=10)
    with asking:
        asking.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = b"".join(iter(lambda: asking.recv(65536), b"")).decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith("warren_")]
    return {name: float(value) for name, _, value in lines}


def by_process(lab: Lab) -> float:
    return sum(metrics(lab)[f'warren_relay_packets_total{{what="{what}"}}'] for what in ("carried", "refused"))


def by_kernel(lab: Lab) -> float:
    return metrics(lab)['warren_relay_kernel_packets_total{what="carried"}']


def tables(lab: Lab) -> str:
    return lab.spaces.run(INTERNET, ("nft", "list", "tables"))


def known(lab: Lab) -> list[tuple[str, int, str, int]]:
    """Whom the kernel knows: address, port, and our address and port to which it sends."""
    listed = lab.spaces.run(INTERNET, ("nft", "list", "ruleset"))
    found = re.findall(r"([\d.]+) \. (\d+) \. ([\d.]+) \. (\d+) timeout", listed)
    return [(ip, int(port), own, int(to)) for ip, port, own, to in found]


@contextmanager
def wan_of(lab: Lab, nat: str) -> Iterator[socket.socket]:
    """A NAT's cable to the internet: what passes is heard, and anything can be sent."""
    with lab.spaces.inside(nat_space(nat)):
        cable = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        cable.bind(("wan", 0x0800))
    cable.settimeout(0.2)
    with cable:
        yield cable


def udp(source: tuple[str, int], to: tuple[str, int], payload: bytes) -> bytes:
    """An IPv4 packet with a UDP datagram, whoever claims to send it."""
    ends = socket.inet_aton(source[0]) + socket.inet_aton(to[0])
    length = 8 + len(payload)
    datagram = struct.pack("!HHHH", source[1], to[1], length, 0) + payload
    check = summed(ends + struct.pack("!HH", 17, length) + datagram) or 0xFFFF
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, 17, 0)
    head = head[:10] + struct.pack("!H", summed(head + ends))
    return head + ends + datagram[:6] + struct.pack("!H", check) + datagram[8:]


def summed(data: bytes) -> int:
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def strangers(lab: Lab) -> list[bytes]:
    """Send to the relay as a stranger, then as a known host; give what of it comes out at the other NAT."""
    ends = {nat: outside(lab, nat) for nat in ("one", "two")}
    ip, port, own, to = next(one for one in known(lab) if one[0] == ends["one"])
    mac = lab.spaces.run(nat_space("one"), ("ip", "neigh", "show", "dev", "wan")).split("lladdr ")[1].split()[0]
    at = ("wan", 0x0800, 0, 0, bytes.fromhex(mac.replace(":", "")))
    heard: list[bytes] = []
    with wan_of(lab, "one") as cable, wan_of(lab, "two") as ear:
        refused = metrics(lab)['warren_relay_packets_total{what="refused"}']
        for source in ((outside(lab, "hard"), port), (ip, port ^ 1)):
            cable.sendto(udp(source, (own, to), b"\4stranger"), at)
        until(lambda: metrics(lab)['warren_relay_packets_total{what="refused"}'] > refused, 10, "it is refused")
        cable.sendto(udp((ip, port), (own, to), b"\4known"), at)
        deadline = time.monotonic() + 10
        while b"\4known" not in heard and time.monotonic() < deadline:
            heard += re.findall(b"\4(?:stranger|known)", ear.recv(2048))
    return heard


def rebind(lab: Lab, nat: str) -> float:
    """Have a NAT forget everything, as after a loss of power: every flow has another port then."""
    nothing = "table inet off { chain off { type filter hook forward priority -300; policy drop; }; }\n"
    lab.spaces.run(nat_space(nat), ("nft", "-f", "-"), "flush ruleset\n" + nothing)  # or what passes is remembered
    lab.spaces.run(nat_space(nat), ("conntrack", "-F"))
    lab.spaces.run(nat_space(nat), ("nft", "-f", "-"), "flush ruleset\n" + render_nat(lab.world.nat_by_name[nat]))
    return time.monotonic()


def quiet_process(lab: Lab, note: str) -> float:
    """Wait until a hundred packets have gone by the kernel and none by the process; give the share, which is 0."""

    def passed() -> bool:
        before = by_process(lab), by_kernel(lab)
        until(lambda: by_kernel(lab) >= before[1] + 100, 15, f"{note}: the kernel carries")
        return by_process(lab) == before[0]

    return until(passed, 30, f"{note}: nothing goes by the process")


def flowing(talk: Talk, since: float) -> None:
    until(lambda: min(talk.last("a"), talk.last("b")) > since, 20, "they talk")


def story() -> dict[str, object]:
    lab = bring_up(network_of(BEHIND), None)
    lanes_module.HOLDS = 2.0
    for name in tuple(lab.daemons.running):
        lab.daemons.stop(name)
    serve(lab)
    lab.spaces.run(host_space("six"), ("ip", "-4", "address", "flush", "dev", "eth0"))
    for name in ("a", "b", "six"):
        lab.daemons.attend(name)
    found: dict[str, object] = {}
    until(lambda: paths("a").get("b") == "relay" and answers(lab, "a", "b"), 30, "by the relay")
    until(lambda: paths("a").get("six") == "relay" and answers(lab, "a", "six"), 30, "IPv4 and IPv6 meet")
    found["families"] = [endpoint(lab, *pair).count(":") > 1 for pair in (("a", "six"), ("six", "a"))]
    with talking(lab, "a", "b") as talk:
        quiet_process(lab, "at first")
        pairs = {name: count for name, count in metrics(lab).items() if name.startswith("warren_relay_pair_packets")}
        found["pairs"] = sorted(name for name, count in pairs.items() if count)
        found["forward chains"] = lab.spaces.run(INTERNET, ("nft", "list", "ruleset")).count("hook forward")
        found["strangers"] = [said.decode() for said in strangers(lab)]

        before, began = known(lab), rebind(lab, "one")
        flowing(talk, began + 0.5)
        found["rebound"] = talk.gap(began)
        until(lambda: {one[:2] for one in known(lab)} != {one[:2] for one in before}, 10, "the kernel knows it")
        quiet_process(lab, "after a rebinding")

        began = time.monotonic()
        lab.spaces.run(INTERNET, ("nft", "flush", "ruleset"))
        flowing(talk, time.monotonic())
        found["flushed"] = talk.gap(began)
        until(lambda: len(known(lab)) == 2, 30, "lanes are made again")

        lab.daemons.stop("rendezvous.0", signal.SIGKILL)
        found["killed"] = tables(lab).count("table")
        starts = told_by("rendezvous.0").read_text().count("serving")
        serve(lab)
        until(lambda: told_by("rendezvous.0").read_text().count("serving") > starts, 10, "it serves again")
        until(lambda: len(known(lab)) == 2, 30, "lanes are made anew")
        quiet_process(lab, "after a crash")
        found["ended"] = lab.daemons.stop("rendezvous.0")
        found["left"] = tables(lab)
    return found


@pytest.fixture(scope="module")
def told() -> dict[str, object]:
    found = enclosed(story)
    print(json.dumps(found, indent=1))
    return found


def test_the_process_sees_nothing_of_what_two_hosts_send(told: dict[str, object]) -> None:
    """`story` waits for a hundred packets that nft has counted and the process has not."""
    assert 'by="kernel"' in str(told["pairs"])
    assert told["forward chains"] == 0


def test_a_host_with_ipv4_and_one_with_ipv6_meet_at_the_relay(told: dict[str, object]) -> None:
    """Each sends to the relay's address of its own family; `story` waits until they answer each other."""
    assert told["families"] == [False, True]


def test_only_addresses_that_were_learned_may_send(told: dict[str, object]) -> None:
    assert told["strangers"] == ["\4known"]


def test_a_rebinding_is_healed_in_seconds(told: dict[str, object]) -> None:
    """The host greets every 3 seconds while it is busy, and five times in 3 when nobody answers."""
    assert float(str(told["rebound"])) < 12


def test_who_flushes_all_rules_stops_nothing(told: dict[str, object]) -> None:
    assert float(str(told["flushed"])) < 2


def test_the_table_goes_with_the_server_and_a_crash_leaves_none_for_long(told: dict[str, object]) -> None:
    assert told["killed"] == 1  # its lanes run out after a minute; the next start takes it away
    assert told["ended"] == 0
    assert told["left"] == ""
