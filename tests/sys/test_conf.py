"""Where warren's up, down, reload and save do better than wg-quick, with real packets.

                          ┌─ c0 net a0 ──── up0 s1   198.51.100.7, tunnel 10.1.0.1
    client up0 192.0.2.2 ─┤     b0 ──── up0 s2   203.0.113.7,  tunnel 10.2.0.1
           lan0 ─ l0 ─────┘
    192.168.1.1

`net` is 1.1.1.1 and 192.168.1.5, and says which address it sees: the way that a flow took.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sys.boxes import Box, boxes, difference
from tests.sys.talk import Echo, Talk
from tests.sys.verbs import MAIN, environment, furnish, settle, wait_for, warren, wg_quick, write
from warren.sys.run import find_program

pytestmark = pytest.mark.lab

PORT = 7000
ANYWHERE, LAN = "1.1.1.1", "192.168.1.5"
DIRECT, BY_A, BY_B, BY_LAN = "192.0.2.2", "10.1.0.2", "10.2.0.2", "192.168.1.1"


class World:
    """The boxes, the servers' tunnels up."""

    def __init__(self, directory: Path, client: Box, net: Box, servers: list[Box]) -> None:
        self.client, self.net, self.servers = client, net, servers
        self.keys = {name: _pair() for name in ("client", "a", "b")}
        self._lay()
        for box, name, number in zip(servers, "ab", (1, 2), strict=True):
            private = self.keys[name][0]
            text = (
                f"[Interface]\nPrivateKey = {private}\nListenPort = 51820\nAddress = 10.{number}.0.1/24\n"
                f"PreUp = sysctl -q net.ipv4.ip_forward=1\n"
                f"[Peer]\nPublicKey = {self.keys['client'][1]}\nAllowedIPs = 10.{number}.0.2/32, 10.{number}.9.0/24\n"
            )
            assert (done := warren(box, "up", str(write(box, text)))).returncode == 0, done.stderr
            # What would come in through the tunnel to the other tunnel's port: outer packets gone astray.
            box.sh(
                "nft 'add table ip count; add chain ip count pre { type filter hook prerouting priority -400; }; "
                'add rule ip count pre iifname "wg0" udp dport 51820 counter\''
            )
        self.echo = [Echo(net, PORT), *(Echo(box, PORT) for box in servers)]
        settle(client, "up0", "lan0")

    def _lay(self) -> None:
        client, net, (a, b) = self.client, self.net, self.servers
        for box, name, end in ((client, "up0", "c0"), (a, "up0", "a0"), (b, "up0", "b0"), (client, "lan0", "l0")):
            box.wire(name, net, end)
        client.sh(
            "ip addr add 192.0.2.2/24 dev up0; ip addr add 192.168.1.1/24 dev lan0; ip route add default via 192.0.2.1"
        )
        a.sh("ip addr add 198.51.100.7/24 dev up0; ip route add default via 198.51.100.1")
        b.sh("ip addr add 203.0.113.7/24 dev up0; ip route add default via 203.0.113.1")
        net.sh(
            "ip addr add 192.0.2.1/24 dev c0; ip addr add 198.51.100.1/24 dev a0; ip addr add 203.0.113.1/24 dev b0\n"
            "ip addr add 192.168.1.5/24 dev l0; ip addr add 1.1.1.1/32 dev lo; sysctl -q net.ipv4.ip_forward=1\n"
            "ip route add 10.1.0.0/16 via 198.51.100.7; ip route add 10.2.0.0/16 via 203.0.113.7"
        )

    def conf(self, name: str, allowed: str = "0.0.0.0/0", interface: str = "", more: str = "") -> Path:
        """Write the client's conf for the tunnel `ta` or `tb`."""
        number, endpoint = {"a": (1, "198.51.100.7"), "b": (2, "203.0.113.7")}[name]
        return write(
            self.client,
            f"# to {name}\n[Interface]\nPrivateKey = {self.keys['client'][0]}\nAddress = 10.{number}.0.2/24\n"
            f"{interface}\n"
            f"[Peer]\n# the server\nPublicKey = {self.keys[name][1]}\nAllowedIPs = {allowed}\n"
            f"Endpoint = {endpoint}:51820\n{more}\n",
            f"t{name}",
        )

    def up(self, conf: Path) -> None:
        """Bring a conf up."""
        assert (done := warren(self.client, "up", str(conf))).returncode == 0, done.stderr

    def down(self, conf: Path) -> None:
        """Take a conf down."""
        assert (done := warren(self.client, "down", str(conf))).returncode == 0, done.stderr

    def seen(self, address: str = ANYWHERE) -> str | None:
        """Give the address that a new flow to `address` is seen to come from."""
        with Talk(self.client, address, PORT) as talk:
            return talk.say("who am I")

    def astray(self) -> list[str]:
        """Count the outer packets that came to the servers through a tunnel."""
        counted = [box.sh("nft -j list chain ip count pre") for box in self.servers]
        return [text.split('"packets": ')[1].split(",")[0] for text in counted]


