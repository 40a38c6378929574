"""Who takes part: everybody with a key, whether a conf of theirs was given or not.

A conf and the peers of others are matched by keys: the public key of a conf's private key is a peer elsewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from warren.core.conf.conf import ConfPeer
from warren.core.imports.diagnostics import finding
from warren.core.imports.given import Given
from warren.core.imports.names import Names, Said, name_of, names_in, own_name
from warren.model.diagnostic import Diagnostic
from warren.model.key import PublicKey

# What a file is called that says nothing about whose it is.
_DEVICE = re.compile(r"(wg|wireguard|tun|vpn|utun|client|peer|server)[-_]?\d*", re.IGNORECASE)


@dataclass
class Party:
    """One key: its conf if there is one, and each conf that has it as a peer, with what is said of it there."""

    key: PublicKey
    name: str = ""
    given: Given | None = None
    seen: list[tuple[Given, ConfPeer]] = field(default_factory=list)

    def __hash__(self) -> int:
        return hash(self.key)


def find_parties(confs: Sequence[Given]) -> tuple[dict[PublicKey, Party], tuple[Diagnostic, ...]]:
    """Match confs and peers by their keys, and name everybody; the confs' own parties come first."""
    found: list[Diagnostic] = []
    parties: dict[PublicKey, Party] = {}
    for given in confs:
        if not given.public_key:
            found.append(finding("W169", given.top))
        elif given.public_key in parties:
            other = parties[given.public_key].given
            found.append(finding("W165", given.top, other=other.file if other else "?"))
        else:
            parties[given.public_key] = Party(given.public_key, given=given)
    for given in confs:
        for peer in given.peers:
            parties.setdefault(peer.public_key, Party(peer.public_key)).seen.append((given, peer))
    found += _apart(parties)
    _name(list(parties.values()), {given.file: names_in(given.text) for given in confs})
    return parties, tuple(found)


def _apart(parties: dict[PublicKey, Party]) -> Iterator[Diagnostic]:
    """Find confs that no tunnel joins, over however many hosts, with the first one."""
    island: dict[PublicKey, PublicKey] = {key: key for key in parties}

    def root(key: PublicKey) -> PublicKey:
        while island[key] != key:
            island[key] = island[island[key]]
            key = island[key]
        return key

    for party in parties.values():
        for given, _ in party.seen:
            if given.public_key:
                island[root(party.key)] = root(given.public_key)
    confs = [party.given for party in parties.values() if party.given is not None]
    for given in confs[1:]:
        if root(given.public_key) != root(confs[0].public_key):
            yield finding("W166", given.top, other=confs[0].file)


def _name(parties: list[Party], names: dict[str, Names]) -> None:
    """Give everybody a name of their own, from what is said most plainly to what can be guessed."""
    files = Counter(party.given.conf.name for party in parties if party.given is not None)
    wished = {party.key: next(filter(None, map(name_of, _wishes(party, names, files))), "") for party in parties}
    taken: set[str] = set()
    nameless = 0
    for party in sorted(parties, key=lambda party: not wished[party.key]):
        nameless += not wished[party.key]
        party.name = own_name(wished[party.key] or f"host-{nameless}", taken)
        taken.add(party.name)


def _wishes(party: Party, names: dict[str, Names], files: Counter[str]) -> Iterator[str]:
    seen = [names[given.file].peers.get(party.key, Said()) for given, _ in party.seen]
    given = party.given
    if given is not None:
        yield names[given.file].own.name
    yield from (said.name for said in seen)
    if given is not None and not _DEVICE.fullmatch(given.conf.name) and files[given.conf.name] == 1:
        yield given.conf.name
    yield from (said.plain for said in seen)
    if given is not None:
        yield given.folder if files[given.conf.name] > 1 else ""
        yield given.conf.name
    yield from (_host_of(peer.endpoint.host) for _, peer in party.seen if peer.endpoint is not None)


def _host_of(endpoint: str) -> str:
    """Take a host's name out of the DNS name it is dialled at: its first label, unless that says nothing."""
    labels = endpoint.split(".")
    if ":" in endpoint or labels[-1].isdecimal():
        return ""
    return labels[1] if len(labels) > 2 and labels[0] in ("vpn", "wg", "wireguard", "www") else labels[0]
