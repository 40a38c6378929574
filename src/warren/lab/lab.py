"""A network in the lab, running: up, asked, broken and healed.

up:   spaces, cables, NATs, an internet · keys · the same apply as in production on every host
ask:  packets from where an expectation says, eyes in every space, answers
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from warren.core.allot import allot
from warren.core.delegates import grant
from warren.core.maps import settled
from warren.core.render.services import RESOLV_CONF
from warren.core.walk import spot_of
from warren.core.walk.course import OnHost, OnLan, Spot
from warren.core.world import SSHD, place_world
from warren.lab.agents import start_agents
from warren.lab.ask import AGAIN, Ask, Asker
from warren.lab.build import build
from warren.lab.daemons import Daemons
from warren.lab.devices import connector
from warren.lab.keys import with_fresh_keys, write_keys
from warren.lab.learn import await_learned, learners_of
from warren.lab.lease import take_leases
from warren.lab.lookup import Lookup, grow_up, lan_resolver, look_up, own_resolver
from warren.lab.name_server import Zone, point_at_it, serve_names
from warren.lab.questions import Questions
from warren.lab.service import Services
from warren.lab.sight import Eye, Sighting, show_to_eyes
from warren.lab.spaces import MS_BIND, LabError, Spaces, mount
from warren.lab.topology import (
    INTERNET,
    SWITCH,
    Wiring,
    client_space,
    device_space,
    host_space,
    machine_space,
    wire,
)
from warren.lab.wired import wired
from warren.lab.works import Works, applier, nudge, on_each
from warren.model.expect import Expect
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.place import Place
from warren.model.prefix import Address, Family
from warren.model.state import Backend, HostState
from warren.model.world import World

PATIENCE = 20.0  # seconds for an answer that must come: a handshake that went wrong is tried again after 5 to 15
QUIET = 1.2  # seconds for one that must not come
HOSTS = Path("/etc/hosts")
LOOK_AFTER = 16  # packets sent at once; an ordinary user's eyes have room for a few hundred


@dataclass
class Lab:
    """One network in namespaces. Make it with `bring_up`, inside `enclose`."""

    network: Network
    lock: Lock
    world: World
    wiring: Wiring
    spaces: Spaces
    backend: Backend
    works: Works = applier
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    eyes: dict[str, Eye] = field(default_factory=dict)
    asked: dict[str, Ask] = field(default_factory=dict)
    agents: dict[str, int] = field(default_factory=dict)  # by host, the processes of those that have something to do
    states: dict[str, HostState] = field(default_factory=dict)
    asked_for: set[tuple[str, str]] = field(default_factory=set)  # which names, in which spaces

    def __post_init__(self) -> None:
        self.services = Services(self.spaces, self.selector)
        self.questions = Questions(self.network, self.lock, self.world)
        self.zone = Zone.of(self.world.names)
        self.daemons = Daemons(self.network, self.lock, self.spaces)

    # --- coming up ---------------------------------------------------------------------------------------

    def apply(self, hosts: Iterable[str]) -> dict[str, HostState]:
        """Apply the network on these hosts: first those that can be dialled, or first handshakes would be lost."""
        self.services.rest()
        names = set(hosts)
        dialled = {host.name for host in self.network.hosts if host.endpoint is not None}
        reached: dict[str, HostState] = {}
        for wave in (names & dialled, names - dialled):
            reached |= on_each(self.spaces, sorted(wave), self.works(self.network, self.lock))
        self._wake(reached)
        self.states |= reached
        self.asked_for.clear()
        grow_up(self.spaces, reached)
        return reached

    def connect_devices(self) -> None:
        """Bring up every device with its rendered configuration; the hosts that they dial are there by now."""
        names = [device.name for device in self.network.devices]
        on_each(self.spaces, names, connector(self.network, self.lock), device_space)

    def _wake(self, reached: dict[str, HostState]) -> None:
        """Have one side of each tunnel send a packet, so that it shakes hands now and not with the first question.

        One side only: two that begin at the same moment take each other's beginning for the end of their own, and
        try again after 5 seconds. Whoever was applied last begins: nothing of his can have been lost before.
        """
        done: set[frozenset[str]] = set()
        for name, state in reversed(reached.items()):
            peers = {peer.name for interface in state.interfaces for peer in interface.peers}
            with self.spaces.inside(host_space(name)):
                for peer in sorted(peers & self.lock.by_name.keys()):
                    pair = frozenset((name, peer))
                    if pair not in done:
                        done.add(pair)
                        nudge(self.lock.by_name[peer].addresses[0])

    def let_learn(self) -> None:
        """Wait until the machines on LANs have been given and told what they are to have; LabError if one has not."""
        everybody = [(client_space(self.world, client), client) for client in self.world.clients]
        take_leases(self.spaces, {space: client for space, client in everybody if client.leased is not None})
        await_learned(self.spaces, learners_of(everybody), self.wait, PATIENCE)

    def open_eyes(self) -> None:
        """Watch every device of every host and client, and of the internet."""
        for name in self.wiring.spaces:
            if name != SWITCH and not name.startswith("nat.") and name not in self.eyes:
                eye = Eye(self.spaces, name, self._uplink_of(name))
                self.eyes[name] = eye
                self.selector.register(eye.socket, selectors.EVENT_READ, lambda eye=eye: eye.look(self._note))

    def _uplink_of(self, space: str) -> str:
        kind, _, name = space.partition(".")
        return self.world.host_by_name[name].uplink if kind in ("host", "device") else ""

    def _note(self, sighting: Sighting) -> None:
        ask = self.asked.get(sighting.what)
        if ask is not None:
            ask.take(sighting)

    def prove_sight(self, hosts: Iterable[str]) -> None:
        """Show each host's eye packets on its uplink until it sees one; LabError if one does not."""
        shown: dict[str, Ask] = {}
        for host in hosts:
            ask = Ask(machine_space(self.world, host), Family.IPV4, "udp", Family.IPV4.everything.network_address)
            shown[host] = self.asked[ask.token] = ask
        again = 0.0

        def seen(ask: Ask) -> bool:
            """By this very eye and as it left: that another saw it arrive says nothing of this one."""
            return ask.left_by(self._uplink_of(ask.space))

        def prod(now: float) -> None:
            nonlocal again
            if now >= again:  # a cable that was just plugged in takes a moment
                again = now + AGAIN
                for ask in shown.values():
                    if not seen(ask):
                        show_to_eyes(self.spaces, ask.space, self._uplink_of(ask.space), ask.token)

        self.wait(lambda: all(seen(ask) for ask in shown.values()), PATIENCE, prod)
        for ask in shown.values():
            self.asked.pop(ask.token)
        blind = [host for host, ask in shown.items() if not seen(ask)]
        if blind:
            raise LabError(
                f"what leaves by the uplink of {', '.join(blind)} is not seen, so nothing can be proved there"
            )

    def serve_operators(self) -> None:
        """Have something listen where an operator's sshd does, on every host and before warren comes there."""
        for host in self.network.hosts:
            self.services.serve(host_space(host.name), host_space(host.name), SSHD.proto, SSHD.port)

    def serve_names(self) -> None:
        """Have the internet know the names of the file, for whoever resolves them."""
        serve_names(self.spaces, INTERNET, self.selector, self.zone)

    def serve_people(self) -> None:
        """Have the internet answer whoever is curious: `curl http://1.1.1.1` says which address it sees."""
        for proto, port in (("tcp", 80), ("tcp", 7777), ("udp", 7777)):
            self.services.serve(INTERNET, INTERNET, proto, port)

    # --- asking ------------------------------------------------------------------------------------------

    def ask_for_names(self, expects: Iterable[Expect]) -> dict[tuple[str, str], str]:
        """Have machines ask for the names they are about to send to, once; gives what went wrong, by space and name."""
        known = dict(self.world.names)
        lookups = {}
        for expect in expects:
            name, spot = expect.target.name, spot_of(self.world, expect.source_place)
            resolver = self._resolver_of(spot) if name else ""
            space = self.questions.space_of(spot)
            if resolver and (space, name) not in self.asked_for:
                lookups[space, name] = Lookup(space, resolver, name)
        look_up(lookups.values(), self.spaces, self.selector, self.wait, PATIENCE)
        troubles = {}
        for key, lookup in lookups.items():
            if not lookup.trouble and lookup.addresses != frozenset(known[lookup.name]):
                told = ", ".join(map(str, sorted(lookup.addresses, key=str))) or "nothing"
                lookup.trouble = f"{lookup.resolver} answers {told} for {lookup.name}"
            if lookup.trouble:
                troubles[key] = lookup.trouble
            else:
                self.asked_for.add(key)
        return troubles

    def _resolver_of(self, spot: Spot) -> str:
        if isinstance(spot, OnLan):
            return lan_resolver(self.network, self.states.get(spot.client.host), spot.client)
        return own_resolver(self.states.get(spot.host)) if isinstance(spot, OnHost) else ""

    def wait(self, until: Callable[[], bool], seconds: float, prod: Callable[[float], None] | None = None) -> bool:
        """Let sockets work until something is so, at most so long; says whether it came to be."""
        end = time.monotonic() + seconds
        while not until():
            now = time.monotonic()
            if now >= end:
                return False
            if prod is not None:
                prod(now)
            pause = min(0.05 if prod else 3600.0, end - now)
            for key, _ in self.selector.select(pause):
                key.data()
        return True

    def ask(self, asks: list[Ask], expecting_answers: bool) -> None:
        """Ask all these questions at once and wait: for every answer, or long enough to know that none comes.

        A question that cannot be put, or that the eyes did not wholly see, has a `flaw` afterwards.
        """
        self._look()
        for ask in asks:
            self.asked[ask.token] = ask
            for key in ask.keys:
                self.asked[key] = ask
            self._serve(ask)
        askers = [Asker(ask, self.spaces, self.selector) for ask in asks if not ask.flaw]

        def prod(now: float) -> None:
            for first in range(0, len(askers), LOOK_AFTER):
                for asker in askers[first : first + LOOK_AFTER]:
                    asker.prod(now)
                self._look_on()

        def over() -> bool:
            return all(ask.answered or ask.flaw for ask in asks)

        self.wait(over, PATIENCE if expecting_answers else QUIET, prod)
        for asker in askers:
            asker.close()
        self.wait(lambda: False, 0.01)  # what the eyes have seen by now
        missed = self._look()
        for ask in asks:
            ask.flaw = ask.flaw or missed
            self.asked.pop(ask.token)
            for key in ask.keys:
                self.asked.pop(key, None)

    def resolver_of(self, place: Place) -> Address:
        """Say whom programs at a place ask for names: on a LAN its host, on a host whom its file names."""
        if place.lan:
            return self.network.by_name[place.host].lan(place.lan).addresses[0].ip
        with self.spaces.inside(host_space(place.host)):
            told = Path(RESOLV_CONF).read_text(encoding="utf-8")
        return ip_address(next(line.split()[1] for line in told.splitlines() if line.startswith("nameserver ")))

    def _serve(self, ask: Ask) -> None:
        """Have somebody answer wherever a question may arrive; where a port is taken, it cannot be asked."""
        try:
            for end in sorted(ask.ends) if ask.proto != "icmp" else ():
                for port in ask.ports:
                    self.services.serve(end, end, ask.proto, port, passing=True)
        except LabError as error:
            ask.flaw = ask.trouble = error.says

    def _look_on(self) -> None:
        for eye in self.eyes.values():
            eye.look(self._note)

    def _look(self) -> str:
        """Take in all there is to see; say what was missed since the last time, which proves nothing then."""
        self._look_on()
        missed = {name: count for name, eye in self.eyes.items() if (count := eye.missed())}
        told = ", ".join(f"{count} packets at {name}" for name, count in missed.items())
        return f"the lab was too slow to see {told}, so what was not seen proves nothing" if told else ""


