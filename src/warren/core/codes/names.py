"""Destinations by name."""

from __future__ import annotations

from warren.core.codes.code import ERROR, WARNING, Code

CODES: dict[str, Code] = {
    "W185": Code(
        ERROR,
        "a destination that is no domain",
        "`domain:` stands before a DNS name, which holds for everything below it too. An address needs no word.",
        "portals:\n  - {from: laptop, exit: cloud, only: ['domain:https://netflix.com/']}",
        "Write for instance `domain:netflix.com`.",
    ),
    "W186": Code(
        ERROR,
        "a list of domains that holds none",
        "Nothing in the list's file is a domain. A list of addresses is one of `kind: prefixes`, which is the default.",
        "lists: {films: {from: films.txt, kind: domains}}   # an empty file",
        "Write one domain a line into its file, or correct its `kind:`.",
    ),
    "W187": Code(
        WARNING,
        "a list of domains that is not taken word for word",
        "dnsmasq knows a domain together with everything below it, and nothing else: an exact name (`full:`) holds for "
        "what is below it too, a pattern (`regexp:`, `keyword:`) for nothing, and other files (`include:`) are read "
        "only beside a list that is a file itself.",
        "lists: {films: {from: films.txt, kind: domains}}   # with a line `regexp:^film\\d+\\.example$`",
        "Write the domains that are meant in lines of their own.",
    ),
    "W188": Code(
        WARNING,
        "names in one family",
        "Most names have addresses of both families, and clients prefer IPv6. Where `only:` names a domain and "
        "`family:` leaves one family out, what the domain has of that family leaves directly.",
        "portals:\n  - {from: laptop, exit: cloud, only: [domain:netflix.com], family: ipv4}",
        "Leave `family:` out: what the exit does not have is refused at once, and clients take the other family.",
    ),
    "W189": Code(
        ERROR,
        "questions that cannot be redirected",
        "`other_dns:` says what becomes of questions to other resolvers. There must be one of the network's to send "
        "them to: a portal has one where it names domains, or says `dns:`. What a host asks itself comes by no LAN.",
        "portals:\n  - {from: home.lan, exit: cloud, only: [country:US], other_dns: refuse}",
        "Delete it, or have the network resolve names there.",
    ),
}
