"""The documented shapes of JSON: docs/json.md has an example of each, and what commands print must look like it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "json.md"
SHAPES: dict[str, Any] = {
    name: json.loads(text)
    for name, text in re.findall(r"^```json (\S+)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
}
OPEN = ("steps",)  # lists whose entries have more keys than are documented


def differs(printed: Any, documented: Any, at: str = "") -> list[str]:
    """List where a value's keys and types are not those of the documented example; null stands for anything."""
    if printed is None or documented is None:
        return []
    if isinstance(documented, dict) and isinstance(printed, dict):
        more = set() if at.endswith(OPEN) else printed.keys() - documented.keys()
        found = [f"{at}: {key} is not documented" for key in sorted(more)]
        found += [f"{at}: {key} is missing" for key in sorted(documented.keys() - printed.keys())]
        for key in documented.keys() & printed.keys():
            found += differs(printed[key], documented[key], f"{at}.{key}")
        return found
    if isinstance(documented, list) and isinstance(printed, list):
        return [each for value in printed if documented for each in differs(value, documented[0], at)]
    if type(printed) is not type(documented):
        return [f"{at}: {type(printed).__name__} instead of {type(documented).__name__}"]
    return []
