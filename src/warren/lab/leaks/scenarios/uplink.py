"""The uplink: it flaps, is renumbered, renamed, gets a family late, leads to a captive portal, gets company."""

from __future__ import annotations

import re
from collections.abc import Generator
from functools import partial

from warren.lab.leaks.scenario import HELD, LIVES, Check, Play, Scenario, Whom
from warren.lab.leaks.stage import Stage
from warren.lab.topology import INTERNET
from warren.model.prefix import Family


def _public(stage: Stage) -> tuple[str, ...]:
    """The hosts with portals that are on the internet itself, without a NAT."""
    return tuple(host for host in stage.entries if not stage.lab.world.host_by_name[host].attachment.upstream)


def _flap(stage: Stage) -> Generator[Check]:
    for _ in range(2):
        for host in stage.entries:
            stage.flap(host)
    yield LIVES


def _unplugged(stage: Stage) -> Generator[Check]:
    for host in stage.entries:
        uplink = stage.lab.wiring.uplinks[host]
        stage.lab.spaces.run(uplink.space, ("ip", "link", "set", uplink.device, "down"))
        stage.afterwards(partial(stage.plug, host))
    yield Check(uplinks=False)


def _lease(stage: Stage) -> Generator[Check]:
    """A new address and a new gateway from the same provider; what the old one was is gone."""
    for number, host in enumerate(_public(stage)):
        uplink, far = stage.uplink(host), stage.lab.wiring.uplinks[host]
        old, new = stage.lab.world.host_by_name[host].attachment.address(Family.IPV4), f"198.51.101.{77 + number}"
        stage.sh(INTERNET, f"ip route add {new} dev {far.device} table local")
        stage.undo(INTERNET, f"ip route del {new} dev {far.device} table local")
        kept = stage.sh(host, "ip route show default").strip()
        stage.undo(
            host,
            f"ip address add {old}/32 dev {uplink}; ip address del {new}/32 dev {uplink}; "
            f"ip route del default; ip route add {kept}",
        )
        stage.sh(
            host,
            f"ip address add {new}/32 dev {uplink}; ip address del {old}/32 dev {uplink}; "
            f"ip route replace default via 192.0.0.99 dev {uplink} onlink",
        )
    yield Check(uplinks=False)


def _renamed(stage: Stage) -> Generator[Check]:
    """One host after the other: whose exit it is may leave there; a host's own guard knows the uplink by its name."""
    for host in stage.entries:
        uplink = stage.uplink(host)
        back = _rename(stage, host, uplink, "wan9")
        stage.undo(host, f"if ip link show wan9 >/dev/null 2>&1; then {back}; fi")
        yield Check(held=_not_by(host), uplinks=False)
        stage.sh(host, back)
        stage.forgive(_not_by(host))


def _not_by(host: str) -> Whom:
    return lambda sender: host not in sender.exits and not (sender.kind == "own" and sender.host == host)


def _rename(stage: Stage, host: str, old: str, new: str) -> str:
    """Give a device another name, with all that its owner has there; give what takes it back."""
    show = f"ip -6 -o address show dev {old} scope global; ip route show default; echo; ip -6 route show default"
    told = stage.sh(host, show)
    four, _, six = told.partition("\n\n")
    addresses = [line.split()[3] for line in four.splitlines() if " inet6 " in line]
    ways = [f"ip route replace {line}" for line in four.splitlines() if line.startswith("default")]
    ways += [f"ip -6 route replace {line.split(' pref')[0]}" for line in six.splitlines() if line.startswith("default")]
    ways += [f"ip -6 address replace {address} dev {old} nodad" for address in addresses]

    def turned(here: str, there: str) -> str:
        first = sorted(ways, key=lambda way: "address" not in way)
        moved = [re.sub(rf"\b{old}\b", there, way).replace("linkdown", "") for way in first]
        return "; ".join([f"ip link set {here} down; ip link set {here} name {there}; ip link set {there} up", *moved])

    stage.sh(host, turned(old, new))
    return turned(new, old)


def _second_uplink(stage: Stage) -> Generator[Check]:
    """A modem with a better metric: the default route moves there."""
    for number, host in enumerate(stage.entries):
        space = stage.lab.spaces[f"host.{host}"].path
        four, six = f"198.51.102.{number + 2}", f"2001:db8:102:{number + 2}::2"
        stage.sh(
            INTERNET,
            f"ip link add lte{number} type veth peer name wwan0 netns {space}; ip link set lte{number} up; "
            f"ip route add {four} dev lte{number} table local; ip -6 address add fe80::1/64 dev lte{number} nodad; "
            f"ip -6 route add {six} dev lte{number} table local",
        )
        stage.undo(INTERNET, f"ip link del lte{number}")
        stage.sh(
            host,
            f"ip link set wwan0 up; ip address add {four}/32 dev wwan0; ip -6 address add {six}/128 dev wwan0 nodad; "
            "ip route prepend default via 192.0.0.1 dev wwan0 onlink; "
            "ip -6 route add default via fe80::1 dev wwan0 metric 1",
        )
        chain = 'chain nat { type nat hook postrouting priority srcnat; oifname "wwan0" masquerade; }'
        stage.load(host, f"table inet modem {{ {chain}\n }}\n")
    yield Check(uplinks=False)


