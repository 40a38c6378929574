"""Ports beside WireGuard's own, by which the agent gets through a NAT that shows another port to each (birthday.py).

The agent sends its many probes from them without conntrack, which would fill up, and sees what comes to them before
these chains do; nobody listens there, so it would be answered by an error. The one that got through is WireGuard's for
that peer: the port of its packets is another on the wire. It is altered after conntrack on their way out and before it
on their way in, so conntrack and every firewall see one flow of WireGuard's own port, as ever.
"""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.compile.firewall.sets import rule
from warren.core.compile.here import Here
from warren.core.compile.meeting import aside_ports, bound, home
from warren.model.firewall import RAW, SRCNAT, Chain, Drop, Hook, NoTrack, Port, PortFrom, UdpBegins
from warren.model.many_ports import FIRST_PORT, HEAD, LAST_PORT
from warren.model.prefix import Family

_MANY = ((FIRST_PORT, LAST_PORT),)
_OURS = UdpBegins(HEAD)


def aside_chains(here: Here) -> Iterator[Chain]:
    """Make the chains of a host whose peers are found."""
    ports = aside_ports(here)
    if not ports:
        return
    yield Chain(
        "aside_in",
        (
            rule(Port("udp", "dport", _MANY), _OURS, Drop(), why="the agent has it already"),
            *(
                rule(
                    Port("udp", "dport", _MANY),
                    PortFrom("dport", Family.IPV4, home(port)),
                    why="from peers to whom WireGuard's port is another one",
                )
                for port in ports
            ),
        ),
        Hook("filter", "prerouting", RAW),
    )
    yield Chain(
        "aside_out",
        (rule(Port("udp", "sport", _MANY), _OURS, NoTrack(), why="the agent's many probes"),),
        Hook("filter", "output", RAW),
    )
    yield Chain(
        "aside",
        tuple(
            rule(
                Port("udp", "sport", (port,)),
                PortFrom("sport", Family.IPV4, bound(port)),
                why="to peers to whom WireGuard's port is another one",
            )
            for port in ports
        ),
        Hook("filter", "postrouting", SRCNAT + 10),
    )
