"""What `warren import` finds in confs that a network file cannot say: the codes W160 to W169, one row each.

What is wrong with a conf by itself has codes of its own (core.conf.diagnostics), and so has what is wrong with the
file that comes out (core.codes).
"""

from __future__ import annotations

from warren.core.codes.code import ERROR, WARNING
from warren.core.conf.diagnostics import ConfCode
from warren.core.source import visible, without_keys
from warren.model.diagnostic import Diagnostic, Where

GROUPS: tuple[tuple[str, str], ...] = (("W16", "Confs: what import cannot take over"),)

CODES: dict[str, ConfCode] = {
    "W160": ConfCode(
        WARNING,
        "a hook that is not understood",
        "Hooks are shell, and shell can do anything. Import understands what WireGuard's users mostly write: "
        "MASQUERADE, FORWARD and INPUT accepts, DNAT, MSS clamps, forwarding, and the marks and rules that bring "
        "replies back into a tunnel. Everything else is left out, and listed so that nothing goes missing unseen.",
        "PostUp = ip route add 10.9.0.0/16 via 10.0.0.7",
        "Say in the network file what the hook was for, or keep it outside of warren (a unit that runs after it).",
        says="not understood, and left out: {what}",
        hint="{remedy}",
    ),
    "W161": ConfCode(
        WARNING,
        "a setting that the network file does not have",
        "A network file says what the network is for; some settings of a conf have no place in it, or need none "
        "because warren does that by itself.",
        "DNS = 10.0.0.53",
        "Do as the finding advises.",
        says="{what} is not taken over: {why}",
        hint="{remedy}",
    ),
    "W162": ConfCode(
        WARNING,
        "confs that disagree",
        "Confs of one network each say what the others are. Where two say different things, one of them was wrong or "
        "out of date, or meant something that only holds for itself; a network file says each thing once.",
        "a.conf: AllowedIPs = 10.0.0.2/32    b.conf: Address = 10.0.0.3/24",
        "Look which is right, and mend the network file if it is the other.",
        says="{what}",
        hint="{remedy}",
    ),
    "W163": ConfCode(
        WARNING,
        "an address outside of the overlay",
        "A host has one tunnel address of each family, and all of them lie in one prefix, the overlay.",
        "Address = 10.192.122.1/24, 10.10.0.1/16",
        "Renumber the host in the old network first, or let it have the address that the lock holds.",
        says="{what}",
        hint="{remedy}",
    ),
    "W164": ConfCode(
        WARNING,
        "something that will not be the same",
        "The network file was compiled for each host and compared with its conf, and here the two differ: warren makes "
        "tunnels by its own rules, and not everything that a conf can say can be said in a network file.",
        "PersistentKeepalive = 10",
        "Decide whether you can live with the difference before you apply the file.",
        says="{what}",
        hint="{remedy}",
    ),
    "W165": ConfCode(
        ERROR,
        "two confs with one key",
        "Each conf is one host of the network, and a host has a key of its own. Two confs with one private key are two "
        "copies of one conf, or two tunnels of one host.",
        "a/wg0.conf and b/wg0.conf with the same PrivateKey",
        "Leave one of them out. Two hosts that share a key need a new one for one of them: WireGuard cannot tell them "
        "apart either.",
        says="this conf has the same private key as {other}",
        hint="Leave one of the two out; a host has one key.",
    ),
    "W166": ConfCode(
        ERROR,
        "confs of different networks",
        "No chain of peers leads from one conf to the other, so they were never one network: they are two, which a "
        "host may well take part in at once.",
        "warren import home.conf provider.conf",
        "Import each network by itself.",
        says="no tunnel leads from here to what {other} is part of",
        hint="Import them one at a time: `warren import` writes one network.",
    ),
    "W167": ConfCode(
        WARNING,
        "nobody knows where it is dialled",
        "Two hosts have a tunnel, and no conf says where either can be dialled: the conf that had the Endpoint was not "
        "given. The file has a stand-in that nobody can reach.",
        "a server's conf alone, without those of its clients",
        "Give `--endpoint NAME=HOST:PORT`, or write the endpoint into the file.",
        says="where `{name}` is dialled stands in none of the confs; the file says {stand_in}",
        hint="Write its real endpoint into the file, or import again with `--endpoint {name}=HOST:PORT`.",
    ),
    "W168": ConfCode(
        ERROR,
        "no tunnel address anywhere",
        "The overlay of a network is where its tunnel addresses come from, and neither an Address nor a single address "
        "among the AllowedIPs says what it was.",
        "[Interface] without Address, [Peer] with AllowedIPs = 0.0.0.0/0",
        "Add the Address lines that belong to the tunnel, for instance those of `ip addr show wg0`.",
        says="no conf says a tunnel address that a network can be made of",
        hint="Add `Address = …` under [Interface]: what `ip addr show` says of the tunnel.",
    ),
    "W169": ConfCode(
        ERROR,
        "a conf without a private key",
        "Confs are matched by keys: the public key of a conf's PrivateKey is a peer in other confs. Without it nobody "
        "can tell whose conf this is.",
        "[Interface]\nAddress = 10.0.0.1/24",
        "Add the key; it is read, and goes nowhere.",
        says="whose conf this is cannot be told without its PrivateKey",
        hint="Add `PrivateKey = …`; import reads it and writes it nowhere unless asked to by --keys.",
    ),
}

_SHOWN = 160  # characters of a hook that a finding repeats


def finding(code: str, where: Where, **words: str) -> Diagnostic:
    """Make a diagnostic of a code; `words` fill its sentences in, and can neither hold a key nor disturb a terminal."""
    row = CODES[code]
    shown = {name: _shown(word) for name, word in words.items()}
    return Diagnostic(code, row.severity, where, row.says.format(**shown), row.hint.format(**shown))


def _shown(word: str) -> str:
    plain = visible(without_keys(word.encode("utf-8", "replace").decode()))
    return plain if len(plain) <= _SHOWN else plain[:_SHOWN] + "…"
