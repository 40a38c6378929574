"""One change of a host, under its lock: observe, remember, act, observe again; or undo.

What is written before the first change (register, journal, window) is what makes the change safe to cut short.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from warren.core.compare import missing, sysctl_device
from warren.core.conf.overlook import overlook
from warren.core.dialled import as_reached, names_in, with_addresses
from warren.core.diff import diff, runs_out
from warren.core.render.commands import commands
from warren.core.render.services import Tools
from warren.model.change import AddAddress, AddLink, AddRoute, Command, Item, PutLanLink, SetSysctl
from warren.model.endpoint import Endpoint
from warren.model.state import Hooks, HostState, LanAddress, LinkKind
from warren.sys import boot_guard, confirm, ip, journal, nft, register, services, sysctl
from warren.sys.endpoints import look_up, remember, remembered
from warren.sys.errors import HostError
from warren.sys.journal import Journal, Source, Window
from warren.sys.machine import Machine
from warren.sys.observe import View, live_sets, observe
from warren.sys.run import MissingProgram, Run
from warren.sys.signals import Interrupted, noted

ROUNDS = 3
# What the kernel changes along with something else is put right in a second round: settings with settings; where
# settings cannot be written (diff.py), the addresses and routes that go with the first address of an IPv4 subnet.
_ALONG = (SetSysctl, AddAddress, AddRoute)


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done.

    `missed` says what could not be, for want of a program that is not essential, or of an address: `unfound` are the
    endpoints whose names stood for none.
    """

    items: tuple[Item, ...] = ()
    missed: tuple[str, ...] = ()
    unfound: tuple[Endpoint, ...] = ()
    window: Window | None = None


class ApplyFailed(HostError):
    """What was asked could not be done; `undone` says whether the host is as it was before."""

    def __init__(self, cause: BaseException, undone: bool, trouble: str = "") -> None:
        self.cause = cause
        self.undone = undone
        says = cause.says if isinstance(cause, HostError) else "interrupted"
        after = (
            "What had been done by then is undone; the host is as it was."
            if undone
            else f"Undoing it failed as well: {trouble}\nRun `warren apply` or `warren down` again: both start from "
            "what is there."
        )
        remedy = cause.remedy if isinstance(cause, HostError) else ""
        super().__init__(says, "\n".join(part for part in (after, remedy) if part))


def empty(of: Journal) -> HostState:
    """Give the state in which nothing of an owner is on the host."""
    return HostState(of.host, of.owner)


def restorable(view: View, desired: HostState, run: Run) -> dict[str, str]:
    """Give what kernel settings were that no owner needs any more once `desired` is reached.

    What the kernel's WireGuard turns off stays off while somebody else's device of it is there.
    """
    back = view.register.restorable(view.owner, register.settings_of(desired))
    if sysctl.BY_WIREGUARD in back:
        ours = view.journal.devices()
        if any(link.kind == "wireguard" and link.name not in ours for link in ip.links(run)):
            del back[sysctl.BY_WIREGUARD]
    return back


def changes(view: View, desired: HostState, observed: HostState, run: Run, *, explain: bool = True) -> tuple[Item, ...]:
    """List what has to be done to reach `desired`, as far as this host lets it be done; and why, with `explain`.

    In a container kernel settings often cannot be written, and a LAN's device may not be plugged in yet: `plan` says
    what matters of it (core.obstacles).
    """
    before, pending = view.journal.applied, view.journal.pending
    if desired.is_conf and pending in (None, before, desired):  # whoever was killed left values that nobody wishes
        observed = overlook(observed, before, desired)
    if desired.is_conf and before is None and not desired.interfaces:
        before = pending  # killed on its way up: the hooks that have run are followed by theirs
    items = diff(desired, observed, before, restorable(view, desired, run), explain=explain)
    items = _with_what_is_there(items, desired, run)
    if sysctl.writable("net.ipv4.ip_forward"):
        return items
    return tuple(item for item in items if not isinstance(item.change, SetSysctl))


