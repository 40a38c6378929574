"""A host's state as a POSIX shell script that does what apply does, on machines that have no Python.

    sh portals-nyc.sh start | stop | restart | status | resolve

It needs the real ip (iproute2; busybox's own has no protocol or suppress words), wg, and nft or iptables, whichever
is there when it runs. The order is the plan's (`core.diff`): guards first, and last on the way out. What it has made
it remembers line by line (`core.render.made`), below /var/run.

Written for ash: no arrays, no `local`, no `[[`. What can fail and matters fails the script, which then undoes it; on
the way out nothing does, so that the rest is still removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from shlex import quote

from warren.core.compare import FORWARDING, sysctl_device
from warren.core.compile.firewall.sets import OPEN_UDP, OWN_TCP
from warren.core.domains import by_answers
from warren.core.render.commands import HOOK_SHELL, shell_line
from warren.core.render.consent import add_consent, drop_consent, has_hook
from warren.core.render.ip import lan_link_lines
from warren.core.render.iptables import render_restore
from warren.core.render.iptables_words import chain_name
from warren.core.render.made import (
    iptables_program,
    made_always,
    made_by_iptables,
    made_by_nft,
    setting_path,
    shell_words,
)
from warren.core.render.nft import render_table
from warren.core.render.programs import Files, argv_of, config_text
from warren.core.render.services import Tools, forget_flows, set_dns
from warren.core.render.shell import CONF_SECRET, FIND_IP, HEAD, OWN_PORTS, RESOLVE, TAIL
from warren.core.render.tree import File, Rendered, unspoken
from warren.core.render.unsaid import Unsaid
from warren.core.render.wg import peer_section, placeholder
from warren.model.endpoint import Endpoint
from warren.model.firewall import Port, Table
from warren.model.key import SecretRef
from warren.model.prefix import FAMILIES
from warren.model.state import HostState, Service, Sysctl, WgInterface

_OWN_TCP = Port("tcp", "dport", OWN_TCP)


def script_name(state: HostState) -> str:
    """Name the script's file."""
    return f"{state.owner.replace(':', '-')}-{state.host}.sh"


def render_sh(state: HostState) -> Rendered:
    """Give the script as a file, what it cannot do, and how it is used."""
    name = script_name(state)
    steps = (
        f"copy {name} to the machine, to a place that outlives a reboot and an upgrade",
        f"sh {name} start, as root: now, and at each start of the machine",
        *(
            [f"sh {name} resolve, every minute by cron: peers are dialled by name"]
            if any(named_endpoints(state))
            else []
        ),
    )
    return Rendered((File(name, render_script(state), 0o755),), tuple(_unsaid(state)), steps, looks=True)


def _unsaid(state: HostState) -> Iterator[Unsaid]:
    yield from unspoken(
        state,
        "a script",
        (
            *("routes", "rules", "tables", "sysctls", "consents", "dns", "forget", "hooks"),
            *("lan_addresses", "services", "lan_links", "names"),
        ),
    )
    if any(service.announces for service in state.services):
        yield Unsaid(
            "that a LAN is told within five seconds that the tunnel is dead",
            "there is no agent that looks",
            "machines on the LAN try IPv6 first meanwhile, and go on by IPv4 after a wait",
        )
    try:
        for table in state.tables:
            for family in FAMILIES:
                render_restore(table, family)
    except ValueError as error:
        yield Unsaid("the firewall on a machine without nft", str(error), "install nftables there")
    for table in state.tables:
        for held in table.sets:
            if (
                held.live and held.name != OPEN_UDP.name and not by_answers(held)
            ):  # what waits now is kept by its port, as what listens is
                yield Unsaid(
                    f"what is put into the set {held.name} later",
                    "nothing feeds it there, so it stays as the script has it",
                    "render again when it should hold something else",
                )


