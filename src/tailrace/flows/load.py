"""Finding a flow by what a user types: a YAML file, a Python file, or ``module:name``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from tailrace.errors import DefinitionError
from tailrace.flows.findings import listed, meant
from tailrace.flows.loaded import LoadedFlow
from tailrace.model import Finding, Flow, Severity, SourceSpan


def load_target(target: str) -> LoadedFlow:
    """Return the flow a target names, with everything a check finds in it.

    Args:
        target: ``path/flow.yaml``, ``path/module.py[:name]`` or ``package.module[:name]``. The name
            may be left out when the module holds one flow.

    What is wrong is in the findings, which are those of ``check_flow`` for a run without params of
    its own; nothing but a failing disk raises.
    """
    path, name = _split(target)
    try:
        if path.suffix in {".yaml", ".yml"}:
            from tailrace.flows.yaml_file import load_yaml  # noqa: PLC0415 - a third of all modules

            _demand_file(path)
            return load_yaml(path)
        if path.suffix == ".py":
            _demand_file(path)
            module = _imported(path.stem, path.parent)
        else:
            module = _imported(_module_name(target), Path.cwd())
        return _checked(_flow_in(module, name, target))
    except _Unloadable as error:
        return LoadedFlow(flow=None, findings=error.findings)


def load_definition(target: str) -> Flow:
    """Return the flow a target names, as ``load_target``.

    Raises:
        DefinitionError: it cannot be loaded; ``findings`` says all that is wrong. Params that only
            a run provides are asked for when it is run.
    """
    from tailrace.flows.check import needs_param  # noqa: PLC0415 - beside its only use

    loaded = load_target(target)
    errors = [
        found
        for found in loaded.findings
        if found.severity is Severity.ERROR and not needs_param(found)
    ]
    if loaded.flow is None or errors:
        raise definition_error(target, errors)
    return loaded.flow


def definition_error(target: str, errors: Sequence[Finding]) -> DefinitionError:
    """Return the error that carries findings."""
    first = errors[0] if errors else None
    message = f"{target}: {first.message}" if first else f"{target} holds no flow"
    if len(errors) > 1:
        message += f" (and {len(errors) - 1} more)"
    return DefinitionError(
        message,
        code=first.code if first else None,
        hint=first.hint if first else "",
        findings=errors,
    )


class _Unloadable(Exception):  # noqa: N818 - carries findings out of the loaders
    def __init__(self, *findings: Finding) -> None:
        self.findings = list(findings)


def _refusal(code: str, message: str, hint: str, where: SourceSpan | None = None) -> _Unloadable:
    return _Unloadable(
        Finding(code=code, severity=Severity.ERROR, message=message, hint=hint, where=where)
    )


def _split(target: str) -> tuple[Path, str]:
    """Return the file part and the name after the last colon that follows ``.py``."""
    file, _, name = target.rpartition(":")
    if file.endswith(".py"):
        return Path(file), name
    return Path(target), target.partition(":")[2]


def _demand_file(path: Path) -> None:
    if path.is_file():
        return
    if path.is_dir():
        raise _refusal("TR101", f"{path} is a folder", f"Name a file in it: {path}/flow.yaml.")
    folder = path.parent
    names = [file.name for file in folder.iterdir()] if folder.is_dir() else []
    raise _refusal(
        "TR101",
        f"there is no file {path}{meant(path.name, names)}",
        "Name a flow.yaml, a Python file, or package.module:name.",
    )


def _module_name(target: str) -> str:
    name = target.partition(":")[0]
    if all(part.isidentifier() for part in name.split(".")):
        return name
    raise _refusal(
        "TR101",
        f"{target!r} is neither a file nor a module",
        "Name a flow.yaml, a Python file, or package.module:name.",
    )


def _imported(name: str, folder: Path) -> ModuleType:
    from tailrace.flows.discovery import import_module  # noqa: PLC0415 - YAML files have their own

    try:
        return import_module(name, folder=folder)
    except DefinitionError as error:
        where = _place(error.details.get("file"), error.details.get("line"), error.__cause__)
        cause = error.__cause__
        found = cause if isinstance(cause, DefinitionError) else error
        if found.findings:
            raise _Unloadable(*found.findings) from error
        raise _refusal(found.code, found.message, found.hint, where) from error


def _place(file: str | None, line: int | None, cause: BaseException | None) -> SourceSpan | None:
    """Return the line of the user's own code that failed while it was imported."""
    if not file or not line:
        return None
    import linecache  # noqa: PLC0415 - only when something is wrong

    linecache.checkcache(file)
    text = linecache.getline(file, line).rstrip("\n")
    column = len(text) - len(text.lstrip()) + 1
    end = len(text) + 1
    if isinstance(cause, SyntaxError) and cause.offset:
        column = cause.offset
        end = max(column + 1, cause.end_offset or 0)
    return SourceSpan(file=file, line=line, column=column, end_line=line, end_column=end, text=text)


def _flow_in(module: ModuleType, name: str, target: str) -> Flow:
    flows = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, Flow) and not key.startswith("_")
    }
    if name:
        found = getattr(module, name, None)
        if isinstance(found, Flow):
            return found
        what = "is no flow" if hasattr(module, name) else "does not exist"
        raise _refusal(
            "TR119",
            f"{name!r} of {target} {what} (flows: {listed(flows)}){meant(name, flows)}",
            "Name a variable of the module that holds a Flow.",
        )
    distinct = {id(flow): flow for flow in flows.values()}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    if not flows:
        raise _refusal(
            "TR119",
            f"{target} holds no flow",
            'Write flow = Flow("name", first >> second) at the top level of the module.',
        )
    raise _refusal(
        "TR119",
        f"{target} holds several flows: {listed(flows)}",
        f"Choose one: {target}:{next(iter(flows))}.",
    )


def _checked(flow: Flow) -> LoadedFlow:
    from tailrace.flows.check import check_flow  # noqa: PLC0415 - planning is not needed to refuse

    return LoadedFlow(flow=flow, findings=check_flow(flow))
