"""`warren rendezvous FILE`: be a server at which hosts of a network find each other."""

from __future__ import annotations

import click

from warren.cli.options import json_option, network_argument


@click.command()
@network_argument
@click.option("--key", metavar="FILE", help="The file of the server's private key (else: as the network file says).")
@click.option("--metrics", metavar="ADDRESS:PORT", help="Give counters for Prometheus there.")
@click.option(
    "--store",
    metavar="FILE",
    default="memory",
    help="Keep relays that are lent over a restart in this file of SQLite's (else: in memory only).",
)
@json_option
def rendezvous(file: str, key: str | None, metrics: str | None, store: str, as_json: bool) -> None:
    """Serve the hosts of FILE that have no endpoint: tell each where the others are, and lend relays.

    Run it on a machine that everybody can reach, as an ordinary user: it needs the file, its own private key and its
    UDP ports, and changes nothing. The lock file is not needed. Ends with SIGTERM; paths between hosts stay.
    """
    import asyncio
    import json
    import sys

    from warren.cli.network import open_network
    from warren.daemon.kept import Memory, Sqlite
    from warren.daemon.rendezvous import Event, Server
    from warren.daemon.served import settings_of

    network, _ = open_network(file, locked=False)
    settings = settings_of(network, key, metrics)
    kept = Memory() if store == "memory" else Sqlite(store)

    def tell(event: Event) -> None:
        if as_json:
            told = {"event": event.kind, "hosts": list(event.hosts), "address": event.address, "says": event.says}
            print(json.dumps(told), flush=True)
        else:
            print(event.says, file=sys.stderr, flush=True)

    asyncio.run(Server(settings, kept, tell).run())
