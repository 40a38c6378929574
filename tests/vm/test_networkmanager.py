"""NetworkManager makes rendered connections, devices and all, on a kernel that has WireGuard."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.core.render.namespace import ALONE
from tests.core.render.nmcli import environment
from tests.core.render.states import nyc
from tests.lab.managers import BUS
from tests.unpacked import program
from tests.vm.test_networkd import same_devices, with_key
from warren.core.render.networkmanager import render_networkmanager
from warren.model.key import encode_key
from warren.sys.keys import new_private_key, public_key
from warren.sys.tree import Keys, write_tree
from warren.sys.wg import parse_dump

pytestmark = pytest.mark.vm

MANAGER = """\
[main]
plugins=keyfile
auth-polkit=false
dns=none
rc-manager=unmanaged
no-auto-default=*
[keyfile]
path={path}
"""
RUN = r"""
where=$1 manager=$2 nmcli=$3
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mount -t sysfs -o ro sysfs /sys
mkdir -p /run/dbus /run/NetworkManager
dbus-daemon --config-file="$where/bus.conf" --nofork --nopidfile >"$where/bus.log" 2>&1 </dev/null &
until [ -S /run/dbus/system_bus_socket ]; do sleep 0.1; done
"$manager" --debug --config="$where/NetworkManager.conf" --config-dir=/run/dbus >"$where/log" 2>&1 </dev/null &
tries=0
until [ "$("$nmcli" -t -f TYPE,STATE connection show --active 2>/dev/null | grep -c '^wireguard:activated')" = 2 ]; do
    tries=$((tries + 1))
    [ $tries -lt 600 ] || { cat "$where/log" "$where/bus.log" >&2; exit 1; }
    sleep 0.1
done
wg show all dump
"""


def test_networkmanager_makes_the_devices(tmp_path: Path) -> None:
    private, psk = new_private_key(), encode_key(bytes(range(32)))
    state = with_key(nyc(), public_key(private))
    made = render_networkmanager(state)
    secrets = {secret.ref: psk for file in made.files for secret in file.secrets if secret.public_key is None}
    write_tree(made.files, str(tmp_path), Keys(((public_key(private), private),), tuple(secrets.items())))
    (tmp_path / "bus.conf").write_text(BUS)
    connections = tmp_path / "etc" / "NetworkManager" / "system-connections"
    (tmp_path / "NetworkManager.conf").write_text(MANAGER.format(path=connections))

    done = subprocess.run(
        [*ALONE, "sh", "-euc", RUN, "sh", str(tmp_path), program("sbin/NetworkManager"), program("bin/nmcli")],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr
    same_devices(state, parse_dump(done.stdout))
