#!/bin/sh
# portals on nyc: what `warren apply` would do, for machines without it.
# usage: sh portals-nyc.sh up | down        (as root; WARREN_FIREWALL=nft|iptables overrides the choice)
set -eu
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
STATE=/run/warren-script/portals

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# The real ip, not busybox's: it says which it is.
find_ip() {
    for dir in /usr/local/sbin /usr/sbin /sbin /usr/bin /bin /usr/libexec; do
        for name in ip ip-full; do
            case $("$dir/$name" -V 2>/dev/null || :) in *iproute2*) echo "$dir/$name"; return ;; esac
        done
    done
}

check() {
    [ "$(id -u)" = 0 ] || die "this changes the network of the machine: run it as root"
    IP=$(find_ip)
    [ -n "$IP" ] || die "ip of iproute2 is not installed (busybox's ip cannot do this): install iproute2 or ip-full"
    has wg || die "wg is not installed: install wireguard-tools"
    V6=; [ ! -e /proc/net/if_inet6 ] || V6=1
    FIREWALL=${WARREN_FIREWALL:-}
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
}

# make_link DEVICE: by the kernel, or by wireguard-go where that has no WireGuard
make_link() {
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
}

drop_link() {
    [ -e "/sys/class/net/$1" ] || return 0
    "$IP" link del dev "$1" || say "$1 could not be removed"
    tries=0 # wireguard-go lets go of its port a moment later
    while wg show "$1" >/dev/null 2>&1 && [ "$tries" -lt 50 ]; do
        tries=$((tries + 1))
        sleep 0.1 2>/dev/null || sleep 1
    done
}

# setting PATH VALUE WHY: a floor; what it was is kept for `down`
setting() {
    [ -e "/proc/sys/$1" ] || return 0
    was=$(cat "/proc/sys/$1")
    [ "$was" -lt "$2" ] || return 0
    grep -q "^$1 " "$STATE/settings" 2>/dev/null || echo "$1 $was $2" >>"$STATE/settings"
    echo "$2" 2>/dev/null >"/proc/sys/$1" || die "$1 is $was and cannot be set to $2 here: $3"
}

# Newest first: forwarding goes off before accept_ra goes back, or the default route would be lost.
restore_settings() {
    [ -e "$STATE/settings" ] || return 0
    sed -n '1!G;h;$p' "$STATE/settings" | while read -r path was ours; do
        [ -e "/proc/sys/$path" ] || continue
        [ "$(cat "/proc/sys/$path")" != "$ours" ] || echo "$was" >"/proc/sys/$path" || say "$path stays $ours"
    done
    rm -f "$STATE/settings"
}

# batch FAMILY: lines for ip on standard input; a family the machine lacks is passed over
batch() {
    if [ "$1" = 6 ] && [ -z "$V6" ]; then cat >/dev/null; else "$IP" "-$1" -batch -; fi
}
unbatch() {
    if [ "$1" = 6 ] && [ -z "$V6" ]; then cat >/dev/null; else "$IP" "-$1" -force -batch - 2>/dev/null || :; fi
}

# hook PROGRAM TABLE BUILTIN CHAIN -I|-A · unhook PROGRAM TABLE BUILTIN CHAIN
hook() { "$1" -w -t "$2" -C "$3" -j "$4" 2>/dev/null || "$1" -w -t "$2" "$5" "$3" -j "$4"; }
unhook() { while "$1" -w -t "$2" -D "$3" -j "$4" 2>/dev/null; do :; done; }

firewall_nft() {
nft -f - <<'END'
add table inet warren-portals
delete table inet warren-portals
table inet warren-portals {
	set tunnels { type ifname; elements = { "portals", "portals-paris" } }
	chain forward {
		type filter hook forward priority -140; policy accept;
		iifname "eth2" oifname != "portals-paris" counter reject with icmpx admin-prohibited comment "portal nyc.eth2 -> paris"
	}
	chain postrouting {
		type filter hook postrouting priority -140; policy accept;
		oifname @tunnels tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
	}
	chain srcnat {
		type nat hook postrouting priority 100; policy accept;
		oifname "portals-paris" meta nfproto ipv4 snat ip to 10.77.0.1
		oifname "portals-paris" meta nfproto ipv6 snat ip6 to fd77:7:7::1
	}
}
END
}

