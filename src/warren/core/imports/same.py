"""Is it the same? What the network file compiles to on each host, against the conf that the host had.

Of AllowedIPs it is compared what they do: which address is reached by which peer. What the overlay has beyond
everybody's addresses is nobody's, and makes no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set

from warren.core.compile.fabric import Fabric
from warren.core.compile.host import compile_in
from warren.core.conf.conf import AUTO, ConfPeer
from warren.core.imports.diagnostics import finding
from warren.core.imports.draft import Draft, HostDraft
from warren.core.imports.given import Given
from warren.core.imports.reach import INTERNET, everything
from warren.model.diagnostic import Diagnostic
from warren.model.key import PublicKey
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.prefix import FAMILIES, Family, Prefix, Span, host_prefix, merge, prefixes_of, span_of, subtract
from warren.model.publish import SourceKept
from warren.model.state import HostState, Peer, WgInterface
from warren.model.surroundings import Surroundings

_SHOWN = 4  # prefixes that one finding names
_LIVE = "Live with it, or change the network file."

Spans = dict[tuple[PublicKey, Family], list[Span]]


def differences(draft: Draft, network: Network, lock: Lock) -> Iterator[Diagnostic]:
    """Find what will not be on a host as its conf had it."""
    fabric = Fabric(network, lock)
    names = draft.names()
    unclaimed = _unclaimed(draft, network, lock)
    for host in draft.hosts:
        given = host.party.given
        if given is not None:
            state = compile_in(fabric, host.name, Surroundings(stated=True))
            yield from _peers(given, host, state, names)
            kept = {
                one.gateway for one in network.publishes if one.to.host == host.name and one.source is SourceKept.KEPT
            }
            yield from _reach(given, host, state, names, unclaimed, kept)
            yield from _device(given, host, state)


def _held(state: HostState) -> dict[PublicKey, tuple[WgInterface, Peer]]:
    return {peer.public_key: (interface, peer) for interface in state.interfaces for peer in interface.peers}


def _peers(given: Given, host: HostDraft, state: HostState, names: Mapping[PublicKey, str]) -> Iterator[Diagnostic]:
    """Compare who is whose peer, and how each is dialled."""
    held = _held(state)
    had = {peer.public_key: peer for peer in given.peers}
    for key in held.keys() - had.keys():
        what = f"`{host.name}` will have a tunnel with `{names[key]}`, which its conf does not have"
        remedy = "Any two hosts of which one has an endpoint have a tunnel with each other."
        yield finding("W164", given.top, what=what, remedy=remedy)
    for key, peer in had.items():
        if key not in held:
            what = f"`{host.name}` will have no tunnel of its own with `{names[key]}`"
            yield finding("W164", given.peer(key), what=what, remedy="They meet at the hub. " + _LIVE)
            continue
        mine = held[key][1]
        if peer.keepalive and peer.keepalive != mine.keepalive:
            what = f"the keepalive of {peer.keepalive} s becomes {f'{mine.keepalive} s' if mine.keepalive else 'none'}"
            remedy = "Warren keeps mappings open where a host without an endpoint dials: every 25 s."
            yield finding("W164", given.peer(key, "persistentkeepalive"), what=what, remedy=remedy)
        if peer.endpoint is not None and mine.endpoint is not None and peer.endpoint != mine.endpoint:
            what = f"`{names[key]}` will be dialled at {mine.endpoint}, not at {peer.endpoint}"
            remedy = f"Open that port at `{names[key]}`, or choose the endpoint in the network file."
            yield finding("W164", given.peer(key, "endpoint"), what=what, remedy=remedy)


def _device(given: Given, host: HostDraft, state: HostState) -> Iterator[Diagnostic]:
    """Compare the device: its port and MTU, and whether it is one."""
    conf = given.conf
    if conf.listen_port and state.interfaces and all(one.listen_port != conf.listen_port for one in state.interfaces):
        ports = " and ".join(str(one.listen_port) for one in state.interfaces)
        what = f"`{host.name}` will listen on port {ports}, not on {conf.listen_port}"
        yield finding("W164", given.setting("listenport"), what=what, remedy="Open that port where a firewall is.")
    if len(state.interfaces) > 1:
        others = [one for one in state.interfaces if one.name != conf.name]
        told = " and ".join(f"`{one.name}` on port {one.listen_port}" for one in others)
        what = f"`{host.name}` will have {told} too"
        remedy = (
            "An exit, or a gateway whose sources are kept, is held on a device of its own. Open the port if others "
        )
        remedy += "dial it."
        yield finding("W164", given.top, what=what, remedy=remedy)


# --- which address is reached by which peer ------------------------------------------------------------------


def _reach(
    given: Given,
    host: HostDraft,
    state: HostState,
    names: Mapping[PublicKey, str],
    unclaimed: Mapping[Family, list[Span]],
    kept: Set[str],
) -> Iterator[Diagnostic]:
    had = _effective({peer.public_key: _meant(peer) for peer in given.peers})
    got = _effective({key: peer.allowed_ips for key, (_, peer) in _held(state).items()})
    carried = {prefix.version for interface in state.interfaces for prefix in interface.addresses}
    own = [host_prefix(address) for address in host.addresses]
    for key, name in names.items():
        for family in FAMILIES:
            before, after = had.get((key, family), []), got.get((key, family), [])
            mine = [span_of(prefix) for prefix in own if prefix.version == family]
            lost = subtract(subtract(before, after), unclaimed[family] + mine)
            # What a portal of a family rejects that the overlay lacks, a tunnel without an address of it lost too; and
            # of a table that somebody else's rules look into, the finding of `Table` says all there is.
            if lost and not (family in _whole(given, key) and (family not in carried or given.conf.table != AUTO)):
                what = f"`{host.name}` will not reach {_some(lost, family)} by `{name}`"
                remedy = "No host has it there. Add a LAN if there is one."
                if family not in carried:
                    remedy = "No conf says an address of that family; add a prefix of it to `overlay:`."
                where = given.allowed(key, _first(given, key, lost, family))
                yield finding("W164", where, what=what, remedy=remedy)
            new = subtract(subtract(after, before), unclaimed[family])
            if new and name in kept:
                what = f"`{host.name}` will take packets from {_some(new, family)} by `{name}`"
                remedy = f"They are the clients of what `{name}` publishes; `source: snat` there hides who they are."
                yield finding("W164", given.peer(key, "allowedips"), what=what, remedy=remedy)
            elif new:
                what = f"`{host.name}` will also reach {_some(new, family)} by `{name}`"
                remedy = "LANs of a network reach each other; `closed: true` on a LAN ends that."
                yield finding("W164", given.peer(key, "allowedips"), what=what, remedy=remedy)


def _whole(given: Given, key: PublicKey) -> tuple[Family, ...]:
    peer = next((peer for peer in given.peers if peer.public_key == key), None)
    return tuple(family for family in FAMILIES if peer is not None and everything(peer, family) is not None)


def _meant(peer: ConfPeer) -> tuple[Prefix, ...]:
    """Give what a peer is sent; who takes the internet but for exceptions, takes it: portals hold the exceptions."""
    whole = [family.everything for family in FAMILIES if everything(peer, family) is not None]
    return (*whole, *peer.allowed_ips)


def _effective(peers: Mapping[PublicKey, Iterable[Prefix]]) -> Spans:
    """Give each peer's addresses as WireGuard decides: the longest prefix has them."""
    found: Spans = {}
    for family in FAMILIES:
        every = sorted(
            {(prefix.prefixlen, span_of(prefix), key) for key, held in peers.items() for prefix in held
             if prefix.version == family},
            reverse=True,
        )  # fmt: skip
        by_length: dict[int, list[tuple[Span, PublicKey]]] = {}
        for length, span, key in every:
            by_length.setdefault(length, []).append((span, key))
        taken: list[Span] = []
        for length in sorted(by_length, reverse=True):
            mine: dict[PublicKey, list[Span]] = {}
            for span, key in by_length[length]:
                mine.setdefault(key, []).append(span)
            for key, spans in mine.items():
                found[key, family] = merge([*found.get((key, family), []), *subtract(spans, taken)])
            taken = merge([*taken, *(span for span, _ in by_length[length])])
    return found


