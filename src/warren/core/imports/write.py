"""Write the network file: as `warren init` would, with a word of where each thing comes from.

What no conf says ends in `# guessed`, so that it can be found and mended.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from warren.core.imports.draft import DeviceDraft, Draft, HostDraft, PortalDraft, PublishDraft
from warren.model.prefix import FAMILIES
from warren.model.publish import PortRange

_MOST_PROMISES = 40


def write_network(draft: Draft) -> str:
    """Give the text of the network file."""
    return "\n".join(_lines(draft)) + "\n"


def _lines(draft: Draft) -> Iterator[str]:
    confs = [host.party.given.file for host in draft.hosts if host.party.given is not None]
    sources = confs if len(confs) <= 8 else [*confs[:7], f"{len(confs) - 7} more"]
    yield f"# {draft.name}: imported from {_plain(', '.join(sources))}."
    yield "# Private keys stay on their hosts, so this file can live in git. The lock file beside it has the addresses,"
    yield "# ports and device names of the confs." + (" Look at what says `guessed`." if draft.guesses else "")
    yield f"network: {draft.name}"
    yield f"overlay: {_list(str(prefix) for prefix in draft.overlay)}"
    if draft.hub:
        yield f"hub: {draft.hub}   # where hosts meet that cannot dial each other"
    yield ""
    yield "hosts:"
    for host in draft.hosts:
        yield from _host(host, draft)
    if draft.devices:
        yield ""
        yield "devices:   # stock WireGuard apps: `warren render` writes their configuration"
        yield from map(_device, draft.devices)
    if draft.portals:
        yield ""
        yield "portals:   # what comes from there leaves by the exit's uplink, or not at all"
        yield from map(_portal, draft.portals)
    if draft.publishes:
        yield ""
        yield "publish:   # what comes to the gateway's public address goes on to there"
        yield from map(_publish, draft.publishes)
    promises = list(_promises(draft))
    if 0 < len(promises) <= _MOST_PROMISES:
        yield ""
        yield "expect:   # promises that `warren verify` proves"
        yield from promises


def _host(host: HostDraft, draft: Draft) -> Iterator[str]:
    given = host.party.given
    guessed = {guess.what for guess in draft.guessed(host.name)}
    if given is not None:
        origin = _plain(given.file)
    else:
        origin = f"no conf of its own; a peer in {_plain(host.party.seen[0][0].file)}"
    unsaid = [guess.value for guess in draft.guessed(host.name) if guess.what == "address"]
    if unsaid:
        origin += f"; {' and '.join(unsaid)} in the lock {'is' if len(unsaid) == 1 else 'are'} guessed"
    yield f"  {host.name}:   # {origin}"
    yield f"    key: {host.party.key}"
    if host.endpoint is not None:
        told = "guessed: no conf says where it is dialled" if "endpoint" in guessed else "others dial it here"
        if draft.devices and given is not None:
            told += f"; devices at port {given.conf.listen_port or 'of the lock'}"
        yield f"    endpoint: {_text(str(host.endpoint))}   # {told}"
    if host.port is not None:
        yield f"    port: {host.port}   # what it listens on"
    told = "   # guessed: the device that leads to the internet" if "uplink" in guessed else ""
    yield f"    uplink: {host.uplink}{told}"
    if host.mtu is not None:
        yield f"    mtu: {host.mtu}"
    if host.psk:
        files = ", ".join(f"{peer}: {draft.psk_path(host.name, peer)}" for peer in sorted(host.psk))
        yield f"    psk: {{{files}}}"
    if host.lans:
        yield "    lans:"
        addresses = _list([str(address) for address in host.lans], alone=True)
        yield f"      {host.lan}: {{address: {addresses}}}   # guessed: the device, and its own address"


def _device(device: DeviceDraft) -> str:
    words = [f"key: {device.party.key}", f"into: {device.into}", f"reach: {_list(device.reach)}"]
    words += ["full_tunnel: true"] if device.full_tunnel else []
    return f"  {device.name}: {{{', '.join(words)}}}"


def _portal(portal: PortalDraft) -> str:
    words = [f"from: {portal.source}", f"exit: {portal.exit}"]
    if portal.exceptions:
        words.append(f"except: {_list(map(str, portal.exceptions), alone=True)}")
    if len(portal.families) < len(FAMILIES):
        words.append(f"family: {portal.families[0].word}")
    return f"  - {{{', '.join(words)}}}"


def _publish(publish: PublishDraft) -> str:
    words = [f"at: {publish.gateway}", f"to: {_text(publish.to)}"]
    words.append(f"ports: {_ports(publish.ports) if publish.ports else 'all'}")
    if publish.exceptions:
        words.append(f"except: {_ports(publish.exceptions)}")
    if not publish.kept:
        words.append("source: snat")
    return f"  - {{{', '.join(words)}}}"


def _ports(ports: Sequence[PortRange]) -> str:
    return f"[{', '.join(map(str, ports))}]"


def _promises(draft: Draft) -> Iterator[str]:
    """Promise what the confs had: the tunnels, there and back, and the exits.

    Of who stands behind a port forward nothing is promised: a walk, and the lab, have no such router (W092).
    """
    forwarded = {host.name for host in draft.hosts if host.endpoint is not None and host.port is not None}
    hosts = {host.party.key: host for host in draft.hosts}
    pairs: dict[tuple[str, str], None] = {}
    for host in draft.hosts:
        for given, _ in host.party.seen:
            ends = sorted((host, hosts[given.public_key]), key=lambda end: (end.endpoint is not None, end.name))
            pairs[ends[0].name, ends[1].name] = None
    for device in draft.devices:
        yield f"  - {{from: {device.name}, to: {device.into}, arrives: true}}"
        if device.full_tunnel and any(prefix.version == 4 for prefix in draft.overlay):
            yield f"  - {{from: {device.name}, to: 1.1.1.1, exit: {device.into}}}"
    for one, other in pairs:
        if not forwarded & {one, other}:
            yield f"  - {{from: {one}, to: {other}, arrives: true}}"
    for publish in draft.publishes:
        source = "kept" if publish.kept else publish.gateway
        for port in [f" {one.proto}/{one.first}" for one in publish.ports] or [""]:
            if publish.gateway not in forwarded:
                words = f"from: internet, to: {publish.gateway}{port}, arrives: {_text(publish.to)}, source: {source}"
                yield f"  - {{{words}, family: ipv4}}"
    for portal in draft.portals:
        if not portal.exceptions and not forwarded & {portal.source.partition(".")[0], portal.exit}:
            family = portal.families[0]
            to = "1.1.1.1" if family.word == "ipv4" else '"2606:4700:4700::1111"'
            if any(prefix.version == family for prefix in draft.overlay):
                yield f"  - {{from: {portal.source}, to: {to}, exit: {portal.exit}}}"


def _list(texts: Iterable[str], alone: bool = False) -> str:
    """Write a list in brackets; a single value may stand alone."""
    every = [_text(text) for text in texts]
    return every[0] if alone and len(every) == 1 else f"[{', '.join(every)}]"


def _text(text: str) -> str:
    """Quote what YAML would take for something else: an IPv6 address ends a key, or begins a list."""
    return json.dumps(text) if text.count(":") > 1 or text.startswith("[") else text


def _plain(text: str) -> str:
    """Make a file's name fit for a comment."""
    return "".join(char if char.isprintable() and ord(char) < 0xD800 else "?" for char in text)
