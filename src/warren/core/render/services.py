"""Commands for what other programs of the host keep: its resolvers, and the kernel's table of flows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from warren.model.change import Command
from warren.model.prefix import family_of
from warren.model.state import MARK_MASK, DnsConfig, ForgetFlows

NO_CONNTRACK = "conntrack(8) is not installed: old flows keep their old path until they end"


RESOLV_CONF = "/etc/resolv.conf"
OURS_FIRST = "# made by warren, which puts back what was here before"
# Written in place: it may be mounted there by itself, or be a link. What somebody else made of it meanwhile stays.
_POINT = (
    f'umask 022; read -r first 2>/dev/null <"$1"; [ "$first" = "{OURS_FIRST}" ] || cat "$1" >"$2" 2>/dev/null; '
    'cat >"$1"'
)
_PUT_BACK = f'[ -e "$2" ] || exit 0; read -r first <"$1"; [ "$first" != "{OURS_FIRST}" ] || cat "$2" >"$1"; rm -f "$2"'


@dataclass(frozen=True, slots=True)
class Tools:
    """What of the host decides how a change is made: `dns` is `resolvconf`, `resolvectl` or empty (neither).

    `dns_prefix` stands before a device's name for resolvconf, which ranks devices by it (`tun.` on Debian).
    `directory` is where the files of services lie; `systemd` says that units run them; `one_user` that there is no
    other user to become (a lab of an ordinary user). `warren` is how this program is called. `no_dns`: there is
    neither resolvconf nor resolvectl. `kea_hook` is the library by which kea calls a script.
    """

    dns: str = "resolvconf"
    dns_prefix: str = ""
    userspace: str = "wireguard-go"
    directory: str = "/var/lib/warren/services"
    systemd: bool = False
    one_user: bool = False
    warren: tuple[str, ...] = ("warren",)
    no_dns: bool = False
    kea_hook: str = "/usr/lib/x86_64-linux-gnu/kea/hooks/libdhcp_run_script.so"


def set_dns(config: DnsConfig, tools: Tools) -> Iterator[Command]:
    """Hand a device's resolvers over, in wg-quick's way; a device with nothing to say says nothing."""
    if not config.servers and not config.search:
        return
    says = f"DNS of {config.device}"
    if _in_file(config, tools):
        told = "".join(f"nameserver {server}\n" for server in config.servers)
        before = (RESOLV_CONF, _kept(config, tools))
        yield Command(("sh", "-c", _POINT, "sh", *before), stdin=f"{OURS_FIRST}\n{told}", says=says)
        return
    if tools.dns == "resolvectl":
        if config.servers:
            yield Command(("resolvectl", "dns", config.device, *map(str, config.servers)), says=says)
        # `~.` asks these servers for every name, as resolvconf -x does.
        domains = (*config.search, "~.") if config.servers else config.search
        yield Command(("resolvectl", "domain", config.device, *domains), says=says)
        return
    text = "".join(f"nameserver {server}\n" for server in config.servers)
    text += f"search {' '.join(config.search)}\n" if config.search else ""
    name = tools.dns_prefix + config.device
    yield Command(("resolvconf", "-a", name, "-m", "0", "-x"), stdin=text, says=says)


def drop_dns(config: DnsConfig, tools: Tools) -> Iterator[Command]:
    """Take a device's resolvers back; it is no failure if they are not there any more."""
    says = f"DNS of {config.device} taken back"
    if _in_file(config, tools):
        yield Command(("sh", "-c", _PUT_BACK, "sh", RESOLV_CONF, _kept(config, tools)), says=says)
        return
    lost = f"{tools.dns} is not installed, so nothing was handed to it"
    if tools.dns == "resolvectl":
        yield Command(("resolvectl", "revert", config.device), says=says, fine=(0, 1), if_missing=lost)
    else:
        name = tools.dns_prefix + config.device
        yield Command(("resolvconf", "-d", name, "-f"), says=says, fine=(0, 1), if_missing=lost)


def _in_file(config: DnsConfig, tools: Tools) -> bool:
    """Say whether the host's resolver is named by its file alone: nobody keeps it, and it is a program of ours."""
    return tools.no_dns and any(server.is_loopback for server in config.servers)


def kept_before(device: str) -> str:
    """Name the file that keeps what stood in resolv.conf before a device's resolver did."""
    return f"resolv.conf.{device}"


def _kept(config: DnsConfig, tools: Tools) -> str:
    return f"{tools.directory}/{kept_before(config.device)}"


def forget_flows(flows: ForgetFlows) -> Iterator[Command]:
    """End the flows from a prefix, except those whose connection mark is the one to keep.

    conntrack(8) selects by a mark that is equal, never by one that is not. A mark differs where one bit of it
    does, so there is one command for each bit of the mask. It exits with 1 when there was nothing to delete.
    """
    family = family_of(flows.source).word
    for at in range(32):
        bit = 1 << at
        if MARK_MASK & bit:
            other = ~flows.except_mark & bit
            to = ("-d", str(flows.destination)) if flows.destination is not None else ()
            yield Command(
                ("conntrack", "-D", "-f", family, "-s", str(flows.source), *to, "--mark", f"{other:#x}/{bit:#x}"),
                says=f"end old flows from {flows.source}",
                fine=(0, 1),
                if_missing=NO_CONNTRACK,
            )
