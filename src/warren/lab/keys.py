"""Keys for a network that is only tried: the one place where the lab differs from what the file says.

The private halves of a file's keys stay on the machines they belong to. So every host, device and rendezvous server of
a lab gets a fresh pair, and each link that has a preshared key a fresh one; they lie in files of the lab's own /run and
vanish with it.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from warren.model.host import Host
from warren.model.key import PublicKey, encode_key
from warren.model.network import Network

PLACE = Path("/run/warren-lab")


def with_fresh_keys(network: Network) -> tuple[Network, dict[Path, str]]:
    """Give the network with keys of its own, and the files that have to hold their private halves."""
    links: dict[frozenset[str], str] = {}
    files: dict[Path, str] = {}
    hosts = []
    for host in network.hosts:
        private, public = _pair()
        files[key_file(host.name)] = private
        psk = []
        for peer, _ in host.psk:
            file = PLACE / host.name / f"psk.{peer}"
            files[file] = links.setdefault(frozenset((host.name, peer)), encode_key(os.urandom(32)))
            psk.append((peer, str(file)))
        hosts.append(_with(host, public, tuple(psk)))
    devices = []
    for device in network.devices:
        private, public = _pair()
        files[key_file(device.name)] = private
        devices.append(replace(device, key=public))
    servers = []
    for number, server in enumerate(network.rendezvous):
        private, public = _pair()
        file = PLACE / f"rendezvous.{number}" / "private.key"
        files[file] = private
        servers.append(replace(server, key=public, private_key=str(file)))
    return replace(network, hosts=tuple(hosts), devices=tuple(devices), rendezvous=tuple(servers)), files


def key_file(host: str) -> Path:
    """Say where the private key of a host or a device lies in the lab."""
    return PLACE / host / "private.key"


def write_keys(files: dict[Path, str]) -> None:
    """Write the files, for nobody else to read."""
    for path, key in files.items():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(f"{key}\n")


def _with(host: Host, public: PublicKey, psk: tuple[tuple[str, str], ...]) -> Host:
    return replace(host, key=public, private_key=str(key_file(host.name)), psk=psk)


def _pair() -> tuple[str, PublicKey]:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    made = X25519PrivateKey.generate()
    return encode_key(made.private_bytes_raw()), PublicKey(encode_key(made.public_key().public_bytes_raw()))
