"""Values of the model as JSON and back, driven by their type hints: nothing is written twice, nothing is pickled.

A dataclass becomes an object of the fields that differ from their defaults; a tuple becomes a list; an enum its
value; an address or prefix its text. Where a hint leaves a choice, the JSON says which was taken:

    dataclasses in a union     {"is": "PutPeer", …}
    text or something that     {"is": "IPv4Network", "text": "10.0.0.0/8"}, but plain "10.0.0.0/8"
    is written as text         where no text could stand

A coder is built once per hint, so that 20,000 routes take a fraction of a second.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Hashable
from enum import Enum
from functools import cache
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any, NamedTuple, NewType, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from warren.model.prefix import prefix_from

_T = TypeVar("_T")
_TEXTUAL = (IPv4Address, IPv6Address, IPv4Network, IPv6Network, IPv4Interface, IPv6Interface)
_PLAIN: tuple[type, ...] = (str, int, bool, float, type(None))


class CodecError(ValueError):
    """JSON that is not such a value."""


class Coder(NamedTuple):
    """How values of one hint are written and read."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def encode(value: object, hint: object = None) -> Any:
    """Turn a value into what `json` can write; `hint` is its type where that is not simply its class."""
    return coder(hint or type(value)).encode(value)


def decode(data: Any, hint: type[_T]) -> _T:
    """Turn what `json` read back into a value; CodecError if it is none of that type."""
    try:
        value: _T = coder(cast(Hashable, hint)).decode(data)
        return value
    except CodecError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise CodecError(f"{getattr(hint, '__name__', hint)}: {error!r}") from None


@cache
def coder(hint: Hashable) -> Coder:
    """Build the coder of a type hint; TypeError for a hint that has none."""
    if isinstance(hint, NewType):
        return coder(hint.__supertype__)
    if hint in _PLAIN:
        return _plain(hint)
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _union(get_args(hint))
    if origin is tuple:
        return _tuple(get_args(hint))
    if isinstance(hint, type):
        if issubclass(hint, Enum):
            return Coder(lambda value: value.value, hint)
        if hint in (IPv4Network, IPv6Network):
            return _network(hint)
        if hint in _TEXTUAL:
            return Coder(str, hint)
        if dataclasses.is_dataclass(hint):
            return _dataclass(hint)
    raise TypeError(f"no coder for {hint!r}")


def _plain(kind: type) -> Coder:
    def decode_plain(data: Any) -> Any:
        if type(data) is not kind:
            raise CodecError(f"{data!r} is not of type {kind.__name__}")
        return data

    return Coder(lambda value: value, decode_plain)


def _network(kind: type) -> Coder:
    """A prefix is often read by somebody else too, who then shares it."""

    def decode_network(data: Any) -> Any:
        value = prefix_from(data)
        if type(value) is not kind:
            raise CodecError(f"{data!r} is no {kind.__name__}")
        return value

    return Coder(str, decode_network)


def _tuple(hints: tuple[Any, ...]) -> Coder:
    if len(hints) == 2 and hints[1] is Ellipsis:
        each = coder(hints[0])
        return Coder(
            lambda value: [each.encode(part) for part in value],
            lambda data: tuple([each.decode(part) for part in _list(data)]),
        )
    coders = [coder(hint) for hint in hints]
    return Coder(
        lambda value: [one.encode(part) for one, part in zip(coders, value, strict=True)],
        lambda data: tuple(one.decode(part) for one, part in zip(coders, _list(data), strict=True)),
    )


def _list(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise CodecError(f"{data!r} is not a list")
    return data


def _dataclass(kind: type) -> Coder:
    hints = get_type_hints(kind)
    fields = [field for field in dataclasses.fields(kind) if field.init]
    # Coders of fields are found when first used: a hint may refer to a class whose coder is just being built.
    written = [(field.name, field.default, hints[field.name]) for field in fields]
    known = {name: hint for name, _, hint in written}

    def encode_fields(value: Any) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for name, default, hint in written:
            part = getattr(value, name)
            if part is not default and (type(part) is not type(default) or part != default):
                data[name] = coder(hint).encode(part)
        return data

    def decode_fields(data: Any) -> Any:
        if not isinstance(data, dict):
            raise CodecError(f"{data!r} is not a {kind.__name__}")
        return kind(**{name: coder(known[name]).decode(part) for name, part in data.items() if name != "is"})

    return Coder(encode_fields, decode_fields)


def _union(hints: tuple[Any, ...]) -> Coder:
    """Write which of several types was taken only where the JSON would not show it."""
    hints = tuple(hint.__supertype__ if isinstance(hint, NewType) else hint for hint in hints)
    classes = {hint.__name__: hint for hint in hints if isinstance(hint, type)}
    tagged = {name: kind for name, kind in classes.items() if dataclasses.is_dataclass(kind)}
    textual = {name: kind for name, kind in classes.items() if kind in _TEXTUAL}
    enums = [kind for kind in classes.values() if issubclass(kind, Enum)]
    lists = [hint for hint in hints if get_origin(hint) is tuple]
    plain = tuple(kind for kind in classes.values() if kind in _PLAIN)
    said = str in plain  # text alone would not say whether it is an address
    if len(lists) > 1 or (enums and (len(enums) > 1 or plain != (type(None),) * len(plain) or textual)):
        raise TypeError(f"no coder for the union of {hints!r}: its JSON would not say which is meant")

    def encode_union(value: Any) -> Any:
        kind = type(value)
        if kind in plain:
            return value
        name = kind.__name__
        if name in tagged:
            return {"is": name, **coder(cast(Hashable, kind)).encode(value)}
        if name in textual:
            return {"is": name, "text": str(value)} if said else str(value)
        if enums and isinstance(value, enums[0]):
            return value.value
        if isinstance(value, tuple) and lists:
            return coder(lists[0]).encode(value)
        raise TypeError(f"{value!r} is none of {hints!r}")

    def decode_union(data: Any) -> Any:
        if isinstance(data, dict):
            name = data.get("is", "")
            if name in textual:
                return textual[name](data["text"])
            if name not in tagged:
                raise CodecError(f"{name!r} is none of {', '.join(sorted(tagged | textual))}")
            return coder(tagged[name]).decode(data)
        if isinstance(data, list) and lists:
            return coder(lists[0]).decode(data)
        if isinstance(data, str) and textual and not said:
            version = "IPv6" if ":" in data else "IPv4"
            return next(kind for name, kind in textual.items() if name.startswith(version))(data)
        if enums and data is not None:
            return enums[0](data)
        if type(data) in plain:
            return data
        raise CodecError(f"{data!r} is none of {hints!r}")

    return Coder(encode_union, decode_union)
