"""What countries and lists hold grows old: once a day it is fetched, and put into the sets in force.

A timer of systemd, a line of cron and the agents of other networks on this host do the same: whoever comes first has
done it for all, as they note when the registries were last asked. The work is a program of its own, which reads and
merges megabytes: the loop that watches tunnels must not wait for it.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from contextlib import suppress

from warren.daemon.duty import Duties, Duty, Tell
from warren.sys.errors import HostError
from warren.sys.geo import GeoStore

DAY = 86_400.0
JITTER = 3600.0  # seconds: hosts that start together do not ask together
AGAIN = 3600.0  # after a failure
LONGEST = 3600.0
UPDATE = (sys.executable, "-P", "-m", "warren", "geo", "update", "--refresh", "--json")


class Contents(Duty):
    """Has the registries and lists asked once a day, where a set is fed by them."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(tell)
        self._work: asyncio.Task[None] | None = None
        self._due = 0.0
        self._fed = False

    def begin(self, duties: Duties, now: float) -> None:
        """Begin with a wait: the machine may have just started, and with it everything else."""
        super().begin(duties, now)
        self._due = now + random.uniform(0, JITTER)

    def learn(self, duties: Duties, now: float) -> None:
        """Take whether anything in force is fed."""
        self._network, self._fed = duties.network, duties.fed

    def names(self) -> tuple[str, ...]:
        """Tell that countries and lists are kept current."""
        return ("countries and lists",) if self._fed else ()

    def tick(self, now: float) -> None:
        """Start the day's update when it is due and nobody else has done it."""
        if not self._fed or now < self._due or self._work is not None:
            return
        try:
            age = time.time() - GeoStore.of_host().asked()
        except HostError as error:
            self._due = now + AGAIN
            self.say("trouble", self._network, str(error))
            return
        if 0 <= age < DAY:
            self._due = now + DAY - age + random.uniform(0, JITTER)
            return
        self._work = asyncio.get_running_loop().create_task(self._update())

    def end(self) -> None:
        """Leave off in the middle: what was fetched by then is whole."""
        if self._work is not None:
            self._work.cancel()

    async def _update(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            status, out, words = await _run()
            if status:
                self.say("trouble", self._network, words or f"`warren geo update` ended with status {status}")
            for says in self._changed(out):
                self.say("refreshed", self._network, says)
            self._due = loop.time() + (AGAIN if status else DAY) + random.uniform(0, JITTER)
        except (OSError, TimeoutError) as error:
            self.say("trouble", self._network, f"`warren geo update`: {str(error) or 'it took longer than an hour'}")
            self._due = loop.time() + AGAIN
        finally:
            self._work = None

    def _changed(self, out: bytes) -> list[str]:
        """Say which sets of this network are others now; nothing of what is no JSON: the words say why."""
        try:
            told = json.loads(out)["networks"]
            sets = [one for network in told if network["network"] == self._network for one in network["sets"]]
            return [
                f"set {one['name']}: {one['elements']:,} elements, {one['new']:,} new, {one['gone']:,} gone"
                for one in sets
            ]
        except (ValueError, KeyError, TypeError):
            return []


async def _run() -> tuple[int, bytes, str]:
    """Run the update; give its status, what it printed, and the last of what it complained of."""
    process = await asyncio.create_subprocess_exec(
        *UPDATE,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), LONGEST)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    lines = [line for line in err.decode(errors="replace").splitlines() if line.startswith("warren: ")]
    return process.returncode or 0, out, "; ".join(line.removeprefix("warren: ") for line in lines[-3:])
