"""The POSIX script: read by people, and run under busybox ash with either firewall, carrying real packets.

client ── eth2 nyc eth0 ── inet ── eth0 paris          portal nyc.eth2 → paris
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tests.core.compile.networks import OVERLAY, host, lan, lock_of, portal
from tests.core.render.golden import check, example
from tests.core.render.namespace import ALONE
from tests.core.render.states import nyc
from warren.core.compile import compile_network
from warren.core.render.script import render_script, render_sh
from warren.core.render.subject import state_of
from warren.model.firewall import Accept, Chain, Jump, NftRule, Set, SetType
from warren.model.key import PublicKey, SecretRef
from warren.model.network import Network
from warren.model.state import DnsConfig, Hooks

GOLDEN = Path(__file__).parents[2] / "golden" / "script"


def test_the_script_reads_as_in_the_golden_file() -> None:
    assert render_script(nyc()) == (GOLDEN / "nyc.sh").read_text()


@pytest.mark.parametrize("shell", [["busybox", "ash"], ["dash"], ["bash", "--posix"]])
def test_shells_can_read_it(shell: list[str]) -> None:
    conf = replace(
        nyc(),
        owner="conf:wg0",
        hooks=Hooks(("echo '%i' \"$x\"",), ("b",), ("c",), ("d",)),
        dns=(DnsConfig("portals", (ip_address("9.9.9.9"),), ("x",)),),
    )

    for state in (nyc(), conf):
        assert subprocess.run([*shell, "-n"], input=render_script(state), text=True, capture_output=True).stderr == ""


def test_no_secret_and_only_what_is_ours_is_in_it() -> None:
    text = render_script(nyc())

    assert "PresharedKey = $(cat /etc/warren/t.psk)" in text
    assert " flush " not in text


def test_a_key_is_read_out_of_a_conf(tmp_path: Path) -> None:
    conf = tmp_path / "wg0.conf"
    conf.write_text(
        "[Interface]\nPrivateKey = AAA= # mine\nAddress=10.0.0.1\n"
        "[Peer]\npresharedkey=BBB=\nPublicKey = P1=\n[Peer]\nPublicKey = P2=\nPresharedKey = CCC=\n"
    )
    link = replace(nyc().interfaces[0], private_key=SecretRef(str(conf), "PrivateKey"))
    script = render_script(replace(nyc(), interfaces=(link,)))
    function = script[script.index("conf_secret() {") : script.index("# What is made")]

    def ask(*words: str) -> str:
        script = f'{function}conf_secret "$@"'
        return subprocess.run(
            ["busybox", "ash", "-euc", script, "sh", str(conf), *words], capture_output=True, text=True
        ).stdout

    assert ask("PrivateKey") == "AAA=\n"
    assert ask("PresharedKey", "P1=") == "BBB=\n"
    assert ask("PresharedKey", "P2=") == "CCC=\n"
    assert ask("PresharedKey", "P3=") == ""


def two_hosts(where: Path) -> dict[str, str]:
    """Make keys and the scripts of nyc and paris; nyc's next editions are `less`, without the portal, and `other`."""
    hosts = []
    for one in (
        host("nyc", "198.51.100.10", lan("eth2", "192.168.21.1/24", "fd21::1/64")),
        host("paris", "203.0.113.20"),
    ):
        path = where / f"{one.name}.key"
        path.touch(0o600)
        path.write_text(subprocess.run(["wg", "genkey"], capture_output=True, text=True).stdout)
        public = subprocess.run(["wg", "pubkey"], stdin=path.open(), capture_output=True, text=True).stdout.strip()
        hosts.append(replace(one, key=PublicKey(public), private_key=str(path)))
    network = Network(name="portals", overlay=OVERLAY, hosts=tuple(hosts), portals=(portal("nyc.eth2", "paris"),))
    states = compile_network(network, lock_of(network), {})
    less = replace(network, portals=())
    few = replace(portal("nyc.eth2", "paris"), exceptions=(ip_network("198.18.0.0/24"),))
    other = replace(network, hosts=(replace(hosts[0], mtu=1380), hosts[1]), portals=(few,))
    states["other"] = compile_network(other, lock_of(other), {})["nyc"]
    states["less"] = compile_network(less, lock_of(less), {})["nyc"]
    return {name: render_script(state) for name, state in states.items()}


