"""Exits that die under real traffic: how soon others take over, that old flows are reset, and that nothing leaks.

client ── berlin ══ nyc ──┐
             ║            internet: a server that sends and sends, and says who asks
             ╚═════ tokyo ┘
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.enclosed import enclosed
from warren.core.parse import parse
from warren.lab.agents import BACK, start_agents
from warren.lab.faults import break_down, heal
from warren.lab.lab import Lab, bring_up
from warren.lab.topology import client_space, host_space
from warren.lab.works import memory, on_each
from warren.model.expect import Down
from warren.model.network import Network
from warren.model.state import UPLINK_MARK
from warren.sys.apply import down
from warren.sys.machine import Machine
from warren.sys.store import Store

pytestmark = pytest.mark.lab

MAC = "02:00:5e:00:00:66"
NETWORK = f"""
network: spare
overlay: [10.66.0.0/24, "fd66::/64"]
hosts:
  nyc: {{key: DZ2tZCmFSoWNFeurEWXRL2ow1WaAXCz8acDFCFhMVjs=, endpoint: nyc.example.net:51820, uplink: eth0}}
  tokyo: {{key: Ayyg9cCPwYSVsR04M6PO3lb6lkzvUQm+eZvlINV5UR4=, endpoint: 203.0.113.30:51820, uplink: eth0}}
  berlin:
    key: 0wyN9S6jfTqPEBCxwUlMdbPsP2KQvDGjqNBxE+Jmc1k=
    uplink: wan
    lans:
      lan: {{address: [192.168.66.1/24, "fd66:66::1/64"]}}
      desk: {{address: 192.168.67.1/24}}
      shelf: {{address: 192.168.68.1/24}}
portals:
  - {{from: berlin.lan, exit: [nyc, tokyo]}}
  - {{from: berlin.desk, exit: [nyc, tokyo], nat: snat, if_down: direct}}
  - {{from: "berlin.shelf.{MAC}", exit: [nyc, tokyo]}}
  - {{from: berlin, exit: [nyc, tokyo]}}
expect:
  - {{from: "berlin.shelf.{MAC}", to: 1.1.1.1, exit: nyc, family: ipv4}}
lab:
  nats: {{landlord: {{mapping: address-and-port-dependent}}}}
  place: {{nyc: internet, tokyo: internet, berlin: landlord}}
