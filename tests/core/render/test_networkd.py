"""Files for systemd-networkd: read by people, and judged by systemd itself. tests/lab/test_render.py runs them."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.core.render.golden import check, rendered
from tests.core.render.states import nyc
from tests.core.render.units import sections
from warren.core.render.networkd import render_networkd
from warren.core.render.networkd_rules import rule_lines, translated
from warren.model.prefix import Family
from warren.model.state import MAIN, MARK_MASK, Action, Hooks, Rule
from warren.sys.tree import Keys, write_tree

MARKED = Rule(Family.IPV4, 7730, action=Action.UNREACHABLE, mark_mask=MARK_MASK, invert=True)
UNMARKED = Rule(Family.IPV4, 7736, MAIN, iif="lo", mark_mask=MARK_MASK, suppress_prefixlength=7)


@pytest.mark.parametrize(("example", "host"), [("portals", "nyc"), ("site-to-site", "north")])
def test_the_files_read_as_in_the_golden_text(example: str, host: str) -> None:
    check(example, host, "networkd")


def test_who_is_marked_is_refused_bit_by_bit() -> None:
    """For every mark of ours: what the rule refuses, one of those for networkd refuses, and no other packet."""
    ((_, said),) = translated([MARKED])

    assert len(said) == 6 and all(rule.mark and not rule.invert for rule in said)
    for mark in (0, 1, 0xC0FFFFFF, *(index << 24 for index in range(64)), 0x01000001):
        assert any(mark & rule.mark_mask == rule.mark for rule in said) is (mark & MARK_MASK != 0)


def test_a_rule_for_the_unmarked_needs_the_refusal_before_it() -> None:
    both = dict(translated([UNMARKED, MARKED]))
    other_family = dict(translated([UNMARKED, replace(MARKED, family=Family.IPV6)]))
    too_late = dict(translated([UNMARKED, replace(MARKED, priority=7800)]))

    assert both[UNMARKED] == (replace(UNMARKED, mark_mask=0),)
    assert other_family[UNMARKED] == too_late[UNMARKED] == ()


def test_a_rule_that_cannot_be_said_is_named() -> None:
    made = render_networkd(replace(nyc(), rules=(UNMARKED,)))

    assert any("the ipv4 rule `pref 7736 iif lo fwmark 0x0/0x3f000000" in one.item for one in made.unsaid)
    assert not any("Priority=7736" in file.text for file in made.files)


def test_every_selector_has_its_word() -> None:
    rule = Rule(
        Family.IPV6,
        7790,
        7701,
        iif="eth2",
        oif="wg0",
        source=ip_network("fd00::/64"),
        destination=ip_network("fd01::1/128"),
        mark=1,
        mark_mask=3,
        invert=True,
        suppress_prefixlength=15,
        ipproto="udp",
        sport=546,
        dport=547,
    )

    assert rule_lines(rule) == [
        "Family=ipv6",
        "Priority=7790",
        "InvertRule=yes",
        "From=fd00::/64",
        "To=fd01::1/128",
        "IncomingInterface=eth2",
        "OutgoingInterface=wg0",
        "FirewallMark=0x1/0x3",
        "IPProtocol=udp",
        "SourcePort=546",
        "DestinationPort=547",
        "Table=7701",
        "SuppressPrefixLength=15",
    ]


def test_what_networkd_does_not_do_is_said() -> None:
    told = [one.item for one in render_networkd(replace(nyc(), hooks=Hooks(("true",)))).unsaid]

    assert told == [
        "net.ipv6.conf.eth0.accept_ra=2",
        "`firewall: docker` (forward-in portals-paris)",
        "the end of flows from 192.168.21.0/24 that began before",
        "hooks of nyc",
    ]


def test_keys_lie_in_files_of_their_own() -> None:
    files = {file.path: file for file in render_networkd(nyc()).files}
    named = {
        value.removeprefix("/")
        for path, file in files.items()
        if path.endswith(".netdev")
        for _, settings in sections(file.text)
        for key, value in settings
        if key.endswith("File")
    }

    assert named == {path for path, file in files.items() if file.secrets}
    assert all(files[path].mode == 0o600 for path in named)


def test_a_delegated_prefix_comes_along() -> None:
    """The router's address on the LAN and the program that announces it; that nobody watches the tunnel is said."""
    made = rendered("ipv6-land", "r1", "networkd")
    files = {file.path: file.text for file in made.files}

    assert (
        "ExecStart=ip address replace 2001:db8:77:100::1/64 dev br-lan"
        in files["etc/systemd/system/warren-ipv6-land-addresses.service"]
    )
    announcer = next(text for text in files.values() if "ExecStart=dnsmasq" in text)
    config = announcer.partition("--conf-file=/")[2].partition("\n")[0]
    assert "interface=br-lan" in files[config]
    assert files[files[config].partition("conf-file=/")[2].strip()].startswith("ra-param=br-lan,")
    assert any(one.item.startswith("the end of advertisements for 2001:db8:77:100::") for one in made.unsaid)


def test_units_are_such_as_systemd_takes(tmp_path: Path) -> None:
    made = (*render_networkd(nyc()).files, *rendered("ipv6-land", "r1", "networkd").files)
    units = write_tree([file for file in made if file.path.endswith(".service")], str(tmp_path), Keys())
    assert len(units) == 4

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, units)],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, "warren-" in done.stderr) == (0, False), done.stderr
