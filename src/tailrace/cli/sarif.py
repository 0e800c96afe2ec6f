"""Findings as SARIF 2.1.0, the format code scanners exchange.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailrace.errors.codes import catalogue

if TYPE_CHECKING:
    from tailrace.cli.problem_text import Problem

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"


def to_sarif(problems: Sequence[Problem]) -> dict[str, Any]:
    """Return a SARIF log with one run."""
    driver = {
        "name": "tailrace",
        "semanticVersion": version("tailrace"),
        "rules": [_rule(code) for code in sorted({problem.code for problem in problems})],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem) for problem in problems],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"id": code}
    entry = catalogue().get(code)
    if entry is not None:
        rule["shortDescription"] = {"text": entry.title}
        rule["fullDescription"] = {"text": entry.text}
        rule["help"] = {"text": entry.mend}
    return rule


def _result(problem: Problem) -> dict[str, Any]:
    text = f"{problem.message}\n{problem.hint}" if problem.hint else problem.message
    result: dict[str, Any] = {
        "ruleId": problem.code,
        "level": problem.severity,
        "message": {"text": text},
    }
    where = problem.where
    if where is not None:
        region = {
            "startLine": where.line,
            "startColumn": where.column,
            "endLine": where.end_line,
            "endColumn": where.end_column,
        }
        place = {"artifactLocation": {"uri": Path(where.file).as_posix()}, "region": region}
        result["locations"] = [{"physicalLocation": place}]
    return result
