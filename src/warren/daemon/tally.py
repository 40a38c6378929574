"""What a rendezvous server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from warren.daemon.carrier import Carrier
from warren.daemon.metrics import Metric
from warren.proto.refusal import Refusal
from warren.sys.ingress import Counted


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts at one moment; what the kernel has counted is by port."""

    members: int
    registered: int
    remembered: int
    datagrams: Mapping[str, int]
    refused: Mapping[Refusal, int]
    asked: int
    carrier: Carrier
    lanes: int
    kernel: Mapping[int, Counted]
    kernel_pairs: Mapping[int, Counted]
    name: Callable[[bytes], str]


def tally(of: Tally) -> Iterator[Metric]:
    """Give it by Prometheus' names."""
    yield from _serving(of)
    yield from _relaying(of)


def _serving(of: Tally) -> Iterator[Metric]:
    yield "warren_rendezvous_members", "gauge", "Hosts of the network file.", [("", of.members)]
    yield "warren_rendezvous_registered", "gauge", "Hosts that are here.", [("", of.registered)]
    yield "warren_rendezvous_remembered", "gauge", "Sessions, hosts and pushes held.", [("", of.remembered)]
    yield "warren_rendezvous_relays", "gauge", "Relays that are lent.", [("", len(of.carrier))]
    yield (
        "warren_rendezvous_datagrams_total",
        "counter",
        "Datagrams at the server's own port.",
        [(f'{{direction="{way}"}}', of.datagrams[way]) for way in ("in", "out")],
    )
    yield (
        "warren_rendezvous_refused_total",
        "counter",
        "Datagrams that were answered with silence.",
        [(f'{{reason="{why}"}}', count) for why, count in sorted(of.refused.items())],
    )
    yield "warren_rendezvous_asked_total", "counter", "Where who asked was seen.", [("", of.asked)]


def _relaying(of: Tally) -> Iterator[Metric]:
    process, kernel = of.carrier.packets, of.kernel.values()
    yield (
        "warren_relay_packets_total",
        "counter",
        "Packets at the relays' ports that came to the process.",
        [(f'{{what="{what}"}}', process[what]) for what in ("carried", "refused", "dropped")],
    )
    yield "warren_relay_bytes_total", "counter", "Bytes that the process carried.", [("", process["bytes"])]
    yield "warren_relay_kernel_lanes", "gauge", "Ways that the kernel carries, two for a pair.", [("", of.lanes)]
    yield (
        "warren_relay_kernel_packets_total",
        "counter",
        "Packets at the relays' ports that the kernel took.",
        [
            ('{what="carried"}', sum(one.packets for one in kernel)),
            ('{what="dropped"}', sum(one.over for one in kernel)),
        ],
    )
    yield (
        "warren_relay_kernel_bytes_total",
        "counter",
        "Bytes that the kernel carried, headers of IP and UDP included.",
        [("", sum(one.bytes for one in kernel))],
    )
    for what in ("packets", "bytes"):
        yield (
            f"warren_relay_pair_{what}_total",
            "counter",
            f"What was carried for a pair, both ways, in {what}.",
            list(_pairs(of, what)),
        )


def _pairs(of: Tally, what: str) -> Iterator[tuple[str, float]]:
    for pair, ports in sorted(of.carrier.pairs.items()):
        one, other = (of.name(who) for who in pair)
        by_kernel = [of.kernel_pairs[port] for port in ports if port in of.kernel_pairs]
        counts = {
            "process": sum(of.carrier.by_port[port, what] for port in ports),
            "kernel": sum(each.packets if what == "packets" else each.bytes for each in by_kernel),
        }
        for by, count in counts.items():
            yield f'{{one="{one}",other="{other}",by="{by}"}}', count
