"""The text for `nft -f`: read by people here, and by the kernel in a namespace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path
from random import Random
from subprocess import CompletedProcess

import pytest

from warren.core.render.nft import render_delete, render_elements, render_table
from warren.core.render.nft_words import rule_text
from warren.model import firewall as fw
from warren.model.prefix import Family, Prefix, merge, prefixes_of

GOLDEN = Path(__file__).parents[2] / "golden" / "nft"
Shell = Callable[..., "CompletedProcess[str]"]
LOAD_AND_LIST = 'printf "%s" "$1" | nft -f -; nft -s list ruleset'


def counted(words: str, matches: tuple[fw.Match, ...], family: str = "inet") -> bool:
    return rule_text(fw.NftRule(matches, (fw.Counter(),)), family) == words


def test_every_kind_reads_as_in_the_golden_file(every_kind: fw.Table) -> None:
    assert render_table(every_kind) == (GOLDEN / "every-kind.nft").read_text()


@pytest.mark.lab
def test_the_kernel_takes_every_kind_and_replacing_changes_nothing(every_kind: fw.Table, shell: Shell) -> None:
    text = render_table(every_kind)

    once, twice = shell(LOAD_AND_LIST, text), shell(LOAD_AND_LIST, text + text)

    assert once.stderr == twice.stderr == ""
    assert once.stdout == twice.stdout
    # One rule of the table can never match and is left out; every other one is in the kernel.
    rules = [line for line in text.splitlines() if line.startswith("\t\t") and "hook" not in line]
    listed = [line for line in once.stdout.splitlines() if line.startswith("\t\t") and not line.startswith("\t\t\t")]
    assert len([line for line in listed if not line.strip().startswith(("type", "flags", "elements"))]) == len(rules)
    assert "10.0.0.0/16 }" in once.stdout  # the overlapping elements became one


@pytest.mark.lab
@pytest.mark.parametrize("family", ["ip", "ip6"])
def test_a_table_of_one_family_leaves_out_what_is_of_the_other(every_kind: fw.Table, shell: Shell, family: str) -> None:
    of_family = replace(every_kind, family=family)
    other = "ip6" if family == "ip" else "ip"
    # nat to an address of the other family is a mistake of who made the table, not something to leave out
    chains = tuple(chain for chain in of_family.chains if not (chain.hook and chain.hook.type == "nat"))

    run = shell(LOAD_AND_LIST, render_table(replace(of_family, chains=chains)))

    assert run.stderr == ""
    assert f"\t\t{other} saddr" not in run.stdout


@pytest.mark.lab
def test_deleting_works_whether_the_table_is_there_or_not(every_kind: fw.Table, shell: Shell) -> None:
    run = shell(
        'printf "%s" "$2" | nft -f -; printf "%s" "$1$2" | nft -f -; nft list ruleset',
        render_table(every_kind),
        render_delete(every_kind),
    )

    assert (run.stdout, run.stderr) == ("", "")


def with_live_sets() -> tuple[fw.Table, fw.Table]:
    """A table before and after: the live sets stay, a chain and a static set vanish, another set changes."""
    fed = (fw.Set("names", fw.SetType.IPV4, live=True), fw.Set("knocks", fw.SetType.IPV6, live=True, timeout=600))
    uses = fw.NftRule((fw.Addr("daddr", Family.IPV4, fw.SetRef("names")),), (fw.Jump("old"),))
    static = fw.Set("static", fw.SetType.IPV4, (ip_network("10.0.0.0/8"),))
    old = fw.Chain("old", (fw.NftRule((), (fw.Counter(),)),))
    hook = fw.Hook("filter", "prerouting", fw.OUR_MANGLE)
    before = fw.Table(
        "warren-live",
        (*fed, static, fw.Set("gone", fw.SetType.IFNAME, ("eth9",))),
        (
            old,
            fw.Chain("prerouting", (uses, fw.NftRule((), (fw.CtMarkVmap(0xFF, ((1, "old"),)),))), hook),
        ),
    )
    after = fw.Table(
        "warren-live",
        (*fed, replace(static, elements=(ip_network("172.16.0.0/12"),))),
        (
            fw.Chain("new", (fw.NftRule((fw.Addr("saddr", Family.IPV4, fw.SetRef("static")),), (fw.Drop(),)),)),
            fw.Chain("prerouting", (replace(uses, statements=(fw.Goto("new"),)),), replace(hook, priority=-139)),
        ),
    )
    return before, after


@pytest.mark.lab
def test_live_sets_keep_their_elements(shell: Shell) -> None:
    before, after = with_live_sets()
    script = """
        printf "%s" "$1" | nft -f -
        nft add element inet warren-live names "{ 192.0.2.1, 192.0.2.0/24 }"
        nft add element inet warren-live knocks "{ fd00::1 }"
        printf "%s" "$2" | nft -f -
        printf "%s" "$3" | nft -f -
        nft -s list ruleset"""

    fed = shell(script, render_table(before), render_table(after, before), render_table(after, after))
    unfed = shell(LOAD_AND_LIST, render_table(after))

    assert fed.stderr == unfed.stderr == ""
    assert "192.0.2.0/24" in fed.stdout and "fd00::1" in fed.stdout
    elements = [line for line in fed.stdout.splitlines() if "elements" in line and "172.16" not in line]
    assert [line for line in fed.stdout.splitlines() if line not in elements] == unfed.stdout.splitlines()


@pytest.mark.lab
def test_a_table_somebody_deleted_by_hand_is_made_again(shell: Shell) -> None:
    before, after = with_live_sets()

    assert shell(LOAD_AND_LIST, render_table(after, before)).stdout == shell(LOAD_AND_LIST, render_table(after)).stdout


@pytest.mark.lab
def test_a_live_table_of_which_nothing_is_known_is_filled_again(shell: Shell) -> None:
    before, after = with_live_sets()

    run = shell(
        'printf "%s" "$1$2" | nft -f -; nft -s list set inet warren-live static',
        render_table(before),
        render_table(after),
    )

    assert run.stderr == ""
    assert "172.16.0.0/12" in run.stdout and "10.0.0.0/8" not in run.stdout


def dense(random: Random, family: Family) -> tuple[Prefix, ...]:
    """Prefixes that touch each other nearly everywhere: where exchanging intervals is hardest."""
    base = 10 << 24 if family is Family.IPV4 else 0x2400 << 112
    starts = [base + random.randrange(2048) for _ in range(random.choice((0, 1, 20, 150)))]
    return tuple(prefixes_of(merge((at, at + random.choice((0, 1, 2, 5, 8, 31, 100))) for at in starts), family))


@pytest.mark.lab
def test_exchanging_elements_leads_where_a_new_table_does(shell: Shell) -> None:
    random = Random(5)
    tables = [
        fw.Table(
            "warren-sets",
            tuple(
                fw.Set(f"s{family.value}", kind, dense(random, family))
                for family, kind in ((Family.IPV4, fw.SetType.IPV4), (Family.IPV6, fw.SetType.IPV6))
            ),
        )
        for _ in range(25)
    ]
    script = 'for text; do printf "%s" "$text" | nft -f - ; nft -s list ruleset; done'

    exchanged = [render_table(tables[0])] + [render_elements(b, a) for a, b in pairwise(tables)]
    by_elements, anew = shell(script, *exchanged), shell(script, *map(render_table, tables))

    assert by_elements.stderr == anew.stderr == ""
    assert by_elements.stdout == anew.stdout
    assert render_elements(tables[0], tables[0]) == ""


def test_what_stays_in_a_set_is_not_named() -> None:
    one, other = (
        fw.Table("t", (fw.Set("s", fw.SetType.IPV4, tuple(map(ip_network, texts))),))
        for texts in (("9.0.0.0/24", "11.0.0.0/24"), ("9.0.0.0/24", "11.0.0.0/23"))
    )

    assert render_elements(other, one) == (
        "delete element inet t s { 11.0.0.0/24 }\nadd element inet t s { 11.0.0.0/23 }\n"
    )


def test_what_can_never_match_is_left_out() -> None:
    assert counted("", (fw.Addr("saddr", Family.IPV4, ()),))
    assert counted("", (fw.Addr("saddr", Family.IPV4, (ip_network("0.0.0.0/0"),), negate=True),))
    assert counted("", (fw.IfName("iif", ()),))
    assert counted("", (fw.NfProto(Family.IPV6),), "ip")


def test_what_always_matches_says_only_its_family() -> None:
    assert counted("meta nfproto ipv6 counter", (fw.Addr("daddr", Family.IPV6, (ip_network("::/0"),)),))
    assert counted("counter", (fw.NfProto(Family.IPV4), fw.IfName("oif", (), negate=True)), "ip")


def test_a_comment_fits_nft_and_keeps_whole_characters() -> None:
    text = rule_text(fw.NftRule((), (fw.Drop(),), "a\n“b” " + "→" * 60))

    comment = text.removeprefix('drop comment "').removesuffix('"')
    assert comment.startswith("a “b” →→") and len(comment.encode()) <= 128
