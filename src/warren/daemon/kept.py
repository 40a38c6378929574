"""What a rendezvous server has lent, kept over its restart: relays of pairs whose packets are under way.

A server that is started anew forgets sessions, which hosts renew by themselves within half a minute, and nothing else:
whoever is carried by a relay of its is carried on. The file holds secrets of pairs, so it is its owner's alone.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from warren.proto.address import Address
from warren.proto.lend import Lent
from warren.sys.errors import HostError

_TABLE = """CREATE TABLE IF NOT EXISTS lent (
    one BLOB, other BLOB, ip TEXT, port INTEGER, number BLOB, secret BLOB, ends REAL,
    one_at TEXT, one_port INTEGER, one_counter INTEGER, other_at TEXT, other_port INTEGER, other_counter INTEGER,
    PRIMARY KEY (one, other))"""
Known = tuple[tuple[Address | None, int], ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """A lent relay, when it ends (seconds since 1970), and where the two hosts were."""

    lent: Lent
    ends: float
    known: Known


class Memory:
    """Keeps nothing beyond the process."""

    def load(self) -> list[Kept]:
        """Give what was kept."""
        return []

    def save(self, kept: list[Kept]) -> None:
        """Keep this, in the place of what was."""

    def close(self) -> None:
        """Be done with it."""


class Sqlite(Memory):
    """Keeps it in a file of SQLite's; HostError if that cannot be."""

    def __init__(self, path: str) -> None:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._file = sqlite3.connect(path, isolation_level=None)
            self._file.execute(_TABLE)
        except (OSError, sqlite3.Error) as error:
            raise HostError(f"cannot keep anything in {path}: {error}", "Name another file, or `memory`.") from None

    def load(self) -> list[Kept]:
        """Give what was kept."""
        return [_kept(row) for row in self._file.execute("SELECT * FROM lent ORDER BY port")]

    def save(self, kept: list[Kept]) -> None:
        """Keep this in one transaction."""
        self._file.execute("BEGIN IMMEDIATE")
        self._file.execute("DELETE FROM lent")
        self._file.executemany(f"INSERT INTO lent VALUES ({', '.join('?' * 13)})", [_row(one) for one in kept])
        self._file.execute("COMMIT")

    def close(self) -> None:
        """Be done with it."""
        self._file.close()


def _row(one: Kept) -> tuple[object, ...]:
    lent = one.lent
    places = [
        part
        for address, counter in one.known
        for part in (str(address.ip) if address else None, address.port if address else None, counter)
    ]
    return (*lent.pair, " ".join(map(str, lent.ips)), lent.port, lent.grant.to_bytes(8), lent.secret, one.ends, *places)


def _kept(row: tuple[Any, ...]) -> Kept:
    first, other, ips, port, number, secret, ends, *places = row
    sides = (places[:3], places[3:])
    known = tuple((Address.of(at, at_port) if at else None, counter) for at, at_port, counter in sides)
    lent = Lent((first, other), tuple(map(ip_address, ips.split())), port, int.from_bytes(number), secret, 0.0)
    return Kept(lent, ends, known)
