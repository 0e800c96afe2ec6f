"""What a task says about itself: parameters, types, defaults and documentation."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from tailrace.model import CallKind, TaskSpec

_SECTION = re.compile(r"(?P<name>[A-Z][A-Za-z ]+):\s*$")
_ITEM = re.compile(r"(?P<indent>\s+)\*{0,2}(?P<name>\w+)(?:\s*\([^)]*\))?:\s*(?P<text>.*)")
_FIELD = re.compile(r"\s*:param(?:\s+[^:]*?)?\s+\*{0,2}(?P<name>\w+):\s*(?P<text>.*)")


_STARS: Mapping[Any, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}


class ParameterInfo(Struct, frozen=True, kw_only=True):
    """One parameter of a task, as text."""

    name: str
    type: str = ""
    """The annotation as written; empty when there is none."""
    default: str | None = None
    """The default as Python writes it; None when there is none."""
    required: bool = True
    doc: str = ""


class TaskInfo(Struct, frozen=True, kw_only=True):
    """A task as ``tailrace tasks list`` and ``tasks show`` print it."""

    name: str
    reference: str
    origin: str
    kind: CallKind
    summary: str
    """The first paragraph of the documentation, on one line."""
    doc: str
    parameters: tuple[ParameterInfo, ...]
    returns: str = ""
    """The annotation of the result as written."""
    usage: str = ""
    tags: tuple[str, ...] = ()


class Declared(Struct, frozen=True, kw_only=True):
    """What a plug-in declares about a task beside its code."""

    summary: str
    inputs: tuple[ParameterInfo, ...]
    usage: str = ""
    origin: str = ""
    tags: tuple[str, ...] = ()


def describe_task(spec: TaskSpec, declared: Declared | None = None) -> TaskInfo:
    """Return the description of a task from its signature and docstring.

    What a plug-in declared goes before what its code says.
    """
    signature = _signature(spec.function)
    documented = parameter_docs(spec.doc)
    parameters = () if signature is None else _parameters(signature, documented)
    returns = "" if signature is None else _annotation(signature.return_annotation)
    return TaskInfo(
        name=spec.name,
        reference=spec.reference,
        origin=declared.origin if declared and declared.origin else spec.origin,
        kind=spec.kind,
        summary=declared.summary if declared else summary_of(spec.doc),
        doc=spec.doc,
        parameters=declared.inputs if declared and declared.inputs else parameters,
        returns=returns,
        usage=declared.usage if declared else "",
        tags=declared.tags if declared else (),
    )


def summary_of(doc: str) -> str:
    """Return the first paragraph of a docstring on one line."""
    return " ".join(doc.strip().split("\n\n", 1)[0].split())


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None  # some builtins do not tell


def _parameters(
    signature: inspect.Signature, documented: Mapping[str, str]
) -> tuple[ParameterInfo, ...]:
    found = []
    for parameter in signature.parameters.values():
        if parameter.name == "ctx":
            continue
        star = _STARS.get(parameter.kind, "")
        has_default = parameter.default is not parameter.empty
        found.append(
            ParameterInfo(
                name=star + parameter.name,
                type=_annotation(parameter.annotation),
                default=_shown(parameter.default) if has_default else None,
                required=not has_default and not star,
                doc=documented.get(parameter.name, ""),
            )
        )
    return tuple(found)


def _annotation(annotation: Any) -> str:
    if annotation is inspect.Signature.empty:
        return ""
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _shown(default: Any) -> str:
    try:
        text = repr(default)
    except Exception:  # noqa: BLE001 - a default may be any object
        return f"<{type(default).__name__}>"
    return text if len(text) <= 80 else f"{text[:79]}…"


def parameter_docs(doc: str) -> dict[str, str]:
    """Return what a docstring says of each parameter (Google's ``Args:``, or ``:param x:``)."""
    found: dict[str, list[str]] = {}
    inside, indent, current = False, 0, None
    for line in doc.splitlines():
        if matched := _FIELD.match(line):
            current = found.setdefault(matched["name"], [matched["text"]])
            inside, indent = False, 0
        elif section := _SECTION.match(line):
            inside = section["name"] in {"Args", "Arguments", "Parameters"}
            indent, current = 0, None
        elif inside and (item := _ITEM.match(line)) and len(item["indent"]) <= (indent or 99):
            indent = len(item["indent"])
            current = found.setdefault(item["name"], [item["text"]])
        elif not line.strip() or line.lstrip().startswith(":"):
            current = None
        elif current is not None:
            current.append(line.strip())
    return {name: " ".join(" ".join(lines).split()) for name, lines in found.items()}
