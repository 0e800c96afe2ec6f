"""``module:function`` to a task specification."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from tailrace.errors import DefinitionError
from tailrace.flows.discovery.callables import make_spec
from tailrace.flows.discovery.modules import describe, import_module
from tailrace.flows.findings import listed, meant
from tailrace.model import TaskSpec

_DOTTED = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_REFERENCE = re.compile(rf"(?P<module>{_DOTTED}):(?P<path>{_DOTTED})")


def resolve_callable(
    reference: str,
    *,
    folder: Path | None = None,
    allow: Callable[[str], bool] | None = None,
) -> TaskSpec:
    """Return the task that ``module:function`` names; ``function`` may be a dotted attribute.

    Args:
        reference: the text of ``callable:``.
        folder: the flow file's own folder; its modules go before all others.
        allow: whether a flow file may import a module, by its name; None allows every one.

    Raises:
        DefinitionError: the text has another shape, or the module may not be imported, cannot be
            found, fails, or has no such callable.
    """
    module_name, path = _parts(reference)
    if allow is not None and not allow(module_name):
        raise DefinitionError(
            f"the flow may not import the module {module_name!r}: only allowed modules can be "
            "named by flows that come from outside",
            code="TR165",
            hint=f"Start the workers with --allow-modules {module_name} (tailrace up, tailrace "
            "worker start), or list it in worker.allow_modules of tailrace.toml; or bind a "
            "plug-in task with 'use:'.",
            details={"module": module_name},
        )
    found: Any = import_module(module_name, folder=folder)
    walked = module_name
    for separator, part in zip((":", *"." * len(path)), path, strict=False):
        found = _attribute(found, part, walked)
        walked += separator + part
    return _spec(found, reference, path[-1])


def _parts(reference: str) -> tuple[str, list[str]]:
    matched = _REFERENCE.fullmatch(reference.strip()) if isinstance(reference, str) else None
    if matched is not None:
        return matched["module"], matched["path"].split(".")
    hint = "Write 'module:function', such as 'weather.tasks:fetch'."
    if isinstance(reference, str) and re.fullmatch(_DOTTED, reference.strip()):
        head, _, last = reference.strip().rpartition(".")
        if head:
            hint = f"Write '{head}:{last}'."
    raise DefinitionError(
        f"callable is {reference!r}, which is no 'module:function'", code="TR160", hint=hint
    )


def _attribute(holder: Any, name: str, walked: str) -> Any:
    try:
        return getattr(holder, name)
    except AttributeError:
        known = (
            [known for known in vars(holder) if not known.startswith("_")]
            if hasattr(holder, "__dict__")
            else []
        )
        offered = [known for known in known if callable(getattr(holder, known, None))]
        raise DefinitionError(
            f"{walked} has no {name!r} (callables there: {listed(offered)}){meant(name, known)}",
            code="TR163",
            hint="Name one of these, or define it.",
            details={"module": walked.partition(":")[0]},
        ) from None
    except Exception as error:
        raise DefinitionError(
            f"{name!r} of {walked} cannot be read: {describe(error)}", code="TR162"
        ) from error


def _spec(found: Any, reference: str, name: str) -> TaskSpec:
    try:
        spec = make_spec(found, name=name, origin="yaml")
    except DefinitionError as error:
        raise DefinitionError(
            f"{reference}: {error.message}", code=error.code, hint=error.hint
        ) from error.__cause__
    if spec.reference.startswith("<"):
        return replace(spec, reference=reference.strip())
    return spec
