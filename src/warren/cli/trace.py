"""`warren trace FILE FROM TO`: where a packet goes, step by step, there and back, and what decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from warren.cli.options import complete_places, host_option, json_option, network_argument

if TYPE_CHECKING:
    from warren.model.expect import Down, Target
    from warren.model.network import Network
    from warren.model.place import Place


@click.command()
@network_argument
@click.argument("source", metavar="FROM", shell_complete=complete_places)
@click.argument("target", metavar="TO", shell_complete=complete_places)
@click.argument("service", metavar="[PROTO/PORT]", default="")
@click.option("--family", type=click.Choice(["ipv4", "ipv6"]), help="Only this family (default: all that both have).")
@click.option("--down", "down", multiple=True, metavar="HOST|TUNNEL", help="Break this first; may be repeated.")
@click.option("--size", type=click.IntRange(28, 65535), help="The packet's size in bytes, not to be cut.")
@click.option("--live", is_flag=True, help="Follow real packets on this host, as the kernel tells them.")
@click.option("--seconds", type=click.IntRange(1, 3600), default=10, show_default=True, help="With --live: how long.")
@host_option("With --live: which host of the file this machine is.")
@json_option
@click.pass_context
def trace(
    ctx: click.Context,
    file: str,
    source: str,
    target: str,
    service: str,
    family: str | None,
    down: tuple[str, ...],
    size: int | None,
    live: bool,
    seconds: int,
    host: str,
    as_json: bool,
) -> None:
    """Explain where a packet goes from FROM to TO, step by step, there and back.

    FROM is a place of the file (`nyc`, `nyc.eth2`, `nyc.192.168.1.51`, `nyc.eth2.02:00:5e:00:00:32`, `phone`,
    `internet`); TO is a place, an address or a name, and may be followed by `tcp/443` or `udp/53`. The exit status is 0
    if the packet and its answer arrive, else 1.
    """
    from dataclasses import replace

    from warren.cli.network import open_network
    from warren.cli.view_json import print_json
    from warren.core.verify.expects import families_of
    from warren.core.walk import Walker, faults_of, probe_of
    from warren.core.walk.places import names_of
    from warren.core.walk.stage import stage
    from warren.model.expect import Expect
    from warren.model.prefix import Family

    network, lock = open_network(file, locked=False)
    asked = _read(network, source, f"{target} {service}".strip(), down)
    if live:
        from warren.cli.trace_live import follow

        ctx.exit(follow(network, lock, host, asked.source, asked.target, family, seconds, as_json))
    expect = Expect(asked.source, asked.target)
    # The world has a machine wherever an expectation names one.
    scene = stage(replace(network, expects=(*network.expects, expect)), lock)
    families = (Family(int(family[-1])),) if family else families_of(scene.world, lock, expect)
    walker = Walker(scene).broken(*faults_of(asked.down))
    traces = []
    for one in families:
        probe = probe_of(scene.world, lock, asked.source, asked.target, one)
        if probe is not None:
            traces.append((one, walker.walk(replace(probe, size=size) if size else probe)))
    if not traces:
        raise click.UsageError(f"{source} and {target} have no {family or 'family in common'}")
    if as_json:
        from warren.cli.view_trace_json import trace_json

        print_json([{"family": one.word, **trace_json(found)} for one, found in traces])
    else:
        from warren.cli.view import paint, show
        from warren.cli.view_trace import trace_text

        broken = f", with {', '.join(str(fault) for fault in faults_of(asked.down))}" if asked.down else ""
        for at, (one, found) in enumerate(traces):
            show(("\n" if at else "") + paint(f"{asked.source} → {asked.target} ({one.word}{broken})", "bold"))
            for place, own, seen in names_of(scene.world, asked.source, asked.target, one):
                show(paint(f"{place} is {own} at home and {seen} to the other hosts", "dim"))
            show(trace_text(found))
    arrived = all(found.arrived and (found.reply is None or found.reply.arrived) for _, found in traces)
    ctx.exit(0 if arrived else 1)


class _Asked(NamedTuple):
    source: Place
    target: Target
    down: tuple[Down, ...]


def _read(network: Network, source: str, target: str, down: tuple[str, ...]) -> _Asked:
    """Read places as the network file does, with its findings for what is wrong; UsageError tells the first."""
    from warren.core.parse.expects import down as read_down
    from warren.core.parse.expects import target as read_target
    from warren.core.parse.places import place as read_place
    from warren.core.parse.reading import KnownHost, Reading
    from warren.core.parse.tree import Scalar
    from warren.model.diagnostic import Where

    reading = Reading("the command line")
    reading.hosts = {host.name: KnownHost(host.lans) for host in network.hosts}
    reading.devices = {device.name: device.into for device in network.devices}

    def scalar(text: str) -> Scalar:
        return Scalar(Where(reading.file, 1, 1, max(len(text), 1)), text)

    place = read_place(scalar(source), "FROM", reading)
    to = read_target(scalar(target), "TO", reading)
    broken = tuple(one for text in down if (one := read_down(scalar(text), "--down", reading)) is not None)
    if reading.found or place is None or to is None:
        first = reading.found[0]
        raise click.UsageError(f"{first.says} {first.hint}".strip())
    return _Asked(place, to, broken)
