"""iptables says what nft says: the kernel takes the text, and a reader of each finds the same verdict and marks."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from subprocess import CompletedProcess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warren.core.render.iptables import TABLES, hook_rules, own_chains, render_restore
from warren.core.render.iptables_words import NAME_CHARS
from warren.model import firewall as fw
from warren.model.prefix import Family, Prefix

Shell = Callable[..., "CompletedProcess[str]"]


@pytest.mark.lab
@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_the_kernel_takes_every_kind_and_removal_leaves_nothing(every_kind: fw.Table, shell: Shell, kind: str) -> None:
    script = f"""
        for n in 1 2; do
            printf '%s' "$1" | iptables-{kind}-restore --noflush; printf '%s' "$2" | ip6tables-{kind}-restore --noflush
        done
        iptables-{kind}-save | grep -c -- '-A WARREN'; ip6tables-{kind}-save | grep -c -- '-A WARREN'
        printf '%s' "$3" | iptables-{kind}-restore --noflush; printf '%s' "$4" | ip6tables-{kind}-restore --noflush
        iptables-{kind}-save | grep WARREN || :; ip6tables-{kind}-save | grep WARREN || :"""
    texts = [render(every_kind, family) for render in (render_restore, removal) for family in Family]

    run = shell(script, *texts)

    assert run.stderr == ""
    assert run.stdout.split() == [str(text.count("\n-A ")) for text in texts[:2]]


def removal(table: fw.Table, family: Family) -> str:
    """What a script does to take our chains away, whether they are there or not."""
    text = ""
    for home in TABLES:
        chains = [chain for name, chain in own_chains(table, family) if name == home]
        made, gone = (f":{chain} - [0:0]" for chain in chains), (f"-X {chain}" for chain in chains)
        text += "\n".join([f"*{home}", *made, *gone, "COMMIT", ""])
    return text


def test_guards_stand_first_and_marks_last(every_kind: fw.Table) -> None:
    hooks = {(rule.table, rule.builtin): rule.first for rule in hook_rules(every_kind, Family.IPV4)}

    assert hooks == {
        ("mangle", "PREROUTING"): False,
        ("mangle", "OUTPUT"): False,
        ("filter", "FORWARD"): True,
        ("filter", "INPUT"): True,
        ("nat", "PREROUTING"): True,
        ("nat", "POSTROUTING"): True,
    }
    assert all(len(rule.chain) <= NAME_CHARS for rule in hook_rules(every_kind, Family.IPV6))


def one_chain(*rules: fw.NftRule, hook: fw.Hook | None = None, more: tuple[fw.Chain, ...] = ()) -> fw.Table:
    hook = hook or fw.Hook("filter", "forward", -140)
    return fw.Table("warren-t", (), (fw.Chain("base", rules, hook), *more))


def lines_of(table: fw.Table, family: Family = Family.IPV4) -> list[str]:
    text = render_restore(table, family)
    return [line.removeprefix("-A WARREN-t-") for line in text.splitlines() if line.startswith("-A")]


def test_each_family_gets_its_own_words() -> None:
    table = one_chain(fw.NftRule((), (fw.Reject(),)))
    mangle = one_chain(fw.NftRule((), (fw.Reject(),)), hook=fw.Hook("filter", "postrouting", -140))

    assert lines_of(table) == ["base -j REJECT --reject-with icmp-admin-prohibited"]
    assert lines_of(table, Family.IPV6) == ["base -j REJECT --reject-with icmp6-adm-prohibited"]
    assert lines_of(mangle) == ["base -j DROP"]


def test_an_accept_ends_our_chain_and_no_others() -> None:
    accept = fw.NftRule((), (fw.Accept(),))
    below = fw.Chain("below", (accept,))

    assert lines_of(one_chain(accept)) == ["base -j RETURN"]
    assert "below -j RETURN" in lines_of(one_chain(fw.NftRule((), (fw.Goto("below"),)), more=(below,)))
    with pytest.raises(ValueError, match="cannot accept in below"):
        lines_of(one_chain(fw.NftRule((), (fw.Jump("below"),)), more=(below,)))


def test_words_that_may_be_said_once_are() -> None:
    lo = fw.IfName("oif", ("lo",), negate=True)
    several = fw.IfName("oif", ("wn0",), negate=True)
    nested = (fw.Addr("saddr", Family.IPV4, (net("10.0.0.0/8"),)), fw.Addr("saddr", Family.IPV4, (net("10.1.0.0/16"),)))

    assert lines_of(one_chain(fw.NftRule((lo, several), (fw.Drop(),)))) == [
        "base -g WARREN-t-base.1",
        "base -g WARREN-t-base.2",
        "base.1 -o lo -g WARREN-t-base.2",
        "base.1 -o wn0 -g WARREN-t-base.2",
        "base.1 -j DROP",
    ]
    assert lines_of(one_chain(fw.NftRule(nested, (fw.Drop(),)))) == ["base -s 10.1.0.0/16 -j DROP"]


# --- two readers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Packet:
    """What the rules below look at."""

    iif: str = "a"
    oif: str = "b"
    saddr: str = "10.0.0.1"
    daddr: str = "10.1.0.1"
    proto: str = "tcp"
    dport: int = 80
    syn: bool = False


@dataclass
class Run:
    """A packet on its way through chains: its marks, and what became of it."""

    packet: Packet
    mark: int = 0
    ct_mark: int = 0
    verdict: str = "continue"


class End(Exception):
    """A verdict that ends everything."""


def read_nft(table: fw.Table, run: Run) -> None:
    """Read the typed table as nft(8) says."""
    chains = {chain.name: chain for chain in table.chains}

    def walk(name: str) -> None:
        for rule in chains[name].rules:
            if not all(holds(match) for match in rule.matches):
                continue
            for statement in rule.statements:
                match statement:
                    case fw.SetMark():
                        run.mark = run.mark & ~statement.mask | statement.value
                    case fw.SetCtMark():
                        run.ct_mark = run.ct_mark & ~statement.mask | statement.value
                    case fw.Drop():
                        run.verdict = "drop"
                        raise End
                    case fw.Accept():
                        raise End
                    case fw.Return():
                        return
                    case fw.Jump():
                        walk(statement.chain)
                    case fw.Goto():
                        return walk(statement.chain)
                    case fw.CtMarkVmap():
                        for value, chain in statement.chains:
                            if run.ct_mark & statement.mask == value:
                                return walk(chain)

    def holds(match: fw.Match) -> bool:
        packet = run.packet
        match match:
            case fw.IfName():
                assert isinstance(match.names, tuple)
                return (getattr(packet, match.direction) in match.names) is not match.negate
            case fw.Addr():
                assert isinstance(match.values, tuple)
                inside = any(ip_address(getattr(packet, match.field)) in prefix for prefix in match.values)
                return match.family == 4 and inside is not match.negate
            case fw.L4Proto():
                return (packet.proto in match.protos) is not match.negate
            case fw.Port():
                spans = [v if isinstance(v, tuple) else (v, v) for v in match.values]
                return packet.proto == match.proto and any(a <= packet.dport <= b for a, b in spans)
            case fw.TcpSyn():
                return packet.proto == "tcp" and packet.syn
            case fw.Mark():
                return (run.mark & match.mask == match.value) is not match.negate
            case fw.CtMark():
                return (run.ct_mark & match.mask == match.value) is not match.negate
        raise TypeError(match)

    try:
        walk("base")
    except End:
        return


def read_iptables(text: str, run: Run) -> None:
    """Read the rendered text as iptables(8) says."""
    chains: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        if line.startswith("-A"):
            words = shlex.split(line)
            chains.setdefault(words[1], []).append(words[2:])

    def walk(name: str) -> None:
        for words in chains.get(name, []):
            target = read(words)
            if target is None:
                continue
            flag, word, *rest = target
            if word == "RETURN":
                return
            if word == "DROP":
                run.verdict = "drop"
                raise End
            if word in ("MARK", "CONNMARK"):
                value, mask = (int(part, 16) for part in rest[1].split("/"))
                if word == "MARK":
                    run.mark = run.mark & ~mask ^ value
                else:
                    run.ct_mark = run.ct_mark & ~mask ^ value
            elif flag == "-g":
                return walk(word)
            else:
                walk(word)

    def read(words: list[str]) -> list[str] | None:
        """Give the target if all matches hold."""
        at, negate, module = 0, False, ""
        packet = run.packet
        seen: set[str] = set()
        while at < len(words):
            word = words[at]
            if word == "!":
                negate, at = True, at + 1
                continue
            if word in ("-j", "-g"):
                return words[at:]
            value = words[at + 1]
            if word == "-m":
                module, at = value, at + 2
                continue
            if word in ("-i", "-o", "-s", "-d", "-p"):
                assert word not in seen, f"multiple {word} flags not allowed"
                seen.add(word)
            if word == "--mark":
                want, mask = (int(part, 16) for part in value.split("/"))
                held = (run.mark if module == "mark" else run.ct_mark) & mask == want
            elif word == "--tcp-flags":
                held, at = packet.syn, at + 1
            elif word == "--dport":
                first, _, last = value.partition(":")
                held = int(first) <= packet.dport <= int(last or first)
            elif word in ("-s", "-d"):
                held = ip_address(packet.saddr if word == "-s" else packet.daddr) in ip_network(value)
            else:
                held = {"-i": packet.iif, "-o": packet.oif, "-p": packet.proto}[word] == value
            if held is negate:
                return None
            negate, at = False, at + 2
        raise AssertionError(f"no target in {words}")

    try:
        walk("WARREN-t-base")
    except End:
        return


def net(text: str) -> Prefix:
    return ip_network(text)


NAMES = st.lists(st.sampled_from(["a", "b", "c"]), unique=True, min_size=1, max_size=2).map(tuple)
NETS = st.lists(
    st.sampled_from([net("10.0.0.0/16"), net("10.0.0.1/32"), net("10.1.0.0/16"), net("10.0.0.0/8")]),
    unique=True,
    min_size=1,
    max_size=2,
).map(tuple)
MATCHES = st.one_of(
    st.builds(fw.IfName, st.sampled_from(["iif", "oif"]), NAMES, st.booleans()),
    st.builds(fw.Addr, st.sampled_from(["saddr", "daddr"]), st.just(Family.IPV4), NETS, st.booleans()),
    st.builds(fw.L4Proto, st.sampled_from([("tcp",), ("tcp", "udp"), ("icmp",)]), st.booleans()),
    st.builds(fw.Port, st.sampled_from(["tcp", "udp"]), st.just("dport"), st.sampled_from([(80,), (22, (70, 90))])),
    st.just(fw.TcpSyn()),
    st.builds(fw.Mark, st.just(3), st.sampled_from([0, 1, 2]), st.booleans()),
    st.builds(fw.CtMark, st.just(3), st.sampled_from([0, 1, 2]), st.booleans()),
)
SETS = st.one_of(
    st.builds(fw.SetMark, st.just(3), st.sampled_from([0, 1, 2])),
    st.builds(fw.SetCtMark, st.just(3), st.sampled_from([0, 1, 2])),
)


def ends(below: list[str], base: bool) -> st.SearchStrategy[fw.Statement]:
    choices: list[st.SearchStrategy[fw.Statement]] = [st.just(fw.Drop()), st.just(fw.Return())]
    if base:
        choices.append(st.just(fw.Accept()))
    if below:
        name = st.sampled_from(below)
        vmap = st.builds(lambda one, other: fw.CtMarkVmap(3, ((1, one), (2, other))), name, name)
        choices += [st.builds(fw.Jump, name), st.builds(fw.Goto, name), vmap]
    return st.one_of(choices)


@st.composite
def tables(draw: st.DrawFn) -> fw.Table:
    """Chains that lead only to later ones, so that nothing loops."""
    names = ["base", "one", "two", "three"]
    chains = []
    for at, name in enumerate(names):
        rules = []
        for _ in range(draw(st.integers(1, 4))):
            statements = draw(st.lists(SETS, max_size=2))
            statements += draw(st.lists(ends(names[at + 1 :], at == 0), max_size=1))
            rules.append(fw.NftRule(tuple(draw(st.lists(MATCHES, max_size=3))), tuple(statements)))
        chains.append(fw.Chain(name, tuple(rules), fw.Hook("filter", "forward", -140) if at == 0 else None))
    return fw.Table("warren-t", (), tuple(chains))


PACKETS = st.builds(
    Packet,
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["10.0.0.1", "10.0.3.1", "192.0.2.1"]),
    st.sampled_from(["10.1.0.1", "10.0.0.1", "192.0.2.1"]),
    st.sampled_from(["tcp", "udp", "icmp"]),
    st.sampled_from([22, 80, 443]),
    st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(tables(), st.lists(PACKETS, min_size=1, max_size=6), st.sampled_from([0, 1, 2]))
def test_iptables_comes_to_the_same_as_nft(table: fw.Table, packets: list[Packet], mark: int) -> None:
    text = render_restore(table, Family.IPV4)

    for packet in packets:
        said, meant = Run(packet, mark, mark), Run(packet, mark, mark)
        read_nft(table, meant)
        read_iptables(text, said)
        assert (said.verdict, said.mark, said.ct_mark) == (meant.verdict, meant.mark, meant.ct_mark), text


def test_a_set_becomes_a_rule_for_each_element() -> None:
    near = fw.Set("near", fw.SetType.IPV4, (net("10.0.0.0/25"), net("10.0.0.128/25"), net("10.2.0.0/24")))
    table = one_chain(fw.NftRule((fw.Addr("daddr", Family.IPV4, fw.SetRef("near")),), (fw.Return(),), "near"))

    assert lines_of(replace(table, sets=(near,))) == [
        'base -d 10.0.0.0/24 -m comment --comment "near" -j RETURN',
        'base -d 10.2.0.0/24 -m comment --comment "near" -j RETURN',
    ]


def test_a_map_after_other_statements_leaves_the_chain_for_good() -> None:
    fork = fw.NftRule((), (fw.SetMark(3, 2), fw.CtMarkVmap(3, ((1, "one"),))))
    table = one_chain(fork, fw.NftRule((), (fw.Drop(),)), more=(fw.Chain("one", ()),))

    went, stayed = Run(Packet(), 0, 1), Run(Packet(), 0, 2)
    for run in (went, stayed):
        read_iptables(render_restore(table, Family.IPV4), run)

    assert (went.verdict, went.mark) == ("continue", 2) and stayed.verdict == "drop"
