"""Confs on which real wg-quick and warren are compared: at least one for every key, and those people learn from.

The addresses fit the twin boxes of test_wg_quick.py. `{DIR}` stands for the box's private directory.
"""

from __future__ import annotations

from dataclasses import dataclass

from warren.model.key import encode_key

PRIVATE = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
PSK = "/UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak="
ANNA = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
BEN = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
CARL = "gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA="


@dataclass(frozen=True)
class Case:
    """One conf; `before` prepares the boxes, `differs` names the differences that are this conf's own."""

    text: str
    before: str = ""
    differs: tuple[str, ...] = ()


def conf(interface: str, *peers: str, key: bool = True) -> str:
    """Write a conf from the lines of its sections."""
    parts = ["[Interface]", f"PrivateKey = {PRIVATE}" if key else "", interface]
    for peer in peers:
        parts += ["", "[Peer]", peer]
    return "\n".join(part.strip() for part in parts) + "\n"


def peer(key: str, allowed: str = "", *more: str) -> str:
    """Write a peer's lines."""
    return "\n".join([f"PublicKey = {key}", *([f"AllowedIPs = {allowed}"] if allowed else []), *more])


FAR = "Endpoint = 198.51.100.7:51820"
MANY = ", ".join(f"10.{net // 250}.{net % 250}.0/24" for net in range(500, 620))

