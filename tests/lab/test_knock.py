"""Port knocking, on the wire: who scans sees nothing, who knocks gets in, and nobody by another's knock.

            internet (the scanner, at any address)
 ┌──────────┬──────────┼───────────┬───────────┐
nyc        oslo      tokyo       NAT         NAT       nyc is dialled by IPv4, oslo by IPv6; both run their agents.
knock      knock     by trace-   paris       rome      tokyo has none: its kernel hears traceroute alone.
(runs a              route
command)                         everything of paris' own leaves by nyc, once there is a tunnel
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.shapes import SHAPES, differs
from tests.lab.enclosed import enclosed
from tests.lab.test_meeting import answers, until
from warren.core.lockfile import render_lock
from warren.core.parse import parse
from warren.daemon.knock import make_knock
from warren.lab.daemons import told_by
from warren.lab.keys import key_file
from warren.lab.lab import Lab, build_up
from warren.lab.topology import INTERNET, host_space
from warren.lab.trial import try_all
from warren.model.key import SecretRef, decode_key
from warren.model.network import Network
from warren.proto.address import Address
from warren.proto.knock import KNOCKS, LENGTH, Knock
from warren.proto.noise import KeyPair
from warren.proto.packet import header
from warren.sys.knocks import at_ports
from warren.sys.peers import make_anew
from warren.sys.secret import read_secret
from warren.sys.tools import tools_here
from warren.sys.wgport import Port

pytestmark = pytest.mark.lab

RAN = Path("/run/errand/ran")
OPEN_FOR = 5  # seconds; a file may say no less than a minute
HOSTS = {
    "nyc": ('endpoint: "203.0.113.10:51820"', "knock: {run: [/bin/sh, -c, RUN]}"),
    "oslo": ('endpoint: "[2001:db8:77::10]:51820"', "knock: true"),
    "tokyo": ("endpoint: tokyo.example.net:51820", "knock: {traceroute: 19000}"),
    "paris": (),
    "rome": (),
}
TEXT = """
network: doors
hub: nyc
overlay: [10.79.0.0/24, "fd79::/64"]
hosts:
  {hosts}
portals:
  - {{from: paris, exit: nyc}}
expect:
  - {{from: paris, to: nyc, arrives: true}}
  - {{from: rome, to: nyc, arrives: true}}
  - {{from: rome, to: oslo, arrives: true}}
  - {{from: paris, to: oslo, arrives: true}}
  - {{from: paris, to: 1.1.1.1, exit: nyc}}
"""
RUN = 'echo "$WARREN_NETWORK $WARREN_HOST $WARREN_PEER $WARREN_ADDRESS $(id -u)" >>/run/errand/ran'
SCANNER, REPLAYS, ROAMS, FLOODS, TRACES, PASSES = (f"192.0.2.{last}" for last in (200, 66, 77, 55, 99, 98))
SIX = {place: f"2001:db8:ffff::{place.rpartition('.')[2]}" for place in (SCANNER, TRACES, PASSES)}


def text_of(network: Network | None = None) -> str:
    """The file; of a lab's network with the keys that the lab has made."""
    lines = []
    for name, words in HOSTS.items():
        key = network.by_name[name].key if network else "vwztBHLYuj354hgI6Y5hs0QEqtc34rrhd4zrxpi0Dzc="
        private = f"private_key: {key_file(name)}"
        lines.append(f"{name}: {{{', '.join((f'key: {key}', 'uplink: eth0', private, *words))}}}")
    return TEXT.format(hosts="\n  ".join(lines)).replace("RUN", json.dumps(RUN))


def network_of() -> Network:
    parsed = parse(text_of().encode(), "doors.yaml")
    assert parsed.draft is not None
    hosts = (
        replace(host, knock=replace(host.knock, open_for=OPEN_FOR) if host.knock else None)
        for host in parsed.draft.hosts
    )
    return replace(parsed.draft, hosts=tuple(hosts))


# --- what one can do and see from somewhere on the internet ---------------------------------------------------


def sender(lab: Lab, at: str, *, hops: int = 64) -> socket.socket:
    family = socket.AF_INET6 if ":" in at else socket.AF_INET
    with lab.spaces.inside(INTERNET):
        made = socket.socket(family, socket.SOCK_DGRAM)
    made.bind((at, 0))
    if family == socket.AF_INET:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
    else:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
    return made


