"""A host asks its router for a port: by each protocol, for longer, again when it was forgotten, and not without end."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proto.routers import DESCRIPTION, HOST, KIND, NONCE, OUTSIDE, ROUTER, Router, page, run
from warren.proto.address import Address
from warren.proto.portmap import http, igd, natpmp, pcp, ssdp
from warren.proto.portmap.asking import NATPMP_WAITS, PCP_WAITS
from warren.proto.portmap.control import WAITS as UPNP_WAITS
from warren.proto.portmap.control import Exchange
from warren.proto.portmap.epoch import Epoch
from warren.proto.portmap.mapper import ALONE, ALONE_MOST, CALM, Mapper
from warren.proto.portmap.parsers import PARSERS
from warren.proto.portmap.survey import Survey
from warren.proto.portmap.values import By, Why
from warren.proto.refusal import Refusal

ALL = frozenset(By)
SIX, ROUTER6 = Address.of("2001:db8:1::50", 51820), Address.of("fe80::1", 0)


def mapper(start: float = 0.0) -> Mapper:
    return Mapper(ROUTER, HOST, NONCE, Random(7).random, start)


def router(*speaks: By, **more: object) -> Router:
    return Router(frozenset(speaks), **more)  # type: ignore[arg-type]


def held(one: Mapper) -> tuple[By, str] | None:
    return (one.mapping.by, str(one.mapping.external)) if one.mapping else None


# --- by which protocol ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", list(By))
def test_a_port_is_asked_for_by_what_the_router_speaks(by: By) -> None:
    there, here = router(by), mapper()

    run(here, there, 0, 1)

    assert held(here) == (by, f"{OUTSIDE}:51820")
    assert there.opened == {51820: HOST}


def test_pcp_is_tried_first_and_nothing_else_if_it_is_spoken() -> None:
    there, here = router(*By), mapper()

    run(here, there, 0, 60)

    assert held(here) == (By.PCP, f"{OUTSIDE}:51820") and set(there.asked) == {"PCP"}


def test_a_router_of_natpmp_says_so_in_its_own_version_and_is_understood() -> None:
    there, here = router(By.NATPMP), mapper()

    sent = run(here, there, 0, 60)

    assert there.asked == ["PCP", "NAT-PMP", "NAT-PMP"] and sent[-1] < 0.01
    assert here.declined == {By.PCP: Why.UNSPOKEN}


def test_a_router_that_says_nothing_is_asked_as_often_as_the_rfcs_begin_and_left_alone_then() -> None:
    here = mapper()

    sent = run(here, None, 0, 14 * ALONE)

    first = [at for at in sent if at < ALONE]
    assert len(first) == 2 + 4 + 2 and 12 < first[-1] < 16  # PCP, NAT-PMP, UPnP
    assert 2.7 <= first[1] <= 3.3
    assert [round(b - a, 2) for a, b in pairwise(first[2:6])] == [0.25, 0.5, 1.0]
    rests = [b - a for a, b in pairwise(sent) if b - a > 60]
    assert len(rests) == 3 and rests[0] >= ALONE and all(1.7 < b / a < 2.4 for a, b in pairwise(rests))
    assert here.declined == {By.PCP: Why.SILENT, By.NATPMP: Why.SILENT, By.UPNP: Why.SILENT}


def test_a_router_that_refuses_is_left_alone_for_as_long_as_it_asks() -> None:
    there, here = router(By.PCP, refuses=2), mapper()

    run(here, there, 0, 1799)
    assert there.asked.count("PCP") == 1 and here.declined[By.PCP] is Why.REFUSED
    there.refuses = 0
    run(here, there, 1799, 2500)

    assert held(here)


@pytest.mark.parametrize("outside", ["0.0.0.0", "169.254.1.1", "127.0.0.1"])
@pytest.mark.parametrize("by", list(By))
def test_an_address_that_is_none_is_no_mapping(by: By, outside: str) -> None:
    here = mapper()
    run(here, router(by, outside=outside), 0, 60)
    assert here.mapping is None and here.declined[by] is Why.USELESS


@pytest.mark.parametrize(("outside", "inside"), [("100.72.0.1", True), ("192.168.0.2", True), (OUTSIDE, False)])
def test_a_router_behind_a_nat_is_known_by_its_address(outside: str, inside: bool) -> None:
    here = mapper()
    run(here, router(By.PCP, outside=outside), 0, 60)
    assert here.mapping is not None and here.mapping.inside is inside


def test_the_firewall_of_ipv6_is_opened_by_pcp_alone() -> None:
    here = Mapper(ROUTER6, SIX, NONCE, Random(7).random, 0)
    (asked, to), *more = here.to_send(0)
    assert to == Address(ROUTER6.ip, 5351) and not more
    assert asked[8:24] == SIX.ip.packed
    answer = bytes((2, 0x81, 0, 0)) + (600).to_bytes(4) + (9).to_bytes(4) + bytes(12) + asked[24:44] + SIX.ip.packed
    here.receive(answer, to, 0)
    assert here.mapping is not None and here.mapping.external == SIX


# --- for how long ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", list(By))
def test_a_port_is_held_by_asking_at_half_of_its_time(by: By) -> None:
    there, here = router(by), mapper()
    run(here, there, 0, 10)

    sent = run(here, there, 10, 20 * 3600)

    asked = [at for at, before in zip(sent, [0.0, *sent], strict=False) if at - before > 60]
    assert held(here) and all(0.5 * 7200 <= b - a <= 0.63 * 7200 for a, b in pairwise(asked))


def test_a_router_that_falls_silent_is_asked_ever_sooner_and_its_port_is_dropped_at_the_end() -> None:
    there, here = router(By.PCP, lifetime=1200), mapper()
    run(here, there, 0, 1)

    sent = run(here, None, 1, 1199)
    assert held(here)
    assert len([at for at in sent if at > 1000]) >= 4 and all(b - a > 2.5 for a, b in pairwise(sent))
    run(here, None, 1199, 1201)

    assert here.mapping is None


def test_a_port_that_was_given_to_somebody_else_meanwhile_is_another_one_now() -> None:
    there, here = router(By.PCP), mapper()
    run(here, there, 0, 1)
    there.opened.clear()
    there.taken = (51820,)
    run(here, there, 1, 7200)
    assert held(here) == (By.PCP, f"{OUTSIDE}:51821")


@pytest.mark.parametrize("by", [By.PCP, By.NATPMP])
def test_a_router_that_begins_anew_and_says_so_is_asked_within_seconds(by: By) -> None:
    there, here = router(by), mapper()
    run(here, there, 0, 1000)
    there.opened.clear()
    there.began, there.outside = 1000.0, "203.0.113.99"
    announced = {
        By.PCP: bytes((2, 0x80, 0, 0, 0, 0, 0, 0)) + (1).to_bytes(4) + bytes(12),
        By.NATPMP: bytes((0, 128, 0, 0)) + (1).to_bytes(4) + ip_address(there.outside).packed,
    }[by]

    here.receive(announced, Address(ip_address("192.168.1.66"), 5351), 1001)  # somebody else says so
    assert here.next_timer() > 3000
    here.receive(announced, Address(ROUTER.ip, 5351), 1001)
    run(here, there, 1001, 1007)

    assert there.opened and held(here) == (by, "203.0.113.99:51820")


def test_a_router_that_begins_to_speak_is_heard_though_it_was_given_up() -> None:
    here = mapper()
    run(here, None, 0, 100)
    there = router(By.NATPMP, began=100.0)
    said = there.server(natpmp.address_request(), 100)
    assert here.resting and said is not None
    here.receive(said, Address(ip_address("192.168.1.66"), 5351), 100)
    run(here, there, 100, 106)
    assert not there.opened
    here.receive(said, Address(ROUTER.ip, 5351), 106)
    run(here, there, 106, 112)
    assert held(here) == (By.NATPMP, f"{OUTSIDE}:51820")


def test_a_move_has_the_router_asked_at_once() -> None:
    there, here = router(By.NATPMP), mapper()
    run(here, there, 0, 1000)
    there.opened.clear()
    here.moved(1000)
    run(here, there, 1000, 1001)
    assert there.opened


def test_clocks_that_go_astray() -> None:
    exact = Epoch(True)
    assert not exact.astray(1000, 0.0)
    assert not exact.astray(1100, 100.0) and not exact.astray(1099, 100.1)  # packets change places
    assert not exact.astray(1203, 200.0)
    assert exact.astray(1100, 300.0)  # backwards
    assert exact.astray(9000, 310.0)  # ahead
    assert exact.astray(9001, 4000.0)  # it stood
    mild = Epoch(False)
    assert not mild.astray(1000, 0.0) and not mild.astray(9000, 1.0) and mild.astray(3, 10.0)


# --- to the end -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", list(By))
def test_a_port_is_taken_back(by: By) -> None:
    there, here = router(by), mapper()
    run(here, there, 0, 10)
    said = here.farewell()
    assert said is not None
    if isinstance(said, Exchange):
        there.web(said.data)
    else:
        there.server(said, 10)
    assert there.opened == {} and here.mapping is None
    assert here.to_send(1e9) == [] and here.farewell() is None


def test_by_upnp_a_port_that_is_taken_is_left_and_one_without_an_end_is_known_as_such() -> None:
    there, here = router(By.UPNP, taken=(51820,), only_permanent=True, chunked=True), mapper()
    run(here, there, 0, 10)
    assert here.endless and here.mapping is not None and here.mapping.external.port in there.opened
    assert 20000 <= here.mapping.external.port < 60000
    there.opened.clear()
    run(here, there, 10, 2000)  # it is asked for again now and then: the router may have forgotten
    assert there.opened


def test_by_upnp_four_other_ports_are_tried_and_no_more() -> None:
    there, here = router(By.UPNP, taken=tuple(range(65536))), mapper()
    run(here, there, 0, 10)
    assert there.asked.count("AddPortMapping") == 5 and here.declined[By.UPNP] is Why.FULL


# --- who is believed ------------------------------------------------------------------------------------------


def test_an_answer_counts_only_from_the_router_with_our_nonce_and_to_a_question() -> None:
    there, here = router(By.PCP), mapper()
    ((asked, to),) = here.to_send(0)
    answer = there.server(asked, 0)
    assert answer is not None

    here.receive(answer, Address(ip_address("192.168.1.66"), 5351), 0)
    here.receive(answer, Address(ROUTER.ip, 5350), 0)
    here.receive(answer[:24] + b"not our own!" + answer[36:], to, 0)
    here.receive(answer[:40] + b"\1\2" + answer[42:], to, 0)
    assert here.mapping is None and here.refused.total() == 4
    here.receive(answer, to, 0)
    assert held(here)
    here.receive(answer[:42] + b"\1\2" + answer[44:], to, 1)
    assert held(here) == (By.PCP, f"{OUTSIDE}:51820")


@pytest.mark.parametrize(
    "location",
    [
        "http://192.168.1.2:5000/rootDesc.xml",
        "http://192.168.1.1.example.net/",
        "http://192.168.1.1@192.168.1.2/",
        "http://router.lan/rootDesc.xml",
        "https://192.168.1.1/",
        "http://192.168.1.1:99999/",
        "http://192.168.1.1/a b",
        "http://192.168.1.1/\n",
        "ftp://192.168.1.1/",
        "",
    ],
)
def test_a_description_elsewhere_is_not_fetched(location: str) -> None:
    said = f"HTTP/1.1 200 OK\r\nST: {ssdp.GATEWAY}1\r\nLOCATION: {location}\r\n\r\n".encode()
    found = ssdp.parse(said, ROUTER.ip)  # type: ignore[arg-type]
    assert found is Refusal.VALUE or found == http.Page(Address(ROUTER.ip, 80), "/")  # a line's end ends the header


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/ctl/IPConn", "/ctl/IPConn"),
        ("ctl/IPConn", "/a/ctl/IPConn"),
        ("http://192.168.1.1:5000/x", "/x"),
        ("http://192.168.1.2:5000/x", None),
        ("//evil/x y", None),
        ("https://192.168.1.1/x", None),
    ],
)
def test_commands_go_to_the_router_alone(url: str, path: str | None) -> None:
    base = http.Page(Address(ROUTER.ip, 5000), "/a/root.xml")
    found = igd.control(DESCRIPTION.replace("/ctl/IPConn", url).encode(), base)
    assert found == ((KIND, http.Page(base.at, path)) if path else None)


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>'


@pytest.mark.parametrize(
    "document",
    [
        BOMB,
        "<!DOCTYPE a SYSTEM 'http://192.168.1.2/'><a/>",
        "<a>" * 40,
        "<a>" * 40 + "</a>" * 40,
        f"<r>{'<a/>' * 3000}</r>",
        f"<a>{'x' * 600}</a>",
        '<?xml version="1.0" encoding="nonsense"?><a/>',
        "<a>",
        "",
        "\0",
    ],
)
def test_documents_are_bounded(document: str) -> None:
    assert igd.elements(document.encode()) is Refusal.VALUE


def test_pcp_is_laid_out_as_the_rfc_says() -> None:
    asked = pcp.map_request(HOST, NONCE, None, 7200)
    assert asked.hex() == (
        "0201" + "0000" + "00001c20" + "00000000000000000000ffffc0a80132"
        + NONCE.hex() + "11" + "000000" + "ca6c" + "ca6c" + "00000000000000000000ffff00000000"
    )  # fmt: skip
    assert pcp.map_request(HOST, NONCE, None, 0)[42:44] == b"\0\0"
    assert natpmp.map_request(51820, 0, 7200).hex() == "0001" + "0000" + "ca6c" + "0000" + "00001c20"


def test_options_of_an_answer_fit_or_it_is_refused() -> None:
    there = router(By.PCP)
    answer = there.server(pcp.map_request(HOST, NONCE, None, 7200), 0)
    assert answer is not None
    assert isinstance(pcp.parse(answer + bytes((200, 0, 0, 3, 1, 2, 3, 0))), pcp.Answer)
    assert pcp.parse(answer + bytes((200, 0, 0, 9, 1, 2, 3, 0))) is Refusal.LENGTH
    assert pcp.parse(answer[:56]) is Refusal.LENGTH and pcp.parse(answer + b"\0") is Refusal.LENGTH


# --- whatever comes -------------------------------------------------------------------------------------------


def samples() -> dict[str, bytes]:
    there = router(*By)
    search = there.search(ssdp.search(ssdp.EVERYBODY))
    by_pcp = there.server(pcp.map_request(HOST, NONCE, None, 7200), 0)
    by_natpmp = there.server(natpmp.map_request(51820, 0, 7200), 0)
    assert search and by_pcp and by_natpmp
    web = http.Page(Address(ROUTER.ip, 5000), "/ctl/IPConn")
    return {
        "PCP": by_pcp,
        "NAT-PMP": by_natpmp,
        "SSDP": search,
        "HTTP": page(DESCRIPTION, chunked=True),
        "description": DESCRIPTION.encode(),
        "command": there.web(igd.command(KIND, web, "GetExternalIPAddress")),
    }


def test_every_reader_reads_what_is_right() -> None:
    assert samples().keys() == PARSERS.keys()
    assert not [name for name, data in samples().items() if isinstance(PARSERS[name](data), Refusal | None)]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(PARSERS)), st.binary(max_size=1200))
def test_any_bytes_are_read_or_refused(name: str, data: bytes) -> None:
    PARSERS[name](data)


def test_what_is_nearly_right_is_read_or_refused_and_a_host_lives_through_it() -> None:
    chance = Random(4)
    right = samples()
    for turn in range(4000):
        name = chance.choice(list(right))
        data = bytearray(right[name])
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(data))
            how = chance.randrange(3)
            data[at : at + (how != 1)] = bytes((chance.randrange(256),)) if how else b""
        PARSERS[name](bytes(data))
        here = mapper()
        here.to_send(0)
        port = 1900 if name == "SSDP" else 5351
        here.receive(bytes(data), Address(ROUTER.ip, port), turn / 1000)
        for one in here.exchanges():
            here.answered(one.number, bytes(data), 1)
        assert here.mapping is None or here.mapping.external.port


def test_the_page_says_the_numbers_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
    assert (PCP_WAITS, NATPMP_WAITS, UPNP_WAITS) == ((3.0, 6.0), (0.25, 0.5, 1.0, 2.0), (0.5, 2.0))
    assert "0, 3 s      │ 0 … 1.75 s  │ 0, 0.5 s" in page and "6, 2 and 2 s later it counts as silent" in page
    assert f"{sum(PCP_WAITS) + sum(NATPMP_WAITS):.0f} seconds until UPnP is tried" in page
    assert (ALONE, ALONE_MOST, CALM) == (300, 7200, 5) and "5 min, 10, 20 … 2 h" in page and "again within 5 s" in page


# --- which it speaks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("speaks", [(), (By.PCP,), (By.NATPMP,), (By.UPNP,), tuple(By)])
def test_a_survey_tells_what_is_spoken_and_opens_nothing(speaks: tuple[By, ...]) -> None:
    there = router(*speaks)
    survey, now = Survey(ROUTER, HOST, 0.0), 0.0
    while not survey.done:
        for data, to in survey.to_send(now):
            answer = there.server(data, now) if to.port == 5351 else there.search(data)
            if answer is not None:
                survey.receive(answer, Address(ROUTER.ip, to.port))
        for one in survey.exchanges():
            survey.answered(there.web(one.data))
        now = survey.next_timer()
    assert survey.spoken.protocols == set(speaks) and now <= 2 and not there.opened
    assert str(survey.spoken.outside) == (OUTSIDE if By.NATPMP in speaks else "None")
