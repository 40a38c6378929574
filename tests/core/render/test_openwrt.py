"""OpenWrt's files: read by people, by a second reader of UCI, by OpenWISP's, and put in by ash beside a fake router.

tests/lab/test_openwrt.py carries packets over what they say.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from netjsonconfig import OpenWrt

from tests.core.render import uci
from tests.core.render.golden import check, example
from tests.core.render.namespace import ALONE
from tests.core.render.states import nyc
from tests.core.render.uci import Package, export, parse, run_batch
from warren.core.render.openwrt import render_openwrt
from warren.core.render.openwrt.names import safe, section_name, with_safe_devices
from warren.core.render.openwrt.network import LARGEST_METRIC
from warren.core.render.subject import state_of
from warren.model.firewall import IfName
from warren.model.key import PublicKey, SecretRef
from warren.model.state import BEHIND, MAIN, HostState, RouteKind

ROUTER = {
    "network": "config interface 'loopback'\n\toption device 'lo'\n\toption proto 'static'\n\n"
    "config interface 'lan'\n\toption device 'eth2'\n\toption proto 'static'\n\toption ipaddr '192.168.21.1'\n",
    "dhcp": "config dhcp 'lan'\n\toption interface 'lan'\n\toption ra 'server'\n",
    "firewall": "config zone\n\toption name 'lan'\n\tlist network 'lan'\n\toption forward 'ACCEPT'\n",
}


def file_of(state: HostState, name: str) -> str:
    return next(file.text for file in render_openwrt(state).files if file.path.endswith(name))


def packages_of(state: HostState) -> dict[str, Package]:
    """Have the second reader make the sections in an empty configuration."""
    packages: dict[str, Package] = {"network": {}, "firewall": {}}
    assert run_batch(packages, file_of(state, ".uci")) == []
    return packages


def test_the_files_read_as_in_the_golden_text() -> None:
    check("portals", "paris", "openwrt")


@pytest.mark.parametrize("host", ["r1", "r2"])
def test_a_router_behind_a_nat_and_the_one_it_gets_its_ipv6_from(host: str) -> None:
    """The network of a road warrior's two routers: real IPv6 for a LAN in IPv4-only NAT land."""
    check("ipv6-land", host, "openwrt")


@pytest.mark.parametrize("name", ["portals", "full-exit-mesh", "own-traffic", "site-to-site"])
def test_what_is_written_is_read_the_same_again(name: str) -> None:
    network, lock = example(name)
    for host in network.hosts:
        for package in packages_of(state_of(network, lock, host.name)).values():
            assert parse(export(package)) == package
            assert all(section.options.keys() for section in package.values())


def test_another_reader_finds_the_same_network() -> None:
    """OpenWISP's netjsonconfig reads the file, and what it makes of it is what the state says."""
    state = with_safe_devices(state_of(*example("portals"), "nyc"))
    packages = packages_of(state)
    for interface in state.interfaces:
        packages["network"][interface.name].options["private_key"] = interface.public_key  # the script's part
    text = "".join(f"package {name}\n\n{export(one)}\n" for name, one in packages.items())

    read = OpenWrt(native=text).config

    interfaces = {one["name"]: one for one in read["interfaces"] if one["type"] == "wireguard"}
    assert {(name, one["port"], one["mtu"]) for name, one in interfaces.items()} == {
        (one.name, one.listen_port, one.mtu) for one in state.interfaces
    }
    peers = {(one["interface"], one["public_key"], *sorted(one["allowed_ips"])) for one in read["wireguard_peers"]}
    assert peers == {
        (one.name, peer.public_key, *sorted(map(str, peer.allowed_ips)))
        for one in state.interfaces
        for peer in one.peers
    }
    routes = [(one["destination"], one["device"], one["table"], int(one["cost"])) for one in read["routes"]]
    assert routes == [
        (
            str(one.prefix),
            one.device if one.kind is RouteKind.UNICAST else "loopback",
            str(one.table),
            LARGEST_METRIC if one.metric == BEHIND else one.metric,
        )
        for one in state.routes
    ]
    rules = [
        (int(one["priority"]), one.get("lookup", ""), one.get("src", ""), one.get("mark", ""))
        for one in read["ip_rules"]
    ]
    assert rules == [
        (
            one.priority,
            "" if not one.table else "main" if one.table == MAIN else str(one.table),
            str(one.source or ""),
            f"{one.mark:#x}/{one.mark_mask:#x}" if one.mark_mask else "",
        )
        for one in state.rules
    ]


