"""Somebody else's full tunnel on a host of the world: wg-quick's own, from its own program."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.kernel.world import Remote
from warren.model.prefix import FAMILIES
from warren.model.state import MAIN, Route, Rule

SERVER, PORT, TABLE = "8.8.4.4", 51999, 51820
ADDRESSES = ("10.99.0.2", "fd99::2")


@dataclass(frozen=True, slots=True)
class FullTunnel:
    """`wq0`: everything of a host goes to a server on the internet, which sees ADDRESSES."""

    world: Remote
    host: str
    folder: Path

    def serve(self) -> None:
        """Put the server there, and the conf beside it."""
        private, public = zip(*(_pair() for _ in "ab"), strict=True)
        server, conf = self.folder / "server.conf", self.folder / "wq0.conf"
        allowed = ", ".join(ADDRESSES)
        server.write_text(
            f"[Interface]\nPrivateKey = {private[0]}\nListenPort = {PORT}\n"
            f"[Peer]\nPublicKey = {public[1]}\nAllowedIPs = {allowed}\n"
        )
        conf.write_text(
            f"[Interface]\nPrivateKey = {private[1]}\nAddress = {allowed}\n"
            f"[Peer]\nPublicKey = {public[0]}\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = {SERVER}:{PORT}\n"
        )
        conf.chmod(0o600)
        self.world.sh(
            "internet",
            f"wireguard-go srv >/dev/null 2>&1; until wg show srv; do :; done; wg setconf srv {server}; "
            "ip link set srv mtu 1400 up; "
            + "; ".join(f"ip route add {address} dev srv table local" for address in ADDRESSES),
        )

    def up(self) -> None:
        """`wg-quick up`."""
        self.world.sh(self.host, f"wg-quick up {self.folder}/wq0.conf")

    def down(self) -> None:
        """`wg-quick down`."""
        self.world.sh(self.host, f"wg-quick down {self.folder}/wq0.conf")


def in_front() -> dict[str, object]:
    """Say what `observe` would report of it when it was started after warren: its rules are in front of ours."""
    everything = [family.everything for family in FAMILIES]
    return {
        "rules": tuple(
            rule
            for family in FAMILIES
            for rule in (
                Rule(family, 7698, MAIN, suppress_prefixlength=0, protocol="boot"),
                Rule(family, 7699, TABLE, mark=TABLE, mark_mask=0xFFFFFFFF, invert=True, protocol="boot"),
            )
        ),
        "routes": tuple(Route(prefix, TABLE, "wq0", protocol="boot") for prefix in everything),
    }


def _pair() -> tuple[str, str]:
    private = subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout
    public = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True, check=True).stdout
    return private.strip(), public.strip()
