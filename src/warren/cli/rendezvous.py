"""`warren rendezvous FILE`: be a server at which hosts of a network find each other, or natpunch-go's clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from warren.cli.options import json_option

if TYPE_CHECKING:
    from warren.daemon.settings import Carried


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(), required=False)
@click.option("--key", metavar="FILE", help="The file of the server's private key (else: as the network file says).")
@click.option("--metrics", metavar="ADDRESS:PORT", help="Give counters for Prometheus there.")
@click.option(
    "--store",
    metavar="FILE",
    default="memory",
    help="Keep relays that are lent over a restart in this file of SQLite's (else: in memory only).",
)
@click.option(
    "--natpunch",
    metavar="[ADDRESS:]PORT",
    help="Serve natpunch-go's clients there: those of FILE, or without FILE everybody.",
)
@click.option(
    "--relay",
    type=click.Choice(("auto", "kernel", "process")),
    default="auto",
    help="Who carries what is relayed (auto: the kernel with the capability CAP_NET_ADMIN, else this process).",
)
@click.option("--allow", metavar="FILE", help="With --natpunch and without FILE: serve these public keys, one a line.")
@json_option
def rendezvous(
    file: str | None,
    key: str | None,
    metrics: str | None,
    store: str,
    natpunch: str | None,
    relay: Carried,
    allow: str | None,
    as_json: bool,
) -> None:
    """Serve the hosts of FILE that have no endpoint: tell each where the others are, and lend relays.

    Run it on a machine that everybody can reach, as an ordinary user: it needs the file, its own private key and its
    UDP ports, and changes nothing. With CAP_NET_ADMIN it has the kernel carry what is relayed, by a table of nft's that
    goes when it ends. The lock file is not needed. Ends with SIGTERM; paths between hosts stay.

    With --natpunch it is natpunch-go's server too, and without FILE nothing else; its key is then that of --key.
    """
    import asyncio
    import json
    import sys

    from warren.cli.network import open_network
    from warren.daemon.kept import Memory, Sqlite
    from warren.daemon.natpunch import Natpunch, serve_alone
    from warren.daemon.natpunch_settings import settings_beside
    from warren.daemon.natpunch_settings import settings_of as natpunch_settings
    from warren.daemon.rendezvous import Event, Server
    from warren.daemon.served import address_of, settings_of

    def tell(event: Event) -> None:
        if as_json:
            told = {"event": event.kind, "hosts": list(event.hosts), "address": event.address, "says": event.says}
            print(json.dumps(told), flush=True)
        else:
            print(event.says, file=sys.stderr, flush=True)

    if allow and (file or not natpunch):
        raise click.UsageError("--allow goes with --natpunch, without FILE: a network file says itself who is served")
    if file is None:
        if natpunch is None:
            raise click.UsageError("FILE is missing, or --natpunch PORT")
        alone = Natpunch(natpunch_settings(natpunch, key, allow), tell)
        asyncio.run(serve_alone(alone, address_of(metrics) if metrics else None))
        return
    network, _ = open_network(file, locked=False)
    settings = settings_of(network, key, metrics, relay)
    kept = Memory() if store == "memory" else Sqlite(store)
    beside = Natpunch(settings_beside(natpunch, settings, network), tell) if natpunch else None
    asyncio.run(Server(settings, kept, tell, beside).run())
