"""Settling a step with what any earlier run recorded for the same code and the same inputs."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from tailrace.codecs import Unencodable, decode, encode
from tailrace.engine.code import captured, code_fingerprint, task_reference
from tailrace.engine.node import NodeRun
from tailrace.engine.outcome import Outcome
from tailrace.engine.reuse import Extra, read_extra
from tailrace.engine.reused import settled
from tailrace.errors import StoreError
from tailrace.model import NodeReused, Recalled

_LAYOUT = b"1"
"""Of what goes into a key."""
_DIGEST_BYTES = 16


class _Unknown(Exception):  # noqa: N818 - reads as the answer it is
    """There is no key; the message says why."""


def recall_step(node: NodeRun, around: int) -> Outcome | None:
    """Record and return the outcome of a step whose output is known; None: it has to run.

    The node then carries the key under which its output is to be recorded, or why it has none.
    """
    request = node.run.request
    if request.recall is None:
        return None
    try:
        node.key = _key(node, _bound(node))
    except _Unknown as error:
        node.not_reused = f"not cached: {error}"
        return None
    except Exception:  # noqa: BLE001 - inputs that cannot be bound fail the node when it starts
        return None
    if not request.may_recall(node.path):
        return None
    expires = node.step.task.expires
    since = node.run.now() - int(expires * 1e9) if expires else 0
    try:
        found = request.recall.recall(node.key, since_ns=since)
        if found is None:
            return None
        value = decode(found.codec, found.body)
        extra = Extra() if found.extra is None else read_extra(found.extra)
    except StoreError as error:
        node.not_reused = f"the cached output cannot be read: {error.message}"
        return None
    _record(node, around, found)
    return settled(node.step, node.frame, node.payload, node.scratch, value, extra)


def _record(node: NodeRun, around: int, found: Recalled) -> None:
    """Record the node with its output, so that runs which go on with this one have it, too."""
    run, name = node.run, node.step.name
    shape = run.shape(node.facts)
    shown = "" if node.path == name else node.path
    run.outbox.append(
        NodeReused(
            run.next_span(),
            around,
            shape,
            name,
            shown,
            run.now(),
            found.run_id,
            cached_at=found.time_ns,
            output=found.body,
            codec=found.codec,
            extra=found.extra,
        )
    )


def _bound(node: NodeRun) -> dict[str, Any]:
    """Return the inputs by parameter, without contexts."""
    args, kwargs = node.facts.arguments(node)
    positional = [bound.parameter for bound in node.step.bindings if bound.positional]
    inputs = dict(zip(positional, args, strict=True)) | kwargs
    hidden = node.facts.context_parameters
    return {name: value for name, value in sorted(inputs.items()) if name not in hidden}


def _key(node: NodeRun, inputs: Mapping[str, Any]) -> str:
    """Return 32 hex digits of what the output depends on.

    Raises:
        _Unknown: an input, or what the function carries with it, cannot be encoded.
    """
    step, task = node.step, node.step.task
    names = [bound.parameter for bound in step.bindings]
    parts = [
        _LAYOUT,
        task_reference(task).encode("utf-8", "backslashreplace"),
        code_fingerprint(task.function).encode(),
        _encoded("input ", dict(inputs)),
        _encoded("what its function carries with it, ", captured(task.function, names)),
        _encoded("", [*step.outputs, None, *node.successors]),
    ]
    digest = blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def _encoded(what: str, value: Any) -> bytes:
    encoded = encode(value)
    if isinstance(encoded, Unencodable):
        raise _Unknown(what + encoded.reason)
    return encoded.codec.encode() + encoded.body
