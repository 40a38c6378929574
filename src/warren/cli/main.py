"""The entry point: a table of commands, each imported only when it is called, and how every error is told.

`warren --help` must come in 150 ms, so this module imports click alone; the one-line helps stand in the table.

What a command raises ends here:
    HostError, OSError       what is wrong and what helps             status 1
    click's own              a wrong command line                     status 1 (2 means `plan` found changes)
    KeyboardInterrupt        nothing is said                          status 130
    anything else            a bug of ours: how to report it          status 1, a traceback with --debug
With --json, errors are also told as JSON on standard output (docs/json.md).
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from warren import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Entry(NamedTuple):
    """Where a command is (`module:attribute`), the heading under which help lists it, and its help in one line."""

    target: str
    group: str
    help: str


FILE, HOST, CONF, MORE = "The network file", "This host", "wg-quick's own files", "More"

COMMANDS: dict[str, Entry] = {
    "init": Entry("warren.cli.init:init", FILE, "Write a first network file."),
    "import": Entry("warren.cli.imports:imports", FILE, "Make a network file of wg and wg-quick confs."),
    "check": Entry("warren.cli.check:check", FILE, "Find all that is wrong with a network file."),
    "lock": Entry("warren.cli.lock:lock", FILE, "Allot addresses, ports and device names, once and for good."),
    "verify": Entry("warren.cli.verify:verify", FILE, "Prove offline what the file expects, and that nothing leaks."),
    "trace": Entry("warren.cli.trace:trace", FILE, "Explain where a packet goes, step by step, there and back."),
    "lab": Entry("warren.cli.lab:lab", FILE, "Try the whole network on this machine, with real packets."),
    "render": Entry("warren.cli.render:render", FILE, "Write a host's configuration for wg-quick and others."),
    "keys": Entry("warren.cli.keys:keys", HOST, "Make and show WireGuard keys."),
    "plan": Entry("warren.cli.plan:plan", HOST, "Show what apply would change on this host, and why."),
    "apply": Entry("warren.cli.apply:apply", HOST, "Make this host what the file says."),
    "status": Entry("warren.cli.status:status", HOST, "Show what is on this host, and whether it is as applied."),
    "install": Entry("warren.cli.install:install", HOST, "Have a network come back at every boot."),
    "uninstall": Entry("warren.cli.install:uninstall", HOST, "Take back what `install` made."),
    "agent": Entry("warren.cli.agent:agent", HOST, "Stay, and see to what changes between two applies."),
    "rendezvous": Entry(
        "warren.cli.rendezvous:rendezvous", HOST, "Serve hosts behind NATs, so that they find each other."
    ),
    "knock": Entry("warren.cli.knock:knock", HOST, "Have a host open WireGuard's port to this one."),
    "netcheck": Entry("warren.cli.netcheck:netcheck", HOST, "Tell how this host's NAT treats UDP, and what helps."),
    "punch": Entry("warren.cli.punch:punch", HOST, "Find an interface's peers by a natpunch-go server."),
    "confirm": Entry("warren.cli.confirm:confirm", HOST, "Keep what `apply --confirm` did."),
    "rollback": Entry("warren.cli.rollback:rollback", HOST, "Go back to what was applied before."),
    "down": Entry("warren.cli.down:down", HOST, "Put this host back as it was, for a network or a conf."),
    "up": Entry("warren.cli.up:up", CONF, "Bring up a wg-quick conf."),
    "reload": Entry("warren.cli.reload:reload", CONF, "Apply a changed conf without dropping its sessions."),
    "save": Entry("warren.cli.save:save", CONF, "Write a tunnel's present state back into its conf."),
    "strip": Entry("warren.cli.strip:strip", CONF, "Print a conf as `wg setconf` wants it."),
    "geo": Entry("warren.cli.geo:geo", MORE, "Keep the registries' files; tell a country's addresses."),
    "dns": Entry("warren.cli.dns:dns", MORE, "Answer for names, between a domestic side and a trusted one."),
    "completion": Entry("warren.cli.completion:completion", MORE, "Print completion for bash, zsh or fish."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is no such."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was called; an unknown one is told with the nearest there is."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, 1)
            meant = f" Did you mean `{near[0]}`?" if near else ""
            raise click.UsageError(f"there is no command `{name}`.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name or an option of ours, without importing the commands."""
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=entry.help) for name, entry in COMMANDS.items() if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by heading, without importing them."""
        width = max(map(len, COMMANDS))
        for heading in dict.fromkeys(entry.group for entry in COMMANDS.values()):
            with formatter.section(heading):
                formatter.write_dl(
                    [(f"{name:<{width}}", entry.help) for name, entry in COMMANDS.items() if entry.group == heading]
                )


@click.command(cls=LazyGroup, name="warren", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", "-V", prog_name="warren", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show a traceback when warren itself fails (or set WARREN_DEBUG=1).")
@click.pass_context
def warren(ctx: click.Context, debug: bool) -> None:
    """Turn one file into a running WireGuard network: checked, proved, applied, explained.

    Start with `warren init`. `warren COMMAND --help` explains a command.
    """
    ctx.meta["warren.debug"] = debug


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    sys.exit(run(sys.argv[1:]))


def run(args: list[str]) -> int:
    """Run one command line, tell its errors, and give the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 gets `?`, not a traceback
    if "_WARREN_COMPLETE" in os.environ:
        return _complete(os.environ["_WARREN_COMPLETE"])
    ctx: click.Context | None = None
    try:
        # Made here, not by click's own `main`: what the command noted in the context tells how errors are to be shown.
        with warren.make_context("warren", list(args)) as ctx:
            warren.invoke(ctx)
        sys.stdout.flush()
        return 0
    except click.exceptions.Exit as ended:
        return _flushed(ended.exit_code)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            click.echo(ended.code, err=True)
            return 1
        return _flushed(ended.code or 0)
    except BrokenPipeError:  # `warren … | head`: nobody reads on
        return _give_up_output()
    except (KeyboardInterrupt, click.Abort) as stopped:
        click.echo(err=True)
        return 1 if isinstance(stopped.__cause__, EOFError) else 130
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 1
    except Exception as error:
        return _tell(error, ctx, args)


