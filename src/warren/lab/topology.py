"""From a world to what namespaces must hold: cables, addresses, routes, settings and rules, as plain text.

    internet ──n0/wan─ nat.cafe ──p1/eth0── host.paris ──wlan0/eth0── client.4
        │                                        └─eth1─ switch (bridge l0) ─ client.2, client.3
        └────h0/eth0── host.nyc

Nothing is done here. One batch of ip(8) lays all cables, then each space gets one batch of its own.

The internet answers on any address: everything that nobody has is its own (a `local` default route, in the table
that is asked first, where the real nodes' routes are the longer ones).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from warren.core.world import GATEWAY_V6, surroundings_of
from warren.lab.learn import LEARNER
from warren.lab.nat import INNER, UP, render_nat, sysctls_of
from warren.model.host import Lan
from warren.model.network import Network
from warren.model.prefix import Address, Family, Interface
from warren.model.world import Attachment, Client, HostNode, NatNode, World

INTERNET, SWITCH = "internet", "switch"

# Everywhere: an address can be used at once, nobody asks for routers, and errors are not rationed.
EVERYWHERE = {
    "net.ipv6.conf.all.accept_dad": "0",
    "net.ipv6.conf.default.accept_dad": "0",
    "net.ipv6.conf.default.router_solicitations": "0",
    "net.ipv6.conf.default.accept_ra": "0",
    "net.ipv4.icmp_ratelimit": "0",
    "net.ipv6.icmp.ratelimit": "0",
}
ROUTER = {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}


@dataclass(frozen=True, slots=True)
class Cable:
    """A veth pair: two spaces, the device's name in each, the MAC of the second end (empty: by chance)."""

    ends: tuple[str, str]
    devices: tuple[str, str]
    mtu: int = 1500
    mac: str = ""


@dataclass
class Wiring:
    """All that is to be built, by the name of the space."""

    spaces: list[str] = field(default_factory=list)
    cables: list[Cable] = field(default_factory=list)
    sysctls: dict[str, dict[str, str]] = field(default_factory=dict)  # before the cables are there
    late_sysctls: dict[str, dict[str, str]] = field(default_factory=dict)  # what a device or conntrack brings
    commands: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # of ip -batch
    rules: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # of nft
    uplinks: dict[str, Uplink] = field(default_factory=dict)  # of each host and device


@dataclass(frozen=True, slots=True)
class Uplink:
    """Where a host's cable goes, and what brings it back to life there after it was down."""

    space: str
    device: str
    revive: tuple[str, ...]


def host_space(name: str) -> str:
    """Name a host's space."""
    return f"host.{name}"


def device_space(name: str) -> str:
    """Name the space of a device of `devices:`."""
    return f"device.{name}"


def machine_space(world: World, name: str) -> str:
    """Name the space of a host or a device."""
    return device_space(name) if name in {node.name for node in world.devices} else host_space(name)


def nat_space(name: str) -> str:
    """Name a NAT's space."""
    return f"nat.{name}"


def client_space(world: World, client: Client) -> str:
    """Name a client's space."""
    return f"client.{world.clients.index(client)}"


