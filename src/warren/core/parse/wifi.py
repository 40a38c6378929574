"""`wifi:` of a LAN: a hotspot."""

from __future__ import annotations

import unicodedata
from typing import Any

from warren.core.geo.registry import is_country
from warren.core.parse.names import secret_path
from warren.core.parse.reading import Key, Reading, entry, flag, integer, scalar, show, word
from warren.core.parse.tree import Node
from warren.model.lan_words import Band, Security, Wifi

SSID_OCTETS = 32  # IEEE 802.11-2020 section 9.4.2.2
DEFAULT_CHANNELS = {Band.TWO: 6, Band.FIVE: 36}


def _ssid(node: Node, what: str, reading: Reading) -> str | None:
    text = scalar(node, what, reading, "New York")
    if text is None:
        return None
    octets = len(text.text.encode())
    if octets > SSID_OCTETS or any(unicodedata.category(char).startswith("C") for char in text.text):
        says = f"{what} cannot be {show(text.text)}: at most {SSID_OCTETS} octets of UTF-8, and nothing invisible."
        if octets > SSID_OCTETS:
            says = (
                f"{what} cannot be {show(text.text)}: it has {octets} octets of UTF-8, and {SSID_OCTETS} are the most."
            )
        reading.note("W214", node.where, says, "Choose a shorter name of plain characters.")
        return None
    return text.text


def _country(node: Node, what: str, reading: Reading) -> str | None:
    text = scalar(node, what, reading, "FR")
    if text is None:
        return None
    if not is_country(text.text):
        says = f"A country is two capital letters (ISO 3166), and {show(text.text)} is not."
        reading.note("W215", node.where, says, "Write the country in which the hotspot stands, for instance `FR`.")
        return None
    return text.text


WIFI_KEYS: dict[str, Key[Any]] = {
    "ssid": Key(_ssid, required=True),
    "passphrase_file": Key(secret_path, required=True),
    "country": Key(_country, required=True),
    "band": Key(word({band.value: band for band in Band})),
    "channel": Key(integer(1, 196)),
    "security": Key(word({one.value: one for one in Security})),
    "hidden": Key(flag),
}


def wifi(node: Node, what: str, reading: Reading) -> Wifi | None:
    """Read a hotspot; None if anything that it needs could not be read."""
    values = entry(node, what, reading, WIFI_KEYS)
    if values is None or any(key not in values for key in ("ssid", "passphrase_file", "country")):
        return None
    band = values.get("band", Band.TWO)
    return Wifi(
        ssid=values["ssid"],
        passphrase_file=values["passphrase_file"],
        country=values["country"],
        band=band,
        channel=values.get("channel", DEFAULT_CHANNELS[band]),
        hidden=values.get("hidden", False),
        security=values.get("security", Security.EITHER),
        at=node.where,
    )
