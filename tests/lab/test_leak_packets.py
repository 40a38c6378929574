"""How the leak suite knows a packet, without any lab: by what it carries, where it goes, and what it is about."""

from __future__ import annotations

from ipaddress import ip_address

from warren.lab.leaks.decode import ETH_P_ARP, describe, recognise, token
from warren.lab.leaks.sieve import _assemble, _program
from warren.lab.packets import ICMP, ICMP6, MORE, TCP, UDP, checksum, header, icmp, ip, tcp, udp

HERE, THERE = ip_address("192.168.1.5"), ip_address("9.0.0.1")
HERE6, THERE6 = ip_address("fd11::5"), ip_address("2620::1")
MARK = token(7, 12, "dns")
IPV4, IPV6 = 0x0800, 0x86DD


def test_a_packet_is_known_by_what_it_carries_and_where_it_goes() -> None:
    raw = ip(HERE, THERE, UDP, udp(HERE, THERE, 4000, 53, b"x" + MARK))
    known = recognise(raw, IPV4)
    assert known.token == (7, 12, "dns")
    assert known.addresses == (THERE,)
    assert describe(raw, IPV4) == "IPv4 UDP 192.168.1.5:4000 → 9.0.0.1:53, 50 bytes, a dns probe"


def test_one_without_a_payload_by_where_it_goes() -> None:
    raw = ip(HERE6, THERE6, TCP, tcp(HERE6, THERE6, 4000, 443, 2))
    assert recognise(raw, IPV6).addresses == (THERE6,) and recognise(raw, IPV6).token is None
    assert describe(raw, IPV6) == "IPv6 TCP S [fd11::5]:4000 → [2620::1]:443, 60 bytes"


def test_an_error_by_what_it_is_about() -> None:
    about = ip(HERE, THERE, UDP, udp(HERE, THERE, 1, 2, b""))
    router = ip_address("198.51.100.1")
    raw = ip(router, HERE, ICMP, icmp(router, HERE, 3, 13, bytes(4) + about))
    assert recognise(raw, IPV4).addresses == (HERE, HERE, THERE)
    assert "unreachable about a packet 192.168.1.5 → 9.0.0.1" in describe(raw, IPV4)
    asked = icmp(HERE6, THERE6, 135, 0, bytes(4) + THERE6.packed)
    assert recognise(ip(HERE6, HERE6, ICMP6, asked), IPV6).addresses == (HERE6, THERE6)


def test_a_question_for_an_address_on_the_wire() -> None:
    raw = b"\0\1\x08\0\x06\x04\0\1" + bytes(6) + HERE.packed + bytes(6) + THERE.packed
    assert recognise(raw, ETH_P_ARP).addresses == (THERE,)
    assert describe(raw, ETH_P_ARP) == "ARP: who has 9.0.0.1, asks 192.168.1.5"


def test_fragments_options_and_what_is_cut_short() -> None:
    tail = ip(HERE, THERE, UDP, MARK, fragment=64)
    assert recognise(tail, IPV4).token == (7, 12, "dns")
    assert "later fragment" in describe(tail, IPV4)
    assert "first fragment" in describe(ip(HERE, THERE, UDP, bytes(64), fragment=MORE), IPV4)
    body = header(UDP, b"\1\4\0\0\0\0") + udp(HERE6, THERE6, 1, 2, MARK)
    assert "(options)" in describe(ip(HERE6, THERE6, 60, body), IPV6)
    whole = ip(HERE, THERE, UDP, udp(HERE, THERE, 1, 2, MARK))
    for length in range(len(whole)):
        recognise(whole[:length], IPV4), describe(whole[:length], IPV4)


def test_checksums_are_those_of_the_rfc() -> None:
    """A sum over a header with its checksum in it is zero (RFC 1071)."""
    raw = ip(HERE, THERE, UDP, b"", options=b"\x94\4\0\0")
    assert checksum(raw) == 0


def test_the_filter_jumps_to_where_it_says() -> None:
    """Each jump stays within the program, which ends with both verdicts."""
    for leaving in (False, True):
        program = _assemble(list(_program((51820, 51821), leaving)))
        lines = [program[at : at + 8] for at in range(0, len(program), 8)]
        for number, line in enumerate(lines):
            assert number + 1 + max(line[2], line[3]) < len(lines) or line[0] == 0x06
        assert [line[0] for line in lines].count(0x06) == 3
