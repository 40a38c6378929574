"""Other firewalls on the host: which of their chains would drop our packets, and the exact rule that lets them pass."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from warren.core.render.consent import add_consent
from warren.model.change import Obstacle
from warren.model.prefix import FAMILIES, Family, overlaps
from warren.model.state import (
    ConsentRule,
    HostState,
)
from warren.model.surroundings import ForeignChain, Surroundings

_WORKS_AT = ("forward", "input")
_FAMILIES_OF = {
    "ip": (Family.IPV4,),
    "ip6": (Family.IPV6,),
    "inet": FAMILIES,
    "legacy4": (Family.IPV4,),
    "legacy6": (Family.IPV6,),
}
_HAS_HOOK = ("docker", "ufw", "firewalld")
TAILSCALE = ip_network("100.64.0.0/10")  # what its chains drop unless it comes in by tailscale0


def foreign_chains(state: HostState, surroundings: Surroundings) -> Iterator[Obstacle]:
    """Name each foreign base chain that may drop what we forward or let in, and that no consent answers."""
    if not state.interfaces:
        return
    told: set[tuple[str, str, Family]] = set()
    for chain in surroundings.chains:
        if chain.hook not in _WORKS_AT or chain.consented or not (chain.policy == "drop" or chain.rules):
            continue
        if chain.hook == "forward" and not _forwards(state):
            continue
        for family in _FAMILIES_OF.get(chain.family, ()):
            if chain.tool == "tailscale" and not _in_tailscale(state):
                continue
            # Docker, ufw and the like keep several base chains at a hook; one rule of ours is the answer to all.
            known = chain.tool if chain.tool in _HAS_HOOK else f"{chain.family} {chain.table} {chain.name}"
            key = (known, chain.hook, family)
            hooked = _consents(state, chain, family)
            wanted = [rule for rule in hooked if rule not in state.consents]
            if key in told or (hooked and not wanted):
                continue
            told.add(key)
            yield _chain_obstacle(state, chain, family, wanted)


def _chain_obstacle(state: HostState, chain: ForeignChain, family: Family, wanted: list[ConsentRule]) -> Obstacle:
    where = f"{chain.family} {chain.table} {chain.name}"
    what = "forwarded" if chain.hook == "forward" else "incoming"
    # firewalld ends its chains with a reject instead of a policy.
    blocks = chain.policy == "drop" or chain.tool == "firewalld"
    how = "and drops what it does not know" if blocks else "by rules that warren does not read"
    owner = {"": "another firewall", "nft": "another nft table", "iptables": "iptables"}.get(chain.tool, chain.tool)
    says = f"{owner} filters {what} {family.word} packets, {how} ({where})"
    if not wanted:
        return Obstacle(
            says,
            f"Make sure that this chain lets {_our_names(state)} pass; warren's table cannot overrule it.",
            _by_hand(state, chain, family),
            blocks,
        )
    commands = "\n".join(_shell(add_consent(rule, state.owner)) for rule in wanted)
    return Obstacle(
        says,
        f"Write `firewall: {chain.tool}` under hosts.{state.host} and warren keeps these rules there, or run them.",
        commands,
        blocks,
    )


def _consents(state: HostState, chain: ForeignChain, family: Family) -> list[ConsentRule]:
    """List the rules that a tool's own hook needs for us; none where it has no hook that we know."""
    if chain.tool not in _HAS_HOOK or (chain.tool == "docker" and chain.hook == "input"):
        return []
    names = [interface.name for interface in state.interfaces]
    if chain.hook == "forward":
        ways = ("forward-in", "forward-out")
        return [ConsentRule(chain.tool, family, way, name) for name in names for way in ways]
    ports = [interface.listen_port for interface in state.interfaces if interface.listen_port]
    return [ConsentRule(chain.tool, family, "input", name) for name in names] + [
        ConsentRule(chain.tool, family, "input", udp_port=port) for port in ports
    ]


def _by_hand(state: HostState, chain: ForeignChain, family: Family) -> str:
    """Write the commands that let us pass a chain whose owner we do not know."""
    names = [interface.name for interface in state.interfaces]
    ports = [interface.listen_port for interface in state.interfaces if interface.listen_port]
    lines = []
    if chain.family.startswith("legacy"):
        program = "iptables-legacy" if family is Family.IPV4 else "ip6tables-legacy"
        ways = ("-i", "-o") if chain.hook == "forward" else ("-i",)
        lines = [f"{program} -I {chain.name} {way} {name} -j ACCEPT" for name in names for way in ways]
        if chain.hook == "input":
            lines += [f"{program} -I {chain.name} -p udp --dport {port} -j ACCEPT" for port in ports]
    else:
        insert = f"nft insert rule {chain.family} {chain.table} {chain.name}"
        ways = ("iifname", "oifname") if chain.hook == "forward" else ("iifname",)
        lines = [f'{insert} {way} "{name}" accept' for name in names for way in ways]
        if chain.hook == "input":
            lines += [f"{insert} udp dport {port} accept" for port in ports]
    return "\n".join(lines)


def _forwards(state: HostState) -> bool:
    return any(s.name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding") for s in state.sysctls)


def _in_tailscale(state: HostState) -> bool:
    return any(overlaps(a.network, TAILSCALE) for interface in state.interfaces for a in interface.addresses)


def _our_names(state: HostState) -> str:
    return ", ".join(interface.name for interface in state.interfaces)


def _shell(argv: tuple[str, ...]) -> str:
    """Write a command for a person to paste."""
    return " ".join(f"'{word}'" if set(word) & set(' "{}|$;') else word for word in argv if word != "-w")
