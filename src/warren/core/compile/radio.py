"""Hotspots (hostapd(8)), and what is repeated from one LAN of a host to its others (avahi-daemon(8)).

The passphrase stays in its file until hostapd's own, 0600, is written (`@secret:0@`); what is compared is its
fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.compile.here import Here
from warren.model.host import Lan
from warren.model.key import SecretRef
from warren.model.lan_words import Band, Security, Wifi
from warren.model.prefix import Family
from warren.model.state import Program, Service, Sysctl

REFLECTOR = "mdns"
# Which key management each choice offers, and whether frames of management are protected: 1 may be, 2 must (802.11w).
_PROOFS = {
    Security.EITHER: ("WPA-PSK SAE", 1),
    Security.WPA2: ("WPA-PSK", 0),
    Security.WPA3: ("SAE", 2),
}


def lay_radio(here: Here) -> tuple[Service, ...]:
    """List the programs that make hotspots, and the one that reflects."""
    hotspots = tuple(_hotspot(here, lan, lan.wifi) for lan in here.host.lans if lan.wifi is not None)
    return (*hotspots, *_reflector(here))


def lay_radio_settings(here: Here) -> Iterator[Sysctl]:
    """Have a radio keep its IPv6 addresses: it goes down once while it becomes an access point."""
    for lan in here.host.lans:
        there = not here.surroundings.links or lan.name in here.surroundings.link_by_name
        if (
            there
            and lan.wifi is not None
            and Family.IPV6 in here.usable
            and any(one.version == 6 for one in lan.addresses)
        ):
            name = f"net.ipv6.conf.{lan.name.replace('.', '/')}.keep_addr_on_down"
            yield Sysctl(name, "1", "a radio goes down for a moment while it becomes an access point")


def passphrase(wifi: Wifi) -> SecretRef:
    """Say where a hotspot's passphrase lies."""
    return SecretRef(wifi.passphrase_file, passphrase=True)


def _hotspot(here: Here, lan: Lan, wifi: Wifi) -> Service:
    secret = passphrase(wifi)
    known = dict(here.surroundings.secrets).get(secret.path, "unread")
    proofs, protected = _PROOFS[wifi.security]
    lines = [
        f"# Made by warren for the network {here.fabric.network.name}: a hotspot on {lan.name}.",
        f"# fingerprint of the passphrase: {known}",
        f"interface={lan.name}",
        "driver=nl80211",
        f"ssid2={wifi.ssid.encode().hex()}",
        "utf8_ssid=1",
        f"ignore_broadcast_ssid={int(wifi.hidden)}",
        f"country_code={wifi.country}",
        "ieee80211d=1",
        *_band(wifi),
        f"channel={wifi.channel}",
        "ieee80211n=1",
        "wmm_enabled=1",
        "auth_algs=1",
        "wpa=2",
        f"wpa_key_mgmt={proofs}",
        "rsn_pairwise=CCMP",
        f"ieee80211w={protected}",
        *(("sae_require_mfp=1",) if protected == 1 else ()),
        "wpa_passphrase=@secret:0@",
    ]
    text = "".join(f"{line}\n" for line in lines)
    why = f"who knows the passphrase joins {wifi.ssid}"
    return Service(f"wifi-{lan.name}", Program.HOSTAPD, text, why=why, secret=secret)


def _band(wifi: Wifi) -> tuple[str, ...]:
    """Where radar was first, an access point has to listen for it (802.11h)."""
    return ("hw_mode=g",) if wifi.band is Band.TWO else ("hw_mode=a", "ieee80211ac=1", "ieee80211h=1")


def _reflector(here: Here) -> Iterator[Service]:
    lans = [lan.name for lan in here.host.lans if lan.name != here.host.uplink]
    if "mdns" not in here.host.reflect or len(lans) < 2:
        return
    lines = [
        f"# Made by warren for the network {here.fabric.network.name}: multicast DNS from each LAN to the others.",
        "[server]",
        "use-ipv4=yes",
        f"use-ipv6={'yes' if Family.IPV6 in here.usable else 'no'}",
        f"allow-interfaces={','.join(lans)}",
        "enable-dbus=no",
        "ratelimit-interval-usec=1000000",
        "ratelimit-burst=1000",
        "[wide-area]",
        "enable-wide-area=no",
        "[publish]",
        "disable-publishing=yes",
        "[reflector]",
        "enable-reflector=yes",
    ]
    text = "".join(f"{line}\n" for line in lines)
    yield Service(REFLECTOR, Program.AVAHI, text, why=f"what is announced on one of {', '.join(lans)} is heard on all")
