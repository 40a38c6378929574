"""The same typed table for machines without nft: text for `iptables-restore --noflush` and its IPv6 twin.

Every chain becomes one of ours in the table of iptables that stands nearest, hooked into the builtin chain:

    filter/prerouting → mangle PREROUTING (raw below −200)    filter/forward, input, output → filter
    filter/postrouting → mangle POSTROUTING                   route/output → mangle OUTPUT    nat → nat

At forward, input, postrouting and nat the hook stands first, or another's ACCEPT would pass our guard by; at
prerouting and output it stands last, after what wg-quick does to marks there.

How nft's words are said:
- A set, and every `{ … }`, becomes one rule for each element (ValueError for a large country: there would be too
  many); `!= { … }` a chain that sends the elements on to the rest of the chain, by goto, so that `return` means the
  same as before.
- Several statements in one rule become a chain of them.
- `accept` ends one base chain in nft but a whole builtin chain here, so it is a RETURN. ValueError if it stands in
  a chain that is jumped to: there is no word for that.
- icmpx is each family's own REJECT; where REJECT is not allowed (mangle, nat, raw) it is a DROP: the sender is told
  nothing. `fib … type` is `-m addrtype`. `rt mtu` is `--clamp-mss-to-pmtu`.
- A live set is what it held when this was written: nothing can feed it.
- One table of iptables is replaced at once, but not all three: guards (filter) go first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from warren.core.render.iptables_words import ALWAYS, ONCE, Action, Clause, Condition, Words, chain_name, comment_words
from warren.model.firewall import (
    Chain,
    CtMarkVmap,
    Goto,
    Hook,
    Jump,
    NftRule,
    Table,
)
from warren.model.prefix import Family

TABLES = ("filter", "raw", "mangle", "nat")  # in the order in which they are replaced


@dataclass(frozen=True, slots=True)
class HookRule:
    """The one rule in a builtin chain that leads to a chain of ours; `first`: at its head, else at its end."""

    table: str
    builtin: str
    chain: str
    first: bool


def render_restore(table: Table, family: Family) -> str:
    """Write the text for `iptables-restore --noflush` (or ip6tables-restore) that makes or replaces our chains."""
    written = _written(table, family)
    parts = []
    for name in TABLES:
        chains = written.get(name)
        if chains:
            lines = [f"*{name}", *(f":{chain} - [0:0]" for chain in chains)]
            lines += [f"-A {chain} {rule}" for chain, rules in chains.items() for rule in rules]
            parts.append("\n".join([*lines, "COMMIT"]))
    return "\n".join(parts) + "\n" if parts else ""


def own_chains(table: Table, family: Family) -> tuple[tuple[str, str], ...]:
    """List our chains, each with its table of iptables."""
    written = _written(table, family)
    return tuple((name, chain) for name in TABLES for chain in written.get(name, ()))


def hook_rules(table: Table, family: Family) -> tuple[HookRule, ...]:
    """List the rules that lead from builtin chains to ours, in the order in which they are to be made."""
    written = _written(table, family)
    bases = [(chain, chain.hook) for chain in table.chains if chain.hook is not None]
    found = []
    for chain, hook in sorted(bases, key=lambda base: base[1].priority):
        home = _home(hook)
        name = chain_name(table, chain.name)
        if name in written.get(home, {}):
            first = home in ("filter", "nat") or hook.hook == "postrouting"
            found.append(HookRule(home, hook.hook.upper(), name, first))
    return tuple(found)


def _home(hook: Hook) -> str:
    """Name the table of iptables a base chain belongs to."""
    if hook.type == "nat":
        return "nat"
    if hook.type == "route" or hook.hook == "postrouting":
        return "mangle"
    if hook.hook == "prerouting":
        return "raw" if hook.priority < -200 else "mangle"
    return "filter"


def _written(table: Table, family: Family) -> dict[str, dict[str, list[str]]]:
    """Write all chains, by the table of iptables: each with everything that can be reached from its base chains."""
    by_name = {chain.name: chain for chain in table.chains}
    made: dict[str, dict[str, list[str]]] = {}
    for home in TABLES:
        bases = [chain for chain in table.chains if chain.hook is not None and _home(chain.hook) == home]
        reached = _reach(bases, by_name)
        if reached:
            writer = _Writer(Words(table, family, home, _may_accept(bases, by_name)))
            for chain in reached:
                writer.chain(chain)
            if any(writer.chains[chain_name(table, chain.name)] for chain in bases):
                made[home] = writer.chains
    return made


def _leads(chain: Chain) -> Iterator[tuple[str, bool]]:
    """List the chains that a chain leads to, and whether by a jump, which comes back."""
    for rule in chain.rules:
        for statement in rule.statements:
            if isinstance(statement, (Jump, Goto)):
                yield statement.chain, isinstance(statement, Jump)
            elif isinstance(statement, CtMarkVmap):
                yield from ((name, False) for _, name in statement.chains)


def _reach(bases: Sequence[Chain], by_name: dict[str, Chain]) -> list[Chain]:
    found = {chain.name: chain for chain in bases}
    todo = list(bases)
    while todo:
        for name, _ in _leads(todo.pop()):
            if name not in found:
                found[name] = by_name[name]
                todo.append(by_name[name])
    return list(found.values())


def _may_accept(bases: Sequence[Chain], by_name: dict[str, Chain]) -> frozenset[str]:
    """Name the chains whose end is the end of the base chain: bases, and what is reached by goto alone."""
    jumped = {name for chain in _reach(bases, by_name) for name, by_jump in _leads(chain) if by_jump}
    below = {chain.name for name in jumped for chain in _reach([by_name[name]], by_name)}
    return frozenset(chain.name for chain in _reach(bases, by_name)) - below


@dataclass
class _Writer:
    words: Words
    chains: dict[str, list[str]] = field(default_factory=dict)
    extra: int = 0

    def chain(self, chain: Chain) -> None:
        here = chain_name(self.words.table, chain.name)
        self.chains[here] = []
        for rule in chain.rules:
            here = self.rule(chain, here, rule)

    def rule(self, chain: Chain, here: str, rule: NftRule) -> str:
        """Write one rule and give the chain in which the next one goes on."""
        conditions = _conditions([self.words.condition(match) for match in rule.matches])
        joined = [_all(clauses) for clauses in product(*(condition.some for condition in conditions))]
        combined = [clause for clause in joined if clause is not None]
        actions = [action for statement in rule.statements for action in self.words.actions(chain, statement)]
        if not combined or not actions:
            return here
        comment = comment_words(rule.comment)
        none = [clause for condition in conditions for clause in condition.none]
        if not none and _one_step(actions):
            self.put(chain, here, combined, actions, comment)
            return here
        # The rest of the chain becomes one that is gone to, so that what returns returns from all of it.
        judge, rest = self.more(chain), self.more(chain)
        for clause in combined:
            self.add(here, clause, Action(f"-g {judge}"), comment)
        self.add(here, ALWAYS, Action(f"-g {rest}"))
        for clause in none:
            self.add(judge, clause, Action(f"-g {rest}"))
        for action in actions:
            self.add(judge, ALWAYS, action)
        if not actions[-1].ends or actions[-1].clause != ALWAYS:
            self.add(judge, ALWAYS, Action(f"-g {rest}"))
        return rest

    def put(self, chain: Chain, here: str, clauses: list[Clause], actions: list[Action], comment: str) -> None:
        """Write a rule's actions for each of its clauses, through a chain of their own if there are several."""
        if len(actions) > 1 and not _is_vmap(actions):
            several = self.more(chain)
            for action in actions:
                self.add(several, ALWAYS, action)
            actions = [Action(f"{'-g' if actions[-1].ends else '-j'} {several}")]
        for clause in clauses:
            for action in actions:
                self.add(here, clause, action, comment)

    def add(self, here: str, clause: Clause, action: Action, comment: str = "") -> None:
        whole = clause.both(action.clause)
        if whole is not None:
            self.chains[here].append(" ".join(part for part in (whole.text(), comment, action.target) if part))

    def more(self, chain: Chain) -> str:
        """Make one more chain that belongs to a chain."""
        self.extra += 1
        name = chain_name(self.words.table, f"{chain.name}.{self.extra}")
        self.chains[name] = []
        return name


