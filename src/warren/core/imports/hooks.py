"""What the hooks of a conf do, where they do what WireGuard's users mostly want of them.

Each command becomes a fact, or is not understood. Commands that take back what another one did (`-D`, `ip rule del`)
are facts of the same kind: warren takes back by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from warren.core.imports.shell import commands_in
from warren.model.prefix import Address, Prefix
from warren.model.publish import PortRange


@dataclass(frozen=True, slots=True)
class Masquerade:
    """What leaves by `out` (from `source`, if it says so) takes the host's own address."""

    out: str
    source: Prefix | None = None


@dataclass(frozen=True, slots=True)
class Accept:
    """What comes in by `into` may leave by `out`, or arrive here; empty for any."""

    into: str = ""
    out: str = ""


@dataclass(frozen=True, slots=True)
class Redirect:
    """New flows that come in at `into` go to `to`; `ports` None is everything, `exempt`: they stay here instead."""

    into: str
    ports: PortRange | None
    to: Address | None
    exempt: bool = False


@dataclass(frozen=True, slots=True)
class Replies:
    """A piece of what sends replies back into the tunnel that the flow came from: a mark, or a rule and its table."""

    table: int = 0


@dataclass(frozen=True, slots=True)
class Usual:
    """What warren does by itself wherever it is needed: forwarding, MSS clamps, its own port, a kill switch."""


Fact = Masquerade | Accept | Redirect | Replies | Usual
USUAL = Usual()


def facts_of(hook: str, device: str) -> tuple[Fact, ...] | None:
    """Read one hook; None if a part of it is not understood."""
    commands = commands_in(hook, device)
    if commands is None:
        return None
    facts = [_fact(words, device) for words in commands]
    return None if any(fact is None for fact in facts) else tuple(fact for fact in facts if fact is not None)


def _fact(words: list[str], device: str) -> Fact | None:
    program = words[0].rpartition("/")[2]
    read = _PROGRAMS.get(program)
    if program == "sudo" and len(words) > 1:
        return _fact(words[1:], device)
    try:
        return read(words[1:], device) if read is not None else None
    except (ValueError, IndexError, KeyError):
        return None


# --- iptables ------------------------------------------------------------------------------------------------

_WITH_WORD = {
    "-t": "table", "--table": "table", "-A": "append", "--append": "append", "-I": "append", "--insert": "append",
    "-D": "delete", "--delete": "delete", "-C": "append", "-F": "flush", "--flush": "flush",
    "-i": "in", "--in-interface": "in", "-o": "out", "--out-interface": "out", "-p": "proto", "--protocol": "proto",
    "-s": "source", "--source": "source", "-d": "destination", "--destination": "destination", "-j": "jump",
    "--jump": "jump", "--dport": "dport", "--destination-port": "dport", "--dports": "dport", "-m": "match",
    "--match": "match", "--state": "state", "--ctstate": "state", "--to-destination": "to", "--to-source": "to-source",
    "--to": "to", "--mark": "mark", "--set-mark": "set", "--set-xmark": "set", "--set-mss": "mss",
    "--comment": "comment", "-w": "", "--wait": "",
}  # fmt: skip
_ALONE = {"--clamp-mss-to-pmtu", "--restore-mark", "--save-mark", "-w", "--wait"}


def _iptables(words: list[str], device: str) -> Fact | None:
    rule = _options(words)
    table, chain, jump = rule.get("table", "filter"), rule.get("append") or rule.get("delete"), rule.get("jump")
    if "flush" in rule:
        return Replies() if (table, rule["flush"]) == ("mangle", "PREROUTING") else None
    judge = _CHAINS.get((table, chain or ""))
    fact = judge(rule, jump or "", device) if judge is not None else None
    return USUAL if fact is not None and "delete" in rule else fact


def _options(words: list[str]) -> dict[str, str]:
    """Read a rule's words; ValueError for one that is not known: it could change what all of it means."""
    rule: dict[str, str] = {}
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "!":
            name = _WITH_WORD[words[at]]
            rule[f"not {name}"] = words[at + 1]
            at += 2
        elif word == "--tcp-flags":
            rule["flags"] = f"{words[at]} {words[at + 1]}"
            at += 2
        elif word in _ALONE:
            rule[word] = ""
        else:
            name = _WITH_WORD[word]
            if not (name == "match" and "match" in rule):
                rule[name] = words[at]
            at += 1
            if word == "-I" and at < len(words) and words[at].isdecimal():
                at += 1
    return rule


def _only(rule: dict[str, str], *names: str) -> None:
    """Raise ValueError if a rule matches by more than these."""
    beyond = rule.keys() - {"table", "append", "delete", "jump", "match", "comment", "-w", "--wait", *names}
    if beyond:
        raise ValueError(f"{beyond}")


def _postrouting(rule: dict[str, str], jump: str, _device: str) -> Fact | None:
    _only(rule, "out", "source", "to-source", "in")
    if jump not in ("MASQUERADE", "SNAT") or "out" not in rule:
        return None
    return Masquerade(rule["out"], ip_network(rule["source"], strict=False) if "source" in rule else None)