"""
FAR = {4: "198.18.7.7", 6: "2001:db8:ffff::80"}
# Who listens: their clients' places in the lab, and the families they ask in.
CLIENTS = {"lan": (4, 6), "desk": (4,), "shelf": (4,), "berlin": (4, 6)}

SERVER = """
import socket, threading
server = socket.create_server(("::", 9000), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
asked = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
asked.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
asked.setsockopt(socket.IPPROTO_IP, 8, 1)
asked.setsockopt(socket.IPPROTO_IPV6, 49, 1)
asked.bind(("::", 9001))
print(flush=True)

def send(taken, who):
    try:
        taken.sendall(who.encode().ljust(64))
        while True:
            taken.sendall(bytes(512))
            threading.Event().wait(0.02)
    except OSError:
        taken.close()

def echo():
    while True:
        data, given, _, who = asked.recvmsg(64, 256)
        asked.sendmsg([who[0].encode()], given, 0, who)

threading.Thread(target=echo, daemon=True).start()
while True:
    taken, who = server.accept()
    threading.Thread(target=send, args=(taken, who[0]), daemon=True).start()
"""
# Says when it got what, and from where it is seen; begins anew when it is reset. It never sends anything.
DOWNLOAD = """
import json, socket, sys, time
tell = lambda what, **more: print(json.dumps({"what": what, "at": time.monotonic(), **more}), flush=True)
while True:
    try:
        with socket.create_connection((sys.argv[1], 9000), 2) as taken:
            taken.settimeout(60)
            who = taken.recv(64, socket.MSG_WAITALL).decode().strip()
            tell("begun", who=who, port=taken.getsockname()[1])
            last = 0
            while taken.recv(1 << 14):
                if time.monotonic() > last + 0.2:
                    last = time.monotonic()
                    tell("got")
    except ConnectionResetError:
        tell("reset")
    except OSError as error:
        tell("failed", why=str(error))
        time.sleep(0.1)
"""
ASK = """
import json, socket, sys, time
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.settimeout(0.1)
while True:
    try:
        asker.sendto(b"?", (sys.argv[1], 9001))
        who = asker.recv(64).decode()
        print(json.dumps({"what": "got", "at": time.monotonic(), "who": who}), flush=True)
    except OSError:
        continue
    time.sleep(0.1)
"""


def network() -> Network:
    parsed = parse(NETWORK.encode(), "spare.yaml")
    assert parsed.network is not None, parsed.diagnostics
    return parsed.network


def space_of(lab: Lab, who: str) -> str:
    if who == "berlin":
        return host_space("berlin")
    (client,) = (one for one in lab.world.clients if one.lan == who and (who != "shelf" or one.mac == MAC))
    return client_space(lab.world, client)


class Told:
    """What a program in the lab writes down, line by line."""

    def __init__(self, lab: Lab, space: str, program: str, to: str, name: str) -> None:
        self.path = Path("/run") / f"told-{name}"
        with self.path.open("w") as out:
            self.process = lab.spaces.start(space, (sys.executable, "-c", program, to), stdout=out)

    def lines(self, what: str, since: float = 0.0) -> list[dict[str, object]]:
        found = [json.loads(line) for line in self.path.read_text().split("\n")[:-1]]
        return [one for one in found if one["what"] == what and float(one["at"]) >= since]

    def last(self, what: str) -> dict[str, object]:
        return self.lines(what)[-1]


class Wire:
    """What passes on a device in the clear: packets with some address in them."""

    def __init__(self, lab: Lab, space: str, device: str, *addresses: str) -> None:
        with lab.spaces.inside(space):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            self.socket.bind((device, 0))
        self.socket.setblocking(False)
        self.wanted = [socket.inet_pton(socket.AF_INET6 if ":" in one else socket.AF_INET, one) for one in addresses]

    def frames(self) -> list[bytes]:
        found = []
        while True:
            try:
                frame = self.socket.recv(2048)
            except BlockingIOError:
                return found
            if any(one in frame[:80] for one in self.wanted):
                found.append(frame)


def until(lab: Lab, what: Callable[[], object], seconds: float, why: str = "") -> float:
    """Wait for something, and give when it was so."""
    assert lab.wait(lambda: bool(what()), seconds, lambda _: None), f"not within {seconds} s: {why}"
    return time.monotonic()


def routes(lab: Lab, family: int) -> list[str]:
    """The agent's routes, by their devices."""
    text = lab.spaces.run(host_space("berlin"), ("ip", f"-{family}", "route", "show", "table", "all", "proto", "77"))
    return sorted(re.findall(r"^default dev (\S+) table \d+ .*metric 1\b", text, re.MULTILINE))


def status(lab: Lab) -> list[dict[str, object]]:
    """What `warren status` tells of exits."""
    words = (sys.executable, "-c", "from warren.cli.main import main; main()", "status", "--json")
    env = {**os.environ, "WARREN_STATE_DIR": str(memory("berlin"))}
    asked = lab.spaces.start(host_space("berlin"), words, stdout=subprocess.PIPE, env=env)
    told = json.loads(asked.communicate()[0])
    return list(told["owners"][0]["exits"])


@contextmanager
def server(lab: Lab) -> Iterator[None]:
    it = lab.spaces.start("internet", (sys.executable, "-c", SERVER), stdout=subprocess.PIPE)
    assert it.stdout is not None and it.stdout.readline()
    try:
        yield
    finally:
        it.kill(), it.wait()


def story() -> dict[str, object]:
    lab = bring_up(network(), None)
    found: dict[str, object] = {}
    told: dict[str, Told] = {}
    with server(lab):
        try:
            for who, families in CLIENTS.items():
                for family in families:
                    name = f"{who} {family}"
                    told[name] = Told(lab, space_of(lab, who), DOWNLOAD, FAR[family], name)
            told["udp"] = Told(lab, space_of(lab, "lan"), ASK, FAR[4], "udp")
            _tell(lab, told, found)
        finally:
            for one in told.values():
                one.process.kill(), one.process.wait()
    found["nothing is left"] = _gone(lab)
    return found


def _tell(lab: Lab, told: dict[str, Told], found: dict[str, object]) -> None:
    downloads = {name: one for name, one in told.items() if name != "udp"}
    addresses = {
        host: {family: str(lab.world.host_by_name[host].attachment.address(family)) for family in (4, 6)}
        for host in ("nyc", "tokyo")
    }

    def seen_by(name: str, host: str) -> bool:
        who = str(told[name].last("begun")["who"]).removeprefix("::ffff:")
        return who == addresses[host][6 if name.endswith("6") else 4]

    for name, one in downloads.items():
        until(lab, lambda one=one: len(one.lines("got")) > 3, 20, name)
    until(lab, lambda: told["udp"].lines("got"), 10)
    found["first by"] = sorted(name for name in downloads if seen_by(name, "nyc"))

    uplink = Wire(lab, host_space("berlin"), "wan", *FAR.values())
    # A packet in the clear would be seen.
    with lab.spaces.inside(host_space("berlin")), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wan")
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, UPLINK_MARK)
        probe.sendto(b"seen", (FAR[4], 9))
    until(lab, uplink.frames, 5, "the probe on the uplink")
    inner = Wire(lab, host_space("tokyo"), "spare", *FAR.values())
    ports = {int(str(one.last("begun")["port"])) for one in downloads.values()}

    died = time.monotonic()
    break_down(lab, (Down(host="nyc"),))
    switched = until(lab, lambda: len(routes(lab, 4)) == 4 and len(routes(lab, 6)) >= 2, 10, "the choice")
    found["switch"] = switched - died
    for name, one in downloads.items():
        until(lab, lambda one=one: one.lines("begun", died), 10, f"{name} anew")
    found["resets"] = {
        name: round(float(str(one.lines("reset", died)[0]["at"])) - died, 2) for name, one in downloads.items()
    }
    found["anew"] = {
        name: round(float(str(one.lines("begun", died)[0]["at"])) - died, 2) for name, one in downloads.items()
    }
    found["then by"] = sorted(name for name in downloads if seen_by(name, "tokyo"))

    def by_tokyo() -> list[dict[str, object]]:
        return [one for one in told["udp"].lines("got", died) if addresses["tokyo"][4] in str(one["who"])]

    until(lab, by_tokyo, 5, "udp")
    found["udp"] = round(float(str(by_tokyo()[0]["at"])) - died, 2)
    crossed = {_port(frame) for frame in inner.frames()}
    found["old flows by the other exit"] = len(crossed & ports)
    found["new flows by the other exit"] = crossed >= {
        int(str(one.last("begun")["port"])) for one in downloads.values()
    }

    reached = lab.apply(("berlin",))
    found["kept by an apply"] = len(routes(lab, 4)) == 4
    os.kill(lab.agents["berlin"], signal.SIGKILL)
    os.waitpid(lab.agents["berlin"], 0)
    found["kept by nobody"] = len(routes(lab, 4)) == 4
    start_agents(lab, reached)
    found["status"] = {one["in_use"] for one in status(lab)}
    before = {name: len(one.lines("begun")) for name, one in downloads.items()}

    healed = time.monotonic()
    heal(lab, (Down(host="nyc"),))
    until(lab, lambda: not routes(lab, 4) and not routes(lab, 6), BACK + 20, "the return")
    found["return"] = time.monotonic() - healed
    now = time.monotonic()
    until(lab, lambda: all(one.lines("got", now + 0.5) for one in downloads.values()), 10, "the flows go on")
    found["undisturbed"] = before == {name: len(one.lines("begun")) for name, one in downloads.items()}

    lab.spaces.run(host_space("nyc"), ("ip", "-6", "route", "flush", "default"))
    until(lab, lambda: len(routes(lab, 6)) >= 2, 10, "IPv6 alone")
    found["a family alone"] = (len(routes(lab, 4)), len(routes(lab, 6)))
    found["leaked"] = len(uplink.frames())

    former = int(str(told["desk 4"].last("begun")["port"]))
    break_down(lab, (Down(host="nyc"), Down(host="tokyo")))
    anew = until(lab, lambda: any("begun" for _ in told["desk 4"].lines("begun", time.monotonic() - 1)), 15, "directly")
    found["directly by"] = str(told["desk 4"].last("begun")["who"]).removeprefix("::ffff:") not in {
        address for host in addresses.values() for address in host.values()
    }
    lab.wait(lambda: False, 1.5, lambda _: None)
    found["answers while all are dead"] = len(told["udp"].lines("got", anew))
    # The desk's new flows are TCP over IPv4; the LAN's datagrams, and all IPv6, would be leaks.
    clear = uplink.frames()
    found["leaked while all are dead"] = sum(frame[12:14] != b"\x08\x00" or frame[23] == 17 for frame in clear)
    out = {_port(frame[14:]) for frame in clear}
    found["of the desk's old flow"] = len(out & {former}), bool(out & {int(str(told["desk 4"].last("begun")["port"]))})


