"""Network files made at random: hosts, devices, NATs, LANs that overlap, maps, portals, chains, families, countries and
lists, what is published, faults, expectations.

What check refuses is taken out line by line, so that every file is one that a person could have written. The
expectations ask; what they promise is nonsense.
"""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Iterator
from ipaddress import ip_network

from warren.core.load import Loaded, load
from warren.core.sets import ReadSet
from warren.model.diagnostic import Severity
from warren.model.named_set import ListSource, NamedSet
from warren.model.prefix import aggregate

_MAPPINGS = ("endpoint-independent", "address-dependent", "address-and-port-dependent")
_PUBLIC = ("1.1.1.1", "8.8.4.4", "2606:4700::1111", "2a00:1450::5")
_STRANGERS = ("9.9.9.9", "2620:fe::9")  # whom test_walk_agrees asks
_SETS = ("country:XX", "country:YY", "list:oak")


def random_network(seed: int, questions: int = 10) -> Loaded:
    """Make a network that check has nothing against; the same seed gives the same file."""
    chance = random.Random(seed)
    while True:
        more = (random.Random(f"{what} {seed}") for what in ("maps", "publishes", "devices", "sets"))
        text = _text(chance, *more, questions)
        for _ in range(8):
            loaded = load(text.encode(), None, f"seed-{seed}.yaml", _key, sets=_sets(seed))
            wrong = {one.where.line for one in loaded.diagnostics if one.severity is Severity.ERROR}
            if not wrong:
                return loaded
            text = "\n".join("" if at in wrong else line for at, line in enumerate(text.splitlines(), start=1)) + "\n"


def _key(name: str) -> str:  # type: ignore[return]
    return b64encode(random.Random(name).randbytes(32)).decode()


def _sets(seed: int) -> ReadSet:
    """Give sets some of the addresses that are asked, in prefixes of any length, and some that nobody asks."""

    def read(name: str, _listed: ListSource | None) -> NamedSet:
        chance = random.Random(f"{name} {seed}")
        asked = [one for one in (*_PUBLIC, *_STRANGERS) if chance.random() < 0.5]
        lengths = {one: chance.randint(20, 128) if ":" in one else chance.randint(8, 32) for one in asked}
        prefixes = [ip_network(f"{one}/{length}", strict=False) for one, length in lengths.items()]
        prefixes += [
            ip_network((chance.randrange(40 << 16, 99 << 16) << 8, 24)) for _ in range(chance.choice((1, 300)))
        ]
        return NamedSet(name, aggregate(prefixes))

    return read


