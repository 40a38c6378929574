"""Names that UCI takes: letters, digits and underscores, while a device of ours may be called `portals-paris`.

netifd calls a WireGuard device as its section is called, so it is the device that gets another name; everything in the
state that speaks of it is told so: routes, rules, the firewall, kernel settings.
"""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any

from warren.model.key import SecretRef
from warren.model.state import HostState

# Interfaces that a router has, or most of them, and words that netifd takes for itself.
_TAKEN = {"lan", "wan", "wan6", "wwan", "guest", "loopback", "globals", "switch", "lo"}


def section_name(*parts: str) -> str:
    """Put a section's name together; a network's name cannot reach into what follows it."""
    return "warren_" + "__".join(safe(part) for part in parts)


def safe(name: str) -> str:
    """Write a name in UCI's letters; two underscores in a row are kept for what joins names."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return re.sub(r"__+", "_x_", plain)


def with_safe_devices(state: HostState) -> HostState:
    """Rename what UCI could not call so; ValueError if two devices would get one name."""
    names: dict[str, str] = {}
    for interface in state.interfaces:
        name = re.sub(r"[^A-Za-z0-9_]", "_", interface.name)
        names[interface.name] = f"{name[:12]}_wg" if name in _TAKEN else name
    if len(set(names.values())) < len(names):
        raise ValueError(f"two devices of {state.host} would have one name in UCI: {', '.join(names)}")
    changed = {old: new for old, new in names.items() if old != new}
    if not changed:
        return state
    words = "|".join(re.escape(old) for old in sorted(changed, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w.-])(?:{words})(?![\w-])|(?<=\.conf\.)(?:{words})(?=\.)")
    renamed: HostState = _renamed(state, lambda text: pattern.sub(lambda found: changed[found[0]], text))
    # What people and tables are called is not a device, even where it sounds like one.
    return replace(renamed, host=state.host, owner=state.owner, tables=_with_names_of(state, renamed))


def _with_names_of(state: HostState, renamed: HostState) -> tuple[Any, ...]:
    return tuple(replace(new, name=old.name) for new, old in zip(renamed.tables, state.tables, strict=True))


def _renamed(value: Any, change: Any) -> Any:
    """Change every text in a value, but for what stands for itself."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_renamed(one, change) for one in value)
    if is_dataclass(value) and not isinstance(value, (type, SecretRef)):
        found = {field.name: getattr(value, field.name) for field in fields(value)}
        return replace(value, **{name: _renamed(one, change) for name, one in found.items()})
    return value
