"""What served LANs make of a host: programs' texts word by word, devices, addresses, and what is left to its owner."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from tests.core.compile.networks import OVERLAY, host, lock_of, portal
from warren.core.compile import compile_host
from warren.core.plan import describe, make_plan, plan_json
from warren.core.render.commands import commands
from warren.core.render.dnsmasq import resolving_lines
from warren.core.render.openwrt import render_openwrt
from warren.core.render.programs import Files, plain_config
from warren.core.render.services import Tools
from warren.core.resolving import Fill, Record, Resolving, Upstream
from warren.model.change import DropLanLink, Item, PutLanLink, PutService, Rune
from warren.model.host import Lan
from warren.model.lan_words import Band, Dhcp, Security, Static, Vlan, Wifi
from warren.model.network import Network
from warren.model.state import HostState, LanAddress, LanLink, LinkKind, Service
from warren.model.surroundings import Link, Surroundings

WIFI = Wifi("Café", "/etc/warren/wifi.psk", "FR")


def lan(name: str, *addresses: str, **words: object) -> Lan:
    return Lan(name, tuple(ip_interface(one) for one in addresses), **words)  # type: ignore[arg-type]


def network(*lans: Lan, reflect: tuple[str, ...] = (), portals: tuple[str, ...] = ()) -> Network:
    nyc = replace(host("nyc", "198.51.100.10"), lans=lans, reflect=reflect)
    ways = tuple(portal(source, "paris") for source in portals)
    return Network(name="n", overlay=OVERLAY, hosts=(nyc, host("paris", "192.0.2.20")), portals=ways)


def state(of: Network, *links: Link, secrets: tuple[tuple[str, str], ...] = ()) -> HostState:
    return compile_host(of, lock_of(of), "nyc", Surroundings(links=links, secrets=secrets))


def service(of: HostState, name: str) -> Service:
    (found,) = (one for one in of.services if one.name == name)
    return found


def test_a_lan_has_one_dnsmasq_of_its_own() -> None:
    dhcp = Dhcp(lease=7200, static=(Static("02:00:5e:00:00:32", ip_address("192.168.21.7")),))
    made = state(network(lan("eth2", "192.168.21.1/24", "fd21::1/64", dhcp=dhcp, ra=True)))

    assert service(made, "lan-eth2").config.splitlines() == [
        "# Made by warren for the network n: addresses and names for machines on eth2.",
        "interface=eth2",
        "except-interface=lo",
        "bind-dynamic",
        "domain-needed",
        "bogus-priv",
        "no-hosts",
        "local=/warren/",
        "cache-size=2000",
        "host-record=nyc.warren,10.77.0.1,fd77:7:7::1",
        "host-record=paris.warren,10.77.0.2,fd77:7:7::2",
        "dhcp-range=192.168.21.100,192.168.21.250,255.255.255.0,7200s",
        "dhcp-host=02:00:5e:00:00:32,192.168.21.7",
        "dhcp-option=option:router,192.168.21.1",
        "dhcp-option=option:dns-server,192.168.21.1",
        "dhcp-lease-max=152",
        "dhcp-leasefile=@leases@",
        "dhcp-authoritative",
        "domain=nyc.warren",
        "dhcp-name-match=set:impostor,wpad",
        "dhcp-ignore-names=tag:impostor",
        "quiet-dhcp",
        "dhcp-range=::,constructor:eth2,ra-only,64,3600",
        "ra-param=eth2,60,1800",
        "quiet-ra",
    ]


def test_a_portal_s_lan_is_told_what_fits_through_its_tunnel() -> None:
    made = state(network(lan("eth2", "fd21::1/64", ra=True), portals=("nyc.eth2",)))

    assert "ra-param=eth2,mtu:1440,60,1800\n" in service(made, "lan-eth2").config


def test_a_lan_that_nothing_is_asked_of_has_no_program() -> None:
    made = state(network(lan("eth2", "192.168.21.1/24")))

    assert (made.services, made.lan_addresses, made.lan_links) == ((), (), ())


def test_what_a_resolver_is_told_in_dnsmasq_s_words() -> None:
    told = Resolving(
        (Upstream(ip_address("9.9.9.9"), "n-paris"), Upstream(ip_address("fd77::1"), port=5353, domains=("a.b", "c"))),
        in_order=True,
        fills=(Fill(("x.org", "y.org"), ("4#inet#warren-n#dom_1_4", "6#inet#warren-n#dom_1_6")),),
        records=(Record("home.warren", (ip_address("10.77.0.2"),)),),
        cached=5,
        max_ttl=60,
    )

    assert list(resolving_lines(told))[4:] == [
        "no-resolv",
        "strict-order",
        "cache-size=5",
        "max-cache-ttl=60",
        "host-record=home.warren,10.77.0.2",
        "server=9.9.9.9@n-paris",
        "server=/a.b/c/fd77::1#5353",
        "nftset=/x.org/y.org/4#inet#warren-n#dom_1_4,6#inet#warren-n#dom_1_6",
    ]


def test_a_device_is_made_or_brought_up_unless_its_owner_did() -> None:
    lans = (
        lan("eth1", "10.1.0.1/24", dhcp=Dhcp()),
        lan("eth2", "10.2.0.1/24", "10.3.0.1/24", dhcp=Dhcp()),
        lan("v20", "10.4.0.1/24", vlan=Vlan("eth0", 20)),
        lan("br0", "10.5.0.1/24", bridge=("eth4", "eth3")),
        lan("wlan0", "fd06::1/64", wifi=WIFI),
    )
    made = state(
        network(*lans),
        Link("eth0", up=False),
        Link("eth1", up=False),
        Link("eth2", addresses=(ip_interface("10.2.0.1/24"),)),
        Link("eth3"),
        Link("eth4", up=False),
        Link("wlan0", up=False),
    )

    assert made.lan_links == (
        LanLink("eth1", LinkKind.RAISED),
        LanLink("eth4", LinkKind.RAISED),
        LanLink("br0", LinkKind.BRIDGE, ports=("eth3", "eth4")),
        LanLink("v20", LinkKind.VLAN, of="eth0", id=20),
    )
    assert LanAddress("eth2", ip_interface("10.2.0.1/24")) not in made.lan_addresses
    assert [str(one.address) for one in made.lan_addresses] == [
        "10.1.0.1/24",
        "10.3.0.1/24",
        "10.4.0.1/24",
        "10.5.0.1/24",
        "fd06::1/64",
    ]
    assert "net.ipv6.conf.wlan0.keep_addr_on_down" in {one.name for one in made.sysctls}


@pytest.mark.parametrize(
    ("wifi", "lines"),
    [
        (WIFI, {"hw_mode=g", "channel=6", "wpa_key_mgmt=WPA-PSK SAE", "ieee80211w=1", "ssid2=436166c3a9"}),
        (replace(WIFI, security=Security.WPA2), {"wpa_key_mgmt=WPA-PSK", "ieee80211w=0", "ignore_broadcast_ssid=0"}),
        (
            replace(WIFI, security=Security.WPA3, band=Band.FIVE, channel=36, hidden=True),
            {
                "hw_mode=a",
                "ieee80211ac=1",
                "ieee80211h=1",
                "wpa_key_mgmt=SAE",
                "ieee80211w=2",
                "ignore_broadcast_ssid=1",
            },
        ),
    ],
)
def test_a_hotspot_in_hostapd_s_words(wifi: Wifi, lines: set[str]) -> None:
    made = state(network(lan("wlan0", "10.6.0.1/24", wifi=wifi)), secrets=((WIFI.passphrase_file, "12ab"),))
    hotspot = service(made, "wifi-wlan0")

    assert lines <= set(hotspot.config.splitlines())
    assert "# fingerprint of the passphrase: 12ab" in hotspot.config and "country_code=FR" in hotspot.config


def test_a_passphrase_is_in_no_command_and_no_state() -> None:
    made = service(state(network(lan("wlan0", "10.6.0.1/24", wifi=WIFI))), "wifi-wlan0")
    written = [one for one in commands([Item(PutService(made), Rune.ADD, "")], "n") if one.secrets]

    (config,) = written
    assert config.secrets == (made.secret,) and config.stdin.endswith("wpa_passphrase=@secret:0@\n")
    filled = config.stdin.replace("@secret:0@", "correct horse")
    assert plain_config(filled, Files("/x/wifi-wlan0", ""), Tools()) == made.config


def test_what_is_reflected_and_between_which_lans() -> None:
    made = state(network(lan("eth1", "10.1.0.1/24"), lan("eth2", "10.2.0.1/24"), reflect=("mdns",)))
    config = service(made, "mdns").config

    assert {"allow-interfaces=eth1,eth2", "enable-dbus=no", "enable-reflector=yes", "disable-publishing=yes"} <= set(
        config.splitlines()
    )


def test_devices_of_lans_in_ip_s_words() -> None:
    bridge = LanLink("br0", LinkKind.BRIDGE, ports=("eth3", "eth4"))
    steps = [
        PutLanLink(LanLink("eth1", LinkKind.RAISED)),
        PutLanLink(bridge),
        PutLanLink(LanLink("v20", LinkKind.VLAN, of="eth0", id=20)),
        PutLanLink(replace(bridge, ports=("eth4", "eth5")), bridge),
        DropLanLink(LanLink("v20", LinkKind.VLAN, of="eth0", id=20)),
        DropLanLink(LanLink("eth1", LinkKind.RAISED)),
    ]
    made = commands([Item(step, Rune.ADD, "") for step in steps], "n")

    assert [one.stdin.splitlines() for one in made] == [
        [
            "link set dev eth1 up",
            "link add name br0 type bridge",
            "link set dev eth3 master br0",
            "link set dev eth4 master br0",
            "link set dev br0 up",
            "link add link eth0 name v20 type vlan id 20",
            "link set dev v20 up",
            "link set dev eth3 nomaster",
            "link set dev eth5 master br0",
        ],
        ["link del dev v20", "link set dev eth1 down"],
    ]


def test_the_network_is_near_whatever_its_lans_are() -> None:
    """That warren makes a LAN's device is nothing that the other hosts could see."""
    plain, served = lan("br0", "10.5.0.1/24"), lan("br0", "10.5.0.1/24", bridge=("eth3",), dhcp=Dhcp())
    there = [
        compile_host(of, lock_of(of), "paris", Surroundings(stated=True)) for of in (network(plain), network(served))
    ]

    assert there[0] == there[1] and ip_network("10.5.0.0/24") in {route.prefix for route in there[0].routes}


