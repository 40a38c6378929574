"""Rendered files, written where they are asked for: with the keys that are at hand, and their modes.

A key is at hand when its file can be read here *and* it is the right one: a private key must have the public key that
the network file says. A preshared key cannot be told from another, so those are taken only on the host itself, which
is where the private key lies at its own place.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from warren.core.render.qr import drawn
from warren.core.render.tree import File, Form, Secret, filled
from warren.model.key import PublicKey, SecretRef
from warren.sys.errors import HostError
from warren.sys.keys import public_key
from warren.sys.secret import read_secret

CLOSED = ("etc/wireguard", "etc/NetworkManager/system-connections")  # directories that only root enters


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that are at hand: `private` is named by its public key, `shared` by where it lies."""

    private: tuple[tuple[PublicKey, str], ...] = ()
    shared: tuple[tuple[SecretRef, str], ...] = ()

    def find(self, secret: Secret) -> str | None:
        """Give a key, or None if it is not here."""
        if secret.public_key is not None:
            return dict(self.private).get(secret.public_key)
        return dict(self.shared).get(secret.ref)

    def __repr__(self) -> str:
        return f"Keys({len(self.private)} private, {len(self.shared)} shared)"


def keys_at_hand(files: Iterable[File], given: str = "") -> Keys:
    """Read what keys these files need, as far as they are on this machine.

    `given` is a file that holds the private key; HostError if that is not the right one.
    """
    wanted = list(dict.fromkeys(secret for file in files for secret in file.secrets))
    own = [secret for secret in wanted if secret.public_key is not None]
    private: dict[PublicKey, str] = {}
    here = False
    for secret in own:
        assert secret.public_key is not None
        key = _readable(secret.ref)
        if key is not None and public_key(key) == secret.public_key:
            private[secret.public_key] = key
            here = True
    if given:
        private |= _given(given, own)
    shared = {}
    if here:
        shared = {s.ref: key for s in wanted if s.public_key is None and (key := _readable(s.ref)) is not None}
    return Keys(tuple(private.items()), tuple(shared.items()))


def _readable(ref: SecretRef) -> str | None:
    """Read a key; None where there is none that we may read."""
    if not ref.path:
        return None
    try:
        return read_secret(ref)
    except HostError:
        return None


def _given(path: str, own: list[Secret]) -> dict[PublicKey, str]:
    key = read_secret(SecretRef(path))
    public = public_key(key)
    wanted = {secret.public_key for secret in own}
    if wanted and public not in wanted:
        raise HostError(
            f"the key in {path} is not the one that is wanted: its public key is {public}",
            f"The network file says {', '.join(sorted(str(one) for one in wanted))}.",
        )
    return {public: key}


def drawn_with(file: File, keys: Keys) -> bytes:
    """Give a file's bytes, its keys put in. A picture without its key is of no use to anybody: then HostError."""
    found = [keys.find(secret) for secret in file.secrets]
    if file.form is not Form.TEXT and None in found:
        lacking = next(secret for secret, key in zip(file.secrets, found, strict=True) if key is None)
        raise HostError(
            f"{lacking.what} is not here, and a code without it is of no use",
            "Name the file that holds it: --private-key FILE."
            if lacking.public_key
            else f"Render where {lacking.ref.path} lies.",
        )
    try:
        return drawn(file.form, filled(file, found).text)
    except ValueError as error:
        raise HostError(f"/{file.path} cannot be drawn: {error}", "Render it as wg-quick and copy the conf.") from None


def missing(files: Iterable[File], keys: Keys) -> tuple[Secret, ...]:
    """Name the keys that are not at hand, each once."""
    every = (secret for file in files for secret in file.secrets)
    return tuple(secret for secret in dict.fromkeys(every) if keys.find(secret) is None)


def write_tree(files: Iterable[File], directory: str, keys: Keys) -> list[Path]:
    """Write files below a directory, each whole or not at all; give their paths.

    A key that somebody put into a file by hand is not overwritten by a place for one: then HostError, and nothing is
    written.
    """
    root = Path(directory)
    laid = [(root / file.path, file, drawn_with(file, keys)) for file in files]
    for path, file, _ in laid:
        _spare(path, file, keys)
    for path, file, data in laid:
        _make_directories(root, Path(file.path).parent)
        _write(path, data, file.mode)
    return [path for path, _, _ in laid]


def _spare(path: Path, file: File, keys: Keys) -> None:
    """Refuse to put stand-ins where another text than ours stands."""
    lacking = [secret for secret in file.secrets if keys.find(secret) is None]
    if not lacking or not path.exists():
        return
    text = path.read_text(errors="replace")
    for secret in lacking:
        if secret.stand_in not in text:
            raise HostError(
                f"{path} may hold {secret.what}, which is not here",
                "Move the file away, or render to another directory, and put the key into the new file.",
            )


def _make_directories(root: Path, inner: Path) -> None:
    """Make what is missing of the way to a file, with the modes that these directories have on a machine.

    Whatever the umask is: who copies a tree with its modes would else close the machine's own /etc to everybody.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        for part in (*reversed(inner.parents), inner):
            path = root / part
            if not path.exists():
                path.mkdir()
                path.chmod(0o700 if str(part) in CLOSED else 0o755)
    except OSError as error:
        raise HostError(f"cannot make {root / inner}: {(error.strerror or str(error)).lower()}") from None


def _write(path: Path, data: bytes, mode: int) -> None:
    temporary = None
    try:
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as opened:
            temporary = Path(opened.name)  # made with mode 0600
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
            os.fchmod(opened.fileno(), mode)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise HostError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
