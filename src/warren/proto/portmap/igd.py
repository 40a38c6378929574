"""What is said to a UPnP gateway (WANIPConnection:1 and :2, WANPPPConnection:1), and what it answers: XML, bounded.

A document that declares a type or entities is refused, for nothing good is ever said so (billion laughs).
"""

from __future__ import annotations

from html import escape
from xml.parsers import expat

from warren.proto.portmap import http
from warren.proto.refusal import Refusal

KINDS = (
    "urn:schemas-upnp-org:service:WANIPConnection:2",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
)
DEEPEST, MOST, LONGEST = 32, 2000, 512  # elements within one another, elements, characters of one's text
CONFLICT, ONLY_PERMANENT, SAME_PORTS = 718, 725, 724  # UPnP's own error codes

Elements = tuple[tuple[str, str], ...]


class _Refused(Exception):
    """This document is not to be read on."""


def elements(document: bytes) -> Elements | Refusal:
    """Give the name (without prefix) and the text of each element without others in it, in the document's order."""
    if len(document) > http.LARGEST:
        return Refusal.LENGTH
    found: list[tuple[str, str]] = []
    open_: list[str] = []
    text: list[str] = []
    leaf = False

    def start(name: str, attributes: object) -> None:
        nonlocal leaf
        if len(open_) >= DEEPEST or len(found) >= MOST:
            raise _Refused
        open_.append(name.rpartition(":")[2])
        text.clear()
        leaf = True

    def end(name: str) -> None:
        nonlocal leaf
        if leaf:
            found.append((open_[-1], "".join(text).strip()))
        open_.pop()
        leaf = False

    def characters(said: str) -> None:
        text.append(said)
        if sum(map(len, text)) > LONGEST:
            raise _Refused

    def refuse(*_: object) -> None:
        raise _Refused

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, characters
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(document, True)
    except (_Refused, expat.ExpatError, ValueError, LookupError):  # the last two: an encoding that does not exist
        return Refusal.VALUE
    return tuple(found)


def control(document: bytes, base: http.Page) -> tuple[str, http.Page] | None:
    """Find in a description the service that maps ports: its kind, and where commands go; None if there is none."""
    read = elements(document)
    if isinstance(read, Refusal):
        return None
    for kind in KINDS:
        said = False
        for name, text in read:
            if name == "serviceType":
                said = text == kind
            elif name == "controlURL" and said:
                at = http.beside(base, text)
                if at is not None:
                    return kind, at
    return None


def command(kind: str, at: http.Page, action: str, arguments: Elements = ()) -> bytes:
    """Write a command (SOAP 1.1)."""
    inside = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in arguments)
    envelope = (
        '<?xml version="1.0"?>\r\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
        f'<u:{action} xmlns:u="{kind}">{inside}</u:{action}></s:Body></s:Envelope>\r\n'
    )
    headers = ('Content-Type: text/xml; charset="utf-8"', f'SOAPAction: "{kind}#{action}"')
    return http.post(at, headers, envelope.encode())


def answer(data: bytes) -> tuple[int, dict[str, str]] | Refusal:
    """Read the answer to a command: UPnP's error code (0: none), and what it gives by name."""
    got = http.parse(data)
    if isinstance(got, Refusal):
        return got
    read = elements(got.body)
    if isinstance(read, Refusal):
        return read
    said = dict(read)
    if got.status == 200:
        return 0, said
    code = said.get("errorCode", "")
    return (int(code) if code.isascii() and code.isdecimal() and len(code) < 6 and int(code) else -1), said
