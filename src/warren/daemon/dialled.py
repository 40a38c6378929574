"""Names of endpoints are asked for again where a peer does not answer: it may have moved (redial.py says when)."""

from __future__ import annotations

import asyncio
import time

from warren.daemon import redial
from warren.daemon.duty import Duties, Duty, Tell
from warren.daemon.redial import Look, Named, Redial, choose
from warren.model.change import Command
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey
from warren.sys import endpoints, wg
from warren.sys.errors import HostError
from warren.sys.nudge import nudge
from warren.sys.run import run
from warren.sys.store import Store


class Dialled(Duty):
    """Dials peers where their names lead now."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(tell)
        self._redial = Redial()
        self._next = 0.0
        self._work: asyncio.Task[None] | None = None

    def learn(self, duties: Duties, now: float) -> None:
        """Take the peers that there are now."""
        self._network, self._named = duties.network, duties.named

    def names(self) -> tuple[str, ...]:
        """Give the names that are watched."""
        return tuple(dict.fromkeys(one.endpoint.host for one in self._named))

    def tick(self, now: float) -> None:
        """Look at the handshakes now and then; there is no event that would tell of their absence."""
        if not self._named or now < self._next or self._work is not None:
            return
        self._next = now + redial.LOOK
        try:
            due = self._redial.look(self._named, self._seen(), now)
        except HostError as error:
            self.say("trouble", self._network, str(error))
            return
        if due:
            self._work = asyncio.get_running_loop().create_task(self._ask(due))

    def end(self) -> None:
        """Leave off: nobody waits for a name server."""
        if self._work is not None:
            self._work.cancel()

    def _seen(self) -> dict[tuple[str, PublicKey], Look]:
        present = time.time()
        return {
            (name, one.peer.public_key): Look(
                max(0.0, present - one.handshake) if one.handshake else None, one.sent, one.peer.endpoint
            )
            for name, device in wg.devices({one.device for one in self._named}).items()
            for one in device.peers
        }

    async def _ask(self, due: tuple[Named, ...]) -> None:
        """Ask for names in a thread, which the C library keeps waiting as it likes, and dial what was found."""
        try:
            found = await asyncio.to_thread(endpoints.look_up_all, [one.endpoint for one in due])
            seen = self._seen()
            for one in due:
                look = seen.get((one.device, one.key))
                if look is not None:
                    self._dial(one, look, found.get(one.endpoint, ()))
            endpoints.remember(Store.of_host(), {name: addresses[0] for name, addresses in found.items()})
        except (HostError, OSError) as error:
            self.say("trouble", self._network, str(error))
        finally:
            self._work = None

    def _dial(self, one: Named, look: Look, found: tuple[Endpoint, ...]) -> None:
        where = choose(look.endpoint, found)
        if where is None or (look.handshake is not None and look.handshake < redial.FRESH):
            return
        run(Command(("wg", "set", one.device, "peer", one.key, "endpoint", str(where)), says=f"dial {one.peer}"))
        if one.address is not None:
            nudge(one.device, one.address)
        self.say("dialled", one.peer, f"does not answer; {one.endpoint.host} leads to {where.host}: dialled there")
