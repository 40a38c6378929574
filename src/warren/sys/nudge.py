"""Have WireGuard shake hands with the far end of a tunnel now: it does so when there is something to send."""

from __future__ import annotations

import socket

from warren.model.prefix import Address

DISCARD = 9  # RFC 863: nobody answers, and nobody need


def nudge(device: str, address: Address) -> None:
    """Send an empty packet to an address by a device; where there is no way it is not sent, and that is all."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            one.sendto(b"", (str(address), DISCARD))
        except OSError:
            return
