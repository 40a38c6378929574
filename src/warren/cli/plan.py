"""`warren plan FILE`: what apply would change on this host, and why; nothing is changed."""

from __future__ import annotations

import click

from warren.cli.options import host_option, json_option, network_argument


@click.command()
@network_argument
@host_option("Which host of the file this machine is (else: by its name, or by its private key).")
@click.option(
    "--script", is_flag=True, help="Print a POSIX sh script that does the same, for ip, nft or iptables, and wg."
)
@json_option
@click.pass_context
def plan(ctx: click.Context, file: str, host: str, script: bool, as_json: bool) -> None:
    """Show what apply would change on this host, and why.

    `+` is made, `~` altered, `-` taken away; `!` stands in the way, `?` may. The exit status is 0 if there is nothing
    to do, 2 if there are changes, 1 if something is wrong.
    """
    from warren.cli.network import open_network
    from warren.core.plan import describe, plan_json
    from warren.sys.machine import Machine
    from warren.sys.prepare import choose_host, prepare

    network, lock = open_network(file, locked=True)
    machine = Machine()
    prepared = prepare(network, lock, choose_host(network, host, machine), machine)
    if script:
        from warren.core.render.script import render_script

        click.echo(render_script(prepared.desired), nl=False)
    elif as_json:
        from warren.cli.view_json import print_json

        print_json(plan_json(prepared.plan))
    else:
        from warren.cli.view import runes, show

        show(runes(describe(prepared.plan).rstrip("\n")))
    ctx.exit(2 if prepared.plan.items else 0)
