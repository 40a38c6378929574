"""Keyfiles for NetworkManager: read by people, and by NetworkManager's own reader, which gives back what they say."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from tests.core.render.golden import check, example, rendered
from tests.core.render.nmcli import parsed, understood
from tests.core.render.states import nyc
from warren.core.render.networkmanager import render_networkmanager, routing_rule
from warren.core.render.subject import state_of
from warren.core.render.tree import File, filled
from warren.model.key import encode_key
from warren.model.prefix import Family
from warren.model.state import DnsConfig, Hooks, HostState, Rule

KEY = encode_key(bytes([8] * 31 + [64]))
UNSET = {"private-key-flags": "0", "preshared-key-flags": "0"}  # what a keyfile need not say


def keyfiles(state: HostState) -> list[str]:
    files = [file for file in render_networkmanager(state).files if file.path.endswith(".nmconnection")]
    return [filled(file, [KEY] * len(file.secrets)).text for file in files]


def same(ours: str, theirs: str, key: str) -> bool:
    """Compare two values; a rule's words may stand in another order, and a mark be written otherwise."""
    if not key.startswith("routing-rule"):
        return ours == theirs
    return _pairs(ours) == _pairs(theirs)


def _pairs(rule: str) -> set[tuple[str, ...]]:
    words, pairs = rule.split(), set()
    while words:
        pairs.add((words.pop(0),) if words[0] == "not" else (words.pop(0), words.pop(0)))
    return pairs


@pytest.mark.parametrize(("name", "host"), [("portals", "nyc"), ("site-to-site", "north")])
def test_the_files_read_as_in_the_golden_text(name: str, host: str) -> None:
    check(name, host, "networkmanager")


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("portals", "nyc"),
        ("portals", "paris"),
        ("portals", "tokyo"),
        ("site-to-site", "office"),
        ("own-traffic", "laptop"),
    ],
)
def test_networkmanager_understands_every_word(name: str, host: str) -> None:
    """Nothing that we say is dropped or altered by its reader, and it adds nothing but a name."""
    states = [state_of(*example(name), host), nyc()]
    for text in [text for state in states for text in keyfiles(state)]:
        ours, theirs = parsed(text), understood(text)
        lost = [
            f"[{section}] {key}={value}: {theirs.get(section, key, fallback='nothing')}"
            for section in ours.sections()
            for key, value in ours[section].items()
            if key not in UNSET and not same(value, theirs.get(section, key, fallback=""), key)
        ]
        added = [
            f"[{section}] {key}"
            for section in theirs.sections()
            for key in theirs[section]
            if not ours.has_option(section, key)
        ]
        assert lost == []
        assert set(added) <= {"[connection] uuid", "[ipv6] addr-gen-mode"}


def test_every_selector_has_its_word() -> None:
    rule = Rule(
        Family.IPV6,
        7790,
        7701,
        iif="eth2",
        oif="wg0",
        source=ip_network("fd00::/64"),
        destination=ip_network("fd01::1/128"),
        mark=1,
        mark_mask=3,
        invert=True,
        suppress_prefixlength=15,
        ipproto="udp",
        sport=546,
        dport=547,
    )
    read = understood(keyfiles(replace(nyc(), rules=(rule,)))[0])["ipv6"]["routing-rule1"]

    assert _pairs(read) == _pairs(routing_rule(rule))
    assert len(_pairs(read)) == 12


def test_resolvers_are_asked_for_every_name() -> None:
    config = DnsConfig("portals", (ip_address("9.9.9.9"), ip_address("2620:fe::fe")), ("example.net",))
    read = understood(keyfiles(replace(nyc(), dns=(config,)))[0])

    assert (read["ipv4"]["dns"], read["ipv6"]["dns"]) == ("9.9.9.9;", "2620:fe::fe;")
    assert read["ipv4"]["dns-search"] == "~.;example.net;"


def test_what_a_connection_without_ipv4_does_not_take_is_said() -> None:
    shared, dedicated = nyc().interfaces
    six = (ip_interface("fd77:7:7::1/128"),)
    state = replace(nyc(), interfaces=(replace(shared, addresses=six), replace(dedicated, addresses=six)))

    made = render_networkmanager(state)

    told = [one.item for one in made.unsaid]
    assert "`ip rule add pref 7778 iif eth2 lookup 7701 protocol 77`" in told
    assert "`ip route add 0.0.0.0/0 dev portals-paris table 7701 src 10.77.0.1 proto 77`" in told
    assert [understood(text)["ipv4"]["method"] for text in keyfiles(state)] == ["disabled", "disabled"]


def test_an_overlay_without_ipv6_still_refuses_it() -> None:
    shared, dedicated = nyc().interfaces
    four = (ip_interface("10.77.0.1/32"),)
    state = replace(nyc(), interfaces=(replace(shared, addresses=four), replace(dedicated, addresses=four)))

    read = understood(keyfiles(state)[0])

    assert read["ipv6"]["method"] == "link-local"
    assert "type=unreachable" in read["ipv6"]["route1_options"]


def test_what_networkmanager_does_not_do_is_said() -> None:
    told = [one.item for one in render_networkmanager(replace(nyc(), hooks=Hooks(("true",)))).unsaid]

    assert told == [
        "net.ipv6.conf.eth0.accept_ra=2",
        "`firewall: docker` (forward-in portals-paris)",
        "the end of flows from 192.168.21.0/24 that began before",
        "hooks of nyc",
    ]


def test_only_root_reads_keyfiles() -> None:
    def is_keyfile(file: File) -> bool:
        return file.path.startswith("etc/NetworkManager/system-connections/")

    files = rendered("portals", "nyc", "networkmanager").files
    assert {file.mode for file in files if is_keyfile(file)} == {0o600}
    assert all(is_keyfile(file) for file in files if file.secrets)
