"""Verify: each word of `expect`, in both ways, and each thing that needs no asking."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from tests.core.compile.networks import OVERLAY, host, lan, place, portal, portals_network
from tests.core.walk.random_networks import random_network
from tests.core.walk.scenes import FOUR, SIX, Walked, expecting, to_target
from warren.core.verify import Kind, Verdict, verify
from warren.core.walk.stage import stage
from warren.model.expect import Down, Expect, Target
from warren.model.firewall import Drop, NftRule, Reject
from warren.model.lab import Lab, LabLink
from warren.model.network import Network
from warren.model.portal import IfDown
from warren.model.state import MAIN, Route
from warren.model.surroundings import ForeignChain


def judge(walked: Walked) -> tuple[Verdict, ...]:
    scene = walked.scene
    return verify(walked.network, walked.lock, scene.states, scene.surroundings, scene.world)


def expect(start: str, target: str, **more: object) -> Expect:
    return Expect(place(start), to_target(target), **more)  # type: ignore[arg-type]


DOWN = (Down(host="paris"),)
CHAIN = "nyc.eth1=192.168.1.51/32"


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (expect("nyc.eth2", "1.1.1.1", exit="paris"), expect("nyc.eth2", "1.1.1.1", exit="nyc")),
        (expect("nyc.eth2", "paris.wlan0", arrives=True), expect("nyc.eth2", "paris.wlan0", blocked=True)),
        (
            expect("nyc.eth2", "1.1.1.1", blocked=True, down=DOWN),
            expect("nyc.eth2", "1.1.1.1", exit="paris", down=DOWN),
        ),
        (
            expect("nyc.eth2", "1.1.1.1", blocked=True, down=(Down(tunnel=("paris", "nyc")),)),
            expect("nyc.eth2", "1.1.1.1", blocked=True, down=(Down(tunnel=("tokyo", "nyc")),)),
        ),
        (
            expect("nyc.eth2", "paris.wlan0", arrives=place("paris.wlan0")),
            expect("nyc.eth2", "paris.wlan0", arrives=place("paris.eth1")),
        ),
        (
            expect("nyc.eth2", "paris.wlan0", arrives=True, source="kept"),
            expect("nyc.eth1", "paris.wlan0", arrives=True, source="kept", families=(FOUR,)),
        ),
        (
            expect("nyc.eth2", "1.1.1.1", exit="paris", source="paris"),
            expect("nyc.eth2", "1.1.1.1", exit="paris", source="nyc"),
        ),
        (
            expect(CHAIN, "1.1.1.1", exit="tokyo", path=("nyc", "paris", "tokyo")),
            expect(CHAIN, "1.1.1.1", exit="tokyo", path=("nyc", "tokyo")),
        ),
        (expect("nyc.eth2", "1.1.1.1", exit="paris", mtu=1420), expect("nyc.eth2", "1.1.1.1", exit="paris", mtu=1480)),
    ],
    ids=lambda one: f"{one.source_place}>{one.target}",
)
def test_a_promise_that_is_kept_and_one_that_is_not(good: Expect, bad: Expect) -> None:
    kept, broken = (
        [one for one in judge(Walked(expecting(portals_network(), each))) if one.kind is Kind.EXPECT]
        for each in (good, bad)
    )

    assert kept and all(one.holds and not one.says for one in kept)
    assert broken and not any(one.holds for one in broken) and all(one.says for one in broken)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (
            expect(CHAIN, "1.1.1.1", exit="tokyo", path=("nyc", "paris", "tokyo")),
            "exits at tokyo; by nyc, paris, tokyo",
        ),
        (expect("nyc.eth2", "paris.wlan0", source="kept", families=(FOUR,)), "; seen as 192.168.21.100"),
        (expect("nyc.eth2", "1.1.1.1", exit="paris", mtu=1420), "exits at paris; 1420 bytes there and back"),
    ],
)
def test_what_was_proved_is_shown(asked: Expect, shown: str) -> None:
    verdict = next(one for one in judge(Walked(expecting(portals_network(), asked))) if one.kind is Kind.EXPECT)

    assert verdict.holds and verdict.predicted.endswith(shown)


def test_every_family_that_both_ends_have_is_asked() -> None:
    network = expecting(
        portals_network(),
        expect("nyc.eth2", "paris.wlan0", arrives=True),
        expect("nyc.eth2", "1.1.1.1", exit="paris"),
        expect(CHAIN, "1.1.1.1", exit="tokyo"),
        expect(
            "nyc.eth2", "paris.wlan0=192.168.22.50/32", arrives=True
        ),  # an address is of one family, whatever its LAN has
    )
    asked = [verdict.family for verdict in judge(Walked(network)) if verdict.kind is Kind.EXPECT]

    assert asked == [FOUR, SIX, FOUR, FOUR, FOUR]


def test_a_family_that_an_end_lacks_cannot_be_promised() -> None:
    network = expecting(portals_network(), expect("nyc.eth2", "1.1.1.1", exit="paris", families=(SIX,)))
    verdict = next(one for one in judge(Walked(network)) if one.kind is Kind.EXPECT)

    assert not verdict.holds and "no ipv6 address" in verdict.says


def test_names_are_asked_too() -> None:
    network = expecting(portals_network(), Expect(place("nyc.eth2"), Target(name="example.net"), exit="paris"))

    assert all(one.holds for one in judge(Walked(network)) if one.kind is Kind.EXPECT)


def test_the_portals_network_holds() -> None:
    assert [verdict for verdict in judge(Walked(portals_network())) if not verdict.holds] == []


def test_a_mac_portal_comes_with_a_word_about_its_strength() -> None:
    verdicts = judge(Walked(replace(portals_network(), expects=())))
    noted = [one for one in verdicts if one.kind is Kind.LEAK and one.says]

    assert noted and all("02:00:5e:00:00:32" in one.claim and one.holds for one in noted)


def unguarded(walked: Walked, name: str) -> Walked:
    """Take the rules of portals out of a host, and its table: nothing steers, nothing guards."""
    state = walked.state(name)
    rules = tuple(rule for rule in state.rules if rule.iif not in ("eth2",))
    return walked.change(name, state=replace(state, rules=rules, tables=()))


def leaks(walked: Walked) -> list[Verdict]:
    return [one for one in judge(walked) if one.kind is Kind.LEAK and not one.holds]


def test_a_portal_without_its_rules_leaks() -> None:
    found = leaks(unguarded(Walked(portals_network()), "nyc"))

    ours = [one for one in found if "nyc.eth2" in one.claim]
    assert {one.family for one in ours} == {FOUR, SIX}
    assert all("uplink of nyc" in one.says for one in ours)


def test_one_guard_gone_is_found_by_breaking_the_other() -> None:
    """Without the `unreachable` routes and without the rules' table nothing but nft is left: its loss must be told."""
    walked = Walked(portals_network())
    state = walked.state("nyc")
    routes = tuple(route for route in state.routes if route.table != 7701)
    found = leaks(walked.change("nyc", state=replace(state, routes=routes)))

    assert [one.faults for one in found if "nyc.eth2" in one.claim] == [("nft table of nyc gone",)] * 2


