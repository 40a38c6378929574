"""The kernel as oracle for rules, tables and the reverse-path filter: `ip route get` in a namespace of its own.

A case is a Surroundings made at random and questions about it; the namespace lives as long as one shell does.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network

from warren.core.render.ip import route_words, rule_words
from warren.core.walk.conntrack import Connections
from warren.core.walk.fib import LOOPBACK, Key
from warren.core.walk.gate import Doubts
from warren.core.walk.host import HostView
from warren.core.walk.packet import Packet
from warren.core.walk.path import Here, HostPath, Out
from warren.model.prefix import Address, Family, Prefix
from warren.model.state import MAIN, Action, Backend, HostState, Route, RouteKind, Rule, Sysctl
from warren.model.surroundings import Link, Surroundings
from warren.model.trace import Disposition
from warren.model.world import Attachment, HostNode

DEVICES = ("e0", "e1", "e2", "e3")
TABLES = (MAIN, 100, 101, 102, 103)
MARKS = (0, 0x3E000000, 0x3F000000, 0x01000000, 0x51)
_PORTS = (53, 67, 68)


@dataclass(frozen=True)
class Question:
    """One packet: received by `iif`, or made here when that is empty."""

    destination: Address
    source: Address | None
    iif: str
    mark: int
    proto: str
    sport: int
    dport: int

    def words(self) -> str:
        """Write what stands behind `ip route get`."""
        words = [str(self.destination)]
        if self.source is not None:
            words += ["from", str(self.source)]
        if self.iif:
            words += ["iif", self.iif]
        if self.mark:
            words += ["mark", hex(self.mark)]
        words += ["ipproto", self.proto]
        words += ["sport", str(self.sport), "dport", str(self.dport)]
        return " ".join(words)


def make_surroundings(chance: random.Random, family: Family) -> Surroundings:
    """Make four devices, a few tables with every kind of route, and rules with every kind of selector."""
    links = []
    connected = []
    for at, name in enumerate(DEVICES):
        text = f"10.0.{at}.1/24" if family is Family.IPV4 else f"fd00:{at}::1/64"
        address = ip_interface(text)
        links.append(Link(name, 1500, "veth", addresses=(address,)))
        source = address.ip if family is Family.IPV4 else None
        metric = 0 if family is Family.IPV4 else 256
        connected.append(Route(address.network, MAIN, name, source=source, metric=metric, protocol="kernel"))
    routes = _routes(chance, family)
    rules = tuple(_rule(chance, family) for _ in range(chance.randint(0, 12)))
    sysctls = [Sysctl("net.ipv4.ip_forward", "1"), Sysctl("net.ipv6.conf.all.forwarding", "1")]
    for name in ("all", *DEVICES):
        sysctls.append(Sysctl(f"net.ipv4.conf.{name}.rp_filter", str(chance.choice((0, 0, 1, 2)))))
        sysctls.append(Sysctl(f"net.ipv4.conf.{name}.src_valid_mark", str(chance.choice((0, 0, 1)))))
    return Surroundings(tuple(links), (*connected, *routes), rules, sysctls=tuple(sysctls))


def _pool(family: Family) -> list[Prefix]:
    if family is Family.IPV4:
        texts = "0.0.0.0/0 0.0.0.0/1 10.0.0.0/8 10.0.0.0/16 10.1.0.0/16 10.1.2.0/24 10.1.2.3/32 192.168.0.0/16"
        texts += " 192.168.7.0/24"
    else:
        texts = "::/0 ::/1 fd00::/8 fd00::/16 fd01::/32 fd01:0:2::/48 fd01:0:2::3/128 2001:db8::/32 2001:db8:7::/48"
    return [ip_network(text) for text in texts.split()]


def _routes(chance: random.Random, family: Family) -> tuple[Route, ...]:
    found: dict[tuple[object, ...], Route] = {}
    for _ in range(chance.randint(2, 24)):
        prefix, table = chance.choice(_pool(family)), chance.choice(TABLES)
        kind = chance.choice(
            [RouteKind.UNICAST] * 5 + [RouteKind.UNREACHABLE, RouteKind.BLACKHOLE, RouteKind.PROHIBIT, RouteKind.THROW]
        )
        metric = chance.choice((0, 0, 5, 4294967295))
        if kind is not RouteKind.UNICAST:
            route = Route(prefix, table, "", kind, metric=metric)
        else:
            at = chance.randrange(len(DEVICES))
            gateway = f"10.0.{at}.2" if family is Family.IPV4 else f"fd00:{at}::2"
            via = ip_address(gateway) if chance.random() < 0.5 else None
            route = Route(prefix, table, DEVICES[at], via=via, metric=metric)
        # IPv6 joins equal routes to a multipath one, which is not what is asked here.
        found.setdefault((prefix, table, metric or (1024 if family is Family.IPV6 else 0)), route)
    return tuple(found.values())


def _rule(chance: random.Random, family: Family) -> Rule:
    def maybe(value: object, odds: float = 0.3) -> object:
        return value if chance.random() < odds else None

    marked = maybe(True, 0.4)
    proto = chance.choice(("", "", "", "udp", "tcp"))
    ports = proto != "" and chance.random() < 0.5
    action = chance.choice([Action.LOOKUP] * 20 + [Action.UNREACHABLE, Action.PROHIBIT, Action.BLACKHOLE])
    prefixes = [prefix for prefix in _pool(family) if prefix.prefixlen]
    wide = action is Action.LOOKUP or chance.random() < 0.1
    own = ip_network("10.0.0.1/32" if family is Family.IPV4 else "fd00:0::1/128")
    return Rule(
        family,
        chance.randint(1, 40),
        table=chance.choice(TABLES) if action is Action.LOOKUP else 0,
        action=action,
        iif=str(maybe(chance.choice((*DEVICES, "lo", "gone")), 0.4 if wide else 1) or ""),
        source=maybe(chance.choice([*prefixes, own])),  # type: ignore[arg-type]
        destination=maybe(chance.choice(prefixes)),  # type: ignore[arg-type]
        mark=chance.choice(MARKS) & 0x3F000000 if marked else 0,
        mark_mask=0x3F000000 if marked else 0,
        invert=bool(marked) and chance.random() < 0.3,
        suppress_prefixlength=chance.choice((-1, -1, -1, 0, 7, 16)) if action is Action.LOOKUP else -1,
        ipproto=proto,
        dport=chance.choice(_PORTS) if ports else 0,
    )


def make_questions(chance: random.Random, family: Family, count: int) -> list[Question]:
    """Ask about packets that come in and packets that are made here."""
    four = family is Family.IPV4
    spots = (
        [
            "10.1.2.3",
            "10.1.2.9",
            "10.1.9.9",
            "10.9.9.9",
            "192.168.7.7",
            "192.168.9.9",
            "1.1.1.1",
            "200.1.1.1",
            "10.0.2.7",
        ]
        if four
        else ["fd01:0:2::3", "fd01:0:2::9", "fd01::9", "fd09::9", "2001:db8:7::7", "2001:db8::9", "2600::1", "a001::1"]
    )
    own = [f"10.0.{at}.1" if four else f"fd00:{at}::1" for at in range(4)]
    asked = []
    for _ in range(count):
        received = chance.random() < 0.7
        source = chance.choice([*spots, own[0]]) if received else chance.choice(["", "", *own])
        # Without a protocol the kernel takes it for UDP; TCP's connect asks twice, `ip route get` once.
        proto = chance.choice(("udp", "tcp")) if source else "udp"
        asked.append(
            Question(
                ip_address(chance.choice([*spots, own[1]])),
                ip_address(source) if source else None,
                chance.choice(DEVICES) if received else "",
                chance.choice(MARKS),
                proto,
                chance.choice(_PORTS),
                chance.choice(_PORTS),
            )
        )
    return asked


def ask_kernel(surroundings: Surroundings, family: Family, questions: Sequence[Question]) -> list[str]:
    """Put it all into a namespace and ask; each answer is one line in `answer`'s words."""
    setup = [f"link add {a} type veth peer name {a}p" for a in DEVICES]
    for link in surroundings.links:
        setup += [f"link set {link.name} up", f"link set {link.name}p up"]
        setup += [f"addr add {address} dev {link.name}" for address in link.addresses]
    # A new route's gateway is looked up in main alone only while there are no rules, so those come last.
    setup += [f"route add {route_words(route)}" for route in surroundings.routes if route.protocol != "kernel"]
    setup += [f"rule add {rule_words(rule)}" for rule in surroundings.rules]
    writes = [f"{setting.name}={setting.value}" for setting in surroundings.sysctls]
    nodad = "net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.addr_gen_mode=1"
    own = "10.0." if family is Family.IPV4 else "fd00:"
    asked = "\n".join(f"route get {question.words()}" for question in questions)
    script = "\n".join(
        [
            "set -e",
            f"sysctl -qw {nodad}",
            f"ip -{family.value} -batch - <<'END'",
            *setup,
            "END",
            "sysctl -qw " + " ".join(writes),
            # An IPv6 address is used once its device has its carrier.
            f"own() {{ ip -{family.value} route show table local type local | grep -c '^local {own}'; }}",
            "for at in $(seq 500); do [ $(own) = 4 ] && break; sleep 0.01; done; [ $(own) = 4 ]",
            f"ip -{family.value} -j -force -batch - <<'END' || true",
            asked,
            "END",
        ]
    )
    ran = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    failed = {int(line): words for words, line in re.findall(r"answers: (.*)\nCommand failed -:(\d+)", ran.stderr)}
    answered = iter(line for line in ran.stdout.splitlines() if line.startswith("["))
    return [failed[at] if at in failed else _said(json.loads(next(answered))[0]) for at in range(1, len(questions) + 1)]


