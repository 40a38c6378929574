"""`strip` prints what `wg-quick strip` prints, byte for byte."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from warren.core.conf.strip import strip_conf

TEXTS = {
    "tidy": b"""# my tunnel
[Interface]
Address = 10.0.0.1/24
  PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=  # key
DNS = 1.1.1.1
PostUp = echo a # b
saveconfig = true

[Peer]
# phone
\tPublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
AllowedIPs = 0.0.0.0/0
""",
    "no newline at the end": b"[Interface]\nMTU=1\nListenPort=5",
    "odd": b"Address = outside\n[ Interface ]\nAddress = 1\n[INTERFACE] # yes\nADDRESS=1\nAddress\n"
    b"#DNS = 3\n[Peer]\nDNS=2\n",
    "line ends": b"[Interface]\r\nAddress = 10.0.0.1/24\r\nListenPort = 5\r\n\r\n",
    "latin-1": b"[Interface]\n# Z\xfcrich\nTable = off\nFwMark = 1\n",
    "empty": b"",
}


@pytest.mark.skipif(shutil.which("wg-quick") is None, reason="wg-quick is not installed")
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_strip_prints_what_wg_quick_prints(text: bytes, tmp_path: Path) -> None:
    conf = tmp_path / "wg0.conf"
    conf.write_bytes(text)
    theirs = subprocess.run(["wg-quick", "strip", str(conf)], capture_output=True, timeout=30)
    assert theirs.returncode == 0, theirs.stderr
    assert strip_conf(text) == theirs.stdout


def test_only_what_wg_does_not_know_goes() -> None:
    kept = strip_conf(TEXTS["tidy"]).decode().split("\n")
    assert [line for line in kept if line] == [
        "# my tunnel",
        "[Interface]",
        "PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=  # key",
        "[Peer]",
        "# phone",
        "PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
        "AllowedIPs = 0.0.0.0/0",
    ]
