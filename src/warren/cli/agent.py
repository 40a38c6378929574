"""`warren agent FILE`: see to an applied network between two applies."""

from __future__ import annotations

import click

from warren.cli.options import host_option, json_option, network_argument


@click.command()
@network_argument
@host_option("Which host of the file this machine is (else: by its name, or by its private key).")
@json_option
def agent(file: str, host: str, as_json: bool) -> None:
    """Stay, and see to what no apply can foresee.

    When the uplink's address changes, packets leave with the new one at once. When a tunnel that a delegated prefix
    depends on has been silent for 5 seconds, its LANs are told that there is no way out by it, and told again when
    there is. After an apply it sees to what is there then. Ends with SIGTERM; the tunnels stay up.
    """
    import asyncio
    import json
    import sys

    from warren.cli.network import open_network
    from warren.daemon.agent import Agent
    from warren.daemon.duties import after_each_apply, duties_here
    from warren.daemon.duty import Duties, Event
    from warren.sys.machine import Machine
    from warren.sys.prepare import choose_host

    network, lock = open_network(file, locked=True)
    machine = Machine()
    name = choose_host(network, host, machine)
    duties = duties_here(network, lock, name, machine)

    def read() -> Duties:
        return duties_here(*open_network(file, locked=True), name, machine)

    def tell(event: Event) -> None:
        if as_json:
            told = {"event": event.kind, "subject": event.subject, "lans": list(event.lans), "says": event.says}
            print(json.dumps(told), flush=True)
        else:
            print(f"{event.subject}: {event.says}", file=sys.stderr, flush=True)

    asyncio.run(Agent(duties, tell, after_each_apply(read, network.name, machine)).run())