SETUP = r"""
mount -t tmpfs tmpfs /run
cd "$1"
for ns in nyc paris inet client; do
    ip netns add $ns; ip -n $ns link set lo up; mkdir -p run/$ns
    ip netns exec $ns sysctl -q -w net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
done
join() { ip link add $2 netns $1 type veth peer name $4 netns $3; ip -n $1 link set $2 up; ip -n $3 link set $4 up; }
join nyc eth0 inet nyc; join paris eth0 inet paris; join client eth0 nyc eth2
addr() { ns=$1 dev=$2; shift 2; for a in "$@"; do ip -n $ns addr add $a dev $dev; done; }
addr inet nyc 198.51.100.1/24 2001:db8:1::1/64; addr nyc eth0 198.51.100.10/24 2001:db8:1::10/64
addr inet paris 203.0.113.1/24 2001:db8:2::1/64; addr paris eth0 203.0.113.20/24 2001:db8:2::20/64
addr inet lo 192.0.2.80/32 2001:db8:80::80/128
addr nyc eth2 192.168.21.1/24 fd21::1/64; addr client eth0 192.168.21.2/24 fd21::2/64
ip netns exec inet sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
for f in -4 -6; do
    [ $f = -4 ] && a=198.51.100.1 b=203.0.113.1 c=192.168.21.1 || a=2001:db8:1::1 b=2001:db8:2::1 c=fd21::1
    ip -n nyc $f route add default via $a; ip -n paris $f route add default via $b
    ip -n client $f route add default via $c
done
ip netns exec nyc sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
nat='type nat hook postrouting priority 100; oifname eth0 masquerade;'
ip netns exec nyc nft "table inet owner { chain p { $nat }; }"
ip netns exec inet $PYTHON -c "$SERVER" & until ip netns exec inet ss -ltn | grep -q :80; do sleep 0.05; done

ask() { for to in 192.0.2.80 2001:db8:80::80; do echo "$1 $(ip netns exec client $PYTHON -c "$CLIENT" $to)"; done; }
state() {
    for ns in nyc paris; do
        echo "$ns"; ip -n $ns -br link; ip -n $ns rule; ip -n $ns -6 rule
        ip -n $ns route show table all; ip -n $ns -6 route show table all
        ip netns exec $ns nft -s list ruleset | grep -v '^\(table\|	chain\|		type\|	}\|}\|$\)' || :
        ip netns exec $ns sysctl -a 2>/dev/null | grep 'forward\|rp_filter\|accept_ra '
    done
}
on() { ns=$1; shift; ip netns exec $ns unshare -m sh -euc 'mount --bind "$0" /run; exec "$@"' "$PWD/run/$ns" "$@"; }

run() { ns=$1; shift; on $ns busybox ash "$@" || echo "$ns $*: $?"; }

"""
STEPS = r"""
run nyc nyc.sh status; state >before; ask before
WARREN_KEY=/nowhere run nyc nyc.sh start
ip -n nyc link add portals-paris type veth peer name other; run nyc nyc.sh start; ip -n nyc link del portals-paris
ip netns exec nyc $PYTHON -c "$HOLD" & until ip netns exec nyc ss -lun | grep -q :51821; do sleep 0.05; done
run nyc nyc.sh start; kill $!; wait $! || :; state >undone; diff before undone && echo undone
run nyc nyc.sh start; run paris paris.sh start; ask up
run nyc nyc.sh restart; ask again
on nyc busybox ash nyc.sh status | sed 's/[0-9]* s ago/now/'
ip -n nyc link del portals-paris; ask gone; run nyc nyc.sh status
run nyc nyc.sh start; ask repaired
for f in -4 -6; do while ip -n nyc $f rule del protocol 77; do :; done 2>/dev/null; done; ask unruled
run nyc less.sh restart; ask less; run nyc less.sh status
run nyc less.sh stop; run paris paris.sh stop; ask down
state >after
diff before after && echo same
"""
# Packets as fast as they go while the script is started again, in this edition and in another.
FLOOD = r"""
run nyc nyc.sh start; run paris paris.sh start; ask up
ip netns exec inet tcpdump -lni nyc 'dst host 192.0.2.80 or dst host 2001:db8:80::80' >leaks 2>watching &
until grep -q listening watching; do sleep 0.05; done
for to in 192.0.2.80 2001:db8:80::80; do ip netns exec client ping -q -i 0.002 $to >/dev/null & done
for edition in nyc nyc other nyc; do run nyc $edition.sh restart; done
sleep 0.3; echo "leaked $(wc -l <leaks)"
run nyc nyc.sh stop; until [ -s leaks ]; do sleep 0.05; done; echo "seen without it"
"""
SERVER = """
import socket
s = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
while True:
    c, who = s.accept()
    c.sendall(who[0].removeprefix("::ffff:").encode()); c.close()
"""
CLIENT = """
import socket, sys
try:
    # A handshake that was lost because the far side was not up yet is tried again after 5 s.
    print(socket.create_connection((sys.argv[1], 80), timeout=9).recv(99).decode())
except OSError as error:
    print("blocked")
"""


HOLD = """
import signal, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 51821))
signal.pause()
"""


# What goes with the device portals-paris.
MISSING = [f"missing: 1 of {of} routes of table {t} (-{f})" for f in (4, 6) for t, of in ((7700, 3), (7701, 2))]
MISSING += ["missing: device portals-paris"]


