"""Values given on the command line: ``k=JSON``, ``a.b=JSON``, ``@file``, ``-``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click


def parse_params(pairs: Iterable[str]) -> dict[str, Any]:
    """Return ``k=JSON`` pairs as a mapping; what is no JSON is text.

    Raises:
        UsageError: a pair without ``=``, or without a name before it.
    """
    return dict(_split(pair, option="--param") for pair in pairs)


def parse_settings(pairs: Iterable[str], into: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``into`` with every ``a.b=JSON`` put at its path.

    Raises:
        UsageError: a pair without ``=``, an empty step, or a step into what is no mapping.
    """
    result = _copied(into)
    for pair in pairs:
        path, value = _split(pair, option="--set")
        *parents, last = path.split(".")
        place = result
        for step in parents:
            inner = place.setdefault(step, {})
            if not isinstance(inner, dict):
                raise click.UsageError(
                    f"--set {pair}: {step!r} holds {inner!r}, which has no keys; set it as a whole"
                )
            place = inner
        if not all([*parents, last]):
            raise click.UsageError(f"--set {pair}: the path {path!r} has an empty step")
        place[last] = value
    return result


def parse_changes(pairs: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return ``NODE.INPUT=JSON`` pairs as values by node and input; what is no JSON is text.

    Raises:
        UsageError: a pair without ``=``, or without a node or an input before it.
    """
    changes: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        path, value = _split(pair, option="--set")
        node, _, name = path.rpartition(".")
        if not (node and name):
            raise click.UsageError(f"--set {pair!r} is no NODE.INPUT=JSON; write --set load.rows=3")
        changes.setdefault(node, {})[name] = value
    return changes


def _copied(value: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _copied(v) if isinstance(v, Mapping) else v for k, v in value.items()}


def _split(pair: str, *, option: str) -> tuple[str, Any]:
    name, equals, text = pair.partition("=")
    if not equals or not name.strip():
        raise click.UsageError(
            f"{option} {pair!r} is no name=value; write {option} name=3 or {option} name=text"
        )
    return name.strip(), value_of(text)


def value_of(text: str) -> Any:
    """Return the JSON value of ``text``, or the text itself where it is none."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def read_mapping(source: str, *, option: str) -> dict[str, Any]:
    """Return the JSON object of ``JSON``, ``@file`` or ``-`` (standard input).

    Raises:
        UsageError: it cannot be read, is no JSON, or no object.
    """
    text, name = _read(source, option=option)
    try:
        value = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: {name} is no JSON: {error}") from error
    except RecursionError as error:
        raise click.UsageError(f"{option}: {name} is nested too deeply") from error
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise click.UsageError(f'{option}: {name} must be an object such as {{"a": 1}}, not {kind}')
    return value


def _read(source: str, *, option: str) -> tuple[str, str]:
    if source == "-":
        return sys.stdin.read(), "standard input"
    if not source.startswith("@"):
        return source, "the text"
    path = Path(source[1:])
    try:
        return path.read_text("utf-8"), str(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise click.UsageError(f"{option}: {path} cannot be read: {reason}") from error
