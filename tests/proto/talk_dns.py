"""A resolver between two sides, talked with in the words of dnspython, which wrote none of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from random import Random

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from warren.proto.dns.job import Send
from warren.proto.dns.judge import Judge, set_of
from warren.proto.dns.message import wire_name
from warren.proto.dns.policy import Policy, Side, Upstream
from warren.proto.dns.resolver import Resolver

HOME = ("45.12.0.0/14", "2620:100::/32")
AT_HOME, ABROAD = "45.12.0.7", "93.184.216.34"
AT_HOME6, ABROAD6 = "2620:100::7", "2606:2800::1"
NEAR, FAR = Side.DOMESTIC, Side.TRUSTED
TWO_SIDES = (Upstream(NEAR), Upstream(FAR))


def policy(*, fast: bool, upstreams: Sequence[Upstream] = TWO_SIDES, **names: str) -> Policy:
    """Make a policy; `names` are `near=` and `far=` with names between spaces."""
    sides = {"near": NEAR, "far": FAR}
    known = {wire_name(name): sides[side] for side, text in names.items() for name in text.split()}
    return Policy(tuple(upstreams), Judge(set_of(map(ip_network, HOME))), known, fast)


@dataclass
class Talk:
    """A resolver with a clock, and all that it sends."""

    policy: Policy
    now: float = 100.0
    sent: list[Send] = field(default_factory=list)
    told: list[tuple[str, dns.message.Message]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.resolver = Resolver(self.policy, Random(7).randbytes)

    def ask(self, name: str, kind: str = "A", who: str = "me", **how: object) -> None:
        """Ask as a client does; `how` goes to dnspython's make_query."""
        self.resolver.ask(dns.message.make_query(name, kind, **how).to_wire(), who, self.now)  # type: ignore[arg-type]
        self.gather()

    def gather(self) -> None:
        """Take what the resolver wants done."""
        self.sent += self.resolver.to_send()
        self.told += [(str(who), dns.message.from_wire(data)) for who, data in self.resolver.to_answer()]

    def open(self, side: Side) -> list[Send]:
        """List what was sent to a side so far."""
        return [one for one in self.sent if self.policy.upstreams[one.upstream].side is side]

    @property
    def asked(self) -> list[str]:
        """The sides that were asked, in order."""
        return ["near" if self.policy.upstreams[one.upstream].side is NEAR else "far" for one in self.sent]

    def hear(self, side: Side, *addresses: str, which: int = -1, opt: bool = True, rcode: str = "NOERROR") -> None:
        """Have the side answer the last question it was asked (or that `which`) with addresses."""
        one = self.open(side)[which]
        self.receive(one, answer(one, *addresses, opt=opt, rcode=rcode))

    def receive(self, one: Send, data: bytes) -> None:
        """Have something come back for a question."""
        self.resolver.receive(one.flow, data, self.now)
        self.gather()

    def wait(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        end = self.now + seconds
        while (due := self.resolver.next_timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.resolver.tick(self.now)
            self.gather()
        self.now = end

    @property
    def addresses(self) -> list[str]:
        """The addresses of the only answer that was given."""
        (_, message), *more = self.told
        assert not more, self.told
        return [item.address for rrset in message.answer for item in rrset if hasattr(item, "address")]


def answer(one: Send, *addresses: str, opt: bool = True, rcode: str = "NOERROR", name: str = "") -> bytes:
    """Write the answer to a question, as any resolver would."""
    query = dns.message.from_wire(one.payload)
    if not opt:
        query.use_edns(False)
    reply = dns.message.make_response(query, recursion_available=True)
    reply.set_rcode(dns.rcode.from_text(rcode))
    owner = dns.name.from_text(name) if name else query.question[0].name
    for address in addresses:
        kind = dns.rdatatype.to_text(query.question[0].rdtype) if " " in address else "AAAA" if ":" in address else "A"
        reply.answer.append(dns.rrset.from_text(owner, 60, "IN", kind, address))
    return reply.to_wire(max_size=65535)


def served(message: dns.message.Message) -> str:
    """Name the code of an answer."""
    return dns.rcode.to_text(message.rcode())
