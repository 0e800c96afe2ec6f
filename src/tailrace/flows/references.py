"""Checking what expressions read before anything runs."""

from __future__ import annotations

from msgspec import Struct

from tailrace.flows.expressions import ROOTS
from tailrace.flows.findings import Findings, listed, meant
from tailrace.flows.sight import Sight
from tailrace.model import Expression, SourceSpan


def check_references(
    expression: Expression,
    sight: Sight,
    findings: Findings,
    *,
    where: SourceSpan | None,
    subject: str,
) -> None:
    """Report every path that cannot have a value when the expression is evaluated."""
    report = _Report(findings, expression.source, where, subject)
    for path in expression.references:
        _check_path(path, sight, report)


class _Report(Struct, frozen=True):
    findings: Findings
    source: str
    where: SourceSpan | None
    subject: str

    def __call__(self, code: str, message: str, hint: str) -> None:
        self.findings.add(
            code,
            f"{message} in {self.source!r}",
            where=self.where,
            hint=hint,
            subject=self.subject,
        )


def _check_path(path: tuple[str, ...], sight: Sight, report: _Report) -> None:
    head, *rest = path
    if not rest:
        _check_root(head, sight, report)
        return
    match head:
        case "params":
            _check_param(rest[0], sight, report)
        case "results" | "node":
            _check_result(rest[0], sight, report)
        case "env":
            _check_env(rest[0], sight, report)
        case "loop":
            _check_loop(sight, report)
        case "payload":
            _check_payload(rest[0], sight, report)
        case "joins":
            _check_join(rest[0], sight, report)
        case _:
            _check_root(head, sight, report)


def _check_root(name: str, sight: Sight, report: _Report) -> None:
    variables = sight.loop_variables()
    if name in ROOTS or name in variables:
        return
    known = [*sorted(ROOTS), *sorted(variables)]
    report(
        "TR154",
        f"nothing is named {name!r} (known: {listed(known, limit=20)}){meant(name, known)}",
        f"Write params.{name} for a param, or results.{name} for the output of a node.",
    )


def _check_env(name: str, sight: Sight, report: _Report) -> None:
    if name not in sight.known.expose_env:
        report(
            "TR155",
            f"the environment variable {name!r} is not exposed to the flow",
            f"Add it to runtime.expose_env (yaml) or expose_env= (Python): [{name}].",
        )


def _check_loop(sight: Sight, report: _Report) -> None:
    if next(sight.loops(), None) is None:
        report(
            "TR156",
            "'loop' is read outside of any loop",
            "Use it inside the body of foreach, repeat or until.",
        )


def _check_join(name: str, sight: Sight, report: _Report) -> None:
    known = sight.known.places.names
    if name not in known:
        report(
            "TR152",
            f"no node is named {name!r}{meant(name, known)}",
            "Name the node at which branches join.",
        )


def _check_param(name: str, sight: Sight, report: _Report) -> None:
    if sight.has_param(name):
        return
    if name in sight.loop_variables():
        report(
            "TR153",
            f"{name!r} is the variable of a loop, not a param",
            f"Write {name} without params in front.",
        )
        return
    known = sorted(sight.known.params)
    report(
        "TR153",
        f"no param is named {name!r} (params: {listed(known)}){meant(name, known)}",
        f"{sight.known.how_to_give(name)}, or write it with | default(…).",
    )


def _check_result(name: str, sight: Sight, report: _Report) -> None:
    if sight.sees(name) or sight.saw(name) or name in sight.known.handlers:
        return
    names = sight.known.places.names
    if name in names:
        report(
            "TR152",
            f"the node {name!r} is not upstream, so its output is not there yet",
            f"Put {name!r} before this node, with >> between them.",
        )
        return
    report(
        "TR152",
        f"no node is named {name!r} (nodes: {listed(names)}){meant(name, names)}",
        "Name a node upstream.",
    )


def _check_payload(name: str, sight: Sight, report: _Report) -> None:
    if not sight.has_payload:
        report(
            "TR157",
            "there is no payload where the flow starts",
            f"Read a param instead: params.{name}.",
        )
        return
    members = sight.predecessor_names()
    if len(members) > 1 and name not in members and not name.lstrip("-").isdigit():
        report(
            "TR157",
            f"the payload here is a mapping of {listed(members)}, and has no {name!r}"
            f"{meant(name, members)}",
            "Name one of the nodes that lead here.",
        )
