"""Rendering for other machines."""

from __future__ import annotations

from warren.core.codes.code import WARNING, Code

CODES: dict[str, Code] = {
    "W150": Code(
        WARNING,
        "something the target cannot express",
        "What is to run on that machine has no word for a part of what the network needs there. All else is in the "
        "files; this part is not, and is named so that nobody takes it for done.",
        "warren render home.yaml --host nyc --as qr   # nyc forwards for its LANs, and an app does not",
        "Do what the hint says on that machine, choose another target, or run Warren there.",
    ),
    "W151": Code(
        WARNING,
        "a key that is not here",
        "The files need a key that is not on this machine, or is not the one that the network file means. In its place "
        "stands a line that says which key belongs there; nothing comes up with it.",
        "warren render home.yaml --host nyc --as wg-quick -o nyc/   # on a laptop",
        "Put the key in its place on the machine where it lies, render there, or name its file with `--private-key`.",
    ),
    "W152": Code(
        WARNING,
        "a gateway that nobody could look at",
        "`apply` reads what listens on a gateway and keeps it there, whatever is published. Rendered files know sshd's "
        "usual port, WireGuard's own ports and what `except:` names: all else goes away to where `all` leads.",
        "publish: [{at: cloud, to: home, ports: all}]   # and sshd of cloud listens on 2200",
        "Name in `except:` every port that the gateway needs itself, before the files are used there.",
    ),
}
