"""`warren dns`: sockets and a clock for the resolver between two sides, which decides everything itself (proto/dns).

Every question to a resolver has a socket of its own, so its port is the kernel's choice and nobody's guess, bound to
the device by which its side is asked. It runs as nobody, answers at one loopback address, and writes nothing.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from contextlib import suppress
from typing import Any, NoReturn

from warren.core.dns_config import DnsConfig
from warren.daemon.dns_streams import Stream
from warren.model.dns import Transport
from warren.proto.dns.job import Send
from warren.proto.dns.judge import Judge, set_of
from warren.proto.dns.message import wire_name
from warren.proto.dns.policy import Policy, Side, Upstream
from warren.proto.dns.resolver import Resolver
from warren.sys.dns_socket import Target, be_called, become, listen_at, open_socket

PROGRAM = "warren-dns"
LARGEST = 65535
AT_ONCE = 64  # datagrams read before others get their turn
TCP_PATIENCE = 10.0  # seconds for which a client's connection may say nothing
MOST_TCP = 128  # connections of clients


def policy_of(config: DnsConfig) -> Policy:
    """Put a configuration into the words of the resolver."""
    names = dict.fromkeys(map(wire_name, config.domestic_names), Side.DOMESTIC)
    names |= dict.fromkeys(map(wire_name, config.trusted_names), Side.TRUSTED)
    upstreams = tuple(
        Upstream(Side.DOMESTIC if one.domestic else Side.TRUSTED, one.resolver.transport is not Transport.PLAIN)
        for one in config.asked
    )
    judge = Judge(set_of(config.domestic)) if config.judged else None
    return Policy(upstreams, judge, names, config.fast)


def serve(config: DnsConfig, user: str) -> NoReturn:
    """Answer until ended; HostError if its address is taken."""
    udp, tcp = listen_at(config.address, config.port)
    be_called(PROGRAM)
    shell = Shell(config, udp, tcp)  # with all it will need: nobody may not be able to read where we lie
    become(user)
    gc.freeze()  # a country's prefixes are not looked through again and again
    asyncio.run(shell.run())
    raise AssertionError("it ends with the process")


class Shell:
    """The sockets of one resolver."""

    def __init__(self, config: DnsConfig, udp: socket.socket, tcp: socket.socket) -> None:
        self.resolver = Resolver(policy_of(config), os.urandom)
        self._targets = [
            Target(one.resolver.address, one.resolver.port, one.device, one.resolver.name, one.resolver.path)
            for one in config.asked
        ]
        self._transports = [one.resolver.transport for one in config.asked]
        self._udp, self._tcp = udp, tcp
        self._sockets: dict[int, socket.socket] = {}
        ways = zip(self._targets, self._transports, strict=True)
        self._streams = [Stream(target, transport, self._got, self._failed) for target, transport in ways]
        self._by_stream: dict[int, Stream] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._callers = 0

    async def run(self) -> None:
        """Serve for ever."""
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(self._udp.fileno(), self._hear_clients)
        server = await asyncio.start_server(self._hear_caller, sock=self._tcp)
        await server.serve_forever()

    # --- whoever asks ----------------------------------------------------------------------------------------

    def _hear_clients(self) -> None:
        now = self.loop.time()
        for _ in range(AT_ONCE):
            try:
                data, client = self._udp.recvfrom(LARGEST)
            except OSError:  # there is no more for now
                break
            self.resolver.ask(data, client, now)
        self._work()

    async def _hear_caller(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._callers += 1
        try:
            while self._callers <= MOST_TCP:
                size = await asyncio.wait_for(reader.readexactly(2), TCP_PATIENCE)
                data = await asyncio.wait_for(reader.readexactly(int.from_bytes(size, "big")), TCP_PATIENCE)
                self.resolver.ask(data, writer, self.loop.time(), whole=True)
                self._work()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return  # the caller has gone, or says nothing
        finally:
            self._callers -= 1
            writer.close()

    def _tell(self, client: Any, data: bytes) -> None:
        if isinstance(client, asyncio.StreamWriter):
            client.write(len(data).to_bytes(2, "big") + data)
        else:
            with suppress(OSError):  # who asked is not there any more
                self._udp.sendto(data, client)

    # --- whoever is asked ------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Do all that the resolver wants done, and have it woken when it wants to be."""
        while sends := self.resolver.to_send():
            for one in sends:
                self._send(one)
        for flow in self.resolver.to_close():
            self._close(flow)
        for client, data in self.resolver.to_answer():
            self._tell(client, data)
        due = self.resolver.next_timer()
        if self._timer is not None and self._timer.when() != due:
            self._timer.cancel()
            self._timer = None
        if due is not None and self._timer is None:
            self._timer = self.loop.call_at(due, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.resolver.tick(self.loop.time())
        self._work()

    def _send(self, one: Send) -> None:
        if one.stream:
            stream = self._by_stream[one.flow] = self._streams[one.upstream]
            stream.ask(one.flow, one.payload)
            return
        try:
            made = open_socket(self._targets[one.upstream], stream=False)
        except OSError:  # its device is not there
            self.resolver.fail(one.flow, self.loop.time())
            return
        self._sockets[one.flow] = made
        try:
            made.connect(self._targets[one.upstream].where)
            made.send(one.payload)
        except OSError:  # there is no way to it
            self.resolver.fail(one.flow, self.loop.time())
            return
        self.loop.add_reader(made.fileno(), self._hear, one.flow, made)

    def _hear(self, flow: int, made: socket.socket) -> None:
        try:
            data = made.recv(LARGEST)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # refused
            self._failed(flow)
            return
        self._got(flow, data)

    def _got(self, flow: int, data: bytes) -> None:
        self.resolver.receive(flow, data, self.loop.time())
        self._work()

    def _failed(self, flow: int) -> None:
        self.resolver.fail(flow, self.loop.time())
        self._work()

    def _close(self, flow: int) -> None:
        stream = self._by_stream.pop(flow, None)
        if stream is not None:
            stream.forget(flow)
        made = self._sockets.pop(flow, None)
        if made is not None:
            self.loop.remove_reader(made.fileno())
            made.close()
