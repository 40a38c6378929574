"""Machines on a LAN that ask for their address, as they do at home: a real DHCP client in each (RFC 2131).

The client asks for the address that the world says it has, and gets it because nobody else has asked before.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from warren.lab.spaces import LabError, Spaces
from warren.model.world import Client

SCRIPT = """\
#!/bin/sh
case $1 in
bound | renew)
  ip address replace "$ip/$mask" dev "$interface"
  for via in $router; do ip route replace default via "$via" dev "$interface"; done
  : >"$RESOLVERS"
  for server in $dns; do echo "nameserver $server" >>"$RESOLVERS"; done ;;
esac
"""
PLACE = Path("/run/warren-lab")
DEVICE = "eth0"
PATIENCE = 60  # s


def resolvers_file(space: str) -> Path:
    """Say where the resolvers stand that a machine was told."""
    return PLACE / f"{space}.resolvers"


def take_leases(spaces: Spaces, clients: Mapping[str, Client]) -> None:
    """Have machines, by their space, ask for their addresses; LabError names one that was given another, or none."""
    if not clients:
        return
    PLACE.mkdir(parents=True, exist_ok=True, mode=0o700)
    script = PLACE / "leased"
    script.write_text(SCRIPT, encoding="ascii")
    script.chmod(0o700)
    spaces.run_each({space: (_argv(space, client, script), "") for space, client in clients.items()})
    listed = spaces.run_each({space: (("ip", "-4", "-br", "address", "show", "dev", DEVICE), "") for space in clients})
    for space, client in clients.items():
        if str(client.leased) not in listed[space].split():
            had = " ".join(listed[space].split()[2:]) or "nothing"
            raise LabError(f"{client.name} asked for {client.leased} and was given {had}")


def _argv(space: str, client: Client, script: Path) -> tuple[str, ...]:
    assert client.leased is not None
    # dnsmasq hears nobody for up to 3 s while it pings an address it is about to give to another machine (RFC 2131,
    # 2.2), and udhcpc gives up a request after 3 s: it begins anew, as a machine at home does.
    until_given = ("timeout", str(PATIENCE), "busybox", "udhcpc", "-f", "-q", "-t", "10", "-T", "1", "-A", "1")
    asks = (*until_given, "-i", DEVICE, "-r", str(client.leased.ip), "-s", str(script))
    return ("env", f"RESOLVERS={resolvers_file(space)}", *asks)
