"""Whom this host asked for names before a network pointed it at a resolver of its own."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from warren.core.render.services import OURS_FIRST, RESOLV_CONF, kept_before
from warren.model.prefix import Address
from warren.model.state import DnsConfig

RECORDS = ("/run/resolvconf/interface", "/run/resolvconf/interfaces")  # of Debian's resolvconf, and of openresolv
RESOLVED = "/run/systemd/resolve/resolv.conf"  # systemd-resolved's own: the links' resolvers, and never itself
MOST = 4


def resolvers(
    services: str, resolved: str = RESOLVED, file: str = RESOLV_CONF, records: Iterable[str] = RECORDS
) -> tuple[Address, ...]:
    """List them, those of loopback addresses left out; `services` is where what was pointed elsewhere is kept."""
    kept = sorted(Path(services).glob(kept_before("*"))) if services else []
    told = [place for folder in records for place in sorted(Path(folder).glob("*"))]
    for place in (Path(resolved), *kept, *told, Path(file)):
        try:
            found = _named(place.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        if found:
            return found
    return ()


def is_pointed(config: DnsConfig, services: str, file: str = RESOLV_CONF) -> bool:
    """Say whether a resolver that was written into the host's file still stands there; True for any other way.

    Where it was written, what stood there before is kept.
    """
    if not services or not (Path(services) / kept_before(config.device)).exists():
        return True
    try:
        with open(file, encoding="utf-8", errors="replace") as held:
            return held.readline().rstrip("\n") == OURS_FIRST
    except OSError:
        return False


def _named(text: str) -> tuple[Address, ...]:
    found: dict[Address, None] = {}
    for line in text.splitlines():
        word, *values = line.split()[:2] or ("",)
        if word == "nameserver" and values:
            try:
                address = ip_address(values[0])
            except ValueError:  # an address with a device behind it, of the link alone
                continue
            if not (address.is_loopback or address.is_link_local):
                found[address] = None
    return tuple(found)[:MOST]
