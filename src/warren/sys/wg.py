"""WireGuard devices as `wg show all dump` lists them (wg(8)), kernel and user space alike.

The dump holds private and preshared keys. They are dropped while it is read: of a preshared key its fingerprint
stays, of a private key the public one that wg prints beside it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from warren.model.change import Command
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey, SecretRef, decode_key, fingerprint
from warren.model.prefix import Prefix, prefix_from
from warren.model.state import Peer
from warren.sys.errors import HostError
from warren.sys.run import CommandFailed, Run, run
from warren.sys.secret import read_secret


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """A peer and what only the kernel knows of it: `handshake` in seconds since 1970 (0: never), bytes both ways."""

    peer: Peer
    handshake: int
    received: int
    sent: int


@dataclass(frozen=True, slots=True)
class DeviceSeen:
    """A WireGuard device; `public_key` is empty while it has no key. `peers` are sorted by their keys."""

    name: str
    public_key: str
    listen_port: int
    fwmark: int
    peers: tuple[PeerSeen, ...] = ()


def devices(names: Collection[str], run: Run = run) -> dict[str, DeviceSeen]:
    """Read the named devices; one that does not answer (its wireguard-go died) is left out."""
    if not names:
        return {}
    try:
        return {name: seen for name, seen in parse_dump(run(_SHOW_ALL)).items() if name in names}
    except CommandFailed:  # one device that does not answer spoils `all`
        pass
    found: dict[str, DeviceSeen] = {}
    for name in names:
        try:
            text = run(Command(("wg", "show", name, "dump")))
        except CommandFailed:
            continue
        found |= parse_dump("".join(f"{name}\t{line}\n" for line in text.splitlines()))
    return found


_SHOW_ALL = Command(("wg", "show", "all", "dump"))


def parse_dump(text: str) -> dict[str, DeviceSeen]:
    """Read the text of `wg show all dump`: 5 columns for a device, 9 for a peer."""
    found: dict[str, DeviceSeen] = {}
    peers: dict[str, list[PeerSeen]] = {}
    for line in text.splitlines():
        words = line.split("\t")
        name = words[0]
        if len(words) == 5:
            public = "" if words[2] == "(none)" else words[2]
            found[name] = DeviceSeen(name, public, int(words[3]), _number(words[4]))
            peers[name] = []
        elif len(words) == 9 and name in peers:
            peers[name].append(_peer(words))
        else:
            raise HostError(f"`wg show all dump` said a line of {len(words)} columns, which is neither device nor peer")
    return {
        name: replace(device, peers=tuple(sorted(peers[name], key=lambda seen: seen.peer.public_key)))
        for name, device in found.items()
    }


def public_key_of(ref: SecretRef, run: Run = run) -> PublicKey:
    """Compute the public key of the private key in a file; HostError if it cannot be read."""
    read_secret(ref)  # says what is wrong with the file in better words than `wg pubkey`
    return PublicKey(run(Command(("wg", "pubkey"), "@secret:0@\n", (ref,))).strip())


def private_key_of(device: str, run: Run = run) -> str:
    """Give a device's private key, for who speaks in its name; empty if it has none. CommandFailed if it is gone."""
    key = run(Command(("wg", "show", device, "private-key"))).strip()
    return "" if key == "(none)" else key


def _peer(words: list[str]) -> PeerSeen:
    _, public, psk, endpoint, allowed, handshake, received, sent, keepalive = words
    allowed_ips: list[Prefix] = [prefix_from(each) for each in allowed.split(",")] if allowed != "(none)" else []
    peer = Peer(
        public_key=PublicKey(public),
        allowed_ips=tuple(sorted(allowed_ips, key=_order)),
        endpoint=_endpoint(endpoint),
        keepalive=_number(keepalive),
        psk_fingerprint="" if psk == "(none)" else fingerprint(decode_key(psk)),
    )
    return PeerSeen(peer, int(handshake), int(received), int(sent))


def _order(prefix: Prefix) -> tuple[int, int, int]:
    return prefix.version, int(prefix.network_address), prefix.prefixlen


def _endpoint(text: str) -> Endpoint | None:
    if text == "(none)":
        return None
    host, _, port = text.rpartition(":")
    return Endpoint(host.strip("[]"), int(port))


def _number(text: str) -> int:
    return 0 if text == "off" else int(text, 0)
