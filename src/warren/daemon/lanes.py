"""The kernel's part of the relay: it is told what hellos have told the process, and carries what is between two hosts.

    Carrier ── a hello moved somebody ──► Lanes ──► hops, lanes ──► nft at the devices' ingress
    ip monitor ── a route changed ─────────┘

It is a short cut, never the only way: what has no lane (yet, or because its two hosts are of different families, or
because there is no way to one of them that could be used) is carried by the process as ever.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from contextlib import suppress

from warren.daemon.carrier import Way
from warren.daemon.settings import Settings
from warren.model.prefix import Address as IP
from warren.proto.packet import RelayHello, header
from warren.proto.relay import Joined
from warren.sys.errors import HostError
from warren.sys.hops import Hop, hops
from warren.sys.ingress import Counted, Ingress, Lane
from warren.sys.monitor import MONITOR
from warren.sys.privilege import has_net_admin
from warren.sys.run import environment, find_program

HOLDS = 20.0  # seconds between two looks at which lanes go on
SETTLES = 0.005  # seconds in which the two hellos of a pair arrive together
GROWN = 1.0  # seconds by which the end of a lane has to be later before the kernel is told
RESTS = 1.0  # seconds until it is looked again at what changed, on a machine whose routes never rest
SAMPLED = 1.0  # seconds for which counters are not asked for again


def obstacle() -> str:
    """Say what keeps the kernel from carrying packets for this process; empty if nothing is known to."""
    if not has_net_admin():
        return "this process lacks the capability CAP_NET_ADMIN"
    if find_program("nft") is None:
        return "the program nft is not installed"
    return ""


def lanes_of(
    settings: Settings, ways: Callable[[], Iterable[Way]], tell: Callable[[str], None]
) -> tuple[Lanes | None, str]:
    """Have the kernel carry what is relayed, if that is wanted and can be; say who carries, and why.

    HostError if nobody else may and it cannot be.
    """
    if settings.carried == "process" or settings.relay is None:
        return None, "this process, as asked for"
    why = obstacle()
    if not why:
        table = f"warren_relay_{settings.key.public.hex()[:8]}"
        try:
            return Lanes(Ingress(table, settings.relay, header(RelayHello)[:5]), ways, tell), "the kernel"
        except HostError as error:
            why = error.says
    if settings.carried == "kernel":
        raise HostError(
            f"the kernel cannot carry what is relayed: {why}",
            "Give the service AmbientCapabilities=CAP_NET_ADMIN, or leave `--relay kernel` away (docs/meeting.md).",
        )
    return None, f"this process, which is slower than the kernel, for {why}"


class Lanes:
    """Keeps the kernel's lanes as the ways of the relay are."""

    def __init__(self, ingress: Ingress, ways: Callable[[], Iterable[Way]], tell: Callable[[str], None]) -> None:
        """Make the table; HostError where the kernel cannot do that."""
        self._ingress, self._ways, self._tell = ingress, ways, tell
        self._stirred = asyncio.Event()
        self._hops: dict[IP, Hop] = {}
        self._stale = True
        self._until: dict[int, float] = {}
        self._pairs: dict[int, tuple[bytes, bytes]] = {}
        self._before: dict[int, Counted] = {}  # what earlier pairs had at a port
        self._sample: tuple[float, dict[int, Counted]] = float("-inf"), {}
        self._trouble = ""
        ingress.begin()

    def stir(self) -> None:
        """Have it look now at which lanes there should be."""
        self._stirred.set()

    async def run(self) -> None:
        """Keep lanes until cancelled, then take them away."""
        loop = asyncio.get_running_loop()
        monitor = asyncio.create_task(self._monitor())
        work: asyncio.Future[None] | None = None
        try:
            while True:
                try:
                    await asyncio.wait_for(self._stirred.wait(), HOLDS)
                    await asyncio.sleep(SETTLES)
                except TimeoutError:
                    self._stale = True  # what `ip monitor` does not tell: rules, and routes that others shadow
                self._stirred.clear()
                work = loop.run_in_executor(None, self._keep, list(self._ways()), loop.time())
                await asyncio.shield(work)
        finally:
            monitor.cancel()
            await asyncio.gather(monitor, *([work] if work else []), return_exceptions=True)
            self._ingress.end()

    def __len__(self) -> int:
        """How many ways the kernel carries now."""
        return len(self._ingress.lanes)

    def counted(self, now: float) -> dict[int, Counted]:
        """Give what has come to each port since the table was made, not older than a second."""
        if now - self._sample[0] > SAMPLED:
            with suppress(HostError):  # somebody took the table away: it is made again soon, and counts from nothing
                self._sample = now, self._ingress.counted()
        return self._sample[1]

    def of_pairs(self, now: float) -> dict[int, Counted]:
        """Give the same, but only what came for the pair that has the port now."""
        return {
            port: Counted(one.packets - past.packets, one.bytes - past.bytes, one.over - past.over)
            for port, one in self.counted(now).items()
            for past in (self._before.get(port, Counted(0, 0, 0)),)
        }

    # --- in a thread --------------------------------------------------------------------------------------

    def _keep(self, ways: list[Way], now: float) -> None:
        """Have the kernel do what is wanted now; where it cannot, the process carries, and it is tried again."""
        try:
            lanes = self._lanes([way for way in ways if way.until > now])
            ends = {way.joined.port: way.until for way in ways}
            self._count_anew(ways)
            try:
                self._hold(lanes, ends, now)
            except HostError:  # somebody has flushed everything, or a device has gone
                self._restart()
                self._hold(lanes, ends, now)
            self._trouble = ""
        except HostError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._tell(f"the kernel does not carry relays' packets now, this process does: {error.says}")

    def _hold(self, lanes: dict[int, Lane], ends: dict[int, float], now: float) -> None:
        due = {
            port: max(int(ends[port] - now), 1)
            for port, lane in lanes.items()
            if self._ingress.lanes.get(port) != lane or ends[port] > self._until.get(port, 0.0) + GROWN
        }
        self._ingress.hold(lanes, due)
        self._until = {port: ends[port] if port in due else self._until[port] for port in lanes}

    def _restart(self) -> None:
        self._ingress.begin()
        self._until, self._before, self._stale = {}, {}, True

    def _lanes(self, ways: list[Way]) -> dict[int, Lane]:
        wanted = {address.ip for way in ways for address in (way.joined.source, way.joined.target)}
        if self._stale or not wanted <= self._hops.keys():
            self._stale = False
            self._hops = hops(wanted)
        lanes = {}
        for way in ways:
            back, hop = (self._hops.get(address.ip) for address in (way.joined.source, way.joined.target))
            here, there = (way.here or (back and back.source)), (way.there or (hop and hop.source))
            if back and hop and here and there:
                lanes[way.joined.port] = _lane(way.joined, here, there, back, hop)
        return lanes

    def _count_anew(self, ways: list[Way]) -> None:
        """See to it that a pair that has a port after another begins with nothing counted."""
        pairs = {way.joined.port: way.pair for way in ways}
        handed = [port for port, pair in pairs.items() if self._pairs.get(port, pair) != pair]
        if handed:
            counted = self._ingress.counted()
            self._before |= {port: counted[port] for port in handed if port in counted}
        self._pairs |= pairs

    # --- what changes on this machine ---------------------------------------------------------------------

    async def _monitor(self) -> None:
        """Look again at the ways to hosts whenever a route or a device changes, once a second at most."""
        process = await asyncio.create_subprocess_exec(
            *MONITOR, stdout=asyncio.subprocess.PIPE, env=environment(os.environ), stdin=asyncio.subprocess.DEVNULL
        )
        assert process.stdout is not None
        try:
            while await process.stdout.read(1 << 16):
                self._stale = True
                self.stir()
                await asyncio.sleep(RESTS)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _lane(joined: Joined, here: IP, there: IP, back: Hop, hop: Hop) -> Lane:
    return Lane(
        source=(joined.source.ip, joined.source.port),
        here=here,
        port=joined.port,
        target=(joined.target.ip, joined.target.port),
        there=there,
        by=joined.other,
        back=back,
        hop=hop,
    )