def _forward(rule: dict[str, str], jump: str, _device: str) -> Fact | None:
    if jump == "TCPMSS":
        return USUAL
    _only(rule, "in", "out", "state", "source", "destination")
    return Accept(rule.get("in", ""), rule.get("out", "")) if jump == "ACCEPT" else None


def _input(rule: dict[str, str], jump: str, _device: str) -> Fact | None:
    _only(rule, "in", "proto", "dport", "state")
    return Accept(rule.get("in", "")) if jump == "ACCEPT" else None


def _prerouting(rule: dict[str, str], jump: str, _device: str) -> Fact | None:
    _only(rule, "in", "proto", "dport", "to")
    ports = _ports(rule)
    if jump == "ACCEPT" and ports is not None:
        return Redirect(rule.get("in", ""), ports, None, exempt=True)
    if jump != "DNAT":
        return None
    to, _, port = rule["to"].partition(":") if rule["to"].count(":") <= 1 else (rule["to"].strip("[]"), "", "")
    if port and ports is None:
        return None
    if port and ports is not None:
        first, _, last = port.partition("-")
        ports = PortRange(ports.proto, ports.first, ports.last, (int(first), int(last or first)))
    return Redirect(rule.get("in", ""), ports, ip_address(to))


def _ports(rule: dict[str, str]) -> PortRange | None:
    """Read `-p tcp --dport 80`, a range, or a whole protocol; None where a rule says neither."""
    if "proto" not in rule:
        return None
    first, _, last = rule.get("dport", "1:65535").partition(":")
    if rule["proto"] not in ("tcp", "udp"):
        raise ValueError(rule["proto"])
    return PortRange(rule["proto"], int(first), int(last or first))


def _mangle(rule: dict[str, str], jump: str, _device: str) -> Fact | None:
    if jump == "TCPMSS":
        return USUAL
    _only(rule, "in", "not in", "state", "mark", "set", "--restore-mark", "--save-mark")
    return Replies() if jump in ("CONNMARK", "MARK") else None


_Judge = Callable[[dict[str, str], str, str], Fact | None]
_CHAINS: dict[tuple[str, str], _Judge] = {
    ("nat", "POSTROUTING"): _postrouting,
    ("nat", "PREROUTING"): _prerouting,
    ("filter", "FORWARD"): _forward,
    ("filter", "INPUT"): _input,
    ("mangle", "FORWARD"): _forward,
    ("mangle", "POSTROUTING"): _forward,
    ("mangle", "PREROUTING"): _mangle,
    ("mangle", "OUTPUT"): _mangle,
}

# --- nft, ip, sysctl -----------------------------------------------------------------------------------------

_NFT = re.compile(
    r"(?:add|insert) rule (?:ip|ip6|inet) (?P<table>\S+) (?P<chain>\w+) "
    r"(?:iif(?:name)? (?P<in>\S+) )?(?:ip6? saddr (?P<source>\S+) )?(?:oif(?:name)? (?P<out>\S+) )?"
    r"(?:counter )?(?P<verdict>masquerade|accept)"
)
_NFT_FRAME = re.compile(r"(add|delete|flush) (table|chain) (ip|ip6|inet) .*|delete rule .*")


def _nft(words: list[str], _device: str) -> Fact | None:
    text = " ".join(words)
    found = _NFT.fullmatch(text)
    if found is None:
        return USUAL if _NFT_FRAME.fullmatch(text) else None
    if found["verdict"] == "accept":
        return Accept(found["in"] or "", found["out"] or "") if found["chain"].lower() == "forward" else None
    source = ip_network(found["source"], strict=False) if found["source"] else None
    return Masquerade(found["out"], source) if found["out"] else None


_RULE = re.compile(
    r"(?:-[46] )?rule (?P<verb>add|del|delete) (?:fwmark (?P<mark>\w+)(?:/\w+)?|from (?P<source>\S+)) "
    r"(?:table|lookup) (?P<table>\d+)(?: (?:priority|pref|prio) \d+)?"
)


def _ip(words: list[str], _device: str) -> Fact | None:
    found = _RULE.fullmatch(" ".join(words))
    if found is None:
        return None
    if found["source"]:
        ip_network(found["source"], strict=False)
    return USUAL if found["verb"] != "add" else Replies(int(found["table"]))


_FORWARDING = re.compile(r"(net[./]ipv4[./](ip_forward|conf[./]all[./](forwarding|src_valid_mark))"
                         r"|net[./]ipv6[./]conf[./]all[./]forwarding)=1")  # fmt: skip


def _sysctl(words: list[str], _device: str) -> Fact | None:
    settings = [word for word in words if word not in ("-w", "-q")]
    return USUAL if settings and all(_FORWARDING.fullmatch(word) for word in settings) else None


def _usual(_words: list[str], _device: str) -> Fact | None:
    return USUAL


_PROGRAMS: dict[str, Callable[[list[str], str], Fact | None]] = {
    "iptables": _iptables,
    "ip6tables": _iptables,
    "nft": _nft,
    "ip": _ip,
    "sysctl": _sysctl,
    "kill-switch": _usual,
    "true": _usual,
}
