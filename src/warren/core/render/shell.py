"""The shell functions that every rendered script begins and ends with; `core.render.script` fills in the rest.

POSIX sh as ash has it: no arrays, no `local`, no `[[`. `{…}` are places for `str.format` in HEAD alone, which is
why its braces are doubled.
"""

from __future__ import annotations

HEAD = """\
#!/bin/sh
# {network} on {host}: what `warren apply` would do, for machines without it.
# usage: sh {file} start | stop | restart | status | resolve        (as root)
#
#   start, restart   make it so: repairs what is broken, and what an earlier edition of this script made and this one
#                    does not is taken away last. Nothing is open in between. What fails is undone.
#   stop             take it all away, and put kernel settings back
#   status           say what is there and what is missing: exit status 0 all of it, 1 not all, 3 not started
#   resolve          ask again for the address of peers that have a name and are silent: a line for cron
#
# WARREN_FIREWALL=nft|iptables overrides the choice of firewall, WARREN_KEY=FILE the place of the private key,
# WARREN_STATE=DIR where it is remembered what was made (it must not outlive a reboot).
set -eu
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
STATE=${{WARREN_STATE:-/var/run/warren-script/{owner}}}

say() {{ printf '%s\\n' "$*" >&2; }}
die() {{ say "error: $*"; exit 1; }}
has() {{ command -v "$1" >/dev/null 2>&1; }}
there() {{ "$IP" link show dev "$1" >/dev/null 2>&1; }} # DEVICE
lines() {{ sed -n "s/^$1 //p" "$2"; }} # KIND FILE: of what was made

check() {{
    [ "$(id -u)" = 0 ] || die "this is about the network of the machine: run it as root"
    IP=$(find_ip)
    [ -n "$IP" ] || die "ip of iproute2 is not installed (busybox's ip cannot do this): install iproute2 or ip-full"
    has wg || die "wg is not installed: install wireguard-tools"
    V6=; [ ! -e /proc/net/if_inet6 ] || V6=1
    # An older ip cannot say whose a rule is; what the rule does is the same.
    SAID=; case $("$IP" rule help 2>&1 || :) in *" protocol "*) SAID=1 ;; esac
    FIREWALL=${{WARREN_FIREWALL:-}}
    [ -n "$FIREWALL" ] || FIREWALL=$(cat "$STATE/firewall" 2>/dev/null || :)
    if [ -z "$FIREWALL" ]; then
        if has nft; then FIREWALL=nft; elif has iptables-restore; then FIREWALL=iptables; fi
    fi
    WAIT=
    case $FIREWALL in
    nft) has nft || die "nft is not installed: install nftables" ;;
    iptables)
        has iptables-restore || die "iptables-restore is not installed: install iptables"
        [ -z "$V6" ] || has ip6tables-restore || die "ip6tables-restore is not installed: install iptables"
        case $(iptables-restore --help 2>&1 || :) in *--wait*) WAIT=-w ;; esac ;;
    *) die "neither nft nor iptables is installed: install nftables" ;;
    esac
}}

# own_key FILE · own_device DEVICE KEY: what must be so before anything is done
own_key() {{ [ -r "$1" ] || die "no private key in $1: make one with wg genkey"; }}
own_device() {{
    ! there "$1" || [ "$(wg show "$1" public-key 2>/dev/null)" = "$2" ] ||
        die "there is another device called $1: rename or remove it"
}}

# make_link DEVICE: by the kernel, or by wireguard-go where that has no WireGuard
make_link() {{
    ! there "$1" || return 0
    if "$IP" link add dev "$1" type wireguard 2>/dev/null; then return; fi
    has wireguard-go || die "this kernel has no WireGuard: install wireguard-go, or a kernel of 5.6 or later"
    wireguard-go "$1" >/dev/null 2>&1 </dev/null || die "wireguard-go cannot make $1: is there /dev/net/tun?"
    tries=0
    until wg show "$1" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || die "wireguard-go does not answer for $1"
        sleep 0.1 2>/dev/null || sleep 1
    done
}}

drop_link() {{
    there "$1" || return 0
    "$IP" link del dev "$1" || say "$1 could not be removed"
    tries=0 # wireguard-go lets go of its port a moment later
    while wg show "$1" >/dev/null 2>&1 && [ "$tries" -lt 50 ]; do
        tries=$((tries + 1))
        sleep 0.1 2>/dev/null || sleep 1
    done
}}

# Peers are dialled where they are told to be dialled for the first time, or have no address: what they have learned
# since is better. A name that nobody knows yet leaves all the rest as it should be.
dial_all() {{
    lines dial "$STATE/new" >"$STATE/dial"
    while read -r device key endpoint; do
        known=$(wg show "$device" endpoints | while read -r peer where; do
            [ "$peer" != "$key" ] || [ "$where" = "(none)" ] || echo "$where"
        done)
        [ -z "$known" ] || ! grep -qxF "dial $device $key $endpoint" "$STATE/made" 2>/dev/null || continue
        WG_ENDPOINT_RESOLUTION_RETRIES=2 wg set "$device" peer "$key" endpoint "$endpoint" 2>/dev/null ||
            say "$endpoint has no address now: 'resolve' asks again"
    done <"$STATE/dial"
}}

# setting PATH VALUE WHY: a floor; what it was is kept for `stop`
setting() {{
    [ -e "/proc/sys/$1" ] || return 0
    was=$(cat "/proc/sys/$1")
    [ "$was" -lt "$2" ] || return 0
    grep -q "^$1 " "$STATE/settings" 2>/dev/null || echo "$1 $was $2" >>"$STATE/settings"
    echo "$2" 2>/dev/null >"/proc/sys/$1" || die "$1 is $was and cannot be set to $2 here: $3"
}}

# restore FILE: settings that are lines of a file, the newest first: forwarding goes off before accept_ra goes back,
# or the default route would be lost.
restore() {{
    [ -e "$STATE/settings" ] || return 0
    sed -n '1!G;h;$p' "$STATE/settings" | while read -r path was ours; do
        grep -qxF "setting $path" "$1" && [ -e "/proc/sys/$path" ] || continue
        [ "$(cat "/proc/sys/$path")" != "$ours" ] || echo "$was" >"/proc/sys/$path" || say "$path stays $ours"
    done
    while read -r path rest; do
        grep -qxF "setting $path" "$1" || echo "$path $rest"
    done <"$STATE/settings" >"$STATE/settings.left"
    mv "$STATE/settings.left" "$STATE/settings"
}}

# batch FAMILY · unbatch FAMILY: lines for ip on standard input; a family the machine lacks is passed over, and
# unbatch passes over lines that are refused
batch() {{
    if [ "$1" = 6 ] && [ -z "$V6" ]; then cat >/dev/null; else "$IP" "-$1" -batch -; fi
}}
unbatch() {{
    if [ "$1" = 6 ] && [ -z "$V6" ]; then cat >/dev/null; else "$IP" "-$1" -force -batch - 2>/dev/null || :; fi
}}

# rule_lines FAMILY FILE: in words that this ip knows
rule_lines() {{
    if [ -n "$SAID" ]; then lines "rule$1" "$2"; else lines "rule$1" "$2" | sed 's/ protocol [^ ]*$//'; fi
}}

# A rule that is there already would be refused, so each is taken away and made in one breath; then they are counted.
rules() {{
    for family in 4 6; do
        rule_lines $family "$1" | sed 's/.*/rule del &\\
rule add &/' | unbatch $family
        [ "$family" = 4 ] || [ -n "$V6" ] || continue
        rules_lack $family "$1" >"$STATE/lack"
        read -r pref <"$STATE/lack" || continue
        rule_lines $family "$1" | grep "^pref $pref " | sed 's/^/rule add /' | "$IP" "-$family" -batch - || :
        die "a rule with priority $pref could not be made"
    done
}}

# rules_lack FAMILY FILE: priorities at which there are fewer rules than there should be
rules_lack() {{
    "$IP" "-$1" rule show >"$STATE/seen"
    lines "rule$1" "$2" | sed 's/^pref \\([0-9]*\\) .*/\\1/' | sort | uniq -c | while read -r count pref; do
        [ "$(grep -c "^$pref:" "$STATE/seen")" -ge "$count" ] || echo "$pref"
    done
}}

# hook PROGRAM TABLE BUILTIN CHAIN -I|-A · unhook PROGRAM TABLE BUILTIN CHAIN
hook() {{ "$1" -w -t "$2" -C "$3" -j "$4" 2>/dev/null || "$1" -w -t "$2" "$5" "$3" -j "$4"; }}
unhook() {{ while "$1" -w -t "$2" -D "$3" -j "$4" 2>/dev/null; do :; done; }}

# service NAME PROGRAM…: run a program again and again, with what is in NAME.conf; one that runs with the same is left
# alone. Standard input is the configuration, in which @state@ is where our files are.
service() {{
    name=$1; shift
    sed "s|@state@|$STATE|g" >"$STATE/$name.new"
    has "$1" || {{ say "$1 is not installed, so nothing is done for $name: install it"; return; }}
    if running "$name" && cmp -s "$STATE/$name.new" "$STATE/$name.conf"; then return; fi
    stop_service "$name"
    mv "$STATE/$name.new" "$STATE/$name.conf"
    (
        trap '' HUP
        trap 'kill "$child" 2>/dev/null; exit 0' TERM
        while :; do
            "$@" >"$STATE/$name.log" 2>&1 & child=$!
            wait "$child" || :
            sleep 1 & child=$!
            wait "$child" || :
        done
    ) </dev/null >/dev/null 2>&1 &
    echo $! >"$STATE/$name.pid"
}}

# A number may be somebody else's by now: then its command line does not speak of this script.
running() {{
    pid=$(cat "$STATE/$1.pid" 2>/dev/null) && [ -e "/proc/$pid/cmdline" ] &&
        tr '\\0' ' ' <"/proc/$pid/cmdline" | grep -qF "${{0##*/}}"
}}

stop_service() {{
    running "$1" || return 0
    kill "$pid" 2>/dev/null || :
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 50 ]; do
        tries=$((tries + 1))
        sleep 0.1 2>/dev/null || sleep 1
    done
}}

# remove FILE: take away what a file lists, steering first and guards last. Nothing here stops the rest.
remove() {{
    lines service "$1" | while read -r name; do
        stop_service "$name"
        rm -f "$STATE/$name.conf" "$STATE/$name.pid" "$STATE/$name.log"
    done
    for family in 4 6; do rule_lines $family "$1" | sed '1!G;h;$!d' | sed 's/^/rule del /' | unbatch $family; done
    nowhere='^\\(unreachable\\|blackhole\\|prohibit\\|throw\\) '
    for family in 4 6; do
        lines route$family "$1" | grep -v "$nowhere" | sed 's/^/route del /' | unbatch $family
        lines route$family "$1" | grep "$nowhere" | sed 's/^/route del /' | unbatch $family
    done
    lines undo "$1" | while IFS= read -r line; do eval "$line" >/dev/null 2>&1 || :; done
    lines link "$1" | while read -r device; do drop_link "$device"; done
    lines peer "$1" | while read -r device key; do
        ! there "$device" || wg set "$device" peer "$key" remove || :
    done
    for family in 4 6; do
        lines address$family "$1" | sed 's/^/address del /; s/ nodad$//' | unbatch $family
    done
    restore "$1"
    lines table "$1" | while read -r family table; do
        printf 'add table %s\\ndelete table %s\\n' "$family $table" "$family $table" | nft -f - || :
    done
    for program in iptables ip6tables; do
        family=4; [ "$program" = iptables ] || family=6
        lines hook$family "$1" | while read -r table builtin chain end; do
            unhook "$program" "$table" "$builtin" "$chain"
        done
        for table in filter raw mangle nat; do
            lines "chain$family $table" "$1" >"$STATE/chains"
            [ -s "$STATE/chains" ] || continue
            {{
                echo "*$table"
                sed 's/.*/:& - [0:0]/' "$STATE/chains"
                sed 's/^/-X /' "$STATE/chains"
                echo COMMIT
            }} | "$program-restore" $WAIT --noflush || :
        done
    done
}}
"""

