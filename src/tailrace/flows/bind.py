"""Deciding where each parameter of a task gets its value, once, before anything runs.

The order: declared inputs; the context; by name a loop variable, a param, the result of a node
upstream; the payload for the one parameter left over that has no default; the default.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tailrace.errors import ExpressionError
from tailrace.flows.findings import Findings, listed, meant, place_of
from tailrace.flows.references import check_references
from tailrace.flows.sight import Sight
from tailrace.flows.signature import Parameter, Signature
from tailrace.model import (
    Binding,
    Constant,
    Evaluated,
    FromContext,
    FromLoop,
    FromParam,
    FromPayload,
    FromResult,
    Source,
    SourceSpan,
    TaskNode,
)


def bind(
    node: TaskNode, signature: Signature | None, sight: Sight, findings: Findings
) -> tuple[Binding, ...]:
    """Return the bindings of a task node; what cannot be bound becomes a finding."""
    inputs = declared_inputs(
        node.inputs, sight, findings, where=node.where, subject=f"tasks.{node.name}.inputs"
    )
    if signature is None:
        return _blind(inputs, sight)
    _refuse_unknown(node, signature, inputs, findings)
    sources: dict[str, Source] = {}
    left_over: list[Parameter] = []
    loop_variables = sight.loop_variables()
    for parameter in signature.parameters:
        source = inputs.get(parameter.name) or _by_name(parameter, sight, loop_variables)
        if source is not None:
            sources[parameter.name] = source
        elif not parameter.has_default:
            left_over.append(parameter)
    if len(left_over) == 1 and sight.has_payload:
        sources[left_over[0].name] = FromPayload()
    elif left_over:
        _refuse_left_over(node, left_over, sight, findings)
    return _in_order(signature, sources, inputs)


def declared_inputs(
    inputs: Mapping[str, Any],
    sight: Sight,
    findings: Findings,
    *,
    where: SourceSpan | None,
    subject: str,
) -> dict[str, Source]:
    """Return the sources of values as written; what they refer to is checked."""
    sources: dict[str, Source] = {}
    if not inputs:
        return sources
    from tailrace.flows.expressions import compile_value  # noqa: PLC0415 - many flows have none

    for name, raw in inputs.items():
        try:
            sources[name] = source = compile_value(raw)
        except ExpressionError as error:
            findings.take(error, where=where, subject=f"{subject}.{name}", source=raw)
            sources[name] = Constant(None)
            continue
        if isinstance(source, Evaluated):
            check_references(
                source.expression, sight, findings, where=where, subject=f"{subject}.{name}"
            )
    return sources


def _by_name(parameter: Parameter, sight: Sight, loop_variables: Collection[str]) -> Source | None:
    name = parameter.name
    if parameter.is_context:
        return FromContext()
    if parameter.is_fixed:
        return None
    if name in loop_variables:
        return FromLoop(name)
    if sight.has_param(name):
        return FromParam(name)
    if sight.sees(name):
        return FromResult(name, Constant(parameter.default) if parameter.has_default else None)
    return None


def _blind(inputs: Mapping[str, Source], sight: Sight) -> tuple[Binding, ...]:
    """Bind a callable that does not tell its parameters: declared inputs, else the payload."""
    if inputs:
        return tuple(Binding(name, source) for name, source in inputs.items())
    if sight.has_payload:
        return (Binding("payload", FromPayload(), positional=True),)
    return ()


def _in_order(
    signature: Signature, sources: Mapping[str, Source], inputs: Mapping[str, Source]
) -> tuple[Binding, ...]:
    bindings = _positional(signature, sources)
    bindings += [
        Binding(parameter.name, sources[parameter.name])
        for parameter in signature.parameters
        if parameter.name in sources and not parameter.positional
    ]
    if signature.takes_any:
        known = {parameter.name for parameter in signature.parameters}
        bindings += [Binding(name, inputs[name]) for name in inputs if name not in known]
    return tuple(bindings)


def _positional(signature: Signature, sources: Mapping[str, Source]) -> list[Binding]:
    """Bind positional-only parameters up to the last one that has a source.

    It is reached through those before it, so these get their defaults.
    """
    parameters = signature.positional
    if not parameters:
        return []
    last = max((i for i, p in enumerate(parameters) if p.name in sources), default=-1)
    return [
        Binding(
            parameter.name,
            sources.get(parameter.name, Constant(parameter.default)),
            positional=True,
        )
        for parameter in parameters[: last + 1]
    ]


def _refuse_unknown(
    node: TaskNode, signature: Signature, inputs: Mapping[str, Source], findings: Findings
) -> None:
    if signature.takes_any or not inputs:
        return
    known = [parameter.name for parameter in signature.parameters]
    for name in inputs:
        if name not in known:
            findings.add(
                "TR151",
                f"task {node.name!r} has no parameter {name!r} "
                f"(parameters: {listed(known)}){meant(name, known)}",
                where=place_of(node),
                hint=f"Remove the input {name!r}, or name a parameter of {node.task.reference}.",
                subject=f"{node.name}.inputs.{name}",
            )


def _refuse_left_over(
    node: TaskNode, left_over: Sequence[Parameter], sight: Sight, findings: Findings
) -> None:
    names = [parameter.name for parameter in left_over]
    if sight.has_payload:
        message = (
            f"task {node.name!r}: the parameters {', '.join(map(repr, names))} are all left over, "
            f"and only one can take the payload ({sight.available()})"
        )
        hint = f"Give inputs for them, such as {names[1]}, or name params or nodes upstream."
        findings.add(
            "TR150", message, where=place_of(node), hint=hint, subject=f"{node.name}.{names[0]}"
        )
        return
    for name in names:
        findings.add(
            "TR150",
            f"task {node.name!r} needs {name!r}, and nothing provides it "
            f"({sight.available()}){meant(name, sight.known.params)}",
            where=place_of(node),
            hint=f"{sight.known.how_to_give(name)}, or give {node.name!r} an input {name!r}.",
            subject=f"{node.name}.{name}",
        )
