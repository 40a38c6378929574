"""`warren completion SHELL`: the script that teaches a shell warren's commands, options, files and hosts.

The script is click's own; it asks `warren` itself at each Tab, which therefore must start fast.
"""

from __future__ import annotations

import click

from warren.cli.options import json_option

INSTALL = {
    "bash": 'eval "$(warren completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(warren completion zsh)"   # in ~/.zshrc, after compinit',
    "fish": "warren completion fish | source   # in ~/.config/fish/config.fish",
}


@click.command(epilog="\b\n" + "\n".join(INSTALL.values()))
@click.argument("shell", type=click.Choice(list(INSTALL)))
@json_option
def completion(shell: str, as_json: bool) -> None:
    """Print what makes bash, zsh or fish complete warren's commands, options and hosts."""
    from click.shell_completion import get_completion_class

    from warren.cli.main import warren

    made = get_completion_class(shell)
    assert made is not None, shell
    script = made(warren, {}, "warren", "_WARREN_COMPLETE").source()
    if as_json:
        from warren.cli.view_json import print_json

        print_json({"shell": shell, "script": script})
        return
    click.echo(script)