def test_devices_get_names_that_uci_takes_wherever_they_are_spoken_of() -> None:
    state = nyc()
    here = with_safe_devices(state)

    assert [one.name for one in here.interfaces] == ["portals", "portals_paris"]
    assert here.owner == state.owner and here.tables[0].name == "warren-portals"
    assert {route.device for route in here.routes} == {"portals", "portals_paris", ""}
    matches = [match for rule in here.tables[0].chains[0].rules for match in rule.matches]
    assert [one.names for one in matches if isinstance(one, IfName)] == [("eth2",), ("portals_paris",)]
    assert here.tables[0].sets[0].elements == ("portals", "portals_paris")
    assert "portals-paris" not in repr(here).replace("host", "")
    lan = replace(state, interfaces=(replace(state.interfaces[0], name="lan"),))
    assert with_safe_devices(lan).interfaces[0].name == "lan_wg"
    settings = {one.name for one in with_safe_devices(state_of(*example("portals"), "nyc")).sysctls}
    assert "net.ipv4.conf.portals_paris.rp_filter" in settings


def test_two_devices_of_one_name_are_refused() -> None:
    state = nyc()
    twins = tuple(replace(state.interfaces[0], name=name) for name in ("a-b", "a_b"))
    with pytest.raises(ValueError, match="one name in UCI"):
        with_safe_devices(replace(state, interfaces=twins))


def test_sections_of_two_networks_keep_apart() -> None:
    assert section_name("a-b", "zone") == "warren_a_b__zone"
    assert not section_name("a--b", "zone").startswith(section_name("a", ""))
    assert safe("home.lan:1") == "home_lan_1"


def test_rules_that_netifd_has_no_words_for_are_the_scripts() -> None:
    """Without its port, the rule that lets DHCP's answers out would let out everything."""
    state = state_of(*example("own-traffic"), "laptop")
    made = render_openwrt(state)
    text = {file.path: file.text for file in made.files}

    assert made.unsaid == ()
    assert "pref 7784 iif lo ipproto udp sport 68 dport 67 lookup main" in text[f"usr/bin/warren-{state.owner}"]
    plain = [rule for rule in state.rules if rule.priority == 7784 and not rule.ipproto]
    assert text[f"etc/warren/{state.owner}.uci"].count("priority='7784'") == len(plain)
    assert f"warren-{state.owner} rules" in text[f"etc/hotplug.d/iface/95-warren-{state.owner}"]
    assert [one.item for one in render_openwrt(nyc()).unsaid] == ["consents of nyc"]


# --- the script, on a router that is a folder ------------------------------------------------------------------

FAKES = {
    "uci": 'exec "$PYTHON" "$READER" "$ROUTER/config" "$@"',
    "fw4": '[ "$3" = eth2 ] && echo lan || { echo "$*" >&2; exit 1; }',
    "nft": 'echo "nft $*" >>"$ROUTER/log"',
    "ubus": 'echo "ubus $*" >>"$ROUTER/log"; exit 1',
    "ifup": 'echo "ifup $*" >>"$ROUTER/log"',
    "conntrack": ":",
    "service": 'echo "$0 $*" | sed "s|.*/||" >>"$ROUTER/log"',
}


PLACES = (
    "/etc/warren",
    "/etc/sysctl.d",
    "/etc/crontabs",
    "/etc/init.d",
    "/usr/bin/warren",
    "/tmp/warren.",
    "/lib/upg",
    "/sbin/ifup",
    "/etc/hotplug.d",
)