def wire(world: World, network: Network) -> Wiring:
    """Say what has to be built for a world; hosts are left as their owner has them before warren comes."""
    plan = Wiring()
    _add_space(plan, INTERNET, {**ROUTER, "net.ipv6.ip_nonlocal_bind": "1"})
    plan.commands[INTERNET] += [
        "route add local 0.0.0.0/0 dev lo table local",
        "route add local ::/0 dev lo table local",
    ]
    shared = _count_upstreams(world)
    for number, nat in enumerate(world.nats):
        name = nat_space(nat.box.name)
        _add_space(plan, name, {k: v for k, v in sysctls_of(nat).items() if "netfilter" not in k})
        plan.late_sysctls[name] = {k: v for k, v in sysctls_of(nat).items() if "netfilter" in k}
        if shared[nat.box.name] != 1:
            plan.commands[name].append(f"link add {INNER} type bridge")
            plan.commands[name].append(f"link set {INNER} up")
            plan.commands[name] += _address(INNER, nat.inner)
        plan.rules[name].append(render_nat(nat))
        _attach(plan, world, name, UP, nat.attachment, f"n{number}", shared)
    for number, host in enumerate(world.machines):
        name = machine_space(world, host.name)
        early, late = _host_sysctls(world, network, host.name)
        _add_space(plan, name, early)
        plan.late_sysctls[name] = late
        uplink = _attach(plan, world, name, host.uplink, host.attachment, f"h{number}", shared)
        plan.uplinks[host.name] = uplink
        plan.rules[name].append(_masquerade(host.uplink, host.masquerades))
        plan.rules[uplink.space].append(_loss(host.attachment, number))
    for number, (host_name, lan) in enumerate((host.name, lan) for host in network.hosts for lan in host.lans):
        members = [client for client in world.clients if (client.host, client.lan) == (host_name, lan.name)]
        _lay_lan(plan, world, number, host_space(host_name), lan, members)
    return plan


def _add_space(plan: Wiring, name: str, sysctls: dict[str, str]) -> None:
    plan.spaces.append(name)
    plan.sysctls[name] = {**EVERYWHERE, **sysctls}
    plan.commands[name].append("link set lo up")


def _count_upstreams(world: World) -> dict[str, int]:
    count: dict[str, int] = defaultdict(int)
    nodes: tuple[HostNode | NatNode, ...] = (*world.machines, *world.nats)
    for node in nodes:
        count[node.attachment.upstream] += 1
    return count


def _attach(
    plan: Wiring, world: World, space: str, device: str, where: Attachment, port: str, shared: dict[str, int]
) -> Uplink:
    """Lay a cable from a node to the internet or to a NAT: straight, or to the NAT's bridge if several are there."""
    upstream = nat_space(where.upstream) if where.upstream else INTERNET
    if where.upstream:
        nat = world.nat_by_name[where.upstream]
        alone = shared[where.upstream] == 1
        port = INNER if alone else port
        own = nat.inner if alone else ()
        master = [] if alone else [f"link set {port} master {INNER}"]
        bridge = INNER
    else:
        own, master, bridge = (), [], port
    plan.cables.append(Cable((upstream, space), (port, device), where.mtu))
    revive = [*master, f"link set {port} up", *_address(port, own, "replace")]
    if not where.upstream:
        revive.append(f"address replace {GATEWAY_V6}/64 dev {port} nodad")
        revive += [f"route replace {address.ip} dev {port} table local" for address in where.addresses]
        for prefix in where.on_link:
            revive.append(f"address replace {prefix[1]}/{prefix.prefixlen} dev {port} nodad")
            revive.append(f"route replace {prefix} dev {port} table local")
    revive += [f"route replace {prefix} via {_via(where, prefix.version)} dev {bridge}" for prefix in where.routed]
    if not where.upstream:
        revive = [f"{line} table local" if "via" in line else line for line in revive]
    plan.commands[upstream] += revive
    plan.commands[space] += [f"link set {device} up", *_address(device, where.addresses)]
    for gateway in where.gateways:
        onlink = "" if where.upstream or gateway.version == 6 else " onlink"
        plan.commands[space].append(f"route add {_everything(gateway)} via {gateway} dev {device}{onlink}")
    return Uplink(upstream, port, tuple(revive))


def _via(where: Attachment, version: int) -> Address:
    address = where.address(Family(version))
    assert address is not None, "prefixes are routed only to a node that has an address of their family"
    return address