def render_script(state: HostState) -> str:
    """Write the script that brings a host's state up, keeps it, and takes it down again."""
    state = replace(state, consents=tuple(rule for rule in state.consents if has_hook(rule)))
    conf_keys = any(_refs_conf(interface) for interface in state.interfaces)
    try:
        by_iptables = [line for table in state.tables for line in _iptables(table)]
        chains = tuple(made_by_iptables(state))
    except ValueError as error:  # it has no word for something: so this machine must have nft
        by_iptables, chains = [f"die {quote(f'{error}: install nftables')}"], ()
    parts = [
        HEAD.format(network=state.owner, host=state.host, owner=state.owner.replace(":", "-"), file=script_name(state)),
        FIND_IP,
        CONF_SECRET if conf_keys else "",
        "\n# What is made, a line for each thing.",
        _listing("made", made_always(state)),
        _listing("made_nft", made_by_nft(state)),
        _listing("made_iptables", chains),
        "\n# KEY NAME, of peers · DEVICE KEY ENDPOINT, of those that are dialled by a name",
        _listing("names", _names(state)),
        _listing("named", (" ".join(words) for words in named_endpoints(state))),
        RESOLVE,
        OWN_PORTS if any(_keeps_ports(table) for table in state.tables) else "",
        _function("firewall_nft", (line for table in state.tables for line in _nft(table))),
        _function("firewall_iptables", by_iptables),
        _function("forget", _forget(state)),
        _function("before_stop", _hooks(state, state.hooks.pre_down, " || :")),
        _function("after_stop", _hooks(state, state.hooks.post_down, " || :")),
        _function("own", _own(state)),
        _function("up", _up(state)),
        TAIL,
    ]
    return "".join(parts)


def named_endpoints(state: HostState) -> Iterator[tuple[str, str, str]]:
    """List the peers that are dialled by a name: device, key, endpoint."""
    for interface in state.interfaces:
        for peer in interface.peers:
            if peer.endpoint is not None and not is_literal(peer.endpoint):
                yield interface.name, peer.public_key, str(peer.endpoint)


def is_literal(endpoint: Endpoint) -> bool:
    """Say whether an endpoint is an address and not a name."""
    try:
        ip_address(endpoint.host)
    except ValueError:
        return False
    return True


def _names(state: HostState) -> Iterator[str]:
    yield from dict.fromkeys(
        f"{peer.public_key} {peer.name}" for interface in state.interfaces for peer in interface.peers if peer.name
    )


def _up(state: HostState) -> Iterator[str]:
    """Write what makes it all, in the plan's order."""
    yield '"firewall_$FIREWALL"'
    for rule in state.consents:
        yield f"{shell_words(drop_consent(rule, state.owner))} 2>/dev/null || :"
        yield shell_words(add_consent(rule, state.owner))
    for made in state.made_links:
        lines = [f'"$IP" {line}' for line in lan_link_lines(made)]
        yield f"[ -e /sys/class/net/{made.name} ] || {lines[0]}"
        yield from lines[1:]
    own = {interface.name for interface in state.interfaces}
    # Forwarding turned on deletes an RA-learned default route, unless accept_ra is 2 by then.
    settings = sorted(state.sysctls, key=lambda setting: setting.name in FORWARDING)
    yield from (_setting(one) for one in settings if sysctl_device(one.name) not in own)
    for interface in state.interfaces:
        yield from _link(interface)
    yield from _hooks(state, state.hooks.pre_up)
    for interface in state.interfaces:
        yield from _peers(interface)
    for family in FAMILIES:
        yield f"lines address{family.value} \"$STATE/new\" | sed 's/^/address replace /' | batch {family.value}"
    yield from (f'"$IP" link set dev {interface.name} mtu {interface.mtu} up' for interface in state.interfaces)
    yield "dial_all"
    yield from (_setting(one) for one in settings if sysctl_device(one.name) in own)
    yield from (shell_line(command) for config in state.dns for command in set_dns(config, Tools()))
    for family in FAMILIES:
        yield f"lines route{family.value} \"$STATE/new\" | sed 's/^/route replace /' | batch {family.value}"
    yield 'rules "$STATE/new"'
    for service in state.services:
        yield from _service(service)
    yield '[ -n "$again" ] || forget'
    yield from _hooks(state, state.hooks.post_up)


def _service(service: Service) -> Iterator[str]:
    """Write what a program is to read, and run it."""
    files = Files(f"@state@/{service.name}", "")
    if service.live:
        yield f"cat >\"$STATE/{service.name}.live\" <<'END'\n{service.live.rstrip()}\nEND"
    words = (word.replace("@state@", "$STATE") for word in argv_of(service.program, files, Tools()))
    argv = " ".join(f'"{word}"' if "$" in word else quote(word) for word in words)
    text, end = config_text(service, files, Tools()).rstrip(), "'END'"
    if service.secret is not None:  # what stands in its file is put in as the script runs; nothing else has a `$`
        text, end = text.replace(placeholder(0), f"$({_secret(service.secret)})"), "END"
    yield f"service {service.name} {argv} <<{end}\n{text}\nEND"


