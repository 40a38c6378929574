"""A host's state as confs for wg-quick(8): one per device, and beside them what the hooks load.

    /etc/wireguard/portals.conf             the first device's conf: its hooks hold what all devices share
    /etc/wireguard/portals-paris.conf       wants the first to be up
    /etc/wireguard/warren-portals/          firewall.nft, rules4, rules6, routes…: read by nft and ip in one go each
    /etc/systemd/system/wg-quick@…          the order of start, where systemd starts them

The order is the plan's. The first conf's PreUp closes the firewall and puts what is `unreachable` and the rules in
place before there is any tunnel; each PostUp adds the routes through its own device; the first conf's PostDown takes
the firewall away when all else is gone, and its PreDown refuses while another device is up. When a start fails
wg-quick runs no PostDown: the guards stay, and the next start, which may find anything in place, begins again.

A state without rules and firewall (a stock device's, a single conf's) is the plain conf that people know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from shlex import join, quote

from warren.core.compare import sysctl_device
from warren.core.render.conf import conf_text
from warren.core.render.consent import add_consent, drop_consent, has_hook
from warren.core.render.ip import route_words, rule_words
from warren.core.render.nft import render_delete, render_table
from warren.core.render.services import NO_CONNTRACK, forget_flows
from warren.core.render.systemd import service_files, service_steps, unwatched
from warren.core.render.tree import SECRET_MODE, File, Rendered, unspoken
from warren.core.render.unsaid import Unsaid
from warren.model.prefix import FAMILIES
from warren.model.state import HostState, Route, RouteKind, Sysctl, WgInterface

CONFS = "etc/wireguard"
UNITS = "etc/systemd/system"
SPOKEN = (
    *("routes", "rules", "tables", "sysctls", "consents", "dns", "forget", "hooks"),
    *("lan_addresses", "services", "names"),
)


def render_wg_quick(state: HostState) -> Rendered:
    """Render a host for wg-quick."""
    if is_plain(state):
        files = tuple(_conf(state, interface, (), _own_hooks(state), plain=True) for interface in state.interfaces)
    else:
        files = (*_Split(state).files(), *service_files(state))
    unsaid = (*_lost_consents(state), *unwatched(state), *unspoken(state, "wg-quick", SPOKEN))
    return Rendered(files, unsaid, tuple(_steps(state)))


def is_plain(state: HostState) -> bool:
    """Say whether wg-quick makes everything of a state by itself, from allowed IPs and addresses."""
    return state.is_conf or not (state.rules or state.tables)


class _Split:
    """A network's state, dealt out to its devices' confs."""

    def __init__(self, state: HostState) -> None:
        self.state = state
        self.first: WgInterface | None = next(iter(state.interfaces), None)
        self.others = state.interfaces[1:]
        self.place = f"{CONFS}/{state.table_name}"
        names = {interface.name for interface in state.interfaces}
        self.shared_routes = [route for route in state.routes if route.device not in names]
        self.consents = [rule for rule in state.consents if has_hook(rule)]
        self.shared_sysctls = [setting for setting in state.sysctls if sysctl_device(setting.name) not in names]

    def files(self) -> Iterator[File]:
        """Give all files, the first conf first."""
        if self.first is None:
            return
        yield _conf(self.state, self.first, ("Table = off",), self._first_hooks(self.first))
        for interface in self.others:
            yield _conf(self.state, interface, ("Table = off",), self._other_hooks(interface))
        yield from self._beside()
        for interface in self.others:
            yield self._order(interface)

    def _beside(self) -> Iterator[File]:
        """Give what the hooks load."""
        yield self._file("firewall.nft", "".join(render_table(table) for table in self.state.tables))
        for family in FAMILIES:
            rules = [f"rule add {rule_words(rule)}" for rule in self.state.rules if rule.family == family]
            yield self._file(f"rules{family.value}", _lines(rules))
        yield self._file("routes", _route_lines(self.shared_routes))
        for interface in self.state.interfaces:
            yield self._file(f"routes.{interface.name}", _route_lines(self._routes_of(interface)))
        settings = (f"# {setting.why}\n{_sysctl(setting)}\n" for setting in self.shared_sysctls)
        yield self._file("sysctl.conf", "".join(settings))
        if self.state.forget:
            yield self._file("forget", _lines(forget_lines(self.state)))
        if self.consents:
            owner = self.state.owner
            yield self._file("consents.up", _lines(_call(add_consent(rule, owner)) for rule in self.consents))
            down = (f"{_call(drop_consent(rule, owner))} || :" for rule in self.consents)
            yield self._file("consents.down", _lines(down))

    def _file(self, name: str, text: str) -> File:
        return File(f"{self.place}/{name}", text, SECRET_MODE)

    def _first_hooks(self, interface: WgInterface) -> Iterator[str]:
        state, at = self.state, f"/{self.place}"
        ahead = self._rules()
        yield f"PreUp = nft -f {at}/firewall.nft"
        yield f"PreUp = ip -batch {at}/routes"
        for family in ahead:
            yield f"PreUp = {self._without_rules(family)} 2>/dev/null || :"
            yield f"PreUp = ip -{family} -batch {at}/rules{family}"
        saved = f"/run/{state.table_name}/sysctl.before"
        if self.shared_sysctls:
            # The newest first: forwarding goes off before accept_ra goes back, or a learned default route is lost.
            names = " ".join(setting.name for setting in reversed(self.shared_sysctls))
            yield f"PreUp = [[ -e {saved} ]] || {{ mkdir -p /run/{state.table_name}; sysctl {names} > {saved}; }}"
            yield f"PreUp = sysctl -q -p {at}/sysctl.conf"
        yield from self._own(interface)
        if state.forget:
            yield f"PostUp = sh {at}/forget"
        if self.consents:
            yield f"PostUp = sh {at}/consents.down 2>/dev/null"
            yield f"PostUp = sh -e {at}/consents.up"
        for other in self.others:
            refused = _refuse(f"take {other.name} down first")
            yield f"PreDown = ! ip link show dev {other.name} >/dev/null 2>&1 || {refused}"
        # What fails on the way down keeps nothing else from being removed.
        if self.consents:
            yield f"PostDown = sh {at}/consents.down"
        for family in ahead:
            yield f"PostDown = {self._without_rules(family)} || :"
        yield f"PostDown = sed 's/^route replace/route del/' {at}/routes | ip -force -batch - || :"
        if self.shared_sysctls:
            yield f"PostDown = sysctl -q -e -p {saved} || :; rm -f {saved}"
        if state.forget:
            yield f"PostDown = sh {at}/forget"
        for table in state.tables:
            yield f"PostDown = nft {quote('; '.join(render_delete(table).splitlines()))}"

    def _other_hooks(self, interface: WgInterface) -> Iterator[str]:
        assert self.first is not None
        refused = _refuse(f"bring {self.first.name} up first: its hooks hold the firewall and the rules")
        for table in self.state.tables:
            yield f"PreUp = nft list table {table.family} {table.name} >/dev/null 2>&1 || {refused}"
        yield from self._own(interface)

    def _own(self, interface: WgInterface) -> Iterator[str]:
        """Do what goes with one device; it is gone with it."""
        settings = [setting for setting in self.state.sysctls if sysctl_device(setting.name) == interface.name]
        if settings:
            yield f"PostUp = sysctl -q -w {' '.join(_sysctl(setting) for setting in settings)}"
        if self._routes_of(interface):
            yield f"PostUp = ip -batch /{self.place}/routes.{interface.name}"

    def _routes_of(self, interface: WgInterface) -> list[Route]:
        return [route for route in self.state.routes if route.device == interface.name]

    def _rules(self) -> list[int]:
        return [family.value for family in FAMILIES if any(rule.family == family for rule in self.state.rules)]

    def _without_rules(self, family: int) -> str:
        return f"sed 's/^rule add/rule del/' /{self.place}/rules{family} | ip -{family} -force -batch -"

    def _order(self, interface: WgInterface) -> File:
        assert self.first is not None
        unit = f"wg-quick@{self.first.name}.service"
        text = f"# {self.first.name} holds the firewall and the rules.\n[Unit]\nRequires={unit}\nAfter={unit}\n"
        return File(f"{UNITS}/wg-quick@{interface.name}.service.d/{self.first.name}-first.conf", text)


def _conf(
    state: HostState, interface: WgInterface, own: Sequence[str], hooks: Iterable[str], *, plain: bool = False
) -> File:
    head = f"{interface.name} of {state.host}: made by `warren render`, which makes it anew"
    text, secrets = conf_text(state, interface, head=head, own=own, hooks=hooks, plain=plain)
    return File(f"{CONFS}/{interface.name}.conf", text, SECRET_MODE, secrets)


def _own_hooks(state: HostState) -> Iterator[str]:
    """Write a conf's own hooks as they were read."""
    hooks = state.hooks
    for stage, commands in (
        ("PreUp", hooks.pre_up),
        ("PostUp", hooks.post_up),
        ("PreDown", hooks.pre_down),
        ("PostDown", hooks.post_down),
    ):
        yield from (f"{stage} = {command}" for command in commands)


