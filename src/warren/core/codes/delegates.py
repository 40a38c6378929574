"""Delegated prefixes."""

from __future__ import annotations

from warren.core.codes.code import ERROR, Code

CODES: dict[str, Code] = {
    "W130": Code(
        ERROR,
        "prefix not covering the LANs",
        "Machines make their own addresses of an announced prefix, for which it must be a /64 (RFC 4862). So what is "
        "delegated needs a /64 for each LAN.",
        "delegate:\n  - {prefix: 2001:db8:77:100::/64, from: r2, to: r1, lans: [br-lan, guests]}",
        "Delegate a shorter prefix, or name fewer LANs.",
    ),
    "W131": Code(
        ERROR,
        "delegated prefix overlapping",
        "The delegated prefix, or a part of it, belongs to the overlay, to a LAN of the file, or to another delegate.",
        "overlay: [10.77.0.0/24, 2001:db8:77:100::/64]\ndelegate:\n"
        "  - {prefix: 2001:db8:77:100::/60, from: r2, to: r1, lans: [br-lan]}",
        "Delegate a prefix that nothing else uses. LANs that share one prefix stand in one entry.",
    ),
    "W132": Code(
        ERROR,
        "a LAN that cannot have the prefix",
        "The host does not have a LAN of that name, or it has a prefix from the same host already.",
        "delegate:\n  - {prefix: 2001:db8:77:100::/60, from: r2, to: r1, lans: [br-lam]}",
        "Correct the name; each LAN is named once.",
    ),
    "W133": Code(
        ERROR,
        "prefix that is not global",
        "Delegated addresses are seen by the internet as they are. IPv4, unique local and link-local addresses could "
        "not be answered.",
        "delegate:\n  - {prefix: fd00:77::/60, from: r2, to: r1, lans: [br-lan]}",
        "Write the prefix that the provider routes to the host. Without one, a portal with `nat: snat` translates.",
    ),
    "W134": Code(
        ERROR,
        "prefix from a host to itself",
        "`from` and `to` are the same host. LANs of a host that has the prefix need no tunnel.",
        "delegate:\n  - {prefix: 2001:db8:77:100::/60, from: r1, to: r1, lans: [br-lan]}",
        "Name in `to` the host whose LANs get the prefix, in `from` the one it is routed to.",
    ),
    "W135": Code(
        ERROR,
        "proxy for more than one /64",
        "With `proxy: true` the prefix is the one of the link that the host's uplink is on: a single /64, whose "
        "addresses the host answers neighbour discovery for. There is nothing to divide.",
        "delegate:\n  - {prefix: 2001:db8:5::/60, from: r2, to: r1, lans: [br-lan], proxy: true}",
        "Write the link's /64 and one LAN; leave `proxy` out if the provider routes the prefix to the host.",
    ),
    "W136": Code(
        ERROR,
        "prefix neither written nor followed, or both",
        "A delegate has one prefix: the one that `prefix:` names, or the one that the device of `follow:` has.",
        "delegate:\n  - {from: r2, to: r1, lans: [br-lan]}",
        "Write `prefix: …` or `follow: DEVICE`.",
    ),
    "W137": Code(
        ERROR,
        "delegate without IPv6 in the overlay",
        "Tunnels carry the families of the overlay. Without an IPv6 prefix there, none carries IPv6.",
        "overlay: [10.77.0.0/24]",
        "Add a prefix of unique local addresses to `overlay:`, for instance `fd77:7:7::/64`.",
    ),
    "W138": Code(
        ERROR,
        "delegate without a tunnel",
        "Neither of the two hosts can dial the other. By way of a hub their packets would have to carry other sources, "
        "and delegated addresses are kept as they are.",
        "delegate:\n  - {prefix: 2001:db8:77:100::/60, from: r2, to: r1, lans: [br-lan]}   # r1, r2: no endpoint",
        "Give one of them an `endpoint:`, or let them find each other with `rendezvous:`.",
    ),
    "W139": Code(
        ERROR,
        "followed prefix that nobody has seen",
        "`follow:` takes the prefix that a device of the host has. It is read there and kept in the lock, for every "
        "host has to know it.",
        "delegate:\n  - {follow: eth0, from: r2, to: r1, lans: [br-lan]}",
        "Run `warren lock FILE --host HOST` on that host, and commit the lock.",
    ),
}