def _said(entry: dict[str, object]) -> str:
    kind = str(entry.get("type", "unicast"))
    if kind == "local" or entry.get("dev") == "lo":
        return "local"
    if kind != "unicast":
        return "no route"
    by = f"{entry['dev']} via {entry.get('gateway', 'link')}"
    return f"{by} src {entry['prefsrc']}" if "prefsrc" in entry and entry.get("from", "::") == "::" else by


ERRORS = {
    "No route to host": "no route",
    "Network is unreachable": "no route",
    "Permission denied": "no route",
    "Invalid argument": "refused",  # a martian, the reverse path, or a blackhole
    "Invalid cross-device link": "refused",
}


def agreed(kernel: str) -> str:
    """Put the kernel's answer into the words that both sides share."""
    return ERRORS.get(kernel, kernel)


def view_of(surroundings: Surroundings) -> HostView:
    """Make the host that walk sees."""
    node = HostNode("h", "e0", Attachment("", (), ()))
    return HostView("h", HostState("h", "", Backend.NONE), surroundings, node)


def ask_walk(view: HostView, family: Family, question: Question) -> tuple[str, list[object]]:
    """Ask walk the same; gives the answer in the kernel's terms, and the steps."""
    packet = Packet(
        family,
        int(question.source) if question.source is not None else 0,
        int(question.destination),
        question.proto,
        question.sport,
        question.dport,
        mark=question.mark,
    )
    steps: list[object] = []
    path = HostPath(view, packet, Connections(), steps, Doubts())  # type: ignore[arg-type]
    if family is Family.IPV6 and not question.iif and question.source is None:
        # A socket asks once more with a source when there was no route without one; `ip route get` does not.
        key = Key(packet.destination, None, LOOPBACK, "", packet.mark, packet.proto, packet.sport, packet.dport)
        first = view.fibs[family].lookup(key)
        if first.usable is None:
            return "refused" if "blackhole" in first.says else "no route", steps
    result = path.receive(question.iif) if question.iif else path.make()
    if isinstance(result, Here):
        return "local", steps
    if isinstance(result, Out):
        via = "link" if result.on_link else str(result.gateway)
        said = f"{result.device} via {via}"
        return (said, steps) if question.source is not None else (f"{said} src {packet.header().source}", steps)
    if result.disposition is Disposition.RPF_DROP or "blackhole" in result.says:
        return "refused", steps
    return {"no-route": "no route"}.get(result.disposition, result.disposition), steps
