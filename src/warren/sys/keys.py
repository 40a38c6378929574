"""New keys, and the files they are put away in.

A private key is 32 random bytes, clamped as `wg genkey` does (RFC 7748 section 5), which is how check can tell one
that was pasted where a public key belongs. Files are made with mode 0600 and only where none is: a key that is
overwritten is lost for good.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from warren.model.key import PublicKey, decode_key, encode_key
from warren.sys.errors import HostError

HOME = Path("/etc/warren")


def new_private_key() -> str:
    """Make a private key."""
    raw = bytearray(secrets.token_bytes(32))
    raw[0] &= 0xF8
    raw[31] = raw[31] & 0x7F | 0x40
    return encode_key(bytes(raw))


def new_preshared_key() -> str:
    """Make a preshared key: 32 random bytes, as `wg genpsk` does."""
    return encode_key(secrets.token_bytes(32))


def public_key(private: str) -> PublicKey:
    """Compute the public key of a private one, without running `wg`; ValueError if it is no key."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return PublicKey(
        encode_key(X25519PrivateKey.from_private_bytes(decode_key(private)).public_key().public_bytes_raw())
    )


def put_away(secret: str, path: Path) -> None:
    """Write a secret to a new file that only its owner reads; /etc/warren is made so too, but no other directory.

    HostError when there is something at `path` already (a dangling link counts), or it cannot be written.
    """
    made = False
    try:
        if path.parent == HOME:
            path.parent.mkdir(mode=0o700, exist_ok=True)
        # O_EXCL follows no link and takes no file that somebody else put there first (open(2)).
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
            made = True
            os.fchmod(file.fileno(), 0o600)  # whatever the umask is
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        if error.filename != str(path):
            raise HostError(f"cannot write {path}: {error.filename} is no directory") from None
        raise HostError(
            f"there is a file {path} already, and warren never overwrites a key",
            "Move it away if you want a new one, or name another file.",
        ) from None
    except OSError as error:
        if made:  # the disk was full: half a key is none
            path.unlink(missing_ok=True)
        raise HostError(*_trouble(error, path)) from None


def _trouble(error: OSError, path: Path) -> tuple[str, str]:
    """Say why a file could not be written, and what helps."""
    folder = path.parent
    if isinstance(error, FileNotFoundError) and not folder.exists():
        remedy = f"If that is where it belongs, make it first: `mkdir -m 700 -p {folder}`."
        return f"cannot write {path}: there is no directory {folder}", remedy
    if isinstance(error, NotADirectoryError):
        return f"cannot write {path}: {folder} is no directory", ""
    remedy = "Run it as root, or name a file that you may write." if isinstance(error, PermissionError) else ""
    return f"cannot write {path}: {(error.strerror or str(error)).lower()}", remedy
