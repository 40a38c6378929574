"""Machines of the lab that ask for a name before they send anything to it, as everybody does.

They ask the resolver that warren runs for them; where it runs none, the names of the file are known by /etc/hosts.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from warren.core.compile.lan_services import OWN, service_name
from warren.core.domains import young
from warren.core.walk.packet import to_address
from warren.lab.spaces import Spaces
from warren.lab.topology import host_space
from warren.model.network import Network
from warren.model.prefix import FAMILIES, Address
from warren.model.state import HostState
from warren.model.world import Client
from warren.proto.dns.message import AAAA, IN, A, Malformed, read_answer, wire_name, write_query

AGAIN = 0.5  # seconds until a question is asked once more
PORT = 53
KINDS = {4: A, 6: AAAA}


@dataclass
class Lookup:
    """A name that a machine asks for: in its space, at a resolver, for both families."""

    space: str
    resolver: str
    name: str
    answers: dict[int, tuple[Address, ...]] = field(default_factory=dict)
    trouble: str = ""

    @property
    def done(self) -> bool:
        """Whether both families are answered."""
        return len(self.answers) == len(KINDS)

    @property
    def addresses(self) -> frozenset[Address]:
        """All addresses that it was told."""
        return frozenset(address for found in self.answers.values() for address in found)


def lan_resolver(network: Network, state: HostState | None, client: Client) -> str:
    """Give the address at which warren resolves names for a machine on a LAN; empty if it does not."""
    config = _config(state, service_name(client.lan))
    addresses = network.by_name[client.host].lan(client.lan).addresses
    return str(addresses[0].ip) if config and "port=0" not in config and addresses else ""


def own_resolver(state: HostState | None) -> str:
    """Give the address at which warren resolves names for a host's own programs; empty if it does not."""
    return next((line.partition("=")[2] for line in _config(state, OWN) if line.startswith("listen-address=")), "")


def _config(state: HostState | None, name: str) -> list[str]:
    services = state.services if state is not None else ()
    return next((service.config.splitlines() for service in services if service.name == name), [])


def grow_up(spaces: Spaces, states: dict[str, HostState]) -> None:
    """End the time in which machines may know names from before: nobody in a lab does."""
    flushes = {
        host_space(host): "".join(
            f"flush set {table.family} {table.name} {held.name}\n"
            for table in state.tables
            for held in table.sets
            if held.name in map(young, FAMILIES)
        )
        for host, state in states.items()
    }
    spaces.run_each({space: (("nft", "-f", "-"), text) for space, text in flushes.items() if text})


def look_up(
    lookups: Iterable[Lookup],
    spaces: Spaces,
    selector: selectors.BaseSelector,
    wait: Callable[[Callable[[], bool], float, Callable[[float], None] | None], bool],
    seconds: float,
) -> None:
    """Ask all these questions at once, until each is answered or has its `trouble`."""
    askers = [_Asker(lookup, spaces, selector) for lookup in lookups]
    again = 0.0

    def prod(now: float) -> None:
        nonlocal again
        if now >= again:
            again = now + AGAIN
            for asker in askers:
                asker.send()

    wait(lambda: all(asker.lookup.done for asker in askers), seconds, prod)
    for asker in askers:
        asker.close()
        if not asker.lookup.done:
            asker.lookup.trouble = f"{asker.lookup.resolver} did not answer for {asker.lookup.name}"


class _Asker:
    def __init__(self, lookup: Lookup, spaces: Spaces, selector: selectors.BaseSelector) -> None:
        self.lookup, self.selector = lookup, selector
        family = socket.AF_INET6 if ":" in lookup.resolver else socket.AF_INET
        with spaces.inside(lookup.space):
            self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        selector.register(self.socket, selectors.EVENT_READ, self.read)

    def send(self) -> None:
        for version, kind in KINDS.items():
            if version not in self.lookup.answers:
                query = write_query(version, wire_name(self.lookup.name), kind, IN, 0, signatures=False)
                try:
                    self.socket.sendto(query, (self.lookup.resolver, PORT))
                except OSError as error:
                    self.lookup.trouble = (error.strerror or str(error)).lower()

    def read(self) -> None:
        try:
            answer = read_answer(self.socket.recv(4096))
        except (BlockingIOError, ConnectionError, Malformed):
            return  # nobody is there yet, or somebody says something else: asked again
        if answer.number in KINDS and answer.code == 0:
            self.lookup.answers[answer.number] = tuple(
                to_address(number, family) for family, number in answer.addresses
            )

    def close(self) -> None:
        self.selector.unregister(self.socket)
        self.socket.close()
