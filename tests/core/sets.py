"""Countries, lists and domains for tests: what a registry's files and list files would give, without either."""

from __future__ import annotations

from ipaddress import ip_network

from warren.model.named_set import ListSource, NamedSet

XX = ("45.12.0.0/14", "45.16.0.0/24", "2620:100::/32")
_HELD = {
    "country:XX": NamedSet("country:XX", tuple(map(ip_network, XX))),
    "country:YY": NamedSet("country:YY", (ip_network("46.0.0.0/16"),)),
    "country:PP": NamedSet(
        "country:PP",
        (ip_network("47.0.0.0/16"), ip_network("2620:200::/32")),
        doubt="there is no file of arin here",
        remedy="Run `warren geo update`.",
    ),
    "country:WW": NamedSet(
        "country:WW", missing="there is no registry data in /var/lib/warren/geo", remedy="Run `warren geo update`."
    ),
    "list:work": NamedSet("list:work", (ip_network("48.0.0.0/16"),)),
    "list:gone": NamedSet(
        "list:gone",
        missing="gone.txt: no such file or directory",
        remedy="Correct its path.",
    ),
    "list:odd": NamedSet(
        "list:odd",
        (ip_network("49.0.0.0/16"),),
        doubt="2 of its lines could not be read (3, 4 in odd.txt)",
        remedy="Write a prefix, a range or an address there.",
    ),
    "list:films": NamedSet(
        "list:films",
        domains=("film.example", "kino.example"),
        doubt="2 of its names hold for what is below them too (`full:`)",
        remedy="Write the domains that are meant in lines of their own.",
    ),
    "list:silent": NamedSet("list:silent"),
    "list:world": NamedSet("list:world", (ip_network("0.0.0.0/1"), ip_network("128.0.0.0/1"), ip_network("::/0"))),
}


def read_sets(name: str, _file: ListSource | None) -> NamedSet:
    """Give the contents of a set; of those that are not known here nothing."""
    return _HELD.get(name, NamedSet(name))
