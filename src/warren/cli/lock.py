"""`warren lock FILE`: allot what the file leaves open, and write it down beside it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from warren.cli.options import host_option, json_option, network_argument

if TYPE_CHECKING:
    from warren.core.load import Loaded
    from warren.model.lock import GuestLock, HostLock, Lock
    from warren.model.network import Network


@click.command()
@network_argument
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit with 1 if the lock is out of date.")
@host_option("This machine is HOST: note the prefixes that `delegate: follow:` names devices of it for.")
@json_option
@click.pass_context
def lock(ctx: click.Context, file: str, only_check: bool, host: str, as_json: bool) -> None:
    """Allot tunnel addresses, ports and device names, and write them to the lock file beside FILE.

    portals.yaml has portals.lock; keep both in git. Where FILE is a link, the lock is the one beside the link or, if
    there is none, beside what the link leads to. What is allotted stays as long as the file asks for it: adding,
    removing or reordering hosts renumbers nobody.
    """
    import sys

    from warren.cli.files import write_file
    from warren.cli.network import read_network, stands_in_the_way, without_lock_findings
    from warren.cli.view import count, runes, show, show_findings
    from warren.cli.view_json import findings_json, print_json
    from warren.core.lockfile import render_lock
    from warren.sys.errors import HostError
    from warren.sys.lock_file import lock_path

    loaded = _after_a_look(file, host) if host else read_network(file)
    others = without_lock_findings(loaded)
    show_findings(others.diagnostics, others.sources, sys.stderr)
    if stands_in_the_way(loaded) or loaded.lock is None:
        errors = findings_json(others.diagnostics)["errors"]
        raise HostError(f"{file} has {count(errors, 'error')}", "Nothing was written. Mend the file and try again.")
    path, wanted = lock_path(file), loaded.lock
    changes = [] if loaded.locked else _changes(_before(path), wanted)
    write = not (loaded.locked or only_check)
    if write:
        write_file(path, render_lock(wanted))
    if as_json:
        told = [{"rune": rune, "host": one.name} for rune, one in changes]
        held = {"hosts": _hosts(wanted), "devices": _guests(wanted)}
        print_json({"file": path, "current": loaded.locked, "written": write, "changes": told, **held})
    elif loaded.locked:
        show(f"{path}: nothing to do")
    else:
        show(f"{path}: {'written' if write else 'out of date'}")
        show(runes(_text(changes)))
    ctx.exit(1 if only_check and not loaded.locked else 0)


def _after_a_look(file: str, host: str) -> Loaded:
    """Read the file with a lock that holds what the followed devices of this machine have now."""
    from warren.cli.files import read_file
    from warren.core.delegates import follow
    from warren.core.load import load
    from warren.core.lockfile import lock_name, render_lock
    from warren.core.parse import parse
    from warren.core.parse.tree import MAX_BYTES
    from warren.sys.followed import prefixes_here
    from warren.sys.sets import read_sets

    data = read_file(file, MAX_BYTES)
    before = _before(lock_name(file))
    draft = parse(data, file).network
    seen = before
    if draft is not None:
        prefixes = prefixes_here()
        _refuse_in_vain(draft, host, prefixes, file)
        seen = follow(draft, before, host, prefixes)
    loaded = load(data, render_lock(seen).encode(), file, sets=read_sets(file))
    return replace(loaded, locked=loaded.lock == before)


def _refuse_in_vain(network: Network, host: str, prefixes: Collection[str], file: str) -> None:
    """Say so where looking at this machine can note nothing."""
    from warren.sys.errors import HostError

    if host not in network.by_name:
        raise HostError(f"{file} has no host `{host}`", f"It has {', '.join(network.by_name)}.")
    followed = sorted({one.follow for one in network.delegates if one.source == host and one.follow})
    if not followed:
        raise HostError(f"no `delegate:` of {file} follows a device of `{host}`", "Run `warren lock` without --host.")
    lacking = [device for device in followed if device not in prefixes]
    if lacking:
        raise HostError(
            f"{lacking[0]} has no global IPv6 prefix of at least a /64 on this machine",
            f"Run this on `{host}` itself, when `ip -6 address show dev {lacking[0]}` shows one.",
        )


def _before(path: str) -> Lock:
    """Read the lock as it is; what is wrong with it was said before."""
    from warren.cli.files import read_file
    from warren.core.lockfile import parse_lock
    from warren.core.parse.tree import MAX_BYTES
    from warren.model.lock import Lock
    from warren.sys.errors import HostError

    try:
        return parse_lock(read_file(path, MAX_BYTES), path)[0] or Lock()
    except HostError:  # there is none yet
        return Lock()


def _changes(before: Lock, after: Lock) -> list[tuple[str, HostLock | GuestLock]]:
    """Pair each host and device whose entry changes with a rune."""
    held: dict[str, HostLock | GuestLock] = {**before.by_name, **before.guest_by_name}
    wanted: dict[str, HostLock | GuestLock] = {**after.by_name, **after.guest_by_name}
    changed = []
    for name in sorted({*held, *wanted}):
        old, new = held.get(name), wanted.get(name)
        if new is None and old is not None:
            changed.append(("-", old))
        elif new is not None and new != old:
            changed.append(("+" if old is None else "~", new))
    return changed


def _text(changes: list[tuple[str, HostLock | GuestLock]]) -> str:
    from warren.cli.view import table
    from warren.model.lock import HostLock

    rows = [
        (
            f"  {rune} {one.name}",
            *(str(address) for address in one.addresses),
            *(_allotted(one) if isinstance(one, HostLock) else ()),
        )
        for rune, one in changes
    ]
    return table(rows)


def _allotted(host: HostLock) -> tuple[str, str]:
    """Tell a host's devices with their ports, and what its LANs are known as or were given."""
    devices = ", ".join(f"{device.name} udp/{device.port}" for device in host.devices)
    maps = [f"{held.lan} as {pair.seen}" for held in host.maps for pair in held.prefixes]
    return devices, ", ".join([*maps, *(f"{given.lan} has {given.prefix}" for given in host.delegated)])


def _hosts(lock: Lock) -> list[dict[str, Any]]:
    return [
        {
            "name": host.name,
            "addresses": [str(address) for address in host.addresses],
            "devices": [{"name": d.name, "port": d.port, "peer": d.peer} for d in host.devices],
            "chains": [
                {"portal": c.portal, "addresses": [str(address) for address in c.addresses]} for c in host.chains
            ],
            "maps": [
                {"lan": held.lan, "prefix": str(pair.own), "seen_as": str(pair.seen)}
                for held in host.maps
                for pair in held.prefixes
            ],
            "delegated": [{"lan": d.lan, "from": d.source, "prefix": str(d.prefix)} for d in host.delegated],
            "followed": [{"device": f.device, "prefix": str(f.prefix)} for f in host.followed],
        }
        for host in lock.hosts
    ]


def _guests(lock: Lock) -> list[dict[str, Any]]:
    return [{"name": one.name, "addresses": [str(address) for address in one.addresses]} for one in lock.guests]
