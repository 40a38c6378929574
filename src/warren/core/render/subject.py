"""Whose files are rendered: a host or a device of the network, compiled for a machine of which nothing is known.

Nobody can look at that machine, so its surroundings are the stated worst case: an uplink of 1500 bytes, a strict
reverse-path filter, no foreign rules, a ledger that is this network's alone, and sshd where it nearly always listens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from warren.core.compile import compile_device, compile_host
from warren.core.compile.publishes import published_at
from warren.core.diagnostics import finding
from warren.core.render.tree import Rendered, Secret
from warren.core.world import SSHD
from warren.model.diagnostic import Diagnostic, Where
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.state import HostState
from warren.model.surroundings import Listener, Surroundings


def subjects(network: Network) -> tuple[str, ...]:
    """Name all that can be rendered."""
    return (*network.by_name, *network.devices_by_name)


def state_of(network: Network, lock: Lock, name: str) -> HostState:
    """Compile one of `subjects`; KeyError if it is none."""
    if name in network.devices_by_name:
        return compile_device(network, lock, name, Surroundings(stated=True))
    if name not in network.by_name:
        raise KeyError(name)
    surroundings = Surroundings(stated=True, listeners=_listeners(network, name))
    knock = network.by_name[name].knock
    if knock is None or knock.traceroute is not None:
        return compile_host(network, lock, name, surroundings)
    # Without an agent nobody hears a knock, and a closed port would stay closed: it is left open, and that is said.
    hosts = tuple(replace(host, knock=None) if host.name == name else host for host in network.hosts)
    return replace(compile_host(replace(network, hosts=hosts), lock, name, surroundings), knock=knock)


def _listeners(network: Network, name: str) -> tuple[Listener, ...]:
    """Keep sshd's port for the gateway itself, unless the file gives that very port away."""
    named = (ports for publish in published_at(network, name) for ports in publish.ports or ())
    given = any(ports.proto == SSHD.proto and ports.first <= SSHD.port <= ports.last for ports in named)
    return () if given else (SSHD,)


def findings(
    network: Network, name: str, target: str, rendered: Rendered, missing: Iterable[Secret]
) -> tuple[Diagnostic, ...]:
    """Tell what the files do not say, and which keys are still to be put into them; all at the host's own line."""
    subject = network.by_name.get(name) or network.devices_by_name.get(name)
    at = subject.at if subject is not None else None
    return tuple(_findings(network, at or Where(network.file, 1, 1), name, target, rendered, missing))


def _findings(
    network: Network, at: Where, name: str, target: str, rendered: Rendered, missing: Iterable[Secret]
) -> Iterator[Diagnostic]:
    if not rendered.looks and any(publish.ports is None for publish in published_at(network, name)):
        yield finding(
            "W152",
            at,
            f"All that comes to {name} is led away, but for {SSHD}, WireGuard's own ports and what `except:` names. "
            f"What else listens on {name} could not be looked at.",
            f"Before you use the files, run `ss -tuln` on {name} and name in `except:` what must stay there: the port "
            "by which you reach it first of all.",
        )
    for one in rendered.unsaid:
        remedy = f"{one.remedy[:1].upper()}{one.remedy[1:]}." if one.remedy else ""
        yield finding("W150", at, f"{target} cannot express {one.item}: {one.why}.", remedy)
    for secret in missing:
        yield finding(
            "W151",
            at,
            f"{secret.what[:1].upper()}{secret.what[1:]} is not here; a line in the files keeps its place.",
            f"Put it there on {name}"
            + (f", where it lies in {secret.ref.path}." if secret.ref.path else ", or name its file: --private-key."),
        )
