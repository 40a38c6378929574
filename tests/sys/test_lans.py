"""LANs that warren serves, on a host that has an owner: what is his stays his, and what is not there stops nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_interface
from itertools import count
from pathlib import Path

import pytest

from tests.core.compile.networks import portal
from tests.sys.boxes import difference
from tests.sys.dying import KILLED, dying
from tests.sys.site import Site, lock_of, site
from warren.core.plan import describe
from warren.model.host import Lan
from warren.model.key import SecretRef
from warren.model.lan_words import Band, Dhcp, Security, Wifi
from warren.model.network import Network
from warren.model.state import Program
from warren.sys import networkmanager, rivals
from warren.sys.apply import apply, down
from warren.sys.errors import HostError
from warren.sys.prepare import prepare
from warren.sys.secret import fingerprints, read_secret

pytestmark = pytest.mark.lab


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, "nyc", "paris", "client") as made:
        made["nyc"].sh("for at in 5 6 7; do ip link add port$at type veth peer name end$at; done; ip link set port7 up")
        yield made


def network_of(here: Site, *lans: Lan) -> Network:
    eth2 = Lan("eth2", (ip_interface("192.168.21.1/24"), ip_interface("192.168.29.1/24")), dhcp=Dhcp())
    return here.network(portal("nyc.eth2", "paris"), lans=(eth2, *lans))


def until(what: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def bridge(*ports: str) -> Lan:
    return Lan("br0", (ip_interface("10.30.0.1/24"),), dhcp=Dhcp(), bridge=ports)


def has(here: Site, device: str) -> list[str]:
    words = here["nyc"].sh(f"ip -4 -br address show dev {device}").split()
    return words[1:]


def ports(here: Site) -> list[str]:
    listed = here["nyc"].sh("ip -br link show master br0").splitlines()
    return [line.partition("@")[0] for line in listed]


def test_what_the_owner_gave_stays_his(here: Site) -> None:
    """An address of his is used and left; ours comes and goes; a port that was down is down again."""
    nyc = here["nyc"]
    before = nyc.picture()
    network = network_of(here, bridge("port5", "port7"))
    here.apply(network, "nyc")

    assert has(here, "eth2") == ["UP", "192.168.21.1/24", "192.168.29.1/24"]
    assert has(here, "br0")[1:] == ["10.30.0.1/24"] and ports(here) == ["port5", "port7"]
    assert here.apply(network, "nyc").items == () and here.prepare(network, "nyc").plan.items == ()

    nyc.call(partial(down, network.name, nyc.machine))
    assert nyc.picture() == before


def test_a_bridge_is_altered_in_place(here: Site) -> None:
    """A port comes and another goes; one that somebody else put there stays, and so does the bridge."""
    nyc = here["nyc"]
    here.apply(network_of(here, bridge("port5", "port6")), "nyc")
    number = nyc.sh("ip -o link show br0").split()[0]
    nyc.sh("ip link set end7 master br0")

    here.apply(network_of(here, bridge("port6", "port7")), "nyc")

    assert sorted(ports(here)) == ["end7", "port6", "port7"]
    assert nyc.sh("ip -o link show br0").split()[0] == number


def test_a_device_of_somebody_else_is_not_taken(here: Site) -> None:
    nyc = here["nyc"]
    nyc.sh("ip link add br0 type bridge")
    before = nyc.picture()

    with pytest.raises(HostError, match="br0 is there already, and not warren's"):
        here.apply(network_of(here, bridge("port5")), "nyc")

    assert nyc.picture() == before


def test_what_is_not_there_stops_nothing_else(here: Site) -> None:
    """A LAN on a dongle that is unplugged, a bridge of whose ports one is missing."""
    nyc = here["nyc"]
    dongle = Lan("usb0", (ip_interface("10.40.0.1/24"),), dhcp=Dhcp())
    network = network_of(here, bridge("port5", "usb1"), dongle)

    applied = here.apply(network, "nyc")

    assert applied.missed == ("there is no usb0, usb1 here; run `warren apply` again when there is",)
    assert has(here, "br0")[1:] == ["10.30.0.1/24"]
    assert ports(here) == ["port5"] and nyc.ok("wg show portals-paris")

    for name in ("usb0", "usb1"):
        nyc.sh(f"ip link add {name} type veth peer name end{name}")
    assert here.apply(network, "nyc").missed == ()
    assert has(here, "usb0")[1:] == ["10.40.0.1/24"] and sorted(ports(here)) == ["port5", "usb1"]


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        ("long enough\n", 0o640, "can be read by others"),
        ("short\n", 0o600, "has 5 characters, and 8 to 63 are allowed"),
        ("x" * 64, 0o600, "has 64 characters"),
        ("pässwörter\n", 0o600, "other characters than those of ASCII"),
        ("two lines\nof it\n", 0o600, "other characters than those of ASCII"),
    ],
)
def test_a_passphrase_is_looked_at_before_anything_is_done(
    here: Site, tmp_path: Path, text: str, mode: int, says: str
) -> None:
    file = tmp_path / "wifi.psk"
    file.write_text(text)
    file.chmod(mode)
    lan = Lan("port6", (ip_interface("10.50.0.1/24"),), wifi=Wifi("New York", str(file), "FR"))

    with pytest.raises(HostError, match=says) as refused:
        here.prepare(network_of(here, lan), "nyc")

    assert text.strip() not in str(refused.value)


def test_a_passphrase_is_known_by_its_fingerprint(tmp_path: Path) -> None:
    file = tmp_path / "wifi.psk"
    found = []
    for text in ("correct horse\n", "correct horse", "battery staple"):
        file.write_text(text)
        file.chmod(0o600)
        ref = SecretRef(str(file), passphrase=True)
        assert read_secret(ref) == text.strip()
        found.append(dict(fingerprints([ref]))[str(file)])

    assert found[0] == found[1] != found[2] and len(found[0]) == 16


def test_who_listens_already_is_named(here: Site) -> None:
    """Another program at the very ports stops nothing, but may keep the LAN's own from its place: so it is said."""
    nyc = here["nyc"]
    holds = "import socket as s, time; it = s.socket(s.AF_INET, s.SOCK_DGRAM); it.bind(('', 67)); time.sleep(60)"
    theirs = nyc.popen(sys.executable, "-c", holds)
    try:
        until(lambda: nyc.ok("ss -Hlnu sport = :67 | grep -q ."))
        plan = here.prepare(network_of(here), "nyc").plan
    finally:
        theirs.kill()
        theirs.wait()

    assert ") listens already where the program that serves eth2 is to listen too" in describe(plan)
    assert "udp/67" not in describe(here.prepare(network_of(here), "nyc").plan)


