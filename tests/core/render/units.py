"""systemd's unit files, read as little as tests need: sections of `Key=value`, a key as often as it likes."""

from __future__ import annotations

from pathlib import Path

Section = tuple[str, list[tuple[str, str]]]


def sections(text: str) -> list[Section]:
    """Read a unit file."""
    found: list[Section] = []
    for line in text.splitlines():
        if line.startswith("["):
            found.append((line.strip("[]"), []))
        elif line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            found[-1][1].append((key, value))
    return found


def as_wg_conf(netdev: str) -> str:
    """Say a .netdev in wg(8)'s words, keys read from their files."""
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