def _pair() -> tuple[str, str]:
    script = "key=$(wg genkey); echo $key; echo $key | wg pubkey"
    private, public = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split()
    return private, public


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with boxes(tmp_path, "client", "net", "s1", "s2") as (client, net, *servers):
        for box in (client, *servers):
            furnish(box)
        made = World(tmp_path, client, net, servers)
        yield made
        for echo in made.echo:
            echo.process.kill()
            echo.process.wait()


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Box]:
    """One box with an uplink to nowhere."""
    with boxes(tmp_path, "lone") as (box,):
        furnish(box)
        box.sh(
            "ip link add up0 type veth peer name far0\n"
            "for end in up0 far0; do echo 1 > /proc/sys/net/ipv6/conf/$end/addr_gen_mode; ip link set $end up; done\n"
            "ip addr add 192.0.2.2/24 dev up0; ip route add default via 192.0.2.1"
        )
        settle(box, "up0", "far0")
        yield box


def simple(box: Box, interface: str = "", allowed: str = "10.5.0.0/16") -> Path:
    """Write a conf that needs nobody at the other end."""
    (private, _), (_, public) = _pair(), _pair()
    return write(
        box,
        f"[Interface]\nPrivateKey = {private}\nAddress = 10.0.0.2/24\n{interface}\n"
        f"[Peer]\nPublicKey = {public}\nAllowedIPs = {allowed}\nEndpoint = 198.51.100.7:51820\n",
    )


# --- full tunnels ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first_to_go", ["a", "b"])
def test_two_full_tunnels_at_once_and_either_may_go(world: World, first_to_go: str) -> None:
    before = world.client.picture()
    assert (world.seen(), world.seen(LAN)) == (DIRECT, BY_LAN)
    confs = {name: world.conf(name) for name in "ab"}
    world.up(confs["a"])
    assert world.seen() == BY_A
    world.up(confs["b"])
    assert world.seen() == BY_B, "the newest takes what is new"
    assert (world.seen("10.1.0.1"), world.seen("10.2.0.1")) == (BY_A, BY_B)
    assert world.seen(LAN) == BY_LAN
    assert world.astray() == ["0", "0"]

    stays = {"a": "b", "b": "a"}[first_to_go]
    world.down(confs[first_to_go])
    assert world.seen() == {"a": BY_A, "b": BY_B}[stays]
    assert world.seen(LAN) == BY_LAN
    assert world.client.sh("cat /proc/sys/net/ipv4/conf/all/src_valid_mark").strip() == "1", "the other needs it"
    world.down(confs[stays])
    assert (world.seen(), world.seen(LAN)) == (DIRECT, BY_LAN)
    assert difference(before, world.client.picture()) == ""


def test_wg_quick_down_of_another_tunnel_leaves_ours_right(world: World) -> None:
    """Its down deletes every `suppress_prefixlength 0`; its up takes our outer packets too, until a reload."""
    mine, other = world.conf("a"), world.conf("b")
    world.up(mine)
    assert wg_quick(world.client, "up", other).returncode == 0
    assert warren(world.client, "reload", str(mine)).returncode == 0
    assert (world.seen(), world.seen("10.1.0.1"), world.seen(LAN)) == (BY_B, BY_A, BY_LAN)
    assert world.astray() == ["0", "0"]
    assert wg_quick(world.client, "down", other).returncode == 0
    assert (world.seen(), world.seen(LAN)) == (BY_A, BY_LAN)