def send(lab: Lab, at: str, to: str, port: int, data: bytes, *, hops: int = 64) -> None:
    with sender(lab, at, hops=hops) as one:
        one.sendto(data, (to, port))


def silent_ports(lab: Lab, at: str, to: str, ports: Iterable[int], data: bytes) -> list[int]:
    """Those ports that answer with nothing, where others have an ICMP error: what a scanner calls open.

    A kernel makes 1,000 such errors a second, and 50 at once: what is silent is asked again.
    """
    left = list(ports)
    deadline = time.monotonic() + (5.0 if len(left) > 1 else 0.7)
    while left and time.monotonic() < deadline:
        batch, poll = dict[int, tuple[socket.socket, int]](), select.poll()
        for port in left[:40]:
            one = sender(lab, at)
            one.connect((to, port))
            one.send(data)
            batch[one.fileno()] = one, port
            poll.register(one, select.POLLIN)
        refused = [batch[number][1] for number, event in poll.poll(50) if event & select.POLLERR]
        left = [port for port in left[40:] + left[:40] if port not in refused]
        for one, _ in batch.values():
            one.close()
    return sorted(left)


def icmp_of(lab: Lab, to: str, ports: Iterable[int]) -> list[bytes]:
    """The headers of what comes back: of IPv4 all but its length, number and checksums, of ICMP type and code."""
    found = []
    with lab.spaces.inside(INTERNET):
        hears = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    hears.settimeout(2)
    for port in ports:
        send(lab, SCANNER, to, port, b"?")
        packet = hears.recv(1000)
        found.append(packet[:4] + packet[6:10] + packet[12:22])
    hears.close()
    return found


# --- what there is on a host --------------------------------------------------------------------------------


def inside(lab: Lab, host: str) -> set[str]:
    """The addresses that a host lets in."""
    listed = [
        json.loads(lab.spaces.run(host_space(host), ("nft", "-j", "list", "set", "inet", "warren-doors", name)))
        for name in ("knocked4", "knocked6")
    ]
    held = [one["set"].get("elem", []) for text in listed for one in text["nftables"] if "set" in one]
    return {one["elem"]["val"] for each in held for one in each}


def refused(lab: Lab, host: str) -> int:
    """How many packets to WireGuard's port were refused."""
    listed = lab.spaces.run(host_space(host), ("nft", "list", "chain", "inet", "warren-doors", "input"))
    return sum(int(count) for count in re.findall(r"counter packets (\d+) .*that knocked", listed))


def shaken(lab: Lab, host: str, peer: str) -> bool:
    """Whether a host's WireGuard has ever shaken hands with a peer."""
    for line in lab.spaces.run(host_space(host), ("wg", "show", "doors", "latest-handshakes")).splitlines():
        key, at = line.split("\t")
        if key == lab.network.by_name[peer].key:
            return at != "0"
    raise AssertionError(f"{host} has no peer {peer}")


def told(host: str, kind: str) -> list[str]:
    events = [json.loads(line) for line in told_by(host).read_text().splitlines()]
    return [f"{event['subject']} {event['says']}" for event in events if event["kind"] == kind]


def outside(lab: Lab, host: str) -> set[str]:
    """The addresses from which a host is seen: its own of IPv6, its NAT's of IPv4."""
    own, nat = lab.world.host_by_name[host].attachment, lab.world.nat_by_name[f"nat-{host}"].attachment
    seen = [one for one in own.addresses if one.version == 6] + [one for one in nat.addresses if one.version == 4]
    return {str(one.ip) for one in seen}


def try_now(lab: Lab, host: str, peer: str) -> None:
    """Have WireGuard forget a peer and begin anew: it waits 5 seconds after a try that nobody answered."""
    (held,) = (one for each in lab.states[host].interfaces for one in each.peers if one.name == peer)
    (device,) = (each.name for each in lab.states[host].interfaces if held in each.peers)
    assert held.endpoint is not None
    with lab.spaces.inside(host_space(host)):
        make_anew(device, held, Address.of(held.endpoint.host, held.endpoint.port))


