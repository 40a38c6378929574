"""Confs in, a network file and its lock out: tests/golden/import/NAME/*.conf in, NAME.txt out.

`UPDATE_GOLDEN=1 pytest tests/core/test_import.py` writes the texts anew, for a diff to be read.
"""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.core.imports import given, private
from warren.core.diagnostics import as_text, has_errors
from warren.core.imports import Imported, import_confs
from warren.core.imports.diagnostics import CODES
from warren.core.imports.hooks import USUAL, Accept, Fact, Masquerade, Redirect, Replies, facts_of
from warren.core.imports.names import name_of, names_in
from warren.core.source import Source
from warren.core.verify import verify
from warren.core.walk.stage import stage
from warren.model.endpoint import Endpoint
from warren.model.publish import PortRange

GOLDEN = Path(__file__).parent.parent / "golden" / "import"
CASES = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())
SPOKEN = re.compile(r"^\S+:\d+:\d+: (?:error|warning)\[(W\d{3})\]: ", re.MULTILINE)


def imported(name: str) -> tuple[Imported, tuple[Source, ...]]:
    texts = {path.name: path.read_text() for path in sorted((GOLDEN / name).glob("*.conf"))}
    made = import_confs([given(text, file) for file, text in texts.items()], name[:15], f"{name}.yaml")
    return made, tuple(Source(file, text) for file, text in texts.items())


def told(made: Imported, sources: tuple[Source, ...]) -> str:
    """All of it as one text: what is said, what is guessed, the keys that are written, the file and its lock."""
    parts = ["".join(as_text(one, *sources) for one in made.found) or "(nothing to say)\n"]
    if made.draft is not None:
        guesses = [f"  {one.host}: {one.what}: {one.value}" for one in made.draft.guesses]
        secrets = [f"  {made.draft.file_of(one)} on {' and '.join(one.hosts)}" for one in made.draft.secrets]
        parts += ["\n".join(["guessed:", *guesses, "keys:", *secrets]) + "\n"]
    if made.loaded is not None and made.loaded.diagnostics:
        parts += ["check says:\n" + made.loaded.text()]
    parts += [text for text in (made.text, made.lock) if text is not None]
    return "-----\n".join(parts)


@pytest.mark.parametrize("name", CASES)
def test_confs_become_what_is_written_down(name: str) -> None:
    text = told(*imported(name))
    expected = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(text)

    assert text == expected.read_text()


@pytest.mark.parametrize("name", CASES)
def test_what_comes_out_passes_check_and_is_locked(name: str) -> None:
    made, _ = imported(name)

    assert has_errors(made.found) == (made.text is None)
    if made.text is not None:
        assert made.loaded is not None and made.loaded.ok and made.loaded.locked, made.loaded and made.loaded.text()


@pytest.mark.parametrize("name", CASES)
def test_what_the_confs_promised_can_be_proved(name: str) -> None:
    made, _ = imported(name)
    if made.loaded is None or made.loaded.network is None or made.loaded.lock is None:
        return

    scene = stage(made.loaded.network, made.loaded.lock)
    verdicts = verify(made.loaded.network, made.loaded.lock, scene.states, scene.surroundings, scene.world)
    assert [(one.claim, one.predicted, one.says) for one in verdicts if not one.holds] == []


@pytest.mark.parametrize("name", CASES)
def test_no_key_is_in_what_is_said_or_written(name: str) -> None:
    text = told(*imported(name))

    for conf in (GOLDEN / name).glob("*.conf"):
        for secret in re.findall(r"(?:Private|Preshared)Key = <([\w ]+)>", conf.read_text()):
            assert private(secret) not in text


def test_every_code_is_seen() -> None:
    assert {code for path in GOLDEN.glob("*.txt") for code in SPOKEN.findall(path.read_text())} >= set(CODES)
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)


def test_the_order_of_confs_changes_nothing_but_the_order_of_hosts() -> None:
    confs = [given(path.read_text(), path.name) for path in sorted((GOLDEN / "firm").glob("*.conf"))]
    one, other = (import_confs(each, "firm", "firm.yaml") for each in (confs, confs[::-1]))

    assert one.lock == other.lock
    assert one.text is not None and other.text is not None
    assert sorted(one.text.splitlines()[4:]) == sorted(other.text.splitlines()[4:])


def test_an_endpoint_of_the_owner_stands_in_for_what_no_conf_says() -> None:
    conf = given((GOLDEN / "server-alone" / "wg0.conf").read_text(), "wg0.conf")
    made = import_confs([conf], "home", "home.yaml", {"wg0": Endpoint("home.example.net", 51820)})

    assert "W167" not in {one.code for one in made.found}
    assert made.text is not None and "    endpoint: home.example.net:51820   # others dial it here\n" in made.text