def _with_what_is_there(items: tuple[Item, ...], desired: HostState, run: Run) -> tuple[Item, ...]:
    """Leave out what devices of LANs would need that are not there: a radio that is unplugged stops nothing else."""
    if not any(isinstance(item.change, (AddAddress, PutLanLink)) for item in items) or desired.is_conf:
        return items
    there = {link.name for link in ip.links(run)} | {interface.name for interface in desired.interfaces}
    kept: list[Item] = []
    for item in items:
        change = item.change
        if isinstance(change, PutLanLink):
            link = replace(change.link, ports=tuple(port for port in change.link.ports if port in there))
            made = link.kind is not LinkKind.RAISED or link.name in there
            if not made or (link.of and link.of not in there) or link == change.before:
                continue
            there.add(link.name)
            item = replace(item, change=replace(change, link=link))
        elif isinstance(change, AddAddress) and change.device not in there:
            continue
        kept.append(item)
    return tuple(kept)


def absent_devices(desired: HostState, run: Run) -> tuple[str, ...]:
    """Name the devices of LANs that are not there, and for which something is therefore left out."""
    there = {link.name for link in ip.links(run)}
    wanted = {given.device for given in desired.lan_addresses}
    wanted |= {device for link in desired.lan_links for device in (link.of, *link.ports) if device}
    return tuple(sorted(wanted - there))


def _running_out(desired: HostState, observed: HostState) -> tuple[LanAddress, ...]:
    """Remember the addresses that run out on LANs that were renumbered, for a later `down` to take away."""
    renumbered = {given.device for given in desired.lan_addresses}
    old = missing((*observed.retired, *observed.lan_addresses), desired.lan_addresses)
    return tuple(held for held in old if runs_out(held, renumbered))


