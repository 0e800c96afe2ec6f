"""What the end of a node leaves in the journal: its output as a checkpoint, or its failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tailrace.codecs import Encoded, Unencodable, encode, missing
from tailrace.engine.facts import summary_of
from tailrace.engine.reuse import Extra, write_extra
from tailrace.model import FailureRecord, NodeFinished, NodeState

if TYPE_CHECKING:
    from tailrace.engine.node import NodeRun

_SUCCEEDED = NodeState.SUCCEEDED  # reading a member of an enum is a Python call


def finish(node: NodeRun, value: Any, routes: frozenset[str] | None = None) -> None:
    """Record the success of a node; its output is its checkpoint."""
    encoded = encode(value, mode=node.step.task.checkpoint)
    run, attempt, extra, key = node.run, node.attempt, None, ""
    body: bytes | None
    if isinstance(encoded, Encoded):
        body, codec, checkpoint, key = encoded.body, encoded.codec, "stored", node.key
        if node.facts.forks_scratch or routes is not None:
            extra = _extra(node, routes)
    else:
        body, codec, checkpoint = _unencoded(encoded)
    run.outbox.append(
        NodeFinished(
            node.span,
            attempt.span,
            _SUCCEEDED,
            run.now(),
            node.path,
            body,
            codec,
            summary_of(value),
            checkpoint,
            None,
            "",
            attempt.number,
            attempt.attributes,
            None,
            extra,
            key,
        )
    )


def finish_stream(node: NodeRun, summary: str, failure: FailureRecord | None) -> None:
    """Record the end of a generator whose values a loop has taken."""
    if failure is not None:
        finish_failed(node, failure)
        return
    run, attempt = node.run, node.attempt
    run.outbox.append(
        NodeFinished(
            node.span,
            attempt.span,
            _SUCCEEDED,
            run.now(),
            node.path,
            summary=summary,
            checkpoint="none",
            attributes=attempt.attributes,
        )
    )


def finish_failed(
    node: NodeRun,
    failure: FailureRecord,
    error: BaseException | None = None,
    *,
    state: NodeState = NodeState.FAILED,
    handled: str = "",
) -> None:
    """Record the failure of a node that leaves no output."""
    run, attempt = node.run, node.attempt
    record = NodeFinished(
        node.span,
        attempt.span,
        state,
        run.now(),
        node.path,
        failure=failure,
        handled=handled,
        attempt=attempt.number,
        attributes=attempt.attributes,
        policy=node.facts.shape.policy,
    )
    run.outbox.append(record)
    run.tell(record, error)


def finish_resumed(
    node: NodeRun, failure: FailureRecord, error: BaseException | None, value: Any
) -> None:
    """Record a failure after which the flow goes on with ``value``."""
    encoded = encode(value, mode=node.step.task.checkpoint)
    body: bytes | None
    if isinstance(encoded, Encoded):
        body, codec, checkpoint = encoded.body, encoded.codec, "stored"
    else:
        body, codec, checkpoint = _unencoded(encoded)
    run, attempt = node.run, node.attempt
    record = NodeFinished(
        node.span,
        attempt.span,
        NodeState.FAILED,
        run.now(),
        node.path,
        body,
        codec,
        summary_of(value),
        checkpoint,
        failure,
        "continue",
        attempt.number,
        attempt.attributes,
        node.facts.shape.policy,
    )
    run.outbox.append(record)
    run.tell(record, error)


def _unencoded(value: Unencodable) -> tuple[bytes | None, str, str]:
    """Return body, codec and state of a checkpoint that is none; nothing where none was wanted."""
    if value.reason == "none":
        return None, "", "none"
    kept = missing(value)
    return kept.body, kept.codec, value.reason


def _extra(node: NodeRun, routes: frozenset[str] | None) -> bytes | None:
    """Return what the node left besides its output."""
    changed = {}
    if node.facts.forks_scratch:
        changed = node.scratch.changed_since(node.outer_scratch)
        for target in node.step.outputs:  # where the output went it goes again
            changed.pop(target.removeprefix("scratch."), None)
    artifacts, chosen = node.attempt.artifacts, None if routes is None else sorted(routes)
    if not changed and not artifacts and chosen is None:
        return None
    return write_extra(Extra(changed, artifacts or {}, chosen))
