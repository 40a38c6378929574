"""Devices and peers in wg(8)'s words: options of `wg set`, sections for `wg addconf`.

A secret is never part of them: a key that lies alone in a file is named by its path, every other one is written
`@secret:N@` in the input and put in by whoever runs the command.
"""

from __future__ import annotations

from warren.model.change import Command
from warren.model.key import SecretRef
from warren.model.state import Peer, WgInterface

NO_PSK = "A" * 43 + "="  # 32 zero bytes: how wg(8) is told to forget a preshared key


def wg_set(interface: WgInterface, *, port: bool, mark: bool, key: bool) -> Command:
    """Set a device's port, mark and private key."""
    words: list[str] = []
    stdin = ""
    secrets: tuple[SecretRef, ...] = ()
    if port:
        words += ["listen-port", str(interface.listen_port)]
    if mark:
        words += ["fwmark", f"{interface.fwmark:#x}"]
    key = key and interface.private_key.path != ""  # a conf may leave the key to a hook
    if key and not interface.private_key.conf_key:
        words += ["private-key", interface.private_key.path]
    elif key:
        words += ["private-key", "/dev/stdin"]
        stdin, secrets = f"{placeholder(0)}\n", (interface.private_key,)
    return Command(("wg", "set", interface.name, *words), stdin, secrets, f"set up {interface.name}")


def placeholder(at: int) -> str:
    """Name the place where a command's secret is put into its input."""
    return f"@secret:{at}@"


def peer_section(peer: Peer, before: Peer | None, secrets: list[SecretRef]) -> str:
    """Write a peer for `wg addconf`, which alters a peer that is there and replaces its allowed IPs.

    What wg leaves as it is when unsaid is said: no keepalive, no preshared key. An endpoint is written only
    when it is not the one the peer has: it may have roamed.
    """
    lines = ["[Peer]", f"PublicKey = {peer.public_key}"]
    if peer.psk is not None and (before is None or peer.psk_fingerprint != before.psk_fingerprint):
        lines.append(f"PresharedKey = {placeholder(len(secrets))}")
        secrets.append(peer.psk)
    elif peer.psk is None and before is not None and before.psk_fingerprint:
        lines.append(f"PresharedKey = {NO_PSK}")
    if peer.allowed_ips:  # wg takes no empty value; a section without the line empties the list all the same
        lines.append(f"AllowedIPs = {', '.join(str(prefix) for prefix in peer.allowed_ips)}")
    if peer.endpoint is not None and (before is None or peer.endpoint != before.endpoint):
        lines.append(f"Endpoint = {peer.endpoint}")
    if peer.keepalive or before is not None:
        lines.append(f"PersistentKeepalive = {peer.keepalive or 'off'}")
    return "\n".join(lines) + "\n"
