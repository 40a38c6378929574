"""Other tools at the firewall: they take our table away, or bring tables of their own."""

from __future__ import annotations

from collections.abc import Generator

from warren.lab.leaks.scenario import HELD, LIVES, Check, Play, Scenario, Whom, everybody, nobody, unmarked
from warren.lab.leaks.senders import Sender
from warren.lab.leaks.stage import Stage

OURS = "nft list tables inet | awk '$3 ~ /^warren-/ {print $3}'"
# Docker: forwarding is dropped but for its bridge, and everything from there is masqueraded.
_DOCKER = """
table ip dockerlike {
    chain DOCKER-USER { return; }
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        jump DOCKER-USER
        oifname "docker0" ct state established,related accept
        iifname "docker0" accept
    }
    chain POSTROUTING {
        type nat hook postrouting priority srcnat;
        ip saddr 172.17.0.0/16 oifname != "docker0" masquerade
    }
}
"""
# ufw with `ufw route allow`, and the masquerading that its manual puts into before.rules.
_UFW = """
table inet ufwlike {
    chain before { ct state established,related accept; ct state invalid drop; accept; }
    chain forward { type filter hook forward priority filter; policy drop; jump before; }
    chain nat { type nat hook postrouting priority srcnat; oifname "UPLINK" masquerade; }
}
"""
# firewalld: its priorities are ten after the ordinary ones; an external zone masquerades all that leaves.
_FIREWALLD = """
table inet firewalldlike {
    chain mangle { type filter hook prerouting priority mangle + 10; accept; }
    chain FORWARD { type filter hook forward priority filter + 10; ct state { established, related } accept; accept; }
    chain POSTROUTING { type nat hook postrouting priority srcnat + 10; oifname != "lo" masquerade; }
}
"""


def _chainless(sender: Sender) -> bool:
    return not sender.by_table and not (sender.way is not None and sender.way.chained)


def but_mac(host: str) -> Whom:
    """Hold for all but portals of one MAC that begin at this host, whose table is gone: nothing else sees them."""
    return lambda sender: sender.host != host or not sender.by_table


def _flush_one(stage: Stage) -> Generator[Check]:
    """Each host in turn: the others' tables stand."""
    for host in stage.entries:
        stage.keep_ruleset(host)
        stage.sh(host, "nft flush ruleset")
        yield Check(held=but_mac(host), uplinks=False)
        stage.apply((host,))
        stage.bring_ruleset(host)
        stage.forgive(but_mac(host))


def _flush_all(stage: Stage) -> Generator[Check]:
    for host in stage.hosts:
        stage.keep_ruleset(host)
    stage.everywhere("nft flush ruleset")
    # The hosts have lost the owner's own masquerading too, so a control leaves with a private source.
    yield Check(held=_chainless, uplinks=False)


def _delete_table(stage: Stage) -> Generator[Check]:
    for host in stage.entries:
        stage.sh(host, f"for table in $({OURS}); do nft delete table inet $table; done")
        yield Check(held=but_mac(host))
        stage.apply((host,))
        stage.forgive(but_mac(host))


def _empty_chains(stage: Stage) -> Generator[Check]:
    for host in stage.entries:
        stage.sh(host, f"for table in $({OURS}); do nft flush table inet $table; done")
        yield Check(held=but_mac(host))
        stage.apply((host,))  # the table is there by its name: it is seen that its contents are not
        stage.forgive(but_mac(host))


def _reload_often(stage: Stage) -> Generator[Check]:
    for host in stage.hosts:
        name = f"warren-{stage.network.name}"
        stage.sh(
            host,
            f"nft -s list table inet {name} > /run/leaks-table.{host}; "
            f"for i in 1 2 3 4 5 6 7 8 9 10; do {{ echo 'add table inet {name}'; echo 'delete table inet {name}'; "
            f"cat /run/leaks-table.{host}; }} | nft -f -; done",
        )
    yield LIVES


def _beside(rules: str, check: Check, afterwards: str = "") -> Play:
    def play(stage: Stage) -> Generator[Check]:
        if afterwards:
            for host in stage.hosts:
                stage.undo(host, afterwards)
        for host in stage.hosts:
            stage.load(host, rules.replace("UPLINK", stage.uplink(host)))
        yield check

    return play


