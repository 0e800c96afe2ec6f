"""What an exception means for a retry, and the rule that said so."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import http.client
import json
import pickle
import queue
import socket
import sqlite3
import ssl
import subprocess
import time
import urllib.error
from datetime import timedelta
from email.message import Message
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import NotFound, RunFailed, StoreError, TransportError
from tailrace.failures import Permanent, Transient, classify, is_exhausted
from tailrace.failures.capturing import capture
from tailrace.model.rule import Rule


def chained(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


class HttpFailure(Exception):
    def __init__(self, status: int, **headers: Any) -> None:
        super().__init__(f"status {status}")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.response = SimpleNamespace(status_code=status, headers=named)


class BadRow(ValueError):
    pass


@pytest.mark.parametrize(
    ("error", "category"),
    [
        (TimeoutError(), "transient"),
        (ConnectionError(), "transient"),
        (ConnectionResetError(), "transient"),
        (socket.gaierror(-2, "unknown name"), "transient"),
        (http.client.IncompleteRead(b""), "transient"),
        (urllib.error.URLError("refused"), "transient"),
        (sqlite3.OperationalError("database is locked"), "transient"),
        (subprocess.TimeoutExpired("ls", 1), "transient"),
        (concurrent.futures.TimeoutError(), "transient"),
        (ssl.SSLEOFError(), "transient"),
        (ValueError("bad"), "permanent"),
        (BadRow("bad"), "permanent"),
        (KeyError("x"), "permanent"),
        (IndexError(), "permanent"),
        (TypeError(), "permanent"),
        (AttributeError(), "permanent"),
        (ImportError(), "permanent"),
        (ModuleNotFoundError(), "permanent"),
        (ZeroDivisionError(), "permanent"),
        (NotImplementedError(), "permanent"),
        (AssertionError(), "permanent"),
        (RecursionError(), "permanent"),
        (FileNotFoundError(), "permanent"),
        (PermissionError(), "permanent"),
        (json.JSONDecodeError("bad", "", 0), "permanent"),
        (ssl.SSLCertVerificationError(1, "expired"), "permanent"),
        (sqlite3.IntegrityError(), "permanent"),
        (Exception(), "unknown"),
        (RuntimeError(), "unknown"),
        (MemoryError(), "unknown"),
        (OSError("?"), "unknown"),
        (ssl.SSLError(1, "handshake"), "unknown"),
        (KeyboardInterrupt(), "cancelled"),
        (SystemExit(1), "cancelled"),
        (asyncio.CancelledError(), "cancelled"),
        (concurrent.futures.CancelledError(), "cancelled"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value,
)
def test_the_nearest_listed_type_decides(error: Any, category: Any) -> None:
    assert classify(error).category == category


@pytest.mark.parametrize(
    ("number", "category"),
    [
        (errno.ENOSPC, "transient"),
        (errno.EMFILE, "transient"),
        (errno.EHOSTUNREACH, "transient"),
        (errno.EROFS, "permanent"),
        (errno.EINVAL, "permanent"),
        (errno.ENOENT, "permanent"),
        (errno.EACCES, "permanent"),
        (99_999, "unknown"),
    ],
)
def test_an_errno_decides_for_operating_system_errors(number: Any, category: Any) -> None:
    assert classify(OSError(number, "text")).category == category


@pytest.mark.parametrize(
    ("status", "category"),
    [
        (400, "permanent"), (404, "permanent"), (408, "transient"), (425, "transient"),
        (429, "transient"), (500, "transient"), (501, "permanent"), (503, "transient"),
        (505, "permanent"), (599, "transient"), (200, "unknown"), (600, "unknown"),
    ],
)  # fmt: skip
def test_an_http_status_decides(status: Any, category: Any) -> None:
    assert classify(HttpFailure(status)).category == category


def test_an_http_status_of_the_exception_itself_counts_too() -> None:
    error = urllib.error.HTTPError("http://x", 503, "busy", Message(), None)
    try:
        verdict = classify(error)
        assert (verdict.category, verdict.rule) == ("transient", "http:503")
    finally:
        error.close()


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [("30", 30.0), (" 7 ", 7.0), (5, 5.0), ("999999", 999999.0), ("1.5", 1.5), ("soon", None),
     ("-1", None),
     (True, None), (float("nan"), None), (-4.0, 0.0), (None, None), ([], None),
     (timedelta(minutes=2), 120.0), (10**400, 1e9), (float("inf"), 1e9)],
)  # fmt: skip
def test_retry_after_is_read_in_seconds_and_kept_whole(wish: Any, seconds: Any) -> None:
    assert classify(HttpFailure(429, Retry_After=wish)).retry_after == seconds


def test_retry_after_may_be_a_date() -> None:
    past = HttpFailure(503, Retry_After=formatdate(0, usegmt=True))
    assert classify(past).retry_after == 0.0
    far = HttpFailure(503, Retry_After=formatdate(4e9, usegmt=True))
    wish = classify(far).retry_after
    assert wish is not None
    assert wish == pytest.approx(min(4e9 - time.time(), 1e9), abs=5)


@pytest.mark.parametrize("kind", [Transient, Permanent])
def test_our_own_exceptions_are_named_as_they_are_imported(kind: type[Exception]) -> None:
    assert capture(kind("busy")).type == f"tailrace.{kind.__name__}"
    assert type(pickle.loads(pickle.dumps(kind("busy")))) is kind  # noqa: S301 - our own


def test_what_the_exception_says_of_itself_comes_first() -> None:
    transient = classify(Transient("busy", retry_after=2))
    assert (transient.category, transient.rule, transient.retry_after) == (
        "transient",
        "explicit",
        2.0,
    )
    permanent = classify(Permanent("no such customer"))
    assert (permanent.category, permanent.is_refused) == ("permanent", True)

    class Busy(ValueError):
        retryable = True

    assert classify(Busy()).category == "transient"
    error = HttpFailure(503)
    error.non_retryable = True  # type: ignore[attr-defined]
    assert classify(error).is_refused


def test_a_bug_is_permanent_but_a_policy_may_still_retry_it() -> None:
    assert not classify(ValueError()).is_refused
    assert classify(KeyboardInterrupt()).is_refused


def test_an_unknown_error_is_what_caused_it() -> None:
    verdict = classify(chained(RuntimeError("load failed"), ConnectionResetError()))
    assert (verdict.category, verdict.rule) == ("transient", "cause:type:ConnectionError")
    assert classify(chained(ValueError(), ConnectionResetError())).category == "permanent"
    assert classify(chained(RuntimeError(), KeyboardInterrupt())).category == "unknown"


def test_a_context_counts_unless_it_was_suppressed() -> None:
    error = RuntimeError()
    error.__context__ = TimeoutError()
    assert classify(error).category == "transient"
    error.__suppress_context__ = True
    assert classify(error).category == "unknown"


def test_causes_that_run_in_a_circle_end() -> None:
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert classify(first).category == "unknown"


@pytest.mark.parametrize(
    ("members", "category"),
    [
        ([TimeoutError(), ValueError()], "permanent"),
        ([TimeoutError(), RuntimeError()], "unknown"),
        ([TimeoutError(), ConnectionError()], "transient"),
        ([asyncio.CancelledError(), TimeoutError()], "transient"),
        ([asyncio.CancelledError()], "cancelled"),
        ([ExceptionGroup("inner", [TimeoutError(), KeyError()])], "permanent"),
    ],
)
def test_a_group_is_as_bad_as_its_worst_member(members: Any, category: Any) -> None:
    verdict = classify(BaseExceptionGroup("several", members))
    assert verdict.category == category
    assert verdict.rule.startswith("group:type:") or verdict.rule == "group:unknown"


def test_a_group_waits_as_long_as_its_most_patient_member() -> None:
    members = [Transient(retry_after=3), Transient(retry_after=9)]
    assert classify(ExceptionGroup("several", members)).retry_after == 9.0
    assert classify(ExceptionGroup("several", [Permanent(), TimeoutError()])).is_refused


def test_a_deep_group_is_walked_without_recursion() -> None:
    group: Exception = TimeoutError()
    for _ in range(5000):
        group = ExceptionGroup("nest", [group])
    assert classify(group).category == "transient"


def test_attributes_that_raise_do_not_stop_the_rules() -> None:
    class Hostile(ValueError):
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    assert classify(Hostile()).category == "permanent"


@given(
    status=st.none() | st.integers() | st.text() | st.booleans(),
    wish=st.none() | st.floats() | st.text(max_size=40) | st.integers(-10, 10**30),
    number=st.none() | st.integers(-5, 200),
)
def test_no_combination_of_attributes_raises(status: Any, wish: Any, number: Any) -> None:
    error = OSError(number, "text")
    error.status = status  # type: ignore[attr-defined]
    error.retry_after = wish  # type: ignore[attr-defined]
    verdict = classify(error)
    assert verdict.category in {"transient", "permanent", "unknown"}
    assert verdict.retry_after is None or 0 <= verdict.retry_after <= 1e9


def library_error(name: str, *bases: type[BaseException], **attributes: Any) -> BaseException:
    """Return an exception of a type that a library of that name would have."""
    module, _, plain = name.rpartition(".")
    made = type(plain, bases, {"__module__": module, "__qualname__": plain})
    error: BaseException = made("from the library")
    vars(error).update(attributes)
    return error


def request_error(name: str, **attributes: Any) -> BaseException:
    """Return an exception of requests, all of which are operating system errors by type."""
    base = type("RequestException", (OSError,), {"__module__": "requests.exceptions"})
    return library_error(f"requests.exceptions.{name}", base, **attributes)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (FileNotFoundError(errno.ENOENT, "x"), ("permanent", "not_found", "errno:ENOENT")),
        (FileNotFoundError(), ("permanent", "not_found", "type:FileNotFoundError")),
        (PermissionError(errno.EACCES, "x"), ("permanent", "auth", "errno:EACCES")),
        (PermissionError(), ("permanent", "auth", "type:PermissionError")),
        (OSError(errno.ENOSPC, "x"), ("transient", "resource", "errno:ENOSPC")),
    ],
    ids=repr,
)
def test_b13_missing_and_forbidden_files_are_permanent_and_a_full_disk_is_transient(
    error: Any, verdict: Any
) -> None:
    found = classify(error)
    assert (found.category, found.class_, found.rule) == verdict


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (HttpFailure(429), ("transient", "throttled", "http:429")),
        (HttpFailure(408), ("transient", "timeout", "http:408")),
        (HttpFailure(404), ("permanent", "not_found", "http:404")),
        (HttpFailure(401), ("permanent", "auth", "http:401")),
        (HttpFailure(422), ("permanent", "validation", "http:422")),
        (HttpFailure(503), ("transient", "network", "http:503")),
        (HttpFailure(504), ("transient", "timeout", "http:504")),
        (
            request_error("HTTPError", response=SimpleNamespace(status_code=429, headers={})),
            ("transient", "throttled", "http:429"),
        ),
        (
            request_error("InvalidURL"),
            ("permanent", "validation", "type:requests.exceptions.InvalidURL"),
        ),
        (request_error("SSLError"), ("permanent", "auth", "type:requests.exceptions.SSLError")),
        (
            request_error("ConnectionError"),
            ("transient", "network", "type:requests.exceptions.ConnectionError"),
        ),
    ],
)
def test_b14_a_status_decides_before_the_type_and_the_librarys_own_types_before_oserror(
    error: Any, verdict: Any
) -> None:
    found = classify(error)
    assert (found.category, found.class_, found.rule) == verdict


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (RuntimeError(), ("unknown", "unknown", "unknown")),
        (MemoryError(), ("unknown", "infrastructure", "type:MemoryError")),
        (ZeroDivisionError(), ("permanent", "bug", "type:ArithmeticError")),
        (NotImplementedError(), ("permanent", "bug", "type:NotImplementedError")),
        (ImportError(), ("permanent", "bug", "type:ImportError")),
        (ExceptionGroup("x", [ValueError()]), ("permanent", "validation", "group:type:ValueError")),
        (ExceptionGroup("x", [RuntimeError()]), ("unknown", "unknown", "group:unknown")),
    ],
    ids=repr,
)
def test_b15_bugs_are_permanent_and_only_what_says_nothing_is_unknown(
    error: Any, verdict: Any
) -> None:
    found = classify(error)
    assert (found.category, found.class_, found.rule) == verdict


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), SystemExit(404), asyncio.CancelledError(), GeneratorExit()],
    ids=repr,
)
def test_a_stop_that_was_asked_for_is_cancelled_and_never_retried(error: Any) -> None:
    verdict = classify(error, [Rule(type="BaseException", category="transient")])
    assert (verdict.category, verdict.class_, verdict.is_refused) == (
        "cancelled",
        "cancelled",
        True,
    )


@pytest.mark.parametrize(
    ("error", "class_"),
    [
        (StoreError("the disk is full", code="TR504"), "infrastructure"),
        (TransportError("the broker is gone"), "infrastructure"),
        (NotFound("no run"), "not_found"),
        (json.JSONDecodeError("bad", "", 0), "validation"),
        (pickle.PicklingError("no"), "serialization"),
        (queue.Full(), "resource"),
        (socket.gaierror(-2, "unknown name"), "network"),
        (ConnectionResetError(errno.ECONNRESET, "x"), "network"),
        (TimeoutError(errno.ETIMEDOUT, "x"), "timeout"),
    ],
    ids=repr,
)
def test_a_class_says_what_kind_of_trouble_it_is(error: Any, class_: Any) -> None:
    assert classify(error).class_ == class_


def test_what_an_exception_says_of_itself_leaves_its_class_as_it_is_found() -> None:
    error = HttpFailure(429, Retry_After="7")
    error.retryable = False  # type: ignore[attr-defined]
    verdict = classify(error)
    assert (verdict.category, verdict.class_, verdict.retry_after) == ("permanent", "throttled", 7)
    busy = chained(Transient("busy"), ConnectionResetError())
    assert classify(busy).class_ == "network"


def test_a_wish_to_wait_is_read_from_the_cause_that_decides() -> None:
    error = chained(RuntimeError("load failed"), HttpFailure(429, Retry_After="12"))
    verdict = classify(error)
    assert (verdict.rule, verdict.retry_after) == ("cause:http:429", 12.0)


def test_a_response_of_botocore_is_read() -> None:
    throttled = {"Error": {"Code": "ThrottlingException"}, "ResponseMetadata": {}}
    missing = {"Error": {"Code": "NoSuchKey"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
    slow = {"ResponseMetadata": {"HTTPStatusCode": 503, "HTTPHeaders": {"retry-after": "4"}}}
    errors = [
        library_error("botocore.exceptions.ClientError", Exception, response=response)
        for response in (throttled, missing, slow)
    ]
    assert [classify(error).rule for error in errors] == ["http:429", "http:404", "http:503"]
    assert classify(errors[2]).retry_after == 4.0


@pytest.mark.parametrize(
    ("code", "category", "class_"),
    [
        ("UNAVAILABLE", "transient", "network"),
        ("DEADLINE_EXCEEDED", "transient", "timeout"),
        ("UNAUTHENTICATED", "permanent", "auth"),
        ("OK", "unknown", "unknown"),
    ],
)
def test_a_code_of_grpc_decides(code: Any, category: Any, class_: Any) -> None:
    class RpcError(Exception):
        def code(self) -> Any:
            return SimpleNamespace(name=code)

        def trailing_metadata(self) -> tuple[()]:
            return ()

    verdict = classify(RpcError())
    assert (verdict.category, verdict.class_) == (category, class_)


def inner_run_failed(**report: Any) -> RunFailed:
    return RunFailed("it failed", report=SimpleNamespace(**report))


def test_a_run_that_failed_inside_a_task_has_been_retried_already() -> None:
    verdict = classify(inner_run_failed(category="transient", error_class="network"))
    assert (verdict.category, verdict.class_, verdict.rule) == (
        "transient",
        "network",
        "exhausted",
    )
    assert is_exhausted(verdict.rule)
    wrapped = classify(chained(RuntimeError(), inner_run_failed(category="permanent")))
    assert (wrapped.category, wrapped.rule) == ("permanent", "cause:exhausted")
    assert is_exhausted(wrapped.rule)
    assert not is_exhausted(classify(TimeoutError()).rule)


def test_an_attribute_says_whether_retries_are_exhausted() -> None:
    error = inner_run_failed(category="transient")
    error.retries_exhausted = False  # type: ignore[attr-defined]
    assert not is_exhausted(classify(error).rule)
    error.retries_exhausted = True  # type: ignore[attr-defined]
    error.retryable = True  # type: ignore[attr-defined]
    assert classify(error).rule == "explicit"
    late = TimeoutError("after 5 tries")
    late.retries_exhausted = True  # type: ignore[attr-defined]
    assert classify(late).rule == "exhausted"
    given_up = library_error("tenacity.RetryError", Exception)
    given_up.__cause__ = TimeoutError()
    found = classify(given_up)
    assert (found.category, found.rule) == ("transient", "exhausted")