def _lay_lan(plan: Wiring, world: World, number: int, host: str, lan: Lan, members: list[Client]) -> None:
    """Join a LAN's device with its clients: one by a cable, several by a bridge in a space of their own."""
    device, *unused = lan.bridge or (lan.name,)
    plan.commands[host] += [f"link set {device} up", *([] if lan.given else _address(lan.name, lan.addresses))]
    alone = len(members) == 1 and not unused
    if not alone:
        if SWITCH not in plan.spaces:
            _add_space(plan, SWITCH, {})
        plan.commands[SWITCH] += [f"link add l{number} type bridge", f"link set l{number} up"]
        plan.cables.append(Cable((host, SWITCH), (device, f"l{number}h")))
        plan.commands[SWITCH].append(f"link set l{number}h master l{number} up")
        for at, port in enumerate(unused):  # leads nowhere: a second way to the switch would be a loop
            plan.cables.append(Cable((host, SWITCH), (port, f"l{number}u{at}")))
    for at, client in enumerate(members):
        space = client_space(world, client)
        _add_space(plan, space, LEARNER if client.learned else {})
        if alone:
            plan.cables.append(Cable((host, space), (device, "eth0"), mac=client.mac))
        else:
            plan.cables.append(Cable((SWITCH, space), (f"l{number}c{at}", "eth0"), mac=client.mac))
            plan.commands[SWITCH].append(f"link set l{number}c{at} master l{number} up")
        asked = (client.leased,) if client.leased is not None else ()
        told = tuple(one for one in client.addresses if one.network not in client.learned and one not in asked)
        plan.commands[space] += ["link set eth0 up", *_address("eth0", told)]
        # Who hears advertisements hears of the way out by them, too.
        families = {address.version for address in told} - ({6} if client.learned else set())
        for gateway in client.gateways:
            if gateway.version in families:
                families.remove(gateway.version)
                plan.commands[space].append(f"route add {_everything(gateway)} via {gateway} dev eth0")


def _host_sysctls(world: World, network: Network, host: str) -> tuple[dict[str, str], dict[str, str]]:
    """Split a host's settings into those that exist at once and those of its devices."""
    settings = {setting.name: setting.value for setting in surroundings_of(world, network, host).sysctls}
    early = {name: value for name, value in settings.items() if ".conf." not in name or _is_general(name)}
    return early, {name: value for name, value in settings.items() if name not in early}


def _is_general(name: str) -> bool:
    return ".conf.all." in name or ".conf.default." in name


def _address(device: str, addresses: tuple[Interface, ...], verb: str = "add") -> Iterator[str]:
    for address in addresses:
        yield f"address {verb} {address} dev {device}{' nodad' if address.version == 6 else ''}"


def _everything(gateway: Address) -> str:
    return "0.0.0.0/0" if gateway.version == 4 else "::/0"


def _masquerade(uplink: str, prefixes: tuple[object, ...]) -> str:
    """Write the ordinary way out of a router's LANs, which is its owner's and not warren's."""
    if not prefixes:
        return ""
    lines = "\n\t\t".join(
        f'oifname "{uplink}" {"ip6" if ":" in str(prefix) else "ip"} saddr {prefix} masquerade' for prefix in prefixes
    )
    hook = "type nat hook postrouting priority srcnat;"
    return f"table inet router {{\n\tchain srcnat {{\n\t\t{hook}\n\t\t{lines}\n\t}}\n}}\n"


def _loss(where: Attachment, number: int) -> str:
    """Lose some of a host's packets, both ways, just beyond its cable."""
    if not where.loss:
        return ""
    lose = f"numgen random mod 100 < {where.loss} drop"
    mine = [
        (("ip6" if item.version == 6 else "ip"), item) for item in (*(a.ip for a in where.addresses), *where.routed)
    ]
    gone = "\n\t\t".join(f"{family} saddr {item} {lose}" for family, item in mine)
    come = "\n\t\t".join(f"{family} daddr {item} {lose}" for family, item in mine)
    return (
        f"table inet weather{number} {{\n"
        f"\tchain gone {{\n\t\ttype filter hook prerouting priority raw;\n\t\t{gone}\n\t}}\n"
        f"\tchain come {{\n\t\ttype filter hook postrouting priority srcnat + 20;\n\t\t{come}\n\t}}\n}}\n"
    )
