"""Where an exception came from: its stack as data, and the innermost line of the user's own."""

from __future__ import annotations

import linecache
import os
import time
from types import TracebackType
from typing import NamedTuple

_KEPT_FRAMES = 32
"""Outermost frames that are kept, and as many innermost ones."""
_MAX_FILES = 4096
_MAX_LINE = 200
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120 - pathlib takes 10 ms
_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep  # noqa: PTH120 - as above

_MACHINERY = tuple(
    _STANDARD_LIBRARY + name for name in ("asyncio", "concurrent", "multiprocessing", "threading")
)
"""What runs a task in one mode and not in another; the same failure must look the same."""

OWN, LIBRARY, STANDARD, RUNTIME = 3, 2, 1, 0
"""Whose code a file holds: the user's, an installed package's, Python's, or what runs tasks."""
_ORIGINS: dict[str, int] = {}
_FRESH_UNTIL: dict[str, float] = {}
"""Per file the monotonic instant until which its lines are taken as read."""

Frame = tuple[str, int, str]
"""(file, line, function)."""
Site = tuple[object, str]
"""(module, function)."""


class Place(NamedTuple):
    """What is kept of a traceback."""

    stack: tuple[Frame, ...] = ()
    """Outermost first, at most 64: the first and the last 32."""
    own: Frame | None = None
    """Innermost frame of the user's code, else of an installed package's."""
    site: tuple[Site, ...] = ()
    """The own frames, consecutive repeats folded; what a fingerprint is made of."""


def place_of(traceback: TracebackType | None) -> Place:
    """Walk a traceback and keep what is needed of it; no reference to a frame is kept."""
    frames: list[Frame] = []
    found: dict[int, Frame] = {}
    sites: dict[int, list[Site]] = {OWN: [], LIBRARY: [], STANDARD: [], RUNTIME: []}
    file, function, origin, module = "", "", RUNTIME, None
    site = sites[RUNTIME]
    while traceback is not None:
        frame = traceback.tb_frame
        code = frame.f_code
        if code.co_filename != file:
            file, function = code.co_filename, ""
            module = frame.f_globals.get("__name__")
            origin = _ORIGINS.get(file, -1)
            if origin < 0:
                origin = _remember_origin(file)
            site = sites[origin]
        if code.co_qualname != function:
            function = code.co_qualname
            name = (module, function)
            if not site or site[-1] != name:
                site.append(name)
        entry = (file, traceback.tb_lineno, function)
        frames.append(entry)
        found[origin] = entry
        traceback = traceback.tb_next
    if len(frames) > 2 * _KEPT_FRAMES:
        del frames[_KEPT_FRAMES:-_KEPT_FRAMES]
    own = found.get(OWN) or found.get(LIBRARY)
    return Place(tuple(frames), own, tuple(sites[OWN] or sites[LIBRARY] or sites[STANDARD]))


def _remember_origin(file: str) -> int:
    if len(_ORIGINS) >= _MAX_FILES:
        _ORIGINS.clear()
    origin = _ORIGINS[file] = _origin_of(file)
    return origin


def _origin_of(file: str) -> int:
    if file.startswith((_PACKAGE, "<frozen ", *_MACHINERY)):
        return RUNTIME
    path = file.replace("\\", "/")
    if "/site-packages/" in path or "/dist-packages/" in path:
        return LIBRARY
    return STANDARD if file.startswith(_STANDARD_LIBRARY) else OWN


def shown_file(file: str) -> str:
    """Return the file relative to the working directory where it lies below it."""
    try:
        folder = os.getcwd() + os.sep  # noqa: PTH109 - twenty times faster than Path.cwd
    except OSError:
        return file
    return file.removeprefix(folder)


def source_line(file: str, line: int) -> str:
    """Return the line of source, stripped and bounded; empty when it cannot be read.

    A file that has changed on disk is read again, at most once per second.
    """
    now = time.monotonic()
    if now >= _FRESH_UNTIL.get(file, 0.0):
        if len(_FRESH_UNTIL) >= _MAX_FILES:
            _FRESH_UNTIL.clear()
        linecache.checkcache(file)
        _FRESH_UNTIL[file] = now + 1.0
    return linecache.getline(file, line).strip()[:_MAX_LINE]
