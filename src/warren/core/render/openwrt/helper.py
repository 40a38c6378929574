"""The ash script on the router that makes the sections, takes them away again, and dials names anew.

`uci batch` reads from its input, so keys are never in an argument list. All is made before anything is committed; the
firewall, which holds our guards, is loaded before the network, and goes after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from shlex import quote

from warren.core.render.ip import rule_words
from warren.core.render.openwrt.advertise import announced_devices, ways_out
from warren.core.render.openwrt.firewall import met_devices, zone_name
from warren.core.render.openwrt.names import safe, section_name
from warren.core.render.openwrt.network import more_rules, on_device, peer_section
from warren.core.render.script import named_endpoints
from warren.core.render.services import forget_flows
from warren.core.render.shell import FIND_IP, RESOLVE
from warren.model.state import HostState

_SCRIPT = """\
#!/bin/sh
# {owner} on {host}, for OpenWrt 22.03 and later.
# usage: warren-{owner} install | remove | watch | rules        (as root)
#
#   install    make our sections in /etc/config/network, firewall and dhcp, or replace them by these; no other section
#              is touched, and nothing is committed unless all could be made
#   remove     take them away, and put kernel settings back
#   watch      every minute by cron: ask again for the address of peers that have a name and are silent, and let LANs
#              know whether the tunnel is a way out
#   rules      make the rules for which netifd has no words; hotplug calls it
set -eu
PATH=$PATH:/usr/sbin:/sbin
OURS=/etc/warren/{owner}
SYSCTLS=/etc/sysctl.d/70-warren-{owner}.conf
CRON="* * * * * /usr/bin/warren-{owner} watch"

say() {{ printf '%s\\n' "$*" >&2; }}
die() {{ say "error: $*"; exit 1; }}
has() {{ command -v "$1" >/dev/null 2>&1; }}

# DEVICE FILE PUBLIC, of our devices · SECTION FILE, of keys that two peers share
devices() {{
{devices}
}}
shared() {{
{shared}
}}
# The router's own devices between which and ours something may pass.
met() {{
{met}
}}
# DEVICE KEY ENDPOINT, of peers that are dialled by a name
named() {{
{named}
}}
# DEVICE SECTION, of LANs that are told of a prefix · DEVICE TABLE, by which those prefixes leave
announced() {{
{announced}
}}
out() {{
{out}
}}

# FAMILY RULE, for which netifd has no words
more_rules() {{
{more}
}}

network_sections() {{ uci -q show network | sed -n "s/^network\\.\\([A-Za-z0-9_]*\\)\\.warren='{safe}'$/\\1/p"; }}
named_sections() {{ uci -q show "$1" | sed -n "s/^$1\\.\\({prefix}[A-Za-z0-9_]*\\)=.*/\\1/p"; }}
# DEVICE DIGEST, if it has peers: with the keys that they share, so no file holds what it is made of
digest() {{ [ -z "$(peers_of "$1")" ] || echo "$1 $(peers_of "$1" | md5sum)"; }}
peers_of() {{ uci -q show network | grep "^network\\.{prefix}peer__$1__" || :; }}

check() {{
    [ "$(id -u)" = 0 ] || die "run it as root"
    has uci && has fw4 || die "this is for OpenWrt 22.03 and later, which has uci and fw4"
    has wg || die "wg is not installed: opkg update && opkg install wireguard-tools (or apk add wireguard-tools)"
    [ -z "$(out; more_rules)" ] || [ -n "$(find_ip)" ] || die "ip is busybox's: opkg update && opkg install ip-full"
    devices | while read -r device file public; do
        [ -r "$file" ] || die "no private key in $file: make one by wg genkey; its wg pubkey is the host's key"
        [ "$(wg pubkey <"$file")" = "$public" ] || die "the key in $file is not this host's: that one has $public"
        [ -z "$(uci -q get "network.$device")" ] || [ "$(uci -q get "network.$device.warren")" = {safe} ] ||
            die "/etc/config/network has a section $device of its own: rename it, or the network"
    done
}}

