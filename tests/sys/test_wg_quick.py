"""Real wg-quick and warren on the same confs, in twin boxes: what they leave in the kernel must be the same.

    theirs: wg-quick up CONF ─► Picture ─► with every intended difference ─┐
    ours:   warren up CONF   ─► Picture ───────────────────────────────────┴─ equal?

DIFFERENCES is the whole list of what is meant to differ, each with its reason; nothing else may.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.sys import test_conf
from tests.sys.boxes import Box, boxes, difference
from tests.sys.confs import CASES, Case
from tests.sys.verbs import furnish, settle, warren, wg_quick, write

pytestmark = [pytest.mark.lab, pytest.mark.skipif(shutil.which("wg-quick") is None, reason="wg-quick is not installed")]

NAME = "wg0"
FULL_MARK = re.compile(r"not from all fwmark (0x[0-9a-f]+) lookup (\d+)")
_UPLINK = """
ip link add up0 type veth peer name far0
for end in up0 far0; do echo 1 > /proc/sys/net/ipv6/conf/$end/addr_gen_mode; ip link set $end up; done
ip addr add 192.0.2.2/24 dev up0; ip route add default via 192.0.2.1
ip addr add 2001:db8::2/64 dev up0 nodad; ip route add default via 2001:db8::1
"""


@dataclass(frozen=True)
class Picture:
    """What a conf left in a box: all that the two programs are compared by."""

    addresses: tuple[str, ...]
    device: tuple[str, ...]
    peers: tuple[str, ...]
    routes: tuple[str, ...]
    rules: tuple[str, ...]
    mtu: int
    resolvers: str
    hooks: str
    valid_mark: str

    def text(self) -> str:
        """Write it so that a difference can be read."""
        lines = [f"mtu {self.mtu}", f"src_valid_mark {self.valid_mark}", *self.device, *self.addresses, *self.peers]
        return "\n".join([*lines, *self.routes, *self.rules, self.resolvers, self.hooks])


# --- what is meant to differ -----------------------------------------------------------------------------------


def _as_is(picture: Picture) -> Picture:
    return picture


@dataclass(frozen=True)
class Difference:
    """One intended difference: why, and how wg-quick's picture becomes warren's.

    `always`: for every conf it fits. What no picture shows is `held` by a test of test_conf.py or of this file.
    """

    why: str
    applied: Callable[[Picture], Picture] = _as_is
    always: bool = True
    held: str = ""


def _rules(change: Callable[[list[str]], list[str]]) -> Callable[[Picture], Picture]:
    return lambda picture: replace(picture, rules=tuple(change(list(picture.rules))))


def _exempt(rules: list[str]) -> list[str]:
    """Right behind the kernel's own first rule stands one for the outer packets of a full tunnel, family by family."""
    marks = {rule.split()[0]: found[1] for rule in rules if (found := FULL_MARK.search(rule))}
    made = []
    for rule in rules:
        family, _, words = rule.partition(" ")
        made.append(rule)
        if words == "from all lookup local" and family in marks:
            made.append(f"{family} from all fwmark {marks[family]} lookup main")
    return made


def _fail_closed(picture: Picture) -> Picture:
    tables = {found[2] for rule in picture.rules if (found := FULL_MARK.search(rule))}
    extra = [route.replace("default dev wg0", "unreachable default") for route in picture.routes]
    extra = [
        e for e, route in zip(extra, picture.routes, strict=True) if "default dev" in route and _table(route) in tables
    ]
    return replace(picture, routes=tuple(sorted({*picture.routes, *extra})))


def _table(route: str) -> str:
    return route.split(" table ")[1]


