"""One settings tree, read once: defaults < ``tailrace.toml`` < ``TAILRACE_*`` < flags."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailrace.errors import SettingsError
from tailrace.model.states import Durability

if TYPE_CHECKING:
    from tailrace.model.rule import Rule

FILE_NAME = "tailrace.toml"
STATE_FOLDER = ".tailrace"
DATABASE_NAME = "tailrace.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureSettings:
    """The table ``[failures]``: what becomes of failures."""

    rules: tuple[Rule, ...] = ()
    """What failures mean, asked in order before the rules of our own; ``[[failures.rules]]``."""
    telemetry: tuple[str, ...] = ()
    """Names of entry points of the group ``tailrace.telemetry``; none: the log and a ring."""
    tags: int = 8
    """Tags of a failure that are kept, 0 to 64."""
    flood_limit: int = 100
    """Full records per fingerprint and minute; failures beyond are counted only. 0: no limit."""
    retry_after_cap: float = 3600.0
    """Seconds of ``Retry-After`` that are obeyed; a longer wish is given up on."""
    letter_expiry_days: float = 0.0
    """Days until an open dead letter expires; 0: never."""
    poison_limit: int = 3
    """Processes that one piece of work may take down before its dead letter is parked."""
    max_generations: int = 5
    """Redrives of one dead letter before it is parked."""
    keep_days: float = 0.0
    """Days that failures are kept; 0: for good. Those of open dead letters always are."""
    code_version: str = ""
    """Version of the code that runs; empty: made from the definition and the tasks' code."""
    worker_id: str = ""
    """Name of this process; empty: made from the host and the process id."""


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
    failures: FailureSettings = FailureSettings()
    """What becomes of failures."""
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Per setting: ``default``, the file, the variable or the flag it came from."""

    def value_of(self, key: str) -> Any:
        """Return a setting by the key it has in ``origins``, such as ``failures.tags``."""
        value: Any = self
        for name in key.split("."):
            value = getattr(value, name)
        return value


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
    return _bounded(value, "seconds", 86_400)


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


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not value.isprintable():
        raise ValueError(f"a line of at most {_MAX_TEXT} characters")
    return value


def _days(value: Any) -> float:
    return _bounded(value, "days", 36_500)


def _wait(value: Any) -> float:
    return _bounded(value, "seconds", 1_000_000_000)


def _bounded(value: Any, unit: str, most: int) -> float:
    number = _number(value)
    if number is None or not 0 <= number <= most:
        raise ValueError(f"{unit} from 0 to {most}")
    return number


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


def _count(least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, str) and value.strip().isdecimal():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return value

    return read


def _rules(value: Any) -> tuple[Rule, ...]:
    from tailrace.model.rule import read_rule  # noqa: PLC0415 - most projects have no rules

    if not isinstance(value, list):
        raise _RuleProblem(f" is {value!r}; write each rule as a table [[failures.rules]]")
    rules = []
    for index, table in enumerate(value):
        try:
            rules.append(read_rule(table))
        except ValueError as error:
            raise _RuleProblem(f"[{index}]: {error}") from error
    return tuple(rules)


class _RuleProblem(Exception):  # noqa: N818 - an answer to ``_value``, which tells where
    """What is wrong with the rules, from the index on."""


_MAX_TEXT = 128
_TABLES = ("failures",)
"""Keys that hold settings of their own."""
_READERS: dict[str, Callable[[Any], Any]] = {
    "db": _path,
    "durability": _durability,
    "grace": _seconds,
    "diary": _boolean,
    "redact": _words,
    "discovery_modules": _words,
    "failures.rules": _rules,
    "failures.telemetry": _words,
    "failures.tags": _count(0, 64),
    "failures.flood_limit": _count(0, 1_000_000),
    "failures.retry_after_cap": _wait,
    "failures.letter_expiry_days": _days,
    "failures.poison_limit": _count(1, 1000),
    "failures.max_generations": _count(1, 1000),
    "failures.keep_days": _days,
    "failures.code_version": _text,
    "failures.worker_id": _text,
}
_SHORT = {"failures.code_version": "CODE_VERSION", "failures.worker_id": "WORKER_ID"}


def variable_of(key: str) -> str:
    """Return the environment variable of a setting; empty where there is none."""
    if key == "failures.rules":
        return ""
    return "TAILRACE_" + (_SHORT.get(key) or key.replace(".", "_").upper())


_VARIABLES = {key: variable_of(key) for key in _READERS if variable_of(key)}


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
    inner = {key: values.pop(key) for key in [*values] if "." in key}
    if inner:
        names = {key.partition(".")[2]: value for key, value in inner.items()}
        values["failures"] = FailureSettings(**names)
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
    flat: dict[str, Any] = {}
    for key, value in found.items():
        if key not in _TABLES:
            flat[key] = value
        elif isinstance(value, dict):
            flat |= {f"{key}.{inner}": one for inner, one in value.items()}
        else:
            raise SettingsError(
                f"{file}: {key} is {value!r}; it must be a table, [{key}]", code="TR192"
            )
    for key in flat:
        _demand_known(key, file)
    return flat


def _demand_known(key: str, file: Path) -> None:
    if key in _READERS:
        return
    from tailrace.model.rule import meant  # noqa: PLC0415 - only where a key is wrong

    table, dot, _ = key.rpartition(".")
    known = [name for name in _READERS if name.startswith(table + dot) and (dot or "." not in name)]
    known += [] if dot else _TABLES
    near = meant(key, known) or meant(key, _READERS)
    raise SettingsError(f"unknown setting {key!r} in {file} (known: {', '.join(known)}){near}")


def _value(key: str, raw: Any, where: str) -> Any:
    try:
        return _READERS[key](raw)
    except ValueError as error:
        raise SettingsError(f"{where} is {raw!r}; it must be {error}", code="TR192") from error
    except _RuleProblem as error:
        raise SettingsError(
            f"{where}{error}",
            code="TR194",
            hint="Mend that rule; docs/reference/settings.md shows every key of one.",
        ) from error


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