def _route_lines(routes: Sequence[Route]) -> str:
    """Write routes for `ip -batch`; those that go nowhere first, and any number of times."""
    ordered = sorted(routes, key=lambda route: (route.prefix.version, route.kind is RouteKind.UNICAST))
    return _lines(f"route replace {route_words(route)}" for route in ordered)


def forget_lines(state: HostState) -> Iterator[str]:
    """Write a shell script that ends old flows whose way changes, where conntrack(8) is installed."""
    yield f"command -v conntrack >/dev/null || {{ echo {quote(NO_CONNTRACK)} >&2; exit 0; }}"
    lines = (_call(command.argv) for flows in state.forget for command in forget_flows(flows))
    yield from (f"{line} >/dev/null 2>&1 || :" for line in dict.fromkeys(lines))


def _lost_consents(state: HostState) -> Iterator[Unsaid]:
    for rule in state.consents:
        if not has_hook(rule):
            yield Unsaid(f"`firewall: {rule.tool}` for {rule.direction}", f"{rule.tool} has no hook for it")


def _steps(state: HostState) -> Iterator[str]:
    if not state.interfaces:
        return
    yield f"copy the files to {state.host}, as root, with their modes"
    for interface in state.interfaces:
        yield f"wg-quick up {interface.name}"
    yield from service_steps(state)


def _sysctl(setting: Sysctl) -> str:
    return f"{setting.name}={setting.value}"


def _call(argv: Sequence[str]) -> str:
    return join(argv)


def _refuse(why: str) -> str:
    return f"{{ echo {quote(why)} >&2; exit 1; }}"


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
