"""What examples/nested.yaml is held to on any back end: full packets through both layers, and none of them cut.

phone ── mobile ── internet ── cloud ══ tunnel ══ carrier ── box ── home ── br0: a machine
  ╚══════════════════════ the phone's tunnel ════════════════════════╝
"""

from __future__ import annotations

import errno
import socket
import threading
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from tests.lab.wires import Wires
from warren.core.load import load
from warren.core.walk.places import spot_of
from warren.lab.ask import IP_MTU_DISCOVER, IP_PMTUDISC_DO, IPV6_MTU_DISCOVER
from warren.lab.lab import Lab, bring_up
from warren.model.place import Place, PlaceKind
from warren.model.prefix import FAMILIES, Family

EXAMPLES = Path(__file__).parents[2] / "examples"
MTU = 1380
BULK = 1 << 20  # bytes of a transfer: some 800 full segments
HEADERS = {Family.IPV4: 28, Family.IPV6: 48}  # IP and UDP
WAIT = 20.0
PORT = 7901


@dataclass
class Facts:
    """What was seen, by `family direction`."""

    carried: dict[str, int] = field(default_factory=dict)  # bytes of a TCP transfer that arrived
    largest: dict[str, int] = field(default_factory=dict)  # of the sizes tried, what passed uncut
    refused: dict[str, str] = field(default_factory=dict)  # what the sender of one byte more is told
    cut: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)


def lab_of(name: str) -> Lab:
    file = EXAMPLES / f"{name}.yaml"
    loaded = load(file.read_bytes(), file.with_suffix(".lock").read_bytes(), str(file))
    assert loaded.network is not None, loaded.text()
    return bring_up(loaded.network, loaded.lock)


def ends(lab: Lab) -> dict[str, tuple[str, dict[Family, str]]]:
    """The phone and the machine on the home LAN: their spaces and addresses."""
    client = lab.world.client_by_name["home.br0"]
    guest = lab.lock.guest_by_name["phone"]
    place = Place(PlaceKind.LAN, "home", "br0")
    return {
        "phone": ("device.phone", {family: str(guest.address(family)) for family in FAMILIES}),
        "house": (
            lab.questions.space_of(spot_of(lab.world, place)),
            {family: str(client.address(family)) for family in FAMILIES},
        ),
    }


def measure(lab: Lab, wires: Wires, bulk: int = BULK) -> Facts:
    """Send bulk and probes both ways in both families, with every wire watched."""
    facts = Facts()
    there = ends(lab)
    for family in FAMILIES:
        for source, target in (("phone", "house"), ("house", "phone")):
            key = f"{family.word} {source}"
            sender, receiver = there[source][0], there[target][0]
            to = there[target][1][family]
            facts.carried[key] = transfer(lab, sender, receiver, to, family, bulk)
            for size in (1280, MTU, MTU + 1):
                answered, refused = probe(lab, sender, receiver, to, family, size)
                if answered:
                    facts.largest[key] = size
                elif refused:
                    facts.refused[key] = refused
    facts.cut = wires.look()
    facts.seen = wires.seen
    return facts


def made(lab: Lab, space: str, family: Family, kind: socket.SocketKind) -> socket.socket:
    with lab.spaces.inside(space):
        one = socket.socket(socket.AF_INET if family is Family.IPV4 else socket.AF_INET6, kind)
    one.settimeout(WAIT)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return one


def transfer(lab: Lab, sender: str, receiver: str, to: str, family: Family, bulk: int) -> int:
    """Send bulk by TCP, and count what arrives."""
    count = 0
    with made(lab, receiver, family, socket.SOCK_STREAM) as server:
        server.bind(("", PORT))
        server.listen()
        with made(lab, sender, family, socket.SOCK_STREAM) as caller:
            caller.connect((to, PORT))
            heard, _ = server.accept()
            heard.settimeout(WAIT)
            writer = threading.Thread(target=lambda: (caller.sendall(bytes(bulk)), caller.shutdown(socket.SHUT_WR)))
            writer.start()
            with heard:
                while data := heard.recv(1 << 16):
                    count += len(data)
            writer.join()
    return count


def probe(lab: Lab, sender: str, receiver: str, to: str, family: Family, size: int) -> tuple[bool, str]:
    """Send a UDP packet of so many bytes that must not be cut, and have as much come back."""
    with (
        made(lab, receiver, family, socket.SOCK_DGRAM) as server,
        made(lab, sender, family, socket.SOCK_DGRAM) as caller,
    ):
        for one in (server, caller):
            ipv4 = family is Family.IPV4
            level, option = (socket.IPPROTO_IP, IP_MTU_DISCOVER) if ipv4 else (socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER)
            one.setsockopt(level, option, IP_PMTUDISC_DO)
        server.bind(("", PORT))
        caller.connect((to, PORT))
        server.settimeout(1.0)
        caller.settimeout(1.0)
        payload = bytes(size - HEADERS[family])
        try:
            caller.send(payload)
            heard, who = server.recvfrom(65536)
            server.sendto(heard, who)
            return caller.recv(65536) == payload, ""
        except TimeoutError:
            try:
                caller.send(payload)  # by now the sender knows what fits
            except OSError as error:
                return False, errno.errorcode[error.errno or 0]
            return False, ""
        except OSError as error:
            return False, errno.errorcode[error.errno or 0]


def send_fragments(lab: Lab, space: str, to: str) -> None:
    """Send a datagram that has to be cut: what the wires must see, if they see fragments at all."""
    with made(lab, space, Family(ip_address(to).version), socket.SOCK_DGRAM) as sender:
        sender.sendto(bytes(3000), (to, 9))
