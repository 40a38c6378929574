"""Hosts: where each is dialled, what it listens on, what is behind it, and which keys it shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import ip_interface

from warren.core.allot import PORT
from warren.core.check.nesting import Holders
from warren.core.imports.addresses import Addressed
from warren.core.imports.diagnostics import finding
from warren.core.imports.draft import Draft, Guess, HostDraft, Secret
from warren.core.imports.hooks import Accept, Fact, Masquerade, Redirect
from warren.core.imports.parties import Party
from warren.core.imports.reach import Reached
from warren.core.parse.names import DEVICE_LENGTH, check_device
from warren.core.parse.reading import Reading
from warren.model.diagnostic import Diagnostic, Where
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey
from warren.model.prefix import Interface, Prefix, host_prefix

UPLINK, LAN = "eth0", "lan0"
_ASKED = 50  # confs that are asked which way they go to one another: they agree, or nothing helps
_WEIGHT = 1_000_000  # of one such way against one tunnel


def draft_hosts(
    parties: Mapping[PublicKey, Party],
    addressed: Addressed,
    reached: Reached,
    facts: Mapping[PublicKey, Sequence[Fact]],
    endpoints: Mapping[str, Endpoint],
    draft: Draft,
    apps: Collection[Party] = (),
) -> Iterator[Diagnostic]:
    """Add a host for everybody but the apps to the draft. `endpoints` are those its owner knows better, by name."""
    for party in parties.values():
        if party in apps:
            continue
        given = party.given
        host = HostDraft(party, addressed.of(party.key), given.conf.name if given is not None else "")
        yield from _endpoint(host, endpoints)
        if given is not None:
            host.mtu = given.conf.mtu
            draft.secrets.append(Secret((party.name,), given.conf.private_key)) if given.conf.private_key else None
        _devices(host, reached.lans.get(party.key, ()), facts.get(party.key, ()), draft)
        draft.guesses += [Guess(party.name, "address", str(one)) for one in host.addresses if one in addressed.guessed]
        draft.hosts.append(host)
    dialled = {key for key, mine in facts.items() if any(isinstance(one, Redirect) and one.to for one in mine)}
    yield from _stand_ins(draft, dialled | ({draft.hosts[0].party.key} if apps else set()), bool(apps))
    for host in draft.hosts:
        _port(host, bool(apps))
    _hub(draft)
    yield from _preshared(parties, draft)


def _endpoint(host: HostDraft, endpoints: Mapping[str, Endpoint]) -> Iterator[Diagnostic]:
    """Choose where a host is dialled: as most confs say, the first of equals."""
    said = [(given, peer.endpoint) for given, peer in host.party.seen if peer.endpoint is not None]
    if host.name in endpoints:
        host.endpoint = endpoints[host.name]
        return
    if not said:
        return
    host.endpoint = Counter(endpoint for _, endpoint in said).most_common(1)[0][0]
    for given, endpoint in said:
        if endpoint != host.endpoint:
            what = f"`{host.name}` is dialled at {endpoint} here, and at {host.endpoint} elsewhere"
            remedy = f"The file says {host.endpoint} for all; choose one that everybody can dial."
            yield finding("W162", given.peer(host.party.key, "endpoint"), what=what, remedy=remedy)


def _devices(host: HostDraft, lans: Sequence[Prefix], facts: Sequence[Fact], draft: Draft) -> None:
    """Name the uplink and the device of the LANs: as hooks say, or guessed."""
    uplinks = [fact.out for fact in facts if isinstance(fact, Masquerade) and fact.out != host.device]
    uplinks += [fact.into for fact in facts if isinstance(fact, Redirect) and fact.into and fact.into != host.device]
    host.uplink = next(filter(_is_device, uplinks), "")
    if not host.uplink:
        host.uplink = UPLINK if host.device != UPLINK else "eth1"
        draft.guesses.append(Guess(host.name, "uplink", host.uplink))
    if not lans:
        return
    passing = [name for fact in facts if isinstance(fact, Accept) for name in (fact.into, fact.out)]
    named = {name for name in passing if _is_device(name)} - {host.device, host.uplink}
    host.lan = named.pop() if len(named) == 1 else LAN if host.device != LAN else "lan1"
    host.lans = tuple(map(_own_address, lans))
    draft.guesses.append(Guess(host.name, host.lan, ", ".join(map(str, host.lans))))


def _is_device(name: str) -> bool:
    return bool(name) and len(name) <= DEVICE_LENGTH and check_device(name, Where("", 1, 1), Reading(""))


def _own_address(prefix: Prefix) -> Interface:
    """Give a host the first address of a LAN, as most routers have."""
    first = prefix.network_address if prefix.num_addresses == 1 else prefix[1]
    return ip_interface(f"{first}/{prefix.prefixlen}")


def _stand_ins(draft: Draft, dialled: Collection[PublicKey], apps: bool) -> Iterator[Diagnostic]:
    """Give those an endpoint that somebody must dial, though no conf says where: most peers first.

    `dialled` are those that strangers dial: gateways that publish, and the host of apps.
    """
    by_key = {host.party.key: host for host in draft.hosts}
    open_pairs = {
        frozenset((host.party.key, given.public_key))
        for host in draft.hosts
        for given, _ in host.party.seen
        if host.endpoint is None and by_key[given.public_key].endpoint is None
    }
    open_pairs |= {frozenset((key,)) for key in dialled if by_key[key].endpoint is None}
    while open_pairs:
        often = Counter(key for pair in open_pairs for key in pair)
        key = max(often, key=lambda key: (often[key], _listens(by_key[key].party), by_key[key].name))
        host = by_key[key]
        port = _listens(host.party)
        host.endpoint = Endpoint(f"{host.name}.invalid", _beside(port) if apps else port or PORT)
        open_pairs = {pair for pair in open_pairs if key not in pair}
        draft.guesses.append(Guess(host.name, "endpoint", str(host.endpoint)))
        given = host.party.given
        where = given.top if given is not None else host.party.seen[0][0].peer(key)
        yield finding("W167", where, name=host.name, stand_in=str(host.endpoint))


def _listens(party: Party) -> int:
    return party.given.conf.listen_port if party.given is not None else 0


def _beside(port: int) -> int:
    """Give a port that is another one."""
    return port + 1 if 0 < port < 65535 else PORT


def _port(host: HostDraft, apps: bool) -> None:
    """Write a port out that neither the endpoint says nor warren would choose.

    Apps dial the port that the conf listens on, which is their own device's then; no host has to dial the next one.
    """
    port = _listens(host.party)
    if apps and host.endpoint is not None:
        if host.endpoint.port == port:
            host.endpoint = Endpoint(host.endpoint.host, _beside(port))
        return
    usual = host.endpoint.port if host.endpoint is not None else PORT
    host.port = port if port and port != usual else None


def _hub(draft: Draft) -> None:
    """Let hosts that cannot dial each other meet where their confs send what is for each other, or where most go."""
    silent = [host for host in draft.hosts if host.endpoint is None]
    if len(silent) < 2:
        return
    keys = {host.party.key for host in silent}
    votes: Counter[PublicKey] = Counter()
    for host in silent[:_ASKED]:
        peers = host.party.given.peers if host.party.given is not None else ()
        held = Holders((prefix, peer.public_key) for peer in peers for prefix in peer.allowed_ips)
        for other in silent[:_ASKED]:
            for address in other.addresses if other is not host else ():
                led = [key for _, key in held.around(host_prefix(address))][-1:]
                votes.update({key: _WEIGHT for key in led if key not in keys})
    for host in draft.hosts:
        for given, _ in host.party.seen:
            one, far = host.party.key, given.public_key
            votes[one] += far in keys and one not in keys
            votes[far] += one in keys and far not in keys
    draft.hub = next(host.name for host in draft.hosts if host.party.key == votes.most_common(1)[0][0])


def _preshared(parties: Mapping[PublicKey, Party], draft: Draft) -> Iterator[Diagnostic]:
    """Note each preshared key once, at both ends; two ends that do not have the same one never shook hands."""
    by_key = {host.party.key: host for host in draft.hosts}
    done: set[frozenset[PublicKey]] = set()
    for party in parties.values():
        for given, peer in party.seen:
            pair = frozenset((party.key, given.public_key))
            far = party.given
            back = next((p for p in far.peers if p.public_key == given.public_key), None) if far is not None else None
            if pair in done or not (peer.psk_fingerprint or (back is not None and back.psk_fingerprint)):
                continue
            done.add(pair)
            if back is not None and back.psk_fingerprint != peer.psk_fingerprint:
                what = f"the preshared key of `{parties[given.public_key].name}` and `{party.name}` is not the same in "
                what += f"{far.file if far is not None else '?'}, or only one of the two has it"
                remedy = "With two different ones there was no tunnel; the file has the one that was found first."
                yield finding("W162", given.peer(party.key, "presharedkey"), what=what, remedy=remedy)
            holder, lies = (given, peer.psk) if peer.psk is not None else (far, back.psk if back is not None else None)
            if holder is None or lies is None:
                continue
            ends = [by_key[party.key], by_key[given.public_key]]
            ends[0].psk.append(ends[1].name)
            ends[1].psk.append(ends[0].name)
            draft.secrets.append(Secret(tuple(sorted(end.name for end in ends)), lies))
