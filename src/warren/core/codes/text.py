"""The file as text, its words and values, its names."""

from __future__ import annotations

from warren.core.codes.code import ERROR, Code

CODES: dict[str, Code] = {
    # --- the file as text ---------------------------------------------------------------------------------
    "W001": Code(
        ERROR,
        "not UTF-8",
        "The file is read as UTF-8. A byte that is no part of a UTF-8 character usually comes from an editor that "
        "saved the file as Latin-1.",
        "uplink: eth0 # Z\\xfcrich",
        "Save the file as UTF-8, or replace the character.",
    ),
    "W002": Code(
        ERROR,
        "a control character",
        "NUL bytes, escape sequences and other invisible control characters cannot stand in YAML, and could hide text "
        "from a reader.",
        "network: port\\x00als",
        "Delete the character.",
    ),
    "W003": Code(
        ERROR,
        "not YAML",
        "The text breaks the grammar of YAML, so nothing after this place can be understood.",
        "overlay: [10.77.0.0/24",
        "Mend the line. Frequent causes: a bracket or quote that is never closed, a tab used to indent, "
        "indentation that does not line up, a value with `: ` or a trailing `:` that needs quotes.",
    ),
    "W004": Code(
        ERROR,
        "larger than any network",
        "Warren reads files of at most 4 MiB, 200,000 values and 24 levels of nesting, so that no file, whatever its "
        "origin, can use up a machine's memory or time.",
        "hosts: [[[[[[[[[[[[[[[[[[[[[[[[[ … ]]]]]]]]]]]]]]]]]]]]]]]]]",
        "Take out what does not belong there. A network of 1,000 hosts needs about 200 KiB.",
    ),
    "W005": Code(
        ERROR,
        "YAML that warren does not read",
        "Anchors, aliases, merge keys, tags and keys that are no plain words make a file say something else than a "
        "reader sees, so warren reads none of them.",
        "nyc: &site {uplink: eth0}\nparis: *site",
        "Write the value out where it is meant.",
    ),
    "W006": Code(
        ERROR,
        "more than one document",
        "A network is one document in one file; what follows a second `---` would be ignored otherwise.",
        "network: one\n---\nnetwork: two",
        "Move the second document into a file of its own.",
    ),
    "W008": Code(
        ERROR,
        "too many findings",
        "Warren stops after 1,000 findings; there may be more.",
        "hosts: (a thousand mistakes)",
        "Mend the findings listed, then run check again.",
    ),
    # --- words and values ---------------------------------------------------------------------------------
    "W010": Code(
        ERROR,
        "unknown key",
        "Warren knows no such key here, and an ignored key would be a promise broken in silence.",
        "endpont: nyc.example.net:51820",
        "Use the key that is suggested, or delete it. docs/network-file.md lists the keys of each place.",
    ),
    "W011": Code(
        ERROR,
        "missing key",
        "Something without which the entry means nothing is not there.",
        "portals:\n  - {from: nyc.eth2}",
        "Add the key that is named.",
    ),
    "W012": Code(
        ERROR,
        "wrong type",
        "A list, a mapping, a text, a number or a true/false stands where another of them belongs.",
        "overlay: {v4: 10.77.0.0/24}",
        "Write the value in the form that the hint shows.",
    ),
    "W013": Code(
        ERROR,
        "duplicate key",
        "The same key stands twice in one mapping. YAML programs disagree on which of the two counts.",
        "uplink: eth0\nuplink: wan0",
        "Delete one of the two.",
    ),
    "W014": Code(
        ERROR,
        "duplicate host",
        "Two hosts have the same name.",
        "hosts:\n  nyc: …\n  nyc: …",
        "Rename one of them, or merge the two.",
    ),
    "W015": Code(
        ERROR,
        "not in this version yet",
        "The word belongs to the language of network files, but this version of warren cannot do it. It is refused "
        "rather than ignored.",
        "portals:\n  - {from: nyc.eth2, exit: paris, dns: exit}",
        "Take the word out until a version has it.",
    ),
    "W016": Code(
        ERROR,
        "a value that is not allowed",
        "The value is none of the words that are allowed here, or a number out of range.",
        "nat: masquerade",
        "Use one of the values that the hint lists.",
    ),
    # --- names --------------------------------------------------------------------------------------------
    "W020": Code(
        ERROR,
        "a name that cannot be used",
        "Names of networks, hosts and NATs appear in names of devices, firewall tables and namespaces: lower-case "
        "letters, digits and hyphens, beginning with a letter. A network's name has at most 15 characters, others 32. "
        "`internet`, `kept`, `true` and `false` have a meaning of their own.",
        "hosts:\n  New_York: …",
        "Choose another name; the hint makes a proposal.",
    ),
    "W021": Code(
        ERROR,
        "a device name that cannot be used",
        "Linux gives device names at most 15 characters, without slashes, colons or spaces (`lo`, `all` and `default` "
        "mean something else). Warren takes letters, digits and `_ . - @`.",
        "uplink: enp0s31f6-to-the-attic",
        "Write the device's name as `ip link` shows it.",
    ),
    "W022": Code(
        ERROR,
        "one device, two roles",
        "A host's uplink leads to the internet and its LANs do not; one device cannot be both.",
        "uplink: eth0\nlans:\n  eth0: {address: 192.168.1.1/24}",
        "Name the device that leads to the internet as uplink, and only the others under `lans:`.",
    ),
}
