"""What has to change for a host to be what it should be, in an order in which nothing leaks.

Two guards keep portal traffic in (blueprint section 3): nft's, by ingress, and the rules with the `unreachable`
behind every route. Guards go up first and come down last:

    make     tables · consents · LANs' devices · kernel settings · links · peers · addresses · DNS · routes · rules ·
             services
    unmake   services · rules · routes · addresses · peers · DNS · links · LANs' devices · consents · kernel settings ·
             flows · tables

A declared field is compared. A learned one, a peer's endpoint, is written when the peer is made, when none was
ever learned, or when the *declared* endpoint is not the one of the state applied before. Elements of live sets are
never looked at. A living device is altered, never rebuilt.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from warren.core.choices import is_agents
from warren.core.compare import (
    FORWARDING,
    RouteKey,
    by_name,
    link_fields,
    missing,
    normal_route,
    peer_fields,
    plain_rule,
    promote_secondaries,
    route_key,
    same_but_elements,
    same_table,
    satisfied,
    set_along,
    sysctl_device,
)
from warren.core.reasons import Reasons
from warren.model.change import (
    AddAddress,
    AddConsent,
    AddLink,
    AddRoute,
    AddRule,
    Change,
    DropAddress,
    DropConsent,
    DropDns,
    DropLanLink,
    DropLink,
    DropPeer,
    DropRoute,
    DropRule,
    DropService,
    DropTable,
    Forget,
    Item,
    PutElements,
    PutLanLink,
    PutPeer,
    PutService,
    PutTable,
    RetireAddress,
    Rune,
    RunHook,
    SetDns,
    SetLink,
    SetSysctl,
)
from warren.model.endpoint import Endpoint
from warren.model.prefix import Interface, Prefix
from warren.model.state import DnsConfig, HostState, LanAddress, LinkKind, Peer, Route, RouteKind, Rule, WgInterface

_MOVES_PACKETS = (AddRoute, DropRoute, AddRule, DropRule, PutTable, PutElements, DropTable)


def diff(
    desired: HostState,
    observed: HostState,
    before: HostState | None = None,
    restore: Mapping[str, str] | None = None,
    *,
    explain: bool = True,
) -> tuple[Item, ...]:
    """List the changes that make `observed` into `desired`, each with its reason, in a safe order.

    `explain` False leaves the reasons empty: nobody reads those of 4,000 routes that are about to be made.

    `before` is the state that was applied last (the journal's), `restore` what the kernel's settings were before
    warren first altered them; both may be missing. Taking everything down is a diff towards an empty state.
    """
    here = _Diff(desired, observed, before or HostState(desired.host, desired.owner), dict(restore or {}))
    changes = tuple(here.changes())
    if before is None and not any(isinstance(change, _MOVES_PACKETS) for change in changes):
        # Nothing is known of the path that flows had, and nothing alters it.
        changes = tuple(change for change in changes if not isinstance(change, Forget))
    if not explain:
        return tuple(Item(change, rune_of(change), "") for change in changes)
    reasons = Reasons(desired, observed, here.before)
    return tuple(Item(change, rune_of(change), reasons.of(change)) for change in changes)


def rune_of(change: Change) -> Rune:
    """Say whether a change makes, alters or takes away."""
    match change:
        case DropLink() | DropAddress() | DropPeer() | DropRoute() | DropRule() | DropTable() | DropConsent():
            return Rune.DROP
        case DropDns() | Forget() | DropService() | DropLanLink():
            return Rune.DROP
        case SetLink() | RunHook() | RetireAddress() | PutElements():
            return Rune.ALTER
        case SetSysctl():
            return Rune.ALTER if change.before else Rune.ADD
        case PutPeer() | PutTable() | PutService() | PutLanLink():
            return Rune.ADD if change.before is None else Rune.ALTER
        case AddRoute():
            return Rune.ADD if change.replaces is None else Rune.ALTER
        case _:
            return Rune.ADD


@dataclass(frozen=True)
class _Diff:
    desired: HostState
    observed: HostState
    before: HostState
    restore: dict[str, str]

    def changes(self) -> Iterator[Change]:
        hooks = next((s.hooks for s in (self.desired, self.before, self.observed) if s.interfaces), self.desired.hooks)
        wanted, present = by_name(self.desired.interfaces), by_name(self.observed.interfaces)
        new = [interface for name, interface in wanted.items() if name not in present]
        gone = [interface for name, interface in present.items() if name not in wanted]
        kept = [(present[name], interface) for name, interface in wanted.items() if name in present]
        # A port can be held once: what is to go and holds one that is wanted goes before the new device comes.
        ports = {interface.listen_port for interface in (*new, *(after for _, after in kept))} - {0}
        early = [interface for interface in gone if interface.listen_port in ports]
        early_names = {interface.name for interface in early}
        late = [interface for interface in gone if interface.name not in early_names]
        choices = self.desired.choices  # a route that the agent has made is no concern of ours
        routes = [
            route
            for route in self.observed.routes
            if route.device not in early_names and not (choices and is_agents(route, choices))
        ]

        if gone and not wanted:
            yield from self._hooks("PreDown", hooks.pre_down, gone)
        yield from self._tables()
        yield from (AddConsent(rule) for rule in missing(self.desired.consents, self.observed.consents))
        yield from self._lan_links()
        yield from self._sysctls(of_devices=False)
        yield from (DropRoute(route) for route in self.observed.routes if route.device in early_names)
        yield from (DropDns(config) for config in self.observed.dns if config.device in early_names)
        yield from (DropLink(interface.name, self.observed.backend) for interface in early)
        yield from _alter_links(kept)
        yield from (AddLink(interface, self.desired.backend) for interface in new)
        if new:
            yield from self._hooks("PreUp", hooks.pre_up, new)
        for interface in new:
            yield from (PutPeer(interface.name, peer) for peer in interface.peers)
        for was, interface in kept:
            yield from self._peers(was, interface)
        for interface in new:
            yield from (AddAddress(interface.name, address) for address in interface.addresses)
        for was, interface in kept:
            yield from (DropAddress(was.name, address) for address in _resized(was, interface))
            yield from (AddAddress(interface.name, a) for a in missing(interface.addresses, was.addresses))
        for given in missing(self.desired.lan_addresses, self.observed.lan_addresses):
            yield AddAddress(given.device, given.address)
        yield from self._sysctls(of_devices=True)
        yield from self._set_dns(of_services=False)
        yield from _make_routes(self.desired.routes, routes)
        # The rules that exempt stand before those that steer, so they come first.
        yield from (AddRule(rule) for rule in sorted(_missing_rules(self.desired, self.observed), key=_priority))
        yield from self._services()
        yield from self._set_dns(of_services=True)
        if new:
            yield from self._hooks("PostUp", hooks.post_up, new)

        wanted_services = {service.name for service in self.desired.services}
        devices = {config.device for config in self.desired.dns}
        yield from (DropDns(one) for one in self.observed.dns if one.device not in devices and _by_service(one))
        yield from (DropService(one) for one in self.observed.services if one.name not in wanted_services)
        yield from (
            DropRule(rule) for rule in sorted(_missing_rules(self.observed, self.desired), key=_priority, reverse=True)
        )
        if self.desired.is_conf:  # its routes, of which there may be 20,000, go with their device
            gone_names = {interface.name for interface in gone}
            routes = [route for route in routes if route.device not in gone_names]
        yield from _drop_routes(self.desired.routes, routes)
        for was, interface in kept:
            yield from _drop_addresses(was, interface)
        yield from self._leave_lans()
        for was, interface in kept:
            keys = {peer.public_key for peer in interface.peers}
            yield from (DropPeer(was.name, peer) for peer in was.peers if peer.public_key not in keys)
        yield from (
            DropDns(config)
            for config in self.observed.dns
            if config.device not in devices and config.device not in early_names and not _by_service(config)
        )
        yield from (DropLink(interface.name, self.observed.backend) for interface in late)
        kept_links = {link.name for link in self.desired.lan_links}
        yield from (DropLanLink(link) for link in self.observed.lan_links[::-1] if link.name not in kept_links)
        yield from (DropConsent(rule) for rule in missing(self.observed.consents, self.desired.consents))
        yield from self._restores({interface.name for interface in gone})
        yield from self._forgets()
        tables = {(table.family, table.name) for table in self.desired.tables}
        yield from (DropTable(table) for table in self.observed.tables if (table.family, table.name) not in tables)
        if not wanted:  # also for a device that somebody else has removed: its PostUp ran
            yield from self._hooks("PostDown", hooks.post_down, gone or self.before.interfaces)

    def _hooks(self, stage: str, commands: Sequence[str], interfaces: Sequence[WgInterface]) -> Iterator[Change]:
        """Run a conf's hooks; a conf has one device."""
        yield from (RunHook(stage, command, interfaces[0].name) for command in commands)

    def _tables(self) -> Iterator[Change]:
        """Put what differs; what somebody else made of a table is replaced by what the journal says we put."""
        present = {(table.family, table.name): table for table in self.observed.tables}
        put = {(table.family, table.name): table for table in self.before.tables}
        for table in self.desired.tables:
            key = (table.family, table.name)
            found = present.get(key)
            if found is None:
                yield PutTable(table)
            elif same_table(table, found):
                continue
            elif found == put.get(key) and same_but_elements(table, found):
                yield PutElements(table, found)
            else:
                yield PutTable(table, found if found.chains or found.sets else put.get(key, found))

    def _sysctls(self, *, of_devices: bool) -> Iterator[Change]:
        """Settings of our own devices can be written only once these are there; the others come before."""
        ours = {interface.name for interface in self.desired.interfaces}
        present = {setting.name: setting.value for setting in self.observed.sysctls}
        # Forwarding turned on deletes an RA-learned default route, unless accept_ra is 2 by then.
        for setting in sorted(self.desired.sysctls, key=lambda setting: setting.name in FORWARDING):
            if (sysctl_device(setting.name) in ours) is of_devices and not satisfied(setting, present):
                yield SetSysctl(setting.name, setting.value, present.get(setting.name, ""))

    def _restores(self, gone: set[str]) -> Iterator[Change]:
        """Put settings back that are no longer declared, unless somebody has altered them since."""
        declared = {setting.name for setting in self.desired.sysctls}
        ours = {setting.name: setting.value for setting in self.before.sysctls}
        present = {setting.name: setting.value for setting in self.observed.sysctls}
        put_back: dict[str, str] = {}
        for name, value in sorted(self.restore.items(), key=lambda entry: entry[0] not in FORWARDING):
            found = present.get(name, "")
            if name in declared or sysctl_device(name) in gone or found in ("", value):
                continue
            if found == ours.get(name, found) and set_along(name, put_back) != value:
                put_back[name] = value
                yield SetSysctl(name, value, found)

    def _lan_links(self) -> Iterator[Change]:
        """Make and raise LANs' devices. A bridge is altered in place; what becomes another VLAN is made anew."""
        present = {link.name: link for link in self.observed.lan_links}
        for link in self.desired.lan_links:
            found = present.get(link.name)
            if found == link:
                continue
            if found is not None and (found.kind is not LinkKind.BRIDGE or link.kind is not LinkKind.BRIDGE):
                yield DropLanLink(found)
                found = None
            yield PutLanLink(link, found)

    def _services(self) -> Iterator[Change]:
        """Start what does not run; start anew what runs with another configuration. What it learned is not compared."""
        present = {service.name: service for service in self.observed.services}
        for service in self.desired.services:
            found = present.get(service.name)
            if found is None or (found.program, found.config) != (service.program, service.config):
                yield PutService(service, found)

    def _set_dns(self, *, of_services: bool) -> Iterator[Change]:
        """Hand resolvers over; those that a service of ours is are there by then, and go before it does."""
        for config in missing(self.desired.dns, self.observed.dns):
            if _by_service(config) is of_services:
                yield SetDns(config)

    def _leave_lans(self) -> Iterator[Change]:
        """Take our addresses from LANs; where a LAN has another prefix instead, the old one runs out by itself."""
        renumbered = {given.device for given in self.desired.lan_addresses}
        for held in missing(self.observed.lan_addresses, self.desired.lan_addresses):
            kind = RetireAddress if runs_out(held, renumbered) else DropAddress
            yield kind(held.device, held.address)
        for held in missing(self.observed.retired, self.desired.lan_addresses):
            if held.device not in renumbered:
                yield DropAddress(held.device, held.address)

    def _peers(self, was: WgInterface, interface: WgInterface) -> Iterator[Change]:
        present = {peer.public_key: peer for peer in was.peers}
        declared_before = {
            peer.public_key: peer
            for other in self.before.interfaces
            if other.name == interface.name
            for peer in other.peers
        }
        for peer in interface.peers:
            found = present.get(peer.public_key)
            if found is None:
                yield PutPeer(interface.name, peer)
                continue
            after = replace(peer, endpoint=_endpoint(peer, found, declared_before.get(peer.public_key)))
            if peer.psk is not None and not peer.psk_fingerprint:
                # Its file could not be read here, so there is nothing to compare.
                after = replace(after, psk_fingerprint=found.psk_fingerprint)
            if peer_fields(after) != peer_fields(found):
                yield PutPeer(interface.name, after, found)

    def _lost(self) -> bool:
        """Say whether somebody took a table of ours away."""
        present = {(table.family, table.name) for table in self.observed.tables}
        return any((table.family, table.name) not in present for table in self.before.tables)

    def _forgets(self) -> Iterator[Change]:
        """Flows whose path differs from the one that was applied before: a selector came, went or goes elsewhere.

        Where a table that we had put was taken away, nothing that began meanwhile was translated, nor will be.
        """
        known = self.before.forget or self.observed.forget
        came = self.desired.forget if self._lost() else missing(self.desired.forget, known)
        went = missing(known, self.desired.forget)
        seen: set[tuple[Prefix, Prefix | None, int]] = set()
        for flows in (*came, *went):
            selector = flows.source, flows.destination, flows.except_mark
            if selector not in seen:
                seen.add(selector)
                yield Forget(flows)


def runs_out(held: LanAddress, renumbered: Collection[str]) -> bool:
    """Say whether an address of ours on a LAN runs out by itself: IPv6, of a LAN that has others of ours now."""
    return held.address.version == 6 and held.device in renumbered


def _endpoint(peer: Peer, found: Peer, before: Peer | None) -> Endpoint | None:
    """Decide the endpoint of a peer that is there: what it has learned, unless something new was declared."""
    if peer.endpoint is None:
        return found.endpoint
    if found.endpoint is None or (before is not None and before.endpoint != peer.endpoint):
        return peer.endpoint
    return found.endpoint


def _by_service(config: DnsConfig) -> bool:
    """Say whether a device's resolver is a program on this host."""
    return any(server.is_loopback for server in config.servers)


def _alter_links(kept: Sequence[tuple[WgInterface, WgInterface]]) -> Iterator[Change]:
    altered: list[tuple[WgInterface, WgInterface]] = []
    for was, interface in kept:
        # Port 0 asks for any port, and the one it has is as good as another.
        after = interface if interface.listen_port else replace(interface, listen_port=was.listen_port)
        if link_fields(was) != link_fields(after):
            altered.append((was, after))
    # Where one device wants the port that another is about to leave, that one lets go of it first.
    wanted = {after.listen_port for was, after in altered if was.listen_port != after.listen_port}
    for at, (was, after) in enumerate(altered):
        if was.listen_port in wanted:
            free = replace(was, listen_port=0)
            altered[at] = (free, after)
            yield SetLink(was, free)
    yield from (SetLink(was, after) for was, after in altered)


def _resized(was: WgInterface, interface: WgInterface) -> tuple[Interface, ...]:
    """IPv6 addresses whose prefix length alone changes: the kernel takes no second one with the same address."""
    came = {address.ip for address in missing(interface.addresses, was.addresses)}
    went = missing(was.addresses, interface.addresses)
    return tuple(address for address in went if address.version == 6 and address.ip in came)


def _drop_addresses(was: WgInterface, interface: WgInterface) -> Iterator[Change]:
    """Take addresses away, and have the kernel keep the others of their subnets, whoever set them.

    An IPv4 address takes all that were added to its subnet after it along, and the last one the device's routes,
    unless they may be promoted (ip-sysctl: promote_secondaries); the setting goes with the device.
    """
    resized = _resized(was, interface)
    gone = [address for address in missing(was.addresses, interface.addresses) if address not in resized]
    if any(address.version == 4 and address.network.prefixlen < 32 for address in gone):
        yield SetSysctl(promote_secondaries(was.name), "1", "")
    yield from (DropAddress(was.name, address) for address in gone)


def _make_routes(wanted: Sequence[Route], present: Sequence[Route]) -> Iterator[Change]:
    """Make routes, one family after the other; those that go nowhere first, so that a table is never without."""
    found = {route_key(route): route for route in present}
    made: set[RouteKey] = set()
    for route in sorted(wanted, key=lambda route: (route.prefix.version, route.kind is RouteKind.UNICAST)):
        key = route_key(route)
        was = found.get(key)
        if key not in made and (was is None or (was != route and normal_route(was) != normal_route(route))):
            yield AddRoute(route, was)
        made.add(key)


def _drop_routes(wanted: Sequence[Route], present: Sequence[Route]) -> Iterator[Change]:
    """Take routes away; those that go nowhere last."""
    keys = {route_key(route) for route in wanted}
    gone = [route for route in present if route_key(route) not in keys]
    gone.sort(key=lambda route: (route.prefix.version, route.kind is not RouteKind.UNICAST))
    yield from (DropRoute(route) for route in gone)


def _missing_rules(wanted: HostState, present: HostState) -> tuple[Rule, ...]:
    return missing((plain_rule(rule) for rule in wanted.rules), (plain_rule(rule) for rule in present.rules))


def _priority(rule: Rule) -> tuple[int, int]:
    return rule.family, rule.priority
