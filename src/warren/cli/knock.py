"""`warren knock FILE HOST`: ask a host to open WireGuard's port to this one."""

from __future__ import annotations

import click

from warren.cli.options import complete_hosts, host_option, json_option, network_argument


@click.command()
@network_argument
@click.argument("at", metavar="HOST", shell_complete=complete_hosts)
@host_option("Which host of the file this machine is (else: by its name, or by its private key).")
@json_option
def knock(file: str, at: str, host: str, as_json: bool) -> None:
    """Knock at HOST, which has `knock:` in FILE: one packet to each of its addresses, IPv4 and IPv6.

    It then lets WireGuard's packets in from the address that this machine is seen by, for as long as its `open_for:`
    says. Nobody answers a knock, not even to say that it was heard: the tunnel comes up when WireGuard tries next,
    within 5 seconds if there is something to send. `warren agent` knocks by itself.
    """
    import json

    from warren.cli.network import open_network
    from warren.daemon.knock import knock_at
    from warren.sys.machine import Machine
    from warren.sys.prepare import choose_host

    network, lock = open_network(file, locked=True)
    places = knock_at(network, lock, choose_host(network, host, Machine()), at)
    if as_json:
        print(json.dumps({"host": at, "knocked_at": [str(place) for place in places]}))
    else:
        print("\n".join(f"{at}: knocked at {place}" for place in places))
