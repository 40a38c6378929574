"""A country's addresses from a registry's file into the kernel, beside awk and one `ip route add` for each row.

The file is generated: as many rows as the largest Asian registry's had in 2026, of the same kinds and sizes; or it is
the one that $WARREN_BENCH_REGISTRY names. Both sides work in network namespaces of their own. What by hand becomes
8,600 routes (IPv4 only) is here one set in each family.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, collapse_addresses, summarize_address_range
from pathlib import Path
from random import Random

from bench.row import Row, seconds
from bench.up_down import Machine
from warren.core.geo.registry import country_prefixes, country_spans, read_registry
from warren.model.prefix import FAMILIES, Family

# How many rows of CN there were of each size, and how many others.
SIZES = {
    **{1024: 4854, 256: 845, 512: 552, 65536: 431, 131072: 331, 8192: 274, 4096: 263, 2048: 251, 32768: 223},
    **{262144: 220, 16384: 187, 524288: 107, 1048576: 51, 2097152: 21, 768: 10},
}
SIXES = {32: 1800, 48: 86, 24: 9, 21: 8, 20: 6, 22: 5}
OTHERS_V4, OTHERS_V6, NUMBERS = 38_447, 9_969, 10_860
BY_HAND = r"""
awk -F'|' '/\|CN\|ipv4\|/ { printf("%s/%d\n", $4, 32 - log($5) / log(2)) }' "$1" |
    xargs -I NET ip route add NET via 192.0.2.254 dev va
"""
OURS = """
import subprocess, sys
from warren.core.geo.registry import country_prefixes
from warren.core.render.nft import render_table
from warren.model.firewall import Set, SetType, Table
with open(sys.argv[1], "rb") as file:
    held = country_prefixes((file.read(),), "CN")
sets = [(SetType.IPV4, 4), (SetType.IPV6, 6)]
table = Table("geo", tuple(
    Set(f"country_cn_{v}", kind, tuple(p for p in held if p.version == v)) for kind, v in sets
))
subprocess.run(["nft", "-f", "-"], input=render_table(table), text=True, check=True)
"""


# Sends from a namespace of its own, and says how long one packet takes, in nanoseconds. Each passes through LOOKUPS
# rules that ask for its destination; what arrives is dropped in silence.
LOOKUPS, TURNS = 50, 3
_TRIED = ((10, 0), (10, LOOKUPS), (10_000, LOOKUPS))  # prefixes in the set, lookups of a packet
SEND = """
import random, socket, sys, time
chance = random.Random(1)
to = [(f"45.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(256)}", 9) for _ in range(4000)]
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
taken = []
for _ in range(9):
    start = time.perf_counter()
    for address in to:
        one.sendto(b"x", address)
    taken.append((time.perf_counter() - start) / len(to))
