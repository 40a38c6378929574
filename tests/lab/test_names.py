"""Routing by name with real packets and a real dnsmasq: what was answered is in the sets before anybody can use it.

home.lan ── only: domain:films.example ──► cloud       home.guests ── except: domain:bank.example ──► cloud
the internet has a DNS: names, names that lead to others, HTTPS records with hints
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from tests.lab.enclosed import enclosed
from warren.core.compile.forgetting import FORGETTER
from warren.core.domains import TURN
from warren.core.parse import parse
from warren.core.sets import fill
from warren.core.walk import Walker
from warren.lab.lab import Lab, bring_up
from warren.lab.lookup import Lookup, look_up
from warren.lab.topology import client_space, host_space
from warren.lab.trial import try_as_it_is, walker_of
from warren.lab.works import memory
from warren.model.expect import Expect, Target
from warren.model.network import Network
from warren.model.place import Place, PlaceKind
from warren.model.prefix import Address
from warren.proto.dns.message import AAAA, HTTPS, IN, A, read_answer, wire_name, write_query
from warren.sys.apply import down
from warren.sys.machine import Machine
from warren.sys.observe import observe
from warren.sys.store import Store

pytestmark = pytest.mark.lab

FILE = """
network: names
overlay: [10.83.0.0/24, "fd83:8:3::/64"]
hosts:
  cloud: {key: KoxN2ZaCrbA2YyeDci+kGcQ5AxN5SUhlp+yFtGO760w=, endpoint: cloud.example.net:51820, uplink: ens3}
  home:
    key: u4w1QbNc/ia/uKfYBf6Eno17a8T1JKnbXcjpUZLD5RU=
    uplink: wan
    lans:
      lan: {address: [192.168.16.1/24, "fd16:16::1/64"]}
      guests: {address: [192.168.17.1/24, "fd17:17::1/64"]}
portals:
  - {from: home.lan, exit: cloud, only: [domain:films.example]}
  - {from: home.guests, exit: cloud, except: [domain:bank.example]}
expect:
  - {from: home.lan, to: a.films.example, exit: cloud}
  - {from: home.lan, to: b.films.example, exit: cloud}
  - {from: home.lan, to: c.films.example, exit: cloud}
  - {from: home.lan, to: d.films.example, exit: cloud}
  - {from: home.lan, to: e.films.example, exit: cloud}
  - {from: home.guests, to: www.bank.example, exit: home}
  - {from: home.guests, to: www.elsewhere.example, exit: cloud}
lab: {place: {cloud: internet, home: internet}}
"""
LAN, GUESTS = (Place(PlaceKind.LAN, "home", name) for name in ("lan", "guests"))
TABLE = "inet warren-names"


def network_of(text: str) -> Network:
    parsed = parse(text.encode(), "names.yaml")
    assert parsed.network is not None, parsed.diagnostics
    return fill(parsed.network, None)


class Scene:
    """The lab, up, with words to ask and to send."""

    def __init__(self) -> None:
        self.lab: Lab = bring_up(network_of(FILE), None)
        self.walker: Walker = walker_of(self.lab)
        self.known = dict(self.lab.world.names)
        self.lab.prove_sight(("home", "cloud"))

    def space(self, place: Place) -> str:
        client = next(one for one in self.lab.world.clients if one.name == str(place))
        return client_space(self.lab.world, client)

    def exits(self, place: Place, *names: str) -> list[str]:
        """Send to what names stand for, of both families, without asking; says whose uplink each leaves by."""
        expects = [Expect(place, Target(address=one)) for name in names for one in self.known[name]]
        found = [verdict.observed[0] for verdict in try_as_it_is(self.lab, expects, self.walker)]
        return [", ".join(one.exits) if one.answered else "" for one in found]

    def ask(self, place: Place, name: str, resolver: str = "") -> frozenset[Address]:
        """Ask for a name, at the LAN's resolver or at another; gives what was told."""
        resolver = resolver or str(self.lab.network.by_name["home"].lan(place.lan).addresses[0].ip)
        lookup = Lookup(self.space(place), resolver, name)
        look_up([lookup], self.lab.spaces, self.lab.selector, self.lab.wait, 10)
        assert not lookup.trouble
        return lookup.addresses

    def run(self, *argv: str) -> str:
        return self.lab.spaces.run(host_space("home"), argv)

    def held(self, name: str) -> set[str]:
        """The elements of a set."""
        text = self.run("nft", "list", "set", *TABLE.split(), name)
        inside = text.partition("elements = {")[2].partition("}")[0]
        return {word.split()[0] for word in inside.split(",") if word.strip()}

    def askers(self, name: str) -> set[str]:
        """Who asked the internet for a name."""
        return {asker for asker, asked, _ in self.lab.zone.asked if asked == wire_name(name)}


@pytest.fixture(scope="module")
def seen() -> dict[str, object]:
    """Everything that is tried, in one lab: what was seen at each step."""
    return enclosed(lambda: dict(_tried(Scene())))


