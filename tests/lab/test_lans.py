"""LANs that warren serves, with real DHCP clients: leases, names, a bridge, what is reflected, who gets no answer."""

from __future__ import annotations

import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.lab.enclosed import enclosed
from tests.lab.test_ipv6_land import network_of, until, watching
from warren.core.render.programs import files_of
from warren.lab.faults import break_down, heal
from warren.lab.lab import Lab, bring_up
from warren.lab.lease import resolvers_file
from warren.lab.sight import ETH_P_ALL
from warren.lab.topology import client_space, host_space
from warren.lab.works import memory, on_each
from warren.model.expect import Down
from warren.model.host import Lan
from warren.sys.apply import down
from warren.sys.machine import Machine
from warren.sys.store import Store

pytestmark = pytest.mark.lab

NETWORK = """
network: lans
overlay: [10.77.0.0/24, "fd77:7:7::/64"]
hosts:
  nyc: {key: KoxN2ZaCrbA2YyeDci+kGcQ5AxN5SUhlp+yFtGO760w=, endpoint: nyc.example.net:51820, uplink: eth0}
  paris:
    key: u4w1QbNc/ia/uKfYBf6Eno17a8T1JKnbXcjpUZLD5RU=
    uplink: eth0
    reflect: [mdns]
    lans:
      wlan0: {address: [192.168.22.1/24, "fd22:22::1/64"], dhcp: true, ra: true}
      br0: {address: 192.168.24.1/28, dhcp: {static: {02:00:5e:00:00:32: 192.168.24.2}}, bridge: [eth1, eth2]}
      eth3: {address: 192.168.23.1/24}
portals: [{from: paris.wlan0, exit: nyc}]
expect:
  - {from: paris.br0.02:00:5e:00:00:32, to: 1.1.1.1, exit: paris}
  - {from: paris.wlan0, to: www.example.org, exit: nyc}
  - {from: paris.wlan0, to: www.example.net, exit: nyc}
"""
PARIS = host_space("paris")


class Wire:
    """What passes at every device of some spaces, by the source port of UDP; `asked` by the port it goes to."""

    def __init__(self, lab: Lab, spaces: Iterator[str] | list[str]) -> None:
        self.sockets = {}
        for space in spaces:
            with lab.spaces.inside(space):
                self.sockets[space] = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
            self.sockets[space].setblocking(False)
        self.seen: set[tuple[str, str, int]] = set()
        self.asked: set[tuple[str, str, int]] = set()

    def look(self) -> set[tuple[str, str, int]]:
        """Give where UDP packets of which source port were seen so far."""
        for space, eye in self.sockets.items():
            while True:
                try:
                    raw, where = eye.recvfrom(65536)
                except BlockingIOError:
                    break
                if raw[0] >> 4 == 4 and raw[9] == 17:
                    at = (raw[0] & 15) * 4
                    self.seen.add((space, where[0], int.from_bytes(raw[at : at + 2], "big")))
                    self.asked.add((space, where[0], int.from_bytes(raw[at + 2 : at + 4], "big")))
        return self.seen


def client(lab: Lab, name: str) -> str:
    (found,) = (one for one in lab.world.clients if one.name == name)
    return client_space(lab.world, found)


def discover(lab: Lab, space: str, to: str) -> None:
    """Ask for a lease by broadcast flag (RFC 2131 section 2), but send the question to one address."""
    mac = bytes.fromhex("020077001122")
    question = struct.pack("!BBBBIHH16s16s192s", 1, 1, 6, 0, 0x77AA77AA, 0, 0x8000, b"", mac.ljust(16, b"\0"), b"")
    question += bytes.fromhex("63825363 350101 3903 0240 ff".replace(" ", ""))
    with lab.spaces.inside(space), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        asker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        asker.bind(("", 68))
        asker.sendto(question.ljust(300, b"\0"), (to, 67))


def resolve(lab: Lab, space: str, name: str, server: str, kind: int = 1) -> str:
    """Ask a resolver for an address; `refused`, `none` or `silence` if it gives none."""
    labels = b"".join(bytes((len(part),)) + part.encode() for part in name.split("."))
    question = struct.pack("!HHHHHH", 0x7777, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, 1)
    answer = b""

    def answered(asker: socket.socket) -> bool:
        nonlocal answer
        with suppress(BlockingIOError):
            answer = asker.recv(4096)
        return bool(answer)

    with lab.spaces.inside(space):
        asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with asker:
        asker.setblocking(False)
        asker.sendto(question, (server, 53))
        lab.wait(lambda: answered(asker), 2, lambda now: None)  # the lab's own DNS works meanwhile
    if not answer:
        return "silence"
    if answer[3] & 15:
        return {3: "no such name", 5: "refused"}.get(answer[3] & 15, str(answer[3] & 15))
    size = 4 if kind == 1 else 16
    return str(ip_address(answer[-size:])) if int.from_bytes(answer[6:8], "big") else "none"


