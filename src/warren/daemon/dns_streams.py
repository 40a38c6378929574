"""One connection to a resolver that is spoken to by a stream: opened when somebody asks, closed when nobody does."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress

from warren.model.dns import Transport
from warren.proto.dns.framing import BrokenStream, ByHttp2, ByLength, Framing
from warren.sys.dns_socket import Target, open_socket

CONNECTING = 3.0  # seconds until a connection must stand, with its certificate shown
IDLE = 10.0  # seconds for which one is kept that nobody uses
MOST_WAITING = 512

Got = Callable[[int, bytes], None]  # takes a flow and what came for it
Failed = Callable[[int], None]


class Stream:
    """Asks one resolver by TCP, TLS or HTTPS; several questions share the connection, and its answers any order."""

    def __init__(self, target: Target, transport: Transport, got: Got, failed: Failed) -> None:
        self._target, self._transport = target, transport
        self._got, self._failed = got, failed
        self._waiting: dict[int, tuple[int, bytes]] = {}  # by the number of the message: its flow, and all of it
        self._framing: Framing | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._tls: ssl.SSLContext | None = None
        if transport is not Transport.PLAIN:
            self._tls = ssl.create_default_context()
            self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
            self._tls.set_alpn_protocols(["h2"] if transport is Transport.HTTPS else ["dot"])
            "".encode("idna")  # loaded now, like everything that is loaded when it is first needed
            self._framed()

    def ask(self, flow: int, payload: bytes) -> None:
        """Send a question by the connection there is, or by a new one."""
        number = int.from_bytes(payload[:2], "big")
        if number in self._waiting or len(self._waiting) >= MOST_WAITING:
            self._failed(flow)
            return
        self._waiting[number] = flow, payload
        if self._framing is not None and self._writer is not None:
            with suppress(BrokenStream):  # whoever reads there finds out too, and asks all of it again
                self._framing.put(payload)
                self._writer.write(self._framing.to_send())
        elif self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._serve())

    def forget(self, flow: int) -> None:
        """Await nothing for a flow any more."""
        for number, (waits, _) in self._waiting.items():
            if waits == flow:
                del self._waiting[number]
                return

    async def _serve(self) -> None:
        """Connect, again where an old connection broke with questions open, and end when nobody asks."""
        while self._waiting:
            try:
                answered = await self._talk()
            except (OSError, TimeoutError, BrokenStream, ssl.SSLError):
                answered = False
            finally:
                writer, self._writer, self._framing = self._writer, None, None
                if writer is not None:
                    writer.close()
            if not answered:
                waiting, self._waiting = self._waiting, {}
                for flow, _ in waiting.values():
                    self._failed(flow)

    async def _talk(self) -> bool:
        """Say all that waits and hear until the end; tells whether anything was answered."""
        answered = False
        reader = await asyncio.wait_for(self._connect(), CONNECTING)
        assert self._writer is not None and self._framing is not None
        for _, payload in self._waiting.values():
            self._framing.put(payload)
        self._writer.write(self._framing.to_send())
        while True:
            try:
                data = await asyncio.wait_for(reader.read(65536), IDLE)
            except TimeoutError:
                return answered and not self._waiting
            if not data:
                return answered
            for message in self._framing.receive(data):
                flow, _ = self._waiting.pop(int.from_bytes(message[:2], "big"), (None, b""))
                if flow is not None:
                    answered = True
                    self._got(flow, message)
            self._writer.write(self._framing.to_send())

    async def _connect(self) -> asyncio.StreamReader:
        bare = open_socket(self._target, stream=True)
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(bare, self._target.where)
            name = (self._target.name or self._target.host) if self._tls is not None else None
            reader, self._writer = await asyncio.open_connection(sock=bare, ssl=self._tls, server_hostname=name)
        except BaseException:
            bare.close()
            raise
        self._framing = self._framed()
        return reader

    def _framed(self) -> Framing:
        if self._transport is Transport.HTTPS:
            return ByHttp2(self._target.authority, self._target.path)
        return ByLength()
