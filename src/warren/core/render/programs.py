"""Commands for the programs that run as long as a network is applied: start, start anew, stop.

    DIRECTORY/OWNER/NAME.conf      its configuration, 0600
    DIRECTORY/OWNER/NAME.live      what the agent alters of it
    DIRECTORY/OWNER/NAME.pid       who watches it: where systemd does not run, a shell that starts it again when it ends
    DIRECTORY/OWNER/NAME.log       what it said last
    DIRECTORY/OWNER/NAME.leases    the addresses it has given, which outlive it until the service itself goes

Where systemd runs it is a transient unit of the system's, `warren-OWNER-NAME`, in no user's slice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from warren.core.render.services import Tools
from warren.model.change import Command
from warren.model.state import PROTOCOL, Program, Service

# Kea calls it with the name of what happened; `again`: after a restart of the host. A route lives as long as its lease.
HOOK = f"""\
#!/bin/sh
list=${{0%.hook}}.routes now=$(date +%s)
give() {{ ip -6 route replace "$1" via "$2" dev "$3" proto {PROTOCOL} expires "$4"; }}
case $1 in
again)
  [ -e "$list" ] || exit 0
  while read -r end prefix via dev; do
    [ "$end" -gt "$now" ] && give "$prefix" "$via" "$dev" $((end - now))
  done <"$list"
  exit 0 ;;
leases6_committed)
  at=0
  while [ $at -lt "${{LEASES6_SIZE:-0}}" ]; do
    eval "type=\\$LEASES6_AT${{at}}_TYPE prefix=\\$LEASES6_AT${{at}}_ADDRESS/\\$LEASES6_AT${{at}}_PREFIX_LEN"
    eval "valid=\\$LEASES6_AT${{at}}_VALID_LIFETIME"
    at=$((at + 1))
    [ "$type" = IA_PD ] || continue
    give "$prefix" "$QUERY6_REMOTE_ADDR" "$QUERY6_IFACE_NAME" "$valid"
    umask 077
    grep -v " $prefix " "$list" 2>/dev/null >"$list.new"
    echo "$((now + valid)) $prefix $QUERY6_REMOTE_ADDR $QUERY6_IFACE_NAME" >>"$list.new"
    mv "$list.new" "$list"
  done ;;
esac
exit 0
"""
_PASSPHRASE = re.compile(r"^(wpa_passphrase=).*$", re.MULTILINE)
KINDS = ("conf", "live", "pid", "hook", "routes", "log", "leases")  # of files, as they end
KEPT = ("pd.leases.1", "pd.leases.2", "kea-dhcp6-serverid", "pd.kea-dhcp6.pid")  # what kea writes itself

# `$1` is where to write our number, `$2` the log; the rest is the program. USR1 starts it anew, TERM ends it. Not HUP:
# whoever was started by nohup, or by a detached guard, ignores it for good, and a shell cannot change that. A signal
# may come when the child is there and its number is not noted yet: whoever notes it looks whether one did. What the
# program has begun goes with it: a dnsmasq that was killed leaves children who hold its sockets for minutes.
WATCH = """\
pid=$1 log=$2; shift 2
echo $$ >"$pid"
trap 'ended=1; kill $child 2>/dev/null' TERM
trap 'again=1; kill $child 2>/dev/null' USR1
outlive() { [ ! "$again$ended" ] || kill $child 2>/dev/null; while kill -0 $child 2>/dev/null; do wait $child; done; }
ended= wait=1
while [ ! "$ended" ]; do
  again=
  setsid "$@" >"$log" 2>&1 </dev/null & child=$!
  outlive
  kill -KILL -$child 2>/dev/null
  [ "$again$ended" ] || { sleep $wait & child=$!; outlive; [ $wait -ge 30 ] || wait=$((wait * 2)); }
