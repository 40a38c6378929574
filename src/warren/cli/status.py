"""`warren status`: what of warren's is on this host, and whether it is as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from warren.cli.options import json_option

if TYPE_CHECKING:
    from warren.cli.draft import Draft
    from warren.sys.status import BootStatus, DeviceStatus, OwnerStatus, PeerStatus

SHOWN = 5  # differences that people are told of each owner


@click.command()
@json_option
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Show what of warren's is on this host: networks and confs, devices, peers, services, and what a boot brings back.

    Exit status 0 if all of it is up and as it was applied, 1 if something is not.
    """
    from warren.cli.draft import draft_of
    from warren.sys import status as found
    from warren.sys.machine import Machine

    machine = Machine()
    told = [(one, draft_of(one.held)) for one in found.owners(machine)]
    boot = found.boot(machine)
    ok = all(one.ok for one, _ in told)
    if as_json:
        from warren.cli.view_json import print_json

        print_json({"ok": ok, "owners": [_json(*one) for one in told], "installed": _boot_json(boot)})
    else:
        from warren.cli.view import show

        lines = [line for one in told for line in (*_lines(*one), "")] or ["nothing of warren's is on this host", ""]
        show("\n".join((*lines, _boot_line(boot))))
    ctx.exit(0 if ok else 1)


def _lines(one: OwnerStatus, draft: Draft) -> Iterator[str]:
    from warren.cli.view import count, paint

    held = one.held
    colour = "green" if one.ok else "yellow" if one.state in ("up", "unconfirmed") else "red"
    where = f" on {held.host}" if held.host and not held.owner.startswith("conf:") else ""
    yield f"{paint(held.owner.removeprefix('conf:'), 'bold')}{where}: {paint(_STATES[one.state], colour)}{_until(one)}"
    if draft.file:
        yield f"  from {draft.file}" + (f" ({draft.changed})" if draft.says else "")
    if draft.says:
        yield f"  ? {draft.says}"
    if one.trouble:
        yield f"  ! {one.trouble}"
    if one.differs:
        yield f"  ! {count(len(one.differs), 'thing')} not as applied; `warren plan` tells all:"
        yield from (f"      {item.rune} {item.reason}" for item in one.differs[:SHOWN])
    for device in one.devices:
        yield from _device_lines(device)
    if one.agent is False and not any(device.paths for device in one.devices):
        yield "  ? peers are to be found by an agent, and none is at work here (`warren agent`)"
    for choice in one.choices:
        where = "directly" if choice.in_use == "direct" else f"by {choice.in_use}"
        others = f" of {', '.join(choice.exits)}" if choice.in_use != "direct" and len(choice.exits) > 1 else ""
        usual = choice.in_use == choice.exits[0]
        yield f"  {choice.portal} ({choice.family.word}): {where if usual else paint(where, 'yellow')}{others}"
    for service in one.services:
        yield f"  {service.program} ({service.name}): {'at work' if service.at_work else paint('not at work', 'red')}"


_STATES = {
    "up": "up",
    "guarded": "not up yet; its guard stands",
    "down": "not here; what was confirmed comes back with `warren apply --at-boot`",
    "unconfirmed": "up, but not confirmed",
    "cut-short": "cut short in the middle of a change; apply again",
}


def _until(one: OwnerStatus) -> str:
    import time

    if one.deadline is None:
        return ""
    left = one.deadline - time.time()
    return f"; undone in {left:.0f} s" if left > 0 else "; being undone"


def _device_lines(device: DeviceStatus) -> Iterator[str]:
    from warren.cli import view_paths as paths
    from warren.cli.view import paint

    if not device.there:
        yield f"  {device.name}: {paint('not there', 'red')}"
        return
    yield f"  {device.name}: udp/{device.port}, {f'MTU {device.mtu}' if device.mtu else 'down'}"
    told = {one.key: one for one in device.paths.known.peers} if device.paths else {}
    for peer in device.peers:
        yield f"    {_peer_line(peer)}"
        if peer.key in told:
            yield from (f"      {line}" for line in paths.peer_lines(told[peer.key]))
    if device.paths:
        yield from (f"    {line}" for line in paths.host_lines(device.paths))


def _peer_line(peer: PeerStatus) -> str:
    last = "no handshake yet" if peer.handshake is None else f"handshake {_ago(peer.handshake)} ago"
    carried = f"{_size(peer.received)} in, {_size(peer.sent)} out"
    return f"{peer.name or peer.key}: {peer.endpoint or 'not heard of yet'}, {last}, {carried}"


def _ago(seconds: int) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _size(number: int) -> str:
    amount, units = float(number), ["B", "KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:
        amount, units = amount / 1024, units[1:]
    return f"{amount:.0f} {units[0]}" if units[0] == "B" else f"{amount:.1f} {units[0]}"


def _boot_line(boot: BootStatus | None) -> str:
    if boot is None:
        return "at boot: nothing comes back by itself (`warren install FILE`)"
    off = [name for name, enabled in boot.enabled if not enabled]
    lacking = f"; not enabled: {', '.join(off)}" if off else ""
    lacking += "" if boot.guard else "; the guard's script is gone: install again"
    return f"at boot: {', '.join(boot.networks)} by {boot.init}{lacking}"


def _json(one: OwnerStatus, draft: Draft) -> dict[str, Any]:
    from warren.cli.view_paths import paths_json

    held = one.held
    return {
        "owner": held.owner,
        "host": held.host,
        "file": draft.file,
        "file_changed": draft.changed.value,
        "ok": one.ok,
        "state": one.state,
        "confirm": one.deadline,
        "differs": [{"rune": item.rune.value, "reason": item.reason} for item in one.differs],
        "trouble": one.trouble,
        "agent": one.agent,
        "devices": [
            {
                "name": device.name,
                "there": device.there,
                "port": device.port,
                "mtu": device.mtu,
                "peers": [
                    {
                        "name": peer.name,
                        "key": peer.key,
                        "endpoint": peer.endpoint,
                        "handshake": peer.handshake,
                        "received": peer.received,
                        "sent": peer.sent,
                    }
                    for peer in device.peers
                ],
                "paths": paths_json(device.paths) if device.paths else None,
            }
            for device in one.devices
        ],
        "services": [
            {"name": each.name, "program": each.program.value, "at_work": each.at_work} for each in one.services
        ],
        "exits": [
            {"portal": each.portal, "family": each.family.word, "in_use": each.in_use, "exits": list(each.exits)}
            for each in one.choices
        ],
    }


def _boot_json(boot: BootStatus | None) -> dict[str, Any] | None:
    if boot is None:
        return None
    return {
        "init": boot.init,
        "networks": list(boot.networks),
        "enabled": [{"name": name, "enabled": enabled} for name, enabled in boot.enabled],
        "guard": boot.guard,
    }
