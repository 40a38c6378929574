"""Hosts that are knocked at."""

from __future__ import annotations

from warren.core.codes.code import ERROR, WARNING, Code

CODES: dict[str, Code] = {
    "W240": Code(
        ERROR,
        "knocking where nobody dials",
        "A knock opens WireGuard's port to the peers that dial it. A host without an endpoint is dialled by nobody: it "
        "dials, or is found with the help of rendezvous servers, and a closed port would stand in its own way.",
        "hosts:\n  home: {key: …, uplink: eth0, knock: true}   # no endpoint",
        "Take `knock:` out, or give the host the `endpoint:` that it has.",
    ),
    "W241": Code(
        ERROR,
        "device that cannot knock",
        "The app of a phone speaks WireGuard and nothing else, so it never gets into a host whose ports answer only "
        "addresses that knocked.",
        "hosts: {nyc: {key: …, endpoint: …, knock: true}}\ndevices: {phone: {key: …, into: nyc}}",
        "Lead the device into another host, or take `knock:` out.",
    ),
    "W242": Code(
        WARNING,
        "knock that anybody can make",
        "The knock of traceroute proves nothing: whoever knows the port, or sees one, opens WireGuard's port to the "
        "address that the packet claims to come from. WireGuard itself still lets in nobody but its peers.",
        "hosts: {nyc: {key: …, endpoint: …, knock: {traceroute: 19000}}}",
        "Leave `traceroute:` out where every peer can run `warren agent` or `warren knock`.",
    ),
    "W243": Code(
        ERROR,
        "command at a knock that anybody can make",
        "A command runs at knocks that only a member of the network can make. With `traceroute:` the kernel opens the "
        "port by itself, to anybody, and no command is run for that.",
        "knock: {traceroute: 19000, run: [/usr/local/bin/knocked]}",
        "Take one of the two out.",
    ),
}
