"""Places: `host`, `host.lan`, `host.address-or-prefix`, `host.lan.MAC`, `device` and `internet`.

Device names may hold dots themselves (`nyc.eth0.10`), so a LAN is found by the longest name that fits.
"""

from __future__ import annotations

import re

from warren.core.parse.addresses import looks_numeric, parse_address, prefix_of
from warren.core.parse.names import RESERVED
from warren.core.parse.reading import KnownHost, Reading, scalar, show, some
from warren.core.parse.tree import Node, Scalar
from warren.model.host import Lan
from warren.model.mapped import moved
from warren.model.place import Place, PlaceKind
from warren.model.prefix import Prefix, covers

_LONGEST = 64  # of a LAN's name with a MAC or an address after it
INTERNET = RESERVED[0]
_NO_PLACE = re.compile(r"[\s/\\@,;]")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_MAC_LIKE = re.compile(r"[0-9a-f]{1,2}([:-][0-9a-f]{1,2}){4,}|[0-9a-f]{4}(\.[0-9a-f]{4}){2}|[0-9a-f]{12}")
FORMS = "Write `HOST`, `HOST.LAN`, `HOST.ADDRESS`, `HOST.LAN.MAC`, `DEVICE` or `internet`."


def place(node: Node, what: str, reading: Reading) -> Place | None:
    """Read a place."""
    text = scalar(node, what, reading, "nyc.eth1")
    return None if text is None else place_of(text, text.text, reading)


def host_name(node: Node, what: str, reading: Reading) -> str | None:
    """Read the name of a host of the file."""
    text = scalar(node, what, reading, "nyc")
    if text is None:
        return None
    return text.text if known_host(text, text.text, reading) else None


def known_host(text: Scalar, name: str, reading: Reading) -> bool:
    """Note a name that is no host's."""
    if name in reading.hosts:
        return True
    host = name.partition(".")[0]
    if host in reading.hosts:
        says = f"Only a host can stand here, and {show(name)} is a place at the host `{host}`."
        reading.note("W064", text.where, says, f"Write `{host}`.")
    elif name == INTERNET:
        reading.note("W064", text.where, "Only a host can stand here, and the internet is none.", "Name a host.")
    elif name in reading.devices:
        says = f"Only a host can stand here, and {show(name)} is a device: warren does not run on it."
        reading.note("W064", text.where, says, "Name a host.")
    else:
        where = text.part(text.text.find(name), len(name))
        reading.note("W061", where, f"There is no host called {show(name)}.", reading.meant(name, reading.hosts))
    return False


def place_of(text: Scalar, written: str, reading: Reading) -> Place | None:
    """Resolve a place, which is all of a scalar or the beginning of it."""
    if written == INTERNET:
        return Place(PlaceKind.INTERNET, at=text.where)
    host, dot, rest = written.partition(".")
    if not host or (dot and not rest) or _NO_PLACE.search(host):
        reading.note("W060", text.where, f"{show(written)} is not a place.", FORMS)
        return None
    if host in reading.devices:
        if not dot and reading.devices[host] not in reading.hosts:
            return None  # its `into:` is wrong, and that was noted
        if not dot:
            return Place(PlaceKind.DEVICE, reading.devices[host], device=host, at=text.where)
        says = f"`{host}` is a device, and nothing is known to be behind it."
        reading.note("W060", text.where, says, f"Write `{host}`.")
        return None
    if host not in reading.hosts:
        if looks_numeric(written):
            says = f"{show(written)} is an address, but whose LAN it is on is not said."
            reading.note("W060", text.where, says, "Put the host's name before it: `HOST.ADDRESS`.")
        else:
            says = f"There is no host called {show(host)}."
            reading.note("W061", text.part(0, len(host)), says, reading.meant(host, reading.machines))
        return None
    if not dot:
        return Place(PlaceKind.HOST, host, at=text.where)
    return _within(text, host, rest, reading)


