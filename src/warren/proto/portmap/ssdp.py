"""The search for a router's UPnP (UPnP Device Architecture 1.1 section 1.3): a datagram, and where its answer leads."""

from __future__ import annotations

from ipaddress import IPv4Address

from warren.proto.address import Address
from warren.proto.portmap import http
from warren.proto.refusal import Refusal

PORT = 1900
EVERYBODY = Address.of("239.255.255.250", PORT)
LARGEST = 2048
GATEWAY = "urn:schemas-upnp-org:device:InternetGatewayDevice:"


def search(to: Address) -> bytes:
    """Ask for gateways, those of version 2 included; only a question to everybody says how long to wait (MX)."""
    host = f"HOST: {EVERYBODY if to == EVERYBODY else to}"
    lines = ("M-SEARCH * HTTP/1.1", host, 'MAN: "ssdp:discover"', "MX: 1", f"ST: {GATEWAY}1", "", "")
    return "\r\n".join(lines).encode("ascii")


def parse(data: bytes, router: IPv4Address) -> http.Page | Refusal:
    """Read an answer: where the gateway's description is. Refusal unless it is at the router itself."""
    if len(data) > LARGEST:
        return Refusal.LENGTH
    first, *lines = data.decode("latin-1").split("\r\n")
    if first.split(" ")[:2] != ["HTTP/1.1", "200"]:
        return Refusal.FOREIGN
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().upper(), value.strip())
    if not headers.get("ST", "").startswith(GATEWAY):
        return Refusal.UNEXPECTED
    return http.page(headers.get("LOCATION", ""), router) or Refusal.VALUE
