"""`./dev bench [NAME…]`: run the benchmarks, each in a process of its own, and print one table.

A process of its own, because memory is measured too and imports are part of what a user waits for.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from dataclasses import asdict

from bench.row import Row

# In the order of the table. Each module has `rows()`, which yields Row values.
MODULES = (
    "startup",
    "compile",
    "verify",
    "up_down",
    "lab",
    "publish",
    "geo",
    "dns",
    "failover",
    "meeting",
    "hard_nats",
    "fuzz",
    "natpunch",
    "relay",
)


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all of them; the status is 1 if one could not be run."""
    if names[:1] == ["--rows"]:
        for row in importlib.import_module(f"bench.{names[1]}").rows():
            print(json.dumps(asdict(row)), flush=True)
        return 0
    unknown = sorted(set(names) - set(MODULES))
    if unknown:
        print(f"no benchmark called {', '.join(unknown)}; there are {', '.join(MODULES)}", file=sys.stderr)
        return 1
    failed = False
    print(f"{'what':<58} {'figure':>14} {'peer':>26} {'ratio':>9}  aim")
    for name in names or MODULES:
        with subprocess.Popen(
            [sys.executable, "-m", "bench", "--rows", name], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                row = Row(**json.loads(line))
                print(f"{row.what:<58} {row.figure:>14} {row.peer:>26} {row.ratio:>9}  {row.aim}", flush=True)
        failed |= process.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