CASES: dict[str, Case] = {
    # --- the device ------------------------------------------------------------------------------------------
    "nothing but an address": Case(conf("Address = 10.0.0.1/24")),
    "no address at all": Case(conf("ListenPort = 51999", peer(ANNA, "10.5.0.0/16"))),
    "addresses in several ways": Case(conf("Address = 10.0.0.1/24, fd00::1/64\nAddress = 10.0.9.1\nAddress=fd09::1")),
    "a service for a port": Case(conf("Address = 10.0.0.1/24\nListenPort = openvpn")),
    "a mark without a full tunnel": Case(conf("Address = 10.0.0.1/24\nFwMark = 0x1234", peer(ANNA, "10.5.0.0/16"))),
    "a mark that is off": Case(conf("Address = 10.0.0.1/24\nFwMark = off", peer(ANNA, "10.5.0.0/16"))),
    "odd spelling": Case(
        f"# hello\n\n  [interface]\nprivatekey={PRIVATE}#key\n\taddress =10.0.0.1/24 ,  10.0.2.1/24 # two\n"
        f"listenport\t=\t51999\n#MTU = 900\n[PEER]\npublickey = {ANNA}\nallowedips=10.5.0.0/16,10.6.0.0 / 16\n"
    ),
    # --- peers -----------------------------------------------------------------------------------------------
    "keepalive, off and on": Case(
        conf(
            "Address = 10.0.0.1/24",
            peer(ANNA, "10.0.0.2/32", "PersistentKeepalive = 25"),
            peer(BEN, "10.0.0.3/32", "PersistentKeepalive = off"),
        )
    ),
    "a preshared key": Case(conf("Address = 10.0.0.1/24", peer(ANNA, "10.5.0.0/16", f"PresharedKey = {PSK}", FAR))),
    "endpoints of both families": Case(
        conf(
            "Address = 10.0.0.1/24",
            peer(ANNA, "10.5.0.0/16", FAR),
            peer(BEN, "10.6.0.0/16", "Endpoint = [2001:db8:9::7]:51821"),
        )
    ),
    "an endpoint by name": Case(conf("Address = 10.0.0.1/24", peer(ANNA, "10.5.0.0/16", "Endpoint = localhost:51820"))),
    "a prefix that two peers want": Case(
        conf("Address = 10.0.0.1/24", peer(ANNA, "10.5.0.0/16, 10.6.0.0/16"), peer(BEN, "10.5.0.0/16"))
    ),
    "a peer written twice": Case(
        conf("Address = 10.0.0.1/24", peer(ANNA, "10.5.0.0/16", FAR), peer(ANNA, "10.6.0.0/16"))
    ),
    "a peer that may send nothing": Case(conf("Address = 10.0.0.1/24", peer(ANNA), peer(BEN, "10.0.0.2/32"))),
    "a hundred peers": Case(
        conf(
            "Address = 10.9.0.1/16",
            *(peer(encode_key(bytes([n] * 32)), f"10.9.{n}.0/24, 10.{n}.0.0/16") for n in range(16, 116)),
        )
    ),
    # --- routes ----------------------------------------------------------------------------------------------
    "split, with host bits": Case(
        conf("Address = 10.0.0.1/24", peer(ANNA, "10.5.1.1/16, 172.16.0.0/12, fd05::/16", FAR))
    ),
    "what the device's subnets cover": Case(
        conf(
            "Address = 10.0.0.1/24, fd00::1/64, fd07::1/128, 10.7.0.1/32",
            peer(ANNA, "10.0.0.0/24, 10.0.0.2/32, 10.0.0.0/16, fd00::2/128, fd07::1/128, 10.7.0.1/32", FAR),
        )
    ),
    "halves of everything": Case(conf("Address = 10.0.0.1/24", peer(ANNA, "0.0.0.0/1, 128.0.0.0/1, ::/1, 8000::/1"))),
    "a table of its own": Case(conf("Address = 10.0.0.1/24\nTable = 1234", peer(ANNA, "0.0.0.0/0, 10.5.0.0/16, ::/0"))),
    "a table by name": Case(conf("Address = 10.0.0.1/24\nTable = main", peer(ANNA, "10.5.0.0/16"))),
    "no routes": Case(conf("Address = 10.0.0.1/24\nTable = off", peer(ANNA, "0.0.0.0/0, ::/0, 10.5.0.0/16", FAR))),
    "many routes": Case(conf("Address = 10.0.0.1/24", peer(ANNA, MANY, FAR))),
    # --- full tunnels ----------------------------------------------------------------------------------------
    "all of IPv4": Case(conf("Address = 10.0.0.2/32", peer(ANNA, "0.0.0.0/0", FAR))),
    "all of IPv6": Case(conf("Address = 10.0.0.2/32, fd00::2/128", peer(ANNA, "::/0", FAR))),
    "all of both": Case(
        conf("Address = 10.0.0.2/24, fd00::2/64\nTable = auto", peer(ANNA, "0.0.0.0/0, ::/0, 10.5.0.0/16", FAR))
    ),
    "everything, and a mark of one's own": Case(
        conf("Address = 10.0.0.2/32\nFwMark = 4660", peer(ANNA, "0.0.0.0/0", FAR))
    ),
    "everything, where 51820 is taken": Case(
        conf("Address = 10.0.0.2/32", peer(ANNA, "0.0.0.0/0", FAR)),
        before="ip -6 route add fd66::/64 dev up0 table 51820",
    ),
    "two peers want everything": Case(
        conf("Address = 10.0.0.2/32", peer(ANNA, "0.0.0.0/0", FAR), peer(BEN, "0.0.0.0/0"))
    ),
    # --- MTU -------------------------------------------------------------------------------------------------
    "an MTU": Case(conf("Address = 10.0.0.1/24\nMTU = 1300", peer(ANNA, "10.5.0.0/16", FAR))),
    "the MTU of the way there": Case(
        conf("Address = 10.0.0.1/24", peer(ANNA, "10.5.0.0/16", FAR)),
        before="ip route add 198.51.100.0/24 via 192.0.2.1 mtu 1400",
    ),
    "two ways of different width": Case(
        conf(
            "Address = 10.0.0.1/24",
            peer(ANNA, "10.5.0.0/16", FAR),
            peer(BEN, "10.6.0.0/16", "Endpoint = 203.0.113.9:1"),
        ),
        before="ip route add 198.51.100.0/24 via 192.0.2.1 mtu 1400",
        differs=("the narrowest way decides",),
    ),
    "no way to speak of": Case(
        conf("Address = 10.0.0.1/24", peer(ANNA, "10.5.0.0/16")), before="ip link set up0 mtu 1480"
    ),
    # --- DNS -------------------------------------------------------------------------------------------------
    "resolvers and domains": Case(
        conf("Address = 10.0.0.1/24\nDNS = 10.0.0.53, fd00::53, corp.example\nDNS = lab.example")
    ),
    "domains alone": Case(conf("Address = 10.0.0.1/24\nDNS = corp.example")),
    "resolvers, ranked": Case(
        conf("Address = 10.0.0.1/24\nDNS = 10.0.0.53"),
        before="mkdir -p /etc/resolvconf; printf 'lo.*\\ntun*\\nwg*\\n' > /etc/resolvconf/interface-order",
    ),
    # --- hooks -----------------------------------------------------------------------------------------------
    "hooks in their order": Case(
        conf(
            "Address = 10.0.0.1/24\nPostUp = echo 2 %i >> {DIR}/said\nPreUp = echo 1 %i %i >> {DIR}/said\n"
            "PostUp = x=3; echo $x $(ip -br addr show %i | grep -c 10.0.0.1) >> {DIR}/said\n"
            "PreDown = ip link show %i > /dev/null && echo 4 >> {DIR}/said\n"
            "PostDown = ! ip link show %i 2> /dev/null && echo 5 >> {DIR}/said"
        )
    ),
    "a key set by a hook": Case(
        conf(
            f"Address = 10.0.0.1/24\nPostUp = wg set %i private-key <(echo {PRIVATE})",
            peer(ANNA, "10.5.0.0/16"),
            key=False,
        )
    ),
    "a hook that sees to SSH (wg-quick(8))": Case(
        conf(
            "Address = 10.192.122.1/24\nListenPort = 51820\nTable = 1234\n"
            "PostUp = ip rule add ipproto tcp dport 22 table 1234\n"
            "PreDown = ip rule delete ipproto tcp dport 22 table 1234",
            peer(ANNA, "0.0.0.0/0"),
        )
    ),
    "a number sign in a hook": Case(
        conf("Address = 10.0.0.1/24\nPostUp = echo 'a # b' >> {DIR}/said"), differs=("hooks keep their number signs",)
    ),
    # --- what people learn from ------------------------------------------------------------------------------
    "wg-quick(8): a client": Case(
        conf(
            "Address = 10.200.100.8/24\nDNS = 10.200.100.1",
            peer(ANNA, "0.0.0.0/0", f"PresharedKey = {PSK}", "Endpoint = 198.51.100.1:51820"),
        )
    ),
    "wg-quick(8): a server": Case(
        conf(
            "Address = 10.192.122.1/24\nAddress = 10.10.0.1/16\nListenPort = 51820",
            peer(ANNA, "10.192.122.3/32, 10.192.124.1/24"),
            peer(BEN, "10.192.122.4/32, 192.168.0.0/16"),
            peer(CARL, "10.10.10.230/32"),
        )
    ),
    # The tutorial's key lacks its last character, and both its ends are 10.0.0.1: corrected.
    "the tutorial's client": Case(
        conf(
            "ListenPort = 48574\nAddress = 10.0.0.1/24\nDNS = 8.8.8.8",
            peer(ANNA, "10.0.0.2/32", "Endpoint = 23.45.67.89:39814"),
        )
    ),
    "the tutorial's server": Case(
        conf(
            "Address = 10.0.0.2/24\n"
            "PostUp = iptables -A FORWARD -i %i -j ACCEPT; iptables -t nat -A POSTROUTING -o up0 -j MASQUERADE\n"
            "PostDown = iptables -D FORWARD -i %i -j ACCEPT; iptables -t nat -D POSTROUTING -o up0 -j MASQUERADE\n"
            "ListenPort = 39814",
            peer(ANNA, "10.0.0.1/32"),
        )
    ),
    "the tutorial's full tunnel": Case(
        conf("Address = 192.168.57.1/24\nDNS = 8.8.8.8", peer(ANNA, "0.0.0.0/0", "Endpoint = 23.45.67.89:39814"))
    ),
    "recursive: the phone": Case(
        conf(
            "Address = 192.168.17.69/24",
            peer(ANNA, "192.168.17.1/32, 192.168.16.0/24", "Endpoint = 198.51.100.7:13131", "PersistentKeepalive = 25"),
        )
    ),
    # Its draft forwards WireGuard's own port into the tunnel that this port carries: accepted first, as in the
    # finished post.
    "recursive: the gateway": Case(
        conf(
            "Address = 10.0.18.1/30\nListenPort = 51820\nPreUp = sysctl -q net.ipv4.ip_forward=1\n"
            "PreUp = iptables -t nat -A PREROUTING -i up0 -p udp --dport 51820 -j ACCEPT\n"
            "PreUp = iptables -t nat -A PREROUTING -i up0 -p tcp --dport 2222 -j ACCEPT\n"
            "PreUp = iptables -t nat -A PREROUTING -i up0 -j DNAT --to-destination 10.0.18.2\n"
            "PostDown = iptables -t nat -D PREROUTING -i up0 -p udp --dport 51820 -j ACCEPT\n"
            "PostDown = iptables -t nat -D PREROUTING -i up0 -p tcp --dport 2222 -j ACCEPT\n"
            "PostDown = iptables -t nat -D PREROUTING -i up0 -j DNAT --to-destination 10.0.18.2",
            peer(ANNA, "10.0.18.2/32"),
        )
    ),
    "recursive: the router": Case(
        conf(
            "Address = 10.0.18.2/30\nTable = 100\n"
            "PreUp = iptables -t mangle -A PREROUTING -i %i -m state --state NEW -j CONNMARK --set-mark 10\n"
            "PreUp = iptables -t mangle -A PREROUTING ! -i %i -m connmark --mark 10 -j MARK --set-mark 10\n"
            "PostUp = ip rule add fwmark 10 table 100 priority 456\n"
            "PostUp = ip rule add from 10.0.18.2 table 100 priority 456\n"
            "PostDown = ip rule del fwmark 10 table 100 priority 456\n"
            "PostDown = ip rule del from 10.0.18.2 table 100 priority 456\n"
            "PostDown = iptables -t mangle -F PREROUTING",
            peer(ANNA, "0.0.0.0/0", "Endpoint = 198.51.100.7:51820", "PersistentKeepalive = 25"),
        )
    ),
    "recursive: the private VPN": Case(
        conf("Address = 192.168.17.1/24\nListenPort = 13131\nMTU = 1340", peer(ANNA, "192.168.17.69/32"))
    ),
}  # fmt: skip
