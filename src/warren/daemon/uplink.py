"""The uplink has another address: peers' endpoints are set once more, so that packets leave with the new one."""

from __future__ import annotations

from warren.daemon.duty import Duties, Duty
from warren.sys.errors import HostError
from warren.sys.renew import renew_endpoints


class Uplink(Duty):
    """Sees to the source address of WireGuard's own packets."""

    def learn(self, duties: Duties, now: float) -> None:
        """Take the devices that there are now."""
        self._duties = duties

    def names(self) -> tuple[str, ...]:
        """Give what is watched."""
        return ("the uplink",)

    def moved(self, now: float) -> None:
        """Have packets leave with the address that the uplink has now."""
        try:
            count = renew_endpoints(self._duties.devices)
            self.say("moved", self._duties.uplink, f"the uplink has changed: {count} endpoints set once more")
        except HostError as error:
            self.say("trouble", self._duties.uplink, str(error))