clear_sections() {{
    gone=$(
        network_sections | sed 's/^/delete network./'
        named_sections firewall | sed 's/^/delete firewall./'
        named_sections dhcp | sed 's/^/delete dhcp./'
    )
    [ -z "$gone" ] || printf '%s\\n' "$gone" | uci -q batch
}}

keys() {{
    devices | while read -r device file public; do
        printf "set network.%s.private_key='%s'\\n" "$device" "$(cat "$file")"
    done
    shared | while read -r section file; do
        printf "set network.%s.preshared_key='%s'\\n" "$section" "$(cat "$file")"
    done
}}

# What may pass is for our own table to say; fw4 is told to leave it through, between the zones that it is about.
forwardings() {{
    for device in $(met); do
        fw4 -q device "$device" 2>/dev/null || say "no zone covers $device: fw4 lets nothing through for it"
    done | sort -u | while read -r zone; do
        printf "set firewall.{prefix}from_%s='forwarding'\\n" "$zone"
        printf "set firewall.{prefix}from_%s.src='%s'\\n" "$zone" "$zone"
        printf "set firewall.{prefix}from_%s.dest='{zone}'\\n" "$zone"
        printf "set firewall.{prefix}to_%s='forwarding'\\n" "$zone"
        printf "set firewall.{prefix}to_%s.src='{zone}'\\n" "$zone"
        printf "set firewall.{prefix}to_%s.dest='%s'\\n" "$zone" "$zone"
    done
}}

# A router that advertises on a LAN already tells of our prefix too. Two of its voices would contradict each other.
advertisements() {{
    announced | while read -r device section; do
        told=
        for net in $(uci -q show network | sed -n "s/^network\\.\\([A-Za-z0-9_]*\\)\\.device='$device'$/\\1/p"); do
            [ "$(uci -q get "dhcp.$net.ra")" != server ] || told=1
        done
        [ -z "$told" ] || continue
        printf "set dhcp.{prefix}ra_%s='dhcp'\\n" "$section"
        for option in "interface='$section'" "ra='server'" "ra_mtu='{mtu}'" "dhcpv4='disabled'" "dhcpv6='disabled'"; do
            printf 'set dhcp.{prefix}ra_%s.%s\\n' "$section" "$option"
        done
    done
}}

settings() {{
    sed -n 's/^\\([a-z][^ =]*\\)=.*/\\1/p' "$SYSCTLS" 2>/dev/null | while read -r name; do
        grep -q "^$name=" "$OURS.before" 2>/dev/null || echo "$name=$(sysctl -n "$name" 2>/dev/null)"
    done | grep -v '=$' >>"$OURS.before" || :
    [ ! -e "$SYSCTLS" ] || sysctl -q -e -p "$SYSCTLS" >/dev/null 2>&1 || :
}}

# rules add|del
rules() {{
    IP=$(find_ip)
    more_rules | while read -r family words; do
        "$IP" "-$family" rule del $words 2>/dev/null || :
        [ "$1" = del ] || "$IP" "-$family" rule add $words
    done
}}

forget() {{
{forget}
}}

undo() {{
    uci -q revert network || :
    uci -q revert firewall || :
    uci -q revert dhcp || :
    say "nothing was changed"
}}

install() {{
    check
    trap 'exit 1' HUP INT TERM
    trap undo EXIT
    before=$(devices | while read -r device rest; do digest "$device"; done)
    clear_sections
    uci batch <"$OURS.uci"
    keys | uci batch
    forwardings | uci batch
    advertisements | uci batch
    wanted=$(grep -c '^set network\\.[^.=]*=' "$OURS.uci") # uci batch goes on after an error, and does not tell
    [ "$(network_sections | wc -l)" -eq "$wanted" ] || die "uci did not take all $wanted sections"
    trap - EXIT HUP INT TERM
    uci commit firewall
    /etc/init.d/firewall reload
    uci commit network
    /etc/init.d/network reload
    # netifd does not look at peers: where they alone have changed, it is told.
    devices | while read -r device rest; do
        printf '%s\\n' "$before" | grep -q "^$device " || continue
        printf '%s\\n' "$before" | grep -qxF "$(digest "$device")" ||
            ubus call network.interface renew "{{\\"interface\\":\\"$device\\"}}" 2>/dev/null || /sbin/ifup "$device"
    done
    uci commit dhcp
    /etc/init.d/odhcpd reload 2>/dev/null || [ -z "$(announced)" ] || say "odhcpd is not there: nobody tells the LAN"
    rules add
    settings
    forget
    cron
    say "installed: look with wg show, ip rule, nft list table inet {table}"
}}

