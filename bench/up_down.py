"""`warren up` and `down` against wg-quick and against bare `wg setconf` + `ip -batch`, in twin namespaces.

    python -m bench up_down              1,000 AllowedIPs beside wg-quick, and 4,000 and 20,000 beside the bare batch
    python -m bench.up_down --full       4,000 AllowedIPs beside wg-quick too: seven minutes

Each run has a network and a mount namespace of its own, a private /run and a state directory on a disk. WireGuard is
whatever the machine has: wireguard-go where the kernel has none, the same for everybody.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.row import Row
from warren.model.key import encode_key

TURNS = 5
WARREN = Path(sys.executable).with_name("warren")
UPLINK = (
    "mount -t tmpfs none /run && ip link set lo up && ip link add va type veth peer name vb && ip link set va up && "
    "ip link set vb up && ip addr add 192.0.2.1/24 dev va && ip route add default via 192.0.2.254 && "
    "echo ready && exec sleep infinity"
)
BARE = """
ip link add wg0 type wireguard 2>/dev/null || wireguard-go wg0 >/dev/null 2>&1
until wg show wg0 >/dev/null 2>&1; do :; done
wg setconf wg0 {stripped}
ip -batch {routes}
"""


class Machine:
    """A network and mount namespace with an uplink, and a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", UPLINK],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.holder.stdout is not None
        if self.holder.stdout.readline() != "ready\n":
            raise RuntimeError("no network namespace can be made here; the benchmark needs root")

    def seconds(self, *argv: str) -> float:
        """Run a program to its end and give the wall time; RuntimeError with its words if it fails."""
        environment = {**os.environ, "WARREN_STATE_DIR": str(self.directory / "state")}
        inside = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", f"--mount=/proc/{self.holder.pid}/ns/mnt", *argv]
        start = time.perf_counter()
        done = subprocess.run(inside, capture_output=True, text=True, env=environment, check=False)
        taken = time.perf_counter() - start
        if done.returncode:
            raise RuntimeError(f"{' '.join(argv)}: {done.stderr[-2000:]}")
        return taken

    def close(self) -> None:
        """End the namespace, and with it every device in it."""
        inside = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "ip", "link", "del", "wg0"]
        subprocess.run(inside, capture_output=True, check=False)  # it may be gone already
        self.holder.kill()
        self.holder.wait()


def rows(full: bool = False) -> Iterator[Row]:
    """Measure; RuntimeError where namespaces cannot be made."""
    with tempfile.TemporaryDirectory(prefix="warren-bench-", dir="/var/tmp") as name:
        directory = Path(name)
        for count in (1000, 4000) if full else (1000,):
            if shutil.which("wg-quick"):
                yield from _beside_wg_quick(directory, count)
        for count, aim in ((4000, "< 3× + 0.3 s"), (20000, "< 3 s")):
            yield from _beside_bare(directory, count, aim)


def _beside_wg_quick(directory: Path, count: int) -> Iterator[Row]:
    conf = write_conf(directory, count)
    ours, theirs = _up_and_down(directory, str(WARREN), conf), _up_and_down(directory, "wg-quick", conf)
    for verb, mine, other in zip(("up", "down"), ours, theirs, strict=True):
        ratio = f"{other / mine:.0f}× faster"
        aim = "> 200×" if count >= 4000 else ""  # wg-quick's time grows with the square
        yield Row(f"{verb}, {count:,} AllowedIPs", f"{mine:.2f} s", f"wg-quick {other:.1f} s", ratio, aim)


def _beside_bare(directory: Path, count: int, aim: str) -> Iterator[Row]:
    conf = write_conf(directory, count)
    # Best of several, taken by turns: whatever else the machine does should meet both alike.
    turns = [(_up_and_down(directory, str(WARREN), conf, 1), _bare(directory, conf, 1)) for _ in range(TURNS)]
    up, down = min(ours[0] for ours, _ in turns), min(ours[1] for ours, _ in turns)
    bare = min(theirs for _, theirs in turns)
    yield Row(f"up, {count:,} AllowedIPs", f"{up:.2f} s", f"wg + ip -batch {bare:.3f} s", f"{up / bare:.1f}×", aim)
    yield Row(f"down, {count:,} AllowedIPs", f"{down:.2f} s", aim="< 3 s" if count == 20000 else "")


def _up_and_down(directory: Path, program: str, conf: Path, times: int = 3) -> tuple[float, float]:
    """Give the least wall time of each of up and down, in seconds; wg-quick, which takes minutes, runs once."""
    taken = []
    for _ in range(times if program != "wg-quick" else 1):
        machine = Machine(directory)
        try:
            taken.append((machine.seconds(program, "up", str(conf)), machine.seconds(program, "down", str(conf))))
        finally:
            machine.close()
    return min(up for up, _ in taken), min(down for _, down in taken)


def _bare(directory: Path, conf: Path, times: int) -> float:
    """Give the least wall time of the same done by hand, with everything prepared."""
    stripped, routes = directory / "stripped", directory / "routes"
    text = subprocess.run([str(WARREN), "strip", str(conf)], capture_output=True, text=True, check=True).stdout
    stripped.write_text(text)
    allowed = [line.partition("=")[2] for line in text.splitlines() if line.startswith("AllowedIPs")]
    prefixes = [prefix.strip() for line in allowed for prefix in line.split(",")]
    lines = ["address add 10.0.0.2/24 dev wg0", "link set wg0 mtu 1420 up"]
    routes.write_text("".join(f"{line}\n" for line in (*lines, *(f"route add {p} dev wg0" for p in prefixes))))
    taken = []
    for _ in range(times):
        machine = Machine(directory)
        try:
            taken.append(machine.seconds("sh", "-c", BARE.format(stripped=stripped, routes=routes)))
        finally:
            machine.close()
    return min(taken)


def write_conf(directory: Path, count: int) -> Path:
    """Write a conf with that many AllowedIPs at one peer, in one line, as generators of such lists write them.

    One line is where wg-quick is slowest: bash takes white space off its end in quadratic time.
    """
    nets = [f"{20 + n // 65536}.{n // 256 % 256}.{n % 256}.0/24" for n in range(count)]
    conf = directory / "wg0.conf"
    conf.write_text(
        f"[Interface]\nPrivateKey = {encode_key(bytes([8] * 31 + [64]))}\nAddress = 10.0.0.2/24\n"
        f"[Peer]\nPublicKey = {encode_key(bytes([9] * 32))}\nEndpoint = 192.0.2.9:51820\n"
        f"AllowedIPs = {', '.join(nets)}\n"
    )
    conf.chmod(0o600)
    return conf


if __name__ == "__main__":
    for each in rows(full="--full" in sys.argv):
        print(f"{each.what:<32} {each.figure:>10} {each.peer:>26} {each.ratio:>14}  {each.aim}", flush=True)
