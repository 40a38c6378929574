"""Lines of `nft monitor trace` (nft 1.0.6), read: the packet at a chain, a rule that matched, how a chain ended."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import ip_address

from warren.model.trace import Header

_LINE = re.compile(r"trace id (?P<id>\w+) (?P<family>\w+) (?P<table>\S+) (?P<chain>\S+) (?P<rest>.*)")
_RULE = re.compile(r"rule (?P<text>.*) \(verdict (?P<verdict>[^)]*)\)")
_POLICY = re.compile(r"policy (?P<policy>accept|drop)")
_MARK = re.compile(r"meta mark (0x[0-9a-f]+)")
_COMMENT = re.compile(r'comment "([^"]*)"')
_COUNTER = re.compile(r"counter packets \d+ bytes \d+ ?")
_SET = re.compile(r"(meta|ct) mark set (?:meta|ct) mark & (0x[0-9a-f]+) \| (0x[0-9a-f]+)")
_SAVE_ALL = re.compile(r"(meta|ct) mark set (0x[0-9a-f]+)")
_ALL = 0xFFFFFFFF
_VERB = (
    re.compile(r"(?P<does>(?:snat|dnat)(?: ip6?)?(?: prefix)? to \S+)"),
    re.compile(r"(?P<does>masquerade)"),
    re.compile(r"(?P<does>reject(?: with .*?)?)(?: comment.*)?$"),
)
_WORD = {"icmp": "icmp", "ipv6-icmp": "icmp", "tcp": "tcp", "udp": "udp"}


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the kernel's trace. `header` is set where it shows the packet, `mark` (-1: not said) elsewhere."""

    table: str
    family: str
    chain: str
    rule: str = ""
    verdict: str = ""
    policy: str = ""
    header: Header | None = None
    iif: str = ""
    oif: str = ""
    key: tuple[object, ...] = ()
    mark: int = -1
    id: str = ""


def read_line(line: str) -> Told | None:
    """Read one line of `nft monitor trace`; None for anything else it prints."""
    found = _LINE.match(line.strip())
    if found is None:
        return None
    rest = found["rest"]
    told = Told(found["table"], found["family"], found["chain"], id=found["id"])
    if rest.startswith("packet:"):
        return _packet(told, rest)
    rule = _RULE.match(rest)
    if rule is not None:
        return replace(told, rule=rule["text"], verdict=rule["verdict"])
    policy = _POLICY.match(rest)
    mark = _MARK.search(rest)
    return replace(told, policy=policy["policy"] if policy else "", mark=int(mark[1], 16) if mark else 0)


def _packet(told: Told, text: str) -> Told | None:
    def word(name: str) -> str:
        found = re.search(rf'(?<!\S){name} "?([^\s"]+)', text)
        return found[1] if found else ""

    version = "ip6" if "ip6 saddr" in text else "ip"
    if not word(f"{version} saddr"):
        return None
    proto = _WORD.get(word(f"{version} {'nexthdr' if version == 'ip6' else 'protocol'}"), "other")
    sport, dport = (word(f"{proto} {end}") for end in ("sport", "dport"))
    icmp = "icmpv6" if version == "ip6" else "icmp"
    numbers = (int(sport or 0), int(dport or 0)) if proto != "icmp" else (int(word(f"{icmp} id") or 0), 0)
    length = int(word(f"{version} length") or 0) + (40 if version == "ip6" else 0)
    header = Header(
        ip_address(word(f"{version} saddr")), ip_address(word(f"{version} daddr")), proto, *numbers, size=length
    )
    known_by = word("ip id") or word("ip6 flowlabel")
    rest = re.search(r"@th,\S+ (\S+)", text)
    key = (version, proto, known_by, *sorted(numbers), word(f"{icmp} sequence"), rest[1] if rest else "")
    return replace(told, header=header, iif=word("iif"), oif=word("oif"), key=key)


def reason(line: Told) -> str:
    """Say why a rule stands there: its comment, else the rule itself."""
    comment = _COMMENT.search(line.rule)
    return comment[1] if comment else _COUNTER.sub("", line.rule)


def deed(line: Told) -> str:
    """Say in walk's words what a rule does; empty if it only looks or jumps."""
    found = _SET.search(line.rule)
    if found:
        keep, value = int(found[2], 16), int(found[3], 16)
        # nft writes the mask of what is kept, and adds the bits that are set to it.
        mask = ~(keep & ~value) & _ALL
        return f"{'mark' if found[1] == 'meta' else 'connection mark'} {value:#010x} under {mask:#010x}"
    found = _SAVE_ALL.search(line.rule)
    if found:
        return f"{'mark' if found[1] == 'meta' else 'connection mark'} {int(found[2], 16):#010x}"
    for verb in _VERB:
        named = verb.search(line.rule)
        if named:
            return named["does"].replace(" ip6 ", " ").replace(" ip ", " ")
    if "maxseg size set" in line.rule:
        return "clamps TCP's segment size to what the way carries"
    return "drop" if line.verdict == "drop" else ""
