"""What of an owner's is on the host, as a HostState: what `diff` compares with what should be. Reads only.

An object is ours by its name (devices in the journal; the nft table), by its number (tables and the slot of rules
that the register gave us) or by its mark (protocol 77). What another owner's journal names is that owner's.

Three things the kernel does not know are taken from the states that put them there: the names of peers, where keys
lie, and what a conf's resolvers are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from warren.core.compare import RouteKey, route_key
from warren.model.firewall import Chain, Hook, NftRule, Set, SetType, Table
from warren.model.key import PublicKey, SecretRef
from warren.model.prefix import FAMILIES, Family
from warren.model.state import (
    FRONT_PRIORITIES,
    OWNER_SLOTS,
    PRIORITIES,
    PROTOCOL,
    TABLES,
    Backend,
    HostState,
    LanAddress,
    LanLink,
    LinkKind,
    Peer,
    Route,
    Rule,
    WgInterface,
)
from warren.sys import consent, ip, nft, services, sysctl, wg
from warren.sys.journal import Journal
from warren.sys.register import Register
from warren.sys.resolvers import is_pointed
from warren.sys.run import Run, run

WIREGUARD_KINDS = ("wireguard", "tun")  # wireguard-go's devices are tun


@dataclass(frozen=True, slots=True)
class View:
    """What tells an owner's objects from everybody else's. `desired` is what it wants next, if anything."""

    journal: Journal
    register: Register
    others: tuple[Journal, ...] = ()
    desired: HostState | None = None
    services: str = ""  # where the files of services lie

    @property
    def owner(self) -> str:
        """The owner whose objects are looked for."""
        return self.journal.owner

    @property
    def hints(self) -> tuple[HostState, ...]:
        """Every state of the owner that may be on the host, or is to come."""
        return ((self.desired,) if self.desired else ()) + self.journal.states()


def observe(view: View, run: Run = run) -> HostState:
    """Read what is there of one owner. HostError if a program refuses (no privilege, not installed)."""
    links = {link.name: link for link in ip.links(run)}
    interfaces = _interfaces(view, links, run)
    names = frozenset(interface.name for interface in interfaces)
    userspace = any(links[name].kind == "tun" for name in names)
    wanted = view.desired.backend if view.desired else Backend.KERNEL
    return HostState(
        host=view.desired.host if view.desired else view.journal.host,
        owner=view.owner,
        backend=(Backend.USERSPACE if userspace else Backend.KERNEL) if names else wanted,
        interfaces=interfaces,
        routes=_routes(view, names, run),
        rules=_rules(view, run),
        tables=_tables(view, run),
        sysctls=_sysctls(view),
        consents=consent.observed([rule for state in view.hints for rule in state.consents], view.owner, run),
        dns=_dns(view),
        forget=view.journal.applied.forget if view.journal.applied else (),
        lan_addresses=_lan_addresses(view, links, running_out=False),
        retired=_lan_addresses(view, links, running_out=True),
        services=services.running(view.hints, view.owner, view.services, run),
        lan_links=_lan_links(view, links),
        names=view.journal.applied.names if view.journal.applied else (),
    )


# --- devices -------------------------------------------------------------------------------------------------


def _interfaces(view: View, links: Mapping[str, ip.LinkSeen], run: Run) -> tuple[WgInterface, ...]:
    declared: dict[str, WgInterface] = {}
    for state in view.hints:
        for interface in state.interfaces:
            declared.setdefault(interface.name, interface)
    theirs = frozenset(name for journal in view.others for name in journal.devices())
    candidates = {
        name: links[name]
        for name in declared
        if name in links and links[name].kind in WIREGUARD_KINDS and name not in theirs
    }
    seen = wg.devices(candidates, run)
    known = view.journal.devices()
    found = []
    for name, link in candidates.items():
        device = seen.get(name) or wg.DeviceSeen(name, "", 0, 0)
        # A device that no journal knows (it was lost) is ours if it holds our very key.
        if name in known or device.public_key == declared[name].public_key:
            found.append(_interface(link, device, declared[name], view.hints))
    return tuple(sorted(found, key=lambda interface: interface.name))


def _interface(
    link: ip.LinkSeen, device: wg.DeviceSeen, declared: WgInterface, hints: Sequence[HostState]
) -> WgInterface:
    wanted = {
        address
        for state in hints
        for other in state.interfaces
        if other.name == link.name
        for address in other.addresses
    }
    return WgInterface(
        name=link.name,
        public_key=PublicKey(device.public_key),
        private_key=declared.private_key if device.public_key == declared.public_key else SecretRef(""),
        listen_port=device.listen_port,
        fwmark=device.fwmark,
        mtu=link.mtu if link.up else 0,
        # The kernel gives a tun device a link-local address by itself.
        addresses=tuple(sorted((a for a in link.addresses if a in wanted or not a.ip.is_link_local), key=_by_number)),
        peers=tuple(_peer(each.peer, link.name, hints) for each in device.peers),
    )


def _by_number(address: Any) -> tuple[int, int]:
    return address.version, int(address.ip)


def _peer(seen: Peer, device: str, hints: Sequence[HostState]) -> Peer:
    for state in hints:
        for interface in state.interfaces:
            for peer in interface.peers if interface.name == device else ():
                if peer.public_key == seen.public_key:
                    return replace(seen, name=peer.name, psk=peer.psk if seen.psk_fingerprint else None)
    return seen


def _lan_addresses(view: View, links: Mapping[str, ip.LinkSeen], *, running_out: bool) -> tuple[LanAddress, ...]:
    """Find our addresses on devices that are not ours: those that some state of the owner names."""
    named = dict.fromkeys(given for state in view.hints for given in (*state.lan_addresses, *state.retired))
    theirs = {given for journal in view.others for state in journal.states() for given in state.lan_addresses}
    return tuple(
        given
        for given in sorted(named, key=lambda given: (given.device, *_by_number(given.address)))
        if given not in theirs
        and given.device in links
        and given.address in (links[given.device].running_out if running_out else links[given.device].lasting)
    )


def _lan_links(view: View, links: Mapping[str, ip.LinkSeen]) -> tuple[LanLink, ...]:
    """Find LANs' devices that we have made, by name and kind, and those we have brought up: both as the journal knows.

    Of a bridge's ports only those count that some state of ours names: others may add theirs.
    """
    known = {link.name for link in view.journal.lan_links()}
    theirs = {link.name for journal in view.others for link in journal.lan_links()}
    named = {link.name: link for state in reversed(view.hints) for link in state.lan_links}
    ports = {port for state in view.hints for link in state.lan_links for port in link.ports}
    found = []
    for name, link in named.items():
        seen = links.get(name)
        if seen is None or name not in known or name in theirs:
            continue
        if link.kind is LinkKind.RAISED and seen.up:
            found.append(LanLink(name, link.kind))
        elif link.kind is LinkKind.VLAN and seen.kind == "vlan":
            found.append(LanLink(name, link.kind, of=seen.of, id=seen.vlan))
        elif link.kind is LinkKind.BRIDGE and seen.kind == "bridge":
            held = (port.name for port in links.values() if port.master == name and port.name in ports)
            found.append(LanLink(name, link.kind, ports=tuple(sorted(held))))
    order = tuple(LinkKind)
    return tuple(sorted(found, key=lambda link: (order.index(link.kind), link.name)))


# --- routes and rules ----------------------------------------------------------------------------------------


def _routes(view: View, devices: frozenset[str], run: Run) -> tuple[Route, ...]:
    """Protocol 77 alone does not say whose: the device does, or the table, or who remembers it."""
    listed = [route for family in _families(view) for route in ip.routes(family, protocol=PROTOCOL, run=run)]
    if all(route.device in devices for route in listed):
        return tuple(listed)  # of 20,000 routes no two have to be compared
    tables = frozenset(TABLES) - view.register.others_tables(view.owner) if not _is_conf(view.owner) else frozenset()
    mine = _route_keys(view.hints)
    theirs = _route_keys(state for journal in view.others for state in journal.states())
    wanted = _route_keys([view.desired] if view.desired else [])
    return tuple(
        route
        for route in listed
        if route.device in devices
        or (key := route_key(route)) in wanted
        or ((route.table in tables or key in mine) and key not in theirs)
    )


def _families(view: View) -> tuple[Family, ...]:
    """A conf has routes only where it says so; asking for none takes a program each, too."""
    if not _is_conf(view.owner):
        return FAMILIES
    versions = {route.prefix.version for state in view.hints for route in state.routes}
    return tuple(family for family in FAMILIES if family.value in versions)


def _route_keys(states: Iterable[HostState]) -> set[RouteKey]:
    distinct = {id(state): state for state in states}.values()
    return {route_key(route) for state in distinct for route in state.routes}


def _rules(view: View, run: Run) -> tuple[Rule, ...]:
    slot = None if _is_conf(view.owner) else _slot(view)
    mine = {rule for state in view.hints for rule in state.rules}
    theirs = {rule for journal in view.others for state in journal.states() for rule in state.rules}
    wanted = set(view.desired.rules) if view.desired else set()
    if _is_conf(view.owner) and not mine and not wanted:
        return ()
    return tuple(
        rule
        for rule in ip.rules(run)
        if rule.protocol == PROTOCOL
        and (rule in wanted or (rule not in theirs and (rule in mine or _in_slot(rule, slot))))
    )


def _slot(view: View) -> int | None:
    given = [given.ledger.slot for given in view.register.owners if given.owner == view.owner]
    return given[0] if given else None


def _in_slot(rule: Rule, slot: int | None) -> bool:
    for block in (PRIORITIES, FRONT_PRIORITIES):
        if slot is not None and rule.priority in block:
            return (rule.priority - block.start) % len(OWNER_SLOTS) == slot
    return False


def _is_conf(owner: str) -> bool:
    return owner.startswith("conf:")


# --- firewall, settings, resolvers ---------------------------------------------------------------------------


def _tables(view: View, run: Run) -> tuple[Table, ...]:
    names = {(table.family, table.name): table for state in reversed(view.hints) for table in state.tables}
    if not _is_conf(view.owner):
        default = HostState("", view.owner).table_name
        names.setdefault(("inet", default), Table(default))
    if not names:
        return ()  # a conf that needs no firewall needs no nft
    present = set(nft.tables(run))
    found = []
    for family, name in sorted(names):
        listed = nft.listing(family, name, run) if (family, name) in present else None
        if listed is not None:
            found.append(_table(view, family, name, listed))
    return tuple(found)


def _table(view: View, family: str, name: str, listed: list[nft.Entry]) -> Table:
    """Give the table as we installed it if it is still that, else what can be told of its shape."""
    installed = dict(view.journal.installed).get(name)
    for table in view.journal.applied.tables if view.journal.applied else ():
        same_name = (table.family, table.name) == (family, name)
        if same_name and installed == nft.digest(listed, live_sets(table)):
            return table
    live = frozenset(held.name for s in view.hints for t in s.tables if t.name == name for held in t.sets if held.live)
    return _shape(family, name, listed, live)


def live_sets(table: Table) -> frozenset[str]:
    """Name the sets whose elements belong to somebody else."""
    return frozenset(held.name for held in table.sets if held.live)


_ALTERED = NftRule((), (), "not what warren installed")


def _shape(family: str, name: str, listed: list[nft.Entry], live: frozenset[str]) -> Table:
    sets, chains = [], []
    filled = {entry["rule"]["chain"] for entry in listed if "rule" in entry}
    for entry in listed:
        if "set" in entry or "map" in entry:
            body = entry.get("set") or entry["map"]
            listed_type = body.get("type", "")
            said = listed_type if isinstance(listed_type, str) else " . ".join(listed_type)
            kind = next((kind for kind in SetType if kind.value == said), SetType.IPV4)
            to = next((one for one in SetType if one.value == body.get("map")), None)
            lasts = int(body.get("timeout", 0))
            sets.append(Set(body["name"], kind, live=body["name"] in live, timeout=lasts, to=to))
        elif "chain" in entry:
            body = entry["chain"]
            hook = Hook(body["type"], body["hook"], body["prio"]) if "hook" in body else None
            chains.append(Chain(body["name"], (_ALTERED,) if body["name"] in filled else (), hook))
    return Table(name, tuple(sets), tuple(chains), family)


def _sysctls(view: View) -> tuple[Any, ...]:
    declared = {setting.name for state in view.hints for setting in state.sysctls}
    held = {held.name for held in view.register.settings if view.owner in held.holders}
    return sysctl.read_all(declared | held)


def _dns(view: View) -> tuple[Any, ...]:
    """Say what would make a second attempt right after one that was cut short.

    What was handed to others cannot be read back; what was written into the host's file can.
    """
    told = view.journal.applied.dns if view.journal.applied else ()
    wanted = view.desired.dns if view.desired else ()
    applied = tuple(config for config in told if config not in wanted or is_pointed(config, view.services))
    if view.journal.pending is None or view.journal.applied == view.desired:
        return applied
    maybe = dict.fromkeys((*view.journal.pending.dns, *applied))
    return tuple(config for config in maybe if config not in wanted)
