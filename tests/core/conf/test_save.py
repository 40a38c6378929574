"""`save` brings a conf up to date and leaves its owner's words alone."""

from __future__ import annotations

from ipaddress import ip_interface

from warren.core.conf.parse import parse_conf
from warren.core.conf.save import save_conf

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
PSK = "/UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak="
ANNA, BEN, CARL = (
    "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
    "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=",
    "gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA=",
)
CONF = f"""# The house's tunnel.
[Interface]
Address = 10.0.0.1/24, fd00::1/64   # dual stack
DNS = 10.0.0.53, home.example
PrivateKey = {KEY}
ListenPort = 51820  # open in the router
PostUp = echo up # loud

# Anna's phone
[Peer]
PublicKey = {ANNA}
AllowedIPs = 10.0.0.2/32  # just her
Endpoint = anna.example.net:51820

# Ben
# (his old laptop)
[Peer]
PublicKey = {BEN}
AllowedIPs = 10.0.0.3/32, 10.1.0.0/16
AllowedIPs = fd00::3/128
PersistentKeepalive = 25
"""
SHOWN = f"""[Interface]
ListenPort = 51820
PrivateKey = {KEY}

[Peer]
PublicKey = {BEN}
AllowedIPs = fd00::3/128, 10.1.0.0/16, 10.0.0.3/32
Endpoint = 192.0.2.9:4000
PersistentKeepalive = 25

[Peer]
PublicKey = {ANNA}
AllowedIPs = 10.0.0.2/32
Endpoint = 198.51.100.7:51820
"""
ADDRESSES = (ip_interface("10.0.0.1/24"), ip_interface("fd00::1/64"))
NO_BEN = SHOWN[: SHOWN.index("\n[Peer]")] + SHOWN[SHOWN.rindex("\n[Peer]") :]


def test_what_holds_stays_to_the_letter() -> None:
    """Ben's endpoint was learned, and is all that is added; Anna's host name stays."""
    assert save_conf(CONF, SHOWN, ADDRESSES) == CONF + "Endpoint = 192.0.2.9:4000\n"


def test_saving_twice_changes_nothing_more() -> None:
    once = save_conf(CONF, SHOWN.replace("51820\nPrivateKey", "51999\nPrivateKey"), ADDRESSES[:1])
    assert save_conf(once, SHOWN.replace("51820\nPrivateKey", "51999\nPrivateKey"), ADDRESSES[:1]) == once


def test_a_changed_value_keeps_its_comment() -> None:
    saved = save_conf(CONF, SHOWN.replace("51820\nPrivateKey", "51999\nPrivateKey"), ADDRESSES)
    assert "ListenPort = 51999  # open in the router\n" in saved


def test_a_peer_that_is_gone_goes_with_its_comment() -> None:
    saved = save_conf(CONF, NO_BEN, ADDRESSES)
    assert "Ben" not in saved
    assert "his old laptop" not in saved
    assert BEN not in saved
    assert "# Anna's phone\n[Peer]\n" in saved


def test_a_new_peer_is_added_at_the_end() -> None:
    new = f"\n[Peer]\nPublicKey = {CARL}\nPresharedKey = {PSK}\nAllowedIPs = 10.0.0.4/32\n"
    assert save_conf(CONF, SHOWN + new, ADDRESSES).endswith(new)


def test_allowed_ips_that_changed_become_one_line() -> None:
    saved = save_conf(CONF, SHOWN.replace(", 10.0.0.3/32", ", 10.9.0.0/16"), ADDRESSES)
    assert "AllowedIPs = fd00::3/128, 10.1.0.0/16, 10.9.0.0/16\n" in saved
    assert saved.count("AllowedIPs") == 2


def test_addresses_come_and_go() -> None:
    saved = save_conf(CONF, SHOWN, (ip_interface("10.0.0.1/24"), ip_interface("10.5.0.1/16")))
    assert "Address = 10.0.0.1/24   # dual stack\nAddress = 10.5.0.1/16\nDNS = 10.0.0.53, home.example\n" in saved


def test_secrets_follow_the_device() -> None:
    saved = save_conf(CONF, SHOWN.replace(KEY, PSK), ADDRESSES)
    assert f"PrivateKey = {PSK}\n" in saved
    assert KEY not in saved
    with_psk = CONF.replace("# just her", f"# just her\nPresharedKey = {PSK}")
    assert PSK not in save_conf(with_psk, SHOWN, ADDRESSES)


def test_a_mark_that_warren_chose_is_not_saved() -> None:
    shown = SHOWN.replace("PrivateKey", "FwMark = 0xca6c\nPrivateKey", 1)
    assert "FwMark" not in save_conf(CONF, shown, ADDRESSES, own_mark=51820)
    assert "FwMark = 0xca6c\n" in save_conf(CONF, shown, ADDRESSES)


def test_the_mtu_is_written_only_where_it_was() -> None:
    with_mtu = CONF.replace("DNS", "MTU = 1400\nDNS")
    assert "MTU = 1380\n" in save_conf(with_mtu, SHOWN, ADDRESSES, mtu=1380)
    assert "MTU" not in save_conf(CONF, SHOWN, ADDRESSES, mtu=1380)


def test_what_was_saved_can_be_read_again() -> None:
    parsed = parse_conf(save_conf(CONF, NO_BEN, ADDRESSES).encode(), "wg0.conf", "wg0")
    assert parsed.conf is not None
    assert parsed.diagnostics == ()
    assert [peer.public_key for peer in parsed.conf.peers] == [ANNA]
