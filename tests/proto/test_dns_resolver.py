"""Whose answer counts, who is asked, and who never is: every exchange on a clock of its own."""

from __future__ import annotations

import dns.flags
import pytest

from tests.proto.talk_dns import ABROAD, ABROAD6, AT_HOME, AT_HOME6, FAR, NEAR, Talk, answer, policy, served
from warren.proto.dns import resolver as machine
from warren.proto.dns.message import HEADER, QR, TC
from warren.proto.dns.policy import Policy, Upstream


def fast(**names: str) -> Talk:
    return Talk(policy(fast=True, **names))


def strict(**names: str) -> Talk:
    return Talk(policy(fast=False, **names))


# --- the course of a question --------------------------------------------------------------------------------


def test_fast_asks_both_sides_and_takes_the_domestic_answer_if_it_is_domestic() -> None:
    talk = fast()
    talk.ask("shop.example")
    assert talk.asked == ["near", "far"]

    talk.hear(NEAR, AT_HOME)

    assert talk.addresses == [AT_HOME]


@pytest.mark.parametrize("lie", [[ABROAD], ["127.0.0.1"], ["10.10.34.35"], [AT_HOME, ABROAD], []])
def test_a_domestic_answer_that_proves_nothing_waits_for_the_trusted_one(lie: list[str]) -> None:
    talk = fast()
    talk.ask("news.example")

    talk.hear(NEAR, *lie)
    assert not talk.told
    talk.hear(FAR, "93.184.216.99")

    assert talk.addresses == ["93.184.216.99"]


@pytest.mark.parametrize(("kind", "lie"), [("AAAA", ABROAD6), ("HTTPS", f"1 . ipv4hint={ABROAD}")])
def test_aaaa_and_https_are_judged_like_a(kind: str, lie: str) -> None:
    talk = fast()
    talk.ask("news.example", kind)

    talk.hear(NEAR, lie)

    assert not talk.told


@pytest.mark.parametrize(
    ("kind", "true"), [("AAAA", AT_HOME6), ("HTTPS", f"1 . alpn=h2 ipv4hint={AT_HOME} ipv6hint={AT_HOME6}")]
)
def test_domestic_aaaa_and_https_are_taken(kind: str, true: str) -> None:
    talk = fast()
    talk.ask("shop.example", kind)

    talk.hear(NEAR, true)

    assert len(talk.told) == 1 and talk.told[0][1].answer


def test_https_without_hints_proves_nothing() -> None:
    talk = fast()
    talk.ask("shop.example", "HTTPS")

    talk.hear(NEAR, "1 . alpn=h2")

    assert not talk.told


def test_an_injected_answer_does_not_keep_the_true_one_behind_it_out() -> None:
    talk = fast()
    talk.ask("shop.example")

    talk.hear(NEAR, ABROAD)  # injected
    talk.hear(NEAR, AT_HOME)  # what the resolver itself said

    assert talk.addresses == [AT_HOME]


def test_an_answer_without_the_usual_opt_record_is_held_for_a_better_one() -> None:
    talk = fast()
    talk.ask("first.example")
    talk.hear(NEAR, AT_HOME)  # it knows EDNS
    talk.told.clear()
    talk.ask("shop.example")

    talk.hear(NEAR, "45.12.0.66", opt=False)  # which an injector does not know
    assert not talk.told
    talk.hear(NEAR, AT_HOME)

    assert talk.addresses == [AT_HOME]


def test_what_is_held_counts_if_nothing_better_comes() -> None:
    talk = fast()
    talk.ask("first.example")
    talk.hear(NEAR, AT_HOME)
    talk.told.clear()
    talk.ask("shop.example")

    talk.hear(NEAR, AT_HOME, opt=False)
    talk.wait(machine.HOLD)

    assert talk.addresses == [AT_HOME]


def test_strict_never_shows_a_foreign_name_to_the_domestic_side() -> None:
    talk = strict()
    talk.ask("news.example")
    talk.hear(FAR, ABROAD)

    assert talk.addresses == [ABROAD]
    assert talk.asked == ["far"]


def test_strict_asks_the_domestic_side_for_what_is_domestic_by_the_word_of_the_trusted_one() -> None:
    talk = strict()
    talk.ask("shop.example")
    talk.hear(FAR, "45.12.9.9")
    assert talk.asked == ["far", "near"] and not talk.told

    talk.hear(NEAR, AT_HOME)

    assert talk.addresses == [AT_HOME]


@pytest.mark.parametrize("near", ["silent", "lies", "fails"])
def test_strict_falls_back_on_the_trusted_answer(near: str) -> None:
    talk = strict()
    talk.ask("shop.example")
    talk.hear(FAR, "45.12.9.9")
    if near == "lies":
        talk.hear(NEAR, ABROAD)
    elif near == "fails":
        talk.hear(NEAR, rcode="SERVFAIL")
    else:
        talk.wait(machine.NEAR_PATIENCE)

    assert talk.addresses == ["45.12.9.9"]


