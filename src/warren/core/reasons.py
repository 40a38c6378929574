"""Why each change is made, in plain words.

The reason is read off the states themselves: who the peers of a device are, what a table leads to, what a mark
means. Nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from warren.core.compare import promote_secondaries, sysctl_device
from warren.core.domains import is_young
from warren.core.render.ip import prefix_word
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
    PutElements,
    PutLanLink,
    PutPeer,
    PutService,
    PutTable,
    RetireAddress,
    RunHook,
    SetDns,
    SetLink,
    SetSysctl,
)
from warren.model.choice import FIRST_METRIC
from warren.model.firewall import Chain, Set, Table
from warren.model.prefix import Prefix
from warren.model.state import (
    BEHIND,
    MAIN,
    MARK_MASK,
    OUTER_MARK,
    UPLINK_MARK,
    Action,
    HostState,
    LanLink,
    LinkKind,
    Peer,
    Route,
    RouteKind,
    Rule,
    WgInterface,
)

NO_LONGER = "no longer asked for"


def _lan_link_reason(link: LanLink) -> str:
    if link.kind is LinkKind.VLAN:
        return f"a LAN that is VLAN {link.id} of {link.of}"
    return f"a LAN across {', '.join(link.ports)}" if link.ports else "a LAN's device must be up"


class Reasons:
    """Says why, knowing what is wanted, what is there and what was applied before."""

    def __init__(self, desired: HostState, observed: HostState, before: HostState) -> None:
        self._sysctl_why = {setting.name: setting.why for setting in desired.sysctls}
        self._peer_names = {
            peer.public_key: peer.name
            for state in (before, desired)
            for interface in state.interfaces
            for peer in interface.peers
            if peer.name
        }
        # The first to name a device or a table wins: what is wanted explains better than what goes.
        self._interfaces: dict[str, WgInterface] = {}
        self._leads: dict[tuple[int, int], str] = {}
        for state in (desired, before, observed):
            for interface in state.interfaces:
                self._interfaces.setdefault(interface.name, interface)
            for route in state.routes:
                if route.prefix.prefixlen == 0 and route.device:
                    self._leads.setdefault((route.table, route.prefix.version), route.device)
        self._owners: dict[str, dict[Prefix, Peer]] = {}
        choices = (choice for state in (desired, before) for choice in state.choices)
        self._choices = {choice.table: choice for choice in choices}
        self._stays = set(before.forget) & set(desired.forget)

    def of(self, change: Change) -> str:
        """Give the reason of one change."""
        match change:
            case PutTable():
                return _table_reason(change)
            case PutElements():
                return _elements_reason(change)
            case DropTable():
                return "the guard goes last"
            case SetSysctl() if change.name == promote_secondaries(sysctl_device(change.name)):
                return "the other addresses of a subnet stay when one goes"
            case SetSysctl():
                return self._sysctl_why.get(change.name, "as it was before") or "this network needs it"
            case AddLink():
                return f"tunnel to {self._peers_of(change.interface.peers)}"
            case SetLink():
                return _link_reason(change.before, change.after)
            case PutPeer():
                return self._peer_reason(change)
            case DropPeer():
                return f"{self._name(change.peer)}: {NO_LONGER} on {change.device}"
            case DropLink():
                return NO_LONGER
            case AddAddress() if change.device not in self._interfaces:
                return f"this host is the router of {change.device}"
            case AddAddress():
                return f"this host's address in the tunnels of {change.device}"
            case DropAddress():
                return NO_LONGER
            case RetireAddress():
                return f"{change.device} has another prefix now: flows of this one may end, none begins"
            case PutService() if change.before is None:
                return change.service.why
            case PutService():
                return f"{change.service.why}: its configuration is another one"
            case DropService():
                return NO_LONGER
            case PutLanLink():
                return _lan_link_reason(change.link)
            case DropLanLink() if change.link.kind is LinkKind.RAISED:
                return "it was down before"
            case DropLanLink():
                return NO_LONGER
            case AddRoute():
                return self._route_reason(change.route) + _instead(change)
            case DropRoute():
                return NO_LONGER
            case AddRule():
                return self._rule_reason(change.rule)
            case DropRule():
                return f"{NO_LONGER}: {self._rule_reason(change.rule)}"
            case AddConsent():
                return f"{change.rule.tool} would drop it; you consented to this one rule"
            case DropConsent():
                return NO_LONGER
            case SetDns():
                return f"names are asked of {', '.join(map(str, change.config.servers)) or 'nobody'}"
            case DropDns():
                return NO_LONGER
            case Forget() if change.flows in self._stays:
                return f"what began while warren's table was gone was not translated: {change.flows.reason}"
            case Forget():
                return f"the path of these flows changes: {change.flows.reason}"
            case RunHook():
                return f"{change.stage} of the conf"

    def _name(self, peer: Peer) -> str:
        return peer.name or self._peer_names.get(peer.public_key, "") or peer.public_key

    def _peers_of(self, peers: Iterable[Peer]) -> str:
        names = [self._name(peer) for peer in peers]
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        return shown or "nobody yet"

    def _device(self, name: str, via: Prefix | None = None) -> str:
        """Name a device and whom it leads to."""
        interface = self._interfaces.get(name)
        if interface is None:
            return name
        owner = self._owners_of(interface).get(via) if via is not None else None
        return f"{name} (to {self._name(owner) if owner else self._peers_of(interface.peers)})"

    def _owners_of(self, interface: WgInterface) -> dict[Prefix, Peer]:
        """Give the peer that owns each allowed prefix: looked up for every route, of which there may be 20,000."""
        if interface.name not in self._owners:
            self._owners[interface.name] = {prefix: peer for peer in interface.peers for prefix in peer.allowed_ips}
        return self._owners[interface.name]

    def _peer_reason(self, change: PutPeer) -> str:
        peer, before = change.peer, change.before
        name = self._name(peer)
        if before is None:
            where = f", dialled at {peer.endpoint}" if peer.endpoint else ", which dials us"
            return f"{name} may use {_some(peer.allowed_ips)}{where}"
        says = []
        now, then = set(peer.allowed_ips), set(before.allowed_ips)
        if now - then:
            says.append(f"may also use {_some([p for p in peer.allowed_ips if p not in then])}")
        if then - now:
            says.append(f"may no longer use {_some([p for p in before.allowed_ips if p not in now])}")
        if peer.endpoint != before.endpoint:
            says.append(f"is dialled at {peer.endpoint}")
        if peer.keepalive != before.keepalive:
            says.append(f"keepalive {before.keepalive or 'off'} → {peer.keepalive or 'off'}")
        if peer.psk_fingerprint != before.psk_fingerprint:
            how = "gets a" if not before.psk_fingerprint else "gets another" if peer.psk_fingerprint else "loses its"
            says.append(f"{how} preshared key")
        return f"{name} {'; '.join(says)}"

    def _route_reason(self, route: Route) -> str:
        prefix = prefix_word(route.prefix)
        what = "everything" if route.prefix.prefixlen == 0 else prefix
        if route.kind is RouteKind.BLACKHOLE:
            return f"{what} is nobody's here: an answer to the chain that was not translated back ends in silence"
        if route.kind is not RouteKind.UNICAST:
            device = self._leads.get((route.table, route.prefix.version))
            if route.metric == BEHIND and route.prefix.prefixlen == 0 and device:
                return f"without {device} nothing leaves: no way round the tunnel"
            return f"{what} is refused where no tunnel leads to it"
        told = f"{what} goes by {self._device(route.device, route.prefix)}"
        choice = self._choices.get(route.table)
        if choice is not None and len(choice.exits) > 1:
            told += f", exit {route.metric - FIRST_METRIC + 1} of {len(choice.exits)}"
        return told

    def _rule_reason(self, rule: Rule) -> str:
        who = _who(rule)
        if rule.mark_mask == MARK_MASK and rule.mark == OUTER_MARK:
            return "WireGuard's own packets leave by the uplink, never through a tunnel"
        if rule.mark_mask == MARK_MASK and rule.mark == UPLINK_MARK:
            return "what came in by the uplink, or is exempt, uses the ordinary routes"
        if rule.action is not Action.LOOKUP:
            return "what is marked for an exit that has no route is refused" if rule.invert else f"{who} is refused"
        if rule.table == MAIN:
            if rule.suppress_prefixlength >= 0:
                return f"{who} uses the ordinary routes, but no default route"
            return f"{who} uses the ordinary routes"
        choice = self._choices.get(rule.table)
        if choice is not None and len(choice.exits) > 1:
            return f"{who} leaves by {', else '.join(one.host for one in choice.exits)}: the agent chooses"
        device = self._leads.get((rule.table, rule.family))
        if device is None:
            near = not (rule.iif or rule.source or rule.destination or rule.mark_mask)
            return "the network's own prefixes come before every portal" if near else f"{who} looks up {rule.table}"
        return f"{who} leaves by {self._device(device)}"


def _who(rule: Rule) -> str:
    """Name the packets of a rule."""
    if rule.ipproto and rule.sport in (68, 546):
        return "renewing the DHCP lease"
    if rule.destination is not None:
        what = f"what goes to {prefix_word(rule.destination)}"
    elif rule.iif == "lo":
        what = "the host's own traffic"
    elif rule.oif:
        what = f"what a program here has bound to {rule.oif}"
    elif rule.mark or rule.mark_mask:
        what = f"what is {'not ' if rule.invert else ''}marked {rule.mark:#x}"
    else:
        what = "what comes in" if rule.iif else "everything"
    source = f" from {prefix_word(rule.source)}" if rule.source is not None else ""
    iif = f" at {rule.iif}" if rule.iif and rule.iif != "lo" else ""
    return what + source + iif


def _instead(change: AddRoute) -> str:
    if change.replaces is None:
        return ""
    return f" (it went by {change.replaces.device})" if change.replaces.device else " (it was refused)"


def _table_reason(change: PutTable) -> str:
    before = change.before
    if before is None:
        guard = "the guard goes up first: what comes in by a portal leaves by its exit or not at all"
        return guard + _at_first(change.table, ())
    if not before.chains and not before.sets:
        return "somebody altered it" + _at_first(change.table, ())
    differ = _differing(change.table, before)
    return (f"other rules in {_some(differ)}" if differ else "somebody altered it") + _at_first(
        change.table, before.sets
    )


def _at_first(table: Table, before: tuple[Set, ...]) -> str:
    """Say for how long sets of names are too young to tell what leaves directly; nothing if they were there before."""
    known = {held.name for held in before}
    young = next((held for held in table.sets if is_young(held) and held.name not in known), None)
    if young is None:
        return ""
    return f"; for {young.timeout // 60} minutes everything of portals that take only names leaves by their exits"


def _elements_reason(change: PutElements) -> str:
    old = {held.name: set(held.elements) for held in change.before.sets}
    differ = [held for held in change.table.sets if not held.live and set(held.elements) != old[held.name]]
    new = sum(len(set(held.elements) - old[held.name]) for held in differ)
    gone = sum(len(old[held.name] - set(held.elements)) for held in differ)
    return f"{new:,} elements new and {gone:,} gone in {_some([held.name for held in differ])}"


def _differing(table: Table, before: Table) -> list[str]:
    """Name the chains and sets that are not the same, those that vanish last."""
    then, now = _parts(before), _parts(table)
    return [name for name, part in now.items() if then.get(name) != part] + [name for name in then if name not in now]


def _parts(table: Table) -> dict[str, Set | Chain]:
    parts: list[Set | Chain] = [*table.sets, *table.chains]
    return {part.name: part for part in parts}


def _link_reason(before: WgInterface, after: WgInterface) -> str:
    says = []
    if before.public_key != after.public_key:
        says.append("another private key" if before.public_key else "its private key")
    if before.listen_port != after.listen_port:
        says.append(f"port {before.listen_port} → {after.listen_port or 'any, for a moment'}")
    if before.fwmark != after.fwmark:
        says.append(f"mark {before.fwmark:#x} → {after.fwmark:#x}")
    if before.mtu != after.mtu:
        says.append(f"MTU {before.mtu} → {after.mtu}" if before.mtu else f"it is down; up with MTU {after.mtu}")
    return ", ".join(says)


def _some(things: Sequence[Prefix | str], most: int = 4) -> str:
    """List the first few and count the rest."""
    more = f" and {len(things) - most} more" if len(things) > most else ""
    return (", ".join(t if isinstance(t, str) else prefix_word(t) for t in things[:most]) or "nothing") + more
