"""A ``flow.yaml`` that comes with a run: checked as far as a machine without its code can."""

from __future__ import annotations

from typing import Any

from tailrace.flows.check import needs_param
from tailrace.flows.findings import Findings
from tailrace.flows.passage import SourceFile
from tailrace.flows.yaml_file import parse_yaml
from tailrace.flows.yaml_text import Table, Tree, plain, read_yaml
from tailrace.gateway.problems import Problem
from tailrace.model import Finding, Severity
from tailrace.model.finding import finding_to_dict

_FILE = "flow.yaml"
_CODE = "TR16"
"""Codes of what discovery finds: only a worker has the code of tasks."""
_PLUGIN = "and no plug-in task has its name"
_SHOWN = 50


def check_workflow(body: bytes) -> tuple[str, dict[str, Any]]:
    """Return the text of a workflow, and the defaults of its flow. Imports no code of tasks.

    Raises:
        Problem: 422 with the findings.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused(f"the byte 0x{body[error.start]:02x} is no UTF-8", []) from None
    try:
        loaded = parse_yaml(text, file=_FILE, allow_import=_never)
        errors = [found for found in loaded.findings if _counts(found)]
        if errors:
            raise _refused(errors[0].message, errors)
        return text, _defaults(text)
    except RecursionError:
        raise _refused("the file is nested too deeply", []) from None


def _never(_: str) -> bool:
    return False


def _counts(found: Finding) -> bool:
    if found.severity is not Severity.ERROR or needs_param(found):
        return False
    return not found.code.startswith(_CODE) and _PLUGIN not in found.message


def _defaults(text: str) -> dict[str, Any]:
    tree = read_yaml(SourceFile(_FILE, text), Findings())
    defaults = _entry(_entry(tree, "flow"), "defaults")
    found = {} if defaults is None else plain(defaults)
    return found if isinstance(found, dict) else {}


def _entry(tree: Tree | None, name: str) -> Tree | None:
    if not isinstance(tree, Table):
        return None
    return next((entry.value for entry in tree.entries if entry.key.value == name), None)


def _refused(message: str, errors: list[Finding]) -> Problem:
    first = errors[0] if errors else None
    return Problem(
        422,
        "invalid workflow yaml",
        code=first.code if first else "TR103",
        message=message + (f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""),
        hint=first.hint if first else "Check it with `tailrace check flow.yaml`.",
        more={"findings": [finding_to_dict(found) for found in errors[:_SHOWN]]},
    )
