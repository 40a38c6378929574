"""The world that a network is tried in on one machine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from warren.model.diagnostic import Where


class Mapping(StrEnum):
    """RFC 4787 section 4.1."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class Ports(StrEnum):
    """How a NAT picks the outside port (RFC 4787 section 4.2.1)."""

    PRESERVING = "preserving"
    SEQUENTIAL = "sequential"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class NatBox:
    """A NAT of the lab by RFC 4787; `filtering` uses the same three words as mapping; `timeout` in seconds."""

    name: str
    mapping: Mapping = Mapping.ENDPOINT_INDEPENDENT
    filtering: Mapping = Mapping.ADDRESS_AND_PORT_DEPENDENT
    ports: Ports = Ports.PRESERVING
    timeout: int = 120
    hairpin: bool = False
    at: Where | None = None


@dataclass(frozen=True, slots=True)
class LabLink:
    """How a host's uplink is in the lab; `loss` in percent."""

    host: str
    mtu: int = 1500
    loss: int = 0
    ipv6: bool = True


@dataclass(frozen=True, slots=True)
class Lab:
    """Where each host stands when the network is tried on one machine.

    `place` maps a host to the NATs in front of it, the outermost first; none means: on the internet.
    """

    nats: tuple[NatBox, ...] = ()
    place: tuple[tuple[str, tuple[str, ...]], ...] = ()
    links: tuple[LabLink, ...] = ()
    seed: int = 0
