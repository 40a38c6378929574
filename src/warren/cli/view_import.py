"""What `warren import` has to say when it is done: for people, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from warren.cli.view import count, paint, show, table
from warren.cli.view_json import findings_json, print_json
from warren.core.imports import Imported, Secret
from warren.core.lockfile import lock_name
from warren.model.diagnostic import Diagnostic


def print_import(
    made: Imported, output: str, said: Sequence[Diagnostic], written: Sequence[tuple[Secret, str]]
) -> None:
    """Print what was imported as JSON: docs/json.md."""
    assert made.draft is not None
    draft = made.draft
    hosts: list[dict[str, Any]] = [
        {
            "name": host.name,
            "key": host.party.key,
            "conf": host.party.given.file if host.party.given is not None else "",
            "addresses": [str(address) for address in host.addresses],
        }
        for host in draft.hosts
    ]
    devices = [
        {"name": one.name, "key": one.party.key, "addresses": [str(address) for address in one.addresses]}
        for one in draft.devices
    ]
    secrets = [
        {"file": path, "hosts": list(secret.hosts), "install": draft.installed(secret)} for secret, path in written
    ]
    print_json(
        {
            "file": output,
            "lock": "" if output == "-" else lock_name(output),
            "network": draft.name,
            "hosts": hosts,
            "devices": devices,
            "guesses": [{"host": one.host, "what": one.what, "value": one.value} for one in draft.guesses],
            "secrets": secrets,
            **findings_json(said),
            "text": made.text,
            "lock_text": made.lock or "",
        }
    )


def show_import(made: Imported, output: str, written: Sequence[tuple[Secret, str]]) -> None:
    """Say what was written, what was guessed, and what comes next."""
    assert made.draft is not None and made.loaded is not None
    draft = made.draft
    files = paint(output, "bold") + (f" and {lock_name(output)} are" if made.lock is not None else " is")
    parts = [count(len(draft.hosts), "host"), count(len(draft.portals), "portal")]
    parts += [count(len(draft.devices), "device")] if draft.devices else []
    parts += [f"{len(draft.publishes)} published"] if draft.publishes else []
    show(f"{files} written: {', '.join(parts)}.")
    if draft.guesses:
        show("No conf says these; look at them in the file and the lock:")
        show(table([("  ? " + guess.host, guess.what, guess.value) for guess in draft.guesses]))
    if written:
        show("Keys, each in a file of its own; copy them by a safe way (scp), then delete them here:")
        rows = [
            ("  " + path, "is", draft.installed(secret), "on " + " and ".join(secret.hosts)) for secret, path in written
        ]
        show(table(rows))
    if not made.loaded.ok:
        show("Check finds errors in it, as told above: mend the file first.")
        return
    show("What comes next:")
    steps = [
        (f"warren verify {output}", "prove that it does what the confs did"),
        (f"warren lab test {output}", "the same with real packets, on this machine"),
        (f"warren plan {output}", "on each host, with the old tunnel down: see what changes"),
        (f"warren apply {output} --confirm 60", "on each host; `warren confirm` keeps it"),
    ]
    width = max(len(command) for command, _ in steps)
    for command, why in steps:
        show(f"  {command:<{width}}   {why}")
