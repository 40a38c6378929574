"""Machines that warren runs on, and the networks behind them."""

from __future__ import annotations

from dataclasses import dataclass

from warren.model.diagnostic import Where
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey
from warren.model.knock import Knock
from warren.model.lan_words import Dhcp, Vlan, Wifi
from warren.model.mapped import MappedPrefix
from warren.model.prefix import FAMILIES, Interface, Prefix


@dataclass(frozen=True, slots=True)
class Lan:
    """One network behind a host: a device of the host and the host's addresses on it.

    `name` is the device. `closed` LANs are announced to nobody (blueprint section 1). `maps` are the prefixes as
    which the others see the LAN's own, as written: one for each subnet of the families that are mapped, in their
    order. With `map_auto` the lock allots them, and `core.maps` fills in what it `allotted`.
    `delegated` are addresses that warren itself gives the host there, of delegated prefixes, and `pools` what of them
    routers on the LAN may ask for (`core.delegates`). `dhcp`, `ra` (routers' advertisements for its own IPv6 subnets)
    and `wifi` are what warren does for machines there; a device with `vlan` or `bridge` (its ports) is made by warren.
    """

    name: str
    addresses: tuple[Interface, ...]
    closed: bool = False
    at: Where | None = None
    maps: tuple[Prefix, ...] = ()
    map_auto: bool = False
    allotted: tuple[MappedPrefix, ...] = ()
    delegated: tuple[Interface, ...] = ()
    pools: tuple[Prefix, ...] = ()
    dhcp: Dhcp | None = None
    ra: bool = False
    wifi: Wifi | None = None
    vlan: Vlan | None = None
    bridge: tuple[str, ...] = ()

    @property
    def given(self) -> bool:
        """Whether warren gives the host its addresses there, because it does something for the LAN."""
        return bool(self.dhcp or self.ra or self.wifi or self.vlan or self.bridge)

    @property
    def prefixes(self) -> tuple[Prefix, ...]:
        """The subnets of the LAN, delegated ones and what is behind its routers included."""
        return (*(address.network for address in (*self.addresses, *self.delegated)), *self.pools)

    @property
    def mapped(self) -> tuple[MappedPrefix, ...]:
        """The subnets that others know by another prefix; what `check` finds fault with is left out."""
        if self.map_auto:
            return self.allotted
        return tuple(
            MappedPrefix(own, seen)
            for family in FAMILIES
            for own, seen in zip(
                dict.fromkeys(own.network for own in self.addresses if own.version == family),
                (prefix for prefix in self.maps if prefix.version == family),
                strict=False,
            )
            if own.prefixlen == seen.prefixlen
        )

    def is_mapped(self, prefix: Prefix) -> bool:
        """Say whether others know a subnet by another prefix, or will when it is allotted."""
        delegated = any(given.network == prefix for given in self.delegated)
        return (self.map_auto and not delegated) or any(pair.own == prefix for pair in self.mapped)

    def seen(self, prefix: Prefix) -> Prefix:
        """Give what others call a part of the LAN: itself, if it is not mapped."""
        return next((found for one in self.mapped if (found := one.outward(prefix)) is not None), prefix)


@dataclass(frozen=True, slots=True)
class Host:
    """A machine warren runs on.

    `port` is the listening port of the shared device when written out. `mtu` overrides the computed MTU of
    every tunnel device. `psk` maps a peer's name to the path of the file that holds the preshared key.
    `firewall` is the owner's consent to a rule at that tool's hook. `reflect` names what is repeated from each of its
    LANs to the others (`mdns`). With `knock` its WireGuard ports answer only addresses that knocked. `port_mapping`:
    its agent may ask the router for a port.
    """

    name: str
    key: PublicKey
    endpoint: Endpoint | None = None
    uplink: str = "eth0"
    lans: tuple[Lan, ...] = ()
    port: int | None = None
    mtu: int | None = None
    psk: tuple[tuple[str, str], ...] = ()
    private_key: str = "/etc/warren/private.key"
    firewall: str | None = None
    reflect: tuple[str, ...] = ()
    knock: Knock | None = None
    port_mapping: bool = True
    at: Where | None = None

    def lan(self, name: str) -> Lan:
        """Find a LAN by its device name; KeyError if there is none."""
        for lan in self.lans:
            if lan.name == name:
                return lan
        raise KeyError(name)
