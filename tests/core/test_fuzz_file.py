"""Whatever the bytes are: findings with places in the file, in bounded time and memory, and never a traceback."""

from __future__ import annotations

import random
import resource
import time
from pathlib import Path

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from warren.core.codes import CODES
from warren.core.diagnostics import as_text
from warren.core.load import Loaded, load
from warren.core.parse.tree import MAX_BYTES

GOLDEN = Path(__file__).parent.parent / "golden" / "check"
STORY = (GOLDEN / "story.yaml").read_text()
LOCK = (GOLDEN / "story.lock").read_bytes()
FILES = [GOLDEN.parents[2] / "examples" / f"{name}.yaml" for name in ("overlap", "nested")]
STORIES = ((STORY, LOCK), *((file.read_text(), file.with_suffix(".lock").read_bytes()) for file in FILES))

# Words that lead deep into the parser, and characters that YAML and terminals mind.
WORDS = """
network: overlay: hosts: hub: portals: expect: lab: key: endpoint: uplink: lans: address: port: mtu: psk: from: to:
exit: via: except: family: nat: if_down: health: when: down: place: nats: links: source: path: arrives: blocked: closed:
map: auto 10.99.1.0/24 devices: into: reach: full_tunnel: dns: phone
nyc paris nyc.eth1 nyc.eth1.02:00:5e:00:00:32 10.77.0.0/24 fd77::/64 192.168.1.1/24 a.example.net:51820 nyc-paris
[ ] { } , : - ? | > & * ! % @ ` ' " # ~ << --- ... %YAML true null 51820 -1 0x10 1e3
"""
PIECES = (
    *WORDS.split(),
    "٣",
    "\u202e",
    "\ufeff",
    "\x85",
    "\u2028",
    "\n",
    "\n  ",
    "\n    ",
    "\n  - ",
    "\t",
    " ",
    ": ",
    "\r\n",
)


def judged(data: bytes, lock: bytes | None = None) -> Loaded:
    """Load, and see that every finding is well formed and can be shown."""
    loaded = load(data, lock, "fuzz.yaml")
    places = {source.file: source for source in loaded.sources}
    for one in loaded.diagnostics:
        assert one.code in CODES
        assert one.says and one.hint and "\n" not in one.says
        assert one.where.line >= 1 and one.where.column >= 1 and one.where.length >= 1
        lines = places[one.where.file].lines
        assert one.where.line <= len(lines)
        assert one.where.column <= len(lines[one.where.line - 1]) + 1
        assert all(line.isprintable() for line in as_text(one, *loaded.sources).splitlines())
    assert loaded.ok or loaded.diagnostics
    return loaded


@seed(1)
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=400))
def test_random_bytes(data: bytes) -> None:
    judged(data)
    judged(STORY.encode(), data)


@seed(2)
@settings(max_examples=600, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(PIECES), max_size=60))
def test_random_yaml(pieces: list[str]) -> None:
    judged("".join(pieces).encode())
    judged(" ".join(pieces).encode(), "".join(pieces).encode())


@seed(3)
@settings(max_examples=600, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_a_good_file_gone_wrong(data: st.DataObject) -> None:
    """Cut, repeat, swap and replace pieces of a file that is right, so that deep parts are reached."""
    text, lock = data.draw(st.sampled_from(STORIES))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 40))
        kind = data.draw(st.sampled_from(("cut", "repeat", "piece", "move")))
        taken = text[at : at + length]
        if kind == "cut":
            text = text[:at] + text[at + length :]
        elif kind == "repeat":
            text = text[:at] + taken + text[at:]
        elif kind == "piece":
            text = text[:at] + data.draw(st.sampled_from(PIECES)) + text[at + length :]
        else:
            rest = text[:at] + text[at + length :]
            to = data.draw(st.integers(0, len(rest)))
            text = rest[:to] + taken + rest[to:]
    judged(text.encode("utf-8", "replace"), lock)


def test_every_value_replaced_by_every_kind() -> None:
    """In place of each word of a good file stands nothing, a list, a mapping, a number and a text."""
    words = [word for word in set(STORY.split()) if word not in ("-", "#")]
    for word in sorted(words):
        for other in ("", "[]", "{}", "[[]]", "{a: {}}", "0", "true", "'x y'", "~", "x" * 300):
            judged(STORY.replace(word, other, 1).encode(), LOCK)


