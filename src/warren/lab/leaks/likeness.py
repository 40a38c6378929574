"""What the hosts of a lab are like: their devices, routes, rules and firewalls, told apart line by line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from warren.lab.spaces import Spaces
from warren.lab.topology import host_space

_DYNAMIC = re.compile(r" expires -?\d+sec| linkdown| dead| error -\d+")
_PASSING = re.compile(r"^(local )?fe80:|inet6 fe80:")  # a tunnel device takes another one whenever it is made
_TOLD = (
    "ip rule; ip -6 rule; ip route show table all; ip -6 route show table all | grep -v ' dev lo '; "
    "ip -o link | cut -d: -f2 | cut -d@ -f1; ip -o addr | cut -d' ' -f2-9; nft -s list ruleset; "
    "wg show all allowed-ips; "
    "sysctl -a 2>/dev/null | grep -E 'rp_filter|forwarding|ip_forward|disable_ipv6|accept_ra ' "
    "| grep -vE 'conf.(lo|erspan0|gre0|gretap0|tunl0|sit0)[.]' || true"
)


class Likeness:
    """How hosts were when all was well, and in what they are not as they were."""

    def __init__(self, spaces: Spaces, hosts: Sequence[str]) -> None:
        self._spaces, self._hosts = spaces, hosts
        self._noted = self._look()

    def differences(self) -> list[str]:
        """The first lines that are there and were not, or were and are not."""
        found = []
        for space, text in self._look().items():
            now, then = set(text.splitlines()), set(self._noted[space].splitlines())
            found += [f"{space} has {line.strip()!r}" for line in sorted(now - then)[:3]]
            found += [f"{space} lacks {line.strip()!r}" for line in sorted(then - now)[:3]]
        return found

    def _look(self) -> dict[str, str]:
        texts = self._spaces.run_each({host_space(host): (("sh", "-c", _TOLD), "") for host in self._hosts})
        lines = {name: sorted(_DYNAMIC.sub("", text).splitlines()) for name, text in texts.items()}
        return {name: "\n".join(line for line in kept if not _PASSING.search(line)) for name, kept in lines.items()}