@pytest.mark.lab
@pytest.mark.parametrize("firewall", ["nft", "iptables"])
def test_packets_leave_by_the_exit_under_busybox_ash(tmp_path: Path, firewall: str) -> None:
    run = in_the_world(tmp_path, firewall, STEPS)

    direct = ["198.51.100.10", "2001:db8:1::10"]
    by_paris = ["203.0.113.20", "2001:db8:2::20"]
    blocked = ["blocked"] * 2
    expected = ["nyc nyc.sh status: 3", *asked("before", direct)]
    expected += ["nyc nyc.sh start: 1", "nyc nyc.sh start: 1", "nyc nyc.sh start: 1", "undone"]
    expected += [*asked("up", by_paris), *asked("again", by_paris), "portals-paris: paris: handshake now"]
    expected += [*asked("gone", blocked), *MISSING, "nyc nyc.sh status: 1", *asked("repaired", by_paris)]
    expected += [*asked("unruled", blocked), *asked("less", direct), "portals: paris: no handshake yet"]
    assert run.stdout.splitlines() == [*expected, *asked("down", direct), "same"], run.stderr


@pytest.mark.lab
@pytest.mark.parametrize("firewall", ["nft", "iptables"])
def test_nothing_leaves_directly_while_it_is_started_again(tmp_path: Path, firewall: str) -> None:
    run = in_the_world(tmp_path, firewall, FLOOD)

    up = asked("up", ["203.0.113.20", "2001:db8:2::20"])
    assert run.stdout.splitlines() == [*up, "leaked 0", "seen without it"], run.stderr


def in_the_world(folder: Path, firewall: str, steps: str) -> subprocess.CompletedProcess[str]:
    for name, script in two_hosts(folder).items():
        (folder / f"{name}.sh").write_text(script)
    names = {"PYTHON": sys.executable, "SERVER": SERVER, "CLIENT": CLIENT, "HOLD": HOLD, "WARREN_FIREWALL": firewall}
    namespace = [*ALONE, "env", *(f"{name}={value}" for name, value in names.items())]
    argv = [*namespace, "sh", "-euc", SETUP + steps, "sh", str(folder)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=180)


def asked(when: str, seen: list[str]) -> list[str]:
    return [f"{when} {address}" for address in seen]


def test_the_target_reads_as_in_the_golden_text() -> None:
    check("portals", "paris", "script")


def test_what_a_script_cannot_do_is_said() -> None:
    table = nyc().tables[0]
    jumped = Chain("jumped", (NftRule((), (Accept(),)),))
    forward = replace(table.chains[0], rules=(NftRule((), (Jump("jumped"),)),))
    live = Set("knocks", SetType.IPV4, live=True)
    odd = replace(nyc(), tables=(replace(table, sets=(*table.sets, live), chains=(forward, jumped)),))

    made = render_sh(odd)

    assert [one.item for one in made.unsaid] == [
        "the firewall on a machine without nft",
        "what is put into the set knocks later",
    ]
    assert "die 'iptables cannot accept in jumped" in made.files[0].text
    assert render_sh(nyc()).unsaid == ()


@pytest.mark.lab
@pytest.mark.parametrize("firewall", ["nft", "iptables"])
def test_a_gateway_keeps_what_listens_on_it(tmp_path: Path, firewall: str) -> None:
    """Its sshd may have any port: what is published never covers it."""
    key = tmp_path / "key"
    key.write_text(subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout)
    public = subprocess.run(["wg", "pubkey"], stdin=key.open(), capture_output=True, text=True).stdout.strip()
    state = state_of(*example("gateway"), "cloud")
    own = tuple(replace(one, public_key=PublicKey(public)) for one in state.interfaces)
    (tmp_path / "cloud.sh").write_text(render_script(replace(state, interfaces=own)))
    script = """
        mount -t tmpfs tmpfs /run; ip link set lo up; ip link add ens3 type veth peer name wire
        $PYTHON -c "$LISTEN" & until ss -ltn | grep -q :2200; do sleep 0.05; done
        busybox ash "$1/cloud.sh" start
        nft -s list ruleset | grep -e 'elements = { [0-9]*[, ]' -e 'dport \\(22\\|2200\\|2201\\|5353\\) .*return' || :
        busybox ash "$1/cloud.sh" stop"""
    listen = """if True:
        import signal, socket
        held = [socket.create_server((host, port)) for host, port in (("0.0.0.0", 2200), ("127.0.0.1", 2201))]
        waiting = socket.socket(type=socket.SOCK_DGRAM)
        waiting.bind(("", 5353))
        signal.pause()"""

    told = {"PYTHON": sys.executable, "LISTEN": listen, "WARREN_FIREWALL": firewall, "WARREN_KEY": str(key)}
    argv = [*ALONE, "env", *(f"{name}={value}" for name, value in told.items()), "sh", "-euc", script, "sh"]
    run = subprocess.run([*argv, str(tmp_path)], capture_output=True, text=True, timeout=60)

    assert "2200" in run.stdout and "5353" in run.stdout, run.stderr
    assert "2201" not in run.stdout, "nobody but the machine itself reaches that one"


def test_two_networks_keep_their_iptables_chains_apart() -> None:
    long = replace(nyc(), owner="a-network-with-a-long-name")
    scripts = [render_script(replace(s, tables=(replace(s.tables[0], name=s.table_name),))) for s in (nyc(), long)]

    chains = [{word for word in script.split() if word.startswith(":WARREN-")} for script in scripts]

    assert not chains[0] & chains[1] and all(len(name) <= 29 for names in chains for name in names)
