"""The server for natpunch-go's clients at a real socket, and what `warren punch` makes of what it is asked and told."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.shell import warren
from tests.proto import original
from warren.core.parse import parse
from warren.daemon import natpunch
from warren.daemon.metrics import as_text
from warren.daemon.natpunch import Natpunch
from warren.daemon.natpunch_settings import Settings, settings_beside, settings_of
from warren.daemon.punched import OPENS, Known, State, is_over, keepalive, next_state, should_send_to
from warren.daemon.rendezvous import Event
from warren.daemon.settings import Settings as Ours
from warren.daemon.wish import TIMES, Times, wish_of
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey, encode_key
from warren.model.state import Peer
from warren.proto.address import Address
from warren.proto.noise import KeyPair
from warren.sys.errors import HostError
from warren.sys.store import Store
from warren.sys.wg import PeerSeen

SERVER, A, B = (KeyPair.of(bytes([n]) * 32) for n in (1, 2, 3))
LOOPBACK = "127.0.0.1"
HERE, THERE = (Address.of(f"198.51.100.{n}", 51820) for n in (7, 8))


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind((LOOPBACK, 0))
        return int(made.getsockname()[1])


# --- the server -------------------------------------------------------------------------------------------


def at_a_socket(settings: Settings, work: Callable[[tuple[str, int]], object]) -> tuple[Natpunch, list[Event]]:
    """Do `work` in a thread while a server runs; whatever it raises comes out."""
    told: list[Event] = []
    served = Natpunch(settings, told.append)

    async def run() -> None:
        served.begin()
        try:
            await asyncio.to_thread(work, (LOOPBACK, settings.places[0].port))
        finally:
            served.end()

    asyncio.run(run())
    return served, told


def asks(by: socket.socket, at: tuple[str, int], data: bytes) -> bytes:
    by.settimeout(10)
    by.sendto(data, at)
    answer, source = by.recvfrom(4096)
    assert source == at
    return answer


def test_two_clients_of_the_originals_find_each_other() -> None:
    settings = Settings(SERVER, (Address.of(LOOPBACK, free_port()),), {A.public: "ann"})
    found: dict[str, original.Place | None] = {}

    def work(at: tuple[str, int]) -> None:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
        ):
            pairs = []
            for who, by in ((A, one), (B, other)):
                client = original.Client(who.private, who.public, SERVER.public)
                client.answered(asks(by, at, client.init(7, time.time_ns())))
                pairs.append((client, by))
            for deadly in (b"", b"\x01", b"\x03"):
                one.sendto(deadly, at)
            (a, _), (b, _) = pairs
            assert a.replied(asks(one, at, a.request(B.public))) is None
            found["b knows of a"] = b.replied(asks(other, at, b.request(A.public)))
            found["a"] = one.getsockname()[0] if one.getsockname()[0] != "0.0.0.0" else LOOPBACK, one.getsockname()[1]
            for _ in range(3):
                one.sendto(bytes(64), at)
            assert a.replied(asks(one, at, a.request(B.public))) == (LOOPBACK, other.getsockname()[1])

    served, told = at_a_socket(settings, work)

    assert found["b knows of a"] == found["a"]
    assert [event.kind for event in told] == ["serving", "came", "came", "trouble"]
    assert told[1].hosts == ("ann",) and told[2].hosts == (encode_key(B.public),)
    assert "everybody" in told[0].says and encode_key(SERVER.public) in told[0].says
    assert "nat-hole-punching" in told[3].says
    text = as_text(served.metrics())
    assert "warren_natpunch_clients 2\n" in text and 'warren_natpunch_asked_total{answer="found"} 2' in text
    assert 'refused_total{reason="another version"} 3' in text


def test_a_port_that_is_the_older_protocols_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Address.of(LOOPBACK, free_port())
    monkeypatch.setattr(natpunch, "OLDER_PORT", place.port)
    _, told = at_a_socket(Settings(SERVER, (place,)), lambda _: None)
    assert [event.kind for event in told] == ["serving", "trouble"] and "not spoken" in told[1].says


def test_strangers_do_not_fill_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(natpunch, "LINES", 3)
    monkeypatch.setattr(natpunch, "LINE_RATE", 0.0)

    def work(at: tuple[str, int]) -> None:
        client = original.Client(A.private, A.public, SERVER.public)
        for attempt in range(10):  # the same client from ten ports
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as by:
                if not attempt:
                    client.answered(asks(by, at, client.init(7, time.time_ns())))
                client.replied(asks(by, at, client.request(B.public)))

    _, told = at_a_socket(Settings(SERVER, (Address.of(LOOPBACK, free_port()),)), work)
    assert [event.kind for event in told] == ["serving", "came", "came"]


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((LOOPBACK, 0))
        place = Address.of(LOOPBACK, taken.getsockname()[1])
        with pytest.raises(HostError, match="cannot listen at UDP port"):
            at_a_socket(Settings(SERVER, (place,)), lambda _: None)


def test_a_server_beside_ours_serves_the_hosts_and_devices_of_the_file() -> None:
    names = {"a": A, "b": B, "phone": KeyPair.of(b"p" * 32)}
    keys = {name: encode_key(pair.public) for name, pair in names.items()}
    text = f"""
