"""Names resolved: by whom, and by which way."""

from __future__ import annotations

from warren.core.codes.code import ERROR, Code

CODES: dict[str, Code] = {
    "W195": Code(
        ERROR,
        "a resolver that is none",
        "A resolver is an address, perhaps with a port, or `tls://` or `https://` with an address. Nobody asks at "
        "loopback, multicast or link-local addresses.",
        "portals:\n  - {from: home.lan, exit: cloud, dns: [9.9.9.9.9]}",
        "Write `9.9.9.9`, `tls://9.9.9.9`, `https://9.9.9.9/dns-query` or `tls://9.9.9.9#dns.quad9.net`.",
    ),
    "W196": Code(
        ERROR,
        "a resolver without an address",
        "A resolver that is known by a name alone would have to be looked up first, by a resolver that was not chosen.",
        "portals:\n  - {from: home.lan, exit: cloud, dns: ['https://dns.quad9.net/dns-query']}",
        "Write its address, and the name of its certificate behind a `#`: `https://9.9.9.9/dns-query#dns.quad9.net`.",
    ),
    "W197": Code(
        ERROR,
        "names resolved for a part of a LAN",
        "All machines of a LAN ask the LAN's one resolver, which cannot answer some of them in another way.",
        "portals:\n  - {from: home.192.168.1.51, exit: cloud, family: ipv4, dns: exit}",
        "Write `dns:` at a portal that takes the whole LAN, or give the machine a LAN of its own.",
    ),
    "W198": Code(
        ERROR,
        "two sides, and nothing to tell them by",
        "With `domestic` and `trusted` resolvers, the domestic answer counts if its addresses are domestic. Which are "
        "is what `domestic_set` says, or else what the portal excepts.",
        "portals:\n  - {from: laptop, exit: cloud, dns: {domestic: 223.5.5.5, trusted: 8.8.8.8}}",
        "Add `domestic_set: country:CN`, or `except: [country:CN]` to the portal.",
    ),
    "W199": Code(
        ERROR,
        "a resolver that cannot be asked",
        "Trusted resolvers are asked through the tunnel, which carries the families of the overlay; domestic ones by "
        "the uplink. There is no other way, so that no question takes the wrong one.",
        "overlay: [10.77.0.0/24]\nportals:\n  - {from: home.lan, exit: cloud, dns: ['2620:fe::fe']}",
        "Write an address of a family that the way has.",
    ),
    "W200": Code(
        ERROR,
        "a name on both sides",
        "A name of `domestic_names` is asked of the domestic resolvers alone, one of `trusted_names` of the trusted "
        "ones alone. Of two that hold each other the longer one counts; the same one twice has no meaning.",
        "dns: {domestic: 223.5.5.5, trusted: 8.8.8.8, domestic_names: [example.com], trusted_names: [example.com]}",
        "Keep it on one side.",
    ),
    "W201": Code(
        ERROR,
        "hosts that resolve for each other in a circle",
        "With `dns: exit` a host's own names are resolved by its exit's resolvers. Where that exit has its own names "
        "resolved in the same way, and so on back to the first, nobody ever asks anybody outside.",
        "portals:\n  - {from: nyc, exit: paris, dns: exit}\n  - {from: paris, exit: nyc, dns: exit}",
        "Write resolvers at one of them: `dns: [9.9.9.9]`.",
    ),
    "W202": Code(
        ERROR,
        "names resolved in two ways",
        "A LAN has one resolver, and so has a host for itself. Two portals from there (one for each family) cannot "
        "both say what it does.",
        "portals:\n  - {from: home.lan, exit: cloud, family: ipv4, dns: exit}\n"
        "  - {from: home.lan, exit: nyc, family: ipv6, dns: exit}",
        "Keep `dns:` at one of the portals: names of both families are resolved by it.",
    ),
    "W203": Code(
        ERROR,
        "an expectation about a name that speaks of packets",
        "`resolves` promises by whose uplinks a name's questions leave, or with `blocked: true` that they leave by "
        "none. What becomes of packets to its addresses is another question.",
        "expect:\n  - {from: home.lan, to: 1.1.1.1, resolves: {name: example.org, by: cloud}}",
        "Make two expectations of it.",
    ),
    "W204": Code(
        ERROR,
        "a promise about names that nobody keeps",
        "Only where a portal has `dns:` does warren see to it how names are resolved.",
        "portals:\n  - {from: home.lan, exit: cloud}\n"
        "expect:\n  - {from: home.lan, resolves: {name: example.org, by: cloud}}",
        "Add `dns:` to the portal, or take the expectation out.",
    ),
}
