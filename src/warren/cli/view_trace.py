"""A trace for people: hop by hop, each step with what decided it, the way there and the way back.

nyc         eth2 → portals-paris      192.168.21.100 > 1.1.1.1 icmp
  rule      7778 iif eth2 lookup 7701
  encrypt   portals-paris has 0.0.0.0/0 for paris: wrapped to …
    │ cafe  …                            the outer packet's own hops
paris       portals → eth0
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from warren.cli.view import paint
from warren.core.verify import prediction
from warren.core.walk.words import say
from warren.model.trace import Disposition, Ended, Hop, HopKind, Step, Trace

_WIDTH = 11


def trace_text(trace: Trace) -> str:
    """Lay a trace out in lines."""
    lines = [paint("there", "bold"), *_direction(trace)]
    if trace.reply is not None:
        lines += ["", paint("back", "bold"), *_direction(trace.reply)]
    good = trace.arrived and (trace.reply is None or trace.reply.arrived)
    told = prediction(trace)
    if trace.presumed is not None:
        told += f" (without it: {trace.presumed})"
    if good:
        told += f"; packets up to {min(trace.mtu, trace.reply.mtu if trace.reply else trace.mtu)} bytes fit"
    colour = "green" if good else "yellow" if trace.disposition is Disposition.UNKNOWN else "red"
    return "\n".join([*lines, "", paint(told[:1].upper() + told[1:] + ".", "bold", colour)])


def hop_text(hop: Hop) -> str:
    """Lay one hop out in lines."""
    return "\n".join(_hop(hop, str(hop.header), ""))


def _direction(trace: Trace) -> Iterator[str]:
    before = None
    for hop in trace.hops:
        header = str(hop.header)
        yield from _hop(hop, "" if header == before else header, "  ")
        before = header


def _hop(hop: Hop, header: str, indent: str) -> Iterator[str]:
    through = (
        " → ".join(part for part in (hop.ingress, hop.egress) if part)
        if hop.kind in (HopKind.HOST, HopKind.DEVICE)
        else ""
    )
    name = paint(hop.node, "bold", "cyan")
    yield "  ".join(part for part in (indent + name, through, paint(header, "dim") if header else "") if part)
    for step in hop.steps:
        heading, sentence = say(step)
        yield f"{indent}  {paint(f'{heading:<{_WIDTH}}', *_style(step))} {sentence}"
    if hop.outer:
        yield from _outer(hop.outer, indent)


def _outer(hops: Sequence[Hop], indent: str) -> Iterator[str]:
    bar = f"{indent}    {paint('│', 'dim')} "
    yield f"{bar}{paint('the packet around it', 'dim')}"
    for hop in hops:
        for line in _hop(hop, str(hop.header), ""):
            yield bar + line


def _style(step: Step) -> tuple[str, ...]:
    return ("red",) if isinstance(step, Ended) else ("dim",)
