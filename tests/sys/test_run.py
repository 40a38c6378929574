"""Running one program: its words, its input, its end, and the secrets that never show."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from warren.model.change import Command
from warren.model.key import SecretRef
from warren.sys.errors import HostError
from warren.sys.run import CommandFailed, MissingProgram, environment, run

KEY = "aPxGwq8zERHQ3Q1cOZFdJ+cvJX5Ka4mLN38AyYKYF10="


def sh(script: str, **fields: object) -> Command:
    return Command(("sh", "-c", script), **fields)  # type: ignore[arg-type]


def test_output_comes_back() -> None:
    """Standard output is the result."""
    assert run(sh("echo out; echo err >&2")) == "out\n"


def test_large_input_and_output_do_not_block() -> None:
    """Twenty megabytes through `cat`."""
    text = "0123456789" * 2_000_000

    assert run(Command(("cat",), text)) == text


def test_a_failure_shows_command_line_and_words() -> None:
    """ip says which line of its batch it stumbled over; the reader sees that line."""
    command = Command(("ip", "-batch", "-"), "link show dev lo\nroute add nonsense dev lo\nrule show\n")

    with pytest.raises(CommandFailed) as failed:
        run(command)

    assert failed.value.line == "route add nonsense dev lo"
    assert "`ip -batch -` failed with status 1" in failed.value.says
    assert 'any valid prefix is expected rather than "nonsense"' in failed.value.says


def test_an_error_of_nft_shows_its_line() -> None:
    """nft names the place in its input too."""
    with pytest.raises(CommandFailed) as failed:
        run(Command(("nft", "-c", "-f", "-"), "add table inet warren-x\nadd chain inet warren-x c { nonsense }\n"))

    assert failed.value.line == "add chain inet warren-x c { nonsense }"


def test_a_secret_reaches_the_program_and_nobody_else(tmp_path: Path) -> None:
    """It is in the input, not in what an error shows, even when the program quotes it."""
    (tmp_path / "psk").write_text(KEY + "\n")
    ref = SecretRef(str(tmp_path / "psk"))
    command = sh("read line; echo $line >&2; exit 3", stdin="PresharedKey = @secret:0@\n", secrets=(ref,))

    assert run(sh("cat", stdin="k=@secret:0@", secrets=(ref,))) == f"k={KEY}"
    with pytest.raises(CommandFailed) as failed:
        run(command)

    assert failed.value.words == "PresharedKey = (secret)"
    assert KEY not in str(failed.value)
    assert failed.value.line == "PresharedKey = @secret:0@"


def test_a_place_in_a_conf_is_found(tmp_path: Path) -> None:
    """A wg-quick file holds many keys; the reference says which."""
    other = "bB" + KEY[2:]
    (tmp_path / "wg0.conf").write_text(
        f"[Interface]\nPrivateKey = {other} # mine\n[Peer]\nPublicKey=A\nPresharedKey={KEY}\n[Peer]\nPublicKey=B\n"
    )
    path = str(tmp_path / "wg0.conf")
    echo = sh(
        "cat", stdin="@secret:0@ @secret:1@", secrets=(SecretRef(path, "PrivateKey"), SecretRef(path, "PresharedKey A"))
    )

    assert run(echo) == f"{other} {KEY}"
    with pytest.raises(HostError, match="holds no PresharedKey for the peer B"):
        run(sh("cat", stdin="@secret:0@", secrets=(SecretRef(path, "PresharedKey B"),)))


def test_a_bad_key_file_is_told_without_its_content(tmp_path: Path) -> None:
    """The words say what is wrong, not what is in it."""
    (tmp_path / "key").write_text("hunter2")

    with pytest.raises(HostError) as bad:
        run(sh("cat", stdin="@secret:0@", secrets=(SecretRef(str(tmp_path / "key")),)))
    with pytest.raises(HostError, match=r"cannot read the key in .*/none: no such file"):
        run(sh("cat", secrets=(SecretRef(str(tmp_path / "none")),)))

    assert "hunter2" not in str(bad.value)
    assert "a key has 44 characters, this has 7" in str(bad.value)


def test_a_status_may_be_fine() -> None:
    """conntrack exits with 1 when there was nothing to delete."""
    assert run(sh("echo none; exit 1", fine=(0, 1))) == "none\n"


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is said."""
    monkeypatch.setattr("warren.sys.run._SYSTEM_PATH", ())
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(MissingProgram, match="Install the package nftables"):
        run(Command(("nft", "-v")))


def test_a_program_that_hangs_is_ended() -> None:
    """The time-out kills it and says so."""
    began = time.monotonic()

    with pytest.raises(CommandFailed, match="did not end within"):
        run(sh("exec sleep 1000"), timeout=0.2)

    assert time.monotonic() - began < 60


def test_a_daemon_left_behind_is_not_waited_for() -> None:
    """wireguard-go keeps its standard output open when it goes to the background."""
    began = time.monotonic()

    process = int(run(sh("sleep 1000 & echo $!")))

    os.kill(process, 9)
    assert time.monotonic() - began < 60


def test_until_waits_for_the_event(tmp_path: Path) -> None:
    """The next command runs only when the daemon answers."""
    flag = tmp_path / "ready"
    command = sh(f"(sleep 0.3; touch {flag}) &", until=("test", "-e", str(flag)))

    run(command)

    assert flag.exists()


def test_children_get_a_small_environment() -> None:
    """No secret of ours, words in English, and the directories where ip and nft live."""
    ours = {"PATH": "/opt/bin", "HOME": "/root", "LANG": "de_DE.UTF-8", "API_TOKEN": "secret"}

    assert environment(ours) == {
        "HOME": "/root",
        "LC_ALL": "C",
        "PATH": "/opt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }
