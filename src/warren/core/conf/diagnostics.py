"""Everything that can be wrong with a conf: the codes W700 to W799, one row each.

The rows are those of `core.codes` (the manual prints both tables) and two sentences more: what a finding says
and what it advises, with `{words}` that the place fills in. The value of a key is never among them.
"""

from __future__ import annotations

from dataclasses import dataclass

from warren.core.codes.code import ERROR, WARNING, Code
from warren.model.diagnostic import Diagnostic, Where


@dataclass(frozen=True, slots=True)
class ConfCode(Code):
    """One kind of finding, and its sentences."""

    says: str
    hint: str


GROUPS: tuple[tuple[str, str], ...] = (
    ("W70", "Confs: the file and its lines"),
    ("W71", "Confs: keys and peers"),
    ("W72", "Confs: addresses and AllowedIPs"),
    ("W73", "Confs: other values"),
    ("W74", "Confs: what is missing"),
)

CODES: dict[str, ConfCode] = {
    # --- the file and its lines --------------------------------------------------------------------------
    "W700": ConfCode(
        ERROR,
        "a conf's name is no device name",
        "The file NAME.conf makes the device NAME, and the kernel takes at most 15 characters, none of them odd.",
        "warren up /etc/wireguard/my-very-long-tunnel.conf",
        "Rename the file.",
        says="{name} cannot name a device",
        hint="Call the file NAME.conf, where NAME has 1 to 15 of the characters a-z A-Z 0-9 _ = + . -",
    ),
    "W701": ConfCode(
        WARNING,
        "a conf that everybody can read",
        "A conf holds private keys. Both this file and its directory are open to every user of the machine.",
        "-rw-r--r-- root root /etc/wireguard/wg0.conf",
        "chmod 600 the file.",
        says="{path} holds keys, and every user of this machine can read it",
        hint="chmod 600 {path}",
    ),
    "W702": ConfCode(
        ERROR,
        "bytes that are no text",
        "Settings are read as UTF-8 without zero bytes. Comments may hold anything.",
        "PostUp = echo Z\\xfcrich",
        "Save the file as UTF-8.",
        says="this line holds {what}",
        hint="Save the file as UTF-8 text.",
    ),
    "W703": ConfCode(
        ERROR,
        "a line that says nothing",
        "Every line is a setting, a section's heading, a comment or empty.",
        "ListenPort 51820",
        "Write the `=`, or put a `#` in front.",
        says="“{line}” is neither `Key = value`, nor a [section], nor a # comment",
        hint="Write `Key = value`, or put a # in front.",
    ),
    "W704": ConfCode(
        ERROR,
        "unknown section",
        "A conf has one [Interface] and any number of [Peer].",
        "[Peers]",
        "Use one of these two.",
        says="there is no section {section}",
        hint="A conf has one [Interface] and any number of [Peer].",
    ),
    "W705": ConfCode(
        ERROR,
        "a setting outside every section",
        "What stands before the first heading belongs to nobody.",
        "Address = 10.0.0.1/24\n[Interface]",
        "Put the heading above it.",
        says="{key} stands before the first section",
        hint="Put [Interface] or [Peer] above it.",
    ),
    "W706": ConfCode(
        ERROR,
        "unknown key in a conf",
        "Nothing is ignored: a misspelt key would leave the tunnel other than you think.",
        "[Peer]\nAllowedIp = 10.0.0.2/32",
        "Use the key that is suggested, or take the line away.",
        says="[{section}] has no key {key}",
        hint="{remedy}",
    ),
    "W707": ConfCode(
        WARNING,
        "a setting given twice",
        "Address, DNS, AllowedIPs and the hooks add up; of any other key only the last line counts.",
        "ListenPort = 51820\nListenPort = 51821",
        "Take one of the lines away.",
        says="{key} is given again in line {line}, and only the last one counts",
        hint="Take this line away.",
    ),
    "W708": ConfCode(
        ERROR,
        "a value that is missing",
        "The key stands there, but nothing behind its `=`.",
        "Endpoint =",
        "Write the value, or take the line away.",
        says="{key} has no value",
        hint="Write one behind the =, or take the line away.",
    ),
    # --- keys and peers ----------------------------------------------------------------------------------
    "W710": ConfCode(
        ERROR,
        "no key",
        "A WireGuard key is 32 bytes in base64: 44 characters, the last of them `=`. Often that one was not copied. "
        "The value itself is never shown.",
        "PrivateKey = EOpLmUJ08uwH2z2NpBwJ2upWzB5Tn36nhQvlXccAFnk",
        "Copy the whole key.",
        says="{key} is no key: {why}",
        hint="{remedy}",
    ),
    "W711": ConfCode(
        ERROR,
        "the key of nobody",
        "A public key of 32 zero bytes belongs to no private key.",
        "PublicKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "Ask the peer for its public key.",
        says="this PublicKey is all zeros",
        hint="Ask the peer for its public key: `wg show` prints it there.",
    ),
    "W712": ConfCode(
        ERROR,
        "a peer without a key",
        "WireGuard knows peers by nothing but their public keys.",
        "[Peer]\nAllowedIPs = 10.0.0.2/32",
        "Add the key, or take the section away.",
        says="this peer has no PublicKey",
        hint="Add `PublicKey = …` below [Peer].",
    ),
    "W713": ConfCode(
        WARNING,
        "a peer written twice",
        "wg(8) takes two sections of one key as one: what the second says replaces what the first said.",
        "two [Peer] sections with the same PublicKey",
        "Write both as one.",
        says="this peer stands already in line {line}; the two are taken as one",
        hint="Write both as one [Peer].",
    ),
    "W714": ConfCode(
        WARNING,
        "a private key where a public one belongs",
        "These 32 bytes can be a private key and cannot be a public one.",
        "PublicKey = (what `wg genkey` printed)",
        "Put the public key here, and make the peer a new pair: this private key has been handed on.",
        says="this PublicKey is a private key",
        hint="Paste what `wg pubkey` makes of it, and make the peer a new key: this one has been handed on.",
    ),
    # --- addresses and AllowedIPs ------------------------------------------------------------------------
    "W720": ConfCode(
        ERROR,
        "no address",
        "`Address` takes IPv4 and IPv6 addresses with an optional length, separated by commas.",
        "Address = 10.0.0.256/24",
        "Write an address, e.g. 10.0.0.2/24 or fd00::2/64.",
        says="“{value}” is no address: {why}",
        hint="Write e.g. 10.0.0.2/24 or fd00::2/64.",
    ),
    "W721": ConfCode(
        ERROR,
        "no prefix",
        "`AllowedIPs` takes prefixes separated by commas; + or - in front adds one or takes one away.",
        "AllowedIPs = 10.0.0.0/24,",
        "Write a prefix, e.g. 10.0.0.0/24 or fd00::/64.",
        says="“{value}” is no prefix: {why}",
        hint="Write e.g. 10.0.0.0/24, 0.0.0.0/0 or fd00::/64; a single address needs no /32.",
    ),
    "W722": ConfCode(
        WARNING,
        "host bits in AllowedIPs",
        "WireGuard cuts off what lies beyond the prefix length.",
        "AllowedIPs = 10.0.0.2/24",
        "Write the prefix that is meant, or the one address with /32 or /128.",
        says="{value} has bits beyond its prefix length; WireGuard takes it for {meant}",
        hint="Write {meant}, or {host} if only that address is meant.",
    ),
    "W723": ConfCode(
        WARNING,
        "AllowedIPs that another peer takes",
        "A prefix belongs to one peer. WireGuard gives it to the last one that names it, without a word.",
        "two peers, each with AllowedIPs = 0.0.0.0/0",
        "Leave the prefix at one peer. Two exits need two devices.",
        says="{value} stands at a later peer too (line {line}), and WireGuard gives it to that one",
        hint="Leave it at one peer.",
    ),
    "W724": ConfCode(
        WARNING,
        "an address given twice",
        "A device has an address once.",
        "Address = 10.0.0.1/24, 10.0.0.1/24",
        "Take one of them away.",
        says="{value} is given twice",
        hint="Take one of them away.",
    ),
    "W725": ConfCode(
        WARNING,
        "nothing to take away",
        "`-PREFIX` takes away exactly that prefix; WireGuard cuts no holes into larger ones.",
        "AllowedIPs = 10.0.0.0/8, -10.1.0.0/16",
        "List the prefixes that remain.",
        says="{value} is not among the AllowedIPs above, so - takes nothing away",
        hint="Give a prefix exactly as it was added: WireGuard cuts no holes into larger ones.",
    ),
    # --- other values ------------------------------------------------------------------------------------
    "W730": ConfCode(
        ERROR,
        "no endpoint",
        "An endpoint is a host and a UDP port, joined by a colon; an IPv6 address stands in brackets.",
        "Endpoint = 2001:db8::7:51820",
        "Write host:port or [address]:port.",
        says="“{value}” is no endpoint: {why}",
        hint="Write host:port, e.g. vpn.example.net:51820, 198.51.100.7:51820 or [2001:db8::7]:51820.",
    ),
    "W731": ConfCode(
        ERROR,
        "no port",
        "A port is a number or the name of a service.",
        "ListenPort = 65536",
        "Write a number from 0 (any port) to 65535.",
        says="“{value}” is no UDP port and no service's name",
        hint="Write a number from {least} to 65535, or a name of /etc/services.",
    ),
    "W732": ConfCode(
        ERROR,
        "no mark",
        "A packet mark is a number of 32 bits.",
        "FwMark = 0xfffffffff",
        "Write off, a decimal or a hexadecimal number.",
        says="“{value}” is no packet mark",
        hint="Write off, a number up to 4294967295, or one in hexadecimal such as 0xca6c.",
    ),
    "W733": ConfCode(
        ERROR,
        "no keepalive",
        "A keepalive is an interval in whole seconds.",
        "PersistentKeepalive = 25s",
        "Write the number alone.",
        says="“{value}” is no interval",
        hint="Write seconds from 1 to 65535, or off.",
    ),
    "W734": ConfCode(
        ERROR,
        "no MTU",
        "An MTU is a number of bytes.",
        "MTU = 1420 bytes",
        "Write the number alone, or leave the line out: the MTU is then worked out from the way to the endpoints.",
        says="“{value}” is no MTU",
        hint="Write a number from 68 to 65535; IPv6 needs at least 1280.",
    ),
    "W735": ConfCode(
        ERROR,
        "no routing table",
        "Routes go to main (auto), nowhere (off) or to the table that is named.",
        "Table = vpn",
        "Write the table's number, or add its name to /etc/iproute2/rt_tables.",
        says="“{value}” is no routing table",
        hint="Write off, auto, a number from 1 to 4294967295, or a name of /etc/iproute2/rt_tables.",
    ),
    "W736": ConfCode(
        ERROR,
        "neither true nor false",
        "SaveConfig is one of the two.",
        "SaveConfig = yes",
        "Write true or false.",
        says="“{value}” is neither true nor false",
        hint="Write SaveConfig = true or SaveConfig = false.",
    ),
    "W737": ConfCode(
        ERROR,
        "no name server",
        "DNS takes addresses of name servers and domains to search, separated by commas.",
        "DNS = 10.0.0.300",
        "Write addresses and domains.",
        says="“{value}” is neither an address nor a domain",
        hint="Write addresses of name servers and domains to search, e.g. 10.0.0.1, example.net.",
    ),
    "W738": ConfCode(
        WARNING,
        "search domains without a name server",
        "Search domains are handed to the resolver along with name servers only.",
        "DNS = example.net",
        "Add a name server's address, or take the line away.",
        says="DNS names domains to search, but no name server, so it does nothing",
        hint="Add a name server's address, or take the line away.",
    ),
    "W739": ConfCode(
        ERROR,
        "an MTU too small for IPv6",
        "Linux turns IPv6 off on a device whose MTU is below 1280 (RFC 8200 section 5).",
        "Address = fd00::2/64\nMTU = 1200",
        "Raise the MTU, or leave the IPv6 addresses out.",
        says="an MTU of {mtu} is less than the 1280 that IPv6 needs, and {address} is an IPv6 address",
        hint="Set MTU to 1280 or more, or leave the IPv6 addresses out.",
    ),
    # --- what is missing ---------------------------------------------------------------------------------
    "W740": ConfCode(
        WARNING,
        "no private key",
        "Without a private key the tunnel carries nothing; some people set it by a hook.",
        "[Interface]\nAddress = 10.0.0.1/24",
        "Add the key, or a hook that sets it.",
        says="[Interface] has no PrivateKey; a hook has to set one",
        hint="Add `PrivateKey = …`, or `PreUp = wg set %i private-key …`.",
    ),
    "W741": ConfCode(
        ERROR,
        "no interface",
        "Without [Interface] there is no device to make.",
        "[Peer]\n…",
        "Begin the file with [Interface].",
        says="there is no [Interface] section",
        hint="Begin the file with [Interface].",
    ),
}


def finding(code: str, where: Where, **words: object) -> Diagnostic:
    """Make a diagnostic of a code; `words` fill its sentences in."""
    row = CODES[code]
    return Diagnostic(code, row.severity, where, row.says.format(**words), row.hint.format(**words))
