"""`warren geo` against a registry's server: HTTPS on loopback, a certificate of the test's own."""

from __future__ import annotations

import hashlib
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.shapes import SHAPES, differs
from tests.cli.shell import warren
from tests.core.geo.test_registry import FILE, HEADER

NAMES = ("afrinic", "apnic", "arin", "lacnic", "ripencc")


def of(name: str, rows: int = 100) -> bytes:
    """Make a whole file of a registry with some rows."""
    body = "".join(f"{name}|FR|ipv4|5.{at // 256}.{at % 256}.0|256|20110414|allocated\n" for at in range(rows))
    summary = f"{name}|*|ipv4|*|{rows}|summary\n{name}|*|ipv6|*|0|summary\n"
    return (HEADER.replace("apnic", name) + summary + body).encode()


@dataclass
class Server:
    """Serves `files`; counts what was sent whole."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    redirect: str = ""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if state.redirect:
                self.send_response(302)
                self.send_header("Location", state.redirect)
                self.end_headers()
                return
            data = state.files.get(self.path.removeprefix("/"))
            etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"' if data is not None else ""
            if data is None:
                self.send_error(404)
            elif self.headers.get("If-None-Match") == etag:
                self.send_response(304)
                self.end_headers()
            else:
                state.sent.append(self.path)
                self.send_response(200)
                self.send_header("ETag", etag)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    state.url = f"https://localhost:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    yield state
    listener.shutdown()
    thread.join()
    listener.server_close()


def latest(name: str) -> str:
    return f"delegated-{name}-extended-latest"


def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "WARREN_GEO_DIR": str(tmp_path / "geo"),
        "WARREN_STATE_DIR": str(tmp_path / "state"),
        "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
        "https_proxy": "",
        "HTTPS_PROXY": "",
        "no_proxy": "localhost",
    }


def test_update_takes_what_is_whole_and_keeps_what_was_good(server: Server, tmp_path: Path) -> None:
    env = environment(tmp_path)

    def update(*args: str) -> dict[str, dict[str, object]]:
        ended = warren("geo", "update", "--mirror", server.url, "--json", *args, env=env)
        told = {one["registry"]: one for one in json.loads(ended.stdout)["registries"]}
        assert ended.returncode == (1 if any(one["outcome"] == "refused" for one in told.values()) else 0)
        return told

    server.files = {latest(name): of(name) for name in NAMES}
    server.files[latest("apnic")] = FILE
    server.files[latest("apnic") + ".md5"] = f"MD5 (x) = {hashlib.md5(FILE).hexdigest()}\n".encode()
    first = update()
    assert {one["outcome"] for one in first.values()} == {"new"}
    assert [name for name, one in first.items() if one["verified"]] == ["apnic"]

    server.sent.clear()
    server.files[latest("afrinic")] = of("afrinic")[:2000]  # cut off
    server.files[latest("arin")] = of("arin", 79)  # lost a fifth and more
    server.files[latest("lacnic")] = of("ripencc", 101)  # another's
    server.files[latest("ripencc")] = of("ripencc", 101)
    server.files[latest("ripencc") + ".md5"] = b"0" * 32
    second = update()
    assert {name: one["outcome"] for name, one in second.items()} == {
        "afrinic": "refused",
        "apnic": "unchanged",
        "arin": "refused",
        "lacnic": "refused",
        "ripencc": "refused",
    }
    assert "/" + latest("apnic") not in server.sent
    assert "cut off" in str(second["afrinic"]["why"]) and "--smaller" in str(second["arin"]["why"])
    assert "MD5" in str(second["ripencc"]["why"]) and "not of lacnic" in str(second["lacnic"]["why"])
    assert {one["records"] for name, one in second.items() if name != "apnic"} == {100}

    server.files[latest("arin") + ".sha256"] = b"0" * 64
    assert "SHA256" in str(update("--smaller")["arin"]["why"])
    server.files[latest("arin") + ".sha256"] = hashlib.sha256(of("arin", 79)).hexdigest().encode() + b"  arin\n"
    smaller = update("--smaller")["arin"]
    assert smaller["records"] == 79 and smaller["verified"]
    # Without a server, or led away from HTTPS, what is here is still answered from.
    server.redirect = server.url.replace("https", "http") + "/x"
    assert all("not HTTPS" in str(one["why"]) for one in update().values())
    assert warren("geo", "which", "1.0.1.77", env=env).stdout == "CN\n"
    shown = warren("geo", "show", "cn", "--family", "ipv4", env=env)
    assert shown.stdout == "1.0.1.0/24\n1.0.2.0/23\n1.1.0.0/23\n1.1.2.0/24\n" and shown.stderr == ""


LISTS = """\
network: net
overlay: 10.77.0.0/24
hosts:
  nyc: {endpoint: "nyc.example.net:51820", uplink: eth0, lans: {eth1: {address: 192.168.1.1/24}}}
  paris: {uplink: eth0}
