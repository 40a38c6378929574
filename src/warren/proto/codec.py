"""How values are laid out in bytes. A message's layout is its annotations, and docs/protocol.md is drawn from them.

All numbers are big-endian. Every reader takes exactly what its layout says or raises `Malformed`, which does not
leave this package: what parses packets answers with a `Refusal`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, ClassVar, Protocol, TypeVar, get_type_hints

from warren.proto.address import Address, Candidate, Origin, may_be_probed
from warren.proto.refusal import Refusal

MAX_CANDIDATES = 20


class Malformed(ValueError):
    """These bytes are not such a value; `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class Codec(Protocol):
    """One kind of field. `length` is how docs/protocol.md says its length."""

    length: str

    def write(self, value: Any) -> bytes: ...
    def read(self, data: bytes, at: int) -> tuple[Any, int]: ...


def _take(data: bytes, at: int, count: int) -> bytes:
    if len(data) < at + count:
        raise Malformed(Refusal.LENGTH)
    return data[at : at + count]


@dataclass(frozen=True, slots=True)
class Number:
    """An unsigned number of so many bytes."""

    size: int
    most: int | None = None

    @property
    def length(self) -> str:
        return str(self.size)

    def write(self, value: int) -> bytes:
        return value.to_bytes(self.size)

    def read(self, data: bytes, at: int) -> tuple[int, int]:
        value = int.from_bytes(_take(data, at, self.size))
        if self.most is not None and value > self.most:
            raise Malformed(Refusal.VALUE)
        return value, at + self.size


@dataclass(frozen=True, slots=True)
class Raw:
    """So many bytes."""

    size: int

    @property
    def length(self) -> str:
        return str(self.size)

    def write(self, value: bytes) -> bytes:
        if len(value) != self.size:
            raise ValueError(f"{len(value)} bytes where {self.size} belong")
        return value

    def read(self, data: bytes, at: int) -> tuple[bytes, int]:
        return _take(data, at, self.size), at + self.size


@dataclass(frozen=True, slots=True)
class Rest:
    """What remains, from `least` bytes on, in steps of `step`."""

    least: int
    step: int

    @property
    def length(self) -> str:
        return f"{self.least} + n × {self.step}"

    def write(self, value: bytes) -> bytes:
        return value

    def read(self, data: bytes, at: int) -> tuple[bytes, int]:
        rest = data[at:]
        if len(rest) < self.least or (len(rest) - self.least) % self.step:
            raise Malformed(Refusal.LENGTH)
        return rest, len(data)


class AddressCodec:
    """Family (4 or 6), 16 bytes of address (IPv4 in the first four, then zeros), port (never 0)."""

    length = "19"

    def write(self, value: Address) -> bytes:
        return bytes([value.ip.version]) + value.ip.packed.ljust(16, b"\0") + value.port.to_bytes(2)

    def read(self, data: bytes, at: int) -> tuple[Address, int]:
        raw = _take(data, at, 19)
        packed, port = raw[1:17], int.from_bytes(raw[17:])
        if not port:
            raise Malformed(Refusal.VALUE)
        if raw[0] == 4 and not any(packed[4:]):
            return Address(IPv4Address(packed[:4]), port), at + 19
        if raw[0] == 6:
            return Address(IPv6Address(packed), port), at + 19
        raise Malformed(Refusal.VALUE)


class CandidatesCodec:
    """How many (1 byte, at most 20), then for each: where it is from (1) and the address (19)."""

    length = "1 + n × 20"

    def write(self, value: tuple[Candidate, ...]) -> bytes:
        if len(value) > MAX_CANDIDATES:
            raise ValueError(f"{len(value)} candidates where {MAX_CANDIDATES} are the most")
        each = (bytes([one.origin]) + ADDRESS.write(one.address) for one in value)
        return bytes([len(value)]) + b"".join(each)

    def read(self, data: bytes, at: int) -> tuple[tuple[Candidate, ...], int]:
        count, at = Number(1, MAX_CANDIDATES).read(data, at)
        _take(data, at, count * 20)
        found = []
        for _ in range(count):
            origin, at = Number(1, max(Origin)).read(data, at)
            address, at = ADDRESS.read(data, at)
            if not origin or not may_be_probed(address):
                raise Malformed(Refusal.VALUE)
            found.append(Candidate(Origin(origin), address))
        return tuple(found), at


ADDRESS = AddressCodec()
CANDIDATES = CandidatesCodec()

U8, U32, U64 = Number(1), Number(4), Number(8)
Flag = Annotated[int, Number(1, 1)]
Index = Annotated[int, U32]
Long = Annotated[int, U64]
Key = Annotated[bytes, Raw(32)]
Mac = Annotated[bytes, Raw(16)]
Place = Annotated[Address, ADDRESS]
Candidates = Annotated[tuple[Candidate, ...], CANDIDATES]


class Laid:
    """A value whose annotations are its layout; subclasses are frozen dataclasses with a number of their own."""

    __slots__ = ()
    TYPE: ClassVar[int]

    def body(self) -> bytes:
        """Write the fields, one after the other."""
        return b"".join(codec.write(getattr(self, name)) for name, codec in layout(type(self)))


T = TypeVar("T", bound=Laid)


def layout(of: type[Laid]) -> tuple[tuple[str, Codec], ...]:
    """Give the names and codecs of the fields, in their order on the wire."""
    if of not in _LAYOUTS:
        hints = get_type_hints(of, include_extras=True)
        _LAYOUTS[of] = tuple((one.name, hints[one.name].__metadata__[0]) for one in fields(of))  # type: ignore[arg-type]
    return _LAYOUTS[of]


_LAYOUTS: dict[type[Laid], tuple[tuple[str, Codec], ...]] = {}


def read_body(of: type[T], data: bytes, at: int) -> tuple[T, int]:
    """Read the fields from `at` on; Malformed says why not."""
    values = {}
    for name, codec in layout(of):
        values[name], at = codec.read(data, at)
    return of(**values), at