def _hooks(state: HostState, hooks: Iterable[str], after: str = "") -> Iterator[str]:
    for interface in state.interfaces[:1]:  # only a conf has hooks, and it has one device
        yield from (f"{shell_words((*HOOK_SHELL, hook.replace('%i', interface.name)))}{after}" for hook in hooks)


def _setting(setting: Sysctl) -> str:
    return f"setting {setting_path(setting.name)} {setting.value} {quote(setting.why or 'this network needs it')}"


def _key(ref: SecretRef) -> str:
    """Name the file of a private key, which the one who runs the script may say lies elsewhere."""
    return f'"${{WARREN_KEY:-{ref.path}}}"'


def _own(state: HostState) -> Iterator[str]:
    """Before anything is done: is the key there, and nobody else's device in the way?"""
    refs = dict.fromkeys(interface.private_key for interface in state.interfaces)
    yield from (f"own_key {_key(ref)}" for ref in refs if ref.path and not ref.conf_key)
    yield from (f"own_device {interface.name} {interface.public_key}" for interface in state.interfaces)


def _link(interface: WgInterface) -> Iterator[str]:
    ref = interface.private_key
    yield f"make_link {interface.name}"
    words = f"wg set {interface.name} listen-port {interface.listen_port} fwmark {interface.fwmark:#x}"
    if ref.conf_key:
        yield f"{_secret(ref)} | {words} private-key /dev/stdin"
    elif ref.path:
        yield f"{words} private-key {_key(ref)}"
    else:
        yield words  # a conf may leave the key to a hook


def _peers(interface: WgInterface) -> Iterator[str]:
    """Feed peers to wg; keys come out of their files as it runs, through its input alone."""
    secrets: list[SecretRef] = []
    text = ""
    for peer in interface.peers:
        text += peer_section(replace(peer, endpoint=None), None, secrets)  # dialled once the rest stands
    for at, ref in enumerate(secrets):
        text = text.replace(placeholder(at), f"$({_secret(ref)})")
    if text:
        yield f"wg addconf {interface.name} /dev/stdin <<END\n{text}END"


def _secret(ref: SecretRef) -> str:
    if not ref.conf_key:
        return f"cat {quote(ref.path)}"
    return f"conf_secret {quote(ref.path)} {ref.conf_key}"


def _refs_conf(interface: WgInterface) -> bool:
    refs = (interface.private_key, *(peer.psk for peer in interface.peers))
    return any(ref is not None and ref.conf_key for ref in refs)


def _forget(state: HostState) -> Iterator[str]:
    lines = dict.fromkeys(" ".join(command.argv) for one in state.forget for command in forget_flows(one))
    if lines:
        yield "if has conntrack; then"
        yield from (f"    {line} >/dev/null 2>&1 || :" for line in lines)
        yield "else say 'conntrack is not installed: old flows keep their old path until they end'; fi"


def _keeps_ports(table: Table) -> str:
    """Name the chain in which a gateway keeps its own ports from being published; empty if it publishes nothing."""
    keeps = (chain.name for chain in table.chains for rule in chain.rules if _OWN_TCP in rule.matches)
    return next(keeps, "")


def _nft(table: Table) -> Iterator[str]:
    yield _fed("nft -f -", render_table(table))
    if _keeps_ports(table):
        yield f"own_ports_nft {table.family} {table.name}"


def _iptables(table: Table) -> Iterator[str]:
    """Write our chains of a table, what leads to them, and what this machine keeps to itself."""
    for family in FAMILIES:
        text = render_restore(table, family)
        if not text:
            continue
        program = iptables_program(family)
        fed = _fed(f"{program}-restore $WAIT --noflush", text)
        hooks = f'lines hook{family.value} "$STATE/new" >"$STATE/hooks"'
        loop = f'while read -r words; do hook {program} $words; done <"$STATE/hooks"'
        body = [fed, hooks, loop]
        yield from (['if [ -n "$V6" ]; then', *body, "fi"] if family == 6 else body)
    if kept := _keeps_ports(table):
        yield f"own_ports_iptables {chain_name(table, kept)}"


def _listing(name: str, lines: Iterable[str]) -> str:
    """Write a function that prints lines."""
    text = "".join(f"{line}\n" for line in lines)
    return _function(name, [_fed("cat", text)] if text else [])


def _fed(line: str, text: str) -> str:
    """Feed a text to a command."""
    return f"{line} <<'END'\n{text}END"


def _function(name: str, lines: Iterable[str]) -> str:
    body = "\n".join(lines) or ":"
    return f"\n{name}() {{\n{body}\n}}\n"
