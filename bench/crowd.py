"""One real agent with a hundred peers on the internet, which are the agent's machine on sockets, all in one process.

`python -m bench.crowd HOST` is that agent alone in a process: what `warren agent` is, so its memory can be told.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from warren.core.parse import parse
from warren.lab.daemons import server_name, told_by
from warren.lab.keys import key_file
from warren.lab.lab import Lab, build_up
from warren.lab.topology import host_space
from warren.lab.works import memory
from warren.model.key import PublicKey, decode_key, encode_key
from warren.model.network import Network
from warren.proto.address import Address, Candidate, Origin
from warren.proto.agent import Agent
from warren.proto.noise import KeyPair
from warren.sys import datagram

MANY, PORT, SERVER_PORT = 100, 51820, 51819
MEASURED, SETTLES, PATIENCE = 40.0, 60.0, 120.0  # seconds; a path is probed oftener until 45 s after traffic
HOST = "h0"
NETWORK = Path("/run/crowd.pickle")
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Load:
    """What an agent takes: MiB, percent of a core with what it runs; a server: seconds for a host's hour."""

    mebibytes: float
    percent: float
    direct: int
    server: float


def measure() -> Load:
    """Have the agent meet a hundred peers, and look at it while they are idle; inside `enclose`."""
    lab = build_up(_network(), None)
    lab.serve_names()
    lab.apply((HOST,))
    for number, _ in enumerate(lab.network.rendezvous):
        lab.daemons.serve(number)
    crowd = lab.spaces.fork("", lambda: _be_crowd(lab))
    NETWORK.write_bytes(pickle.dumps((lab.network, lab.lock)))
    words = (sys.executable, "-m", "bench.crowd", HOST)
    told = told_by(HOST)
    told.parent.mkdir(parents=True, exist_ok=True)
    with told.open("w") as out:
        agent = lab.spaces.start(host_space(HOST), words, stdout=out, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        lab.wait(lambda: _direct(told) >= MANY, PATIENCE, lambda _: None)
        lab.wait(lambda: False, SETTLES)
        pids = (agent.pid, *(lab.daemons.running[server_name(number)] for number in (0, 1)))
        before, began = [_cpu(pid) for pid in pids], time.monotonic()
        lab.wait(lambda: False, MEASURED)
        passed = time.monotonic() - began
        own, *served = ((_cpu(pid) - spent) / passed for pid, spent in zip(pids, before, strict=True))
        share = 3600 * sum(served) / len(served) / (MANY + 1)
        return Load(_resident(agent.pid), 100 * own, _direct(told), share)
    finally:
        agent.kill()
        agent.wait()
        os.kill(crowd, 9)


def _network() -> Network:
    lines = ["network: crowd", "overlay: [10.93.0.0/16]", "rendezvous:"]
    lines += [f"  - {{address: rv{n}.example.net:{SERVER_PORT}, key: {_key(200 + n)}}}" for n in (1, 2)]
    lines += ["hosts:", *(f"  h{n}: {{key: {_key(n)}, uplink: eth0}}" for n in range(MANY + 1))]
    lines += ["lab:", "  nats: {home: {mapping: endpoint-independent}}", "  place:", f"    {HOST}: home"]
    lines += [f"    h{n}: internet" for n in range(1, MANY + 1)]
    parsed = parse("\n".join(lines).encode(), "crowd.yaml")
    assert parsed.network is not None, parsed.diagnostics
    return parsed.network


def _key(number: int) -> PublicKey:
    return PublicKey(encode_key(bytes([1, number]) * 16))


def _direct(told: Path) -> int:
    """Count the peers that the agent said it reaches directly."""
    return len({line.split(":")[0] for line in told.read_text().splitlines() if "directly" in line})


def _cpu(pid: int) -> float:
    """Give the seconds that a process has computed for, those of its children that ended included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def _be_crowd(lab: Lab) -> int:
    """Be all the peers: an agent's machine for each, at a socket in its space."""
    hub = decode_key(lab.network.by_name[HOST].key)
    servers = [
        (Address(lab.world.names[number][1][0], SERVER_PORT), decode_key(server.key))
        for number, server in enumerate(lab.network.rendezvous)
    ]
    selector = selectors.DefaultSelector()
    agents: dict[socket.socket, Agent] = {}
    for number in range(1, MANY + 1):
        name = f"h{number}"
        own = lab.world.host_by_name[name].attachment.addresses[0].ip
        with lab.spaces.inside(host_space(name)):
            line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        line.bind((str(own), PORT))
        line.setblocking(False)
        static = KeyPair.of(decode_key(PublicKey(key_file(name).read_text().strip())))
        agents[line] = Agent(static, (hub,), servers, os.urandom)
        agents[line].offer((Candidate(Origin.HOST, Address(own, PORT)),), time.monotonic())
        selector.register(line, selectors.EVENT_READ)
    while True:
        now = time.monotonic()
        for line, agent in agents.items():
            if agent.next_timer() <= now:
                _pump(line, agent, now)
        due = min(agent.next_timer() for agent in agents.values())
        for key, _ in selector.select(max(0.0, due - time.monotonic())):
            line = key.fileobj  # type: ignore[assignment]
            now = time.monotonic()
            for data, source in datagram.taken(line):
                agents[line].receive(data, source, now)
            _pump(line, agents[line], now)


def _pump(line: socket.socket, agent: Agent, now: float) -> None:
    for data, to in agent.to_send(now):
        with suppress(OSError):
            line.sendto(data, (str(to.ip), to.port))
    agent.events()


def _attend(host: str) -> Iterator[None]:
    """Be the agent of a host of the lab."""
    import warren.cli.agent  # noqa: F401  # as large as the command itself
    from warren.daemon.agent import Agent as Runner
    from warren.daemon.duties import after_each_apply, duties_here
    from warren.daemon.duty import Duties
    from warren.sys.machine import Machine
    from warren.sys.store import Store

    network, lock = pickle.loads(NETWORK.read_bytes())
    machine = Machine(Store(memory(host)))

    def read() -> Duties:
        return duties_here(network, lock, host, machine)

    def tell(event: object) -> None:
        print(f"{event.subject}: {event.says}", flush=True)  # type: ignore[attr-defined]

    asyncio.run(Runner(read(), tell, after_each_apply(read, network.name, machine)).run())
    yield


if __name__ == "__main__":
    list(_attend(sys.argv[1]))