lists:
  chn: {from: ["%(url)s/chn.txt", "%(url)s/mirror.txt"]}
  names: {from: "%(url)s/names.txt", kind: domains}
  gone: "%(url)s/gone.txt"
portals:
  - {from: nyc.eth1, exit: paris, except: [list:chn]}
"""
CIDRS = "".join(f"48.{at}.0.0/17\n" for at in range(100)).encode()


def test_lists_of_the_web_are_fetched_checked_and_kept(server: Server, tmp_path: Path) -> None:
    """From its own address, else from a mirror; what is broken or much smaller never replaces what was good."""
    env = environment(tmp_path)
    file = tmp_path / "net.yaml"
    file.write_text(LISTS % {"url": server.url})

    def update(*args: str) -> dict[str, dict[str, object]]:
        ended = warren("geo", "update", str(file), "--mirror", server.url, "--json", *args, env=env)
        told = {one["list"]: one for one in json.loads(ended.stdout)["lists"]}
        assert not differs(json.loads(ended.stdout), SHAPES["geo-update"])
        assert ended.returncode == 1  # there is no registry's file, and one list is gone
        return told

    unfetched = warren("check", str(file), env=env)
    assert "was not fetched yet" in unfetched.stdout + unfetched.stderr
    assert f"warren geo update {file}" in unfetched.stdout + unfetched.stderr

    server.files = {"chn.txt": CIDRS, "names.txt": b"# names\nexample.com\nexample.org\n"}
    first = update()
    assert {name: one["outcome"] for name, one in first.items()} == {"chn": "new", "names": "new", "gone": "refused"}
    assert (first["chn"]["entries"], first["names"]["entries"]) == (100, 2)
    assert "404" in str(first["gone"]["why"])
    checked = warren("check", str(file), env=env)
    assert "list:chn" not in checked.stdout + checked.stderr

    server.sent.clear()
    assert update()["chn"]["outcome"] == "unchanged" and "/chn.txt" not in server.sent

    for broken, says in (
        (b"<html>moved</html>", "page of the web"),
        (b"10.0.0.0/8\n", "no public address"),
        (b"".join(CIDRS.splitlines(keepends=True)[:79]), "79 entries, the last good one has 100"),
        (CIDRS[:18] + b"what\nis\nthis\n", "neither prefixes nor addresses"),
    ):
        server.files["chn.txt"] = broken
        refused = update()["chn"]
        assert refused["outcome"] == "refused" and refused["entries"] == 100
        assert says in str(refused["why"]) and "404" in str(refused["why"])  # the mirror was asked too

    server.files["mirror.txt"] = CIDRS + b"49.0.0.0/8\n"
    mirrored = update()["chn"]
    assert (mirrored["outcome"], mirrored["entries"]) == ("new", 101)
    assert str(mirrored["source"]).endswith("/mirror.txt")

    taken = tmp_path / "few.txt"
    taken.write_text("48.0.0.0/16\n")
    assert "--smaller" in warren("geo", "update", str(file), "--from", f"list:chn={taken}", env=env).stderr
    done = warren("geo", "update", str(file), "--from", f"list:chn={taken}", "--smaller", env=env)
    assert done.returncode == 0 and "list chn new: 1 entry" in done.stderr
    unknown = warren("geo", "update", str(file), "--from", f"list:chm={taken}", env=env)
    assert unknown.returncode == 1 and "there is chn, names, gone" in unknown.stderr


def test_a_file_from_disk_needs_no_server(tmp_path: Path) -> None:
    env = {"WARREN_GEO_DIR": str(tmp_path / "geo")}
    file, broken = tmp_path / "apnic.txt", tmp_path / "broken.txt"
    file.write_bytes(FILE)
    broken.write_bytes(FILE[:-30])

    assert "no registry data" in warren("geo", "show", "CN", env=env).stderr
    assert warren("geo", "update", "--from", str(file), env=env).returncode == 0
    refused = warren("geo", "update", "--from", str(broken), env=env)
    assert refused.returncode == 1 and "is not a registry's delegated file" in refused.stderr
    assert json.loads(warren("geo", "show", "JP", "--json", env=env).stdout)["prefixes"] == [
        "1.0.16.0/20",
        "2001:200::/32",
    ]
    assert "without the files of afrinic, arin, lacnic, ripencc" in warren("geo", "countries", env=env).stderr
    assert warren("geo", "which", "192.168.0.1", env=env).returncode == 1
    assert "two letters" in warren("geo", "show", "France", env=env).stderr
    assert (tmp_path / "geo" / "apnic").stat().st_mode & 0o777 == 0o600
