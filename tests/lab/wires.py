"""Every wire of a lab at once: a packet socket in each space sees all its devices, and fragments are counted."""

from __future__ import annotations

import socket
from collections import Counter

from warren.lab.lab import Lab
from warren.lab.sight import ETH_P_ALL, dissect
from warren.lab.topology import SWITCH

QUEUE = 64 << 20
SO_RCVBUFFORCE = 33


class Wires:
    """Packets on all devices of all hosts, devices, NATs, LAN machines, and of the internet."""

    def __init__(self, lab: Lab) -> None:
        self.sockets: dict[str, socket.socket] = {}
        for space in lab.wiring.spaces:
            if space != SWITCH:
                with lab.spaces.inside(space):
                    eye = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
                eye.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, QUEUE)
                eye.setblocking(False)
                self.sockets[space] = eye
        self.seen: Counter[str] = Counter()  # packets by `space device`
        self.cut: Counter[str] = Counter()  # fragments

    def look(self) -> Counter[str]:
        """Take in all there is, and give the fragments seen since the last look."""
        self.cut.clear()
        for space, eye in self.sockets.items():
            while True:
                try:
                    raw, where = eye.recvfrom(65536)
                except BlockingIOError:
                    break
                self.seen[f"{space} {where[0]}"] += 1
                packet = dissect(raw)
                if packet is not None and packet.fragment:
                    self.cut[f"{space} {where[0]}"] += 1
        return +self.cut
