"""Whom a rendezvous server serves, by the network file that it is given."""

from __future__ import annotations

import os
from ipaddress import ip_address

from warren.core.compile.portals import peers_apart
from warren.daemon.settings import Carried, Settings
from warren.model.key import SecretRef, decode_key
from warren.model.network import Network
from warren.model.rendezvous import Server
from warren.proto.address import Address
from warren.proto.member import ALL, Links, Member
from warren.proto.noise import KeyPair
from warren.sys.endpoints import every_address
from warren.sys.errors import HostError
from warren.sys.secret import read_secret


def links_of(network: Network) -> Links:
    """Say for each port of the hosts that are served with whom it is linked: hosts of whom none can be dialled."""
    served = [host for host in network.hosts if host.endpoint is None]
    keys = {host.name: decode_key(host.key) for host in served}
    apart = {host.name: peers_apart(network, host.name) for host in served}
    links: dict[Member, set[Member]] = {}
    for one in keys:
        for other in keys:
            if network.meet(one, other):
                here, there = (
                    Member(keys[end], keys[peer] if peer in apart[end] else ALL)
                    for end, peer in ((one, other), (other, one))
                )
                links.setdefault(here, set()).add(there)
    return {member: frozenset(others) for member, others in links.items()}


def settings_of(network: Network, key_file: str | None, metrics: str | None, carried: Carried = "auto") -> Settings:
    """Say what the server of this machine has to know; HostError if the file names no server that has its key."""
    key, server = _own(network, key_file)
    ips = [ip_address(one) for one in every_address(server.address)]
    if not ips:
        raise HostError(
            f"{server.address.host} stands for no address",
            "Hosts look the name up too: check it with `getent ahosts`, or write the address itself.",
        )
    ips.sort(key=lambda ip: ip.version)  # relays are lent at the first of each family
    return Settings(
        key=key,
        places=tuple(Address(ip, server.address.port) for ip in ips),
        names={decode_key(host.key): host.name for host in network.hosts},
        links=links_of(network),
        relay=range(server.relay[0], server.relay[1] + 1) if server.relay else None,
        metrics=address_of(metrics) if metrics else None,
        carried=carried,
    )


def _own(network: Network, key_file: str | None) -> tuple[KeyPair, Server]:
    """Find the server whose private key lies here."""
    if not network.rendezvous:
        raise HostError(f"{network.file} names no rendezvous server", "Add it under `rendezvous:` (docs/meeting.md).")
    files = [key_file] if key_file else list(dict.fromkeys(server.private_key for server in network.rendezvous))
    present = [file for file in files if os.path.exists(file)] or files[:1]
    for file in present:
        pair = KeyPair.of(decode_key(read_secret(SecretRef(file))))
        for server in network.rendezvous:
            if decode_key(server.key) == pair.public:
                return pair, server
    raise HostError(
        f"no server of {network.file} has the key of {', '.join(present)}",
        f"`warren keys pub {present[0]}` prints its public key, for `key:` of a server.",
    )


def address_of(text: str) -> Address:
    """Read `address:port` of a command line; HostError if it is none."""
    host, _, port = text.rpartition(":")
    try:
        return Address.of(host.strip("[]"), int(port))
    except ValueError:
        raise HostError(
            f"{text} is no address with a port", "Write for instance `127.0.0.1:9100` or `[::1]:9100`."
        ) from None
