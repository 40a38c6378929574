"""Confs in, values or findings out. Each tests/golden/conf/NAME.conf has a NAME.txt with all that is said of it."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren.core.conf.conf import AUTO, OFF, Conf
from warren.core.conf.diagnostics import CODES
from warren.core.conf.parse import Parsed, check_access, parse_conf
from warren.model.diagnostic import Severity
from warren.model.endpoint import Endpoint
from warren.model.key import SecretRef
from warren.model.prefix import Family

GOLDEN = Path(__file__).parents[2] / "golden" / "conf"
KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
PEERS = (
    "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
    "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=",
)


def report(parsed: Parsed) -> str:
    return "".join(f"{found}\n    {found.hint}\n" for found in parsed.diagnostics)


def parse(text: str, **lookups: object) -> Parsed:
    return parse_conf(text.encode(), "wg0.conf", "wg0", "/etc/wireguard/wg0.conf", **lookups)  # type: ignore[arg-type]


def good(text: str, **lookups: object) -> Conf:
    parsed = parse(text, **lookups)
    assert parsed.conf is not None, report(parsed)
    return parsed.conf


def codes(text: str) -> list[str]:
    return [found.code for found in parse(text).diagnostics]


@pytest.mark.parametrize("conf", sorted(GOLDEN.glob("*.conf")), ids=lambda path: path.stem)
def test_findings_read_as_written_down(conf: Path) -> None:
    assert report(parse_conf(conf.read_bytes(), conf.name, "wg0")) == conf.with_suffix(".txt").read_text()


def test_every_code_is_shown_by_some_conf() -> None:
    told = "".join(path.read_text() for path in GOLDEN.glob("*.txt"))
    assert sorted(code for code in CODES if f"[{code}]" not in told) == ["W700", "W701"]


def test_a_conf_needs_the_name_of_a_device() -> None:
    parsed = parse_conf(b"[Interface]\n", "x.conf", "longer-than-15-characters")
    assert parsed.conf is None
    assert "W700" in [found.code for found in parsed.diagnostics]


@pytest.mark.parametrize(
    ("mode", "directory", "warned"), [(0o600, 0o755, False), (0o644, 0o755, True), (0o644, 0o700, False)]
)
def test_only_what_others_can_reach_is_warned_of(mode: int, directory: int, warned: bool) -> None:
    found = check_access("wg0.conf", "/etc/wireguard/wg0.conf", mode, directory)
    assert [each.code for each in found] == (["W701"] if warned else [])


def test_the_example_of_the_manual_page() -> None:
    conf = good(
        f"""[Interface]
Address = 10.192.122.1/24
Address = 10.10.0.1/16
SaveConfig = true
PrivateKey = {KEY}
ListenPort = 51820

[Peer]
PublicKey = {PEERS[0]}
PresharedKey = /UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak=
AllowedIPs = 10.192.122.3/32, 10.192.124.1/24
Endpoint = demo.wireguard.com:51820

