"""Two hosts of each kind in one lab, of which any two are had meet: real agents, servers, NATs and WireGuard.

                         internet ── rv1, rv2 ── exit
      ┌──────────────┬──────────────┬──────────────┐
   nat home-1    nat home-2    nat lan            firm-1 …     one lab for all of them, brought up once;
   host home-1   host home-2   hosts lan-1, lan-2              pairs meet several at a time, each host in one of them

Before each run the two know nothing of each other and their NATs remember nothing, as after a power cut; the clock
starts when both agents watch.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2s

from warren.core.parse import parse
from warren.core.render.wg import peer_section
from warren.lab.daemons import told_by
from warren.lab.lab import Lab, build_up
from warren.lab.matrix.clock import Clock
from warren.lab.matrix.kinds import Kind, Pairing
from warren.lab.matrix.simulate import Met
from warren.lab.matrix.talk import Talk
from warren.lab.spaces import LabError
from warren.lab.topology import host_space, nat_space
from warren.model.key import encode_key
from warren.model.lab import NatBox
from warren.model.network import Network
from warren.model.state import Peer, WgInterface

AT_ONCE = 8  # pairs that meet at the same time
STARTS = 30.0  # seconds in which agents have started
PATIENCE = 30.0  # seconds in which those that can must have met
LINGERS = 4.0  # seconds that those that cannot have for it
EXIT, OVERLAY = "exit", "10.92.0.0/16"
# Answers only: no packet comes in that was not asked for, and pings, as most firewalls have it.
FIREWALL = """
table inet answers_only {
	chain input {
		type filter hook input priority 10; policy drop;
		iifname != "%s" accept
		ct state established,related accept
		meta l4proto { icmp, ipv6-icmp } accept
	}
}
"""
NO_UDP = """
table inet no_udp {
	chain forward {
		type filter hook forward priority -10;
		meta l4proto udp drop
	}
}
"""


@dataclass(frozen=True, slots=True)
class Tried:
    """A run of a pair: how it went, and what WireGuard sent to in the end: `direct`, `relay`, or nothing."""

    pairing: Pairing
    met: Met
    path: str

    @property
    def as_told(self) -> bool:
        """Whether it went as theory has it."""
        wanted = "direct" if self.pairing.direct_in_lab else "relay" if self.pairing.connects else ""
        return self.path == wanted and (self.met.first is not None) == self.pairing.connects


def network_of(kinds: Iterable[Kind]) -> Network:
    """Make the network: two hosts of each kind that nobody can dial, two servers, and an exit for who needs one."""
    kinds = tuple(kinds)
    lines = ["network: matrix", f"overlay: [{OVERLAY}]", "rendezvous:"]
    lines += [f"  - {{address: rv{n}.example.net:51819, key: {_key(f'rv{n}')}}}" for n in (1, 2)]
    lines.append("hosts:")
    lines += [f"  {host}: {{key: {_key(host)}, uplink: eth0}}" for kind in kinds for host in hosts_of(kind)]
    tunnels = [host for kind in kinds if kind.tunnel for host in hosts_of(kind)]
    if tunnels:
        lines.append(f"  {EXIT}: {{key: {_key(EXIT)}, uplink: eth0, endpoint: exit.example.net:51820}}")
        lines += ["portals:", *(f"  - {{from: {host}, exit: {EXIT}}}" for host in tunnels)]
    lines += ["lab:", "  nats:"]
    places, links, named = [], [], dict[str, NatBox]()
    for kind in kinds:
        for number, host in enumerate(hosts_of(kind), 1):
            names = [_nat_name(kind, depth, number) for depth in range(len(kind.nats))]
            named |= dict(zip(names, kind.nats, strict=True))
            places.append(f"    {host}: {'[' + ', '.join(names) + ']' if names else 'internet'}")
            links.append(f"    {host}: {{ipv6: {str(kind.ipv6).lower()}}}")
    lines += [f"    {name}: {_nat_words(nat)}" for name, nat in named.items()]
    lines += ["  place:", *places, "  links:", *links]
    parsed = parse("\n".join(lines).encode(), "matrix.yaml")
    if parsed.network is None:
        raise LabError(f"the matrix has no network: {parsed.diagnostics}")
    return parsed.network


def hosts_of(kind: Kind) -> tuple[str, str]:
    """Name the two hosts of a kind."""
    return f"{kind.name}-1", f"{kind.name}-2"


def _nat_name(kind: Kind, depth: int, number: int) -> str:
    word = f"n{depth}-{kind.name}"
    return word if depth < kind.shared else f"{word}-{number}"


def _nat_words(nat: NatBox) -> str:
    return (
        f"{{mapping: {nat.mapping}, filtering: {nat.filtering}, ports: {nat.ports}, timeout: {nat.timeout}, "
        f"hairpin: {str(nat.hairpin).lower()}}}"
    )


def _key(name: str) -> str:
    """A key for the file; the lab gives everybody a fresh one."""
    return encode_key(b"\1" + blake2s(name.encode(), digest_size=31).digest())  # of the other form than private keys


class Field:
    """The lab, up, with servers and without agents. Make it inside `enclose`."""

    def __init__(self, kinds: Iterable[Kind], network: Network | None = None) -> None:
        self.kinds = tuple(kinds)
        self.lab: Lab = build_up(network or network_of(self.kinds), None)
        self.clock = Clock()
        self._confine()
        self.lab.serve_names()
        self.states = self.lab.apply(host.name for host in self.lab.network.hosts)
        for number, _ in enumerate(self.lab.network.rendezvous):
            self.lab.daemons.serve(number)
        self.servers = {str(address) for _, addresses in self.lab.world.names for address in addresses}

    def _confine(self) -> None:
        """Add what the file has no word for: firewalls of hosts, and what blocks UDP."""
        for kind in self.kinds:
            for host in hosts_of(kind):
                if kind.firewall:
                    uplink = self.lab.world.host_by_name[host].uplink
                    self.lab.spaces.run(host_space(host), ("nft", "-f", "-"), FIREWALL % uplink)
                if kind.blocks_udp:
                    space = nat_space(self.lab.world.behind(host)[-1].box.name)
                    self.lab.wiring.rules[space].append(NO_UDP)
                    self.lab.spaces.run(space, ("nft", "-f", "-"), NO_UDP)

    # --- meeting ------------------------------------------------------------------------------------------------

    def meet_all(
        self, pairings: Iterable[Pairing], at_once: int = AT_ONCE, lingers: float = LINGERS
    ) -> Iterator[list[Tried]]:
        """Have every pair meet once, several at a time; gives those that were tried together."""
        for batch in batches(pairings, at_once):
            yield self.meet(batch, lingers)

    def meet(self, batch: Sequence[tuple[Pairing, tuple[str, str]]], lingers: float = LINGERS) -> list[Tried]:
        """Have these meet at the same time."""
        ends = [pair for _, pair in batch]
        hosts = [host for pair in ends for host in pair]
        self.forget(ends)
        try:
            with Talk(self.lab, ends, 25) as talk:
                self.attend(hosts, ends)
                began = {host: self.told(host, "watching") for host in hosts}
                starts = [max(began[one] or 0.0, began[other] or 0.0) for one, other in ends]

                def met(number: int) -> Met:
                    (one, other), start = ends[number], starts[number]
                    firsts = [talk.first(host, start) for host in (one, other)]
                    direct = [self.told(host, "path", peer, "directly") for host, peer in ((one, other), (other, one))]
                    return Met(_since(start, firsts), _since(start, direct))

                def done(number: int) -> bool:
                    pairing, found = batch[number][0], met(number)
                    enough = time.monotonic() - starts[number] >= lingers
                    if pairing.direct_in_lab:
                        return found.first is not None and found.direct is not None
                    return enough and (found.first is not None or not pairing.connects)

                self.until(lambda: all(done(number) for number in range(len(batch))))
                return [
                    Tried(pairing, met(number), self.path(pair) if met(number).first is not None else "")
                    for number, (pairing, pair) in enumerate(batch)
                ]
        finally:
            for host in hosts:
                if host in self.lab.daemons.running:
                    self.lab.daemons.stop(host)

    def until(self, what: Callable[[], object], seconds: float = PATIENCE) -> bool:
        """Let time pass until something is so."""
        return self.lab.wait(lambda: bool(what()), seconds, lambda _: None)

    def attend(self, hosts: Iterable[str], pairs: Iterable[tuple[str, str]] = ()) -> None:
        """Start agents, each to find the other of its pair alone, or all; LabError if one does not watch."""
        hosts = tuple(hosts)
        partners = {host: pair for pair in pairs for host in pair}
        for host in hosts:
            told_by(host).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            told_by(host).write_text("")
            self.lab.daemons.attend(host, partners.get(host, ()))
        if not self.until(lambda: all(self.told(host, "watching") for host in hosts), STARTS):
            silent = next(host for host in hosts if not self.told(host, "watching"))
            raise LabError(f"the agent of {silent} did not start", told_by(silent).read_text())

    def told(self, host: str, kind: str, subject: str = "", word: str = "", since: float = 0.0) -> float | None:
        """Say when an agent first told of something, in this run and since a moment."""
        for line in told_by(host).read_text().splitlines():
            if line.startswith("{") and line.endswith("}"):
                event = json.loads(line)
                fits = event["kind"] == kind and subject in ("", event["subject"]) and word in event["says"]
                if fits and event["at"] >= since:
                    return float(event["at"])
        return None

    def path(self, pair: tuple[str, str]) -> str:
        """Say by what WireGuard itself reaches the other, on both hosts: directly, by a relay, or neither."""
        ways = {self.way(*pair), self.way(*pair[::-1])}
        return ways.pop() if len(ways) == 1 else "split"

    def way(self, host: str, peer: str) -> str:
        """Say by what a host's WireGuard reaches another."""
        endpoint = self.endpoint(host, peer)
        if not endpoint or endpoint.startswith("127."):
            return ""
        return "relay" if endpoint.rpartition(":")[0] in self.servers else "direct"

    def endpoint(self, host: str, peer: str) -> str:
        """Say where a host's WireGuard sends to for another."""
        device, held = self.peer(host, peer)
        for line in self.lab.spaces.run(host_space(host), ("wg", "show", device.name, "endpoints")).splitlines():
            key, at = line.split("\t")
            if key == held.public_key:
                return at
        return ""

    def peer(self, host: str, name: str) -> tuple[WgInterface, Peer]:
        """Find a peer of a host, and the device that has it."""
        key = self.lab.network.by_name[name].key
        for device in self.states[host].interfaces:
            for peer in device.peers:
                if peer.public_key == key:
                    return device, peer
        raise LabError(f"{host} has no peer {name}")

    # --- forgetting ---------------------------------------------------------------------------------------------

    def forget(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Have these hosts know nothing of each other, and what stands before them remember nothing."""
        boxes: dict[str, str] = {}
        for pair in pairs:
            for host, peer in (pair, pair[::-1]):
                device, held = self.peer(host, peer)
                section = peer_section(replace(held, endpoint=None), None, [])
                words = f"wg set {device.name} peer {held.public_key} remove && wg addconf {device.name} /dev/stdin"
                self.lab.spaces.run(host_space(host), ("sh", "-c", f"conntrack -F && {words}"), section)
                for nat in self.lab.world.behind(host):
                    space = nat_space(nat.box.name)
                    boxes[space] = "flush ruleset\n" + "".join(self.lab.wiring.rules[space])
        self.lab.spaces.run_each(
            {space: (("sh", "-c", "nft -f - && conntrack -F"), rules) for space, rules in boxes.items()}
        )


def batches(pairings: Iterable[Pairing], at_once: int) -> Iterator[list[tuple[Pairing, tuple[str, str]]]]:
    """Sort pairs into groups in which no host is twice, and say which of a kind's two hosts takes part."""
    waiting = list(pairings)
    while waiting:
        batch: list[tuple[Pairing, tuple[str, str]]] = []
        taken: set[str] = set()
        for pairing in tuple(waiting):
            ends = _free(pairing, taken)
            if ends is not None and len(batch) < at_once:
                batch.append((pairing, ends))
                taken.update(ends)
                waiting.remove(pairing)
        yield batch


def _free(pairing: Pairing, taken: set[str]) -> tuple[str, str] | None:
    (one, two), (three, four) = hosts_of(pairing.one), hosts_of(pairing.other)
    choices = ((one, four),) if pairing.one == pairing.other else ((one, four), (two, three), (one, three), (two, four))
    return next((ends for ends in choices if not taken.intersection(ends)), None)


def _since(start: float, moments: Sequence[float | None]) -> float | None:
    known = [moment for moment in moments if moment is not None]
    return max(0.0, max(known) - start) if len(known) == len(moments) else None
