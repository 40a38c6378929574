"""What goes wrong while two pairs talk, one directly and one by a relay; how long each is silent, and what recovers.

    home-1 ══════ direct ══════ home-2          fifty packets a second each way, on both
    apd-apd-1 ─── a server's relay ─── apd-apd-2          cafe: where home-1 moves to

No flow that could survive dies: who is not hit notices nothing, who is hit is back within what is promised.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from dataclasses import field as value
from ipaddress import ip_interface

from warren.lab.daemons import server_name, told_by
from warren.lab.matrix.field import Field, hosts_of
from warren.lab.matrix.kinds import CAFE, HARD, HOME
from warren.lab.matrix.talk import Talk
from warren.lab.nat import UP, render_nat
from warren.lab.spaces import LabError
from warren.lab.topology import INTERNET, host_space, nat_space

KINDS = (HOME, HARD, CAFE)
DIRECT, RELAYED = hosts_of(HOME), hosts_of(HARD)
NOTICED = 1.5  # seconds of silence that nobody notices who is not hit; a busy machine makes some by itself
STEADY = 0.3  # seconds since the last packet at both ends of a flow that goes on
PATIENCE = 60.0
HOUR = 3600.0
WATCHED = 4.0  # seconds for which one looks on where nothing should happen


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a fault: the longest silence of the flow that was hit, and of the other; seconds until direct again.

    `within` is what is promised of the silence.
    """

    name: str
    says: str
    silence: float
    others: float
    within: float
    direct: float | None = None

    @property
    def holds(self) -> bool:
        """Whether it is as promised."""
        return self.silence <= self.within and self.others <= NOTICED