@pytest.mark.parametrize(("entry", "lan"), [("nyc", "eth2"), ("tokyo", "")], ids=["a LAN", "own traffic"])
def test_the_other_guard_gone_is_found_by_taking_the_rules_away(entry: str, lan: str) -> None:
    """A table that lets a portal's packets leave anywhere, and whole rules: nothing shows until the rules are gone."""
    walked = Walked(portals_network())
    state = walked.state(entry)
    tables = tuple(
        replace(
            table,
            chains=tuple(replace(c, rules=tuple(r for r in c.rules if not _refuses(r))) for c in table.chains),
        )
        for table in state.tables
    )
    assert tables != state.tables
    found = leaks(walked.change(entry, state=replace(state, tables=tables)))

    ours = [one for one in found if f"portal {entry}{'.' + lan if lan else ''} " in one.claim]
    assert {one.faults for one in ours} == {(f"ip rules of {entry} gone",)}
    assert all(f"uplink of {entry}" in one.says for one in ours)


def _refuses(rule: NftRule) -> bool:
    return any(isinstance(statement, Drop | Reject) for statement in rule.statements)


def test_following_a_hijacked_default_is_a_leak() -> None:
    """A plain suppress_prefixlength 0 before the portals follows 0.0.0.0/1, as wg-quick's does."""
    walked = Walked(portals_network())
    state = walked.state("nyc")
    lured = tuple(
        replace(rule, destination=None, suppress_prefixlength=0) if rule.suppress_prefixlength > 0 else rule
        for rule in state.rules
    )
    found = leaks(walked.change("nyc", state=replace(state, rules=lured, tables=())))

    assert any("0.0.0.0/1" in " ".join(one.faults) for one in found)


