"""Whole networks in a simulated internet: agents, servers, relays wired to its hosts, and something like WireGuard."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from random import Random

from warren.model.many_ports import FIRST_PORT, LAST_PORT
from warren.proto.address import Address, Candidate, Origin
from warren.proto.agent import Agent
from warren.proto.internet import IP, Host, Internet, Link, Realm
from warren.proto.lend import Lender
from warren.proto.member import ALL, Member
from warren.proto.nat import Behaviour
from warren.proto.noise import KeyPair
from warren.proto.path import Use
from warren.proto.refusal import Refusal
from warren.proto.relay import Relay
from warren.proto.rendezvous import Closed, Opened, Rendezvous
from warren.proto.states import State

PORT, SERVER_PORT = 51820, 51819


class Shell:
    """What an event loop would be: calls a machine when something comes or its time is there."""

    def __init__(self, internet: Internet) -> None:
        self.internet = internet
        self.alive = True
        self._planned = float("inf")

    def plan(self, timer: float | None) -> None:
        """Come back at that time, if nothing was planned before it."""
        if timer is None or timer >= self._planned or timer == float("inf"):
            return
        self._planned = timer
        self.internet.at(timer, lambda: self._fire(timer))

    def _fire(self, timer: float) -> None:
        if timer == self._planned:
            self._planned = float("inf")
            if self.alive:
                self.pump()

    def pump(self) -> None:
        """Send what is to be sent by now."""
        raise NotImplementedError


class Server(Shell):
    """A rendezvous server on the internet, and the relays that it lends."""

    def __init__(self, world: World, number: int, lends: bool) -> None:
        super().__init__(world.internet)
        self.world, self.lends = world, lends
        self.key = KeyPair.of(world.random.randbytes(32))
        self.host = world.internet.host(world.internet.root, ip_address(f"203.0.113.{number}"))
        self.place = Address(self.host.ips[0], SERVER_PORT)
        self.host.heard = self.heard
        self.carried = 0
        self.start()

    def start(self) -> None:
        """Begin with nothing in memory, as a server without a store does."""
        draw = self.world.random.randbytes
        lender = Lender((self.place.ip,), range(40000, 40400), draw) if self.lends else None
        self.machine, self.relay, self.alive = (
            Rendezvous(self.key, self.world.links(), draw, lender),
            Relay(),
            True,
        )

    def heard(self, data: bytes, source: Address, port: int, now: float) -> None:
        """Take what came to one of its ports."""
        if not self.alive:
            return
        if port == SERVER_PORT:
            self.machine.receive(data, source, now)
            self.pump()
        else:
            sent = self.relay.receive(data, source, port)
            if not isinstance(sent, Refusal):
                self.carried += data[:1] == b"\x04"
                self.host.send(*sent)

    def pump(self) -> None:
        now = self.internet.now
        for data, to in self.machine.to_send(now):
            self.host.send(data, to, SERVER_PORT)
        for event in self.machine.events():
            if isinstance(event, Opened):
                self.relay.open(event.lent)
            elif isinstance(event, Closed):
                self.relay.close(event.lent)
        self.plan(self.machine.next_timer())


class Node(Shell):
    """A host with an agent, and data as WireGuard would send it: to the endpoint that it was last given.

    A host that keeps a port for one peer is two of these: the other one, at its port, has `only` that.
    """

    def __init__(self, world: World, key: KeyPair, host: Host, port: int = PORT, only: bytes = ALL) -> None:
        super().__init__(world.internet)
        self.world, self.key, self.host, self.port = world, key, host, port
        self.member = Member(key.public, only)
        self.endpoints: dict[bytes, Use] = {}
        self.got: dict[bytes, float] = {}  # when data last came, by who sent it
        self.gaps: dict[bytes, float] = {}
        self.stream: tuple[Node, float] | None = None
        self.log: list[tuple[float, Use]] = []
        self.others, host.heard = host.heard, self.heard

    def start(self) -> None:
        """Begin a run: a new agent that knows nobody yet."""
        servers = [(server.place, server.key.public) for server in self.world.servers]
        peers = [peer.who for peer in self.world.links()[self.member]]
        self.agent = Agent(self.key, peers, servers, self.world.random.randbytes, self.member.only)
        places = tuple(Address(ip, self.port) for ip in self.host.ips)
        self.agent.offer(tuple(Candidate(Origin.HOST, place) for place in places), self.internet.now)
        self.alive = True
        self.pump()

    def heard(self, data: bytes, source: Address, port: int, now: float) -> None:
        """Take what came to WireGuard's port, or one beside it: data, or something for the agent."""
        aside = FIRST_PORT <= port <= LAST_PORT
        if port != self.port:
            self.others(data, source, port, now)
            if not aside:
                return
        if data[:1] == b"\x04":
            if aside and port != self.agent.bound.get(source):
                return
            who = data[1:33]
            use = self.endpoints.get(who)
            if use and use.exclusive and source != use.endpoint:
                return  # the drop that `exclusive` asks for
            if who in self.got:
                self.gaps[who] = max(self.gaps.get(who, 0.0), now - self.got[who])
            self.got[who] = now
            if self.alive:
                self.agent.traffic(who, now)
                self.plan(self.agent.next_timer())
        elif self.alive:
            self.agent.receive(data, source, now, port if aside else 0)
            self.pump()

    def pump(self) -> None:
        now = self.internet.now
        for data, to in self.agent.to_send(now):
            self.host.send(data, to, self.port)
        for data, to, port in self.agent.apart():
            self.host.send(data, to, port)
        for use in self.agent.events():
            self.endpoints[use.peer] = use
            self.log.append((now, use))
        self.plan(self.agent.next_timer())

    def talk(self, to: Node, every: float = 0.05) -> None:
        """Send data to another host from now on."""
        use = self.endpoints.get(to.key.public)
        if use and use.endpoint:
            self.host.send(b"\x04" + self.key.public, use.endpoint, self.agent.bound.get(use.endpoint, self.port))
        self.internet.at(self.internet.now + every, lambda: self.talk(to, every))

    def state(self, peer: Node) -> State:
        """Say how this host reaches a peer."""
        return self.agent.paths[peer.key.public].state

    def direct(self, peer: Node) -> bool:
        """Say whether this host reaches a peer directly."""
        return self.state(peer) is State.DIRECT