def _port(frame: bytes) -> int:
    """The source port of a TCP packet on a tunnel's device, which has no link header."""
    at = 20 if frame[0] >> 4 == 4 else 40
    return int.from_bytes(frame[at : at + 2]) if frame[9 if at == 20 else 6] == 6 else 0


def _gone(lab: Lab) -> bool:
    on_each(lab.spaces, ["berlin"], lambda host: down("spare", Machine(Store(memory(host)))).items and None)
    text = "".join(
        lab.spaces.run(host_space("berlin"), ("ip", f"-{family}", what, "show", *more))
        for family in (4, 6)
        for what, more in (("route", ("table", "all", "proto", "77")), ("rule", ()))
    )
    return "proto 77" not in text and "lookup 77" not in text


@pytest.fixture(scope="module")
def told() -> dict[str, object]:
    found = enclosed(story)
    print({key: found[key] for key in ("switch", "return", "udp", "resets", "anew")})
    return found


ALL = sorted(f"{who} {family}" for who, families in CLIENTS.items() for family in families)


def test_another_exit_takes_over_in_time(told: dict[str, object]) -> None:
    """5 seconds from the cut cable until packets leave elsewhere."""
    assert told["first by"] == ALL
    assert told["then by"] == ALL
    assert 2 < float(str(told["switch"])) <= 5


