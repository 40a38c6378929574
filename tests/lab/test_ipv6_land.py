"""IPv6 delegated to a LAN that has none: real advertisements, real SLAAC clients, the agent, a move in mid-download."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tests.lab.enclosed import enclosed
from warren.core.allot import allot
from warren.core.delegates import grant
from warren.core.lockfile import render_lock
from warren.core.parse import parse
from warren.lab.faults import break_down, heal
from warren.lab.lab import Lab, bring_up
from warren.lab.learn import addresses_of, has_router, solicit
from warren.lab.spaces import mount
from warren.lab.topology import client_space, host_space
from warren.lab.trial import try_all
from warren.lab.works import memory, on_each
from warren.model.expect import Down
from warren.model.network import Network
from warren.sys.apply import down
from warren.sys.machine import Machine
from warren.sys.store import Store

pytestmark = pytest.mark.lab

HEAD = """
network: six
overlay: [10.77.0.0/24, "fd77:7:7::/64"]
hosts:
  r1: {key: KoxN2ZaCrbA2YyeDci+kGcQ5AxN5SUhlp+yFtGO760w=, uplink: wan, lans: {br-lan: {address: 192.168.1.1/24}}}
  r2: {key: u4w1QbNc/ia/uKfYBf6Eno17a8T1JKnbXcjpUZLD5RU=, endpoint: r2.example.net:51820, uplink: eth0}
"""
GUESTS = """
  c1: {key: dAdEvSmsHi4crePLWSvTh0WkiRIi1BNDiF1nOAYZvQQ=, endpoint: c1.example.net:51820, uplink: eth0}
  c2: {key: vwztBHLYuj354hgI6Y5hs0QEqtc34rrhd4zrxpi0Dzc=, endpoint: c2.example.net:51820, uplink: eth0}
"""
LAB = """
lab:
  nats: {landlord: {mapping: address-and-port-dependent}, cafe: {mapping: address-and-port-dependent, ports: random}}
  place: {r1: landlord, r2: internet, c1: cafe, c2: cafe}
  links: {r1: {ipv6: false}}
"""
DELEGATE = 'delegate: [{prefix: "2001:db8:77:100::/56", from: r2, to: r1, lans: [br-lan]}]\n'
FAR = "2001:db8:ffff::80"


def network_of(text: str) -> Network:
    parsed = parse(text.encode(), "six.yaml")
    assert parsed.network is not None, parsed.diagnostics
    return parsed.network


def client_of(lab: Lab) -> str:
    (client,) = (one for one in lab.world.clients if one.name == "r1.br-lan")
    return client_space(lab.world, client)


def until(what: Callable[[], bool], seconds: float) -> float:
    """Wait for something, and give how long it took."""
    started = time.monotonic()
    while not what():
        assert time.monotonic() < started + seconds, f"not within {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - started


@contextmanager
def agent(lab: Lab, host: str, file: Path) -> Iterator[subprocess.Popen[str]]:
    """The agent at work on a host, as a person starts it."""
    file.write_text(HEAD + GUESTS + DELEGATE)
    file.with_suffix(".lock").write_text(render_lock(lab.lock))
    program = "from warren.cli.main import main; main()"
    words = (sys.executable, "-c", program, "agent", str(file), "--host", host)
    env = {**os.environ, "WARREN_STATE_DIR": str(memory(host))}
    process = lab.spaces.start(host_space(host), words, stderr=subprocess.PIPE, env=env)
    assert process.stderr is not None
    assert "wan: watching the uplink, r2" in process.stderr.readline()
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0, process.stderr.read()


SERVER = """
import socket
server = socket.create_server(("::", 9000), family=socket.AF_INET6)
print(flush=True)
taken, _ = server.accept()
while True: taken.sendall(bytes(4096))
"""
DOWNLOAD = f"""
import socket, time
with socket.create_connection(("{FAR}", 9000)) as taken:
    print(flush=True)
    while taken.recv(1 << 14): print(time.monotonic(), flush=True)
