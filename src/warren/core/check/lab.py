"""Checks of the lab: that its NATs stand somewhere, once, and that who can be dialled still can."""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.check.subject import Check, Subject, finding
from warren.model.diagnostic import Diagnostic


def nats(subject: Subject) -> Iterator[Diagnostic]:
    """Each NAT has one place: on the internet, or behind one other NAT."""
    lab = subject.network.lab
    upstream: dict[str, tuple[str, str]] = {}
    for host, names in lab.place if lab is not None else ():
        outer = "internet"
        for at, name in enumerate(names):
            before, first = upstream.setdefault(name, (outer, host))
            if before != outer or name in names[:at]:
                says = f"The NAT `{name}` stands behind `{before}` for `{first}`, but behind `{outer}` for `{host}`."
                hint = f"Write the same NATs in front of `{name}` everywhere, or give one of the two another name."
                yield finding("W091", subject.spots(None, "lab", "place", host, at), says, hint)
            outer = name


def dialled(subject: Subject) -> Iterator[Diagnostic]:
    """A host that others dial is not placed behind a NAT, which forwards no ports."""
    network = subject.network
    for host, names in network.lab.place if network.lab is not None else ():
        if names and host in network.by_name and network.by_name[host].endpoint is not None:
            says = f"`{host}` has an endpoint, but in the lab it stands behind `{names[-1]}`, where nobody can dial it."
            where = subject.spots(None, "lab", "place", host)
            yield finding("W092", where, says, "Place it on `internet`, or take its endpoint away.")


def forwarded(subject: Subject) -> Iterator[Diagnostic]:
    """A host that listens elsewhere than it is dialled stands behind a port forward, which the lab has none of."""
    for host in subject.network.hosts:
        if host.endpoint is not None and host.port not in (None, host.endpoint.port):
            says = (
                f"`{host.name}` is dialled at port {host.endpoint.port} but listens at {host.port}: behind a port "
                "forward, which `verify` and the lab do not have, so there nobody can dial it."
            )
            hint = "Leave it so if your router forwards the port; to try the network, do it without `port:`."
            yield finding("W092", subject.host_spot(host, "port"), says, hint)


CHECKS: tuple[Check, ...] = (nats, dialled, forwarded)
