"""Two confs that real wg-quick brought up, imported; the network that warren applies instead passes the same packets.

    printer 192.168.16.20 ── br0 office eth0 198.51.100.10 ── inet (1.1.1.1) ── 192.0.2.20 eth0 home
                                  wg0 10.66.0.1 ════════════════════════════════ 10.66.0.2 wg0

Home sends everything through the office: what home sends to 1.1.1.1 by its own uplink, inet drops.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest

from tests.cli.shell import warren as cli
from tests.core.imports import given, with_keys
from tests.lab.enclosed import enclosed
from tests.sys.boxes import Box, boxes
from tests.sys.verbs import furnish, wait_for, warren
from warren.core.imports import import_confs
from warren.lab.lab import bring_up
from warren.lab.trial import try_all

GOLDEN = Path(__file__).parent.parent / "golden" / "import"
pytestmark = [pytest.mark.lab, pytest.mark.skipif(shutil.which("wg-quick") is None, reason="wg-quick is not installed")]

OFFICE = """
[Interface]
Address = 10.66.0.1/24
ListenPort = 51820
PrivateKey = <office>
PostUp = sysctl -q -w net.ipv4.ip_forward=1
PostUp = iptables -A FORWARD -i %i -o br0 -j ACCEPT; iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE
PostDown = iptables -D FORWARD -i %i -o br0 -j ACCEPT; iptables -t nat -D POSTROUTING -o eth0 -j MASQUERADE

[Peer]
# Name = home
PublicKey = <home>
PresharedKey = <psk>
AllowedIPs = 10.66.0.2/32
"""
HOME = """
[Interface]
Address = 10.66.0.2/24
PrivateKey = <home>

[Peer]
# Name = office
PublicKey = <office>
PresharedKey = <psk>
AllowedIPs = 0.0.0.0/0, 192.168.16.0/24
Endpoint = 198.51.100.10:51820
PersistentKeepalive = 25
"""


class World:
    """The boxes, wired and addressed."""

    def __init__(self, made: list[Box]) -> None:
        self.inet, self.office, self.home, self.printer = made
        for host in (self.office, self.home):
            furnish(host)
        self.inet.sh("sysctl -qw net.ipv4.ip_forward=1; ip addr add 1.1.1.1 dev lo")
        for name, box, net in (("office", self.office, "198.51.100"), ("home", self.home, "192.0.2")):
            self.inet.wire(name, box, "eth0")
            self.inet.sh(f"ip addr add {net}.1/24 dev {name}")
            box.sh(f"ip addr add {net}.{10 if name == 'office' else 20}/24 dev eth0; ip route add default via {net}.1")
        self.office.wire("br0", self.printer, "eth0")
        self.office.sh("ip addr add 192.168.16.1/24 dev br0")
        self.printer.sh("ip addr add 192.168.16.20/24 dev eth0; ip route add default via 192.168.16.1")
        self.inet.sh(
            "nft 'add table ip t; add chain ip t c { type filter hook prerouting priority 0; }; "
            "add rule ip t c ip saddr 192.0.2.20 ip daddr 1.1.1.1 drop'"
        )

    def passing(self) -> set[str]:
        """Send every ping that the confs are for, all at once; name those that are answered."""
        asked = {
            "home to office": (self.home, "10.66.0.1"),
            "office to home": (self.office, "10.66.0.2"),
            "home to printer": (self.home, "192.168.16.20"),
            "printer to home": (self.printer, "10.66.0.2"),
            "home to anywhere, by the office": (self.home, "1.1.1.1"),
            "office to anywhere": (self.office, "1.1.1.1"),
        }
        under_way = {
            name: box.popen("ping", "-c", "3", "-i", "0.3", "-W", "1", to, stdout=PIPE, stderr=STDOUT)
            for name, (box, to) in asked.items()
        }
        for process in under_way.values():
            process.communicate(timeout=30)
        return {name for name, process in under_way.items() if process.returncode == 0}

    def peers(self) -> dict[str, set[str]]:
        """What WireGuard was told of peers on each host: keys, preshared keys, allowed addresses.

        0.0.0.0/0 needs no 192.168.16.0/24 beside it.
        """
        shown = {name: box.sh("wg show all dump") for name, box in (("office", self.office), ("home", self.home))}
        told: dict[str, set[str]] = {}
        for name, text in shown.items():
            rows = [line.split("\t") for line in text.splitlines()]
            told[name] = {" ".join(row[1:3] + sorted(row[4].split(","))[:1]) for row in rows if len(row) == 9}
        return told


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with boxes(tmp_path, "inet", "office", "home", "printer") as made:
        yield World(made)


def test_what_passed_by_wg_quick_passes_by_warren(world: World, tmp_path: Path) -> None:
    confs = {"office": tmp_path / "office" / "wg0.conf", "home": tmp_path / "home" / "wg0.conf"}
    for name, text in (("office", OFFICE), ("home", HOME)):
        confs[name].write_text(with_keys(text).lstrip())
        confs[name].chmod(0o600)
    hosts = {"office": world.office, "home": world.home}
    assert world.passing() == {"office to anywhere"}

    for name, box in hosts.items():
        box.sh(f"WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go wg-quick up {confs[name]} 2>&1")
    before, had = world.passing(), world.peers()
    assert len(before) == 6
    for name, box in hosts.items():
        box.sh(f"wg-quick down {confs[name]} 2>&1")

    shown = [str(conf.relative_to(tmp_path)) for conf in confs.values()]
    ended = cli("import", *shown, "-o", "firm.yaml", "--keys", "keys", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    for name, box in hosts.items():
        box.sh("mkdir -p /etc/warren")
        box.sh(f"cd {tmp_path}/keys; cp firm.{name}.key /etc/warren/private.key; cp *.psk /etc/warren")
        applied = warren(box, "apply", str(tmp_path / "firm.yaml"), "--host", name)
        assert applied.returncode == 0, applied.stdout + applied.stderr

    wait_for(lambda: world.passing() == before)
    assert world.peers() == had
    assert "10.66.0.2/32" in world.home.sh("ip -br addr show wg0")
    assert cli("verify", "firm.yaml", cwd=tmp_path).returncode == 0
    for name, box in hosts.items():
        assert warren(box, "down", str(tmp_path / "firm.yaml")).returncode == 0, name
    assert world.passing() == {"office to anywhere"}


@pytest.mark.parametrize("name", ["recursive-wan", "phones", "hooks"])
def test_what_the_confs_promised_is_kept_by_packets(name: str) -> None:
    """The recursive seed's gateway, a server with phones, DNATs that rewrite the source: each tried in the lab."""
    confs = [given(path.read_text(), path.name) for path in sorted((GOLDEN / name).glob("*.conf"))]
    loaded = import_confs(confs, name, f"{name}.yaml").loaded
    assert loaded is not None and loaded.network is not None and loaded.lock is not None

    def kept() -> list[str]:
        assert loaded.network is not None and loaded.lock is not None
        verdicts = list(try_all(bring_up(loaded.network, loaded.lock)))
        assert len(verdicts) >= len(loaded.network.expects) > 0
        return [f"{one.expect}: {one.shortfall} {one.disagreement}" for one in verdicts if not one.holds]

    assert enclosed(kept) == []
