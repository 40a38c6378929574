"""A relay's lanes in the kernel: one table of nft's netdev family (nft(8), "netdev"), in which nothing else is.

    eth0 ──► in ──► known (source, port, our address, our port)? ──► lane: counted, rewritten, out to the next hop
                      └─ no, a hello, a fragment, too large ──► on, to the process, as if nothing of this were there

A lane's packets are turned round where they come in, before the kernel's routing, filters and conntrack: no forwarding
has to be turned on, so the machine routes for nobody, and what a filter of the owner's says about forwarding does not
come into it. There is no state but the lane itself, so a changed address holds from the next packet on. nft mends the
checksums. What is not understood here goes up: the kernel joins fragments, and the process carries them.

A lane runs out by itself when it is not held any more, so a process that dies leaves none behind for long.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from warren.model.change import Command
from warren.model.prefix import Address
from warren.sys.hops import Hop
from warren.sys.run import Run, run

RATE = 100_000  # packets of one lane each second, about a Gbit/s; a fifth of it may come at once
_KEYS = {
    4: ("ip", "ipv4_addr . inet_service . ipv4_addr . inet_service"),
    6: ("ip6", "ipv6_addr . inet_service . ipv6_addr . inet_service"),
}
# What cannot be a fragment of a packet, whose other parts have no ports.
_WHOLE = {4: "ip protocol udp ip frag-off & 0x2000 == 0 udp checksum != 0", 6: "ip6 nexthdr udp"}


@dataclass(frozen=True, slots=True)
class Lane:
    """One way: what comes from `source` to `port` of `here` leaves from port `by` of `there` to `target`.

    `source` and `target` are an address and a port each. It comes in by the device of `back`, and leaves by `hop`.
    """

    source: tuple[Address, int]
    here: Address
    port: int
    target: tuple[Address, int]
    there: Address
    by: int
    back: Hop
    hop: Hop

    @property
    def key(self) -> str:
        """What its packets are known by."""
        return f"{self.source[0]} . {self.source[1]} . {self.here} . {self.port}"

    @property
    def known(self) -> str:
        """The map in which it stands."""
        return f"known{self.here.version}_{self.back.index}"


@dataclass(frozen=True, slots=True)
class Counted:
    """What went by a lane, and what was over its limit, in packets and bytes."""

    packets: int
    bytes: int
    over: int


class Ingress:
    """The table, with the lanes that stand in it. `up` is what goes to the process: how such packets begin.

    `rate` is how many packets of one lane may pass in a second.
    """

    def __init__(self, table: str, ports: range, up: bytes, rate: int = RATE, run: Run = run) -> None:
        self.table, self._ports, self._up, self._rate, self._run = table, ports, up, rate, run
        self.lanes: dict[int, Lane] = {}
        self._chains: set[int] = set()
        self._devices: set[int] = set()

    def begin(self) -> None:
        """Make the table, in the place of what an earlier run left; CommandFailed where the kernel cannot."""
        table = f"table netdev {self.table}"
        lines = [f"add {table}", f"delete {table}", f"add {table}"]
        # A lane that nothing leads to, so that a kernel that lacks something says so now.
        lines += [
            'add chain trial { type filter hook ingress device "lo" priority -300; policy accept; }',
            "add rule trial meta mark 1 meta mark 2 udp dport set 9 limit rate over 1/second drop",
            'add rule trial meta mark 1 meta mark 2 fwd ip to 127.0.0.1 device "lo"',
            "flush chain trial",
            "delete chain trial",
        ]
        self._nft(self._placed(lines))
        self.lanes, self._chains, self._devices = {}, set(), set()

    def hold(self, wanted: Mapping[int, Lane], seconds: Mapping[int, int]) -> None:
        """Have these lanes, by port, each for so many seconds from now; those without seconds run out as they would.

        All at once or not at all; CommandFailed if not.
        """
        lines: list[str] = []
        for port, old in self.lanes.items():
            if wanted.get(port) != old:
                lines += [*self._out(old), f"flush chain lane{port}"]
        for port, lane in wanted.items():
            if self.lanes.get(port) != lane:
                lines += [*self._device(lane), *self._chain(lane)]
            if port in seconds:
                lines += [*self._out(lane), self._in(lane, f" timeout {seconds[port]}s")]
        if lines:
            self._nft(self._placed(lines))
        self.lanes = dict(wanted)
        self._chains |= set(wanted)
        self._devices |= {lane.back.index for lane in wanted.values()}

    def counted(self) -> dict[int, Counted]:
        """Say what went by each lane since its port was first used."""
        told = self._run(Command(("nft", "-j", "list", "counters", "table", "netdev", self.table)))
        found = {
            entry["counter"]["name"]: entry["counter"] for entry in json.loads(told)["nftables"] if "counter" in entry
        }
        return {
            port: Counted(lane["packets"], lane["bytes"], over["packets"])
            for port in self._chains
            if (lane := found.get(f"lane{port}")) and (over := found.get(f"over{port}"))
        }

    def end(self) -> None:
        """Take it all away; it is no error if somebody has already."""
        words = ("nft", "-f", "-")
        self._run(Command(words, f"add table netdev {self.table}\ndelete table netdev {self.table}\n", fine=(0, 1)))
        self.lanes, self._chains, self._devices = {}, set(), set()

    # --- text -------------------------------------------------------------------------------------------------

    def _device(self, lane: Lane) -> list[str]:
        """Listen at a device, if that is not done yet."""
        index, device = lane.back.index, lane.back.device
        if index in self._devices:
            return []
        lines = [f'add chain in{index} {{ type filter hook ingress device "{device}" priority -300; policy accept; }}']
        ports = f"{self._ports.start}-{self._ports.stop - 1}"
        for version, (family, kind) in _KEYS.items():
            known = f"known{version}_{index}"
            lines.append(f"add map {known} {{ type {kind} : verdict; flags timeout; }}")
            key = f"{family} saddr . udp sport . {family} daddr . udp dport"
            # Only what is sent to this machine: a device that listens to everything hears of others', too.
            which = f"{_WHOLE[version]} udp dport {ports} meta pkttype host"
            lines.append(f"add rule in{index} {which} {key} vmap @{known}")
        self._devices.add(index)
        return lines

    def _chain(self, lane: Lane) -> list[str]:
        """Write what a lane does. A chain stays: an element that has run out may still lead to it."""
        port, family = lane.port, _KEYS[lane.here.version][0]
        name = f"lane{port}"
        made = [f"add counter {name}", f"add counter over{port}", f"add chain {name}"]
        return [
            *([] if port in self._chains else made),
            f"flush chain {name}",
            f"add rule {name} @th,64,{8 * len(self._up)} 0x{self._up.hex()} accept",
            f"add rule {name} meta length > {lane.hop.mtu} accept",
            f"add rule {name} limit rate over {self._rate}/second burst {self._rate // 5} packets "
            f"counter name over{port} drop",
            f"add rule {name} counter name {name} {family} saddr set {lane.there} {family} daddr set {lane.target[0]} "
            f"udp sport set {lane.by} udp dport set {lane.target[1]} "
            f'fwd {family} to {lane.hop.next} device "{lane.hop.device}"',
        ]

    def _in(self, lane: Lane, lasts: str = "") -> str:
        return f"add element {lane.known} {{ {lane.key}{lasts} : goto lane{lane.port} }}"

    def _out(self, lane: Lane) -> list[str]:
        """Take a lane's element out, whether or not it has run out already."""
        return [self._in(lane), f"delete element {lane.known} {{ {lane.key} }}"]

    def _placed(self, lines: Iterable[str]) -> str:
        """Put the table's name where nft wants it."""
        placed = []
        for line in lines:
            verb, kind, rest = line.split(" ", 2)
            placed.append(line if kind == "table" else f"{verb} {kind} netdev {self.table} {rest}")
        return "\n".join(placed) + "\n"

    def _nft(self, text: str) -> None:
        self._run(Command(("nft", "-f", "-"), text, says="lanes of the relay"))
