"""Read a packet as it is seen on a wire, and say it in a line: for people who have to find out why it was there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

from warren.model.prefix import Address

TOKEN = re.compile(rb"warren~(\d{3})~(\d{5})~([a-z0-9-]+)~")
_MIXED = re.compile(TOKEN.pattern, re.IGNORECASE)  # as resolvers write names, so that forgers have to guess more
ETH_P_ARP = 0x0806
_NAMES = {1: "ICMP", 2: "IGMP", 4: "IPIP", 6: "TCP", 17: "UDP", 41: "6in4", 47: "GRE", 50: "ESP", 58: "ICMPv6"}
_NAMES |= {132: "SCTP", 136: "UDP-Lite"}
_EXTENSIONS = {0: "hop-by-hop", 43: "routing", 44: "fragment", 60: "options"}
_FLAGS = "FSRPAU"
_ERRORS = {4: (3, 4, 5, 11, 12), 6: (1, 2, 3, 4)}
_ICMP_WORDS = {
    (4, 0): "echo reply", (4, 3): "unreachable", (4, 5): "redirect", (4, 8): "echo request", (4, 11): "time exceeded",
    (6, 1): "unreachable", (6, 2): "too big", (6, 3): "time exceeded", (6, 128): "echo request", (6, 129): "echo reply",
    (6, 133): "router solicitation", (6, 134): "router advertisement", (6, 135): "neighbour solicitation",
    (6, 136): "neighbour advertisement",
}  # fmt: skip


def token(sender: int, round_: int, kind: str) -> bytes:
    """Make what a packet carries: the number of its sender, of its round (0: a stream's), and what it is."""
    return b"warren~%03d~%05d~%s~" % (sender, round_, kind.encode())


@dataclass(frozen=True, slots=True)
class Known:
    """What tells whose packet it is: addresses that it names (its own, or those it is an error about), and a token."""

    source: Address | None = None
    addresses: tuple[Address, ...] = ()
    token: tuple[int, int, str] | None = None


def recognise(raw: bytes, protocol: int) -> Known:
    """Find whose packet this is; of a malformed one only what can be read."""
    mine = _token_in(raw)
    if protocol == ETH_P_ARP:
        asked = (ip_address(raw[24:28]),) if len(raw) >= 28 and raw[6:8] == b"\0\1" else ()
        return Known(None, asked, mine)
    ends = _ends(raw)
    if ends is None:
        return Known(None, (), mine)
    source, destination = ends
    addresses = [destination]
    version = raw[0] >> 4
    number, at, _ = _upper(raw)
    if number in (1, 58) and len(raw) > at and raw[at] in _ERRORS[version]:
        inner = _ends(raw[at + 8 :])
        addresses += inner or ()
    elif number == 58 and len(raw) >= at + 24 and raw[at] == 135:
        addresses.append(ip_address(raw[at + 8 : at + 24]))
    return Known(source, tuple(addresses), mine)


def describe(raw: bytes, protocol: int) -> str:
    """Say a packet in a line, as tcpdump does: what it is, from where to where, how long."""
    if protocol == ETH_P_ARP and len(raw) >= 28:
        return f"ARP: who has {ip_address(raw[24:28])}, asks {ip_address(raw[14:18])}"
    ends = _ends(raw)
    if ends is None:
        return f"{len(raw)} bytes of protocol {protocol:#06x}"
    version = raw[0] >> 4
    number, at, extensions = _upper(raw)
    source, destination = map(str, ends)
    name, more = _NAMES.get(number, f"IP protocol {number}"), ""
    if number in (6, 17, 136) and len(raw) >= at + 4 and "later fragment" not in extensions:
        ports = int.from_bytes(raw[at : at + 2]), int.from_bytes(raw[at + 2 : at + 4])
        source, destination = (
            f"[{ip}]:{p}" if version == 6 else f"{ip}:{p}" for ip, p in zip(ends, ports, strict=True)
        )
        if number == 6 and len(raw) >= at + 14:
            more = " " + "".join(letter for bit, letter in enumerate(_FLAGS) if raw[at + 13] >> bit & 1)
    elif number in (1, 58) and len(raw) > at + 1:
        word = _ICMP_WORDS.get((version, raw[at]), f"type {raw[at]}")
        inner = _ends(raw[at + 8 :]) if raw[at] in _ERRORS[version] else None
        more = f" {word}" + (f" about a packet {inner[0]} → {inner[1]}" if inner else "")
    with_ = f" ({', '.join(extensions)})" if extensions else ""
    found = _token_in(raw)
    said = f", a {found[2]} probe" if found else ""
    return f"IPv{version} {name}{more}{with_} {source} → {destination}, {len(raw)} bytes{said}"


def _token_in(raw: bytes) -> tuple[int, int, str] | None:
    found = TOKEN.search(raw) or (_MIXED.search(raw) if raw.count(b"~") > 3 else None)
    return (int(found[1]), int(found[2]), found[3].decode().lower()) if found else None


def _ends(raw: bytes) -> tuple[Address, Address] | None:
    if len(raw) >= 20 and raw[0] >> 4 == 4:
        return ip_address(raw[12:16]), ip_address(raw[16:20])
    if len(raw) >= 40 and raw[0] >> 4 == 6:
        return ip_address(raw[8:24]), ip_address(raw[24:40])
    return None


def _upper(raw: bytes) -> tuple[int, int, tuple[str, ...]]:
    """Give the protocol above IP, where it begins, and what stands between."""
    if raw[0] >> 4 == 4:
        offset = int.from_bytes(raw[6:8])
        cut = ("later fragment",) if offset & 0x1FFF else ("first fragment",) if offset & 0x2000 else ()
        options = (f"{(raw[0] & 15) * 4 - 20} bytes of options",) if raw[0] & 15 > 5 else ()
        return raw[9], (raw[0] & 15) * 4, (*cut, *options)
    number, at, met = raw[6], 40, list[str]()
    while number in _EXTENSIONS and len(raw) >= at + 8:
        later = number == 44 and int.from_bytes(raw[at + 2 : at + 4]) & 0xFFF8
        met.append("later fragment" if later else _EXTENSIONS[number])
        length = 8 if number == 44 else 8 + raw[at + 1] * 8
        number, at = raw[at], at + length
        if later:
            break
    return number, at, tuple(met)


def is_tunnel(hardware: int) -> bool:
    """Say whether a device of this type has no link layer, as WireGuard's has none (ARPHRD_NONE)."""
    return hardware == 65534
