"""Where an exception came from: its stack as data, and the innermost line of the user's own."""

from __future__ import annotations

import linecache
import os
import time
from hashlib import blake2b
from types import CodeType, TracebackType
from typing import NamedTuple

from tailrace.failures.naming import encodable, module_name
from tailrace.model.failure import Frame
from tailrace.model.secret import redact_text

_KEPT_FRAMES = 32
"""Outermost frames that are kept, and as many innermost ones."""
_MAX_FILES = 4096
_MAX_PLACES = 512
_MAX_DEPTH = 256
"""Deeper stacks are not remembered."""
_MAX_LINE = 200
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120 - pathlib takes 10 ms
_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep  # noqa: PTH120 - as above

_MACHINERY = tuple(
    _STANDARD_LIBRARY + name
    for name in ("asyncio", "concurrent", "multiprocessing", "threading", "runpy")
)
"""What runs a task in one mode and not in another; the same failure must look the same."""

OWN, LIBRARY, STANDARD, RUNTIME = 3, 2, 1, 0
"""Whose code a file holds: the user's, an installed package's, Python's, or what runs tasks."""
_ORIGINS: dict[str, int] = {}
_LINES: dict[tuple[str, int], tuple[float, str, bool]] = {}
"""Per line of a file the monotonic instant until which it is fresh, its text, if it was redacted"""

Site = tuple[str, str]
"""(module, function)."""


class Place(NamedTuple):
    """What is kept of a traceback."""

    frames: tuple[Frame, ...] = ()
    """Outermost first, at most 64: the first and the last 32."""
    own: Frame | None = None
    """Innermost frame of the user's code, else of an installed package's."""
    site: tuple[Site, ...] = ()
    """The own frames, consecutive repeats folded; what a fingerprint is made of."""
    stack_id: str = ""
    """``b2:`` and 32 hex digits of the frames; empty where there are none."""
    fingerprints: dict[str, str] = {}  # noqa: RUF012 - every place is made with its own
    """By the name of an exception's type: of one without causes that came from here."""


_PLACES: dict[tuple[int, ...], tuple[Place, list[CodeType]]] = {}
"""Places by where in memory each frame's instruction lies: inside its code object, whose id is its
address. The code objects are kept, so that no other one comes to lie there."""


def place_of(traceback: TracebackType | None) -> Place:
    """Walk a traceback and keep what is needed of it; no reference to a frame is kept."""
    spots: list[int] = []
    add = spots.append
    entry = traceback
    while entry is not None:
        add(id(entry.tb_frame.f_code) + entry.tb_lasti)
        entry = entry.tb_next
    path = tuple(spots)
    known = _PLACES.get(path)
    if known is None:
        known = _read(traceback), _codes(traceback)
        if len(path) <= _MAX_DEPTH:
            if len(_PLACES) >= _MAX_PLACES:
                _PLACES.clear()
            _PLACES[path] = known
    return known[0]


def _codes(traceback: TracebackType | None) -> list[CodeType]:
    codes = []
    while traceback is not None:
        codes.append(traceback.tb_frame.f_code)
        traceback = traceback.tb_next
    return codes


def _read(traceback: TracebackType | None) -> Place:
    frames: list[Frame] = []
    found: dict[int, Frame] = {}
    sites: dict[int, list[Site]] = {OWN: [], LIBRARY: [], STANDARD: [], RUNTIME: []}
    while traceback is not None:
        code = traceback.tb_frame.f_code
        file = code.co_filename
        origin = _ORIGINS.get(file, -1)
        if origin < 0:
            origin = _remember_origin(file)
        name = (module_name(traceback.tb_frame.f_globals, file), encodable(code.co_qualname))
        site = sites[origin]
        if not site or site[-1] != name:
            site.append(name)
        frame = Frame(*name, encodable(file), traceback.tb_lineno or 0, origin == OWN)
        frames.append(frame)
        found[origin] = frame
        traceback = traceback.tb_next
    if len(frames) > 2 * _KEPT_FRAMES:
        del frames[_KEPT_FRAMES:-_KEPT_FRAMES]
    own = found.get(OWN) or found.get(LIBRARY)
    site = sites[OWN] or sites[LIBRARY] or sites[STANDARD]
    return Place(tuple(frames), own, tuple(site), _stack_id(frames), {})


def _stack_id(frames: list[Frame]) -> str:
    if not frames:
        return ""
    lines = (
        f"{frame.module}\x1f{frame.function}\x1f{frame.file}\x1f{frame.line}" for frame in frames
    )
    return "b2:" + blake2b("\x1e".join(lines).encode(), digest_size=16).hexdigest()


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


def source_line(file: str, line: int) -> tuple[str, bool]:
    """Return a line of source, stripped and bounded, and whether a secret was taken out of it.

    The line is empty when it cannot be read. A file that has changed on disk is read again, at
    most once per second.
    """
    now = time.monotonic()
    known = _LINES.get((file, line))
    if known is not None and now < known[0]:
        return known[1], known[2]
    if len(_LINES) >= _MAX_FILES:
        _LINES.clear()
    linecache.checkcache(file)
    text = encodable(linecache.getline(file, line).strip())
    clean = redact_text(text)[:_MAX_LINE] if '"' in text or "'" in text else text[:_MAX_LINE]
    is_redacted = not text.startswith(clean)
    _LINES[file, line] = (now + 1.0, clean, is_redacted)
    return clean, is_redacted