def test_a_full_tunnel_of_wg_quicks_is_stood_before_and_kept_out(world: World) -> None:
    other, mine = world.conf("a"), world.conf("b")
    assert wg_quick(world.client, "up", other).returncode == 0
    world.up(mine)
    assert world.seen() == BY_B
    assert (world.seen("10.1.0.1"), world.seen(LAN)) == (BY_A, BY_LAN)
    assert world.astray() == ["0", "0"]
    world.down(mine)
    assert (world.seen(), world.seen(LAN)) == (BY_A, BY_LAN)


def test_a_device_that_dies_leaks_nothing_and_down_puts_all_right(world: World) -> None:
    count = (
        "nft 'add table ip leak; add chain ip leak pre { type filter hook prerouting priority -400; }; "
        'add rule ip leak pre iifname "c0" ip daddr 1.1.1.1 counter\''
    )
    world.net.sh(count)

    def leaked() -> int:
        return int(world.net.sh("nft -j list chain ip leak pre").split('"packets": ')[1].split(",")[0])

    assert world.seen() == DIRECT
    seen_in_clear = leaked()
    assert seen_in_clear > 0, "the probe can be seen"
    conf = world.conf("a", interface="PostDown = echo gone > {DIR}/gone")
    world.up(conf)
    assert world.seen() == BY_A
    world.client.sh("ip link del ta")
    assert not world.client.ok(f"ping -c 1 -W 1 {ANYWHERE}")
    assert world.client.ok(f"ping -c 1 -W 5 {LAN}")
    assert leaked() == seen_in_clear
    world.down(conf)
    assert world.seen() == DIRECT
    assert (world.client.state / "gone").read_text() == "gone\n"


def test_a_default_in_disguise_does_not_lead_past_the_tunnel(world: World) -> None:
    """As a DHCP server may hand it out (option 121), and OpenVPN sets it (def1)."""
    world.up(world.conf("a"))
    world.client.sh("ip route add 0.0.0.0/1 via 192.0.2.1; ip route add 128.0.0.0/1 via 192.0.2.1")
    assert (world.seen(), world.seen(LAN)) == (BY_A, BY_LAN)


def test_packets_for_the_tunnels_address_come_by_the_tunnel_or_not_at_all(world: World) -> None:
    world.up(world.conf("a"))
    world.net.sh("ip route replace 10.1.0.2/32 via 192.0.2.2")
    ping = "ping -c 1 -W 2 -I 192.0.2.1 10.1.0.2"
    assert not world.net.ok(ping)
    world.client.sh("nft delete table inet warren-conf-ta")
    assert world.net.ok(ping), "without the table the packet does arrive"


def test_marks_of_other_tools_stay_on_their_udp_packets(world: World) -> None:
    """wg-quick writes the connection's mark, 0, over them at -150."""
    rules = (
        "add table ip theirs; add chain ip theirs before { type filter hook prerouting priority -200; }; "
        "add rule ip theirs before udp dport 9999 meta mark set 0x55; "
        "add chain ip theirs after { type filter hook prerouting priority -100; }; "
        "add rule ip theirs after udp dport 9999 meta mark 0x55 counter"
    )
    world.client.sh(f"nft '{rules}'")
    world.up(world.conf("a"))
    send = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.168.1.1', 9999))"
    world.net.sh(f'{sys.executable} -c "{send}"')
    wait_for(lambda: '"packets": 1,' in world.client.sh("nft -j list chain ip theirs after"))


# --- reload ----------------------------------------------------------------------------------------------------


