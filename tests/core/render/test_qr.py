"""QR codes, read back by zbar, which shares no line with what drew them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.core.render.golden import check, rendered
from tests.core.render.states import nyc
from warren.core.load import load
from warren.core.render.qr import MOST, drawn, render_qr
from warren.core.render.subject import state_of
from warren.core.render.tree import Form, filled
from warren.model.key import encode_key
from warren.model.state import HostState

KEY = encode_key(bytes([8] * 31 + [64]))
LIGHT = {"█": (True, True), "▀": (True, False), "▄": (False, True), " ": (False, False)}
SCALE = 4


def read(picture: Path) -> str:
    done = subprocess.run(
        ["zbarimg", "--quiet", "--raw", "--oneshot", "-Sbinary", "-Sdisable", "-Sqrcode.enable", str(picture)],
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def of_terminal(art: str) -> bytes:
    """Turn what a terminal shows into a picture."""
    rows: list[list[bool]] = []
    for line in art.splitlines():
        shown = re.sub(r"\x1b\[[0-9;]*m", "", line)
        assert len(shown) == len(art.splitlines()[0]) - len("\x1b[97;40m\x1b[0m")
        rows += [[LIGHT[char][half] for char in shown] for half in (0, 1)]
    return photographed(rows)


def of_svg(text: str) -> bytes:
    """Draw the two paths of an SVG, which zbarimg opens only with the help of a package more: ground and strokes."""
    ground, strokes = ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}path")
    side = re.fullmatch(r"M0 0h(\d+)v\1h-\1z", ground.attrib["d"])
    assert side and (ground.attrib["fill"], strokes.attrib["stroke"]) == ("#fff", "#000")
    rows = [[True] * int(side[1]) for _ in range(int(side[1]))]
    x, y = 0, 0.0
    for command, numbers in re.findall(r"([Mmh])([-\d. ]+)", strokes.attrib["d"]):
        if command == "h":  # a line one unit thick, whose middle is at half a unit
            rows[int(y)][x : x + int(numbers)] = [False] * int(numbers)
            x += int(numbers)
        else:
            right, down = numbers.split()
            x, y = (int(right), float(down)) if command == "M" else (x + int(right), y + float(down))
    return photographed(rows)


def photographed(rows: list[list[bool]]) -> bytes:
    """Write rows of light and dark as netpbm's PGM."""
    pixels = b"".join(bytes(255 if light else 0 for light in row for _ in range(SCALE)) * SCALE for row in rows)
    return f"P5 {len(rows[0]) * SCALE} {len(rows) * SCALE} 255\n".encode() + pixels


PICTURES = {Form.TERMINAL: of_terminal, Form.SVG: of_svg}


@pytest.fixture
def conf() -> str:
    file = render_qr(HostState("phone", "portals", interfaces=nyc().interfaces[:1])).files[0]
    return filled(file, [KEY] * len(file.secrets)).text


@pytest.mark.parametrize("form", [Form.PNG, Form.SVG, Form.TERMINAL])
def test_what_is_drawn_is_read(form: Form, conf: str, tmp_path: Path) -> None:
    data = drawn(form, conf)
    picture = tmp_path / f"code.{'png' if form is Form.PNG else 'pgm'}"
    picture.write_bytes(data if form is Form.PNG else PICTURES[form](data.decode()))

    assert read(picture) == conf


def test_the_largest_code_is_read_and_a_larger_one_is_refused(tmp_path: Path) -> None:
    text = ("0123456789abcdef" * 200)[:MOST]
    picture = tmp_path / "code.png"
    picture.write_bytes(drawn(Form.PNG, text))

    assert read(picture) == text
    with pytest.raises(ValueError, match="holds 2953 bytes, and this conf has 2954"):
        drawn(Form.PNG, text + "!")


def test_a_stock_device_loses_nothing(conf: str) -> None:
    made = render_qr(HostState("phone", "portals", interfaces=nyc().interfaces[:1]))

    assert made.unsaid == ()
    assert {file.mode for file in made.files} == {0o600}
    assert "FwMark" not in conf and "Table" not in conf


def test_what_an_app_does_not_do_is_said() -> None:
    check("portals", "nyc", "qr")
    told = " ".join(map(str, rendered("portals", "nyc", "qr").unsaid))

    for item in ("inet warren-portals", "rules of routing", "net.ipv4.ip_forward=1", "more than one tunnel"):
        assert item in told


def test_a_phone_reads_its_own_conf(tmp_path: Path) -> None:
    """A device of `devices:`, from the network file to the camera."""
    text = """\
network: home
overlay: [10.77.0.0/24, "fd77:7:7::/64"]
hosts:
  cloud: {key: KoxN2ZaCrbA2YyeDci+kGcQ5AxN5SUhlp+yFtGO760w=, endpoint: "198.51.100.7:51820", uplink: eth0}
devices:
  phone: {key: dAdEvSmsHi4crePLWSvTh0WkiRIi1BNDiF1nOAYZvQQ=, into: cloud, full_tunnel: true, dns: [9.9.9.9]}
"""
    loaded = load(text.encode(), None, "home.yaml")
    assert loaded.network is not None and loaded.lock is not None
    made = render_qr(state_of(loaded.network, loaded.lock, "phone"))

    assert [file.path for file in made.files] == ["phone.txt", "phone.svg", "phone.png"]
    assert made.unsaid == ()
    (tmp_path / "code.png").write_bytes(drawn(Form.PNG, filled(made.files[2], [KEY]).text))
    lines = read(tmp_path / "code.png").splitlines()
    assert f"PrivateKey = {KEY}" in lines and "AllowedIPs = 0.0.0.0/0, ::/0" in lines and "DNS = 9.9.9.9" in lines
    assert {line.partition(" = ")[0] for line in lines if " = " in line and line[0] != "#"} <= {
        *("PrivateKey", "Address", "DNS", "MTU"),
        *("PublicKey", "AllowedIPs", "Endpoint", "PersistentKeepalive"),
    }
