"""The network file as values: every word of it lands where the model says."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from warren.core.load import load
from warren.core.lockfile import parse_lock
from warren.core.parse import SECTIONS, parse
from warren.core.parse.tree import Scalar, Sequence, Table, compose
from warren.core.source import Source, decode
from warren.model.endpoint import Endpoint
from warren.model.expect import Down, Target
from warren.model.host import Lan
from warren.model.key import PublicKey
from warren.model.lab import LabLink, Mapping, NatBox, Ports
from warren.model.network import Network
from warren.model.place import Place, PlaceKind
from warren.model.portal import IfDown, Nat
from warren.model.prefix import FAMILIES, Family

GOLDEN = Path(__file__).parent.parent / "golden" / "check"
ROOT = Path(__file__).parent.parent.parent

FULL = """
network: full
overlay: [10.77.0.0/24, fd77:7:7::/64]
hub: nyc
hosts:
  nyc:
    key: vwztBHLYuj354hgI6Y5hs0QEqtc34rrhd4zrxpi0Dzc=
    endpoint: "[2001:DB8::1]:51820"
    uplink: eth0
    port: 51900
    mtu: 1380
    psk: {paris: /etc/warren/paris.psk}
    private_key: /root/nyc.key
    firewall: docker
    lans:
      eth1: {address: [192.168.1.1/24, "fd11:1::1/64"]}
      eth0.10: {address: 192.168.10.1/24, closed: true}
  paris:
    key: OdwugTu0X/Bjo3bjFrEM0K3dcwZVXKDdKJAZTTeWAVI=
    uplink: wan
    psk: {nyc: /etc/warren/nyc.psk}
  no:   # a country, and no truth value
    key: ARiJoJiMy+1/SIh4xiwCBYfeI+u7rpulbdZ/2fQy+Ag=
    endpoint: NO.example.net:51820
    uplink: eth0
portals:
  - {from: nyc.eth1, exit: paris, via: [no], except: [8.8.8.8, "2001:db8::/32"], nat: snat, if_down: block}
  - {from: nyc.192.168.1.64/26, exit: no, family: ipv4}
  - {from: nyc.eth1.02:00:5E:00:00:32, exit: no, nat: auto, family: both}
  - from: paris
    exit: nyc
    nat: routed
expect:
  - {from: nyc.eth1, to: 1.1.1.1 tcp/443, exit: paris, path: [nyc, no, paris], mtu: 1400, family: ipv4}
  - {from: paris, to: nyc.eth0.10, blocked: true, when: {down: [no, nyc-paris]}}
  - {from: internet, to: nyc udp/51900, arrives: true}
  - {from: nyc.eth1, to: Example.COM udp/53, arrives: nyc, source: kept}
  - {from: paris, to: "nyc.fd11:1::7", arrives: true, source: no, family: both}
lab:
  nats:
    cgnat:
      {mapping: address-and-port-dependent, filtering: address-dependent, ports: random, timeout: 30, hairpin: true}
    box: {}
  place: {paris: [cgnat, box], nyc: internet}
  links: {paris: {mtu: 1400, loss: 2, ipv6: false}}
  seed: 7
