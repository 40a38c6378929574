"""One file over HTTPS: bounded in size and time, asked for only if it changed."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO

from warren import __version__
from warren.sys.errors import HostError

SILENCE = 20.0  # seconds without a byte
LONGEST = 300.0  # seconds for a whole file
BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a server gave: `data` None means that what the caller has (`etag`) is still the newest."""

    data: bytes | None
    etag: str


class NotThere(HostError):
    """The server has no such file (404 or 410)."""


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Follow a redirect only to another HTTPS address: data that decides where packets go is not read in the clear."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://"):
            raise urllib.error.URLError(f"it redirects to {newurl}, which is not HTTPS")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(url: str, most_bytes: int, etag: str = "", progress: Callable[[int], None] = lambda _: None) -> Fetched:
    """Get a file; HostError says why that could not be, NotThere that the server has none.

    `etag` is that of the copy at hand; `progress` is called with the bytes read so far.
    """
    if not url.startswith("https://"):
        raise HostError(f"{url} is not an HTTPS address", "Give one that begins with https://, or a file: --from FILE.")
    request = urllib.request.Request(
        url, headers={"User-Agent": f"warren/{__version__}", "Accept-Encoding": "identity"}
    )
    if etag:
        request.add_header("If-None-Match", etag)
    try:
        with urllib.request.build_opener(_OnlyHttps).open(request, timeout=SILENCE) as answer:
            return Fetched(_read(answer, most_bytes, url, progress), answer.headers.get("ETag", ""))
    except urllib.error.HTTPError as error:
        if error.code == 304:
            return Fetched(None, etag)
        kind = NotThere if error.code in (404, 410) else HostError
        raise kind(f"{url}: the server says {error.code} {error.reason}", "Try again later, or --mirror URL.") from None
    except urllib.error.URLError as error:
        why = error.reason if isinstance(error.reason, str) else str(error.reason)
        raise HostError(
            f"{url} cannot be read: {why}", "Is this host online? --mirror URL names another server."
        ) from None
    except (OSError, HTTPException) as error:
        raise HostError(f"{url}: the transfer broke off: {str(error) or type(error).__name__}", "Try again.") from None


def _read(answer: HTTPResponse, most_bytes: int, url: str, progress: Callable[[int], None]) -> bytes:
    ends = time.monotonic() + LONGEST
    data = bytearray()
    while block := answer.read1(BLOCK):  # what is there: `read` would wait for a whole block, however slowly it comes
        data += block
        if len(data) > most_bytes:
            raise HostError(f"{url} has more than {most_bytes:,} bytes", "This is not the file that belongs there.")
        if time.monotonic() > ends:
            raise HostError(f"{url} was not through after {LONGEST:.0f} s", "Try again, or --mirror URL.")
        progress(len(data))
    length = answer.headers.get("Content-Length", "")
    if length.isdigit() and len(data) != int(length):
        raise HostError(f"{url}: the transfer broke off after {len(data):,} of {int(length):,} bytes", "Try again.")
    return bytes(data)
