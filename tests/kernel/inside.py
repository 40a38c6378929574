"""A network's world from inside: the process that holds its namespaces does there what a test asks for."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Any, TextIO

from tests.kernel.capture import Capture, Packet
from tests.kernel.wire import Question, Service, answer_all, ask, far_end, flood, serve
from warren.core.compile import compile_network
from warren.core.compile.fabric import Fabric
from warren.core.diff import diff
from warren.core.render.commands import commands
from warren.core.world import place_world, surroundings_of
from warren.lab.build import build, write_sysctls
from warren.lab.spaces import LabError, Spaces
from warren.lab.topology import client_space, host_space, wire
from warren.model.change import Command
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.prefix import Family
from warren.model.state import HostState
from warren.sys.backend import detect
from warren.sys.run import run


@dataclass
class Kernel:
    """The spaces of a network, and what can be done in them."""

    network: Network
    lock: Lock
    captures: dict[int, Capture] = field(default_factory=dict)
    flows: dict[int, socket.socket] = field(default_factory=dict)
    children: dict[int, int] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self) -> None:
        self.backend = detect()
        self.world = place_world(self.network, self.lock)
        self.spaces: Spaces = build(wire(self.world, self.network))
        services = []
        for name in self.spaces.by_name:
            if name:
                with self.spaces.inside(name):
                    services.append(Service())
        self.spaces.fork("", lambda: serve(services))  # type: ignore[arg-type,return-value]

    def space(self, name: str) -> str:
        """Find the space of a host or client by its name in the network; any other name is a space already."""
        if name in self.network.by_name:
            return host_space(name)
        client = self.world.client_by_name.get(name)
        return client_space(self.world, client) if client else name

    def seen_as(self, host: str) -> tuple[str, str]:
        """Give the addresses by which the internet sees a host: its outermost NAT's IPv4, and its own IPv6."""
        behind = self.world.behind(host)
        own = self.world.host_by_name[host].attachment
        outer = behind[-1].attachment if behind else own
        return str(outer.address(Family.IPV4)), str(own.address(Family.IPV6))

    def refusals(self) -> str:
        """List the counted rules of every host's table that met a packet: what to read when an answer is not right."""
        said = []
        for host in self.network.hosts:
            lines = self.sh(host.name, "nft list ruleset | grep 'counter packets [1-9]'", check=False).splitlines()
            said += [f"{host.name}: {line.strip()}" for line in lines]
        return "\n".join(said)

    def world_clients(self) -> list[str]:
        """Name every client, with its addresses."""
        return [f"{c.name} {' '.join(str(a) for a in c.addresses)}" for c in self.world.clients]

    def compile(
        self,
        network: Network | None = None,
        lock: Lock | None = None,
        more: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> dict[str, HostState]:
        """Compile the network, or another one for hosts of this world, which keep their keys.

        `more` are fields of a host's surroundings that are not as in the world.
        """
        keys = self.network.by_name
        wanted = network or self.network
        hosts = (replace(h, key=keys[h.name].key, private_key=keys[h.name].private_key) for h in wanted.hosts)
        wanted = replace(wanted, hosts=tuple(hosts))
        around = {
            host.name: replace(
                surroundings_of(self.world, self.network, host.name, self.backend),
                **(more or {}).get(host.name, {}),
            )
            for host in wanted.hosts
        }
        return compile_network(wanted, lock or self.lock, around)

    def apply(
        self,
        states: Mapping[str, HostState],
        before: Mapping[str, HostState] | None = None,
        restore: Mapping[str, str] | None = None,
    ) -> None:
        """Make each host's kernel into its state, all hosts at once.

        `before` is what is there now, `restore` what settings were before all that.
        """
        children = []
        for host, desired in states.items():
            observed = (before or {}).get(host, HostState(host, desired.owner, desired.backend))
            todo = commands(diff(desired, observed, observed, restore), desired.owner)
            children.append(self._fork(host_space(host), lambda todo=todo: _carry_out(todo)))
        for child in children:
            self._reap(child)

    def run_command(self, host: str, command: Command) -> None:
        """Run one command of a plan on a host."""
        self._reap(self._fork(host_space(host), lambda: _carry_out([command])))

    def sh(self, name: str, script: str, check: bool = True) -> str:
        """Run a shell script in a space, and give all it printed."""
        out = _memory()
        argv = ("sh", "-ec" if check else "-c", script)
        with self.spaces.inside(self.space(name)):
            done = subprocess.run(argv, text=True, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        out.seek(0)
        said = out.read()
        if check and done.returncode:
            raise LabError(f"in {name}: {script}: {said}")
        return said

    def sysctl(self, name: str, settings: dict[str, str]) -> None:
        """Write kernel settings in a space."""
        write_sysctls(self.spaces, self.space(name), settings)

    def ask(self, questions: Sequence[Question]) -> list[str]:
        """Ask questions, all at once, from the places their `space` names."""
        named = [replace(question, space=self.space(question.space)) for question in questions]
        return ask(self.spaces.inside, named)

    def meet(self) -> None:
        """Wait until every two hosts with a tunnel have shaken hands; LabError if they do not within seconds."""
        fabric = Fabric(self.network, self.lock)
        order = {name: at for at, name in enumerate(rising(self.network))}
        pairs = [(host.name, peer.name) for host in self.network.hosts for peer in fabric.peers(host.name)]
        # Who came last asks first: a greeting sent to somebody who was not there yet is repeated after 5 s only.
        pairs.sort(key=lambda pair: order[pair[0]] < order[pair[1]])
        address = {host.name: str(host.addresses[0]) for host in self.lock.hosts}
        for here, there in pairs:
            (answer,) = self.ask([Question(here, address[there], timeout=12)])
            if answer != address[here]:
                raise LabError(f"{here} does not reach {there}: {answer}")

    # --- captures and flows ------------------------------------------------------------------------------

    def watch(self, name: str, device: str, address: str) -> int:
        """Begin to note the packets of an address on a device."""
        with self.spaces.inside(self.space(name)):
            return self._keep(self.captures, Capture(device, address))

    def seen(self, capture: int, stop: bool = True) -> list[Packet]:
        """Give what a capture noted since the last look."""
        packets = self.captures[capture].read()
        if stop:
            self.captures.pop(capture).close()
        return packets

    def wait_packets(self, capture: int, within: float = 5.0) -> bool:
        """Wait until a capture has noted a packet, bounded."""
        one = self.captures[capture]
        select.select([one.socket], [], [], within)
        return bool(one.read())

    def wait_outgoing(self, capture: int, least: int = 1, within: float = 8.0) -> bool:
        """Wait until a capture has noted some packets that left, bounded; they are taken."""
        one, found, until = self.captures[capture], 0, time.monotonic() + within
        while found < least and time.monotonic() < until:
            select.select([one.socket], [], [], 0.1)
            found += sum(packet.outgoing for packet in one.read())
        return found >= least

    def ask_with_ttl(self, question: Question, hops: int) -> str:
        """Ask a far end of the internet that answers with a hop limit of its own, and says `far end`."""
        with self.spaces.inside("internet"):
            far = far_end(question.to, question.port, hops)
        child = self.spaces.fork("", lambda: answer_all(far))
        far.close()
        try:
            return self.ask([question])[0]
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def send(self, name: str, here: tuple[str, int], there: tuple[str, int]) -> None:
        """Send one datagram."""
        with (
            self.spaces.inside(self.space(name)),
            socket.socket(socket.AF_INET6 if ":" in there[0] else socket.AF_INET, socket.SOCK_DGRAM) as one,
        ):
            one.bind(here)
            one.sendto(b"0", there)

    def start_stream(self, name: str, here: tuple[str, int], there: tuple[str, int], rate: int) -> int:
        """Begin to send datagrams from an address and port to another, unasked and unheard, in the background."""
        return self._start(name, there, rate, 60, here)

    def open_flow(self, name: str, to: str, port: int, source: str = "") -> int:
        """Open a TCP flow and keep it; the first line of the service is taken in."""
        with self.spaces.inside(self.space(name)):
            one = socket.create_connection((to, port), 5, (source, 0) if source else None)
        one.settimeout(5)
        one.recv(100)
        return self._keep(self.flows, one)

    def echo(self, flow: int, timeout: float = 3.0) -> bool:
        """Say whether a flow still carries a line there and back."""
        one = self.flows[flow]
        one.settimeout(timeout)
        try:
            one.send(b"still there?\n")
            return one.recv(100) == b"still there?\n"
        except (TimeoutError, ConnectionError):
            return False

    def close_flow(self, flow: int) -> None:
        """End a flow."""
        self.flows.pop(flow).close()

    def start_flood(self, name: str, to: str, port: int, rate: int = 500, seconds: float = 60) -> int:
        """Begin to send UDP questions at a rate, in the background."""
        return self._start(name, (to, port), rate, seconds)

    def _start(
        self, name: str, there: tuple[str, int], rate: int, seconds: float, here: tuple[str, int] | None = None
    ) -> int:
        with self.spaces.inside(self.space(name)):
            one = socket.socket(socket.AF_INET6 if ":" in there[0] else socket.AF_INET, socket.SOCK_DGRAM)
            if here is not None:
                one.bind(here)
            one.connect(there)
        one.setblocking(False)
        read, write = os.pipe()

        def work() -> int:
            for answers in flood(one, rate, seconds):
                if answers:
                    os.write(write, b"." * answers)
            return 0

        os.set_blocking(write, False)
        child = self.spaces.fork("", work)
        one.close()
        os.close(write)
        os.set_blocking(read, False)
        self.children[child] = read
        return child

    def flood_answers(self, child: int, at_least: int = 0, within: float = 5.0) -> int:
        """Say how many answers came since the last look; waits for some, bounded."""
        read, found = self.children[child], 0
        until = time.monotonic() + within
        while True:
            ready, _, _ = select.select([read], [], [], 0.05 if at_least > found else 0)
            found += len(os.read(read, 65536)) if ready else 0
            if (found >= at_least and not ready) or time.monotonic() > until:
                return found

    def stop_flood(self, child: int) -> None:
        """End a flood."""
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(self.children.pop(child))

    # --- inside ------------------------------------------------------------------------------------------

    def _keep(self, among: dict[int, Any], thing: Any) -> int:
        self.count += 1
        among[self.count] = thing
        return self.count

    def _fork(self, space: str, work: Any) -> tuple[int, Any]:
        said = _memory()

        def guarded() -> int:
            try:
                work()
            except Exception:
                said.write(traceback.format_exc())
                said.flush()
                return 1
            return 0

        return self.spaces.fork(space, guarded), said

    def _reap(self, child: tuple[int, Any]) -> None:
        _, status = os.waitpid(child[0], 0)
        if status:
            child[1].seek(0)
            raise LabError(child[1].read())


def rising(network: Network) -> list[str]:
    """Order the hosts so that those whom others dial come first."""
    return [host.name for host in sorted(network.hosts, key=lambda host: host.endpoint is None)]


def _memory() -> TextIO:
    """A file for a program's words: a daemon it leaves behind may keep it open without anybody waiting."""
    return os.fdopen(os.memfd_create("said"), "w+")


def _carry_out(todo: Sequence[Any]) -> None:
    for command in todo:
        run(command)
        until = time.monotonic() + 5
        while command.until:
            done = subprocess.run(command.until, capture_output=True)
            if done.returncode == 0:
                break
            if time.monotonic() > until:
                raise LabError(f"{command.argv}: never got ready: {done.stderr!r}")
            time.sleep(0.01)


def main(descriptor: int) -> None:
    """Be the world's process: do what comes in by the pipe until it is closed."""
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    connection = Connection(descriptor)
    kernel: Kernel | None = None
    while True:
        try:
            name, args, more = connection.recv()
        except EOFError:
            return
        try:
            if name == "start":
                kernel, value = Kernel(*args), None
            else:
                value = getattr(kernel, name)(*args, **more)
            connection.send((True, value))
        except Exception:
            connection.send((False, traceback.format_exc()))
