"""One question on its way: who waits for it, how far each side is with it, and the questions sent for it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from warren.proto.dns.judge import Proof
from warren.proto.dns.message import Answer, Query
from warren.proto.dns.policy import Course

Client = Hashable
Key = tuple[bytes, int, int, bool, int]


@dataclass(frozen=True, slots=True)
class Send:
    """A question for a resolver: by a socket of its own, or by `stream` (TCP, TLS, HTTPS)."""

    flow: int
    upstream: int
    payload: bytes
    stream: bool


@dataclass(slots=True)
class Flow:
    number: int
    name: bytes
    upstream: int
    stream: bool
    job: Job
    again: bool = False  # asked anew by a stream


@dataclass(slots=True)
class SideState:
    """How far a side is with a job: `answer` is what counts of it so far; `over`: nothing more is hoped for."""

    asked: bool = False
    tried: list[int] = field(default_factory=list)
    refused: set[int] = field(default_factory=set)
    begun: float = 0.0
    answer: Answer | None = None
    proof: Proof = Proof.NOTHING
    held_until: float = 0.0
    over: bool = False


@dataclass(slots=True)
class Job:
    """One question, and everybody who waits for its answer."""

    key: Key
    query: Query
    course: Course
    clients: list[tuple[Client, Query, int]]
    sides: tuple[SideState, SideState] = field(default_factory=lambda: (SideState(), SideState()))
    flows: list[int] = field(default_factory=list)
    waits_until: float = 0.0  # for the domestic side, with a trusted answer in hand
    done: bool = False
