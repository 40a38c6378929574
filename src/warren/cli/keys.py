"""`warren keys`: make a host's key pair, show its public half, make a preshared key.

Secrets go from the random source into a file of mode 0600 and are printed nowhere; what is printed may be public.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from warren.cli.options import json_option

DEFAULT = "/etc/warren/private.key"
LONGEST = 1 << 16  # bytes of a file that could hold a key


@click.group()
def keys() -> None:
    """Make and show WireGuard keys.

    The private key never leaves the host on which it is made. The network file holds public keys only.
    """


@keys.command(short_help="Make a private key in a file, print the public one.")
@click.argument("file", default=DEFAULT, type=click.Path())
@json_option
def gen(file: str, as_json: bool) -> None:
    """Make a private key in FILE (/etc/warren/private.key) and print the public key.

    FILE is made with mode 0600 and never overwritten. Of directories only /etc/warren is made if it is missing.
    """
    from warren.sys.keys import new_private_key, public_key, put_away

    private = new_private_key()
    put_away(private, Path(file))
    public = public_key(private)
    if as_json:
        _print_json({"file": file, "public_key": public})
        return
    click.echo(
        f"The private key is in {file}; it stays there. The public key, for `key:` in the network file:", err=True
    )
    click.echo(public)


@keys.command(short_help="Print the public key of a private one.")
@click.argument("file", default=DEFAULT, type=click.Path(allow_dash=True))
@json_option
def pub(file: str, as_json: bool) -> None:
    """Print the public key of the private key in FILE (/etc/warren/private.key), or on standard input (-)."""
    from warren.sys.keys import public_key

    public = public_key(_read(file))
    if as_json:
        _print_json({"public_key": public})
        return
    click.echo(public)


@keys.command(short_help="Make a preshared key in a file.")
@click.argument("file", type=click.Path())
@json_option
def psk(file: str, as_json: bool) -> None:
    """Make a preshared key in FILE.

    FILE is made with mode 0600 and never overwritten. Copy it to the other end of the tunnel by a safe way (scp), and
    name it at both hosts: `psk: {OTHER: /etc/warren/OTHER.psk}`.
    """
    from warren.sys.keys import new_preshared_key, put_away

    put_away(new_preshared_key(), Path(file))
    if as_json:
        _print_json({"file": file})
        return
    click.echo(
        f"The preshared key is in {file}. Copy it to the other host by a safe way (scp), and name it at both:\n"
        f"  psk: {{OTHER: {Path(file).absolute()}}}",
        err=True,
    )


def _read(file: str) -> str:
    """Read a private key; HostError says what is wrong with it, never what it is."""
    from warren.model.key import SecretRef, decode_key
    from warren.sys.errors import HostError
    from warren.sys.secret import read_secret

    if file != "-":
        return read_secret(SecretRef(file))
    text = sys.stdin.buffer.read(LONGEST).decode(errors="replace").strip()
    try:
        decode_key(text)
    except ValueError as error:
        raise HostError(
            f"standard input holds no key: {error}", "Pipe one in, or name the file that holds it."
        ) from None
    return text


def _print_json(value: dict[str, str]) -> None:
    from warren.cli.view_json import print_json

    print_json(value)