def test_direct_while_down_is_no_leak_where_the_owner_wants_it() -> None:
    network = replace(portals_network(), portals=(portal("nyc.eth2", "paris", if_down=IfDown.DIRECT),))

    assert leaks(Walked(network)) == []


def test_an_excepted_stranger_is_not_taken_for_a_leak() -> None:
    everything = (ip_network("0.0.0.0/1"), ip_network("128.0.0.0/1"))
    network = replace(
        portals_network(), portals=(portal("nyc.eth2", "paris", exceptions=everything, families=(FOUR,)),)
    )

    assert [one for one in judge(Walked(network)) if one.kind is Kind.LEAK and "portal" in one.claim] == []


def test_the_networks_own_prefixes_never_leave_in_the_clear() -> None:
    """Without the near table's `unreachable` and without nft, a dead tunnel sends such traffic to the uplink."""
    walked = Walked(expecting(portals_network(), expect("nyc.eth1", "paris.wlan0", arrives=True)))
    state = walked.state("nyc")
    routes = tuple(route for route in state.routes if route.device)
    bare = walked.change("nyc", state=replace(state, routes=routes, tables=()))

    def near(of: Walked) -> list[bool]:
        return [one.holds for one in judge(of) if one.kind is Kind.LEAK and "own prefixes" in one.claim]

    assert near(walked) == [True]
    assert set(near(bare)) == {False}


def test_the_operator_stays_within_reach() -> None:
    """tokyo's own traffic exits at nyc; who comes in by its uplink is answered by it, whatever breaks."""
    reached = [one for one in judge(Walked(portals_network())) if one.kind is Kind.REACH]

    assert [(one.holds, one.family) for one in reached] == [(True, FOUR), (True, SIX)]


def test_a_portal_that_swallows_the_operators_answers_is_found() -> None:
    walked = Walked(portals_network())
    state = walked.state("tokyo")
    mine = {address.ip for address in walked.scene.world.host_by_name["tokyo"].attachment.addresses}
    rules = tuple(rule for rule in state.rules if rule.source is None or rule.source.network_address not in mine)
    cut = walked.change("tokyo", state=replace(state, rules=rules))
    reached = [one for one in judge(cut) if one.kind is Kind.REACH and one.family is FOUR]

    assert [one.holds for one in reached] == [False] and reached[0].says


def test_shadowed_allowed_ips_are_found() -> None:
    walked = Walked(portals_network())
    state = walked.state("tokyo")
    everything = (ip_network("0.0.0.0/0"),)
    greedy = tuple(
        replace(one, peers=tuple(replace(peer, allowed_ips=everything) for peer in one.peers))
        for one in state.interfaces
    )
    peers = tuple(peer for one in greedy for peer in one.peers)
    merged = replace(state, interfaces=(replace(greedy[0], peers=peers), *greedy[1:]))
    found = [one for one in judge(walked.change("tokyo", state=merged)) if one.kind is Kind.SHADOW and not one.holds]

    assert found and "0.0.0.0/0" in found[0].says


def test_a_prefix_that_others_cover_entirely_is_shadowed() -> None:
    walked = Walked(portals_network())
    state = walked.state("tokyo")
    one = state.interfaces[0]
    wide = replace(one.peers[0], allowed_ips=(ip_network("10.0.0.0/8"),), name="wide")
    halves = [
        replace(one.peers[0], allowed_ips=(half,), name=str(half)) for half in ip_network("10.0.0.0/8").subnets(1)
    ]
    changed = replace(state, interfaces=(replace(one, peers=(wide, *halves)), *state.interfaces[1:]))
    found = [v for v in judge(walked.change("tokyo", state=changed)) if v.kind is Kind.SHADOW and not v.holds]

    assert [verdict.says for verdict in found] == ["10.0.0.0/8 of wide is taken by 10.0.0.0/9, 10.128.0.0/9"]