def test_reload_changes_everything_around_a_living_session(world: World) -> None:
    world.up(world.conf("a", "1.1.1.1/32", "DNS = 10.1.0.53"))
    with Talk(world.client, ANYWHERE, PORT) as talk:
        assert talk.say("before") == BY_A
        handshake, received = _session(world.client, "ta")
        _, new_peer = _pair()
        extra = f"[Peer]\nPublicKey = {new_peer}\nAllowedIPs = 10.99.0.0/24\n"
        conf = world.conf(
            "a", "1.1.1.1/32, 10.98.0.0/16", "Address = 10.1.9.2/24\nMTU = 1300\nDNS = 10.1.0.54, lab", extra
        )
        done = warren(world.client, "reload", str(conf))
        assert done.returncode == 0, done.stderr
        assert talk.say("after") == BY_A
        assert _session(world.client, "ta")[0] == handshake, "no new handshake"
        assert _session(world.client, "ta")[1] > received, "counters go on"
    routes = world.client.sh("ip route show dev ta")
    assert "10.98.0.0/16" in routes and "10.99.0.0/24" in routes and "10.1.9.0/24" in routes
    assert "mtu 1300" in world.client.sh("ip link show ta")
    assert "nameserver 10.1.0.54\nsearch lab\n" in world.client.sh("cat /run/resolvers")
    assert "ta: nothing to change" in warren(world.client, "reload", str(conf)).stdout

    back = world.conf("a", "1.1.1.1/32", "")
    assert warren(world.client, "reload", str(back)).returncode == 0
    routes = world.client.sh("ip route show dev ta")
    assert "10.98" not in routes and "10.99" not in routes and "10.1.9" not in routes
    assert "mtu 1420" in world.client.sh("ip link show ta")
    assert new_peer not in world.client.sh("wg show ta peers")
    assert world.client.sh("tail -n 1 /run/resolvers") == "resolvconf -d ta -f\n"
    assert world.seen() == BY_A


def test_reload_turns_a_split_tunnel_into_a_full_one_and_back(world: World) -> None:
    split, before = world.conf("a", "10.1.0.0/16"), world.client.picture()
    world.up(split)
    assert world.seen() == DIRECT
    assert warren(world.client, "reload", str(world.conf("a", "0.0.0.0/0"))).returncode == 0
    assert (world.seen(), world.seen(LAN)) == (BY_A, BY_LAN)
    assert warren(world.client, "reload", str(world.conf("a", "10.1.0.0/16"))).returncode == 0
    assert (world.seen(), world.seen("10.1.0.1")) == (DIRECT, BY_A)
    world.down(split)
    assert difference(before, world.client.picture()) == ""


@pytest.mark.parametrize("read_only", [False, True], ids=["", "settings read-only"])
def test_reload_of_one_address_of_a_subnet_leaves_the_others_and_their_sessions(world: World, read_only: bool) -> None:
    """The kernel takes the later addresses of a subnet away with the first, and with the last one every route."""
    world.client.sh("echo 0 > /proc/sys/net/ipv4/conf/all/promote_secondaries")
    before = world.conf("a", "10.1.0.0/24, 1.1.1.1/32", "MTU = 1300")
    aliased = before.read_text().replace("10.1.0.2/24", "10.1.0.77/24, 10.1.0.2/24, fd00:1::2/64")
    before.write_text(aliased)
    world.up(before)
    world.client.sh("ip addr add 10.1.0.99/24 dev ta")
    if read_only:
        world.client.sh("mount --bind /proc/sys /proc/sys; mount -o remount,ro,bind /proc/sys")
    with Talk(world.client, ANYWHERE, PORT, BY_A) as talk:
        assert talk.say("before") == BY_A
        before.write_text(aliased.replace("10.1.0.77/24, ", "").replace("fd00:1::2/64", "fd00:1::2/48, 10.1.0.78/24"))
        done = warren(world.client, "reload", str(before))
        assert done.returncode == 0, done.stderr
        assert talk.say("after") == BY_A
    addresses = world.client.sh("ip -o addr show dev ta")
    wanted = ["10.1.0.2/24", "10.1.0.78/24", "fd00:1::2/48"] + ([] if read_only else ["10.1.0.99/24"])
    assert [one for one in wanted if one not in addresses] == [], addresses
    assert "10.1.0.77" not in addresses and "fd00:1::2/64" not in addresses
    assert "10.1.0.0/24" in world.client.sh("ip route show dev ta")
    assert "ta: nothing to change" in warren(world.client, "reload", str(before)).stdout


