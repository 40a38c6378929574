"""What a server for natpunch-go is told: by a command line alone, or by a network file beside our own server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from warren.daemon.served import address_of
from warren.daemon.settings import Settings as Ours
from warren.model.key import SecretRef, decode_key
from warren.model.network import Network
from warren.proto.address import Address
from warren.proto.noise import KeyPair
from warren.sys.errors import HostError
from warren.sys.secret import read_secret


@dataclass(frozen=True, slots=True)
class Settings:
    """Its key, where it listens, names by key, and for whom each may ask; without `links`, anybody for anybody."""

    key: KeyPair = field(repr=False)
    places: tuple[Address, ...]
    names: Mapping[bytes, str] = field(default_factory=dict)
    links: Mapping[bytes, frozenset[bytes]] | None = None


def settings_of(where: str, key_file: str | None, allowed: str | None = None) -> Settings:
    """Say what a server without a network file has to know; `where` is a port, or an address and a port.

    It serves the keys in the file `allowed`, else everybody.
    """
    if not key_file:
        raise HostError(
            "a server that natpunch-go's clients ask needs a key of its own",
            "`warren keys gen FILE` makes one and prints its public half, for the clients; name it by `--key FILE`.",
        )
    key = KeyPair.of(decode_key(read_secret(SecretRef(key_file))))
    links = _among(_keys(allowed)) if allowed else None
    return Settings(key, _places(where, (IPv4Address("0.0.0.0"),)), {}, links)


def settings_beside(where: str, ours: Ours, network: Network) -> Settings:
    """Say what a server has to know that serves the hosts and devices of a network, and answers for no others."""
    ips = tuple(place.ip for place in ours.places if isinstance(place.ip, IPv4Address))
    members = {decode_key(host.key): host.name for host in network.hosts}
    members |= {decode_key(device.key): device.name for device in network.devices}
    return Settings(ours.key, _places(where, ips), members, _among(members))


def _among(members: Iterable[bytes]) -> dict[bytes, frozenset[bytes]]:
    """Let each ask for all others."""
    every = frozenset(members)
    return {who: every - {who} for who in every}


def _keys(path: str) -> list[bytes]:
    """Read a file of public keys, one a line; what follows the key, or a #, is for people. HostError says the line."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.partition("#")[0].split() for line in file]
    except OSError as error:
        raise HostError(f"cannot read the keys in {path}: {(error.strerror or str(error)).lower()}") from None
    found = []
    for number, words in enumerate(lines, 1):
        try:
            found += [decode_key(words[0])] if words else []
        except ValueError as error:
            raise HostError(
                f"{path}:{number}: {error}", "Each line begins with a public key, as `wg` shows it."
            ) from None
    return found


def _places(where: str, ips: tuple[IPv4Address, ...]) -> tuple[Address, ...]:
    """Read where to listen: of a port alone, at these addresses."""
    if not where.isdecimal():
        place = address_of(where)
        ips, port = (place.ip,) if isinstance(place.ip, IPv4Address) else (), place.port
    else:
        port = int(where)
    if not 0 < port < 65536:
        raise HostError(f"{where} is no UDP port", "Ports are numbers from 1 to 65535.")
    if not ips:
        raise HostError("natpunch-go's protocol knows IPv4 alone, and here is no such address to listen at")
    return tuple(Address(ip, port) for ip in ips)