"""


@pytest.fixture
def full() -> Network:
    parsed = parse(FULL.encode(), "full.yaml")
    assert not parsed.diagnostics
    assert parsed.network is not None
    return parsed.network


def test_the_head(full: Network) -> None:
    assert (full.name, full.hub, full.file) == ("full", "nyc", "full.yaml")
    assert full.overlay == (ip_network("10.77.0.0/24"), ip_network("fd77:7:7::/64"))
    assert [host.name for host in full.hosts] == ["nyc", "paris", "no"]


def test_a_host_with_everything(full: Network) -> None:
    host = full.by_name["nyc"]

    assert host.key == PublicKey("vwztBHLYuj354hgI6Y5hs0QEqtc34rrhd4zrxpi0Dzc=")
    assert host.endpoint == Endpoint("2001:db8::1", 51820)
    assert (host.port, host.mtu, host.uplink, host.firewall) == (51900, 1380, "eth0", "docker")
    assert host.psk == (("paris", "/etc/warren/paris.psk"),)
    assert host.private_key == "/root/nyc.key"
    assert [(lan.name, lan.closed) for lan in host.lans] == [("eth1", False), ("eth0.10", True)]
    assert host.lans[0].addresses == (ip_interface("192.168.1.1/24"), ip_interface("fd11:1::1/64"))


def test_a_host_with_what_it_needs(full: Network) -> None:
    host = full.by_name["paris"]

    assert (host.endpoint, host.port, host.mtu, host.lans) == (None, None, None, ())
    assert host.private_key == "/etc/warren/private.key"
    assert full.by_name["no"].endpoint == Endpoint("no.example.net", 51820)


def test_portals(full: Network) -> None:
    chain, part, machine, own = full.portals

    assert (str(chain.source), chain.exit, chain.via, chain.nat) == ("nyc.eth1", "paris", ("no",), Nat.SNAT)
    assert chain.exceptions == (ip_network("8.8.8.8/32"), ip_network("2001:db8::/32"))
    assert (chain.families, chain.if_down) == (FAMILIES, IfDown.BLOCK)
    assert part.source == Place(PlaceKind.PREFIX, "nyc", "eth1", ip_network("192.168.1.64/26"), at=part.source.at)
    assert part.families == (Family.IPV4,)
    assert machine.source == Place(PlaceKind.MAC, "nyc", "eth1", mac="02:00:5e:00:00:32", at=machine.source.at)
    assert (own.source.kind, own.nat) == (PlaceKind.HOST, Nat.ROUTED)


def test_expectations(full: Network) -> None:
    path, broken, inbound, name, kept = full.expects

    assert path.target == Target(address=ip_address("1.1.1.1"), proto="tcp", port=443)
    assert (path.exit, path.path, path.mtu, path.families) == ("paris", ("nyc", "no", "paris"), 1400, (Family.IPV4,))
    assert broken.target.place is not None
    assert (broken.target.place.kind, broken.target.place.lan) == (PlaceKind.LAN, "eth0.10")
    assert broken.down == (Down(host="no"), Down(tunnel=("nyc", "paris")))
    assert broken.blocked and broken.families is None
    assert inbound.source_place.kind is PlaceKind.INTERNET and inbound.arrives is True
    assert (name.target.name, name.target.proto, name.target.port) == ("example.com", "udp", 53)
    assert isinstance(name.arrives, Place) and name.arrives.host == "nyc" and name.source == "kept"
    assert str(kept.target) == "nyc.fd11:1::7" and kept.source == "no" and kept.families == FAMILIES


def test_the_lab(full: Network) -> None:
    assert full.lab is not None
    cgnat, box = full.lab.nats
    assert cgnat == NatBox(
        "cgnat", Mapping.ADDRESS_AND_PORT_DEPENDENT, Mapping.ADDRESS_DEPENDENT, Ports.RANDOM, 30, True, cgnat.at
    )
    assert box == NatBox("box", at=box.at)
    assert full.lab.place == (("paris", ("cgnat", "box")), ("nyc", ()))
    assert full.lab.links == (LabLink("paris", 1400, 2, False),)
    assert full.lab.seed == 7


def test_values_know_their_place(full: Network) -> None:
    lines = FULL.split("\n")
    paris, first = full.by_name["paris"], full.portals[0]
    assert paris.at and first.at and first.source.at and full.by_name["nyc"].lans[1].at

    assert lines[paris.at.line - 1][paris.at.column - 1 :][: paris.at.length] == "paris"
    assert lines[first.at.line - 1][first.at.column - 1 :][: first.at.length] == lines[first.at.line - 1][4:]
    assert lines[first.source.at.line - 1][first.source.at.column - 1 :][: first.source.at.length] == "nyc.eth1"


def test_lists_whose_entries_are_all_commented_out_are_empty() -> None:
    text = "network: n\noverlay: 10.77.0.0/24\nhosts: {a: {uplink: eth0, lans: }}\nportals:\nexpect: ~\nlab:\n"
    network = parse(text.encode(), "f").network

    assert network is not None
    assert (network.portals, network.expects, network.hosts[0].lans) == ((), (), ())
    assert network.overlay == (ip_network("10.77.0.0/24"),)


def test_a_host_without_key_is_read_for_the_lab() -> None:
    text = b"network: n\noverlay: [10.77.0.0/24]\nhosts: {a: {uplink: eth0, endpoint: 'a:1'}, b: {uplink: eth0}}\n"
    asked = []

    def make(name: str) -> PublicKey:
        asked.append(name)
        return PublicKey(f"made for {name}")

    assert [one.code for one in load(text, None, "f").diagnostics] == ["W030", "W030"]
    loaded = load(text, None, "f", make)
    assert asked == ["a", "b"]
    assert loaded.ok and loaded.network is not None and loaded.network.hosts[1].key == "made for b"
    assert loaded.lock is not None and not loaded.locked


def test_a_file_with_errors_gives_no_network() -> None:
    parsed = parse((GOLDEN / "kitchen-sink.yaml").read_bytes(), "f")

    assert parsed.network is None
    assert parsed.draft is not None
    assert load((GOLDEN / "kitchen-sink.yaml").read_bytes(), None, "f").network is None


def test_a_lock_file_given_instead_is_named_as_one() -> None:
    parsed = parse(b"lock: 1\nhosts:\n  nyc:\n    addresses: [10.77.0.1]\n", "portals.lock")

    assert parsed.network is None
    assert [(one.code, str(one.where)) for one in parsed.diagnostics] == [("W010", "portals.lock:1:7")]
    assert "lock file" in parsed.diagnostics[0].says


def test_after_a_thousand_findings_one_says_that_there_are_more() -> None:
    text = "network: n\noverlay: [10.77.0.0/24]\nhosts: {a: {uplink: eth0}}\nportals:\n" + "  - {}\n" * 2000
    found = parse(text.encode(), "f").diagnostics

    assert len(found) == 1001
    assert [one.code for one in found if one.code != "W011"] == ["W008"]


def test_what_could_be_a_private_key_is_never_repeated() -> None:
    key = "EJtbgjxitkyn5fhFahPI1dBvTs5SKli8K4p4Tc82CXA="
    for place in (
        "key: KEY",
        "endpoint: KEY",
        "uplink: KEY",
        "private_key: KEY",
        "psk: {a: KEY}",
        "KEY: x",
        "port: KEY",
        "lans: {KEY: {}}",
    ):
        text = f"network: n\noverlay: [10.77.0.0/24]\nhosts:\n  a:\n    {place}\nportals: [{{from: KEY, exit: KEY}}]\n"
        for cut in (key, key[:-1], key[:42]):
            said = load(text.replace("KEY", cut).encode(), None, "f").text()
            assert said.count("W061") == 2
            assert cut[:12] not in said


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_places_agree_with_all_kinds_of_line_endings(ending: str) -> None:
    text = ending.join(["# ü", "network: n", "overlay: [10.77.0.0/24]", "hosts:", "  a: {uplnk: eth0}", ""])
    found = parse(text.encode(), "f").diagnostics

    assert [(one.code, one.where.line, one.where.column) for one in found] == [("W011", 5, 3), ("W010", 5, 7)]


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert decode(b"\xef\xbb\xbfnetwork: n", "f").text == "network: n"


def test_scalars_are_text_whatever_yaml_would_make_of_them() -> None:
    tree = compose(Source("f", "a: [no, 1:30, 0x1f, ~, '~', 1e3, 2026-01-01]"))
    assert isinstance(tree, Table)
    values = tree.by_key["a"]
    assert isinstance(values, Sequence)
    scalars = [item for item in values.items if isinstance(item, Scalar)]

    assert [one.text for one in scalars] == ["no", "1:30", "0x1f", "~", "~", "1e3", "2026-01-01"]
    assert [one.empty for one in scalars] == [False, False, False, True, False, False, False]


def test_parts_of_scalars_have_places_of_their_own() -> None:
    tree = compose(Source("f", "a: 'nyc.eth1'\nb: \"n\\x79c\""))
    assert isinstance(tree, Table)
    quoted, escaped = tree.by_key["a"], tree.by_key["b"]
    assert isinstance(quoted, Scalar) and isinstance(escaped, Scalar)

    assert (quoted.part(4, 4).column, quoted.part(4, 4).length) == (9, 4)
    assert escaped.part(1, 1) == escaped.where


def test_a_lan_is_found_by_its_name() -> None:
    lan = Lan("eth1", (ip_interface("10.1.0.1/24"),))
    assert lan.prefixes == (ip_network("10.1.0.0/24"),)


def test_the_reference_explains_every_key() -> None:
    text = (ROOT / "docs" / "network-file.md").read_text()

    for section, keys in SECTIONS.items():
        begin = text.index(f"<!-- keys: {section} -->")
        rows = text[begin:].split("\n\n", 1)[0]
        explained = [line.split("`")[1] for line in rows.splitlines() if line.startswith("| `")]
        assert explained == list(keys), section


def test_every_example_of_the_reference_is_right() -> None:
    text = (ROOT / "docs" / "network-file.md").read_text()
    examples = [part.split("```")[0] for part in text.split("```yaml\n")[1:]]
    whole = [example for example in examples if "\nnetwork:" in example]
    locks = [example for example in examples if example.startswith("lock:")]

    assert whole and locks
    for example in locks:
        assert parse_lock(example.encode(), "example.lock")[1] == ()
    for example in whole:
        loaded = load(example.encode(), None, "example.yaml", PublicKey)
        assert loaded.ok, loaded.text()
