"""The pitfalls of building portals by hand, as far as they can be read off a compiled state.

The numbers are those of tests/lab/test_pitfalls.py, where each is held against a real kernel.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.core.compile.networks import lock_of, place, portal, portals_network
from tests.core.compile.test_golden import CASES, PORTALS, around, lock_beside
from tests.kernel.portals import fresh
from warren.core.check import check_network
from warren.core.compile import compile_host
from warren.core.compile.firewall.sets import TUNNELS
from warren.core.compile.ledger import Step
from warren.core.compile.rules import DISGUISED
from warren.core.diff import diff
from warren.core.lockfile import allot
from warren.core.render.ip import rule_words
from warren.core.render.nft import render_table, rule_text
from warren.model.change import AddLink, AddRule, DropLink, DropTable, PutTable, SetLink, SetSysctl
from warren.model.firewall import MANGLE, IfName, Masquerade, NftRule, Snat
from warren.model.place import PlaceKind
from warren.model.prefix import FAMILIES, Family
from warren.model.state import FRONT, FRONT_PRIORITIES, HostState, Rule
from warren.model.surroundings import Surroundings

STATES = {
    case: compile_host(network, lock_beside(network), case.rpartition(".")[2], surroundings)
    for case, (network, surroundings) in CASES.items()
}
NYC, TOKYO = STATES["portals.nyc"], STATES["portals.tokyo"]
every_state = pytest.mark.parametrize("state", STATES.values(), ids=STATES)


def rules_in(state: HostState, chain: str) -> tuple[NftRule, ...]:
    """The rules of one chain; none if the table does not have it."""
    return next((found.rules for table in state.tables for found in table.chains if found.name == chain), ())


def steps(state: HostState, family: Family = Family.IPV4) -> list[tuple[Step, Rule]]:
    """A state's rules with the step each belongs to, in the kernel's order; copies in front left out."""
    found = [
        (step, rule)
        for rule in state.rules
        for step in Step
        if rule.family is family and rule.priority == step.priority(0)
    ]
    return sorted(found, key=lambda pair: pair[1].priority)


@every_state
def test_pitfall_01_no_mark_is_made_of_two(state: HostState) -> None:
    """nft 1.0.6 cannot OR two registers: a mark is set to a constant under a mask."""
    for table in state.tables:
        for words in re.findall(r"(?:meta|ct) mark set (.*)", render_table(table)):
            assert re.match(r"(?:meta|ct) mark & 0xc0ffffff(?: \| 0x3[def]000000| \| 0x[0-3][0-9a-f]000000)?\b", words)


@every_state
def test_pitfall_02_names_that_nft_takes(state: HostState) -> None:
    """nft refuses keywords as names of chains."""
    keywords = {"fwd", "dnat", "snat", "mark", "limit", "counter", "reject", "drop", "accept", "fib", "ct", "meta"}
    for table in state.tables:
        assert keywords.isdisjoint(chain.name for chain in table.chains)


def test_pitfall_03_near_stands_before_everything_that_marks_steer() -> None:
    """A strict reverse lookup that follows a mark must find our own LANs and the network first."""
    order = [step for step, _ in steps(NYC)]
    assert order == sorted(order)
    assert max(Step.OUTER, Step.OWN_LANS, Step.NEAR) < min(Step.UPLINK, Step.MARKS, Step.RELAY, Step.EXIT, Step.LAN)
    assert {"net.ipv4.conf.portals-paris.rp_filter", "net.ipv4.conf.portals-tokyo.rp_filter"} <= {
        setting.name for setting in NYC.sysctls if setting.value == "2"
    }


def test_pitfall_04_outer_packets_are_marked_on_their_way_in() -> None:
    """Or a foreign full tunnel's src_valid_mark with a strict filter drops them; those ports, this host, no other."""
    first = rules_in(NYC, "prerouting")[0]
    assert rule_text(first).startswith(
        "udp dport { 51821, 51822 } iifname != @tunnels fib daddr type local meta mark set"
    )


@every_state
def test_pitfall_05_our_marks_are_lent_after_wg_quick_has_had_its_say(state: HostState) -> None:
    """Its premangle chain (mangle) overwrites the mark of every datagram."""
    hooks = {chain.name: chain.hook for table in state.tables for chain in table.chains if chain.hook is not None}
    assert all(hook.priority > MANGLE for hook in hooks.values())
    assert hooks["unmark"].priority < hooks["prerouting"].priority
    assert next(iter(hooks)) == "unmark"


