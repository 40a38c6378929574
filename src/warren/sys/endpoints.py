"""The ways to endpoints: which addresses they stand for, and what fits through.

Names are looked up before anything is made. A conf's are, as often as wg(8) would (WG_ENDPOINT_RESOLUTION_RETRIES):
it has one tunnel, and who waits for DNS at boot waits with nothing half done. A network's are looked up once, all at
the same time and within seconds: one name that is gone must not keep the other tunnels down.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread

from warren.model.change import Command
from warren.model.endpoint import Endpoint
from warren.sys.errors import HostError
from warren.sys.run import Run, run
from warren.sys.store import Store

RETRIES = 15
_PERMANENT = (socket.EAI_NONAME, socket.EAI_FAIL, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
_LONGEST_PAUSE = 20.0
LOOKUP = 5.0  # seconds for all names of a network together
AT_ONCE = 32  # names asked for at the same time
LAST = "endpoints.json"  # in the store: where names led when they were last found
MOST_REMEMBERED = 1024


def resolve(
    endpoints: Iterable[Endpoint], wait: Callable[[float], None] = time.sleep, *, retries: int | None = None
) -> tuple[str, ...]:
    """Find the address each endpoint stands for now; HostError for a name that stands for none.

    A name that cannot be looked up *yet* is tried again after 1 s, 1.2 s, … at most 20 s (wg(8)).
    """
    left = _retries() if retries is None else retries
    return tuple(dict.fromkeys(_address(endpoint, wait, left) for endpoint in endpoints))


def look_up(endpoints: Iterable[Endpoint], seconds: float = LOOKUP) -> dict[Endpoint, Endpoint]:
    """Find the address that each endpoint's name stands for now, all at once; what is not found in time is left out.

    Of several, it is the one that wg(8) would take.
    """
    return {endpoint: found[0] for endpoint, found in look_up_all(endpoints, seconds).items()}


def look_up_all(endpoints: Iterable[Endpoint], seconds: float = LOOKUP) -> dict[Endpoint, tuple[Endpoint, ...]]:
    """Find every address of both families that endpoints' names stand for now, in the order to try them."""
    waiting: SimpleQueue[Endpoint] = SimpleQueue()
    wanted = tuple(dict.fromkeys(endpoints))
    for endpoint in wanted:
        waiting.put(endpoint)
    answered: SimpleQueue[tuple[Endpoint, tuple[Endpoint, ...]]] = SimpleQueue()

    def ask() -> None:
        with suppress(Empty):
            while True:
                endpoint = waiting.get_nowait()
                try:
                    answered.put((endpoint, tuple(Endpoint(one, endpoint.port) for one in _addresses(endpoint))))
                except (OSError, UnicodeError):
                    answered.put((endpoint, ()))

    for _ in range(min(AT_ONCE, len(wanted))):
        Thread(target=ask, daemon=True).start()  # the C library cannot be told to stop asking: nobody waits for it
    found: dict[Endpoint, tuple[Endpoint, ...]] = {}
    deadline = time.monotonic() + seconds
    with suppress(Empty):
        for _ in wanted:
            endpoint, addresses = answered.get(timeout=max(0.0, deadline - time.monotonic()))
            if addresses:
                found[endpoint] = addresses
    return found


def remember(store: Store, found: Mapping[Endpoint, Endpoint]) -> None:
    """Note where names led: at a boot there may be no name server before the tunnel is up, whose end has a name."""
    new = {str(name): address.host for name, address in found.items() if name != address}
    held = _remembered(store) if new else {}
    if any(held.get(name) != host for name, host in new.items()):
        kept = list({**{name: host for name, host in held.items() if name not in new}, **new}.items())
        store.write(dict(kept[-MOST_REMEMBERED:]), LAST)


def remembered(store: Store) -> dict[Endpoint, Endpoint]:
    """Give where names led when they were last found."""
    found: dict[Endpoint, Endpoint] = {}
    for name, host in _remembered(store).items():
        named, _, port = name.rpartition(":")
        found[Endpoint(named.strip("[]"), int(port))] = Endpoint(host, int(port))
    return found


def _remembered(store: Store) -> dict[str, str]:
    """Read the file; one that is not what we wrote is worth as much as none."""
    try:
        held = store.read(LAST)
    except HostError:
        return {}
    if not isinstance(held, dict):
        return {}
    return {name: host for name, host in held.items() if isinstance(host, str) and name.rpartition(":")[2].isdecimal()}


def every_address(endpoint: Endpoint) -> tuple[str, ...]:
    """Find all addresses that an endpoint stands for now, in the order of getaddrinfo(3); none if there is none."""
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(one[4][0]) for one in found))


def path_mtu(addresses: Iterable[str], links: Mapping[str, int], mark: int = 0, run: Run = run) -> int | None:
    """Find the least MTU of the routes to these addresses, else that of the default route; None if there is neither.

    `links` gives devices' MTUs. `mark` is that of the outer packets: where a tunnel takes everything, they alone go
    by the uplink.
    """
    marked = f" mark {mark}" if mark else ""
    lines = [f"route get {address}{marked}\n" for address in addresses]
    found: list[int] = []
    if lines:
        # Status 1 stands for addresses that cannot be reached at present, which say nothing of the MTU.
        command = Command(("ip", "-j", "-force", "-batch", "-"), "".join(lines), fine=(0, 1))
        found = [mtu for line in run(command).splitlines() for mtu in _mtus(line, links)]
    for family in ("-4", "-6"):
        if not found:
            found = _mtus(run(Command(("ip", "-j", family, "route", "show", "default"), fine=(0, 2))), links)[:1]
    return min(found, default=None)


def _address(endpoint: Endpoint, wait: Callable[[float], None], left: int) -> str:
    pause = 1.0
    while True:
        try:
            return _first(endpoint)
        except UnicodeError:
            raise HostError(f"{endpoint.host} is no host name") from None
        except socket.gaierror as error:
            if error.errno in _PERMANENT or left <= 0:
                raise HostError(
                    f"the endpoint {endpoint} stands for no address: {error.strerror}",
                    "Check the name, and that this host can ask a name server: `getent hosts " + endpoint.host + "`.",
                ) from None
        wait(pause)
        left -= 1
        pause = min(pause * 1.2, _LONGEST_PAUSE)


def _first(endpoint: Endpoint) -> str:
    """Give the address that wg(8) would take."""
    return _addresses(endpoint)[0]


def _addresses(endpoint: Endpoint) -> tuple[str, ...]:
    found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_DGRAM)
    return tuple(dict.fromkeys(str(each[4][0]) for each in found))


def _retries() -> int:
    word = os.environ.get("WG_ENDPOINT_RESOLUTION_RETRIES", "")
    if word == "infinity":
        return 2**31
    return int(word) if word.isdecimal() else RETRIES


def _mtus(listed: str, links: Mapping[str, int]) -> list[int]:
    """Give the MTU of each listed route: its own, else its device's."""
    found = []
    for route in json.loads(listed) if listed.strip() else ():
        own = next((int(part["mtu"]) for part in route.get("metrics", ()) if "mtu" in part), 0)
        if mtu := own or links.get(route.get("dev", ""), 0):
            found.append(mtu)
    return found
