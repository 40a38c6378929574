"""DNS messages, as far as somebody in the middle has to read them (RFC 1035 section 4, RFC 6891, RFC 9460).

    header 12 · question · answer … · authority … · additional …, of which one may be OPT

An answer is handed on as it came, but for its number, the case of its question and its OPT record, so nothing of it
has to be understood but the addresses in it. Whatever the bytes are, reading ends, with a value or with `Malformed`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")  # type, class, TTL, length of the data
_TWO = struct.Struct("!HH")
QR, TC, RD, RA, AD, CD = 0x8000, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
OPCODE, RCODE = 0x7800, 0x000F
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
A, PTR, AAAA, OPT, SVCB, HTTPS, ANY = 1, 12, 28, 41, 64, 65, 255
IN = 1
DO = 0x8000  # in the TTL field of OPT: whoever asks wants signatures (RFC 4035)
HINTS = {4: (4, 4), 6: (6, 16)}  # SvcParamKeys with addresses: the family, and the length of one
ROOM = 1232  # bytes of an answer that no path has to cut (DNS flag day 2020)
LEAST_ROOM = 512
LONGEST_NAME = 255


class Malformed(ValueError):
    """Bytes that are no DNS message."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `name` is as it stands in the message, `key` the same in lower case."""

    name: bytes
    key: bytes
    kind: int
    of_class: int


@dataclass(frozen=True, slots=True)
class Query:
    """A question with what its asker can take: `room` bytes by UDP; `edns` None where it sent no OPT record."""

    number: int
    flags: int
    question: Question
    room: int = LEAST_ROOM
    edns: int | None = None

    @property
    def wants_signatures(self) -> bool:
        """Whether the DO bit is set."""
        return self.edns is not None and bool(self.edns & DO)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `addresses` are those of the answer section, by family, also out of HTTPS and SVCB records.

    `opt` is where its OPT record begins and ends (None: it has none).
    """

    data: bytes
    number: int
    flags: int
    question: Question
    addresses: tuple[tuple[int, int], ...] = ()
    opt: tuple[int, int] | None = None

    @property
    def code(self) -> int:
        """The response code, without what OPT adds to it."""
        return self.flags & RCODE

    @property
    def cut(self) -> bool:
        """Whether there is more, for whoever asks by TCP."""
        return bool(self.flags & TC)


def read_query(data: bytes) -> Query:
    """Read what a client sent; Malformed if it is no query with one question."""
    number, flags, questions, answers, authorities, additional = _header(data)
    if flags & QR or questions != 1 or answers or authorities:
        raise Malformed("no query with one question")
    question, at = _question(data)
    room, edns = LEAST_ROOM, None
    for _ in range(additional):
        at, kind, of_class, ttl, _, end = _record(data, at)
        if kind == OPT:
            if edns is not None:
                raise Malformed("two OPT records")
            room, edns = max(LEAST_ROOM, of_class), ttl
        at = end
    return Query(number, flags, question, room, edns)


def read_answer(data: bytes) -> Answer:
    """Read what a resolver sent; Malformed if it is no answer to one question."""
    number, flags, questions, answers, authorities, additional = _header(data)
    if not flags & QR or questions != 1:
        raise Malformed("no answer to one question")
    question, at = _question(data)
    addresses: list[tuple[int, int]] = []
    opt: tuple[int, int] | None = None
    if flags & TC:  # it may end anywhere, and is asked for again
        return Answer(data, number, flags, question)
    for count in range(answers + authorities + additional):
        begins = at
        at, kind, _, _, length, end = _record(data, at)
        if count < answers:
            if kind == A and length == 4:
                addresses.append((4, int.from_bytes(data[at:end], "big")))
            elif kind == AAAA and length == 16:
                addresses.append((6, int.from_bytes(data[at:end], "big")))
            elif kind in (HTTPS, SVCB):
                addresses += _hints(data, at, end)
        elif kind == OPT and count >= answers + authorities:
            opt = (begins, end)
        at = end
    return Answer(data, number, flags, question, tuple(addresses), opt)


def write_query(number: int, name: bytes, kind: int, of_class: int, flags: int, *, signatures: bool) -> bytes:
    """Write a question with an OPT record of our own: no client's subnet or cookie goes any further."""
    head = HEADER.pack(number, RD | (flags & (CD | AD)), 1, 0, 0, 1)
    opt = b"\0" + _RECORD.pack(OPT, ROOM, DO if signatures else 0, 0)
    return head + name + _TWO.pack(kind, of_class) + opt


