"""What exception types mean, by qualified name, so that no library is imported to know it."""

from __future__ import annotations

from collections.abc import Mapping

from tailrace.model import ErrorCategory

_TRANSIENT = """
    TimeoutError ConnectionError InterruptedError BlockingIOError
    concurrent.futures._base.TimeoutError asyncio.exceptions.TimeoutError
    asyncio.exceptions.IncompleteReadError socket.timeout socket.gaierror
    http.client.IncompleteRead http.client.BadStatusLine http.client.CannotSendRequest
    ssl.SSLEOFError ssl.SSLWantReadError ssl.SSLWantWriteError ssl.SSLZeroReturnError
    ssl.SSLSyscallError subprocess.TimeoutExpired queue.Empty queue.Full urllib.error.URLError
    sqlite3.OperationalError
    aiohttp.client_exceptions.ClientConnectionError aiohttp.client_exceptions.ClientPayloadError
    httpx.TimeoutException httpx.NetworkError httpx.RemoteProtocolError httpx.ProxyError
    requests.exceptions.ConnectionError requests.exceptions.Timeout
    requests.exceptions.ChunkedEncodingError
    urllib3.exceptions.TimeoutError urllib3.exceptions.ProtocolError
    urllib3.exceptions.MaxRetryError urllib3.exceptions.NewConnectionError
    psycopg.OperationalError psycopg2.OperationalError redis.exceptions.ConnectionError
    redis.exceptions.TimeoutError redis.exceptions.BusyLoadingError
    sqlalchemy.exc.OperationalError sqlalchemy.exc.DisconnectionError sqlalchemy.exc.TimeoutError
    tailrace.errors.tree.TransportError
"""
_PERMANENT = """
    ValueError TypeError AttributeError LookupError NameError ImportError SyntaxError
    AssertionError ArithmeticError NotImplementedError RecursionError StopIteration
    StopAsyncIteration BufferError
    FileNotFoundError FileExistsError IsADirectoryError NotADirectoryError PermissionError
    http.client.InvalidURL ssl.SSLCertVerificationError pickle.PickleError zlib.error
    sqlite3.IntegrityError sqlite3.ProgrammingError sqlite3.DataError sqlite3.NotSupportedError
    aiohttp.client_exceptions.InvalidURL aiohttp.client_exceptions.ClientSSLError
    httpx.InvalidURL httpx.UnsupportedProtocol httpx.TooManyRedirects httpx.DecodingError
    requests.exceptions.SSLError requests.exceptions.InvalidURL requests.exceptions.MissingSchema
    requests.exceptions.InvalidSchema requests.exceptions.TooManyRedirects
    urllib3.exceptions.SSLError urllib3.exceptions.LocationParseError
    psycopg.IntegrityError psycopg.ProgrammingError psycopg.DataError
    psycopg2.IntegrityError psycopg2.ProgrammingError psycopg2.DataError
    sqlalchemy.exc.IntegrityError sqlalchemy.exc.ProgrammingError sqlalchemy.exc.DataError
    redis.exceptions.ResponseError redis.exceptions.AuthenticationError
    pydantic_core._pydantic_core.ValidationError msgspec.MsgspecError
    tailrace.errors.tree.DefinitionError tailrace.errors.tree.QueryError
"""
_CANCELLED = """
    KeyboardInterrupt SystemExit GeneratorExit asyncio.exceptions.CancelledError
    concurrent.futures._base.CancelledError trio.Cancelled
"""

TYPES: Mapping[str, ErrorCategory] = {
    name: category
    for names, category in (
        (_TRANSIENT, ErrorCategory.TRANSIENT),
        (_PERMANENT, ErrorCategory.PERMANENT),
        (_CANCELLED, ErrorCategory.CANCELLED),
    )
    for name in names.split()
}
"""Qualified type name to category; the nearest ancestor that is listed decides."""


def type_name(kind: type) -> str:
    """Return the qualified name of a type; builtins without ``builtins.``. Never raises."""
    module = _text(kind, "__module__")
    name = _text(kind, "__qualname__") or "Exception"
    return name if module in ("builtins", "") else f"{module}.{name}"


def _text(kind: type, name: str) -> str:
    try:
        value = getattr(kind, name)
    except Exception:  # noqa: BLE001 - a metaclass may raise anything
        return ""
    return value if type(value) is str else ""
