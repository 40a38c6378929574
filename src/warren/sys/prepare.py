"""From a network to what one host must become, with all that is asked of the host on the way.

    read the secrets' fingerprints · take numbers from the register · survey · compile · observe · compare

`plan` only looks: it is told the numbers that apply would be given, and nothing is written.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from warren.core.compile import compile_host, ledger_needs
from warren.core.compile.publishes import gateway_names
from warren.core.compile.radio import passphrase
from warren.core.plan import make_plan
from warren.model.change import Obstacle, Plan
from warren.model.host import Host
from warren.model.key import SecretRef
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.state import HostState
from warren.model.surroundings import Surroundings
from warren.sys import consent, register, wg
from warren.sys.change import restorable
from warren.sys.errors import HostError
from warren.sys.lock import host_lock
from warren.sys.machine import Machine
from warren.sys.observe import View, observe
from warren.sys.privilege import require_net_admin
from warren.sys.rivals import rivals
from warren.sys.run import Run
from warren.sys.secret import read_secrets
from warren.sys.survey import survey
from warren.sys.udp import ports_in_use

DEFAULT_PRIVATE_KEY = "/etc/warren/private.key"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a host is, what it is to become, and what stands in the way."""

    desired: HostState
    observed: HostState
    surroundings: Surroundings
    view: View
    plan: Plan


def choose_host(network: Network, wanted: str, machine: Machine, nodename: str | None = None) -> str:
    """Say which host of the network this machine is.

    The one that was named; else the one called like the machine; else the one whose public key belongs to
    /etc/warren/private.key. HostError if none is.
    """
    names = [host.name for host in network.hosts]
    if wanted:
        if wanted in network.by_name:
            return wanted
        if wanted in network.devices_by_name:
            remedy = f"`warren render {network.file} --host {wanted} --as wg-quick` writes its configuration."
            raise HostError(f"{wanted} is a device, on which warren does not run", remedy)
        raise HostError(f"{network.file} has no host {wanted}", f"It has: {', '.join(names)}.")
    called = nodename or os.uname().nodename
    for name in (called, called.partition(".")[0]):
        if name in network.by_name:
            return name
    if os.path.exists(DEFAULT_PRIVATE_KEY):
        key = wg.public_key_of(SecretRef(DEFAULT_PRIVATE_KEY), machine.read)
        for host in network.hosts:
            if host.key == key:
                return host.name
    raise HostError(
        f"which host of {network.file} is this? None is called {called}, and none has the key of {DEFAULT_PRIVATE_KEY}",
        f"Say it: --host {'|'.join(names)}.",
    )


def allot(network: Network, lock: Lock, host: str, machine: Machine) -> None:
    """Have the register give this network the numbers it needs on the host, and keep them for it."""
    needs = ledger_needs(network, lock, host)
    with host_lock(machine.store, machine.patience):
        known = register.load(machine.store)
        given = known.allot(network.name, needs.tables, needs.marks)
        if given != known:
            register.save(machine.store, given)


def prepare(network: Network, lock: Lock, host: str, machine: Machine) -> Prepared:
    """Work out what this host must become; nothing on it is changed. HostError says what keeps us from it."""
    require_net_admin("reading the firewall and the tunnels")
    network = _rooted(network, host)
    needs = ledger_needs(network, lock, host)
    view = machine.view(network.name)
    given = view.register.allot(network.name, needs.tables, needs.marks)
    view = replace(view, register=given)
    ours = network.by_name[host]
    _check_key(ours, machine)
    read_secrets([passphrase(lan.wifi) for lan in ours.lans if lan.wifi is not None])
    surroundings = survey(
        view.journal.devices(),
        lan_links=view.journal.lan_links(),
        lan_addresses=view.journal.lan_addresses(),
        ledger=given.ledger(network.name),
        secrets=secrets_of(ours),
        names=gateway_names(network, host),
        services=machine.services,
        run=machine.read,
    )
    compiled = compile_host(network, lock, host, surroundings)
    desired, lost = _without_absent_hooks(compiled, surroundings, machine.read)
    surroundings = _with_consents(surroundings, desired)
    view = replace(view, desired=desired)
    observed = observe(view, machine.read)
    plan = make_plan(desired, observed, view.journal.applied, surroundings, restorable(view, desired, machine.read))
    taken = (*_ports_taken(desired, observed, view), *rivals(ours, desired, observed, surroundings, machine.read))
    return Prepared(desired, observed, surroundings, view, replace(plan, obstacles=(*taken, *plan.obstacles, *lost)))


