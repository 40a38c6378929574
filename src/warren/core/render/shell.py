"""The shell functions that every rendered script begins and ends with; `core.render.script` fills in the rest.

POSIX sh as ash has it: no arrays, no `local`, no `[[`. `{…}` are places for `str.format` in HEAD alone, which is
why its braces are doubled.
"""

from __future__ import annotations

HEAD = """\
#!/bin/sh
# {network} on {host}: what `warren apply` would do, for machines without it.
# usage: sh {file} up | down        (as root; WARREN_FIREWALL=nft|iptables overrides the choice)
set -eu
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
STATE=/run/warren-script/{owner}

say() {{ printf '%s\\n' "$*" >&2; }}
die() {{ say "error: $*"; exit 1; }}
has() {{ command -v "$1" >/dev/null 2>&1; }}

# The real ip, not busybox's: it says which it is.
find_ip() {{
    for dir in /usr/local/sbin /usr/sbin /sbin /usr/bin /bin /usr/libexec; do
        for name in ip ip-full; do
            case $("$dir/$name" -V 2>/dev/null || :) in *iproute2*) echo "$dir/$name"; return ;; esac
        done
    done
}}

check() {{
    [ "$(id -u)" = 0 ] || die "this changes the network of the machine: run it as root"
    IP=$(find_ip)
    [ -n "$IP" ] || die "ip of iproute2 is not installed (busybox's ip cannot do this): install iproute2 or ip-full"
    has wg || die "wg is not installed: install wireguard-tools"
    V6=; [ ! -e /proc/net/if_inet6 ] || V6=1
    FIREWALL=${{WARREN_FIREWALL:-}}
    [ -n "$FIREWALL" ] || FIREWALL=$(cat "$STATE/firewall" 2>/dev/null || :)
    if [ -z "$FIREWALL" ]; then
        if has nft; then FIREWALL=nft; elif has iptables-restore; then FIREWALL=iptables; fi
    fi
    case $FIREWALL in
    nft) has nft || die "nft is not installed: install nftables" ;;
    iptables)
        has iptables-restore || die "iptables-restore is not installed: install iptables"
        [ -z "$V6" ] || has ip6tables-restore || die "ip6tables-restore is not installed: install iptables" ;;
    *) die "neither nft nor iptables is installed: install nftables" ;;
    esac
}}

# make_link DEVICE: by the kernel, or by wireguard-go where that has no WireGuard
make_link() {{
    [ ! -e "/sys/class/net/$1" ] || return 0
    if "$IP" link add dev "$1" type wireguard 2>/dev/null; then return; fi
    has wireguard-go || die "this kernel has no WireGuard: install wireguard-go, or a kernel of 5.6 or later"
    wireguard-go "$1" >/dev/null 2>&1 </dev/null
    tries=0
    until wg show "$1" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || die "wireguard-go does not answer for $1"
        sleep 0.1 2>/dev/null || sleep 1
    done
}}

drop_link() {{
    [ -e "/sys/class/net/$1" ] || return 0
    "$IP" link del dev "$1" || say "$1 could not be removed"
    tries=0 # wireguard-go lets go of its port a moment later
    while wg show "$1" >/dev/null 2>&1 && [ "$tries" -lt 50 ]; do
        tries=$((tries + 1))
        sleep 0.1 2>/dev/null || sleep 1
    done
}}

# setting PATH VALUE WHY: a floor; what it was is kept for `down`
setting() {{
    [ -e "/proc/sys/$1" ] || return 0
    was=$(cat "/proc/sys/$1")
    [ "$was" -lt "$2" ] || return 0
    grep -q "^$1 " "$STATE/settings" 2>/dev/null || echo "$1 $was $2" >>"$STATE/settings"
    echo "$2" 2>/dev/null >"/proc/sys/$1" || die "$1 is $was and cannot be set to $2 here: $3"
}}

# Newest first: forwarding goes off before accept_ra goes back, or the default route would be lost.
restore_settings() {{
    [ -e "$STATE/settings" ] || return 0
    sed -n '1!G;h;$p' "$STATE/settings" | while read -r path was ours; do
        [ -e "/proc/sys/$path" ] || continue
        [ "$(cat "/proc/sys/$path")" != "$ours" ] || echo "$was" >"/proc/sys/$path" || say "$path stays $ours"
    done
    rm -f "$STATE/settings"
}}

# batch FAMILY: lines for ip on standard input; a family the machine lacks is passed over
batch() {{
    if [ "$1" = 6 ] && [ -z "$V6" ]; then cat >/dev/null; else "$IP" "-$1" -batch -; fi
}}
unbatch() {{
    if [ "$1" = 6 ] && [ -z "$V6" ]; then cat >/dev/null; else "$IP" "-$1" -force -batch - 2>/dev/null || :; fi
}}
"""

HOOKS = """
# hook PROGRAM TABLE BUILTIN CHAIN -I|-A · unhook PROGRAM TABLE BUILTIN CHAIN
hook() { "$1" -w -t "$2" -C "$3" -j "$4" 2>/dev/null || "$1" -w -t "$2" "$5" "$3" -j "$4"; }
unhook() { while "$1" -w -t "$2" -D "$3" -j "$4" 2>/dev/null; do :; done; }
"""

CONF_SECRET = """
# conf_secret FILE KEY [PEER]: a key out of a wg-quick file
conf_secret() {
    awk -v want="$2" -v peer="${3:-}" '
        function flush() { if (value != "" && (peer == "" || key == peer)) { print value; done = 1; exit } }
        { sub(/#.*/, ""); gsub(/[ \\t\\r]/, "") }
        /^\\[/ { flush(); value = ""; key = "" }
        { at = index($0, "="); name = tolower(substr($0, 1, at - 1)); rest = substr($0, at + 1) }
        name == tolower(want) { value = rest }
        name == "publickey" { key = rest }
        END { if (!done) flush() }' "$1"
}
"""

TAIL = """
case ${1:-} in
up)
    check
    mkdir -p "$STATE"
    echo "$FIREWALL" >"$STATE/firewall"
    up
    say "up" ;;
down)
    check
    down
    rm -rf "$STATE"
    say "down" ;;
*) say "usage: sh $0 up | down"; exit 2 ;;
esac
"""
