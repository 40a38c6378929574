"""Keys, endpoints, addresses, and the places they make."""

from __future__ import annotations

from warren.core.codes.code import ERROR, WARNING, Code

CODES: dict[str, Code] = {
    # --- keys and secrets ---------------------------------------------------------------------------------
    "W030": Code(
        ERROR,
        "no key",
        "A host is known to its peers by its public key. (The lab makes keys for files that carry none.)",
        "nyc: {endpoint: nyc.example.net:51820, uplink: eth0}",
        "Run `warren keys gen` on that host and paste the public key.",
    ),
    "W031": Code(
        ERROR,
        "a bad key",
        "A WireGuard key is 32 bytes, written as 44 characters of base64 that end in `=`.",
        "key: kJx0g",
        "Copy the key again, as a whole: `wg show` and `warren keys pub` print it.",
    ),
    "W032": Code(
        ERROR,
        "the all-zero key",
        "Nobody can have the key of 32 zero bytes; it stands for `no key` in WireGuard.",
        "key: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "Put the host's own public key there.",
    ),
    "W033": Code(
        ERROR,
        "a private key where a public one belongs",
        "These bytes are shaped as `wg genkey` shapes private keys and are no public key. Whoever has read the "
        "file can pose as the host.",
        "key: (the output of `wg genkey`)",
        "Make a new pair with `warren keys gen`, put its public key here and remove the old key from the file's "
        "history.",
    ),
    "W034": Code(
        ERROR,
        "a key used twice",
        "Two hosts have the same public key. WireGuard tells peers apart by nothing else, so each would take the "
        "other's packets.",
        "nyc: {key: kJx0…=}\nparis: {key: kJx0…=}",
        "Make a pair of its own for one of them.",
    ),
    "W035": Code(
        ERROR,
        "a secret's path that is not absolute",
        "Secrets lie in files on the hosts; the network file says where, as an absolute path without spaces. A key "
        "itself has no business here.",
        "private_key: keys/nyc.key",
        "Write the path from the root, for instance /etc/warren/private.key.",
    ),
    "W036": Code(
        ERROR,
        "a preshared key that only one end has",
        "A preshared key works only where both ends of a tunnel have it; otherwise no handshake ever completes.",
        "nyc: {psk: {paris: /etc/warren/paris.psk}}\nparis: {}",
        "Name the file at both hosts (`psk: {OTHER: PATH}`), or at neither.",
    ),
    # --- endpoints, ports, who can dial whom --------------------------------------------------------------
    "W040": Code(
        ERROR,
        "a bad endpoint",
        "An endpoint says where others dial the host: a DNS name or an address that is reachable from the internet, a "
        "colon and a UDP port. IPv6 addresses stand in brackets.",
        "endpoint: 2001:db8::1:51820",
        "Write NAME:PORT, ADDRESS:PORT or [IPV6]:PORT.",
    ),
    "W041": Code(
        ERROR,
        "a bad port",
        "UDP ports are the numbers 1 to 65535.",
        "port: 70000",
        "Write a number from 1 to 65535; WireGuard's usual one is 51820.",
    ),
    "W042": Code(
        ERROR,
        "two claims to one port",
        "Two hosts, or two devices of a host, would listen on the same port of the same address; only one could hear.",
        "nyc: {endpoint: home.example.net:51820}\nlab: {endpoint: home.example.net:51820}",
        "Give one of them another port.",
    ),
    "W043": Code(
        ERROR,
        "nobody can dial",
        "A tunnel needs one end that the other can dial. Hosts without an endpoint cannot reach each other unless "
        "a hub passes their packets on.",
        "hosts:\n  home: {uplink: wan}\n  cabin: {uplink: wan}",
        "Give one of them an `endpoint:`, or name a host that has one as `hub:`.",
    ),
    "W044": Code(
        ERROR,
        "a hub that cannot be one",
        "The hub passes packets on between hosts that cannot dial each other, so all of them must be able to dial it.",
        "hub: home   # which has no endpoint",
        "Name a host of the network that has an endpoint.",
    ),
    "W045": Code(
        ERROR,
        "MTU below what IPv6 needs",
        "IPv6 is not possible over links that carry less than 1280 bytes (RFC 8200, section 5), and the overlay has "
        "IPv6. WireGuard takes 60 bytes of the uplink's MTU over IPv4 and 80 over IPv6.",
        "mtu: 1200",
        "Raise the MTU to 1280 or more, or leave IPv6 out of `overlay:`.",
    ),
    # --- addresses ----------------------------------------------------------------------------------------
    "W050": Code(
        ERROR,
        "a bad address or prefix",
        "The text is no IPv4 or IPv6 address or prefix, or one that cannot be used for this.",
        "overlay: [10.77.0.0/33]",
        "Write an address such as 192.168.1.1 or 2001:db8::1, a prefix such as 192.168.1.0/24 or fd77::/64.",
    ),
    "W051": Code(
        ERROR,
        "host bits set",
        "A prefix names a whole network, but the part after its length is not zero: one address was written, or the "
        "length is wrong.",
        "overlay: [10.77.0.1/24]",
        "Write the network that the hint names, or correct the length.",
    ),
    "W052": Code(
        ERROR,
        "no address for a router",
        "A LAN's `address:` is the host's own address there with the LAN's prefix length, as `ip address` shows "
        "it. The network's own or its broadcast address cannot be one.",
        "lans:\n  eth1: {address: 192.168.1.0/24}",
        "Write the host's address on that LAN.",
    ),
    "W053": Code(
        ERROR,
        "overlay too small",
        "Every host gets an address in each overlay prefix, and so does every portal that passes a relay.",
        "overlay: [10.77.0.0/30]   # with five hosts",
        "Write a shorter prefix length; addresses that are allotted stay as they are.",
    ),
    "W054": Code(
        ERROR,
        "overlay overlaps a LAN",
        "Tunnel addresses would be taken for machines on the LAN, and the other way round.",
        "overlay: [192.168.0.0/16]\n# … and a LAN with 192.168.1.1/24",
        "Choose a prefix for the overlay that no site uses, for instance one of 10.64.0.0/10 or of fd00::/8. An "
        "overlay that is carved out of a LAN's own subnet, with a router that answers ARP for it (proxy ARP), is not "
        "supported and not needed: the machines of the LAN reach tunnel addresses through their router, like "
        "everything else that is not in their subnet.",
    ),
    "W055": Code(
        ERROR,
        "two overlay prefixes of one family",
        "A host has one tunnel address per family.",
        "overlay: [10.77.0.0/24, 10.78.0.0/24]",
        "Keep one IPv4 and one IPv6 prefix; a single larger one holds more hosts.",
    ),
    "W056": Code(
        WARNING,
        "overlay is public",
        "The overlay's addresses are somebody's on the internet; from inside the network those machines cannot be "
        "reached.",
        "overlay: [8.8.8.0/24]",
        "Take a prefix of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10 or fd00::/8, unless the "
        "addresses are yours.",
    ),
    "W057": Code(
        ERROR,
        "two LANs of one host overlap",
        "The host's kernel would have two ways to the same address and always take one of them.",
        "eth1: {address: 192.168.1.1/24}\neth2: {address: 192.168.1.129/25}",
        "Renumber one of them, or bridge the two.",
    ),
    "W058": Code(
        WARNING,
        "allowed IPs that would shadow each other",
        "A LAN of one host lies inside a wider LAN of another. As allowed IPs of two peers the longer prefix would "
        "take packets from the shorter, so warren announces neither.",
        "a: {lans: {eth1: {address: 10.0.0.1/8}}}\nb: {lans: {eth1: {address: 10.1.0.1/16}}}",
        "Give each a prefix of its own in the network (`map: auto`), or narrow the wider one to what it uses, or "
        "renumber one of them.",
    ),
    # --- places -------------------------------------------------------------------------------------------
    "W060": Code(
        ERROR,
        "not a place",
        "A place is `HOST`, `HOST.LAN`, `HOST.ADDRESS`, `HOST.PREFIX`, `HOST.LAN.MAC` or `internet`.",
        "from: nyc/eth2",
        "Write the place in one of these forms.",
    ),
    "W061": Code(
        ERROR,
        "unknown host",
        "No host of this name is in the file.",
        "exit: pariss",
        "Use the name that is suggested, or add the host under `hosts:`.",
    ),
    "W062": Code(
        ERROR,
        "unknown LAN",
        "The host has no LAN on a device of this name.",
        "from: nyc.eth9",
        "Use one of the LANs that the hint names, or add it under the host's `lans:`.",
    ),
    "W063": Code(
        ERROR,
        "an address outside the host's LANs",
        "An address or prefix after a host's name means machines on one of its LANs, and it lies in none of them.",
        "from: nyc.10.1.2.3",
        "Correct the address, or give the LAN that has it its `address:`.",
    ),
    "W064": Code(
        ERROR,
        "a place that cannot be used here",
        "The place exists, but nothing can enter a portal there, or start or end there.",
        "portals:\n  - {from: internet, exit: nyc}",
        "Name a host, a LAN, or a machine on a LAN.",
    ),
}
