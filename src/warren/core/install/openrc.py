"""Services of OpenRC for the networks of a host, and a line for cron; the order is that of the units of systemd.

    warren-guard        runlevel boot, before net: sh, nft and ip
    warren-apply        runlevel default: what was confirmed, tried again until it is there
    warren-agent.NAME   one for each network

`stop` of the guard and of apply takes nothing down: a shutdown stops them while the kernel still forwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from shlex import quote

from warren.core.install.files import Enabled, Init, Installation, Where
from warren.core.render.tree import File

_HEAD = "#!/sbin/openrc-run\n# Made by `warren install`, taken away by `warren uninstall`.\n"

_GUARD = """\
description="What keeps the packets of portals in, before there is any network"

depend() {{
    need localmount
    after bootmisc sysctl modules nftables iptables ip6tables
    before net
    keyword -shutdown
}}

start() {{
    [ -e {guard} ] || return 0
    ebegin "Closing the portals of warren until their tunnels are there"
    sh {guard}
    eend $?
}}

stop() {{
    return 0
}}
"""
_APPLY = """\
description="The confirmed networks of warren"
pidfile=/run/warren-apply.pid

depend() {{
    want warren-guard
    after warren-guard net
    keyword -shutdown
}}

start() {{
    ebegin "Bringing back the networks of warren"
    start-stop-daemon --start --background --make-pidfile --pidfile "$pidfile" {state}--exec {program} -- {words}
    eend $?
}}

stop() {{
    # Once all is up nobody has this number any more, or somebody else has.
    pid=$(cat "$pidfile" 2>/dev/null) && grep -qF -e --at-boot "/proc/$pid/cmdline" 2>/dev/null && kill "$pid"
    rm -f "$pidfile"
    return 0
}}
"""
_AGENT = """\
description="The agent of warren's network {network}"
supervisor=supervise-daemon
command={program}
command_args={words}
respawn_delay=5
respawn_max=0
output_logger="logger -t warren-agent.{network}"
error_logger="logger -t warren-agent.{network}"
{export}
depend() {{
    after warren-apply net
}}
"""


def openrc_files(where: Where, networks: Iterable[str], *, geo: bool) -> Installation:
    """Give the services for a host with OpenRC; `geo`: some network has sets that are fetched."""
    program, rest = where.argv[0], where.argv[1:]
    setting = "" if where.default_store else f"WARREN_STATE_DIR={where.store}"
    words = " ".join((*rest, "apply", "--at-boot", "--retry"))
    state = f"--env {setting} " if setting else ""
    files = [
        _service("warren-guard", _GUARD.format(guard=where.guard)),
        _service("warren-apply", _APPLY.format(program=program, words=words, state=state)),
    ]
    enabled = [Enabled("warren-guard", "boot"), Enabled("warren-apply", "default")]
    for network in networks:
        words = quote(" ".join((*rest, "agent", "--network", network)))
        export = f"export {setting}\n" if setting else ""
        text = _AGENT.format(network=network, program=program, words=words, export=export)
        files.append(_service(f"warren-agent.{network}", text))
        enabled.append(Enabled(f"warren-agent.{network}", "default", now=True))
    said: tuple[str, ...] = ()
    if geo:
        update = " ".join((*where.argv, "geo", "update", "--refresh", "--jitter", "21600"))
        line = f"{setting} {update} >/dev/null".strip()  # cron mails what is left: what went wrong
        if where.cron == "cron.d":
            files.append(File("etc/cron.d/warren-geo", f"# Made by `warren install`.\n17 4 * * * root {line}\n"))
        elif where.cron == "periodic":
            text = f"#!/bin/sh\n# Made by `warren install`.\nexec env {line}\n"
            files.append(File("etc/periodic/daily/warren-geo", text, 0o755))
        else:
            said = (f"have cron run `{line}` once a day, at a minute of its own",)
    return Installation(Init.OPENRC, tuple(files), tuple(enabled), said)


def _service(name: str, text: str) -> File:
    return File(f"etc/init.d/{name}", f"{_HEAD}{text}", 0o755)
