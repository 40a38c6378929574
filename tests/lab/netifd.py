"""What OpenWrt does with its configuration, as its documentation says it: netifd and fw4 in small, for a lab's host.

It knows nothing of the renderer and reads the files alone. netifd: WireGuard interfaces with their peers, interfaces
on devices, routes, rules. fw4: everything is refused but what zones, forwardings and rules open; includes are loaded in
the same transaction. An option that they would not know fails the test.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.core.render.uci import Package, Section

KNOWN = {
    "wireguard": {"private_key", "listen_port", "mtu", "fwmark", "nohostroute", "addresses", "ip6prefix"},
    "none": {"device"},
    "static": {"device", "ip6addr", "ipaddr", "netmask", "ip6assign", "ip6hint"},
    "peer": {
        *("description", "public_key", "preshared_key", "allowed_ips", "route_allowed_ips"),
        *("endpoint_host", "endpoint_port", "persistent_keepalive"),
    },
    "route": {"interface", "target", "type", "gateway", "table", "source", "metric", "mtu", "proto"},
    "rule": {"priority", "invert", "src", "dest", "in", "out", "mark", "lookup", "action", "suppress_prefixlength"},
}


def run(*argv: str, stdin: str = "", fine: bool = False) -> None:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=60)
    assert fine or done.returncode == 0, f"{' '.join(argv)}: {done.stderr}\n{stdin}"


def text(section: Section, option: str, default: str = "") -> str:
    value = section.options.get(option, default)
    assert isinstance(value, str), f"{option} is a list"
    return value


def items(section: Section, option: str) -> list[str]:
    value = section.options.get(option, [])
    return value if isinstance(value, list) else value.split()


def known(section: Section, kind: str) -> None:
    strange = section.options.keys() - KNOWN[kind] - {"proto", "warren"}
    assert not strange, f"netifd ignores {strange} of {kind}"


def network(sections: Package) -> dict[str, str]:
    """Do what netifd does; give the device of each interface. Doing it again alters what is there."""
    devices: dict[str, str] = {}
    for name, section in sections.items():
        if section.type == "interface":
            assert len(name) <= 15, "names of interfaces are that long"
            known(section, text(section, "proto"))
            devices[name] = name if text(section, "proto") == "wireguard" else text(section, "device")
    for name, section in sections.items():
        for address in items(section, "ip6addr"):
            run("ip", "address", "replace", address, "dev", devices[name], "nodad")
        if section.type == "interface" and text(section, "proto") == "wireguard":
            wireguard(name, section, [one for one in sections.values() if one.type == f"wireguard_{name}"])
    for section in sections.values():
        if section.type in ("route", "route6"):
            run("ip", f"-{section.type[5:] or 4}", "route", "replace", *route(section, devices))
        elif section.type in ("rule", "rule6"):
            words = rule(section, devices)
            run("ip", f"-{section.type[4:] or 4}", "rule", "del", *words, fine=True)
            run("ip", f"-{section.type[4:] or 4}", "rule", "add", *words)
    return devices


def wireguard(name: str, section: Section, peers: list[Section]) -> None:
    there = subprocess.run(("ip", "link", "show", "dev", name), capture_output=True).returncode == 0
    kernel = not there and subprocess.run(("ip", "link", "add", name, "type", "wireguard"), capture_output=True)
    if kernel and kernel.returncode:
        run("wireguard-go", name)
        while subprocess.run(("wg", "show", name), capture_output=True).returncode:
            time.sleep(0.02)
    lines = ["[Interface]", f"PrivateKey={text(section, 'private_key')}", f"ListenPort={text(section, 'listen_port')}"]
    lines += [f"FwMark={text(section, 'fwmark')}"]
    assert text(section, "nohostroute") == "1", "netifd would make a route to each endpoint"
    for peer in peers:
        known(peer, "peer")
        assert text(peer, "route_allowed_ips") == "0"
        lines += [
            "[Peer]",
            f"PublicKey={text(peer, 'public_key')}",
            f"AllowedIPs={','.join(items(peer, 'allowed_ips'))}",
        ]
        if key := text(peer, "preshared_key"):
            lines.append(f"PresharedKey={key}")
        if host := text(peer, "endpoint_host"):
            host = f"[{host}]" if ":" in host else host
            lines.append(f"Endpoint={host}:{text(peer, 'endpoint_port', '51820')}")
        if seconds := text(peer, "persistent_keepalive"):
            lines.append(f"PersistentKeepalive={seconds}")
    run("wg", "syncconf", name, "/dev/stdin", stdin="\n".join(lines) + "\n")
    for address in items(section, "addresses"):
        run("ip", "address", "replace", address, "dev", name, *(["nodad"] if ":" in address else []))
    run("ip", "link", "set", name, "mtu", text(section, "mtu"), "up")


def route(section: Section, devices: dict[str, str]) -> list[str]:
    known(section, "route")
    kind, metric = text(section, "type"), text(section, "metric")
    assert int(metric or 0) < 2**31, "metrics are signed numbers"
    device = devices[text(section, "interface")]
    words = [kind] if kind else []
    words += [text(section, "target"), *(["dev", device] if not kind else [])]
    for option in ("gateway", "table", "metric", "mtu", "proto"):
        if value := text(section, option):
            words += ["via" if option == "gateway" else option, value]
    if source := text(section, "source"):  # whose packets it is for in IPv6, where they come from in IPv4
        words = [words[0], "from", source, *words[1:]] if section.type == "route6" else [*words, "src", source]
    return words


def rule(section: Section, devices: dict[str, str]) -> list[str]:
    known(section, "rule")
    words = ["pref", text(section, "priority"), *(["not"] if text(section, "invert") == "1" else [])]
    for option, word in (("src", "from"), ("dest", "to"), ("mark", "fwmark")):
        if value := text(section, option):
            words += [word, value]
    for option, word in (("in", "iif"), ("out", "oif")):
        if value := text(section, option):
            words += [word, devices[value]]
    words += ["lookup", text(section, "lookup")] if text(section, "lookup") else [text(section, "action")]
    if value := text(section, "suppress_prefixlength"):
        words += ["suppress_prefixlength", value]
    return words


# --- odhcpd, whose part dnsmasq has here -----------------------------------------------------------------------------


def advertise(sections: Package, devices: dict[str, str], folder: Path) -> None:
    """Advertise every prefix on the devices of interfaces that ask for it."""
    for name, section in sections.items():
        if section.type != "dhcp" or text(section, "ra") != "server":
            continue
        device, mtu = devices[text(section, "interface")], text(section, "ra_mtu", "1500")
        config = folder / f"{name}.conf"
        if not config.exists():  # it goes on as it is
            lines = ["port=0", "bind-dynamic", f"interface={device}", f"ra-param={device},mtu:{mtu},60,1800"]
            lines += [f"dhcp-range=::,constructor:{device},ra-only,64,3600", f"pid-file={folder}/{name}.pid"]
            config.write_text("\n".join([*lines, ""]))
            run("dnsmasq", "--user=root", f"--conf-file={config}")


# --- fw4 ---------------------------------------------------------------------------------------------------------


def zones(sections: Package, devices: dict[str, str]) -> dict[str, list[str]]:
    """Give the devices of each zone."""
    every = (one for one in sections.values() if one.type == "zone")
    return {text(one, "name"): [devices[net] for net in items(one, "network") if net in devices] for one in every}


def firewall(sections: Package, devices: dict[str, str], root: Path) -> None:
    """Load what fw4 would: its own table, which refuses what nothing opens, and includes behind it."""
    covered = zones(sections, devices)
    chains: dict[str, list[str]] = {"input": [], "forward": []}
    includes = ""
    for section in sections.values():
        if section.type == "zone":
            names = quoted(covered[text(section, "name")])
            if text(section, "input") == "ACCEPT" and names:
                chains["input"].append(f"iifname {{ {names} }} accept")
            if text(section, "forward") == "ACCEPT" and names:
                chains["forward"].append(f"iifname {{ {names} }} oifname {{ {names} }} accept")
        elif section.type == "forwarding":
            source, goal = (quoted(covered[text(section, end)]) for end in ("src", "dest"))
            if source and goal:  # a zone without devices matches nothing
                chains["forward"].append(f"iifname {{ {source} }} oifname {{ {goal} }} accept")
        elif section.type == "rule":
            assert (text(section, "src"), text(section, "proto"), text(section, "target")) == ("*", "udp", "ACCEPT")
            chains["input"].append(f"udp dport {{ {', '.join(items(section, 'dest_port'))} }} accept")
        elif section.type == "include":
            assert (text(section, "type"), text(section, "position")) == ("nftables", "ruleset-post")
            includes += f'include "{root}{text(section, "path")}"\n'
    chains["input"].insert(0, "meta l4proto { icmp, ipv6-icmp } accept")
    table = "table inet fw4\ndelete table inet fw4\ntable inet fw4 {\n"
    for chain, lines in chains.items():
        begin = f"type filter hook {chain} priority 0; policy drop;"
        always = 'ct state { established, related } accept; iifname "lo" accept'
        table += "\n".join([f"chain {chain} {{", begin, always, *lines, "}", ""])
    run("nft", "-f", "-", stdin=f"{table}}}\n{includes}")


def quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def settings(file: Path) -> None:
    """Write what /etc/sysctl.d says, once the devices are there."""
    for line in file.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not name.startswith("#"):
            path = Path("/proc/sys", *(part.replace("/", ".") for part in name.split(".")))
            path.write_text(value)