def bring_up(network: Network, lock: Lock | None, works: Works = applier) -> Lab:
    """Build a network's world and apply it on every host; the process must be `enclose`d. Raises LabError.

    `works` is how it is applied: as `warren apply` does it, or by what was rendered for another tool.
    """
    lab = build_up(network, lock, works)
    lab.serve_names()
    reached = lab.apply(host.name for host in lab.network.hosts)
    lab.connect_devices()
    if works is applier:  # with other tools there is no agent, and nobody finds anybody
        lab.daemons.start()
    lab.let_learn()
    lab.open_eyes()
    lab.serve_people()
    if works is applier:  # what other tools were given has nothing to choose
        start_agents(lab, reached)
    return lab


def build_up(network: Network, lock: Lock | None, works: Works = applier) -> Lab:
    """Build a network's world as it is before warren comes; the process must be `enclose`d. Raises LabError."""
    from warren.sys.backend import detect, require

    backend = detect()
    require(backend)
    _refuse_forwards(network)
    keyed, files = with_fresh_keys(wired(network))
    complete = allot(keyed, lock or Lock())
    keyed = grant(settled(keyed, complete), complete)
    world = place_world(keyed, complete)
    wiring = wire(world, keyed)
    _name_hosts(world)
    point_at_it()
    spaces = build(wiring)
    write_keys(files)
    lab = Lab(keyed, complete, world, wiring, spaces, backend, works)
    lab.serve_operators()
    return lab


def _refuse_forwards(network: Network) -> None:
    for host in network.hosts:
        if host.endpoint is not None and host.port not in (None, host.endpoint.port):
            raise LabError(
                f"{host.name} is dialled at port {host.endpoint.port} but listens at {host.port}, and the lab has no "
                "port forward: nobody could dial it",
                "Without its `port:` the network can be tried here.",
            )


def _name_hosts(world: World) -> None:
    """Let the file's names be known in the lab: its own /etc/hosts stands in front of the machine's."""
    ours = Path("/run/hosts")
    lines = ["127.0.0.1 localhost", "::1 localhost"]
    lines += [f"{address} {name}" for name, addresses in world.names for address in addresses]
    ours.write_text("\n".join(lines) + "\n")
    if not HOSTS.exists():
        raise LabError(f"{HOSTS} is not there, so the lab cannot put its own names in front of it")
    mount(str(ours), str(HOSTS), flags=MS_BIND)
