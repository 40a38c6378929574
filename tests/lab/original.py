"""natpunch-go's programs, as far as the wire and WireGuard can tell, around tests/proto/original.py.

client INTERFACE ADDRESS:PORT KEY     uid 0; a raw socket with WireGuard's port, one peer after the other
server ADDRESS PORT PRIVATE_KEY       the original takes no ADDRESS, and listens everywhere
"""

from __future__ import annotations

import random
import socket
import struct
import subprocess
import sys
import time
from base64 import b64decode
from pathlib import Path

from tests.proto.original import Client, Place, Server

ANSWERS, DELAY, KEEPALIVE = 10.0, 2.0, "25"


def asked(*words: str) -> str:
    return subprocess.run(("wg", "show", *words), capture_output=True, text=True, check=True).stdout.strip()


class Wire:
    """A raw socket that speaks from WireGuard's port with one place."""

    def __init__(self, port: int, server: Place) -> None:
        self.port, self.server = port, server
        self.raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)

    def ask(self, data: bytes) -> bytes:
        header = struct.pack("!HHHH", self.port, self.server[1], 8 + len(data), 0)
        self.raw.sendto(header + data, (self.server[0], 0))
        end = time.monotonic() + ANSWERS
        while True:
            self.raw.settimeout(max(end - time.monotonic(), 0.001))
            packet, source = self.raw.recvfrom(4096)
            theirs, ours = struct.unpack_from("!HH", packet, 20)
            if (source[0], theirs, ours) == (*self.server, self.port):
                return packet[28:]


def client(interface: str, server: str, key: str) -> None:
    """Find every peer once."""
    host, port = server.split(":")
    wire = Wire(int(asked(interface, "listen-port")), (host, int(port)))
    private, public = (b64decode(asked(interface, what)) for what in ("private-key", "public-key"))
    speaks = Client(private, public, b64decode(key))
    left = asked(interface, "peers").split()
    greeted = False
    while left:
        for peer in list(left):
            try:
                if not greeted:
                    speaks.answered(wire.ask(speaks.init(random.getrandbits(32), time.time_ns())))
                    greeted = True
                place = speaks.replied(wire.ask(speaks.request(b64decode(peer))))
            except TimeoutError:
                greeted = False
                continue
            print(f"{peer}: {place}", flush=True)
            if place is not None:
                at = f"{place[0]}:{place[1]}"
                words = ("wg", "set", interface, "peer", peer, "persistent-keepalive", KEEPALIVE, "endpoint", at)
                subprocess.run(words, check=True)
                left.remove(peer)
        if left:
            time.sleep(DELAY)


def serve(port: str, file: str) -> None:
    """Answer for ever, or until something kills it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as at:
        at.bind(("", int(port)))
        server = Server(b64decode(Path(file).read_text()))
        print("serving", flush=True)
        while True:
            data, source = at.recvfrom(4096)
            answer = server.receive(data, source)
            if answer is not None:
                at.sendto(answer, source)


if __name__ == "__main__":
    {"client": client, "server": serve}[sys.argv[1]](*sys.argv[2:])
