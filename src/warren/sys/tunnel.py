"""wg-quick's verbs for one conf: up, down, reload, save; through the same apply as networks.

up       resolve the endpoints · choose numbers · compile · apply; whatever fails is undone, PostDown included
reload   the same, but the tunnel lives on, its numbers stay, and no hook runs
down     save if the conf wants it · take everything back
save     the device as it is, into the conf; what its owner wrote around it stays
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from warren.core.conf.compile import UNKNOWN_KEY, compile_conf, notes
from warren.core.conf.conf import Conf
from warren.core.conf.lines import decode
from warren.model.change import Command
from warren.model.key import PublicKey
from warren.model.state import HostState
from warren.model.surroundings import Surroundings
from warren.sys import apply, backend, conf_file, endpoints, ip, journal, survey, sysctl, wg
from warren.sys.conf_file import ConfFile
from warren.sys.errors import HostError
from warren.sys.lock import host_lock
from warren.sys.machine import Machine
from warren.sys.privilege import require_net_admin
from warren.sys.run import CommandFailed, Run


@dataclass(frozen=True, slots=True)
class Raised:
    """What a verb did. `notes` is what a person should know; `failed` are hooks that did not succeed afterwards."""

    state: HostState
    applied: apply.Applied
    notes: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def up(file: ConfFile, machine: Machine) -> Raised:
    """Bring a conf up. HostError when it is up already, or something fails: then everything is undone."""
    conf = _sound(file)
    require_net_admin("making a tunnel")
    with _alone(machine):
        held = machine.view(conf.owner).journal
        links = {link.name: link.mtu for link in ip.links(machine.read)}
        if conf.name in links:
            ours = conf.name in held.devices()
            raise HostError(
                f"{conf.name} already exists" + ("" if ours else ", and it is not warren's"),
                f"`warren reload {file.shown}` applies what changed in the conf; `warren down {file.shown}` ends it."
                if ours
                else f"If it is left over, remove it: `ip link del {conf.name}`. If wg-quick made it: `wg-quick down`.",
            )
        if held.states():  # somebody removed the device: first everything else goes
            apply.down(conf.owner, replace(machine, act=_Forgiving(machine.act, ("PreDown", "PostDown"))))
        return _make(conf, file, machine, links, None)


def reload(file: ConfFile, machine: Machine) -> Raised:
    """Apply what changed in a conf to its living tunnel. HostError if it is not up."""
    conf = _sound(file)
    require_net_admin("altering a tunnel")
    with _alone(machine):
        links = {link.name: link.mtu for link in ip.links(machine.read)}
        held = machine.view(conf.owner).journal
        if held.applied is None or conf.name not in links:
            raise _not_up(conf.name, conf.name in links)
        return _make(conf, file, machine, links, held.applied)


def down(file: ConfFile, machine: Machine) -> Raised:
    """Take a conf's tunnel down; a conf with SaveConfig is saved first. HostError if it is not up.

    The hooks are those it was brought up with, even if the conf has been edited since.
    """
    require_net_admin("taking a tunnel down")
    present = _present(machine.read)
    if file.owner not in journal.owners(machine.store):
        raise _not_up(file.name, file.name in present)
    if file.parsed.conf is not None and file.parsed.conf.save_config and file.name in present:
        save(file, machine)
    act = _Forgiving(machine.act, ("PostDown",))
    applied = apply.down(file.owner, replace(machine, act=act))
    if not applied.items:  # what was there went with an earlier boot
        raise _not_up(file.name, file.name in present)
    return Raised(HostState("", file.owner), applied, failed=tuple(act.failed))


def save(file: ConfFile, machine: Machine) -> str:
    """Write a living device into its conf and give the text that was written. HostError if it is not there."""
    from warren.core.conf.save import save_conf

    conf = _sound(file)
    require_net_admin("reading a tunnel's keys")
    link = next((link for link in ip.links(machine.read) if link.name == conf.name), None)
    if link is None or conf.name not in wg.devices({conf.name}, machine.read):
        raise HostError(f"{conf.name} is no WireGuard device of this host", f"`warren up {file.shown}` makes it.")
    shown = machine.read(Command(("wg", "showconf", conf.name)))
    state = machine.view(conf.owner).journal.applied
    mine = state.interfaces[0] if state is not None and state.interfaces else None
    addresses = [a for a in link.addresses if not a.ip.is_link_local or a in conf.addresses]
    text = save_conf(
        decode(file.data),
        shown,
        addresses,
        mtu=link.mtu,
        own_mark=mine.fwmark if mine is not None and not conf.fwmark else 0,
    )
    conf_file.write(file.path, text)
    return text


def _make(conf: Conf, file: ConfFile, machine: Machine, links: dict[str, int], previous: HostState | None) -> Raised:
    """Compile a conf for this host as it is now, and apply it."""
    around = _surroundings(conf, machine.read)
    backend.require(around.backend)
    addresses = endpoints.resolve(peer.endpoint for peer in conf.peers if peer.endpoint)
    mark = previous.interfaces[0].fwmark if previous and previous.interfaces else conf.fwmark
    others = {name: mtu for name, mtu in links.items() if name != conf.name}
    mtu = conf.mtu or endpoints.path_mtu(addresses, others, mark, machine.read)
    public_key = _public_key(conf, machine.read)
    state = compile_conf(
        conf,
        around,
        public_key=public_key,
        path_mtu=mtu,
        others=[other.applied for other in machine.view(conf.owner).others if other.applied],
        previous=previous,
        host=os.uname().nodename,
    )
    act = _Forgiving(machine.act, ("PreDown", "PostDown"))  # they run here only to undo
    applied = apply.apply(state, replace(machine, act=act), file=str(file.path))
    return Raised(state, applied, notes(conf, around, public_key), tuple(act.failed))


def _alone(machine: Machine) -> AbstractContextManager[None]:
    """Keep others from choosing a tunnel's numbers while we do: they would choose the same."""
    return host_lock(machine.store, machine.patience, "lock.confs")


def _surroundings(conf: Conf, run: Run) -> Surroundings:
    """Read as much of the host as a conf's state hangs on: what is not warren's, of routes and rules."""
    return Surroundings(
        routes=survey.foreign_routes(run) if conf.full else (),
        rules=survey.foreign_rules(run) if conf.full else (),
        backend=backend.detect(run),
        ipv6=survey.ipv6_enabled(),
        read_only_sysctls=not sysctl.writable("net.ipv4.conf.all.src_valid_mark"),
    )


def _public_key(conf: Conf, run: Run) -> PublicKey:
    return wg.public_key_of(conf.private_key, run) if conf.private_key else UNKNOWN_KEY


def _sound(file: ConfFile) -> Conf:
    if file.parsed.conf is None:
        raise HostError(f"{file.shown} has errors", "Mend what is listed above; nothing has been done.")
    return file.parsed.conf


def _present(run: Run) -> set[str]:
    return {link.name for link in ip.links(run)}


def _not_up(name: str, there: bool) -> HostError:
    if there:
        return HostError(f"{name} was not brought up by warren", f"If wg-quick made it: `wg-quick down {name}`.")
    return HostError(f"{name} is not up", f"`warren up {name}` brings it up.")


@dataclass
class _Forgiving:
    """Runs commands; hooks of some stages may fail without ending everything, and are told of afterwards."""

    run: Callable[[Command], str]
    stages: tuple[str, ...]
    failed: list[str] = field(default_factory=list)

    def __call__(self, command: Command) -> str:
        try:
            return self.run(command)
        except CommandFailed as failure:
            if command.hook not in self.stages:
                raise
            self.failed.append(failure.says)
            return ""
