"""What is done on the lab's hosts: the same apply as in production, in a few processes that go from host to host.

Each worker is a copy of this process, so that nothing is loaded twice; it enters one host after the other, where it
finds a kernel, a /run/wireguard and a memory (what /var/lib/warren is elsewhere) of that host's own.
"""

from __future__ import annotations

import os
import pickle
import socket
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from warren.core.render.services import Tools
from warren.lab.keys import PLACE
from warren.lab.spaces import LabError, Spaces, enter
from warren.lab.topology import host_space
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.prefix import Address
from warren.model.state import HostState
from warren.sys.errors import HostError
from warren.sys.machine import Machine
from warren.sys.store import Store

T = TypeVar("T")
# Makes what brings one host up by its name, and gives the state it reached.
Works = Callable[[Network, Lock], Callable[[str], HostState]]


def on_each(
    spaces: Spaces, hosts: Iterable[str], work: Callable[[str], T], space: Callable[[str], str] = host_space
) -> dict[str, T]:
    """Call `work(host)` in each host's space, several at a time; LabError with the first trouble there was."""
    waiting = list(hosts)
    many = max(1, min(len(waiting), os.cpu_count() or 1))
    workers = [_start(spaces, waiting[at::many], work, space) for at in range(many)]
    done: dict[str, T] = {}
    troubles: list[tuple[str, str]] = []
    for reading, pid in workers:
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        os.waitpid(pid, 0)
        results, trouble = pickle.loads(said) if said else ({}, ("a worker of the lab ended", ""))
        done.update(results)
        troubles += [trouble] if any(trouble) else []
    if troubles:
        raise LabError(*troubles[0])
    return done


def _start(spaces: Spaces, hosts: list[str], work: Callable[[str], T], space: Callable[[str], str]) -> tuple[int, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return reading, pid
    done: dict[str, T] = {}
    trouble, host = ("", ""), ""
    try:
        for host in hosts:
            enter(spaces[space(host)])
            done[host] = work(host)
    except HostError as error:
        trouble = (f"on {host}: {error.says}", error.remedy)
    except BaseException as error:
        trouble = (f"on {host}: {type(error).__name__}: {error}", "".join(traceback.format_exception(error)))
    finally:
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump((done, trouble), pipe)
        os._exit(0)


def applier(network: Network, lock: Lock) -> Callable[[str], HostState]:
    """Make what applies the network on one host, and gives the state it reached."""
    from warren.sys.apply import apply

    compiled = compiler(network, lock)

    def work(host: str) -> HostState:
        machine = Machine(Store(memory(host)))
        desired = compiled(host, machine)
        apply(desired, machine, tools=lab_tools(), file=network.file)
        return desired

    return work


def compiler(network: Network, lock: Lock) -> Callable[[str, Machine], HostState]:
    """Make what works out from a host what the network wants of it."""
    # Loaded before the workers are copied.
    from warren.core.compile import compile_host
    from warren.core.compile.publishes import gateway_names
    from warren.sys import prepare
    from warren.sys.survey import survey

    def work(host: str, machine: Machine) -> HostState:
        prepare.allot(network, lock, host, machine)
        view = machine.view(network.name)
        surroundings = survey(
            view.journal.devices(),
            lan_links=view.journal.lan_links(),
            lan_addresses=view.journal.lan_addresses(),
            ledger=view.register.ledger(network.name),
            secrets=prepare.secrets_of(network.by_name[host]),
            names=gateway_names(network, host),
            services=machine.services,
        )
        return compile_host(network, lock, host, surroundings)

    return work


def lab_tools() -> Tools:
    """The tools of a host: a resolvconf of this machine knows nothing of one that has no more than a file."""
    from warren.sys.tools import tools_here

    return replace(tools_here(), no_dns=True)


def nudge(address: Address) -> None:
    """Send an empty datagram to the discard port (RFC 863); a peer that cannot be dialled yet refuses it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as sender, suppress(OSError):
        sender.sendto(b"", (str(address), 9))


def memory(host: str) -> Path:
    """Say where a host of the lab remembers what warren did to it."""
    return PLACE / host / "state"
