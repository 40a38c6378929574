"""Commands for the programs that run as long as a network is applied: start, start anew, stop.

    DIRECTORY/OWNER/NAME.conf      its configuration, 0600
    DIRECTORY/OWNER/NAME.live      what the agent alters of it
    DIRECTORY/OWNER/NAME.pid       who watches it: where systemd does not run, a shell that starts it again when it ends
    DIRECTORY/OWNER/NAME.log       what it said last

Where systemd runs it is a transient unit of the system's, `warren-OWNER-NAME`, in no user's slice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from warren.core.render.services import Tools
from warren.model.change import Command
from warren.model.state import Program, Service

# `$1` is where to write our number, `$2` the log; the rest is the program. HUP starts it anew, TERM ends it.
WATCH = """\
pid=$1 log=$2; shift 2
echo $$ >"$pid"
trap 'ended=1; kill $child 2>/dev/null' TERM
trap 'again=1; kill $child 2>/dev/null' HUP
ended= wait=1
while [ ! "$ended" ]; do
  again=
  "$@" >"$log" 2>&1 </dev/null & child=$!
  while kill -0 $child 2>/dev/null; do wait $child; done
  [ "$again$ended" ] || { sleep $wait & child=$!; wait $child; [ $wait -ge 30 ] || wait=$((wait * 2)); }
done
"""
_GONE = "for try in 1 2 3 4 5 6 7 8 9 10; do kill -0 $pid 2>/dev/null || exit 0; sleep 0.1; done; exit 1"
# A number is somebody else's by now unless the command line says otherwise.
STOP = f'pid=$(cat "$1" 2>/dev/null) && grep -qF "$1" /proc/$pid/cmdline 2>/dev/null && kill $pid || exit 0; {_GONE}'


@dataclass(frozen=True, slots=True)
class Files:
    """Where a service's files lie, and what its unit is called."""

    base: str
    unit: str

    @property
    def config(self) -> str:
        """Its configuration."""
        return f"{self.base}.conf"

    @property
    def live(self) -> str:
        """What the agent alters of it."""
        return f"{self.base}.live"

    @property
    def pid(self) -> str:
        """The number of who watches it."""
        return f"{self.base}.pid"

    @property
    def log(self) -> str:
        """What it said last."""
        return f"{self.base}.log"


def files_of(name: str, owner: str, directory: str) -> Files:
    """Say where the files of a service lie."""
    return Files(f"{directory}/{owner}/{name}", f"warren-{owner}-{name}.service")


def config_text(service: Service, files: Files) -> str:
    """Write the configuration as the program reads it."""
    return service.config.replace("@live@", files.live)


def argv_of(program: Program, files: Files, tools: Tools) -> tuple[str, ...]:
    """Give the command line that runs a program in the foreground."""
    match program:
        case Program.DNSMASQ:
            user = ("--user=root", "--group=root") if tools.one_user else ()
            return ("dnsmasq", "--keep-in-foreground", "--log-facility=-", *user, f"--conf-file={files.config}")
        case Program.NDPPD:
            return ("ndppd", "-c", files.config)
        case Program.KEA:
            return ("kea-dhcp6", "-c", files.config)


def start_service(service: Service, owner: str, tools: Tools, *, anew: bool) -> Iterator[Command]:
    """Write a service's files and run it."""
    files = files_of(service.name, owner, tools.directory)
    program = argv_of(service.program, files, tools)
    folder = files.base.rpartition("/")[0]
    if anew:
        yield from _stop(service, files, tools)
    yield Command(("install", "-d", "-m", "700", folder), says=f"a place for {service.name}")
    if service.live:
        yield _write(files.live, service.live)
    yield _write(files.config, config_text(service, files), f"configuration of {service.program}")
    if tools.systemd:
        how = ("--property=Restart=always", "--property=RestartSec=1", f"--unit={files.unit}")
        yield Command(("systemd-run", "--quiet", "--collect", *how, "--", *program), says=f"run {service.program}")
        return
    watch = ("setsid", "-f", "sh", "-c", WATCH, "warren-service", files.pid, files.log, *program)
    there = ("sh", "-c", 'kill -0 "$(cat "$1")"', "sh", files.pid)
    yield Command(watch, says=f"run {service.program}", until=there)


def stop_service(service: Service, owner: str, tools: Tools) -> Iterator[Command]:
    """Stop a service and take its files away."""
    files = files_of(service.name, owner, tools.directory)
    yield from _stop(service, files, tools)
    yield Command(("rm", "-f", files.config, files.live, files.log), says=f"files of {service.name}")


def _stop(service: Service, files: Files, tools: Tools) -> Iterator[Command]:
    says = f"stop {service.program}"
    if tools.systemd:
        yield Command(("systemctl", "stop", files.unit), says=says, fine=(0, 5))
    else:
        yield Command(("sh", "-c", STOP, "sh", files.pid), says=says)
        yield Command(("rm", "-f", files.pid), says=f"{service.name} is stopped")


def _write(path: str, text: str, says: str = "") -> Command:
    return Command(("sh", "-c", 'umask 077; cat >"$1"', "sh", path), stdin=text, says=says or path)