def _prerouting(does: str, priority: str) -> str:
    return f"table inet meddler {{ chain pre {{ type filter hook prerouting priority {priority}; {does}; }}\n }}\n"


def _scenario(name: str, says: str, promise: str, play: Play) -> Scenario:
    return Scenario(name, "firewall", says, promise, play)


_BLIND = Check(held=everybody, lives=nobody, uplinks=False)

SCENARIOS = (
    _scenario(
        "flush-ruleset",
        "another tool says `nft flush ruleset` on one host, then on the next",
        "nothing leaks, but from one MAC",
        _flush_one,
    ),
    _scenario(
        "flush-everywhere",
        "`nft flush ruleset` on every host at the same moment",
        "nothing leaks, but from one MAC, and of a chain at its relay",
        _flush_all,
    ),
    _scenario(
        "delete-table",
        "warren's table is deleted on one host, then on the next",
        "nothing leaks, but from one MAC",
        _delete_table,
    ),
    _scenario(
        "empty-table",
        "warren's table is there, but another tool has emptied it",
        "nothing leaks, but from one MAC",
        _empty_chains,
    ),
    _scenario(
        "reload-nftables",
        "the whole table is loaded anew, ten times in a row",
        "all arrives by the exits",
        _reload_often,
    ),
    _scenario(
        "docker-rules",
        "Docker's tables come: forwarding is dropped, but for its bridge",
        "nothing leaks",
        _beside(_DOCKER, _BLIND),
    ),
    _scenario(
        "ufw-rules",
        "ufw's come: everything may be forwarded, and is masqueraded at the uplink",
        "all arrives by the exits",
        _beside(_UFW, LIVES),
    ),
    _scenario(
        "firewalld-rules",
        "firewalld's come: everything is accepted and masqueraded wherever it leaves",
        "nothing leaks",
        _beside(_FIREWALLD, HELD),
    ),
    _scenario(
        "forward-dropped",
        "somebody's forward chain gets the policy drop",
        "nothing leaks",
        _beside(
            "table inet dropper { chain forward { type filter hook forward priority filter; policy drop; }\n }\n",
            _BLIND,
        ),
    ),
    _scenario(
        "marks-cleared",
        "another tool clears every mark after warren has set its own",
        "nothing leaks",
        _beside(_prerouting("meta mark set 0", "dstnat"), HELD),
    ),
    _scenario(
        "mark-of-the-uplink",
        "another tool marks every packet as come in by the uplink",
        "nothing leaks, but by marks",
        _beside(_prerouting("meta mark set 0x3e000000", "dstnat"), Check(held=unmarked)),
    ),
    _scenario(
        "mark-of-wireguard",
        "another tool marks every packet as WireGuard's own",
        "nothing leaks",
        _beside(_prerouting("meta mark set 0x3f000000", "dstnat"), HELD),
    ),
    _scenario(
        "marks-before-ours",
        "another tool marks every packet with warren's marks before warren looks",
        "nothing leaks",
        _beside(_prerouting("meta mark set 0x3e000000", "raw"), LIVES),
    ),
    _scenario(
        "connection-marks",
        "another tool puts warren's mark of the uplink on every connection, and back on its packets",
        "nothing leaks, but by marks",
        _beside(
            "table inet meddler { chain pre { type filter hook prerouting priority mangle - 1; "
            "ct mark set 0x3e000000; meta mark set ct mark; }\n }\n",
            Check(held=unmarked),
            "conntrack -F 2>/dev/null",
        ),
    ),
    _scenario(
        "untracked",
        "another tool takes every packet out of conntrack",
        "nothing leaks",
        _beside(
            "table inet meddler { chain pre { type filter hook prerouting priority raw; notrack; }\n"
            " chain out { type filter hook output priority raw; notrack; }\n }\n",
            _BLIND,
        ),
    ),
    _scenario(
        "ttl-and-dscp",
        "another tool rewrites the TTL and DSCP of everything",
        "all arrives by the exits",
        _beside(
            "table inet meddler { chain pre { type filter hook prerouting priority mangle; "
            "ip ttl set 64 ip dscp set cs1; }\n }\n",
            LIVES,
        ),
    ),
)
