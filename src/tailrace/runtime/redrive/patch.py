"""Changing the inputs of a redrive: JSON merge patch, https://www.rfc-editor.org/rfc/rfc7386."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tailrace.errors import DefinitionError
from tailrace.model.patch import merge_patch

PATCHABLE = ("params", "payload")
"""The inputs of a run that a patch may change."""


def check_patch(patch: Any) -> None:
    """Accept None, or an object that names nothing but ``params`` (an object) and ``payload``.

    Raises:
        DefinitionError: it is something else (TR345).
    """
    if patch is None:
        return
    if not isinstance(patch, Mapping):
        raise _refusal(f"a patch is an object, not {type(patch).__name__}: {patch!r:.80}")
    unknown = [key for key in patch if key not in PATCHABLE]
    if unknown:
        raise _refusal(f"a patch changes params and payload; it has no {unknown[0]!r}")
    params = patch.get("params")
    if params is not None and not isinstance(params, Mapping):
        raise _refusal(f"the patch of params is an object, not {params!r:.80}")


def patch_inputs(params: Mapping[str, Any], payload: Any, patch: Any) -> tuple[dict[str, Any], Any]:
    """Return (params, payload) of a run with the patch merged into them.

    Raises:
        DefinitionError: the patch is not valid (TR345).
    """
    check_patch(patch)
    merged = merge_patch({"params": dict(params), "payload": payload}, patch or {})
    return merged.get("params", {}), merged.get("payload")


def _refusal(message: str) -> DefinitionError:
    return DefinitionError(
        message,
        code="TR345",
        hint='write {"params": {"name": "new value", "unwanted": null}}',
    )
