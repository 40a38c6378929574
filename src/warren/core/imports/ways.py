"""What hooks and full tunnels were for: portals and published ports; and what of a conf is left out, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from warren.core.conf.conf import AUTO, OFF
from warren.core.imports.addresses import Addressed
from warren.core.imports.diagnostics import finding
from warren.core.imports.draft import Draft, HostDraft, PortalDraft, PublishDraft
from warren.core.imports.given import Given
from warren.core.imports.hooks import Accept, Fact, Masquerade, Redirect, Replies, facts_of
from warren.core.imports.parties import Party
from warren.core.imports.reach import Reached
from warren.model.diagnostic import Diagnostic, Where
from warren.model.key import PublicKey
from warren.model.prefix import covers
from warren.model.publish import PortRange

Placed = tuple[Where, Fact]

_SHELL = "Do by hand what it was for, or keep it outside of warren: nothing of it is in the network file."


def read_hooks(given: Given) -> tuple[tuple[Placed, ...], tuple[Diagnostic, ...]]:
    """Read a conf's hooks: the facts of those that set something up, and a finding for each that is not understood."""
    placed: list[Placed] = []
    found: list[Diagnostic] = []
    for line in given.hooks():
        where = line.where(given.file)
        facts = facts_of(line.value, given.conf.name)
        if facts is None:
            found.append(finding("W160", where, what=f"{line.key} = {line.value}", remedy=_SHELL))
        elif line.key.lower() in ("preup", "postup"):
            placed += [(where, fact) for fact in facts]
    return tuple(placed), tuple(found)


def draft_ways(
    parties: Mapping[PublicKey, Party],
    addressed: Addressed,
    reached: Reached,
    facts: Mapping[PublicKey, Sequence[Placed]],
    draft: Draft,
) -> Iterator[Diagnostic]:
    """Add portals and published ports to the draft."""
    hosts = {host.party.key: host for host in draft.hosts}
    for key, placed in facts.items():
        yield from _publish(hosts[key], placed, hosts, addressed, reached, draft)
    for key in facts:
        _portals(hosts[key], hosts, reached, draft)
    for key, placed in facts.items():
        yield from _spent(hosts[key], placed, draft)
        yield from _settings(hosts[key], reached, parties, draft)


# --- portals -------------------------------------------------------------------------------------------------


def _portals(host: HostDraft, hosts: Mapping[PublicKey, HostDraft], reached: Reached, draft: Draft) -> None:
    """A full tunnel takes what the host itself sends, and what its LANs send through it."""
    given = host.party.given
    if given is None or given.conf.table != AUTO:
        return
    by_exit: dict[PublicKey, PortalDraft] = {}
    for key, whole in reached.exits.get(host.party.key, ()):
        before = by_exit.get(key) or PortalDraft(host.name, hosts[key].name, (), ())
        by_exit[key] = PortalDraft(
            host.name, before.exit, (*before.families, whole.family), before.exceptions + whole.exceptions
        )
    for portal in by_exit.values():
        sources = [host.name, *([f"{host.name}.{host.lan}"] if host.lans else [])]
        draft.portals += [PortalDraft(one, portal.exit, portal.families, portal.exceptions) for one in sources]


# --- published ports -----------------------------------------------------------------------------------------


def _publish(
    gateway: HostDraft,
    placed: Sequence[Placed],
    hosts: Mapping[PublicKey, HostDraft],
    addressed: Addressed,
    reached: Reached,
    draft: Draft,
) -> Iterator[Diagnostic]:
    """A gateway's DNATs; an accept in front of one is its exception, and WireGuard's own port needs none."""
    kept = not any(isinstance(fact, Masquerade) and fact.out == gateway.device for _, fact in placed)
    given = gateway.party.given
    own = PortRange("udp", given.conf.listen_port, given.conf.listen_port) if given is not None else None
    exempt: list[PortRange] = []
    by_place: dict[str, PublishDraft] = {}
    for where, fact in placed:
        if not isinstance(fact, Redirect):
            continue
        if fact.exempt and fact.ports is not None:
            exempt += [fact.ports] if fact.ports != own else []
            continue
        to = _place(fact, hosts, draft.names(), addressed, reached)
        if to is not None and to.partition(".")[0] == gateway.name:
            what = f"a DNAT to {fact.to}, which is an address of `{gateway.name}` itself or of its LAN"
            yield finding("W160", where, what=what, remedy="Keep it outside of warren: no tunnel is on its way.")
            continue
        if to is None:
            what = f"a DNAT to {fact.to}, which is nobody's address"
            remedy = "Write `{at: " + gateway.name + ", to: PLACE, ports: …}` under `publish:` for whom it was."
            yield finding("W160", where, what=what, remedy=remedy)
            continue
        ports: tuple[PortRange, ...] = (fact.ports,) if fact.ports is not None else ()
        before = by_place.get(to)
        if before is not None and before.ports and ports:
            ports = (*before.ports, *ports)
        exceptions = tuple(one for one in exempt if not ports or any(_meet(one, port) for port in ports))
        by_place[to] = PublishDraft(gateway.name, to, ports, exceptions, kept)
    draft.publishes += by_place.values()
    six = any(prefix.version == 6 for prefix in draft.overlay)
    if six and given is not None and any("." not in to for to in by_place):
        what = "what comes by IPv6 is published too; iptables did so for IPv4 alone"
        remedy = "Name the target by an IPv4 address on its LAN, or let the gateway have no IPv6 address."
        yield finding("W164", given.top, what=what, remedy=remedy)


