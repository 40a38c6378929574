"""Names: of networks, hosts, NATs and devices, and the paths of secrets."""

from __future__ import annotations

import re
import unicodedata

from warren.core.parse.reading import Reading, scalar, show
from warren.core.parse.tree import Node, Scalar
from warren.model.diagnostic import Where

DEVICE_LENGTH = 15  # IFNAMSIZ less the final NUL (net/if.h)
NAME_LENGTH = 32
RESERVED = ("internet", "kept", "true", "false")
NO_DEVICE = ("lo", "all", "default")  # all and default are directories beside devices in /proc/sys/net

_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_DEVICE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*")


def check_name(key: Scalar, what: str, reading: Reading, longest: int = NAME_LENGTH) -> bool:
    """Note what is wrong with a name that the file makes up; say whether it can be used."""
    name = key.text
    if name in RESERVED:
        says = f"{what} cannot be called {show(name)}, which has a meaning of its own in places and expectations."
        reading.note("W020", key.where, says, "Choose another name.")
    elif len(name) > longest:
        says = f"{what} is called {show(name)}, which is longer than {longest} characters."
        reading.note("W020", key.where, says, "Choose a shorter name.")
    elif not _NAME.fullmatch(name):
        says = f"{what} is called {show(name)}, but a name is lower-case letters, digits and hyphens, a letter first."
        reading.note("W020", key.where, says, f"For instance `{_proposal(name)[:longest]}`.")
    else:
        return True
    return False


def _proposal(name: str) -> str:
    """Make a name that can be used of one that cannot: New_York is new-york, Café is cafe, 2nd is site-2nd."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", name[:NAME_LENGTH]) if char.isascii())
    words = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
    return words if words[:1].isalpha() else f"site-{words}".rstrip("-") if words else "site-1"


def network_name(node: Node, what: str, reading: Reading) -> str | None:
    """Read the network's name, which also begins the names of its devices and its firewall table."""
    name = scalar(node, what, reading, "portals")
    if name is None or not check_name(name, "The network", reading, DEVICE_LENGTH):
        return None
    return name.text


def device(node: Node, what: str, reading: Reading) -> str | None:
    """Read the name of a device of the host."""
    name = scalar(node, what, reading, "eth0")
    return name.text if name is not None and check_device(name.text, name.where, reading) else None


def check_device(name: str, where: Where, reading: Reading) -> bool:
    """Note what is wrong with a device's name (dev_valid_name in net/core/dev.c, and a little stricter)."""
    if len(name) > DEVICE_LENGTH:
        says = f"The device name {show(name)} has {len(name)} characters; Linux allows {DEVICE_LENGTH}."
    elif name in NO_DEVICE:
        says = f"{show(name)} cannot be an uplink or a LAN."
    elif not _DEVICE.fullmatch(name):
        says = f"{show(name)} is no name of a device: letters, digits and `_ . - @` make one."
    else:
        return True
    reading.note("W021", where, says, "Write the name that `ip link` shows on that host.")
    return False


def secret_path(node: Node, what: str, reading: Reading) -> str | None:
    """Read the path of a file that holds a secret."""
    path = scalar(node, what, reading, "/etc/warren/private.key")
    if path is None:
        return None
    if not (path.text.startswith("/") and len(path.text) < 1024 and re.fullmatch(r"[\w/.+:@=-]+", path.text)):
        says = f"{what} must be the absolute path of a file on that host, without spaces."  # may be a secret: not shown
        reading.note("W035", path.where, says, "Write for instance `/etc/warren/private.key`; keys stay in files.")
        return None
    return path.text
