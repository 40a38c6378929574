"""What is imported is what was: random networks become confs, the confs a network, and both compile to the same.

And whatever the confs hold, there are findings and a file that check takes, or findings alone; never a traceback.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from ipaddress import ip_interface, ip_network
from pathlib import Path

import pytest
from hypothesis import given as hypothesis
from hypothesis import seed, settings
from hypothesis import strategies as st

from tests.core.imports import given, given_of, parsed, private, public, with_keys
from warren.core.allot import allot
from warren.core.compile import compile_network
from warren.core.compile.fabric import Fabric
from warren.core.diagnostics import has_errors
from warren.core.imports import Imported, import_confs
from warren.core.imports.hooks import facts_of
from warren.model.endpoint import Endpoint
from warren.model.host import Host, Lan
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.place import Place, PlaceKind
from warren.model.portal import Portal
from warren.model.prefix import FAMILIES, Family, aggregate
from warren.model.state import HostState

GOLDEN = Path(__file__).parent.parent / "golden" / "import"
OVERLAYS = (("10.77.0.0/24",), ("fd77:7:7::/64",), ("10.77.0.0/24", "fd77:7:7::/64"), ("172.20.0.0/16",))


def some_network(chance: random.Random) -> Network:
    """Make a network such as confs can describe: LANs that do not overlap, and per host one exit for all it sends."""
    names = chance.sample(["office", "north", "south", "annas-laptop", "cloud", "x1"], chance.randint(1, 5))
    overlay = tuple(map(ip_network, chance.choice(OVERLAYS)))
    dialled = chance.sample(names, chance.randint(1, len(names)))
    hosts = [
        Host(
            name,
            public(name),
            _endpoint(chance, number) if name in dialled else None,
            lans=tuple(_lan(chance, at, overlay) for at in [number] if chance.random() < 0.5),
            port=chance.choice([None, None, 443]) if name not in dialled else None,
            mtu=chance.choice([None, None, 1380]),
        )
        for number, name in enumerate(names, 1)
    ]
    silent = len(names) - len(dialled)
    network = Network("firm", overlay, tuple(hosts), chance.choice(dialled) if silent > 1 else "")
    portals: list[Portal] = []
    for host in hosts:
        exits = [one for one in names if one != host.name and network.next_hop(host.name, one) == one]
        if exits and chance.random() < 0.3:
            # A portal of a family that the overlay lacks rejects it: no AllowedIPs can say that.
            families = tuple(f for f in chance.choice([FAMILIES, (Family.IPV4,)]) if f in network.families)
            if families:
                sources = [
                    Place(PlaceKind.HOST, host.name),
                    *(Place(PlaceKind.LAN, host.name, lan.name) for lan in host.lans),
                ]
                exit_ = chance.choice(exits)
                portals += [Portal(source, exit_, families=families) for source in sources]
    shared = [(a.name, b.name) for a in hosts for b in hosts if a.name < b.name and chance.random() < 0.3]
    joined = [pair for pair in shared if network.next_hop(*pair) == pair[1]]
    keyed = tuple(
        replace(host, psk=tuple((o, "/psk") for pair in joined if host.name in pair for o in pair if o != host.name))
        for host in hosts
    )
    return replace(network, hosts=keyed, portals=tuple(portals))


def _endpoint(chance: random.Random, number: int) -> Endpoint:
    literal = chance.choice([f"192.0.2.{number}", f"2001:db9::{number:x}", f"h{number}.example.net"])
    return Endpoint(literal, chance.choice([51820, 443]))


def _lan(chance: random.Random, number: int, overlay: tuple[object, ...]) -> Lan:
    four, six = f"10.{number}.0.1/{chance.choice([16, 24])}", f"fd{number:02x}::1/64"
    families = {getattr(prefix, "version", 0) for prefix in overlay}
    return Lan("lan0", tuple(ip_interface(text) for text in (four, six) if ip_interface(text).version in families))


def conf_of(network: Network, lock: Lock, state: HostState) -> str:
    """Write what a host is as one conf, as people had it: one device, every peer dialled at its one endpoint.

    An exit's own LANs stand beside 0.0.0.0/0: that they are there is said nowhere else.
    """
    fabric = Fabric(network, lock)
    host = network.by_name[state.host]
    lines = ["[Interface]", f"# Name = {host.name}", f"PrivateKey = {private(host.name)}"]
    addresses = state.interfaces[0].addresses if state.interfaces else ()
    lengths = {prefix.version: prefix.prefixlen for prefix in network.overlay}
    lines += [f"Address = {address.ip}/{lengths[address.version]}" for address in addresses]
    shared = host.port or (host.endpoint.port if host.endpoint else 51820)
    lines += [f"ListenPort = {shared}"] + ([f"MTU = {host.mtu}"] if host.mtu else [])
    for interface in state.interfaces:
        for peer in interface.peers:
            far = network.by_name[peer.name]
            lines += ["", "[Peer]", f"# Name = {peer.name}", f"PublicKey = {peer.public_key}"]
            allowed = dict.fromkeys((*peer.allowed_ips, *fabric.reached(host.name, peer.name)))
            lines += [f"AllowedIPs = {', '.join(map(str, allowed))}"] if allowed else []
            lines += [f"Endpoint = {far.endpoint}"] if far.endpoint else []
            lines += [f"PersistentKeepalive = {peer.keepalive}"] if peer.keepalive else []
            if peer.psk:
                lines += [f"PresharedKey = {private('.'.join(sorted((host.name, peer.name))))}"]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Essence:
    """What of a host must be the same: its addresses, its peers, and which prefix is led to whom."""

    addresses: tuple[object, ...]
    mtu: tuple[int, ...]
    peers: dict[str, tuple[object, ...]]
    routes: frozenset[object]
    unreachable: tuple[object, ...]


def essence(state: HostState) -> Essence:
    on = {interface.name: tuple(sorted(peer.name for peer in interface.peers)) for interface in state.interfaces}
    routes = [(route.table, on.get(route.device, ()), route.prefix) for route in state.routes if route.device]
    led: dict[tuple[int, tuple[str, ...]], list[object]] = {}
    for table, to, prefix in routes:
        led.setdefault((table, to), []).append(prefix)
    return Essence(
        state.interfaces[0].addresses if state.interfaces else (),
        tuple(sorted({interface.mtu for interface in state.interfaces})),
        {
            peer.name: (peer.public_key, aggregate(peer.allowed_ips), peer.endpoint, peer.keepalive, peer.psk is None)
            for interface in state.interfaces
            for peer in interface.peers
        },
        frozenset((key, aggregate(prefixes)) for key, prefixes in led.items()),  # type: ignore[arg-type]
        aggregate(route.prefix for route in state.routes if not route.device),
    )


@pytest.mark.parametrize("number", range(80))
def test_a_network_that_became_confs_is_imported_as_it_was(number: int) -> None:
    network = some_network(random.Random(number))
    lock = allot(network, Lock())
    states = compile_network(network, lock, {})
    confs = [given(conf_of(network, lock, states[host.name]), f"{host.name}/firm.conf") for host in network.hosts]
    if len(network.hosts) == 1:  # a device without peers is not made, so its addresses are the lock's
        confs = [given(f"[Interface]\nPrivateKey = <{network.hosts[0].name}>\nAddress = 10.77.0.1/24", "firm.conf")]

    made = import_confs(confs, "firm", "firm.yaml")

    assert made.loaded is not None and made.loaded.ok and made.loaded.locked, told(made)
    assert made.loaded.network is not None and made.loaded.lock is not None
    assert {one.code for one in made.found} <= {"W164"}, told(made)
    if len(network.hosts) > 1:
        again = compile_network(made.loaded.network, made.loaded.lock, {})
        assert {name: essence(state) for name, state in again.items()} == {
            name: essence(state) for name, state in states.items()
        }
        for host in network.hosts:
            if len(states[host.name].interfaces) == 1 and not any(x.source.host == host.name for x in network.portals):
                had, has = states[host.name].interfaces[0], again[host.name].interfaces[0]
                assert (has.name, has.listen_port) == (had.name, had.listen_port)


def told(made: Imported) -> str:
    loaded = made.loaded.text() if made.loaded is not None else ""
    return "\n".join([*map(str, made.found), loaded, made.text or ""])


@pytest.mark.parametrize("number", range(20))
def test_with_some_of_the_confs_the_others_take_part_all_the_same(number: int) -> None:
    chance = random.Random(number)
    network = some_network(chance)
    lock = allot(network, Lock())
    states = compile_network(network, lock, {})
    if len(network.hosts) < 2:
        return
    confs = [given(conf_of(network, lock, states[host.name]), f"{host.name}/firm.conf") for host in network.hosts]
    hub = next(one for one in network.hosts if one.endpoint is not None).name
    some = [conf for conf in confs if conf.folder == hub or chance.random() < 0.5]

    made = import_confs(some, "firm", "firm.yaml")

    assert made.loaded is not None and made.loaded.ok, told(made)
    assert made.loaded.network is not None
    names = {host.name for host in made.loaded.network.hosts} | set(made.loaded.network.devices_by_name)
    assert names == {host.name for host in network.hosts}


# --- whatever the bytes are ----------------------------------------------------------------------------------

TEXTS = [path.read_text() for path in sorted(GOLDEN.glob("*/*.conf"))]
WORDS = """
[Interface] [Peer] Address = AllowedIPs = Endpoint = PublicKey = PrivateKey = PostUp = Table = off # Name =
0.0.0.0/0 ::/0 10.0.0.1/24 10.0.0.0/8 fd00::1/64 192.168.1.0/24 10.0.0.2/32 224.0.0.0/3 0.0.0.0/1 127.0.0.1
<home> <office> <gateway> 51820 a.example.net:51820 [::1]:1 iptables -t nat -A ! -i -o -j DNAT ; && %i \x00 ⁂
"""
PIECES = (*WORDS.split(), "\n")


@seed(1)
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@hypothesis(st.data())
def test_confs_gone_wrong(data: st.DataObject) -> None:
    texts = [_spoilt(data, data.draw(st.sampled_from(TEXTS))) for _ in range(data.draw(st.integers(1, 3)))]
    confs = []
    for at, text in enumerate(texts):
        raw = with_keys(text).encode("utf-8", "surrogateescape")
        read = parsed(raw, f"{at}/wg0.conf")
        if read.conf is not None:
            confs.append(given_of(read, raw, f"{at}/wg0.conf"))
    made = import_confs(confs, "firm", "firm.yaml")

    assert (made.text is None) == (has_errors(made.found) or not confs)
    for one in made.found:
        assert one.says.isprintable() and one.hint.isprintable()
        assert one.where.line >= 1 and one.where.column >= 1
    if made.text is not None:
        assert made.loaded is not None
        wrong = {one.code for one in made.loaded.diagnostics if one.severity == "error"}
        # Keys that are no public ones, endpoints that cannot be, DNATs that contradict each other.
        assert {code for code in wrong if not code.startswith("W11")} <= {"W033", "W040", "W042"}, told(made)


def _spoilt(data: st.DataObject, text: str) -> str:
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.sampled_from((0, 0, 1, 8, 40)))
        text = text[:at] + data.draw(st.sampled_from(("", " ", ", ", *PIECES))) + text[at + length :]
    return text


@seed(2)
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@hypothesis(st.lists(st.sampled_from(PIECES), max_size=20))
def test_hooks_of_any_words(words: list[str]) -> None:
    facts_of(" ".join(words), "wg0")
    facts_of("iptables -t nat -A PREROUTING " + " ".join(words), "wg0")


def test_hundreds_of_peers_take_seconds() -> None:
    peers = "".join(
        f"[Peer]\nPublicKey = <p{at}>\n"
        f"AllowedIPs = 10.64.{at // 250}.{at % 250 + 2}/32, 172.{16 + at // 256}.{at % 256}.0/24\n"
        for at in range(400)
    )
    conf = given(f"[Interface]\nAddress = 10.64.0.1/16\nPrivateKey = <hub>\nListenPort = 51820\n{peers}", "wg0.conf")

    made = import_confs([conf], "big", "big.yaml", {"wg0": Endpoint("hub.example.net", 51820)})

    assert made.loaded is not None and made.loaded.ok and made.draft is not None
    assert len(made.draft.hosts) == 401
    assert "W164" not in {one.code for one in made.found}