def test_reload_leaves_alone_what_hooks_and_hands_have_done(lone: Box) -> None:
    hooks = "PostUp = ip addr add 10.7.0.1/24 dev %i; ip link set %i mtu 1380; wg set %i fwmark 77"
    conf = simple(lone, hooks)
    assert (done := warren(lone, "up", str(conf))).returncode == 0, done.stderr
    _, by_hand = _pair()
    lone.sh(f"wg set wg0 peer {by_hand} allowed-ips 10.66.0.0/24")
    conf.write_text(conf.read_text().replace("10.5.0.0/16", "10.5.0.0/16, 10.6.0.0/16"))
    assert (done := warren(lone, "reload", str(conf))).returncode == 0, done.stderr
    assert "10.7.0.1/24" in lone.sh("ip addr show wg0")
    assert "mtu 1380" in lone.sh("ip link show wg0")
    assert lone.sh("wg show wg0 fwmark").strip() == "0x4d"
    assert by_hand in lone.sh("wg show wg0 peers")
    assert "10.6.0.0/16" in lone.sh("ip route show dev wg0")


def _session(box: Box, device: str) -> tuple[str, int]:
    """Give the last handshake and the bytes received of the peer that was heard: wireguard-go lists in no order."""
    peers = (line.split("\t") for line in box.sh(f"wg show {device} dump").splitlines()[1:])
    received, handshake = max((int(words[5]), words[4]) for words in peers)
    return handshake, received


# --- failure ---------------------------------------------------------------------------------------------------

HOOKS = (
    "PreUp = echo PreUp >> {DIR}/said; ip rule add to 10.55.0.0/16 lookup main priority 500\n"
    "PreDown = echo PreDown >> {DIR}/said\n"
    "PostDown = echo PostDown >> {DIR}/said; ip rule del to 10.55.0.0/16 lookup main priority 500\n"
)


@pytest.mark.parametrize("last", ["PostUp = echo PostUp >> {DIR}/said; false", "PostUp = kill -9 $$"])
def test_a_failing_hook_undoes_everything_hooks_included(lone: Box, last: str) -> None:
    before = lone.picture()
    conf = simple(lone, HOOKS + last + "\nDNS = 9.9.9.9", "0.0.0.0/0")
    done = warren(lone, "up", str(conf))
    assert done.returncode == 1
    assert "the hook PostUp = " in done.stderr
    assert "the host is as it was" in done.stderr
    assert difference(before, lone.picture()) == ""
    said = (lone.state / "said").read_text().split()
    assert [word for word in said if word != "PostUp"] == ["PreUp", "PreDown", "PostDown"]
    assert lone.sh("tail -n 1 /run/resolvers") == "resolvconf -d wg0 -f\n"


def test_a_route_that_is_taken_undoes_everything(lone: Box) -> None:
    lone.sh("ip route add 10.5.0.0/16 dev up0")
    before = lone.picture()
    done = warren(lone, "up", str(simple(lone, HOOKS)))
    assert done.returncode == 1
    assert "File exists" in done.stderr and "10.5.0.0/16" in done.stderr
    assert difference(before, lone.picture()) == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_up_is_undone(lone: Box, number: signal.Signals) -> None:
    before = lone.picture()
    fifo = lone.state / "fifo"
    lone.sh(f"mkfifo {fifo}")
    conf = simple(lone, HOOKS + f"PostUp = echo here > {fifo}; cat {fifo}", "0.0.0.0/0")
    command = lone.argv(*environment(lone), sys.executable, "-c", MAIN, "up", str(conf))
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert fifo.read_text() == "here\n"
        os.killpg(process.pid, number)  # as a terminal or a service manager does
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(timeout=30) == 1
    assert "the host is as it was" in said
    assert difference(before, lone.picture()) == ""
    assert (lone.state / "said").read_text().split() == ["PreUp", "PreDown", "PostDown"]


def test_after_a_kill_down_puts_everything_back(lone: Box) -> None:
    before = lone.picture()
    conf = simple(lone, HOOKS + "PostUp = kill -9 $PPID", "0.0.0.0/0")
    assert warren(lone, "up", str(conf)).returncode == -signal.SIGKILL
    assert (done := warren(lone, "down", str(conf))).returncode == 0, done.stderr
    assert difference(before, lone.picture()) == ""
    assert (lone.state / "said").read_text().split() == ["PreUp", "PreDown", "PostDown"]


