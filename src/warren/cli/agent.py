"""`warren agent FILE`: see to an applied network between two applies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from warren.cli.options import host_option, json_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from warren.daemon.duty import Duties
    from warren.sys.machine import Machine


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(), required=False)
@host_option("Which host of the file this machine is (else: by its name, or by its private key).")
@click.option(
    "--network", default="", metavar="NAME", help="Without FILE: go by what was applied, once it is (for units)."
)
@json_option
def agent(file: str | None, host: str, network: str, as_json: bool) -> None:
    """Stay, and see to what no apply can foresee.

    When the uplink's address changes, packets leave with the new one at once. When a tunnel that a delegated prefix
    depends on has been silent for 5 seconds, its LANs are told that there is no way out by it, and told again when
    there is. Where a portal has several exits, they are asked, and one that answers is chosen. It knocks at peers that
    want it, and lets in who knocks here. Once a day the countries and lists in force are brought up to date. After an
    apply it sees to what is there then. Ends with SIGTERM; the tunnels stay up.
    """
    import asyncio
    import json
    import sys

    from warren.daemon.agent import Agent
    from warren.daemon.duties import after_each_apply
    from warren.daemon.duty import Event
    from warren.sys.machine import Machine

    if bool(file) == bool(network) or (host and not file):
        raise click.UsageError("either FILE or --network, and --host with FILE")
    machine = Machine()
    name, read = _by_file(file, host, machine) if file else _by_network(network, machine)

    def tell(event: Event) -> None:
        if as_json:
            told = {"event": event.kind, "subject": event.subject, "lans": list(event.lans), "says": event.says}
            print(json.dumps(told), flush=True)
        else:
            print(f"{event.subject}: {event.says}", file=sys.stderr, flush=True)

    asyncio.run(Agent(read(), tell, after_each_apply(read, name, machine)).run())


def _by_file(file: str, host: str, machine: Machine) -> tuple[str, Callable[[], Duties]]:
    """Go by a file, read anew after each apply."""
    from warren.cli.network import open_network
    from warren.daemon.duties import duties_here
    from warren.sys.prepare import choose_host

    network, _ = open_network(file, locked=True)
    name = choose_host(network, host, machine)
    return network.name, lambda: duties_here(*open_network(file, locked=True), name, machine)


def _by_network(network: str, machine: Machine) -> tuple[str, Callable[[], Duties]]:
    """Go by what was applied: what becomes of the file meanwhile is its owner's affair."""
    import time

    from warren.cli.network import open_kept
    from warren.daemon.duties import applied_source, duties_here, when_applied
    from warren.sys.errors import HostError
    from warren.sys.notify import ALIVE, READY, notify, status

    def wait(seconds: float) -> None:
        notify(ALIVE)
        time.sleep(seconds)

    notify(READY, status(f"waiting until {network} is applied"))
    when_applied(network, machine, wait)

    def read() -> Duties:
        found = applied_source(network, machine)
        if found is None:
            raise HostError(f"{network} is not applied here any more")
        source, host = found
        return duties_here(*open_kept(source), host, machine)

    return network, read
