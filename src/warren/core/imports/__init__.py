"""Make a network file and its lock of confs: several of one network, matched by their keys.

    confs ─► parties (who there is) ─► addresses, reach (what they have) ─► hosts, guests, ways (a draft of the network)
          ─► write, locks (two texts) ─► load, differences (are they what the confs were?)

Nothing is left out unsaid: what a network file cannot say is a finding at its place in the conf, what no conf says is
guessed, marked so and listed, and the texts are read and compiled again before anybody is given them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from warren.core.allot import Full
from warren.core.diagnostics import has_errors, in_order
from warren.core.imports.addresses import find_addresses
from warren.core.imports.draft import Draft, Guess, Secret
from warren.core.imports.given import Given
from warren.core.imports.guests import draft_guests, guests
from warren.core.imports.hosts import draft_hosts
from warren.core.imports.locks import lock_of
from warren.core.imports.parties import find_parties
from warren.core.imports.reach import find_reached
from warren.core.imports.same import differences
from warren.core.imports.ways import draft_ways, read_hooks
from warren.core.imports.write import write_network
from warren.core.load import Loaded, load
from warren.core.lockfile import render_lock
from warren.model.diagnostic import Diagnostic
from warren.model.endpoint import Endpoint

__all__ = ["Given", "Guess", "Imported", "Secret", "import_confs"]


@dataclass(frozen=True)
class Imported:
    """What came of confs.

    `text` and `lock` are None when an error is among the findings, which point into the confs. `loaded` is the text as
    check sees it; its findings point into the file that is to be written.
    """

    found: tuple[Diagnostic, ...]
    text: str | None = None
    lock: str | None = None
    draft: Draft | None = None
    loaded: Loaded | None = None


def import_confs(
    confs: Sequence[Given], name: str, file: str, endpoints: Mapping[str, Endpoint] | None = None
) -> Imported:
    """Make a network called `name`, to be written to `file`; pure.

    `endpoints` are those that the owner knows better than the confs, by host's name. Confs have no errors.
    """
    parties, found = find_parties(confs)
    if has_errors(found):
        return Imported(in_order(found))
    addressed, more = find_addresses(list(parties.values()))
    found += more
    if has_errors(found) or not parties:
        return Imported(in_order(found))
    reached, more = find_reached(parties, addressed)
    found += more
    hooks = {given.public_key: read_hooks(given) for given in confs}
    facts = {key: placed for key, (placed, _) in hooks.items()}
    draft = Draft(name, addressed.overlay, [])
    found += tuple(one for _, wrong in hooks.values() for one in wrong)
    bare = {key: [fact for _, fact in placed] for key, placed in facts.items()}
    mine = next(iter(bare.values()))
    apps = guests(parties, addressed, reached, mine)
    found += tuple(draft_hosts(parties, addressed, reached, bare, endpoints or {}, draft, apps))
    found += tuple(draft_guests(apps, addressed, mine, draft))
    found += tuple(draft_ways(parties, addressed, reached, facts, draft))
    text = write_network(draft)
    loaded = load(text.encode(), None, file)
    if loaded.network is None:
        return Imported(in_order(found), text, None, draft, loaded)
    try:
        lock = lock_of(draft, loaded.network)
    except Full:  # check has said so: W053
        return Imported(in_order(found), text, None, draft, loaded)
    found += tuple(differences(draft, loaded.network, lock))
    written = render_lock(lock)
    return Imported(in_order(found), text, written, draft, load(text.encode(), written.encode(), file))
