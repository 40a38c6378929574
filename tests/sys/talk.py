"""TCP conversations between boxes: an echo that tells the address it sees, and a client that is spoken to by line."""

from __future__ import annotations

import select
import subprocess
import sys
from types import TracebackType

from tests.sys.boxes import Box

_SERVER = """
import socket, sys, threading
def serve(connection, peer):
    with connection, connection.makefile("rw") as lines:
        for line in lines:
            lines.write(f"{peer[0]} {line}")
            lines.flush()
sock = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
print("listening", flush=True)
while True:
    connection, peer = sock.accept()
    threading.Thread(target=serve, args=(connection, peer), daemon=True).start()
"""
_CLIENT = """
import socket, sys
source = (sys.argv[3], 0) if sys.argv[3] else None
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20, source_address=source)
lines = sock.makefile("rw")
print("connected", flush=True)
for line in sys.stdin:
    lines.write(line)
    lines.flush()
    print(lines.readline().removeprefix("::ffff:"), end="", flush=True)
"""


class Echo:
    """A TCP server in a box, at every address; it answers each line with the sender's address and the line."""

    def __init__(self, box: Box, port: int) -> None:
        self.process = box.popen(sys.executable, "-c", _SERVER, str(port), stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "listening\n"


class Talk:
    """An open TCP connection from a box, from an address of its own if one is named."""

    def __init__(self, box: Box, address: str, port: int, source: str = "") -> None:
        self.process = box.popen(
            sys.executable, "-c", _CLIENT, address, str(port), source, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._line(25) == "connected"

    def say(self, word: str, within: float = 25) -> str | None:
        """Send a line and give the address that the other side saw it come from; None if no answer came in time."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        answer = self._line(within)
        if answer is None:
            return None
        address, _, echoed = answer.partition(" ")
        assert echoed == word
        return address

    def _line(self, within: float) -> str | None:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], within)
        return self.process.stdout.readline().strip() or None if ready else None

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
