"""What a machine with systemd needs beside its network manager: the firewall's unit and the kernel's settings.

The unit loads the firewall before there is any network, so that the guard stands first, and after nftables.service,
which begins with an empty ruleset. udev has the settings of a device written when it appears (sysctl.d(5)).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from shlex import join

from warren.core.compare import sysctl_device
from warren.core.render.consent import add_consent, has_hook
from warren.core.render.nft import render_delete, render_table
from warren.core.render.programs import HOOK, Files, argv_of, config_text, files_of
from warren.core.render.services import Tools
from warren.core.render.tree import SECRET_MODE, File, Secret
from warren.core.render.unsaid import Unsaid
from warren.model.state import HostState, Program, Service

Section = tuple[str, Sequence[str]]  # its heading, and its lines
_ONLINE = ("Wants=network-online.target", "After=network-online.target")


def unit_text(sections: Iterable[Section]) -> str:
    """Write sections as systemd reads them."""
    return "\n".join("\n".join([f"[{head}]", *lines, ""]) for head, lines in sections)


def surrounding_files(state: HostState) -> Iterator[File]:
    """Give the firewall, its unit, and the settings."""
    if state.tables:
        yield File(f"etc/{state.table_name}/firewall.nft", "".join(map(render_table, state.tables)), SECRET_MODE)
        yield File(f"etc/systemd/system/{state.table_name}.service", unit_text(_unit(state)))
    if state.sysctls:
        lines = (f"# {setting.why}\n{setting.name} = {setting.value}\n" for setting in state.sysctls)
        yield File(f"etc/sysctl.d/70-{state.table_name}.conf", "".join(lines))
    yield from service_files(state)


def service_files(state: HostState) -> Iterator[File]:
    """Give the addresses on LANs and the programs, each with its unit."""
    if state.lan_addresses:
        yield File(f"etc/systemd/system/{_addresses_unit(state)}", unit_text(_addresses(state)))
    for service in state.services:
        files = files_of(service.name, state.table_name, "/etc")
        if service.live:
            yield File(files.live.lstrip("/"), service.live)
        if service.program is Program.KEA:
            yield File(files.hook.lstrip("/"), HOOK, 0o700)
        secrets = (Secret(service.secret, f"the passphrase of {service.name}"),) if service.secret is not None else ()
        mode = SECRET_MODE if secrets else 0o644
        yield File(files.config.lstrip("/"), config_text(service, files, Tools()), mode, secrets)
        yield File(f"etc/systemd/system/{_service_unit(state, service)}", unit_text(_service(state, service, files)))


def service_units(state: HostState) -> tuple[str, ...]:
    """Name the units of `service_files`, in the order in which they start."""
    addresses = (_addresses_unit(state),) if state.lan_addresses else ()
    return (*addresses, *(_service_unit(state, service) for service in state.services))


def _addresses_unit(state: HostState) -> str:
    return f"{state.table_name}-addresses.service"


def _service_unit(state: HostState, service: Service) -> str:
    return f"{state.table_name}-{service.name}.service"


def _addresses(state: HostState) -> Iterator[Section]:
    """Give a LAN addresses beside those that its own configuration gives it."""
    yield "Unit", (f"Description=Addresses on LANs for {state.owner}", *_ONLINE)
    verbs = (("ExecStart", "replace"), ("ExecStop", "del"))
    lines = [
        f"{when}=ip address {verb} {one.address} dev {one.device}"
        for when, verb in verbs
        for one in state.lan_addresses
    ]
    yield "Service", ("Type=oneshot", "RemainAfterExit=yes", *lines)
    yield "Install", ("WantedBy=multi-user.target",)


def _service(state: HostState, service: Service, files: Files) -> Iterator[Section]:
    after = (f"After={_addresses_unit(state)}",) if state.lan_addresses else ()
    why = f"{service.program} for {state.owner}: {service.why}" if service.why else f"{service.program}"
    yield "Unit", (f"Description={why}", *_ONLINE, *after)
    run = join(argv_of(service.program, files, Tools()))
    yield "Service", (f"ExecStart={run}", "Restart=always", "RestartSec=1")
    yield "Install", ("WantedBy=multi-user.target",)


def _unit(state: HostState) -> Iterator[Section]:
    drop = "; ".join(line for table in state.tables for line in render_delete(table).splitlines())
    load = f"nft -f /etc/{state.table_name}/firewall.nft"
    yield (
        "Unit",
        (
            f"Description=The firewall of the WireGuard tunnels of {state.owner.removeprefix('conf:')}",
            "DefaultDependencies=no",
            "Wants=network-pre.target",
            "Before=network-pre.target shutdown.target",
            "After=local-fs.target nftables.service",
            "Conflicts=shutdown.target",
        ),
    )
    run = (f"ExecStart={load}", f"ExecReload={load}", f"ExecStop=nft '{drop}'")
    yield "Service", ("Type=oneshot", "RemainAfterExit=yes", *run)
    yield "Install", ("WantedBy=sysinit.target",)


def surrounding_steps(state: HostState) -> Iterator[str]:
    """Say how they take effect at once."""
    if state.sysctls:
        yield "systemctl restart systemd-sysctl"
    if state.tables:
        yield f"systemctl daemon-reload; systemctl enable --now {state.table_name}.service"
    yield from service_steps(state)


def service_steps(state: HostState) -> Iterator[str]:
    """Say how addresses and programs take effect at once."""
    for service in state.services:
        if service.program is Program.RESOLVER:
            yield "install warren itself, whose `warren dns` a unit of ours runs"
            continue
        yield f"install {service.program}; systemctl disable --now {service.program}: a unit of ours runs it"
    units = service_units(state)
    if units:
        yield f"systemctl daemon-reload; systemctl enable --now {' '.join(units)}"


def unwatched(state: HostState) -> Iterator[Unsaid]:
    """Name what only the agent does."""
    for service in state.services:
        if service.live and service.announces:
            prefixes = ", ".join(map(str, service.announces))
            yield Unsaid(
                f"the end of advertisements for {prefixes} while the tunnel is down",
                "nobody there watches the tunnel",
                "machines on the LAN wait for IPv6 answers that do not come then; `warren agent` would see to it",
            )


def not_done(state: HostState, manager: str, accept: str) -> Iterator[Unsaid]:
    """Name what neither these files nor the manager of the network can do; `accept` has it accept advertisements."""
    for setting in state.sysctls:
        if setting.name.startswith("net.ipv6.") and setting.name.endswith(".accept_ra"):
            device = sysctl_device(setting.name)
            yield Unsaid(
                f"{setting.name}={setting.value}",
                f"where {manager} runs {device} it reads router advertisements itself and sets this to 0",
                f"see that {accept.format(device=device)}",
            )
    yield from unwatched(state)
    for consent in state.consents:
        what = f"`firewall: {consent.tool}` ({consent.direction} {consent.device or consent.udp_port})"
        if has_hook(consent):
            remedy = f"after each start of {consent.tool} run: {join(add_consent(consent, state.owner))}"
            yield Unsaid(what, f"{manager} has nothing to do with {consent.tool}", remedy)
        else:
            yield Unsaid(what, f"{consent.tool} has no hook for it")
    sources = ", ".join(dict.fromkeys(str(flows.source) for flows in state.forget))
    if sources:
        yield Unsaid(
            f"the end of flows from {sources} that began before",
            f"{manager} ends none; at the start of the machine there are none",
            "restart the machine, or run conntrack -D -s for each of them",
        )
