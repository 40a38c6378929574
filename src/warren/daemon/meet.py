"""Peers that nobody can dial are found with the help of rendezvous servers (docs/meeting.md)."""

from __future__ import annotations

from warren.daemon.duty import Duties, Duty, Tell
from warren.daemon.finder import Finder
from warren.daemon.noting import Noting


class Meet(Duty):
    """Has a finder at work for each device that holds anybody who is to be found."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(tell)
        self._finders: dict[str, Finder] = {}
        self._stirred = False  # addresses came or went, by which others may reach this host

    def learn(self, duties: Duties, now: float) -> None:
        """Find those that are to be found now; paths to the ones that stay are left alone."""
        wanted = {meeting.device: meeting for meeting in duties.meetings}
        for device, finder in tuple(self._finders.items()):
            if device not in wanted or not finder.suits(wanted[device]):
                self._finders.pop(device).close()
        for device, meeting in wanted.items():
            if device not in self._finders:
                self._finders[device] = Finder(meeting, self.say, Noting(duties.run, device, self.say))
            self._finders[device].find(meeting, duties.devices, now)

    def names(self) -> tuple[str, ...]:
        """Give the peers that are to be found."""
        return tuple(name for finder in self._finders.values() for name in finder.names)

    def line(self, text: str) -> None:
        """Note that an address came or went."""
        self._stirred = self._stirred or " inet" in text

    def moved(self, now: float) -> None:
        """Have servers and peers learn where this host is now."""
        for finder in self._finders.values():
            finder.moved(now)

    def tick(self, now: float) -> None:
        """See to what has no event of its own."""
        stirred, self._stirred = self._stirred, False
        for finder in self._finders.values():
            finder.tick(now, stirred)

    def end(self) -> None:
        """Leave WireGuard as it is: it goes on with the paths that there are."""
        for finder in self._finders.values():
            finder.close()
        self._finders = {}
