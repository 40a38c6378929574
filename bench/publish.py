"""A published port: its throughput beside the same DNAT by hand and a TCP proxy, and what 5,000 of them cost.

A stranger on the lab's internet sends to the gateway; the service is on the home router, behind two NATs.
"""

from __future__ import annotations

import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.enclosed import Kept, enclosed
from bench.row import Row
from warren.core.load import load
from warren.core.walk.places import STRANGER
from warren.lab.ask import IP_FREEBIND
from warren.lab.lab import Lab, bring_up
from warren.lab.topology import INTERNET, host_space
from warren.lab.works import applier
from warren.model.key import PublicKey, encode_key
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.prefix import Family
from warren.model.state import Backend, HostState

GATEWAY, HOUSE, PORT, PROXY = "198.51.100.7", "10.79.0.2", 5201, 5299
SENT = 32 << 20  # bytes of one transfer
WORLDS, ROUNDS = 4, 9  # so many labs of each kind, and so many transfers in each, one kind after the other
CONNECTIONS, MANY = 300, 5000

_FILE = """
network: gateway
overlay: [10.79.0.0/24]
hosts:
  cloud: {{endpoint: 198.51.100.7:51820, uplink: ens3}}
  home: {{uplink: wan}}
publish:
  - {{at: cloud, to: home, ports: [{ports}]}}
lab:
  nats: {{cgnat: {{}}, box: {{}}}}
  place: {{home: [cgnat, box]}}
"""
# The same by hand: what a careful person writes who knows the steps.
_DEVICE = """
ip link add hand type wireguard 2>/dev/null || wireguard-go hand >/dev/null 2>&1
until wg show hand >/dev/null 2>&1; do sleep 0.05; done
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.hand.rp_filter=2
"""
_CLOUD = (
    _DEVICE
    + """
wg set hand private-key {key} listen-port 51820 peer {peer} allowed-ips 10.79.0.2/32
ip addr add 10.79.0.1/32 dev hand; ip link set hand mtu 1440 up; ip route add 10.79.0.2/32 dev hand
nft 'table ip hand {{
  chain pre {{ type nat hook prerouting priority -100;
  iifname "ens3" tcp dport {port} dnat to 10.79.0.2; }}
  chain post {{ type filter hook postrouting priority -150;
  oifname "hand" tcp flags syn tcp option maxseg size set rt mtu; }}
}}'
"""
)
_HOME = (
    _DEVICE
    + """
wg set hand private-key {key} listen-port 51821 peer {peer} endpoint 198.51.100.7:51820 allowed-ips 0.0.0.0/0 \\
  persistent-keepalive 25
ip addr add 10.79.0.2/32 dev hand; ip link set hand mtu 1440 up
ip route add 10.79.0.1/32 dev hand; ip route add default dev hand table 100; ip rule add fwmark 10 table 100
nft 'table ip hand {{
  chain pre {{ type filter hook prerouting priority -150; iifname "hand" ct mark set 10; }}
  chain out {{ type route hook output priority -150; ct mark 10 meta mark set 10; }}
  chain post {{ type filter hook postrouting priority -140;
  oifname "hand" tcp flags syn tcp option maxseg size set rt mtu; }}
}}'
"""
)


def rows() -> Iterator[Row]:
    """Measure all three with the same tunnel, in turn, so that the machine's moods hit each."""
    ours: list[float] = []
    hand: list[float] = []
    proxy: list[float] = []
    socat = shutil.which("socat") is not None
    for _ in range(WORLDS):
        with Kept(_published) as published, Kept(_by_hand) as by_hand, Kept(_proxied if socat else _by_hand) as proxied:
            for _ in range(ROUNDS):
                ours.append(published.ask())
                hand.append(by_hand.ask())
                if socat:
                    proxy.append(proxied.ask())
    yield _beside("a published TCP port through the tunnel", "by hand", ours, hand, "≥ 0.95×")
    if socat:
        yield _beside("  beside a proxy", "socat", ours, proxy)
    else:
        yield Row("  beside a proxy", _mbit(statistics.median(ours)), "socat is not installed")
    few, many = [], []
    for _ in range(ROUNDS):
        few.append(enclosed(lambda: _connecting(bring_up(_network(5), None, applier))))
        many.append(enclosed(lambda: _connecting(bring_up(_network(MANY), None, applier))))
    one, other = min(many), min(few)
    what = f"a connection to one of {MANY:,} published ports"
    yield Row(what, f"{one * 1000:.2f} ms", f"of 5 {other * 1000:.2f} ms", f"{one / other:.2f}×", "≤ 1.1×")