def test_other_kinds_of_records_of_unknown_names_are_for_the_trusted_side() -> None:
    talk = fast()
    for kind in ("TXT", "MX", "NS", "SRV", "PTR"):
        talk.ask("_dmarc.example", kind)

    assert set(talk.asked) == {"far"}


def test_a_name_for_a_domestic_address_is_for_the_domestic_side() -> None:
    talk = strict()
    talk.ask("7.0.12.45.in-addr.arpa", "PTR")
    talk.ask("34.216.184.93.in-addr.arpa", "PTR")

    assert talk.asked == ["near", "far"]


# --- known names ---------------------------------------------------------------------------------------------


def test_a_known_domestic_name_goes_to_its_side_alone() -> None:
    talk = fast(near="cn")
    talk.ask("www.shop.CN")
    assert talk.asked == ["near"]

    talk.hear(NEAR, ABROAD)  # and is not judged

    assert talk.addresses == [ABROAD]


def test_a_known_foreign_name_goes_to_the_trusted_side_alone_whatever_happens() -> None:
    talk = fast(far="news.example")
    talk.ask("www.news.example")
    talk.wait(60.0)

    assert set(talk.asked) == {"far"}
    assert served(talk.told[0][1]) == "SERVFAIL"


def test_the_longest_suffix_counts() -> None:
    talk = fast(near="example", far="b.example")
    talk.ask("a.example")
    talk.ask("x.b.example")
    talk.ask("xb.example")

    assert talk.asked == ["near", "far", "near"]


def test_a_known_domestic_name_is_asked_of_the_trusted_side_when_its_own_is_dead() -> None:
    talk = strict(near="cn")
    talk.ask("shop.cn")
    talk.wait(machine.SIDE_PATIENCE)
    assert talk.asked[-1] == "far"

    talk.hear(FAR, AT_HOME)

    assert talk.addresses == [AT_HOME]


@pytest.mark.parametrize("is_fast", [False, True])
def test_with_the_trusted_side_dead_nothing_foreign_is_believed(is_fast: bool) -> None:
    talk = Talk(policy(fast=is_fast))
    talk.ask("news.example")
    if is_fast:
        talk.hear(NEAR, ABROAD)
    talk.wait(60.0)

    assert served(talk.told[0][1]) == "SERVFAIL"
    assert is_fast or set(talk.asked) == {"far"}


def test_with_the_trusted_side_dead_fast_still_resolves_what_is_domestic() -> None:
    talk = fast()
    talk.ask("shop.example")
    talk.hear(NEAR, AT_HOME)

    assert talk.addresses == [AT_HOME]


# --- what is remembered --------------------------------------------------------------------------------------


def test_a_name_that_proved_foreign_is_not_shown_to_the_domestic_side_again() -> None:
    talk = fast()
    talk.ask("news.example")
    talk.hear(NEAR, ABROAD)
    talk.hear(FAR, ABROAD)
    talk.sent.clear()

    talk.ask("news.example", "AAAA")
    talk.ask("news.example", "HTTPS")

    assert talk.asked == ["far", "far"]


def test_a_name_that_proved_domestic_is_asked_of_both_sides_by_strict() -> None:
    talk = strict()
    talk.ask("shop.example")
    talk.hear(FAR, AT_HOME)
    talk.hear(NEAR, AT_HOME)
    talk.sent.clear()

    talk.ask("shop.example", "AAAA")
    assert talk.asked == ["near", "far"]

    talk.now += machine.REMEMBERED_FOR
    talk.ask("shop.example", "HTTPS")
    assert talk.asked[2:] == ["far"]


def test_a_failure_is_remembered_for_some_seconds() -> None:
    talk = strict()
    talk.ask("gone.example")
    talk.wait(machine.SIDE_PATIENCE)
    before = len(talk.sent)

    talk.ask("gone.example")
    assert len(talk.sent) == before and len(talk.told) == 2

    talk.now += machine.FAILED_FOR
    talk.ask("gone.example")
    assert len(talk.sent) == before + 1


def test_that_there_is_no_such_name_is_an_answer() -> None:
    talk = strict()
    talk.ask("nope.example")
    talk.hear(FAR, rcode="NXDOMAIN")

    assert served(talk.told[0][1]) == "NXDOMAIN"


# --- resolvers that fail -------------------------------------------------------------------------------------


def test_the_next_resolver_is_asked_when_one_is_silent_and_first_from_then_on() -> None:
    talk = Talk(policy(fast=False, upstreams=(Upstream(FAR), Upstream(FAR), Upstream(NEAR))))
    talk.ask("a.example")
    talk.wait(machine.AGAIN)
    assert [one.upstream for one in talk.sent] == [0, 1]
    talk.hear(FAR, ABROAD)

    talk.ask("b.example")

    assert talk.sent[-1].upstream == 1


