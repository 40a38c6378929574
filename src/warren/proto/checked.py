"""What `warren netcheck` found, and what it means: each finding with what helps. Decides nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from warren.proto.address import Address
from warren.proto.check import FORBIDDEN, NOBODY, Checked
from warren.proto.shown import Shown


@dataclass(frozen=True, slots=True)
class Tried:
    """A server as the file names it, one of its addresses, and its public key."""

    name: str
    place: Address
    key: bytes


@dataclass(frozen=True, slots=True)
class Version:
    """One IP version: the address with which packets leave (None: there is no way), and what servers told.

    `tcp`, where nothing came by UDP: whether a server's machine answers by TCP, if only that nobody listens.
    """

    version: int
    source: IPv4Address | IPv6Address | None
    tried: tuple[Tried, ...] = ()
    checked: Checked | None = None
    tcp: bool | None = None

    @property
    def reached(self) -> bool:
        """Whether any server answers."""
        return self.checked is not None and any(one.observed is not None for one in self.checked.servers)


@dataclass(frozen=True, slots=True)
class Router:
    """A router of the uplink: by which protocols it could open a port; its address outside, "" if it says none."""

    address: str
    speaks: tuple[str, ...]
    outside: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Both versions, servers whose names stand for no address, and whether packets went as WireGuard's own do."""

    versions: tuple[Version, ...]
    unknown: tuple[str, ...] = ()
    by_uplink: bool = False
    routers: tuple[Router, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether any server answers."""
        return any(one.reached for one in self.versions)

    def inside(self, router: Router) -> bool:
        """Say whether a router is itself behind a NAT: servers see another IPv4 address than it says it has."""
        four = [one.checked for one in self.versions if one.version == 4 and one.checked is not None]
        seen = {str(server.observed.ip) for one in four for server in one.servers if server.observed is not None}
        return bool(router.outside and seen) and router.outside not in seen


class Kind(StrEnum):
    """What can be found, for programs."""

    NO_WAY_OUT = "no-way-out"
    NO_NAME = "no-name"
    BLOCKED = "udp-blocked"
    NO_SERVER = "no-server"
    NO_ANSWER = "no-answer"
    SILENT = "server-silent"
    ONE_SERVER = "one-server"
    PORT_FOR_EACH = "port-for-each"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be, and what helps."""

    kind: Kind
    says: str
    remedy: str


def findings(report: Report) -> tuple[Finding, ...]:
    """Say what is not as it should be, the gravest first."""
    return tuple(_findings(report))


def _findings(report: Report) -> Iterator[Finding]:
    if all(one.source is None for one in report.versions):
        yield Finding(
            Kind.NO_WAY_OUT,
            "There is no way out of this host: no route leads to the internet, by IPv4 or by IPv6.",
            "See to the cable, the Wi-Fi or DHCP; `ip route` has to show a default route.",
        )
    for name in report.unknown:
        yield Finding(
            Kind.NO_NAME,
            f"{name.rpartition(':')[0]} stands for no address.",
            "Ask with `getent ahosts`; if the name is right, this host's name server does not answer.",
        )
    for one in report.versions:
        if one.checked is not None and not one.reached:
            yield _unreached(one, one.checked)
    for one in report.versions:
        if one.checked is not None and one.reached:
            yield from _silent(one, one.checked)
            yield from _mapping(one, one.checked)


def _unreached(one: Version, checked: Checked) -> Finding:
    """Say why no server answers, as far as that can be told from here."""
    troubles = [server.trouble for server in checked.servers]
    forbidden = next((said for said in troubles if said.startswith(FORBIDDEN)), None)
    ports = ", ".join(str(port) for port in dict.fromkeys(server.place.port for server in checked.servers))
    if forbidden is not None:
        return Finding(
            Kind.BLOCKED,
            f"UDP is blocked here over IPv{one.version}: what is sent to servers is {forbidden}.",
            f"Let UDP to port {ports} out in the firewall that says so. WireGuard itself needs UDP, too.",
        )
    if all(said.startswith(NOBODY) for said in troubles):
        return Finding(
            Kind.NO_SERVER,
            f"No server runs where the file says, over IPv{one.version}: nobody listens at UDP port {ports} there.",
            "Start `warren rendezvous` on those machines, or correct `address:` in the file.",
        )
    if one.tcp:
        return Finding(
            Kind.BLOCKED,
            f"UDP is blocked here over IPv{one.version}: machines that answer by TCP do not answer by UDP.",
            f"Let UDP to port {ports} out in this network's firewall, or ask whoever runs it. If it is the same from "
            "another network, no server runs there, or its own firewall keeps UDP out.",
        )
    return Finding(
        Kind.NO_ANSWER,
        f"Nothing answers over IPv{one.version}: no server by UDP, and none of their machines by TCP.",
        "Either this network lets nothing out, or the servers are down: try from another network.",
    )


def _silent(one: Version, checked: Checked) -> Iterator[Finding]:
    for tried, server in zip(one.tried, checked.servers, strict=True):
        if server.observed is None:
            why = f": {server.trouble}" if server.trouble else ""
            yield Finding(
                Kind.SILENT,
                f"The server {tried.name} does not answer at {server.place}{why}.",
                "See whether `warren rendezvous` runs there with the key of the file, and whether its firewall lets in "
                f"UDP at port {server.place.port}. The others suffice meanwhile.",
            )


def _mapping(one: Version, checked: Checked) -> Iterator[Finding]:
    if checked.shown is Shown.UNKNOWN:
        yield Finding(
            Kind.ONE_SERVER,
            f"Only one server has seen this host over IPv{one.version}, so whether its NAT shows everybody the same "
            "port cannot be told.",
            "Name a second server at another address under `rendezvous:`, or with --server.",
        )
    if checked.shown is Shown.EACH:
        yield Finding(
            Kind.PORT_FOR_EACH,
            "The NAT shows another port to each whom this host talks to: others cannot know at which to answer, so "
            "most paths go by the relay.",
            "Some routers can be told otherwise: look for «endpoint-independent», «full cone» or «static port». Or "
            "forward a port, and give this host an `endpoint:`.",
        )
