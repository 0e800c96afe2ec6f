"""What exception types mean, by qualified name, so that no library is imported to know it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from weakref import ref

from tailrace.failures.naming import qualified_name
from tailrace.failures.verdict import EXHAUSTED, Verdict
from tailrace.model import ErrorCategory, FailureClass

_TABLE = """
transient timeout
    TimeoutError concurrent.futures._base.TimeoutError asyncio.exceptions.TimeoutError
    socket.timeout subprocess.TimeoutExpired httpx.TimeoutException httpx.ConnectTimeout
    httpx.ReadTimeout httpx.WriteTimeout httpx.PoolTimeout requests.exceptions.Timeout
    requests.exceptions.ConnectTimeout requests.exceptions.ReadTimeout
    urllib3.exceptions.TimeoutError redis.exceptions.TimeoutError sqlalchemy.exc.TimeoutError
    aiohttp.client_exceptions.ServerTimeoutError botocore.exceptions.ReadTimeoutError
    botocore.exceptions.ConnectTimeoutError
transient network
    ConnectionError asyncio.exceptions.IncompleteReadError socket.gaierror
    http.client.IncompleteRead http.client.BadStatusLine http.client.CannotSendRequest
    ssl.SSLEOFError ssl.SSLWantReadError ssl.SSLWantWriteError ssl.SSLZeroReturnError
    ssl.SSLSyscallError urllib.error.URLError
    aiohttp.client_exceptions.ClientConnectionError aiohttp.client_exceptions.ClientPayloadError
    httpx.NetworkError httpx.ConnectError httpx.ReadError httpx.RemoteProtocolError
    httpx.ProxyError requests.exceptions.ConnectionError
    requests.exceptions.ChunkedEncodingError urllib3.exceptions.ProtocolError
    urllib3.exceptions.MaxRetryError urllib3.exceptions.NewConnectionError
    redis.exceptions.ConnectionError sqlalchemy.exc.DisconnectionError
    botocore.exceptions.EndpointConnectionError botocore.exceptions.ConnectionClosedError
    psycopg.OperationalError psycopg2.OperationalError sqlalchemy.exc.OperationalError
transient throttled
    redis.exceptions.BusyLoadingError
transient resource
    InterruptedError BlockingIOError queue.Empty _queue.Empty queue.Full sqlite3.OperationalError
transient infrastructure
    tailrace.errors.tree.TransportError
permanent bug
    TypeError AttributeError LookupError NameError ImportError SyntaxError AssertionError
    ArithmeticError NotImplementedError RecursionError StopIteration StopAsyncIteration
    BufferError sqlite3.ProgrammingError psycopg.ProgrammingError psycopg2.ProgrammingError
    sqlalchemy.exc.ProgrammingError
permanent validation
    ValueError FileExistsError IsADirectoryError NotADirectoryError http.client.InvalidURL
    zlib.error sqlite3.IntegrityError sqlite3.DataError sqlite3.NotSupportedError
    aiohttp.client_exceptions.InvalidURL httpx.InvalidURL httpx.UnsupportedProtocol
    httpx.TooManyRedirects httpx.DecodingError requests.exceptions.InvalidURL
    requests.exceptions.MissingSchema requests.exceptions.InvalidSchema
    requests.exceptions.TooManyRedirects urllib3.exceptions.LocationParseError
    psycopg.IntegrityError psycopg.DataError psycopg2.IntegrityError psycopg2.DataError
    sqlalchemy.exc.IntegrityError sqlalchemy.exc.DataError redis.exceptions.ResponseError
    pydantic_core._pydantic_core.ValidationError msgspec.MsgspecError
    tailrace.errors.tree.DefinitionError tailrace.errors.tree.QueryError
permanent auth
    PermissionError ssl.SSLCertVerificationError aiohttp.client_exceptions.ClientSSLError
    requests.exceptions.SSLError urllib3.exceptions.SSLError redis.exceptions.AuthenticationError
    botocore.exceptions.NoCredentialsError
permanent not_found
    FileNotFoundError tailrace.errors.tree.NotFound
permanent serialization
    pickle.PickleError _pickle.PickleError msgspec.EncodeError
