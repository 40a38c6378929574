"""What conntrack tells of ended flows, and the packet that makes a silent client speak."""

from __future__ import annotations

import struct
from ipaddress import ip_address, ip_network

import pytest

from warren.model.change import Command
from warren.model.prefix import Family
from warren.sys.flows import TcpFlow, _syn_ack, forget_marked


def told(kind: str, server: str, sport: int, dport: int) -> str:
    """A line of conntrack(8) 1.4.7."""
    there = f"src=192.168.66.100 dst={server} sport={sport} dport={dport}"
    back = f"src={server} dst=10.66.0.3 sport={dport} dport={sport}"
    return f"{kind} {there} {back} [ASSURED] mark=16777216 use=1\n"


TOLD = (
    told("tcp      6 431999 ESTABLISHED", "198.18.7.7", 40000, 80)
    + told("tcp      6 118 SYN_SENT", "198.18.7.8", 40002, 80)
    + told("tcp      6 50 CLOSE_WAIT", "198.18.7.9", 40004, 443)
    + told("udp      17 25", "198.18.7.7", 5353, 53)
)


def test_established_tcp_is_told_from_the_rest() -> None:
    asked: list[Command] = []

    def run(command: Command) -> str:
        asked.append(command)
        return TOLD

    count, flows = forget_marked(Family.IPV4, ip_network("192.168.66.0/24"), 0x01000000, run)

    client = ip_address("192.168.66.100")
    assert count == 4
    assert flows == (
        TcpFlow(client, ip_address("198.18.7.7"), 40000, 80),
        TcpFlow(client, ip_address("198.18.7.9"), 40004, 443),
    )
    assert asked[0].argv[-2:] == ("--mark", "0x1000000/0x3f000000")


@pytest.mark.parametrize(("client", "server"), [("192.168.66.100", "198.18.7.7"), ("fd66:66::64", "2001:db8:ffff::80")])
def test_the_packet_is_in_the_servers_name_and_its_sum_is_right(client: str, server: str) -> None:
    packet = _syn_ack(TcpFlow(ip_address(client), ip_address(server), 40000, 80))
    head = 20 if ":" not in client else 40
    ends, tcp = packet[12:20] if head == 20 else packet[8:40], packet[head:]

    assert ends == ip_address(server).packed + ip_address(client).packed
    assert struct.unpack_from("!HH", tcp) == (80, 40000) and tcp[13] == 0x12
    whole = ends + struct.pack("!HH", 6, len(tcp)) + tcp
    total = sum(struct.unpack(f"!{len(whole) // 2}H", whole))
    assert (total & 0xFFFF) + (total >> 16) in (0xFFFF, 0x1FFFE)
