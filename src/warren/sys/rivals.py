"""What else on this host serves its LANs, or runs their devices: said before the two meet, and nothing is stopped."""

from __future__ import annotations

from warren.model.change import Obstacle
from warren.model.host import Host
from warren.model.state import HostState, Program
from warren.model.surroundings import Surroundings
from warren.sys.networkmanager import managed
from warren.sys.run import Run


def rivals(
    host: Host, desired: HostState, observed: HostState, surroundings: Surroundings, run: Run
) -> tuple[Obstacle, ...]:
    """Name who stands where programs of ours are to stand, on LANs that warren serves."""
    devices = managed(run) if any(lan.given for lan in host.lans) else frozenset()
    return (
        *_lans_taken(desired, observed, surroundings),
        *_reflector_taken(desired, observed, surroundings),
        *_lans_managed(host, devices),
    )


def _lans_taken(desired: HostState, observed: HostState, surroundings: Surroundings) -> tuple[Obstacle, ...]:
    """Name who listens already where the program of a LAN is to: on every address, perhaps, and so on this LAN's."""
    if any(service.name.startswith("lan-") for service in observed.services):
        return ()  # who listens is ours
    new = ", ".join(one.name.removeprefix("lan-") for one in desired.services if one.name.startswith("lan-"))
    wanted = {("tcp", 53), ("udp", 53), ("udp", 67)} if new else set()
    return tuple(
        Obstacle(
            f"{one} listens already where the program that serves {new} is to listen too",
            "If it listens on every address of this machine, bind it to its own devices, or end it.",
            f"ss -lnp sport = :{one.port}",
            blocks=False,
        )
        for one in surroundings.listeners
        if (one.proto, one.port) in wanted and not one.passing
    )


def _reflector_taken(desired: HostState, observed: HostState, surroundings: Surroundings) -> tuple[Obstacle, ...]:
    """Say that avahi runs already: it does so once on a machine, and ours would end at once."""
    wanted = {one.name for one in desired.services if one.program is Program.AVAHI}
    theirs = any(one.program == Program.AVAHI.value for one in surroundings.listeners)
    if not theirs or not wanted - {one.name for one in observed.services}:
        return ()
    return (
        Obstacle(
            "avahi-daemon runs on this machine already, and runs only once, so nothing is reflected between LANs",
            "Turn on its own reflector (`enable-reflector=yes` in /etc/avahi/avahi-daemon.conf) and leave `reflect:` "
            "out; or end it.",
            "systemctl disable --now avahi-daemon.socket avahi-daemon.service",
            blocks=False,
        ),
    )


def _lans_managed(host: Host, devices: frozenset[str]) -> tuple[Obstacle, ...]:
    """Name the LANs' devices that NetworkManager runs as well: what it does not know of a device it takes away."""
    wanted = {device for lan in host.lans if lan.given for device in (lan.name, *lan.bridge)}
    both = sorted(wanted & devices)
    if not both:
        return ()
    names = ";".join(f"interface-name:{device}" for device in both)
    return (
        Obstacle(
            f"NetworkManager runs {', '.join(both)} as well, and undoes there what warren does",
            "Tell it to leave them alone, in a file of /etc/NetworkManager/conf.d/, and reload it.",
            f"printf '[keyfile]\\nunmanaged-devices={names}\\n' > /etc/NetworkManager/conf.d/warren.conf; "
            "systemctl reload NetworkManager",
            blocks=False,
        ),
    )
