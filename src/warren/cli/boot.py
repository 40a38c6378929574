"""`warren apply --at-boot`: bring back what was confirmed, and say what became of the file meanwhile."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warren.sys.boot import Boot


def bring_back(retry: bool, as_json: bool) -> int:
    """Bring back what was confirmed; status 1, for the init system to try again, if a name was not found yet.

    With `retry` it is tried here, until all is up. HostError tells why networks did not come up.
    """
    import time

    from warren.cli.done import told
    from warren.cli.view import show
    from warren.sys.boot import at_boot
    from warren.sys.errors import HostError
    from warren.sys.machine import Machine

    machine = told(Machine(), as_json)
    before: list[str] = []

    def tell(boot: Boot) -> None:
        """Say what is new: the same twice a minute would fill a log."""
        said = _said(boot, retry)
        for line in said if not as_json else ():
            if line not in before:
                show(line, sys.stderr if line.startswith("warning: ") else None)
        before[:] = said

    boot = at_boot(machine, tell=tell, wait=time.sleep if retry else None)
    if boot.failed:
        raise HostError(
            "\n".join(f"{owner}: {why}" for owner, why in boot.failed.items()),
            f"Up: {', '.join(boot.applied) or 'nothing'}.",
        )
    if as_json:
        from warren.cli.apply import applied_json
        from warren.cli.view_json import print_json

        print_json([applied_json("", owner, applied) for owner, applied in boot.applied.items()])
    else:
        _say_files(boot)
    return 0 if boot.whole else 1


def _said(boot: Boot, retry: bool) -> list[str]:
    """Say what a try came to; what it failed of only where it is not the last one, which ends with that."""
    from warren.cli.view import count, paint

    lines = [f"warning: {missed}" for applied in boot.applied.values() for missed in applied.missed]
    lines += [f"warning: {owner} is not up yet: {' '.join(why.split())}" for owner, why in boot.failed.items() if retry]
    for owner, applied in boot.applied.items():
        made = f"{count(len(applied.items), 'change')} made, and seen to be there" if applied.items else "nothing to do"
        lines.append(f"{owner}: {paint(made, 'bold', 'green') if applied.items else made}")
    return (
        lines
        if boot.applied or boot.failed
        else ["nothing has been confirmed on this host, so there is nothing to bring back"]
    )


def _say_files(boot: Boot) -> None:
    """Say where a file is not what was confirmed: the host does what was."""
    from warren.cli.draft import draft_of
    from warren.cli.view import show
    from warren.sys import journal
    from warren.sys.store import Store

    for owner in boot.applied:
        draft = draft_of(journal.load(Store.of_host(), owner))
        if draft.says:
            show(f"warning: {draft.says}; {owner} is what was confirmed last", sys.stderr)