class _Maker:
    """One file in the making."""

    def __init__(
        self,
        chance: random.Random,
        maps: random.Random,
        gifts: random.Random,
        phones: random.Random,
        sets: random.Random,
    ) -> None:
        self.chance = chance
        self.sets = sets
        self.maps = maps
        self.gifts = gifts
        self.given: list[tuple[str, str]] = []
        self.phones = phones
        self.devices = ["oak", "pine"][: phones.choice((0, 0, 0, 1, 2))]
        self.names = ["ash", "birch", "cedar", "elm", "fir"][: chance.randint(2, 5)]
        self.public = {name for name in self.names if chance.random() < 0.5} or {self.names[0]}
        self.lans: dict[str, list[tuple[str, str, str]]] = {}
        self.six = False

    def odds(self, part: float) -> bool:
        """Say yes with a probability."""
        return self.chance.random() < part

    def hosts(self) -> Iterator[str]:
        """Write the hosts; LANs come from a small pool, so that some overlap."""
        chance = self.chance
        for at, name in enumerate(self.names):
            self.lans[name] = []
            yield f"  {name}:"
            yield "    uplink: wan"
            if name in self.public:
                literal = chance.choice([f"203.0.113.{at + 10}", f"{name}.example.net", f"{name}.example.net"])
                if self.odds(0.1):  # then everybody must have IPv6, or nobody need ever dial
                    self.six, literal = True, f"[2001:db8:f{at}::1]"
                yield f"    endpoint: '{literal}:51820'"
            lans = []
            for lan in ("lan0", "lan1")[: chance.choice((0, 1, 1, 2, 2))]:
                net = chance.choice((1, 2, 10 + 2 * at, 11 + 2 * at, 11 + 2 * at))
                v4, v6 = f"192.168.{net}", f"fd11:{net}:" if self.odds(0.8) else f"2001:db8:a{net}:"
                both = f"['{v4}.1/24', '{v6}:1/64']" if self.odds(0.6) else f"'{v4}.1/24'"
                closed = ", closed: true" if self.odds(0.1) else ""
                known_as = "" if closed else self.known_as(len(lans) + 10 * at, "," in both)
                lans.append(f"{lan}: {{address: {both}{closed}{known_as}}}")
                self.lans[name].append((lan, v4, v6))
            if lans:
                yield "    lans: {" + ", ".join(lans) + "}"

    def known_as(self, number: int, both: bool) -> str:
        """Write a map for some LANs: of one family or both, or left to the lock."""
        kind = self.maps.random()
        if kind < 0.5:
            return ""
        v4, v6 = f"10.98.{number}.0/24", f"'fd98:{number}::/64'"
        words = "auto" if kind < 0.7 else f"[{v4}, {v6}]" if both and kind < 0.9 else v4
        return f", map: {words}"

    def place(self, hosts: list[str] | None = None) -> str:
        """Name a host, a LAN, an address of one, or a machine by its MAC."""
        name = self.chance.choice(hosts or self.names)
        lans = self.lans[name]
        if not lans or self.odds(0.25):
            return name
        lan, v4, v6 = self.chance.choice(lans)
        kind = self.chance.random()
        if kind < 0.7:
            return f"{name}.{lan}"
        if kind < 0.8:
            return f"{name}.{v4}.{self.chance.randint(50, 52)}"
        if kind < 0.85:
            return f"{name}.{v4}.64/26"
        if kind < 0.9:
            return f"{name}.{v6}:51"
        return f"{name}.{lan}.02:00:5e:00:00:0{self.chance.randint(1, 3)}"

    def apps(self) -> Iterator[str]:
        """Write devices: into a host or behind it, with a reach, a full tunnel, or both."""
        chance = self.phones
        for name in self.devices:
            places = [*self.names, *(f"{host}.{lan}" for host in self.names for lan, _, _ in self.lans[host])]
            reach = chance.sample([*places, *(one for one in self.devices if one != name)], chance.randint(0, 2))
            words = [f"into: {chance.choice(self.names)}", f"reach: [{', '.join(reach)}]"]
            if not reach or chance.random() < 0.4:
                words.append("full_tunnel: true")
            if chance.random() < 0.3:
                words.append(f"via: {chance.choice(sorted(self.public))}")
            yield f"  {name}: {{{', '.join(words)}}}"

    def or_device(self, place: str) -> str:
        """Put a device in the place of a place, now and then."""
        return self.phones.choice(self.devices) if self.devices and self.phones.random() < 0.4 else place

    def portals(self) -> Iterator[str]:
        """Write portals, some of them chains, some with exceptions."""
        for _ in range(self.chance.randint(1, 4)):
            source = self.place()
            others = [name for name in self.names if name != source.partition(".")[0]]
            exit_ = self.chance.choice(others)
            relays = [name for name in others if name != exit_]
            words = [f"from: '{source}'", f"exit: {exit_}"]
            if relays and self.odds(0.3):
                words.append(f"via: [{self.chance.choice(relays)}]")
            if self.odds(0.3):
                words.append(f"family: {self.chance.choice(('ipv4', 'ipv6'))}")
            if self.odds(0.25):
                words.append(
                    f"except: [{self.chance.choice(('8.0.0.0/8', '1.1.1.0/24', chr(39) + '2a00::/16' + chr(39)))}]"
                )
            if self.odds(0.2):
                words.append("nat: snat")
            words += self.named(any(word.startswith("except") for word in words))
            yield "  - {" + ", ".join(words) + "}"

    def named(self, excepts: bool) -> list[str]:
        """Write countries and lists for some portals: what leaves directly, or all that does not."""
        sets = self.sets
        if sets.random() < 0.5:
            return []
        names = [f"'{name}'" for name in sets.sample(_SETS, sets.choice((1, 1, 2)))]
        if sets.random() < 0.3:
            names.append(sets.choice(("1.0.0.0/8", "9.9.9.0/24", "'2606:4700::/32'")))
        if excepts:  # one such word beside the prefix there is would be the same key twice
            return []
        return [f"{sets.choice(('except', 'only'))}: [{', '.join(names)}]"]

    def publishes(self) -> Iterator[str]:
        """Write what some gateways publish: all, or some ports; of hosts and of machines on LANs."""
        gifts = self.gifts
        for at in range(gifts.choice((0, 0, 1, 2, 3))):
            gateway = gifts.choice(sorted(self.public))
            home = gifts.choice([name for name in self.names if name != gateway])
            places = [home, *(f"{home}.{v4}.50" for _, v4, _ in self.lans[home])]
            places += [f"{home}.{v6}:51" for _, _, v6 in self.lans[home]]
            ports, asked = gifts.choice(
                (
                    ("all", "tcp/4000"),
                    ("all", "udp/4000"),
                    ("all", ""),
                    (f"[tcp/80{at}, udp/53]", f"tcp/80{at}"),
                    (f"[udp/81{at}→53]", f"udp/81{at}"),
                    (f"[tcp/{82 + at}00-{82 + at}10→9000-9010]", f"tcp/{82 + at}07"),
                )
            )
            kept = ", except: [tcp/4000, udp/9]" if ports == "all" and gifts.random() < 0.2 else ""
            source = ", source: snat" if gifts.random() < 0.25 else ""
            self.given.append((gateway, asked))
            yield f"  - {{at: {gateway}, to: '{gifts.choice(places)}', ports: {ports}{kept}{source}}}"

    def guests(self) -> Iterator[str]:
        """Write the questions of those to whom something is published."""
        for gateway, asked in self.given:
            to = f"{gateway} {asked}".strip()
            broken = self.gifts.choice(self.names)
            yield f"  - {{from: internet, to: '{to}', arrives: true}}"
            if self.gifts.random() < 0.3:
                yield f"  - {{from: internet, to: '{to}', arrives: true, when: {{down: [{broken}]}}}}"

    def expects(self, count: int) -> Iterator[str]:
        """Write questions."""
        for _ in range(count):
            source, down = self.place(), ""
            target = self.chance.choice(_PUBLIC) if self.odds(0.55) else self.place()
            if self.odds(0.2):
                broken = self.chance.choice(self.names)
                others = [name for name in self.names if name != broken]
                broken = f"{broken}-{self.chance.choice(others)}" if self.odds(0.5) else broken
                down = f", when: {{down: [{broken}]}}"
            elif self.odds(0.1):
                source, target = "internet", self.chance.choice(self.names)
            source, target = self.or_device(source), self.or_device(target)
            if source != target:
                yield f"  - {{from: '{source}', to: '{target}', arrives: true{down}}}"

    def lab(self) -> Iterator[str]:
        """Write NATs, where hosts stand, and links."""
        chance = self.chance
        boxes = []
        for name in ("cafe", "cgnat", "box")[: chance.randint(1, 3)]:
            mapping, filtering = chance.choice(_MAPPINGS), chance.choice(_MAPPINGS)
            ports = chance.choice(("preserving", "sequential", "random"))
            boxes.append(name)
            yield f"    {name}: {{mapping: {mapping}, filtering: {filtering}, ports: {ports}}}"
        yield "  place:"
        for name in self.names:
            # A NAT stands in one place only: box is always behind cgnat.
            ways = ["internet", "cafe", "[cgnat, box]", "cgnat"]
            known = [
                way for way in ways if all(part.strip() in ("internet", *boxes) for part in way.strip("[]").split(","))
            ]
            yield f"    {name}: {'internet' if name in self.public else chance.choice(known)}"
        yield "  links:"
        for name in self.names:
            words = [f"mtu: {chance.choice((1400, 1460, 1500))}"] if self.odds(0.4) else []
            words += ["ipv6: false"] if self.odds(0.15) and not self.six else []
            if words:
                yield f"    {name}: {{{', '.join(words)}}}"


def _text(
    chance: random.Random,
    maps: random.Random,
    gifts: random.Random,
    phones: random.Random,
    sets: random.Random,
    questions: int,
) -> str:
    maker = _Maker(chance, maps, gifts, phones, sets)
    overlay = chance.choice(("[10.99.0.0/24, 'fd99::/64']",) * 3 + ("[10.99.0.0/24]", "['fd99::/64']"))
    lines = ["network: grove", f"overlay: {overlay}"]
    if maker.odds(0.7):
        lines.append(f"hub: {chance.choice(sorted(maker.public))}")
    lines += [
        "lists: {oak: oak.txt}",
        "hosts:",
        *maker.hosts(),
        "devices:",
        *maker.apps(),
        "portals:",
        *maker.portals(),
    ]
    lines += ["publish:", *maker.publishes(), "expect:", *maker.expects(questions), *maker.guests()]
    lines += ["lab:", "  nats:", *maker.lab()]
    return "\n".join(lines) + "\n"


def show(seed: int) -> None:
    """Print a seed's file."""
    loaded = random_network(seed)
    print("\n".join(source.text for source in loaded.sources))
