"""Rendezvous servers, and the hosts that find each other there."""

from __future__ import annotations

from warren.core.codes.code import ERROR, WARNING, Code

CODES: dict[str, Code] = {
    "W230": Code(
        ERROR,
        "rendezvous server named twice",
        "Each server has an address and a key of its own: a host registers with every server of the list, and knows it "
        "by both. A key that a host has too would let each of them pass for the other.",
        "rendezvous:\n  - {address: rv.example.net:51819, key: …}\n  - {address: rv.example.net:51819, key: …}",
        "Name each server once; `warren keys gen /etc/warren/rendezvous.key` makes a pair for one.",
    ),
    "W231": Code(
        ERROR,
        "hub and rendezvous servers",
        "Hosts that nobody can dial either meet at the hub, which carries their packets, or find each other by a "
        "rendezvous server. A file with both does not say which.",
        "hub: nyc\nrendezvous: [{address: rv.example.net:51819, key: …}]",
        "Take one of the two out.",
    ),
    "W233": Code(
        WARNING,
        "rendezvous servers that nobody needs",
        "Servers are asked by hosts without an endpoint, to find others without one. There are none such here.",
        "rendezvous: [{address: rv.example.net:51819, key: …}]\nhosts: {nyc: {endpoint: nyc.example.net:51820, …}}",
        "Take `rendezvous:` out, or the endpoint of hosts that cannot be dialled in truth.",
    ),
    "W255": Code(
        WARNING,
        "port mapping that nobody would ask for",
        "A host asks its router to open WireGuard's port so that hosts can reach it that it finds at a rendezvous "
        "server. One that has an endpoint, or finds nobody so, asks for nothing anyway.",
        "hosts: {nyc: {endpoint: nyc.example.net:51820, port_mapping: false, …}}",
        "Take `port_mapping:` out.",
    ),
}