def _within(text: Scalar, host: str, rest: str, reading: Reading) -> Place | None:
    """Resolve what stands after a host's name."""
    known = reading.hosts[host]
    where = text.part(len(host) + 1, len(rest))
    if rest in known.by_name:
        return Place(PlaceKind.LAN, host, rest, at=text.where)
    for dot in reversed([at for at, char in enumerate(rest[:_LONGEST]) if char == "."]):
        lan, after = known.by_name.get(rest[:dot]), rest[dot + 1 :]
        if lan is not None:
            if _MAC_LIKE.fullmatch(after.lower()):
                return _mac(text, host, lan, after.lower(), reading)
            if parse_address(after) is not None or "/" in after:
                says = f"A LAN and an address are one too many in {show(text.text)}."
                reading.note("W060", where, says, f"Write `{host}.{after[:64]}`, or name the machine by its MAC.")
                return None
    if _MAC_LIKE.fullmatch(rest.lower()) and parse_address(rest) is None:
        says = f"A MAC alone does not say on which LAN of `{host}` the machine is."
        reading.note("W060", where, says, f"Write `{host}.LAN.MAC`.")
        return None
    if looks_numeric(rest):
        prefix = prefix_of(rest, where, "A place", reading)
        return None if prefix is None else _prefix(text, host, known, prefix, reading)
    if not known.broken or known.lans:
        names = list(known.by_name)
        has = f"It has {some(names)}." if names else f"Add it under `lans:` of `{host}`."
        says = f"The host `{host}` has no LAN called {show(rest)}."
        reading.note("W062", where, says, reading.meant(rest, names, has))
    return None


def _mac(text: Scalar, host: str, lan: Lan, mac: str, reading: Reading) -> Place | None:
    where = text.part(len(text.text) - len(mac), len(mac))
    if not _MAC.fullmatch(mac):
        digits = re.sub(r"[^0-9a-f]", "", mac)
        proposal = ":".join(digits[at : at + 2] for at in range(0, 12, 2)) if len(digits) == 12 else "02:00:5e:00:00:32"
        says = f"A MAC is six pairs of hexadecimal digits with colons, unlike {show(mac)}."
        reading.note("W060", where, says, f"Write `{proposal}`.")
        return None
    if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        says = f"{show(mac)} is no machine's MAC, but {'nobody’s' if mac.startswith('00') else 'a group’s'}."
        reading.note("W060", where, says, "Write the MAC that `ip neigh` shows for the machine.")
        return None
    return Place(PlaceKind.MAC, host, lan.name, mac=mac, at=text.where)


def _prefix(text: Scalar, host: str, known: KnownHost, prefix: Prefix, reading: Reading) -> Place | None:
    for lan in known.lans:
        if any(covers(own, prefix) for own in lan.prefixes):
            return Place(PlaceKind.PREFIX, host, lan.name, prefix, at=text.where)
    shown = str(prefix.network_address if prefix.num_addresses == 1 else prefix)
    for pair in (pair for lan in known.lans for pair in lan.mapped):
        if covers(pair.seen, prefix):
            own = moved(prefix, pair.seen, pair.own)
            there = own.network_address if own.num_addresses == 1 else own
            where = text.part(len(host) + 1, len(text.text) - len(host) - 1)
            says = f"`{shown}` is what others call `{there}` at the host `{host}`."
            reading.note("W063", where, says, f"Write `{host}.{there}`: places are named as they are at home.")
            return None
    given = [one for one in reading.delegates if one.to == host and one.prefix and covers(one.prefix, prefix)]
    if given and len(given[0].lans) == 1 and given[0].lans[0] in known.by_name:
        return Place(PlaceKind.PREFIX, host, given[0].lans[0], prefix, at=text.where)
    if not known.broken:
        prefixes = [str(own) for lan in known.lans for own in lan.prefixes]
        hint = f"Its LANs are {some(prefixes)}." if prefixes else f"Add the LAN under `lans:` of `{host}`."
        where = text.part(len(host) + 1, len(text.text) - len(host) - 1)
        reading.note("W063", where, f"`{shown}` lies in no LAN of the host `{host}`.", hint)
    return None
