"""A NAT of the lab that opens ports for hosts behind it: Debian's miniupnpd, with its chains in the NAT's own rules."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

from warren.lab.lab import Lab
from warren.lab.nat import INNER, UP
from warren.lab.topology import INTERNET

# Where miniupnpd puts its rules (its README.nftables). IPv6 gets a firewall that a hole can be made in.
RULES = f"""
table inet filter {{
	chain forward {{
		type filter hook forward priority filter;
		jump miniupnpd
		meta nfproto ipv6 iifname "{UP}" ct state new drop
	}}
	chain miniupnpd {{ }}
	chain prerouting {{ type nat hook prerouting priority dstnat; jump prerouting_miniupnpd; }}
	chain prerouting_miniupnpd {{ }}
	chain postrouting {{ type nat hook postrouting priority srcnat; jump postrouting_miniupnpd; }}
	chain postrouting_miniupnpd {{ }}
}}
"""
WITHOUT_PCP = f'insert rule ip nat input iifname "{INNER}" udp dport 5351 @th,64,8 2 reject'


class Opening:
    """A NAT's miniupnpd; `ip6 filter` of the lab's own NAT makes room for the chains above.

    It opens nothing where the address outside is one of those of documentation, or private, and others the lab has not:
    the NAT gets a second one, which leads there from the internet, or from inside of another NAT alone.
    """

    def __init__(self, lab: Lab, nat: str, outside: str, known_to: str = INTERNET) -> None:
        self.lab, self.space, self.outside = lab, f"nat.{nat}", outside
        self.file = Path(f"/run/miniupnpd-{nat}")
        self.process: subprocess.Popen[str] | None = None
        first = lab.world.nat_by_name[nat].attachment.addresses[0].ip
        lab.spaces.run(known_to, ("ip", "route", "add", outside, "via", str(first)))
        lab.spaces.run(self.space, ("ip", "address", "add", f"{outside}/32", "dev", UP))
        lines = (f'insert rule ip nat input iifname "{INNER}" accept', "delete table ip6 filter", RULES)
        lab.spaces.run(self.space, ("nft", "-f", "-"), "\n".join(lines))

    def begin(self, *, pcp: bool = True, long_ago: bool = False) -> None:
        """Start it, with nothing in its memory or its rules; its clock says that it was now, or long ago."""
        self.end()
        word = {True: "yes", False: "no"}
        settings = {
            "ext_ifname": UP,
            "listening_ip": INNER,
            "ext_ip": self.outside,
            "enable_natpmp": word[pcp],
            "enable_upnp": "yes",
            "system_uptime": word[long_ago],
            "secure_mode": "yes",
            "uuid": "0b3dcb4a-2f5d-4d1e-9d2c-3c8f3a0f4b77",
            "http_port": "0",
        }
        lines = [f"{key}={value}" for key, value in settings.items()]
        lines += ["allow 1024-65535 0.0.0.0/0 1024-65535", "deny 0-65535 0.0.0.0/0 0-65535"]
        self.file.write_text("\n".join(lines) + "\n")
        words = ("miniupnpd", "-d", "-f", str(self.file), "-P", f"{self.file}.pid")
        with Path(f"{self.file}.log").open("w") as log:
            self.process = self.lab.spaces.start(self.space, words, stdout=log, stderr=log)

    def end(self) -> None:
        """Kill it, and have it forget everything, as a router that loses its power."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            chains = ("miniupnpd", "prerouting_miniupnpd", "postrouting_miniupnpd")
            flush = "".join(f"flush chain inet filter {chain}\n" for chain in chains)
            self.lab.spaces.run(self.space, ("nft", "-f", "-"), flush)

    def opened(self) -> list[str]:
        """The rules that it made, IPv4's translations and IPv6's holes."""
        found = []
        for chain in ("prerouting_miniupnpd", "miniupnpd"):
            listed = self.lab.spaces.run(self.space, ("nft", "-n", "list", "chain", "inet", "filter", chain))
            found += [line.strip() for line in listed.splitlines() if "dport" in line]
        return found

    def log(self) -> str:
        """What it says."""
        with suppress(FileNotFoundError):
            return Path(f"{self.file}.log").read_text()[-4000:]
        return ""
