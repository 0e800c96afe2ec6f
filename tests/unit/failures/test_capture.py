"""An exception as data: complete, bounded, without references, and never raising."""

from __future__ import annotations

import gc
import json
import os
import threading
import traceback
import weakref
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.failures import Permanent, cancelled_failure, capture, frames, timeout_failure
from tailrace.model import FailureRecord


def caught(function: Callable[[], Any]) -> BaseException:
    try:
        function()
    except BaseException as error:  # noqa: BLE001 - the test takes what the function raises
        return error
    raise AssertionError("nothing was raised")


def parse(row: str) -> int:
    return int(row)


def test_a_failure_says_what_where_and_why() -> None:
    failure = capture(caught(lambda: parse("x17")))
    assert failure.type == "ValueError"
    assert failure.message == "invalid literal for int() with base 10: 'x17'"
    assert failure.category == "permanent"
    assert failure.retryable
    assert failure.function == "parse"
    assert failure.source_line == "return int(row)"
    file, _, line = failure.location.rpartition(":")
    assert Path(file).name == "test_capture.py"
    assert failure.stack[-1] == (__file__, int(line), "parse")
    assert failure.stack[0][2] == "caught"


def test_the_location_is_relative_to_the_working_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    error = caught(lambda: parse("x"))
    monkeypatch.chdir(Path(__file__).parent)
    assert capture(error).location.startswith("test_capture.py:")
    monkeypatch.chdir("/")
    assert capture(error).location.startswith(__file__)


def test_the_location_is_the_users_own_line_even_when_a_library_raised() -> None:
    failure = capture(caught(lambda: json.loads("{")))
    assert failure.type == "json.decoder.JSONDecodeError"
    assert Path(failure.location.partition(":")[0]).name == "test_capture.py"
    assert Path(failure.stack[-1][0]).name == "decoder.py"


def test_an_edited_file_shows_its_new_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.failures.frames.time.monotonic", iter([0.0, 5.0]).__next__)
    file = tmp_path / "tasks.py"
    file.write_text("first = 1\n")
    assert frames.source_line(str(file), 1) == "first = 1"
    file.write_text("second_line = 2\n")
    os.utime(file, (1, 1))
    assert frames.source_line(str(file), 1) == "second_line = 2"


def test_causes_are_kept_nearest_first() -> None:
    def load() -> None:
        try:
            parse("x")
        except ValueError as error:
            raise RuntimeError("load failed") from error

    failure = capture(caught(load))
    assert failure.type == "RuntimeError"
    assert [kind for kind, _ in failure.causes] == ["ValueError"]
    assert failure.category == "permanent"


def test_a_group_shows_its_members_and_the_place_of_the_first() -> None:
    members = [caught(lambda: parse("x")), TimeoutError("late")]
    failure = capture(caught(lambda: raise_it(ExceptionGroup("two", members))))  # type: ignore[type-var]
    assert failure.type == "ExceptionGroup"
    assert [kind for kind, _ in failure.causes] == ["ValueError", "TimeoutError"]
    assert failure.function == "parse"


def raise_it(error: BaseException) -> None:
    raise error


def test_notes_belong_to_the_message() -> None:
    error = ValueError("bad")
    error.add_note("in row 17")
    assert capture(error).message == "bad\nin row 17"


def test_passwords_in_messages_are_redacted() -> None:
    message = capture(RuntimeError("401 for https://me:hunter2@host/x?api_key=abc123")).message
    assert message == "401 for https://me:[redacted]@host/x?api_key=[redacted]"


def test_a_refusal_is_kept_in_the_record() -> None:
    failure = capture(Permanent("no such customer"))
    assert (failure.category, failure.retryable) == ("permanent", False)


def test_the_caller_may_know_the_category_better() -> None:
    assert capture(ValueError(), category="timeout").category == "timeout"


def test_everything_is_bounded() -> None:
    def dive(depth: int) -> None:
        if depth == 0:
            raise ValueError("x" * 1_000_000)
        dive(depth - 1)

    error = caught(lambda: dive(200))
    last = error
    for count in range(20):
        last.__cause__ = RuntimeError(str(count) * 1000)
        last = last.__cause__
    failure = capture(error)
    assert len(failure.message) == 2048
    assert failure.message.endswith("… (1000000 characters)")
    assert len(failure.stack) == 64
    assert failure.stack[0][2] == "caught"
    assert failure.stack[-1][1] == failure.stack[-2][1] - 1
    assert len(failure.causes) == 8
    assert len(failure.causes[7][1]) == 512
    assert len(msgspec.msgpack.encode(failure)) < 32_768


class BrokenStr(Exception):
    def __str__(self) -> str:
        raise KeyError("no")


