"""How much one source may ask: a bucket for each, and a bound on how many buckets there are."""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address

from warren.proto.address import Address


class Bucket:
    """So many at once, and so many each second thereafter."""

    __slots__ = ("_left", "_most", "_rate", "_since")

    def __init__(self, most: float, rate: float, now: float) -> None:
        self._most, self._rate = most, rate
        self._left, self._since = most, now

    def take(self, now: float) -> bool:
        """Take one, if there is one."""
        self._left = min(self._most, self._left + max(now - self._since, 0) * self._rate)
        self._since = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Sources:
    """Buckets by source: an IPv4 address, or the /64 that one IPv6 customer has at least. The idlest goes first."""

    def __init__(self, most: float, rate: float, kept: int) -> None:
        self._most, self._rate, self._kept = most, rate, kept
        self._buckets: OrderedDict[bytes, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, source: Address, now: float) -> bool:
        """Say whether this source may, and count it."""
        key = source.ip.packed[:8] if isinstance(source.ip, IPv6Address) else source.ip.packed
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self._most, self._rate, now)
            if len(self._buckets) > self._kept:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket.take(now)
