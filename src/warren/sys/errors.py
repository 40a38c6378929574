"""What can go wrong on a host, said so that its owner knows what to do."""

from __future__ import annotations


class HostError(Exception):
    """Something on this host keeps warren from doing what was asked: what, and what helps."""

    def __init__(self, says: str, remedy: str = "") -> None:
        super().__init__(says)
        self.says = says
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.says}\n{self.remedy}" if self.remedy else self.says