def _captive(stage: Stage) -> Generator[Check]:
    """The café lets nothing through but DNS until somebody has clicked: WireGuard has no way."""
    for host in stage.entries:
        uplink = stage.lab.wiring.uplinks[host]
        name, came = f"cafewall{uplink.device}", f'iifname "{uplink.device}"'
        chain = f"type filter hook prerouting priority raw; {came} udp dport != 53 drop; {came} meta l4proto icmp drop;"
        rules = f"table inet {name} {{ chain pre {{ {chain} }}\n }}\n"
        stage.lab.spaces.run(uplink.space, ("nft", "-f", "-"), rules)
        stage.afterwards(partial(stage.lab.spaces.run, uplink.space, ("nft", "delete", "table", "inet", name)))
    yield HELD


def _site(stage: Stage, host: str) -> str:
    """The prefix that is advertised to a host."""
    return f"2001:db8:{0xF00 + stage.hosts.index(host):x}::"


def _without_ipv6(stage: Stage, host: str) -> str:
    """Take IPv6 from a host's uplink; give what brings it back."""
    uplink = stage.uplink(host)
    told = stage.sh(host, f"ip -6 -o address show dev {uplink} scope global; ip -6 route show default").splitlines()
    ways = [line.split(" pref")[0] for line in told if line.startswith("default")]
    addresses = [line.split()[3] for line in told if not line.startswith("default")]
    stage.sh(host, f"ip -6 route del default 2>/dev/null || true; ip -6 address flush dev {uplink} scope global")
    back = [f"ip -6 address replace {address} dev {uplink} nodad" for address in addresses]
    return "; ".join([*back, *(f"ip -6 route replace {way}" for way in ways)]) or ":"


def _late_ipv6(stage: Stage) -> Generator[Check]:
    """A router begins to advertise IPv6 on the uplink of hosts that had none when warren applied."""
    for host in stage.entries:
        uplink = stage.uplink(host)
        setting = f"net.ipv6.conf.{uplink}.accept_ra"
        before = stage.sh(host, f"sysctl -n {setting}").strip()
        stage.undo(host, _without_ipv6(stage, host))
        stage.undo(
            host,
            f"ip -6 route flush default proto ra; ip -6 address flush dev {uplink} scope global; "
            f"ip -6 route flush {_site(stage, host)}/64; sysctl -qw {setting}={before}",
        )
        stage.sh(host, f"sysctl -qw {setting}=0")
    stage.apply()
    for host in stage.entries:
        uplink = stage.uplink(host)
        stage.sh(host, f"sysctl -qw net.ipv6.conf.{uplink}.accept_ra=2 net.ipv6.conf.{uplink}.autoconf=1")
        stage.advertise(host, _site(stage, host))
    yield Check(uplinks=False)


def _shrunk(stage: Stage) -> Generator[Check]:
    for host in stage.entries:
        uplink = stage.uplink(host)
        stage.undo(host, f"ip link set {uplink} mtu 1500")
        stage.sh(host, f"ip link set {uplink} mtu 1300")
    yield HELD


def _new_lan(stage: Stage) -> Generator[Check]:
    """A LAN that nobody named: its machines are nobody's portal, and all others' are as before."""
    for number, host in enumerate(stage.entries):
        stage.undo(host, "ip link del dock0")
        stage.sh(
            host,
            f"ip link add dock0 type bridge; ip link set dock0 up; ip address add 172.30.{number}.1/24 dev dock0; "
            "sysctl -qw net.ipv4.conf.dock0.forwarding=1",
        )
    yield LIVES


def _better_gateway(stage: Stage) -> Generator[Check]:
    """The gateway is replaced by another on the same wire."""
    for host in _public(stage):
        uplink = stage.uplink(host)
        kept = stage.sh(host, "ip route show default").strip()
        stage.undo(host, f"ip route replace {kept}")
        stage.sh(host, f"ip route replace default via 192.0.0.55 dev {uplink} onlink")
    yield LIVES


def _neighbours(stage: Stage) -> Generator[Check]:
    stage.everywhere("ip neighbour flush all; ip -6 neighbour flush all")
    yield LIVES


def _renumbered(stage: Stage) -> Generator[Check]:
    for host in stage.entries:
        stage.sh(host, _without_ipv6(stage, host))
    yield LIVES


def _scenario(name: str, says: str, promise: str, play: Play) -> Scenario:
    return Scenario(name, "uplink", says, promise, play)


SCENARIOS = (
    _scenario(
        "uplink-flap", "the uplinks of all entries go down and up, twice", "nothing leaks, then all arrives", _flap
    ),
    _scenario("uplink-unplugged", "the uplinks' cables are pulled", "nothing leaks", _unplugged),
    _scenario("dhcp-new-address", "DHCP renews with another address and another gateway", "nothing leaks", _lease),
    _scenario("dhcp-new-gateway", "DHCP renews with another gateway", "all arrives by the exits", _better_gateway),
    _scenario("uplink-renamed", "one uplink after the other gets another name", "nothing forwarded leaks", _renamed),
    _scenario(
        "second-uplink", "a modem appears, and its default route is the better one", "nothing leaks", _second_uplink
    ),
    _scenario("captive-portal", "the access network drops all but DNS", "nothing leaks", _captive),
    _scenario(
        "ipv6-appears-late", "routers begin to advertise IPv6 on uplinks that had none", "nothing leaks", _late_ipv6
    ),
    _scenario(
        "ipv6-renumbered",
        "the uplinks lose their IPv6 addresses and routes, and have them again",
        "all arrives by the exits",
        _renumbered,
    ),
    _scenario("uplink-mtu", "the uplinks' MTU falls below what the tunnels need", "nothing leaks", _shrunk),
    _scenario("new-lan", "a bridge with a network of its own appears", "all arrives by the exits", _new_lan),
    _scenario("neighbours-forgotten", "ARP and neighbour caches are flushed", "all arrives by the exits", _neighbours),
)