cron() {{
    sed -i '\\|/usr/bin/warren-{owner} watch$|d' /etc/crontabs/root 2>/dev/null || :
    if [ "${{1:-}}" != away ] && [ -n "$(named; out)" ]; then echo "$CRON" >>/etc/crontabs/root; fi
    /etc/init.d/cron restart >/dev/null 2>&1 || :
}}

remove() {{
    has uci || die "this is for OpenWrt"
    rules del
    clear_sections
    uci commit network
    /etc/init.d/network reload
    [ ! -e "$OURS.before" ] || sysctl -q -e -p "$OURS.before" >/dev/null 2>&1 || :
    rm -f "$OURS.before"
    uci commit dhcp
    /etc/init.d/odhcpd reload 2>/dev/null || :
    uci commit firewall
    /etc/init.d/firewall reload
    nft delete table inet {table} 2>/dev/null || :
    forget
    cron away
    rm -f "$OURS.uci" "$OURS.nft" "$SYSCTLS" /lib/upgrade/keep.d/warren-{owner} /usr/bin/warren-{owner}
    rm -f /etc/hotplug.d/iface/95-warren-{owner}
    say "removed; the private key stays where it is"
}}
"""

_TAIL = """
# way_out: a tunnel whose peer has been silent for three minutes is none; odhcpd sees the route go, and tells the LAN.
way_out() {
    now=$(date +%s)
    IP=$(find_ip)
    out | while read -r device table; do
        last=$(wg show "$device" latest-handshakes 2>/dev/null | sed 's/.*[^0-9]//' | sort -n | tail -n 1)
        if [ $((now - ${last:-0})) -gt 180 ]; then
            "$IP" -6 route del default dev "$device" table "$table" 2>/dev/null || :
        else
            "$IP" -6 route replace default dev "$device" table "$table" proto 77 || :
        fi
    done
}

case ${1:-} in
install) install ;;
remove) remove ;;
rules) rules add ;;
watch)
    resolve
    way_out ;;
*) say "usage: $0 install | remove | watch | rules"; exit 2 ;;
esac
"""


def helper_text(state: HostState) -> str:
    """Write the script."""
    keys = (f"{one.name} {one.private_key.path} {one.public_key}" for one in state.interfaces)
    shared = (
        f"{peer_section(state, interface, at)} {peer.psk.path}"
        for interface in state.interfaces
        for at, peer in enumerate(interface.peers)
        if peer.psk is not None
    )
    text = _SCRIPT.format(
        owner=state.owner,
        host=state.host,
        safe=safe(state.owner),
        prefix=section_name(state.owner, ""),
        zone=zone_name(state),
        table=state.table_name,
        devices=_listed(keys),
        shared=_listed(shared),
        more=_listed(f"{rule.family.value} {rule_words(rule)}" for rule in more_rules(state)),
        met=_listed(met_devices(state)),
        announced=_listed(f"{device} {on_device(state, device)}" for device in announced_devices(state)),
        out=_listed(f"{device} {table}" for device, table in ways_out(state)),
        mtu=min((one.mtu for one in state.interfaces), default=1280),
        named=_listed(" ".join(words) for words in named_endpoints(state)),
        forget="\n".join(_forget(state)) or ":",
    )
    return text + FIND_IP + RESOLVE + _TAIL


def _listed(lines: Iterable[str]) -> str:
    text = "".join(f"{line}\n" for line in lines)
    return f"cat <<'END'\n{text}END" if text else ":"


def _forget(state: HostState) -> Iterator[str]:
    lines = dict.fromkeys(" ".join(map(quote, command.argv)) for one in state.forget for command in forget_flows(one))
    if lines:
        yield "has conntrack || return 0"
        yield from (f"{line} >/dev/null 2>&1 || :" for line in lines)
