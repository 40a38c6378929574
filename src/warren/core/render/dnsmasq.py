"""What a resolver is told, in dnsmasq's words (dnsmasq(8)).

What the network itself has names for is never asked of anybody else, and nothing of the host's own /etc/hosts is told.
"""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.resolving import DOMAIN, Fill, Resolving, Upstream

LONGEST = 1000  # characters of a line: MAXDNAME of dnsmasq is 1025, with what stands before and behind


def resolving_lines(resolving: Resolving) -> Iterator[str]:
    """Write the lines of a configuration that say how names are resolved."""
    yield from ("domain-needed", "bogus-priv", "no-hosts", f"local=/{DOMAIN}/")
    if not resolving.system:
        yield "no-resolv"
    if resolving.in_order:
        yield "strict-order"
    yield f"cache-size={resolving.cached}"
    if resolving.max_ttl:
        yield f"max-cache-ttl={resolving.max_ttl}"
    if resolving.told:
        yield f"max-ttl={resolving.told}"
    if resolving.hidden:
        yield f"filter-rr={','.join(resolving.hidden)}"
    if resolving.denied:
        yield f"local=/{'/'.join(resolving.denied)}/"
    for record in resolving.records:
        yield f"host-record={record.name},{','.join(map(str, record.addresses))}"
    for upstream in resolving.upstreams:
        yield _server(upstream)
    for fill in resolving.fills:
        yield from _filling(fill)


def _filling(fill: Fill) -> Iterator[str]:
    """Write as many domains into a line as dnsmasq reads of one."""
    sets, together = ",".join(fill.sets), ""
    for domain in fill.domains:
        if together and len(sets) + len(together) + len(domain) > LONGEST:
            yield f"nftset={together}/{sets}"
            together = ""
        together += f"/{domain}"
    yield f"nftset={together}/{sets}"


def _server(upstream: Upstream) -> str:
    domains = f"/{'/'.join(upstream.domains)}/" if upstream.domains else ""
    port = f"#{upstream.port}" if upstream.port != 53 else ""
    return f"server={domains}{upstream.address}{port}" + (f"@{upstream.device}" if upstream.device else "")
