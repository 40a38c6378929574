"""Everything that reads what a router, or somebody who passes for it, says: what bytes may do to each is tested on all.

Each gives a value or a Refusal (None, for a description without the service that maps ports), and never raises.
"""

from __future__ import annotations

from collections.abc import Callable

from warren.proto.address import Address
from warren.proto.portmap import http, igd, natpmp, pcp, ssdp

ROUTER = Address.of("192.168.1.1", 80)

PARSERS: dict[str, Callable[[bytes], object]] = {
    "PCP": pcp.parse,
    "NAT-PMP": natpmp.parse,
    "SSDP": lambda data: ssdp.parse(data, ROUTER.ip),  # type: ignore[arg-type]
    "HTTP": http.parse,
    "description": lambda data: igd.control(data, http.Page(ROUTER, "/")),
    "command": igd.answer,
}
