"""The nft table of a network on one host: it can only close, repair sources, and lend marks.

What the rules of routing decide, this table holds to by a second, independent way: traffic is judged by where
it *came in*. Losing the table loses no fence that routing needs, except for MAC portals, which it marks. What
countries, lists and domains exempt from a portal goes through its exit then.

    prerouting   marks: outer packets, flows that came in by the uplink, MAC portals, exempted destinations; who may
                 send what
    output       replies of the host leave by the uplink, or the gateway, that their flow came in by
    mapped       what is for a LAN's mapped prefix goes to the LAN's own
    publish      at a gateway: what is published is sent on into a tunnel, and what the gateway needs itself is not
    hairpin      at home: whoever asks for what a gateway publishes of ours is sent straight to it
    input        the tunnel addresses answer on tunnels and LANs only
    forward      the guards: out of a portal's exit or not at all; from tunnels only what the network owes them
    postrouting  MSS; nothing of the network leaves by anything but a tunnel
    srcnat       sources that the far side could not answer become ours, those of a mapped LAN what it is known by
    aside        peers for whom WireGuard's port is another on the wire, by way of a hard NAT

Every packet of the host meets the hooks, WireGuard's own too, so a rule asks first what costs least and tells most
packets apart (a port, a mark, an address), and for the name of a device, which is copied and hashed, last.
"""

from __future__ import annotations

from warren.core.compile.firewall.aside import aside_chains
from warren.core.compile.firewall.direct import compare_directly
from warren.core.compile.firewall.exempt import country_sets
from warren.core.compile.firewall.failover import direct_sets, exit_chains
from warren.core.compile.firewall.forward import forward_chains
from warren.core.compile.firewall.ingress import ingress_chains
from warren.core.compile.firewall.leaving import leaving_chains
from warren.core.compile.firewall.names import name_sets
from warren.core.compile.firewall.publish import publish_chains
from warren.core.compile.firewall.sets import named_sets
from warren.core.compile.here import Here
from warren.core.compile.knock import knocked_sets
from warren.model.firewall import Table


def lay_firewall(here: Here, name: str) -> Table:
    """Lay out the table of one network on one host."""
    sets, chains = compare_directly(
        named_sets(here),
        tuple(
            chain
            for chain in (
                *ingress_chains(here),
                *exit_chains(here),
                *publish_chains(here),
                *forward_chains(here),
                *leaving_chains(here),
                *aside_chains(here),
            )
            if chain.rules
        ),
    )
    fed = country_sets(here) + name_sets(here) + direct_sets(here) + knocked_sets(here)
    return Table(name=name, sets=sets + fed, chains=chains)
