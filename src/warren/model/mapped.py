"""A LAN's own prefix and the one under which the network knows it, address for address.

    192.168.1.51  at nyc  ◄──►  10.99.1.51  everywhere else

Two sites may then have the same subnet: each is somewhere else in the network. The numbers of the machines stay.
"""

from __future__ import annotations

from dataclasses import dataclass

from warren.model.prefix import Address, Prefix, covers


@dataclass(frozen=True, slots=True)
class MappedPrefix:
    """A subnet `own` that others see as `seen`, which is as long."""

    own: Prefix
    seen: Prefix

    def outward(self, prefix: Prefix) -> Prefix | None:
        """Give what others call a part of the subnet; None for what does not lie in it."""
        return moved(prefix, self.own, self.seen) if covers(self.own, prefix) else None

    def inward(self, prefix: Prefix) -> Prefix | None:
        """Give what others' words for a part of the subnet mean at home; None for what does not lie in it."""
        return moved(prefix, self.seen, self.own) if covers(self.seen, prefix) else None


def moved(prefix: Prefix, source: Prefix, target: Prefix) -> Prefix:
    """Give the part of `target` that a part of `source` is: the same distance from the beginning, the same length."""
    distance = int(prefix.network_address) - int(source.network_address)
    return type(prefix)((int(target.network_address) + distance, prefix.prefixlen))


def address_moved(address: Address, source: Prefix, target: Prefix) -> Address:
    """Give the address of `target` that has the same number as one of `source`."""
    return type(address)(int(target.network_address) + int(address) - int(source.network_address))
