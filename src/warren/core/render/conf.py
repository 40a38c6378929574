"""A device as a wg-quick conf (wg-quick(8)): the sections that wg knows, and the lines around them.

A peer's name stands in a comment, `# Name = paris`, which is where `warren import` looks for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from warren.core.render.tree import Secret, preshared_key, private_key
from warren.core.render.wg import peer_section, placeholder
from warren.model.key import SecretRef
from warren.model.state import DnsConfig, HostState, WgInterface


def conf_text(
    state: HostState,
    interface: WgInterface,
    *,
    head: str = "",
    own: Iterable[str] = (),
    hooks: Iterable[str] = (),
    plain: bool = False,
) -> tuple[str, tuple[Secret, ...]]:
    """Write the conf of one device, with places for its keys, and name them.

    `head` is a comment of one line; `own` are lines of [Interface] such as `Table = off`, `hooks` those that are
    commands. `plain` leaves out what apps on phones do not know.
    """
    secrets = [private_key(state, interface)]
    lines = [f"# {head}"] if head else []
    lines += ["[Interface]", f"PrivateKey = {placeholder(0)}"]
    if interface.listen_port:
        lines.append(f"ListenPort = {interface.listen_port}")
    if interface.fwmark and not plain:
        lines.append(f"FwMark = {interface.fwmark:#x}")
    if interface.addresses:
        lines.append(f"Address = {', '.join(map(str, interface.addresses))}")
    for config in state.dns:
        if config.device == interface.name:
            lines.append(f"DNS = {', '.join(_dns(config))}")
    if interface.mtu:
        lines.append(f"MTU = {interface.mtu}")
    lines += [*own, *hooks]
    for peer in interface.peers:
        refs: list[SecretRef] = []
        section = peer_section(peer, None, refs)
        if peer.psk is not None:
            section = section.replace(placeholder(0), placeholder(len(secrets)))
            secrets.append(preshared_key(peer.psk, peer))
        head, _, rest = section.partition("\n")
        name = [f"# Name = {peer.name}"] if peer.name else []
        lines += ["", head, *name, rest.rstrip("\n")]
    return "\n".join(lines) + "\n", tuple(secrets)


def _dns(config: DnsConfig) -> list[str]:
    return [*map(str, config.servers), *config.search]
