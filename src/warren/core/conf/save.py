"""`save`: write what a living device is into its conf, and leave the rest as its owner wrote it.

wg-quick writes the file anew and loses every comment, search domain and host name. Here a line whose value still
holds stays as it is; one whose value changed keeps its key and its comment; what is missing is added at the end of
its section; the section of a peer that is gone goes, with the comment right above it. An endpoint written as a host
name stays: the address it stands for today is the resolver's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from warren.core.conf.lines import INTERFACE, PEER, Line, lines_of
from warren.core.conf.values import endpoint_of, interface_of, keepalive_of, mark_of, prefix_of
from warren.model.prefix import Interface


def save_conf(text: str, shown: str, addresses: Sequence[Interface], *, mtu: int = 0, own_mark: int = 0) -> str:
    """Bring a conf's text up to date and return it.

    `shown` is what `wg showconf` prints of the device, keys included. `addresses` and `mtu` (bytes, written only
    where the conf has an MTU) are the device's; `own_mark` is a mark that warren chose by itself, which is not saved.
    """
    live = _blocks(shown)
    page = _Page(text)
    written = _blocks(text)
    interface = _merged(block for block in written if block.section == INTERFACE)
    device = _merged(block for block in live if block.section == INTERFACE)
    if interface is not None and device is not None:
        _save_interface(page, interface, device, addresses, mtu, own_mark)
    peers = {block.public_key: block for block in live if block.section == PEER}
    seen: set[str] = set()
    for block in written:
        if block.section != PEER:
            continue
        if block.public_key in seen or block.public_key not in peers:
            page.drop(block)
            continue
        seen.add(block.public_key)
        _save_peer(page, block, peers[block.public_key])
    for key, block in peers.items():
        if key not in seen:
            page.append(["[Peer]", *(f"{line.key} = {line.value}" for line in block.lines)])
    return page.text()


@dataclass(slots=True)
class _Block:
    """One section: its heading's line number (1 on), its settings, and where its last one stands."""

    section: str
    start: int
    lines: list[Line] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.lines[-1].number if self.lines else self.start

    @property
    def public_key(self) -> str:
        return self.value("publickey")

    def all(self, key: str) -> list[Line]:
        return [line for line in self.lines if line.key.lower() == key]

    def value(self, key: str) -> str:
        found = self.all(key)
        return "".join(found[-1].value.split()) if found else ""


def _blocks(text: str) -> list[_Block]:
    blocks: list[_Block] = []
    for line in lines_of(text):
        if line.heading:
            blocks.append(_Block(line.section, line.number))
        elif blocks and line.assigned:
            blocks[-1].lines.append(line)
    return blocks


def _merged(blocks: Iterable[_Block]) -> _Block | None:
    """Take several [Interface] sections as the one they are."""
    every = list(blocks)
    if not every:
        return None
    lines = sorted((line for block in every for line in block.lines), key=lambda line: line.number)
    return _Block(INTERFACE, every[0].start, lines)


class _Page:
    """A text being edited by its line numbers."""

    def __init__(self, text: str) -> None:
        self.raw = text.split("\n")
        self.put: dict[int, str | None] = {}
        self.after: dict[int, list[str]] = {}
        self.tail: list[str] = []

    def set(self, block: _Block, key: str, value: str) -> None:
        """Give a key one value: in its last line, if it has one; its other lines go."""
        lines = block.all(key.lower())
        if not lines:
            self.after.setdefault(block.end, []).append(f"{key} = {value}")
            return
        for line in lines[:-1]:
            self.put[line.number] = None
        self.replace(lines[-1], value)

    def replace(self, line: Line, value: str) -> None:
        """Write another value into a line, and keep what stands around it."""
        raw, at = self.raw[line.number - 1], line.at - 1
        self.put[line.number] = raw[:at] + value + raw[at + len(line.value) :]

    def drop(self, block: _Block) -> None:
        """Take a section out, with the comment right above its heading and the empty lines below."""
        first, last = block.start, block.end
        while first > 1 and self.raw[first - 2].lstrip().startswith("#"):
            first -= 1
        while last < len(self.raw) - 1 and not self.raw[last].strip():
            last += 1
        for number in range(first, last + 1):
            self.put[number] = None

    def append(self, lines: Sequence[str]) -> None:
        """Add a section at the end."""
        self.tail += ["", *lines]

    def text(self) -> str:
        """Give the edited text."""
        kept: list[str] = []
        for number, raw in enumerate(self.raw, 1):
            line = self.put.get(number, raw)
            if line is not None:
                kept.append(line)
            kept += self.after.get(number, [])
        while kept and not kept[-1].strip():
            kept.pop()
        return "\n".join([*kept, *self.tail, ""])