def _meet(one: PortRange, other: PortRange) -> bool:
    return one.proto == other.proto and one.first <= other.last and other.first <= one.last


def _place(
    fact: Redirect,
    hosts: Mapping[PublicKey, HostDraft],
    names: Mapping[PublicKey, str],
    addressed: Addressed,
    reached: Reached,
) -> str | None:
    """Name the place of an address: a host by its tunnel address, or `host.address` on its LAN."""
    if fact.to is None:
        return None
    for key, name in names.items():
        if fact.to in addressed.of(key):
            return name
    for key, host in hosts.items():
        if any(covers(prefix, fact.to) for prefix in reached.lans.get(key, ())):
            return f"{host.name}.{fact.to}"
    return None


# --- what is left --------------------------------------------------------------------------------------------


def _spent(host: HostDraft, placed: Sequence[Placed], draft: Draft) -> Iterator[Diagnostic]:
    """Say of each understood hook that became nothing, why; once for each kind of reason."""
    exits = {portal.exit for portal in draft.portals}
    kept = {one.to.partition(".")[0] for one in draft.publishes if one.kept}
    gateway = host.name in {one.gateway for one in draft.publishes}
    said: set[str] = set()
    for where, fact in placed:
        code, what, why, remedy = "W161", "", "", ""
        if isinstance(fact, Accept):
            what, why = "an accept in the host's own firewall", "warren never opens another program's firewall"
            remedy = "Keep it if that firewall drops what it does not know; `warren plan` names the chain then."
        elif isinstance(fact, Masquerade) and fact.out == host.device:
            if not gateway:
                what = "masquerading into the tunnel"
                why = "warren gives LANs that cannot be answered otherwise the host's tunnel address by itself"
                remedy = "Write the LANs behind this host under `lans:`."
        elif isinstance(fact, Masquerade) and host.name not in exits and not draft.devices:
            what, why = "masquerading", "none of the confs sends everything through this host"
            remedy = f"If somebody did, write `{{from: NAME, exit: {host.name}}}` under `portals:`."
        elif isinstance(fact, Replies) and host.name not in kept:
            what = "leading replies back into the tunnel"
            why = "what comes to this host by a gateway's DNAT needs that, and no conf has such a DNAT"
            remedy = f"Write `{{at: GATEWAY, to: {host.name}, ports: …}}` under `publish:`, which includes it."
        if what and what not in said:
            said.add(what)
            yield finding(code, where, what=what, why=why, remedy=remedy)


def _settings(
    host: HostDraft, reached: Reached, parties: Mapping[PublicKey, Party], draft: Draft
) -> Iterator[Diagnostic]:
    """Say of each setting that a network file does not have what becomes of it."""
    given = host.party.given
    if given is None:
        return
    conf = given.conf
    if conf.dns or conf.search:
        what, why = "DNS", "warren sets no resolvers for a network yet"
        names = ", ".join(map(str, (*conf.dns, *conf.search)))
        remedy = f"Let {names} be this host's resolvers in the system's own way."
        yield finding("W161", given.setting("dns"), what=what, why=why, remedy=remedy)
    if conf.table != AUTO:
        kept = {one.gateway for one in draft.publishes if one.to.partition(".")[0] == host.name and one.kept}
        exits = [parties[key].name for key, _ in reached.exits.get(host.party.key, ())]
        unled = sorted(set(exits) - kept)
        written = "off" if conf.table == OFF else conf.table
        what, why = f"Table = {written}", "warren's routes have tables of their own"
        remedy = "Nothing need be done, unless something else looks into that table."
        if unled:
            why += f", and what leads traffic to {' and '.join(unled)} there is not in this conf"
            remedy = f"Say under `portals:` what is to leave at {unled[0]}."
        if unled or not kept:
            yield finding("W161", given.setting("table"), what=what, why=why, remedy=remedy)
    if conf.fwmark:
        why = "warren marks WireGuard's own packets with a mark of its own"
        remedy = "Nothing need be done, unless something else looks for that mark."
        yield finding("W161", given.setting("fwmark"), what=f"FwMark = {conf.fwmark:#x}", why=why, remedy=remedy)
    if conf.save_config:
        why = "the network file says what is so, and nothing writes into it"
        yield finding("W161", given.setting("saveconfig"), what="SaveConfig", why=why, remedy="Nothing need be done.")