def keys_of(lab: Lab, host: str) -> KeyPair:
    return KeyPair.of(decode_key(read_secret(SecretRef(lab.network.by_name[host].private_key))))


def warren_knock(lab: Lab, at: str, host: str) -> dict[str, object]:
    """Type the command."""
    words = (sys.executable, "-m", "warren", "knock", "/run/doors.yaml", at, "--host", host, "--json")
    return json.loads(lab.spaces.run(host_space(host), words))  # type: ignore[no-any-return]


def up() -> Lab:
    """Everything is applied; agents run on nyc and oslo alone, and nobody has knocked."""
    RAN.parent.mkdir()
    RAN.parent.chmod(0o777)
    lab = build_up(network_of(), None)
    lab.serve_names()
    lab.apply(host.name for host in lab.network.hosts)
    Path("/run/doors.yaml").write_text(text_of(lab.network))
    Path("/run/doors.lock").write_text(render_lock(lab.lock))
    for host in ("nyc", "oslo"):
        lab.daemons.attend(host)
    until(lambda: all(told(host, "watching") for host in ("nyc", "oslo")), 10, "agents listen")
    return lab


# --- the story ----------------------------------------------------------------------------------------------


def story() -> dict[str, object]:
    lab = up()
    found: dict[str, object] = {}
    addresses = {
        host: [str(one.ip) for one in lab.world.host_by_name[host].attachment.addresses] for host in ("nyc", "oslo")
    }
    (nyc,) = (one for one in addresses["nyc"] if ":" not in one)
    forged = header(Knock) + os.urandom(LENGTH - 8)
    looks = [b"", b"\1\0\0\0" + os.urandom(144), forged, os.urandom(500)]

    # Who scans sees what every port shows, at WireGuard's own and at all the others.
    ports = [*range(51700, 51900), *range(19000, 19100), 53, 123, 500, 4500]
    found["scanned"] = {
        place: silent_ports(lab, SIX[SCANNER] if ":" in place else SCANNER, place, ports, b"\1\0\0\0" + bytes(144))
        for places in addresses.values()
        for place in places
    }
    found["looked at closely"] = [silent_ports(lab, SCANNER, nyc, [51820], data) for data in looks]
    of_closed, of_wireguard = icmp_of(lab, nyc, (4444, 51820))
    found["the same answer"] = of_closed == of_wireguard

    # WireGuard's own tries meet a closed port.
    until(lambda: answers(lab, "paris", "nyc") or refused(lab, "nyc"), 15, "tries are refused")
    away = outside(lab, "paris") | outside(lab, "rome")
    found["before a knock"] = shaken(lab, "nyc", "paris"), shaken(lab, "nyc", "rome"), inside(lab, "nyc") & away

    # One command, and the tunnel comes up; everybody else is where they were.
    with lab.spaces.inside(host_space("nyc")):
        tap = Port(51820, 0, (), at_ports([51820]))
    found["knocked"] = warren_knock(lab, "nyc", "paris")
    until(lambda: answers(lab, "paris", "nyc"), 20, "paris gets in")
    recorded = [data for reader in tap.readers for data, _ in tap.taken(reader)]
    tap.close()
    found["recorded"] = len(recorded)
    before = refused(lab, "nyc")
    try_now(lab, "rome", "nyc")
    until(lambda: refused(lab, "nyc") > before, 20, "rome's try is refused")
    found["another source"] = shaken(lab, "nyc", "rome")
    found["then"] = sorted(inside(lab, "nyc") & outside(lab, "rome"))

    # A knock is good once, and for its own source alone; in order, so that the second shows what became of the first.
    send(lab, REPLAYS, nyc, 51820, recorded[0])
    rome = keys_of(lab, "rome")
    send(lab, ROAMS, nyc, 51820, make_knock(rome, lab.network.by_name["nyc"].key, "doors"))
    until(lambda: ROAMS in inside(lab, "nyc"), 10, "a member is let in")
    found["replayed"] = REPLAYS in inside(lab, "nyc")
    found["open to whom"] = [silent_ports(lab, at, nyc, [51820], b"?") for at in (ROAMS, REPLAYS, SCANNER)]

    # Without its agent, what is there goes on, and an apply leaves who is inside.
    found["the agent ends"] = lab.daemons.stop("nyc")
    (at,) = inside(lab, "nyc") & outside(lab, "paris")
    lab.spaces.run(host_space("nyc"), ("nft", f"delete element inet warren-doors knocked4 {{ {at} }}"))
    found["flows go on"] = answers(lab, "paris", "nyc") or answers(lab, "paris", "nyc")
    lab.daemons.attend("nyc")
    until(lambda: inside(lab, "nyc") & outside(lab, "paris"), 10, "who has a tunnel is let in")
    lab.apply(("nyc",))
    found["over an apply"] = bool(inside(lab, "nyc") & outside(lab, "paris"))

    # What was opened ends, but for who has a tunnel.
    until(lambda: ROAMS not in inside(lab, "nyc"), OPEN_FOR + 15, "it ends")
    found["closed again"] = silent_ports(lab, ROAMS, nyc, [51820], b"?")
    found["who has a tunnel stays"] = bool(inside(lab, "nyc") & outside(lab, "paris"))

    # Nor does a flood of forgeries make it deaf.
    with sender(lab, SCANNER) as one:
        for _ in range(3000):
            one.sendto(forged, (nyc, 51820))
    oslo, key = keys_of(lab, "oslo"), lab.network.by_name["nyc"].key
    again = lambda: send(lab, FLOODS, nyc, 51820, make_knock(oslo, key, "doors"))  # noqa: E731
    until(lambda: FLOODS in inside(lab, "nyc") or again(), 20, "a knock after a flood")
    found["forged"] = SCANNER in inside(lab, "nyc")

    # A flood of true knocks runs the command once.
    until(RAN.exists, 10, "the command ran")
    since, began = len(RAN.read_text().splitlines()), time.monotonic()
    flood = [make_knock(rome, lab.network.by_name["nyc"].key, "doors") for _ in range(40)]
    for data in flood:
        send(lab, ROAMS, nyc, 51820, data)
    until(lambda: ROAMS in inside(lab, "nyc"), 10, "the flood is heard")
    send(lab, PASSES, nyc, 51820, make_knock(keys_of(lab, "paris"), lab.network.by_name["nyc"].key, "doors"))
    until(lambda: PASSES in inside(lab, "nyc"), 10, "nobody else is kept out by it")
    found["oslo"] = next(one for one in addresses["oslo"] if ":" not in one)
    found["ran"] = RAN.read_text().splitlines()[0].split()
    found["as"] = "0" if tools_here().one_user else "65534"
    found["ran in the flood"] = len(RAN.read_text().splitlines()) - since, time.monotonic() - began
    found["heard in the flood"] = len([one for one in told("nyc", "opened") if ROAMS in one]) - 1

    # The agent knocks by itself, by IPv4 and by IPv6.
    for host, peers in (("rome", ("nyc", "oslo")), ("paris", ("oslo",))):
        lab.daemons.attend(host)
        until(lambda host=host: len(told(host, "knocked")) >= 3, 10, f"the agent of {host} knocks")  # type: ignore[misc]
        found[f"{host} knocks"] = sorted({one.split()[0] for one in told(host, "knocked")})
        for peer in peers:
            until(lambda host=host, peer=peer: inside(lab, peer) & outside(lab, host), 10, f"{peer} opens")  # type: ignore[misc]
            try_now(lab, host, peer)
            until(lambda host=host, peer=peer: answers(lab, host, peer), 30, f"{host} is in {peer}")  # type: ignore[misc]
    found["by IPv6"] = [bool(inside(lab, "oslo") & outside(lab, host)) for host in ("paris", "rome")]

    # From another address it knocks again.
    new = "2001:db8:3::77"
    lines = f"address add {new}/64 dev eth0 nodad\naddress del 2001:db8:3::2/64 dev eth0\n"
    lab.spaces.run(host_space("rome"), ("ip", "-batch", "-"), lines)
    until(lambda: new in inside(lab, "oslo"), 20, "it knocks from its new address")
    found["after a move"] = until(lambda: answers(lab, "rome", "oslo"), 20, "it is back") < 20

    # The kernel alone hears traceroute.
    tokyo = [str(one.ip) for one in lab.world.host_by_name["tokyo"].attachment.addresses]
    found["traced"] = [traced(lab, place) for place in tokyo]

    lab.open_eyes()
    found["walked"] = [f"{one.expect} {one.shortfall} {one.disagreement}" for one in try_all(lab) if not one.holds]
    return found


