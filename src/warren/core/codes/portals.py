"""Portals, and the countries and lists that they pass over."""

from __future__ import annotations

from warren.core.codes.code import ERROR, WARNING, Code

CODES: dict[str, Code] = {
    # --- portals ------------------------------------------------------------------------------------------
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
    # --- countries and lists ------------------------------------------------------------------------------
    "W170": Code(
        ERROR,
        "a country or list whose addresses are not here",
        "The addresses of a country come from the registries' files on this machine, those of a list from its file, "
        "or from what `warren geo update` fetched. "
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
        "Every list that a portal names stands under `lists:` with its file or its address.",
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
    "W178": Code(
        ERROR,
        "a list's source that warren does not fetch",
        "A list of the web decides where packets go, so it comes over HTTPS and from nowhere else. Its address holds "
        "no password, as nothing in the network file is secret. Several sources are mirrors of one list.",
        "lists: {work: http://example.net/work.txt}",
        "Write an address that begins with https://, or fetch the list to a file and name that.",
    ),
    "W179": Code(
        WARNING,
        "a family that is refused, exempted or not",
        "What a portal takes of a family that the overlay lacks is refused, not leaked. A host's own packets are "
        "refused before a country or list can exempt them, and IPv4 answers to a LAN are dropped by the reverse-path "
        "filter.",
        "overlay: [10.77.0.0/24]\nportals:\n  - {from: laptop, exit: cloud, except: [country:FR]}   # and its IPv6?",
        "Add a prefix of the family to `overlay:`, or leave the family out of the portal with `family:`.",
    ),
}
