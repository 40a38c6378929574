"""What is true of every compiled firewall table."""

from __future__ import annotations

from hypothesis import given

from tests.core.compile.cases import CASES, Case, compiled, over_networks
from warren.core.compile.firewall.exempt import LENT
from warren.model.firewall import Chain, CtMarkToMark, Drop, Goto, IfName, Jump, Masquerade, Reject, SetRef
from warren.model.place import PlaceKind


def goals(chain: Chain) -> set[str]:
    """The chains that a chain's rules lead to."""
    return {deed.chain for rule in chain.rules for deed in rule.statements if isinstance(deed, (Goto, Jump))}


@given(CASES)
@over_networks
def test_every_portal_is_guarded(case: Case) -> None:
    """Its source is led to a guard by where it comes in, and no guard lets fall through what it does not know."""
    network, _ = case
    states = compiled(case)
    for portal in network.portals:
        state = states[portal.source.host]
        chains = {chain.name: chain for table in state.tables for chain in table.chains}
        own = portal.source.kind is PlaceKind.HOST
        hook, prefix, last = ("postrouting", "own_guard_", Drop) if own else ("forward", "guard_", Reject)
        found = [
            deed.chain
            for rule in chains[hook].rules
            for deed in rule.statements
            if isinstance(deed, Goto) and deed.chain.startswith(prefix) and str(portal.source) in rule.comment
        ]
        assert found, portal
        for guard in found:
            end = chains[guard].rules[-1]
            assert not end.matches and isinstance(end.statements[-1], last)
        if not own:
            lans = [m for rule in chains["forward"].rules if str(portal.source) in rule.comment for m in rule.matches]
            assert IfName("iif", (portal.source.lan,)) in lans


@given(CASES)
@over_networks
def test_who_may_send_from_anywhere_is_asked_what_is_his(case: Case) -> None:
    """A peer with 0/0 stands alone on its device, and prerouting has a chain for that device that ends in a drop."""
    for state in compiled(case).values():
        chains = {chain.name: chain for table in state.tables for chain in table.chains}
        for interface in state.interfaces:
            if any(prefix.prefixlen == 0 for peer in interface.peers for prefix in peer.allowed_ips):
                assert len(interface.peers) == 1
                asked = [
                    rule for rule in chains["prerouting"].rules if IfName("iif", (interface.name,)) in rule.matches
                ]
                ((deed,),) = (rule.statements for rule in asked)
                assert isinstance(deed, Jump)
                end = chains[deed.chain].rules[-1]
                assert not end.matches and isinstance(end.statements[-1], Drop)


@given(CASES)
@over_networks
def test_the_table_holds_together(case: Case) -> None:
    """Every chain that is led to is there and used; marks are constants; sources into tunnels are rewritten to one."""
    for state in compiled(case).values():
        for table in state.tables:
            names = {chain.name for chain in table.chains}
            led = set().union(*(goals(chain) for chain in table.chains))
            assert led <= names
            assert {chain.name for chain in table.chains if chain.hook is None} <= led
            sets = {held.name for held in table.sets}
            for rule in (rule for chain in table.chains for rule in chain.rules):
                assert len(rule.comment.encode()) <= 128, rule.comment
                assert not any(isinstance(deed, CtMarkToMark) for deed in rule.statements)
                refs = (getattr(match, part, None) for match in rule.matches for part in ("names", "values"))
                assert {ref.name for ref in refs if isinstance(ref, SetRef)} <= sets
                # What is exempted has the uplink's mark, and leaves by whatever main says.
                elsewhere = rule.comment == "hairpin" or LENT in rule.matches
                if any(isinstance(deed, Masquerade) for deed in rule.statements) and not elsewhere:
                    assert IfName("oif", ("eth0",)) in rule.matches or IfName("oif", ("wan",)) in rule.matches