def traced(lab: Lab, place: str) -> list[list[object]]:
    """What one sees of tokyo's port before a traceroute and after it, and who else has got in by something alike."""
    at = SIX if ":" in place else {one: one for one in SIX}
    closed = silent_ports(lab, at[TRACES], place, [51820], b"?")
    send(lab, at[PASSES], place, 19000, b"?", hops=2)
    send(lab, at[SCANNER], place, 19100, b"?", hops=1)
    send(lab, at[TRACES], place, 19099, b"?", hops=1)
    until(lambda: at[TRACES] in inside(lab, "tokyo"), 10, "the kernel lets it in")
    others = inside(lab, "tokyo") & {at[PASSES], at[SCANNER]}
    return [list(closed), list(silent_ports(lab, at[TRACES], place, [51820], b"?")), sorted(others)]


@pytest.fixture(scope="module")
def seen() -> dict[str, object]:
    found = enclosed(story)
    print(json.dumps(found, indent=1, default=str))
    return found


def test_who_scans_sees_nothing(seen: dict[str, object]) -> None:
    scanned = seen["scanned"]
    assert isinstance(scanned, dict) and len(scanned) == 4  # two hosts, both families
    assert set(map(tuple, scanned.values())) == {()}
    assert seen["looked at closely"] == [[]] * 4
    assert seen["the same answer"]


