"""Files of network managers, read as little as tests need, and WireGuard's side of them in wg(8)'s own words."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

Section = tuple[str, list[tuple[str, str]]]
_KEYS = {
    "private-key": "PrivateKey",
    "listen-port": "ListenPort",
    "fwmark": "FwMark",
    "preshared-key": "PresharedKey",
    "endpoint": "Endpoint",
    "persistent-keepalive": "PersistentKeepalive",
}


def sections(text: str) -> list[Section]:
    """Read a unit file of systemd: a key may stand as often as it likes."""
    found: list[Section] = []
    for line in text.splitlines():
        if line.startswith("["):
            found.append((line.strip("[]"), []))
        elif line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            found[-1][1].append((key, value))
    return found


def netdev_as_wg_conf(netdev: str) -> str:
    """Say a .netdev in wg's words, keys read from their files."""
    lines: list[str] = []
    for head, settings in sections(netdev):
        if head == "NetDev":
            assert ("Kind", "wireguard") in settings
            continue
        lines.append({"WireGuard": "[Interface]", "WireGuardPeer": "[Peer]"}[head])
        lines += [line for key, value in settings if (line := _setting(key, value))]
    return "\n".join(lines) + "\n"


def _setting(key: str, value: str) -> str:
    if key == "RouteTable":
        assert value == "off"
        return ""
    if key.endswith("File"):
        return f"{key.removesuffix('File')} = {Path(value).read_text().strip()}"
    return f"{'FwMark' if key == 'FirewallMark' else key} = {value}"


def keyfile_as_wg_conf(keyfile: ConfigParser) -> str:
    """Say a keyfile of NetworkManager in wg's words."""
    lines: list[str] = []
    for head in keyfile.sections():
        if not head.startswith("wireguard"):
            continue
        kind, _, peer = head.partition(".")
        lines += ["[Interface]"] if kind == "wireguard" else ["[Peer]", f"PublicKey = {peer}"]
        lines += [f"{_KEYS[key]} = {value}" for key, value in keyfile[head].items() if key in _KEYS]
        if "allowed-ips" in keyfile[head]:
            lines.append(f"AllowedIPs = {keyfile[head]['allowed-ips'].rstrip(';').replace(';', ', ')}")
    return "\n".join(lines) + "\n"
