"""One settings tree, read once: defaults < ``tailrace.toml`` < ``TAILRACE_*`` < flags."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from tailrace.errors import SettingsError
from tailrace.model.rule import Rule
from tailrace.model.size import parse_size
from tailrace.model.states import Durability

FILE_NAME = "tailrace.toml"
STATE_FOLDER = ".tailrace"
DATABASE_NAME = "tailrace.db"


class FailureSettings(Struct, frozen=True, kw_only=True):
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


class RetentionSettings(Struct, frozen=True, kw_only=True):
    """The table ``[retention]``: what of the database is kept; all 0: everything.

    With any of the first three set, a run looks at its end, at most once a day, for what may go.
    """

    keep_days: float = 0.0
    """Days that runs and traces are kept; 0: not by age."""
    keep_runs: int = 0
    """Newest runs, and newest traces from elsewhere, of which so many each are kept; 0: any."""
    max_size: int = 0
    """Bytes, or such as ``"2GB"``: the oldest go when the database takes more; 0: any size."""
    keep_errors_days: float = 0.0
    """Days that what failed is kept where that is longer than the rest; 0: no longer."""


class NatsSettings(Struct, frozen=True, kw_only=True):
    """The table ``[nats]``: where NATS is, who we are there, and how its streams are made."""

    url: tuple[str, ...] = ("nats://127.0.0.1:4222",)
    """Servers; of a cluster, any of them."""
    user: str = ""
    password: str = ""
    token: str = ""
    nkey_seed_file: str = ""
    credentials_file: str = ""
    ca_file: str = ""
    """Certificate authority of the server; with it, or a ``tls://`` address, TLS is used."""
    certificate_file: str = ""
    """Certificate of this program, with ``key_file``."""
    key_file: str = ""
    prefix: str = "tailrace"
    """Names of streams and subjects begin so; several installations may share a server."""
    timeout: float = 0.9
    """Seconds that NATS has for an answer."""
    replicas: int = 1
    """Servers of a cluster that hold each message."""
    ack_wait: float = 30.0
    """Seconds after which the run of a worker that gives no sign is handed to another."""
    keep_days: float = 30.0
    """Days that a run is kept after its end, with its journal."""
    letter_days: float = 7.0
    letter_count: int = 100_000
    letter_size: int = 512 * 1024 * 1024
    """Bytes of all dead letters together; the oldest go."""
    span_days: float = 7.0
    span_size: int = 1024 * 1024 * 1024
    """Bytes of spans from elsewhere that wait for the index of a gateway, and stay after."""

    def __repr__(self) -> str:
        return _without(self, "password", "token")


class GatewaySettings(Struct, frozen=True, kw_only=True):
    """The table ``[gateway]``: the HTTP server."""

    host: str = "127.0.0.1"
    """Address to listen at. Other machines reach it only with ``auth``, or ``--insecure``."""
    port: int = 8000
    """0: any free one."""
    auth: str = "none"
    """``none``, or ``api_key``: every request but those for its health needs a key."""
    api_key_header: str = "X-API-Key"
    """Header that carries the key."""
    key_pepper: str = ""
    """Secret that hashes of keys were made with beside their salt; for keys of older servers."""
    max_body: int = 16 * 1024 * 1024
    """Bytes of a request, or such as ``"16MB"``."""
    max_watchers: int = 5000
    """Event streams that may be open at once."""
    worker_timeout: float = 20.0
    """Seconds without a sign of life after which a worker counts as disconnected."""
    access_log: bool = False
    """Log every request, one line of JSON each."""

    def __repr__(self) -> str:
        return _without(self, "key_pepper")