"""


@contextmanager
def download(lab: Lab, times: Path) -> Iterator[None]:
    """A stream from the internet to the client, which writes down when it got something."""
    server = lab.spaces.start("internet", (sys.executable, "-c", SERVER), stdout=subprocess.PIPE)
    assert server.stdout is not None and server.stdout.readline()
    with times.open("w") as out:
        client = lab.spaces.start(client_of(lab), (sys.executable, "-c", DOWNLOAD), stdout=out)
    try:
        until(lambda: len(times.read_text().splitlines()) > 20, 10)
        yield
    finally:
        client.kill(), client.wait()
        server.kill(), server.wait()


def move(lab: Lab) -> float:
    """Take r1 from behind the landlord's NAT to the café's: another link, another address, another way out."""
    here, there = (lab.spaces[name].path for name in (host_space("r1"), "nat.cafe"))
    lab.spaces.run(host_space("r1"), ("ip", "link", "del", "wan"))
    lab.spaces.run(
        "", ("ip", "link", "add", "name", "moved", "netns", there, "type", "veth", "peer", "name", "wan", "netns", here)
    )
    inner = lab.world.nat_by_name["cafe"].inner[0]
    lab.spaces.run("nat.cafe", ("ip", "-batch", "-"), "link set moved master inner up\n")
    address = f"{inner.network[77]}/{inner.network.prefixlen}"
    lines = f"link set wan up\naddress add {address} dev wan\nroute add default via {inner.ip} dev wan\n"
    lab.spaces.run(host_space("r1"), ("ip", "-batch", "-"), lines)
    return time.monotonic()


def story() -> dict[str, object]:
    """One lab for all of it: it takes seconds to come up."""
    lab = bring_up(network_of(HEAD + GUESTS + DELEGATE + LAB), None)
    client, found = client_of(lab), dict[str, object]()
    found["learned"] = {str(address) for address in addresses_of(lab.spaces, client)}
    with agent(lab, "r1", Path("/run/six.yaml")):
        break_down(lab, (Down(host="r2"),))
        found["down after"] = until(lambda: not has_router(lab.spaces, client), 12)
        time.sleep(0.2)  # the announcer is there again
        solicit(lab.spaces, client)
        found["who asks is told the same"] = not until_or(lambda: has_router(lab.spaces, client), 1)
        lab.apply(("r1",))  # an apply that changes nothing does not make it forget
        found["nor does an apply"] = not until_or(lambda: has_router(lab.spaces, client), 2)
        heal(lab, (Down(host="r2"),))
        found["up after"] = until(lambda: has_router(lab.spaces, client), 20)
        with download(lab, Path("/run/times")):
            before = endpoint_of(lab, "r2", "r1")
            up = move(lab)
            until(lambda: received(Path("/run/times"))[-1] > up, 15)
            found["resumed after"] = next(at for at in received(Path("/run/times")) if at > up) - up
            found["by another NAT"] = endpoint_of(lab, "r2", "r1") != before
    solicit(lab.spaces, client)  # who announces a prefix can take it back only if it has announced it before
    time.sleep(0.5)
    found["the tunnel stays"] = bool(endpoint_of(lab, "r1", "r2"))
    found |= renumbered(lab, client)
    return found


def received(times: Path) -> list[float]:
    """When the download got something; the last line may be half written."""
    return [float(line) for line in times.read_text().splitlines()[1:-1]]


def endpoint_of(lab: Lab, host: str, peer: str) -> str:
    """Where a host's WireGuard thinks a peer is."""
    for line in lab.spaces.run(host_space(host), ("wg", "show", "all", "endpoints")).splitlines():
        key, endpoint = line.split()[-2:]  # wg names a device only before its first peer
        if key == lab.network.by_name[peer].key:
            return endpoint
    return ""


