"""Names through dnsmasq and `warren dns`, beside dnsmasq alone and beside smartdns, asked by dnsperf.

    dnsperf ─► dnsmasq, with what warren writes ─► warren dns ─► two dnsmasq, one at home and one abroad

All of it on the loopback device of a network namespace of its own. Judged misses are names that nobody has asked for
before, each asked of both sides (`privacy: fast`); their share of processor time is the resolver's own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path

from bench.row import Row
from warren.core.dns_config import Asked, DnsConfig, write_config
from warren.core.render.dnsmasq import resolving_lines
from warren.core.resolving import Resolving, Upstream
from warren.model.dns import Resolver

ABROAD, HOME, JUDGE, FRONT, PLAIN, PEER = (ip_address(f"127.9.0.{at}") for at in range(1, 7))
NAMES, LASTS, ROUNDS, RATE = 1000, 2, 5, 800


def rows() -> Iterator[Row]:
    """Measure answers in store, then answers that have to be judged."""
    if shutil.which("dnsperf") is None:
        raise SystemExit("dnsperf is not here: ./dev setup installs it")
    if "WARREN_BENCH_INSIDE" not in os.environ:
        yield from _enclosed()
        return
    subprocess.run(("ip", "link", "set", "lo", "up"), check=True)
    with tempfile.TemporaryDirectory() as scratch:
        yield from _measured(Path(scratch))


def _enclosed() -> Iterator[Row]:
    """Do it in a namespace of our own, which goes with all that runs in it."""
    code = "import json; from dataclasses import asdict; from bench.dns import rows\n"
    code += "for row in rows(): print(json.dumps(asdict(row)), flush=True)"
    argv = ("unshare", "-nmpf", "--mount-proc", "--kill-child", sys.executable, "-c", code)
    told = subprocess.run(argv, env={**os.environ, "WARREN_BENCH_INSIDE": "1"}, stdout=subprocess.PIPE, check=True)
    for line in told.stdout.splitlines():
        yield Row(**json.loads(line))


def _measured(scratch: Path) -> Iterator[Row]:
    _dnsmasq(scratch, ABROAD, "no-resolv", "address=/#/93.184.216.34", "local-ttl=3600")
    _dnsmasq(scratch, HOME, "no-resolv", "address=/#/45.12.0.7", "local-ttl=3600")
    plain = Resolving((Upstream(ABROAD),))
    _dnsmasq(scratch, PLAIN, *resolving_lines(plain))
    _dnsmasq(scratch, FRONT, *resolving_lines(Resolving((Upstream(JUDGE),))))
    judge = _judge(scratch)
    _await(FRONT, PLAIN)

    stored = _names(scratch, "stored", NAMES)
    for server in (FRONT, PLAIN):
        _ask(server, stored, "-n", "2")
    turns = [(_rate(FRONT, stored), _rate(PLAIN, stored)) for _ in range(ROUNDS)]
    ours, alone = (statistics.median(figures) for figures in zip(*turns, strict=True))
    ratio = statistics.median(one / other for one, other in turns)
    yield Row("answers in store, a second", f"{ours:,.0f}", f"dnsmasq alone {alone:,.0f}", f"{ratio:.2f}×", "≥ 0.95×")

    before = _processor(judge.pid)
    told = _ask(FRONT, _names(scratch, "judged", 200_000), "-l", str(LASTS * 2), "-q", "40")
    answered, rate = _count(told), _figure(told, "Queries per second")
    spent = _processor(judge.pid) - before
    peer = _peer(scratch)
    yield Row(
        "names judged between two sides, a second of one core",
        f"{answered / spent:,.0f}",
        f"smartdns {peer:,.0f} by the clock" if peer else "no smartdns here",
        f"{rate:,.0f} by the clock",
        f"≥ {RATE}",
    )
    files = [_names(scratch, f"late{at}", RATE * LASTS) for at in range(ROUNDS)]
    at_ours = statistics.median(_late(FRONT, file) for file in files)
    at_plain = statistics.median(_late(PLAIN, file) for file in files)
    yield Row(
        f"99 of 100 judged names, at {RATE} a second, within",
        f"{at_ours * 1000:.1f} ms",
        f"dnsmasq alone {at_plain * 1000:.1f} ms",
        f"{(at_ours - at_plain) * 1000:+.1f} ms",
        "< +10 ms",
    )


def _dnsmasq(scratch: Path, address: object, *lines: str) -> None:
    file = scratch / f"{address}.conf"
    text = (
        "listen-address=" + str(address),
        "bind-interfaces",
        "dns-forward-max=2000",
        "user=root",
        "group=root",
        *lines,
    )
    file.write_text("\n".join(text) + "\n")
    subprocess.Popen(
        ("dnsmasq", "--keep-in-foreground", "--pid-file=", "--log-facility=/dev/null", f"--conf-file={file}")
    )


def _judge(scratch: Path) -> subprocess.Popen[bytes]:
    asked = (Asked(Resolver(HOME), domestic=True), Asked(Resolver(ABROAD)))
    domestic = tuple(ip_network(f"{first}.{second}.0.0/17") for first in range(40, 60) for second in range(256))
    file = scratch / "judge.json"
    file.write_text(write_config(DnsConfig(JUDGE, 53, asked, True, True, domestic, ("cn",), ("example.org",)), ""))
    return subprocess.Popen((sys.executable, "-m", "warren", "dns", "--user=", str(file)))


def _peer(scratch: Path) -> float:
    """Give what smartdns answers in a second where one side's addresses have to be in a list; 0 if it is not here."""
    program = shutil.which("smartdns") or shutil.which("/usr/sbin/smartdns")
    if program is None:
        return 0.0
    file = scratch / "smartdns.conf"
    lines = (f"bind {PEER}:53", f"server {HOME} -whitelist-ip", f"server {ABROAD}", "whitelist-ip 45.12.0.0/14")
    file.write_text("\n".join((*lines, "speed-check-mode none", "cache-size 0", "log-level fatal")) + "\n")
    with subprocess.Popen(
        (program, "-f", "-c", str(file), "-p", "-"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as peer:
        _await(PEER)
        rate = _rate(PEER, _names(scratch, "peer", 200_000), "-q", "40")
        peer.kill()
    return rate


def _names(scratch: Path, head: str, count: int) -> Path:
    file = scratch / f"{head}.names"
    if not file.exists():
        file.write_text("".join(f"{head}{at}.example.com A\n" for at in range(count)))
    return file


def _await(*addresses: object) -> None:
    """Wait until somebody answers there."""
    query = bytes.fromhex("0007010000010000000000000161076578616d706c6503636f6d0000010001")
    for address in addresses:
        for _ in range(100):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking, suppress(OSError):
                asking.settimeout(0.2)
                asking.connect((str(address), 53))
                asking.send(query)
                if asking.recv(512)[3] & 15 == 0:
                    break
            time.sleep(0.1)
        else:
            raise SystemExit(f"nobody answers at {address}")


def _ask(server: object, names: Path, *how: str) -> str:
    argv = ("dnsperf", "-s", str(server), "-d", str(names), "-S", "0", *how)
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def _rate(server: object, names: Path, *how: str) -> float:
    return _figure(_ask(server, names, "-l", str(LASTS), *how), "Queries per second")


def _late(server: object, names: Path) -> float:
    """Give the seconds within which 99 of 100 answers came."""
    told = _ask(server, names, "-Q", str(RATE), "-n", "1", "-v")
    late = sorted(float(found) for found in re.findall(r"^> NOERROR \S+ \S+ ([\d.]+)$", told, re.MULTILINE))
    assert len(late) > RATE, told[-2000:]
    return late[len(late) * 99 // 100]


def _figure(told: str, what: str) -> float:
    found = re.search(rf"{what}:\s+([\d.]+)", told)
    assert found is not None, told
    return float(found[1])


def _count(told: str) -> int:
    found = re.search(r"NOERROR (\d+)", told)
    assert found is not None, told
    return int(found[1])


def _processor(pid: int) -> float:
    """Give the processor time that a process has had, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
