"""Why bytes were not taken. Nobody is ever told: a packet that is refused is answered with silence."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """One word per reason, so that counting them costs the same whatever is sent."""

    FOREIGN = "not one of our packets"
    VERSION = "another version"
    TYPE = "a type that does not exist"
    LENGTH = "not the length that its type has"
    RESERVED = "bytes that must be zero are not"
    VALUE = "a field says what it cannot mean"
    MAC = "made without knowing whom it is for"
    FORGED = "not authentic, or seen before"
    STRANGER = "not a member of this network"
    UNKNOWN = "of a session, a peer or a grant that is not known here"
    UNEXPECTED = "not something that this side is sent"
    BUSY = "more than this source may ask"
