"""Servers at which hosts find each other that nobody can dial."""

from __future__ import annotations

from dataclasses import dataclass

from warren.model.diagnostic import Where
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey

RELAY = (30000, 30999)  # below the ports that Linux gives to clients, so that nobody is in the way
PRIVATE_KEY = "/etc/warren/rendezvous.key"


@dataclass(frozen=True, slots=True)
class Server:
    """A rendezvous server: where hosts send to, and its public key.

    `relay` are the first and last of the UDP ports that it lends to pairs of hosts, two for each; None: it lends none.
    `private_key` is a file on the server's own machine.
    """

    address: Endpoint
    key: PublicKey
    relay: tuple[int, int] | None = RELAY
    private_key: str = PRIVATE_KEY
    at: Where | None = None
