"""Policy rules: new flows are steered by where they come in, and by nothing that can be lost with nft.

`ledger.Step` is the order. There is no rule that looks up main and passes over just the default route
(suppress_prefixlength 0): a 0.0.0.0/1 in main, as a rogue DHCP server or OpenVPN sets it, would lead portal
traffic out. Where main must be asked first, every route shorter than any real subnet is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from warren.core.compile.dns import by_uplink, led_by_port
from warren.core.compile.failover import mark_of, table_of
from warren.core.compile.here import Here
from warren.core.compile.ledger import Step, exit_table, mac_mark
from warren.core.compile.portals import identity
from warren.model.network import Way
from warren.model.place import PlaceKind
from warren.model.portal import Portal
from warren.model.prefix import (
    Address,
    Family,
    Prefix,
    covers,
    family_of,
    host_prefix,
    prefixes_of,
    span_of,
    subtract,
)
from warren.model.state import FRONT, MAIN, MARK_MASK, OUTER_MARK, PRIORITIES, UPLINK_MARK, Action, Rule
from warren.model.surroundings import Surroundings

# A route no longer than this is a default in disguise: 0.0.0.0/1, ::/1, 2000::/3, …
DISGUISED = {Family.IPV4: 7, Family.IPV6: 15}
LOCAL_TABLE = 255


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the rules of one family and owner."""

    family: Family
    slot: int

    def __call__(
        self,
        step: Step,
        table: int = MAIN,
        *,
        iif: str = "",
        oif: str = "",
        source: Prefix | None = None,
        destination: Prefix | None = None,
        mark: int = 0,
        mark_mask: int = 0,
        invert: bool = False,
        action: Action = Action.LOOKUP,
        suppress_prefixlength: int = -1,
        ipproto: str = "",
        sport: int = 0,
        dport: int = 0,
    ) -> Rule:
        return Rule(
            family=self.family,
            priority=step.priority(self.slot),
            table=table if action is Action.LOOKUP else 0,
            action=action,
            iif=iif,
            oif=oif,
            source=source,
            destination=destination,
            mark=mark,
            mark_mask=mark_mask,
            invert=invert,
            suppress_prefixlength=suppress_prefixlength,
            ipproto=ipproto,
            sport=sport,
            dport=dport,
        )


def lay_rules(here: Here) -> tuple[Rule, ...]:
    """Lay out a host's rules, with a second copy in front of foreign rules that would catch our packets."""
    if not here.devices:
        return ()
    rules = tuple(rule for family in here.usable for rule in _family_rules(here, family))
    if stands_in_front(here.surroundings, tuple(lan.name for lan in here.host.lans)):
        rules += tuple(replace(rule, priority=rule.priority - FRONT) for rule in rules)
    return rules


def stands_in_front(surroundings: Surroundings, lans: tuple[str, ...] = ()) -> tuple[Rule, ...]:
    """List the foreign rules before ours that would carry our packets away: catch-alls with a default route."""
    wide = {
        (route.table, route.prefix.version)
        for route in surroundings.routes
        if route.prefix.prefixlen <= DISGUISED[family_of(route.prefix)]
    }
    return tuple(
        rule
        for rule in surroundings.rules
        if 0 < rule.priority < PRIORITIES.start
        and rule.table != LOCAL_TABLE
        and not (rule.source or rule.destination or rule.oif or rule.opaque or rule.ipproto)
        and (not rule.iif or rule.iif in lans)
        and (not rule.mark or rule.invert)
        and (rule.action is not Action.LOOKUP or (rule.table, rule.family.value) in wide)
        and rule.suppress_prefixlength < 0
    )


