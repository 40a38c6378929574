"""A network in namespaces with compiled states applied to it: where the compiler's word is held against the kernel.

The world is built and entered by a process of its own (tests/kernel/inside.py), in its own mount, pid and network
namespaces, so that tests cannot meet each other and nothing survives them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.kernel.inside import rising
from warren.lab.spaces import LabError
from warren.model.key import PublicKey, encode_key
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.state import HostState

ROOT = Path(__file__).parents[2]


def with_keys(network: Network, directory: Path) -> Network:
    """Give every host a key pair of its own, the private one in a file."""
    hosts = []
    for host in network.hosts:
        private = X25519PrivateKey.generate()
        path = directory / f"{host.name}.key"
        path.touch(0o600)
        path.write_text(encode_key(private.private_bytes_raw()) + "\n")
        public = PublicKey(encode_key(private.public_key().public_bytes_raw()))
        hosts.append(replace(host, key=public, private_key=str(path)))
    return replace(network, hosts=tuple(hosts))


class Remote:
    """A test's end of a world: every method of Kernel can be called on it."""

    def __init__(self, network: Network, lock: Lock) -> None:
        ours, theirs = Pipe()
        unshare = ["unshare", *([] if os.geteuid() == 0 else ["-Ur"]), "-mnpf", "--kill-child", "--mount-proc"]
        program = f"from tests.kernel.inside import main; main({theirs.fileno()})"
        os.set_inheritable(theirs.fileno(), True)
        self.process = subprocess.Popen(
            [*unshare, sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}/src:{ROOT}"},
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self.connection: Connection = ours
        self.network = network
        self.states: dict[str, HostState] = {}
        self._ask("start", network, lock)

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **more: self._ask(name, *args, **more)

    def _ask(self, name: str, *args: Any, **more: Any) -> Any:
        self.connection.send((name, args, more))
        if not self.connection.poll(120):
            raise TimeoutError(f"the world did not answer {name}")
        good, value = self.connection.recv()
        if not good:
            raise LabError(value)
        return value

    def close(self) -> None:
        """End the world with all that is in it."""
        self.connection.close()
        self.process.kill()
        self.process.wait(10)


@contextmanager
def a_world(network: Network, lock: Lock, directory: Path) -> Iterator[Remote]:
    """Build a network's world; nothing is applied yet."""
    remote = Remote(with_keys(network, directory), lock)
    try:
        yield remote
    finally:
        remote.close()


@contextmanager
def a_risen_world(network: Network, lock: Lock, directory: Path) -> Iterator[Remote]:
    """Build a network's world with its compiled states applied, every tunnel up."""
    with a_world(network, lock, directory) as world:
        rise(world)
        yield world


def rise(world: Remote, old_flows: bool = False) -> dict[str, HostState]:
    """Apply the compiled states, one host after the other, and wait until the tunnels are up.

    Without `old_flows` there are none to be ended, which saves dozens of processes.
    """
    compiled: dict[str, HostState] = world.compile()
    states = compiled if old_flows else {name: replace(state, forget=()) for name, state in compiled.items()}
    for name in rising(world.network):
        world.apply({name: states[name]})
    world.meet()
    world.states = states
    return states