network: mesh
overlay: [10.78.0.0/24]
hosts: {{a: {{key: {keys["a"]}, endpoint: "192.0.2.1:51820", uplink: eth0}}, b: {{key: {keys["b"]}, uplink: eth0}}}}
devices: {{phone: {{key: {keys["phone"]}, into: a}}}}
"""
    parsed = parse(text.encode(), "mesh.yaml")
    network = parsed.network
    assert network is not None, parsed.diagnostics
    ours = Ours(SERVER, (HERE, Address.of("2001:db8::1", 51819)), {}, {})

    settings = settings_beside("12345", ours, network)

    assert settings.places == (replace(HERE, port=12345),)
    assert settings.links == {
        one.public: frozenset(other.public for other in names.values() if other is not one) for one in names.values()
    }
    assert settings_beside("192.0.2.9:7", ours, network).places == (Address.of("192.0.2.9", 7),)


@pytest.mark.parametrize(
    ("where", "says"),
    [("0", "no UDP port"), ("65536", "no UDP port"), ("[::1]:12345", "IPv4 alone"), ("here", "no address with a port")],
)
def test_where_it_cannot_listen(where: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(encode_key(SERVER.private))
    with pytest.raises(HostError, match=says):
        settings_of(where, str(tmp_path / "key"))


def test_only_the_keys_of_a_file_are_served(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(encode_key(SERVER.private))
    allowed = tmp_path / "allowed"
    allowed.write_text(f"# ours\n{encode_key(A.public)} ann\n\n{encode_key(B.public)}\n")
    read = settings_of("12345", str(tmp_path / "key"), str(allowed))
    assert read.links == {A.public: {B.public}, B.public: {A.public}}
    allowed.write_text(f"{encode_key(A.public)}\nann\n")
    with pytest.raises(HostError, match="allowed:2: a key has 44 characters"):
        settings_of("12345", str(tmp_path / "key"), str(allowed))
    with pytest.raises(HostError, match="cannot read the keys"):
        settings_of("12345", str(tmp_path / "key"), str(tmp_path / "nowhere"))


def test_beside_our_own_server_members_of_the_file_are_served(tmp_path: Path) -> None:
    """One process, one key, two ports; and a client that the file does not name gets no answer."""
    own, port = free_port(), free_port()
    keys = {name: encode_key(pair.public) for name, pair in (("a", A), ("b", B), ("server", SERVER))}
    (tmp_path / "key").write_text(encode_key(SERVER.private))
    (tmp_path / "mesh.yaml").write_text(f"""