print(min(taken) * 1e9)
"""
TABLE = """
table inet lookup {{
    set held {{ type ipv4_addr; flags interval; elements = {{ {elements} }}
    }}
    chain pre {{ type filter hook prerouting priority -300; drop; }}
    chain out {{ type filter hook output priority 0; {rules} }}
}}
"""


def rows() -> Iterator[Row]:
    """Measure the way into the kernel from end to end, then reading and merging alone, then what a lookup costs."""
    named = os.environ.get("WARREN_BENCH_REGISTRY")
    data = Path(named).read_bytes() if named else generated()
    read_registry(data)
    _check(data)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "delegated"
        file.write_bytes(data)
        machine = Machine(Path(scratch))
        try:
            by_set = seconds(lambda: machine.seconds(sys.executable, "-c", OURS, str(file)))
            by_hand = machine.seconds("sh", "-c", BY_HAND, "sh", str(file))
        finally:
            machine.holder.kill()
            machine.holder.wait()
        count = sum(len(country_spans(data, "CN", family)) for family in FAMILIES)
        yield Row(
            f"a country of {count:,} rows, file to kernel",
            f"{by_set * 1000:.0f} ms",
            f"awk, ip route {by_hand:.1f} s",
            f"{by_hand / by_set:.0f}×",
            "≥ 30×",
        )
        start = time.process_time()
        country_prefixes((data,), "CN")
        alone = time.process_time() - start
        peer, ratio = _iprange(data, Path(scratch), alone)
        what = "read and merge alone, both families, processor time"
        yield Row(what, f"{alone * 1000:.0f} ms", peer, ratio, "< 150 ms")
        yield _lookup(Path(scratch))


def generated() -> bytes:
    """Make the file: blocks of CN and others in turns, one after another, so that neighbours merge as they do."""
    random = Random(1)
    lines = []
    sizes = [(size, "CN") for size, number in SIZES.items() for _ in range(number)]
    sizes += [(random.choice((256, 512, 1024, 2048)), "JP") for _ in range(OTHERS_V4)]
    random.shuffle(sizes)
    at = 11 << 24
    for size, country in sizes:
        step = 1 << (size - 1).bit_length()
        at = -(-at // step) * step
        if at >> 24 in (127, 169, 172, 192, 198, 203):
            at = ((at >> 24) + 1) << 24
        lines.append(f"apnic|{country}|ipv4|{IPv4Address(at)}|{size}|20110414|allocated")
        at += size
    lengths = [(length, "CN") for length, number in SIXES.items() for _ in range(number)]
    lengths += [(48, "JP") for _ in range(OTHERS_V6)]
    random.shuffle(lengths)
    six = 0x2400 << 112
    for length, country in lengths:
        step = 1 << (128 - length)
        six = -(-six // step) * step
        lines.append(f"apnic|{country}|ipv6|{IPv6Address(six)}|{length}|20110414|allocated")
        six += step
    lines += [f"apnic|CN|asn|{4096 + at}|1|20110414|allocated" for at in range(NUMBERS)]
    counts = {"asn": NUMBERS, "ipv4": len(sizes), "ipv6": len(lengths)}
    head = [f"2|apnic|20260505|{len(lines)}|19830613|20260504|+1000"]
    head += [f"apnic|*|{kind}|*|{number}|summary" for kind, number in counts.items()]
    return ("\n".join([*head, *lines]) + "\n").encode()


def _check(data: bytes) -> None:
    """Hold the merged prefixes against the standard library's own: the same addresses, in as few prefixes."""
    spans = country_spans(data, "CN", Family.IPV4)
    plain = (net for first, last in spans for net in summarize_address_range(IPv4Address(first), IPv4Address(last)))
    ours = [prefix for prefix in country_prefixes((data,), "CN") if prefix.version == 4]
    if ours != list(collapse_addresses(plain)):
        raise RuntimeError("the merged prefixes are not those of ipaddress")


def _iprange(data: bytes, scratch: Path, alone: float) -> tuple[str, str]:
    """Let iprange merge the same blocks of IPv4, already read, if it is installed."""
    program = shutil.which("iprange")
    if program is None:
        return "iprange is not installed", ""
    file = scratch / "blocks"
    spans = sorted(country_spans(data, "CN", Family.IPV4))
    file.write_text("".join(f"{IPv4Address(first)}-{IPv4Address(last)}\n" for first, last in spans))
    taken = seconds(lambda: subprocess.run([program, "--optimize", str(file)], check=True, capture_output=True))
    return f"iprange, merge only {taken * 1000:.0f} ms", f"{taken / alone:.1f}×"


def _lookup(scratch: Path) -> Row:
    """Time a packet that is looked up in a set, in one of ten prefixes and in one of ten thousand."""
    # By turns, and the least of each: whatever else the machine does should meet all alike.
    turns = [[_packet(scratch, size, count) for size, count in _TRIED] for _ in range(TURNS)]
    bare, *asked = (min(taken) for taken in zip(*turns, strict=True))
    few, many = ((taken - bare) / LOOKUPS for taken in asked)
    return Row(
        "an address looked up among 10,000 prefixes",
        f"{many:.0f} ns",
        f"among 10 {few:.0f} ns",
        f"{100 * (many - few) / bare:.1f} %",
        "< 10 % of a packet",
    )


def _packet(scratch: Path, size: int, lookups: int) -> float:
    """Give the nanoseconds from one packet to the next, with so many lookups in a set of so many prefixes."""
    step = (1 << 24) // size
    elements = ", ".join(f"{IPv4Address((45 << 24) + at * step)}/26" for at in range(size))
    (scratch / "table").write_text(
        TABLE.format(elements=elements, rules="ip daddr @held; " * lookups).replace("; ;", ";")
    )
    laid = 'ip link set lo up; ip route add local 45.0.0.0/8 dev lo; nft -f "$1"; exec "$2" -c "$3"'
    done = subprocess.run(
        ["unshare", "-n", "sh", "-euc", laid, "sh", str(scratch / "table"), sys.executable, SEND],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)