def until_or(what: Callable[[], bool], seconds: float) -> bool:
    """Wait for something that had better not come to be."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.02)
    return False


def renumbered(lab: Lab, client: str) -> dict[str, object]:
    """r2 has another prefix now: the new one is announced, the old one deprecated; and `down` takes all away."""
    held = lab.lock.by_name["r1"].delegated
    other = replace(lab.network.delegates[0], prefix=ip_network("2001:db8:88:200::/56"))
    lab.network = replace(lab.network, delegates=(other,))
    lab.lock = allot(lab.network, lab.lock)
    lab.network = grant(lab.network, lab.lock)
    lab.apply(("r2", "r1"))
    new, old = (ip_address(f"2001:db8:{prefix}:77:77ff:fe00:0") for prefix in ("88:200", "77:100"))
    until(lambda: new in addresses_of(lab.spaces, client), 10)
    until(lambda: not addresses_of(lab.spaces, client)[old], 10)
    has = addresses_of(lab.spaces, client)
    addresses = lab.spaces.run(host_space("r1"), ("ip", "-6", "-o", "address", "show", "dev", "br-lan"))
    found: dict[str, object] = {
        "one moved in the lock": (str(held[0].prefix), str(lab.lock.by_name["r1"].delegated[0].prefix)),
        "new, then old": (has[new], has[old]),
        "the router's old address runs out": "2001:db8:77:100::1/64 scope global deprecated" in addresses,
    }
    on_each(lab.spaces, ["r1"], lambda host: down("six", Machine(Store(memory(host)))).items and None)
    addresses = lab.spaces.run(host_space("r1"), ("ip", "-6", "-o", "address", "show", "dev", "br-lan"))
    found["down takes it away"] = "global" not in addresses
    found["and the announcer"] = not watching()
    return found


FOLLOWED = "delegate: [{follow: inside, from: r2, to: r1, lans: [br-lan]}]\n"


def followed() -> list[tuple[int, str, str]]:
    """`warren lock --host r2`, run at r2, where a device gets a prefix and then another one."""
    lab = bring_up(network_of(HEAD + DELEGATE + "lab: {links: {r1: {ipv6: false}}}"), None)
    file, told = Path("/run/six.yaml"), []
    file.write_text(HEAD + FOLLOWED)
    program = "from warren.cli.main import main; main()"
    r2 = host_space("r2")
    lab.spaces.run(r2, ("ip", "-batch", "-"), "link add inside type veth peer name beyond\nlink set inside up\n")
    for prefix in ("", "2001:db8:99:40::1/60", "2001:db8:aa:40::1/60"):
        if prefix:
            lab.spaces.run(r2, ("ip", "-6", "address", "flush", "dev", "inside", "scope", "global"))
            lab.spaces.run(r2, ("ip", "-6", "address", "add", prefix, "dev", "inside", "nodad"))
        words = (sys.executable, "-c", program, "lock", str(file), "--host", "r2")
        with lab.spaces.inside(r2):
            done = subprocess.run(words, capture_output=True, text=True)
        lock = file.with_suffix(".lock")
        given = [line.strip() for line in lock.read_text().splitlines() if "br-lan:" in line] if lock.exists() else []
        told.append((done.returncode, "".join(given), done.stderr))
    return told


def watching() -> list[str]:
    """The programs at work that a network had started."""
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    return [line.decode(errors="replace") for line in lines if b"warren-service" in line or line.startswith(b"dnsmasq")]


@pytest.fixture(scope="module")
def told() -> dict[str, object]:
    return enclosed(story)


def test_a_client_makes_its_address_of_what_is_announced(told: dict[str, object]) -> None:
    assert told["learned"] == {"2001:db8:77:100:77:77ff:fe00:0"}


def test_without_the_tunnel_there_is_no_way_out(told: dict[str, object]) -> None:
    """5 s of silence and the default route is gone; back again when the far end answers."""
    assert 4.5 < float(str(told["down after"])) < 7
    assert told["who asks is told the same"] and told["nor does an apply"]
    assert float(str(told["up after"])) < 10


def test_a_download_goes_on_after_a_move(told: dict[str, object]) -> None:
    assert told["by another NAT"]
    assert float(str(told["resumed after"])) <= 2
    assert told["the tunnel stays"]


def test_another_prefix_is_announced_and_the_old_one_deprecated(told: dict[str, object]) -> None:
    assert told["one moved in the lock"] == ("2001:db8:77:100::/64", "2001:db8:88:200::/64")
    assert told["new, then old"] == (True, False)
    assert told["the router's old address runs out"]


def test_down_leaves_nothing(told: dict[str, object]) -> None:
    assert told["down takes it away"] and told["and the announcer"]


def test_a_followed_prefix_is_read_where_it_is() -> None:
    """Before there is one the lock is refused; then the LAN has a /64 of it, and the same one of the next."""
    nothing, first, second = enclosed(followed)
    assert nothing[:2] == (1, "") and "inside has no global IPv6 prefix" in nothing[2]
    assert first[:2] == (0, 'br-lan: {r2: "2001:db8:99:40::/64"}')
    assert second[:2] == (0, 'br-lan: {r2: "2001:db8:aa:40::/64"}')


ASKS = """
duid
noipv6rs
ipv6only
script /bin/true
interface eth0
  iaid 1
  ia_pd 1 home/0