def _family_rules(here: Here, family: Family) -> Iterator[Rule]:
    rule = _Maker(family, here.ledger.slot)
    yield rule(Step.OUTER, mark=OUTER_MARK, mark_mask=MARK_MASK)
    for prefix in _of(family, here.own_lans):
        yield rule(Step.OWN_LANS, destination=prefix, suppress_prefixlength=DISGUISED[family])
    yield rule(Step.NEAR, here.ledger.table("near"))
    yield rule(Step.UPLINK, mark=UPLINK_MARK, mark_mask=MARK_MASK)
    for way in here.entering:
        if way.portal.source.kind is PlaceKind.MAC and family in way.portal.families:
            mark = here.ledger.mark(mac_mark(identity(way.portal)))
            yield rule(Step.MARKS, table_of(here, way), mark=mark, mark_mask=MARK_MASK, action=_does(here, family))
    for peer in here.chosen_exits if family in here.carried else ():
        yield rule(Step.MARKS, here.exit_table(peer), mark=mark_of(here, peer), mark_mask=MARK_MASK)
    for gateway in here.gateways:
        table = here.ledger.table(exit_table(here.device(gateway)))
        yield rule(Step.MARKS, table, mark=here.gateway_mark(gateway), mark_mask=MARK_MASK, action=_does(here, family))
    for guests in here.guests:
        if guests.nested:  # WireGuard's answers go where the devices wait for them: into the gateway's tunnel
            table = here.ledger.table(exit_table(here.device(guests.dialled)))
            yield rule(Step.MARKS, table, iif="lo", ipproto="udp", sport=guests.port)
    for peer in here.bound_to if family in here.carried else ():
        yield rule(Step.MARKS, here.exit_table(peer), oif=here.device(peer))
    yield from _resolving(here, family, rule)
    yield rule(Step.MARKED, action=Action.UNREACHABLE, mark_mask=MARK_MASK, invert=True)
    yield from _through(here, family, rule)
    yield from _entering(here, family, rule)
    yield from _answering(here, family, rule)


def _resolving(here: Here, family: Family, rule: _Maker) -> Iterator[Rule]:
    """Rules for the host's own questions to resolvers: those of `dns:`, by which way they are asked (`compile.dns`)."""
    for way in here.entering if family in here.carried else ():
        if way.portal.source.kind is PlaceKind.HOST and family in way.portal.families:
            for resolver, port in by_uplink(here, way, family):
                for proto in ("udp", "tcp"):
                    uplink = here.host.uplink
                    yield rule(Step.MARKS, oif=uplink, destination=resolver, ipproto=proto, dport=port)
    for resolver, port, table in led_by_port(here, family):
        for proto in ("udp", "tcp"):
            yield rule(Step.MARKS, table, iif="lo", destination=resolver, ipproto=proto, dport=port)


def exit_of(here: Here, way: Way, at: int = 0) -> int:
    """Give the table by which a way goes on from its hop `at`, which is this host."""
    return here.ledger.table(exit_table(here.device(way.hops[at + 1])))


def _through(here: Here, family: Family, rule: _Maker) -> Iterator[Rule]:
    """Rules for what comes in by a tunnel: chains are passed on, the rest leaves by the uplink."""
    exiting: set[str] = set()
    for way, at in here.through:
        if family not in way.portal.families or family not in here.carried:
            continue
        device = here.device(way.hops[at - 1])
        if at + 1 == len(way.hops):
            exiting.add(device)
            continue
        for address in _of_addresses(family, here.chain(way)):
            yield rule(Step.RELAY, exit_of(here, way, at), iif=device, source=address)
    exiting.update(guests.device for guests in here.guests if any(one.full_tunnel for one in guests.members))
    for device in sorted(exiting):
        yield rule(Step.EXIT, iif=device)


