"""Which two hosts can meet directly, knowing only what servers saw of each other (RFC 5128 section 3.4).

The one place where that stands: simulated worlds, the lab's matrix and its tests hold what happens against it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from warren.model.lab import Mapping, Ports
from warren.proto.nat import Behaviour

INDEPENDENT, ADDRESS, BOTH = Mapping
OPEN = Behaviour(filtering=INDEPENDENT)


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a host stands: the boxes in front of it, the outermost first, and whether it has IPv6 as well."""

    boxes: tuple[Behaviour, ...] = ()
    ipv6: bool = False


def goes_direct(one: Stand, other: Stand, shared: int = 0) -> bool:
    """Say whether two hosts meet directly; `shared` of the outermost boxes are in front of both.

    Boxes filter IPv6 and do not translate it, so all look the same to everybody there. Who is behind the same box
    is in one LAN with the other, or comes back through it: that takes hairpinning.
    """
    if any(box.blocks_udp for box in (*one.boxes, *other.boxes)):
        return False
    if (one.ipv6 and other.ipv6) or (shared and shared == len(one.boxes) == len(other.boxes)):
        return True
    if shared and not one.boxes[shared - 1].hairpin:
        return False
    passed = max(shared - 1, 0)
    a, b = chained(one.boxes[passed:]), chained(other.boxes[passed:])
    return meets(a, b) or meets_by_many_ports(a, b)


def chained(boxes: tuple[Behaviour, ...]) -> Behaviour:
    """Say what several boxes in a row look like: in each way as strict as the strictest, and in no order of ports."""
    translating = [box for box in boxes if box.translates]
    seen, order = replace(OPEN, ports=_ports(translating)), list(Mapping)
    for box in boxes:
        mapping = max(seen.mapping, box.mapping if box.translates else INDEPENDENT, key=order.index)
        filtering = max(seen.filtering, box.filtering, key=order.index)
        seen = replace(seen, mapping=mapping, filtering=filtering, blocks_udp=seen.blocks_udp or box.blocks_udp)
    return seen


def _ports(translating: list[Behaviour]) -> Ports:
    """Say how ports are given by so many boxes: by one as it does, by several as nobody can foretell."""
    if len(translating) > 1:
        return Ports.RANDOM
    return translating[0].ports if translating else OPEN.ports


def meets_by_many_ports(a: Behaviour, b: Behaviour) -> bool:
    """Say whether a path exists that can be found by many ports, by chance or because the ports can be foretold.

    One side must be the same to everybody, or both NATs give their ports in a row, or both give a host's own where it
    is free; nearly always the path is found then.
    """
    if a.blocks_udp or b.blocks_udp:
        return False
    return INDEPENDENT in (a.mapping, b.mapping) or (a.ports is b.ports and a.ports is not Ports.RANDOM)


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
