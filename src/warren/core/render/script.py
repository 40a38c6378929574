"""A host's state as a POSIX shell script that does what apply does, on machines that have no Python.

    sh portals-nyc.sh up | down

It needs the real ip (iproute2; busybox's own has no protocol or suppress words), wg, and nft or iptables, whichever
is there when it runs. The order is the plan's: guards first, and last on the way down. Running `up` again repairs;
`down` removes what `up` made, and puts kernel settings back. It keeps what it must remember in /run.

Written for ash: no arrays, no `local`, no `[[`. What can fail and matters fails the script; on the way down nothing
does, so that the rest is still removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from shlex import quote

from warren.core.diff import diff
from warren.core.render.commands import HOOK_SHELL, shell_line
from warren.core.render.consent import add_consent, drop_consent, has_hook
from warren.core.render.ip import route_words, rule_words
from warren.core.render.iptables import HookRule, hook_rules, render_removal, render_restore
from warren.core.render.nft import render_delete, render_table
from warren.core.render.services import Tools, drop_dns, forget_flows, set_dns
from warren.core.render.shell import CONF_SECRET, HEAD, HOOKS, TAIL
from warren.core.render.wg import peer_section, placeholder
from warren.model.change import (
    AddAddress,
    AddConsent,
    AddLink,
    AddRoute,
    AddRule,
    Change,
    Forget,
    PutPeer,
    PutTable,
    RunHook,
    SetDns,
    SetSysctl,
)
from warren.model.firewall import Table
from warren.model.key import SecretRef
from warren.model.prefix import FAMILIES, Family
from warren.model.state import ForgetFlows, HostState, RouteKind, WgInterface


def render_script(state: HostState) -> str:
    """Write the script that brings a host's state up, over nothing of ours, and takes it down again."""
    state = replace(state, consents=tuple(rule for rule in state.consents if has_hook(rule)))
    items = diff(state, HostState(state.host, state.owner, state.backend))
    changes = [item.change for item in items]
    owner = state.owner.replace(":", "-")
    parts = [
        HEAD.format(network=state.owner, host=state.host, owner=owner, file=f"{owner}-{state.host}.sh"),
        HOOKS,
        CONF_SECRET if any(_refs_conf(interface) for interface in state.interfaces) else "",
        _function("firewall_nft", (_fed("nft -f -", render_table(table)) for table in state.tables)),
        _function("firewall_nft_down", (_fed("nft -f -", render_delete(table)) for table in state.tables)),
        _function("firewall_iptables", (line for table in state.tables for line in _iptables_up(table))),
        _function("firewall_iptables_down", (line for table in state.tables for line in _iptables_down(table))),
        _function("up", _up(state, changes)),
        _function("down", _down(state)),
        TAIL,
    ]
    return "".join(parts)


def _up(state: HostState, changes: Sequence[Change]) -> Iterator[str]:
    """Go through the plan's changes, a run of one kind at a time."""
    made = [change.interface for change in changes if isinstance(change, AddLink)]
    risen = not made
    for kind, run in groupby(changes, key=type):
        batch = list(run)
        if kind not in (PutTable, AddConsent, SetSysctl, AddLink, PutPeer, AddAddress, RunHook) and not risen:
            yield from _rise(made)
            risen = True
        if kind is SetSysctl and not risen and any(_of_device(c, made) for c in batch if isinstance(c, SetSysctl)):
            yield from _rise(made)
            risen = True
        yield from _step(state, kind, batch)
    if not risen:
        yield from _rise(made)


def _rise(made: Iterable[WgInterface]) -> Iterator[str]:
    yield from (f'"$IP" link set dev {interface.name} mtu {interface.mtu} up' for interface in made)


def _of_device(change: SetSysctl, made: Iterable[WgInterface]) -> bool:
    return any(f".{interface.name.replace('.', '/')}." in change.name for interface in made)


def _step(state: HostState, kind: type, batch: list) -> Iterator[str]:  # type: ignore[type-arg]
    """Write one run of changes of a kind."""
    if kind is PutTable:
        yield '"firewall_$FIREWALL"'
    elif kind is AddConsent:
        for change in batch:
            yield f"{_line(drop_consent(change.rule, state.owner))} 2>/dev/null || :"
            yield _line(add_consent(change.rule, state.owner))
    elif kind is SetSysctl:
        why = {setting.name: setting.why for setting in state.sysctls}
        for change in batch:
            yield f"setting {_path(change.name)} {change.value} {quote(why[change.name] or 'this network needs it')}"
    elif kind is AddLink:
        yield from _links(batch)
    elif kind is PutPeer:
        for device, changes in groupby(batch, key=lambda change: change.device):
            yield _peers(device, list(changes))
    elif kind is AddAddress:
        for family in FAMILIES:
            lines = [f"address replace {c.address} dev {c.device}" for c in batch if c.address.version == family]
            nodad = " nodad" if family is Family.IPV6 else ""
            yield from _batched("batch", family, (line + nodad for line in lines))
    elif kind is AddRoute:
        for family in FAMILIES:
            routes = (c.route for c in batch if c.route.prefix.version == family)
            yield from _batched("batch", family, (f"route replace {route_words(route)}" for route in routes))
    elif kind is AddRule:
        for family in FAMILIES:
            words = [rule_words(change.rule) for change in batch if change.rule.family == family]
            # A rule that is there already would be refused; the guard stands meanwhile.
            yield from _batched("unbatch", family, (f"rule del {text}" for text in words))
            yield from _batched("batch", family, (f"rule add {text}" for text in words))
    elif kind is Forget:
        yield from _forget(change.flows for change in batch)
    elif kind is SetDns:
        yield from (shell_line(command) for change in batch for command in set_dns(change.config, Tools()))
    elif kind is RunHook:
        yield from (_line((*HOOK_SHELL, change.command.replace("%i", change.device))) for change in batch)


