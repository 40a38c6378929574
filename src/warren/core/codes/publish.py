"""What a gateway publishes."""

from __future__ import annotations

from warren.core.codes.code import ERROR, WARNING, Code

CODES: dict[str, Code] = {
    "W110": Code(
        ERROR,
        "ports published twice",
        "A port of a gateway leads to one machine. Where a narrower publish lies within a wider one it wins; of two "
        "that are equal, or that overlap in part, neither is the narrower.",
        "publish:\n  - {at: cloud, to: home, ports: [tcp/8000-8100]}\n"
        "  - {at: cloud, to: cabin, ports: [tcp/8050-8150]}",
        "Publish each port once, or one range within the other.",
    ),
    "W111": Code(
        ERROR,
        "the gateway's own WireGuard port",
        "What is published is sent on before the gateway looks at it. If that were the port on which its tunnels live, "
        "no tunnel would come up, and nothing would be published at all.",
        "cloud: {endpoint: 198.51.100.7:51820}\npublish: [{at: cloud, to: home, ports: [udp/51820]}]",
        "Publish another port, or except this one of a range. `all` leaves it out by itself.",
    ),
    "W112": Code(
        ERROR,
        "a gateway without endpoint",
        "Something is published at an address that others can send to. A host without an endpoint is behind a NAT.",
        "publish: [{at: home, to: cabin, ports: all}]   # home has no endpoint",
        "Give the gateway an `endpoint:`, or publish at a host that has one.",
    ),
    "W113": Code(
        ERROR,
        "published, but out of reach",
        "The gateway has a route only to LANs that are announced: not to a closed one, and not to one that overlaps "
        "another host's.",
        "publish: [{at: cloud, to: home.192.168.1.20, ports: all}]   # and the cabin has 192.168.1.0/24 too",
        "Give the LAN a prefix of its own in the network (`map:`), renumber it, or take `closed: true` away.",
    ),
    "W114": Code(
        ERROR,
        "not one machine",
        "What is published leads to one machine with an address: a host, or an address on a host's LAN.",
        "publish: [{at: cloud, to: home.br0, ports: [tcp/80]}]",
        "Write `HOST` or `HOST.ADDRESS`.",
    ),
    "W115": Code(
        ERROR,
        "the gateway publishes itself",
        "What listens on a gateway, or on its own LANs, needs no tunnel.",
        "publish: [{at: cloud, to: cloud, ports: [tcp/80]}]",
        "Take it out.",
    ),
    "W116": Code(
        WARNING,
        "published for one family only",
        "Packets are sent on, never translated: who comes by IPv4 reaches an IPv4 address only, and who comes by IPv6 "
        "an IPv6 address.",
        "cloud: {endpoint: 198.51.100.7:51820}\npublish: [{at: cloud, to: home.fd11::20, ports: [tcp/80]}]",
        "Publish an address of the other family too, or a host, which has both.",
    ),
    "W117": Code(
        ERROR,
        "published in a family that no tunnel carries",
        "A tunnel carries the families of the overlay. Warren does not translate one into the other.",
        "overlay: 10.77.0.0/24\npublish: [{at: cloud, to: home.fd11::20, ports: [tcp/80]}]",
        "Add a prefix of that family to `overlay:`, or publish an address of the other one.",
    ),
    "W118": Code(
        ERROR,
        "ports that cannot be",
        "Ports are written `tcp/PORT`, `udp/FIRST-LAST`, and with an arrow where they lead to others: as many, or one. "
        "`except` takes out of what is published.",
        "ports: [tcp/8000-8100→80-90]",
        "Write for instance `tcp/25565`, `udp/8000-8100`, `tcp/2222→22` or `icmp`. `->` does for `→`.",
    ),
    "W119": Code(
        ERROR,
        "a source kept and not kept",
        "The gateway tells by the service how its clients are to be shown to it, so a service has one `source:`.",
        "publish:\n  - {at: cloud, to: home, ports: [tcp/80]}\n"
        "  - {at: cloud, to: home, ports: [tcp/8080→80], source: snat}",
        "Write the same `source:` in both.",
    ),
}
