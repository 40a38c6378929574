"""Whether systemd-networkd runs and would delete rules and routes that it did not make (networkd.conf(5)).

`ManageForeignRoutes=` and `ManageForeignRoutingPolicyRules=` are yes unless the owner wrote otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

_SETTINGS = ("ManageForeignRoutes", "ManageForeignRoutingPolicyRules")
_NO = ("no", "false", "off", "0", "n", "f")
_ROOTS = ("/usr/lib/systemd", "/usr/local/lib/systemd", "/run/systemd", "/etc/systemd")


def manages_foreign(root: Path = Path("/")) -> bool:
    """Say whether networkd is at work here and deletes what others put into tables and rules."""
    if not (root / "run/systemd/netif/state").exists():
        return False
    return any(value not in _NO for value in _configured(root).values())


def _configured(root: Path) -> dict[str, str]:
    """Read the settings as networkd does: the main file, then the drop-ins by their names; the last word counts."""
    values = dict.fromkeys(_SETTINGS, "yes")
    for path in (*_existing(root, "networkd.conf")[-1:], *_drop_ins(root)):
        for line in path.read_text(errors="replace").splitlines():
            name, _, value = (part.strip() for part in line.partition("="))
            if name in values:
                values[name] = value.lower() or "yes"
    return values


def _existing(root: Path, name: str) -> list[Path]:
    return [path for each in _ROOTS if (path := root / each[1:] / name).is_file()]


def _drop_ins(root: Path) -> Iterable[Path]:
    by_name: dict[str, Path] = {}
    for each in _ROOTS:
        directory = root / each[1:] / "networkd.conf.d"
        by_name |= {path.name: path for path in sorted(directory.glob("*.conf"))} if directory.is_dir() else {}
    return [by_name[name] for name in sorted(by_name)]