def test_up_after_somebody_removed_the_device(lone: Box) -> None:
    conf = simple(lone)
    for _ in range(2):
        assert (done := warren(lone, "up", str(conf))).returncode == 0, done.stderr
        lone.sh("ip link del wg0")
    assert warren(lone, "up", str(conf)).returncode == 0


def test_full_tunnels_that_come_at_once_get_numbers_of_their_own(lone: Box) -> None:
    before = lone.picture()
    confs = [simple(lone, "", "0.0.0.0/0").rename(lone.state / f"t{number}.conf") for number in range(4)]
    argv = lone.argv(*environment(lone), sys.executable, "-c", MAIN)
    started = [subprocess.Popen([*argv, "up", str(conf)], stderr=subprocess.DEVNULL) for conf in confs]
    assert [process.wait(timeout=60) for process in started] == [0] * len(confs)
    marks = lone.sh("wg show all fwmark").split()[1::2]
    assert sorted(marks) == ["0xca6c", "0xca6d", "0xca6e", "0xca6f"]
    started = [subprocess.Popen([*argv, "down", str(conf)], stderr=subprocess.DEVNULL) for conf in confs]
    assert [process.wait(timeout=60) for process in started] == [0] * len(confs)
    assert difference(before, lone.picture()) == ""


def test_a_hook_that_fails_at_the_end_is_told_but_the_tunnel_is_down(lone: Box) -> None:
    before = lone.picture()
    conf = simple(lone, "PostDown = exit 3")
    assert warren(lone, "up", str(conf)).returncode == 0
    done = warren(lone, "down", str(conf))
    assert done.returncode == 1
    assert "the hook PostDown = exit 3 failed with status 3" in done.stderr
    assert difference(before, lone.picture()) == ""


def test_a_refusing_predown_hook_keeps_the_tunnel(lone: Box) -> None:
    conf = simple(lone, "PreDown = test -e {DIR}/may", "0.0.0.0/0")
    assert warren(lone, "up", str(conf)).returncode == 0
    up = lone.picture()
    assert warren(lone, "down", str(conf)).returncode == 1
    assert difference(up, lone.picture()) == ""
    (lone.state / "may").touch()
    assert warren(lone, "down", str(conf)).returncode == 0


def test_an_endpoint_that_cannot_be_found_stops_before_anything_is_made(lone: Box) -> None:
    before = lone.picture()
    conf = simple(lone, HOOKS)
    conf.write_text(conf.read_text().replace("198.51.100.7", "no-such-host.invalid"))
    lone.sh("echo 'hosts: files' > /etc/nsswitch.conf")
    done = warren(lone, "up", str(conf))
    assert done.returncode == 1
    assert "no-such-host.invalid:51820 stands for no address" in done.stderr
    assert difference(before, lone.picture()) == ""
    assert not (lone.state / "said").exists()


@pytest.mark.skipif(bool(find_program("resolvconf")), reason="this machine has a resolvconf of its own")
def test_systemd_resolved_is_told_where_there_is_no_resolvconf(lone: Box) -> None:
    stub = lone.state / "resolvectl"
    stub.write_text('#!/bin/sh\necho "$*" >> /run/resolved\n')
    lone.sh(f"rm /run/bin/resolvconf; install -m 755 {stub} /run/bin/resolvectl")
    conf = simple(lone, "DNS = 9.9.9.9, 149.112.112.112, lab")
    assert (done := warren(lone, "up", str(conf))).returncode == 0, done.stderr
    assert warren(lone, "down", str(conf)).returncode == 0
    told = lone.sh("cat /run/resolved").splitlines()
    assert told == ["dns wg0 9.9.9.9 149.112.112.112", "domain wg0 lab ~.", "revert wg0"]


@pytest.mark.skipif(bool(find_program("resolvconf") or find_program("resolvectl")), reason="this machine has one")
def test_a_host_without_resolvconf_says_so_and_undoes(lone: Box) -> None:
    lone.sh("rm /run/bin/resolvconf")
    before = lone.picture()
    done = warren(lone, "up", str(simple(lone, "DNS = 9.9.9.9")))
    assert done.returncode == 1
    assert "openresolv" in done.stderr
    assert difference(before, lone.picture()) == ""


