"""Which code a run ran: a name for the definition and the files its tasks are in."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from tailrace.engine.code import code_of
from tailrace.model import FlowPlan, ScopePlan
from tailrace.runtime.fingerprint import steps_of


def code_version(plan: FlowPlan) -> str:
    """Return ``sha256:`` and 16 hex digits.

    Equal for equal definitions whose tasks are in files of equal content. What those files import
    does not count; a project that wants more sets ``failures.code_version``.
    """
    digest = sha256(plan.definition_hash.encode())
    for part in sorted(set(_parts(plan.scope))):
        digest.update(part)
    return f"sha256:{digest.hexdigest()[:16]}"


def _parts(scope: ScopePlan) -> Iterator[bytes]:
    files: dict[str, bytes] = {}
    for _, step in steps_of(scope):
        code = code_of(step.task.function)
        file = getattr(code, "co_filename", "")
        if file not in files:
            files[file] = _content(file)
        yield files[file] or getattr(code, "co_code", b"")


def _content(file: str) -> bytes:
    try:
        return sha256(Path(file).read_bytes()).digest()
    except OSError:
        return b""