def _save_interface(
    page: _Page, block: _Block, live: _Block, addresses: Sequence[Interface], mtu: int, own_mark: int
) -> None:
    _save_addresses(page, block, addresses)
    for key in ("ListenPort", "PrivateKey"):
        value = live.value(key.lower())
        if value and value != block.value(key.lower()) and not _names_a_service(key, block):
            page.set(block, key, value)
    mark = mark_of(live.value("fwmark") or "off")
    if mark != mark_of(block.value("fwmark") or "off") and mark != own_mark:
        page.set(block, "FwMark", f"{mark:#x}" if mark else "off")
    if mtu and block.all("mtu") and block.value("mtu") != str(mtu):
        page.set(block, "MTU", str(mtu))


def _names_a_service(key: str, block: _Block) -> bool:
    written = block.value(key.lower())
    return key == "ListenPort" and bool(written) and not written.isdecimal()


def _save_addresses(page: _Page, block: _Block, addresses: Sequence[Interface]) -> None:
    """Take out what is gone and add what is new; a line none of whose words changed stays."""
    written: set[Interface] = set()
    live = set(addresses)
    lines = block.all("address")
    for line in lines:
        words = line.value.replace(",", " ").split()
        kept = [word for word in words if interface_of(word) in live]
        written.update(map(interface_of, kept))
        if not kept and words:
            page.put[line.number] = None
        elif kept != words:
            page.replace(line, ", ".join(kept))
    new = [f"Address = {address}" for address in addresses if address not in written]
    at = lines[-1].number if lines else block.start
    page.after.setdefault(at, []).extend(new)


def _save_peer(page: _Page, block: _Block, live: _Block) -> None:
    if _allowed(block) != _allowed(live):
        page.set(block, "AllowedIPs", ", ".join(line.value for line in live.all("allowedips")))
    for key in ("PresharedKey", "Endpoint"):
        value = live.value(key.lower())
        if value and not _same(key, block.value(key.lower()), value):
            page.set(block, key, value)
    if not live.value("presharedkey"):
        for line in block.all("presharedkey"):
            page.put[line.number] = None
    keepalive = keepalive_of(live.value("persistentkeepalive") or "off")
    if keepalive != keepalive_of(block.value("persistentkeepalive") or "off"):
        page.set(block, "PersistentKeepalive", str(keepalive or "off"))


def _allowed(block: _Block) -> set[object]:
    """Give a section's allowed prefixes, with + and - carried out."""
    found: set[object] = set()
    for line in block.all("allowedips"):
        for word in filter(None, "".join(line.value.split()).split(",")):
            prefix, _ = prefix_of(word.lstrip("+-"))
            if word.startswith("-"):
                found.discard(prefix)
            else:
                found.add(prefix)
    return found


def _same(key: str, written: str, live: str) -> bool:
    """Say whether a written value still holds: equal, or a host name, which stands for any address."""
    if not written or key != "Endpoint":
        return written == live
    host, _, port = written.rpartition(":")
    if not port.isdecimal() or not (host.startswith("[") or host.replace(".", "").isdecimal()):
        return True
    return endpoint_of(written, _no_name) == endpoint_of(live, _no_name)


def _no_name(_: str) -> None:
    """Find no service: live endpoints have numbers."""