FIND_IP = """
# The real ip, not busybox's: it says which it is.
find_ip() {
    for dir in /usr/local/sbin /usr/sbin /sbin /usr/bin /bin /usr/libexec; do
        for name in ip ip-full; do
            case $("$dir/$name" -V 2>/dev/null || :) in *iproute2*) echo "$dir/$name"; return ;; esac
        done
    done
}
"""

# For gateways. /proc/net/tcp: 0A listens; /proc/net/udp: 07 waits for anybody. Addresses are in hexadecimal.
OWN_PORTS = """
# listening tcp|udp: the ports at which this machine itself can be reached, each once
listening() {
    state=0A; [ "$1" = tcp ] || state=07
    cat "/proc/net/$1" "/proc/net/${1}6" 2>/dev/null | awk -v state="$state" '
        $4 == state && $2 !~ /^(0100007F|00000000000000000000000001000000):/ { sub(/.*:/, "", $2); print $2 }
    ' | sort -u | while read -r port; do printf '%d\n' "0x$port"; done
}

# What listens here is not published, or whoever is logged in could not log in again.
own_ports_nft() {
    for proto in tcp udp; do
        for port in $(listening $proto); do
            nft add element "$1" "$2" "own_$proto" "{ $port }" 2>/dev/null || :
        done
    done
}
own_ports_iptables() {
    for proto in tcp udp; do
        for port in $(listening $proto); do
            iptables -w -t nat -I "$1" -p $proto --dport "$port" -j RETURN
            [ -z "$V6" ] || ip6tables -w -t nat -I "$1" -p $proto --dport "$port" -j RETURN
        done
    done
}
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

# Also the helper on OpenWrt. 150 s: a peer that answers has shaken hands within the last two minutes.
RESOLVE = """
# resolve: have peers that are silent dialled at the address that their name has now
resolve() {
    now=$(date +%s)
    named | while read -r device key endpoint; do
        seen=$(wg show "$device" latest-handshakes 2>/dev/null | while read -r peer time; do
            [ "$peer" != "$key" ] || echo "$time"
        done)
        [ -n "$seen" ] && [ $((now - seen)) -gt 150 ] || continue
        WG_ENDPOINT_RESOLUTION_RETRIES=2 wg set "$device" peer "$key" endpoint "$endpoint" || :
    done
}
"""

TAIL = """
start() {
    again=; [ ! -e "$STATE/made" ] || again=1
    own
    mkdir -p "$STATE" && chmod 700 "$STATE"
    trap failed EXIT
    trap 'exit 1' HUP INT TERM
    echo "$FIREWALL" >"$STATE/firewall"
    { made; "made_$FIREWALL"; } >"$STATE/new"
    up
    if [ -n "$again" ]; then
        grep -vxF -f "$STATE/new" "$STATE/made" >"$STATE/gone" || :
        remove "$STATE/gone"
    fi
    mv "$STATE/new" "$STATE/made"
    trap - EXIT HUP INT TERM
}

