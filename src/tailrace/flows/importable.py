"""Which tasks a child process can import."""

from __future__ import annotations

import sys
from typing import Any

from tailrace.model import TaskSpec


def importable(spec: TaskSpec) -> Any:
    """Return what the task's reference names, if it is the task; None when it is not.

    A decorated function is found as its ``Task``, which a child process can import where the bare
    function is hidden behind it.
    """
    module, _, path = spec.reference.partition(":")
    found: Any = sys.modules.get(module)
    if "<" in spec.reference or found is None:
        return None
    for part in path.split("."):
        found = getattr(found, part, None)
    return found if spec.function in {found, getattr(found, "__wrapped__", None)} else None
