"""A hotspot in the air (mac80211_hwsim) and a VLAN, which only a whole kernel has: joined, led away, and put back.

phone wlan1 ~~~ air ~~~ wlan0 nyc ══ tunnel ══ paris ── inet
client eth0.20 ── VLAN 20 ── eth2 nyc (v20)
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_interface
from pathlib import Path

import pytest

from tests.core.compile.networks import portal
from tests.sys.boxes import Box
from tests.sys.site import ANYWHERE, Site, site
from warren.core.render.programs import files_of
from warren.model.host import Lan
from warren.model.lan_words import Dhcp, Vlan, Wifi
from warren.model.network import Network
from warren.sys.apply import down
from warren.sys.errors import HostError

pytestmark = pytest.mark.vm

LEASED = """\
#!/bin/sh
[ "$1" = bound ] || exit 0
ip address replace "$ip/$mask" dev "$interface"
ip route replace default via "$router" dev "$interface"
echo "$dns" >"$TOLD"
"""
PASSPHRASE = "a tunnel of one's own"


def until(what: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.2)


def lan_of(name: str, address: str, **words: object) -> Lan:
    return Lan(name, (ip_interface(address),), dhcp=Dhcp(), **words)  # type: ignore[arg-type]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    """Four machines, two of which have a radio."""
    subprocess.run(["modprobe", "mac80211_hwsim", "radios=2"], check=True)
    phys = sorted(path.name for path in Path("/sys/class/ieee80211").iterdir())
    with site(tmp_path, "nyc", "paris", "client", "phone") as made:
        for phy, owner, name in zip(phys, ("nyc", "phone"), ("wlan0", "wlan1"), strict=True):
            box = made[owner]
            subprocess.run(["iw", "phy", phy, "set", "netns", str(box.holder.pid)], check=True)
            found = box.sh("iw dev | awk '/Interface/ {print $2}'").split()[0]
            if found != name:
                box.sh(f"ip link set {found} name {name}")
        yield made
    subprocess.run(["modprobe", "-r", "mac80211_hwsim"], check=True)


def network_of(here: Site, secret: Path) -> Network:
    wifi = Wifi("Café New York", str(secret), "FR")
    lans = (
        lan_of("wlan0", "192.168.22.1/24", wifi=wifi),
        lan_of("v20", "10.20.0.1/24", vlan=Vlan("eth2", 20)),
    )
    return here.network(portal("nyc.wlan0", "paris"), portal("nyc.v20", "paris"), lans=lans)


@contextmanager
def joined(phone: Box, directory: Path, passphrase: str, words: str) -> Iterator[subprocess.Popen[str]]:
    """A phone that knows a passphrase, and looks for the hotspot."""
    known = f'network={{\nssid="Café New York"\npsk="{passphrase}"\nscan_ssid=1\n{words}\n}}\n'
    (directory / "known").write_text(known)
    log = (directory / "wpa.log").open("w")
    words_of = ("wpa_supplicant", "-i", "wlan1", "-c", str(directory / "known"))
    process = phone.popen(*words_of, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def take_lease(box: Box, directory: Path, device: str) -> str:
    """Ask for an address as machines do; give the resolver that was told."""
    script, told = directory / "leased", directory / f"{device}.told"
    script.write_text(LEASED)
    script.chmod(0o755)
    box.sh(f"TOLD={told} busybox udhcpc -f -q -n -t 20 -T 2 -i {device} -s {script}")
    return told.read_text().strip()


@contextmanager
def uplink(nyc: Box, log: Path) -> Iterator[None]:
    """Everything at nyc's uplink that is no tunnel: in words."""
    with log.open("w") as out:
        words = ("tcpdump", "-lni", "eth0", "icmp", "or", "port", "53")
        eye = nyc.popen(*words, stdout=out, stderr=subprocess.PIPE)
        assert eye.stderr is not None
        until(lambda: "listening" in eye.stderr.readline())  # type: ignore[union-attr]
        try:
            yield
        finally:
            eye.terminate()
            eye.wait()


def test_who_joins_is_somewhere_else(here: Site, tmp_path: Path) -> None:
    """WPA2 and WPA3, an address, a name, the far exit; nothing in the clear, also when the exit dies; all put back."""
    secret = tmp_path / "wifi.psk"
    secret.write_text(f"{PASSPHRASE}\n")
    secret.chmod(0o644)
    network, nyc, phone, client = network_of(here, secret), here["nyc"], here["phone"], here["client"]
    with pytest.raises(HostError, match="can be read by others"):
        here.prepare(network, "nyc")
    secret.chmod(0o600)
    before = nyc.sh("ip -br address; iw dev wlan0 info | grep type")
    here.up(network, "nyc", "paris")
    files = files_of("wifi-wlan0", network.name, str(nyc.machine.services))
    assert Path(files.config).stat().st_mode & 0o777 == 0o600 and PASSPHRASE in Path(files.config).read_text()
    until(lambda: "AP-ENABLED" in Path(files.log).read_text())
    assert here.apply(network, "nyc").items == ()

    log = tmp_path / "uplink"
    with uplink(nyc, log):
        with joined(phone, tmp_path, PASSPHRASE, "key_mgmt=WPA-PSK"):
            until(lambda: "Connected" in phone.sh("iw dev wlan1 link"))
            assert take_lease(phone, tmp_path, "wlan1") == "192.168.22.1"
            assert "192.168.22." in phone.sh("ip -br address show dev wlan1")
            assert "10.77.0.2" in phone.sh("busybox nslookup paris.warren 192.168.22.1")
            phone.sh(f"ping -c2 -W9 {ANYWHERE[0]}")
        phone.sh("ip address flush dev wlan1")
        with joined(phone, tmp_path, PASSPHRASE, "key_mgmt=SAE\nieee80211w=2"):
            until(lambda: "Connected" in phone.sh("iw dev wlan1 link"))
            take_lease(phone, tmp_path, "wlan1")
            phone.sh(f"ping -c1 -W9 {ANYWHERE[0]}")
            assert PASSPHRASE not in Path(files.log).read_text()

            client.sh(
                "ip link add link eth0 name eth0.20 type vlan id 20; ip link set eth0.20 up; ip addr flush dev eth0"
            )
            assert take_lease(client, tmp_path, "eth0.20") == "10.20.0.1"
            client.sh(f"ping -c1 -W9 {ANYWHERE[0]}")

            here["paris"].sh("ip link del portals")  # the exit dies
            assert not phone.ok(f"ping -c2 -W2 {ANYWHERE[0]}") and not client.ok(f"ping -c2 -W2 {ANYWHERE[0]}")
        nyc.sh(f"ping -c1 -W9 {ANYWHERE[0]}")  # what does leave in the clear is seen
        until(lambda: "echo request" in log.read_text())
    # Beside errors about the tunnel's own packets, and what tcpdump says of itself.
    lines = [line for line in log.read_text().splitlines() if " IP" in line and " unreachable, " not in line]
    assert [line.partition(" IP ")[2].partition(",")[0] for line in lines] == [
        "198.51.100.10 > 1.1.1.1: ICMP echo request",
        "1.1.1.1 > 198.51.100.10: ICMP echo reply",
    ], lines

    with joined(phone, tmp_path, "not the passphrase", "key_mgmt=WPA-PSK"):
        until(lambda: "pre-shared key may be incorrect" in (tmp_path / "wpa.log").read_text())

    nyc.call(partial(down, network.name, nyc.machine))
    until(lambda: nyc.sh("ip -br address; iw dev wlan0 info | grep type") == before)
