"""`./dev demo`: the example networks, brought up for real, as a transcript of the commands one would type.

The first is told at length: what enters a LAN in New York leaves in Paris while what enters one in Paris leaves in
New York, at the same time, and the uplinks are watched meanwhile. All of them then keep every promise of their files.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from warren.lab.control import Door, Session
from warren.sys.errors import HostError

EXAMPLES = (
    "portals",
    "full-exit-mesh",
    "site-to-site",
    "chain",
    "own-traffic",
    "gateway",
    "overlap",
    "ipv6-land",
    "nested",
    "hotspot",
    "names",
    "failover",
    "smart",
    "mesh",
)
TIMES = 25
BOLD, DIM, PLAIN = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if sys.stdout.isatty() else ("", "", "")


def main() -> int:
    """Run all examples; give 0 if every promise is kept."""
    folder = Path(__file__).resolve().parents[3] / "examples"
    if not folder.is_dir():
        print(f"the examples are not in {folder}: run the demo from a clone of the project", file=sys.stderr)
        return 1
    started = time.monotonic()
    kept = [_show(folder / f"{name}.yaml") for name in EXAMPLES]
    seconds = time.monotonic() - started
    said = "every promise of every file is kept" if all(kept) else "NOT every promise is kept: see `no` above"
    print(f"\n{BOLD}{len(EXAMPLES)} networks in {seconds:.0f} s: {said}{PLAIN}")
    return 0 if all(kept) else 1


def _show(file: Path) -> bool:
    print(f"\n{BOLD}━━ {file.name} {'━' * (90 - len(file.name))}{PLAIN}")
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        print(f"{DIM}{line[2:]}{PLAIN}")
    if file.stem != "portals":
        return _type("lab", "test", str(file))
    if not _type("lab", "up", str(file)):
        return False
    try:
        return _cross(file) & _type("lab", "test", str(file))
    finally:
        _type("lab", "down", str(file))


def _cross(file: Path) -> bool:
    """Both portals at the same time, IPv4 and IPv6, each packet told by the uplink it left by."""
    session = Door(str(file)).find()
    if session is None:
        print(f"the lab of {file} is gone", file=sys.stderr)
        return False
    print(f"\n{TIMES} packets each from four places, all under way at once, every uplink watched:")
    with session:
        return _counted(session)


def _counted(session: Session) -> bool:
    asked = (
        (0, "nyc.eth2", "paris"),
        (1, "nyc.eth2", "paris"),
        (2, "paris.wlan0", "nyc"),
        (3, "paris.wlan0", "nyc"),
    )
    right = True
    for (at, source, exit_host), told in zip(
        asked, session.ask("crowd", expects=[at for at, _, _ in asked], times=TIMES), strict=False
    ):
        left = told["left"]
        for where, count in left.items():
            host = where.partition(" ")[0]
            as_wanted = host == exit_host and count == TIMES
            right &= as_wanted
            address = where.rpartition(" ")[2]
            seen = f"left by the uplink of {host}, the internet saw {address}" if host else "got no answer"
            print(f"  {'ok' if as_wanted else 'no'}   entered at {source:<11}  {count} {seen}")
        assert told["expect"] == at
    return right


def _type(*words: str) -> bool:
    """Run warren as a person would, who sees what it prints; say whether it ended well."""
    shown = [Path(word).name if word.endswith(".yaml") else word for word in words]
    print(f"\n{BOLD}$ warren {' '.join(shown)}{PLAIN}", flush=True)
    program = "from warren.cli.main import main; main()"
    return subprocess.run((sys.executable, "-c", program, *words), check=False).returncode == 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HostError as error:
        print(f"warren: {error}", file=sys.stderr)
        sys.exit(1)