def test_before_a_knock_nobody_shakes_hands(seen: dict[str, object]) -> None:
    assert seen["before a knock"] == (False, False, set())


def test_the_command_opens_the_port_for_its_source_alone(seen: dict[str, object]) -> None:
    """Out of a network whose every packet is to leave by that very host, so it leaves by the uplink."""
    assert seen["knocked"] == {"host": "nyc", "knocked_at": ["203.0.113.10:51820"]}
    assert differs(seen["knocked"], SHAPES["knock"]) == []
    assert seen["another source"] is False
    assert seen["then"] == []


def test_a_recorded_knock_opens_nothing(seen: dict[str, object]) -> None:
    assert seen["recorded"] == 1
    assert seen["replayed"] is False
    assert seen["open to whom"] == [[51820], [], []]  # the scanner does see an open port, where there is one


def test_it_closes_again_but_not_to_a_tunnel_that_lives(seen: dict[str, object]) -> None:
    assert seen["closed again"] == []
    assert seen["who has a tunnel stays"] is True


def test_a_flood_of_forgeries_opens_nothing_and_keeps_nobody_out_for_long(seen: dict[str, object]) -> None:
    assert seen["forged"] is False


def test_a_host_that_moves_knocks_from_where_it_is_now(seen: dict[str, object]) -> None:
    assert seen["after a move"] is True


def test_a_flood_runs_the_command_once(seen: dict[str, object]) -> None:
    network, host, peer, address, user = seen["ran"]  # type: ignore[misc]
    assert (network, host, peer, address) == (
        "doors",
        "nyc",
        "oslo",
        seen["oslo"],
    )  # whose agent was the first to knock
    assert user == seen["as"]
    ran, took = seen["ran in the flood"]  # type: ignore[misc]
    assert ran <= 1 + took // 10
    assert 1 <= int(str(seen["heard in the flood"])) <= KNOCKS + 4  # and those that were made in its time


def test_without_the_agent_flows_go_on_and_an_apply_lets_nobody_out(seen: dict[str, object]) -> None:
    assert seen["the agent ends"] == 0
    assert seen["flows go on"] is True
    assert seen["over an apply"] is True


def test_agents_knock_by_themselves_in_both_families(seen: dict[str, object]) -> None:
    assert seen["rome knocks"] == seen["paris knocks"] == ["nyc", "oslo", "tokyo"]
    assert seen["by IPv6"] == [True, True]


def test_walk_had_foretold_it(seen: dict[str, object]) -> None:
    assert seen["walked"] == []


def test_traceroute_knocks_where_the_file_has_it_and_no_agent_is_needed(seen: dict[str, object]) -> None:
    assert seen["traced"] == [[[], [51820], []]] * 2
