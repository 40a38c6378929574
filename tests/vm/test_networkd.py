"""systemd-networkd makes rendered devices on a kernel that has WireGuard; tests/lab has it do all the rest."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.core.render.namespace import ALONE
from tests.core.render.states import nyc
from warren.core.render.networkd import render_networkd
from warren.model.key import PublicKey, encode_key
from warren.model.state import HostState
from warren.sys.keys import new_private_key, public_key
from warren.sys.tree import Keys, write_tree
from warren.sys.wg import DeviceSeen, parse_dump

pytestmark = pytest.mark.vm

RUN = r"""
mount --bind "$1/etc/systemd/network" /etc/systemd/network
printf 'root:x:0:0::/:/bin/sh\nsystemd-network:x:0:0::/:/bin/sh\n' >"$1/passwd"
mount --bind "$1/passwd" /etc/passwd
mount -t tmpfs tmpfs /run
mount -t sysfs -o ro sysfs /sys
mkdir -p /run/systemd/netif/links /run/systemd/netif/leases
/lib/systemd/systemd-networkd >"$1/log" 2>&1 </dev/null &
networkd=$!
tries=0
until [ "$(ip rule | grep -c '^77')" = "$2" ] && ip -6 route show table 7701 | grep -q portals-paris; do
    tries=$((tries + 1))
    [ $tries -lt 600 ] || { cat "$1/log" >&2; ip rule >&2; exit 1; }
    sleep 0.1
done
wg show all dump
kill $networkd
"""


def test_networkd_makes_the_devices(tmp_path: Path) -> None:
    private, psk = new_private_key(), encode_key(bytes(range(32)))
    state = with_key(nyc(), public_key(private))
    made = render_networkd(state)
    secrets = {secret.ref: psk for file in made.files for secret in file.secrets if secret.public_key is None}
    write_tree(made.files, str(tmp_path), Keys(((public_key(private), private),), tuple(secrets.items())))
    # One more than the state's own of the family: a rule that says it bit by bit is six.
    rules = sum(rule.family == 4 for rule in state.rules) + 5

    done = subprocess.run(
        [*ALONE, "sh", "-euc", RUN, "sh", str(tmp_path), str(rules)], capture_output=True, text=True, timeout=300
    )

    assert done.returncode == 0, done.stderr
    same_devices(state, parse_dump(done.stdout))


def same_devices(state: HostState, seen: dict[str, DeviceSeen]) -> None:
    """Hold what the kernel has against a state's devices and peers."""
    for interface in state.interfaces:
        device = seen[interface.name]
        assert (device.public_key, device.listen_port) == (interface.public_key, interface.listen_port)
        assert device.fwmark == interface.fwmark
        for wanted, found in zip(sorted(interface.peers, key=lambda peer: peer.public_key), device.peers, strict=True):
            assert found.peer.public_key == wanted.public_key
            assert set(found.peer.allowed_ips) == set(wanted.allowed_ips)
            assert (found.peer.endpoint, found.peer.keepalive) == (wanted.endpoint, wanted.keepalive)
            assert bool(found.peer.psk_fingerprint) == bool(wanted.psk)


def with_key(state: HostState, key: PublicKey) -> HostState:
    return replace(state, interfaces=tuple(replace(one, public_key=key) for one in state.interfaces))
