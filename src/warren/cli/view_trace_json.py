"""Traces and verdicts for machines (docs/json.md)."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from warren.core.render.ip import route_words, rule_words
from warren.core.verify import Verdict
from warren.core.walk.words import say
from warren.model.state import Route, Rule
from warren.model.trace import Header, Hop, Step, Trace


def trace_json(trace: Trace) -> dict[str, Any]:
    """Give a trace: `{disposition, says, at, exit, mtu, path, header, presumed, hops: […], reply}`."""
    return {
        "disposition": trace.disposition.value,
        "says": trace.says,
        "at": trace.at,
        "exit": trace.exit,
        "mtu": trace.mtu,
        "path": list(trace.path),
        "header": _header(trace.header),
        "presumed": trace.presumed.value if trace.presumed else None,
        "hops": [hop_json(hop) for hop in trace.hops],
        "reply": trace_json(trace.reply) if trace.reply else None,
    }


def hop_json(hop: Hop) -> dict[str, Any]:
    """Give a hop: `{node, kind, ingress, egress, header, steps: […], outer: […]}`."""
    return {
        "node": hop.node,
        "kind": hop.kind.value,
        "ingress": hop.ingress,
        "egress": hop.egress,
        "header": _header(hop.header),
        "steps": [step_json(step) for step in hop.steps],
        "outer": [hop_json(outer) for outer in hop.outer],
    }


def _header(header: Header) -> dict[str, Any]:
    return {
        "source": str(header.source),
        "destination": str(header.destination),
        "proto": header.proto,
        "sport": header.sport,
        "dport": header.dport,
        "mark": header.mark,
        "size": header.size,
    }


def step_json(step: Step) -> dict[str, Any]:
    """Give a step: its kind, its fields by their names, and `text`, the line people read."""
    heading, sentence = say(step)
    told: dict[str, Any] = {"step": type(step).__name__, "heading": heading, "text": sentence}
    for field in fields(step):
        told[field.name] = _plain(getattr(step, field.name))
    return told


def _plain(value: object) -> Any:
    if isinstance(value, Rule):
        return rule_words(value)
    if isinstance(value, Route):
        return route_words(value)
    if isinstance(value, Header):
        return _header(value)
    return value if isinstance(value, bool | int) else str(value)


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """Give a verdict: `{kind, claim, holds, unknown, expected, predicted, says, family, faults, file, line, trace}`.

    `trace` is there for what does not hold.
    """
    return {
        "kind": verdict.kind.value,
        "claim": verdict.claim,
        "holds": verdict.holds,
        "unknown": verdict.unknown,
        "expected": verdict.expected,
        "predicted": verdict.predicted,
        "says": verdict.says,
        "family": verdict.family.word if verdict.family else None,
        "faults": list(verdict.faults),
        "file": verdict.at.file if verdict.at else None,
        "line": verdict.at.line if verdict.at else None,
        "trace": trace_json(verdict.trace) if verdict.trace and not verdict.holds else None,
    }
