"""Tunnels that die, in every way in which a device can."""

from __future__ import annotations

from collections.abc import Generator

from warren.lab.keys import PLACE
from warren.lab.leaks.scenario import HELD, LIVES, Check, Play, Scenario
from warren.lab.leaks.scenarios.routes import HALVES, NO_HALVES
from warren.lab.leaks.stage import Stage

EACH = "for device in $(wg show interfaces); do {} ; done"
DELETE = EACH.format("ip link del $device")
# The wireguard-go processes of this very host: a host whose kernel has WireGuard has none, and loses the device.
_MINE = """
here=$(readlink /proc/self/ns/net)
for process in $(pgrep -x wireguard-go); do
    [ "$(readlink /proc/$process/ns/net)" != "$here" ] || kill -{} $process
done
"""


def _killed(stage: Stage) -> Generator[Check]:
    stage.tear(_MINE.format("KILL") + DELETE.replace("$device", "$device 2>/dev/null || true"))
    yield HELD


def _frozen(stage: Stage) -> Generator[Check]:
    stage.everywhere(_MINE.format("STOP"), _MINE.format("CONT"))
    yield HELD


def _deleted(stage: Stage) -> Generator[Check]:
    stage.tear(DELETE)
    yield HELD


def _deleted_halves(stage: Stage) -> Generator[Check]:
    stage.everywhere(HALVES, NO_HALVES)
    stage.tear(DELETE)
    yield HELD


def _down(stage: Stage) -> Generator[Check]:
    stage.everywhere(EACH.format("ip link set $device down"), EACH.format("ip link set $device up"))
    yield HELD


def _peers(stage: Stage) -> Generator[Check]:
    stage.tear('wg show all peers | while read device peer; do wg set $device peer "$peer" remove; done')
    yield HELD


def _allowed(stage: Stage) -> Generator[Check]:
    stage.tear('wg show all peers | while read device peer; do wg set $device peer "$peer" allowed-ips ""; done')
    yield HELD


def _rekeyed(stage: Stage) -> Generator[Check]:
    """The far side got another key: no handshake succeeds any more."""
    change = EACH.format("wg set $device private-key $key")
    stage.tear(f"key=$(mktemp {PLACE}/key.XXXXXX); wg genkey > $key; {change}; rm $key")
    yield HELD


def _endpoints(stage: Stage) -> Generator[Check]:
    """Everybody's peers are somewhere where nobody listens."""
    stage.tear('wg show all peers | while read device peer; do wg set $device peer "$peer" endpoint 9.9.9.9:9; done')
    yield HELD


def _renamed(stage: Stage) -> Generator[Check]:
    stage.watch.also("stolen0", "stolen1", "stolen2")
    rename = "ip link set $device down; ip link set $device name stolen$n; ip link set stolen$n up; n=$((n + 1))"
    stage.everywhere(":", _MINE.format("KILL") + "rm -f /run/wireguard/*.sock")
    stage.everywhere(
        ":", "for device in $(ip -o link | grep -o 'stolen[0-9]*' | sort -u); do ip link del $device; done"
    )
    stage.tear("n=0; " + EACH.format(rename))
    yield HELD


def _impostor(stage: Stage) -> Generator[Check]:
    """A device of the same name that is none: what is sent there comes out beside it, and is routed once more."""
    names = {host: stage.sh(host, "wg show interfaces").split() for host in stage.entries}
    stage.tear(DELETE)
    for host, devices in names.items():
        for number, name in enumerate(devices):
            stage.sh(
                host,
                f"ip link add {name} type veth peer name impostor{number}; ip link set {name} up; "
                f"ip link set impostor{number} up",
            )
            stage.undo(host, f"ip link del {name}")
    yield HELD


def _flapping(stage: Stage) -> Generator[Check]:
    flap = EACH.format("ip link set $device down; ip link set $device up")
    stage.everywhere("; ".join([flap] * 5))
    yield HELD


def _small(stage: Stage) -> Generator[Check]:
    """No packet of an ordinary size fits any more."""
    for host in stage.hosts:
        for device in stage.sh(host, "wg show interfaces").split():
            mtu = stage.sh(host, f"ip -o link show {device} | grep -o 'mtu [0-9]*'").strip()
            stage.undo(host, f"ip link set {device} {mtu}")
            stage.sh(host, f"ip link set {device} mtu 1280")
    yield LIVES


def _scenario(name: str, says: str, play: Play) -> Scenario:
    return Scenario(name, "tunnels", says, "nothing leaks", play)


SCENARIOS = (
    _scenario("wireguard-killed", "the process that carries WireGuard is killed, and its devices vanish", _killed),
    _scenario("wireguard-frozen", "the tunnels fall silent while their devices stay", _frozen),
    _scenario("devices-deleted", "every tunnel device is deleted", _deleted),
    _scenario(
        "devices-deleted-and-halves", "every tunnel device is deleted, and half-routes stand in main", _deleted_halves
    ),
    _scenario("devices-down", "every tunnel device is set down", _down),
    _scenario("devices-flapping", "the tunnel devices go down and up, five times", _flapping),
    _scenario("peers-removed", "every peer is removed", _peers),
    _scenario("allowed-ips-gone", "no peer has any allowed IPs", _allowed),
    _scenario("keys-changed", "every host has another private key", _rekeyed),
    _scenario("endpoints-lost", "every peer's endpoint is where nobody listens", _endpoints),
    _scenario("devices-renamed", "somebody gives the tunnel devices other names", _renamed),
    _scenario("devices-replaced", "instead of the tunnels there are ordinary devices of the same names", _impostor),
    _scenario("mtu-shrunk", "the tunnels' MTU becomes the smallest that IPv6 may have", _small),
)
