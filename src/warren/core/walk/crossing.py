"""Into a tunnel at one host and out of it at another: allowed IPs on both sides, and the size of what is wrapped."""

from __future__ import annotations

from dataclasses import dataclass

from warren.core.walk.course import Course, OnHost
from warren.core.walk.gate import End, stop
from warren.core.walk.host import Device, HostView
from warren.core.walk.packet import to_address
from warren.core.walk.tunnel import Tunnels, inner_room, outer_size
from warren.model.trace import Decrypted, Disposition, Encrypted, Hop, HopKind, Mtu, Step


@dataclass(frozen=True, slots=True)
class Tunnelled:
    """What became of a packet at a tunnel device: where it comes out, or why it does not."""

    end: End | None
    outer: tuple[Hop, ...] = ()
    far: OnHost | None = None


def enter(
    course: Course, host: HostView, device: Device, tunnels: Tunnels, steps: list[Step], depth: int, answering: bool
) -> Tunnelled:
    """Give a packet to a tunnel device: a peer is chosen, the packet wrapped and sent to it."""
    packet = course.packet
    held = device.allowed.find(packet.family, packet.destination)
    if held is None:
        to = to_address(packet.destination, packet.family)
        says = f"no peer of {device.name} has {to} in its allowed IPs"
        return Tunnelled(stop(steps, Disposition.NO_PEER, says))
    allowed, peer = held
    link = tunnels.link(host, device, peer, answering, depth)
    course.doubts.passing += link.doubts
    if link.end is not None:
        return Tunnelled(stop(steps, link.end.disposition, link.end.says))
    assert device.wireguard is not None
    size = outer_size(packet.size, device.mtu, link.family)
    mark = device.wireguard.fwmark
    steps.append(Encrypted(device.name, link.far, allowed, link.endpoint, link.learned, size, mark))
    if host.df:
        packet.carries = min(packet.carries, inner_room(link, device.mtu))
    if size > link.carries:
        says = "" if host.df else "the outer packet is cut in pieces"
        steps.append(Mtu(f"the way to {link.far}", link.carries, size, not host.df, says))
        if host.df:
            says = f"outer packets of {size} bytes do not fit the way to {link.far} ({link.carries})"
            return Tunnelled(stop(steps, Disposition.MTU_EXCEEDED, says), link.hops)
    return Tunnelled(None, link.hops, OnHost(link.far, link.far_device))


def leave(course: Course, sender: HostView, receiver: HostView, far: OnHost) -> None:
    """Come out of a tunnel, if the source is among the sender's allowed IPs there."""
    packet = course.packet
    device = receiver.devices[far.device]
    sent_by = {interface.public_key for interface in sender.state.interfaces}
    held = device.allowed.find(packet.family, packet.source)
    packet.leave_host()
    if held is None or held[1].public_key not in sent_by:
        source = to_address(packet.source, packet.family)
        says = f"{source} is not among the allowed IPs of {sender.name} on {far.device}"
        steps: list[Step] = []
        stop(steps, Disposition.NOT_ALLOWED_IP, says)
        course.hops.append(Hop(far.host, HopKind.HOST, far.device, "", packet.header(), tuple(steps)))
        course.end(Disposition.NOT_ALLOWED_IP, says, far.host)
        return
    course.arriving = [Decrypted(far.device, sender.name, held[0])]
    course.at = far
