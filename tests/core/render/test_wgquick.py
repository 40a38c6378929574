"""Confs for wg-quick: read by people, and by the parser that takes everybody's. tests/lab/test_render.py runs them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from tests.core.render.golden import check, example, rendered
from tests.core.render.states import nyc
from warren.core.conf.parse import parse_conf
from warren.core.render.subject import findings, state_of
from warren.core.render.tree import filled
from warren.core.render.wgquick import render_wg_quick
from warren.model.key import encode_key
from warren.model.prefix import Family
from warren.model.publish import PortRange
from warren.model.state import ConsentRule, DnsConfig, HostState

KEY = encode_key(bytes([8] * 31 + [64]))


@pytest.mark.parametrize(("example", "host"), [("portals", "nyc"), ("site-to-site", "north")])
def test_the_files_read_as_in_the_golden_text(example: str, host: str) -> None:
    check(example, host, "wg-quick")


def test_a_conf_is_what_its_device_is() -> None:
    state = nyc()
    for file, interface in zip(render_wg_quick(state).files, state.interfaces, strict=False):
        text = filled(file, [KEY] * len(file.secrets)).text
        conf = parse_conf(text.encode(), file.path, interface.name).conf
        assert conf is not None
        assert (conf.table, conf.fwmark, conf.mtu) == (0, interface.fwmark, interface.mtu)
        assert (conf.listen_port, conf.addresses) == (interface.listen_port, interface.addresses)
        peers = {peer.public_key: peer for peer in conf.peers}
        for peer in interface.peers:
            found = peers[peer.public_key]
            assert (found.allowed_ips, found.endpoint) == (peer.allowed_ips, peer.endpoint)
            assert (found.keepalive, bool(found.psk)) == (peer.keepalive, bool(peer.psk))


def test_everything_the_state_has_is_in_some_file() -> None:
    state = nyc()
    made = render_wg_quick(state)
    text = "".join(file.text for file in made.files)

    assert made.unsaid == ()
    for word in ("unreachable ::/0 table 7701", "pref 7778 iif eth2", "DOCKER-USER", "conntrack -D", "accept_ra=2"):
        assert word in text
    assert sum(text.count(f"table {table.family} {table.name} {{") for table in state.tables) == 1


def test_only_what_no_key_is_in_can_be_read_by_all() -> None:
    for file in rendered("portals", "nyc", "wg-quick").files:
        assert file.mode == (0o600 if file.path.startswith("etc/wireguard/") else 0o644)
        assert not file.secrets or file.mode == 0o600


def test_a_state_without_rules_is_a_plain_conf() -> None:
    shared = nyc().interfaces[0]
    state = HostState("phone", "portals", interfaces=(replace(shared, fwmark=0, listen_port=0),))
    state = replace(state, dns=(DnsConfig("portals", (ip_address("9.9.9.9"),), ("example.net",)),))

    (file,) = render_wg_quick(state).files

    assert "DNS = 9.9.9.9, example.net\n" in file.text
    assert not any(word in file.text for word in ("Table", "PreUp", "PostUp", "FwMark", "ListenPort"))


def test_what_has_no_hook_is_said() -> None:
    lost = replace(nyc(), consents=(ConsentRule("docker", Family.IPV4, "input", udp_port=51820),))

    made = render_wg_quick(lost)

    assert [str(one) for one in made.unsaid] == ["`firewall: docker` for input: docker has no hook for it"]
    assert not any("DOCKER-USER" in file.text for file in made.files)


def test_a_gateway_keeps_the_operator_and_says_what_it_does_not_know() -> None:
    """Nobody could look at what listens there; sshd's usual port is kept all the same."""
    network, lock = example("gateway")
    made = render_wg_quick(state_of(network, lock, "cloud"))
    (told,) = findings(network, "cloud", "wg-quick", made, ())
    nft = next(file.text for file in made.files if file.path.endswith(".nft"))

    assert told.code == "W152" and "but for tcp/22 (sshd)" in told.says and "`ss -tuln` on cloud" in told.hint
    assert "set own_tcp { type inet_service; flags interval; elements = { 22 } }" in nft


def test_a_port_of_sshd_that_the_file_gives_away_is_given_away() -> None:
    network, lock = example("gateway")
    given = replace(network.publishes[0], ports=(PortRange("tcp", 22, 22),))
    state = state_of(replace(network, publishes=(given, *network.publishes[1:])), lock, "cloud")

    assert "set own_tcp { type inet_service; flags interval; }" in next(
        file.text for file in render_wg_quick(state).files if file.path.endswith(".nft")
    )
