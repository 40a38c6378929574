"""How people and programs are told what `warren netcheck` found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from warren.cli.view import paint, table
from warren.cli.view_paths import milliseconds
from warren.proto.check import Checked, Filtering, Hairpin
from warren.proto.checked import Report, Router, Version, findings
from warren.proto.portmap.values import By
from warren.proto.shown import Shown

_MAPPING = {
    Shown.NO_NAT: "no NAT: others see this host's own address",
    Shown.SAME: "a NAT that shows everybody the same port",
    Shown.EACH: "a NAT that shows another port to each",
    Shown.UNKNOWN: "not known: two servers have to see this host",
}
_FILTERING = {
    Filtering.LOOSE: "other ports of an address that was sent to are let in; whether strangers are is not known",
    Filtering.STRICT: "only the very address and port that was sent to is let in, by the NAT or a firewall",
    Filtering.UNKNOWN: "not known",
}
_HAIRPIN = {
    Hairpin.YES: "yes: who is behind the same NAT is reached by its outside address, too",
    Hairpin.NO: "no: who is behind the same NAT is not reached by its outside address",
    Hairpin.NEEDLESS: "no NAT, so none is needed",
    Hairpin.UNKNOWN: "not known",
}

_ALL = ", ".join(By)


def report_text(report: Report) -> str:
    """Write what was found, then what helps."""
    lines = [line for one in report.versions for line in (*_version_lines(one), "")]
    lines += [_router(one, report) for one in report.routers]
    lines += [""] if report.routers else []
    for found in findings(report):
        lines += [f"{paint('!', 'bold', 'red')} {found.says}", f"  {found.remedy}"]
    if not report.by_uplink:
        lines.append(paint("Asked as any program of this host would; as root, past its tunnels.", "dim"))
    return "\n".join(lines).rstrip("\n")


def _version_lines(one: Version) -> Iterator[str]:
    yield paint(f"IPv{one.version}", "bold")
    if one.source is None:
        yield "  no way out"
        return
    rows = [("way out", f"from {one.source}")]
    if one.checked is None:
        rows.append(("servers", "none has an address of this version" if not one.tried else "not asked"))
    else:
        rows += [(tried.name, _server(one.checked, at)) for at, tried in enumerate(one.tried)]
        if one.reached:
            rows += [
                ("mapping", _MAPPING[one.checked.shown]),
                ("port", "kept" if one.checked.kept else "not that which the host sends from"),
                ("filtering", _FILTERING[one.checked.filtering]),
                ("hairpin", _HAIRPIN[one.checked.hairpin]),
            ]
        elif one.tcp is not None:
            rows.append(("by TCP", "a server's machine answers" if one.tcp else "nothing answers either"))
    yield from (f"  {line}" for line in table(rows).splitlines())


def _router(router: Router, report: Report) -> str:
    """Say by what the router could open a port, and whether that is of use."""
    parts = [f"could open a port, by {', '.join(router.speaks)}" if router.speaks else f"opens no ports ({_ALL})"]
    if router.outside:
        parts.append(f"its own address outside is {router.outside}")
    if report.inside(router):
        parts.append("another NAT is before it")
    return f"{paint('router', 'bold')} {router.address}: {'; '.join(parts)}"


def _server(checked: Checked, at: int) -> str:
    server = checked.servers[at]
    if server.observed is None:
        why = f": {server.trouble}" if server.trouble else ""
        return f"{paint('does not answer', 'red')} at {server.place}{why}"
    return f"answers in {milliseconds(server.rtt)}, and sees {server.observed}"


def report_json(report: Report) -> dict[str, Any]:
    """Give the same as in docs/json.md."""
    return {
        "ok": report.ok,
        "by_uplink": report.by_uplink,
        "families": [_version_json(one) for one in report.versions],
        "unknown": list(report.unknown),
        "routers": [
            {
                "address": one.address,
                "speaks": list(one.speaks),
                "outside": one.outside,
                "behind_nat": report.inside(one),
            }
            for one in report.routers
        ],
        "findings": [
            {"kind": found.kind.value, "says": found.says, "remedy": found.remedy} for found in findings(report)
        ],
    }


def _version_json(one: Version) -> dict[str, Any]:
    checked = one.checked
    servers = checked.servers if checked is not None else ()
    return {
        "family": f"ipv{one.version}",
        "source": str(one.source or ""),
        "servers": [
            {
                "server": tried.name,
                "address": str(server.place),
                "observed": str(server.observed or ""),
                "rtt": server.rtt,
                "trouble": server.trouble,
            }
            for tried, server in zip(one.tried, servers, strict=False)
        ],
        "mapping": checked.shown.value if checked is not None else Shown.UNKNOWN.value,
        "port_kept": checked.kept if checked is not None else None,
        "filtering": checked.filtering.value if checked is not None else Filtering.UNKNOWN.value,
        "hairpin": checked.hairpin.value if checked is not None else Hairpin.UNKNOWN.value,
        "tcp": one.tcp,
    }
