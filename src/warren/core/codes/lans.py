"""What warren does for machines on LANs: addresses, radio, devices that it makes."""

from __future__ import annotations

from warren.core.codes.code import ERROR, WARNING, Code

CODES: dict[str, Code] = {
    "W209": Code(
        WARNING,
        "a portal whose names are asked for elsewhere",
        "Machines of a LAN that warren serves ask the LAN's one resolver. A portal of a part of it leads their packets "
        "away, but not what the resolver asks for them.",
        "lans: {eth2: {address: 192.168.21.1/24, dhcp: true}}\n# … and\nportals: [{from: "
        "nyc.eth2.02:00:5e:00:00:32, exit: paris}]",
        "Give these machines a LAN of their own, or the whole LAN a portal by the same exit. A machine that is told "
        "another resolver (one out there) asks it through its portal.",
    ),
    "W210": Code(
        ERROR,
        "leases that do not fit the LAN",
        "Addresses are given out of the LAN's own IPv4 subnet, never the router's, and never its first or last.",
        "eth2: {address: 192.168.21.1/24, dhcp: {range: 192.168.1.100-192.168.1.199}}",
        "Write two addresses of the LAN's subnet with a hyphen between, or `dhcp: true`.",
    ),
    "W211": Code(
        ERROR,
        "a lease that is too short or too long",
        "A lease shorter than two minutes would fill the air with renewals; one longer than 30 days never comes free.",
        "eth2: {address: 192.168.21.1/24, dhcp: {lease: 5s}}",
        "Write `30m`, `12h` or `7d`, or leave it out for 12 hours.",
    ),
    "W212": Code(
        ERROR,
        "a fixed address that cannot be given",
        "A machine is known by its MAC, and has one address of the LAN's subnet that nobody else has.",
        "eth2: {address: 192.168.21.1/24, dhcp: {static: {'02:00:5e:00:00:32': 192.168.1.50}}}",
        "Write a MAC as `ip link` shows it, and a free address of the LAN's subnet.",
    ),
    "W213": Code(
        ERROR,
        "advertisements without a /64",
        "Machines make their own addresses (SLAAC) of an announced /64, and of no other length.",
        "eth2: {address: 192.168.21.1/24, ra: true}",
        "Give the LAN an IPv6 address of a /64, for instance `fd21::1/64`, or take `ra:` out.",
    ),
    "W214": Code(
        ERROR,
        "a hotspot's name that cannot be one",
        "A name has at most 32 octets (a letter with an accent has two), and all of it can be seen.",
        "wifi: {ssid: a name that is much too long for a hotspot, passphrase_file: /etc/warren/wifi.psk, country: FR}",
        "Choose a shorter name of plain characters.",
    ),
    "W215": Code(
        ERROR,
        "no country of a hotspot",
        "Which channels may be used, and how strongly, is a country's law; a radio sends by the rules of the one that "
        "is named.",
        "wifi: {ssid: Paris, passphrase_file: /etc/warren/wifi.psk, country: France}",
        "Write the two capital letters (ISO 3166) of where it stands.",
    ),
    "W216": Code(
        ERROR,
        "a channel that is not in the band",
        "2.4 GHz has the channels 1 to 13 (in America 1 to 11), 5 GHz every fourth from 36 to 64, from 100 to 144 and "
        "from 149 to 165.",
        "wifi: {ssid: Paris, passphrase_file: /etc/warren/wifi.psk, country: FR, band: 2.4, channel: 36}",
        "Write one that is, or leave it out: 6, and 36 for 5 GHz.",
    ),
    "W217": Code(
        ERROR,
        "a device that cannot be made",
        "A device that warren makes is either a VLAN or a bridge, a hotspot's is a radio, and a port of a bridge is "
        "nothing else beside.",
        "br0: {address: 10.30.0.1/24, bridge: [eth3, eth4], vlan: {of: eth0, id: 30}}",
        "Name another device, or take the word out.",
    ),
    "W218": Code(
        ERROR,
        "nothing to reflect between",
        "What is said on one LAN is repeated on the host's others, so there must be two.",
        "hosts:\n  nyc: {uplink: eth0, reflect: [mdns], lans: {eth1: {address: 192.168.1.1/24}}}",
        "Take `reflect:` out, or add the other LAN.",
    ),
    "W219": Code(
        WARNING,
        "advertisements that a delegate makes already",
        "Who announces a delegated prefix announces all of the LAN's, so that a LAN has one announcer.",
        "delegate: [{prefix: '2001:db8::/56', from: r2, to: r1, lans: [lan]}]\n# … and\nlan: {address: ['fd11::1/64'], "
        "ra: true}",
        "Take `ra:` out.",
    ),
}