def _rooted(network: Network, name: str) -> Network:
    """Read the host's relative paths of keys from where the network file lies: a rollback happens elsewhere."""
    base = os.path.dirname(os.path.abspath(network.file))
    host = network.by_name[name]
    rooted = replace(
        host,
        private_key=os.path.join(base, host.private_key),
        psk=tuple((peer, os.path.join(base, path)) for peer, path in host.psk),
    )
    if rooted == host:
        return network
    return replace(network, hosts=tuple(rooted if one is host else one for one in network.hosts))


def secrets_of(host: Host) -> list[SecretRef]:
    """List the secrets of a host's that are compared by their fingerprints."""
    keys = [SecretRef(path) for _, path in host.psk]
    return keys + [passphrase(lan.wifi) for lan in host.lans if lan.wifi is not None]


def _check_key(host: Host, machine: Machine) -> None:
    """Refuse a private key that is not the one the file says this host has."""
    public = wg.public_key_of(SecretRef(host.private_key), machine.read)
    if public != host.key:
        raise HostError(
            f"the key in {host.private_key} is not that of {host.name}: its public key is {public}",
            f"The network file says {host.key}. Put the right private key there, or the right public key into the file "
            "(`warren keys pub` prints it).",
        )


def _without_absent_hooks(
    desired: HostState, surroundings: Surroundings, run: Run
) -> tuple[HostState, tuple[Obstacle, ...]]:
    """Leave out consents to a firewall that is not at work here, and say so; its hook would not be there."""
    present = {chain.tool for chain in surroundings.chains}
    kept = consent.placeable((rule for rule in desired.consents if rule.tool in present), run)
    wanted = {(rule.tool, rule.family) for rule in desired.consents}
    told = tuple(
        Obstacle(
            f"`firewall: {tool}` is written for {desired.host}, but {tool} has no chains for {family.word} here",
            f"If {tool} makes them later, run `warren apply` again then.",
            blocks=False,
        )
        for tool, family in sorted(wanted - {(rule.tool, rule.family) for rule in kept})
    )
    return replace(desired, consents=kept), told


def _ports_taken(desired: HostState, observed: HostState, view: View) -> tuple[Obstacle, ...]:
    """Name the ports that our devices are to listen on and that somebody else holds."""
    ours = {interface.listen_port for interface in observed.interfaces}
    wanted = [each for each in desired.interfaces if each.listen_port and each.listen_port not in ours]
    in_use = ports_in_use() if wanted else frozenset()
    holders = {
        each.listen_port: f"{each.name} of {journal.owner.removeprefix('conf:')}"
        for journal in view.others
        for state in journal.states()
        for each in state.interfaces
    }
    return tuple(
        Obstacle(
            f"UDP port {each.listen_port}, on which {each.name} is to listen, is taken by "
            + holders.get(each.listen_port, "another program"),
            "End that program, or move it to another port; or move the device by its port in the lock file.",
            f"ss -ulpn sport = :{each.listen_port}",
        )
        for each in wanted
        if each.listen_port in in_use
    )


def _with_consents(surroundings: Surroundings, desired: HostState) -> Surroundings:
    """Mark the foreign chains in which a rule of ours stands, or will."""
    agreed = {(rule.tool, rule.direction.partition("-")[0]) for rule in desired.consents}
    chains = tuple(replace(c, consented=(c.tool, c.hook) in agreed) for c in surroundings.chains)
    return replace(surroundings, chains=chains)
