"""`warren dns` with real sockets: resolvers by UDP, TCP, TLS and HTTPS, clients by UDP and TCP."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

from tests.daemon.answering import LOCAL, Answering, certificate, saying
from warren.core.dns_config import Asked, DnsConfig, read_config, write_config
from warren.daemon.dns import Shell
from warren.model.dns import Resolver, Transport

AT_HOME, ABROAD = "45.12.0.7", "93.184.216.34"
HERE = ip_address(LOCAL)


def config(*asked: Asked, judged: bool = True, fast: bool = True) -> DnsConfig:
    return DnsConfig(HERE, 0, asked, judged, fast, (ip_network("45.12.0.0/14"),), ("cn",), ("news.example",))


def near(one: Answering) -> Asked:
    return Asked(Resolver(HERE, port=one.port), domestic=True)


def far(one: Answering, transport: Transport = Transport.PLAIN, name: str = "") -> Asked:
    return Asked(Resolver(HERE, transport, one.port, name))


class Client:
    """Asks the resolver under test."""

    def __init__(self, told: DnsConfig) -> None:
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        for one in (self.udp, self.tcp):
            one.bind((LOCAL, 0))
        self.tcp.listen()
        self.shell = Shell(told, self.udp, self.tcp)
        self.task = asyncio.get_running_loop().create_task(self.shell.run())

    async def ask(self, name: str, kind: str = "A", *, tcp: bool = False) -> dns.message.Message:
        query = dns.message.make_query(name, kind)
        how = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
        return await how(query, LOCAL, timeout=8, port=(self.tcp if tcp else self.udp).getsockname()[1])

    async def addresses(self, name: str, *, tcp: bool = False) -> list[str]:
        reply = await self.ask(name, tcp=tcp)
        return [item.address for rrset in reply.answer for item in rrset]


def run(scene: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scene(), 20)

    asyncio.run(bounded())


def test_each_side_is_asked_for_its_own_by_a_port_of_chance() -> None:
    async def scene() -> None:
        home, abroad = await Answering(saying(AT_HOME)).by_udp(), await Answering(saying(ABROAD)).by_udp()
        client = Client(config(near(home), far(abroad)))

        assert await client.addresses("shop.example") == [AT_HOME]
        assert await client.addresses("www.news.example") == [ABROAD]
        assert await client.addresses("a.cn") == [AT_HOME]
        assert home.heard == ["shop.example.", "a.cn."]
        assert abroad.heard == ["shop.example.", "www.news.example."]
        assert len(home.ports | abroad.ports) == 4
        assert not client.shell._sockets

    run(scene)


def test_a_lie_at_home_is_not_believed() -> None:
    async def scene() -> None:
        home, abroad = await Answering(saying("127.0.0.1")).by_udp(), await Answering(saying(ABROAD)).by_udp()
        client = Client(config(near(home), far(abroad)))

        assert await client.addresses("whatever.example") == [ABROAD]

    run(scene)


def test_what_does_not_fit_comes_by_tcp_at_both_ends() -> None:
    many = [f"93.184.{at}.1" for at in range(200)]

    async def scene() -> None:
        abroad = await Answering(saying(*many)).by_udp()
        client = Client(config(far(abroad), judged=False))

        assert (await client.ask("big.example")).flags & dns.flags.TC
        assert sorted(await client.addresses("big.example", tcp=True)) == sorted(many)

    run(scene)


@pytest.mark.parametrize("transport", [Transport.TLS, Transport.HTTPS])
@pytest.mark.parametrize("name", ["", "dns.example"])
def test_tls_and_https(transport: Transport, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, trusted = certificate(tmp_path, *([name] if name else []))
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))

    async def scene() -> None:
        resolver = Answering(saying(ABROAD))
        abroad = await (resolver.by_tls(context) if transport is Transport.TLS else resolver.by_https(context))
        client = Client(config(far(abroad, transport, name), judged=False))

        found = await asyncio.gather(*(client.addresses(f"n{at}.example") for at in range(20)))
        assert found == [[ABROAD]] * 20
        assert await client.addresses("later.example") == [ABROAD]

    run(scene)


@pytest.mark.parametrize("transport", [Transport.TLS, Transport.HTTPS])
def test_a_certificate_for_somebody_else_is_refused(
    transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = certificate(tmp_path, "other.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))

    async def scene() -> None:
        resolver = Answering(saying(ABROAD))
        abroad = await (resolver.by_tls(context) if transport is Transport.TLS else resolver.by_https(context))
        client = Client(config(far(abroad, transport, "dns.example"), judged=False))

        assert (await client.ask("a.example")).rcode() == dns.rcode.SERVFAIL
        assert resolver.heard == []

    run(scene)


def test_a_resolver_that_nobody_is_at_fails_at_once() -> None:
    async def scene() -> None:
        gone = await Answering(saying()).by_udp()
        nobody = replace(far(gone), resolver=Resolver(HERE, port=1))
        client = Client(config(nobody, judged=False))
        begun = asyncio.get_running_loop().time()

        assert (await client.ask("a.example")).rcode() == dns.rcode.SERVFAIL
        assert asyncio.get_running_loop().time() - begun < 0.5

    run(scene)


def test_a_device_that_is_not_there_sends_nothing() -> None:
    async def scene() -> None:
        abroad = await Answering(saying(ABROAD)).by_udp()
        client = Client(config(replace(far(abroad), device="no-such-device"), judged=False))

        assert (await client.ask("a.example")).rcode() == dns.rcode.SERVFAIL
        assert abroad.heard == []

    run(scene)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_it_is_nobody_by_the_time_it_answers(tmp_path: Path) -> None:
    """No capability is left, and the socket of its questions can be bound to a device all the same."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOCAL, 0))
        port = probe.getsockname()[1]
    file = tmp_path / "dns.json"
    told = replace(config(Asked(Resolver(HERE, port=1), device="lo"), judged=False), port=port)
    file.write_text(write_config(told, ""))
    file.chmod(0o600)
    with subprocess.Popen((sys.executable, "-m", "warren", "dns", str(file))) as running:
        try:
            query = dns.message.make_query("a.example", "A")
            for _ in range(100):
                try:
                    reply = dns.query.udp(query, LOCAL, timeout=0.2, port=port)
                    break
                except (dns.exception.Timeout, OSError):
                    assert running.poll() is None
                    time.sleep(0.05)
            status = Path(f"/proc/{running.pid}/status").read_text()
        finally:
            running.terminate()

    assert reply.rcode() == dns.rcode.SERVFAIL  # nobody is asked there, and that was heard
    assert re.search(rf"^Uid:(\t{pwd.getpwnam('nobody').pw_uid}){{4}}$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE) and re.search(r"^CapPrm:\t0+$", status, re.MULTILINE)
    assert "Name:\twarren-dns" in status


def test_a_configuration_is_read_as_it_was_written() -> None:
    resolver = Resolver(ip_address("2620:fe::fe"), Transport.HTTPS, 443, "dns.quad9.net")
    told = config(Asked(resolver, device="portals-nyc"), Asked(Resolver(HERE), domestic=True, device="eth0"))

    assert read_config(write_config(told, "for people")) == told
    for broken in ("", "{}", "[]", write_config(told, "").replace("https", "smoke"), '{"listen": 1}'):
        with pytest.raises(ValueError, match="no configuration"):
            read_config(broken)
