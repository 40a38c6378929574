"""LANs that are known by another prefix."""

from __future__ import annotations

from warren.core.codes.code import ERROR, WARNING, Code

CODES: dict[str, Code] = {
    "W140": Code(
        ERROR,
        "a map of another size",
        "A map is 1:1: each address of the LAN has one in the mapped prefix, so both are equally long.",
        "eth1: {address: 192.168.1.1/24, map: 10.99.0.0/16}",
        "Write a prefix as long as the LAN's, or `map: auto`.",
    ),
    "W141": Code(
        ERROR,
        "a mapped prefix that is taken",
        "The network knows the LAN by the mapped prefix, so nothing else of the network can have a part of it: not the "
        "overlay, no LAN of any host, no other map.",
        "overlay: [10.99.0.0/24]\n# … and\neth1: {address: 192.168.1.1/24, map: 10.99.0.0/24}",
        "Choose a prefix that no site uses, or write `map: auto`, which finds one.",
    ),
    "W142": Code(
        ERROR,
        "a map without its subnet",
        "Each subnet of a family is mapped to one prefix, in the order in which they are written; a family that is not "
        "named in `map:` stays as it is.",
        "eth1: {address: 192.168.1.1/24, map: ['fd99:1::/64']}",
        "Write one prefix for each subnet that the LAN has in that family, or `map: auto`.",
    ),
    "W143": Code(
        WARNING,
        "a map that nobody sees",
        "Other hosts see a LAN through the tunnels, and those carry only the overlay's families. `map: auto` leaves "
        "global IPv6 prefixes alone, which are nobody else's.",
        "overlay: [10.77.0.0/24]\n# … and\neth1: {address: ['fd11::1/64'], map: auto}",
        "Add a prefix of that family to `overlay:`, or take the map out.",
    ),
    "W144": Code(
        ERROR,
        "a closed LAN with a map",
        "A closed LAN is announced to nobody, under no prefix.",
        "eth1: {address: 192.168.1.1/24, closed: true, map: auto}",
        "Take one of the two out.",
    ),
    "W145": Code(
        ERROR,
        "no room for a map",
        "`map: auto` takes prefixes out of 10.0.0.0/8, 172.16.0.0/12, 100.64.0.0/10 and unique local IPv6, around "
        "everything that the file names. There is none left that is as long as the LAN's.",
        "eth1: {address: 10.0.0.1/8, map: auto}",
        "Narrow the LAN to what it uses, or write a prefix yourself.",
    ),
    "W146": Code(
        WARNING,
        "a public mapped prefix",
        "The mapped prefix is somebody's on the internet; from inside the network those machines cannot be reached.",
        "eth1: {address: 192.168.1.1/24, map: 8.8.8.0/24}",
        "Take a private prefix, unless the addresses are yours.",
    ),
}
