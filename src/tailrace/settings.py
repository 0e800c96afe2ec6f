"""One settings tree, read once: defaults < ``tailrace.toml`` < ``TAILRACE_*`` < flags."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tailrace.errors import SettingsError
from tailrace.model.states import Durability

FILE_NAME = "tailrace.toml"
STATE_FOLDER = ".tailrace"
DATABASE_NAME = "tailrace.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, its value and where it came from."""

    db: Path | None = None
    """Database file; None: ``.tailrace/tailrace.db``, looked for from here upwards."""
    durability: Durability = Durability.PROCESS
    """What a commit survives: ``process`` (SIGKILL), ``power`` (power loss), ``relaxed``."""
    grace: float = 5.0
    """Seconds a cancelled attempt has to stop before it is abandoned."""
    diary: bool = True
    """Write ``runtime_execution.log``."""
    redact: tuple[str, ...] = ()
    """Further regular expressions for names of values that are secret."""
    discovery_modules: tuple[str, ...] = ()
    """Modules whose tasks may be named with ``use:``."""
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Per setting: ``default``, the file, the variable or the flag it came from."""


def _path(value: Any) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError("a path")
    return Path(value).expanduser()


def _durability(value: Any) -> Durability:
    try:
        return Durability(value)
    except ValueError:
        raise ValueError(" or ".join(repr(item.value) for item in Durability)) from None


def _seconds(value: Any) -> float:
    if isinstance(value, str):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 86_400:
        raise ValueError("seconds from 0 to 86400")
    return float(value)


def _boolean(value: Any) -> bool:
    known = {"1": True, "true": True, "0": False, "false": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    if isinstance(value, bool):
        return value
    raise ValueError("true or false")


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.replace(",", " ").split())
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError("a list of texts")


_READERS: dict[str, Callable[[Any], Any]] = {
    "db": _path,
    "durability": _durability,
    "grace": _seconds,
    "diary": _boolean,
    "redact": _words,
    "discovery_modules": _words,
}


_VARIABLES = {key: f"TAILRACE_{key.upper()}" for key in _READERS}


def load_settings(
    start: Path | None = None, *, environ: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings in force for a folder (the working directory by default).

    Raises:
        SettingsError: a file cannot be read, a key is unknown, or a value is out of its bounds.
    """
    folder = os.path.realpath(start or ".")
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    origins = dict.fromkeys(_READERS, "default")
    file = _find_file(folder)
    if file is not None:
        for key, raw in _read_file(file).items():
            values[key] = _value(key, raw, f"{file}: {key}")
            if key == "db" and not values[key].is_absolute():
                values[key] = file.parent / values[key]
            origins[key] = str(file)
    for key, variable in _VARIABLES.items():
        if environ.get(variable):
            values[key] = _value(key, environ[variable], variable)
            origins[key] = variable
    return Settings(**values, origins=origins)


def _upwards(folder: str) -> Iterator[str]:
    """Yield the folder and those above it; plain texts, because every run looks here."""
    while True:
        yield folder
        above = os.path.dirname(folder)
        if above == folder:
            return
        folder = above


def _find_file(folder: str) -> Path | None:
    for candidate in _upwards(folder):
        file = os.path.join(candidate, FILE_NAME)
        if os.path.isfile(file):
            return Path(file)
    return None


def _read_file(file: Path) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - most folders have no settings file

    try:
        found = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {error}", code="TR191") from error
    for key in found:
        if key not in _READERS:
            from difflib import get_close_matches  # noqa: PLC0415 - only where a key is wrong

            near = get_close_matches(key, _READERS, 1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise SettingsError(
                f"unknown setting {key!r} in {file} (known: {', '.join(_READERS)}){meant}"
            )
    return found


def _value(key: str, raw: Any, where: str) -> Any:
    try:
        return _READERS[key](raw)
    except ValueError as error:
        raise SettingsError(f"{where} is {raw!r}; it must be {error}", code="TR192") from error


def database_for(start: Path, settings: Settings) -> Path:
    """Return the database of a folder: the setting, else the nearest one upwards, else here."""
    if settings.db is not None:
        return settings.db
    inside = os.path.join(STATE_FOLDER, DATABASE_NAME)
    for folder in _upwards(os.path.realpath(start)):
        file = os.path.join(folder, inside)
        if os.path.isfile(file):
            return Path(file)
    return start / inside