firewall_nft_down() {
nft -f - <<'END'
add table inet warren-portals
delete table inet warren-portals
END
}

firewall_iptables() {
iptables-restore -w --noflush <<'END'
*filter
:WARREN-portals-forward - [0:0]
-A WARREN-portals-forward -i eth2 ! -o portals-paris -m comment --comment "portal nyc.eth2 -> paris" -j REJECT --reject-with icmp-admin-prohibited
COMMIT
*mangle
:WARREN-portals-postrouting - [0:0]
-A WARREN-portals-postrouting -p tcp -o portals --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
-A WARREN-portals-postrouting -p tcp -o portals-paris --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
COMMIT
*nat
:WARREN-portals-srcnat - [0:0]
-A WARREN-portals-srcnat -o portals-paris -j SNAT --to-source 10.77.0.1
COMMIT
END
hook iptables filter FORWARD WARREN-portals-forward -I
hook iptables mangle POSTROUTING WARREN-portals-postrouting -I
hook iptables nat POSTROUTING WARREN-portals-srcnat -I
if [ -n "$V6" ]; then
ip6tables-restore -w --noflush <<'END'
*filter
:WARREN-portals-forward - [0:0]
-A WARREN-portals-forward -i eth2 ! -o portals-paris -m comment --comment "portal nyc.eth2 -> paris" -j REJECT --reject-with icmp6-adm-prohibited
COMMIT
*mangle
:WARREN-portals-postrouting - [0:0]
-A WARREN-portals-postrouting -p tcp -o portals --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
-A WARREN-portals-postrouting -p tcp -o portals-paris --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
COMMIT
*nat
:WARREN-portals-srcnat - [0:0]
-A WARREN-portals-srcnat -o portals-paris -j SNAT --to-source fd77:7:7::1
COMMIT
END
hook ip6tables filter FORWARD WARREN-portals-forward -I
hook ip6tables mangle POSTROUTING WARREN-portals-postrouting -I
hook ip6tables nat POSTROUTING WARREN-portals-srcnat -I
fi
}

firewall_iptables_down() {
unhook iptables filter FORWARD WARREN-portals-forward
unhook iptables mangle POSTROUTING WARREN-portals-postrouting
unhook iptables nat POSTROUTING WARREN-portals-srcnat
iptables-restore -w --noflush <<'END'
*filter
:WARREN-portals-forward - [0:0]
-X WARREN-portals-forward
COMMIT
*mangle
:WARREN-portals-postrouting - [0:0]
-X WARREN-portals-postrouting
COMMIT
*nat
:WARREN-portals-srcnat - [0:0]
-X WARREN-portals-srcnat
COMMIT
END
if [ -n "$V6" ]; then
unhook ip6tables filter FORWARD WARREN-portals-forward
unhook ip6tables mangle POSTROUTING WARREN-portals-postrouting
unhook ip6tables nat POSTROUTING WARREN-portals-srcnat
ip6tables-restore -w --noflush <<'END'
*filter
:WARREN-portals-forward - [0:0]
-X WARREN-portals-forward
COMMIT
*mangle
:WARREN-portals-postrouting - [0:0]
-X WARREN-portals-postrouting
COMMIT
*nat
:WARREN-portals-srcnat - [0:0]
-X WARREN-portals-srcnat
COMMIT
END
fi
}

