"""What is on this host of warren's, owner by owner, and whether it comes back at a boot. Reads only."""

from __future__ import annotations

import time
from dataclasses import dataclass

from warren.core.guard import guard_of
from warren.model.change import Item
from warren.model.choice import DIRECT, Choice
from warren.model.prefix import Family
from warren.model.state import HostState, Program, WgInterface
from warren.sys import exits, ip, journal, known, wg
from warren.sys.change import changes, holds_anything
from warren.sys.errors import HostError
from warren.sys.init_system import is_enabled
from warren.sys.install import installed
from warren.sys.journal import Journal
from warren.sys.machine import Machine
from warren.sys.observe import observe
from warren.sys.privilege import require_net_admin


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """A peer: where it is now, seconds since its last handshake (None: never), bytes both ways."""

    name: str
    key: str
    endpoint: str
    handshake: int | None
    received: int
    sent: int


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """One of our devices; `there` is False where somebody removed it or its program died. `mtu` 0: it is down.

    `paths` is what the agent wrote down of peers that it finds, if it finds any.
    """

    name: str
    there: bool
    port: int
    mtu: int
    peers: tuple[PeerStatus, ...]
    paths: known.Found | None = None


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A program that is to run."""

    name: str
    program: Program
    at_work: bool


@dataclass(frozen=True, slots=True)
class ChoiceStatus:
    """A portal with several exits, in one family: which of them the agent has chosen, or `direct` (the uplink)."""

    portal: str
    family: Family
    in_use: str
    exits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OwnerStatus:
    """A network, or a conf.

    `state` is `up`, `guarded` (a boot has put up its guard and nothing else yet), `down` (what was confirmed is not
    here), `unconfirmed` (it waits for `warren confirm`, until `deadline`) or `cut-short`. `differs` is what an apply of
    the same would change; `trouble` says why that cannot be told. `agent`: one that finds peers is here; None:
    there are none to be found.
    """

    held: Journal
    state: str
    deadline: float | None = None
    differs: tuple[Item, ...] = ()
    trouble: str = ""
    devices: tuple[DeviceStatus, ...] = ()
    services: tuple[ServiceStatus, ...] = ()
    choices: tuple[ChoiceStatus, ...] = ()
    agent: bool | None = None

    @property
    def ok(self) -> bool:
        """Whether it is up, and as it was applied."""
        return self.state == "up" and not self.differs and not self.trouble and all(one.there for one in self.devices)


@dataclass(frozen=True, slots=True)
class BootStatus:
    """What `warren install` made: units with whether they are enabled, and whether the guard's script is there."""

    init: str
    networks: tuple[str, ...]
    enabled: tuple[tuple[str, bool], ...]
    guard: bool


def owners(machine: Machine) -> tuple[OwnerStatus, ...]:
    """Tell of every owner on this host. HostError without the privilege to look."""
    require_net_admin("reading the firewall and the tunnels")
    return tuple(_owner(owner, machine) for owner in journal.owners(machine.store))


def boot(machine: Machine) -> BootStatus | None:
    """Tell what is installed; None if nothing is."""
    record = installed(machine.store)
    if record is None:
        return None
    enabled = tuple((one.name, is_enabled(record.init, one, machine.read)) for one in record.enabled)
    guard = machine.store.path.joinpath("boot", "guard.sh").exists()
    return BootStatus(record.init.value, record.networks, enabled, guard)


def _owner(owner: str, machine: Machine) -> OwnerStatus:
    try:
        view = machine.view(owner)
    except HostError as error:
        return OwnerStatus(Journal(owner), "cut-short", trouble=error.says)
    held = view.journal
    applied = held.applied
    if applied is None or not holds_anything(applied):
        return OwnerStatus(held, "cut-short" if held.pending is not None else "down")
    try:
        seen = observe(view, machine.read)
        differs = changes(view, applied, seen, machine.read)
    except HostError as error:
        return OwnerStatus(held, _state(held, applied), _deadline(held), trouble=error.says)
    devices = _devices(applied, machine)
    return OwnerStatus(
        held,
        _state(held, applied),
        _deadline(held),
        differs,
        devices=devices,
        services=_services(applied, seen),
        choices=tuple(_choice(one, applied, machine) for one in applied.choices),
        agent=any(one.paths and one.paths.alive for one in devices) if applied.rendezvous else None,
    )


def _state(held: Journal, applied: HostState) -> str:
    if held.pending is not None:
        return "cut-short"
    if held.window is not None:
        return "unconfirmed"
    if held.confirmed is not None and held.confirmed.interfaces and applied == guard_of(held.confirmed):
        return "guarded"
    return "up"


def _deadline(held: Journal) -> float | None:
    return held.window.deadline if held.window is not None else None


def _devices(applied: HostState, machine: Machine) -> tuple[DeviceStatus, ...]:
    names = {interface.name for interface in applied.interfaces}
    links = {link.name: link for link in ip.links(machine.read)}
    seen = wg.devices(names & links.keys(), machine.read)
    return tuple(
        _device(interface, seen.get(interface.name), links.get(interface.name), machine)
        for interface in applied.interfaces
    )


def _device(
    declared: WgInterface, seen: wg.DeviceSeen | None, link: ip.LinkSeen | None, machine: Machine
) -> DeviceStatus:
    if seen is None or link is None:
        return DeviceStatus(declared.name, False, declared.listen_port, 0, ())
    names = {peer.public_key: peer.name for peer in declared.peers}
    peers = tuple(
        PeerStatus(
            name=names.get(one.peer.public_key, ""),
            key=one.peer.public_key,
            endpoint=str(one.peer.endpoint or ""),
            handshake=max(0, int(time.time()) - one.handshake) if one.handshake else None,
            received=one.received,
            sent=one.sent,
        )
        for one in seen.peers
    )
    paths = known.find(machine.store.run, declared.name)
    return DeviceStatus(declared.name, True, seen.listen_port, link.mtu if link.up else 0, peers, paths)


def _choice(choice: Choice, applied: HostState, machine: Machine) -> ChoiceStatus:
    rank = exits.in_use(choice, applied.table_name, machine.read)
    hosts = tuple(one.host for one in choice.exits)
    return ChoiceStatus(choice.portal, choice.family, "direct" if rank == DIRECT else hosts[rank], hosts)


def _services(applied: HostState, seen: HostState) -> tuple[ServiceStatus, ...]:
    at_work = {service.name for service in seen.services}
    return tuple(ServiceStatus(one.name, one.program, one.name in at_work) for one in applied.services)
