"""Exits and relays that die, one at a time: nothing is done to the host where a portal begins."""

from __future__ import annotations

from collections.abc import Generator

from warren.lab.faults import break_down, heal
from warren.lab.leaks.scenario import Check, Play, Scenario, Whom
from warren.lab.leaks.scenarios.firewall import OURS, but_mac
from warren.lab.leaks.scenarios.tunnels import DELETE
from warren.lab.leaks.senders import Sender
from warren.lab.leaks.stage import Stage
from warren.model.expect import Down


def _others(host: str) -> Whom:
    """Hold for portals whose way does not meet this host."""
    return lambda sender: sender.way is not None and host not in sender.way.hops


def _far(stage: Stage) -> tuple[str, ...]:
    """The hosts at which portals leave, or through which they pass."""
    return tuple(dict.fromkeys(hop for one in stage.senders if one.way for hop in one.way.hops[1:]))


def _each(does: str, *, uplinks: bool = True) -> Play:
    def play(stage: Stage) -> Generator[Check]:
        for host in _far(stage):
            stage.sh(host, does)
            yield Check(lives=_others(host), uplinks=uplinks)
            stage.again(host)

    return play


def _cables(stage: Stage) -> Generator[Check]:
    for host in _far(stage):
        down = (Down(host),)
        break_down(stage.lab, down)
        try:
            yield Check(lives=_others(host), uplinks=False)
        finally:
            heal(stage.lab, down)


def _taken_down(stage: Stage) -> Generator[Check]:
    """`warren down` at the exit: its own portals are none then, the others' have no way."""
    from warren.sys.apply import down

    for host in _far(stage):

        def elsewhere(sender: Sender, host: str = host) -> bool:
            return sender.host != host

        stage.stop_streams()
        stage.on((host,), lambda _, machine: down(stage.network.name, machine))
        yield Check(held=elsewhere, lives=_others(host))
        stage.again(host)
        stage.forgive(elsewhere)
        stage.start_streams()


def _not_nated(stage: Stage) -> Generator[Check]:
    for host in _far(stage):
        stage.sh(
            host, f"for table in $({OURS}); do nft delete table inet $table; done; sysctl -qw net.ipv4.ip_forward=0"
        )
        stage.undo(host, "sysctl -qw net.ipv4.ip_forward=1")
        yield Check(held=but_mac(host), uplinks=False)
        stage.sh(host, "sysctl -qw net.ipv4.ip_forward=1")
        stage.again(host)


def _no_way_out(stage: Stage) -> Generator[Check]:
    """The exit's uplink is there, but carries nothing but WireGuard's own packets."""
    for host in _far(stage):
        stage.undo(host, "nft delete table inet captive 2>/dev/null || true")
        stage.sh(
            host,
            "nft -f - <<'END'\n"
            "table inet captive { chain out { type filter hook postrouting priority 300; "
            f'oifname "{stage.uplink(host)}" meta mark & 0x3f000000 != 0x3f000000 drop; }}\n }}\nEND',
        )
        yield Check(lives=_others(host), uplinks=False)
        stage.sh(host, "nft delete table inet captive")


def _scenario(name: str, says: str, promise: str, play: Play) -> Scenario:
    return Scenario(name, "exits", says, promise, play)


_REST = "nothing leaks, other exits go on"
SCENARIOS = (
    _scenario("exit-unplugged", "each exit's and relay's cable is pulled in turn", _REST, _cables),
    _scenario("exit-devices-deleted", "each exit and relay loses its tunnel devices in turn", _REST, _each(DELETE)),
    _scenario("exit-taken-down", "`warren down` on each exit and relay in turn", _REST, _taken_down),
    _scenario(
        "exit-table-and-forwarding-gone",
        "each exit and relay loses warren's table and forwards nothing",
        "nothing leaks, but from one MAC",
        _not_nated,
    ),
    _scenario("exit-captive", "each exit's uplink carries nothing but WireGuard, in turn", _REST, _no_way_out),
)