def _tried(scene: Scene) -> Iterator[tuple[str, object]]:
    lab, zone = scene.lab, scene.lab.zone
    zone.aliases[wire_name("www.films.example")] = wire_name("cdn.elsewhere.example")
    zone.addresses[wire_name("cdn.elsewhere.example")] = scene.known["c.films.example"]
    zone.aliases[wire_name("other.example")] = wire_name("d.films.example")
    hints = b"\0\1\0" + b"\0\4\0\4" + IPv4Address("203.0.113.77").packed
    zone.records[wire_name("a.films.example"), HTTPS] = hints

    # Nobody has asked: what is to be proved not to leave later is seen to leave now.
    yield "unasked", scene.exits(LAN, "a.films.example", "c.films.example")
    yield "unasked except", scene.exits(GUESTS, "www.bank.example")
    told = scene.ask(LAN, "a.films.example")
    yield "told", told == frozenset(scene.known["a.films.example"])
    yield "asked", scene.exits(LAN, "a.films.example")
    yield "others", scene.exits(LAN, "www.elsewhere.example")
    scene.ask(GUESTS, "www.bank.example")
    yield "asked except", scene.exits(GUESTS, "www.bank.example", "www.elsewhere.example")

    # A name that leads to another's address; and a foreign one that leads to one of ours, asked first.
    yield "led", scene.ask(LAN, "www.films.example") == frozenset(scene.known["c.films.example"])
    yield "led out", scene.exits(LAN, "c.films.example")
    scene.ask(LAN, "other.example")
    scene.ask(LAN, "d.films.example")
    yield "led by another first", scene.exits(LAN, "d.films.example")
    yield "hints", _https(scene, "a.films.example")

    # Whoever is asked, over either family, home answers; nobody out there hears a client ask.
    yield "another resolver", scene.ask(LAN, "b.films.example", "1.1.1.1") == frozenset(scene.known["b.films.example"])
    yield "another resolver 6", len(scene.ask(LAN, "b.films.example", "2606:4700:4700::1111"))
    yield "by tcp", _by_tcp(scene, "e.films.example")
    yield "told by tcp", scene.exits(LAN, "e.films.example")
    yield "redirected", scene.exits(LAN, "b.films.example")
    home = {str(one.ip) for one in lab.world.host_by_name["home"].attachment.addresses}
    yield "asked by home alone", scene.askers("b.films.example") <= home

    # One set of a pair is emptied: the other holds. What is used comes back; emptying the twin at once is refused.
    yield "before", (scene.held("domain_films.example_4a"), scene.held("domain_films.example_4b"))
    yield "emptied", _empty(scene, "a")
    yield "a is empty", scene.held("domain_films.example_4a")
    yield "twin at once", _empty(scene, "b")
    yield "still", scene.exits(LAN, "a.films.example")
    yield "used", scene.held("domain_films.example_4a")
    scene.run("nft", "flush", "set", *TABLE.split(), TURN)
    yield "emptied in turn", _empty(scene, "b")
    yield "only what was used", scene.held("domain_films.example_4b")
    yield "forgotten", scene.exits(LAN, "b.films.example")
    scene.ask(LAN, "b.films.example")
    yield "asked again", scene.exits(LAN, "b.films.example")

    # The table is lost: everything by the exit. Put up again, it is young: everything by the exit still.
    scene.run("nft", "delete", "table", *TABLE.split())
    yield "lost", scene.exits(LAN, "a.films.example", "www.elsewhere.example")
    yield "lost except", scene.exits(GUESTS, "www.bank.example")
    _apply_again(lab)
    yield "young", scene.exits(LAN, "a.films.example", "www.elsewhere.example")
    scene.run("nft", "flush", "set", *TABLE.split(), "names_young_4")
    scene.run("nft", "flush", "set", *TABLE.split(), "names_young_6")
    yield "grown", scene.exits(LAN, "www.elsewhere.example")
    programs = ("pgrep", "-fc", f"^sh /.*/{FORGETTER}.conf|^dnsmasq .*/lan-")
    yield "programs", int(scene.run(*programs))
    with lab.spaces.inside(host_space("home")):
        machine = Machine(Store(memory("home")))
        yield "observed", observe(machine.view("names")).names == scene.lab.states["home"].names != ()
        down("names", machine)
    yield "down", scene.run("nft", "list", "tables").replace("table inet router", "").strip()


def _apply_again(lab: Lab) -> None:
    """Apply without what the lab does afterwards: nobody there knows names from before, and here somebody may."""
    from warren.lab.works import on_each

    on_each(lab.spaces, ["home"], lab.works(lab.network, lab.lock))


