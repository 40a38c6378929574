"""OpenWrt's configuration system as its documentation describes it: files of sections, and uci's commands on them.

No part of it comes from the renderer or from uci's own code: it is the second reader. There is no package of uci for
Debian. As a program, beside a folder of files, it answers for `uci`:

    python uci.py FOLDER [-q] batch | show PACKAGE | get WHAT | commit PACKAGE | revert PACKAGE

A file:  config interface 'portals'      A line for batch:  set network.portals='interface'
             option proto 'wireguard'                       set network.portals.proto='wireguard'
             list addresses '10.0.0.1/32'                   add_list network.portals.addresses='10.0.0.1/32'
"""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path

NAME = re.compile(r"[A-Za-z0-9_]+")
TYPE = re.compile(r"[!-~]+")


class UciError(ValueError):
    """What uci would refuse."""


@dataclass
class Section:
    type: str
    options: dict[str, str | list[str]] = field(default_factory=dict)


Package = dict[str, Section]


def parse(text: str) -> Package:
    """Read a file; sections without a name get one, as uci shows them."""
    package: Package = {}
    section = None
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        match words:
            case []:
                continue
            case ["package", _]:
                continue
            case ["config", kind, *name] if len(name) < 2:
                section = package.setdefault(named(name[0]) if name else f"cfg{len(package):06x}", Section(kind))
            case ["option", option, value] if section is not None:
                section.options[named(option)] = value
            case ["list", option, value] if section is not None:
                add(section, named(option), value)
            case _:
                raise UciError(f"not a line of a configuration: {line!r}")
    return package


def export(package: Package) -> str:
    """Write a file."""
    lines = []
    for name, section in package.items():
        lines.append(f"\nconfig {section.type} '{name}'")
        for option, value in section.options.items():
            values = value if isinstance(value, list) else [value]
            lines += [f"\t{'list' if isinstance(value, list) else 'option'} {option} {quoted(one)}" for one in values]
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def named(name: str) -> str:
    if not NAME.fullmatch(name):
        raise UciError(f"{name!r} is not a name in UCI")
    return name


def add(section: Section, option: str, value: str) -> None:
    held = section.options.get(option, [])
    section.options[option] = [*(held if isinstance(held, list) else [held]), value]


def run_batch(packages: dict[str, Package], text: str) -> list[str]:
    """Do what lines say; give what is wrong with some, which does not stop the others."""
    wrong = []
    for line in text.splitlines():
        words = shlex.split(line)
        if not words:
            continue
        try:
            if len(words) != 2:
                raise UciError(f"not a command: {line!r}")
            command(packages, *words)
        except UciError as error:
            wrong.append(str(error))
    return wrong


def command(packages: dict[str, Package], verb: str, words: str) -> None:
    where, equals, value = words.partition("=")
    package, section, *option = where.split(".")
    if package not in packages or len(option) > 1:
        raise UciError(f"there is no {where}")
    sections = packages[package]
    if verb == "delete" and not equals and not option and section in sections:
        del sections[section]
    elif verb == "set" and equals and not option:
        if not TYPE.fullmatch(value):
            raise UciError(f"{value!r} is not a type in UCI")
        sections.setdefault(named(section), Section(value)).type = value
    elif verb in ("set", "add_list") and equals and section in sections:
        if verb == "set":
            sections[section].options[named(option[0])] = value
        else:
            add(sections[section], named(option[0]), value)
    else:
        raise UciError(f"cannot {verb} {words}")


class Store:
    """A folder of files, with what is not committed beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.staged = folder, folder / ".staged"
        self.staged.mkdir(exist_ok=True)

    def load(self, package: str) -> Package:
        staged = self.staged / package
        return parse((staged if staged.exists() else self.folder / package).read_text())

    def stage(self, package: str, value: Package) -> None:
        (self.staged / package).write_text(export(value))

    def commit(self, package: str) -> None:
        if (self.staged / package).exists():
            (self.staged / package).replace(self.folder / package)

    def revert(self, package: str) -> None:
        (self.staged / package).unlink(missing_ok=True)


def main(folder: str, *words: str) -> int:
    store = Store(Path(folder))
    verb, *rest = [word for word in words if word != "-q"]
    if verb == "batch":
        packages = {file.name: store.load(file.name) for file in Path(folder).iterdir() if file.is_file()}
        wrong = run_batch(packages, sys.stdin.read())
        for name, package in packages.items():
            store.stage(name, package)
        print("\n".join(wrong), file=sys.stderr)
        return 0  # it says what is wrong, and nothing else
    if verb == "commit":
        store.commit(rest[0])
    elif verb == "revert":
        store.revert(rest[0])
    elif verb == "show":
        show(rest[0], store.load(rest[0]))
    elif verb == "get":
        package, section, *option = rest[0].split(".")
        found = store.load(package).get(section)
        value = found and (found.options.get(option[0]) if option else found.type)
        if not value:
            return 1
        print(value)
    return 0


def show(package: str, sections: Package) -> None:
    for name, section in sections.items():
        print(f"{package}.{name}={section.type}")
        for option, value in section.options.items():
            values = value if isinstance(value, list) else [value]
            print(f"{package}.{name}.{option}={' '.join(map(quoted, values))}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
