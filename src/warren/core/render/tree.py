"""What a renderer gives: files, as they are to lie on the target from its root on, and what they cannot say.

Secrets are no part of it. Where a file needs one its text has a place (`@secret:0@`, as in `core.render.wg`), and the
Secret says which key belongs there and what is written instead where that key is not at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum

from warren.core.render.knock import unheard
from warren.core.render.unsaid import Unsaid
from warren.core.render.wg import placeholder
from warren.model.key import PublicKey, SecretRef
from warren.model.state import HostState, Peer, WgInterface

SECRET_MODE = 0o600
PARTS = {  # of a state, as people would call them
    "choices": "agent that chooses among several exits",
    "dns": "resolvers",
    "forget": "end of flows that began before",
    "lan_addresses": "addresses on LANs",
    "lan_links": "devices of LANs that are VLANs or bridges",
    "rendezvous": "agent that finds peers which nobody can dial",
    "services": "services that run beside the tunnels",
    "names": "destinations by name, and the resolvers that tell them",
    "sysctls": "kernel settings",
}
IDENTITY = ("host", "owner", "backend", "interfaces")  # what every target speaks of


class Form(StrEnum):
    """What becomes of a file's text when it is written: nothing, or a QR code of it."""

    TEXT = "text"
    SVG = "svg"
    PNG = "png"
    TERMINAL = "terminal"


@dataclass(frozen=True, slots=True)
class Secret:
    """A key that a file needs: `what` it is, for people. `public_key` is set for private keys."""

    ref: SecretRef
    what: str
    public_key: PublicKey | None = None

    @property
    def stand_in(self) -> str:
        """What stands in a file instead of the key: one line that nothing takes for one."""
        where = f"whose public key is {self.public_key}" if self.public_key else f"which lies in {self.ref.path}"
        return f"({self.what}, {where})"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a target: `path` without the leading slash, its `text`, and its mode.

    The keys that belong into `text` are in `secrets`, in the order of their places.
    """

    path: str
    text: str
    mode: int = 0o644
    secrets: tuple[Secret, ...] = ()
    form: Form = Form.TEXT


@dataclass(frozen=True, slots=True)
class Rendered:
    """A host's state for one target: its files, what they cannot say, and what to do with them (`steps`).

    `looks`: where it is put to use, it looks at what listens there and keeps that from being published.
    """

    files: tuple[File, ...]
    unsaid: tuple[Unsaid, ...] = ()
    steps: tuple[str, ...] = ()
    looks: bool = False


Renderer = Callable[[HostState], Rendered]


def private_key(state: HostState, interface: WgInterface) -> Secret:
    """Name a device's private key."""
    return Secret(interface.private_key, f"the private key of {state.host}", interface.public_key)


def preshared_key(ref: SecretRef, peer: Peer) -> Secret:
    """Name the key that two peers share."""
    return Secret(ref, f"the key shared with {peer.name or peer.public_key}")


def filled(file: File, keys: Sequence[str | None]) -> File:
    """Put keys in their places, and stand-ins where a key is None."""
    text = file.text
    for at, (secret, key) in enumerate(zip(file.secrets, keys, strict=True)):
        text = text.replace(placeholder(at), secret.stand_in if key is None else key)
    return replace(file, text=text)


def unspoken(state: HostState, target: str, spoken: Iterable[str]) -> Iterator[Unsaid]:
    """Name every part of a state that a target does not speak of: what is added to HostState is never just dropped.

    `spoken` are the names of the fields that the renderer takes care of, beside IDENTITY.
    """
    yield from unheard(state)
    known = {*IDENTITY, *spoken, "knock", "knocks"}
    for field in fields(state):
        value = getattr(state, field.name)
        if field.name in known or not value or value == field.default:
            continue
        yield Unsaid(
            f"{PARTS.get(field.name, field.name)} of {state.host}",
            f"{target} has no way to say it",
            "run `warren apply` there instead, or see to it by other means",
        )