class WorkerSettings(Struct, frozen=True, kw_only=True):
    """The table ``[worker]``: what a worker takes, and how it lets go."""

    tags: tuple[str, ...] = ("default",)
    """Runs with any of these tags are taken."""
    concurrency: int = 4
    """Runs at the same time."""
    flows: tuple[str, ...] = ()
    """Flows it serves: ``module:flow``, or a module with all its flows."""
    flows_dir: tuple[str, ...] = ()
    """Folders whose ``flow.yaml`` files it serves."""
    allow_modules: tuple[str, ...] = ()
    """Modules that a workflow sent with a run may name with ``callable:``; those inside, too."""
    drain: float = 30.0
    """Seconds that runs have to end when the worker is told to stop; the rest is handed back."""
    grace: float = 30.0
    """Seconds that a cancelled run has to stop before its tasks are abandoned."""
    dlq_execution_error: bool = True
    """Leave a dead letter for each run that failed."""
    spool_size: int = 64 * 1024 * 1024
    """Bytes of journals that are kept on disk while NATS is away, or such as ``"64MB"``."""


class ClientSettings(Struct, frozen=True, kw_only=True):
    """The table ``[client]``: which server commands and clients speak to."""

    server: str = ""
    """Address; empty: of the context, or of the ``tailrace up`` of this folder."""
    context: str = ""
    """Name of a saved context; empty: the current one."""
    api_key: str = ""
    """Key for the server. Rather save it in a context: a project's file is read by many."""
    api_key_header: str = "X-API-Key"
    """Header that carries the key."""

    def __repr__(self) -> str:
        return _without(self, "api_key")


class Settings(Struct, frozen=True, kw_only=True):
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
    tracers: tuple[str, ...] = ()
    """What sees the spans of every run besides the store: ``otlp``, ``console``."""
    failures: FailureSettings = FailureSettings()
    """What becomes of failures."""
    retention: RetentionSettings = RetentionSettings()
    """What of the database is kept."""
    nats: NatsSettings = NatsSettings()
    """Where runs wait for workers."""
    gateway: GatewaySettings = GatewaySettings()
    """The HTTP server."""
    worker: WorkerSettings = WorkerSettings()
    """What a worker takes, and how it lets go."""
    client: ClientSettings = ClientSettings()
    """Which server commands speak to."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Per setting: ``default``, the file, the variable or the flag it came from."""

    def value_of(self, key: str) -> Any:
        """Return a setting by the key it has in ``origins``, such as ``failures.tags``."""
        value: Any = self
        for name in key.split("."):
            value = getattr(value, name)
        return value

    def shown(self, key: str) -> Any:
        """Return a setting as it may be shown: secrets are not."""
        value = self.value_of(key)
        if key in SECRET and value:
            return "(secret)"
        if key == "nats.url":
            return tuple(without_password(url) for url in value)
        return value


SECRET = frozenset({"client.api_key", "gateway.key_pepper", "nats.password", "nats.token"})
"""Settings that are never shown."""


def _without(settings: Struct, *secrets: str) -> str:
    """Return settings as ``repr`` shows them, but for those that are secret."""
    names = (name for name in settings.__struct_fields__ if name not in secrets)
    shown = ", ".join(f"{name}={getattr(settings, name)!r}" for name in names)
    return f"{type(settings).__name__}({shown})"


def without_password(url: str) -> str:
    """Return an address without what stands before its ``@``."""
    scheme, slashes, rest = url.rpartition("//")
    return scheme + slashes + rest.rpartition("@")[2]


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


def _tracers(value: Any) -> tuple[str, ...]:
    names = _words(value)
    if not set(names) <= TRACERS:
        raise ValueError(f"a list of {' and '.join(sorted(TRACERS))}")
    return names


TRACERS = frozenset({"console", "otlp"})
"""Tracers that have a name."""


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not value.isprintable():
        raise ValueError(f"a line of at most {_MAX_TEXT} characters")
    return value


def _auth(value: Any) -> str:
    if value not in ("none", "api_key"):
        raise ValueError("'none' or 'api_key'")
    return str(value)


def _header(value: Any) -> str:
    name = _text(value)
    if not name or not name.replace("-", "").isalnum() or not name.isascii():
        raise ValueError("the name of a header, such as X-API-Key")
    return name


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