def test_answers_by_another_way_are_told() -> None:
    """tokyo answers nyc's LAN by paris when its near route says so."""
    walked = Walked(expecting(portals_network(), expect("nyc.eth2", "tokyo", arrives=True, families=(FOUR,))))
    nyc = ip_network("192.168.21.0/24")

    def onto(peers: tuple[object, ...], name: str) -> tuple[object, ...]:
        held = (nyc,)
        return tuple(
            replace(peer, allowed_ips=peer.allowed_ips + held)  # type: ignore[type-var,attr-defined]
            if peer.name == name  # type: ignore[attr-defined]
            else replace(peer, allowed_ips=tuple(p for p in peer.allowed_ips if p != nyc))  # type: ignore[type-var,attr-defined]
            for peer in peers
        )

    tokyo = walked.state("tokyo")
    device = next(one.name for one in tokyo.interfaces if any(peer.name == "paris" for peer in one.peers))
    routes = tuple(replace(r, device=device) if r.prefix == nyc and r.device else r for r in tokyo.routes)
    interfaces = tuple(replace(one, peers=onto(one.peers, "paris")) for one in tokyo.interfaces)  # type: ignore[arg-type]
    changed = walked.change("tokyo", state=replace(tokyo, routes=routes, interfaces=interfaces, tables=()))
    verdicts = judge(changed)

    assert not all(one.holds for one in verdicts)


def test_an_mtu_that_does_not_suffice_is_told() -> None:
    network = Network(
        "thin",
        OVERLAY,
        (host("a", "", lan("lan0", "192.168.3.1/24")), host("b", "198.51.100.20")),
        lab=Lab(links=(LabLink("b", mtu=1400),)),
    )
    short = [one for one in judge(Walked(network)) if one.kind is Kind.MTU and not one.holds]

    assert short and "meet an MTU of 1400" in short[0].says
    assert {one.says.rpartition("; ")[2] for one in short} == {"write `mtu: 1340` at b"}
    mended = replace(network, hosts=tuple(replace(one, mtu=1340) if one.name == "b" else one for one in network.hosts))
    assert [one.predicted for one in judge(Walked(mended)) if one.kind is Kind.MTU] == ["2 of 2 tunnel ends"]


def test_what_is_foreign_and_unreadable_is_unknown_not_false() -> None:
    walked = Walked(expecting(portals_network(), expect("nyc.eth2", "1.1.1.1", exit="paris")))
    chain = ForeignChain("ip", "mangle", "FORWARD", "forward", -150, rules=3)
    changed = walked.change("nyc", surroundings=replace(walked.around("nyc"), chains=(chain,)))
    verdict = next(one for one in judge(changed) if one.kind is Kind.EXPECT)

    assert not verdict.holds and verdict.unknown and "ip mangle FORWARD" in verdict.says


def test_a_loop_is_told() -> None:
    """Two hosts whose tables send a stranger's packets to each other."""
    walked = Walked(portals_network())
    paris = walked.state("paris")
    device = next(one.name for one in paris.interfaces if any(peer.name == "nyc" for peer in one.peers))
    back = Route(ip_network("1.1.1.1/32"), MAIN, device)
    changed = walked.change(
        "paris",
        state=replace(paris, tables=()),
        surroundings=replace(walked.around("paris"), routes=(*walked.around("paris").routes, back)),
    )
    nyc = changed.state("nyc")
    into = next(one.name for one in nyc.interfaces if any(peer.name == "paris" for peer in one.peers))
    changed = changed.change(
        "nyc",
        state=replace(nyc, tables=()),
        surroundings=replace(walked.around("nyc"), routes=(*walked.around("nyc").routes, replace(back, device=into))),
    )
    changed.network = expecting(portals_network(), expect("nyc.eth2", "1.1.1.1", exit="paris"))
    loops = [one for one in judge(changed) if one.kind is Kind.LOOP]

    assert [one.holds for one in loops] == [False]


# 1159 and on: a chain and a portal of one entry that begin with the same tunnel, and overlays of one family.
@pytest.mark.parametrize("seed", [*range(40), 1159, 1204, 2203, 2467, 2569])
def test_any_network_gets_its_verdicts(seed: int) -> None:
    """What nobody asks for holds in every network that check lets pass: it is warren's own doing.

    Expectations are drawn blindly, so that they hold is not expected, but each is judged, in the file's order.
    """
    loaded = random_network(seed)
    assert loaded.network is not None and loaded.lock is not None
    scene = stage(loaded.network, loaded.lock)
    verdicts = verify(loaded.network, loaded.lock, scene.states, scene.surroundings, scene.world)

    judged = [verdict.at for verdict in verdicts if verdict.kind is Kind.EXPECT]
    assert list(dict.fromkeys(judged)) == [one.at for one in loaded.network.expects]
    assert not [one for one in verdicts if not one.holds and one.kind not in (Kind.EXPECT, Kind.MTU)]
    assert verdicts == verify(loaded.network, loaded.lock, scene.states, scene.surroundings, scene.world)