def _mbit(rate: float) -> str:
    return f"{rate * 8 / 1e6:.0f} Mbit/s"


def _network(ports: int) -> Network:
    every = ", ".join(f"tcp/{PORT + 2 * at}" for at in range(ports))  # apart, so that no two are one range
    loaded = load(_FILE.format(ports=every).encode(), None, "gateway.yaml", lambda name: PublicKey(encode_key(name.encode().ljust(32))))  # fmt: skip # noqa: E501
    assert loaded.network is not None, loaded.text()
    return loaded.network


def _beside(what: str, peer: str, ours: list[float], theirs: list[float], aim: str = "") -> Row:
    """Compare each transfer with the peer's next to it: in between the machine may have become another one."""
    ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
    rate, other = (_mbit(statistics.median(rates)) for rates in (ours, theirs))
    return Row(what, rate, f"{peer} {other}", f"{ratio:.2f}×", aim)


def _published() -> Callable[[], float]:
    return _sender(bring_up(_network(1), None, applier), PORT)


def _by_hand() -> Callable[[], float]:
    return _sender(bring_up(_network(1), None, _works_by_hand), PORT)


def _proxied() -> Callable[[], float]:
    lab = bring_up(_network(1), None, _works_by_hand)
    listens, calls = f"TCP-LISTEN:{PROXY},fork,reuseaddr", f"TCP:{HOUSE}:{PORT + 1}"
    lab.spaces.start(host_space("cloud"), ["socat", "-t", "20", listens, calls])
    return _sender(lab, PROXY, PORT + 1)


def _works_by_hand(network: Network, lock: Lock) -> Callable[[str], HostState]:
    def work(host: str) -> HostState:
        peer = next(other for other in network.hosts if other.name != host)
        script = (_CLOUD if host == "cloud" else _HOME).format(
            key=Path(network.by_name[host].private_key), peer=peer.key, port=PORT
        )
        subprocess.run(["sh", "-ec", script], check=True, timeout=60)
        return HostState(host, network.name, Backend.NONE)

    return work


# --- the two ends ------------------------------------------------------------------------------------------------


def _serve(lab: Lab, port: int) -> None:
    """Take what anybody sends at a port of home, and say when it was all."""

    with lab.spaces.inside(host_space("home")):
        server = socket.create_server(("", port), backlog=512)

    def serve() -> int:
        while True:
            caller, _ = server.accept()
            while caller.recv(1 << 18):
                pass
            caller.sendall(b"!")
            caller.close()

    lab.spaces.fork(host_space("home"), serve)


def _call(port: int, patience: float = 20) -> socket.socket:
    """Connect as a stranger, who may have any address there; the service and the tunnel may take a moment."""
    end = time.monotonic() + patience
    while True:
        caller = socket.socket()
        caller.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        caller.bind((str(STRANGER[Family.IPV4]), 0))
        caller.settimeout(patience)
        try:
            caller.connect((GATEWAY, port))
        except OSError:
            caller.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return caller


def _sender(lab: Lab, port: int, service: int = PORT) -> Callable[[], float]:
    """Make what sends through a port, and gives bytes per second until the service says that it has them all."""
    for eye in lab.eyes.values():
        eye.close()  # they copy every packet
    _serve(lab, service)
    chunk = bytes(1 << 18)

    def send() -> float:
        with lab.spaces.inside(INTERNET):
            sender = _call(port)
        start = time.perf_counter()
        for _ in range(SENT // len(chunk)):
            sender.sendall(chunk)
        sender.shutdown(socket.SHUT_WR)
        assert sender.recv(1) == b"!"
        sender.close()
        return SENT / (time.perf_counter() - start)

    send()  # the handshake, the proxy's start
    return send


def _connecting(lab: Lab) -> float:
    """Give the seconds that one connection takes to be made, the median of many."""
    _serve(lab, PORT)
    taken = []
    with lab.spaces.inside(INTERNET):
        _call(PORT).close()
        for _ in range(CONNECTIONS):
            start = time.perf_counter()
            _call(PORT).close()
            taken.append(time.perf_counter() - start)
    return statistics.median(taken)
