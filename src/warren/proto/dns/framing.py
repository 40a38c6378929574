"""Messages on a stream: by their length (TCP and TLS: RFC 7766, RFC 7858), or as requests of HTTP/2 (RFC 8484)."""

from __future__ import annotations

from typing import Protocol

MOST_BUFFERED = 1 << 17  # bytes of answers that are not whole yet


class BrokenStream(Exception):
    """What came by a stream is not what should."""


class Framing(Protocol):
    """How messages stand in a stream; bytes to be sent pile up until they are taken."""

    def put(self, message: bytes) -> None:
        """Say a message."""

    def to_send(self) -> bytes:
        """Take the bytes that are to be sent."""

    def receive(self, data: bytes) -> list[bytes]:
        """Take bytes that came, and give the messages that are whole; BrokenStream ends it all."""


class ByLength:
    """Each message after its length in two bytes."""

    def __init__(self) -> None:
        self._out, self._in = bytearray(), bytearray()

    def put(self, message: bytes) -> None:
        """Say a message."""
        self._out += len(message).to_bytes(2, "big") + message

    def to_send(self) -> bytes:
        """Take the bytes that are to be sent."""
        out, self._out = bytes(self._out), bytearray()
        return out

    def receive(self, data: bytes) -> list[bytes]:
        """Take bytes that came, and give the messages that are whole."""
        self._in += data
        whole = []
        while len(self._in) >= 2 and len(self._in) >= 2 + (size := int.from_bytes(self._in[:2], "big")):
            whole.append(bytes(self._in[2 : 2 + size]))
            del self._in[: 2 + size]
        return whole


class ByHttp2:
    """Each message the body of a POST, its answer the body of what comes back."""

    def __init__(self, authority: str, path: str) -> None:
        from h2.config import H2Configuration  # loaded where somebody speaks HTTPS, and nowhere else
        from h2.connection import H2Connection

        self._http = H2Connection(H2Configuration(header_encoding=None))
        self._http.initiate_connection()
        self._head = (
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", authority),
            (":path", path),
            ("accept", "application/dns-message"),
            ("content-type", "application/dns-message"),
        )
        self._bodies: dict[int, bytearray] = {}

    def put(self, message: bytes) -> None:
        """Say a message; BrokenStream if the other side takes no more of them."""
        from h2.exceptions import H2Error

        try:
            stream = self._http.get_next_available_stream_id()
            self._http.send_headers(stream, (*self._head, ("content-length", str(len(message)))))
            self._http.send_data(stream, message, end_stream=True)
        except H2Error as error:
            raise BrokenStream(str(error)) from error
        self._bodies[stream] = bytearray()

    def to_send(self) -> bytes:
        """Take the bytes that are to be sent."""
        return self._http.data_to_send()

    def receive(self, data: bytes) -> list[bytes]:
        """Take bytes that came, and give the bodies that are whole; what was answered with an error has none."""
        from h2 import events
        from h2.exceptions import H2Error

        whole = []
        try:
            for event in self._http.receive_data(data):
                if isinstance(event, events.ConnectionTerminated):
                    raise BrokenStream("the other side ends it")
                stream = getattr(event, "stream_id", None)
                if isinstance(event, events.ResponseReceived) and dict(event.headers or ()).get(b":status") != b"200":
                    self._bodies.pop(event.stream_id or 0, None)
                elif isinstance(event, events.DataReceived) and stream in self._bodies:
                    self._bodies[stream] += event.data or b""
                    self._http.acknowledge_received_data(event.flow_controlled_length or 0, stream)
                elif isinstance(event, events.StreamEnded) and stream in self._bodies:
                    whole.append(bytes(self._bodies.pop(stream)))
                elif isinstance(event, events.StreamReset):
                    self._bodies.pop(event.stream_id or 0, None)
        except H2Error as error:
            raise BrokenStream(str(error)) from error
        if sum(map(len, self._bodies.values())) > MOST_BUFFERED:
            raise BrokenStream("answers that do not end")
        return whole
