"""A NAT of the lab, made of nftables: each word of RFC 4787 is a rule.

               inner  ┌───────────── NAT ─────────────┐  wan
    192.168.5.2:4000 ─┤ out: inner endpoint (and      ├─ 192.0.2.1:4000 ─► anybody
                      │ destination) → outer port     │
                      │ in: outer port → inner one    │◄─ only whom `filtering` lets in
                      └───────────────────────────────┘

Linux's own NAT decides anew for every flow (its mapping depends on address and port) and lets in only answers. Other
kinds need a memory: dynamic nft maps of what the kernel picked for the first flow, which each outgoing packet
refreshes and which forget after `timeout`. A *mapping* is what the outer port depends on (section 4.1), *ports* how a
new one is picked (4.2.1), *filtering* who may come in through it (section 5). Hairpin: section 6, with the external
source address (REQ-9).

TCP and ICMP go through ordinary masquerading; IPv6 is routed, behind a stateful filter of the same strictness for
UDP (RFC 6092), its state refreshed by outgoing packets alike.
"""

from __future__ import annotations

from warren.model.lab import Mapping, NatBox, Ports
from warren.model.prefix import Family
from warren.model.world import NatNode

UP, INNER = "wan", "inner"

# What tells two mappings, or two who may come in, apart: this many of (remote address, remote port).
_REMOTE_PARTS = {
    Mapping.ENDPOINT_INDEPENDENT: 0,
    Mapping.ADDRESS_DEPENDENT: 1,
    Mapping.ADDRESS_AND_PORT_DEPENDENT: 2,
}
_OUTGOING = ("ip saddr", "udp sport", "ip daddr", "udp dport")
_TYPES = {
    "ip saddr": "ipv4_addr",
    "ip daddr": "ipv4_addr",
    "ip6 saddr": "ipv6_addr",
    "ip6 daddr": "ipv6_addr",
    "udp sport": "inet_service",
    "udp dport": "inet_service",
}
_SEQUENCE = range(50000, 52048)


def render_nat(node: NatNode) -> str:
    """Write the nft rules of a NAT whose devices are `wan` and `inner`."""
    outer = node.attachment.address(Family.IPV4)
    assert outer is not None, "a NAT of the lab always has an IPv4 address"
    return _ipv4(node.box, str(outer)) + _ipv6(node.box)


def sysctls_of(node: NatNode) -> dict[str, str]:
    """Give a NAT's settings: it routes, and forgets flows when it forgets mappings."""
    seconds = str(node.box.timeout)
    return {
        "net.ipv4.ip_forward": "1",
        "net.ipv6.conf.all.forwarding": "1",
        "net.netfilter.nf_conntrack_udp_timeout": seconds,
        "net.netfilter.nf_conntrack_udp_timeout_stream": seconds,
    }


def _ipv4(box: NatBox, outer: str) -> str:
    parts = _REMOTE_PARTS[box.filtering]
    key = _OUTGOING[: 2 + _REMOTE_PARTS[box.mapping]]
    permission = ("udp dport", "ip saddr", "udp sport")[: 1 + parts]
    within = f'oifname "{INNER}" meta mark 1'
    hairpin = _Lines(box.hairpin)
    return f"""
table ip nat {{
	map out {{ {_dynamic(key, box, "inet_service")} }}
	map in {{ {_dynamic(("udp sport",), box, "ipv4_addr . inet_service")} }}
	set taken {{ {_dynamic(("udp sport",), box)} }}
	set allowed {{ {_dynamic(permission, box)} }}

	chain srcnat {{
		type nat hook postrouting priority srcnat;
		meta l4proto udp oifname "{UP}" goto pick
		{hairpin(f"meta l4proto udp {within} goto pick")}
		oifname "{UP}" masquerade
	}}
	chain pick {{
		meta l4proto udp snat ip to {outer} : {" . ".join(key)} map @out
		{_pick(box.ports, outer)}
	}}
	chain after_srcnat {{
		type filter hook postrouting priority srcnat + 10;
		meta l4proto udp ct direction original ip saddr {outer} {_remember("original", box)}
		meta l4proto udp ct direction reply ip saddr {outer} {_remember("reply", box)}
		{hairpin(f"meta l4proto udp {within} {_unknown_inside(parts)} drop")}
	}}
	chain dstnat {{
		type nat hook prerouting priority dstnat;
		iifname "{UP}" ip daddr {outer} {" . ".join(permission)} @allowed dnat ip to udp dport map @in
		{hairpin(f'iifname "{INNER}" ip daddr {outer} dnat ip to udp dport map @in')}
	}}
	chain input {{
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		meta l4proto icmp accept
	}}
	chain forward {{
		type filter hook forward priority filter; policy drop;
		iifname "{INNER}" oifname "{INNER}" ct status dnat meta mark set 1 accept
		iifname "{INNER}" accept
		ct state established,related accept
		ct status dnat accept
	}}
}}
"""