def test_clients_that_only_listen_are_reset(told: dict[str, object]) -> None:
    resets = told["resets"]
    assert isinstance(resets, dict)
    assert all(2 < seconds <= 5.5 for seconds in resets.values()), resets
    anew = told["anew"]
    assert isinstance(anew, dict)
    assert all(seconds <= 6.5 for seconds in anew.values()), anew


def test_datagrams_go_the_new_way(told: dict[str, object]) -> None:
    assert 2 < float(str(told["udp"])) <= 5.5


def test_no_old_flow_leaves_elsewhere_and_nothing_in_the_clear(told: dict[str, object]) -> None:
    assert told["new flows by the other exit"]  # so the others would have been seen
    assert told["old flows by the other exit"] == 0
    assert told["leaked"] == 0


def test_an_apply_keeps_what_was_chosen(told: dict[str, object]) -> None:
    assert told["kept by an apply"]
    assert told["status"] == {"tokyo"}


def test_an_agent_that_was_killed_is_followed_by_one_that_goes_on(told: dict[str, object]) -> None:
    """What it chose stays, and the next one knows that it was chosen: it returns when it is time."""
    assert told["kept by nobody"]
    assert float(str(told["return"])) >= BACK


def test_it_comes_back_and_disturbs_nobody(told: dict[str, object]) -> None:
    assert BACK <= float(str(told["return"])) <= BACK + 15
    assert told["undisturbed"]


def test_a_family_dies_alone(told: dict[str, object]) -> None:
    assert told["a family alone"][0] == 0 and told["a family alone"][1] >= 2  # type: ignore[index]


def test_with_every_exit_dead_only_who_may_leaves_directly(told: dict[str, object]) -> None:
    assert told["directly by"]
    assert told["leaked while all are dead"] == 0
    assert told["answers while all are dead"] == 0
    assert told["of the desk's old flow"] == (0, True)


def test_down_leaves_nothing(told: dict[str, object]) -> None:
    assert told["nothing is left"]
