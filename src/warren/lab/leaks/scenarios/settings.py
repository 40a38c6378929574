"""Kernel settings that others change, and what conntrack forgets."""

from __future__ import annotations

from collections.abc import Generator

from warren.lab.leaks.scenario import HELD, LIVES, Check, Play, Scenario
from warren.lab.leaks.stage import Stage


def _set(check: Check, *settings: str) -> Play:
    """Set these everywhere, and put back what they were."""

    def play(stage: Stage) -> Generator[Check]:
        for host in stage.hosts:
            for setting in settings:
                name, _, value = setting.partition("=")
                name = name.replace("UPLINK", stage.uplink(host))
                for one in stage.sh(host, f"sysctl -N '{name}' 2>/dev/null || true").split() or [name]:
                    before = stage.sh(host, f"sysctl -n {one}").strip()
                    stage.undo(host, f"sysctl -qw {one}={before}")
                    stage.sh(host, f"sysctl -qw {one}={value}")
        yield check

    return play


def _each_device(check: Check, path: str, value: str) -> Play:
    """Set one setting of every device there is."""

    def play(stage: Stage) -> Generator[Check]:
        for host in stage.hosts:
            told = stage.sh(host, f"for f in /proc/sys/net/{path}; do echo $f $(cat $f); done")
            for line in told.splitlines():
                file, before = line.split()
                stage.undo(host, f"echo {before} > {file} 2>/dev/null || true")
            stage.sh(host, f"for f in /proc/sys/net/{path}; do echo {value} > $f; done")
        yield check

    return play


def _forwarding_off(stage: Stage) -> Generator[Check]:
    stage.everywhere("sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0")
    yield Check(uplinks=False)
    stage.everywhere("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
    stage.apply()
    yield HELD


def _flushed(stage: Stage) -> Generator[Check]:
    for _ in range(5):
        stage.everywhere("conntrack -F >/dev/null 2>&1")
    yield LIVES


def _full(stage: Stage) -> Generator[Check]:
    """No new flow finds room; those that are known go on."""
    for host in stage.entries:
        before = stage.sh(host, "sysctl -n net.netfilter.nf_conntrack_max").strip()
        stage.undo(host, f"sysctl -qw net.netfilter.nf_conntrack_max={before}")
        stage.sh(host, "sysctl -qw net.netfilter.nf_conntrack_max=1")
    yield Check(uplinks=False)


def _short_lived(stage: Stage) -> Generator[Check]:
    names = ("udp_timeout", "udp_timeout_stream", "generic_timeout", "icmp_timeout", "tcp_timeout_established")
    settings = [f"net.netfilter.nf_conntrack_{name}=1" for name in names]
    yield from _set(LIVES, *settings)(stage)


def _ipv6_off(stage: Stage) -> Generator[Check]:
    for host in stage.entries:
        told = stage.sh(host, "ip -6 -o address show scope global | while read n d f a rest; do echo $d $a; done; ")
        ways = [line.split(" pref")[0] for line in stage.sh(host, "ip -6 route show default").splitlines()]
        put = [
            f"ip -6 address replace {line.split()[1]} dev {line.split()[0]} nodad"
            for line in told.splitlines()
            if "portals" not in line
        ]
        put += [f"ip -6 route replace {way}" for way in ways]
        stage.undo(
            host,
            "sysctl -qw net.ipv6.conf.all.disable_ipv6=0; " + " ; ".join(f"{one} 2>/dev/null || true" for one in put),
        )
        stage.sh(host, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
    yield Check(uplinks=False)


def _scenario(name: str, says: str, promise: str, play: Play) -> Scenario:
    return Scenario(name, "settings", says, promise, play)


SCENARIOS = (
    _scenario(
        "rp-filter-strict",
        "every reverse-path filter is made strict",
        "nothing leaks",
        _each_device(HELD, "ipv4/conf/*/rp_filter", "1"),
    ),
    _scenario(
        "rp-filter-off",
        "every reverse-path filter is turned off",
        "all arrives by the exits",
        _each_device(LIVES, "ipv4/conf/*/rp_filter", "0"),
    ),
    _scenario(
        "valid-mark",
        "reverse-path filters are strict, and follow marks",
        "nothing leaks",
        _set(HELD, "net.ipv4.conf.all.src_valid_mark=1", "net.ipv4.conf.all.rp_filter=1"),
    ),
    _scenario("forwarding-off-and-on", "forwarding is turned off, and on again", "nothing leaks", _forwarding_off),
    _scenario(
        "redirects",
        "redirects are accepted and sent everywhere, sources route themselves",
        "all arrives by the exits",
        _set(
            LIVES,
            "net.ipv4.conf.all.accept_redirects=1",
            "net.ipv4.conf.all.secure_redirects=0",
            "net.ipv4.conf.all.send_redirects=1",
            "net.ipv4.conf.all.accept_source_route=1",
            "net.ipv6.conf.all.accept_redirects=1",
        ),
    ),
    _scenario(
        "proxy-arp",
        "hosts answer ARP for everybody, and take packets of their own from outside",
        "all arrives by the exits",
        _set(
            LIVES,
            "net.ipv4.conf.all.proxy_arp=1",
            "net.ipv4.conf.all.accept_local=1",
            "net.ipv4.conf.all.route_localnet=1",
        ),
    ),
    _scenario(
        "marks-reflected",
        "the kernel's own answers carry the mark of what they answer",
        "all arrives by the exits",
        _set(LIVES, "net.ipv4.fwmark_reflect=1", "net.ipv6.fwmark_reflect=1", "net.ipv4.tcp_fwmark_accept=1"),
    ),
    _scenario("conntrack-flushed", "all of conntrack is forgotten, five times", "all arrives by the exits", _flushed),
    _scenario("conntrack-full", "conntrack has no room for a new flow", "nothing leaks", _full),
    _scenario(
        "conntrack-short", "conntrack forgets every flow after a second", "all arrives by the exits", _short_lived
    ),
    _scenario(
        "ipv6-off", "IPv6 is turned off on every device of the entries, and on again", "nothing leaks", _ipv6_off
    ),
)