def _unclaimed(draft: Draft, network: Network, lock: Lock) -> dict[Family, list[Span]]:
    """Give what no conf says anything of: the part of the overlay that nobody has, or has by a guess of ours; and what
    is no unicast of IPv6 that a network could mean."""
    guessed = {guess.value for guess in draft.guesses if guess.what == "address"}
    allotted = [host.addresses for host in lock.hosts] + [guest.addresses for guest in lock.guests]
    held = [one for addresses in allotted for one in addresses if str(one) not in guessed]
    lans = [prefix for host in network.hosts for lan in host.lans for prefix in lan.prefixes]
    found: dict[Family, list[Span]] = {}
    for family in FAMILIES:
        overlay = [span_of(prefix) for prefix in network.overlay if prefix.version == family]
        outside = subtract([span_of(family.everything)], [span_of(prefix) for prefix in INTERNET[family]])
        inside = overlay + [span_of(prefix) for prefix in lans if prefix.version == family]
        spans = subtract(overlay, [span_of(host_prefix(one)) for one in held if one.version == family])
        found[family] = merge([*spans, *subtract(outside, inside)])
    return found


def _some(spans: list[Span], family: Family) -> str:
    prefixes = [str(prefix) for prefix, _ in zip(prefixes_of(spans, family), range(_SHOWN + 1), strict=False)]
    return ", ".join(prefixes[:_SHOWN]) + (" and more" if len(prefixes) > _SHOWN else "")


def _first(given: Given, key: PublicKey, lost: list[Span], family: Family) -> Prefix:
    """Find the AllowedIPs word that has what is lost."""
    peer = next(peer for peer in given.peers if peer.public_key == key)
    for prefix in peer.allowed_ips:
        first, last = span_of(prefix)
        if prefix.version == family and any(first <= end and start <= last for start, end in lost):
            return prefix
    return family.everything
