"""`warren import CONF…`: make a network file of the confs that people have.

What is written: the network file, its lock, and each preshared key in a file of its own; private keys with --keys
alone. No key is ever printed.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from warren.cli.options import complete_confs, json_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from warren.core.imports import Given, Imported, Secret
    from warren.core.source import Source
    from warren.model.diagnostic import Diagnostic
    from warren.model.endpoint import Endpoint
    from warren.sys.conf_file import ConfFile


@click.command("import")
@click.argument("confs", metavar="CONF…", nargs=-1, required=True, shell_complete=complete_confs)
@click.option("-o", "--output", metavar="FILE", help="Write here; - is standard output.  [default: NAME.yaml]")
@click.option("--name", metavar="NAME", help="The network's name.  [default: as FILE or the confs' device is called]")
@click.option(
    "--endpoint", "endpoints", multiple=True, metavar="NAME=HOST:PORT", help="Where a host is dialled, if no conf says."
)
@click.option("--keys", "keys", metavar="DIR", type=click.Path(), help="Write the private keys too, into DIR.")
@click.option("--force", is_flag=True, help="Replace FILE and its lock if they are there.")
@json_option
@click.pass_context
def imports(
    ctx: click.Context,
    confs: tuple[str, ...],
    output: str | None,
    name: str | None,
    endpoints: tuple[str, ...],
    keys: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Make a network file and its lock of wg and wg-quick confs.

    Several confs are several hosts of one network, matched by their keys:

    \b
      warren import office.conf home.conf phone.conf -o firm.yaml

    Addresses, ports and device names stay as they are. What the file cannot say is told with its place in the conf,
    and what no conf says is guessed and marked so. Preshared keys are written to files beside FILE; private keys stay
    where they are.
    """
    from warren.cli.view import show_findings
    from warren.cli.view_import import print_import, show_import
    from warren.core.imports import import_confs
    from warren.sys import conf_file

    files = [conf_file.read(conf, path=True) for conf in confs]
    name = _name(name, output, files)
    output = output or f"{name}.yaml"
    said = tuple(one for file in files for one in file.findings)
    sources = _sources(files)
    if any(file.parsed.conf is None for file in files):
        _refuse(ctx, said, sources, as_json)
    given = [_given(file) for file in files]
    made = import_confs(given, name, "FILE" if output == "-" else output, _endpoints(endpoints))
    said += made.found
    if made.text is None or made.draft is None or made.loaded is None:
        _refuse(ctx, said, sources, as_json)
    _check_names(endpoints, made)
    said += made.loaded.diagnostics
    show_findings(said, (*sources, *made.loaded.sources), sys.stderr)
    written = _write(made, output, keys, force)
    if as_json:
        print_import(made, output, said, written)
    elif output == "-":
        click.echo(made.text, nl=False)
    else:
        show_import(made, output, written)
    ctx.exit(0 if made.loaded.ok else 1)


def _name(name: str | None, output: str | None, files: Sequence[ConfFile]) -> str:
    """Choose the network's name: as told, as the file is called, as all confs call their device, or `network`."""
    from warren.core.imports.names import name_of
    from warren.core.parse.names import DEVICE_LENGTH

    if name is not None:
        if name != name_of(name)[:DEVICE_LENGTH]:
            letters = f"1 to {DEVICE_LENGTH} lower-case letters, digits and hyphens, a letter first"
            raise click.UsageError(f"{name} cannot name a network: a name is {letters}")
        return name
    devices = {file.name for file in files}
    likely = os.path.basename(output or "").partition(".")[0] if output not in (None, "-") else ""
    likely = likely or (devices.pop() if len(devices) == 1 else "")
    return name_of(likely)[:DEVICE_LENGTH].rstrip("-") or "network"


def _sources(files: Iterable[ConfFile]) -> tuple[Source, ...]:
    """Give the confs' texts for excerpts, without the keys in them."""
    from warren.core.conf.lines import decode, without_keys
    from warren.core.source import Source

    return tuple(Source(file.shown, without_keys(decode(file.data))) for file in files)


def _given(file: ConfFile) -> Given:
    from warren.core.conf.lines import decode
    from warren.core.imports import Given
    from warren.model.key import PublicKey
    from warren.sys.keys import public_key
    from warren.sys.secret import read_secret

    conf = file.parsed.conf
    assert conf is not None
    key = public_key(read_secret(conf.private_key)) if conf.private_key is not None else PublicKey("")
    return Given(file.shown, conf, key, decode(file.data), file.path.parent.name)


def _endpoints(texts: Iterable[str]) -> dict[str, Endpoint]:
    from warren.cli.init import with_port
    from warren.core.conf.values import endpoint_of
    from warren.sys.conf_file import service_port

    found = {}
    for text in texts:
        name, _, endpoint = text.partition("=")
        try:
            found[name] = endpoint_of(with_port(endpoint), service_port)
        except ValueError as error:
            raise click.UsageError(f"--endpoint {text}: {error}") from None
    return found


def _check_names(texts: Iterable[str], made: Imported) -> None:
    """Refuse an endpoint of nobody: it would be lost."""
    assert made.draft is not None
    names = [host.name for host in made.draft.hosts]
    for text in texts:
        if text.partition("=")[0] not in names:
            raise click.UsageError(f"--endpoint {text}: there is no such host; there are {', '.join(names)}")


def _refuse(ctx: click.Context, said: Sequence[Diagnostic], sources: Sequence[Source], as_json: bool) -> NoReturn:
    """Show what is wrong with the confs, and end with status 1."""
    from warren.cli.view import show_findings

    show_findings(said, sources, sys.stderr)
    if as_json:
        from warren.cli.view_json import findings_json, print_json

        print_json(findings_json(said))
    ctx.exit(1)


def _write(made: Imported, output: str, keys: str | None, force: bool) -> list[tuple[Secret, str]]:
    """Write the keys, the lock and the file, in this order; nothing if one may not be. Gives the keys' files."""
    from pathlib import Path

    from warren.cli.files import write_file
    from warren.core.lockfile import lock_name
    from warren.sys.errors import HostError
    from warren.sys.keys import put_away
    from warren.sys.secret import read_secrets

    assert made.draft is not None and made.text is not None
    folder = keys or (os.path.dirname(output) if output != "-" else None)
    secrets = [
        (secret, os.path.join(folder, made.draft.file_of(secret)))
        for secret in made.draft.secrets
        if folder is not None and (keys is not None or not secret.private)
    ]
    texts = [] if output == "-" else [(output, made.text), (lock_name(output), made.lock)]
    for path, _ in texts:
        if os.path.lexists(path) and not force:
            raise HostError(f"there is a file {path} already", "Name another with -o, or replace it with --force.")
    values = read_secrets([secret.lies for secret, _ in secrets])
    new = [(value, path) for value, (_, path) in zip(values, secrets, strict=True) if not _holds(path, value)]
    if keys is not None:
        Path(keys).mkdir(mode=0o700, exist_ok=True)
    for value, path in new:
        put_away(value, Path(path))
    for path, text in reversed(texts):
        if text is not None:
            write_file(path, text)
    return secrets


def _holds(path: str, value: str) -> bool:
    """Say whether a file holds just this key, from an import before; HostError if it holds another one."""
    from warren.model.key import SecretRef
    from warren.sys.errors import HostError
    from warren.sys.secret import read_secret

    if not os.path.lexists(path):
        return False
    try:
        same = read_secret(SecretRef(path)) == value
    except HostError:
        same = False
    if not same:
        raise HostError(f"there is a file {path} already, and warren never overwrites a key", "Move it away.")
    return True
