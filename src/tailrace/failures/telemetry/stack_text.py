"""A failure's stack as text, in the form Python prints."""

from __future__ import annotations

from tailrace.model.failure import FailureSnapshot


def stack_text(snapshot: FailureSnapshot) -> str:
    """Return the stack, outermost frame first; empty when no frames are known.

    Lines of source are left out: reading them takes time on a failing path.
    """
    if not snapshot.frames:
        return ""
    lines = ["Traceback (most recent call last):"]
    lines += [
        f'  File "{frame.file}", line {frame.line}, in {frame.function}'
        for frame in snapshot.frames
    ]
    lines.append(f"{snapshot.type}: {snapshot.message}")
    return "\n".join(lines)