def _empty(scene: Scene, letter: str) -> bool:
    """Do what the service does, in its very words; says whether the kernel let it."""
    service = next(one for one in scene.lab.states["home"].services if one.name == FORGETTER)
    script = service.config.partition("<<END\n")[2].partition("END\n")[0].replace("$turn", letter)
    done = scene.lab.spaces.start(host_space("home"), ("nft", "-f", "-"), stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    _, said = done.communicate(script)
    assert not said or "File exists" in said
    return done.returncode == 0


def _https(scene: Scene, name: str) -> int:
    """Ask for a name's HTTPS record, at the internet's own DNS from home and at home's from the LAN; count hints."""
    code = f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.5)
for _ in range(20):
    s.sendto(bytes.fromhex("{write_query(7, wire_name(name), HTTPS, IN, 0, signatures=False).hex()}"), ("RESOLVER", 53))
    try: print(s.recv(4096).hex()); break
    except OSError: pass
"""
    counts = []
    for space, resolver in ((host_space("home"), "9.9.9.9"), (scene.space(LAN), "192.168.16.1")):
        process = scene.lab.spaces.start(
            space, (sys.executable, "-c", code.replace("RESOLVER", resolver)), stdout=subprocess.PIPE
        )
        _until_over(scene.lab, process)
        assert process.stdout is not None
        counts.append(len(read_answer(bytes.fromhex(process.stdout.read().strip())).addresses))
    assert counts[0] == 1, "the internet's own answer has the hint, or its absence proves nothing"
    return counts[1]


def _until_over(lab: Lab, process: subprocess.Popen[str]) -> None:
    """Let the lab's DNS answer meanwhile."""
    assert lab.wait(lambda: process.poll() is not None, 15, lambda _now: None)


def _by_tcp(scene: Scene, name: str) -> int:
    """Ask a foreign resolver by TCP, for both families; gives the number of addresses."""
    queries = [write_query(9, wire_name(name), kind, IN, 0, signatures=False) for kind in (A, AAAA)]
    code = f"""
import socket
with socket.create_connection(("8.8.4.4", 53), 10) as s:
    for query in {[(len(one).to_bytes(2, "big") + one).hex() for one in queries]}:
        s.sendall(bytes.fromhex(query))
        print(s.recv(4096)[2:].hex())
"""
    process = scene.lab.spaces.start(scene.space(LAN), (sys.executable, "-c", code), stdout=subprocess.PIPE)
    _until_over(scene.lab, process)
    assert process.stdout is not None
    return sum(len(read_answer(bytes.fromhex(line)).addresses) for line in process.stdout.read().split())


def test_nothing_is_known_before_it_was_asked_for(seen: dict[str, object]) -> None:
    assert seen["unasked"] == ["home"] * 4
    assert seen["unasked except"] == ["cloud"] * 2


def test_what_was_answered_goes_its_way_in_both_families(seen: dict[str, object]) -> None:
    assert seen["told"] is True
    assert seen["asked"] == ["cloud"] * 2
    assert seen["others"] == ["home"] * 2
    assert seen["asked except"] == ["home", "home", "cloud", "cloud"]


def test_a_name_that_leads_to_another(seen: dict[str, object]) -> None:
    """What counts is what was asked for; and what dnsmasq has learned with another name fills the sets all the same."""
    assert seen["led"] is True and seen["led out"] == ["cloud"] * 2
    assert seen["led by another first"] == ["cloud"] * 2


def test_addresses_in_https_records_are_not_told(seen: dict[str, object]) -> None:
    assert seen["hints"] == 0


def test_whoever_is_asked_home_answers(seen: dict[str, object]) -> None:
    assert seen["another resolver"] is True and seen["another resolver 6"] == 2 and seen["by tcp"] == 2
    assert seen["told by tcp"] == ["cloud"] * 2
    assert seen["redirected"] == ["cloud"] * 2
    assert seen["asked by home alone"] is True


def test_an_address_is_forgotten_only_when_nobody_can_know_it(seen: dict[str, object]) -> None:
    first, second = seen["before"]  # type: ignore[misc]
    assert first == second and len(first) >= 4
    assert seen["emptied"] is True and seen["a is empty"] == set()
    assert seen["twin at once"] is False
    assert seen["still"] == ["cloud"] * 2
    assert len(seen["used"]) == 1 and seen["used"] < first  # type: ignore[arg-type,operator]
    assert seen["emptied in turn"] is True and seen["only what was used"] == set()
    assert seen["forgotten"] == ["home"] * 2
    assert seen["asked again"] == ["cloud"] * 2


def test_without_the_table_and_just_after_everything_goes_through_the_exit(seen: dict[str, object]) -> None:
    assert seen["lost"] == ["cloud"] * 4 and seen["lost except"] == ["cloud"] * 2
    assert seen["young"] == ["cloud"] * 4
    assert seen["grown"] == ["home"] * 2


def test_down_leaves_nothing(seen: dict[str, object]) -> None:
    assert seen["programs"] == 3 and seen["observed"] is True
    assert seen["down"] == ""
