"""What `warren punch` is asked for, and whether it can be done here: said before anything is sent."""

from __future__ import annotations

import time
from dataclasses import dataclass

from warren.core.conf.values import endpoint_of
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey, decode_key, is_public_point, looks_private
from warren.proto.address import Address
from warren.proto.natpunch.client import PAUSE
from warren.sys import ip, wg
from warren.sys.endpoints import every_address
from warren.sys.errors import HostError
from warren.sys.privilege import require_net_admin
from warren.sys.store import Store

TIMES = "punch.json"  # in the store: the time of the last greeting


@dataclass(frozen=True, slots=True)
class Wish:
    """For which device, by which server, whether for good, and how many seconds between two rounds."""

    device: str
    server: Endpoint
    key: PublicKey
    for_good: bool = False
    pause: float = PAUSE


def wish_of(device: str, server: str, key: str, for_good: bool = False, pause: float = PAUSE) -> Wish:
    """Read what was written on the command line; HostError says what of it cannot be."""
    try:
        endpoint = endpoint_of(server, lambda _: None)
    except ValueError as error:
        raise HostError(f"{server} is no server: {error}", "Write for instance `punch.example.net:12345`.") from None
    try:
        raw = decode_key(key)
    except ValueError as error:
        raise HostError(
            f"the server's key is none: {error}", "The server prints its public key when it starts."
        ) from None
    if looks_private(raw):
        raise HostError(
            "this is a private key, and others see what stands on a command line",
            "Make another key for that server, and write its public one here: `warren keys pub FILE` prints it.",
        )
    if not is_public_point(raw):
        raise HostError("no server can have this key", "The server prints its public key when it starts.")
    return Wish(device, endpoint, PublicKey(key), for_good, pause)


def device_of(name: str) -> wg.DeviceSeen:
    """Read the device; HostError says why one cannot punch by it."""
    require_net_admin("sending from WireGuard's own port")
    link = next((one for one in ip.links() if one.name == name), None)
    if link is None:
        raise HostError(f"there is no interface {name}", f"`warren up {name}` brings up /etc/wireguard/{name}.conf.")
    if not link.up:
        raise HostError(f"{name} is down, so WireGuard has no port", f"`ip link set {name} up` brings it up.")
    seen = wg.devices((name,)).get(name)
    if seen is None:
        raise HostError(f"{name} is no WireGuard interface", "`wg show interfaces` names those that are.")
    if not seen.public_key:
        raise HostError(f"{name} has no private key", f"`wg set {name} private-key FILE` gives it one.")
    if not seen.peers:
        raise HostError(f"{name} has no peers to find", f"`wg set {name} peer KEY allowed-ips …` adds one.")
    return seen


def place_of(server: Endpoint) -> Address:
    """Look up where the server is; HostError if nowhere: natpunch-go speaks of IPv4 alone."""
    found = [Address.of(one, server.port) for one in every_address(server) if ":" not in one]
    if not found:
        raise HostError(
            f"{server.host} stands for no IPv4 address, and natpunch-go's protocol knows no other",
            f"`getent ahostsv4 {server.host}` shows what this host knows of the name.",
        )
    return found[0]


class Times:
    """The time in nanoseconds, which never goes back, not even from one run to the next.

    natpunch-go's server ignores a client whose clock has gone back until it is started anew itself.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        held = store.read(TIMES)
        last = held.get("last") if isinstance(held, dict) else None
        self._last = last if isinstance(last, int) and 0 <= last < 2**63 else 0

    def __call__(self) -> int:
        """Give the next time, and remember it."""
        self._last = max(time.time_ns(), self._last + 1)
        self._store.write({"last": self._last}, TIMES)
        return self._last
