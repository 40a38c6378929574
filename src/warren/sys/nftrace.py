"""The kernel's trace of packets (`nft monitor trace`, nft(8) "meta nftrace").

Packets are chosen by a table of our own that lives as long as this process does: it is made by an `nft -i` with
`flags owner`, and the kernel takes such a table away with the socket of who made it, however that one ends.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from warren.model.prefix import Address, Family, Prefix, family_of
from warren.sys.errors import HostError
from warren.sys.run import environment, missing_program

PATIENCE = 5.0  # seconds for nft to install a table
QUIET = 0.2  # seconds without a line after which a packet has passed


def table_name() -> str:
    """Name this process's table."""
    return f"warren-trace-{os.getpid()}"


def rules_for(source: Prefix | None, destination: Address) -> str:
    """Write the commands that ask for a trace of all packets of flows to a destination, both ways.

    It is asked for just after conntrack, which knows the flow from either side.
    """
    name = f"inet {table_name()}"
    ip = "ip6" if family_of(destination) is Family.IPV6 else "ip"
    chosen = f"ct original {ip} saddr {source} " if source is not None else ""
    lines = [f"add table {name} {{ flags owner; }}"]
    for hook in ("prerouting", "output"):
        lines.append(f"add chain {name} {hook} {{ type filter hook {hook} priority -199; }}")
        lines.append(f"add rule {name} {hook} {chosen}ct original {ip} daddr {destination} meta nftrace set 1")
    return "\n".join(lines) + "\n"


@contextmanager
def traced(source: Prefix | None, destination: Address) -> Iterator[Iterator[str]]:
    """Trace flows to a destination: gives lines as the kernel tells them, and an empty one whenever it falls silent.

    HostError if nft is not there or refuses.
    """
    with _nft("monitor", "trace") as monitor, _nft("-i") as owner:
        assert owner.stdin is not None
        owner.stdin.write(rules_for(source, destination).encode())
        owner.stdin.flush()
        _wait_for_table(owner)
        yield _lines(monitor)


@contextmanager
def _nft(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    try:
        process = subprocess.Popen(
            ("nft", *words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(os.environ),
            bufsize=0,
            process_group=0,
        )
    except FileNotFoundError:
        raise missing_program("nft") from None
    try:
        yield process
    finally:
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        process.wait()


def _wait_for_table(owner: subprocess.Popen[bytes]) -> None:
    """Wait until the last rule stands; nft says nothing when all is well."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        listed = subprocess.run(
            ("nft", "list", "chain", "inet", table_name(), "output"),
            capture_output=True,
            text=True,
            env=environment(os.environ),
            check=False,
        )
        if "nftrace" in listed.stdout:
            return
        assert owner.stdout is not None
        if select.select([owner.stdout], [], [], 0.02)[0]:
            words = os.read(owner.stdout.fileno(), 4096).decode(errors="replace").strip()
            if "Error" in words or owner.poll() is not None:
                raise HostError(f"nft does not trace: {words or 'it ended'}")
    raise HostError(f"nft made no table within {PATIENCE:.0f} s")


def _lines(monitor: subprocess.Popen[bytes]) -> Iterator[str]:
    assert monitor.stdout is not None
    waiting = b""
    while True:
        if not select.select([monitor.stdout], [], [], QUIET)[0]:
            yield ""
            continue
        chunk = os.read(monitor.stdout.fileno(), 65536)
        if not chunk:
            raise HostError(f"`nft monitor trace` ended: {waiting.decode(errors='replace').strip()}")
        *lines, waiting = (waiting + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
