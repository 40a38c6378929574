"""The one tagged rule at another firewall's hook: with it a packet passes, without it the ruleset is as it was."""

from __future__ import annotations

from collections.abc import Callable
from shlex import join
from subprocess import CompletedProcess

import pytest

from warren.core.render.consent import add_consent, consent_tag, consents_in, drop_consent
from warren.model.prefix import FAMILIES, Family
from warren.model.state import ConsentRule

Shell = Callable[..., "CompletedProcess[str]"]

DOCKER = """
for t in iptables ip6tables; do
    $t -P FORWARD DROP; $t -N DOCKER-USER; $t -N DOCKER; $t -A DOCKER-USER -j RETURN
    $t -A FORWARD -j DOCKER-USER; $t -A FORWARD -o docker0 -j DOCKER
done
"""
UFW = """
for t in "iptables ufw" "ip6tables ufw6"; do
    set -- $t
    $1 -P FORWARD DROP; $1 -P INPUT DROP
    for c in forward input; do
        $1 -N $2-before-$c; $1 -N $2-user-$c; $1 -A $2-before-$c -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        $1 -A $2-before-$c -p ipv6-icmp --icmpv6-type 135 -j ACCEPT 2>/dev/null || :
        $1 -A $2-before-$c -p ipv6-icmp --icmpv6-type 136 -j ACCEPT 2>/dev/null || :
        $1 -A $2-before-$c -j $2-user-$c
        $1 -A $(echo $c | tr a-z A-Z) -j $2-before-$c
    done
done
"""
FIREWALLD = """
nft -f - <<'END'
table inet firewalld {
    chain filter_FORWARD {
        type filter hook forward priority 10; policy accept;
        ct state { established, related } accept
        iifname "lo" accept
        reject with icmpx admin-prohibited
    }
    chain filter_INPUT {
        type filter hook input priority 10; policy accept;
        ct state { established, related } accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
        reject with icmpx admin-prohibited
    }
}
END
"""
WORLD = """
ip netns add r; ip netns add s; ip link set lo up
mount --make-rprivate / 2>/dev/null || :
for ns in r s; do ip netns exec $ns sysctl -q -w net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0; done
sysctl -q -w net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
ip link add c type veth peer name portals netns r; ip link add s0 netns s type veth peer name eth0 netns r
for x in "r lo" "r portals" "r eth0" "s s0"; do set -- $x; ip -n $1 link set $2 up; done; ip link set c up
ip addr add 10.0.1.2/24 dev c; ip addr add fd01::2/64 dev c nodad
ip -n r addr add 10.0.1.1/24 dev portals; ip -n r addr add fd01::1/64 dev portals nodad
ip -n r addr add 10.0.2.1/24 dev eth0; ip -n r addr add fd02::1/64 dev eth0 nodad
ip -n s addr add 10.0.2.2/24 dev s0; ip -n s addr add fd02::2/64 dev s0 nodad
ip route add default via 10.0.1.1; ip -6 route add default via fd01::1
ip -n s route add default via 10.0.2.1; ip -n s -6 route add default via fd02::1
in_r() { ip netns exec r "$@"; }
in_r sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
see() {
    for to in 10.0.2.2 fd02::2 10.0.1.1; do
        if ping -c 1 -W 1 $to >/dev/null 2>&1; then echo "$1 $to"; fi
    done
}
"""


@pytest.mark.lab
@pytest.mark.parametrize(("tool", "firewall"), [("docker", DOCKER), ("ufw", UFW), ("firewalld", FIREWALLD)])
def test_a_packet_passes_with_consent_and_the_rest_is_untouched(shell: Shell, tool: str, firewall: str) -> None:
    ways = ("forward-in", "forward-out", "input") if tool != "docker" else ("forward-in", "forward-out")
    rules = [ConsentRule(tool, family, way, "portals") for family in FAMILIES for way in ways]
    add = "\n".join(f"in_r {join(add_consent(rule, 'net'))}" for rule in rules)
    drop = "\n".join(f"in_r {join(drop_consent(rule, 'net'))}" for rule in rules)
    script = f"""
        mount -t tmpfs tmpfs /run; {WORLD}
        see open
        cat >/run/fw.sh <<'FW'\n{firewall}\nFW
        in_r sh -eu /run/fw.sh
        in_r nft -s list ruleset >/run/before
        see closed
        {add}
        see consented
        in_r sh -c 'iptables -S; ip6tables -S; nft list ruleset' | tee /run/listing >/dev/null
        {drop}
        see dropped
        in_r nft -s list ruleset >/run/after
        diff /run/before /run/after && echo same
        cat /run/listing"""

    run = shell(script)

    told, _, listing = run.stdout.partition("same\n")
    everything = ["10.0.2.2", "fd02::2", "10.0.1.1"]
    closed = ["10.0.1.1"] if tool == "docker" else []  # Docker leaves what comes in alone
    expected = [("open", everything), ("closed", closed), ("consented", everything), ("dropped", closed)]
    assert told.splitlines() == [f"{when} {to}" for when, seen in expected for to in seen], run.stderr
    seen = {rule for family in FAMILIES for rule in consents_in(listing, tool, family, "net")}
    assert seen == set(rules)


def test_a_rule_is_read_back_from_its_tag_and_only_its_owners() -> None:
    rules = (
        ConsentRule("ufw", Family.IPV4, "input", udp_port=51820),
        ConsentRule("ufw", Family.IPV4, "forward-in", "wg0"),
    )
    listing = "".join(f'-A x -m comment --comment "{consent_tag(rule, "conf:wg0")}" -j ACCEPT\n' for rule in rules)

    assert consents_in(listing, "ufw", Family.IPV4, "conf:wg0") == rules
    assert consents_in(listing, "ufw", Family.IPV4, "conf:wg01") == ()
    assert consents_in(listing, "ufw", Family.IPV4, "conf:wg") == ()


def test_docker_has_no_hook_for_what_comes_in() -> None:
    with pytest.raises(ValueError, match="docker has no hook for input"):
        add_consent(ConsentRule("docker", Family.IPV4, "input", "wg0"), "net")
