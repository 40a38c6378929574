"""Stock apps: who is known from a server's conf alone, as a single address behind it and nothing more.

    [Peer]                          no endpoint, no LAN, no preshared key, no conf of its own: a phone
    AllowedIPs = 10.0.0.2/32

They become `devices:` where they are all that the server has. Beside hosts they stay hosts: warren holds devices on a
tunnel device and port of their own, and a port that some of them dial already cannot be both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from warren.core.imports.addresses import Addressed
from warren.core.imports.diagnostics import finding
from warren.core.imports.draft import DeviceDraft, Draft
from warren.core.imports.hooks import Accept, Fact, Masquerade, Redirect
from warren.core.imports.parties import Party
from warren.core.imports.reach import Reached
from warren.model.diagnostic import Diagnostic
from warren.model.key import PublicKey

_FEW = 8  # devices that are written to reach each other, one by one


def guests(
    parties: Mapping[PublicKey, Party], addressed: Addressed, reached: Reached, facts: Iterable[Fact]
) -> tuple[Party, ...]:
    """List the parties that are devices of the one host: everybody else, or nobody.

    `facts` are those of the host's hooks. Where ports are sent to somebody, that is no phone: it serves.
    """
    if any(isinstance(fact, Redirect) and not fact.exempt for fact in facts):
        return ()
    servers = [party for party in parties.values() if party.given is not None]
    others = tuple(party for party in parties.values() if party.given is None)
    if len(servers) != 1 or not all(_is_app(party, addressed, reached) for party in others):
        return ()
    return others


def _is_app(party: Party, addressed: Addressed, reached: Reached) -> bool:
    return (
        bool(addressed.known(party.key))
        and not reached.lans.get(party.key)
        and all(
            peer.endpoint is None
            and not peer.psk_fingerprint
            and peer.allowed_ips
            and all(prefix.prefixlen == prefix.max_prefixlen for prefix in peer.allowed_ips)
            for _, peer in party.seen
        )
    )


def draft_guests(
    apps: Sequence[Party], addressed: Addressed, facts: Sequence[Fact], draft: Draft
) -> Iterator[Diagnostic]:
    """Add devices to a draft that has their host. What the server's hooks let pass, they may reach."""
    if not apps:
        return
    host = draft.hosts[0]
    through = any(isinstance(fact, Accept) and fact.into == host.device and not fact.out for fact in facts)
    full = any(isinstance(fact, Masquerade) and fact.out != host.device for fact in facts)
    for party in apps:
        others = [one.name for one in apps if one is not party] if through and len(apps) <= _FEW else []
        reach = (host.name, *([f"{host.name}.{host.lan}"] if host.lans else []), *others)
        draft.devices.append(DeviceDraft(party, addressed.of(party.key), host.name, reach, full))
    if through and len(apps) > _FEW and host.party.given is not None:
        what = f"the {len(apps)} devices of `{host.name}` will not reach each other"
        remedy = "Add to `reach:` of each the others that it has to reach."
        yield finding("W164", host.party.given.top, what=what, remedy=remedy)
