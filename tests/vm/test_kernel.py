"""The kernel's own WireGuard is there, and treats large packets as the compiler's MTUs assume.

    namespace left                 namespace right
wg0 10.9.0.1  fd09::1           wg0 10.9.0.2  fd09::2
  └── veth0 192.0.2.1 2001:db8::1 ── veth0 192.0.2.2 2001:db8::2      (MTU 1500)
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.vm

INNER = {"left": ("10.9.0.1/24", "fd09::1/64"), "right": ("10.9.0.2/24", "fd09::2/64")}
OUTER = {"left": ("192.0.2.1/24", "2001:db8::1/64"), "right": ("192.0.2.2/24", "2001:db8::2/64")}
ENDPOINTS = {
    "ipv4": {"left": "192.0.2.1", "right": "192.0.2.2"},
    "ipv6": {"left": "[2001:db8::1]", "right": "[2001:db8::2]"},
}
ICMP_AND_IPV4 = 28  # what `ping -s` does not count
END = 1300  # the size of the ping that ends a capture; nothing else is that long


def run(*command: str, stdin: str = "", check: bool = True) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
    return done.stdout + done.stderr


def inside(namespace: str, *command: str, stdin: str = "", check: bool = True) -> str:
    return run("ip", "netns", "exec", namespace, *command, stdin=stdin, check=check)


@pytest.fixture(scope="module", params=["ipv4", "ipv6"])
def outer(request: pytest.FixtureRequest) -> Iterator[str]:
    """The two namespaces of the picture, and the family of the packets between them."""
    family: str = request.param
    secrets = {side: run("wg", "genkey") for side in INNER}
    try:
        for side in INNER:
            run("ip", "netns", "add", side)
        run("ip", "link", "add", "veth0", "netns", "left", "type", "veth", "peer", "name", "veth0", "netns", "right")
        for side, peer in (("left", "right"), ("right", "left")):
            raise_device("veth0", OUTER[side], side)
            inside(side, "ip", "link", "add", "wg0", "mtu", "1420", "type", "wireguard")
            inside(side, "wg", "set", "wg0", "listen-port", "51820", "private-key", "/dev/stdin", stdin=secrets[side])
            key = run("wg", "pubkey", stdin=secrets[peer]).strip()
            reach = ["endpoint", f"{ENDPOINTS[family][peer]}:51820", "allowed-ips", "10.9.0.0/24,fd09::/64"]
            inside(side, "wg", "set", "wg0", "peer", key, *reach)
            raise_device("wg0", INNER[side], side)
        yield family
    finally:
        for side in INNER:
            run("ip", "netns", "delete", side, check=False)


def raise_device(device: str, addresses: tuple[str, str], namespace: str) -> None:
    ipv4, ipv6 = addresses
    inside(namespace, "ip", "address", "add", ipv4, "dev", device)
    inside(namespace, "ip", "address", "add", ipv6, "dev", device, "nodad")
    inside(namespace, "ip", "link", "set", device, "up")


@dataclass(frozen=True, slots=True)
class Packet:
    """An IP packet on the veth: the length of the whole and whether it is a piece of a larger one."""

    length: int
    fragment: bool


def on_the_wire(*pings: list[str]) -> list[Packet]:
    """Ping from the left, and give every WireGuard packet or fragment that left by the veth, in order."""
    capture = ["tcpdump", "-i", "veth0", "-Q", "out", "-U", "--immediate-mode", "-w", "-", "ip or (ip6 and not icmp6)"]
    tcpdump = subprocess.Popen(
        ["ip", "netns", "exec", "left", *capture], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert tcpdump.stdout is not None and tcpdump.stderr is not None
    try:
        while b"listening on" not in (said := tcpdump.stderr.readline()):
            assert said, "tcpdump did not start"
        for ping in [*pings, ["-s", str(END - ICMP_AND_IPV4), "192.0.2.2"]]:
            inside("left", "ping", "-c", "1", "-W", "5", *ping)
        tcpdump.stdout.read(24)  # the file's header
        packets: list[Packet] = []
        while (packet := _read_packet(tcpdump.stdout.read)) != Packet(END, fragment=False):
            packets.append(packet)
        return packets
    finally:
        tcpdump.kill()
        tcpdump.communicate()


def _read_packet(read: Callable[[int], bytes]) -> Packet:
    """Read one record of a pcap file: a 16-byte header, then an Ethernet frame."""
    length = int.from_bytes(read(16)[8:12], "little")
    packet = read(length)[14:]
    if packet[0] >> 4 == 4:
        more_or_offset = int.from_bytes(packet[6:8], "big") & 0x3FFF
        return Packet(int.from_bytes(packet[2:4], "big"), fragment=more_or_offset != 0)
    return Packet(40 + int.from_bytes(packet[4:6], "big"), fragment=packet[6] == 44)


def test_the_module_is_the_kernels_own() -> None:
    assert Path("/sys/module/wireguard").is_dir()


@pytest.mark.usefixtures("outer")
@pytest.mark.parametrize("address", ["10.9.0.2", "fd09::2"])
def test_the_two_sides_reach_each_other(address: str) -> None:
    assert " 0% packet loss" in inside("left", "ping", "-c", "3", "-i", "0.2", "-W", "5", address)


def test_a_full_packet_fits_the_wire_unfragmented(outer: str) -> None:
    """WireGuard adds 60 bytes on IPv4 and 80 on IPv6: 1420 inside are at most 1500 outside."""
    full = ["-M", "do", "-s", str(1420 - ICMP_AND_IPV4), "10.9.0.2"]

    packets = on_the_wire(full, full)

    assert not any(packet.fragment for packet in packets)
    assert max(packet.length for packet in packets) == {"ipv4": 1480, "ipv6": 1500}[outer]


@pytest.mark.usefixtures("outer")
def test_an_oversize_packet_that_may_not_be_cut_is_refused() -> None:
    too_large = ["-M", "do", "-s", str(1421 - ICMP_AND_IPV4), "10.9.0.2"]

    said = inside("left", "ping", "-c", "1", "-W", "5", *too_large, check=False)

    assert "message too long" in said.lower()


@pytest.mark.usefixtures("outer")
def test_an_oversize_packet_is_cut_inside_and_never_outside() -> None:
    oversize = ["-M", "dont", "-s", "4000", "10.9.0.2"]

    packets = on_the_wire(oversize, oversize)

    assert len([packet for packet in packets if packet.length > 1400]) >= 4, "it must have been sent in several pieces"
    assert not any(packet.fragment for packet in packets)


@pytest.mark.usefixtures("outer")
def test_a_device_mtu_that_ignores_the_outer_header_is_seen_as_fragments() -> None:
    """The probe of the tests above can see what they say is absent."""
    inside("left", "ip", "link", "set", "wg0", "mtu", "1500")

    packets = on_the_wire(["-M", "dont", "-s", str(1500 - ICMP_AND_IPV4), "10.9.0.2"])

    inside("left", "ip", "link", "set", "wg0", "mtu", "1420")
    assert any(packet.fragment for packet in packets)