def reply(query: Query, answer: Answer, room: int) -> bytes:
    """Make of a resolver's answer the one to whoever asked; what is too long for `room` is cut to the question."""
    data = bytearray(answer.data)
    name = query.question.name
    data[12 : 12 + len(name)] = name
    flags = (answer.flags | RA | QR) & ~AD if not query.flags & AD and not query.wants_signatures else answer.flags | RA
    counts = list(HEADER.unpack_from(data))
    if answer.opt is not None and query.edns is None and answer.opt[1] == len(data):
        del data[answer.opt[0] :]
        counts[5] -= 1
    if len(data) > room:
        return failure(query, flags & RCODE, TC)
    HEADER.pack_into(data, 0, query.number, flags & ~TC, *counts[2:])
    return bytes(data)


def failure(query: Query, code: int, flags: int = 0) -> bytes:
    """Answer with a code and nothing else."""
    asked = query.question
    flags |= QR | RA | (query.flags & (OPCODE | RD | CD)) | code
    opt = b"\0" + _RECORD.pack(OPT, ROOM, query.edns & DO, 0) if query.edns is not None else b""
    head = HEADER.pack(query.number, flags, 1, 0, 0, 1 if opt else 0)
    return head + asked.name + _TWO.pack(asked.kind, asked.of_class) + opt


def refusal(data: bytes, code: int) -> bytes:
    """Answer what could not be read, by its header alone; nothing for what has none, or is an answer itself."""
    if len(data) < HEADER.size:
        return b""
    number, flags, *_ = HEADER.unpack_from(data)
    return b"" if flags & QR else HEADER.pack(number, QR | RA | (flags & (OPCODE | RD)) | code, 0, 0, 0, 0)


def mixed_case(name: bytes, chance: bytes) -> bytes:
    """Write a name with letters in chance case, which an answer repeats (draft-vixie-dnsext-dns0x20)."""
    bits = int.from_bytes(chance, "big")
    mixed = bytearray(name)
    at = 0
    while mixed[at]:
        end = at + 1 + mixed[at]
        for letter in range(at + 1, end):
            byte = mixed[letter]
            if 65 <= byte & 0xDF <= 90:
                mixed[letter] = byte ^ 0x20 if bits & 1 else byte
                bits >>= 1
        at = end
    return bytes(mixed)


def wire_name(text: str) -> bytes:
    """Write `example.org` as it stands in messages, in lower case."""
    labels = [label.encode("ascii") for label in text.lower().rstrip(".").split(".") if label]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


# --- the parts of a message ----------------------------------------------------------------------------------


def _header(data: bytes) -> tuple[int, ...]:
    if len(data) < HEADER.size:
        raise Malformed("shorter than a header")
    return HEADER.unpack_from(data)


def _question(data: bytes) -> tuple[Question, int]:
    """Read the only question, whose name nothing stands before that it could point at."""
    at = HEADER.size
    size = len(data)
    while True:
        if at >= size or at - HEADER.size >= LONGEST_NAME:
            raise Malformed("a name without an end")
        length = data[at]
        if length > 63:
            raise Malformed("a pointer in a question")
        at += 1 + length
        if not length:
            break
    if at + 4 > size or at - HEADER.size > LONGEST_NAME:
        raise Malformed("a question without an end")
    name = data[HEADER.size : at]
    kind, of_class = _TWO.unpack_from(data, at)
    return Question(name, name.lower(), kind, of_class), at + 4


def _record(data: bytes, at: int) -> tuple[int, int, int, int, int, int]:
    """Read a record's head: where its data begins, type, class, TTL, length, and where it ends."""
    at = _past_name(data, at)
    if at + _RECORD.size > len(data):
        raise Malformed("a record without an end")
    kind, of_class, ttl, length = _RECORD.unpack_from(data, at)
    at += _RECORD.size
    if at + length > len(data):
        raise Malformed("a record longer than its message")
    return at, kind, of_class, ttl, length, at + length


def _past_name(data: bytes, at: int) -> int:
    """Pass over a name; where a pointer leads does not matter here, so none is followed."""
    size, begins = len(data), at
    while at < size:
        length = data[at]
        if length >= 0xC0:
            if at + 2 > size:
                break
            return at + 2
        if length > 63:
            raise Malformed("a label of an unknown kind")
        at += 1 + length
        if not length:
            if at - begins > LONGEST_NAME:
                break
            return at
    raise Malformed("a name without an end")


def _hints(data: bytes, at: int, end: int) -> list[tuple[int, int]]:
    """Read the addresses of an HTTPS or SVCB record (RFC 9460 section 7.3)."""
    found: list[tuple[int, int]] = []
    at = _past_name(data, at + 2)
    while at < end:
        if at + _TWO.size > end:
            raise Malformed("a parameter without an end")
        key, length = _TWO.unpack_from(data, at)
        at += _TWO.size
        if at + length > end:
            raise Malformed("a parameter longer than its record")
        if key in HINTS:
            family, each = HINTS[key]
            if not length or length % each:
                raise Malformed("hints that are no addresses")
            found += [(family, int.from_bytes(data[one : one + each], "big")) for one in range(at, at + length, each)]
        at += length
    return found