up() {
"firewall_$FIREWALL"
iptables -w -D DOCKER-USER -i portals-paris -m comment --comment warren-portals/forward-in/portals-paris/0 -j ACCEPT 2>/dev/null || :
iptables -w -I DOCKER-USER -i portals-paris -m comment --comment warren-portals/forward-in/portals-paris/0 -j ACCEPT
setting net/ipv6/conf/eth0/accept_ra 2 'forwarding would delete the learned default route'
setting net/ipv4/ip_forward 1 'packets pass between LANs, tunnels and the uplink'
setting net/ipv6/conf/all/forwarding 1 'packets pass between LANs, tunnels and the uplink'
make_link portals
[ -r /etc/warren/private.key ] || die 'no private key in /etc/warren/private.key: make one with wg genkey'
wg set portals listen-port 51820 fwmark 0x3f000000 private-key /etc/warren/private.key
make_link portals-paris
[ -r /etc/warren/private.key ] || die 'no private key in /etc/warren/private.key: make one with wg genkey'
wg set portals-paris listen-port 51821 fwmark 0x3f000000 private-key /etc/warren/private.key
wg addconf portals /dev/stdin <<END
[Peer]
PublicKey = AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=
PresharedKey = $(cat /etc/warren/t.psk)
AllowedIPs = 10.77.0.3/32, fd77:7:7::3/128
Endpoint = 203.0.113.30:51820
PersistentKeepalive = 25
END
wg addconf portals-paris /dev/stdin <<END
[Peer]
PublicKey = AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
AllowedIPs = 0.0.0.0/0, ::/0
END
batch 4 <<'END'
address replace 10.77.0.1/32 dev portals
address replace 10.77.0.1/32 dev portals-paris
END
batch 6 <<'END'
address replace fd77:7:7::1/128 dev portals nodad
address replace fd77:7:7::1/128 dev portals-paris nodad
END
"$IP" link set dev portals mtu 1420 up
"$IP" link set dev portals-paris mtu 1420 up
setting net/ipv4/conf/portals/rp_filter 2 'answers come in by the tunnel'
batch 4 <<'END'
route replace unreachable 10.77.0.0/24 table 7700 metric 4294967295 proto 77
route replace unreachable 0.0.0.0/0 table 7701 metric 4294967295 proto 77
route replace 10.77.0.3/32 dev portals table 7700 proto 77
route replace 192.168.22.0/24 dev portals-paris table 7700 proto 77
route replace 0.0.0.0/0 dev portals-paris table 7701 src 10.77.0.1 proto 77
END
batch 6 <<'END'
route replace unreachable fd77:7:7::/64 table 7700 metric 4294967295 proto 77
route replace unreachable ::/0 table 7701 metric 4294967295 proto 77
route replace fd77:7:7::3/128 dev portals table 7700 proto 77
route replace ::/0 dev portals-paris table 7701 src fd77:7:7::1 proto 77
END
unbatch 4 <<'END'
rule del pref 7700 fwmark 0x3f000000/0x3f000000 lookup main protocol 77
rule del pref 7712 lookup 7700 protocol 77
rule del pref 7730 not fwmark 0x0/0x3f000000 unreachable protocol 77
rule del pref 7778 iif eth2 lookup 7701 protocol 77
END
batch 4 <<'END'
rule add pref 7700 fwmark 0x3f000000/0x3f000000 lookup main protocol 77
rule add pref 7712 lookup 7700 protocol 77
rule add pref 7730 not fwmark 0x0/0x3f000000 unreachable protocol 77
rule add pref 7778 iif eth2 lookup 7701 protocol 77
END
unbatch 6 <<'END'
rule del pref 7700 fwmark 0x3f000000/0x3f000000 lookup main protocol 77
rule del pref 7712 lookup 7700 protocol 77
rule del pref 7730 not fwmark 0x0/0x3f000000 unreachable protocol 77
rule del pref 7778 iif eth2 lookup 7701 protocol 77
END
batch 6 <<'END'
rule add pref 7700 fwmark 0x3f000000/0x3f000000 lookup main protocol 77
rule add pref 7712 lookup 7700 protocol 77
rule add pref 7730 not fwmark 0x0/0x3f000000 unreachable protocol 77
rule add pref 7778 iif eth2 lookup 7701 protocol 77
END
if has conntrack; then
    conntrack -D -f ipv4 -s 192.168.21.0/24 --mark 0x1000000/0x1000000 >/dev/null 2>&1 || :
    conntrack -D -f ipv4 -s 192.168.21.0/24 --mark 0x0/0x2000000 >/dev/null 2>&1 || :
    conntrack -D -f ipv4 -s 192.168.21.0/24 --mark 0x0/0x4000000 >/dev/null 2>&1 || :
    conntrack -D -f ipv4 -s 192.168.21.0/24 --mark 0x0/0x8000000 >/dev/null 2>&1 || :
    conntrack -D -f ipv4 -s 192.168.21.0/24 --mark 0x0/0x10000000 >/dev/null 2>&1 || :
    conntrack -D -f ipv4 -s 192.168.21.0/24 --mark 0x0/0x20000000 >/dev/null 2>&1 || :
else say 'conntrack is not installed: old flows keep their old path until they end'; fi
}