def programs(lab: Lab) -> dict[str, int]:
    """The process that runs each service of paris; 0 while it is being started."""
    found = {}
    for pid in sorted((memory("paris") / "services" / "lans").glob("*.pid")):
        listed = Path(f"/proc/{pid.read_text().strip()}/task/{pid.read_text().strip()}/children").read_text().split()
        found[pid.stem] = int(listed[0]) if listed else 0
    return found


def leases() -> str:
    files = files_of("lan-wlan0", "lans", str(memory("paris") / "services"))
    return Path(files.leases).read_text()


@contextmanager
def other_lease(lab: Lab) -> Iterator[None]:
    """Another lease of wlan0's, in the file alone."""
    before = lab.network
    hosts = tuple(replace(host, lans=tuple(_shorter(lan) for lan in host.lans)) for host in lab.network.hosts)
    lab.network = replace(lab.network, hosts=hosts)
    yield
    lab.network = before


def _shorter(lan: Lan) -> Lan:
    return replace(lan, dhcp=replace(lan.dhcp, lease=7200)) if lan.name == "wlan0" and lan.dhcp else lan


def story() -> dict[str, object]:
    lab = bring_up(network_of(NETWORK), None)
    phone, desk, apart = (client(lab, f"paris.{lan}") for lan in ("wlan0", "br0", "eth3"))
    fixed = client(lab, "paris.br0.02:00:5e:00:00:32")
    found = dict[str, object]()
    found["addresses"] = [
        lab.spaces.run(space, ("ip", "-br", "address", "show", "dev", "eth0")).split()[2]
        for space in (phone, desk, fixed)
    ]
    found["told"] = [line.split()[1] for line in resolvers_file(phone).read_text().splitlines()]
    found["names"] = [
        resolve(lab, phone, "nyc.warren", "192.168.22.1"),
        resolve(lab, phone, "nyc.warren", "192.168.22.1", kind=28),
        resolve(lab, desk, "paris.warren", "192.168.24.1"),
        resolve(lab, desk, "nobody.warren", "192.168.24.1"),
    ]
    found |= unanswered(lab, phone, apart) | reflected(lab, phone, desk) | again(lab)
    found |= led_away(lab, phone, desk)
    found["ports"] = lab.spaces.run(PARIS, ("ip", "-br", "link", "show", "master", "br0")).split()[::4]
    on_each(lab.spaces, ["paris"], lambda host: down("lans", Machine(Store(memory(host)))).items and None)
    links = lab.spaces.run(PARIS, ("ip", "-br", "address")).splitlines()
    found["left"] = {line.split("@")[0].split()[0]: [w for w in line.split()[2:] if w[0] != "f"] for line in links}
    found["programs left"] = [line for line in watching() if "/paris/" in line]
    found["files left"] = [path.name for path in (memory("paris") / "services" / "lans").glob("*")]
    return found


def unanswered(lab: Lab, phone: str, apart: str) -> dict[str, object]:
    """First the very question that is answered on a LAN with leases, then where nobody may answer."""
    wire = Wire(lab, [phone, apart, PARIS, host_space("nyc")])
    discover(lab, phone, "192.168.22.1")
    until(lambda: (phone, "eth0", 67) in wire.look(), 5)
    wire.seen.clear()
    discover(lab, apart, "192.168.23.1")
    discover(lab, apart, "255.255.255.255")
    discover(lab, host_space("nyc"), "10.77.0.2")  # by the tunnel
    discover(lab, host_space("nyc"), "192.168.22.1")  # and to the LAN's own address
    until(lambda: {(PARIS, "eth3", 68), (PARIS, "lans-nyc", 68)} <= wire.look(), 5)  # the questions were there
    time.sleep(1)
    return {
        "questions": sorted((space, device) for space, device, port in wire.look() if port == 68 and space == PARIS),
        "answers": sorted((space, device) for space, device, port in wire.look() if port == 67),
        "dns by tunnel": resolve(lab, host_space("nyc"), "nyc.warren", "192.168.22.1"),
        "dns on another LAN": resolve(lab, apart, "nyc.warren", "192.168.22.1"),
    }


def reflected(lab: Lab, phone: str, desk: str) -> dict[str, object]:
    """A question by multicast DNS on one LAN is heard on the others, and not on the uplink."""
    wire = Wire(lab, [desk, PARIS])
    question = struct.pack("!HHHHHH", 0, 0, 1, 0, 0, 0) + b"\4_ipp\4_tcp\5local\0" + struct.pack("!HH", 12, 1)

    def asked() -> bool:
        with lab.spaces.inside(phone), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            asker.bind(("", 5353))
            mreq = socket.inet_aton("192.168.22.100")
            asker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, mreq)
            asker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
            asker.sendto(question, ("224.0.0.251", 5353))
        time.sleep(0.2)
        return (desk, "eth0", 5353) in wire.look()

    until(asked, 10)
    return {"reflected": sorted(device for space, device, port in wire.look() if space == PARIS and port == 5353)}


