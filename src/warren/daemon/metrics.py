"""Counters for Prometheus, in its text format, on an address of choice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from warren.sys.errors import HostError

# name, kind, help, then each value with its labels
Metric = tuple[str, str, str, Iterable[tuple[str, float]]]
LONGEST = 4096  # bytes of a request that are read
PATIENCE = 5.0  # seconds that a reader may take


def as_text(metrics: Iterable[Metric]) -> str:
    """Write the text exposition format; labels come as `{name="value"}` or empty."""
    lines = []
    for name, kind, says, values in metrics:
        lines += [f"# HELP {name} {says}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{labels} {value:g}" for labels, value in values]
    return "\n".join(lines) + "\n"


async def serve(host: str, port: int, text: Callable[[], str]) -> asyncio.Server:
    """Answer GET /metrics; HostError if the address cannot be had."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await asyncio.wait_for(reader.readuntil(b"\r\n"), PATIENCE)
            found = request.startswith((b"GET /metrics ", b"GET / "))
            body = (text() if found else "not found\n").encode()
            head = f"HTTP/1.0 {'200 OK' if found else '404 Not Found'}\r\nContent-Length: {len(body)}\r\n"
            writer.write(f"{head}Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n\r\n".encode() + body)
            await asyncio.wait_for(writer.drain(), PATIENCE)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return  # whoever asked has gone, or never said what it wants
        finally:
            writer.close()

    try:
        return await asyncio.start_server(answer, host, port, limit=LONGEST)
    except OSError as error:
        raise HostError(f"cannot give metrics at {host} port {port}: {error.strerror or error}") from None