down() {
unbatch 4 <<'END'
rule del pref 7778 iif eth2 lookup 7701 protocol 77
rule del pref 7730 not fwmark 0x0/0x3f000000 unreachable protocol 77
rule del pref 7712 lookup 7700 protocol 77
rule del pref 7700 fwmark 0x3f000000/0x3f000000 lookup main protocol 77
END
unbatch 6 <<'END'
rule del pref 7778 iif eth2 lookup 7701 protocol 77
rule del pref 7730 not fwmark 0x0/0x3f000000 unreachable protocol 77
rule del pref 7712 lookup 7700 protocol 77
rule del pref 7700 fwmark 0x3f000000/0x3f000000 lookup main protocol 77
END
unbatch 4 <<'END'
route del 10.77.0.3/32 dev portals table 7700 proto 77
route del 192.168.22.0/24 dev portals-paris table 7700 proto 77
route del 0.0.0.0/0 dev portals-paris table 7701 src 10.77.0.1 proto 77
route del unreachable 10.77.0.0/24 table 7700 metric 4294967295 proto 77
route del unreachable 0.0.0.0/0 table 7701 metric 4294967295 proto 77
END
unbatch 6 <<'END'
route del fd77:7:7::3/128 dev portals table 7700 proto 77
route del ::/0 dev portals-paris table 7701 src fd77:7:7::1 proto 77
route del unreachable fd77:7:7::/64 table 7700 metric 4294967295 proto 77
route del unreachable ::/0 table 7701 metric 4294967295 proto 77
END
drop_link portals
drop_link portals-paris
iptables -w -D DOCKER-USER -i portals-paris -m comment --comment warren-portals/forward-in/portals-paris/0 -j ACCEPT 2>/dev/null || :
restore_settings
if has conntrack; then
    conntrack -D -f ipv4 -s 192.168.21.0/24 --mark 0x1000000/0x1000000 >/dev/null 2>&1 || :
    conntrack -D -f ipv4 -s 192.168.21.0/24 --mark 0x0/0x2000000 >/dev/null 2>&1 || :
    conntrack -D -f ipv4 -s 192.168.21.0/24 --mark 0x0/0x4000000 >/dev/null 2>&1 || :
    conntrack -D -f ipv4 -s 192.168.21.0/24 --mark 0x0/0x8000000 >/dev/null 2>&1 || :
    conntrack -D -f ipv4 -s 192.168.21.0/24 --mark 0x0/0x10000000 >/dev/null 2>&1 || :
    conntrack -D -f ipv4 -s 192.168.21.0/24 --mark 0x0/0x20000000 >/dev/null 2>&1 || :
else say 'conntrack is not installed: old flows keep their old path until they end'; fi
"firewall_${FIREWALL}_down"
}

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
