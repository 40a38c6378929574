"""Network files of any size, for the benchmarks."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from warren.model.key import encode_key


def file_of(hosts: int, public: int, expects: int = 0, portals: int = 0) -> bytes:
    """Write a network file of that many hosts, each with a LAN.

    The first `public` have endpoints; where not all have, the first is the hub of the others. `portals` of the
    hosts send their LAN out by the next host; `expects` go round the hosts.
    """
    return "\n".join(_lines(hosts, public, expects, portals)).encode()


def _lines(hosts: int, public: int, expects: int, portals: int) -> Iterator[str]:
    yield "network: big"
    yield "overlay: [10.64.0.0/16, fd77:7:7::/64]"
    if public < hosts:
        yield "hub: h0"
    yield "hosts:"
    for number in range(hosts):
        yield f"  h{number}:"
        yield f"    key: {encode_key(X25519PrivateKey.generate().public_key().public_bytes_raw())}"
        if number < public:
            yield f"    endpoint: 198.18.{number // 250}.{number % 250 + 1}:51820"
        yield "    uplink: eth0"
        address = f"[10.{number // 250}.{number % 250}.1/24, fd11:0:0:{number:x}::1/64]"
        yield f"    lans: {{eth1: {{address: {address}}}}}"
    if portals:
        yield "portals:"
        for number in range(portals):
            yield f"  - {{from: h{number}.eth1, exit: h{(number + 1) % hosts}}}"
    if expects:
        yield "expect:"
        for number in range(expects):
            here = number % hosts
            there = (here + 1 + number // hosts) % hosts
            if here < portals and number % 2:
                yield f"  - {{from: h{here}.eth1, to: 192.0.2.{number % 200 + 1}, exit: h{(here + 1) % hosts}}}"
            else:
                yield f"  - {{from: h{here}.eth1, to: h{there}.eth1, arrives: true}}"
