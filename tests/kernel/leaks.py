"""Whether a portal's packets are on the uplink: the probes, and the ways in which things break.

A probe is first seen on the wire (before anything is applied), then not. Each goes to a destination of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.kernel.portals import CHAIN, LAN, MAC, WIFI, fresh
from tests.kernel.wire import Question
from tests.kernel.world import Remote


@dataclass(frozen=True, slots=True)
class Source:
    """Where a portal's packets begin, the host that is to keep them in, and the families the portal claims."""

    place: str
    host: str
    versions: tuple[int, ...] = (4, 6)


SOURCES = (
    Source(LAN, "nyc"),
    Source(MAC, "nyc"),
    Source(CHAIN, "nyc", (4,)),
    Source(WIFI, "paris"),
    Source("tokyo", "tokyo", (4,)),
)
# A MAC portal is steered by nft's mark, so it is as strong as the table (docs: say so).
BY_RULES = tuple(source for source in SOURCES if source.place != MAC)

RULES = (
    "while ip rule del protocol 77 2>/dev/null; do :; done; while ip -6 rule del protocol 77 2>/dev/null; do :; done"
)
DEVICES = "for device in $(wg show interfaces); do ip link del $device; done"
DOWN = "for device in $(wg show interfaces); do ip link set $device down; done"
TABLE = "nft delete table inet warren-portals"
# What a rogue DHCP server (option 121) or OpenVPN's def1 puts into main: defaults in disguise, by the uplink's gateway.
HALVES = """
way4=$(ip route show default | head -n1 | sed 's/^default//')
way6=$(ip -6 route show default | head -n1 | sed 's/^default//; s/pref.*//')
for half in 0.0.0.0/1 128.0.0.0/1; do ip route add $half $way4; done
for half in ::/1 8000::/1 2000::/3; do ip -6 route add $half $way6; done
"""
TABLES = "for table in 7701 7702; do ip route flush table $table; ip -6 route flush table $table; done || true"
NEAR = "ip route flush table 7700; ip -6 route flush table 7700"
# wireguard-go keeps its device and reads nothing: a far side that has fallen silent.
FREEZE = """
here=$(readlink /proc/self/ns/net)
for process in $(pgrep -x wireguard-go); do
    [ "$(readlink /proc/$process/ns/net)" != "$here" ] || kill -STOP $process
done
"""
PEERS = 'wg show all peers | while read device peer; do wg set $device peer "$peer" remove; done'

# Each line is a world: what breaks there, one thing after the other, none of it mended.
BREAKS = (
    {"peers removed": PEERS, "devices down": DOWN, "devices deleted": DEVICES, "halves in main": HALVES},
    {"tunnels frozen": FREEZE, "exit tables flushed": TABLES, "near tables flushed": NEAR, "devices deleted": DEVICES},
    {"rules deleted": RULES, "halves in main": HALVES, "devices deleted": DEVICES},
    {"halves in main": HALVES, "nft table deleted": TABLE, "peers removed": PEERS, "devices deleted": DEVICES},
)


class Watcher:
    """Counts a portal's packets on its host's uplink."""

    def __init__(self, world: Remote, sources: tuple[Source, ...] = SOURCES) -> None:
        self.world = world
        self.sources = sources

    def probe(self, timeout: float = 0.3) -> dict[str, int]:
        """Ask from every source in every family, by UDP and TCP, and count what is seen of it on the uplink."""
        watched = []
        questions = []
        for source in self.sources:
            for version in source.versions:
                to = fresh(version)
                watched.append((f"{source.place} ipv{version}", self.world.watch(source.host, "eth0", to)))
                questions += [Question(source.place, to, proto, timeout=timeout) for proto in ("udp", "tcp")]
        self.world.ask(questions)
        return {name: len(self.world.seen(capture)) for name, capture in watched}

    def begin(self, rate: int = 200) -> None:
        """Begin a stream of datagrams from every source; each has been answered when this returns."""
        self.streams = []
        for source in self.sources:
            for version in source.versions:
                to = fresh(version)
                capture = self.world.watch(source.host, "eth0", to)
                stream = self.world.start_flood(source.place, to, 7000, rate)
                self.streams.append((f"{source.place} ipv{version}", capture, stream))
        for name, _, stream in self.streams:
            assert self.world.flood_answers(stream, 5) >= 5, f"the stream from {name} was not answered"

    def streamed(self) -> dict[str, int]:
        """Count what was seen of the streams on the uplink since the last look."""
        return {name: len(self.world.seen(capture, stop=False)) for name, capture, _ in self.streams}

    def end(self) -> dict[str, int]:
        """End the streams, and count what was seen of them on the uplink."""
        for _, _, stream in self.streams:
            self.world.stop_flood(stream)
        return {name: len(self.world.seen(capture)) for name, capture, _ in self.streams}
