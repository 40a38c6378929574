"""The table of everything check can find: one row per code, from which docs/errors.md is generated.

A code never changes its meaning. Rows say what is true of every finding of the code; the finding itself names
the hosts, the values and the very remedy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from warren.core.source import Source, without_keys
from warren.model.diagnostic import Diagnostic, Severity, Where

ERROR, WARNING = Severity.ERROR, Severity.WARNING


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of finding: why it is one, a snippet that has it, and what to do."""

    severity: Severity
    title: str
    why: str
    example: str
    remedy: str


GROUPS: tuple[tuple[str, str], ...] = (
    ("W00", "The file as text"),
    ("W01", "Words and values"),
    ("W02", "Names"),
    ("W03", "Keys and secrets"),
    ("W04", "Endpoints, ports and who can dial whom"),
    ("W05", "Addresses"),
    ("W06", "Places"),
    ("W07", "Portals"),
    ("W08", "Expectations"),
    ("W09", "The lab"),
    ("W10", "The lock file"),
    ("W11", "What is published"),
    ("W12", "Devices"),
    ("W13", "Delegated prefixes"),
    ("W14", "Mapped LANs"),
    ("W15", "Rendering for other machines"),
    ("W17", "Countries and lists"),
)

CODES: dict[str, Code] = {
    # --- the file as text --------------------------------------------------------------------------------
    "W001": Code(
        ERROR,
        "not UTF-8",
        "The file is read as UTF-8. A byte that is no part of a UTF-8 character usually comes from an editor that "
        "saved the file as Latin-1.",
        "uplink: eth0 # Z\\xfcrich",
        "Save the file as UTF-8, or replace the character.",
    ),
    "W002": Code(
        ERROR,
        "a control character",
        "NUL bytes, escape sequences and other invisible control characters cannot stand in YAML, and could hide text "
        "from a reader.",
        "network: port\\x00als",
        "Delete the character.",
    ),
    "W003": Code(
        ERROR,
        "not YAML",
        "The text breaks the grammar of YAML, so nothing after this place can be understood.",
        "overlay: [10.77.0.0/24",
        "Mend the line. Frequent causes: a bracket or quote that is never closed, a tab used to indent, "
        "indentation that does not line up, a value with `: ` or a trailing `:` that needs quotes.",
    ),
    "W004": Code(
        ERROR,
        "larger than any network",
        "Warren reads files of at most 4 MiB, 200,000 values and 24 levels of nesting, so that no file, whatever its "
        "origin, can use up a machine's memory or time.",
        "hosts: [[[[[[[[[[[[[[[[[[[[[[[[[ … ]]]]]]]]]]]]]]]]]]]]]]]]]",
        "Take out what does not belong there. A network of 1,000 hosts needs about 200 KiB.",
    ),
    "W005": Code(
        ERROR,
        "YAML that warren does not read",
        "Anchors, aliases, merge keys, tags and keys that are no plain words make a file say something else than a "
        "reader sees, so warren reads none of them.",
        "nyc: &site {uplink: eth0}\nparis: *site",
        "Write the value out where it is meant.",
    ),
    "W006": Code(
        ERROR,
        "more than one document",
        "A network is one document in one file; what follows a second `---` would be ignored otherwise.",
        "network: one\n---\nnetwork: two",
        "Move the second document into a file of its own.",
    ),
    "W008": Code(
        ERROR,
        "too many findings",
        "Warren stops after 1,000 findings; there may be more.",
        "hosts: (a thousand mistakes)",
        "Mend the findings listed, then run check again.",
    ),
    # --- words and values --------------------------------------------------------------------------------
    "W010": Code(
        ERROR,
        "unknown key",
        "Warren knows no such key here, and an ignored key would be a promise broken in silence.",
        "endpont: nyc.example.net:51820",
        "Use the key that is suggested, or delete it. docs/network-file.md lists the keys of each place.",
    ),
    "W011": Code(
        ERROR,
        "missing key",
        "Something without which the entry means nothing is not there.",
        "portals:\n  - {from: nyc.eth2}",
        "Add the key that is named.",
    ),
    "W012": Code(
        ERROR,
        "wrong type",
        "A list, a mapping, a text, a number or a true/false stands where another of them belongs.",
        "overlay: {v4: 10.77.0.0/24}",
        "Write the value in the form that the hint shows.",
    ),
    "W013": Code(
        ERROR,
        "duplicate key",
        "The same key stands twice in one mapping. YAML programs disagree on which of the two counts.",
        "uplink: eth0\nuplink: wan0",
        "Delete one of the two.",
    ),
    "W014": Code(
        ERROR,
        "duplicate host",
        "Two hosts have the same name.",
        "hosts:\n  nyc: …\n  nyc: …",
        "Rename one of them, or merge the two.",
    ),
    "W015": Code(
        ERROR,
        "not in this version yet",
        "The word belongs to the language of network files, but this version of warren cannot do it. It is refused "
        "rather than ignored.",
        "portals:\n  - {from: nyc.eth2, exit: paris, dns: exit}",
        "Take the word out until a version has it.",
    ),
    "W016": Code(
        ERROR,
        "a value that is not allowed",
        "The value is none of the words that are allowed here, or a number out of range.",
        "nat: masquerade",
        "Use one of the values that the hint lists.",
    ),
    # --- names -------------------------------------------------------------------------------------------
    "W020": Code(
        ERROR,
        "a name that cannot be used",
        "Names of networks, hosts and NATs appear in names of devices, firewall tables and namespaces: lower-case "
        "letters, digits and hyphens, beginning with a letter. A network's name has at most 15 characters, others 32. "
        "`internet`, `kept`, `true` and `false` have a meaning of their own.",
        "hosts:\n  New_York: …",
        "Choose another name; the hint makes a proposal.",
    ),
    "W021": Code(
        ERROR,
        "a device name that cannot be used",
        "Linux gives device names at most 15 characters, without slashes, colons or spaces (`lo`, `all` and `default` "
        "mean something else). Warren takes letters, digits and `_ . - @`.",
        "uplink: enp0s31f6-to-the-attic",
        "Write the device's name as `ip link` shows it.",
    ),
    "W022": Code(
        ERROR,
        "one device, two roles",
        "A host's uplink leads to the internet and its LANs do not; one device cannot be both.",
        "uplink: eth0\nlans:\n  eth0: {address: 192.168.1.1/24}",
        "Name the device that leads to the internet as uplink, and only the others under `lans:`.",
    ),
    # --- keys and secrets --------------------------------------------------------------------------------
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
    # --- endpoints, ports, who can dial whom -------------------------------------------------------------
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
    # --- addresses ---------------------------------------------------------------------------------------
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
    # --- places ------------------------------------------------------------------------------------------
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
    # --- portals -----------------------------------------------------------------------------------------
    "W070": Code(
        ERROR,
        "a portal to its own host",
        "What enters a portal leaves by the uplink of another host; by its own host's uplink it leaves anyway.",
        "portals:\n  - {from: nyc.eth2, exit: nyc}",
        "Name another host as exit, or delete the portal.",
    ),
    "W071": Code(
        ERROR,
        "a chain that comes back",
        "A chain passes each host once: entry, the hosts of `via:` (and the hub where two neighbours cannot dial each "
        "other), exit. A host that is met twice could not tell the two passes apart.",
        "portals:\n  - {from: nyc.eth2, via: [paris, nyc], exit: tokyo}",
        "Take the host that repeats out of `via:`.",
    ),
    "W072": Code(
        ERROR,
        "two portals claim the same source",
        "A packet can leave by one exit only, and neither portal is more specific than the other.",
        "portals:\n  - {from: nyc.eth2, exit: paris}\n  - {from: nyc.eth2, exit: tokyo}",
        "Delete one, narrow one to part of the LAN, or write `family: ipv4` at one and `family: ipv6` at the other.",
    ),
    "W073": Code(
        ERROR,
        "a portal that leaves the other family open",
        "An IPv4 address says nothing about the IPv6 of the same machine (and the other way round), which would go on "
        "leaving by the uplink without anybody noticing.",
        "portals:\n  - {from: nyc.192.168.1.50, exit: tokyo}",
        "Name the machine by its MAC (`nyc.eth1.02:00:5e:00:00:32`: both families), add a portal for its address "
        "of the other family, or write `family:` to say that one family is all you mean.",
    ),
    "W074": Code(
        ERROR,
        "an exception that can never match",
        "No packet that the portal would otherwise carry goes to this prefix, so the exception does not do what it "
        "says.",
        "portals:\n  - {from: nyc.eth2, exit: paris, family: ipv4, except: ['2001:db8::/32']}",
        "Delete it, or correct the prefix.",
    ),
    "W075": Code(
        ERROR,
        "a path that needs an address nobody can answer",
        "A LAN that overlaps another host's, or is `closed: true`, is not announced: other hosts have no route to its "
        "machines, and cannot answer them under their own addresses.",
        "portals:\n  - {from: nyc.eth1, exit: paris, nat: routed}   # paris has the same subnet",
        "At a portal, write `nat: snat`. For a path to a LAN that overlaps another, give it a prefix of its own in the "
        "network: `map: auto`, or `map: 10.99.1.0/24`. Take `closed: true` away from one that is closed.",
    ),
    "W076": Code(
        ERROR,
        "a chain that is not translated",
        "The hosts on a chain know its packets by overlay addresses of the chain's own, so it cannot keep its source.",
        "portals:\n  - {from: nyc.eth2, via: [paris], exit: tokyo, nat: routed}",
        "Write `nat: snat`, or take the relay out.",
    ),
    "W077": Code(
        WARNING,
        "a portal that carries nothing",
        "The portal is for one family only, and the overlay has no prefix of it: all that enters is rejected.",
        "overlay: [10.77.0.0/24]\nportals:\n  - {from: nyc.eth2, exit: paris, family: ipv6}",
        "Add a prefix of that family to `overlay:`, or delete the portal if you do not want the traffic to be blocked.",
    ),
    "W078": Code(
        ERROR,
        "too many portals for one host",
        "Warren's share of a host is 100 routing tables (one for the network itself and one for each next hop of a "
        "portal) and 60 packet marks (one for each portal of a MAC address and each gateway that publishes something).",
        "portals: (62 portals of single MAC addresses on one host)",
        "Give machines that share an exit a LAN or an address range of their own, and make that the portal's source.",
    ),
    "W079": Code(
        ERROR,
        "a family that the source does not have",
        "The place is an address of one family, and `family:` names the other.",
        "portals:\n  - {from: nyc.192.168.1.50, exit: paris, family: ipv6}",
        "Correct `family:` or the address.",
    ),
    # --- expectations ------------------------------------------------------------------------------------
    "W080": Code(
        ERROR,
        "an expectation that asks nothing",
        "It says from where to where, but not what should come of it.",
        "expect:\n  - {from: nyc.eth2, to: 1.1.1.1}",
        "Add `exit:`, `arrives: true` or `blocked: true`.",
    ),
    "W081": Code(
        ERROR,
        "an expectation that contradicts itself",
        "No packet could fulfil all of it.",
        "expect:\n  - {from: nyc.eth2, to: 1.1.1.1, exit: paris, blocked: true}",
        "Split it in two, or delete what is not meant.",
    ),
    "W082": Code(
        ERROR,
        "not a target",
        "`to:` is a place, an address or a DNS name, and then perhaps a protocol and port.",
        "to: 1.1.1.1:443",
        "Write for instance `1.1.1.1 tcp/443`, `paris.eth1` or `example.com udp/53`.",
    ),
    "W083": Code(
        ERROR,
        "nothing there that could be down",
        "`down:` lists hosts, and tunnels as two hosts with a hyphen between them.",
        "when: {down: [nyc-berlin]}",
        "Name hosts of the file, and only tunnels that two hosts have with each other.",
    ),
    # --- the lab -----------------------------------------------------------------------------------------
    "W090": Code(
        ERROR,
        "unknown NAT",
        "The lab has no NAT of this name.",
        "lab: {place: {paris: caffee}}",
        "Use a name from `nats:`, or add it there.",
    ),
    "W091": Code(
        ERROR,
        "a NAT in two places",
        "A NAT box has one uplink: it stands either on the internet or behind one other NAT, for all hosts alike.",
        "place: {home: [cgnat, box], cabin: box}",
        "Write the same NATs in front of it everywhere, or give it a second name.",
    ),
    "W092": Code(
        WARNING,
        "an endpoint that the lab cannot dial",
        "The host has an endpoint, but `verify` and the lab forward no ports: nobody can dial it there if `lab:` "
        "places it behind a NAT, or if it listens at another port (`port:`) than its endpoint's. On the real network "
        "all may be well.",
        "nyc: {endpoint: nyc.example.net:51820}\nlab: {place: {nyc: cafe}}\n\n"
        "nyc: {endpoint: nyc.example.net:443, port: 51820}   # the router forwards 443 to 51820",
        "Behind a NAT: place the host on `internet`, or take its endpoint away. With a port forward: leave it so, and "
        "try the network without `port:`.",
    ),
    # --- the lock file -----------------------------------------------------------------------------------
    "W100": Code(
        WARNING,
        "no lock file",
        "Addresses, ports and device names of tunnels are allotted once and kept in a lock file beside the network "
        "file. Without it they are made up for this run; nothing is applied.",
        "warren apply portals.yaml   # and no portals.lock",
        "Run `warren lock FILE` and put the lock into git with the file.",
    ),
    "W101": Code(
        ERROR,
        "lock out of date",
        "The network file asks for something that the lock has not allotted, or no longer asks for what it has.",
        "hosts: (one more than in portals.lock)",
        "Run `warren lock FILE`. What is allotted and still needed stays as it is.",
    ),
    "W102": Code(
        ERROR,
        "not a lock file",
        "The lock is not what `warren lock` writes: a merge went wrong, or it was edited.",
        "hosts: {nyc: {addresses: 10.77.0.1}}",
        "Mend the place, or take the file from git as it was and run `warren lock FILE`.",
    ),
    "W103": Code(
        ERROR,
        "the lock gives something twice",
        "Two hosts have the same tunnel address, or two devices of a host the same name or port. This happens when two "
        "branches that both added a host are merged.",
        "nyc: {addresses: [10.77.0.4]}\nparis: {addresses: [10.77.0.4]}",
        "Delete the newer of the two entries and run `warren lock FILE`.",
    ),
    # --- what is published -------------------------------------------------------------------------------
    "W110": Code(
        ERROR,
        "ports published twice",
        "A port of a gateway leads to one machine. Where a narrower publish lies within a wider one it wins; of two "
        "that are equal, or that overlap in part, neither is the narrower.",
        "publish:\n  - {at: cloud, to: home, ports: [tcp/8000-8100]}\n"
        "  - {at: cloud, to: cabin, ports: [tcp/8050-8150]}",
        "Publish each port once, or one range within the other.",
    ),
    "W111": Code(
        ERROR,
        "the gateway's own WireGuard port",
        "What is published is sent on before the gateway looks at it. If that were the port on which its tunnels live, "
        "no tunnel would come up, and nothing would be published at all.",
        "cloud: {endpoint: 198.51.100.7:51820}\npublish: [{at: cloud, to: home, ports: [udp/51820]}]",
        "Publish another port, or except this one of a range. `all` leaves it out by itself.",
    ),
    "W112": Code(
        ERROR,
        "a gateway without endpoint",
        "Something is published at an address that others can send to. A host without an endpoint is behind a NAT.",
        "publish: [{at: home, to: cabin, ports: all}]   # home has no endpoint",
        "Give the gateway an `endpoint:`, or publish at a host that has one.",
    ),
    "W113": Code(
        ERROR,
        "published, but out of reach",
        "The gateway has a route only to LANs that are announced: not to a closed one, and not to one that overlaps "
        "another host's.",
        "publish: [{at: cloud, to: home.192.168.1.20, ports: all}]   # and the cabin has 192.168.1.0/24 too",
        "Give the LAN a prefix of its own in the network (`map:`), renumber it, or take `closed: true` away.",
    ),
    "W114": Code(
        ERROR,
        "not one machine",
        "What is published leads to one machine with an address: a host, or an address on a host's LAN.",
        "publish: [{at: cloud, to: home.br0, ports: [tcp/80]}]",
        "Write `HOST` or `HOST.ADDRESS`.",
    ),
    "W115": Code(
        ERROR,
        "the gateway publishes itself",
        "What listens on a gateway, or on its own LANs, needs no tunnel.",
        "publish: [{at: cloud, to: cloud, ports: [tcp/80]}]",
        "Take it out.",
    ),
    "W116": Code(
        WARNING,
        "published for one family only",
        "Packets are sent on, never translated: who comes by IPv4 reaches an IPv4 address only, and who comes by IPv6 "
        "an IPv6 address.",
        "cloud: {endpoint: 198.51.100.7:51820}\npublish: [{at: cloud, to: home.fd11::20, ports: [tcp/80]}]",
        "Publish an address of the other family too, or a host, which has both.",
    ),
    "W117": Code(
        ERROR,
        "published in a family that no tunnel carries",
        "A tunnel carries the families of the overlay. Warren does not translate one into the other.",
        "overlay: 10.77.0.0/24\npublish: [{at: cloud, to: home.fd11::20, ports: [tcp/80]}]",
        "Add a prefix of that family to `overlay:`, or publish an address of the other one.",
    ),
    "W118": Code(
        ERROR,
        "ports that cannot be",
        "Ports are written `tcp/PORT`, `udp/FIRST-LAST`, and with an arrow where they lead to others: as many, or one. "
        "`except` takes out of what is published.",
        "ports: [tcp/8000-8100→80-90]",
        "Write for instance `tcp/25565`, `udp/8000-8100`, `tcp/2222→22` or `icmp`. `->` does for `→`.",
    ),
    "W119": Code(
        ERROR,
        "a source kept and not kept",
        "The gateway tells by the service how its clients are to be shown to it, so a service has one `source:`.",
        "publish:\n  - {at: cloud, to: home, ports: [tcp/80]}\n"
        "  - {at: cloud, to: home, ports: [tcp/8080→80], source: snat}",
        "Write the same `source:` in both.",
    ),
    # --- devices -----------------------------------------------------------------------------------------
    "W120": Code(
        ERROR,
        "a device with somebody else's key",
        "WireGuard knows a machine by its key. A device that has a host's key, or another device's, would be taken for "
        "it, and whoever spoke last would get the other's packets.",
        "hosts: {home: {key: 0XgrSv…=}}\ndevices: {phone: {key: 0XgrSv…=, into: home}}",
        "Make a pair of its own for the device, in its app or with `warren keys gen`.",
    ),
    "W121": Code(
        ERROR,
        "out of a device's reach",
        "From the host where the device's tunnel ends nothing leads to this place: it is a LAN of another host that is "
        "closed or overlaps another one, or of a family that tunnels do not carry.",
        "devices: {phone: {into: home, reach: [office.guests]}}",
        "Take the place out of `reach:`, or let the network lead there.",
    ),
    "W122": Code(
        ERROR,
        "a device that may reach nothing",
        "A device begins flows to what `reach:` lists and to nothing else, so without it the tunnel is of no use.",
        "devices: {phone: {key: …, into: home}}",
        "Add `reach: [home.br0]`, or `full_tunnel: true` for the internet.",
    ),
    "W123": Code(
        ERROR,
        "MTU of a tunnel in a tunnel too small for IPv6",
        "Every tunnel takes 60 or 80 bytes from the one around it. With fewer than 1280 bytes left (RFC 8200) the "
        "kernel turns IPv6 off on the device.",
        "hosts: {home: {mtu: 1300}}\ndevices: {phone: {into: home, via: cloud}}",
        "Raise the `mtu:` that is written out on the way, or leave IPv6 out of `overlay:`.",
    ),
    "W124": Code(
        ERROR,
        "a device has nobody to dial",
        "A device dials the host where its tunnel ends, or a gateway in front of it: the one that publishes to it, the "
        "hub, or the only host with an endpoint. What it sends to a gateway by IPv6 goes on by IPv6, in a tunnel that "
        "carries it.",
        "hosts: {home: {uplink: wan}}\ndevices: {phone: {into: home}}",
        "Name a host with an endpoint as `via:`, or give one to `into`.",
    ),
    "W125": Code(
        WARNING,
        "a private resolver that is not of the network",
        "The device will ask this address from wherever it is, and there somebody else may have it.",
        "devices: {phone: {into: home, dns: 192.168.99.1}}",
        "Write a resolver of the network, or a public one.",
    ),
    "W126": Code(
        ERROR,
        "published at a device that cannot answer",
        "With its source kept, a packet comes from anywhere on the internet. A device whose tunnel is for the network "
        "alone sends the answer out by its own Wi-Fi.",
        "devices: {phone: {into: home, reach: home.br0}}\npublish: [{at: cloud, to: phone, ports: tcp/8080}]",
        "Write `source: snat`: then the device sees the gateway's tunnel address. Or give it `full_tunnel: true`.",
    ),
    "W127": Code(
        WARNING,
        "a full tunnel without a resolver",
        "An app that is told no resolver goes on asking that of the Wi-Fi it is in, past the tunnel: whoever runs that "
        "network sees every name.",
        "devices: {laptop: {into: home, full_tunnel: true}}",
        "Add `dns:`, for instance the router's address on a LAN of `into`.",
    ),
    # --- delegated prefixes ------------------------------------------------------------------------------
    "W130": Code(
        ERROR,
        "prefix not covering the LANs",
        "Machines make their own addresses of an announced prefix, for which it must be a /64 (RFC 4862). So what is "
        "delegated needs a /64 for each LAN.",
        "delegate:\n  - {prefix: 2001:db8:77:100::/64, from: r2, to: r1, lans: [br-lan, guests]}",
        "Delegate a shorter prefix, or name fewer LANs.",
    ),
    "W131": Code(
        ERROR,
        "delegated prefix overlapping",
        "The delegated prefix, or a part of it, belongs to the overlay, to a LAN of the file, or to another delegate.",
        "overlay: [10.77.0.0/24, 2001:db8:77:100::/64]\ndelegate:\n"
        "  - {prefix: 2001:db8:77:100::/60, from: r2, to: r1, lans: [br-lan]}",
        "Delegate a prefix that nothing else uses. LANs that share one prefix stand in one entry.",
    ),
    "W132": Code(
        ERROR,
        "a LAN that cannot have the prefix",
        "The host does not have a LAN of that name, or it has a prefix from the same host already.",
        "delegate:\n  - {prefix: 2001:db8:77:100::/60, from: r2, to: r1, lans: [br-lam]}",
        "Correct the name; each LAN is named once.",
    ),
    "W133": Code(
        ERROR,
        "prefix that is not global",
        "Delegated addresses are seen by the internet as they are. IPv4, unique local and link-local addresses could "
        "not be answered.",
        "delegate:\n  - {prefix: fd00:77::/60, from: r2, to: r1, lans: [br-lan]}",
        "Write the prefix that the provider routes to the host. Without one, a portal with `nat: snat` translates.",
    ),
    "W134": Code(
        ERROR,
        "prefix from a host to itself",
        "`from` and `to` are the same host. LANs of a host that has the prefix need no tunnel.",
        "delegate:\n  - {prefix: 2001:db8:77:100::/60, from: r1, to: r1, lans: [br-lan]}",
        "Name in `to` the host whose LANs get the prefix, in `from` the one it is routed to.",
    ),
    "W135": Code(
        ERROR,
        "proxy for more than one /64",
        "With `proxy: true` the prefix is the one of the link that the host's uplink is on: a single /64, whose "
        "addresses the host answers neighbour discovery for. There is nothing to divide.",
        "delegate:\n  - {prefix: 2001:db8:5::/60, from: r2, to: r1, lans: [br-lan], proxy: true}",
        "Write the link's /64 and one LAN; leave `proxy` out if the provider routes the prefix to the host.",
    ),
    "W136": Code(
        ERROR,
        "prefix neither written nor followed, or both",
        "A delegate has one prefix: the one that `prefix:` names, or the one that the device of `follow:` has.",
        "delegate:\n  - {from: r2, to: r1, lans: [br-lan]}",
        "Write `prefix: …` or `follow: DEVICE`.",
    ),
    "W137": Code(
        ERROR,
        "delegate without IPv6 in the overlay",
        "Tunnels carry the families of the overlay. Without an IPv6 prefix there, none carries IPv6.",
        "overlay: [10.77.0.0/24]",
        "Add a prefix of unique local addresses to `overlay:`, for instance `fd77:7:7::/64`.",
    ),
    "W138": Code(
        ERROR,
        "delegate without a tunnel",
        "Neither of the two hosts has an endpoint. By way of a hub their packets would have to carry other sources, "
        "and delegated addresses are kept as they are.",
        "delegate:\n  - {prefix: 2001:db8:77:100::/60, from: r2, to: r1, lans: [br-lan]}   # r1, r2: no endpoint",
        "Give one of them an `endpoint:`.",
    ),
    "W139": Code(
        ERROR,
        "followed prefix that nobody has seen",
        "`follow:` takes the prefix that a device of the host has. It is read there and kept in the lock, for every "
        "host has to know it.",
        "delegate:\n  - {follow: eth0, from: r2, to: r1, lans: [br-lan]}",
        "Run `warren lock FILE --host HOST` on that host, and commit the lock.",
    ),
    # --- mapped LANs -------------------------------------------------------------------------------------
    "W140": Code(
        ERROR,
        "a map of another size",
        "A map is 1:1: each address of the LAN has one in the mapped prefix, so both are equally long.",
        "eth1: {address: 192.168.1.1/24, map: 10.99.0.0/16}",
        "Write a prefix as long as the LAN's, or `map: auto`.",
    ),
    "W141": Code(
        ERROR,
        "a mapped prefix that is taken",
        "The network knows the LAN by the mapped prefix, so nothing else of the network can have a part of it: not the "
        "overlay, no LAN of any host, no other map.",
        "overlay: [10.99.0.0/24]\n# … and\neth1: {address: 192.168.1.1/24, map: 10.99.0.0/24}",
        "Choose a prefix that no site uses, or write `map: auto`, which finds one.",
    ),
    "W142": Code(
        ERROR,
        "a map without its subnet",
        "Each subnet of a family is mapped to one prefix, in the order in which they are written; a family that is not "
        "named in `map:` stays as it is.",
        "eth1: {address: 192.168.1.1/24, map: ['fd99:1::/64']}",
        "Write one prefix for each subnet that the LAN has in that family, or `map: auto`.",
    ),
    "W143": Code(
        WARNING,
        "a map that nobody sees",
        "Other hosts see a LAN through the tunnels, and those carry only the overlay's families. `map: auto` leaves "
        "global IPv6 prefixes alone, which are nobody else's.",
        "overlay: [10.77.0.0/24]\n# … and\neth1: {address: ['fd11::1/64'], map: auto}",
        "Add a prefix of that family to `overlay:`, or take the map out.",
    ),
    "W144": Code(
        ERROR,
        "a closed LAN with a map",
        "A closed LAN is announced to nobody, under no prefix.",
        "eth1: {address: 192.168.1.1/24, closed: true, map: auto}",
        "Take one of the two out.",
    ),
    "W145": Code(
        ERROR,
        "no room for a map",
        "`map: auto` takes prefixes out of 10.0.0.0/8, 172.16.0.0/12, 100.64.0.0/10 and unique local IPv6, around "
        "everything that the file names. There is none left that is as long as the LAN's.",
        "eth1: {address: 10.0.0.1/8, map: auto}",
        "Narrow the LAN to what it uses, or write a prefix yourself.",
    ),
    "W146": Code(
        WARNING,
        "a public mapped prefix",
        "The mapped prefix is somebody's on the internet; from inside the network those machines cannot be reached.",
        "eth1: {address: 192.168.1.1/24, map: 8.8.8.0/24}",
        "Take a private prefix, unless the addresses are yours.",
    ),
    # --- rendering for other machines --------------------------------------------------------------------
    "W150": Code(
        WARNING,
        "something the target cannot express",
        "What is to run on that machine has no word for a part of what the network needs there. All else is in the "
        "files; this part is not, and is named so that nobody takes it for done.",
        "warren render home.yaml --host nyc --as qr   # nyc forwards for its LANs, and an app does not",
        "Do what the hint says on that machine, choose another target, or run Warren there.",
    ),
    "W151": Code(
        WARNING,
        "a key that is not here",
        "The files need a key that is not on this machine, or is not the one that the network file means. In its place "
        "stands a line that says which key belongs there; nothing comes up with it.",
        "warren render home.yaml --host nyc --as wg-quick -o nyc/   # on a laptop",
        "Put the key in its place on the machine where it lies, render there, or name its file with `--private-key`.",
    ),
    "W152": Code(
        WARNING,
        "a gateway that nobody could look at",
        "`apply` reads what listens on a gateway and keeps it there, whatever is published. Rendered files know sshd's "
        "usual port, WireGuard's own ports and what `except:` names: all else goes away to where `all` leads.",
        "publish: [{at: cloud, to: home, ports: all}]   # and sshd of cloud listens on 2200",
        "Name in `except:` every port that the gateway needs itself, before the files are used there.",
    ),
    # --- countries and lists -----------------------------------------------------------------------------
    "W170": Code(
        ERROR,
        "a country or list whose addresses are not here",
        "The addresses of a country come from the registries' files on this machine, those of a list from its file. "
        "Without them warren cannot know what leaves directly, and does nothing rather than guess.",
        "portals:\n  - {from: laptop, exit: cloud, except: [country:FR]}   # before the first `warren geo update`",
        "Run `warren geo update` (or `warren geo update --from FILE` without a network), or correct the list's path.",
    ),
    "W171": Code(
        ERROR,
        "a country that there is not",
        "A country is two capital letters (ISO 3166), and at least one registry must have given it addresses.",
        "portals:\n  - {from: laptop, exit: cloud, except: [country:UK]}   # it is GB",
        "`warren geo countries` lists the countries that have addresses, `warren geo which ADDR` names an address's.",
    ),
    "W172": Code(
        ERROR,
        "a list that the file does not name",
        "Every list that a portal names stands under `lists:` with its file.",
        "portals:\n  - {from: laptop, exit: cloud, except: [list:work]}",
        "Add it to `lists:`, for instance `lists: {work: work.txt}`.",
    ),
    "W173": Code(
        ERROR,
        "a list without addresses",
        "Nothing in the list's file is a public address: private and reserved ranges are never part of a list.",
        "lists: {work: /dev/null}",
        "Write one prefix a line into its file. A private prefix stands in `except:` or `only:` itself.",
    ),
    "W174": Code(
        ERROR,
        "a portal with `except:` and `only:`",
        "`except:` names what leaves directly, and `only:` what does not. Together they would need an order.",
        "portals:\n  - {from: laptop, exit: cloud, except: [country:FR], only: [country:US]}",
        "Keep one of the two.",
    ),
    "W175": Code(
        ERROR,
        "a portal that is left with nothing",
        "What `except:` and `only:` leave to the portal is empty, so all that enters it would leave directly.",
        "portals:\n  - {from: laptop, exit: cloud, only: []}",
        "Name destinations that the portal is to carry, or delete it.",
    ),
    "W176": Code(
        WARNING,
        "a family that leaves directly altogether",
        "`only:` takes what it names and nothing else. Where it names nothing of one family, all of that family leaves "
        "by the uplink, and most services are reached by either.",
        "lists: {work: ipv4-only.txt}\nportals:\n  - {from: laptop, exit: cloud, only: [list:work]}",
        "Write `family: ipv4` if that is meant, or name destinations of both families.",
    ),
    "W177": Code(
        WARNING,
        "a country or list that may lack something",
        "A registry's file is missing on this machine, or lines of a list were not understood. What is missing goes "
        "through the exit where it is excepted, and leaves directly where it is all that `only:` names.",
        "lists: {work: work.txt}   # with lines that are no addresses",
        "Run `warren geo update`, or correct the lines.",
    ),
}


