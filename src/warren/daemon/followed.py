"""A device that a delegate follows has another prefix than the lock: everybody has to know it."""

from __future__ import annotations

from warren.daemon.duty import Duties, Duty, Tell
from warren.model.prefix import Prefix
from warren.sys.errors import HostError
from warren.sys.followed import prefixes_here
from warren.sys.monitor import is_of


class Followed(Duty):
    """Compares the followed devices' prefixes with the lock's."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(tell)
        self._stirred = False  # something happened to one of the devices

    def learn(self, duties: Duties, now: float) -> None:
        """Take what the lock has now."""
        self._network = duties.network
        self._known: dict[str, Prefix] = {one.device: one.prefix for one in duties.followed}

    def line(self, text: str) -> None:
        """Note that something happened to one of the devices."""
        self._stirred = self._stirred or any(is_of(text, device) for device in self._known)

    def tick(self, now: float) -> None:
        """Look, if there is cause; not at each line, since to look costs a program."""
        if not self._stirred:
            return
        self._stirred = False
        try:
            found = prefixes_here()
        except HostError as error:
            self.say("trouble", self._network, str(error))
            return
        for device, prefix in found.items():
            if self._known.get(device, prefix) != prefix:
                self._known[device] = prefix
                remedy = "`warren lock FILE --host` this one, then apply here and where the LANs are"
                self.say("renumbered", device, f"has {prefix} now, and the lock something else: {remedy}")