def test_a_plan_tells_of_lans() -> None:
    made = state(network(lan("br0", "10.5.0.1/24", bridge=("eth3",), dhcp=Dhcp())), Link("eth0"), Link("eth3"))
    nothing = HostState("nyc", "n")
    told = describe(make_plan(made, nothing, None, Surroundings(links=(Link("eth0"), Link("eth3")))))
    kinds = {
        one["kind"]: one["subject"] for one in plan_json(make_plan(made, nothing, None, Surroundings()))["changes"]
    }  # type: ignore[attr-defined]

    assert "\nLANs\n  + device br0   a LAN across eth3\n" in told
    assert "  + 10.5.0.1/24 dev br0" in told and "this host is the router of br0" in told
    assert "  + dnsmasq (lan-br0)   addresses and names for machines on br0" in told
    assert kinds["put-lan-link"] == "device br0" and kinds["put-service"] == "dnsmasq (lan-br0)"


def test_openwrt_leaves_a_lan_s_own_address_to_its_own_interface() -> None:
    made = render_openwrt(state(network(lan("br-lan", "192.168.1.1/24", dhcp=Dhcp()))))

    assert not any(
        "192.168.1.1" in file.text.partition("config")[2] for file in made.files if file.path.endswith(".uci")
    )
    assert {one.item for one in made.unsaid} >= {
        "the address 192.168.1.1/24 on br-lan",
        "dnsmasq (lan-br-lan): addresses and names for machines on br-lan",
    }
