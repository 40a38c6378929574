"""Checks of hosts that are knocked at: that somebody dials them, and that whoever does can knock."""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.check.subject import Check, Subject, finding
from warren.model.diagnostic import Diagnostic


def dialled(subject: Subject) -> Iterator[Diagnostic]:
    """A host that is knocked at is one that others dial."""
    for host in subject.network.hosts:
        if host.knock is not None and host.endpoint is None:
            says = f"`{host.name}` has no endpoint, so nobody dials it, and nobody has a reason to knock."
            hint = "Take `knock:` out, or give it the `endpoint:` that it has."
            yield finding("W240", subject.host_spot(host, "knock"), says, hint)


def devices(subject: Subject) -> Iterator[Diagnostic]:
    """Whoever dials it has an agent, or can run a command: no app of a phone does."""
    network = subject.network
    for device in network.devices:
        host = network.by_name.get(device.into)
        if host is not None and host.knock is not None and network.dials(device) == host.name:
            says = f"`{device.name}` dials `{host.name}`, whose WireGuard ports answer only addresses that knocked."
            hint = f"Lead it into another host, or take `knock:` out at `{host.name}`."
            yield finding("W241", subject.spots(device.at, "into"), says, hint)


def traceroute(subject: Subject) -> Iterator[Diagnostic]:
    """Who opens a port to anybody is told so, and runs no command for it."""
    for host in subject.network.hosts:
        knock = host.knock
        if knock is None or knock.traced is None:
            continue
        first, last = knock.traced
        where = subject.host_spot(host, "knock", "traceroute")
        says = f"Anybody who sends to a UDP port from {first} to {last} opens WireGuard's ports of `{host.name}`."
        yield finding("W242", where, says, "Leave it out where every peer can run `warren agent` or `warren knock`.")
        if knock.run:
            says = "A command runs at knocks that prove who knocks, and those of traceroute do not."
            yield finding("W243", subject.host_spot(host, "knock", "run"), says, "Take `run:` or `traceroute:` out.")


CHECKS: tuple[Check, ...] = (dialled, devices, traceroute)