def _conditions(conditions: list[Condition]) -> list[Condition]:
    """Say `!` by a chain where a word that may be said once would be said twice."""
    flags = [
        [word.removeprefix("! ").split()[0] for clause in condition.some for word in clause.words[:1]]
        for condition in conditions
    ]
    said = [flag for each in flags for flag in set(each) if f"{flag} " in ONCE]
    return [
        Condition(none=(Clause((condition.some[0].words[0].removeprefix("! "),)),))
        if len(condition.some) == 1
        and condition.some[0].words[:1] != ()
        and condition.some[0].words[0].startswith("! ")
        and said.count(each[0]) > 1
        else condition
        for condition, each in zip(conditions, flags, strict=True)
    ]


def _is_vmap(actions: Sequence[Action]) -> bool:
    """Say whether these are the arms of a map, each a goto of its own."""
    return all(action.target.startswith("-g") and action.clause != ALWAYS for action in actions)


def _one_step(actions: Sequence[Action]) -> bool:
    """Say whether a rule needs no rest: it has no map, or nothing else."""
    return _is_vmap(actions) or not any(_is_vmap([action]) for action in actions)


def _all(clauses: Iterable[Clause]) -> Clause | None:
    """Join clauses that must hold together; None if they cannot."""
    whole: Clause | None = ALWAYS
    for clause in clauses:
        whole = whole.both(clause) if whole is not None else None
    return whole
