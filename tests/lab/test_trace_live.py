"""`trace --live` against the walk: real packets, told by the kernel, in the same words."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import redirect_stdout
from io import StringIO
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.cli.shapes import SHAPES, differs
from tests.core.walk.scenes import from_place, to_target
from tests.lab.enclosed import enclosed
from warren.cli.live import live_scene
from warren.cli.trace_live import follow
from warren.core.load import load
from warren.core.verify import verify
from warren.core.walk import probe_of
from warren.core.walk.live import Following
from warren.lab.lab import Lab, bring_up
from warren.lab.topology import client_space, host_space
from warren.lab.trial import walker_of
from warren.lab.works import memory
from warren.model.prefix import Family
from warren.model.trace import Decrypted, Encrypted, Ended, Firewall, Hop, RouteHit, RuleHit, Sent, Step, Translated
from warren.sys.machine import Machine
from warren.sys.nftrace import table_name, traced
from warren.sys.store import Store

EXAMPLES = Path(__file__).parents[2] / "examples"
WITHIN = 40.0

CASES = [
    ("nyc", "nyc.eth2", "1.1.1.1"),
    ("paris", "nyc.eth2", "1.1.1.1"),
    ("paris", "paris.wlan0", "8.8.8.8"),
    ("nyc", "paris.wlan0", "2606:4700::1111"),
    ("nyc", "nyc.eth1", "9.9.9.9"),
    ("paris", "nyc.eth2", "paris.wlan0"),
    ("tokyo", "tokyo", "1.1.1.1"),
    ("tokyo", "nyc.eth1", "tokyo"),
]
# The same at both ends of a map.
MAPPED = [
    ("lyon", "lyon.192.168.1.51", "porto.192.168.1.51"),
    ("porto", "lyon.192.168.1.51", "porto.192.168.1.51"),
    ("depot", "lyon.192.168.1.51", "porto.192.168.1.51"),
]


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.parametrize(("example", "cases"), [("portals", CASES), ("overlap", MAPPED)])
def test_the_kernels_trace_reads_like_the_walk(example: str, cases: list[tuple[str, str, str]]) -> None:
    for case, walked, live in enclosed(lambda: _compare(example, cases)):
        assert live == walked, case


@pytest.mark.lab
@pytest.mark.slow
def test_a_mapped_target_is_followed_by_both_its_names() -> None:
    """Where the map is, questions come to one address and answers from the other."""
    status, printed = enclosed(_follow_mapped)

    assert status == 0, printed
    assert "nat         destination 10.64.0.51 to 192.168.1.51" in printed


@pytest.mark.lab
@pytest.mark.slow
def test_what_blocks_is_named() -> None:
    """A foreign chain with policy drop, which no rule of ours can overrule."""
    hops = enclosed(_blocked)

    assert [hop for hop in hops if any(isinstance(step, Ended) for step in hop.steps)]
    ended = next(step for hop in hops for step in hop.steps if isinstance(step, Ended))
    assert ended.says == "foreign chain inet ufw forward: its policy is drop"


@pytest.mark.lab
@pytest.mark.slow
def test_the_command_follows_a_packet_and_its_answer() -> None:
    status, printed = enclosed(_command)

    assert status == 0, printed
    assert "nyc  eth2 → portals-paris" in printed and "decrypt     portals-paris, from paris" in printed


@pytest.mark.lab
@pytest.mark.slow
def test_a_live_host_keeps_every_promise_as_it_is() -> None:
    """`verify --live`: nyc as observed among the compiled others."""
    assert enclosed(_verify_live) == []


@pytest.mark.lab
@pytest.mark.slow
def test_live_json_has_its_documented_shape() -> None:
    status, printed = enclosed(lambda: _command(as_json=True))

    assert status == 0
    assert differs(json.loads(printed), SHAPES["trace-live"]) == []


def _follow_mapped() -> tuple[int, str]:
    lab = _lab("overlap")
    source, target = "lyon.192.168.1.51", "porto.192.168.1.51"
    client = lab.world.client_by_name[source]
    with lab.spaces.inside(client_space(lab.world, client)):
        ping = subprocess.Popen(("ping", "-i0.3", "10.64.0.51"), stdout=subprocess.DEVNULL)
    printed = StringIO()
    with lab.spaces.inside(host_space("porto")), redirect_stdout(printed):
        machine = Machine(Store(memory("porto")))
        ends = from_place(source), to_target(target)
        status = follow(lab.network, lab.lock, "porto", *ends, "ipv4", 10, False, machine)
    ping.kill()
    ping.wait()
    return status, printed.getvalue()


def _command(as_json: bool = False) -> tuple[int, str]:
    lab = _lab()
    client = lab.world.client_by_name["nyc.eth2"]
    with lab.spaces.inside(client_space(lab.world, client)):
        ping = subprocess.Popen(("ping", "-i0.3", "1.1.1.1"), stdout=subprocess.DEVNULL)
    printed = StringIO()
    with lab.spaces.inside(host_space("nyc")), redirect_stdout(printed):
        machine = Machine(Store(memory("nyc")))
        ends = from_place("nyc.eth2"), to_target("1.1.1.1")
        status = follow(lab.network, lab.lock, "nyc", *ends, "ipv4", 10, as_json, machine)
    ping.kill()
    ping.wait()
    return status, printed.getvalue()


def _verify_live() -> list[str]:
    lab = _lab()
    with lab.spaces.inside(host_space("nyc")):
        scene = live_scene(lab.network, lab.lock, "nyc", Machine(Store(memory("nyc"))))
    verdicts = verify(lab.network, lab.lock, scene.states, scene.surroundings, scene.world)
    return [f"{one.claim} {one.family}: {one.says}" for one in verdicts if not one.holds]


ATTEMPTS = 3


def _compare(example: str, cases: list[tuple[str, str, str]]) -> list[tuple[object, list[str], list[str]]]:
    lab = _lab(example)
    walker = walker_of(lab)
    found: list[tuple[object, list[str], list[str]]] = []
    for host, source, target in cases:
        to = to_target(target)
        family = Family.IPV6 if ":" in target else Family.IPV4
        probe = probe_of(lab.world, lab.lock, from_place(source), to, family)
        assert probe is not None
        trace = walker.walk(probe)
        assert trace.reply is not None
        walked = [hop for one in (trace, trace.reply) for hop in one.hops if hop.node == host]
        # A hub tells its clients of the shorter way that there is not (ICMP redirects), which nobody asked for.
        hubs = lab.lock.by_name[lab.network.hub].addresses if lab.network.hub else ()
        live: list[Hop] = []
        for _ in range(ATTEMPTS):  # a handshake that is due takes the first packet's time, and may take all it has
            followed = _follow(lab, host, source, str(probe.destination))
            live = [hop for hop in followed if hop.header.source not in hubs]
            if len(live) >= len(walked):
                break
        found.append(((host, source, target), [_words(hop) for hop in walked], [_words(hop) for hop in live]))
    return found


def _blocked() -> list[Hop]:
    lab = _lab()
    rules = "table inet ufw {\nchain forward {\ntype filter hook forward priority 0; policy drop;\n}\n}\n"
    lab.spaces.run(host_space("nyc"), ("nft", "-f", "-"), rules)
    return _follow(lab, "nyc", "nyc.eth2", "1.1.1.1", answered=False)


def _lab(example: str = "portals") -> Lab:
    file = EXAMPLES / f"{example}.yaml"
    loaded = load(file.read_bytes(), file.with_suffix(".lock").read_bytes(), str(file))
    assert loaded.network is not None
    return bring_up(loaded.network, loaded.lock)


def _follow(lab: Lab, host: str, source: str, to: str, answered: bool = True) -> list[Hop]:
    """Send one echo and follow it and its answer on a host."""
    place = from_place(source)
    client = lab.world.client_by_name.get(str(place))
    asker = client_space(lab.world, client) if client is not None else host_space(place.host)
    following = Following(walker_of(lab).view(host), table_name())
    hops: list[Hop] = []
    with lab.spaces.inside(host_space(host)), traced(None, ip_address(to)) as lines:
        with lab.spaces.inside(asker):
            ping = subprocess.Popen(("ping", "-c1", "-W30", to), stdout=subprocess.DEVNULL)
        until = time.monotonic() + WITHIN
        for line in lines:
            following.take(line)
            if line == "":
                hops += following.finished()
            if len(hops) >= (2 if answered else 1) or time.monotonic() > until:
                break
        ping.kill()
        ping.wait()
    return hops


def _words(hop: Hop) -> str:
    told = (_word(step) for step in hop.steps)
    return f"{hop.ingress}>{hop.egress} {hop.header}: " + "; ".join(word for word in told if word)


def _word(step: Step) -> str:
    """What both sides can know: not conntrack's state, nor the reverse path, nor where the outer packet goes.

    The owner's own masquerading is a rule of a foreign table here, and a fact of the world there.
    """
    match step:
        case RuleHit(rule, result):
            return f"rule {rule.priority} {result}"
        case RouteHit(route):
            return f"route {route.prefix} {route.device} {route.table}"
        case Firewall(table, chain, _, does) if table.startswith("warren-"):
            return f"{table} {chain} {does}"
        case Translated(what, before, after):
            return f"{what} {before} becomes {after}"
        case Encrypted(device, _, allowed, _, _, size, mark):
            return f"encrypted {device} {allowed} {size} {mark:#x}"
        case Decrypted(device, peer, allowed):
            return f"decrypted {device} {peer} {allowed}"
        case Sent(device):
            return f"sent {device}"
    return ""