@pytest.mark.parametrize("band", list(Band))
@pytest.mark.parametrize("security", list(Security))
def test_hostapd_understands_what_is_written_for_it(here: Site, tmp_path: Path, band: Band, security: Security) -> None:
    """Without a radio it gets as far as looking for one; a word that it does not know stops it before that."""
    file = tmp_path / "wifi.psk"
    file.write_text("correct horse\n")
    file.chmod(0o600)
    wifi = Wifi('Café "x"', str(file), "FR", band, 6 if band is Band.TWO else 36, hidden=True, security=security)
    network = network_of(here, Lan("port6", (ip_interface("10.50.0.1/24"),), wifi=wifi))
    (service,) = (one for one in here.prepare(network, "nyc").desired.services if one.program is Program.HOSTAPD)
    config = tmp_path / "hostapd.conf"
    said = []
    for text in (service.config, f"{service.config}no_such_word=1\n"):
        config.write_text(text.replace("@secret:0@", "correct horse"))
        said.append(here["nyc"].sh(f"timeout 5 hostapd {config} 2>&1", check=False))

    assert "configuration" not in said[0] and "nl80211" in said[0]
    assert "unknown configuration item 'no_such_word'" in said[1]


def test_what_networkmanager_runs_is_named(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = "eth0:connected\neth2:disconnected\nport5:connected (externally)\nport7:unmanaged\nodd\\:name:connected\n"
    assert networkmanager.parse(listed) == {"eth0", "eth2", "port5", "odd:name"}
    monkeypatch.setattr(rivals, "managed", lambda run: networkmanager.parse(listed))

    told = describe(here.prepare(network_of(here, bridge("port5", "port7")), "nyc").plan)

    assert "? NetworkManager runs eth2, port5 as well, and undoes there what warren does" in told
    assert "unmanaged-devices=interface-name:eth2;interface-name:port5\\n" in told


def test_an_avahi_that_runs_already_is_named(here: Site, tmp_path: Path) -> None:
    """It runs once on a machine, and Debian starts it when it is installed."""
    nyc = here["nyc"]
    config = tmp_path / "avahi.conf"
    config.write_text("[server]\nenable-dbus=no\nallow-interfaces=eth0\n[publish]\ndisable-publishing=yes\n")
    network = here.network(lans=(Lan("eth2", (ip_interface("192.168.21.1/24"),)), bridge("port5")), reflect=("mdns",))
    theirs = nyc.popen("avahi-daemon", f"--file={config}", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: nyc.ok("ss -Hlnu sport = :5353 | grep -q ."))
        told = describe(here.prepare(network, "nyc").plan)
    finally:
        theirs.terminate()
        theirs.wait()

    assert "? avahi-daemon runs on this machine already" in told
    assert "avahi-daemon runs" not in describe(here.prepare(network, "nyc").plan)


@pytest.mark.slow
def test_killed_while_it_begins_to_serve_lans(here: Site) -> None:
    """The next apply brings it right, whichever way; nothing that runs or that was made is forgotten."""
    nyc, plain = here["nyc"], here.network(portal("nyc.eth2", "paris"))
    served = network_of(here, bridge("port5", "port7"))
    lock, machine = lock_of(served), nyc.machine
    here.apply(plain, "nyc")
    before = nyc.picture()

    for steps in count(1, 3):
        ended = dying(nyc, steps, lambda machine: apply(prepare(served, lock, "nyc", machine).desired, machine))
        assert ended in (0, KILLED)
        if steps % 2:
            here.apply(served, "nyc")
            assert ports(here) == ["port5", "port7"] and has(here, "br0")[1:] == ["10.30.0.1/24"]
        here.apply(plain, "nyc")
        assert difference(before, nyc.picture()) == "", steps
        assert not list(Path(machine.services).rglob("lan-*")) and "dnsmasq" not in nyc.sh("ss -Hlnup"), steps
        if ended == 0:
            break
    assert steps > 6
