"""Files a task leaves behind, hashed and confined to the run's folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any


def save_artifact(folder: Path, name: str, data: Any) -> dict[str, Any]:
    """Write ``data`` to ``folder/name`` and return its ``path``, ``type``, ``size``, ``sha256``.

    Bytes are written as they are, everything else as the UTF-8 of its text.

    Raises:
        ValueError: ``name`` is empty or leaves the folder.
    """
    root = folder.resolve()
    target = (root / name).resolve()
    if not name or not target.is_relative_to(root) or target == root:
        raise ValueError(f"artifact name {name!r} leaves the run's artifact folder {root}")
    body = data if isinstance(data, bytes) else str(data).encode("utf-8", "backslashreplace")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(body)
    return {
        "path": str(target),
        "type": type(data).__name__,
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
