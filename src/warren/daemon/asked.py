"""The rendezvous server tells anybody who knows its key where it sees them (proto.asking), for `warren netcheck`."""

from __future__ import annotations

import socket
from collections import Counter
from ipaddress import ip_address

from warren.proto import packet
from warren.proto.address import Address
from warren.proto.asking import Answers
from warren.proto.door import Draw
from warren.proto.noise import KeyPair
from warren.proto.packet import Ask, header
from warren.proto.refusal import Refusal
from warren.sys import datagram

_ASK = header(Ask)


class Asked:
    """Those who ask: how many were answered, and why others were not."""

    def __init__(self, key: KeyPair, draw: Draw) -> None:
        self._answers = Answers(key, draw)
        self.answered = 0
        self.refused: Counter[Refusal] = Counter()

    def take(self, data: bytes, source: Address, at: socket.socket, now: float) -> bool:
        """Say whether a datagram is such a question; then it was answered, from where it was asked or elsewhere."""
        if data[: len(_ASK)] != _ASK:
            return False
        ask = packet.parse(data)
        if isinstance(ask, Refusal):
            self.refused[ask] += 1
            return True
        assert isinstance(ask, Ask)
        told = self._answers.answer(ask, source, now)
        if isinstance(told, Refusal):
            self.refused[told] += 1
        elif ask.elsewhere:
            self.answered += datagram.send_once(ip_address(at.getsockname()[0]), packet.write(told), source)
        else:
            self.answered += datagram.send(at, packet.write(told), source)
        return True