def test_a_resolver_that_refuses_is_not_asked_twice() -> None:
    talk = Talk(policy(fast=False, upstreams=(Upstream(FAR), Upstream(FAR), Upstream(NEAR))))
    talk.ask("a.example")
    talk.hear(FAR, rcode="REFUSED")
    talk.hear(FAR, rcode="SERVFAIL")

    assert [one.upstream for one in talk.sent] == [0, 1]
    assert served(talk.told[0][1]) == "SERVFAIL"


def test_no_way_to_a_resolver_ends_at_once() -> None:
    talk = strict()
    talk.ask("a.example")
    talk.resolver.fail(talk.sent[-1].flow, talk.now)
    talk.gather()

    assert served(talk.told[0][1]) == "SERVFAIL"


def test_a_question_is_sent_again_with_another_number_and_other_capitals() -> None:
    talk = strict()
    talk.ask("a-rather-long-name.example.org")
    talk.wait(machine.AGAIN * 2)

    payloads = [one.payload for one in talk.sent]
    assert len({payload[:2] for payload in payloads}) == len(payloads) == 3
    assert len({payload[12:] for payload in payloads}) == 3
    assert len({payload[12:].lower() for payload in payloads}) == 1


# --- forgeries -----------------------------------------------------------------------------------------------


def test_an_answer_with_another_number_or_question_is_passed_over() -> None:
    talk = strict()
    talk.ask("news.example")
    one = talk.sent[-1]
    true = answer(one, ABROAD)

    talk.receive(one, bytes((true[0] ^ 1,)) + true[1:])
    talk.receive(one, true[:12] + bytes((true[12],)) + b"x" + true[14:])
    talk.receive(one, b"")
    assert not talk.told and len(talk.sent) == 1

    talk.receive(one, true)
    assert talk.addresses == [ABROAD]


def test_other_capitals_lead_to_the_same_question_by_tcp_once() -> None:
    talk = strict()
    talk.ask("news.example")
    one = talk.sent[-1]
    true = answer(one, "45.0.0.1")
    swapped = true[:12] + true[12:].swapcase()
    talk.receive(one, swapped)
    talk.receive(one, swapped)

    assert [sent.stream for sent in talk.sent] == [False, True]
    talk.hear(FAR, ABROAD)
    assert talk.addresses == [ABROAD]


def test_what_is_cut_short_is_asked_for_by_tcp() -> None:
    talk = strict()
    talk.ask("big.example")
    one = talk.sent[-1]
    flags = HEADER.unpack_from(one.payload)[1] | QR | TC
    talk.receive(one, one.payload[:2] + flags.to_bytes(2, "big") + one.payload[4:])

    assert talk.sent[-1].stream
    talk.hear(FAR, *(f"93.184.{at}.1" for at in range(200)))
    message = talk.told[0][1]
    assert message.flags & dns.flags.TC and not message.answer  # too long for the client too, which asks by TCP then


# --- bounds --------------------------------------------------------------------------------------------------


def test_who_asks_the_same_meanwhile_waits_for_the_same_answer() -> None:
    talk = strict()
    talk.ask("news.example", who="a")
    talk.ask("NEWS.example", who="b", id=4711)
    assert len(talk.sent) == 1
    talk.hear(FAR, ABROAD)

    assert [who for who, _ in talk.told] == ["a", "b"]
    assert talk.told[1][1].id == 4711
    assert str(talk.told[1][1].question[0].name) == "NEWS.example."


def test_there_is_an_end_to_what_is_under_way() -> None:
    talk = strict()
    for at in range(machine.MOST_JOBS + 50):
        talk.ask(f"n{at}.example")
    assert talk.resolver.in_flight == machine.MOST_JOBS
    assert [served(message) for _, message in talk.told] == ["SERVFAIL"] * 50

    talk.wait(machine.SIDE_PATIENCE)

    assert talk.resolver.in_flight == 0 and talk.resolver.next_timer() is None
    assert sorted(talk.resolver.to_close()) == sorted(one.flow for one in talk.sent)


def test_one_side_alone_is_asked_without_judging() -> None:
    talk = Talk(Policy((Upstream(FAR, stream=True),)))
    talk.ask("router.example")
    talk.hear(FAR, "192.168.1.1")

    assert talk.addresses == ["192.168.1.1"] and talk.sent[0].stream


def test_what_is_no_question_is_refused() -> None:
    talk = strict()
    talk.ask("example", "ANY")
    talk.ask("example", "AXFR")
    talk.resolver.ask(b"\x12\x34\x01\x00" + bytes(8), "me", talk.now)
    talk.resolver.ask(b"\x12\x34\x81\x00" + bytes(8), "me", talk.now)
    talk.resolver.ask(b"x", "me", talk.now)
    talk.gather()

    assert [served(message) for _, message in talk.told] == ["NOTIMP", "NOTIMP", "FORMERR"]
    assert not talk.sent