def finding(code: str, where: Where, says: str, hint: str) -> Diagnostic:
    """Make a diagnostic of a code of the table; what could be a private key in the wrong place is not repeated."""
    return Diagnostic(code, CODES[code].severity, where, without_keys(says), without_keys(hint))


def in_order(findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sort findings by place, each kind once per place and reason."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda one: (one.where, one.code, one.says)))


def has_errors(findings: Iterable[Diagnostic]) -> bool:
    """Say whether something stands in the way of acting on the file."""
    return any(one.severity is ERROR for one in findings)


def as_text(diagnostic: Diagnostic, *sources: Source) -> str:
    """Write a finding with its excerpt (from whichever source it is in) and its remedy, without colours."""
    excerpts = (source.excerpt(diagnostic.where) for source in sources)
    excerpt = next((text for text in excerpts if text), "")
    lines = [str(diagnostic), *("  " + line for line in excerpt.splitlines())]
    if diagnostic.hint:
        lines.append(f"  hint: {diagnostic.hint}")
    return "\n".join(line.rstrip() for line in lines) + "\n"


Rows = tuple[Sequence[tuple[str, str]], Mapping[str, Code]]  # headings by the beginning of their codes, and codes


def render_errors(*tables: Rows) -> str:
    """Write docs/errors.md: this table, then those of others (confs have one of their own)."""
    return "\n".join(_errors(((GROUPS, CODES), *tables))) + "\n"


def _errors(tables: Sequence[Rows]) -> Iterator[str]:
    yield "# What warren can find fault with"
    yield ""
    yield (
        "Every finding has a code that never changes its meaning. An *error* stops everything that would act on the "
        "file; a *warning* stops nothing. This page is generated from the tables in `core/diagnostics.py`, "
        "`core/conf/diagnostics.py` and `core/imports/diagnostics.py`."
    )
    for groups, codes in tables:
        for prefix, heading in groups:
            yield ""
            yield f"## {heading}"
            for code, row in codes.items():
                if code.startswith(prefix):
                    yield from _error(code, row)


def _error(code: str, row: Code) -> Iterator[str]:
    yield ""
    yield f"### {code}: {row.title}"
    yield ""
    yield f"*{row.severity.value.capitalize()}.* {row.why}"
    yield ""
    yield "```"
    yield row.example
    yield "```"
    yield ""
    yield f"**What to do**: {row.remedy}"