# --- hooks ---------------------------------------------------------------------------------------------------

ALL = PortRange("tcp", 1, 65535)
HOOKS: dict[str, tuple[Fact, ...] | None] = {
    "iptables -A FORWARD -i %i -j ACCEPT": (Accept("wg0"),),
    "iptables -w -I FORWARD 1 -o wg0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT": (Accept("", "wg0"),),
    "iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE; true": (Masquerade("eth0"), USUAL),
    "/sbin/iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE": (Masquerade("eth0"),),
    "iptables -t nat -A POSTROUTING -j MASQUERADE": None,
    "iptables -t nat -A POSTROUTING -o eth0 -j SNAT --to-source 192.0.2.1 && ip6tables -A INPUT -j ACCEPT": (
        Masquerade("eth0"),
        Accept(),
    ),
    "iptables -t nat -D POSTROUTING -o eth0 -j MASQUERADE || true": (USUAL,),
    "nft add rule ip nat postrouting oifname \"eth0\" masquerade": (Masquerade("eth0"),),
    "nft add rule inet filter forward iifname %i counter accept": (Accept("wg0"),),
    "nft add rule inet filter input tcp dport 22 drop": None,
    "iptables -t nat -A PREROUTING -i eth0 -p tcp -j DNAT --to-destination 10.0.0.2": (
        Redirect("eth0", ALL, ip_address("10.0.0.2")),
    ),
    "iptables -t nat -A PREROUTING -i eth0 -p icmp -j DNAT --to-destination 10.0.0.2": None,
    "iptables -t nat -A PREROUTING -i eth0 -p tcp --dport 22 -j ACCEPT": (
        Redirect("eth0", PortRange("tcp", 22, 22), None, exempt=True),
    ),
    "ip rule add fwmark 0xa table 100": (Replies(100),),
    "ip -4 rule add from 10.0.0.2/32 lookup 100 pref 456": (Replies(100),),
    "ip rule del fwmark 10 table 100": (USUAL,),
    "ip rule add from all table 100": None,
    "ip route add 10.9.0.0/16 dev wg0": None,
    "sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1": (USUAL,),
    "sysctl -w net.ipv4.conf.wg0.proxy_arp=1": None,
    "iptables -A FORWARD -i $LAN -j ACCEPT": None,
    "iptables -A FORWARD -i 'wg0 -j ACCEPT": None,
    "iptables -A": None,
    "iptables": None,
    "iptables -A FORWARD ! -i": None,
    "iptables -A FORWARD --tcp-flags": None,
    "while true; do wg; done": None,
    "sudo": None,
    ";;": (),
    "x" * 100_000: None,
}  # fmt: skip


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook[:60])
def test_hooks_are_understood_or_not(hook: str) -> None:
    assert facts_of(hook, "wg0") == HOOKS[hook]


# --- names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("comment", "name"),
    [
        ("# Name = phone", "phone"),
        ("#Name: Anna's Phone", "Anna's Phone"),
        ("# friendly_name=phone", "phone"),
        ("### Client phone", "phone"),
        ("### begin phone ###", "phone"),
        ("# BEGIN_PEER phone", "phone"),
        ("# Client: phone (3f2c-11)", "phone"),
        ("# phone", ""),
        ("# PublicKey = old", ""),
    ],
)
def test_comments_that_name_somebody(comment: str, name: str) -> None:
    inside = names_in(f"[Interface]\n\n[Peer]\n{comment}\nPublicKey = k\n").peers["k"]
    above = names_in(f"[Interface]\nMTU = 1300\n{comment}\n[Peer]\nPublicKey = k\n\n[Peer]\nPublicKey = l\n").peers

    assert inside.name == name
    assert above["k"].name == name
    assert above["l"].name == ""


def test_a_comment_belongs_to_the_section_it_touches() -> None:
    names = names_in("[Interface]\n# wg\n\n[Peer]\nPublicKey = a\n# anna\n[Peer] # ben\nPublicKey = b\n")

    assert (names.peers["a"].plain, names.peers["b"].plain, names.own.plain) == ("", "ben", "")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("Anna's Phone", "annas-phone"),
        ("Café", "cafe"),
        ("2nd floor", "host-2nd-floor"),
        ("internet", "internet-host"),
        ("東京", ""),
        ("x" * 50, "x" * 32),
        ("-", ""),
    ],
)
def test_names_are_made_fit(words: str, name: str) -> None:
    assert name_of(words) == name
