"""What a script makes, one line for each thing: its own memory of what to take away again.

    table inet warren-portals              hook4 filter FORWARD WARREN-portals-forward -I
    setting net/ipv4/ip_forward            chain4 filter WARREN-portals-forward
    link portals                           address4 10.77.0.1/32 dev portals
    peer portals 3p7…=                     route4 10.77.0.2/32 dev portals table 7700 proto 77
    service ra                             rule4 pref 7712 lookup 7700 protocol 77

A script keeps the lines of what it has made. Started in a newer edition, it makes what that one says and then takes
away the lines that only the older one had: nothing in between is ever without its guards.
"""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from warren.core.render.consent import drop_consent
from warren.core.render.ip import drop_lan_link_line, route_words, rule_words
from warren.core.render.iptables import hook_rules, own_chains
from warren.core.render.services import Tools, drop_dns
from warren.model.prefix import FAMILIES, Family
from warren.model.state import HostState, RouteKind


def made_always(state: HostState) -> Iterator[str]:
    """List what is made whatever the firewall is; routes that go nowhere first, rules in their order."""
    yield from (f"setting {setting_path(setting.name)}" for setting in state.sysctls)
    yield from (f"link {interface.name}" for interface in state.interfaces)
    for interface in state.interfaces:
        yield from (f"peer {interface.name} {peer.public_key}" for peer in interface.peers)
        yield from (
            f"dial {interface.name} {peer.public_key} {peer.endpoint}" for peer in interface.peers if peer.endpoint
        )
    for interface in state.interfaces:
        for address in interface.addresses:
            # Nobody else is on the link: no need to wait until the kernel has asked whether the address is taken.
            nodad = " nodad" if address.version == 6 else ""
            yield f"address{address.version} {address} dev {interface.name}{nodad}"
    yield from (f"undo ip {drop_lan_link_line(link)}" for link in state.made_links[::-1])
    for given in state.lan_addresses:
        nodad = " nodad" if given.address.version == 6 else ""
        yield f"address{given.address.version} {given.address} dev {given.device}{nodad}"
    for family in FAMILIES:
        routes = [route for route in state.routes if route.prefix.version == family]
        routes.sort(key=lambda route: route.kind is RouteKind.UNICAST)
        yield from dict.fromkeys(f"route{family.value} {route_words(route)}" for route in routes)
    for family in FAMILIES:
        rules = sorted((rule for rule in state.rules if rule.family == family), key=lambda rule: rule.priority)
        yield from dict.fromkeys(f"rule{family.value} {rule_words(rule)}" for rule in rules)
    yield from (f"service {service.name}" for service in state.services)
    yield from (f"undo {shell_words(drop_consent(rule, state.owner))}" for rule in state.consents)
    yield from (f"undo {shell_words(command.argv)}" for config in state.dns for command in drop_dns(config, Tools()))


def made_by_nft(state: HostState) -> Iterator[str]:
    """List what the firewall is with nft."""
    yield from (f"table {table.family} {table.name}" for table in state.tables)


def made_by_iptables(state: HostState) -> Iterator[str]:
    """List what the firewall is with iptables: first what leads to our chains, then these."""
    for table in state.tables:
        for family in FAMILIES:
            for rule in hook_rules(table, family):
                end = "-I" if rule.first else "-A"
                yield f"hook{family.value} {rule.table} {rule.builtin} {rule.chain} {end}"
            yield from (f"chain{family.value} {home} {chain}" for home, chain in own_chains(table, family))


def iptables_program(family: Family) -> str:
    """Name the program that speaks for a family."""
    return "iptables" if family is Family.IPV4 else "ip6tables"


def setting_path(name: str) -> str:
    """Turn a setting's dotted name into its path; a slash in it stands for a dot of a device's name."""
    return name.replace(".", "\0").replace("/", ".").replace("\0", "/")


def shell_words(argv: tuple[str, ...]) -> str:
    """Write a command for a shell."""
    return " ".join(quote(word) for word in argv)