"""
SEEN = """
import socket
server = socket.create_server(("::", 9001), family=socket.AF_INET6)
print(flush=True)
taken, seen = server.accept()
taken.sendall(b"x")
print(seen[0], flush=True)
"""


def downstream() -> dict[str, object]:
    """The machine on the LAN is a router itself, and asks for a prefix with dhcpcd(8)."""
    text = DELEGATE.replace("lans: [br-lan]", "lans: [br-lan], downstream: 60")
    lab = bring_up(network_of(HEAD + text + "lab: {links: {r1: {ipv6: false}}}"), None)
    client = client_of(lab)
    mount("tmpfs", "/var/lib/dhcpcd", "tmpfs")  # where it remembers: not on this machine
    Path("/run/dhcpcd.conf").write_text(ASKS)
    lines = "link add home type veth peer name inside\nlink set home up\nlink set inside up\n"
    lab.spaces.run(client, ("ip", "-batch", "-"), lines)
    asker = lab.spaces.start(client, ("dhcpcd", "-B", "-f", "/run/dhcpcd.conf", "eth0"), stderr=subprocess.DEVNULL)
    found: dict[str, object] = {}

    def routes() -> str:
        return lab.spaces.run(host_space("r1"), ("ip", "-6", "route", "show", "root", "2001:db8:77:180::/57"))

    try:
        until(lambda: "2001:db8:77:180::/60 via fe80::77:77ff:fe00:0 dev br-lan proto 77" in routes(), 20)
        lab.spaces.run(client, ("ip", "address", "add", "2001:db8:77:180::5/128", "dev", "lo"))
        server = lab.spaces.start("internet", (sys.executable, "-c", SEEN), stdout=subprocess.PIPE)
        assert server.stdout is not None and server.stdout.readline()
        asked = f"import socket; socket.create_connection(('{FAR}', 9001), 10, ('2001:db8:77:180::5', 0)).recv(1)"
        lab.spaces.run(client, (sys.executable, "-c", asked))
        found["seen as"] = server.stdout.readline().strip()
        found["after an apply"] = lab.apply(("r1",)) and routes()
    finally:
        asker.terminate(), asker.wait()
    on_each(lab.spaces, ["r1"], lambda host: down("six", Machine(Store(memory(host)))).items and None)
    found["after down"] = routes()
    return found


def test_a_router_on_the_lan_gets_a_prefix_of_its_own() -> None:
    """By DHCPv6-PD: the prefix is routed to it, and what is behind it is seen with its own address."""
    told = enclosed(downstream)
    assert told["seen as"] == "2001:db8:77:180::5"
    assert "2001:db8:77:180::/60" in str(told["after an apply"])
    assert told["after down"] == ""


LINK = """
delegate: [{prefix: "2001:db8:5::/64", from: r2, to: r1, lans: [br-lan], proxy: true}]
expect:
  - {from: r1.br-lan, to: "2001:db8:ffff::80", exit: r2, source: kept}
  - {from: r1.br-lan, to: "2001:db8:ffff::80 tcp/443", exit: r2, source: kept}
  - {from: r1.br-lan, to: 1.1.1.1, exit: r1}
  - {from: r2, to: "2001:db8:ffff::81", exit: r2}
  - {from: internet, to: r1.br-lan, blocked: true, family: ipv6}
lab: {links: {r1: {ipv6: false}}}
"""
TRANSLATED = """
portals: [{from: r1.br-lan, exit: r2, family: ipv6, nat: snat}]
expect:
  - {from: r1.br-lan, to: "2001:db8:ffff::80", exit: r2, source: r2}
  - {from: r1.br-lan, to: "2001:db8:ffff::80 udp/53", exit: r2, source: r2}
  - {from: r1.br-lan, to: 1.1.1.1, exit: r1}
lab: {links: {r1: {ipv6: false}}}
"""


def kept(text: str) -> list[str]:
    """Try what a file expects; what fails, in words."""
    lab = bring_up(network_of(text), None)
    tried = list(try_all(lab))
    assert len(tried) >= 3
    return [
        f"{one.expect.source_place} → {one.expect.target}: {one.shortfall}; {one.disagreement}"
        for one in tried
        if not one.holds
    ]


def test_the_prefix_of_a_link_is_answered_for() -> None:
    """r2 has no routed prefix: the internet asks on the link who has an address, and ndppd at r2 answers."""
    assert enclosed(lambda: kept(HEAD + LINK)) == []


def test_without_any_prefix_the_source_is_translated() -> None:
    """The last resort: a ULA on the LAN, and NAT66 at r2."""
    assert enclosed(lambda: kept(HEAD.replace("192.168.1.1/24", '[192.168.1.1/24, "fd11:1::1/64"]') + TRANSLATED)) == []
