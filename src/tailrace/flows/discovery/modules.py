"""Importing modules that flows name, each flow's own folder first."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Iterable
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType, TracebackType

from tailrace.errors import DefinitionError
from tailrace.flows.findings import meant

_LOCK = threading.RLock()
_FOLDERS: set[str] = set()
"""Every folder that flows have named modules of."""


def import_module(name: str, *, folder: Path | None = None) -> ModuleType:
    """Return a module; one in ``folder`` goes before any other of that name.

    The folder stays first on ``sys.path``, as that of a script does, so tasks can import what lies
    beside them. A module of the same name from another flow's folder is imported anew.

    Raises:
        DefinitionError: there is no such module, it fails while it is imported (``details`` has
            ``file`` and ``line`` of the user's own code), or its name is taken.
    """
    with _LOCK:
        if folder is not None:
            folder = Path(os.path.realpath(folder))
            _enter(folder)
            _make_room(name.partition(".")[0], folder)
        try:
            return importlib.import_module(name)
        except (Exception, SystemExit) as error:
            raise _failed(name, folder, error) from error


def _enter(folder: Path) -> None:
    """Put a folder first on the path; what other flows' folders have under its names is forgotten.

    So the modules beside a task's own are the right ones too.
    """
    entry = str(folder)
    sys.path_importer_cache.pop(entry, None)  # files made a moment ago must be seen
    if sys.path[:1] != [entry]:
        # Before the path changes: that moves packages without __init__.py to the new folder.
        _forget_others(folder)
        if entry in sys.path:
            sys.path.remove(entry)
        sys.path.insert(0, entry)
    _FOLDERS.add(entry)


def _forget_others(folder: Path) -> None:
    names = {path.name.partition(".")[0] for path in _entries(folder)}
    for name in names.intersection(sys.modules):
        shadowed = _shadowed(name, folder)
        if shadowed is not None and str(Path(shadowed[1]).parent) in _FOLDERS:
            _forget(name)


def _make_room(top: str, folder: Path) -> None:
    """Forget a loaded module that is not the one of this name in the folder."""
    shadowed = _shadowed(top, folder)
    if shadowed is None:
        return
    here, there = shadowed
    if top in sys.stdlib_module_names or top == "tailrace" or _is_installed(there):
        raise DefinitionError(
            f"the module {top!r} in {folder} has the name of one that is loaded already"
            f"{there and f', {there}'}",
            code="TR169",
            hint=f"Rename {Path(here).name}.",
            details={"file": here},
        )
    _forget(top)


def _shadowed(top: str, folder: Path) -> tuple[str, str] | None:
    """Return where the folder's module lies, and where the loaded one of its name does.

    None when they are the same, or one of them is not there. A package is where its folder is.
    """
    loaded = sys.modules.get(top)
    found = PathFinder.find_spec(top, [str(folder)])
    if loaded is None or found is None:
        return None
    file = getattr(loaded, "__file__", None)
    if not found.has_location and file is not None:
        return None  # a folder without __init__.py yields to a module, as Python has it
    here = _location(found.origin, found.submodule_search_locations)
    there = _location(file, getattr(loaded, "__path__", None))
    return None if here == there else (here, there)


def _location(file: str | None, folders: Iterable[str] | None) -> str:
    for folder in folders or ():
        return os.path.realpath(folder)
    return os.path.realpath(file) if file else ""


def _forget(top: str) -> None:
    for name in [name for name in sys.modules if name == top or name.startswith(f"{top}.")]:
        del sys.modules[name]


def _is_installed(file: str) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)


def _failed(name: str, folder: Path | None, error: BaseException) -> DefinitionError:
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is not None and (name == missing or name.startswith(f"{missing}.")):
        return _not_found(name, folder, missing)
    file, line = failing_place(error, folder)
    place = f"{file}:{line}: " if file else ""
    hint = "Mend the module, or run it with Python alone to see more."
    if missing is not None:
        hint = f"Install what provides {missing!r}, or mend the import."
    cause = f"SystemExit({error.code})" if isinstance(error, SystemExit) else describe(error)
    return DefinitionError(
        f"the module {name!r} cannot be imported: {place}{cause}",
        code="TR162",
        hint=hint,
        details={"module": name, "file": file, "line": line, "error": type(error).__name__},
    )


def describe(error: BaseException) -> str:
    """Return the type and the message of an exception on one line."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {' '.join(str(text).split())}".removesuffix(": ")


def _not_found(name: str, folder: Path | None, missing: str) -> DefinitionError:
    known = _modules_in(folder) if folder is not None else []
    where = f"in {folder} or on Python's path" if folder is not None else "on Python's path"
    part = f" (there is no {missing!r})" if missing != name else ""
    return DefinitionError(
        f"there is no module {name!r} {where}{part}{meant(missing, known)}",
        code="TR161",
        hint="Name a module beside the flow file as 'file:function', or install its package.",
        details={"module": name},
    )


def _modules_in(folder: Path) -> list[str]:
    return [
        entry.stem
        for entry in _entries(folder)
        if entry.suffix == ".py" or (entry / "__init__.py").is_file()
    ]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def failing_place(error: BaseException, folder: Path | None) -> tuple[str, int]:
    """Return file and line of the user's own code that failed; empty and 0 when there is none.

    The innermost line inside the folder, else the outermost outside the import machinery.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename, error.lineno or 0
    places = _places(error.__traceback__)
    inside = [place for place in places if folder is not None and _is_under(place[0], folder)]
    if inside:
        return inside[-1]
    return places[0] if places else ("", 0)


def _places(traceback: TracebackType | None) -> list[tuple[str, int]]:
    places: list[tuple[str, int]] = []
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if not file.startswith("<frozen") and file not in {__file__, importlib.__file__}:
            places.append((file, traceback.tb_lineno))
        traceback = traceback.tb_next
    return places


def _is_under(file: str, folder: Path) -> bool:
    return Path(os.path.realpath(file)).is_relative_to(folder)
