"""A relay in the kernel beside the same machine's plain forwarding, and beside coturn.

    x ──► r ──► y        three namespaces; what arrives at y is counted by nft and dropped

x sends as fast as it can, 64 datagrams a call. In r stands one of the three: a route and nothing else, the lanes of
`warren rendezvous`, or a TURN server with a channel (RFC 8656) from x to y. They take turns, so that the machine's
moods hit each.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import socket
import statistics
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from bench.enclosed import enclosed
from bench.row import Row
from warren.lab.spaces import Spaces, enter
from warren.proto.packet import RelayHello, header
from warren.sys.hops import hops
from warren.sys.ingress import Ingress, Lane

ROUNDS, LASTS = 9, 0.6  # turns, and seconds of each
UNLIMITED = 10**8  # packets a second; a server allows each lane far less
SIZE, AT_ONCE = 128, 64  # bytes of a datagram, and datagrams of a call
X, Y, R = (ip_address(text) for text in ("10.1.0.2", "10.2.0.2", "10.1.0.1"))
FROM, TO, PORT, NOBODY, TURN = 5000, 6000, 30000, 9, 3478
WORLD = """
link add rx netns {r} type veth peer name eth0 netns {x}
link add ry netns {r} type veth peer name eth0 netns {y}
"""
ROUTER = """
link set lo up
link set rx up
link set ry up
address add 10.1.0.1/24 dev rx
address add 10.2.0.1/24 dev ry
"""
HOST = """
link set lo up
link set eth0 up
address add {own}/24 dev eth0
route add default via {router}
"""
SINK = """
table ip sink {{
    counter arrived {{}}
    chain arrivals {{
        type filter hook prerouting priority raw;
        udp dport {port} counter name arrived drop
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn gave: packets sent and delivered each second, and the sender's processor time for one, in µs."""

    sent: float
    delivered: float
    cost: float


def rows() -> Iterator[Row]:
    """Measure all of it in namespaces of our own."""
    yield from enclosed(_measured)


def _measured() -> list[Row]:
    spaces = _world()
    plain, kernel, nothing, turn = [], [], [], []
    spent = 0.0
    with _lanes(), _coturn(spaces) as coturn:
        with spaces.inside("x"):
            sender = _open(FROM)
        channel = _channel(spaces) if coturn else None
        for _ in range(ROUNDS):
            plain.append(_blast(spaces, sender, (str(Y), TO)))
            kernel.append(_blast(spaces, sender, (str(R), PORT)))
            nothing.append(_blast(spaces, sender, (str(R), NOBODY), "r"))
            if coturn and channel:
                before = _processor(coturn.pid)
                turn.append(_blast(spaces, channel, (str(R), TURN), head=struct.pack("!HH", 0x4000, SIZE)))
                spent += _processor(coturn.pid) - before
    ratio = statistics.median(one.delivered / other.delivered for one, other in zip(kernel, plain, strict=True))
    rate, cost = _median(kernel, "delivered"), _median(kernel, "cost") - _median(nothing, "cost")
    row = Row(
        "packets a second through a relay in the kernel",
        f"{rate:,.0f}",
        f"plain forwarding {_median(plain, 'delivered'):,.0f}",
        f"{ratio:.2f}×",
        "≥ 0.75×",
    )
    if not turn:
        return [row, Row("  beside coturn", f"{rate:,.0f}", "coturn is not installed")]
    peer = _median(turn, "delivered")
    theirs = spent / sum(one.delivered * LASTS for one in turn) * 1e6
    beside = statistics.median(one.delivered / other.delivered for one, other in zip(kernel, turn, strict=True))
    return [
        row,
        Row("  beside coturn", f"{rate:,.0f}", f"coturn {peer:,.0f}", f"{beside:.1f}×", "≥ 2×"),
        Row(
            "  processor time for a packet, sending it left out",
            f"{cost:.2f} µs",
            f"coturn {theirs:.2f} µs, its process alone",
            f"{theirs / max(cost, 0.01):.1f}×",
            "≥ 2×",
        ),
    ]


def _median(turns: list[Turn], what: str) -> float:
    middle: float = statistics.median(getattr(one, what) for one in turns)
    return middle


# --- the three namespaces ----------------------------------------------------------------------------------------


def _world() -> Spaces:
    """Build them; this process stays in r."""
    spaces = Spaces()
    for name in ("x", "r", "y"):
        spaces.make(name)
    spaces.run("", ("ip", "-batch", "-"), WORLD.format(**{name: spaces[name].path for name in "xry"}))
    spaces.run("r", ("ip", "-batch", "-"), ROUTER)
    for name, own, router in (("x", X, "10.1.0.1"), ("y", Y, "10.2.0.1")):
        spaces.run(name, ("ip", "-batch", "-"), HOST.format(own=own, router=router))
    spaces.run("y", ("nft", "-f", "-"), SINK.format(port=TO))
    spaces.run("r", ("nft", "-f", "-"), SINK.format(port=NOBODY))
    spaces.base = spaces["r"]
    enter(spaces.base)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    return spaces


@contextmanager
def _lanes() -> Iterator[None]:
    """The lane that a server would make for x and y."""
    found = hops((X, Y))
    ingress = Ingress("warren_relay", range(PORT, PORT + 2), header(RelayHello)[:5], UNLIMITED)
    ingress.begin()
    there = found[Y].source
    assert there is not None
    lane = Lane((X, FROM), R, PORT, (Y, TO), there, PORT + 1, found[X], found[Y])
    ingress.hold({PORT: lane}, {PORT: 3600})
    yield
    ingress.end()


@contextmanager
def _coturn(spaces: Spaces) -> Iterator[subprocess.Popen[str] | None]:
    """A TURN server in r, if it is installed."""
    program = shutil.which("turnserver")
    if program is None:
        yield None
        return
    words = f"-n --no-auth --no-tls --no-dtls --no-cli --no-stdout-log --log-file=/dev/null -L {R} -E 10.2.0.1"
    argv = (program, *words.split(), f"--listening-port={TURN}", "--pidfile=/run/turnserver.pid", "--no-rfc5780")
    with spaces.start("r", argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        yield server
        server.kill()


# --- who sends ---------------------------------------------------------------------------------------------------


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_char_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """struct msghdr of sendmsg(2)."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("name_length", ctypes.c_uint),
        ("vectors", ctypes.POINTER(_Vector)),
        ("count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """struct mmsghdr of sendmmsg(2)."""

    _fields_ = (("header", _Header), ("sent", ctypes.c_uint))


def _open(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((str(X), port))
    made.settimeout(2)
    return made


def _blast(spaces: Spaces, sender: socket.socket, to: tuple[str, int], sink: str = "y", head: bytes = b"") -> Turn:
    """Send for LASTS seconds, and see what arrived."""
    sender.connect(to)
    vector = _Vector(head + b"\4" + bytes(SIZE - 1), len(head) + SIZE)
    each = _Message(_Header(vectors=ctypes.pointer(vector), count=1))
    messages = (_Message * AT_ONCE)(*[each] * AT_ONCE)
    send = ctypes.CDLL(None, use_errno=True).sendmmsg
    before, sent = _arrived(spaces, sink), 0
    begun, spent = time.perf_counter(), time.thread_time()
    end = begun + LASTS
    while time.perf_counter() < end:
        sent += max(send(sender.fileno(), messages, AT_ONCE, 0), 0)
    took, spent = time.perf_counter() - begun, time.thread_time() - spent
    arrived = _arrived(spaces, sink) - before
    return Turn(sent / took, arrived / took, spent / max(sent, 1) * 1e6)


def _arrived(spaces: Spaces, sink: str) -> int:
    told = spaces.run(sink, ("nft", "list", "counters", "table", "ip", "sink"))
    found = re.search(r"packets (\d+)", told)
    assert found is not None, told
    return int(found[1])


def _processor(pid: int) -> float:
    """Give the processor time that a process has had, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- TURN (RFC 8656) ---------------------------------------------------------------------------------------------

COOKIE = 0x2112A442
ALLOCATE, BIND, SUCCESS = 0x0003, 0x0009, 0x0100


def _channel(spaces: Spaces) -> socket.socket:
    """Ask for an allocation and a channel to y; give the socket that has them."""
    with spaces.inside("x"):
        client = _open(FROM + 1)
    client.connect((str(R), TURN))
    _ask(client, ALLOCATE, struct.pack("!HHBxxx", 0x0019, 4, socket.IPPROTO_UDP))
    peer = struct.pack("!xBHI", 1, TO ^ COOKIE >> 16, int(Y) ^ COOKIE)
    _ask(client, BIND, struct.pack("!HHHxx", 0x000C, 4, 0x4000) + struct.pack("!HH", 0x0012, 8) + peer)
    return client


def _ask(client: socket.socket, what: int, attributes: bytes) -> None:
    """Ask until it is granted: the server may still be starting."""
    said = struct.pack("!HHI", what, len(attributes), COOKIE) + os.urandom(12) + attributes
    for _ in range(100):
        try:
            client.send(said)
            answer = client.recv(2048)
        except OSError:
            time.sleep(0.05)
            continue
        if int.from_bytes(answer[:2]) == what | SUCCESS:
            return
        raise SystemExit(f"coturn does not grant {what:#06x}: {answer.hex()}")
    raise SystemExit("coturn does not answer")
