"""What an exception means for a retry, and the rule that said so."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import http.client
import json
import socket
import sqlite3
import ssl
import subprocess
import urllib.error
from email.message import Message
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.failures import Permanent, Transient, classify


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
        assert (verdict.category, verdict.rule) == ("transient", "http")
    finally:
        error.close()


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [("30", 30.0), (" 7 ", 7.0), (5, 5.0), ("999999", 3600.0), ("soon", None), ("-1", None),
     (True, None), (float("nan"), None), (-4.0, 0.0), (None, None), ([], None)],
)  # fmt: skip
def test_retry_after_is_read_in_seconds_and_cut_to_an_hour(wish: Any, seconds: Any) -> None:
    assert classify(HttpFailure(429, Retry_After=wish)).retry_after == seconds


def test_retry_after_may_be_a_date() -> None:
    past = HttpFailure(503, Retry_After=formatdate(0, usegmt=True))
    assert classify(past).retry_after == 0.0
    far = HttpFailure(503, Retry_After=formatdate(4e9, usegmt=True))
    assert classify(far).retry_after == 3600.0


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
    assert (verdict.category, verdict.rule) == (category, "group")


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
    assert verdict.retry_after is None or 0 <= verdict.retry_after <= 3600
