"""Write a first network file: sites that know each other and, if wanted, each exit at each other.

With `full_exit` every site gets a spare LAN per other site: what joins `to-paris` in New York leaves in Paris.
Addresses follow a plan that overlaps nothing: site i has 10.(i).0.0/16, its spare LAN for site j 10.(i).(j).0/24.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

OVERLAY = ("10.0.77.0/24", "fd77:7:7::/64")
# Where each pair of sites may need an address for a chain. Not of 100.64.0.0/10: behind a CGNAT the uplink is in it.
WIDE_OVERLAY = ("10.177.0.0/16", "fd77:7:7::/64")
MOST_SITES = 100  # for full exit each site needs a routing table for every other (core.compile.ledger)
DEVICE_LENGTH = 15


@dataclass(frozen=True, slots=True)
class Site:
    """What is known of a site: its public key (empty: not yet) and, if others can dial it, its endpoint."""

    name: str
    key: str
    endpoint: str = ""
    uplink: str = "eth0"


def first_file(
    network: str, sites: Sequence[Site], full_exit: bool = True, overlay: Sequence[str] = (), hub: str = ""
) -> str:
    """Write the text of a network file that passes check.

    Sites that cannot dial each other meet at `hub`, by default the first site with an endpoint. Raises
    ValueError for more sites than there is room for, and if they need a hub and none can be dialled.
    """
    if not 0 < len(sites) <= MOST_SITES:
        raise ValueError(f"a first file has 1 to {MOST_SITES} sites, not {len(sites)}")
    overlay = overlay or (OVERLAY if len(sites) <= 15 or not full_exit else WIDE_OVERLAY)
    if not hub and sum(not site.endpoint for site in sites) > 1:
        hub = next((site.name for site in sites if site.endpoint), "")
        if not hub:
            raise ValueError("at least one site has to be dialable: give it an endpoint")
    lines = [*_head(network, sites, overlay, hub), *_hosts(sites, full_exit)]
    if full_exit and len(sites) > 1:
        lines += _portals(sites)
    lines += _expect(sites, full_exit)
    return "\n".join(lines) + "\n"


def _head(network: str, sites: Sequence[Site], overlay: Sequence[str], hub: str) -> Iterator[str]:
    yield f"# {network}: private keys stay on their hosts, so this file can live in git."
    yield f"network: {network}"
    prefixes = ", ".join(f'"{prefix}"' if prefix.endswith(":") else prefix for prefix in overlay)
    yield f"overlay: [{prefixes}]   # tunnel addresses come from here; the lock file keeps them"
    if hub:
        yield f"hub: {hub}   # where hosts meet that cannot dial each other"


def _hosts(sites: Sequence[Site], full_exit: bool) -> Iterator[str]:
    yield ""
    yield "hosts:"
    for number, site in enumerate(sites, start=1):
        yield f"  {site.name}:{'' if site.endpoint else '   # no endpoint: it dials the others'}"
        yield f"    key: {site.key}" if site.key else "    # key:   # paste what `warren keys gen` prints there"
        if site.endpoint:
            endpoint = f'"{site.endpoint}"' if site.endpoint.startswith("[") else site.endpoint
            yield f"    endpoint: {endpoint}   # others dial it here"
        yield f"    uplink: {site.uplink}   # the device that leads to the internet"
        if full_exit and len(sites) > 1:
            yield "    lans:   # devices of this host; rename them to what `ip link` shows"
            for to, other in enumerate(sites, start=1):
                if other is not site:
                    address = f'[10.{number}.{to}.1/24, "fd77:{number:x}:{to:x}::1/64"]'
                    yield f"      {lan_to(other.name, sites)}: {{address: {address}}}"


def lan_to(site: str, sites: Sequence[Site]) -> str:
    """Name the spare LAN whose traffic leaves at a site: a device name, so at most 15 characters."""
    names = [other.name for other in sites]
    whole = f"to-{site}"
    return whole if len(whole) <= DEVICE_LENGTH else f"to-{site[:8].rstrip('-')}-{names.index(site) + 1}"


def _portals(sites: Sequence[Site]) -> Iterator[str]:
    yield ""
    yield "portals:   # what enters there leaves by the other site's uplink"
    for site in sites:
        for other in sites:
            if other is not site:
                yield f"  - {{from: {site.name}.{lan_to(other.name, sites)}, exit: {other.name}}}"


def _expect(sites: Sequence[Site], full_exit: bool) -> Iterator[str]:
    if len(sites) < 2:
        return
    yield ""
    yield "expect:   # promises that `warren verify` proves"
    for site in sites:
        for other in sites:
            if other is site:
                continue
            if full_exit:
                yield f"  - {{from: {site.name}.{lan_to(other.name, sites)}, to: 1.1.1.1, exit: {other.name}}}"
            else:
                yield f"  - {{from: {site.name}, to: {other.name}, arrives: true}}"
