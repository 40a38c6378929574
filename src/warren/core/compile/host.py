"""One host's passes, in order: devices, routes, rules, firewall, kernel settings, consents, flows, services."""

from __future__ import annotations

from warren.core.compile.delegates import lay_services
from warren.core.compile.devices import lay_devices
from warren.core.compile.dns import lay_dns_services, lay_own_dns
from warren.core.compile.fabric import Fabric
from warren.core.compile.failover import lay_choices
from warren.core.compile.firewall import lay_firewall
from warren.core.compile.firewall.names import lay_names
from warren.core.compile.flows import flows_to_forget
from warren.core.compile.forgetting import lay_forgetting
from warren.core.compile.here import Here
from warren.core.compile.knock import knocks
from warren.core.compile.lan_links import lay_lan_addresses, lay_lan_links
from warren.core.compile.lan_services import lay_lan_services, own_resolver
from warren.core.compile.ledger import ledger_needs, sequential_ledger
from warren.core.compile.meeting import servers
from warren.core.compile.radio import lay_radio, lay_radio_settings
from warren.core.compile.routes import lay_routes
from warren.core.compile.rules import lay_rules
from warren.core.compile.settings import consents, lay_sysctls
from warren.model.state import HostState
from warren.model.surroundings import Surroundings


def compile_in(fabric: Fabric, name: str, surroundings: Surroundings) -> HostState:
    """Compile one host of a fabric; ValueError if the ledger is too small, KeyError if the lock is not complete."""
    network = fabric.network
    ledger = surroundings.ledger or sequential_ledger(ledger_needs(network, fabric.lock, name))
    here = Here(fabric, network.by_name[name], surroundings, ledger)
    state = HostState(host=name, owner=network.name, backend=surroundings.backend)
    return HostState(
        host=state.host,
        owner=state.owner,
        backend=state.backend,
        interfaces=lay_devices(here),
        routes=lay_routes(here),
        rules=lay_rules(here),
        tables=(lay_firewall(here, state.table_name),) if here.devices else (),
        sysctls=(*lay_sysctls(here), *lay_radio_settings(here)),
        consents=consents(here),
        dns=lay_own_dns(here, own_resolver(here)),
        forget=flows_to_forget(here),
        lan_addresses=lay_lan_addresses(here),
        services=(
            *lay_services(here),
            *lay_lan_services(here),
            *lay_dns_services(here),
            *lay_forgetting(here),
            *lay_radio(here),
        ),
        names=lay_names(here),
        choices=lay_choices(here),
        lan_links=lay_lan_links(here),
        rendezvous=servers(here),
        knock=here.host.knock if here.devices else None,
        knocks=knocks(here),
    )