class World:
    """Servers, NATs and hosts that are all linked with one another. The same seed gives the same world."""

    def __init__(self, seed: int = 1, servers: int = 2, relays: int = 1) -> None:
        self.random = Random(seed)
        self.internet = Internet(self.random)
        self.nodes: list[Node] = []
        self._wanted = (servers, relays)
        self.servers: list[Server] = []
        self._number = 0

    def links(self) -> dict[Member, frozenset[Member]]:
        """Say who may learn of whom: everybody of everybody, each by the port that is kept for the other, if one is."""
        members = {node.member for node in self.nodes}
        found: dict[Member, set[Member]] = {member: set() for member in members}
        for one in members:
            for other in members:
                serves = one.only == other.who or (one.only == ALL and Member(one.who, other.who) not in members)
                served = other.only == one.who or (other.only == ALL and Member(other.who, one.who) not in members)
                if one.who != other.who and serves and served:
                    found[one].add(other)
        return {member: frozenset(others) for member, others in found.items()}

    def box(self, behaviour: Behaviour, outer: Realm | None = None) -> Realm:
        """Put a NAT somewhere; on the internet it has an address of its own."""
        self._number += 1
        place = f"198.51.100.{self._number}" if outer is None else f"100.64.0.{self._number}"
        return self.internet.realm(behaviour, ip_address(place), outer)

    def node(self, realm: Realm | None = None, *ips: str, link: Link | None = None) -> Node:
        """Put a host behind a NAT, or on the internet."""
        self._number += 1
        texts = ips or ((f"192.0.2.{self._number}",) if realm is None else (f"192.168.1.{self._number}",))
        addresses: list[IP] = [ip_address(one) for one in texts]
        host = self.internet.host(realm or self.internet.root, *addresses, link=link or Link(latency=0.02))
        made = Node(self, KeyPair.of(self.random.randbytes(32)), host)
        self.nodes.append(made)
        return made

    def keep(self, node: Node, peer: Node) -> Node:
        """Have a host keep another port for one peer."""
        ports = [one.port for one in self.nodes if one.host is node.host]
        made = Node(self, node.key, node.host, max(ports) + 1, peer.key.public)
        self.nodes.append(made)
        return made

    def start(self) -> None:
        """Start the servers, then every host's agent."""
        count, relays = self._wanted
        self.servers = [Server(self, n + 1, n < relays) for n in range(count)]
        for node in self.nodes:
            node.start()

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass until something is so, at most so many seconds; says whether it came to be."""
        return self.internet.run(until, seconds)