def _size(least: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        size = parse_size(value)
        if size < least:
            raise ValueError(f"at least {least:,} bytes")
        return size

    return read


def _span(least: float, most: float, unit: str) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        number = _number(value)
        if number is None or not least <= number <= most:
            raise ValueError(f"{unit} from {least:g} to {most:g}")
        return number

    return read


def _addresses(value: Any) -> tuple[str, ...]:
    found = _words(value)
    if not found or not all("://" in one and not one.endswith("://") for one in found):
        raise ValueError("addresses such as nats://127.0.0.1:4222")
    return found


def _secret(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text")  # noqa: TRY004 - what is wrong with a setting is a ValueError
    return value


def _token(value: Any) -> str:
    letters = isinstance(value, str) and value.replace("_", "").replace("-", "")
    if not letters or not letters.isascii() or not letters.isalnum() or len(value) > _MAX_TOKEN:
        raise ValueError(f"up to {_MAX_TOKEN} letters, digits, _ and -")
    return str(value)


def _tokens(value: Any) -> tuple[str, ...]:
    words = _words(value)
    if not words:
        raise ValueError("a list with at least one tag")
    return tuple(dict.fromkeys(_token(word) for word in words))


_MAX_TEXT = 128
_MAX_TOKEN = 64
_TABLES: dict[str, type[Any]] = {
    "failures": FailureSettings,
    "retention": RetentionSettings,
    "nats": NatsSettings,
    "gateway": GatewaySettings,
    "worker": WorkerSettings,
    "client": ClientSettings,
}
"""Keys that hold settings of their own."""
_READERS: dict[str, Callable[[Any], Any]] = {
    "db": _path,
    "durability": _durability,
    "grace": _seconds,
    "diary": _boolean,
    "redact": _words,
    "discovery_modules": _words,
    "tracers": _tracers,
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
    "retention.keep_days": _days,
    "retention.keep_runs": _count(0, 1_000_000_000),
    "retention.max_size": parse_size,
    "retention.keep_errors_days": _days,
    "nats.url": _addresses,
    "nats.user": _text,
    "nats.password": _secret,
    "nats.token": _secret,
    "nats.nkey_seed_file": _text,
    "nats.credentials_file": _text,
    "nats.ca_file": _text,
    "nats.certificate_file": _text,
    "nats.key_file": _text,
    "nats.prefix": _token,
    "nats.timeout": _span(0.1, 60, "seconds"),
    "nats.replicas": _count(1, 5),
    "nats.ack_wait": _span(1, 3600, "seconds"),
    "nats.keep_days": _span(0.01, 3650, "days"),
    "nats.letter_days": _span(0.01, 3650, "days"),
    "nats.letter_count": _count(1, 100_000_000),
    "nats.letter_size": _size(1024 * 1024),
    "nats.span_days": _span(0.01, 3650, "days"),
    "nats.span_size": _size(1024 * 1024),
    "gateway.host": _text,
    "gateway.port": _count(0, 65_535),
    "gateway.auth": _auth,
    "gateway.api_key_header": _header,
    "gateway.key_pepper": _secret,
    "gateway.max_body": _size(64 * 1024),
    "gateway.max_watchers": _count(1, 100_000),
    "gateway.worker_timeout": _span(1, 86_400, "seconds"),
    "gateway.access_log": _boolean,
    "worker.tags": _tokens,
    "worker.concurrency": _count(1, 1024),
    "worker.flows": _words,
    "worker.flows_dir": _words,
    "worker.allow_modules": _words,
    "worker.drain": _seconds,
    "worker.grace": _seconds,
    "worker.dlq_execution_error": _boolean,
    "worker.spool_size": _size(0),
    "client.server": _text,
    "client.context": _text,
    "client.api_key": _secret,
    "client.api_key_header": _header,
}
_SHORT = {
    "failures.code_version": "CODE_VERSION",
    "failures.worker_id": "WORKER_ID",
    "client.server": "SERVER",
    "client.context": "CONTEXT",
    "client.api_key": "API_KEY",
    "client.api_key_header": "API_KEY_HEADER",
}


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
    tables: dict[str, dict[str, Any]] = {}
    for key in [key for key in values if "." in key]:
        table, _, name = key.partition(".")
        tables.setdefault(table, {})[name] = values.pop(key)
    values |= {name: _TABLES[name](**table) for name, table in tables.items()}
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
    known += [] if dot else list(_TABLES)
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