def _flushed(status: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _give_up_output()
    return status


def _give_up_output() -> int:
    """Keep Python from complaining at its exit about output that nobody wants; the status is SIGPIPE's."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def _complete(instruction: str) -> int:
    from click.shell_completion import shell_complete

    try:
        return shell_complete(warren, {}, "warren", "_WARREN_COMPLETE", instruction)
    except Exception:  # in the middle of somebody's prompt is no place to tell it
        if os.environ.get("WARREN_DEBUG"):
            raise
        return 1


def _tell(error: Exception, ctx: click.Context | None, args: list[str]) -> int:
    """Tell an error on standard error and, where JSON was asked for, on standard output too."""
    says, remedy = _words(error)
    meta: dict[str, Any] = ctx.meta if ctx is not None else {}
    if meta.get("warren.json") or "--json" in args:
        from warren.cli.view_json import print_error

        print_error(says, remedy)
    if isinstance(error, click.UsageError):
        if error.ctx is not None:
            click.echo(error.ctx.get_usage(), err=True)
        remedy = f"`{error.ctx.command_path if error.ctx else 'warren'} --help` explains."
    elif not _known(error) and (meta.get("warren.debug") or os.environ.get("WARREN_DEBUG")):
        import traceback

        traceback.print_exception(error)
    click.echo(f"warren: {says}", err=True)
    for line in remedy.splitlines():
        click.echo(f"  {line}", err=True)
    return 1


def _known(error: Exception) -> bool:
    from warren.sys.errors import HostError

    return isinstance(error, HostError | OSError | click.ClickException)


def _words(error: Exception) -> tuple[str, str]:
    """Say what is wrong and what helps."""
    from warren.sys.errors import HostError

    if isinstance(error, HostError):
        return error.says, error.remedy
    if isinstance(error, click.ClickException):
        return error.format_message(), ""
    if isinstance(error, OSError):
        why = (error.strerror or str(error)).lower()
        return (f"{error.filename}: {why}" if error.filename else why), ""
    at = _last_line_of_ours(error)
    return (
        f"this is a bug in warren: {type(error).__name__}: {error}{at}",
        "Nothing you wrote should lead here. Please report it with this line, the command and the network file, which "
        "holds no secrets.\n`WARREN_DEBUG=1 warren …` shows where it happened.",
    )


def _last_line_of_ours(error: Exception) -> str:
    """Name the last line of warren's own code on the way to an error."""
    at, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if f"{os.sep}warren{os.sep}" in file:
            at = f" ({file.rpartition(f'{os.sep}warren{os.sep}')[2]}:{trace.tb_lineno})"
        trace = trace.tb_next
    return at
