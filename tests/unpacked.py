"""Programs that `./dev setup` unpacks below .venv-tools and does not install, so that they do not run by themselves."""

from __future__ import annotations

from pathlib import Path

UNPACKED = Path(__file__).parents[1] / ".venv-tools" / "unpacked"


def program(path: str) -> str:
    """Find one of them, as `bin/nmcli`: what was unpacked, else what is installed."""
    places = (UNPACKED / "usr" / path, UNPACKED / path, Path("/usr") / path)
    return str(next((place for place in places if place.exists()), Path(path).name))