BOMBS = {
    "sequences": b"[" * 2_000_000,
    "mappings": b"{a: " * 500_000,
    "block sequences": b"- " * 1_000_000,
    "a block of keys, each deeper": b"\n".join(b" " * depth + b"a:" for depth in range(2000)),
    "one scalar of 3 MB": b"network: " + b"x" * 3_000_000,
    "one scalar of 10 MB": b"network: " + b"x" * 10_000_000,
    "quoted, over lines": b'network: "' + b"x\n" * 1_500_000 + b'"',
    "many values": b"overlay: [" + b"1," * 2_000_000 + b"]",
    "many lines": b"- a\n" * 1_000_000,
    "many keys": b"".join(b"key%d: v\n" % at for at in range(90_000)),
    "one key many times": b"network: x\n" * 90_000,
    "dots": b"portals: [{from: nyc" + b".eth1" * 600_000 + b", exit: paris}]\nhosts: {nyc: {}}",
    "hyphens": b"hosts: {a: {}}\nexpect: [{from: a, to: a, when: {down: [" + b"a-" * 1_000_000 + b"a]}}]",
    "an alias bomb": b"a: &a [x, x]\n"
    + b"".join(b"%c: &%c [*%c, *%c]\n" % (c, c, c - 1, c - 1) for c in range(98, 122)),
    "comments": b"# x\n" * 1_000_000,
    "documents": b"---\n" * 1_000_000,
    "a long exponent": b"lab: {seed: " + b"9" * 100_000 + b"}",
    "anchors": b"a: &" + b"x" * 3_000_000 + b" 1",
    "tags": b"a: !" + b"x" * 3_000_000 + b" 1",
    "carriage returns": b"\r" * 4_000_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_time_and_memory(name: str) -> None:
    before, start = _peak_mib(), time.process_time()
    loaded = judged(BOMBS[name])

    assert not loaded.ok
    assert time.process_time() - start < 20.0  # of this process: whatever else the machine does is not judged
    assert _peak_mib() - before < 600


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_a_file_of_the_greatest_size_is_still_read() -> None:
    padding = b"# padding\n"
    data = STORY.encode() + padding * ((MAX_BYTES - len(STORY.encode())) // len(padding))

    assert judged(data, LOCK).ok
    assert [one.code for one in judged(data + padding, LOCK).diagnostics] == ["W004"]


def _crowd(hosts: int, lans: int, portals: int, exceptions: int) -> bytes:
    """Make a file as full as the limits allow, with most references right."""
    chance = random.Random(5)
    lines = ["network: crowd", "overlay: [10.0.0.0/8, 'fd77::/64']", "hub: h0", "hosts:"]
    for host in range(hosts):
        lines.append(f"  h{host}:")
        lines.append(f"    endpoint: e{host}.example.net:51820" if host % 3 else "    uplink: eth0")
        if lans:
            lines.append("    lans:")
            lines += [f"      l{lan}: {{address: 172.{lan >> 8 & 255}.{lan & 255}.1/24}}" for lan in range(lans)]
    lines.append("portals:")
    for _ in range(portals):
        source = f"h{chance.randrange(hosts)}" + (f".l{chance.randrange(lans)}" if lans else "")
        lines.append(f"  - {{from: {source}, exit: h{chance.randrange(hosts)}}}")
    numbers = ", ".join(
        f"{at >> 16 & 255}.{at >> 8 & 255}.{at & 255}.0/24" for at in range(1 << 16, exceptions + (1 << 16))
    )
    lines.append(f"  - {{from: h1, exit: h0, except: [{numbers}]}}")
    lines.append(f"  - {{from: h2, exit: h0, via: [{', '.join(f'h{at}' for at in range(3, hosts))}]}}")
    return "\n".join(lines).encode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hosts", "lans", "portals", "exceptions"),
    [(20_000, 0, 10_000, 10_000), (4, 7_000, 15_000, 0), (1_000, 2, 5_000, 50_000), (10, 0, 0, 150_000)],
)
def test_a_crowded_file_takes_seconds(hosts: int, lans: int, portals: int, exceptions: int) -> None:
    start = time.process_time()  # of this process: whatever else the machine does is not judged
    loaded = judged(_crowd(hosts, lans, portals, exceptions))

    assert not loaded.ok
    assert time.process_time() - start < 30.0
