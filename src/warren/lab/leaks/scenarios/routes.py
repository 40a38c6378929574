"""Routes that come and go beside ours, and ours that go."""

from __future__ import annotations

from collections.abc import Generator

from warren.lab.leaks.scenario import HELD, LIVES, Check, Play, Scenario
from warren.lab.leaks.stage import Stage

WAYS = """
way4=$(ip route show default | head -n1 | sed 's/^default//; s/proto [a-z]*//')
way6=$(ip -6 route show default | head -n1 | sed 's/^default//; s/proto [a-z]*//; s/pref.*//')
"""
HALVES = (
    WAYS
    + """
for half in 0.0.0.0/1 128.0.0.0/1; do ip route add $half $way4; done
for half in ::/1 8000::/1 2000::/3; do ip -6 route add $half $way6; done
"""
)
NO_HALVES = """
for half in 0.0.0.0/1 128.0.0.0/1; do ip route del $half; done
for half in ::/1 8000::/1 2000::/3; do ip -6 route del $half; done
"""
_TABLES = "ip rule | grep -o 'lookup 77[0-9][0-9]' | sort -u | cut -d' ' -f2"


def _halves(stage: Stage) -> Generator[Check]:
    stage.everywhere(HALVES, NO_HALVES)
    yield LIVES


def _specific(stage: Stage) -> Generator[Check]:
    """What a rogue DHCP server pushes once it knows where somebody goes (RFC 3442; CVE-2024-3661, TunnelVision)."""
    four = [str(t) for one in stage.senders if one.portal for t in one.targets if t.version == 4]
    six = [str(t) for one in stage.senders if one.portal for t in one.targets if t.version == 6]
    add = (
        WAYS
        + "".join(f"ip route add {t}/32 $way4\n" for t in four)
        + "".join(f"ip -6 route add {t}/128 $way6\n" for t in six)
    )
    back = "".join(f"ip route del {t}/32\n" for t in four) + "".join(f"ip -6 route del {t}/128\n" for t in six)
    stage.everywhere(add, back)
    # A host's own traffic asks main for its neighbours first, finds these, and is stopped by the table.
    yield Check(lives=lambda sender: sender.kind != "own")


def _specific_flushed(stage: Stage) -> Generator[Check]:
    _each = _specific(stage)
    next(_each)
    yield HELD


def _low_metric(stage: Stage) -> Generator[Check]:
    stage.everywhere(
        WAYS + "ip route add default $way4 metric 1 || true; ip -6 route add default $way6 metric 1",
        WAYS + "ip route del default metric 1 || true; ip -6 route del default metric 1",
    )
    yield LIVES


def _exit_tables(stage: Stage) -> Generator[Check]:
    stage.everywhere(f"for table in $({_TABLES}); do ip route flush table $table; ip -6 route flush table $table; done")
    yield HELD


def _no_unreachable(stage: Stage) -> Generator[Check]:
    """Both what leads into the tunnel and what refuses behind it are gone: the packet falls through to main."""
    stage.everywhere(
        f"for table in $({_TABLES}); do for type in unicast unreachable; do "
        "ip route flush table $table type $type; ip -6 route flush table $table type $type; done; done"
    )
    stage.everywhere(HALVES, NO_HALVES)
    yield HELD


def _into_our_table(stage: Stage) -> Generator[Check]:
    stage.everywhere(
        WAYS + f"for table in $({_TABLES}); do ip route replace default $way4 onlink table $table proto boot; "
        "ip -6 route replace default $way6 onlink metric 1 table $table proto boot; done",
        f"for table in $({_TABLES}); do ip route flush table $table proto boot; "
        "ip -6 route flush table $table proto boot; done",
    )
    yield HELD


def _neighbour_networks(stage: Stage) -> Generator[Check]:
    """A lease with a huge netmask: half the internet seems to be on the link (TunnelCrack, LocalNet)."""
    for host in stage.hosts:
        uplink = stage.uplink(host)
        stage.undo(host, f"ip address del 9.1.2.3/5 dev {uplink}")
        stage.sh(host, f"ip address add 9.1.2.3/5 dev {uplink}")
    yield HELD


def _no_default(stage: Stage) -> Generator[Check]:
    """WireGuard's own packets have no way: everything stops, nothing leaks."""
    for host in stage.entries:
        kept = stage.sh(host, "ip route show default; echo; ip -6 route show default").split("\n\n")
        way4, way6 = kept[0].strip(), (kept[1] if len(kept) > 1 else "").strip().split(" pref")[0]
        lines = [f"ip route add {way4}"] * bool(way4) + [f"ip -6 route add {way6}"] * bool(way6)
        stage.undo(host, "; ".join(lines) or ":")
        stage.sh(host, "ip route del default 2>/dev/null || true; ip -6 route del default 2>/dev/null || true")
    yield Check(uplinks=False)


def _near_tables(stage: Stage) -> Generator[Check]:
    stage.everywhere("ip route flush table 7700; ip -6 route flush table 7700")
    yield HELD


def _blackholes(stage: Stage) -> Generator[Check]:
    stage.everywhere(
        "ip route add blackhole 0.0.0.0/2; ip -6 route add blackhole ::/2",
        "ip route del blackhole 0.0.0.0/2; ip -6 route del blackhole ::/2",
    )
    yield Check(uplinks=False)


def _scenario(name: str, says: str, promise: str, play: Play) -> Scenario:
    return Scenario(name, "routes", says, promise, play)


SCENARIOS = (
    _scenario(
        "half-routes",
        "0.0.0.0/1 and ::/1 by the uplink, as OpenVPN's def1 or DHCP's option 121 set them",
        "all arrives by the exits",
        _halves,
    ),
    _scenario(
        "specific-routes",
        "routes by the uplink to just where the probes go (option 121, TunnelVision)",
        "nothing leaks; LANs' arrives",
        _specific,
    ),
    _scenario(
        "low-metric-default", "a second default route with a better metric", "all arrives by the exits", _low_metric
    ),
    _scenario(
        "huge-netmask",
        "a lease whose netmask puts an eighth of the internet on the link (TunnelCrack)",
        "nothing leaks",
        _neighbour_networks,
    ),
    _scenario("exit-tables-flushed", "every table of warren's is flushed", "nothing leaks", _exit_tables),
    _scenario(
        "no-way-to-refuse",
        "what leads into the tunnels is gone, what refuses behind it too, and half-routes stand in main",
        "nothing leaks",
        _no_unreachable,
    ),
    _scenario(
        "default-in-our-table",
        "another tool puts a default route by the uplink into warren's own tables",
        "nothing leaks",
        _into_our_table,
    ),
    _scenario("near-table-flushed", "the routes to the network's own prefixes are gone", "nothing leaks", _near_tables),
    _scenario("no-default", "the hosts lose every default route", "nothing leaks", _no_default),
    _scenario(
        "blackholes",
        "another tool puts black holes for a quarter of all addresses into main",
        "nothing leaks",
        _blackholes,
    ),
)