done
"""
# A number is somebody else's by now unless the command line says otherwise; one that has ended has none. Busybox's grep
# reads no further than the first NUL.
_OURS = "tr '\\0' ' ' 2>/dev/null </proc/$pid/cmdline | grep -qF \"$1\""
STOP = f"""\
pid=$(cat "$1" 2>/dev/null) && {_OURS} && kill $pid || exit 0
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do {_OURS} || exit 0; sleep 0.1; done
kill -KILL $pid"""
# Who watches can be killed himself, and what he watched over goes on alone, with what it was told last. Our program, or
# a watching shell, with our very configuration in its command line is ours; somebody who reads that file is not. The
# path comes by standard input, or it would be in this command line too. A dnsmasq's children do not hear TERM.
STRAYS = """\
read -r config
for signal in TERM 0 0 0 0 0 0 0 0 0 KILL; do
  printf '%s\\n' "$config" | grep -lsF -f - /proc/[0-9]*/cmdline | {
    left=1
    while IFS=/ read -r _ _ pid _; do
      read -r name <"/proc/$pid/comm" || continue
      [ "$name" = "$1" ] || grep -qF warren-service "/proc/$pid/cmdline" && kill -$signal "$pid" && left=0
    done 2>/dev/null
    [ $left = 0 ]
  } || exit 0
  sleep 0.2
done
exit 0"""


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
    def hook(self) -> str:
        """What it calls when it has given something."""
        return f"{self.base}.hook"

    @property
    def leases(self) -> str:
        """Which addresses it has given."""
        return f"{self.base}.leases"

    @property
    def routes(self) -> str:
        """What its hook has made routes of, and until when."""
        return f"{self.base}.routes"

    @property
    def folder(self) -> str:
        """Where all of it lies."""
        return self.base.rpartition("/")[0]

    @property
    def log(self) -> str:
        """What it said last."""
        return f"{self.base}.log"


def files_of(name: str, owner: str, directory: str) -> Files:
    """Say where the files of a service lie."""
    return Files(f"{directory}/{owner}/{name}", f"warren-{owner}-{name}.service")


def config_text(service: Service, files: Files, tools: Tools) -> str:
    """Write the configuration as the program reads it."""
    text = service.config
    for word, path in _paths(files, tools):
        text = text.replace(word, path)
    return text


def plain_config(text: str, files: Files, tools: Tools) -> str:
    """Turn what lies in a service's file back into what was declared."""
    for word, path in _paths(files, tools):
        text = text.replace(path, word) if path else text
    return _PASSPHRASE.sub(r"\1@secret:0@", text)


def _paths(files: Files, tools: Tools) -> tuple[tuple[str, str], ...]:
    """What stands for paths in a configuration; those that are the beginning of others come last."""
    return (
        ("@live@", files.live),
        ("@hook@", files.hook),
        ("@leases@", files.leases),
        ("@run-script@", tools.kea_hook),
        ("@folder@", files.folder),
    )


def argv_of(program: Program, files: Files, tools: Tools) -> tuple[str, ...]:
    """Give the command line that runs a program in the foreground."""
    match program:
        case Program.DNSMASQ:
            user = ("--user=root", "--group=root") if tools.one_user else ()
            # Without a word about it, it would take the file that tells of the machine's own dnsmasq, and remove it.
            alone = ("--keep-in-foreground", "--log-facility=-", "--pid-file=")
            return ("dnsmasq", *alone, *user, f"--conf-file={files.config}")
        case Program.NDPPD:
            return ("ndppd", "-c", files.config)
        case Program.KEA:
            # Later editions of kea hold files to directories that these variables name.
            places = (f"KEA_HOOK_SCRIPTS_PATH={files.folder}", f"KEA_DHCP_DATA_DIR={files.folder}")
            apart = (f"KEA_PIDFILE_DIR={files.folder}", "KEA_LOCKFILE_DIR=none")
            return ("env", *places, *apart, "kea-dhcp6", "-c", files.config)
        case Program.SHELL:
            return ("sh", files.config)
        case Program.HOSTAPD:
            return ("hostapd", files.config)
        case Program.AVAHI:
            # With another title it would not be known as ours any more.
            alike = ("--no-drop-root", "--no-chroot", "--no-rlimits") if tools.one_user else ()
            return ("avahi-daemon", "--no-proc-title", *alike, f"--file={files.config}")
        case Program.RESOLVER:
            nobody = "" if tools.one_user else "nobody"
            return (*tools.warren, "dns", f"--user={nobody}", files.config)


