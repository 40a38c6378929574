"""Private and preshared keys, read from their files at the moment they are used, and never kept.

A SecretRef names a file that holds the key alone, or a wg-quick conf and a place in it (wg(8), wg-quick(8)).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence

from warren.core.conf.lines import decode, lines_of
from warren.model.key import SecretRef, decode_key, fingerprint
from warren.sys.errors import HostError

MAX_FILE = 16 * 1024 * 1024  # a conf with 100,000 peers is smaller


def read_secret(ref: SecretRef) -> str:
    """Read a key as 44 characters of base64; HostError says what is wrong with the file, never what is in it."""
    return read_secrets((ref,))[0]


def read_secrets(refs: Sequence[SecretRef]) -> list[str]:
    """Read several keys, each file once: a conf may hold a thousand preshared keys. Errors as for one."""
    texts = {path: _text(path) for path in dict.fromkeys(ref.path for ref in refs)}
    confs = {path: _keys_of_conf(texts[path]) for path in {ref.path for ref in refs if ref.conf_key}}
    found = []
    for ref in refs:
        if ref.passphrase:
            found.append(_passphrase(ref.path, texts[ref.path]))
            continue
        key = confs[ref.path].get(ref.conf_key) if ref.conf_key else texts[ref.path].strip()
        if key is None:
            wanted, _, peer = ref.conf_key.partition(" ")
            raise HostError(f"{ref.path} holds no {wanted}" + (f" for the peer {peer}" if peer else ""))
        try:
            decode_key(key)
        except ValueError as error:
            place = f" ({ref.conf_key})" if ref.conf_key else ""
            raise HostError(f"{ref.path}{place} holds no key: {error}") from None
        found.append(key)
    return found


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return decode(file.read(MAX_FILE))
    except OSError as error:
        raise HostError(
            f"cannot read the key in {path}: {(error.strerror or str(error)).lower()}",
            f"`warren keys gen {path}` makes a private key there, `warren keys psk {path}` a preshared one; or name "
            "the file that holds it."
            if isinstance(error, FileNotFoundError)
            else "",
        ) from None


def _passphrase(path: str, text: str) -> str:
    """Check a hotspot's passphrase: 8 to 63 characters of ASCII that can be seen (IEEE 802.11-2020, annex J.4)."""
    remedy = f"Put it alone into the first line, for instance: (umask 077; openssl rand -base64 15 > {path})"
    mode = os.stat(path).st_mode
    if mode & 0o077:
        raise HostError(f"{path} can be read by others (mode {mode & 0o777:04o})", f"chmod 600 {path}")
    words = text.removesuffix("\n").removesuffix("\r")
    if not all(" " <= char <= "~" for char in words):
        raise HostError(f"the passphrase in {path} has other characters than those of ASCII that can be seen", remedy)
    if not 8 <= len(words) <= 63:
        raise HostError(f"the passphrase in {path} has {len(words)} characters, and 8 to 63 are allowed", remedy)
    return words


def fingerprints(refs: Iterable[SecretRef]) -> tuple[tuple[str, str], ...]:
    """Pair each secret that can be read, named as in `Surroundings.secrets`, with its fingerprint."""
    found: dict[str, str] = {}
    for ref in refs:
        name = secret_name(ref)
        if name in found:
            continue
        try:
            secret = read_secret(ref)
            found[name] = _guarded(secret, name) if ref.passphrase else fingerprint(decode_key(secret))
        except HostError:
            continue  # who needs it says so: apply reads it again, and then it is an error
    return tuple(sorted(found.items()))


def _guarded(passphrase: str, salt: str) -> str:
    """Tell two passphrases apart, slowly: people choose them, and a quick digest could be guessed at."""
    digest = hashlib.scrypt(passphrase.encode(), salt=salt.encode(), n=1 << 14, r=8, p=1, dklen=8)
    return digest.hex()


def secret_name(ref: SecretRef) -> str:
    """Name a secret: its path, or its path, `#` and the place in the conf."""
    return f"{ref.path}#{ref.conf_key}" if ref.conf_key else ref.path


def _keys_of_conf(text: str) -> dict[str, str]:
    """Find `PrivateKey`, and `PresharedKey PEER` for every peer, in a conf's text; the last one counts, as for wg."""
    found: dict[str, str] = {}
    peer = psk = ""
    for line in lines_of(text):
        key, value = line.key.lower(), "".join(line.value.split())
        if line.heading:
            peer = psk = ""
        elif key == "privatekey":
            found["PrivateKey"] = value
        elif key in ("publickey", "presharedkey"):
            peer, psk = (value, psk) if key == "publickey" else (peer, value)
            if peer and psk:
                found[f"PresharedKey {peer}"] = psk
    return found