def led_away(lab: Lab, phone: str, desk: str) -> dict[str, object]:
    """Who asks on the portal's LAN is answered by way of the tunnel; when that is dead, nobody out there is asked."""
    wire = Wire(lab, [PARIS])
    found: dict[str, object] = {"answered": resolve(lab, phone, "www.example.org", "192.168.22.1")}
    until(lambda: wire.look() and (PARIS, "lans-nyc", 53) in wire.asked, 5)
    found["asked in the clear"] = (PARIS, "eth0", 53) in wire.asked
    resolve(lab, desk, "www.example.org", "192.168.24.1")  # the LAN that stays in Paris: its questions are seen
    until(lambda: wire.look() and (PARIS, "eth0", 53) in wire.asked, 5)
    break_down(lab, (Down(host="nyc"),))
    wire.asked.clear()
    found["answered without"] = resolve(lab, phone, "www.example.net", "192.168.22.1")
    found["the network's names without"] = resolve(lab, phone, "nyc.warren", "192.168.22.1")
    wire.look()
    found["asked without"] = (PARIS, "eth0", 53) in wire.asked
    heal(lab, (Down(host="nyc"),))
    return found


def again(lab: Lab) -> dict[str, object]:
    """What an apply leaves alone, and what it starts anew."""
    until(lambda: all(programs(lab).values()), 5)
    first, given = programs(lab), leases()
    lab.apply(("paris",))
    found: dict[str, object] = {"untouched": programs(lab) == first and leases() == given}
    os.kill(first["lan-wlan0"], signal.SIGKILL)
    until(lambda: programs(lab)["lan-wlan0"] not in (0, first["lan-wlan0"]), 10)
    found["leases outlive it"] = "192.168.22.100" in leases()
    second = programs(lab)
    with other_lease(lab):
        lab.apply(("paris",))
        until(lambda: all(programs(lab).values()), 5)
        changed = programs(lab)
    found["started anew"] = [name for name in second if changed[name] != second[name]]
    found["and kept its leases"] = "192.168.22.100" in leases()
    found["services"] = sorted(changed)
    return found


@pytest.fixture(scope="module")
def told() -> dict[str, object]:
    return enclosed(story)


def test_machines_get_what_they_ask_for(told: dict[str, object]) -> None:
    assert told["addresses"] == ["192.168.22.100/24", "192.168.24.4/28", "192.168.24.2/28"]
    assert told["told"] == ["192.168.22.1"]


def test_the_network_has_names(told: dict[str, object]) -> None:
    assert told["names"] == ["10.77.0.1", "fd77:7:7::1", "10.77.0.2", "no such name"]


def test_a_portal_s_lan_asks_at_its_exit_or_nobody(told: dict[str, object]) -> None:
    assert ip_address(str(told["answered"])) and not told["asked in the clear"]
    assert told["answered without"] in ("silence", "refused") and not told["asked without"]
    assert told["the network's names without"] == "10.77.0.1"


def test_nobody_else_is_answered(told: dict[str, object]) -> None:
    assert ("host.paris", "eth3") in told["questions"] and ("host.paris", "lans-nyc") in told["questions"]  # type: ignore[operator]
    assert told["answers"] == []
    assert told["dns by tunnel"] == told["dns on another LAN"] == "silence"


def test_what_is_said_on_one_lan_is_heard_on_the_others(told: dict[str, object]) -> None:
    assert {"wlan0", "br0", "eth3"} <= set(told["reflected"])  # type: ignore[call-overload]
    assert "eth0" not in told["reflected"]  # type: ignore[operator]


def test_an_apply_starts_anew_what_has_changed_and_nothing_else(told: dict[str, object]) -> None:
    assert told["services"] == ["lan-br0", "lan-wlan0", "mdns"]
    assert told["untouched"] and told["leases outlive it"]
    assert told["started anew"] == ["lan-wlan0"] and told["and kept its leases"]


def test_down_puts_it_all_back(told: dict[str, object]) -> None:
    assert [name.partition("@")[0] for name in told["ports"]] == ["eth1", "eth2"]  # type: ignore[attr-defined]
    left = told["left"]
    assert isinstance(left, dict) and "br0" not in left and left["wlan0"] == [] and left["eth3"] == ["192.168.23.1/24"]
    assert told["programs left"] == [] and told["files left"] == []
