"""A lab in which scenarios are played: what happens to hosts, what is asked, what is seen, and how it is taken back."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import TypeVar

from warren.lab.lab import Lab
from warren.lab.leaks.decode import token
from warren.lab.leaks.names import NAMES, Names
from warren.lab.leaks.questions import KINDS, Questions
from warren.lab.leaks.scenario import Check
from warren.lab.leaks.senders import Sender, senders_of
from warren.lab.leaks.streams import Process, answering, streaming
from warren.lab.leaks.throw import throw
from warren.lab.leaks.watch import Leak, Tally, Watch
from warren.lab.spaces import LabError
from warren.lab.topology import INTERNET, host_space
from warren.lab.works import memory, on_each
from warren.model.network import Network
from warren.model.state import HostState
from warren.sys.errors import HostError
from warren.sys.machine import Machine
from warren.sys.store import Store

T = TypeVar("T")

PATIENCE = 8.0  # seconds for what must arrive: a handshake that went wrong is tried again after 5
QUIET = 0.4  # seconds in which what leaks would be seen
LOOK = 0.04
_DYNAMIC = re.compile(r" expires -?\d+sec| linkdown| dead| error -\d+")
_PASSING = re.compile(r"^(local )?fe80:|inet6 fe80:")
SNAPSHOT = (
    "ip rule; ip -6 rule; ip route show table all; ip -6 route show table all | grep -v ' dev lo '; "
    "ip -o link | cut -d: -f2 | cut -d@ -f1; ip -o addr | cut -d' ' -f2-9; nft -s list ruleset; "
    "wg show all allowed-ips; "
    "sysctl -a 2>/dev/null | grep -E 'rp_filter|forwarding|ip_forward|disable_ipv6|accept_ra ' "
    "| grep -vE 'conf.(lo|erspan0|gre0|gretap0|tunl0|sit0)[.]' || true"
)


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


class Stage:
    """A lab with streams under way and eyes open."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.network: Network = lab.network
        self.hosts = tuple(host.name for host in lab.network.hosts)
        self.senders = senders_of(lab)
        self.entries = tuple(dict.fromkeys(one.host for one in self.senders if one.portal))
        self.asking = self.senders if any(one.resolver for one in self.senders) else ()  # for names
        self.rounds = count(1)
        self.watch = Watch(lab, self.senders)
        self.answers = answering(lab, self.senders)
        self.streams: Process | None = None
        self.undoing: list[tuple[str, Callable[[], object]]] = []
        self.tally = Tally()
        self.alive: frozenset[int] = frozenset()
        self.torn = False
        self.rulesets: dict[str, str] = {}
        self.sabotage = ""
        self.dirty = True

    # --- what a scenario does ---------------------------------------------------------------------------------

    def sh(self, host: str, script: str) -> str:
        """Run a shell script on a host, which must succeed."""
        return self.lab.spaces.run(host_space(host) if host != INTERNET else INTERNET, ("sh", "-euc", script))

    def everywhere(self, script: str, back: str = "") -> None:
        """Run a script on every host at once; and, when all is over, another that takes it back."""
        if back:
            for host in self.hosts:
                self.undo(host, back)
        self.lab.spaces.run_each({host_space(host): (("sh", "-euc", script), "") for host in self.hosts})

    def undo(self, host: str, script: str) -> None:
        """Run a script on a host when the scenario is over; the last that was said is run first."""
        self.undoing.append((f"on {host}: {script}", lambda: self.sh(host, script)))

    def afterwards(self, what: Callable[[], object]) -> None:
        """Call something when the scenario is over."""
        self.undoing.append((str(what), what))

    def uplink(self, host: str) -> str:
        """Name a host's uplink."""
        return self.network.by_name[host].uplink

    def apply(self, hosts: Iterable[str] | None = None) -> dict[str, HostState]:
        """Apply the network as it is in the file, on these hosts or all."""
        return self.lab.apply(self.hosts if hosts is None else hosts)

    def again(self, host: str) -> None:
        """Apply on a host that lost something, and have every tunnel of it shake hands anew."""
        self.renew((host,))

    def settle_again(self) -> None:
        """Apply everywhere."""
        self.apply()

    def plug(self, host: str) -> None:
        """Put a host's cable back where it was."""
        uplink = self.lab.wiring.uplinks[host]
        self.lab.spaces.run(uplink.space, ("ip", "-batch", "-"), "\n".join(uplink.revive))

    def flap(self, host: str) -> None:
        """Set a host's uplink down and up, as a driver does, and put the routes back that its owner had."""
        uplink = self.uplink(host)
        ways = self.sh(host, "ip route show default; echo; ip -6 route show default").split("\n\n")
        six = self.sh(host, f"ip -6 -o address show dev {uplink} scope global").split("\n")
        self.sh(host, f"ip link set {uplink} down; ip link set {uplink} up")
        put = [f"ip -6 address replace {line.split()[3]} dev {uplink} nodad" for line in six if line]
        put += [f"ip route replace {line}" for line in ways[0].splitlines()[:1]]
        put += [f"ip -6 route replace {line.split(' pref')[0]}" for line in "".join(ways[1:]).splitlines()[:1]]
        self.sh(host, "; ".join(put))

    def advertise(self, host: str, prefix: str) -> None:
        """Have a router on the wire of a host's uplink announce itself and a prefix (RFC 4861 section 4.2)."""
        far = self.lab.wiring.uplinks[host]
        information = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 1800, 1800, 0) + socket.inet_pton(socket.AF_INET6, prefix)
        message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + information
        with self.lab.spaces.inside(far.space), socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58) as router:
            router.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            router.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, far.device.encode())
            router.sendto(message, ("ff02::1", 0, 0, socket.if_nametoindex(far.device)))

    def keep_ruleset(self, host: str) -> None:
        """Note the tables of a host that are not warren's."""
        names = [line.split()[1:] for line in self.sh(host, "nft list tables").splitlines()]
        theirs = [f"nft -s list table {family} {name}" for family, name in names if not name.startswith("warren-")]
        self.rulesets[host] = self.sh(host, "; ".join(theirs) or ":")
        self.afterwards(lambda: self.bring_ruleset(host))

    def bring_ruleset(self, host: str) -> None:
        """Bring the noted tables back, once."""
        text = self.rulesets.pop(host, "")
        if text:
            self.lab.spaces.run(host_space(host), ("nft", "-f", "-"), text)

    def load(self, host: str, rules: str) -> None:
        """Load somebody's tables, until the scenario is over."""
        self.lab.spaces.run(host_space(host), ("nft", "-f", "-"), rules)
        for family, name in re.findall(r"^table (\w+) (\w+)", rules, re.MULTILINE):
            self.undo(host, f"nft delete table {family} {name}")

    def on(self, hosts: Iterable[str], verb: Callable[[str, Machine], T]) -> dict[str, T]:
        """Have one of warren's verbs act on hosts, in processes of their own, as its commands do."""
        return on_each(self.lab.spaces, list(hosts), lambda host: verb(host, self.machine(host)))

    def machine(self, host: str) -> Machine:
        """A host as warren's verbs take it."""
        return Machine(Store(memory(host)))

    def pause(self, seconds: float) -> None:
        """Let time pass: for what has no end that could be waited for, such as streams while something goes on."""
        time.sleep(seconds)

    def wait_until(self, so: Callable[[], bool], seconds: float) -> None:
        """Wait until something is so; LabError if it does not come to be."""
        end = time.monotonic() + seconds
        while not so():
            if time.monotonic() > end:
                raise LabError(f"what was waited for did not come within {seconds:g} s")
            time.sleep(LOOK)

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
        self.snapshot = self._snapshot()

    # --- and back ---------------------------------------------------------------------------------------------

    def recover(self) -> str:
        """Take back what was done, and see that all is as it was; say in what it is not, if it is not."""
        trouble = ""
        while self.undoing:
            told, what = self.undoing.pop()
            try:
                what()
            except HostError as error:
                trouble = trouble or f"{told}: {error}"
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
        if not torn and self._differences():
            self.apply()
            if not self.unlike(2.0):
                return ""
        self.renew(self.hosts)
        return self.unlike(PATIENCE)

    def tear(self, script: str) -> None:
        """Run a script on every host at once that ends tunnels: they are made anew when the scenario is over."""
        self.torn = True
        self.everywhere(script)

    def unlike(self, patience: float) -> str:
        """Say in what the lab is not what it was when all was well; empty if it is."""
        differences = self._differences()
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

    def _differences(self) -> list[str]:
        """The first lines that are there and were not, or were and are not."""
        found = []
        for space, text in self._snapshot().items():
            now, then = set(text.splitlines()), set(self.snapshot[space].splitlines())
            found += [f"{space} has {line.strip()!r}" for line in sorted(now - then)[:3]]
            found += [f"{space} lacks {line.strip()!r}" for line in sorted(then - now)[:3]]
        return found

    def forgive(self, held: Callable[[Sender], bool]) -> None:
        """Forget what was seen up to now of senders that were not held to anything."""
        self.tally.add(self.watch.look())
        self.tally.leaks = {key: leak for key, leak in self.tally.leaks.items() if held(self.senders[leak.sender])}

    def renew(self, hosts: Iterable[str]) -> None:
        """Apply once more, with every tunnel of these hosts shaking hands anew: of two ends, who dials begins."""
        hosts = set(hosts)
        dialled = {host.name for host in self.network.hosts if host.endpoint is not None}
        others = {host for host in self.hosts if host not in dialled} if hosts & dialled else set()
        for host in hosts | others:
            with contextlib.suppress(LabError):
                self.sh(host, 'wg show all peers | while read d p; do wg set "$d" peer "$p" remove; done')
        self.apply(hosts | others)

    def _snapshot(self) -> dict[str, str]:
        # A tunnel device takes another link-local address whenever it is made.
        texts = self.lab.spaces.run_each({host_space(host): (("sh", "-c", SNAPSHOT), "") for host in self.hosts})
        lines = {name: sorted(_DYNAMIC.sub("", text).splitlines()) for name, text in texts.items()}
        return {name: "\n".join(line for line in kept if not _PASSING.search(line)) for name, kept in lines.items()}

    def close(self) -> None:
        """End streams and eyes."""
        self.stop_streams()
        self.answers.close()
        self.watch.close()
