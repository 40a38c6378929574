"""A conf as it was given: what it says, whose it is, and where in its text each thing stands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from warren.core.conf.conf import Conf, ConfPeer
from warren.core.conf.lines import HOOK_KEYS, INTERFACE, PEER, Line, lines_of
from warren.core.conf.reader import words_of
from warren.core.conf.values import prefix_of
from warren.model.diagnostic import Where
from warren.model.key import PublicKey
from warren.model.prefix import Prefix


@dataclass(frozen=True)
class Given:
    """One conf without errors.

    `file` is what people called it, `text` all that is in it, keys included: nothing of it is repeated but what is no
    secret. `public_key` is that of its private key, empty if it has none. `folder` is the last part of the directory it
    lies in (empty: unknown), a name where all files are called alike.
    """

    file: str
    conf: Conf
    public_key: PublicKey
    text: str
    folder: str = ""

    @property
    def peers(self) -> tuple[ConfPeer, ...]:
        """The peers WireGuard takes: not the tunnel itself."""
        return tuple(peer for peer in self.conf.peers if peer.public_key != self.public_key)

    @cached_property
    def _sections(self) -> tuple[tuple[Line, tuple[Line, ...]], ...]:
        """Each heading with the settings under it."""
        found: list[tuple[Line, list[Line]]] = []
        for line in lines_of(self.text):
            if line.heading:
                found.append((line, []))
            elif found:
                found[-1][1].append(line)
        return tuple((heading, tuple(lines)) for heading, lines in found)

    @cached_property
    def _interface(self) -> tuple[Line, ...]:
        return tuple(line for heading, lines in self._sections if heading.section == INTERFACE for line in lines)

    @cached_property
    def _peers(self) -> dict[str, tuple[Line, ...]]:
        """The heading and the settings of each peer by its key; of several sections of one key the last counts."""
        found: dict[str, tuple[Line, ...]] = {}
        for heading, lines in self._sections:
            if heading.section == PEER:
                key = next(("".join(x.value.split()) for x in reversed(lines) if x.key.lower() == "publickey"), "")
                found[key] = (heading, *lines)
        return found

    @property
    def top(self) -> Where:
        """The place of the whole file."""
        return Where(self.file, 1, 1)

    def hooks(self) -> tuple[Line, ...]:
        """List the hooks in the order in which they are written."""
        return tuple(line for line in self._interface if line.key.lower() in HOOK_KEYS and line.value)

    def setting(self, key: str) -> Where:
        """Point at the value of an [Interface]'s key: its last line; the top of the file if there is none."""
        line = next((x for x in reversed(self._interface) if x.key.lower() == key and x.value), None)
        return self.top if line is None else line.where(self.file)

    def peer(self, key: PublicKey, setting: str = "") -> Where:
        """Point at a peer, or at a setting of it."""
        lines = self._peers.get(key, ())
        found = next((x for x in reversed(lines) if setting and x.key.lower() == setting and x.value), None)
        return found.where(self.file) if found else lines[0].where(self.file) if lines else self.top

    def allowed(self, key: PublicKey, prefix: Prefix) -> Where:
        """Point at one of a peer's AllowedIPs."""
        return self._allowed(key).get(prefix) or self.peer(key, "allowedips")

    def _allowed(self, key: PublicKey) -> dict[Prefix, Where]:
        known = self._allowed_by_key.get(key)
        if known is None:
            known = self._allowed_by_key[key] = {}
            for line in self._peers.get(key, ()):
                if line.key.lower() == "allowedips":
                    for word, where in words_of(line, self.file, ","):
                        known[prefix_of("".join(word.lstrip("+-").split()))[0]] = where()
        return known

    @cached_property
    def _allowed_by_key(self) -> dict[PublicKey, dict[Prefix, Where]]:
        return {}