class ExitingStr(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class WrongStr(Exception):
    def __str__(self) -> str:
        return 3  # type: ignore[return-value]  # noqa: PLE0307 - the fault under test


class Shouting(str):
    __slots__ = ()

    def __len__(self) -> int:
        return 1


class OddStr(Exception):
    def __str__(self) -> str:
        return Shouting("odd text")


class Hostile(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class Meta(type):
    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(name)


class HostileType(Exception, metaclass=Meta):
    pass


HOSTILE: dict[str, Callable[[], BaseException]] = {
    "broken text": BrokenStr,
    "exiting text": ExitingStr,
    "wrong text": WrongStr,
    "odd text": OddStr,
    "attributes": Hostile,
    "type": HostileType,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_exception_is_captured_all_the_same(name: Any) -> None:
    failure = capture(HOSTILE[name]())
    assert failure.message
    assert type(failure.message) is str
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(failure), type=FailureRecord) == failure


def test_a_cause_that_leads_back_is_followed_once() -> None:
    error = ValueError("a")
    other = RuntimeError("b")
    error.__cause__, other.__cause__ = other, error
    assert capture(error).causes == (("RuntimeError", "b"),)


def test_an_exception_that_was_never_raised_has_no_place() -> None:
    failure = capture(ValueError("x"))
    assert (failure.location, failure.stack, failure.function) == ("", (), "")
    assert failure.fingerprint


def test_nothing_of_the_exception_is_kept_alive() -> None:
    class Payload:
        pass

    seen: list[weakref.ref[Payload]] = []

    def fail() -> None:
        payload = Payload()
        seen.append(weakref.ref(payload))
        raise ValueError(payload)

    error: BaseException | None = caught(fail)
    assert error is not None
    failure = capture(error)
    error = None
    gc.collect()
    assert seen[0]() is None
    assert failure.type == "ValueError"


@given(st.text())
def test_every_message_can_be_stored(text: Any) -> None:
    failure = capture(RuntimeError(text))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(failure), type=FailureRecord) == failure
    assert len(failure.message) <= 2048


def test_the_failures_of_the_engine_have_their_categories() -> None:
    timeout = timeout_failure(0.25)
    assert (timeout.category, timeout.retryable) == ("timeout", True)
    assert timeout.message == "not finished within its timeout of 250ms"
    cancelled = cancelled_failure("a sibling failed")
    assert (cancelled.category, cancelled.retryable) == ("cancelled", False)
    assert cancelled.message == "a sibling failed"


SOURCE = """
def fail(kind, text):
    raise kind(text)

def other(kind, text):
    raise kind(text)

def dive(depth):
    if depth:
        dive(depth - 1)
    fail(ValueError, "bottom")
"""


def compiled(file: str, source: str = SOURCE) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "etl.tasks"}
    exec(compile(source, file, "exec"), names)  # noqa: S102 - the text stands above
    return names


def fingerprint(function: Callable[..., Any], *args: Any) -> str:
    return capture(caught(lambda: function(*args))).fingerprint


def test_a_fingerprint_knows_neither_lines_nor_files_nor_messages_nor_depth() -> None:
    here, there = compiled("/a/tasks.py"), compiled("/b/c/tasks.py", "\n\n# moved\n" + SOURCE)
    same = fingerprint(here["fail"], ValueError, "row 17")
    assert fingerprint(there["fail"], ValueError, "row 99") == same
    assert fingerprint(here["dive"], 3) == fingerprint(there["dive"], 40)


def test_a_fingerprint_tells_types_functions_and_causes_apart() -> None:
    names = compiled("/a/tasks.py")
    plain = fingerprint(names["fail"], ValueError, "x")
    assert fingerprint(names["fail"], TypeError, "x") != plain
    assert fingerprint(names["other"], ValueError, "x") != plain

    def with_cause(text: str) -> BaseException:
        error = ValueError(text)
        error.__cause__ = KeyError(text)
        return error

    assert fingerprint(names["fail"], with_cause, "x") != plain


def test_a_fingerprint_is_the_same_in_a_thread() -> None:
    found: list[str] = []

    def task() -> None:
        try:
            parse("x")
        except ValueError as error:
            found.append(capture(error).fingerprint)

    thread = threading.Thread(target=task)
    thread.start()
    thread.join()
    task()
    assert found[0] == found[1]


def test_an_exception_may_name_its_own_group() -> None:
    def fail(name: str) -> None:
        error = ValueError("x")
        error.fingerprint = name  # type: ignore[attr-defined]
        raise error

    assert fingerprint(fail, "billing") == fingerprint(fail, "billing")
    assert fingerprint(fail, "billing") != fingerprint(fail, "shipping")
    assert fingerprint(fail, "{{default}}-eu") != fingerprint(fail, "-eu")


def test_a_capture_costs_a_fraction_of_formatting_the_traceback() -> None:
    def dive(depth: int) -> None:
        if depth == 0:
            parse("x")
        dive(depth - 1)

    error = caught(lambda: dive(12))
    capture(error)
    assert best_of(lambda: capture(error)) < best_of(lambda: traceback.format_exception(error))


def best_of(function: Callable[[], Any], repeats: int = 30) -> float:
    times = []
    for _ in range(repeats):
        start = perf_counter()
        function()
        times.append(perf_counter() - start)
    return min(times)
