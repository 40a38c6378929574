"""The one tagged rule at a foreign firewall's own hook that the owner consented to (`firewall:`).

An accept in our table never overrides a drop in theirs, so the rule has to stand in theirs, where that tool leaves
room for others and lets it be:

    docker      DOCKER-USER, which Docker makes for this and never flushes
    ufw         ufw-user-forward, ufw-user-input (ufw6-… for IPv6); `ufw reload` empties them, and the next apply
                sees that and puts the rule back
    firewalld   the head of filter_FORWARD, filter_INPUT in its nft table; a reload rebuilds it, likewise

Its comment names the owner and the rule, `warren-portals/forward-in/portals/0`, so that a listing can be read back.
"""

from __future__ import annotations

import re
from shlex import join

from warren.model.prefix import Family
from warren.model.state import ConsentRule

# Where each tool lets others in, by family and direction; docker has no hook for input, for it never drops there.
_UFW = {Family.IPV4: "ufw-user", Family.IPV6: "ufw6-user"}
_TAG = re.compile(r"(warren-[^/\s\"']+)/(forward-in|forward-out|input)/([^/\s\"']*)/(\d+)")


def consent_tag(rule: ConsentRule, owner: str) -> str:
    """Write the comment that marks the rule as ours."""
    return f"warren-{owner.replace(':', '-')}/{rule.direction}/{rule.device}/{rule.udp_port}"


def consent_place(rule: ConsentRule) -> tuple[str, str]:
    """Give the program and the chain where the rule stands; ValueError if the tool has no such hook."""
    forward = rule.direction != "input"
    if rule.tool == "firewalld":
        return "nft", "filter_FORWARD" if forward else "filter_INPUT"
    program = "iptables" if rule.family is Family.IPV4 else "ip6tables"
    if rule.tool == "docker" and forward:
        return program, "DOCKER-USER"
    if rule.tool == "ufw":
        return program, f"{_UFW[rule.family]}-{'forward' if forward else 'input'}"
    raise ValueError(f"{rule.tool} has no hook for {rule.direction}")


def has_hook(rule: ConsentRule) -> bool:
    """Say whether the rule's tool has a hook for it."""
    return rule.tool in ("ufw", "firewalld") or rule.direction != "input"


def add_consent(rule: ConsentRule, owner: str) -> tuple[str, ...]:
    """Give the command that adds the rule."""
    program, chain = consent_place(rule)
    tag = consent_tag(rule, owner)
    if program == "nft":
        return ("nft", f'insert rule inet firewalld {chain} {_nft_matches(rule)} accept comment "{tag}"')
    return (program, "-w", "-I", chain, *_iptables_matches(rule, tag))


def drop_consent(rule: ConsentRule, owner: str) -> tuple[str, ...]:
    """Give the command that removes the rule; nft removes by a number that only a listing tells."""
    program, chain = consent_place(rule)
    tag = consent_tag(rule, owner)
    if program == "nft":
        listing = join(("nft", "-a", "list", "chain", "inet", "firewalld", chain))
        pick = f"sed -n 's|.*comment \"{tag}\" # handle ||p'"
        return (
            "sh",
            "-euc",
            f"for at in $({listing} | {pick}); do nft delete rule inet firewalld {chain} handle $at; done",
        )
    return (program, "-w", "-D", chain, *_iptables_matches(rule, tag))


def consents_in(listing: str, tool: str, family: Family, owner: str) -> tuple[ConsentRule, ...]:
    """Read an owner's rules back from the text of `iptables -S CHAIN`, or `nft list chain` of firewalld's."""
    mine = f"warren-{owner.replace(':', '-')}"
    found = (match.groups() for match in _TAG.finditer(listing))
    rules = (ConsentRule(tool, family, way, device, int(port)) for tag, way, device, port in found if tag == mine)
    return tuple(dict.fromkeys(rules))


def _iptables_matches(rule: ConsentRule, tag: str) -> tuple[str, ...]:
    device = ("-o" if rule.direction == "forward-out" else "-i", rule.device) if rule.device else ()
    port = ("-p", "udp", "--dport", str(rule.udp_port)) if rule.udp_port else ()
    return (*device, *port, "-m", "comment", "--comment", tag, "-j", "ACCEPT")


def _nft_matches(rule: ConsentRule) -> str:
    words = [f"meta nfproto {rule.family.word}"]
    if rule.device:
        words.append(f'{"oif" if rule.direction == "forward-out" else "iif"}name "{rule.device}"')
    if rule.udp_port:
        words.append(f"udp dport {rule.udp_port}")
    return " ".join(words)
