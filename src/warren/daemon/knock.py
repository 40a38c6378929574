"""Peers that answer only addresses that knocked are knocked at, when it is needed (knocking.py says when)."""

from __future__ import annotations

import os
import time

from warren.core.compile.fabric import Fabric
from warren.daemon.duty import Duties, Duty, Tell
from warren.daemon.knocking import LOOK, Knocks, Seen, Urge
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey, SecretRef, decode_key
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.state import OUTER_MARK
from warren.proto import knock
from warren.proto.address import Address
from warren.proto.noise import KeyPair
from warren.sys import knocks, wg
from warren.sys.endpoints import every_address
from warren.sys.errors import HostError
from warren.sys.secret import read_secret


def make_knock(static: KeyPair, peer: PublicKey, network: str) -> bytes:
    """Make one that is good now."""
    at = time.time_ns() // 1000
    return knock.write(static, decode_key(peer), network, KeyPair.of(os.urandom(32)), at)


class Knocker(Duty):
    """Knocks at peers before WireGuard needs them."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(tell)
        self._knocks: Knocks | None = None
        self._urge = Urge()
        self._next = 0.0

    def learn(self, duties: Duties, now: float) -> None:
        """Take the peers that there are now; at those that are new it is knocked at once."""
        self._knocks, self._next = duties.knocks, now
        if self._knocks is not None:
            self._static = KeyPair.of(decode_key(read_secret(SecretRef(self._knocks.private_key))))
            self.tick(now)

    def names(self) -> tuple[str, ...]:
        """Give the peers that are knocked at."""
        return tuple(name for _, _, name in self._knocks.peers) if self._knocks is not None else ()

    def moved(self, now: float) -> None:
        """Knock from where this host is now; their ports are closed to it."""
        self._urge.moved()
        self._next = now
        self.tick(now)

    def tick(self, now: float) -> None:
        """Look now and then whether somebody does not answer; there is no event that would tell."""
        if self._knocks is None or now < self._next:
            return
        self._next = now + LOOK
        try:
            self._look(self._knocks, now)
        except HostError as error:
            self.say("trouble", self._knocks.network, str(error))

    def _look(self, at: Knocks, now: float) -> None:
        seen = {
            (name, one.peer.public_key): Seen(one.peer.endpoint, one.sent, one.received)
            for name, device in wg.devices(at.devices).items()
            for one in device.peers
        }
        known = {key: seen[device, key] for key, device, _ in at.peers if (device, key) in seen}
        due = self._urge.look((key for key, _, _ in at.peers), known, now)
        for key, _, name in at.peers:
            where = known[key].endpoint if key in due else None
            if where is not None and self._knock(at, key, where) and due[key]:
                self.say("knocked", name, f"knocked at {where}")

    def _knock(self, at: Knocks, peer: PublicKey, where: Endpoint) -> bool:
        place = Address.of(where.host, where.port)
        return knocks.send(make_knock(self._static, peer, at.network), place, at.mark)


def knock_at(network: Network, lock: Lock, host: str, at: str) -> tuple[Address, ...]:
    """Knock at a host of the network from another, at every address it has now; gives those that there is a way to.

    HostError if nobody has to knock there, or nothing could be sent.
    """
    called = network.by_name.get(at)
    if called is None or called.knock is None or called.endpoint is None:
        able = ", ".join(one.name for one in network.hosts if one.knock is not None) or "nobody"
        raise HostError(f"{at} is no host of {network.file} that is knocked at", f"There is: {able}.")
    if at == host:
        raise HostError(f"this machine is {at} itself", "Knock from another host of the network; --host says which.")
    static = KeyPair.of(decode_key(read_secret(SecretRef(network.by_name[host].private_key))))
    port = Fabric(network, lock).port(at, host)
    found = every_address(called.endpoint)
    if not found:
        raise HostError(f"the name {called.endpoint.host} stands for no address", "Check it, and your name server.")
    places = tuple(Address.of(text.partition("%")[0], port) for text in found)
    went = tuple(one for one in places if knocks.send(make_knock(static, called.key, network.name), one, OUTER_MARK))
    if not went:
        raise HostError(f"there is no way to {', '.join(map(str, places))}", "Is this machine's network up?")
    return went
