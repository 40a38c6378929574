"""`warren punch wg0 HOST:PORT KEY`: natpunch-go's client, on an interface that is there."""

from __future__ import annotations

import click

from warren.cli.options import json_option


@click.command()
@click.argument("interface", metavar="INTERFACE")
@click.argument("server", metavar="HOST:PORT")
@click.argument("key", metavar="KEY")
@click.option("-c", "--continuous", is_flag=True, help="Go on asking, also for peers that were found.")
@click.option(
    "-d",
    "--delay",
    type=click.FloatRange(0.1, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long between two rounds.",
)
@json_option
@click.pass_context
def punch(
    ctx: click.Context, interface: str, server: str, key: str, continuous: bool, delay: float, as_json: bool
) -> None:
    """Find the peers of INTERFACE, behind NATs, by the natpunch-go server at HOST:PORT whose public key is KEY.

    Asks from WireGuard's own port, and tells WireGuard where each peer is, with a keepalive of 25 seconds. A peer with
    which there is a tunnel is left where it is. Ends when each was found: status 0 if there is a tunnel to all of
    them, 1 if one does not answer where it was found. `warren rendezvous --natpunch` is such a server.
    """
    import asyncio
    import json
    import sys

    from warren.daemon.punch import Event, Punch
    from warren.daemon.wish import wish_of
    from warren.sys.store import Store

    wish = wish_of(interface, server, key, continuous, delay)

    def tell(event: Event) -> None:
        if as_json:
            told = {"event": event.kind, "peer": event.peer, "address": event.address, "says": event.says}
            print(json.dumps(told), flush=True)
        else:
            print(event.says, file=sys.stderr, flush=True)

    async def work() -> bool:
        return await Punch(wish, tell, Store.of_host()).run()

    ctx.exit(0 if asyncio.run(work()) or continuous else 1)
