"""The [Interface] section of a conf."""

from __future__ import annotations

from warren.core.conf.conf import AUTO, Conf, ConfPeer
from warren.core.conf.reader import Reader, Section, words_of
from warren.core.conf.values import interface_of, mark_of, mtu_of, port_of, resolver_of, table_of, truth_of
from warren.model.key import SecretRef
from warren.model.prefix import Address, Interface
from warren.model.state import Hooks


def read_interface(reader: Reader, section: Section, name: str, peers: tuple[ConfPeer, ...]) -> Conf:
    """Put the conf of the device `name` together."""
    if "privatekey" not in section.lines:
        reader.say("W740", section.at.where(reader.file))
    has_key = reader.key(section, "privatekey") is not None
    addresses = _addresses(reader, section)
    servers, search = _dns(reader, section)
    mtu = reader.one(section, "mtu", mtu_of, None, "W734")
    _check_mtu(reader, section, mtu, addresses)
    return Conf(
        name=name,
        path=reader.path,
        private_key=SecretRef(reader.path, "PrivateKey") if has_key else None,
        listen_port=reader.one(section, "listenport", lambda text: port_of(text, reader.services), 0, "W731", least=0),
        fwmark=reader.one(section, "fwmark", mark_of, 0, "W732"),
        addresses=addresses,
        dns=servers,
        search=search,
        mtu=mtu,
        table=reader.one(section, "table", lambda text: table_of(text, reader.tables), AUTO, "W735"),
        hooks=Hooks(*(_hooks(section, key) for key in ("preup", "postup", "predown", "postdown"))),
        save_config=reader.one(section, "saveconfig", truth_of, False, "W736"),
        peers=peers,
    )


def _hooks(section: Section, key: str) -> tuple[str, ...]:
    return tuple(line.value for line in section.lines.get(key, ()) if line.value)


def _addresses(reader: Reader, section: Section) -> tuple[Interface, ...]:
    found: dict[Interface, None] = {}
    for line in section.lines.get("address", ()):
        for word, where in words_of(line, reader.file):
            if not word:
                continue
            try:
                address = interface_of(word)
            except ValueError as error:
                reader.say("W720", where(), value=word, why=error)
                continue
            if address in found:
                reader.say("W724", where(), value=word)
            found[address] = None
    return tuple(found)


def _dns(reader: Reader, section: Section) -> tuple[tuple[Address, ...], tuple[str, ...]]:
    servers: dict[Address, None] = {}
    search: dict[str, None] = {}
    lines = section.lines.get("dns", [])
    for line in lines:
        for word, where in words_of(line, reader.file):
            if not word:
                continue
            try:
                meant = resolver_of(word)
            except ValueError:
                reader.say("W737", where(), value=word)
                continue
            if isinstance(meant, str):
                search[meant] = None
            else:
                servers[meant] = None
    if search and not servers:
        reader.say("W738", lines[0].where(reader.file))
    return tuple(servers), tuple(search)


def _check_mtu(reader: Reader, section: Section, mtu: int | None, addresses: tuple[Interface, ...]) -> None:
    line = section.last("mtu")
    six = next((address for address in addresses if address.version == 6), None)
    if line and six and mtu is not None and mtu < 1280:
        reader.say("W739", line.where(reader.file), mtu=mtu, address=six)
