"""A device's conf as a QR code, as the WireGuard apps of phones read it with their camera.

The code holds the whole conf, its private key too, so its pictures are as secret as the conf. An app makes its own
routes from the allowed IPs and knows no hooks, rules or firewall: whatever a host needs of these is said.

A code holds 2,953 bytes at most (ISO/IEC 18004): enough for some twenty peers.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

from warren.core.render.conf import conf_text
from warren.core.render.tree import SECRET_MODE, File, Form, Rendered, unspoken
from warren.core.render.unsaid import Unsaid
from warren.core.render.wgquick import is_plain
from warren.model.state import HostState

MOST = 2953  # bytes in a code of version 40 with the least error correction
QUIET = 4  # modules of light around the code that the standard asks for
SPOKEN = ("routes", "dns", "rules", "tables", "sysctls", "consents", "forget", "hooks")
_PAINT = "\x1b[97;40m{}\x1b[0m"
_HALVES = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}  # a dark module is empty


def render_qr(state: HostState) -> Rendered:
    """Render each device of a state as a code: for the terminal, as SVG and as PNG."""
    files = []
    for interface in state.interfaces:
        text, secrets = conf_text(state, interface, plain=True)
        for form, ending in ((Form.TERMINAL, "txt"), (Form.SVG, "svg"), (Form.PNG, "png")):
            name = state.host if state.is_conf else interface.name  # the tunnels of all stock devices are called alike
            files.append(File(f"{name}.{ending}", text, SECRET_MODE, secrets, form))
    unsaid = () if is_plain(state) else tuple(_lost(state))
    steps = tuple(f"scan {interface.name} with the WireGuard app of {state.host}" for interface in state.interfaces)
    return Rendered(tuple(files), (*unsaid, *unspoken(state, "qr", SPOKEN)), steps)


def _lost(state: HostState) -> Iterator[Unsaid]:
    """Name what a network's host does and an app does not."""
    remedy = f"render {state.host} as wg-quick, or run warren there"
    for table in state.tables:
        yield Unsaid(f"the firewall of {state.host} ({table.family} {table.name})", "an app has none", remedy)
    if state.rules:
        yield Unsaid(f"{len(state.rules)} rules of routing", "an app makes routes from allowed IPs alone", remedy)
    for setting in state.sysctls:
        yield Unsaid(f"{setting.name}={setting.value}", f"an app sets nothing, but {setting.why}", remedy)
    for rule in state.consents:
        yield Unsaid(f"`firewall: {rule.tool}` ({rule.direction} {rule.device})", "an app has none", remedy)
    if len(state.interfaces) > 1:
        yield Unsaid("more than one tunnel at a time", "an app has one up and no other", remedy)


def drawn(form: Form, text: str) -> bytes:
    """Turn a file's text into its bytes: itself, or a code of it. ValueError where that would be too long."""
    if form is Form.TEXT:
        return text.encode()
    import segno

    try:
        code = segno.make_qr(text, error="l", mode="byte", encoding="utf-8")
    except segno.DataOverflowError:
        raise ValueError(f"a QR code holds {MOST} bytes, and this conf has {len(text.encode())}") from None
    if form is Form.TERMINAL:
        return terminal(tuple(tuple(bool(dark) for dark in row) for row in code.matrix_iter(border=QUIET))).encode()
    out = BytesIO()
    code.save(out, kind=form.value, border=QUIET, scale=6, light="white")  # whatever it is shown on
    return out.getvalue()


def terminal(rows: tuple[tuple[bool, ...], ...]) -> str:
    """Draw rows of dark modules, two to a line. Light is what is printed, for most terminals are dark."""
    lines = []
    for at in range(0, len(rows), 2):
        upper = rows[at]
        lower = rows[at + 1] if at + 1 < len(rows) else (True,) * len(upper)  # below the code there is nothing
        line = "".join(_HALVES[pair] for pair in zip(upper, lower, strict=True))
        lines.append(_PAINT.format(line) + "\n")
    return "".join(lines)