DIFFERENCES: dict[str, Difference] = {
    # --- what stands in the kernel ---------------------------------------------------------------------------
    "a 1 where wg-quick suppresses 0": Difference(
        "`wg-quick down` of any other tunnel deletes every rule `lookup main suppress_prefixlength 0`, and LAN traffic "
        "goes into the tunnel; and a 0.0.0.0/1 in main (DHCP option 121, OpenVPN's def1) leads past a 0.",
        _rules(lambda rules: [rule.replace("suppress_prefixlength 0", "suppress_prefixlength 1") for rule in rules]),
    ),
    "outer packets have a rule": Difference(
        "With two full tunnels, each one's outer packets match the other's `not fwmark` rule and go round for ever.",
        _rules(_exempt),
    ),
    "a dead device does not leak": Difference(
        "When the device goes (wireguard-go dies, somebody deletes it), its default route goes too, and what was meant "
        "for the tunnel would leave in clear: behind it stands `unreachable`, until `down`.",
        _fail_closed,
    ),
    "rules have places of their own": Difference(
        "Rules stand at 7800 to 7999, the newest tunnel first, and can be told from other tunnels'; behind the rules "
        "of warren's networks. wg-quick's land before whatever rule happens to be first. Compared is their order.",
        held="test_two_full_tunnels_at_once_and_either_may_go",
    ),
    "protocol 77": Difference(
        "Routes and rules carry warren's number, by which it knows its own. wg-quick's carry none (boot).",
        held="test_everything_carries_warrens_number",
    ),
    "one nft table, and only marks of ours": Difference(
        "Table `inet warren-conf-NAME` instead of `ip|ip6 wg-quick-NAME`, with the same drop of off-path packets. "
        "Marks are restored for flows of this tunnel only; wg-quick overwrites the mark of every UDP packet.",
        held="test_marks_of_other_tools_stay_on_their_udp_packets",
    ),
    "the narrowest way decides": Difference(
        "As in today's wg-quick, the smallest MTU of the ways to the endpoints counts; 1.0.20210914 takes the largest.",
        lambda picture: replace(picture, mtu=1400 - 80),
        always=False,
    ),
    "never too narrow for IPv6": Difference(
        "Where the way to the endpoint leaves less than 1280 and the tunnel has IPv6 addresses, it is 1280: outer "
        "packets are then fragmented. wg-quick fails, for the kernel takes no IPv6 address on such a device.",
        held="test_a_narrow_way_does_not_keep_ipv6_out",
    ),
    # --- when what is done -----------------------------------------------------------------------------------
    "all is judged before anything is done": Difference(
        "What is wrong with a conf is told at once, by line and column, and nothing is made. An endpoint's name that "
        "stands for nothing ends `up` before PreUp has run.",
        held="test_a_conf_with_errors_changes_nothing_and_all_of_them_are_told",
    ),
    "PreUp finds the device": Difference(
        "As in today's wg-quick, PreUp runs once the device exists, so it can set its key. The installed 1.0.20210914 "
        "runs it before.",
        held="test_preup_finds_the_device",
    ),
    "hooks keep their number signs": Difference(
        "As in today's wg-quick, a # in a hook is the shell's; 1.0.20210914 cuts the line there, and bash reports a "
        "quote that is not closed.",
        always=False,
    ),
    "a failed up runs PreDown and PostDown": Difference(
        "What hooks have done by then is undone by theirs, also after Ctrl-C; wg-quick takes the device away and "
        "leaves the rest.",
        held="test_a_failing_hook_undoes_everything_hooks_included",
    ),
    "down runs the hooks that up was given": Difference(
        "If the conf was edited in between, what undoes belongs to what was done. wg-quick takes today's text.",
        held="test_down_runs_the_hooks_that_up_was_given",
    ),
    "src_valid_mark goes back": Difference(
        "`down` puts net.ipv4.conf.all.src_valid_mark back when no tunnel needs it any more; wg-quick leaves 1.",
        held="test_two_full_tunnels_at_once_and_either_may_go",
    ),
    "a host without IPv6 gets the rest": Difference(
        "Where IPv6 is disabled, its addresses, routes and rules are left out, and said; wg-quick fails.",
        held="test_a_host_without_ipv6_gets_the_rest",
    ),
    # --- save ------------------------------------------------------------------------------------------------
    "save keeps what holds": Difference(
        "Comments, order, search domains and host names stay; wg-quick writes the file anew. It is saved before "
        "PreDown, not after.",
        held="test_a_conf_with_saveconfig_is_saved_when_it_goes_down",
    ),
    "a chosen mark is not saved": Difference(
        "The mark that a full tunnel was given for want of one in the conf is not written into it.",
        held="test_saving_an_unchanged_full_tunnel_adds_its_port_and_nothing_else",
    ),
}


def expected(theirs: Picture, case: Case) -> Picture:
    """Give what warren should leave where wg-quick left `theirs`."""
    for name, meant in DIFFERENCES.items():
        if meant.always or name in case.differs:
            theirs = meant.applied(theirs)
    return theirs


# --- the boxes -------------------------------------------------------------------------------------------------


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[tuple[Box, Box]]:
    with boxes(tmp_path, "theirs", "ours") as (theirs, ours):
        for box in (theirs, ours):
            furnish(box)
            box.sh(_UPLINK)
            settle(box, "up0", "far0")
        yield theirs, ours


# --- looking ---------------------------------------------------------------------------------------------------