def test_a_host_without_ipv6_gets_the_rest(lone: Box) -> None:
    lone.sh("for word in all default; do echo 1 > /proc/sys/net/ipv6/conf/$word/disable_ipv6; done")
    before = lone.picture()
    conf = simple(lone, "Address = fd00::2/64", "0.0.0.0/0, ::/0")
    done = warren(lone, "up", str(conf))
    assert done.returncode == 0, done.stderr
    assert "IPv6 is disabled on this host: left out the address fd00::2/64" in done.stderr
    assert "default dev wg0" in lone.sh("ip route show table 51820")
    assert "allowed ips: 0.0.0.0/0, ::/0" in lone.sh("wg show wg0")
    assert warren(lone, "down", str(conf)).returncode == 0
    assert difference(before, lone.picture()) == ""


def test_a_narrow_way_does_not_keep_ipv6_out(lone: Box) -> None:
    lone.sh("ip route add 198.51.100.0/24 via 192.0.2.1 mtu 1300")
    conf = simple(lone, "Address = fd00::2/64")
    assert (done := warren(lone, "up", str(conf))).returncode == 0, done.stderr
    assert "mtu 1280" in lone.sh("ip link show wg0")
    assert "fd00::2/64" in lone.sh("ip addr show wg0")


# --- hooks -----------------------------------------------------------------------------------------------------


def test_preup_finds_the_device(lone: Box) -> None:
    conf = simple(lone, "PreUp = ip -br link show %i | cut -d' ' -f1 > {DIR}/said")
    assert (done := warren(lone, "up", str(conf))).returncode == 0, done.stderr
    assert (lone.state / "said").read_text() == "wg0\n"


def test_down_runs_the_hooks_that_up_was_given(lone: Box) -> None:
    conf = simple(lone, "PreDown = echo then >> {DIR}/said\nPostDown = echo then >> {DIR}/said")
    assert warren(lone, "up", str(conf)).returncode == 0
    conf.write_text(conf.read_text().replace("echo then", "echo now"))
    assert warren(lone, "down", str(conf)).returncode == 0
    assert (lone.state / "said").read_text() == "then\nthen\n"


def test_a_tunnel_whose_conf_is_gone_still_comes_down(lone: Box) -> None:
    before = lone.picture()
    conf = simple(lone, "PostDown = echo gone >> {DIR}/said", "0.0.0.0/0")
    assert warren(lone, "up", str(conf)).returncode == 0
    conf.unlink()
    assert (done := warren(lone, "down", "wg0")).returncode == 0, done.stderr
    assert (lone.state / "said").read_text() == "gone\n"
    assert difference(before, lone.picture()) == ""


