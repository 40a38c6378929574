"""As much HTTP (RFC 9112) as UPnP needs: one request to the router, and its whole answer.

Bounded by who reads it from the wire (LARGEST). An address in a text counts only if it is the router's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address

from warren.proto.address import Address
from warren.proto.refusal import Refusal

LARGEST = 65536  # bytes of an answer; descriptions of routers have some thousand
_URL = re.compile(r"http://([0-9.]{7,15})(?::([0-9]{1,5}))?(/[!-~]{0,255})?", re.ASCII)
_PATH = re.compile(r"[!-~]{1,255}", re.ASCII)
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]{0,200})?\r?\n")


@dataclass(frozen=True, slots=True)
class Page:
    """Something at an HTTP server that is the router itself."""

    at: Address
    path: str


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: its status, and its body without the packing."""

    status: int
    body: bytes


def page(url: str, router: IPv4Address) -> Page | None:
    """Read a URL; None unless it leads to the router."""
    found = _URL.fullmatch(url.strip())
    if found is None or found[1] != str(router):
        return None
    port = int(found[2] or 80)
    return Page(Address(router, port), found[3] or "/") if 0 < port < 65536 else None


def beside(base: Page, reference: str) -> Page | None:
    """Read a reference in a page, which is another path there or a URL; None unless it leads to the router."""
    reference = reference.strip()
    if reference.startswith("http:"):
        return page(reference, IPv4Address(str(base.at.ip)))
    if not _PATH.fullmatch(reference) or "://" in reference:
        return None
    if reference.startswith("/"):
        return Page(base.at, reference)
    return Page(base.at, base.path.rpartition("/")[0] + "/" + reference)


def get(what: Page) -> bytes:
    """Write a request for a page."""
    return _request("GET", what, ())


def post(what: Page, headers: tuple[str, ...], body: bytes) -> bytes:
    """Write a request that carries something."""
    return _request("POST", what, (*headers, f"Content-Length: {len(body)}")) + body


def _request(method: str, what: Page, headers: tuple[str, ...]) -> bytes:
    lines = (f"{method} {what.path} HTTP/1.1", f"Host: {what.at}", "Connection: close", *headers, "", "")
    return "\r\n".join(lines).encode("ascii")


def parse(data: bytes) -> Response | Refusal:
    """Read an answer that was read to its end; Refusal if it is none, or not whole."""
    if len(data) > LARGEST:
        return Refusal.LENGTH
    status = _STATUS.match(data)
    if status is None:
        return Refusal.FOREIGN
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator:
        return Refusal.LENGTH
    headers = _headers(head[status.end() :])
    if "chunked" in headers.get("transfer-encoding", "").lower():
        whole = _chunks(body)
        return Response(int(status[1]), whole) if whole is not None else Refusal.LENGTH
    length = headers.get("content-length", "")
    if length.isascii() and length.isdecimal() and len(length) <= 6:
        if len(body) < int(length):
            return Refusal.LENGTH
        body = body[: int(length)]
    return Response(int(status[1]), body)


def complete(data: bytes) -> bool:
    """Say whether an answer is whole, so that nobody waits for a server to close that does not think of it."""
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator:
        return False
    headers = _headers(head)
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return _chunks(body) is not None
    length = headers.get("content-length", "")
    return length.isascii() and length.isdecimal() and len(length) <= 6 and len(body) >= int(length)


def _headers(head: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in head.decode("latin-1").split("\r\n")[:64]:
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip().lower(), value.strip())
    return found


def _chunks(body: bytes) -> bytes | None:
    parts: list[bytes] = []
    at = 0
    while True:
        end = body.find(b"\r\n", at)
        size = body[at:end].partition(b";")[0].strip() if end >= 0 else b""
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,5}", size):
            return None
        count = int(size, 16)
        if not count:
            return b"".join(parts)
        at = end + 2
        if body[at + count : at + count + 2] != b"\r\n":
            return None
        parts.append(body[at : at + count])
        at += count + 2
