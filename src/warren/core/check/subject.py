"""What checks look at: the network, the places of its values, and what several checks ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from warren.core.check.nesting import Holders, OwnedLan, lans_of, nested
from warren.core.compile.fabric import Fabric
from warren.core.diagnostics import finding
from warren.core.maps import NoRoom, allot_maps, with_maps
from warren.core.parse.spots import Spots
from warren.model.diagnostic import Diagnostic, Where
from warren.model.host import Host, Lan
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.place import Place
from warren.model.portal import Portal
from warren.model.prefix import Family, Prefix, family_of, overlaps

SHOWN = 4


@dataclass(frozen=True)
class Subject:
    """One network file under check. No slots: what several checks ask is computed once."""

    network: Network
    spots: Spots

    def host_spot(self, host: Host, *keys: str | int) -> Where:
        """Find the place of one of a host's values."""
        return self.spots(host.at, *keys)

    def portal_spot(self, portal: Portal, *keys: str | int) -> Where:
        """Find the place of one of a portal's values."""
        return self.spots(portal.at, *keys)

    @cached_property
    def full(self) -> NoRoom | None:
        """Why the maps that the file leaves to warren cannot be allotted."""
        try:
            allot_maps(self.network, Lock())
        except NoRoom as full:
            return full
        return None

    @cached_property
    def fabric(self) -> Fabric:
        """The network as compile will have it, with maps as they would be allotted anew."""
        maps = {} if self.full else allot_maps(self.network, Lock())
        return Fabric(with_maps(self.network, maps), Lock())

    @property
    def announced(self) -> dict[str, tuple[Prefix, ...]]:
        """The LAN prefixes of each host that other hosts have routes to, as compile will have it."""
        return self.fabric.announced

    def is_announced(self, host: str, prefix: Prefix) -> bool:
        """Say whether others reach a LAN's prefix."""
        return self.fabric.seen(host, prefix) in self.announced.get(host, ())

    @cached_property
    def near(self) -> Holders[str]:
        """What all hosts reach by tunnels, with what it is: the overlay and all announced LANs."""
        lans = ((prefix, f"a LAN of `{host}`") for host, prefixes in self.announced.items() for prefix in prefixes)
        return Holders((*((prefix, "the overlay") for prefix in self.network.overlay), *lans))

    def own_lans(self, host: str) -> Holders[str]:
        """Give the prefixes of a host's own LANs, with what they are."""
        if host not in self._own_lans:
            lans = self.network.by_name[host].lans
            self._own_lans[host] = Holders(
                (prefix, f"the LAN `{host}.{lan.name}`") for lan in lans for prefix in lan.prefixes
            )
        return self._own_lans[host]

    @cached_property
    def _own_lans(self) -> dict[str, Holders[str]]:
        return {}

    @cached_property
    def lans(self) -> dict[tuple[str, str], Lan]:
        """All LANs by host and device."""
        return {(host.name, lan.name): lan for host in self.network.hosts for lan in host.lans}

    def lan_prefix(self, place: Place, family: Family) -> Prefix | None:
        """Find the LAN prefix of a family that a place on a LAN lies in."""
        lan = self.lans.get((place.host, place.lan))
        for prefix in lan.prefixes if lan is not None else ():
            if prefix.version == family and (
                place.prefix is None or place.prefix.version != family or overlaps(prefix, place.prefix)
            ):
                return prefix
        return None

    def why_not_announced(self, host: str, lan: str, prefix: Prefix) -> str:
        """Say in words why others have no route to a LAN's prefix."""
        if self.lans[host, lan].closed:
            return f"`{host}.{lan}` is closed"
        other = self._overlapping.get((host, prefix))
        if other is not None:
            return f"`{prefix}` at `{host}.{lan}` overlaps `{other.host.name}.{other.lan.name}`"
        return f"the overlay has no {family_name(family_of(prefix))}"

    def is_map_refused(self, host: str, lan: str) -> bool:
        """Say whether a LAN's `map:` was found wrong: that it overlaps follows from it, and is not told as well."""
        held = self.lans[host, lan]
        return self.spots.wrote(held.at, "map") and not held.map_auto and not held.mapped

    @cached_property
    def _overlapping(self) -> dict[tuple[str, Prefix], OwnedLan]:
        """For each LAN prefix that overlaps another host's, one of those."""
        found: dict[tuple[str, Prefix], OwnedLan] = {}
        for one, around in nested(lans_of(self.network.hosts)):
            for other in around:
                if other.host is not one.host:
                    found.setdefault((one.host.name, one.prefix), other)
                    found.setdefault((other.host.name, other.prefix), one)
        return found


Check = Callable[[Subject], Iterator[Diagnostic]]


def family_name(family: Family) -> str:
    """Give the name of a family as people write it."""
    return "IPv4" if family is Family.IPV4 else "IPv6"


def several(names: list[str] | tuple[str, ...]) -> str:
    """List names for a sentence, at most four of them: `a`, `b` and 3 others."""
    shown = [f"`{name}`" for name in names[:SHOWN]]
    if len(names) > SHOWN:
        shown.append(f"{len(names) - SHOWN} other{'s' if len(names) > SHOWN + 1 else ''}")
    if not shown:
        return "none"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


__all__ = ["Check", "Subject", "family_name", "finding", "several"]
