"""Who may be asked for which name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from warren.proto.dns.judge import Judge
from warren.proto.dns.message import AAAA, HTTPS, SVCB, A, Question


class Side(IntEnum):
    """The two sides: `DOMESTIC` is asked by the uplink, `TRUSTED` through the tunnel."""

    DOMESTIC = 0
    TRUSTED = 1


class Course(Enum):
    """How a question is put, before anything is known of its answer."""

    DOMESTIC = "domestic"  # that side; the trusted one only when it is dead
    TRUSTED = "trusted"  # that side, and no other whatever happens
    BOTH = "both"  # at once: the domestic answer counts if it proves to be domestic
    TRUSTED_FIRST = "trusted first"  # the domestic side is asked only for what has proved to be domestic


JUDGED = frozenset((A, AAAA, HTTPS, SVCB))


@dataclass(frozen=True, slots=True)
class Upstream:
    """A resolver: its side, and whether it is spoken to by a stream (TCP, TLS, HTTPS) from the first word."""

    side: Side
    stream: bool = False


@dataclass(frozen=True)
class Policy:
    """What a resolver between two sides holds to.

    `names` are suffixes as they stand in messages, in lower case, with the side that alone is asked for what is at or
    below them; the longest counts. `fast`: names of neither are asked of both sides at once. Without a judge there is
    one side, the trusted one.
    """

    upstreams: tuple[Upstream, ...]
    judge: Judge | None = None
    names: Mapping[bytes, Side] = field(default_factory=dict)
    fast: bool = False

    def of(self, side: Side) -> tuple[int, ...]:
        """List the resolvers of a side, in the order in which they are asked."""
        return tuple(at for at, one in enumerate(self.upstreams) if one.side is side)

    def side_of(self, key: bytes) -> Side | None:
        """Say which side a name belongs to; None: nobody knows."""
        names, at = self.names, 0
        if not names:
            return None
        while True:
            side = names.get(key[at:] if at else key)
            if side is not None or not key[at]:
                return side
            at += 1 + key[at]

    def course(self, asked: Question, remembered: Side | None) -> Course:
        """Choose how a question is put; `remembered` is what the name proved to be not long ago."""
        if self.judge is None:
            return Course.TRUSTED
        side = self.side_of(asked.key)
        if side is None and self.judge.is_domestic_pointer(asked.kind, asked.key):
            side = Side.DOMESTIC
        if side is not None:
            return Course.DOMESTIC if side is Side.DOMESTIC else Course.TRUSTED
        if asked.kind not in JUDGED or remembered is Side.TRUSTED:
            return Course.TRUSTED  # nothing in such an answer could be judged; or it was judged, and is foreign
        return Course.BOTH if self.fast or remembered is Side.DOMESTIC else Course.TRUSTED_FIRST
