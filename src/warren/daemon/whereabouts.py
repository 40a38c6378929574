"""Where this host is, and where the servers are: what addresses of ours others could reach, what servers' names say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address

from warren.daemon.meeting import Meeting, Say
from warren.model.endpoint import Endpoint
from warren.model.key import decode_key
from warren.proto.address import Address, Candidate, Origin
from warren.proto.codec import MAX_CANDIDATES
from warren.sys import ip
from warren.sys.endpoints import every_address, remember, remembered
from warren.sys.errors import HostError
from warren.sys.wgport import Port

MOST_OFFERED = MAX_CANDIDATES - 1  # a server adds the one that it sees
LOOKS_UP = 10.0  # seconds until names of servers that stand for no address are looked up again
LOOKS_AGAIN = 300.0  # and those that did

Serve = Callable[[dict[Address, bytes]], None]


def own_addresses(apart: frozenset[str]) -> tuple[IPv4Address | IPv6Address, ...]:
    """List this host's addresses by which others may reach it; HostError if the kernel does not say.

    Those of the devices `apart`, our own tunnels, are none.
    """
    links = [link for link in ip.links() if link.up and link.name not in apart]
    ips = dict.fromkeys(one.ip for link in links for one in link.lasting)
    return tuple(one for one in ips if not (one.is_loopback or one.is_link_local or one.is_multicast))


def own_places(port: Port) -> tuple[Candidate, ...]:
    """List the places at which others may reach WireGuard's port, as far as this host itself knows them."""
    places = (Address(one, port.port) for one in own_addresses(port.apart))
    return tuple(Candidate(Origin.HOST, place) for place in places)[:MOST_OFFERED]


class Servers:
    """Looks up where the servers are, beside everything else: a name server may take its time.

    Where a portal takes the host's own traffic, its name server may be reached only by the tunnel that is to be found.
    So servers are first asked where they were last, and as long as their names are not answered.
    """

    def __init__(self, port: Port, serve: Serve, say: Say) -> None:
        """Tell `serve` their addresses and keys, whenever some were found."""
        self._port, self._serve, self._say = port, serve, say
        self._first = True
        self._looking: asyncio.Task[None] | None = None
        self._looks_at = float("-inf")

    def hurry(self, now: float) -> None:
        """Look them up next time they are asked for: they are others, or the uplink is."""
        self._looks_at = min(self._looks_at, now)

    def look_up(self, meeting: Meeting, now: float) -> None:
        """Ask for their addresses, if it is time."""
        if now < self._looks_at or (self._looking is not None and not self._looking.done()):
            return
        self._looks_at = now + LOOKS_UP
        self._looking = asyncio.get_running_loop().create_task(self._visit(meeting))

    def close(self) -> None:
        """Ask no more."""
        if self._looking is not None:
            self._looking.cancel()

    async def _visit(self, meeting: Meeting) -> None:
        loop = asyncio.get_running_loop()
        last = {name: (found.host,) for name, found in remembered(meeting.store).items()}
        asked = [loop.run_in_executor(None, every_address, endpoint) for endpoint, _ in meeting.servers]
        if self._first:
            self._found(meeting, last)
        self._first = False
        endpoints = [endpoint for endpoint, _ in meeting.servers]
        found = {each: texts for each, texts in zip(endpoints, await asyncio.gather(*asked), strict=True) if texts}
        if len(found) == len(endpoints):
            self._looks_at = loop.time() + LOOKS_AGAIN
        self._found(meeting, last | found)
        try:
            remember(meeting.store, {each: self._best(each, texts) for each, texts in found.items()})
        except HostError as error:
            self._say("trouble", "servers", str(error))

    def _found(self, meeting: Meeting, texts: Mapping[Endpoint, tuple[str, ...]]) -> None:
        servers = {
            place: decode_key(key)
            for endpoint, key in meeting.servers
            if (place := self._reachable(endpoint, texts.get(endpoint, ()))) is not None
        }
        if servers:  # while no name is answered, those that were found stay
            self._serve(servers)

    def _best(self, endpoint: Endpoint, texts: tuple[str, ...]) -> Endpoint:
        """Give the address at which a server is visited, or any while there is no way to one."""
        place = self._reachable(endpoint, texts)
        return Endpoint(str(place.ip) if place else texts[0], endpoint.port)

    def _reachable(self, endpoint: Endpoint, texts: tuple[str, ...]) -> Address | None:
        """Give the address of a server to which there is a way, IPv4 first: there NATs are, of which it can tell."""
        places = sorted((Address.of(text, endpoint.port) for text in texts), key=lambda one: one.ip.version)
        return next((place for place in places if self._port.source(place) is not None), None)
