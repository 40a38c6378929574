"""diff against a pure kernel: applying what it lists reaches the state, and then it has nothing more to say."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from warren.core.compare import missing, route_key, same_but_elements, same_table
from warren.core.diff import diff
from warren.model import change as ch
from warren.model.endpoint import Endpoint
from warren.model.firewall import Accept, Chain, Hook, NftRule, Set, SetType, Table
from warren.model.key import PublicKey, SecretRef, encode_key
from warren.model.prefix import Family, Prefix
from warren.model.state import (
    BEHIND,
    OUTER_MARK,
    Action,
    ConsentRule,
    DnsConfig,
    ForgetFlows,
    Hooks,
    HostState,
    LanAddress,
    LanLink,
    LinkKind,
    Peer,
    Program,
    Route,
    RouteKind,
    Rule,
    Service,
    Sysctl,
    WgInterface,
)

# --- a kernel that refuses what the real one refuses ------------------------------------------------------------


class FakeKernel:
    """Holds a HostState and carries out changes as Linux does, refusals and side effects included."""

    def __init__(self, state: HostState) -> None:
        self.links = {interface.name: interface for interface in state.interfaces}
        self.routes = {route_key(route): route for route in state.routes}
        self.rules = list(state.rules)
        self.tables = {table.name: table for table in state.tables}
        self.sysctls = {setting.name: setting.value for setting in state.sysctls}
        self.consents = list(state.consents)
        self.dns = {config.device: config for config in state.dns}
        self.lan_addresses = list(state.lan_addresses)
        self.retired = list(state.retired)
        self.services = {service.name: service for service in state.services}
        self.lan_links = {link.name: link for link in state.lan_links}
        self.state = state
        self.log: list[ch.Change] = []

    def observe(self, desired: HostState) -> HostState:
        names = {setting.name for setting in desired.sysctls} | set(self.sysctls)
        return replace(
            self.state,
            interfaces=tuple(self.links.values()),
            routes=tuple(self.routes.values()),
            rules=tuple(self.rules),
            tables=tuple(self.tables.values()),
            sysctls=tuple(Sysctl(name, self.sysctls[name]) for name in sorted(names) if name in self.sysctls),
            consents=tuple(self.consents),
            dns=tuple(self.dns.values()),
            forget=(),
            lan_addresses=tuple(self.lan_addresses),
            retired=tuple(self.retired),
            services=tuple(self.services.values()),
            lan_links=tuple(self.lan_links.values()),
        )

    def apply(self, items: tuple[ch.Item, ...]) -> None:
        for item in items:
            self.log.append(item.change)
            self.step(item.change)

    def step(self, change: ch.Change) -> None:
        match change:
            case ch.AddLink(interface):
                assert interface.name not in self.links, "File exists"
                self.bind(interface)
                self.links[interface.name] = replace(interface, peers=(), addresses=())
            case ch.SetLink(before, after):
                found = self.links[after.name]
                assert (found.listen_port, found.mtu, found.fwmark) == (before.listen_port, before.mtu, before.fwmark)
                self.bind(after)
                self.links[after.name] = replace(after, peers=found.peers, addresses=found.addresses)
            case ch.DropLink(name):
                del self.links[name]
                self.routes = {key: route for key, route in self.routes.items() if route.device != name}
                self.sysctls = {key: value for key, value in self.sysctls.items() if f".conf.{name}." not in key}
                self.dns.pop(name, None)
            case ch.PutPeer(device, peer, before):
                self.put_peer(device, peer, before)
            case ch.DropPeer(device, peer):
                link = self.links[device]
                assert any(other.public_key == peer.public_key for other in link.peers)
                peers = tuple(other for other in link.peers if other.public_key != peer.public_key)
                self.links[device] = replace(link, peers=peers)
            case ch.AddAddress("br-lan", address):
                given = LanAddress("br-lan", address)
                assert given not in self.lan_addresses, "File exists"
                self.lan_addresses.append(given)
                self.retired = [held for held in self.retired if held != given]
            case ch.RetireAddress(device, address):
                self.lan_addresses.remove(LanAddress(device, address))
                self.retired.append(LanAddress(device, address))
            case ch.DropAddress("br-lan", address):
                given = LanAddress("br-lan", address)
                (self.lan_addresses if given in self.lan_addresses else self.retired).remove(given)
            case ch.PutService(service, before):
                assert (service.name in self.services) is (before is not None), "it runs already"
                self.services[service.name] = service
            case ch.DropService(service):
                del self.services[service.name]
            case ch.PutLanLink(lan_link, before):
                assert self.lan_links.get(lan_link.name) == before, "File exists"
                assert before is None or before.kind is lan_link.kind is LinkKind.BRIDGE, "only its ports change"
                self.lan_links[lan_link.name] = lan_link
            case ch.DropLanLink(lan_link):
                del self.lan_links[lan_link.name]
            case ch.AddAddress(device, address):
                link = self.links[device]
                assert address not in link.addresses, "File exists"
                self.links[device] = replace(link, addresses=(*link.addresses, address))
            case ch.DropAddress(device, address):
                link = self.links[device]
                assert address in link.addresses
                left = tuple(other for other in link.addresses if other != address)
                self.links[device] = replace(link, addresses=left)
                # An address that is nowhere left takes the routes that send from it along.
                if not any(address.ip == a.ip for other in self.links.values() for a in other.addresses):
                    self.routes = {key: route for key, route in self.routes.items() if route.source != address.ip}
            case ch.AddRoute(route, replaces):
                assert not route.device or route.device in self.links, "Cannot find device"
                assert (route_key(route) in self.routes) is (replaces is not None), "File exists"
                self.routes[route_key(route)] = route
            case ch.DropRoute(route):
                assert self.routes.pop(route_key(route), None) == route, "No such process"
            case ch.AddRule(rule):
                assert rule not in self.rules, "File exists"
                self.rules.append(rule)
            case ch.DropRule(rule):
                self.rules.remove(rule)
            case ch.PutTable(table):
                self.tables[table.name] = table
            case ch.PutElements(table, before):
                assert same_but_elements(self.tables[table.name], before), "No such file or directory"
                self.tables[table.name] = table
            case ch.DropTable(table):
                del self.tables[table.name]
            case ch.SetSysctl(name, value, before):
                device = name.split(".")[3] if ".conf." in name else "all"
                assert device in ("all", "eth0") or device in self.links, "No such file or directory"
                assert before == self.sysctls.get(name, "")
                self.sysctls[name] = value
            case ch.AddConsent(rule):
                assert rule not in self.consents
                self.consents.append(rule)
            case ch.DropConsent(rule):
                self.consents.remove(rule)
            case ch.SetDns(config):
                self.dns[config.device] = config
            case ch.DropDns(config):
                del self.dns[config.device]
            case ch.Forget() | ch.RunHook():
                pass

    def bind(self, wanted: WgInterface) -> None:
        for link in self.links.values():
            if link.name != wanted.name and wanted.listen_port:
                assert link.listen_port != wanted.listen_port, "Address already in use"

    def put_peer(self, device: str, peer: Peer, before: Peer | None) -> None:
        link = self.links[device]
        found = [other for other in link.peers if other.public_key == peer.public_key]
        assert bool(found) is (before is not None)
        others = [
            # An allowed prefix belongs to one peer of a device: who gets it takes it from who had it.
            replace(other, allowed_ips=tuple(p for p in other.allowed_ips if p not in peer.allowed_ips))
            for other in link.peers
            if other.public_key != peer.public_key
        ]
        self.links[device] = replace(link, peers=(*others, peer))


# --- states -----------------------------------------------------------------------------------------------------

KEYS = [PublicKey(encode_key(bytes([n]) * 32)) for n in range(1, 6)]
PREFIXES = [cast(Prefix, ip_network(p)) for p in ("10.0.0.0/24", "10.0.1.0/24", "0.0.0.0/0", "fd00::/64", "::/0")]
ADDRESSES = [ip_interface(a) for a in ("10.77.0.1/32", "10.77.0.9/32", "fd77::1/128")]
DEVICES = ["wn0", "wn1", "wn2"]


@st.composite
def interfaces(draw: st.DrawFn) -> tuple[WgInterface, ...]:
    made = []
    ports = draw(st.permutations([51820, 51821, 51822]))
    for name, port in zip(draw(st.lists(st.sampled_from(DEVICES), unique=True)), ports, strict=False):
        keys = draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=3))
        owners = {prefix: draw(st.sampled_from(keys)) for prefix in draw(subset(PREFIXES))} if keys else {}
        peers = tuple(
            Peer(
                key,
                tuple(prefix for prefix, owner in owners.items() if owner == key),
                draw(st.sampled_from([None, Endpoint("192.0.2.1", 1), Endpoint("b.example", 2)])),
                draw(st.sampled_from([0, 25])),
                *draw(st.sampled_from([(None, ""), (SecretRef("/psk"), "aa"), (SecretRef("/psk"), "bb")])),
            )
            for key in keys
        )
        addresses = tuple(draw(subset(ADDRESSES)))
        mtu = draw(st.sampled_from([1420, 1400]))
        made.append(WgInterface(name, KEYS[0], SecretRef("/key"), port, OUTER_MARK, mtu, addresses, peers))
    return tuple(made)


def subset(things: list) -> st.SearchStrategy[list]:  # type: ignore[type-arg]
    return st.lists(st.sampled_from(things), unique=True)


def tables() -> st.SearchStrategy[tuple[Table, ...]]:
    chain = st.sampled_from(
        [Chain("forward", (), Hook("filter", "forward", -140)), Chain("a", (NftRule((), (Accept(),)),))]
    )
    held = st.builds(lambda them: Set("near4", SetType.IPV4, tuple(them)), subset(PREFIXES[:2]))
    sets = st.lists(held, max_size=1).map(tuple)
    chains = st.lists(chain, unique=True, min_size=1).map(tuple)
    table = st.builds(lambda sets, chains: Table("warren-net", sets, chains), sets, chains)
    return st.lists(table, max_size=1).map(tuple)


@st.composite
def states(draw: st.DrawFn) -> HostState:
    links = draw(interfaces())
    routes: dict[object, Route] = {}
    for prefix in draw(subset(PREFIXES)):
        for link in draw(st.lists(st.sampled_from(links), max_size=1)) if links else []:
            sources = [a.ip for a in link.addresses if a.version == prefix.version]
            source = draw(st.sampled_from([None, *sources]))
            route = Route(prefix, draw(st.sampled_from([7700, 7701])), link.name, source=source)
            routes[route_key(route)] = route
        for table in draw(subset([7700, 7701])):
            behind = Route(prefix, table, kind=RouteKind.UNREACHABLE, metric=draw(st.sampled_from([0, BEHIND])))
            routes.setdefault(route_key(behind), behind)
    rules = draw(
        subset(
            [
                Rule(Family.IPV4, 7700, 254, mark=OUTER_MARK, mark_mask=OUTER_MARK),
                Rule(Family.IPV6, 7700, 254, mark=OUTER_MARK, mark_mask=OUTER_MARK),
                Rule(Family.IPV4, 7712, 7700),
                Rule(Family.IPV4, 7778, 7701, iif="eth2"),
                Rule(Family.IPV4, 7778, 7700, iif="eth2"),
                Rule(Family.IPV4, 7730, action=Action.UNREACHABLE, mark_mask=OUTER_MARK, invert=True),
            ]
        )
    )
    sysctls = [Sysctl(name, "1") for name in draw(subset(["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"]))]
    sysctls += [Sysctl("net.ipv6.conf.eth0.accept_ra", "2")] * draw(st.integers(0, 1))
    sysctls += [Sysctl(f"net.ipv4.conf.{link.name}.rp_filter", "2") for link in links if draw(st.booleans())]
    lan_addresses = draw(subset([LanAddress("br-lan", ip_interface(f"2001:db8:{n}::1/64")) for n in (1, 2)]))
    configs = draw(st.lists(st.sampled_from(["one", "two"]), max_size=1))
    lan_links = [*draw(subset([LanLink("eth3", LinkKind.RAISED)]))]
    lan_links += [
        LanLink("br0", LinkKind.BRIDGE, ports=ports) for ports in draw(subset([("eth4",), ("eth4", "eth5")]))
    ][:1]
    lan_links += [LanLink("v0", LinkKind.VLAN, of="eth0", id=number) for number in draw(subset([20, 30]))][:1]
    return HostState(
        "nyc",
        "net",
        lan_addresses=tuple(lan_addresses),
        lan_links=tuple(lan_links),
        services=tuple(
            Service("ra", Program.DNSMASQ, config, live=draw(st.sampled_from("ab")), why="machines learn")
            for config in configs
        ),
        interfaces=links,
        routes=tuple(routes.values()),
        rules=tuple(rules),
        tables=draw(tables()),
        sysctls=tuple(sysctls),
        consents=tuple(draw(subset([ConsentRule("docker", Family.IPV4, "forward-in", "wn0")]))),
        dns=tuple(DnsConfig(link.name, (ip_address("9.9.9.9"),), ()) for link in links if draw(st.booleans())),
        forget=tuple(
            draw(
                subset([ForgetFlows(ip_network("192.168.1.0/24"), "a"), ForgetFlows(ip_network("192.168.1.0/24"), "b")])
            )
        ),
    )


BOOT = {"net.ipv4.ip_forward": "0", "net.ipv6.conf.all.forwarding": "0", "net.ipv6.conf.eth0.accept_ra": "1"}


def kernel_with(state: HostState) -> FakeKernel:
    """A kernel in which a state was applied, over the settings it booted with."""
    declared = tuple(Sysctl(name, value) for name, value in BOOT.items() if name not in {s.name for s in state.sysctls})
    return FakeKernel(replace(state, sysctls=(*state.sysctls, *declared)))


def plain(state: HostState) -> tuple[object, ...]:
    """What must be equal of two states: all but order, learned endpoints and the settings of nobody."""
    links = {
        link.name: (
            link.listen_port,
            link.mtu,
            link.public_key,
            frozenset(link.addresses),
            frozenset((p.public_key, frozenset(p.allowed_ips), p.keepalive, p.psk_fingerprint) for p in link.peers),
        )
        for link in state.interfaces
    }
    routes = {route_key(route): route for route in state.routes}
    services = {service.name: service.config for service in state.services}
    parts = (frozenset(state.rules), state.tables, frozenset(state.consents), frozenset(state.dns))
    return links, routes, *parts, frozenset(state.lan_addresses), frozenset(state.lan_links), services


def go(kernel: FakeKernel, desired: HostState, before: HostState | None) -> tuple[ch.Item, ...]:
    items = diff(desired, kernel.observe(desired), before, BOOT)
    kernel.apply(items)
    return items


def test_an_address_of_a_renumbered_lan_runs_out_and_goes_with_the_last() -> None:
    """Nobody begins a flow from the old prefix; taking the delegate away takes both away at once."""
    old, new = (LanAddress("br-lan", ip_interface(f"2001:db8:{number}::1/64")) for number in (1, 2))
    was, wanted = (replace(HostState("nyc", "net"), lan_addresses=(one,)) for one in (old, new))
    kernel = kernel_with(was)

    go(kernel, wanted, was)
    assert (kernel.lan_addresses, kernel.retired) == ([new], [old])
    assert diff(wanted, kernel.observe(wanted), wanted, BOOT) == ()

    go(kernel, HostState("nyc", "net"), wanted)
    assert (kernel.lan_addresses, kernel.retired) == ([], [])


def test_of_a_table_that_is_as_it_was_put_only_elements_are_exchanged() -> None:
    """What was altered meanwhile, or has other rules, is put whole."""
    one, other = (
        Table("warren-net", (Set("work_4", SetType.IPV4, elements, feed="list:work"),))
        for elements in (tuple(PREFIXES[:1]), tuple(PREFIXES[1:2]))
    )
    was, wanted = (HostState("nyc", "net", tables=(table,)) for table in (one, other))

    (item,) = diff(wanted, was, was)
    assert item.change == ch.PutElements(other, one) and item.rune is ch.Rune.ALTER
    assert item.reason == "1 elements new and 1 gone in work_4"
    (item,) = diff(wanted, was, None)
    assert item.change == ch.PutTable(other, one)
    ruled = replace(wanted, tables=(replace(other, chains=(Chain("a", (NftRule((), (Accept(),)),)),)),))
    (item,) = diff(ruled, was, was)
    assert isinstance(item.change, ch.PutTable)


def test_what_a_service_has_learned_is_no_change() -> None:
    """The agent alters the live part: an apply neither starts it anew nor puts it back."""
    service = Service("ra", Program.DNSMASQ, "interface=br-lan", live="lifetime 1800")
    wanted = HostState("nyc", "net", services=(service,))
    seen = replace(wanted, services=(replace(service, live="lifetime 0"),))

    assert diff(wanted, seen, wanted) == ()


# --- properties -------------------------------------------------------------------------------------------------


@settings(max_examples=120, deadline=None)
@given(states(), states())
def test_applying_a_diff_reaches_the_state_and_then_it_is_empty(was: HostState, wanted: HostState) -> None:
    kernel = kernel_with(was)

    go(kernel, wanted, was)

    seen = kernel.observe(wanted)
    assert plain(seen) == plain(wanted)
    values = {setting.name: setting.value for setting in seen.sysctls}
    assert all(int(values[setting.name]) >= int(setting.value) for setting in wanted.sysctls)
    undeclared = BOOT.keys() - {setting.name for setting in wanted.sysctls}
    assert all(values[name] == BOOT[name] for name in undeclared)
    assert diff(wanted, seen, wanted, BOOT) == ()


@settings(max_examples=80, deadline=None)
@given(states(), states(), st.data())
def test_killed_between_any_two_changes_the_next_one_converges(
    was: HostState, wanted: HostState, data: st.DataObject
) -> None:
    kernel = kernel_with(was)
    items = diff(wanted, kernel.observe(wanted), was, BOOT)
    kernel.apply(items[: data.draw(st.integers(0, len(items)))])

    towards = data.draw(st.sampled_from([was, wanted, HostState("nyc", "net")]))
    go(kernel, towards, was)

    assert plain(kernel.observe(towards)) == plain(towards)


@settings(max_examples=80, deadline=None)
@given(states(), states(), st.data())
def test_the_order_in_which_a_state_lists_things_changes_nothing(
    was: HostState, wanted: HostState, data: st.DataObject
) -> None:
    def shuffled(state: HostState) -> HostState:
        def mixed(things: tuple) -> tuple:  # type: ignore[type-arg]
            return tuple(data.draw(st.permutations(things)))

        links = tuple(
            replace(
                link,
                addresses=mixed(link.addresses),
                peers=tuple(replace(peer, allowed_ips=mixed(peer.allowed_ips)) for peer in mixed(link.peers)),
            )
            for link in mixed(state.interfaces)
        )
        return replace(state, interfaces=links, routes=mixed(state.routes), rules=mixed(state.rules))

    assert diff(shuffled(was), was, was, BOOT) == ()
    one = diff(wanted, kernel_with(was).observe(wanted), was)
    other = diff(shuffled(wanted), kernel_with(shuffled(was)).observe(wanted), was)
    assert sorted(repr(type(item.change)) for item in one) == sorted(repr(type(item.change)) for item in other)


@settings(max_examples=120, deadline=None)
@given(states(), states())
def test_guards_go_up_first_and_come_down_last(was: HostState, wanted: HostState) -> None:
    changes = [item.change for item in diff(wanted, kernel_with(was).observe(wanted), was, BOOT)]

    def places(*kinds: type) -> list[int]:
        return [at for at, change in enumerate(changes) if isinstance(change, kinds)]

    def ordered(first: list[int], second: list[int]) -> bool:
        return not first or not second or max(first) < min(second)

    forwarding = [
        at for at, c in enumerate(changes) if isinstance(c, ch.SetSysctl) and "forward" in c.name and c.value == "1"
    ]
    accept_ra = [
        at for at, c in enumerate(changes) if isinstance(c, ch.SetSysctl) and "accept_ra" in c.name and c.value == "2"
    ]
    back = [at for at, c in enumerate(changes) if isinstance(c, ch.SetSysctl) and c.value == BOOT.get(c.name)]
    assert ordered(places(ch.PutTable), forwarding) and ordered(accept_ra, forwarding)
    assert ordered(places(ch.PutTable), places(ch.AddLink, ch.AddRoute, ch.AddRule))
    assert ordered(places(ch.AddRoute), places(ch.AddRule))
    assert ordered(places(ch.AddRule), places(ch.DropRule))
    everything = places(ch.AddRule, ch.DropRule, ch.DropAddress, ch.DropPeer) + back
    assert ordered(everything, places(ch.DropTable))
    added = [(change.rule.family, change.rule.priority) for change in changes if isinstance(change, ch.AddRule)]
    dropped = [(change.rule.family, change.rule.priority) for change in changes if isinstance(change, ch.DropRule)]
    assert added == sorted(added) and dropped == sorted(dropped, reverse=True)


@settings(max_examples=50, deadline=None)
@given(states(), states())
def test_a_device_that_stays_is_never_rebuilt(was: HostState, wanted: HostState) -> None:
    changes = [item.change for item in diff(wanted, was, was)]

    stay = {link.name for link in was.interfaces} & {link.name for link in wanted.interfaces}
    assert not any(isinstance(c, ch.AddLink) and c.interface.name in stay for c in changes)
    assert not any(isinstance(c, ch.DropLink) and c.name in stay for c in changes)


@settings(max_examples=50, deadline=None)
@given(states(), states())
def test_every_change_has_a_reason(was: HostState, wanted: HostState) -> None:
    assert all(
        item.reason and "None" not in item.reason for item in diff(wanted, kernel_with(was).observe(wanted), was, BOOT)
    )


# --- what is learned and what is live ---------------------------------------------------------------------------


def one_peer(endpoint: Endpoint | None, **fields: object) -> HostState:
    peer = Peer(KEYS[1], (PREFIXES[0],), endpoint, name="paris", **fields)  # type: ignore[arg-type]
    link = WgInterface("wn0", KEYS[0], SecretRef("/key"), 51820, OUTER_MARK, 1420, (ADDRESSES[0],), (peer,))
    return HostState("nyc", "net", interfaces=(link,))


HOME, AWAY, NEW = Endpoint("192.0.2.1", 1), Endpoint("203.0.113.9", 999), Endpoint("new.example", 3)


def put(items: tuple[ch.Item, ...]) -> list[ch.PutPeer]:
    return [item.change for item in items if isinstance(item.change, ch.PutPeer)]


def test_a_roamed_peer_is_no_change() -> None:
    assert diff(one_peer(HOME), one_peer(AWAY), one_peer(HOME)) == ()
    assert diff(one_peer(None), one_peer(AWAY), one_peer(None)) == ()
    assert diff(one_peer(HOME), one_peer(AWAY)) == ()


def test_a_declared_endpoint_that_changes_is_set() -> None:
    (change,) = put(diff(one_peer(NEW), one_peer(AWAY), one_peer(HOME)))

    assert change.peer.endpoint == NEW and change.before is not None and change.before.endpoint == AWAY


def test_a_peer_that_never_learned_an_endpoint_gets_the_declared_one() -> None:
    (change,) = put(diff(one_peer(HOME), one_peer(None), one_peer(HOME)))

    assert change.peer.endpoint == HOME


def test_another_change_of_a_roamed_peer_leaves_its_endpoint_alone() -> None:
    (change,) = put(diff(one_peer(HOME, keepalive=25), one_peer(AWAY), one_peer(HOME)))

    assert change.peer.endpoint == AWAY and change.peer.keepalive == 25


def test_a_preshared_key_that_cannot_be_read_here_is_no_change() -> None:
    unread = one_peer(None, psk=SecretRef("/psk"))

    assert diff(unread, one_peer(None, psk_fingerprint="aa"), unread) == ()


def test_what_was_fed_to_a_live_set_is_no_change() -> None:
    names = Set("names", SetType.IPV4, live=True)
    empty = HostState("nyc", "net", tables=(Table("warren-net", (names,), (Chain("a", ()),)),))
    fed = replace(empty, tables=(replace(empty.tables[0], sets=(replace(names, elements=(PREFIXES[0],)),)),))

    assert same_table(empty.tables[0], fed.tables[0])
    assert diff(empty, fed, empty) == ()


def test_a_table_somebody_altered_is_put_back_from_what_the_journal_knows() -> None:
    table = Table("warren-net", (Set("names", SetType.IPV4, live=True),), (Chain("a", ()),))
    wanted = HostState("nyc", "net", tables=(table,))
    altered = replace(wanted, tables=(Table("warren-net"),))

    (item,) = diff(wanted, altered, wanted)

    assert item.change == ch.PutTable(table, table) and item.reason == "somebody altered it"


def test_a_setting_that_is_more_than_asked_for_stays() -> None:
    wanted = HostState("nyc", "net", sysctls=(Sysctl("net.ipv4.ip_forward", "1"),))

    assert diff(wanted, replace(wanted, sysctls=(Sysctl("net.ipv4.ip_forward", "2"),))) == ()


def test_a_setting_somebody_altered_since_is_not_put_back() -> None:
    before = HostState("nyc", "net", sysctls=(Sysctl("net.ipv6.conf.eth0.accept_ra", "2"),))
    altered = replace(before, sysctls=(Sysctl("net.ipv6.conf.eth0.accept_ra", "0"),))

    assert diff(HostState("nyc", "net"), altered, before, {"net.ipv6.conf.eth0.accept_ra": "1"}) == ()


def test_a_device_that_is_down_is_brought_up() -> None:
    down = one_peer(None)
    down = replace(down, interfaces=(replace(down.interfaces[0], mtu=0),))

    (item,) = diff(one_peer(None), down, one_peer(None))

    assert isinstance(item.change, ch.SetLink) and item.reason == "it is down; up with MTU 1420"


# --- order, flows, hooks ------------------------------------------------------------------------------------------


def test_two_devices_exchange_their_ports() -> None:
    first = one_peer(None)
    link = first.interfaces[0]
    was = replace(first, interfaces=(link, replace(link, name="wn1", listen_port=51821, peers=())))
    wanted = replace(was, interfaces=(replace(link, listen_port=51821), replace(was.interfaces[1], listen_port=51820)))
    kernel = kernel_with(was)

    go(kernel, wanted, was)

    assert plain(kernel.observe(wanted)) == plain(wanted)


def test_a_renamed_device_takes_over_the_port() -> None:
    was = one_peer(None)
    was = replace(was, routes=(Route(PREFIXES[0], 7700, "wn0"),))
    wanted = replace(
        was, interfaces=(replace(was.interfaces[0], name="wn9"),), routes=(Route(PREFIXES[0], 7700, "wn9"),)
    )
    kernel = kernel_with(was)

    go(kernel, wanted, was)

    assert plain(kernel.observe(wanted)) == plain(wanted)


def test_flows_are_forgotten_only_where_packets_take_another_path() -> None:
    was = HostState("nyc", "net", forget=(ForgetFlows(ip_network("192.168.21.0/24"), "portal nyc.eth2 → paris"),))
    rule = Rule(Family.IPV4, 7778, 7701, iif="eth2")
    wanted = replace(was, rules=(rule,), forget=(replace(was.forget[0], reason="portal nyc.eth2 → tokyo"),))

    moved = diff(wanted, replace(was, forget=()), was)
    stayed = diff(replace(was, rules=(rule,)), was, was)

    assert [type(item.change) for item in moved] == [ch.AddRule, ch.Forget]
    assert moved[-1].reason == "the path of these flows changes: portal nyc.eth2 → tokyo"
    assert [type(item.change) for item in stayed] == [ch.AddRule]
    assert diff(wanted, replace(wanted, forget=()), None) == ()
    # An apply killed just before it ended the old flows leaves that to the next one.
    assert [type(item.change) for item in diff(wanted, wanted, was)] == [ch.Forget]


def test_what_began_while_a_table_was_gone_begins_anew() -> None:
    """Nobody translated it, and conntrack asks the table about the first packet of a flow only."""
    flows = (ForgetFlows(ip_network("192.168.21.0/24"), "portal nyc.eth2 → paris"),)
    wanted = HostState("nyc", "net", tables=(Table("warren-net", (), ()),), forget=flows)

    lost = diff(wanted, HostState("nyc", "net"), wanted)

    assert [type(item.change) for item in lost] == [ch.PutTable, ch.Forget]
    assert lost[-1].reason == "what began while warren's table was gone was not translated: portal nyc.eth2 → paris"
    assert [type(item.change) for item in diff(wanted, wanted, wanted)] == []


def test_hooks_run_around_the_making_and_the_unmaking_of_a_confs_device() -> None:
    conf = replace(one_peer(None), owner="conf:wn0", hooks=Hooks(("a",), ("b",), ("c",), ("d",)))
    conf = replace(conf, routes=(Route(PREFIXES[0], 254, "wn0"),))
    empty = HostState("nyc", "conf:wn0")

    up = [item.change for item in diff(conf, empty)]
    down = [item.change for item in diff(empty, conf, conf)]
    reload = diff(replace(conf, hooks=Hooks()), conf, conf)

    def stages(changes: list[ch.Change]) -> list[str]:
        return [change.stage if isinstance(change, ch.RunHook) else type(change).__name__ for change in changes]

    assert stages(up) == ["AddLink", "PreUp", "PutPeer", "AddAddress", "AddRoute", "PostUp"]
    assert stages(down) == ["PreDown", "DropLink", "PostDown"], "the route goes with its device"
    assert reload == ()


def test_missing_keeps_the_order_and_lists_each_once() -> None:
    assert missing([3, 1, 3, 2], [2]) == (3, 1)


def test_what_the_kernel_puts_back_by_itself_is_not_put_back_twice() -> None:
    """Forwarding turned off is turned off on every device; only one that had it on before is a change of its own."""
    names = ("net.ipv4.ip_forward", *(f"net.ipv4.conf.{device}.forwarding" for device in ("default", "eth0", "eth1")))
    redirects = "net.ipv4.conf.all.accept_redirects"
    on = HostState("a", "o", sysctls=(Sysctl(names[0], "1"),))
    seen = replace(on, sysctls=(*(Sysctl(name, "1") for name in names), Sysctl(redirects, "0")))
    before = dict.fromkeys(names, "0") | {names[3]: "1", redirects: "1"}

    assert [item.change for item in diff(HostState("a", "o"), seen, on, before)] == [ch.SetSysctl(names[0], "0", "1")]

    seen = replace(on, sysctls=(*(Sysctl(name, "0") for name in names), Sysctl(redirects, "1")))
    found = [item.change for item in diff(HostState("a", "o"), seen, on, before)]
    assert found == [ch.SetSysctl(names[3], "1", "0")], "the second round"
