"""An exit's cable is pulled: how long until a LAN's packets leave by the next one, and until a client is reset.

The client downloads, and asks by datagrams fifty times a second; the figures are the worst of all rounds.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.enclosed import enclosed
from bench.row import Row
from warren.core.load import load
from warren.lab.agents import BACK
from warren.lab.faults import break_down, heal
from warren.lab.lab import Lab, bring_up
from warren.lab.topology import client_space, host_space
from warren.model.choice import AGENT_METRIC
from warren.model.expect import Down
from warren.model.key import PublicKey, encode_key
from warren.model.prefix import Family
from warren.sys.ip import routes

ROUNDS = 4
FAR = "198.18.7.7"
PATIENCE = 20.0
_FILE = b"""
network: spare
overlay: [10.66.0.0/24]
hosts:
  nyc: {endpoint: 198.51.100.7:51820, uplink: eth0}
  tokyo: {endpoint: 203.0.113.30:51820, uplink: eth0}
  berlin: {uplink: wan, lans: {lan: {address: 192.168.66.1/24}}}
portals:
  - {from: berlin.lan, exit: [nyc, tokyo]}
"""
_SERVER = f"""
import socket, threading
def send(taken):
    try:
        while True: taken.sendall(bytes(512)); threading.Event().wait(0.02)
    except OSError: taken.close()
def answer():
    asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); asked.bind(("{FAR}", 9001))
    while True:
        data, who = asked.recvfrom(64)
        asked.sendto(who[0].encode(), who)
threading.Thread(target=answer, daemon=True).start()
server = socket.create_server(("{FAR}", 9000)); print(flush=True)
while True: threading.Thread(target=send, args=(server.accept()[0],), daemon=True).start()
"""
_DOWNLOAD = f"""
import socket, time
while True:
    try:
        with socket.create_connection(("{FAR}", 9000), 1) as taken:
            taken.settimeout(60)
            while taken.recv(1 << 14): pass
    except ConnectionResetError: print(time.monotonic(), flush=True)
    except OSError: pass
"""
_ASK = f"""
import socket, time
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); asker.settimeout(0.02)
while True:
    try:
        asker.sendto(b"?", ("{FAR}", 9001))
        print(time.monotonic(), asker.recv(64).decode(), flush=True)
        time.sleep(0.02)
    except OSError: pass
"""


def rows() -> Iterator[Row]:
    """Measure with the agent as it is, but for its patience before it returns."""
    taken = enclosed(_rounds)
    switched, reset, returned = (max(figures) for figures in zip(*taken, strict=True))
    yield Row("an exit dies: packets leave by the next after", f"{switched:.1f} s", aim="≤ 5 s")
    yield Row("  a client in mid-download is reset after", f"{reset:.1f} s", aim="≤ 5 s")
    yield Row(f"  it lives: taken again, {BACK:.0f} s of answers included", f"{returned:.1f} s")


def _rounds() -> list[tuple[float, float, float]]:
    loaded = load(_FILE, None, "spare.yaml", lambda name: PublicKey(encode_key(name.encode().ljust(32))))
    assert loaded.network is not None, loaded.text()
    lab = bring_up(loaded.network, None)
    client = client_space(lab.world, lab.world.clients[0])
    server = lab.spaces.start("internet", (sys.executable, "-c", _SERVER), stdout=subprocess.PIPE)
    assert server.stdout is not None and server.stdout.readline()
    try:
        return [_round(lab, client) for _ in range(ROUNDS)]
    finally:
        server.kill()


def _round(lab: Lab, client: str) -> tuple[float, float, float]:
    """Cut the first exit and mend it: seconds until the next one is in use, until the reset, until the return.

    Flows stay with an exit that is alive, so each round begins its own.
    """
    asked, resets = Path("/run/asked"), Path("/run/resets")
    with asked.open("w") as out, resets.open("w") as other:
        programs = [
            lab.spaces.start(client, (sys.executable, "-c", _ASK), stdout=out),
            lab.spaces.start(client, (sys.executable, "-c", _DOWNLOAD), stdout=other),
        ]
    tokyo = str(lab.world.host_by_name["tokyo"].attachment.addresses[0].ip)
    lab.wait(lambda: False, 4.0)  # time to have been answered through both
    began = time.monotonic()
    break_down(lab, (Down(host="nyc"),))

    def switched() -> list[float]:
        lines = (line.split() for line in asked.read_text().splitlines()[-50:])
        return [float(line[0]) for line in lines if line[1:] == [tokyo] and float(line[0]) > began]

    def reset() -> list[float]:
        return [float(line) for line in resets.read_text().splitlines() if float(line) > began]

    try:
        assert lab.wait(lambda: bool(switched() and reset()), PATIENCE, lambda _: None)
        first, last = switched()[0] - began, reset()[-1] - began
    finally:
        for program in programs:
            program.kill()
            program.wait()
    healed = time.monotonic()
    heal(lab, (Down(host="nyc"),))
    assert lab.wait(lambda: not _elsewhere(lab), BACK + PATIENCE, lambda _: None)
    return first, last, time.monotonic() - healed


def _elsewhere(lab: Lab) -> bool:
    with lab.spaces.inside(host_space("berlin")):
        return any(route.metric == AGENT_METRIC for route in routes(Family.IPV4, protocol=77))
