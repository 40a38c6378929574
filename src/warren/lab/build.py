"""Build a world in spaces: a handful of processes, however many hosts there are.

The cables are laid by one `ip -batch`, then each space gets one batch and, if it has rules, one `nft -f`.
Settings are written by this process itself, which enters the space for it.
"""

from __future__ import annotations

from pathlib import Path

from warren.core.render.services import RESOLV_CONF
from warren.core.world import RESOLVER
from warren.lab.spaces import LabError, Spaces
from warren.lab.topology import Wiring

WIREGUARD_SOCKETS = "/run/wireguard"
PRIVATE = (WIREGUARD_SOCKETS, "/run/avahi-daemon")  # avahi runs once wherever it can write here
TUNNELLED = ("host.", "device.")  # spaces that have WireGuard


def build(plan: Wiring) -> Spaces:
    """Make every space of the plan with all that is in it; LabError says what could not be made."""
    for directory in PRIVATE:
        Path(directory).mkdir(parents=True, exist_ok=True)
    spaces = Spaces()
    for name in plan.spaces:
        tunnelled = name.startswith(TUNNELLED)
        spaces.make(name, PRIVATE if tunnelled else (), _resolv_conf(name) if tunnelled else ())
        write_sysctls(spaces, name, plan.sysctls[name])
    spaces.run_each({"": (("ip", "-batch", "-"), "\n".join(_cables(plan, spaces)))})
    spaces.run_each({name: (("ip", "-batch", "-"), "\n".join(lines)) for name, lines in plan.commands.items()})
    rules = {name: "".join(texts) for name, texts in plan.rules.items()}
    spaces.run_each({name: (("nft", "-f", "-"), text) for name, text in rules.items() if text})
    for name, settings in plan.late_sysctls.items():
        write_sysctls(spaces, name, settings)
    return spaces


def _resolv_conf(name: str) -> tuple[tuple[str, str], ...]:
    """Make a machine a resolv.conf of its own, if this one has any that it could stand in front of."""
    if not Path(RESOLV_CONF).exists():
        return ()
    ours = Path("/run/resolvers", name)
    ours.parent.mkdir(exist_ok=True)
    ours.write_text(f"nameserver {RESOLVER}\n")
    return ((str(ours), RESOLV_CONF),)


def _cables(plan: Wiring, spaces: Spaces) -> list[str]:
    lines = []
    for cable in plan.cables:
        here, there = (spaces[end].path for end in cable.ends)
        mac = f"address {cable.mac} " if cable.mac else ""
        lines.append(
            f"link add name {cable.devices[0]} netns {here} mtu {cable.mtu} type veth "
            f"peer {mac}name {cable.devices[1]} netns {there} mtu {cable.mtu}"
        )
    return lines


def write_sysctls(spaces: Spaces, name: str, settings: dict[str, str]) -> None:
    """Write settings in a space."""
    with spaces.inside(name):
        for setting, value in settings.items():
            path = Path("/proc/sys", *(part.replace("/", ".") for part in setting.split(".")))
            try:
                path.write_text(value)
            except OSError as error:
                raise LabError(f"in {name}: could not set {setting} to {value}: {error.strerror}") from error