def _down(state: HostState) -> Iterator[str]:
    """Remove everything in the plan's order of removal."""
    yield from _down_hooks(state, state.hooks.pre_down)
    for family in FAMILIES:
        rules = sorted((rule for rule in state.rules if rule.family == family), key=lambda rule: -rule.priority)
        yield from _batched("unbatch", family, (f"rule del {rule_words(rule)}" for rule in rules))
    for family in FAMILIES:
        routes = [route for route in state.routes if route.prefix.version == family]
        routes.sort(key=lambda route: route.kind is not RouteKind.UNICAST)
        yield from _batched("unbatch", family, (f"route del {route_words(route)}" for route in routes))
    yield from (f"{shell_line(command)} || :" for config in state.dns for command in drop_dns(config, Tools()))
    yield from (f"drop_link {interface.name}" for interface in state.interfaces)
    yield from (f"{_line(drop_consent(rule, state.owner))} 2>/dev/null || :" for rule in state.consents)
    yield "restore_settings"
    yield from _forget(state.forget)
    if state.tables:
        yield '"firewall_${FIREWALL}_down"'
    yield from _down_hooks(state, state.hooks.post_down)


def _down_hooks(state: HostState, hooks: Iterable[str]) -> Iterator[str]:
    for interface in state.interfaces[:1]:  # only a conf has hooks, and it has one device
        yield from (f"{_line((*HOOK_SHELL, hook.replace('%i', interface.name)))} || :" for hook in hooks)


def _links(batch: list[AddLink]) -> Iterator[str]:
    for change in batch:
        interface, ref = change.interface, change.interface.private_key
        yield f"make_link {interface.name}"
        words = f"wg set {interface.name} listen-port {interface.listen_port} fwmark {interface.fwmark:#x}"
        if ref.conf_key:
            yield f"{_secret(ref)} | {words} private-key /dev/stdin"
        elif ref.path:
            yield f"[ -r {quote(ref.path)} ] || die {quote(f'no private key in {ref.path}: make one with wg genkey')}"
            yield f"{words} private-key {quote(ref.path)}"
        else:
            yield words  # a conf may leave the key to a hook


def _peers(device: str, batch: list[PutPeer]) -> str:
    """Feed peers to wg; keys come out of their files as it runs, through its input alone."""
    secrets: list[SecretRef] = []
    text = "".join(peer_section(change.peer, change.before, secrets) for change in batch)
    for at, ref in enumerate(secrets):
        text = text.replace(placeholder(at), f"$({_secret(ref)})")
    return f"wg addconf {device} /dev/stdin <<END\n{text}END"


def _secret(ref: SecretRef) -> str:
    if not ref.conf_key:
        return f"cat {quote(ref.path)}"
    return f"conf_secret {quote(ref.path)} {ref.conf_key}"


def _refs_conf(interface: WgInterface) -> bool:
    refs = (interface.private_key, *(peer.psk for peer in interface.peers))
    return any(ref is not None and ref.conf_key for ref in refs)


def _forget(flows: Iterable[ForgetFlows]) -> Iterator[str]:
    lines = dict.fromkeys(" ".join(command.argv) for one in flows for command in forget_flows(one))
    if lines:
        yield "if has conntrack; then"
        yield from (f"    {line} >/dev/null 2>&1 || :" for line in lines)
        yield "else say 'conntrack is not installed: old flows keep their old path until they end'; fi"


def _iptables_up(table: Table) -> Iterator[str]:
    for family in FAMILIES:
        program = _program(family)
        text = render_restore(table, family)
        if not text:
            continue
        yield from _only(family, [_fed(f"{program}-restore -w --noflush", text), *_hooks("hook", table, family)])


def _iptables_down(table: Table) -> Iterator[str]:
    for family in FAMILIES:
        text = render_removal(table, family)
        if text:
            removal = _fed(f"{_program(family)}-restore -w --noflush", text)
            yield from _only(family, [*_hooks("unhook", table, family), removal])


def _hooks(verb: str, table: Table, family: Family) -> Iterator[str]:
    rules: Sequence[HookRule] = hook_rules(table, family)
    for rule in rules:
        place = f" {'-I' if rule.first else '-A'}" if verb == "hook" else ""
        yield f"{verb} {_program(family)} {rule.table} {rule.builtin} {rule.chain}{place}"


def _only(family: Family, lines: Iterable[str]) -> Iterator[str]:
    """Do what is for IPv6 only where there is IPv6."""
    if family is Family.IPV6:
        yield 'if [ -n "$V6" ]; then'
        yield from lines
        yield "fi"
    else:
        yield from lines


def _program(family: Family) -> str:
    return "iptables" if family is Family.IPV4 else "ip6tables"


def _batched(function: str, family: Family, lines: Iterable[str]) -> Iterator[str]:
    text = "".join(f"{line}\n" for line in lines)
    if text:
        yield _fed(f"{function} {family.value}", text)


def _fed(line: str, text: str) -> str:
    """Feed a text to a command."""
    return f"{line} <<'END'\n{text}END"


def _function(name: str, lines: Iterable[str]) -> str:
    body = "\n".join(lines) or ":"
    return f"\n{name}() {{\n{body}\n}}\n"


def _path(name: str) -> str:
    """Turn a setting's dotted name into its path; a slash in it stands for a dot of a device's name."""
    return name.replace(".", "\0").replace("/", ".").replace("\0", "/")


def _line(argv: Sequence[str]) -> str:
    return " ".join(quote(word) for word in argv)
