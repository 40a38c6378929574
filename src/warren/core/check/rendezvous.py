"""Checks of rendezvous servers: that each is one, and that somebody needs them."""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.check.subject import Check, Subject, finding
from warren.core.parse.addresses import parse_address
from warren.model.diagnostic import Diagnostic
from warren.model.prefix import covers


def servers(subject: Subject) -> Iterator[Diagnostic]:
    """Each server has an address of its own, outside the tunnels, and a key that nobody else has."""
    network = subject.network
    addresses: set[str] = set()
    keys = {host.key: f"the host `{host.name}`" for host in network.hosts if host.key}
    for server in network.rendezvous:
        where = subject.spots(server.at, "address")
        if str(server.address) in addresses:
            says = f"There is another server at `{server.address}`."
            yield finding("W230", where, says, "Name each server once.")
        addresses.add(str(server.address))
        literal = parse_address(server.address.host)
        inside = [prefix for prefix in network.overlay if literal is not None and covers(prefix, literal)]
        if inside:
            says = f"The server's address lies in the overlay `{inside[0]}`, so only a tunnel leads to it."
            yield finding("W040", where, says, "Write its public address, or choose another overlay.")
        if not server.key:
            hint = "Run `warren keys gen /etc/warren/rendezvous.key` there and add `key: …`."
            yield finding("W030", subject.spots(server.at), f"The server at `{server.address}` has no key.", hint)
        elif server.key in keys:
            says = f"The server at `{server.address}` has the same key as {keys[server.key]}."
            hint = "Make a pair of its own for it: `warren keys gen /etc/warren/rendezvous.key`."
            yield finding("W230", subject.spots(server.at, "key"), says, hint)
        else:
            keys[server.key] = f"the server at `{server.address}`"


def need(subject: Subject) -> Iterator[Diagnostic]:
    """There are hosts that find each other there, and no hub that would carry their packets."""
    network = subject.network
    if not network.rendezvous:
        return
    where = subject.spots(None, "rendezvous")
    if network.hub:
        says = f"Hosts that cannot dial one another would meet at the hub `{network.hub}`, and at a rendezvous server."
        yield finding("W231", where, says, "Take one of the two out.")
    if sum(host.endpoint is None for host in network.hosts) < 2:
        says = "No two hosts are without an endpoint, so nobody has anything to ask a rendezvous server."
        yield finding("W233", where, says, "Take `rendezvous:` out.")


def port_mapping(subject: Subject) -> Iterator[Diagnostic]:
    """Only a host that finds others at a server asks its router for a port."""
    network = subject.network
    for host in network.hosts:
        if not host.port_mapping and not any(network.meet(host.name, other.name) for other in network.hosts):
            says = f"`{host.name}` asks its router for no port: it finds nobody at a rendezvous server."
            yield finding("W255", subject.host_spot(host, "port_mapping"), says, "Take `port_mapping:` out.")


CHECKS: tuple[Check, ...] = (servers, need, port_mapping)
