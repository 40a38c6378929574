"""Policy rules beside ours and in front of ours, and ours that go."""

from __future__ import annotations

from collections.abc import Generator

from warren.lab.leaks.scenario import HELD, LIVES, Check, Play, Scenario, everybody
from warren.lab.leaks.scenarios.routes import HALVES, NO_HALVES, WAYS
from warren.lab.leaks.stage import Stage

_OURS = (
    "while ip rule del protocol 77 2>/dev/null; do :; done; while ip -6 rule del protocol 77 2>/dev/null; do :; done"
)


def _both(words: str) -> str:
    return f"ip rule {words}; ip -6 rule {words}"


def _deleted(stage: Stage) -> Generator[Check]:
    stage.everywhere(_OURS)
    yield HELD


def _deleted_halves(stage: Stage) -> Generator[Check]:
    stage.everywhere(HALVES, NO_HALVES)
    stage.everywhere(_OURS)
    yield HELD


def _flushed(stage: Stage) -> Generator[Check]:
    """What a script does that wants its own order: all rules go, then the ordinary two are put back."""
    stage.everywhere(
        "ip rule flush; ip rule add pref 32766 lookup main; ip rule add pref 32767 lookup default; "
        "ip -6 rule flush; ip -6 rule add pref 32766 lookup main",
        # As the kernel has them at first: known as its own.
        "for v in 4 6; do ip -$v rule del pref 32766; ip -$v rule add pref 32766 lookup main protocol kernel; done; "
        "ip rule del pref 32767; ip rule add pref 32767 lookup default protocol kernel",
    )
    yield HELD


def _in_front(stage: Stage) -> Generator[Check]:
    stage.everywhere(
        WAYS
        + "ip route add default $way4 table 900; ip -6 route add default $way6 table 900; "
        + _both("add lookup 900"),
        _both("del lookup 900") + "; ip route flush table 900; ip -6 route flush table 900",
    )
    yield Check(uplinks=False)
    stage.apply()
    yield Check(lives=everybody, uplinks=False)


def _first_of_all(stage: Stage) -> Generator[Check]:
    stage.everywhere(_both("add pref 1 lookup main"), _both("del pref 1"))
    yield HELD


def _by_source(stage: Stage) -> Generator[Check]:
    """As multi-homed hosts have it: what has this source goes by that table."""
    table = WAYS + "ip route add default $way4 table 900; ip -6 route add default $way6 table 900; "
    stage.everywhere(
        table + "ip rule add pref 100 from 192.168.0.0/16 lookup 900; ip -6 rule add pref 100 from fc00::/7 lookup 900",
        "ip rule del pref 100; ip -6 rule del pref 100; ip route flush table 900; ip -6 route flush table 900",
    )
    yield HELD


def _by_device(stage: Stage) -> Generator[Check]:
    lans = {host.name: [lan.name for lan in host.lans] or ["lo"] for host in stage.network.hosts}
    for host in stage.hosts:
        stage.undo(host, "; ".join(_both("del pref 100") for _ in lans[host]))
        for lan in lans[host]:
            stage.sh(host, _both(f"add pref 100 iif {lan} lookup main"))
    yield HELD


def _unreachable_first(stage: Stage) -> Generator[Check]:
    stage.everywhere(_both("add pref 100 unreachable"), _both("del pref 100"))
    yield Check(uplinks=False)


def _behind(stage: Stage) -> Generator[Check]:
    stage.everywhere(_both("add pref 20000 lookup main"), _both("del pref 20000"))
    yield LIVES


def _scenario(name: str, says: str, promise: str, play: Play) -> Scenario:
    return Scenario(name, "rules", says, promise, play)


SCENARIOS = (
    _scenario("rules-deleted", "every rule of warren's is deleted", "nothing leaks", _deleted),
    _scenario(
        "rules-deleted-and-halves",
        "every rule of warren's is deleted, and half-routes stand in main",
        "nothing leaks",
        _deleted_halves,
    ),
    _scenario(
        "rules-flushed", "a script says `ip rule flush` and puts the ordinary ones back", "nothing leaks", _flushed
    ),
    _scenario(
        "rule-in-front",
        "a rule that is added without a priority lands in front of warren's; then warren applies again",
        "nothing leaks, then all arrives",
        _in_front,
    ),
    _scenario("rule-before-all", "everything is to ask main first", "nothing leaks", _first_of_all),
    _scenario(
        "rule-by-source",
        "private sources are to leave by a table with the uplink's default",
        "nothing leaks",
        _by_source,
    ),
    _scenario("rule-by-device", "what comes in by any LAN is to ask main first", "nothing leaks", _by_device),
    _scenario("rule-unreachable", "everything is refused before warren's rules", "nothing leaks", _unreachable_first),
    _scenario("rule-behind", "somebody's catch-all behind warren's", "all arrives by the exits", _behind),
)
