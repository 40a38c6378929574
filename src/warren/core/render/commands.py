"""The very commands that carry out a plan: one process for each run of like changes, never one for each route.

`core.diff` has the order; here neighbours that one process can do are put into one batch.

    links      ip -batch -          peers    wg addconf DEV /dev/stdin      settings  sysctl -w
    routes     ip -4|-6 -batch -    firewall nft -f -                       flows     conntrack -D

A secret is never part of a command: a key that lies alone in a file is named by its path, every other one is
written `@secret:N@` in the input and put in by whoever runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from shlex import quote

from warren.core.render.consent import add_consent, drop_consent
from warren.core.render.ip import drop_lan_link_line, lan_link_lines, route_words, rule_words
from warren.core.render.nft import render_delete, render_elements, render_table
from warren.core.render.programs import start_service, stop_service
from warren.core.render.services import Tools, drop_dns, forget_flows, set_dns
from warren.core.render.wg import peer_section, wg_set
from warren.model.change import (
    AddAddress,
    AddConsent,
    AddLink,
    AddRoute,
    AddRule,
    Change,
    Command,
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
    RunHook,
    SetDns,
    SetLink,
    SetSysctl,
)
from warren.model.key import SecretRef
from warren.model.prefix import Family, family_of
from warren.model.state import Backend, WgInterface

RUNS_OUT = 7200  # seconds
PEERS_A_CALL = 500  # so that the keys of a thousand peers to remove fit into an argument list
HOOK_SHELL = ("bash", "-e", "-o", "pipefail", "-O", "extglob", "-c")  # the options that wg-quick runs hooks under
ALL_SILENT = 'for name; do ! wg show "$name" >/dev/null 2>&1 || exit 1; done'


def commands(items: Sequence[Item], owner: str = "", tools: Tools | None = None) -> tuple[Command, ...]:
    """Write the commands of a plan's items in their order; `owner` tags what stands in other tools' tables."""
    return tuple(_Writer(owner, tools or Tools()).write([item.change for item in items]))


@dataclass
class _Writer:
    owner: str
    tools: Tools
    rising: list[WgInterface] = field(default_factory=list)  # made, and brought up once peers and addresses are there

    def write(self, changes: Sequence[Change]) -> Iterator[Command]:
        for key, run in groupby(changes, key=_batch):
            batch = list(run)
            if not isinstance(batch[0], (AddLink, SetLink, PutPeer, AddAddress)) and not _is_pre_up(batch[0]):
                yield from self._rise()
            yield from _WRITERS[key[0]](self, batch)
        yield from self._rise()

    def _rise(self) -> Iterator[Command]:
        """Bring new devices up, after their peers and addresses, before anything that needs them up."""
        if self.rising:
            lines = [f"link set dev {interface.name} mtu {interface.mtu} up" for interface in self.rising]
            yield ip_batch(lines, f"bring up {_names(interface.name for interface in self.rising)}")
            self.rising = []

    def add_links(self, batch: list[AddLink]) -> Iterator[Command]:
        kernel = [change.interface.name for change in batch if change.backend is not Backend.USERSPACE]
        if kernel:
            yield ip_batch([f"link add dev {name} type wireguard" for name in kernel], f"make {_names(kernel)}")
        for change in batch:
            interface = change.interface
            if change.backend is Backend.USERSPACE:
                yield Command(
                    (self.tools.userspace, interface.name),
                    says=f"make {interface.name} with {self.tools.userspace}",
                    until=("wg", "show", interface.name),
                )
            yield wg_set(interface, port=True, mark=True, key=True)
            self.rising.append(interface)

    def set_links(self, batch: list[SetLink]) -> Iterator[Command]:
        for change in batch:
            was, now = change.before, change.after
            port, mark = was.listen_port != now.listen_port, was.fwmark != now.fwmark
            key = was.public_key != now.public_key
            if port or mark or key:
                yield wg_set(now, port=port, mark=mark, key=key)
        resized = [change.after for change in batch if change.before.mtu != change.after.mtu]
        if resized:
            lines = [f"link set dev {interface.name} mtu {interface.mtu} up" for interface in resized]
            yield ip_batch(lines, f"set the MTU of {_names(interface.name for interface in resized)}")

    def put_peers(self, batch: list[PutPeer]) -> Iterator[Command]:
        device = batch[0].device
        secrets: list[SecretRef] = []
        text = "".join(peer_section(change.peer, change.before, secrets) for change in batch)
        yield Command(
            ("wg", "addconf", device, "/dev/stdin"),
            stdin=text,
            secrets=tuple(secrets),
            says=f"{_count(batch, 'peer')} of {device}",
        )

    def drop_peers(self, batch: list[DropPeer]) -> Iterator[Command]:
        device = batch[0].device
        for at in range(0, len(batch), PEERS_A_CALL):
            words = [w for c in batch[at : at + PEERS_A_CALL] for w in ("peer", c.peer.public_key, "remove")]
            yield Command(("wg", "set", device, *words), says=f"remove {_count(batch, 'peer')} of {device}")

    def add_addresses(self, batch: list[AddAddress]) -> Iterator[Command]:
        # Nobody else is on the link: no need to wait until the kernel has asked whether the address is taken.
        lines = [
            f"address add {change.address} dev {change.device}" + (" nodad" if change.address.version == 6 else "")
            for change in batch
        ]
        yield ip_batch(lines, _count(batch, "address", "addresses"))

    def drop_addresses(self, batch: list[DropAddress]) -> Iterator[Command]:
        lines = [f"address del {change.address} dev {change.device}" for change in batch]
        yield ip_batch(lines, f"remove {_count(batch, 'address', 'addresses')}")

    def retire_addresses(self, batch: list[RetireAddress]) -> Iterator[Command]:
        # Two hours is the least that machines let a lifetime be cut to by an advertisement (RFC 4862 section 5.5.3).
        lines = [f"address change {c.address} dev {c.device} preferred_lft 0 valid_lft {RUNS_OUT}" for c in batch]
        yield ip_batch(lines, f"let {_count(batch, 'address', 'addresses')} run out")

    def put_lan_links(self, batch: list[PutLanLink]) -> Iterator[Command]:
        lines = [line for change in batch for line in lan_link_lines(change.link, change.before)]
        yield ip_batch(lines, f"LANs' devices {_names(change.link.name for change in batch)}")

    def drop_lan_links(self, batch: list[DropLanLink]) -> Iterator[Command]:
        lines = [drop_lan_link_line(change.link) for change in batch]
        yield ip_batch(lines, f"LANs' devices {_names(change.link.name for change in batch)} as they were")

    def put_services(self, batch: list[PutService]) -> Iterator[Command]:
        for change in batch:
            yield from start_service(change.service, self.owner, self.tools, anew=change.before is not None)

    def drop_services(self, batch: list[DropService]) -> Iterator[Command]:
        for change in batch:
            yield from stop_service(change.service, self.owner, self.tools)

    def drop_links(self, batch: list[DropLink]) -> Iterator[Command]:
        made = ip_batch([f"link del dev {c.name}" for c in batch], f"remove {_names(c.name for c in batch)}")
        # wireguard-go sees that its device is gone, and lets go of its port, a moment later.
        served = [change.name for change in batch if change.backend is Backend.USERSPACE]
        yield replace(made, until=("sh", "-c", ALL_SILENT, "sh", *served)) if served else made

    def routes(self, batch: list[AddRoute] | list[DropRoute]) -> Iterator[Command]:
        family = family_of(batch[0].route.prefix)
        lines = [f"route {_route_verb(change)} {route_words(change.route)}" for change in batch]
        yield ip_batch(lines, f"{_removed(batch[0])}{_count(batch, f'{family.word} route')}", family)

    def rules(self, batch: list[AddRule] | list[DropRule]) -> Iterator[Command]:
        family = batch[0].rule.family
        verb = "add" if isinstance(batch[0], AddRule) else "del"
        lines = [f"rule {verb} {rule_words(change.rule)}" for change in batch]
        yield ip_batch(lines, f"{_removed(batch[0])}{_count(batch, f'{family.word} rule')}", family)

    def put_tables(self, batch: list[PutTable]) -> Iterator[Command]:
        text = "".join(render_table(change.table, change.before) for change in batch)
        yield Command(("nft", "-f", "-"), stdin=text, says=f"nft table {_names(c.table.name for c in batch)}")

    def put_elements(self, batch: list[PutElements]) -> Iterator[Command]:
        text = "".join(render_elements(change.table, change.before) for change in batch)
        says = f"sets of nft table {_names(c.table.name for c in batch)}"
        yield Command(("nft", "-f", "-"), stdin=text, says=says)

    def drop_tables(self, batch: list[DropTable]) -> Iterator[Command]:
        text = "".join(render_delete(change.table) for change in batch)
        yield Command(("nft", "-f", "-"), stdin=text, says=f"remove nft table {_names(c.table.name for c in batch)}")

    def sysctls(self, batch: list[SetSysctl]) -> Iterator[Command]:
        # procps reads `net.ipv4.conf.eth0/100.rp_filter` as we write it: a slash stands for a dot in a name.
        settings = tuple(f"{change.name}={change.value}" for change in batch)
        yield Command(("sysctl", "-q", "-w", *settings), says=_count(batch, "kernel setting"))

    def add_consents(self, batch: list[AddConsent]) -> Iterator[Command]:
        for change in batch:
            yield Command(add_consent(change.rule, self.owner), says=f"let it pass {change.rule.tool}")

    def drop_consents(self, batch: list[DropConsent]) -> Iterator[Command]:
        for change in batch:
            yield Command(drop_consent(change.rule, self.owner), says=f"take the rule out of {change.rule.tool}")

    def set_dns(self, batch: list[SetDns]) -> Iterator[Command]:
        for change in batch:
            yield from set_dns(change.config, self.tools)

    def drop_dns(self, batch: list[DropDns]) -> Iterator[Command]:
        for change in batch:
            yield from drop_dns(change.config, self.tools)

    def forget(self, batch: list[Forget]) -> Iterator[Command]:
        for change in batch:
            yield from forget_flows(change.flows)

    def hooks(self, batch: list[RunHook]) -> Iterator[Command]:
        for change in batch:
            command = change.command.replace("%i", change.device)
            yield Command((*HOOK_SHELL, command), says=f"{change.stage}: {command}", hook=change.stage)


# A run of neighbours with the same key becomes one batch.
_WRITERS: dict[type, Callable[[_Writer, list], Iterator[Command]]] = {  # type: ignore[type-arg]
    AddLink: _Writer.add_links,
    SetLink: _Writer.set_links,
    PutPeer: _Writer.put_peers,
    DropPeer: _Writer.drop_peers,
    AddAddress: _Writer.add_addresses,
    DropAddress: _Writer.drop_addresses,
    RetireAddress: _Writer.retire_addresses,
    PutLanLink: _Writer.put_lan_links,
    DropLanLink: _Writer.drop_lan_links,
    PutService: _Writer.put_services,
    DropService: _Writer.drop_services,
    DropLink: _Writer.drop_links,
    AddRoute: _Writer.routes,
    DropRoute: _Writer.routes,
    AddRule: _Writer.rules,
    DropRule: _Writer.rules,
    PutTable: _Writer.put_tables,
    PutElements: _Writer.put_elements,
    DropTable: _Writer.drop_tables,
    SetSysctl: _Writer.sysctls,
    AddConsent: _Writer.add_consents,
    DropConsent: _Writer.drop_consents,
    SetDns: _Writer.set_dns,
    DropDns: _Writer.drop_dns,
    Forget: _Writer.forget,
    RunHook: _Writer.hooks,
}


def _batch(change: Change) -> tuple[type, object]:
    match change:
        case PutPeer() | DropPeer():
            return type(change), change.device
        case AddRoute() | DropRoute():
            return type(change), change.route.prefix.version
        case AddRule() | DropRule():
            return type(change), change.rule.family
        case _:
            return type(change), None


def _is_pre_up(change: Change) -> bool:
    return isinstance(change, RunHook) and change.stage == "PreUp"


def _route_verb(change: AddRoute | DropRoute) -> str:
    """`replace` only what is ours: `add` stumbles over a foreign route instead of overwriting it."""
    if isinstance(change, DropRoute):
        return "del"
    return "add" if change.replaces is None else "replace"


# --- one facility each -------------------------------------------------------------------------------------


def ip_batch(lines: Iterable[str], says: str, family: Family | None = None) -> Command:
    """Write lines for `ip -batch`, which stops at the first that fails and names it."""
    option = (f"-{family.value}",) if family is not None else ()
    return Command(("ip", *option, "-batch", "-"), stdin="".join(f"{line}\n" for line in lines), says=says)


def shell_line(command: Command) -> str:
    """Write a command as people would type it; its input follows as a here-document."""
    line = " ".join(quote(word) for word in command.argv)
    return f"{line} <<'END'\n{command.stdin.rstrip(chr(10))}\nEND" if command.stdin else line


def _names(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:5]) + (f" and {len(every) - 5} more" if len(every) > 5 else "")


def _count(batch: Sequence[object], one: str, many: str = "") -> str:
    return f"{len(batch)} {one if len(batch) == 1 else many or one + 's'}"


def _removed(change: Change) -> str:
    return "remove " if isinstance(change, (DropRoute, DropRule)) else ""