network: mesh
overlay: [10.78.0.0/24]
rendezvous: [{{address: "198.51.100.1:{own}", key: {keys["server"]}}}]
hosts: {{a: {{key: {keys["a"]}, uplink: eth0}}, b: {{key: {keys["b"]}, uplink: eth0}}}}
""")
    words = ("rendezvous", "mesh.yaml", "--key", "key", "--natpunch", f"{LOOPBACK}:{port}", "--json")
    program = Path(sys.executable).with_name("warren")
    with subprocess.Popen((program, *words), cwd=tmp_path, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        told = [json.loads(served.stdout.readline()) for _ in range(2)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as by:
            stranger = original.Client(b"s" * 32, KeyPair.of(b"s" * 32).public, SERVER.public)
            by.sendto(stranger.init(7, time.time_ns()), (LOOPBACK, port))
            client = original.Client(A.private, A.public, SERVER.public)
            client.answered(asks(by, (LOOPBACK, port), client.init(7, time.time_ns())))  # the stranger's would panic
            assert client.replied(asks(by, (LOOPBACK, port), client.request(B.public))) is None
        came = json.loads(served.stdout.readline())
        served.terminate()
        assert served.wait(20) == 0
    assert [event["event"] for event in told] == ["serving", "serving"] and "2 keys" in told[1]["says"]
    assert (came["event"], came["hosts"]) == ("came", ["a"])


def test_the_command_line_of_a_server(tmp_path: Path) -> None:
    assert "--key FILE" in warren("rendezvous", "--natpunch", "12345", cwd=tmp_path).stderr
    assert "FILE is missing" in warren("rendezvous", cwd=tmp_path).stderr
    assert "--allow goes with" in warren("rendezvous", "mesh.yaml", "--allow", "keys", cwd=tmp_path).stderr


# --- punch: what it is asked for ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "key", "says"),
    [
        ("rv.example.net", A.public, "port is missing"),
        ("rv.example.net:0", A.public, "no UDP port"),
        ("2001:db8::1:12345", A.public, "brackets"),
        ("rv.example.net:12345", bytes(32), "no server can have this key"),
        ("rv.example.net:12345", b"\x08" + bytes(30) + b"\x40", "private key"),
        ("rv.example.net:12345", b"short", "44 characters"),
    ],
)
def test_what_cannot_be_asked(server: str, key: bytes, says: str) -> None:
    with pytest.raises(HostError) as refused:
        wish_of("wg0", server, encode_key(key))
    assert says in refused.value.says and refused.value.remedy
    assert len(key) != 32 or encode_key(key) not in str(refused.value)


def test_what_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    key = encode_key(SERVER.public)
    ended = warren("punch", "nowhere0", "127.0.0.1:12345", key, "--json", cwd=tmp_path)
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["error"]["says"].startswith(("there is no interface nowhere0", "sending from Wire"))
    assert "no server" in warren("punch", "nowhere0", "127.0.0.1", key, cwd=tmp_path).stderr
    assert "-d" in warren("punch", "nowhere0", "127.0.0.1:1", key, "-d", "0", cwd=tmp_path).stderr


def test_times_never_go_back_over_runs(tmp_path: Path) -> None:
    """A real server ignores whoever says an earlier time than before."""
    store = Store(tmp_path)
    first = Times(store)
    said = [first() for _ in range(3)]
    ahead = time.time_ns() + 10**15
    assert said == sorted(set(said)) and store.read(TIMES) == {"last": said[-1]}
    store.write({"last": ahead}, TIMES)
    assert Times(store)() == ahead + 1
    for damage in ([], {"last": "soon"}, {"last": -1}, {"last": 2**70}):
        store.write(damage, TIMES)
        assert said[-1] < Times(store)() < ahead


# --- punch: what it makes of what it hears ------------------------------------------------------------------

CLOCK = 1_700_000_000.0


def seen(handshake_ago: float | None = None, at: Address | None = None, keepalive: int = 0) -> PeerSeen:
    endpoint = Endpoint(str(at.ip), at.port) if at else None
    peer = Peer(public_key=PublicKey(encode_key(B.public)), allowed_ips=(), endpoint=endpoint, keepalive=keepalive)
    return PeerSeen(peer, 0 if handshake_ago is None else int(CLOCK - handshake_ago), 0, 0)


def test_a_peer_is_sent_to_where_the_server_says() -> None:
    assert should_send_to(Known(), HERE, seen(), CLOCK)
    assert should_send_to(Known(), HERE, seen(at=THERE), CLOCK)
    assert should_send_to(Known(), HERE, seen(500.0, at=THERE), CLOCK)
    assert not should_send_to(Known(sent=HERE, place=HERE), HERE, seen(at=HERE), CLOCK)


def test_a_peer_that_talks_is_left_alone_until_the_server_says_that_it_moved() -> None:
    """It may have roamed to where the server never saw it: within one LAN, say."""
    assert not should_send_to(Known(), HERE, seen(20.0, at=THERE), CLOCK)
    assert not should_send_to(Known(place=HERE), HERE, seen(20.0, at=THERE), CLOCK)
    assert should_send_to(Known(place=THERE), HERE, seen(20.0, at=THERE), CLOCK)
    assert not should_send_to(Known(place=THERE), HERE, seen(20.0, at=HERE), CLOCK)


def test_keepalive_is_the_originals_or_a_shorter_one() -> None:
    assert [keepalive(seen(keepalive=own)) for own in (0, 10, 25, 60)] == [25, 10, 25, 25]


def test_how_far_it_has_come() -> None:
    assert next_state(Known(), seen(), 0.0, CLOCK) is State.ASKED
    assert next_state(Known(State.UNKNOWN), seen(), 0.0, CLOCK) is State.UNKNOWN
    found = Known(State.FOUND, sent=HERE, since=100.0)
    assert next_state(found, seen(at=HERE), 100.0 + OPENS / 2, CLOCK) is State.FOUND
    assert next_state(found, seen(at=HERE), 100.0 + OPENS, CLOCK) is State.QUIET
    assert next_state(found, seen(3.0, at=HERE), 100.0 + OPENS, CLOCK) is State.TALKS
    assert next_state(Known(State.TALKS), seen(200.0), 0.0, CLOCK) is State.ASKED
    assert [state for state in State if is_over(state)] == [State.QUIET, State.TALKS]