[Peer]
PublicKey = {PEERS[1]}
AllowedIPs = 10.192.122.4/32, 192.168.0.0/16
PersistentKeepalive = 25
"""
    )
    assert conf.addresses == (ip_interface("10.192.122.1/24"), ip_interface("10.10.0.1/16"))
    assert (conf.save_config, conf.listen_port, conf.table) == (True, 51820, AUTO)
    assert conf.private_key == SecretRef("/etc/wireguard/wg0.conf", "PrivateKey")
    first, second = conf.peers
    assert first.allowed_ips == (ip_network("10.192.122.3/32"), ip_network("10.192.124.0/24"))
    assert first.endpoint == Endpoint("demo.wireguard.com", 51820)
    assert first.psk == SecretRef("/etc/wireguard/wg0.conf", f"PresharedKey {PEERS[0]}")
    assert len(first.psk_fingerprint) == 16
    assert (second.keepalive, second.psk, second.psk_fingerprint) == (25, None, "")


def test_no_secret_is_among_the_values() -> None:
    psk = "/UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak="
    parsed = parse(f"[Interface]\nPrivateKey={KEY}\nMTU=x\n[Peer]\nPublicKey={PEERS[0]}\nPresharedKey={psk}\n")
    assert KEY not in repr(parsed)
    assert psk not in repr(parsed)
    assert KEY not in repr(good(f"[Interface]\nPrivateKey={KEY}\n"))


def test_spaces_case_comments_and_line_ends_do_not_matter() -> None:
    conf = good(
        f"\ufeff  [ INTERFACE ]\r\nprivatekey={KEY}  # secret\r\n\taddress = 10.0.0.1/24 , fd00::1,10.0.0.2 # three\r\n"
        f"#Address = 10.9.9.9\r\n[peer]\r\npublickey = {PEERS[0]}\r\nallowedips = 10.0.0.0 / 8 , fd00:: /64\r\n"
    )
    assert conf.addresses == (ip_interface("10.0.0.1/24"), ip_interface("fd00::1/128"), ip_interface("10.0.0.2/32"))
    assert conf.peers[0].allowed_ips == (ip_network("10.0.0.0/8"), ip_network("fd00::/64"))


def test_hooks_keep_their_order_and_their_number_signs() -> None:
    conf = good(
        f"[Interface]\nPrivateKey={KEY}\nPostUp = echo 'a#b' = c # told to bash\nPreUp=one\n"
        "PostUp=two; %i\n#PostUp=no\nPreDown =\nPostDown = last\n"
    )
    assert conf.hooks.post_up == ("echo 'a#b' = c # told to bash", "two; %i")
    assert (conf.hooks.pre_up, conf.hooks.pre_down, conf.hooks.post_down) == (("one",), (), ("last",))


def test_dns_tells_servers_from_domains_as_wg_quick_does() -> None:
    conf = good(f"[Interface]\nPrivateKey={KEY}\nDNS = 10.0.0.1, corp.example, fd00::53\nDNS=10.0.0.1 lab\n")
    assert conf.dns == (ip_address("10.0.0.1"), ip_address("fd00::53"))
    assert conf.search == ("corp.example", "lab")


@pytest.mark.parametrize(
    ("written", "meant"),
    [("off", OFF), ("auto", AUTO), ("", AUTO), ("1234", 1234), ("0x1F", 31), ("main", 254), ("vpn", 100)],
)
def test_tables(written: str, meant: int) -> None:
    assert good(f"[Interface]\nPrivateKey={KEY}\nTable={written}\n", tables={"vpn": 100}.get).table == meant


@pytest.mark.parametrize(("written", "meant"), [("off", 0), ("0", 0), ("51820", 51820), ("0xCA6C", 51820)])
def test_marks(written: str, meant: int) -> None:
    assert good(f"[Interface]\nPrivateKey={KEY}\nFwMark={written}\n").fwmark == meant


def test_ports_may_be_services() -> None:
    conf = good(
        f"[Interface]\nPrivateKey={KEY}\nListenPort=openvpn\n[Peer]\nPublicKey={PEERS[0]}\nEndpoint=[2001:db8::1]:domain\n",
        services={"openvpn": 1194, "domain": 53}.get,
    )
    assert conf.listen_port == 1194
    assert conf.peers[0].endpoint == Endpoint("2001:db8::1", 53)


def test_plus_and_minus_are_carried_out_in_their_order() -> None:
    conf = good(
        f"[Interface]\nPrivateKey={KEY}\n[Peer]\nPublicKey={PEERS[0]}\n"
        "AllowedIPs = +10.0.0.0/8,+10.1.0.0/16\nAllowedIPs = -10.0.0.0/8, 10.2.0.0/16\n"
    )
    assert conf.peers[0].allowed_ips == (ip_network("10.1.0.0/16"), ip_network("10.2.0.0/16"))


def test_a_prefix_belongs_to_the_last_peer_that_names_it() -> None:
    text = (
        f"[Interface]\nPrivateKey={KEY}\n[Peer]\nPublicKey={PEERS[0]}\nAllowedIPs=0.0.0.0/0,10.0.0.0/8\n"
        f"[Peer]\nPublicKey={PEERS[1]}\nAllowedIPs=0.0.0.0/0\n"
    )
    assert [peer.allowed_ips for peer in good(text).peers] == [(ip_network("10.0.0.0/8"),), (ip_network("0.0.0.0/0"),)]
    assert codes(text) == ["W723"]


def test_a_peer_written_twice_is_one_as_for_wg() -> None:
    text = (
        f"[Interface]\nPrivateKey={KEY}\n[Peer]\nPublicKey={PEERS[0]}\nAllowedIPs=10.0.0.0/8\nEndpoint=192.0.2.1:1\n"
        f"[Peer]\nPublicKey={PEERS[0]}\nAllowedIPs=10.1.0.0/16\n"
    )
    (peer,) = good(text).peers
    assert peer.allowed_ips == (ip_network("10.1.0.0/16"),)
    assert peer.endpoint == Endpoint("192.0.2.1", 1)
    assert codes(text) == ["W713"]


@pytest.mark.parametrize(
    ("table", "allowed", "full"),
    [
        ("auto", "0.0.0.0/0", (Family.IPV4,)),
        ("auto", "::/0, 0.0.0.0/0", (Family.IPV4, Family.IPV6)),
        ("auto", "0.0.0.0/1, 128.0.0.0/1", ()),
        ("off", "0.0.0.0/0", ()),
        ("1234", "::/0", ()),
    ],
)
def test_what_makes_a_full_tunnel(table: str, allowed: str, full: tuple[Family, ...]) -> None:
    text = f"[Interface]\nPrivateKey={KEY}\nTable={table}\n[Peer]\nPublicKey={PEERS[0]}\nAllowedIPs={allowed}\n"
    assert good(text).full == full


@given(st.binary(max_size=400))
def test_any_bytes_get_an_answer(data: bytes) -> None:
    parsed = parse_conf(data, "x.conf", "wg0")
    broken = any(found.severity is Severity.ERROR for found in parsed.diagnostics)
    assert (parsed.conf is None) == broken
    report(parsed).encode()


_WORDS = st.sampled_from(
    [
        "[Interface]",
        "[Peer]",
        "Address",
        "AllowedIPs",
        "Endpoint",
        "MTU",
        "Table",
        "PostUp",
        "DNS",
        "PublicKey",
        "#",
        ",",
        "+",
        "-",
        "/",
        "10.0.0.1",
        "::/0",
        "off",
        KEY,
        "\n",
        "\n",
        "=",
        "=",
        " ",
    ]
)


@given(st.lists(_WORDS, max_size=60))
def test_any_words_get_an_answer(words: list[str]) -> None:
    parsed = parse_conf("".join(words).encode(), "x.conf", "wg0")
    lines = "".join(words).count("\n") + 1
    assert all(1 <= found.where.line <= lines and found.where.column >= 1 for found in parsed.diagnostics)
    assert (parsed.conf is None) == any(found.severity is Severity.ERROR for found in parsed.diagnostics)
