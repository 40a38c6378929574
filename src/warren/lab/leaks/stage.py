"""A lab in which scenarios are played: who sends, what is asked, what is seen, and whether all is well again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count

from warren.lab.lab import Lab
from warren.lab.leaks.decode import token
from warren.lab.leaks.hands import LOOK, Hands
from warren.lab.leaks.likeness import Likeness
from warren.lab.leaks.names import NAMES, Names
from warren.lab.leaks.questions import KINDS, Questions
from warren.lab.leaks.scenario import Check
from warren.lab.leaks.senders import Sender, senders_of
from warren.lab.leaks.streams import Process, answering, streaming
from warren.lab.leaks.throw import throw
from warren.lab.leaks.watch import Leak, Tally, Watch
from warren.lab.spaces import LabError
from warren.sys.errors import HostError

PATIENCE = 8.0  # seconds for what must arrive: a handshake that went wrong is tried again after 5
QUIET = 0.4  # seconds in which what leaks would be seen


class Found:
    """What came of a check: leaks of those who are held, of those who are not, and in what else it falls short."""

    def __init__(self) -> None:
        self.leaks: list[Leak] = []
        self.said: list[Leak] = []
        self.short: list[str] = []
        self.flaw = ""

    @property
    def fine(self) -> bool:
        """Whether all that was promised was kept, and seen to be."""
        return not (self.leaks or self.short or self.flaw)


class Stage(Hands):
    """A lab with streams under way and eyes open."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        self.senders = senders_of(lab)
        self.entries = tuple(dict.fromkeys(one.host for one in self.senders if one.portal))
        self.asking = self.senders if any(one.resolver for one in self.senders) else ()  # for names
        self.rounds = count(1)
        self.watch = Watch(lab, self.senders)
        self.answers = answering(lab, self.senders)
        self.streams: Process | None = None
        self.tally = Tally()
        self.alive: frozenset[int] = frozenset()
        self.sabotage = ""
        self.dirty = True

    # --- what is sent ---------------------------------------------------------------------------------------

    def of_kind(self, *kinds: str) -> tuple[Sender, ...]:
        """Give the senders of these kinds."""
        return tuple(sender for sender in self.senders if sender.kind in kinds)

    def stop_streams(self) -> None:
        """Stop what is sent without pause: a flow of a host itself that began without its portal goes on without it."""
        if self.streams is not None:
            self.streams.close()
            self.streams = None

    def start_streams(self) -> None:
        """Send without pause from everywhere."""
        self.stop_streams()
        self.streams = streaming(self.lab, self.senders)

    # --- what is seen -----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Forget what was seen before."""
        self.watch.look()
        self.tally = Tally()

    def ask(self, check: Check) -> Found:
        """Have everybody ask anew, wait for what must come or long enough to see what must not, and judge."""
        must = [n for n, one in enumerate(self.senders) if n in self.alive and one.bound and check.lives(one)]
        controls = [n for n, one in enumerate(self.senders) if not one.bound and check.shows(one)]
        shown_before = dict.fromkeys(controls, 0) | self._shown()
        round_ = next(self.rounds)

        def late() -> dict[int, frozenset[str]]:
            return {n: lacking for n in must if (lacking := KINDS - self._kinds(n, round_))}

        def unshown() -> list[int]:
            seen = self._shown()
            named = {n for n in controls if self.asking and self.senders[n].client is not None}
            named -= {n for n, r, kind in self.tally.shown if (r, kind) == (round_, "name")}
            return [n for n in controls if seen.get(n, 0) <= shown_before[n] or n in named]

        def unanswered() -> dict[int, frozenset[str]]:
            return {
                n: lacking
                for n, one in enumerate(self.senders)
                if one.resolver is not None and check.answers(one) and (lacking := names.lacking(n))
            }

        started = time.monotonic()
        with (
            Questions(self.lab.spaces, self.senders, round_) as questions,
            Names(self.lab.spaces, self.asking, round_) as names,
        ):
            while True:
                now = time.monotonic()
                questions.turn(now)
                names.turn(now)
                time.sleep(LOOK)
                self.tally.add(self.watch.look())
                spent = time.monotonic() - started
                lacking = late() or unshown() or unanswered()
                if spent > PATIENCE or (spent > (0.1 if must else QUIET) and not lacking):
                    break
                if any(check.held(self.senders[leak.sender]) for leak in self.tally.leaks.values()) and spent > QUIET:
                    break
        return self._judged(check, late(), unshown(), names, unanswered())

    def _judged(
        self,
        check: Check,
        late: dict[int, frozenset[str]],
        unshown: list[int],
        names: Names,
        unanswered: dict[int, frozenset[str]],
    ) -> Found:
        found = Found()
        for leak in self.tally.leaks.values():
            (found.leaks if check.held(self.senders[leak.sender]) else found.said).append(leak)
        for number, kinds in late.items():
            found.short.append(f"{self.senders[number].name}: {', '.join(sorted(kinds))} did not arrive by the exit")
        for number, kinds in unanswered.items():
            found.short.append(f"{self.senders[number].name}: {', '.join(sorted(kinds))} was not answered")
        for number, kind in sorted(names.answered):
            if check.silent(self.senders[number]):
                found.short.append(f"{self.senders[number].name}: somebody answered {kind} though its resolver is dead")
        if not found.leaks:
            for number in unshown:
                sender = self.senders[number]
                found.short.append(f"{sender.name}, which is no portal's, was not seen on the uplink of {sender.host}")
        if self.tally.missed:
            found.flaw = f"the lab was too slow to see {self.tally.missed} packets, so what was not seen proves nothing"
        return found

    def _kinds(self, number: int, round_: int) -> frozenset[str]:
        return frozenset(kind for n, r, kind in self.tally.arrived if (n, r) == (number, round_))

    def _shown(self) -> dict[int, int]:
        counted: dict[int, int] = {}
        for (number, _, _), many in self.tally.shown.items():
            counted[number] = counted.get(number, 0) + many
        return counted

    def prove_visible(
        self, throwers: dict[str, Callable[[Sender, bytes], Iterator[bytes]]]
    ) -> dict[str, tuple[str, ...]]:
        """Without any portal: everybody's every question is seen where it must not be later; LabError if one is not.

        Give, for each of the odd kinds that are thrown, from whom it was seen.
        """
        self.begin()
        round_ = next(self.rounds)
        bound = [n for n, one in enumerate(self.senders) if one.bound]
        wanted = {(n, kind) for n in bound for kind in KINDS}
        wanted |= {(n, kind) for n in bound if self.senders[n].resolver is not None for kind, _ in NAMES}
        for name, packets in throwers.items():
            self.throw(name, packets)
        started = time.monotonic()
        asked = Names(self.lab.spaces, self.asking, round_, directly=True)
        with Questions(self.lab.spaces, self.senders, round_) as questions, asked as names:
            while True:
                questions.turn(time.monotonic())
                names.turn(time.monotonic())
                time.sleep(LOOK)
                self.tally.add(self.watch.look())
                unseen = wanted - {(n, kind) for n, r, kind in self.tally.shown if r == round_}
                if not unseen or time.monotonic() - started > PATIENCE:
                    break
        if unseen:
            told = ", ".join(sorted(f"{self.senders[n].name} {kind}" for n, kind in unseen)[:6])
            raise LabError(
                f"without a portal the probe cannot be seen on the uplink, so nothing is proved by it: {told}"
            )
        return {
            name: tuple(self.senders[n].name for n in bound if any(k == name for m, _, k in self.tally.shown if m == n))
            for name in throwers
        }

    def throw(self, kind: str, packets: Callable[[Sender, bytes], Iterator[bytes]]) -> None:
        """Have every portal's source send packets that are written byte by byte."""
        for number, sender in enumerate(self.senders):
            if sender.portal and sender.address is not None:
                throw(self.lab, sender, packets(sender, token(number, 0, kind)))

    def settle_first(self) -> None:
        """Wait until the tunnels are up, and note who arrives by his exit when all is well."""
        deadline = time.monotonic() + PATIENCE
        portals = frozenset(n for n, one in enumerate(self.senders) if one.portal)
        best: frozenset[int] = frozenset()
        while time.monotonic() < deadline:
            round_ = next(self.rounds)
            self.begin()
            end = time.monotonic() + 1.0
            with Questions(self.lab.spaces, self.senders, round_) as questions:
                while time.monotonic() < end and best != portals:
                    questions.turn(time.monotonic())
                    time.sleep(LOOK)
                    self.tally.add(self.watch.look())
                    best = frozenset(n for n in portals if self._kinds(n, round_) == KINDS)
            if best == portals:
                break
        self.alive = best
        self.start_streams()
        self.likeness = Likeness(self.lab.spaces, self.hosts)

    # --- and back ---------------------------------------------------------------------------------------------

    def recover(self) -> str:
        """Take back what was done, and see that all is as it was; say in what it is not, if it is not."""
        trouble = self.take_back()
        if self.tally.leaks:  # the flows of what got out, and who answers them, would go on for minutes
            self.stop_streams()
            self.answers.close()
            self.answers = answering(self.lab, self.senders)
        torn, self.torn = self.torn, False
        try:
            unlike = self._healed(torn)
        except HostError as error:
            unlike = str(error)
        if self.streams is None:
            self.start_streams()
        return "; ".join(filter(None, (trouble, unlike))) if unlike else ""

    def _healed(self, torn: bool) -> str:
        """Have warren put right what is not as it was, the more thoroughly the more it takes."""
        if not torn and not self.unlike(1.0):
            return ""
        if not torn and self.likeness.differences():
            self.apply()
            if not self.unlike(2.0):
                return ""
        self.renew(self.hosts)
        return self.unlike(PATIENCE)

    def unlike(self, patience: float) -> str:
        """Say in what the lab is not what it was when all was well; empty if it is."""
        differences = self.likeness.differences()
        if differences:
            return "; ".join(differences)
        self.begin()
        round_ = next(self.rounds)
        end = time.monotonic() + patience
        with Questions(self.lab.spaces, self.senders, round_) as questions:
            while time.monotonic() < end:
                questions.turn(time.monotonic())
                time.sleep(LOOK)
                self.tally.add(self.watch.look())
                silent = [n for n in self.alive if not self._kinds(n, round_) >= KINDS]
                if not silent:
                    return ""
        return f"not everything of {', '.join(self.senders[n].name for n in silent)} arrives by the exit any more"

    def forgive(self, held: Callable[[Sender], bool]) -> None:
        """Forget what was seen up to now of senders that were not held to anything."""
        self.tally.add(self.watch.look())
        self.tally.leaks = {key: leak for key, leak in self.tally.leaks.items() if held(self.senders[leak.sender])}

    def close(self) -> None:
        """End streams and eyes."""
        self.stop_streams()
        self.answers.close()
        self.watch.close()
