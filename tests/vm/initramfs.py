"""The small file system the VM's kernel starts from: busybox, a few modules, and the job to run.

It only has to reach this machine's own root directory (shared by 9p) and switch into it; see guest/init.
The job travels in it too: so two VMs at once share no file that either writes.
"""

from __future__ import annotations

import lzma
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from kernel import Kernel

GUEST = Path(__file__).parent / "guest"
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")


def build_initramfs(
    kernel: Kernel, command: Sequence[str], cwd: Path, environment: Mapping[str, str], scratch: Path
) -> Path:
    """Write initramfs.cpio into `scratch`, holding the command to run, where, and in which environment."""
    tree = scratch / "initramfs"
    for directory in ("bin", "job", "modules", "dev", "proc", "lower", "upper", "newroot"):
        (tree / directory).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin" / "busybox")
    shutil.copy(GUEST / "init", tree / "init")
    shutil.copy(GUEST / "job", tree / "job" / "job")
    (tree / "job" / "command").write_text(_script(command, cwd, environment))
    (tree / "job" / "modules-tree").write_text(str(kernel.modules))
    _copy_modules(kernel, tree / "modules")
    archive = scratch / "initramfs.cpio"
    names = "\n".join(str(path.relative_to(tree)) for path in [tree, *sorted(tree.rglob("*"))])
    with archive.open("wb") as out:
        pack = ["cpio", "--quiet", "--create", "--format=newc", "--owner=0:0"]
        subprocess.run(pack, cwd=tree, input=names.encode(), stdout=out, check=True)
    return archive


def _script(command: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> str:
    settings = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    return "\n".join([*settings, f"cd {shlex.quote(str(cwd))} || exit", f"exec {shlex.join(command)}", ""])


def _copy_modules(kernel: Kernel, into: Path) -> None:
    """Copy the modules and what they need, numbered in the order in which they must be loaded."""
    asked = ["/sbin/modprobe", "-d", str(kernel.root), "-S", kernel.release, "--show-depends", "-a", *MODULES]
    lines = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    files = dict.fromkeys(Path(line.split()[1]) for line in lines if line.startswith("insmod "))
    for number, file in enumerate(files):
        content = file.read_bytes()
        if file.suffix == ".xz":  # Debian 13 compresses them, which busybox's insmod does not know
            content = lzma.decompress(content)
        (into / f"{number:02}-{file.name.removesuffix('.xz')}").write_bytes(content)