def _entering(here: Here, family: Family, rule: _Maker) -> Iterator[Rule]:
    """Rules for what comes in by a LAN or is the host's own, except for MAC portals, which nft marks."""
    for way in here.entering:
        portal = way.portal
        if family not in portal.families or portal.source.kind is PlaceKind.MAC:
            continue
        table = table_of(here, way)
        exceptions = _of(family, portal.exceptions)
        if portal.source.kind is PlaceKind.HOST:
            yield from _own(here, family, rule)
            for prefix in exceptions:
                yield rule(Step.OWN_EXCEPT, iif="lo", destination=prefix)
            yield rule(Step.OWN, table, iif="lo")
            continue
        lan = portal.source.lan
        for source in _sources(here, portal, family):
            address = source is not None and source.prefixlen == family.bits
            step = Step.LAN if source is None else Step.ADDRESS if address else Step.PREFIX
            for prefix in exceptions:
                yield rule(Step(step - 1), iif=lan, source=source, destination=prefix)
            yield rule(step, table, iif=lan, source=source, action=_does(here, family))


def _answering(here: Here, family: Family, rule: _Maker) -> Iterator[Rule]:
    """Give the answers of published services of this very host a route, where main has none: to no IPv6, often.

    The kernel looks one up before nft can lend the mark by which the gateway is found that was asked; without any it
    would not make the packet at all. Where a portal takes the host's own traffic, that is a route too.
    """
    own_portals = (way.portal for way in here.entering if way.portal.source.kind is PlaceKind.HOST)
    if family not in here.carried or any(family in portal.families for portal in own_portals):
        return
    asked: dict[Address, str] = {}
    for gateway in here.gateways:
        for one in here.opened_by(gateway):
            if one.kept and one.family is family and one.inside in here.own_addresses:
                asked.setdefault(one.inside, gateway)
    for address, gateway in asked.items():
        table = here.ledger.table(exit_table(here.device(gateway)))
        yield rule(Step.OWN, table, iif="lo", source=host_prefix(address))


def _does(here: Here, family: Family) -> Action:
    """What becomes of a LAN's portal traffic: a family that no tunnel carries is refused on the spot."""
    return Action.LOOKUP if family in here.carried else Action.UNREACHABLE


def _own(here: Here, family: Family, rule: _Maker) -> Iterator[Rule]:
    """What of the host's own traffic a portal must leave alone, or the operator is cut off.

    The connected networks of main come first, also because the kernel asks these very rules whether a new
    route's gateway can be reached. What has the uplink's address already answers a flow that came in by it. DHCP
    renews its lease with a server that may be off the link.
    """
    yield rule(Step.OWN_EXCEPT, iif="lo", mark_mask=MARK_MASK, suppress_prefixlength=DISGUISED[family])
    for address in here.surroundings.addresses(here.host.uplink):
        if address.version == family:
            yield rule(Step.OWN_EXCEPT, iif="lo", source=host_prefix(address))
    client, server = (68, 67) if family is Family.IPV4 else (546, 547)
    yield rule(Step.OWN_EXCEPT, iif="lo", ipproto="udp", sport=client, dport=server)


def _sources(here: Here, portal: Portal, family: Family) -> tuple[Prefix | None, ...]:
    """Give what a portal's rules match as source; None is the whole LAN.

    Parts of a LAN that a longer prefix portal takes are cut out, so that rules of one step need no order.
    """
    if portal.source.kind is PlaceKind.LAN:
        return (None,)
    prefix = portal.source.prefix
    if prefix is None or prefix.version != family:
        return ()
    if prefix.prefixlen == family.bits:
        return (prefix,)
    inner = [
        other
        for way in here.entering
        if (other := way.portal.source.prefix) is not None
        and other != prefix
        and other.prefixlen < family.bits
        and covers(prefix, other)
        and family in way.portal.families
    ]
    return tuple(prefixes_of(subtract([span_of(prefix)], [span_of(other) for other in inner]), family))


def _of(family: Family, prefixes: tuple[Prefix, ...]) -> tuple[Prefix, ...]:
    return tuple(prefix for prefix in prefixes if prefix.version == family)


def _of_addresses(family: Family, addresses: tuple[Address, ...]) -> tuple[Prefix, ...]:
    return tuple(host_prefix(address) for address in addresses if address.version == family)