class Router:
    """A folder with a configuration, and programs that only note that they were called."""

    def __init__(self, folder: Path, state: HostState | None = None) -> None:
        self.folder = folder
        key = folder / "private.key"
        key.write_text(subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout)
        public = subprocess.run(["wg", "pubkey"], input=key.read_text(), capture_output=True, text=True).stdout.strip()
        psk = folder / "psk"
        psk.write_text("cHNrcHNrcHNrcHNrcHNrcHNrcHNrcHNrcHNrcHNrcHM=\n")
        self.state = self.keyed(state or nyc(psk=str(psk)), PublicKey(public), str(key))
        for name, text in ROUTER.items():
            (folder / "config").mkdir(exist_ok=True)
            (folder / "config" / name).write_text(text)
        for name, text in FAKES.items():
            self.program(folder / "sbin" / name, text)
        for name in ("network", "firewall", "odhcpd", "cron"):
            self.program(folder / "etc" / "init.d" / name, FAKES["service"])
        (folder / "etc" / "crontabs").mkdir(parents=True)
        (folder / "tmp").mkdir()
        self.put(self.state)

    @staticmethod
    def keyed(state: HostState, public: PublicKey, key: str) -> HostState:
        interfaces = (replace(one, public_key=public, private_key=SecretRef(key)) for one in state.interfaces)
        return replace(state, interfaces=tuple(interfaces))

    @staticmethod
    def program(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def put(self, state: HostState) -> None:
        """Copy the files of a state to the router, whose root is the folder."""
        for file in render_openwrt(state).files:
            path = self.folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            text = file.text
            if file.path.startswith("usr/bin/"):
                for place in PLACES:
                    text = text.replace(place, f"{self.folder}{place}")
            path.write_text(text)

    def run(self, verb: str) -> subprocess.CompletedProcess[str]:
        told = {
            "PATH": f"{self.folder}/sbin:{os.environ['PATH']}",
            "PYTHON": sys.executable,
            "READER": uci.__file__,
            "ROUTER": str(self.folder),
        }
        # Alone: busybox takes its own sysctl, not the fake one.
        argv = [
            *ALONE,
            "env",
            *(f"{name}={value}" for name, value in told.items()),
            "busybox",
            "ash",
            str(self.folder / f"usr/bin/warren-{self.state.owner}"),
            verb,
        ]
        return subprocess.run([*argv, verb], capture_output=True, text=True, timeout=60)

    def package(self, name: str) -> Package:
        return parse((self.folder / "config" / name).read_text())

    def log(self) -> list[str]:
        path = self.folder / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines


@pytest.fixture
def router(tmp_path: Path) -> Router:
    return Router(tmp_path)


def test_the_script_makes_our_sections_and_takes_them_away_again(router: Router) -> None:
    before = {name: router.package(name) for name in ROUTER}

    done = router.run("install")

    assert done.returncode == 0, done.stderr
    network, firewall = router.package("network"), router.package("firewall")
    assert {name: network[name] for name in before["network"]} == before["network"], "others' sections are untouched"
    assert network["portals_paris"].options["private_key"] == (router.folder / "private.key").read_text().strip()
    assert network["warren_portals__peer__portals__1"].options["preshared_key"].startswith("cHNr")
    assert firewall["warren_portals__from_lan"].options == {"src": "lan", "dest": "w_portals"}
    assert firewall["warren_portals__to_lan"].options == {"src": "w_portals", "dest": "lan"}
    assert firewall["warren_portals__zone"].options["network"] == ["portals", "portals_paris"]
    log = router.log()
    assert log.index("firewall reload") < log.index("network reload"), "guards first"

    removed = router.run("remove")

    assert removed.returncode == 0, removed.stderr
    assert {name: router.package(name) for name in ROUTER} == before
    log = router.log()
    assert (
        log.index("network reload") < log.index("firewall reload") < log.index("nft delete table inet warren-portals")
    )
    assert [path for path in router.folder.rglob("*portals*") if path.is_file()] == []


def test_no_file_of_everybodys_is_written() -> None:
    """What `uci show` says has keys in it, and a name in /tmp that can be guessed is anybody's to lay a link at."""
    assert "/tmp" not in file_of(nyc(), "usr/bin/warren-portals")


def test_installed_again_it_replaces_what_it_made(router: Router) -> None:
    router.run("install")
    router.log()
    once = router.package("network")

    again = router.run("install")

    assert again.returncode == 0 and router.package("network") == once
    assert not [line for line in router.log() if "ifup" in line or "renew" in line], "nothing changed for its peers"
    shared = router.state.interfaces[0]
    wider = replace(shared.peers[0], allowed_ips=(*shared.peers[0].allowed_ips, ip_network("10.9.0.0/24")))
    router.put(replace(router.state, interfaces=(replace(shared, peers=(wider,)),), routes=router.state.routes[:1]))

    less = router.run("install")

    assert less.returncode == 0, less.stderr
    network = router.package("network")
    assert "portals_paris" not in network and "warren_portals__route__2" not in network
    assert "10.9.0.0/24" in network["warren_portals__peer__portals__1"].options["allowed_ips"]
    assert "ifup portals" in router.log()


@pytest.mark.parametrize("told", [True, False])
def test_a_lan_is_told_of_its_prefix_by_one_voice(tmp_path: Path, told: bool) -> None:
    router = Router(tmp_path, state_of(*example("ipv6-land"), "r1"))
    config = router.folder / "config"
    (config / "network").write_text(ROUTER["network"].replace("eth2", "br-lan"))
    (config / "dhcp").write_text(ROUTER["dhcp"] if told else ROUTER["dhcp"].replace("server", "disabled"))

    done = router.run("install")

    assert done.returncode == 0, done.stderr
    own = [name for name in router.package("network") if name.startswith("w_br_lan")]
    assert router.package("network")[own[0]].options["ip6addr"] == ["2001:db8:77:100::1/64"]
    made = {name: one.options for name, one in router.package("dhcp").items() if name != "lan"}
    section = {"interface": own[0], "ra": "server", "ra_mtu": "1420", "dhcpv4": "disabled", "dhcpv6": "disabled"}
    assert list(made.values()) == ([] if told else [section])
    assert (router.folder / "etc/crontabs/root").read_text().count("watch\n") == 1
    assert router.run("install").returncode == 0
    assert (router.folder / "etc/crontabs/root").read_text().count("watch\n") == 1
    router.run("remove")
    assert "watch" not in (router.folder / "etc/crontabs/root").read_text()
    assert list(router.package("dhcp")) == ["lan"]


def test_a_dead_tunnel_is_no_way_out_and_a_living_one_is(tmp_path: Path) -> None:
    router = Router(tmp_path, state_of(*example("ipv6-land"), "r1"))
    router.program(router.folder / "sbin" / "wg", 'printf "KEY=\\t%s\\n" "$(cat "$ROUTER/shaken")"')
    script = """
        ip link add ipv6_land_r2 type veth peer name other; ip link set ipv6_land_r2 up
        look() { ip -6 route show table 7701 | grep -c default || :; }
        date +%s >"$ROUTER/shaken"; busybox ash "$@" watch; look
        echo $(($(date +%s) - 200)) >"$ROUTER/shaken"; busybox ash "$@" watch; look
        date +%s >"$ROUTER/shaken"; busybox ash "$@" watch; look"""

    told = [f"ROUTER={tmp_path}", f"PATH={tmp_path}/sbin:{os.environ['PATH']}"]
    argv = [*ALONE, "env", *told, "sh", "-euc", script, "sh", str(tmp_path / "usr/bin/warren-ipv6-land")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)

    assert done.stdout.split() == ["1", "0", "1"], done.stderr


def test_what_stands_in_the_way_changes_nothing(router: Router) -> None:
    config = router.folder / "config" / "network"
    config.write_text(config.read_text() + "\nconfig interface 'portals_paris'\n\toption proto 'dhcp'\n")
    before = config.read_text()

    taken = router.run("install")
    (router.folder / "private.key").write_text("wF0N0pP0qqJlQnGVyuv9mQw0J9g2pnC5m9fBv1o5KlA=\n")
    wrong = router.run("install")
    (router.folder / "private.key").unlink()
    none = router.run("install")

    assert taken.returncode == wrong.returncode == none.returncode == 1
    assert "has a section portals_paris of its own" in taken.stderr
    assert "is not this host's" in wrong.stderr and "no private key in" in none.stderr
    assert config.read_text() == before and router.log() == []


def test_a_line_that_uci_refuses_commits_nothing(router: Router) -> None:
    lines = router.folder / "etc" / "warren" / "portals.uci"
    lines.write_text(lines.read_text().replace("network.warren_portals__rule__1", "network.warren-portals"))
    before = (router.folder / "config" / "network").read_text()

    done = router.run("install")

    assert done.returncode == 1 and "nothing was changed" in done.stderr
    assert (router.folder / "config" / "network").read_text() == before
    assert not list((router.folder / "config" / ".staged").iterdir())


@pytest.mark.parametrize("shell", [["busybox", "ash"], ["dash"], ["bash", "--posix"]])
def test_shells_can_read_the_script(shell: list[str]) -> None:
    network, lock = example("portals")
    for state in (nyc(), *(state_of(network, lock, host.name) for host in network.hosts)):
        text = file_of(state, "bin/warren-portals")
        assert subprocess.run([*shell, "-n"], input=text, text=True, capture_output=True).stderr == ""
