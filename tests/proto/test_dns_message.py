"""Messages read and written, with dnspython as the other opinion, and with bytes that nobody would send."""

from __future__ import annotations

from ipaddress import ip_address
from random import Random

import dns.exception
import dns.message
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proto.talk_dns import Talk, answer, policy
from warren.proto.dns import message
from warren.proto.dns.judge import pointed_at
from warren.proto.dns.message import Malformed, mixed_case, read_answer, read_query, reply, wire_name

LABEL = st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True)
NAME = st.lists(LABEL, min_size=1, max_size=6).map(".".join)
ADDRESS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@given(NAME, st.sampled_from(["A", "AAAA", "HTTPS", "TXT", "PTR"]), st.booleans(), st.integers(0, 4096))
def test_a_query_is_read_as_dnspython_wrote_it(name: str, kind: str, signed: bool, room: int) -> None:
    made = dns.message.make_query(name, kind, want_dnssec=signed, payload=room, use_edns=0 if room else None)
    read = read_query(made.to_wire())

    assert read.number == made.id
    assert read.question.key == wire_name(name)
    assert read.question.kind == dns.rdatatype.from_text(kind)
    assert read.wants_signatures == signed
    assert read.room == max(512, made.payload if made.edns >= 0 else 0)


@given(NAME, st.lists(ADDRESS, max_size=20), st.booleans())
def test_the_addresses_are_those_that_dnspython_put_in(name: str, addresses: list[object], aliased: bool) -> None:
    made = dns.message.make_response(dns.message.make_query(name, "A", use_edns=0))
    if aliased:
        made.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "CNAME", f"cdn.{name}."))
    owner = f"cdn.{name}." if aliased else f"{name}."
    for address in addresses:
        kind = "AAAA" if ":" in str(address) else "A"
        made.answer.append(dns.rrset.from_text(owner, 60, "IN", kind, str(address)))
    made.additional.append(dns.rrset.from_text("elsewhere.example.", 60, "IN", "A", "9.9.9.9"))  # no part of the answer
    read = read_answer(made.to_wire())

    assert [value for _, value in read.addresses] == [int(ip_address(str(one))) for one in addresses]
    assert read.opt is not None


def test_hints_of_https_are_addresses() -> None:
    made = dns.message.make_response(dns.message.make_query("a.example", "HTTPS"))
    value = "1 svc.example. alpn=h2 port=8443 ipv4hint=1.2.3.4,5.6.7.8 ipv6hint=2001:db8::1"
    made.answer.append(dns.rrset.from_text("a.example.", 60, "IN", "HTTPS", value))

    found = read_answer(made.to_wire()).addresses
    assert [(family, str(ip_address(one))) for family, one in found] == [
        (4, "1.2.3.4"),
        (4, "5.6.7.8"),
        (6, "2001:db8::1"),
    ]


@given(NAME, st.booleans(), st.booleans())
def test_an_answer_is_handed_on_as_it_came_but_for_number_case_and_opt(name: str, asked: bool, given_opt: bool) -> None:
    query = dns.message.make_query(name, "A", use_edns=0 if asked else None, id=7)
    other = dns.message.make_query(name.swapcase(), "A", use_edns=0 if given_opt else None, id=9)
    made = dns.message.make_response(other)
    made.answer.append(dns.rrset.from_text(f"{name.swapcase()}.", 60, "IN", "A", "1.2.3.4"))
    wire = reply(read_query(query.to_wire()), read_answer(made.to_wire()), 65535)
    told = dns.message.from_wire(wire)

    assert told.id == 7
    assert told.question[0].name.to_text() == f"{name}."
    assert [str(item) for rrset in told.answer for item in rrset] == ["1.2.3.4"]
    assert (told.edns >= 0) == (asked and given_opt)


@given(NAME, st.binary(min_size=32, max_size=32))
def test_mixed_capitals_are_the_same_name(name: str, chance: bytes) -> None:
    mixed = mixed_case(wire_name(name), chance)

    assert mixed.lower() == wire_name(name)
    assert [one for one in mixed if one < 64] == [one for one in wire_name(name) if one < 64]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_malformed(data: bytes) -> None:
    for read in (read_query, read_answer):
        try:
            read(data)
        except Malformed:
            continue


def test_mutated_messages_are_read_or_malformed_and_never_disturb_the_resolver() -> None:
    """What dnspython can read of an answer with addresses, we read alike, as far as both understand it."""
    chance = Random(11)
    talk = Talk(policy(fast=True))
    talk.ask("www.shop.example", "A")
    one = talk.sent[0]
    whole = answer(one, "45.12.0.7", "45.12.0.8")
    agreed = 0
    for _ in range(4000):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 5)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        mutant = bytes(data[: chance.randrange(len(data) + 1)] if chance.random() < 0.3 else data)
        agreed += _agree(mutant)
        talk.resolver.receive(one.flow, mutant, talk.now)
        talk.resolver.ask(mutant, "you", talk.now)
        talk.resolver.to_answer()
    assert agreed > 500


def _agree(data: bytes) -> bool:
    try:
        theirs = dns.message.from_wire(data)
    except (dns.exception.DNSException, ValueError, KeyError, NotImplementedError, AttributeError):
        theirs = None
    try:
        ours = read_answer(data)
    except Malformed:
        # We are the stricter ones only about what an answer to one question is.
        assert theirs is None or len(theirs.question) != 1 or not theirs.flags & message.QR or theirs.opcode() != 0
        return False
    if theirs is None or theirs.flags & message.TC or theirs.opcode() != 0:
        return False
    found = {
        int(ip_address(item.address))
        for rrset in theirs.answer
        if rrset.rdclass == message.IN and rrset.rdtype in (message.A, message.AAAA)
        for item in rrset
    }
    assert found <= {value for _, value in ours.addresses}  # which counts those of other classes, too
    return True


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(11),
        bytes(12),
        b"\0\1\x80\0\0\1" + bytes(6) + b"\xc0\x0c\0\1\0\1",  # a question that points at itself
        b"\0\1\x80\0\0\1\0\1\0\0\0\0\0\0\1\0\1\xc0",  # half a pointer
        b"\0\1\x80\0\0\1\0\1\0\0\0\0\0\0\1\0\1\0\0\1\0\1\0\0\0\0\0\4abc",  # data that is too short
        b"\0\1\x80\0\0\1\xff\xff\0\0\0\0\0\0\1\0\1",  # records that are not there
        b"\0\1\x80\0\0\1" + bytes(6) + b"\x3f" + b"a" * 63 + b"\x3f" * 300,
    ],
)
def test_what_is_no_answer(data: bytes) -> None:
    with pytest.raises(Malformed):
        read_answer(data)


def test_a_name_that_stands_for_an_address() -> None:
    for text in ("4.3.2.1", "255.0.10.192", "2001:db8::5", "::1"):
        address = ip_address(text)
        pointer = wire_name(address.reverse_pointer)
        assert pointed_at(pointer) == (address.version, int(address))
    for name in ("in-addr.arpa", "256.1.1.1.in-addr.arpa", "a.1.1.1.in-addr.arpa", "1.1.in-addr.arpa", "x.ip6.arpa"):
        assert pointed_at(wire_name(name)) is None
