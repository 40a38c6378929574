"""What else lives on a host: Docker's, ufw's, Tailscale's and wg-quick's doings, and hand-made rules and routes."""

from __future__ import annotations

import re
from pathlib import Path

from tests.sys.boxes import Box

# Docker's filter rules as its daemon writes them, with FORWARD dropping what no rule knows.
DOCKER = """
for x in iptables ip6tables; do
  $x -N DOCKER; $x -N DOCKER-ISOLATION-STAGE-1; $x -N DOCKER-USER; $x -P FORWARD DROP
  $x -A DOCKER-USER -j RETURN; $x -A DOCKER-ISOLATION-STAGE-1 -j RETURN
  $x -I FORWARD -o docker0 -j DOCKER
  $x -I FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
  $x -I FORWARD -j DOCKER-ISOLATION-STAGE-1
  $x -I FORWARD -j DOCKER-USER
done
ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up
iptables -t nat -N DOCKER
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
"""
UFW = """
for c in before-input before-forward after-input after-forward user-input user-forward; do
  iptables -N ufw-$c 2>/dev/null || true; ip6tables -N ufw6-$c 2>/dev/null || true
done
iptables -A INPUT -j ufw-before-input; iptables -A FORWARD -j ufw-before-forward
iptables -A ufw-before-input -i lo -j ACCEPT; iptables -A ufw-before-input -j ufw-user-input
iptables -A ufw-before-forward -j ufw-user-forward; iptables -A INPUT -j ufw-after-input
ip6tables -A INPUT -j ufw6-before-input; ip6tables -A ufw6-before-forward -j ufw6-user-forward
"""
TAILSCALE = """
iptables -N ts-forward; iptables -N ts-input
iptables -A ts-forward -i tailscale0 -j MARK --set-xmark 0x40000/0xff0000
iptables -A ts-input -s 100.64.0.0/10 ! -i tailscale0 -j DROP
iptables -A INPUT -j ts-input; iptables -A FORWARD -j ts-forward
for o in -4 -6; do
  ip $o rule add pref 5210 fwmark 0x80000/0xff0000 lookup main
  ip $o rule add pref 5230 fwmark 0x80000/0xff0000 lookup default
  ip $o rule add pref 5250 fwmark 0x80000/0xff0000 unreachable
  ip $o rule add pref 5270 lookup 52
done
ip link add tailscale0 type bridge; ip addr add 100.101.102.103/32 dev tailscale0; ip link set tailscale0 up
ip route add 100.100.100.100 dev tailscale0 table 52
"""
BY_HAND = """
ip rule add pref 1000 from 10.5.0.0/16 lookup 100
ip route add default via 172.17.0.9 dev docker0 table 100 onlink
ip route add blackhole 10.66.0.0/16
ip -6 route add fd99::/64 dev docker0
ip -6 rule add pref 1001 to fd99::/64 lookup 100
nft 'add table inet mine; add chain inet mine out { type filter hook output priority 5; }'
nft 'add rule inet mine out counter'
sysctl -qw net.ipv4.conf.eth0.rp_filter=1 net.ipv4.conf.docker0.forwarding=1 net.ipv4.conf.all.accept_redirects=0
"""


def furnish(box: Box, directory: Path) -> None:
    """Set up all of it on a host."""
    box.sh(DOCKER)
    box.sh(UFW)
    box.sh(TAILSCALE)
    box.sh(BY_HAND)
    conf = directory / "wq0.conf"
    conf.write_text(
        "[Interface]\nPrivateKey = KEY\nAddress = 10.200.0.1/24\nListenPort = 41641\n"
        "[Peer]\nPublicKey = PEER\nAllowedIPs = 10.200.0.0/24, 10.201.0.0/16\n"
    )
    box.sh(
        f'umask 077; k=$(wg genkey); p=$(wg genkey | wg pubkey); sed -i "s|KEY|$k|;s|PEER|$p|" {conf}; '
        f"WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go wg-quick up {conf} 2>&1"
    )


# Settings that a plan declares, and what the kernel does by itself on a router: anycast too (RFC 4291, 2.6.1).
_OF_FORWARDING = re.compile(r"/forwarding:|/accept_redirects:|ip_forward:|/accept_ra:|eth0/rp_filter:|^anycast ")


def outside(picture: str) -> str:
    """Leave of a box's picture what is not warren's: no table, rule, route or device of the ledger, no forwarding."""
    kept: list[str] = []
    inside = False
    for line in picture.splitlines():
        if line.startswith("table inet warren-"):
            inside = True
        if not inside:
            kept.append(line)
        if line == "}":
            inside = False
    ours = re.compile(r"proto 77|\bportals\b|portals-|second\b|second-|warren-|/(portals|second)[\w-]*/")
    return "\n".join(line for line in kept if not ours.search(line) and not _OF_FORWARDING.search(line))