def test_pitfall_06_a_catch_all_in_front_is_answered_by_a_copy_in_front() -> None:
    """Only by one: what cannot carry our packets away needs none."""
    state = STATES["in-front.tokyo"]
    copies = {rule for rule in state.rules if rule.priority in FRONT_PRIORITIES}
    assert {replace(rule, priority=rule.priority + FRONT) for rule in copies} == set(state.rules) - copies
    seen = CASES["in-front.tokyo"][1]
    (catch_all,) = seen.rules
    harmless = [
        replace(catch_all, priority=7800),  # after ours
        replace(catch_all, invert=False),  # only what is marked
        replace(catch_all, table=99),  # a table without a default route
        replace(catch_all, iif="docker0"),
        replace(catch_all, invert=False, mark=0, mark_mask=0, table=254, suppress_prefixlength=0),
    ]
    for rule in harmless:
        surroundings = replace(seen, rules=(rule,))
        assert not any(
            rule.priority in FRONT_PRIORITIES
            for rule in compile_host(PORTALS, lock_of(PORTALS), "tokyo", surroundings).rules
        ), rule


@every_state
def test_pitfall_07_no_rule_reads_like_wg_quicks(state: HostState) -> None:
    """`wg-quick down` deletes what reads `from all lookup main suppress_prefixlength 0`; and that would follow 0/1."""
    for rule in state.rules:
        assert not re.search(r"pref \d+ lookup main suppress", rule_words(rule))
        if rule.suppress_prefixlength >= 0:
            assert rule.suppress_prefixlength == DISGUISED[rule.family] >= 1


def test_pitfall_08_guards_do_not_ask_for_marks() -> None:
    """A foreign hook can clobber a mark; where a packet came in nobody can."""
    for chain in ("forward", "guard_1", "guard_2", "guard_3"):
        assert rules_in(NYC, chain)
        assert not any("meta mark" in rule_text(rule) for rule in rules_in(NYC, chain))


@every_state
def test_pitfall_09_nothing_is_accepted(state: HostState) -> None:
    """An accept of ours would help nobody against another's drop; consent is for that, and only where it was given."""
    assert not any("accept" in rule_text(r).split() for t in state.tables for c in t.chains for r in c.rules)
    assert bool(state.consents) is (state.host == "b")


def test_pitfall_10_one_device_is_both_its_families() -> None:
    """A MAC is steered in both; an address alone is refused by check, unless one family is what was meant."""
    mac = [rule for rule in NYC.rules if rule.mark == 0x01000000]
    assert {rule.family for rule in mac} == set(FAMILIES)
    (tokyo,) = {rule.table for rule in mac}
    assert tokyo not in {rule.table for rule in NYC.rules if rule.iif == "eth2"}
    open_network = replace(PORTALS, portals=(portal("nyc.eth1=192.168.1.51/32", "tokyo"),))
    said = [found.says for found in check_network(open_network)]
    assert any("IPv6" in words for words in said), said
    meant = replace(PORTALS, portals=(portal("nyc.eth1=192.168.1.51/32", "tokyo", families=(Family.IPV4,)),))
    assert not [found for found in check_network(meant) if "IPv6" in found.says]


def test_pitfall_11_what_own_traffic_leaves_alone() -> None:
    """Connected networks, the uplink's own address, DHCP; and the uplink is loose."""
    exempt = [rule_words(rule) for step, rule in steps(TOKYO) if step is Step.OWN_EXCEPT]
    assert [words.partition(" ")[2].partition(" ")[2] for words in exempt] == [
        "iif lo fwmark 0x0/0x3f000000 lookup main suppress_prefixlength 7 protocol 77",
        "from 203.0.113.30 iif lo lookup main protocol 77",
        "iif lo ipproto udp sport 68 dport 67 lookup main protocol 77",
    ]
    assert steps(TOKYO)[-1][0] is Step.OWN
    assert "net.ipv4.conf.eth0.rp_filter" in {setting.name for setting in TOKYO.sysctls}
    both = replace(PORTALS, portals=(portal("tokyo", "nyc"),))
    state = compile_host(both, lock_of(both), "tokyo", around(both, "tokyo"))
    guard = " ".join(rule_text(rule) for rule in rules_in(state, "own_guard_1"))
    for word in ("fe80::/10", "nd-neighbor-solicit", "nd-router-solicit", "udp dport 547", "fib daddr type != unicast"):
        assert word in guard


def test_pitfall_12_a_portal_more_rebuilds_no_device() -> None:
    """Devices, ports and peers that are there stay as they are, on every host of the network."""
    lock = lock_of(PORTALS)
    more = replace(PORTALS, portals=(*PORTALS.portals, portal("paris.eth1", "tokyo"), portal("nyc.eth1", "paris")))
    for name in PORTALS.by_name:
        before = compile_host(PORTALS, lock, name, around(PORTALS, name))
        after = compile_host(more, allot(more, lock), name, around(more, name))
        changes = [item.change for item in diff(after, before, before)]
        assert not [change for change in changes if isinstance(change, (AddLink, DropLink, SetLink))], name


