"""Each step in a line: a heading word, and what was decided by what. The same words for walks and live traces."""

from __future__ import annotations

from warren.core.render.ip import route_words, rule_words
from warren.model.trace import (
    Decrypted,
    Encrypted,
    Ended,
    Filtered,
    Firewall,
    ForeignHook,
    Header,
    Local,
    Mapped,
    Mtu,
    Note,
    Rerouted,
    ReversePath,
    RouteHit,
    RuleHit,
    Sent,
    SourceChosen,
    Step,
    Tracked,
    Translated,
)


def say(step: Step) -> tuple[str, str]:
    """Give a step's heading and its sentence."""
    match step:
        case SourceChosen(source, by):
            return "source", f"{source}, {by}"
        case Tracked(state, direction, mark):
            return "conntrack", f"{state}, {direction} direction" + (f", connection mark {mark:#010x}" if mark else "")
        case RuleHit(rule, result):
            words = rule_words(rule).replace(f" protocol {rule.protocol}", "").removeprefix("pref ")
            return "rule", words if result in ("lookup", str(rule.action)) else f"{words}: {result}"
        case RouteHit(route):
            return "route", route_words(route).replace(f" proto {route.protocol}", "")
        case ReversePath():
            return "way back", reverse_path(step)
        case Firewall(table, chain, rule, does):
            return "firewall", f"{does} ({table} {chain}: {rule})"
        case Translated(what, before, after, undone, by):
            return "nat", f"{what} {_end(what, before)} {'back to' if undone else 'to'} {_end(what, after)}" + (
                f", {by}" if by else ""
            )
        case ForeignHook(chain, tool, verdict, says):
            return "foreign", f"chain {chain}{f' of {tool}' if tool else ''}: {verdict} ({says})"
        case Rerouted(mark):
            return "reroute", f"the mark became {mark:#010x}, so the route is looked up again"
        case Local(address, device):
            return "local", f"{address} is an address of this host{f' ({device})' if device else ''}"
        case Mtu(where, mtu, size, fits, says):
            told = says or ("fits" if fits else "does not fit")
            return "mtu", f"{size} bytes by {where}, which carries {mtu}: {told}"
        case Encrypted(device, peer, allowed, endpoint, learned, size, mark):
            how = "learned" if learned else "configured"
            return "encrypt", (
                f"{device} has {allowed} for {peer}: wrapped to {endpoint} ({how}), {size} bytes, mark {mark:#010x}"
            )
        case Decrypted(device, peer, allowed):
            return "decrypt", f"{device}, from {peer}, whose allowed IPs hold the source ({allowed})"
        case Mapped(before, after, says):
            return "nat", f"{says}: {before} becomes {after}"
        case Filtered(passed, says):
            return "filter", says if passed else f"refused: {says}"
        case Sent(device, to):
            return "sent", f"by {device} to {to}"
        case Note(says):
            return "note", says
        case Ended(disposition, says):
            return str(disposition), says


def reverse_path(step: ReversePath) -> str:
    """Say what the reverse-path filter found, and what came of it."""
    mode = ("off", "strict", "loose")[step.mode] if step.mode < 3 else str(step.mode)
    if step.back:
        told = f"the way back to {step.source} is by {step.back}" + (f", {step.why}" if step.why else "")
    else:
        told = f"no way back to {step.source}: {step.why}"
    return f"{step.device} is {mode}, {told}: {'passes' if step.passed else 'dropped'}"


def _end(what: str, header: Header) -> str:
    address, port = (header.source, header.sport) if what == "source" else (header.destination, header.dport)
    return f"{address} port {port}" if header.proto in ("tcp", "udp") else str(address)
