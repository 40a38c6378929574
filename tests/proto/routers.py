"""A router on a virtual clock that opens ports by PCP, NAT-PMP and UPnP, written from the RFCs, not from our code."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

from warren.proto.address import Address
from warren.proto.portmap.mapper import Mapper

ROUTER = Address.of("192.168.1.1", 0)
HOST = Address.of("192.168.1.50", 51820)
OUTSIDE = "203.0.113.7"
NONCE = b"ours, always"
KIND = "urn:schemas-upnp-org:service:WANIPConnection:1"
DESCRIPTION = f"""<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor></specVersion><device>
<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><friendlyName>box</friendlyName><deviceList>
<device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType><serviceList><service>
<serviceType>urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1</serviceType><controlURL>/ctl/CmnIfCfg</controlURL>
</service></serviceList><deviceList><device><serviceList><service><serviceType>{KIND}</serviceType>
<serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId><controlURL>/ctl/IPConn</controlURL></service></serviceList>
</device></deviceList></device></deviceList></device></root>"""


def mapped6(ip: str) -> bytes:
    found = ip_address(ip)
    return found.packed if isinstance(found, IPv6Address) else IPv6Address(f"::ffff:{ip}").packed


def page(body: str, status: str = "200 OK", chunked: bool = False) -> bytes:
    if chunked:
        half = len(body) // 2
        parts = [body[:half], body[half:], ""]
        packed = "".join(f"{len(part):x}\r\n{part}\r\n" for part in parts)
        return f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n{packed}".encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@dataclass
class Router:
    """What it speaks, what it has opened, and since when it runs."""

    speaks: frozenset[str]
    outside: str = OUTSIDE
    lifetime: int = 7200
    began: float = 0.0
    closed: bool = True  # says that nobody listens, instead of being silent
    only_permanent: bool = False
    taken: tuple[int, ...] = ()
    refuses: int = 0
    chunked: bool = False
    opened: dict[int, Address] = field(default_factory=dict)  # by external port
    asked: list[str] = field(default_factory=list)

    def epoch(self, now: float) -> int:
        return int(now - self.began)

    def server(self, data: bytes, now: float) -> bytes | None:
        """Answer at port 5351."""
        version, opcode = data[:2]
        if version == 2:
            self.asked.append("PCP")
            if "PCP" not in self.speaks:
                return struct.pack("!BBHI", 0, 0x80 | opcode, 1, self.epoch(now)) if "NAT-PMP" in self.speaks else None
            return self.pcp(data, now)
        self.asked.append("NAT-PMP")
        if "NAT-PMP" not in self.speaks:
            return None
        if opcode == 0:
            return struct.pack("!BBHI", 0, 128, 0, self.epoch(now)) + ip_address(self.outside).packed
        internal, external, lifetime = struct.unpack("!HHI", data[4:])
        external, lifetime = self.open(internal, external, lifetime)
        return struct.pack("!BBHIHHI", 0, 129, 0, self.epoch(now), internal, external, lifetime)

    def pcp(self, data: bytes, now: float) -> bytes:
        lifetime = int.from_bytes(data[4:8])
        if data[1] == 0:
            return struct.pack("!BBBBII12x", 2, 0x80, 0, 0, 0, self.epoch(now))
        assert len(data) == 60 and data[36] == 17
        if self.refuses:
            return struct.pack("!BBBBII12x", 2, 0x81, 0, self.refuses, 1800, self.epoch(now)) + data[24:]
        internal, external = struct.unpack("!HH", data[40:44])
        external, lifetime = self.open(internal, external, lifetime)
        head = struct.pack("!BBBBII12x", 2, 0x81, 0, 0, lifetime, self.epoch(now))
        return head + data[24:42] + external.to_bytes(2) + mapped6(self.outside)

    def open(self, internal: int, external: int, lifetime: int) -> tuple[int, int]:
        if not lifetime:
            self.opened = {port: to for port, to in self.opened.items() if to.port != internal}
            return 0, 0
        held = next((port for port, to in self.opened.items() if to.port == internal), None)
        port = held or external or 40000
        while port in self.taken:
            port += 1
        self.opened[port] = Address(HOST.ip, internal)
        return port, self.lifetime

    def search(self, data: bytes) -> bytes | None:
        """Answer at port 1900."""
        self.asked.append("SSDP")
        if "UPnP" not in self.speaks:
            return None
        assert data.startswith(b"M-SEARCH * HTTP/1.1\r\n") and b'MAN: "ssdp:discover"' in data
        st = next(line for line in data.decode().split("\r\n") if line.startswith("ST: "))
        return f"HTTP/1.1 200 OK\r\n{st}\r\nLOCATION: http://{ROUTER.ip}:5000/rootDesc.xml\r\n\r\n".encode()

    def web(self, data: bytes) -> bytes:
        """Answer at port 5000."""
        head, _, body = data.decode().partition("\r\n\r\n")
        first = head.split("\r\n")[0]
        self.asked.append(first.split(" ")[1])
        if first == "GET /rootDesc.xml HTTP/1.1":
            return page(DESCRIPTION, chunked=self.chunked)
        assert first == "POST /ctl/IPConn HTTP/1.1" and f"Content-Length: {len(body)}" in head
        action = head.partition("SOAPAction: ")[2].partition("\r\n")[0].strip('"').partition("#")[2]
        self.asked.append(action)

        def of(name: str) -> str:
            return body.partition(f"<{name}>")[2].partition(f"</{name}>")[0]

        if action == "GetExternalIPAddress":
            said = f"<NewExternalIPAddress>{self.outside}</NewExternalIPAddress>"
        elif action == "DeletePortMapping":
            del self.opened[int(of("NewExternalPort"))]
            said = ""
        else:
            port = int(of("NewExternalPort"))
            error = 718 if port in self.taken else 725 if self.only_permanent and of("NewLeaseDuration") != "0" else 0
            if error:
                fault = f"<s:Fault><detail><UPnPError><errorCode>{error}</errorCode></UPnPError></detail></s:Fault>"
                return page(f"<s:Envelope xmlns:s='x'><s:Body>{fault}</s:Body></s:Envelope>", "500 Error")
            self.opened[port] = Address.of(of("NewInternalClient"), int(of("NewInternalPort")))
            said = ""
        answer = f"<u:{action}Response xmlns:u='{KIND}'>{said}</u:{action}Response>"
        return page(f"<s:Envelope xmlns:s='x'><s:Body>{answer}</s:Body></s:Envelope>", chunked=self.chunked)


def run(mapper: Mapper, router: Router | None, start: float, until: float) -> list[float]:
    """Run both on a virtual clock, and give when the host sent something. No router: nobody answers."""
    now, sent = start, []
    while now <= until:
        out = mapper.to_send(now)
        for data, to in out:
            answer = None
            if router is not None:
                answer = router.server(data, now) if to.port == 5351 else router.search(data)
            if answer is not None:
                mapper.receive(answer, Address(ROUTER.ip, to.port), now)
            elif router is not None and to.port == 5351 and router.closed:
                mapper.nobody(now)
        asked = 0
        while exchanges := mapper.exchanges():
            for one in exchanges:
                asked += 1
                mapper.answered(one.number, router.web(one.data) if router else None, now)
        if out or asked:
            sent.append(now)
        now = max(mapper.next_timer(), now + (0 if out or asked else 1e-6))
    return sent