unknown infrastructure
    MemoryError tailrace.errors.tree.StoreError
unknown worker_lost
    tailrace.engine.process.ChildDied concurrent.futures.process.BrokenProcessPool
unknown cancelled
    tailrace.errors.tree.RunCancelled
cancelled cancelled
    KeyboardInterrupt SystemExit GeneratorExit asyncio.exceptions.CancelledError
    concurrent.futures._base.CancelledError trio.Cancelled
"""
_EXHAUSTED_TYPES = frozenset({"tailrace.errors.tree.RunFailed", "tenacity.RetryError"})
"""Raised where retries have been made already and did not help."""
_MAX_TYPES = 4096


class Meaning(NamedTuple):
    """What a listed type means."""

    category: ErrorCategory
    class_: FailureClass


def _read(table: str) -> dict[str, Meaning]:
    found: dict[str, Meaning] = {}
    meaning = Meaning(ErrorCategory.UNKNOWN, FailureClass.UNKNOWN)
    for line in table.strip().splitlines():
        words = line.split()
        if line.startswith(" "):
            found |= dict.fromkeys(words, meaning)
        else:
            meaning = Meaning(ErrorCategory(words[0]), FailureClass(words[1]))
    return found


TYPES: Mapping[str, Meaning] = _read(_TABLE)
"""Qualified type name to its meaning; the nearest ancestor that is listed decides."""

_TELLING = frozenset({
    "code", "fingerprint", "headers", "metadata", "response", "retry_after", "status",
    "status_code", "tags", "trailing_metadata", "__getattr__", "__getattribute__",
})  # fmt: skip
"""Attributes by which an exception says more than its type does."""


class KnownType(NamedTuple):
    """What is known of a type once it was met."""

    kind: ref[type]
    verdict: Verdict | None
    """What it means by itself; None when neither it nor an ancestor is listed."""
    name: str
    is_telling: bool
    """Whether it has attributes that can say more, ``Retry-After`` for one."""


_KNOWN: dict[int, KnownType] = {}
"""By the id of a type."""


def about(error: BaseException) -> tuple[Verdict | None, bool]:
    """Return what an exception's type means, and whether its attributes can say more.

    Most have no attributes that could, and need not be asked for each.
    """
    known = about_type(type(error))
    return known.verdict, known.is_telling or bool(error.__dict__)


def type_name(kind: type) -> str:
    """Return the qualified name of a type; builtins without ``builtins.``. Never raises.

    A type of the script that runs is named as if the script were imported.
    """
    return about_type(kind).name


def names_of(kind: type) -> list[str]:
    """Return the qualified names of a type and all it inherits from, nearest first."""
    return [qualified_name(ancestor) for ancestor in _ancestors(kind)]


def _ancestors(kind: type) -> tuple[type, ...]:
    return type.__getattribute__(kind, "__mro__")  # type: ignore[no-any-return]  # a metaclass may hide it


def about_type(kind: type) -> KnownType:
    """Return what is known of a type. Never raises."""
    known = _KNOWN.get(id(kind))
    return known if known is not None and known.kind() is kind else _remember(kind)


def _remember(kind: type) -> KnownType:
    if len(_KNOWN) >= _MAX_TYPES:
        _KNOWN.clear()
    is_telling = any(
        not _TELLING.isdisjoint(type.__getattribute__(ancestor, "__dict__"))
        for ancestor in _ancestors(kind)
        if ancestor is not BaseException and ancestor is not object
    )
    known = KnownType(ref(kind), _nearest_listed(kind), qualified_name(kind), is_telling)
    _KNOWN[id(kind)] = known
    return known


def _nearest_listed(kind: type) -> Verdict | None:
    for name in names_of(kind):
        if name in _EXHAUSTED_TYPES:
            return Verdict(ErrorCategory.UNKNOWN, EXHAUSTED)
        meaning = TYPES.get(name)
        if meaning is not None:
            is_refused = meaning.category is ErrorCategory.CANCELLED
            return Verdict(meaning.category, f"type:{name}", is_refused, None, meaning.class_)
    return None
