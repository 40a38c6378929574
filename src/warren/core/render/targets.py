"""The table of targets of `warren render`: each is imported only when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

from warren.core.render.tree import Renderer


class Target(NamedTuple):
    """Where a renderer is (`module:function`, a HostState to Rendered), and what it makes in one line."""

    renderer: str
    help: str


TARGETS: dict[str, Target] = {
    "wg-quick": Target("warren.core.render.wgquick:render_wg_quick", "confs for wg-quick, with hooks"),
    "networkd": Target("warren.core.render.networkd:render_networkd", "files for systemd-networkd"),
    "networkmanager": Target("warren.core.render.networkmanager:render_networkmanager", "keyfiles for NetworkManager"),
    "qr": Target("warren.core.render.qr:render_qr", "QR codes for the WireGuard apps of phones"),
    "openwrt": Target(
        "warren.core.render.openwrt:render_openwrt", "UCI for netifd and fw4, and a script that puts it in"
    ),
    "script": Target("warren.core.render.script:render_sh", "one POSIX sh script: ip, wg, and nft or iptables"),
}


def renderer(name: str) -> Renderer:
    """Give a target's renderer; KeyError if there is no such target."""
    module, _, function = TARGETS[name].renderer.partition(":")
    found: Renderer = getattr(import_module(module), function)
    return found
