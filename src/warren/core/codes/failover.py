"""Portals with several exits, or another way out."""

from __future__ import annotations

from warren.core.codes.code import ERROR, WARNING, Code

CODES: dict[str, Code] = {
    "W225": Code(
        ERROR,
        "an exit that is named twice",
        "The exits of a portal are tried in their order; one that is dead the first time is dead the second time.",
        "portals:\n  - {from: nyc.eth2, exit: [paris, tokyo, paris]}",
        "Name each exit once, the preferred one first.",
    ),
    "W226": Code(
        ERROR,
        "an exit that cannot be watched",
        "Whether one of several exits is alive is asked through the tunnel to it. Behind a relay (`via:`, or the hub "
        "where two hosts cannot dial each other) an answer would not tell which of the two hosts is alive, and all "
        "exits behind one relay would have the same tunnel.",
        "portals:\n  - {from: nyc.eth2, via: [paris], exit: [tokyo, berlin]}",
        "Take `via:` out, give one of the two ends an `endpoint:` so that they can dial each other, or name one exit.",
    ),
    "W227": Code(
        ERROR,
        "a health address that says nothing of the exit",
        "Health is measured behind the exit: at an address that a packet reaches only if the exit passes it on to the "
        "internet. An address of the network itself, or of the exit, answers also when nothing goes out there.",
        "portals:\n  - {from: nyc.eth2, exit: [paris, tokyo], health: 10.77.0.3}   # tokyo's address in the overlay",
        "Name an address of the internet that answers pings, or leave `health:` out: two are asked that usually do.",
    ),
    "W228": Code(
        WARNING,
        "health that nobody asks for",
        "With one exit and `if_down: block` there is nothing to choose, so whether the exit is alive is not measured.",
        "portals:\n  - {from: nyc.eth2, exit: paris, health: 9.9.9.9}",
        "Add an exit (`exit: [paris, tokyo]`), write `if_down: direct`, or delete `health:`.",
    ),
}
