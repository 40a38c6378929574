"""Checks of who can dial whom: endpoints, ports, the hub."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from warren.core.check.subject import Check, Subject, finding, several
from warren.core.parse.addresses import parse_address
from warren.model.diagnostic import Diagnostic
from warren.model.endpoint import Endpoint
from warren.model.host import Host
from warren.model.prefix import covers


def endpoints(subject: Subject) -> Iterator[Diagnostic]:
    """No two hosts are dialled at one place, and none inside the tunnels themselves."""
    first: dict[Endpoint, Host] = {}
    for host in subject.network.hosts:
        if host.endpoint is None:
            continue
        where = subject.host_spot(host, "endpoint")
        other = first.setdefault(host.endpoint, host)
        if other is not host:
            says = f"`{host.name}` and `{other.name}` have the same endpoint `{host.endpoint}`."
            yield finding("W042", where, says, "Give one of them another port, and forward it there.")
        address = parse_address(host.endpoint.host)
        inside = [prefix for prefix in subject.network.overlay if address is not None and covers(prefix, address)]
        if inside:
            says = f"The endpoint of `{host.name}` lies in the overlay `{inside[0]}`, so only a tunnel leads to it."
            yield finding("W040", where, says, "Write the host's public address, or choose another overlay.")


def hub(subject: Subject) -> Iterator[Diagnostic]:
    """Everybody can dial the hub."""
    network = subject.network
    if not network.hub:
        return
    where = subject.spots(None, "hub")
    if network.hub not in network.by_name:
        close = get_close_matches(network.hub[:40], network.by_name, 1, 0.6)
        hint = f"Did you mean `{close[0]}`?" if close else f"There is {several([host.name for host in network.hosts])}."
        yield finding("W061", where, f"The hub `{network.hub[:40]}` is no host of this file.", hint)
    elif all(host.endpoint is None for host in network.hosts if host.name == network.hub) and any(
        host.endpoint is None for host in network.hosts if host.name != network.hub
    ):
        able = [host.name for host in network.hosts if host.endpoint is not None]
        hint = f"Give it an `endpoint:`, or make {several(able)} the hub." if able else "Give it an `endpoint:`."
        says = f"The hub `{network.hub}` has no endpoint, so hosts without one cannot dial it."
        yield finding("W044", where, says, hint)


def reach(subject: Subject) -> Iterator[Diagnostic]:
    """Any two hosts can dial each other, meet at the hub, or find each other at a rendezvous server.

    Hosts without an endpoint can dial each other not at all, so one finding names all of them.
    """
    network = subject.network
    silent = [host for host in network.hosts if host.endpoint is None]
    if network.hub or network.rendezvous or len(silent) < 2:
        return
    able = [host.name for host in network.hosts if host.endpoint is not None]
    hint = "Give one of them an `endpoint:`" if len(silent) == 2 else "Give all but one of them an `endpoint:`"
    if able:
        hint += f", or write `hub: {able[0]}` to let them meet there."
    else:
        hint += "." if len(silent) == 2 else ", or give one of them an `endpoint:` and make it the hub."
    hint = f"{hint[:-1]}. Or let them find each other with `rendezvous:` (docs/meeting.md)."
    says = f"{several([host.name for host in silent])} have no endpoint, so no two of them can dial each other."
    yield finding("W043", silent[0].at or subject.spots(None), says, hint)


CHECKS: tuple[Check, ...] = (endpoints, hub, reach)