def start_service(service: Service, owner: str, tools: Tools, *, anew: bool) -> Iterator[Command]:
    """Write a service's files and run it."""
    files = files_of(service.name, owner, tools.directory)
    program = argv_of(service.program, files, tools)
    if anew:
        yield from _stop(service, files, tools)
    yield Command(("install", "-d", "-m", "700", files.folder), says=f"a place for {service.name}")
    if service.program is Program.KEA:
        yield _write(files.hook, HOOK)
        yield Command(("chmod", "700", files.hook), says="which is run")
        yield Command(("sh", files.hook, "again"), says="routes that were given before the host was started")
    if service.live:
        yield _write(files.live, service.live)
    configured = _write(files.config, config_text(service, files, tools), f"configuration of {service.program}")
    yield replace(configured, secrets=(service.secret,)) if service.secret is not None else configured
    yield _tried(service.program, files, tools)
    if tools.systemd:
        how = ("--property=Restart=always", "--property=RestartSec=1", f"--unit={files.unit}")
        yield Command(("systemd-run", "--quiet", "--collect", *how, "--", *program), says=f"run {service.program}")
        return
    if not anew:
        yield _end_strays(service, files)
        yield Command(("rm", "-f", files.pid), says="and what tells of it")
    watch = ("setsid", "-f", "sh", "-c", WATCH, "warren-service", files.pid, files.log, *program)
    there = ("sh", "-c", 'kill -0 "$(cat "$1")"', "sh", files.pid)
    yield Command(watch, says=f"run {service.program}", until=there)


def _tried(program: Program, files: Files, tools: Tools) -> Command:
    """Call a program once: who watches over it would try for ever to run one that is not installed."""
    match program:
        case Program.DNSMASQ:
            return Command(("dnsmasq", "--test", f"--conf-file={files.config}"), says="dnsmasq understands it")
        case Program.NDPPD:
            return Command(("ndppd", "-h"), says="ndppd is there", fine=(0, 1, 255))
        case Program.KEA:
            return Command(("kea-dhcp6", "-v"), says="kea-dhcp6 is there")
        case Program.SHELL:
            return Command(("sh", "-n", files.config), says="the shell understands it")
        case Program.HOSTAPD:
            return Command(("hostapd", "-v"), says="hostapd is there", fine=(0, 1))
        case Program.AVAHI:
            return Command(("avahi-daemon", "--version"), says="avahi-daemon is there")
        case Program.RESOLVER:
            return Command((*tools.warren, "dns", "--test", files.config), says="warren dns understands it")


def stop_service(service: Service, owner: str, tools: Tools) -> Iterator[Command]:
    """Stop a service and take its files away."""
    files = files_of(service.name, owner, tools.directory)
    yield from _stop(service, files, tools)
    for prefix in service.routes:
        flush = ("ip", "-6", "route", "flush", "table", "main", "proto", str(PROTOCOL), "root", str(prefix))
        yield Command(flush, says=f"routes below {prefix}")
    own = (files.config, files.live, files.log, files.hook, files.routes, files.leases)
    kept = tuple(f"{files.folder}/{name}" for name in KEPT) if service.program is Program.KEA else ()
    yield Command(("rm", "-f", *own, *kept), says=f"files of {service.name}")


def _stop(service: Service, files: Files, tools: Tools) -> Iterator[Command]:
    says = f"stop {service.program}"
    if tools.systemd:
        yield Command(("systemctl", "stop", files.unit), says=says, fine=(0, 5))
    else:
        yield Command(("sh", "-c", STOP, "sh", files.pid), says=says)
        yield _end_strays(service, files)
        yield Command(("rm", "-f", files.pid), says=f"{service.name} is stopped")


def _end_strays(service: Service, files: Files) -> Command:
    ends = ("sh", "-c", STRAYS, "sh", service.program.value)
    return Command(ends, stdin=f"{files.config}\n", says=f"whatever is left of {service.name}")


def _write(path: str, text: str, says: str = "") -> Command:
    return Command(("sh", "-c", 'umask 077; cat >"$1"', "sh", path), stdin=text, says=says or path)
