"""Which two NATs can be passed by hosts that know only what a server saw of each other (RFC 5128 section 3.4)."""

from __future__ import annotations

from warren.model.lab import Mapping
from warren.proto.nat import Behaviour

INDEPENDENT, ADDRESS, BOTH = Mapping


def meets(a: Behaviour, b: Behaviour) -> bool:
    """Say whether a path exists on which each answers to the place that it is spoken to from, found without guessing.

    Ports that look the same although the mapping depends on the endpoint (a preserving NAT with nothing to
    disturb it) are luck, which this does not count.
    """
    if a.blocks_udp or b.blocks_udp:
        return False
    easy = [one for one in (a, b) if one.mapping is INDEPENDENT]
    if len(easy) == 2:
        return True
    if len(easy) == 1:
        # The other side's first packet comes from a port that nobody could know: it must get in by its address.
        return easy[0].filtering is not BOTH
    if a.mapping is BOTH and b.mapping is BOTH:
        return False  # each answer comes from yet another port
    return any(open_.filtering is INDEPENDENT and other.filtering is not BOTH for open_, other in ((a, b), (b, a)))
