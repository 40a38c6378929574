"""Tell systemd, if it started us, how it stands with us (sd_notify(3)): ready, alive, about to end."""

from __future__ import annotations

import os
import socket

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"


def notify(*words: str) -> None:
    """Send words to whoever started us and asked for them; without such a one, or if it is gone, nobody is told."""
    where = os.environ.get("NOTIFY_SOCKET", "")
    if where[:1] not in {"/", "@"}:
        return
    address = "\0" + where[1:] if where[0] == "@" else where
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as teller:
        try:
            teller.sendto("\n".join(words).encode(), address)
        except OSError:
            return


def status(says: str) -> str:
    """Make the word that `systemctl status` shows as the state of a unit."""
    return "STATUS=" + says.replace("\n", " ")