@dataclass
class Stage:
    """The lab, and the two flows."""

    field: Field
    talk: Talk
    watched: float = WATCHED
    began: float = 0.0
    addresses: Iterator[str] = value(default_factory=lambda: (f"192.0.2.{n}" for n in range(200, 250)))

    def settle(self) -> None:
        """Wait until both flows are where they belong, and every server knows everybody. LabError if that fails."""
        wanted = {DIRECT: "direct", RELAYED: "relay"}

        def settled() -> bool:
            paths = all(self.field.path(pair) == way for pair, way in wanted.items())
            return self.known() and self.steady(*DIRECT, *RELAYED) and paths

        if not self.field.until(settled, PATIENCE):
            found = ", ".join(f"{' and '.join(pair)}: {self.field.path(pair) or 'nothing'}" for pair in wanted)
            raise LabError("the two pairs of the lab do not talk as they should", found)

    def known(self) -> bool:
        """Say whether every server has heard of all four since it was started."""
        everybody = {*DIRECT, *RELAYED}
        for number, _ in enumerate(self.field.lab.network.rendezvous):
            here: set[str] = set()
            for event in map(json.loads, told_by(server_name(number)).read_text().splitlines()):
                if event["kind"] == "serving":
                    here.clear()
                elif event["kind"] == "came":
                    here.update(event["hosts"])
            if not everybody <= here:
                return False
        return True

    def steady(self, *hosts: str) -> bool:
        """Say whether packets come at these hosts."""
        return min(self.talk.last(host) for host in hosts) > time.monotonic() - STEADY

    def breaks(self, pair: tuple[str, str], seconds: float = PATIENCE) -> None:
        """Wait until a flow is silent, and then until it goes on."""
        self.field.until(lambda: self.talk.gap(self.began, *pair) > 2 * STEADY, seconds)
        self.field.until(lambda: self.steady(*pair), PATIENCE)

    def watch(self, times: int = 1) -> None:
        """Look on for a while, or several."""
        self.field.lab.wait(lambda: False, times * self.watched)

    def direct_again(self) -> float | None:
        """Wait until both of the direct pair say so, and give how long after the fault; None: they did not."""
        both = (DIRECT, DIRECT[::-1])

        def moments() -> list[float | None]:
            return [self.field.told(host, "path", peer, "directly", self.began) for host, peer in both]

        self.field.until(lambda: None not in moments(), PATIENCE)
        found = moments()
        return None if None in found else max(moment for moment in found if moment is not None) - self.began

    def relaying(self) -> str:
        """Name the server whose relay carries the other pair."""
        return self._server_at(self.field.endpoint(*RELAYED).rpartition(":")[0])

    def _server_at(self, address: str) -> str:
        names = {str(ip): name for name, found in self.field.lab.world.names for ip in found}
        number = [server.address.host for server in self.field.lab.network.rendezvous].index(names[address.strip("[]")])
        return server_name(number)

    def kill(self, name: str) -> None:
        """End an agent or a server without a word."""
        self.field.lab.daemons.stop(name, signal.SIGKILL)

    def serve(self, *names: str) -> None:
        """Start servers again."""
        for name in names:
            self.field.lab.daemons.serve(int(name.rpartition(".")[2]))

    def rules(self, host: str, text: str) -> None:
        """Add rules to the NAT in front of a host, or take them away again."""
        self.field.lab.spaces.run(nat_space(self.field.lab.world.behind(host)[0].box.name), ("nft", "-f", "-"), text)


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to break it. `hits` is the flow that feels it; empty: nobody should."""

    name: str
    says: str
    play: Callable[[Stage], float | None]
    hits: tuple[str, str] | tuple[()] = ()
    within: float = NOTICED


def play_all(land: Field, names: Iterable[str] = (), times: int = 1, watched: float = WATCHED) -> Iterator[Outcome]:
    """Play faults of these names, or all, in a lab of KINDS, each so many times. LabError: no such, or no flow."""
    wanted = tuple(names)
    unknown = [name for name in wanted if name not in {fault.name for fault in FAULTS}]
    if unknown:
        raise LabError(f"there is no fault called {unknown[0]}", f"There are: {', '.join(f.name for f in FAULTS)}.")
    land.forget((DIRECT, RELAYED))
    with Talk(land.lab, (DIRECT, RELAYED)) as talk:
        land.attend((*DIRECT, *RELAYED))
        stage = Stage(land, talk, watched)
        for fault in FAULTS:
            for _ in range(times if not wanted or fault.name in wanted else 0):
                yield play(stage, fault)


def play(stage: Stage, fault: Fault) -> Outcome:
    """Play one, from when both flows are as they should be."""
    stage.settle()
    stage.began = time.monotonic()
    direct = fault.play(stage)
    others = tuple(host for host in (*DIRECT, *RELAYED) if host not in fault.hits)
    silence = stage.talk.gap(stage.began, *fault.hits) if fault.hits else 0.0
    return Outcome(fault.name, fault.says, silence, stage.talk.gap(stage.began, *others), fault.within, direct)


# --- servers --------------------------------------------------------------------------------------------------------


def _server_killed(stage: Stage) -> None:
    idle = next(name for name in ("rendezvous.0", "rendezvous.1") if name != stage.relaying())
    stage.kill(idle)
    stage.watch()
    stage.serve(idle)


def _relay_killed(stage: Stage) -> None:
    used = stage.relaying()
    stage.kill(used)
    # What it has left in the kernel carries on for a minute, so there may be no silence to wait for.
    stage.field.until(lambda: stage.relaying() != used, PATIENCE)
    stage.field.until(lambda: stage.steady(*RELAYED), PATIENCE)
    stage.serve(used)


def _all_killed(stage: Stage) -> None:
    for name in ("rendezvous.0", "rendezvous.1"):
        stage.kill(name)
    stage.watch()
    stage.serve("rendezvous.0", "rendezvous.1")
    stage.field.until(stage.known, PATIENCE)
    stage.field.until(lambda: stage.steady(*RELAYED), PATIENCE)


# --- the ways -------------------------------------------------------------------------------------------------------


def _path_cut(stage: Stage) -> float | None:
    far = stage.field.endpoint(*DIRECT).rpartition(":")[0]
    stage.rules(DIRECT[0], _EARLY.format("wall", f"ip daddr {far} drop; ip saddr {far} drop"))
    stage.breaks(DIRECT)
    stage.rules(DIRECT[0], "delete table ip wall\n")
    return stage.direct_again()


_EARLY = "table ip {0} {{\nchain early {{\ntype filter hook forward priority -300; {1}\n}}\n}}\n"


def _nat_rebooted(stage: Stage) -> float | None:
    _reboot(stage, DIRECT[0], next(stage.addresses))
    stage.breaks(DIRECT)
    return stage.direct_again()


def _reboot(stage: Stage, host: str, address: str) -> None:
    """Have the NAT in front of a host come back with nothing in memory and another address."""
    lab = stage.field.lab
    node = lab.world.behind(host)[0]
    space, former = nat_space(node.box.name), node.attachment.addresses
    own = (ip_interface(address), *(one for one in former if one.version == 6))
    rules = "flush ruleset\n" + render_nat(replace(node, attachment=replace(node.attachment, addresses=own)))
    port = next(one.devices[0] for one in lab.wiring.cables if one.ends == (INTERNET, space))
    gateway = next(one for one in node.attachment.gateways if one.version == 4)
    old = lab.spaces.run(space, ("ip", "-4", "-o", "address", "show", "dev", UP)).split()[3]
    lines = f"address del {old} dev {UP}\naddress add {own[0]} dev {UP}\n"
    lab.spaces.run(space, ("ip", "-batch", "-"), f"{lines}route replace default via {gateway} dev {UP} onlink\n")
    lab.spaces.run(INTERNET, ("ip", "route", "replace", address, "dev", port, "table", "local"))
    lab.spaces.run(INTERNET, ("ip", "route", "del", old.split("/")[0], "dev", port, "table", "local"))
    lab.spaces.run(space, ("sh", "-c", "nft -f - && conntrack -F"), rules)


def _uplink_changed(stage: Stage) -> float | None:
    move(stage.field, DIRECT[0], nat_space(stage.field.lab.world.behind(hosts_of(CAFE)[0])[0].box.name))
    stage.field.until(lambda: stage.steady(*DIRECT), PATIENCE)
    return stage.direct_again()


def move(field: Field, host: str, nat: str) -> None:
    """Take a host to another NAT, which has a bridge: another link, another address, another way out."""
    lab, uplink = field.lab, field.lab.world.host_by_name[host].uplink
    here, there = lab.spaces[host_space(host)].path, lab.spaces[nat].path
    inner = lab.world.nat_by_name[nat.partition(".")[2]].inner[0]
    lab.spaces.run(host_space(host), ("ip", "link", "del", uplink))
    cable = f"link add name moved netns {there} type veth peer name {uplink} netns {here}\n"
    lab.spaces.run("", ("ip", "-batch", "-"), cable)
    lab.spaces.run(nat, ("ip", "-batch", "-"), "link set moved master inner up\n")
    address = f"address add {inner.network[77]}/{inner.network.prefixlen} dev {uplink}\n"
    way = f"route add default via {inner.ip} dev {uplink}\n"
    lab.spaces.run(host_space(host), ("ip", "-batch", "-"), f"link set {uplink} up\n{address}{way}")


def _loss(stage: Stage) -> None:
    lose = "meta l4proto udp numgen random mod 100 < 20 drop"
    stage.rules(DIRECT[0], _EARLY.format("weather", lose))
    stage.watch(3)
    stage.rules(DIRECT[0], "delete table ip weather\n")


# --- the hosts ------------------------------------------------------------------------------------------------------


def _agent_killed(stage: Stage) -> None:
    stage.kill(DIRECT[0])
    stage.watch(3)
    stage.field.attend(DIRECT[:1])
    stage.watch()


def _clock_jumped(stage: Stage) -> None:
    for hour in (HOUR, -HOUR):
        stage.field.clock.put(hour)
        stage.watch()
    stage.field.lab.daemons.stop(DIRECT[0])
    stage.field.attend(DIRECT[:1])
    stage.watch()
    stage.field.clock.put(0)


FAULTS = (
    Fault("server killed", "the one that does not relay gets SIGKILL", _server_killed),
    Fault(
        "relay killed", "the server that relays gets SIGKILL: the other's relay is taken", _relay_killed, RELAYED, 12
    ),
    Fault("all servers killed", "both get SIGKILL, and are started again", _all_killed, RELAYED, 25),
    Fault("path cut", "what a NAT lets through between the two is dropped", _path_cut, DIRECT, 5),
    Fault("NAT rebooted", "a NAT forgets everything and has another address", _nat_rebooted, DIRECT, 6),
    Fault("20 % loss", "a NAT loses every fifth packet, both ways", _loss, DIRECT, NOTICED),
    Fault("agent killed", "an agent gets SIGKILL, and is started again after 12 s", _agent_killed, DIRECT, NOTICED),
    Fault(
        "clock jumped", "agents' and servers' clocks go 1 h ahead, 2 h back; an agent restarts", _clock_jumped, DIRECT
    ),
    Fault("uplink changed", "a host moves to a café: another link, address and NAT", _uplink_changed, DIRECT, 8),
)
