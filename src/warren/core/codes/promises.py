"""Expectations, the lab they are tried in, and the lock file."""

from __future__ import annotations

from warren.core.codes.code import ERROR, WARNING, Code

CODES: dict[str, Code] = {
    # --- expectations -------------------------------------------------------------------------------------
    "W080": Code(
        ERROR,
        "an expectation that asks nothing",
        "It says from where to where, but not what should come of it.",
        "expect:\n  - {from: nyc.eth2, to: 1.1.1.1}",
        "Add `exit:`, `arrives: true` or `blocked: true`.",
    ),
    "W081": Code(
        ERROR,
        "an expectation that contradicts itself",
        "No packet could fulfil all of it.",
        "expect:\n  - {from: nyc.eth2, to: 1.1.1.1, exit: paris, blocked: true}",
        "Split it in two, or delete what is not meant.",
    ),
    "W082": Code(
        ERROR,
        "not a target",
        "`to:` is a place, an address or a DNS name, and then perhaps a protocol and port.",
        "to: 1.1.1.1:443",
        "Write for instance `1.1.1.1 tcp/443`, `paris.eth1` or `example.com udp/53`.",
    ),
    "W083": Code(
        ERROR,
        "nothing there that could be down",
        "`down:` lists hosts, and tunnels as two hosts with a hyphen between them.",
        "when: {down: [nyc-berlin]}",
        "Name hosts of the file, and only tunnels that two hosts have with each other.",
    ),
    # --- the lab ------------------------------------------------------------------------------------------
    "W090": Code(
        ERROR,
        "unknown NAT",
        "The lab has no NAT of this name.",
        "lab: {place: {paris: caffee}}",
        "Use a name from `nats:`, or add it there.",
    ),
    "W091": Code(
        ERROR,
        "a NAT in two places",
        "A NAT box has one uplink: it stands either on the internet or behind one other NAT, for all hosts alike.",
        "place: {home: [cgnat, box], cabin: box}",
        "Write the same NATs in front of it everywhere, or give it a second name.",
    ),
    "W092": Code(
        WARNING,
        "an endpoint that the lab cannot dial",
        "The host has an endpoint, but `verify` and the lab forward no ports: nobody can dial it there if `lab:` "
        "places it behind a NAT, or if it listens at another port (`port:`) than its endpoint's. On the real network "
        "all may be well.",
        "nyc: {endpoint: nyc.example.net:51820}\nlab: {place: {nyc: cafe}}\n\n"
        "nyc: {endpoint: nyc.example.net:443, port: 51820}   # the router forwards 443 to 51820",
        "Behind a NAT: place the host on `internet`, or take its endpoint away. With a port forward: leave it so, and "
        "try the network without `port:`.",
    ),
    # --- the lock file ------------------------------------------------------------------------------------
    "W100": Code(
        WARNING,
        "no lock file",
        "Addresses, ports and device names of tunnels are allotted once and kept in a lock file beside the network "
        "file. Without it they are made up for this run; nothing is applied.",
        "warren apply portals.yaml   # and no portals.lock",
        "Run `warren lock FILE` and put the lock into git with the file.",
    ),
    "W101": Code(
        ERROR,
        "lock out of date",
        "The network file asks for something that the lock has not allotted, or no longer asks for what it has.",
        "hosts: (one more than in portals.lock)",
        "Run `warren lock FILE`. What is allotted and still needed stays as it is.",
    ),
    "W102": Code(
        ERROR,
        "not a lock file",
        "The lock is not what `warren lock` writes: a merge went wrong, or it was edited.",
        "hosts: {nyc: {addresses: 10.77.0.1}}",
        "Mend the place, or take the file from git as it was and run `warren lock FILE`.",
    ),
    "W103": Code(
        ERROR,
        "the lock gives something twice",
        "Two hosts have the same tunnel address, or two devices of a host the same name or port. This happens when two "
        "branches that both added a host are merged.",
        "nyc: {addresses: [10.77.0.4]}\nparis: {addresses: [10.77.0.4]}",
        "Delete the newer of the two entries and run `warren lock FILE`.",
    ),
}
