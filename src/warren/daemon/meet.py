"""Peers that nobody can dial are found with the help of rendezvous servers (docs/meeting.md)."""

from __future__ import annotations

from warren.daemon.duty import Duties, Duty, Tell
from warren.daemon.finder import Finder
from warren.daemon.noting import Noting


class Meet(Duty):
    """Has a finder at work as long as there is anybody to be found."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(tell)
        self._finder: Finder | None = None
        self._stirred = False  # addresses came or went, by which others may reach this host

    def learn(self, duties: Duties, now: float) -> None:
        """Find those that are to be found now; paths to the ones that stay are left alone."""
        if self._finder is not None and (duties.meeting is None or not self._finder.suits(duties.meeting)):
            self.end()
        if duties.meeting is not None:
            if self._finder is None:
                noting = Noting(duties.run, duties.meeting.device, self.say)
                self._finder = Finder(duties.meeting, self.say, noting)
            self._finder.find(duties.meeting, duties.devices, now)

    def names(self) -> tuple[str, ...]:
        """Give the peers that are to be found."""
        return self._finder.names if self._finder is not None else ()

    def line(self, text: str) -> None:
        """Note that an address came or went."""
        self._stirred = self._stirred or " inet" in text

    def moved(self, now: float) -> None:
        """Have servers and peers learn where this host is now."""
        if self._finder is not None:
            self._finder.moved(now)

    def tick(self, now: float) -> None:
        """See to what has no event of its own."""
        stirred, self._stirred = self._stirred, False
        if self._finder is not None:
            self._finder.tick(now, stirred)

    def end(self) -> None:
        """Leave WireGuard as it is: it goes on with the paths that there are."""
        if self._finder is not None:
            self._finder.close()
        self._finder = None