class Change:
    """The way of a host from one state of an owner to another."""

    def __init__(self, machine: Machine, view: View, tools: Tools) -> None:
        self.machine = machine
        self.view = view
        self.tools = replace(tools, directory=machine.services)
        self.before = view.journal
        self.opened: Window | None = None
        self.missed: list[str] = []
        self.addresses: dict[Endpoint, Endpoint] = {}  # that endpoints' names stand for
        self.unfound: list[Endpoint] = []

    def make(
        self,
        desired: HostState,
        file: str,
        *,
        source: Source | None = None,
        seconds: float | None = None,
        confirms: bool = True,
    ) -> Applied:
        """Reach `desired`, which was compiled from `source`, or undo what was done towards it and raise ApplyFailed.

        With `seconds`, a window of that length stands open before the first change; without, one that was open is
        closed. `confirms` says whether the state, once reached, is what a boot is to bring back.
        """
        self.view = replace(self.view, desired=desired)
        observed = observe(self.view, self.machine.read)
        desired = replace(desired, retired=_running_out(desired, observed))
        self.view = replace(self.view, desired=desired)
        items = self._changes(desired, observed)
        self._refuse_foreign(items)
        self._remember(desired, file)
        done: tuple[Item, ...] = ()
        try:
            if seconds is not None:
                self._open(seconds)
            with noted() as stopped:
                done = self._reach(desired, items, stopped)
        except BaseException as cause:
            undone, trouble = self._undo(desired)
            if isinstance(cause, (HostError, Interrupted, KeyboardInterrupt)):
                raise ApplyFailed(cause, undone, trouble) from cause
            raise
        absent = absent_devices(desired, self.machine.read) if desired.lan_addresses or desired.lan_links else ()
        if absent:
            self.missed.append(f"there is no {', '.join(absent)} here; run `warren apply` again when there is")
        reached = as_reached(desired, self.unfound, self.before.applied)
        settled = replace(self.view.journal, applied=reached, asked=desired, source=source, window=self.opened)
        if confirms and seconds is None:
            settled = replace(settled, confirmed=desired, good=source)
        self._settle(settled)
        return Applied(done, tuple(self.missed), tuple(self.unfound), self.opened)

    def _changes(self, desired: HostState, observed: HostState) -> tuple[Item, ...]:
        """List what has to be done, with addresses for names: wg itself would ask for each, one after the other."""
        items = changes(self.view, desired, observed, self.machine.read, explain=False)
        names = names_in(items)
        new = [name for name in names if name not in self.addresses and name not in self.unfound]
        found = look_up(new)
        self.addresses |= found
        last = remembered(self.machine.store) if len(found) < len(new) else {}
        again = "reload" if desired.is_conf else "apply"
        for endpoint in new:
            if endpoint in found:
                continue
            self.unfound.append(endpoint)
            then = "cannot be dialled"
            if endpoint in last:
                self.addresses[endpoint] = last[endpoint]
                then = f"is dialled at {last[endpoint].host}, where it was last"
            self.missed.append(
                f"{endpoint.host} stands for no address now, so {names[endpoint]} {then}; when `getent hosts "
                f"{endpoint.host}` answers, run `warren {again}` again"
            )
        remember(self.machine.store, found)
        return with_addresses(items, self.addresses)

    def _refuse_foreign(self, items: tuple[Item, ...]) -> None:
        """Refuse to make a device whose name somebody else's has."""
        new = {item.change.interface.name for item in items if isinstance(item.change, AddLink)}
        made = {link.name for link in self.view.desired.made_links} if self.view.desired else set()
        new |= {
            item.change.link.name
            for item in items
            if isinstance(item.change, PutLanLink) and item.change.before is None and item.change.link.name in made
        }
        taken = sorted(new & {link.name for link in ip.links(self.machine.read)}) if new else []
        if taken:
            raise HostError(
                f"{', '.join(taken)} is there already, and not warren's",
                f"If it is left over, remove it: `ip link del {taken[0]}`. Else give the network another name, or take "
                "`vlan:` or `bridge:` out where the device is made by somebody else.",
            )

    def _remember(self, desired: HostState, file: str) -> None:
        """Write what is about to be done, and what settings were, before anything changes."""
        ours = {interface.name for interface in desired.interfaces} | self.before.devices()
        settings = [name for name in sorted(register.settings_of(desired)) if sysctl_device(name) not in ours]
        held = self.view.register.hold(self.view.owner, settings)
        if held != self.view.register:
            register.save(self.machine.store, held)
        # A window that is open stays so on disk: a rollback that is killed is taken up by its guard.
        remembered = replace(self.before, host=desired.host, file=file or self.before.file, pending=desired)
        self.view = replace(self.view, register=held, journal=remembered)
        journal.save(self.machine.store, remembered)

    def _open(self, seconds: float) -> None:
        """Have a guard stand by, then open its window; an earlier one that is still open says where to go back to."""
        former = self.before.window if self.before.window and confirm.is_open(self.before.window) else None
        back_to = former.back_to if former else self.before.applied
        window = confirm.open_window(seconds, back_to)
        self.opened = confirm.post_guard(window, self.view.owner, self.machine.store, seconds)
        self.view = replace(self.view, journal=replace(self.view.journal, window=self.opened))
        journal.save(self.machine.store, self.view.journal)

    def _reach(self, desired: HostState, items: tuple[Item, ...], stopped: threading.Event) -> tuple[Item, ...]:
        """Carry changes out until an observation shows that nothing is left to do."""
        done = items
        for _ in range(ROUNDS):
            self._carry_out(items, stopped)
            self._note_installed(desired)
            observed = observe(self.view, self.machine.read)
            items = self._changes(desired, observed)
            if not items:
                return done
            if not all(isinstance(item.change, _ALONG) for item in items):
                break
        items = changes(self.view, desired, observed, self.machine.read)
        left = "; ".join(f"{item.rune} {type(item.change).__name__}: {item.reason}" for item in items[:5])
        raise HostError(f"every command succeeded, but the host is not as it should be; what still differs: {left}")

    def _carry_out(self, items: Sequence[Item], stopped: threading.Event) -> None:
        for command in commands(items, self.view.owner, self.tools):
            if stopped.is_set():
                raise Interrupted
            self._run(command)

    def _run(self, command: Command) -> None:
        with suppress(OSError):  # the terminal may be gone: no reason to stop halfway
            self.machine.tell(command)
        try:
            self.machine.act(command)
        except MissingProgram:
            if not command.if_missing:
                raise
            if command.if_missing not in self.missed:
                self.missed.append(command.if_missing)

    def _note_installed(self, desired: HostState) -> None:
        """Read our nft tables back: while they list like this, nobody has altered them."""
        installed = []
        for table in desired.tables:
            listed = nft.listing(table.family, table.name, self.machine.read)
            lacking = nft.lacks(listed, table) if listed is not None else "all of it"
            if listed is None or lacking:
                raise HostError(f"nft took the table {table.name}, but {lacking} is not there")
            installed.append((table.name, nft.digest(listed, live_sets(table))))
        reached = replace(self.view.journal, applied=desired, installed=tuple(installed))
        self.view = replace(self.view, journal=reached)

    def _undo(self, desired: HostState) -> tuple[bool, str]:
        """Go back to the state before; say whether that worked, and if not, why."""
        back = self.before.applied or empty(replace(self.before, host=desired.host))
        held = replace(self.before, pending=desired)
        # Whether the tables were reached is not known: what they are is in their listing, not in what they should be.
        listed = self.before.installed if desired.tables == back.tables else ()
        self.view = replace(self.view, desired=back, journal=replace(held, applied=desired, installed=listed))
        try:
            with noted(deaf=True) as stopped:
                observed = observe(self.view, self.machine.read)
                if not observed.interfaces:  # a conf's device never came to be: there is nothing for hooks to undo
                    hookless = replace(desired, hooks=Hooks())
                    self.view = replace(self.view, journal=replace(self.view.journal, applied=hookless))
                self._reach(back, self._changes(back, observed), stopped)
        except HostError as error:
            # The journal keeps both states, so that the next attempt knows what may be there; and the guard stays.
            journal.save(self.machine.store, replace(held, window=self.opened or self.before.window))
            return False, error.says
        self._settle(replace(self.view.journal, applied=back, window=self.before.window))
        if self.opened is not None:
            confirm.dismiss(self.opened)
        return True, ""

    def _settle(self, settled: Journal) -> None:
        """Write that a state is reached; give numbers and settings back that nothing needs any more.

        What the next boot puts up before the network is written first: whoever is killed in between has asked for it.
        """
        owner, window = self.view.owner, settled.window
        settled = replace(settled, pending=None)
        kept_services = settled.applied.services if settled.applied is not None else ()
        services.sweep(owner, self.machine.services, (service.name for service in kept_services))
        boot_guard.refresh(self.machine.store, settled)
        states = (settled.applied, settled.confirmed)
        if not any(state is not None and holds_anything(state) for state in states) and window is None:
            journal.forget(self.machine.store, owner)
            register.save(self.machine.store, self.view.register.without(owner))
            return
        kept = [state for state in (settled.applied, window.back_to if window else None) if state is not None]
        slimmer = register.slimmed(self.view.register, owner, kept)
        if slimmer != self.view.register:
            register.save(self.machine.store, slimmer)
        journal.save(self.machine.store, settled)


def holds_anything(state: HostState) -> bool:
    """Say whether anything of an owner is on the host in this state."""
    made = (state.interfaces, state.routes, state.rules, state.tables, state.sysctls, state.consents, state.dns)
    return any((*made, state.lan_addresses, state.retired, state.services, state.lan_links))
