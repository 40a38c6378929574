"""What the owners of one host share: numbers of the ledger, and kernel settings that several of them need.

Each owner gets routing tables, marks and a slot in the order of rules by what they are for; no two get the same, and
each keeps its own while it needs it. A setting (ip_forward) is put back when the last owner that needed it lets go, to
what it was before the first came. The register is written under the host's lock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from warren.model.state import MARKS, OWNER_SLOTS, TABLES, Backend, HostState
from warren.model.surroundings import Ledger
from warren.sys import sysctl
from warren.sys.codec import CodecError, decode, encode
from warren.sys.errors import HostError
from warren.sys.store import Store, damaged, kernel_id

FILE = "register.json"


@dataclass(frozen=True, slots=True)
class Given:
    """What one owner holds."""

    owner: str
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class Held:
    """A setting that owners need, or that the kernel changes along with one; `original` is what it was before."""

    name: str
    original: str
    holders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Register:
    """The whole register. `kernel` is the boot and namespace that the settings are those of."""

    kernel: str = ""
    owners: tuple[Given, ...] = ()
    settings: tuple[Held, ...] = ()

    def ledger(self, owner: str) -> Ledger:
        """Give what an owner holds now."""
        return next((given.ledger for given in self.owners if given.owner == owner), Ledger())

    def others_tables(self, owner: str) -> frozenset[int]:
        """Give the tables of all other owners."""
        return frozenset(n for given in self.owners if given.owner != owner for _, n in given.ledger.tables)

    def allot(self, owner: str, tables: Iterable[str], marks: Iterable[str]) -> Register:
        """Give an owner a slot, and a table and a mark per purpose; what it holds already stays as it is."""
        mine = self.ledger(owner)
        known = any(given.owner == owner for given in self.owners)
        slots = {given.ledger.slot for given in self.owners}
        slot = mine.slot if known else next((slot for slot in OWNER_SLOTS if slot not in slots), None)
        if slot is None:
            raise HostError(
                f"this host already has {len(OWNER_SLOTS)} networks: "
                + ", ".join(given.owner for given in self.owners),
                "Take one of them down first: `warren down FILE`.",
            )
        taken_tables = self.others_tables(owner) | {number for _, number in mine.tables}
        taken_marks = {n for given in self.owners for _, n in given.ledger.marks}
        free_tables = (number for number in TABLES if number not in taken_tables)
        free_marks = (mark for mark in MARKS if mark not in taken_marks)
        ledger = Ledger(
            tables=_extend(mine.tables, tables, free_tables, f"routing tables ({len(TABLES)})"),
            marks=_extend(mine.marks, marks, free_marks, f"packet marks ({len(MARKS)})"),
            slot=slot,
        )
        return self._with(owner, ledger)

    def shrink(self, owner: str, numbers: Collection[int]) -> Register:
        """Take back from an owner the tables and marks that are not among these."""
        mine = self.ledger(owner)
        kept = Ledger(
            tables=tuple(pair for pair in mine.tables if pair[1] in numbers),
            marks=tuple(pair for pair in mine.marks if pair[1] in numbers),
            slot=mine.slot,
        )
        return self._with(owner, kept)

    def hold(self, owner: str, wanted: Iterable[str]) -> Register:
        """Note what settings are now, before an owner changes them, and that it needs them."""
        settings = {held.name: held for held in self.settings}
        for each in wanted:
            for name in (each, *sysctl.along_with(each)):
                now = sysctl.read(name)
                if now is None:
                    continue
                held = settings.get(name) or Held(name, now, ())
                settings[name] = replace(held, holders=tuple(sorted({*held.holders, owner})))
        return replace(self, settings=tuple(settings[name] for name in sorted(settings)))

    def restorable(self, owner: str, kept: Collection[str]) -> dict[str, str]:
        """Give what the settings were that nobody needs any more if this owner needs only `kept`."""
        kept_too = {*kept, *(more for name in kept for more in sysctl.along_with(name))}
        return {
            held.name: held.original for held in self.settings if held.holders == (owner,) and held.name not in kept_too
        }

    def release(self, owner: str, kept: Collection[str] = ()) -> Register:
        """Let an owner go of every setting but `kept`."""
        kept_too = {*kept, *(more for name in kept for more in sysctl.along_with(name))}
        settings = []
        for held in self.settings:
            if held.name not in kept_too:
                held = replace(held, holders=tuple(holder for holder in held.holders if holder != owner))
            if held.holders:
                settings.append(held)
        return replace(self, settings=tuple(settings))

    def without(self, owner: str) -> Register:
        """Forget an owner."""
        return replace(self.release(owner), owners=tuple(given for given in self.owners if given.owner != owner))

    def _with(self, owner: str, ledger: Ledger) -> Register:
        others = [given for given in self.owners if given.owner != owner]
        return replace(self, owners=tuple(sorted([*others, Given(owner, ledger)], key=lambda given: given.owner)))


def load(store: Store) -> Register:
    """Read the register; settings noted in an earlier boot are forgotten, numbers are not."""
    data = store.read(FILE)
    now = kernel_id()
    if data is None:
        return Register(kernel=now)
    try:
        register = decode(data, Register)
    except CodecError as error:
        raise damaged(store.path / FILE, str(error)) from None
    return register if register.kernel == now else replace(register, kernel=now, settings=())


def save(store: Store, register: Register) -> None:
    """Write the register."""
    store.write(encode(register), FILE)


def settings_of(state: HostState) -> frozenset[str]:
    """Name the settings that a state needs, or that its devices change by themselves."""
    kernels = state.backend is Backend.KERNEL and bool(state.interfaces)
    return frozenset({setting.name for setting in state.sysctls} | ({sysctl.BY_WIREGUARD} if kernels else set()))


def slimmed(known: Register, owner: str, states: Collection[HostState]) -> Register:
    """Take back what none of an owner's states needs any more."""
    used = {number for state in states for number in _numbers(state)}
    slimmer = known.release(owner, {name for state in states for name in settings_of(state)})
    return slimmer.shrink(owner, used) if any(given.owner == owner for given in slimmer.owners) else slimmer


def _numbers(state: HostState) -> Iterator[int]:
    """Give every table and mark that a state uses."""
    yield from (route.table for route in state.routes)
    yield from (rule.table for rule in state.rules)
    yield from (rule.mark for rule in state.rules)


def _extend(
    held: tuple[tuple[str, int], ...], wanted: Iterable[str], free: Iterator[int], what: str
) -> tuple[tuple[str, int], ...]:
    numbers = dict(held)
    for purpose in wanted:
        if purpose not in numbers:
            number = next(free, None)
            if number is None:
                raise HostError(
                    f"this host has no more {what} for warren's networks",
                    "Take one of them down (`warren down`), or use fewer exits.",
                )
            numbers[purpose] = number
    return tuple(sorted(numbers.items(), key=lambda pair: pair[1]))
