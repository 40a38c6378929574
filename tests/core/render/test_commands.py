"""Commands: the text that people read, and what ip, nft, wg and sysctl make of it in a namespace."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from shlex import quote

import pytest

from tests.core.render.namespace import ALONE
from tests.core.render.states import PARIS, TOKYO, changed, nyc
from warren.core.diff import diff
from warren.core.render.commands import PEERS_A_CALL, commands, shell_line
from warren.core.render.services import RESOLV_CONF, Tools
from warren.model import change as ch
from warren.model.key import SecretRef
from warren.model.prefix import Family
from warren.model.state import Backend, ConsentRule, DnsConfig, Hooks, HostState, Peer, Route, Rule

GOLDEN = Path(__file__).parents[2] / "golden" / "plan"
NOTHING = HostState("nyc", "portals")
BOOT = {"net.ipv4.ip_forward": "0", "net.ipv6.conf.all.forwarding": "0", "net.ipv6.conf.eth0.accept_ra": "1"}


def of(*changes: ch.Change, owner: str = "portals", tools: Tools | None = None) -> tuple[ch.Command, ...]:
    return commands([ch.Item(change, ch.Rune.ADD, "") for change in changes], owner, tools)


def text_of(batch: tuple[ch.Command, ...]) -> str:
    return "".join(f"# {command.says}\n{shell_line(command)}\n" for command in batch)


@pytest.mark.parametrize("step", ["up", "change", "down"])
def test_commands_read_as_in_the_golden_files(step: str) -> None:
    items = {
        "up": diff(nyc(), NOTHING),
        "change": diff(changed(nyc()), nyc(), nyc()),
        "down": diff(NOTHING, nyc(), nyc(), BOOT),
    }[step]

    assert text_of(commands(items, "portals")) == (GOLDEN / f"nyc-{step}.commands").read_text()


def as_script(batch: tuple[ch.Command, ...], secrets: dict[str, str]) -> str:
    """Write commands as the runner carries them out."""
    lines = []
    for command in batch:
        line = shell_line(command)
        for at, ref in enumerate(command.secrets):
            line = line.replace(f"@secret:{at}@", secrets[ref.path])
        lines.append(line)
        if command.fine != (0,):
            lines[-1] = f"if {lines[-1]}\nthen :; else [ $? -eq 1 ]; fi" if not command.stdin else lines[-1]
        if command.until:
            check = " ".join(map(quote, command.until))
            lines.append(f"n=0; until {check} >/dev/null 2>&1; do n=$((n+1)); [ $n -lt 200 ]; sleep 0.05; done")
    return "\n".join(lines) + "\n"


SURROUND = """
mount -t tmpfs tmpfs /run
for dev in eth0 eth2 eth3
do ip link add $dev type veth peer name p$dev; ip link set $dev up; ip link set p$dev up
done
ip link set lo up
iptables -N DOCKER-USER
sysctl -q -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
state() {
    echo "== $1"; ip -br link | cut -d' ' -f1; ip -br addr show | grep -v fe80 || true
    ip route show table all proto 77; ip -6 route show table all proto 77
    ip rule; ip -6 rule; nft -s list tables; iptables -S DOCKER-USER
    wg show all peers; wg show all allowed-ips; wg show all endpoints; wg show all persistent-keepalive
    wg show all listen-port; wg show all fwmark; wg show all preshared-keys; wg show all private-key
    sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.ipv6.conf.eth0.accept_ra
}
"""


@pytest.mark.parametrize(
    "backend",
    [pytest.param(Backend.USERSPACE, marks=pytest.mark.lab), pytest.param(Backend.KERNEL, marks=pytest.mark.vm)],
)
def test_up_change_and_down_in_a_namespace(tmp_path: Path, backend: Backend) -> None:
    key, psk = (
        subprocess.run(["wg", word], capture_output=True, text=True).stdout.strip() for word in ("genkey", "genpsk")
    )
    for name, value in (("key", key), ("psk", psk)):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(value + "\n")
    state = nyc(backend, str(tmp_path / "key"), str(tmp_path / "psk"))
    secrets = {str(tmp_path / "psk"): psk}
    steps = [
        diff(state, NOTHING),
        diff(changed(state), state, state),
        diff(NOTHING, changed(state), changed(state), BOOT),
    ]
    names = ["up", "changed", "down"]
    script = SURROUND + "state start\n"
    for name, items in zip(names, steps, strict=True):
        script += as_script(commands(items, "portals"), secrets) + f"state {name}\n"

    run = subprocess.run([*ALONE, "sh", "-eu"], input=script, capture_output=True, text=True, timeout=120)

    noise = ("WARNING: ", "conntrack v", "│", "┌", "└")
    errors = [line for line in run.stderr.splitlines() if line.strip() and not line.startswith(noise)]
    assert (run.returncode, errors) == (0, []), run.stderr + run.stdout[-2000:]
    start, up, after, down = (part.partition("\n")[2] for part in run.stdout.split("== ")[1:])
    assert down == start
    assert f"portals\t{TOKYO}\t203.0.113.30:51820" in up and f"portals\t{TOKYO}\t{psk}" in up
    assert f"portals\t{TOKYO}\t25" in up and f"portals\t{key}" in up and "portals-paris\t51821" in up
    assert f"portals\t{TOKYO}\t203.0.113.31:51820" in after and f"portals\t{TOKYO}\t(none)" in after
    assert f"portals\t{TOKYO}\toff" in after and "portals-paris\t51830" in after
    assert f"portals-paris\t{PARIS}\t0.0.0.0/0 ::/0" in up and f"portals-paris\t{PARIS}\t0.0.0.0/0 ::/0" in after
    assert "default dev portals-paris table 7701" in up and "src 10.77.0.1" in up
    assert "192.168.23.0/24 dev portals-paris" in after and "192.168.22.0/24" not in after
    assert "iif eth2 lookup 7701" in up and "iif eth3 lookup 7701" in after and "iif eth2 lookup" not in after
    assert "warren-portals/forward-in/portals-paris/0" in up and "warren-portals/forward-in" not in after
    assert "ip_forward = 1" in up and "accept_ra = 2" in up and "accept_ra = 1" in down


def test_neighbours_of_a_kind_share_one_process() -> None:
    networks = [ip_network(f"10.{n >> 8}.{n & 255}.0/24") for n in range(4000)]
    routes = [ch.AddRoute(Route(network, 7700, "wn0")) for network in networks]

    (batch,) = of(*routes)

    assert batch.argv == ("ip", "-4", "-batch", "-") and batch.stdin.count("\n") == 4000


def test_new_devices_come_up_after_their_peers_and_addresses_and_before_routes() -> None:
    programs = [" ".join(command.argv[:2]) + command.stdin[:9] for command in commands(diff(nyc(), NOTHING))]

    up = next(at for at, text in enumerate(programs) if text.endswith("link set "))
    assert all("addconf" not in text and "address" not in text for text in programs[up:])
    assert all("route" not in text for text in programs[:up])


def test_ours_are_replaced_and_foreign_routes_stumbled_over() -> None:
    route = Route(ip_network("10.0.0.0/8"), 7700, "wn1")

    added, replaced = of(ch.AddRoute(route)), of(ch.AddRoute(route, replace(route, device="wn0")))

    assert added[0].stdin == "route add 10.0.0.0/8 dev wn1 table 7700 proto 77\n"
    assert replaced[0].stdin == "route replace 10.0.0.0/8 dev wn1 table 7700 proto 77\n"


def test_no_secret_stands_in_a_command() -> None:
    link = nyc().interfaces[0]
    conf = replace(link, private_key=SecretRef("/etc/wireguard/wg0.conf", "PrivateKey"))

    key, _up = of(ch.AddLink(conf, Backend.KERNEL))[1:]
    (peer,) = of(ch.PutPeer("portals", link.peers[0]))

    assert key.argv[-2:] == ("private-key", "/dev/stdin") and key.stdin == "@secret:0@\n"
    assert key.secrets == (SecretRef("/etc/wireguard/wg0.conf", "PrivateKey"),)
    assert "PresharedKey = @secret:0@" in peer.stdin and peer.secrets == (SecretRef("/etc/warren/t.psk"),)


def test_a_thousand_peers_are_removed_in_a_few_calls() -> None:
    peers = [ch.DropPeer("wn0", Peer(PARIS, ())) for _ in range(PEERS_A_CALL * 2 + 1)]

    batch = of(*peers)

    assert [command.argv.count("remove") for command in batch] == [PEERS_A_CALL, PEERS_A_CALL, 1]
    assert max(sum(map(len, command.argv)) for command in batch) < 100_000


def test_flows_end_unless_they_came_in_by_the_uplink() -> None:
    forget = of(ch.Forget(nyc().forget[0]))

    marks = [tuple(int(part, 16) for part in command.argv[-1].split("/")) for command in forget]

    def selected(mark: int) -> bool:
        return any(mark & mask == value for value, mask in marks)

    assert not selected(0x3E000000) and not selected(0x3E000001)
    assert all(selected(n << 24) for n in range(64) if n != 0x3E)
    assert all(command.fine == (0, 1) and command.if_missing for command in forget)


def test_resolvers_go_to_resolvconf_or_systemd_resolved() -> None:
    config = DnsConfig("wg0", (ip_address("9.9.9.9"), ip_address("2620:fe::9")), ("corp.example",))

    (classic,) = of(ch.SetDns(config))
    modern = of(ch.SetDns(config), tools=Tools(dns="resolvectl"))

    assert classic.argv == ("resolvconf", "-a", "wg0", "-m", "0", "-x")
    assert classic.stdin == "nameserver 9.9.9.9\nnameserver 2620:fe::9\nsearch corp.example\n"
    assert [command.argv[1:] for command in modern] == [
        ("dns", "wg0", "9.9.9.9", "2620:fe::9"),
        ("domain", "wg0", "corp.example", "~."),
    ]
    assert of(ch.SetDns(replace(config, servers=(), search=()))) == ()

    (ranked,) = of(ch.DropDns(config), tools=Tools(dns_prefix="tun."))
    assert ranked.argv == ("resolvconf", "-d", "tun.wg0", "-f")


def test_hooks_are_run_by_bash_with_the_device_put_in() -> None:
    (hook,) = of(ch.RunHook("PostUp", "echo %i > /tmp/%i", "wg0"))

    assert hook.argv == ("bash", "-e", "-o", "pipefail", "-O", "extglob", "-c", "echo wg0 > /tmp/wg0")
    assert hook.hook == "PostUp"


def test_a_hook_before_the_device_is_up_does_not_bring_it_up() -> None:
    conf = replace(nyc(), owner="conf:wg0", hooks=Hooks(pre_up=("true",)), interfaces=nyc().interfaces[:1], routes=())

    programs = [command.argv[0] for command in commands(diff(replace(conf, rules=(), tables=(), sysctls=()), NOTHING))]

    assert programs.index("bash") < programs.index("wg", programs.index("bash"))


def test_rules_of_both_families_are_two_batches() -> None:
    batch = of(ch.AddRule(Rule(Family.IPV4, 7700, 254)), ch.AddRule(Rule(Family.IPV6, 7700, 254)))

    assert [command.argv[1] for command in batch] == ["-4", "-6"]


def test_dots_in_a_devices_name_are_kept_from_sysctl() -> None:
    (batch,) = of(ch.SetSysctl("net.ipv4.conf.eth0/100.rp_filter", "2", "1"))

    assert batch.argv == ("sysctl", "-q", "-w", "net.ipv4.conf.eth0/100.rp_filter=2")


def test_a_consent_is_tagged_with_its_owner() -> None:
    rule = ConsentRule("ufw", Family.IPV6, "input", udp_port=51820)

    (add,), (drop,) = of(ch.AddConsent(rule), owner="conf:wg0"), of(ch.DropConsent(rule), owner="conf:wg0")

    assert add.argv[:4] == ("ip6tables", "-w", "-I", "ufw6-user-input") and add.argv[-3:-2] == (
        "warren-conf-wg0/input//51820",
    )
    assert drop.argv == ("ip6tables", "-w", "-D", *add.argv[3:])


def test_a_resolver_of_this_host_is_named_in_its_file_where_nobody_keeps_that(tmp_path: Path) -> None:
    """What was there comes back; what somebody else has written since stays."""
    config = DnsConfig("portals", (ip_address("127.77.0.1"),), ())
    tools = Tools(no_dns=True, directory=str(tmp_path))
    file = tmp_path / "resolv.conf"

    def run(change: ch.Change) -> None:
        for command in of(change, tools=tools):
            argv = [str(file) if word == RESOLV_CONF else word for word in command.argv]
            subprocess.run(argv, input=command.stdin, text=True, check=True)

    for meanwhile in ("", "nameserver 9.9.9.9\n"):
        file.write_text("nameserver 192.0.2.53\nsearch example.org\n")
        run(ch.SetDns(config))
        run(ch.SetDns(config))  # as after a boot that kept the file
        assert file.read_text().splitlines()[1:] == ["nameserver 127.77.0.1"]
        if meanwhile:
            file.write_text(meanwhile)
        run(ch.DropDns(config))
        run(ch.DropDns(config))
        assert file.read_text() == (meanwhile or "nameserver 192.0.2.53\nsearch example.org\n")
    elsewhere = of(ch.SetDns(replace(config, servers=(ip_address("9.9.9.9"),))), tools=tools)
    assert elsewhere[0].argv[0] == "resolvconf"
