"""Read the shell of a hook, as far as it is a list of simple commands: `a b; c d && e f`.

Whatever shell can do beyond that (pipes, loops, substitutions, redirections) is not guessed at.
"""

from __future__ import annotations

import re
import shlex

_JOINTS = frozenset({";", "&&", ";;"})
_BEYOND = re.compile(r"[`$<>(){}|*?~]|(?<!&)&(?!&)")
_ENDS_WELL = re.compile(r"\s*(2>&1|2?>\s*/dev/null|\|\|\s*(true|:))\s*$")
_LONGEST = 4096
_WRITES = re.compile(r"echo 1 ?> ?/proc/sys/([\w/]+)")

# The kill switch that wg-quick(8) advises: what is not the tunnel's leaves by the tunnel or not at all.
KILL_SWITCH = re.compile(
    r"ip6?tables -[AID] OUTPUT ! -o \S+ -m mark ! --mark \$\(wg show \S+ fwmark\) "
    r"-m addrtype ! --dst-type LOCAL -j (REJECT|DROP)"
)


def commands_in(hook: str, device: str) -> list[list[str]] | None:
    """Split a hook into the words of its commands, `%i` replaced; None if it is more than a list of commands."""
    text = hook[: _LONGEST + 1].replace("%i", device).strip()
    while shortened := _ENDS_WELL.sub("", text):
        if shortened == text:
            break
        text = shortened
    text = _WRITES.sub(lambda found: f"sysctl {found[1]}=1", KILL_SWITCH.sub("kill-switch", text))
    if len(text) > _LONGEST or _BEYOND.search(text):
        return None
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    commands: list[list[str]] = [[]]
    try:
        for word in lexer:
            if word in _JOINTS:
                commands.append([])
            elif set(word) <= {";", "&"}:
                return None
            else:
                commands[-1].append(word)
    except ValueError:  # a quote that is never closed
        return None
    return [command for command in commands if command]
