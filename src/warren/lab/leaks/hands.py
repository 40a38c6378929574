"""What a scenario does to the hosts of a lab, and how it is taken back."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from warren.lab.lab import Lab
from warren.lab.spaces import LabError
from warren.lab.topology import INTERNET, host_space
from warren.lab.works import memory, on_each
from warren.model.network import Network
from warren.model.state import HostState
from warren.sys.errors import HostError
from warren.sys.machine import Machine
from warren.sys.store import Store

T = TypeVar("T")

LOOK = 0.04  # seconds between looks at what is waited for


class Hands:
    """Does things to hosts, and remembers what takes them back."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.network: Network = lab.network
        self.hosts = tuple(host.name for host in lab.network.hosts)
        self.undoing: list[tuple[str, Callable[[], object]]] = []
        self.torn = False
        self.rulesets: dict[str, str] = {}

    def sh(self, host: str, script: str) -> str:
        """Run a shell script on a host, which must succeed."""
        return self.lab.spaces.run(host_space(host) if host != INTERNET else INTERNET, ("sh", "-euc", script))

    def everywhere(self, script: str, back: str = "") -> None:
        """Run a script on every host at once; and, when all is over, another that takes it back."""
        if back:
            for host in self.hosts:
                self.undo(host, back)
        self.lab.spaces.run_each({host_space(host): (("sh", "-euc", script), "") for host in self.hosts})

    def undo(self, host: str, script: str) -> None:
        """Run a script on a host when the scenario is over; the last that was said is run first."""
        self.undoing.append((f"on {host}: {script}", lambda: self.sh(host, script)))

    def afterwards(self, what: Callable[[], object]) -> None:
        """Call something when the scenario is over."""
        self.undoing.append((str(what), what))

    def uplink(self, host: str) -> str:
        """Name a host's uplink."""
        return self.network.by_name[host].uplink

    def apply(self, hosts: Iterable[str] | None = None) -> dict[str, HostState]:
        """Apply the network as it is in the file, on these hosts or all."""
        return self.lab.apply(self.hosts if hosts is None else hosts)

    def again(self, host: str) -> None:
        """Apply on a host that lost something, and have every tunnel of it shake hands anew."""
        self.renew((host,))

    def settle_again(self) -> None:
        """Apply everywhere."""
        self.apply()

    def plug(self, host: str) -> None:
        """Put a host's cable back where it was."""
        uplink = self.lab.wiring.uplinks[host]
        self.lab.spaces.run(uplink.space, ("ip", "-batch", "-"), "\n".join(uplink.revive))

    def flap(self, host: str) -> None:
        """Set a host's uplink down and up, as a driver does, and put the routes back that its owner had."""
        uplink = self.uplink(host)
        ways = self.sh(host, "ip route show default; echo; ip -6 route show default").split("\n\n")
        six = self.sh(host, f"ip -6 -o address show dev {uplink} scope global").split("\n")
        self.sh(host, f"ip link set {uplink} down; ip link set {uplink} up")
        put = [f"ip -6 address replace {line.split()[3]} dev {uplink} nodad" for line in six if line]
        put += [f"ip route replace {line}" for line in ways[0].splitlines()[:1]]
        put += [f"ip -6 route replace {line.split(' pref')[0]}" for line in "".join(ways[1:]).splitlines()[:1]]
        self.sh(host, "; ".join(put))

    def advertise(self, host: str, prefix: str) -> None:
        """Have a router on the wire of a host's uplink announce itself and a prefix (RFC 4861 section 4.2)."""
        far = self.lab.wiring.uplinks[host]
        information = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 1800, 1800, 0) + socket.inet_pton(socket.AF_INET6, prefix)
        message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + information
        with self.lab.spaces.inside(far.space), socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58) as router:
            router.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            router.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, far.device.encode())
            router.sendto(message, ("ff02::1", 0, 0, socket.if_nametoindex(far.device)))

    def keep_ruleset(self, host: str) -> None:
        """Note the tables of a host that are not warren's."""
        names = [line.split()[1:] for line in self.sh(host, "nft list tables").splitlines()]
        theirs = [f"nft -s list table {family} {name}" for family, name in names if not name.startswith("warren-")]
        self.rulesets[host] = self.sh(host, "; ".join(theirs) or ":")
        self.afterwards(lambda: self.bring_ruleset(host))

    def bring_ruleset(self, host: str) -> None:
        """Bring the noted tables back, once."""
        text = self.rulesets.pop(host, "")
        if text:
            self.lab.spaces.run(host_space(host), ("nft", "-f", "-"), text)

    def load(self, host: str, rules: str) -> None:
        """Load somebody's tables, until the scenario is over."""
        self.lab.spaces.run(host_space(host), ("nft", "-f", "-"), rules)
        for family, name in re.findall(r"^table (\w+) (\w+)", rules, re.MULTILINE):
            self.undo(host, f"nft delete table {family} {name}")

    def on(self, hosts: Iterable[str], verb: Callable[[str, Machine], T]) -> dict[str, T]:
        """Have one of warren's verbs act on hosts, in processes of their own, as its commands do."""
        return on_each(self.lab.spaces, list(hosts), lambda host: verb(host, self.machine(host)))

    def machine(self, host: str) -> Machine:
        """A host as warren's verbs take it."""
        return Machine(Store(memory(host)))

    def pause(self, seconds: float) -> None:
        """Let time pass: for what has no end that could be waited for, such as streams while something goes on."""
        time.sleep(seconds)

    def wait_until(self, so: Callable[[], bool], seconds: float) -> None:
        """Wait until something is so; LabError if it does not come to be."""
        end = time.monotonic() + seconds
        while not so():
            if time.monotonic() > end:
                raise LabError(f"what was waited for did not come within {seconds:g} s")
            time.sleep(LOOK)

    def tear(self, script: str) -> None:
        """Run a script on every host at once that ends tunnels: they are made anew when the scenario is over."""
        self.torn = True
        self.everywhere(script)

    def renew(self, hosts: Iterable[str]) -> None:
        """Apply once more, with every tunnel of these hosts shaking hands anew: of two ends, who dials begins."""
        hosts = set(hosts)
        dialled = {host.name for host in self.network.hosts if host.endpoint is not None}
        others = {host for host in self.hosts if host not in dialled} if hosts & dialled else set()
        for host in hosts | others:
            with contextlib.suppress(LabError):
                self.sh(host, 'wg show all peers | while read d p; do wg set "$d" peer "$p" remove; done')
        self.apply(hosts | others)

    def take_back(self) -> str:
        """Take back all that was done, the last first; give what was in the way, or nothing."""
        trouble = ""
        while self.undoing:
            told, what = self.undoing.pop()
            try:
                what()
            except HostError as error:
                trouble = trouble or f"{told}: {error}"
        return trouble
