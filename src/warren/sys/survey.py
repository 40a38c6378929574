"""What of this host is not warren's, as Surroundings. Reads only, and changes nothing by reading."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from ipaddress import ip_address

from warren.model.endpoint import Endpoint
from warren.model.key import SecretRef
from warren.model.prefix import FAMILIES
from warren.model.state import PROTOCOL, LanAddress, LanLink, LinkKind, Route, Rule, Sysctl
from warren.model.surroundings import Ledger, Link, Surroundings
from warren.sys import backend, foreign, ip, networkd, secret, sockets, sysctl
from warren.sys.endpoints import look_up
from warren.sys.resolvers import resolvers
from warren.sys.run import Run, run

_GLOBAL = ("net.ipv4.ip_forward", "net.ipv4.conf.all.src_valid_mark", "net.ipv6.conf.all.forwarding")


def survey(
    ours: Collection[str] = (),
    *,
    lan_links: Iterable[LanLink] = (),
    lan_addresses: Collection[LanAddress] = (),
    ledger: Ledger | None = None,
    secrets: Iterable[SecretRef] = (),
    names: Iterable[Endpoint] = (),
    services: str = "",
    run: Run = run,
) -> Surroundings:
    """Read everything that is not ours; `ours` names warren's devices of this owner, `lan_…` what is ours on LANs.

    HostError if a program refuses. The ledger, the secrets' fingerprints and what the endpoints' `names` stand for
    are carried along for compile. `services` is where the files of services lie.
    """
    made = {*ours, *(link.name for link in lan_links if link.kind is not LinkKind.RAISED)}
    raised = {link.name for link in lan_links if link.kind is LinkKind.RAISED}
    seen = [link for link in ip.links(run) if link.name not in made]
    links = tuple(
        Link(
            link.name,
            link.mtu,
            link.kind,
            link.up and link.name not in raised,
            link.mac,
            tuple(one for one in link.addresses if LanAddress(link.name, one) not in lan_addresses),
        )
        for link in seen
    )
    return Surroundings(
        links=links,
        routes=foreign_routes(run),
        rules=foreign_rules(run),
        chains=foreign.chains(run),
        sysctls=tuple(_sysctls(link.name for link in links)),
        backend=backend.detect(run),
        ledger=ledger,
        secrets=secret.fingerprints(secrets),
        ipv6=ipv6_enabled(),
        read_only_sysctls=not sysctl.writable("net.ipv4.ip_forward"),
        networkd_manages_foreign=networkd.manages_foreign(),
        listeners=sockets.listeners(run),
        resolvers=resolvers(services),
        names=tuple((name.host, (ip_address(found.host),)) for name, found in look_up(names).items()),
    )


def foreign_routes(run: Run = run) -> tuple[Route, ...]:
    """List the routes of all tables that are not warren's."""
    every = (route for family in FAMILIES for route in ip.routes(family, run=run))
    return tuple(route for route in every if route.protocol != PROTOCOL)


def foreign_rules(run: Run = run) -> tuple[Rule, ...]:
    """List the policy rules that are not warren's."""
    return tuple(rule for rule in ip.rules(run) if rule.protocol != PROTOCOL)


def ipv6_enabled() -> bool:
    """Say whether this host speaks IPv6: not built without it, and not disabled for every device."""
    return sysctl.read("net.ipv6.conf.all.disable_ipv6") == "0"


def _sysctls(devices: Iterable[str]) -> Iterator[Sysctl]:
    words = ["all", "default", *(sysctl.device_word(device) for device in devices)]
    names = list(_GLOBAL)
    for word in words:
        names += [f"net.ipv4.conf.{word}.{leaf}" for leaf in ("rp_filter", "forwarding")]
        names += [f"net.ipv6.conf.{word}.{leaf}" for leaf in ("accept_ra", "forwarding", "disable_ipv6")]
    yield from sysctl.read_all(names)
