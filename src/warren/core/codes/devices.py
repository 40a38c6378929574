"""Stock WireGuard apps."""

from __future__ import annotations

from warren.core.codes.code import ERROR, WARNING, Code

CODES: dict[str, Code] = {
    "W120": Code(
        ERROR,
        "a device with somebody else's key",
        "WireGuard knows a machine by its key. A device that has a host's key, or another device's, would be taken for "
        "it, and whoever spoke last would get the other's packets.",
        "hosts: {home: {key: 0XgrSv…=}}\ndevices: {phone: {key: 0XgrSv…=, into: home}}",
        "Make a pair of its own for the device, in its app or with `warren keys gen`.",
    ),
    "W121": Code(
        ERROR,
        "out of a device's reach",
        "From the host where the device's tunnel ends nothing leads to this place: it is a LAN of another host that is "
        "closed or overlaps another one, or of a family that tunnels do not carry.",
        "devices: {phone: {into: home, reach: [office.guests]}}",
        "Take the place out of `reach:`, or let the network lead there.",
    ),
    "W122": Code(
        ERROR,
        "a device that may reach nothing",
        "A device begins flows to what `reach:` lists and to nothing else, so without it the tunnel is of no use.",
        "devices: {phone: {key: …, into: home}}",
        "Add `reach: [home.br0]`, or `full_tunnel: true` for the internet.",
    ),
    "W123": Code(
        ERROR,
        "MTU of a tunnel in a tunnel too small for IPv6",
        "Every tunnel takes 60 or 80 bytes from the one around it. With fewer than 1280 bytes left (RFC 8200) the "
        "kernel turns IPv6 off on the device.",
        "hosts: {home: {mtu: 1300}}\ndevices: {phone: {into: home, via: cloud}}",
        "Raise the `mtu:` that is written out on the way, or leave IPv6 out of `overlay:`.",
    ),
    "W124": Code(
        ERROR,
        "a device has nobody to dial",
        "A device dials the host where its tunnel ends, or a gateway in front of it: the one that publishes to it, the "
        "hub, or the only host with an endpoint. What it sends to a gateway by IPv6 goes on by IPv6, in a tunnel that "
        "carries it.",
        "hosts: {home: {uplink: wan}}\ndevices: {phone: {into: home}}",
        "Name a host with an endpoint as `via:`, or give one to `into`.",
    ),
    "W125": Code(
        WARNING,
        "a private resolver that is not of the network",
        "The device will ask this address from wherever it is, and there somebody else may have it.",
        "devices: {phone: {into: home, dns: 192.168.99.1}}",
        "Write a resolver of the network, or a public one.",
    ),
    "W126": Code(
        ERROR,
        "published at a device that cannot answer",
        "With its source kept, a packet comes from anywhere on the internet. A device whose tunnel is for the network "
        "alone sends the answer out by its own Wi-Fi.",
        "devices: {phone: {into: home, reach: home.br0}}\npublish: [{at: cloud, to: phone, ports: tcp/8080}]",
        "Write `source: snat`: then the device sees the gateway's tunnel address. Or give it `full_tunnel: true`.",
    ),
    "W127": Code(
        WARNING,
        "a full tunnel without a resolver",
        "An app that is told no resolver goes on asking that of the Wi-Fi it is in, past the tunnel: whoever runs that "
        "network sees every name.",
        "devices: {laptop: {into: home, full_tunnel: true}}",
        "Add `dns:`, for instance the router's address on a LAN of `into`.",
    ),
}