def picture(box: Box) -> Picture:
    """See what is there of the device and its surroundings."""
    (link,) = json.loads(box.sh(f"ip -j addr show dev {NAME}"))
    dump = [line.split("\t") for line in box.sh(f"wg show {NAME} dump").splitlines()]
    written = (box.state / f"{NAME}.conf").read_text().lower()
    private, public, port, mark = dump[0]
    return Picture(
        addresses=tuple(_addresses(link)),
        device=(f"keys {private} {public}", f"mark {mark}", f"port {port if 'listenport' in written else 'any'}"),
        peers=tuple(sorted(map(_peer, dump[1:]))),
        routes=tuple(sorted([*_routes(box, 4), *_routes(box, 6)])),
        rules=tuple([*_family_rules(box, 4), *_family_rules(box, 6)]),
        mtu=link["mtu"],
        resolvers=box.sh("cat /run/resolvers 2>/dev/null || true"),
        hooks=_said(box),
        valid_mark=box.sh("cat /proc/sys/net/ipv4/conf/all/src_valid_mark").strip(),
    )


def _addresses(link: dict[str, object]) -> Iterator[str]:
    """Give addresses in the kernel's order, which decides the source; without the one a tun device gets by itself."""
    for entry in link["addr_info"]:  # type: ignore[attr-defined]
        if entry["scope"] != "link":
            yield f"address {entry['local']}/{entry['prefixlen']}"


def _peer(columns: list[str]) -> str:
    public, psk, endpoint, allowed, *_, keepalive = columns
    return f"peer {public} {psk} {endpoint} {','.join(sorted(allowed.split(',')))} {keepalive}"


def _routes(box: Box, family: int) -> Iterator[str]:
    for route in json.loads(box.sh(f"ip -j -{family} -d route show table all")):
        if route["protocol"] in ("kernel", "ra") or route.get("table") == "local":
            continue
        ours = route.get("dev") == NAME or route["type"] == "unreachable"
        if ours:
            kind = "" if route["type"] == "unicast" else f"{route['type']} "
            device = "" if kind else f" dev {route['dev']}"
            via = f" via {route['gateway']}" if "gateway" in route else ""
            yield f"route {family} {kind}{route['dst']}{device}{via} table {route.get('table', 'main')}"


def _family_rules(box: Box, family: int) -> Iterator[str]:
    for line in box.sh(f"ip -{family} rule show").splitlines():
        yield f"{family} " + re.sub(r" proto \S+$| $", "", line.partition(":\t")[2].strip())


def _said(box: Box) -> str:
    said = box.state / "said"
    return said.read_text() if said.exists() else ""


# --- the comparison --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_warren_leaves_what_wg_quick_leaves(name: str, twins: tuple[Box, Box]) -> None:
    theirs, ours = twins
    case = CASES[name]
    for box in twins:
        box.sh(case.before or "true")
    before = ours.picture()
    quick = wg_quick(theirs, "up", write(theirs, case.text))
    up = warren(ours, "up", str(write(ours, case.text)))
    stumbles = "hooks keep their number signs" in case.differs and quick.returncode != 0
    if stumbles:
        assert _said(ours) == "a # b\n"
    else:
        assert quick.returncode == 0, quick.stderr
        assert up.returncode == 0, up.stderr
        want, have = expected(picture(theirs), case).text(), picture(ours).text()
        assert want == have, difference(want, have)
        assert wg_quick(theirs, "down", theirs.state / f"{NAME}.conf").returncode == 0
    down = warren(ours, "down", str(ours.state / f"{NAME}.conf"))
    assert down.returncode == 0, down.stderr
    assert ours.sh("cat /run/resolvers 2>/dev/null || true") == theirs.sh("cat /run/resolvers 2>/dev/null || true")
    if not stumbles:
        assert _said(ours) == _said(theirs)
    if "sysctl" not in case.text:  # what a hook does and no hook undoes stays, as its owner wants it
        left = difference(before, ours.picture())
        assert [line for line in left.splitlines()[2:] if not _emptied(line)] == []


def _emptied(line: str) -> bool:
    """Say whether a line is one of the empty tables that a hook's iptables leaves behind."""
    return bool(re.match(r"\+(# Warning: table ip |table ip |\t|}|$)", line))


def test_enough_confs_are_compared_and_every_difference_is_held() -> None:
    assert len(CASES) >= 30
    shown = {name for case in CASES.values() for name in case.differs}
    assert shown == {name for name, meant in DIFFERENCES.items() if not meant.always}
    for name, meant in DIFFERENCES.items():
        assert name in shown or meant.applied is not _as_is or hasattr(test_conf, meant.held), name
