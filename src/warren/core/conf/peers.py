"""The [Peer] sections of a conf, in the sense in which WireGuard takes them one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from warren.core.conf.conf import ConfPeer
from warren.core.conf.lines import Line
from warren.core.conf.reader import Reader, Section, words_of
from warren.core.conf.values import endpoint_of, keepalive_of, order, prefix_of
from warren.model.diagnostic import Where
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey, SecretRef, encode_key, fingerprint, looks_private
from warren.model.prefix import Prefix, host_prefix


@dataclass(slots=True)
class _Peer:
    """A peer as it grows: a second section of the same key adds to the first, as in the kernel."""

    key: PublicKey
    at: Line
    allowed: dict[Prefix, Line] = field(default_factory=dict)
    endpoint: Endpoint | None = None
    keepalive: int = 0
    psk_fingerprint: str = ""


def read_peers(reader: Reader, sections: Iterable[Section]) -> tuple[ConfPeer, ...]:
    """Read all peers, in the file's order; a prefix belongs to the last peer that names it."""
    peers: dict[PublicKey, _Peer] = {}
    taken: dict[Prefix, _Peer] = {}
    for section in sections:
        key = _public_key(reader, section)
        if key is None:
            continue
        peer = peers.get(key)
        if peer is None:
            peers[key] = peer = _Peer(key, section.at)
        else:
            reader.say("W713", section.at.where(reader.file), line=peer.at.number)
        _read(reader, section, peer)
        for prefix in peer.allowed:
            other = taken.get(prefix)
            if other is not None and other is not peer and (line := other.allowed.pop(prefix, None)):
                reader.say("W723", line.where(reader.file), value=str(prefix), line=peer.allowed[prefix].number)
            taken[prefix] = peer
    return tuple(_value(peer, reader) for peer in peers.values())


def _public_key(reader: Reader, section: Section) -> PublicKey | None:
    if "publickey" not in section.lines:
        reader.say("W712", section.at.where(reader.file))
    raw = reader.key(section, "publickey")
    line = section.last("publickey")
    if raw is None or line is None:
        return None
    if not any(raw):
        reader.say("W711", line.where(reader.file))
    elif looks_private(raw):
        reader.say("W714", line.where(reader.file))
    return PublicKey(encode_key(raw))


def _read(reader: Reader, section: Section, peer: _Peer) -> None:
    """Read one section into its peer."""
    _allowed_ips(reader, section, peer)
    peer.endpoint = reader.one(
        section, "endpoint", lambda text: endpoint_of(text, reader.services), peer.endpoint, "W730"
    )
    peer.keepalive = reader.one(section, "persistentkeepalive", keepalive_of, peer.keepalive, "W733")
    psk = reader.key(section, "presharedkey")
    if psk is not None:
        peer.psk_fingerprint = fingerprint(psk) if any(psk) else ""


def _allowed_ips(reader: Reader, section: Section, peer: _Peer) -> None:
    lines = section.lines.get("allowedips", ())
    if not any(line.value.startswith(("+", "-")) or ",+" in line.value or ",-" in line.value for line in lines):
        peer.allowed = {}  # a section without + and - says all there is
    for line in lines:
        if not line.value:
            continue
        for word, where in words_of(line, reader.file, ","):
            _allow(reader, peer, line, word, where)


def _allow(reader: Reader, peer: _Peer, line: Line, word: str, where: Callable[[], Where]) -> None:
    sign = word[:1] if word[:1] in ("+", "-") else ""
    text = word[len(sign) :]
    try:
        prefix, cut = prefix_of("".join(text.split()))
    except ValueError as error:
        reader.say("W721", where(), value=word, why=error if text else "there is nothing between two commas")
        return
    if cut:
        alone = host_prefix(type(prefix.network_address)(text.partition("/")[0].strip()))
        reader.say("W722", where(), value=text, meant=str(prefix), host=str(alone))
    if sign != "-":
        peer.allowed[prefix] = line
    elif peer.allowed.pop(prefix, None) is None:
        reader.say("W725", where(), value=str(prefix))


def _value(peer: _Peer, reader: Reader) -> ConfPeer:
    return ConfPeer(
        public_key=peer.key,
        allowed_ips=tuple(sorted(peer.allowed, key=order)),
        endpoint=peer.endpoint,
        keepalive=peer.keepalive,
        psk=SecretRef(reader.path, f"PresharedKey {peer.key}") if peer.psk_fingerprint else None,
        psk_fingerprint=peer.psk_fingerprint,
        at=peer.at.where(reader.file),
    )
