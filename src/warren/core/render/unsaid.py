"""What a target cannot express of a host's state: said item by item, never dropped in silence.

Every renderer gives these beside its files, and `warren render` prints them. Where a target has another way to reach
the same end, the renderer takes it and says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unsaid:
    """One thing the target has no word for: what it is (`item`), `why`, and what the owner can do (`remedy`).

    Each is a plain sentence or phrase without a full stop; `remedy` may be empty where there is none.
    """

    item: str
    why: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.item}: {self.why}" + (f"; {self.remedy}" if self.remedy else "")
