"""Resolvers for tests, in this process: by UDP and TCP, TLS and HTTPS, and as untrue as a test wants them."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded

LOCAL = "127.0.0.1"
Says = Callable[[dns.message.Message], dns.message.Message | None]


def saying(*addresses: str) -> Says:
    """Answer every A and AAAA question with the addresses of its family."""

    def says(query: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(query, recursion_available=True)
        asked = query.question[0]
        kind = dns.rdatatype.to_text(asked.rdtype)
        own = [one for one in addresses if (":" in one) is (kind == "AAAA")] if kind in ("A", "AAAA") else []
        if own:
            reply.answer.append(dns.rrset.from_text(asked.name, 60, "IN", kind, *own))
        return reply

    return says


@dataclass
class Answering:
    """One resolver: what it was asked, and on which port it is."""

    says: Says
    heard: list[str] = field(default_factory=list)
    ports: set[int] = field(default_factory=set)
    port: int = 0

    def answer(self, data: bytes, room: int = 65535) -> bytes | None:
        """Answer one message."""
        query = dns.message.from_wire(data)
        self.heard.append(query.question[0].name.to_text().lower())
        reply = self.says(query)
        if reply is None:
            return None
        wire = reply.to_wire(max_size=65535)
        if len(wire) > room:
            cut = dns.message.make_response(query)
            cut.flags |= dns.flags.TC
            wire = cut.to_wire()
        return wire

    async def by_udp(self) -> Answering:
        """Answer datagrams, and the same port by TCP."""
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._stream, LOCAL, 0)
        self.port = server.sockets[0].getsockname()[1]
        await loop.create_datagram_endpoint(lambda: _Datagrams(self), (LOCAL, self.port))
        return self

    async def by_tls(self, context: ssl.SSLContext) -> Answering:
        """Answer by TLS."""
        server = await asyncio.start_server(self._stream, LOCAL, 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        return self

    async def by_https(self, context: ssl.SSLContext) -> Answering:
        """Answer POSTs of HTTP/2."""
        context.set_alpn_protocols(["h2"])
        server = await asyncio.start_server(self._http, LOCAL, 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        return self

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                answer = self.answer(await reader.readexactly(size))
                if answer is not None:
                    writer.write(len(answer).to_bytes(2, "big") + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        http.initiate_connection()
        bodies: dict[int, bytes] = {}
        while True:
            writer.write(http.data_to_send())
            data = await reader.read(65536)
            if not data:
                return
            for event in http.receive_data(data):
                if isinstance(event, RequestReceived):
                    head = dict(event.headers)
                    assert (head[":method"], head[":path"]) == ("POST", "/dns-query"), head
                    bodies[event.stream_id] = b""
                elif isinstance(event, DataReceived):
                    bodies[event.stream_id] += event.data
                elif isinstance(event, StreamEnded):
                    answer = self.answer(bodies.pop(event.stream_id)) or b""
                    http.send_headers(event.stream_id, [(":status", "200")])
                    http.send_data(event.stream_id, answer, end_stream=True)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, of: Answering) -> None:
        self.of = of

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.of.ports.add(addr[1])
        answer = self.of.answer(data, room=1232)
        if answer is not None:
            self.transport.sendto(answer, addr)


def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, Path]:
    """Make a certificate that vouches for itself: a server's context with it, and the file that a client trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a resolver of a test")])
    now = datetime.datetime.now(datetime.UTC)
    stands_for = [x509.IPAddress(ip_address(LOCAL))] if not names else [x509.DNSName(name) for name in names]
    made = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(stands_for), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "cert.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public