# What was not there before is taken away again; what was stays, or traffic would leave by another way.
failed() {
    trap '' HUP INT TERM
    set +e
    if [ -n "$again" ]; then
        cat "$STATE/new" >>"$STATE/made"
        say "what stood before still stands; 'stop' takes it all away"
    else
        remove "$STATE/new"
        rm -rf "$STATE"
        say "undone"
    fi
    exit 1
}

stop() {
    [ -e "$STATE/made" ] || { mkdir -p "$STATE" && { made; "made_$FIREWALL"; } >"$STATE/made"; }
    before_stop
    remove "$STATE/made"
    forget
    after_stop
    rm -rf "$STATE"
}

status() {
    [ -e "$STATE/made" ] || { say "not started"; exit 3; }
    lack() { echo "missing: $*"; whole=; }
    whole=1
    for family in 4 6; do
        [ "$family" = 4 ] || [ -n "$V6" ] || continue
        for pref in $(rules_lack $family "$STATE/made"); do lack "a rule with priority $pref (-$family)"; done
        lines route$family "$STATE/made" | sed 's/.* table \\([^ ]*\\).*/\\1/' | sort | uniq -c >"$STATE/tables"
        while read -r count table; do
            found=$("$IP" -$family route show table "$table" proto 77 2>/dev/null | wc -l)
            [ "$found" -ge "$count" ] || lack "$((count - found)) of $count routes of table $table (-$family)"
        done <"$STATE/tables"
    done
    lines table "$STATE/made" >"$STATE/tables"
    while read -r family table; do
        nft list table "$family" "$table" >/dev/null 2>&1 || lack "nft table $family $table"
    done <"$STATE/tables"
    for program in iptables ip6tables; do
        family=4; [ "$program" = iptables ] || family=6
        lines hook$family "$STATE/made" >"$STATE/tables"
        while read -r table builtin chain end; do
            "$program" -w -t "$table" -C "$builtin" -j "$chain" 2>/dev/null || lack "$program chain $chain in $builtin"
        done <"$STATE/tables"
    done
    for name in $(lines service "$STATE/made"); do running "$name" || lack "$name, which does not run"; done
    lines link "$STATE/made" >"$STATE/tables"
    while read -r device; do
        case $("$IP" link show dev "$device" 2>/dev/null) in
        *[\\<,]UP[,\\>]*) ;;
        *) lack "device $device"; continue ;;
        esac
        wg show "$device" latest-handshakes | while read -r key time; do
            name=$(names | sed -n "s|^$key ||p")
            age="no handshake yet"
            [ "$time" = 0 ] || age="handshake $(($(date +%s) - time)) s ago"
            echo "$device: ${name:-$key}: $age"
        done
    done <"$STATE/tables"
    [ -n "$whole" ]
}

case ${1:-} in
start | restart)
    check
    start
    say "started" ;;
stop)
    check
    stop
    say "stopped" ;;
status)
    check
    status ;;
resolve) resolve ;;
*) say "usage: sh $0 start | stop | restart | status | resolve"; exit 2 ;;
esac
"""
