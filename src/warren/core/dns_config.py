"""What `warren dns` is told: a text that compile writes and the program reads, with nothing secret in it.

JSON, because it is long where a country is domestic: ten thousand prefixes and more.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from warren.model.dns import Resolver, Transport
from warren.model.prefix import Address, Prefix


@dataclass(frozen=True, slots=True)
class Asked:
    """A resolver, its side, and the device that questions to it leave by (empty: as the routes say)."""

    resolver: Resolver
    domestic: bool = False
    device: str = ""


@dataclass(frozen=True, slots=True)
class DnsConfig:
    """Where it answers, whom it asks, what is domestic, and which names belong to which side.

    `judged` False: there is one side, and every answer counts.
    """

    address: Address
    port: int
    asked: tuple[Asked, ...]
    judged: bool = False
    fast: bool = False
    domestic: tuple[Prefix, ...] = ()
    domestic_names: tuple[str, ...] = ()
    trusted_names: tuple[str, ...] = ()


def write_config(config: DnsConfig, head: str) -> str:
    """Write it; `head` is for people."""
    told = {
        "_": head,
        "listen": [str(config.address), config.port],
        "ask": [
            {
                "address": str(one.resolver.address),
                "port": one.resolver.port,
                "by": one.resolver.transport.value,
                "name": one.resolver.name,
                "path": one.resolver.path,
                "side": "domestic" if one.domestic else "trusted",
                "device": one.device,
            }
            for one in config.asked
        ],
        "judged": config.judged,
        "fast": config.fast,
        "domestic_names": list(config.domestic_names),
        "trusted_names": list(config.trusted_names),
        "domestic": [str(prefix) for prefix in config.domestic],
    }
    return json.dumps(told, indent=1) + "\n"


def read_config(text: str) -> DnsConfig:
    """Read it; ValueError says what is wrong."""
    try:
        told = json.loads(text)
        address, port = told["listen"]
        return DnsConfig(
            address=ip_address(address),
            port=int(port),
            asked=tuple(_asked(one) for one in told["ask"]),
            judged=bool(told["judged"]),
            fast=bool(told["fast"]),
            domestic=tuple(ip_network(prefix) for prefix in told["domestic"]),
            domestic_names=tuple(map(str, told["domestic_names"])),
            trusted_names=tuple(map(str, told["trusted_names"])),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"this is no configuration of `warren dns`: {type(error).__name__}: {error}") from None


def side_of(config: DnsConfig, name: str) -> bool | None:
    """Say whether a name is known to be domestic (True) or trusted (False); None: to neither. The longest counts."""
    sides = dict.fromkeys(config.domestic_names, True) | dict.fromkeys(config.trusted_names, False)
    labels = name.split(".")
    above = (".".join(labels[at:]) for at in range(len(labels)))
    return next((sides[one] for one in above if one in sides), None)


def _asked(told: dict[str, str]) -> Asked:
    by = Transport(told["by"])
    resolver = Resolver(ip_address(told["address"]), by, int(told["port"]), told["name"], told["path"])
    if told["side"] not in ("domestic", "trusted"):
        raise ValueError(f"no side is called {told['side']}")
    return Asked(resolver, told["side"] == "domestic", told["device"])
