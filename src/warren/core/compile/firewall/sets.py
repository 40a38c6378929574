"""Named sets, and short words for the matches that the chains use again and again."""

from __future__ import annotations

from warren.core.compile.here import Here
from warren.core.compile.meeting import left_places
from warren.model.firewall import (
    Addr,
    CtMark,
    IfName,
    Mark,
    Match,
    NftRule,
    Set,
    SetCtMark,
    SetMark,
    SetRef,
    SetType,
    Statement,
)
from warren.model.prefix import Family, Prefix, prefixes_of, span_of, subtract
from warren.model.state import MARK_MASK, PORTAL_MARK, UPLINK_MARK

TUNNELS = SetRef("tunnels")
BY_UPLINK = CtMark(MARK_MASK, UPLINK_MARK)
SAVE_UPLINK = SetCtMark(MARK_MASK, UPLINK_MARK)
MARK_UPLINK = SetMark(MARK_MASK, UPLINK_MARK)
OF_PORTAL = CtMark(MARK_MASK, PORTAL_MARK)
SAVE_PORTAL = SetCtMark(MARK_MASK, PORTAL_MARK)
UNMARKED = Mark(MARK_MASK, 0)
OWN_TCP, OWN_UDP, OPEN_UDP = SetRef("own_tcp"), SetRef("own_udp"), SetRef("open_udp")
DHCP_CLIENTS = {68, 546}  # RFC 2131 section 4.1, RFC 8415 section 7.2
DNS, DHCP_SERVER, MDNS = 53, 67, 5353
FAMILY_TYPE = {Family.IPV4: SetType.IPV4, Family.IPV6: SetType.IPV6}


def named_sets(here: Here) -> tuple[Set, ...]:
    """List the sets of the table: our devices, and by family what is near, ours to send from, and our LANs."""
    sets = [Set(TUNNELS.name, SetType.IFNAME, here.devices)]
    for family in here.usable:
        sets += [
            Set(near(family).name, FAMILY_TYPE[family], near_prefixes(here, family)),
            Set(ours(family).name, FAMILY_TYPE[family], our_sources(here, family)),
        ]
    return (*sets, *own_sockets(here), *left_places(here))


def own_sockets(here: Here) -> tuple[Set, ...]:
    """List the ports that a gateway keeps to itself, whatever is published.

    UDP clients that wait for an answer at the first apply have ports for a moment only: they are put into a set that
    later applies leave alone. Their later fellows conntrack knows by what they sent.
    """
    if not here.openings:
        return ()
    tunnels = {device.port for device in here.locked.devices if device.name in here.devices}
    heard = here.surroundings.listeners
    served = _served(here)
    tcp = {one.port for one in heard if one.proto == "tcp"} | (served & {DNS})
    udp = {one.port for one in heard if one.proto == "udp" and not one.passing} | tunnels | DHCP_CLIENTS | served
    passing = {one.port for one in heard if one.proto == "udp" and one.passing} - udp
    return (
        Set(OWN_TCP.name, SetType.PORT, tuple(map(str, sorted(tcp)))),
        Set(OWN_UDP.name, SetType.PORT, tuple(map(str, sorted(udp)))),
        Set(OPEN_UDP.name, SetType.PORT, tuple(map(str, sorted(passing))), live=True),
    )


def _served(here: Here) -> set[int]:
    """Give the ports that warren's own programs on this host will listen at: the next apply finds them listening."""
    lans = here.host.lans
    ends = [way for way, at in here.through if at + 1 == len(way.hops)]
    told = any(way.portal.dns is not None or way.portal.other_dns for way in (*here.entering, *ends))
    resolves = told or any(lan.dhcp or lan.ra for lan in lans)
    ports = {DNS} if resolves else set()
    ports |= {DHCP_SERVER} if any(lan.dhcp for lan in lans) else set()
    return ports | ({MDNS} if here.host.reflect else set())


def near(family: Family) -> SetRef:
    """Everything of the network: the overlay, the LANs of all, and our own LANs."""
    return SetRef(f"near{family.value}")


def ours(family: Family) -> SetRef:
    """The sources that the others can answer when they come from here."""
    return SetRef(f"ours{family.value}")


def near_prefixes(here: Here, family: Family) -> tuple[Prefix, ...]:
    """List the members of the near set."""
    network = here.near(family)
    own = tuple(prefix for prefix in here.apart if prefix.version == family)
    return network + own if own else network


def our_sources(here: Here, family: Family) -> tuple[Prefix, ...]:
    """List the members of the ours set; a relay sends from the chains it passes on, too.

    A hub sends from everywhere but its own closed LANs.
    """
    if family not in here.carried:
        return ()
    if here.is_hub:
        closed = [span_of(p) for p in here.own_lans if p.version == family and p not in here.announced]
        near = here.near(family)
        return tuple(prefixes_of(subtract([span_of(p) for p in near], closed), family)) if closed else near
    own = here.fabric.belongings(here.host.name)
    relayed = tuple(
        address
        for way, at in here.through
        if way.addressed and at + 1 < len(way.hops)
        for address in here.fabric.chains_back(here.host.name, way.hops[at - 1])
    )
    return tuple(dict.fromkeys(prefix for prefix in own + relayed if prefix.version == family))


def lans_on_uplink(here: Here, family: Family) -> tuple[Prefix, ...]:
    """List the prefixes of a LAN that shares its device with the uplink, as on a one-armed router."""
    return tuple(
        prefix
        for lan in here.host.lans
        if lan.name == here.host.uplink
        for prefix in lan.prefixes
        if prefix.version == family
    )


def to(family: Family, values: SetRef | tuple[Prefix, ...], negate: bool = False) -> Addr:
    """Match the destination."""
    return Addr("daddr", family, values, negate)


def source(family: Family, values: SetRef | tuple[Prefix, ...], negate: bool = False) -> Addr:
    """Match the source."""
    return Addr("saddr", family, values, negate)


def came_by(*names: str, negate: bool = False) -> IfName:
    """Match the device a packet came in by."""
    return IfName("iif", names, negate)


def leaves_by(*names: str, negate: bool = False) -> IfName:
    """Match the device a packet is about to leave by."""
    return IfName("oif", names, negate)


CAME_BY_TUNNEL = IfName("iif", TUNNELS)
CAME_ELSEWHERE = IfName("iif", TUNNELS, negate=True)
LEAVES_BY_TUNNEL = IfName("oif", TUNNELS)


def rule(*parts: Match | Statement, why: str = "") -> NftRule:
    """Make a rule of matches followed by statements, in reading order."""
    matches = tuple(part for part in parts if isinstance(part, Match))
    statements = tuple(part for part in parts if isinstance(part, Statement))
    return NftRule(matches, statements, why)