@every_state
def test_pitfall_13_segments_are_clamped_where_all_packets_pass(state: HostState) -> None:
    """In postrouting, for whatever leaves by a tunnel: forwarded or own, SYN or SYN-ACK."""
    tunnels = "@tunnels" if len(state.interfaces) > 1 else f'"{state.interfaces[0].name}"'
    assert rule_text(rules_in(state, "postrouting")[0]) == f"oifname {tunnels} goto to_tunnels"
    clamp = "tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu"
    assert [rule_text(rule) for rule in rules_in(state, "to_tunnels")] == [clamp]


@every_state
def test_pitfall_14_sources_into_tunnels_are_rewritten_to_constants(state: HostState) -> None:
    """`masquerade` forgets its flows with the device's address; it is used towards the uplink only."""
    tunnels = {interface.name for interface in state.interfaces}
    for rule in rules_in(state, "srcnat"):
        out = [match.names for match in rule.matches if isinstance(match, IfName) and match.direction == "oif"]
        if Masquerade() in rule.statements:
            assert out in ([("eth0",)], [("wan",)])  # the uplink
        elif any(isinstance(deed, Snat) for deed in rule.statements):
            came = [match.names for match in rule.matches if isinstance(match, IfName) and match.direction == "iif"]
            assert len(out) == 1 and (out[0] == TUNNELS or tunnels.issuperset(out[0]) or out == came)  # a hairpin
    repairs = rules_in(state, "repair")
    assert repairs and all(isinstance(rule.statements[-1], Snat) for rule in repairs)


@every_state
def test_pitfall_15_the_far_guard_knows_no_uplink(state: HostState) -> None:
    """A foreign full tunnel is no uplink either: whatever is not ours is guarded."""
    guards = [rule_text(rule) for rule in rules_in(state, "postrouting") if "goto far_guard" in rule_text(rule)]
    assert guards
    assert all(re.match(r'ip6? daddr @near[46] oifname != "lo" goto', words) for words in guards)


def test_pitfall_16_answers_are_not_asked_for_their_source() -> None:
    """Who may send from anywhere is asked in the original direction only; answers come from the whole internet."""
    first, *others = rules_in(NYC, "from_1")
    assert rule_text(first) == "ct state { established, related } return"
    assert "10.77.0.2" in rule_text(others[0]) and "drop" in rule_text(others[-1])


@every_state
def test_pitfall_17_whoever_has_everything_is_alone(state: HostState) -> None:
    """A second 0/0 on one device takes it from the first."""
    for interface in state.interfaces:
        wide = [p for p in interface.peers if any(prefix.prefixlen == 0 for prefix in p.allowed_ips)]
        assert not wide or interface.peers == (wide[0],)


@every_state
def test_pitfall_18_the_table_first_and_last_in_one_transaction(state: HostState) -> None:
    """`add`, `delete` and the whole table are one text; up begins with it, down ends with it."""
    empty = HostState(state.host, state.owner, state.backend)
    for table in state.tables:
        if any(held.live for held in table.sets):
            continue  # kept with what was fed to it: tests/core/render/test_nft.py
        head = render_table(table).splitlines()[:3]
        assert head == [
            f"add table inet {table.name}",
            f"delete table inet {table.name}",
            f"table inet {table.name} {{",
        ]
    up = [item.change for item in diff(state, empty)]
    assert isinstance(up[0], PutTable)
    settings = (at for at, change in enumerate(up) if isinstance(change, SetSysctl) and "forward" in change.name)
    forwarding = next(settings, 0)  # not everybody forwards
    assert forwarding < next(at for at, change in enumerate(up) if isinstance(change, AddLink))
    assert (
        isinstance(up[-1], AddRule)
        or not any(isinstance(change, AddRule) for change in up[:-1])
        or state.forget
        or state.services
    )
    assert isinstance([item.change for item in diff(empty, state, state)][-1], DropTable)


def test_pitfall_19_every_probe_has_a_destination_of_its_own() -> None:
    """Left-overs of an earlier question looked like a leak once."""
    assert len({fresh(version) for version in (4, 6) for _ in range(1000)}) == 2000


def test_pitfall_20_the_world_leaves_the_network_alone() -> None:
    """The internet that answers on any address has none of the network's, and no host stands at one it needs."""
    places = {place(str(portal.source)).kind for portal in PORTALS.portals if "=" not in str(portal.source)}
    assert PlaceKind.HOST in places
    for name in PORTALS.by_name:
        seen: Surroundings = around(PORTALS, name)
        taken = {address.ip for link in seen.links for address in link.addresses if link.name == "eth0"}
        assert not any(address in prefix for address in taken for prefix in PORTALS.overlay)
        assert not any(
            address in prefix
            for address in taken
            for host in portals_network().hosts
            for lan in host.lans
            for prefix in lan.prefixes
        )
