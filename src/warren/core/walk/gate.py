"""What stands at the hooks of one host: conntrack, our chains, foreign ones, and address translation.

Tables of ours are interpreted. A foreign chain that drops by policy blocks; one with rules is a doubt: the walk
goes on as if it let the packet pass, and ends as `unknown` where that was what it lived on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from warren.core.walk.conntrack import Connections, rewrite_destination, rewrite_source
from warren.core.walk.hooks import Nat, Verdict
from warren.core.walk.host import HostView, NatStage, OurChain, TrackStage
from warren.core.walk.packet import Packet, to_address
from warren.core.walk.source import device_address
from warren.model.prefix import covers
from warren.model.state import Route
from warren.model.surroundings import ForeignChain
from warren.model.trace import Disposition, Ended, Firewall, ForeignHook, Step, Tracked, Translated


@dataclass(slots=True)
class Doubts:
    """What walk could not judge: on the way itself, and on passing a filter."""

    way: list[str] = field(default_factory=list)
    passing: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class End:
    """The packet ends, and why."""

    disposition: Disposition
    says: str


def stop(steps: list[Step], disposition: Disposition, says: str) -> End:
    """End a packet's way, and tell it as the last step."""
    steps.append(Ended(disposition, says))
    return End(disposition, says)


class Gate:
    """The hooks of one host, for one packet."""

    def __init__(
        self, host: HostView, packet: Packet, connections: Connections, steps: list[Step], doubts: Doubts
    ) -> None:
        self.host = host
        self.packet = packet
        self.connections = connections
        self.steps = steps
        self.doubts = doubts

    def run(self, hook: str, route: Route | None = None) -> End | None:
        """Send the packet through all that stands at a hook; None lets it pass."""
        for stage in self.host.stages(hook, self.packet.family):
            if isinstance(stage, TrackStage):
                self._track()
                end = None
            elif isinstance(stage, OurChain):
                end = self._our_chain(stage)
            elif isinstance(stage, ForeignChain):
                end = self._foreign_chain(stage, hook)
            else:
                end = self._nat(stage, hook, route)
            if end is not None:
                return end
        return None

    def _track(self) -> None:
        if self.packet.flow is not None:
            return
        flow = self.connections.track(self.packet)
        answered = self.packet.replying or flow.answered
        direction = "reply" if self.packet.replying else "original"
        self.steps.append(Tracked("established" if answered else "new", direction, flow.mark))

    def _our_chain(self, stage: OurChain) -> End | None:
        verdict = stage.ruleset.run(stage.name, self.packet, self.steps, Nat())
        if verdict in (Verdict.DROP, Verdict.REJECT):
            return self._blocked()
        return None

    def _blocked(self) -> End:
        last = self.steps[-1]
        assert isinstance(last, Firewall)
        return stop(self.steps, Disposition.BLOCKED, f"{last.table} {last.chain}: {last.rule}: {last.does}")

    def _foreign_chain(self, chain: ForeignChain, hook: str) -> End | None:
        name = f"{chain.family} {chain.table} {chain.name}"
        if chain.consented or chain.tool == "wg-quick":
            says = "our rule stands in it" if chain.consented else "wg-quick's chains leave our packets alone"
            self.steps.append(ForeignHook(name, chain.tool, "pass", says))
            return None
        if chain.policy == "drop" and not (self.packet.replying and chain.rules):
            says = f"its policy at {hook} is drop"
            self.steps.append(ForeignHook(name, chain.tool, "drop", says))
            return stop(self.steps, Disposition.BLOCKED, f"foreign chain {name}: {says}")
        self._doubt(name, chain, hook)
        return None

    def _doubt(self, name: str, chain: ForeignChain, hook: str) -> None:
        """A chain that could alter the mark matters to the way where a foreign rule asks for marks."""
        alters = hook in ("prerouting", "output") and self.host.fibs[self.packet.family].marked
        (self.doubts.way if alters else self.doubts.passing).append(f"foreign chain {name}")
        count = f"{chain.rules} rules" if chain.rules != 1 else "1 rule"
        self.steps.append(ForeignHook(name, chain.tool, "unknown", f"{count} at {hook} that warren does not read"))

    # --- address translation -----------------------------------------------------------------------------

    def _nat(self, stage: NatStage, hook: str, route: Route | None) -> End | None:
        packet = self.packet
        flow = packet.flow
        if flow is None:
            return None
        end = None
        manipulates = "destination" if hook in ("prerouting", "output") else "source"
        by = ""
        if not packet.replying and not flow.answered and manipulates not in flow.sealed:
            flow.sealed.add(manipulates)
            nat = Nat()
            end = self._ask_nat(stage, hook, nat)
            if end is None and (nat.to is not None or nat.masquerade):
                end = self._settle(nat, manipulates, route)
            elif end is None and manipulates == "source" and hook == "postrouting" and route is not None:
                by = self._owner_masquerades(route)
        if end is not None:
            return end
        if not (flow.snat or flow.dnat):
            return None
        before = packet.header()
        if rewrite_destination(packet) if manipulates == "destination" else rewrite_source(packet):
            self.steps.append(Translated(manipulates, before, packet.header(), packet.replying, by))
        return None

    def _ask_nat(self, stage: NatStage, hook: str, nat: Nat) -> End | None:
        for chain in stage.chains:
            verdict = chain.ruleset.run(chain.name, self.packet, self.steps, nat)
            if verdict in (Verdict.DROP, Verdict.REJECT):
                return self._blocked()
            if nat.to is not None or nat.masquerade:
                return None
        for foreign in stage.foreign:
            name = f"{foreign.family} {foreign.table} {foreign.name}"
            explained = hook == "postrouting" and self.host.node.masquerades
            if not foreign.consented and not explained and foreign.rules:
                self._doubt(name, foreign, hook)
        return None

    def _settle(self, nat: Nat, manipulates: str, route: Route | None) -> End | None:
        packet = self.packet
        assert packet.flow is not None
        if manipulates == "destination":
            assert nat.to is not None
            self.connections.translate_destination(packet.flow, nat.to, nat.port)
            return None
        to = nat.to if nat.to is not None else self._device_address(route)
        if to is None:
            return stop(
                self.steps, Disposition.NO_ADDRESS, f"{packet.oif} has no {packet.family.word} address to masquerade to"
            )
        self.connections.translate_source(packet.flow, to)
        return None

    def _device_address(self, route: Route | None) -> int | None:
        packet = self.packet
        via = int(route.via) if route is not None and route.via is not None else packet.destination
        return device_address(self.host, packet.oif, packet.family, via, packet.destination)

    def _owner_masquerades(self, route: Route) -> str:
        """The owner's own NAT for a LAN's ordinary way out (World), where nothing of ours translated."""
        packet = self.packet
        source = to_address(packet.source, packet.family)
        if packet.oif != self.host.uplink or not any(covers(lan, source) for lan in self.host.node.masquerades):
            return ""
        to = self._device_address(route)
        if to is None or packet.flow is None:
            return ""
        self.connections.translate_source(packet.flow, to)
        return "the owner's own masquerading"
