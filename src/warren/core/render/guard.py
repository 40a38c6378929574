"""The guard as a script for the first moments of a boot: sh, sed, nft and ip are all it takes.

No Python: an interpreter that was upgraded away, or that lies on a file system which is not there yet, must not decide
whether a portal's LAN leaks. One file, replaced whole, for every init system alike. What it feeds to nft and ip are
lines of its own end, so that it needs no place to write to; and either half stands though the other is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from warren.core.guard import guard_of
from warren.core.render.ip import route_words, rule_words
from warren.core.render.nft import render_table
from warren.model.prefix import FAMILIES, Family
from warren.model.state import HostState

_HEAD = """\
#!/bin/sh
# What a boot puts up before there is any network, for {owners}: the firewall, the rules, and the
# routes that go nowhere. Written by warren at every confirmed change; what is altered here is lost.
# It may be run at any time: what is there already stays. Exit status 1: something was refused, and is named.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export PATH LC_ALL
status=0
part() {{ sed -n "s/^$1 //p" "$0"; }}
say() {{ echo "warren: $*" >&2; status=1; }}
# A shell may have an `ip` of its own that knows no protocols.
find() {{ IFS=:; for dir in $PATH; do if [ -x "$dir/$1" ]; then echo "$dir/$1"; return; fi; done; echo "$1"; }}
ip=$(find ip)

said=$(part nft | nft -f - 2>&1) || say "the firewall is not up: $said"
for family in 4 6; do
    # A kernel that was told to have no IPv6 has none to leak.
    [ "$family" = 4 ] || [ -e /proc/sys/net/ipv6 ] || continue
    # Rules that are there already are told as an error, which is none.
    said=$(part "ip$family" | "$ip" "-$family" -force -batch - 2>&1 | grep -v -e 'File exists' -e '^Command failed')
    [ -z "$said" ] || say "not all rules of IPv$family are up: $said"
done
exit $status

"""


def render_guard(states: Sequence[HostState]) -> str:
    """Write the script for the networks of one host; the rules that exempt stand before those that steer."""
    guards = [guard_of(state) for state in states]
    owners = ", ".join(state.owner for state in states) or "no network"
    return _HEAD.format(owners=owners) + "".join(f"{line}\n" for line in _parts(guards))


def _parts(guards: Sequence[HostState]) -> Iterator[str]:
    for guard in guards:
        for table in guard.tables:
            yield from (f"nft {line}" for line in render_table(table).splitlines())
    for family in FAMILIES:
        for guard in guards:
            yield from (f"ip{family.value} {line}" for line in _ip_lines(guard, family))


def _ip_lines(guard: HostState, family: Family) -> Iterator[str]:
    for route in guard.routes:
        if route.prefix.version == family.value:
            yield f"route replace {route_words(route)}"
    for rule in sorted(guard.rules, key=lambda rule: rule.priority):
        if rule.family is family:
            yield f"rule add {rule_words(rule)}"