def test_hooks_have_wg_quicks_shell_and_the_callers_environment(lone: Box) -> None:
    """wg-quick runs them under set -e and pipefail, with extended patterns."""
    conf = simple(
        lone, "PostUp = echo $GREETING $LC_ALL > {DIR}/said; [[ ab == a@(b|c) ]]; false | true; touch {DIR}/not"
    )
    command = ("env", "GREETING=hello", sys.executable, "-c", MAIN, "up", str(conf))
    done = subprocess.run(lone.argv(*environment(lone), *command), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert (lone.state / "said").read_text() == "hello C\n"
    assert not (lone.state / "not").exists()


# --- save, and what is said ------------------------------------------------------------------------------------


def test_a_conf_with_saveconfig_is_saved_when_it_goes_down(lone: Box) -> None:
    conf = simple(lone, "SaveConfig = true\n# mine\nDNS = 9.9.9.9, lab")
    assert warren(lone, "up", str(conf)).returncode == 0
    _, public = _pair()
    lone.sh(f"wg set wg0 peer {public} allowed-ips 10.66.0.0/24 persistent-keepalive 15")
    assert warren(lone, "down", "wg0").returncode == 0
    saved = conf.read_text()
    assert "# mine\nDNS = 9.9.9.9, lab\n" in saved
    assert f"[Peer]\nPublicKey = {public}\nAllowedIPs = 10.66.0.0/24\nPersistentKeepalive = 15\n" in saved
    assert conf.stat().st_mode & 0o777 == 0o600
    assert warren(lone, "up", str(conf)).returncode == 0
    assert public in lone.sh("wg show wg0 peers")


def test_saving_an_unchanged_full_tunnel_adds_its_port_and_nothing_else(lone: Box) -> None:
    conf = simple(lone, "", "0.0.0.0/0")
    before = conf.read_text()
    assert warren(lone, "up", str(conf)).returncode == 0
    assert warren(lone, "save", str(conf)).returncode == 0
    port = lone.sh("wg show wg0 listen-port").strip()
    assert set(conf.read_text().splitlines()) - set(before.splitlines()) == {f"ListenPort = {port}"}
    assert "nothing to change" in warren(lone, "save", str(conf)).stdout


def test_a_bare_name_stands_for_a_conf_in_etc_wireguard(lone: Box) -> None:
    simple(lone, "", "10.5.0.0/16")
    lone.sh(f"mkdir -p /etc/wireguard; install -m 600 {lone.state}/wg0.conf /etc/wireguard/home.conf")
    assert "home is up: 1 peer, 1 route" in warren(lone, "up", "home").stdout
    twice = warren(lone, "up", "home")
    assert twice.returncode == 1 and "home already exists" in twice.stderr and "warren reload" in twice.stderr
    assert warren(lone, "down", "home").stdout == "home is down\n"
    again = warren(lone, "down", "home")
    assert again.returncode == 1 and "home is not up" in again.stderr
    missing = warren(lone, "up", "office")
    assert missing.returncode == 1 and "There are: home." in missing.stderr


def test_a_conf_with_errors_changes_nothing_and_all_of_them_are_told(lone: Box) -> None:
    before = lone.picture()
    conf = simple(lone, "MTU = big\nAdress = 10.0.0.3/24")
    conf.chmod(0o644)
    done = warren(lone, "up", str(conf))
    assert done.returncode == 1
    assert [code for code in ("W701", "W706", "W734") if f"[{code}]" in done.stderr] == ["W706", "W734"]
    assert difference(before, lone.picture()) == ""
    found = json.loads(warren(lone, "up", str(conf), "--json").stdout)
    assert [one["code"] for one in found["diagnostics"]] == ["W734", "W706"]


def test_json_and_silence_about_secrets(lone: Box) -> None:
    conf = simple(lone, "PostUp = echo said by a hook")
    private = conf.read_text().split("PrivateKey = ")[1].split("\n")[0]
    up, reloaded, down = (warren(lone, verb, str(conf), "--json") for verb in ("up", "reload", "down"))
    told = json.loads(up.stdout)
    assert (told["name"], told["state"], told["peers"], told["routes"], told["mtu"]) == ("wg0", "up", 1, 1, 1420)
    assert json.loads(reloaded.stdout)["changes"] == 0
    assert json.loads(down.stdout)["state"] == "down"
    assert "said by a hook" in up.stderr
    for done in (up, reloaded, down):
        assert private not in done.stdout + done.stderr
    assert private not in "".join(path.read_text() for path in lone.state.rglob("*") if path.is_file() and path != conf)


def test_everything_carries_warrens_number(lone: Box) -> None:
    assert warren(lone, "up", str(simple(lone, "", "0.0.0.0/0, 10.5.0.0/16"))).returncode == 0
    rules = [line for line in lone.sh("ip rule").splitlines() if line.startswith(("78", "79"))]
    routes = lone.sh("ip route show proto 77 table all").splitlines()
    assert len(rules) == 3 and all(rule.endswith("proto 77") for rule in rules)
    assert [route.split(" ")[0] for route in routes] == ["default", "unreachable", "10.5.0.0/16"]


def test_strip_is_for_wg(lone: Box) -> None:
    conf = simple(lone)
    assert warren(lone, "strip", str(conf)).stdout == wg_quick(lone, "strip", conf).stdout
    conf.write_text(conf.read_text() + "Nonsense = 1\n")
    assert (done := warren(lone, "strip", str(conf))).returncode == 1 and done.stdout == ""