class _Lines:
    """Lines that stand in the rules only if the box has a certain ability."""

    def __init__(self, able: bool) -> None:
        self.able = able

    def __call__(self, line: str) -> str:
        return line if self.able else ""


def _pick(ports: Ports, outer: str) -> str:
    """Pick a port for a new mapping."""
    anyone = f"meta l4proto udp snat ip to {outer}:1024-65535 fully-random"
    if ports is Ports.RANDOM:
        return anyone
    if ports is Ports.PRESERVING:
        return f"udp sport != @taken snat ip to {outer}\n\t\t{anyone}"
    # nft stores a bare numgen in the host's byte order, and a port is in the network's
    numbers = ", ".join(f"{at} : {port}" for at, port in enumerate(_SEQUENCE))
    return f"meta l4proto udp snat ip to {outer} : numgen inc mod {len(_SEQUENCE)} map {{ {numbers} }}"


def _remember(direction: str, box: NatBox) -> str:
    """Note the mapping that the kernel made, both ways, and whom it has been used to write to."""
    inner = (f"ct {direction} ip saddr", f"ct {direction} proto-src")
    remote = (f"ct {direction} ip daddr", f"ct {direction} proto-dst")
    key = " . ".join((*inner, *remote[: _REMOTE_PARTS[box.mapping]]))
    whom = " . ".join(("udp sport", *remote[: _REMOTE_PARTS[box.filtering]]))
    return (
        f"update @out {{ {key} : udp sport }} update @in {{ udp sport : {' . '.join(inner)} }} "
        f"update @taken {{ udp sport }} update @allowed {{ {whom} }}"
    )


def _unknown_inside(parts: int) -> str:
    """Who comes from inside is let in under its outer name, which it has only after its own translation."""
    whom = " . ".join(("ct original proto-dst", "ip saddr", "udp sport")[: 1 + parts])
    return f"ct state new {whom} != @allowed"


def _ipv6(box: NatBox) -> str:
    parts = _REMOTE_PARTS[box.filtering]
    outward = ("ip6 saddr", "udp sport", "ip6 daddr", "udp dport")[: 2 + parts]
    inward = ("ip6 daddr", "udp dport", "ip6 saddr", "udp sport")[: 2 + parts]
    return f"""
table ip6 filter {{
	set allowed {{ {_dynamic(outward, box)} }}
	chain input {{
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		meta l4proto ipv6-icmp accept
	}}
	chain forward {{
		type filter hook forward priority filter; policy drop;
		meta l4proto udp iifname "{INNER}" oifname "{UP}" update @allowed {{ {" . ".join(outward)} }}
		iifname "{INNER}" accept
		ct state established,related accept
		meta l4proto udp {" . ".join(inward)} @allowed accept
	}}
}}
"""


def _dynamic(key: tuple[str, ...], box: NatBox, data: str = "") -> str:
    kind = " . ".join(_TYPES[part] for part in key) + (f" : {data}" if data else "")
    return f"type {kind}; flags dynamic,timeout; size 65535; timeout {box.timeout}s;"
