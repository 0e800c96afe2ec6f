"""An exception as data: complete, bounded, without references, and never raising."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.failures import Permanent, cancelled_failure, capture, frames, timeout_failure
from tailrace.model import FailureRecord, secret


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
    last = failure.frames[-1]
    assert (last.file, last.line, last.function) == (__file__, int(line), "parse")
    assert (last.module, last.in_app) == (__name__, True)
    assert failure.frames[0].function == "caught"


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
    assert Path(failure.frames[-1].file).name == "decoder.py"
    assert not failure.frames[-1].in_app


def test_an_edited_file_shows_its_new_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.failures.frames.time.monotonic", iter([0.0, 5.0]).__next__)
    file = tmp_path / "tasks.py"
    file.write_text("first = 1\n")
    assert frames.source_line(str(file), 1) == ("first = 1", False)
    file.write_text("second_line = 2\n")
    os.utime(file, (1, 1))
    assert frames.source_line(str(file), 1) == ("second_line = 2", False)


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
    assert [kind for kind, _ in failure.children] == ["ValueError", "TimeoutError"]
    assert (failure.child_count, failure.causes) == (2, ())
    assert failure.function == "parse"


def raise_it(error: BaseException) -> None:
    raise error


def test_nested_groups_of_100_members_keep_32_of_them_and_their_number() -> None:
    group: ExceptionGroup[Any] = ExceptionGroup(
        "first", [ValueError(str(number)) for number in range(10)]
    )
    for level in range(9):
        group = ExceptionGroup(f"level {level}", [group, *[KeyError(level)] * 10])
    failure = capture(group)
    assert (len(failure.children), failure.child_count) == (32, 100)
    assert failure.children[:10] == tuple(("ValueError", str(number)) for number in range(10))


def test_members_of_a_group_are_counted_up_to_a_bound_even_where_they_are_shared() -> None:
    group: ExceptionGroup[Any] = ExceptionGroup("one", [ValueError()])
    for _ in range(60):
        group = ExceptionGroup("two", [group, group])
    assert capture(group).child_count == 65_535


def test_the_fingerprint_of_a_group_does_not_know_which_member_failed_first() -> None:
    members = [caught(lambda: parse("x")), caught(lambda: raise_it(TimeoutError("late")))]
    there = capture(caught(lambda: raise_it(ExceptionGroup("two", members))))  # type: ignore[type-var]
    back = capture(caught(lambda: raise_it(ExceptionGroup("two", members[::-1]))))  # type: ignore[type-var]
    assert there.fp_template == back.fp_template
    assert there.children == back.children[::-1]


def test_notes_are_kept_beside_the_message() -> None:
    error = ValueError("bad")
    error.add_note("in row 17")
    error.add_note("of orders.csv")
    failure = capture(error)
    assert (failure.message, failure.notes) == ("bad", ("in row 17", "of orders.csv"))


def test_passwords_in_messages_are_redacted() -> None:
    failure = capture(RuntimeError("401 for https://me:hunter2@host/x?api_key=abc123"))
    assert failure.message == "401 for https://me:[redacted]@host/x?api_key=[redacted]"
    assert failure.redacted == ("message",)


def leak(password: str) -> None:
    raise ConnectionError("login failed" + password[:0])


def test_no_text_of_a_failure_holds_a_secret_and_it_says_which_were_redacted() -> None:
    def fail() -> None:
        try:
            leak(password="hunter2")  # noqa: S106 - the secret under test
        except ConnectionError as error:
            raise RuntimeError("password=hunter2") from error

    error = caught(fail)
    error.add_note("tried with api_key: hunter2")
    error.tags = {"api_key": "hunter2", "url": "https://me:hunter2@host"}  # type: ignore[attr-defined]
    error.__cause__ = ValueError("token=hunter2")
    failure = capture(error)
    assert b"hunter2" not in msgspec.msgpack.encode(failure)
    assert set(failure.redacted) == {"source_line", "message", "notes", "tags", "cause_chain"}
    group = capture(ExceptionGroup("several", [ValueError("secret='hunter2'")]))
    assert (group.redacted, group.children[0][1]) == (("children",), "secret=[redacted]")


def test_rules_of_the_project_say_what_else_is_secret() -> None:
    secret.use_rules(["^iban$"])
    try:
        failure = capture(RuntimeError("iban=DE02 rejected"))
    finally:
        secret.use_rules([])
    assert (failure.message, failure.redacted) == ("iban=[redacted] rejected", ("message",))
    assert capture(RuntimeError("iban=DE02 rejected")).redacted == ()


def test_a_failure_has_an_id_an_instant_and_a_place() -> None:
    before = time.time_ns()
    first, second = capture(ValueError()), capture(ValueError())
    assert first.failure_id.startswith("F-")
    assert len(first.failure_id) == 28
    assert first.failure_id != second.failure_id
    assert before <= first.captured_ns <= second.captured_ns <= time.time_ns()
    assert (first.pid, first.thread) == (os.getpid(), "MainThread")
    assert first.origin is None


def test_a_failure_names_its_thread_and_its_asyncio_task() -> None:
    found: list[str] = []

    async def task() -> None:
        asyncio.current_task().set_name("load")  # type: ignore[union-attr]  # this is one
        found.append(capture(ValueError()).thread)

    thread = threading.Thread(target=lambda: asyncio.run(task()), name="pool-3")
    thread.start()
    thread.join()
    assert found == ["pool-3/load"]
    assert capture(ValueError(), thread="pool-7").thread == "pool-7"


def test_equal_stacks_have_equal_ids_and_other_lines_another() -> None:
    first, second = (capture(caught(partial(parse, text))).stack_id for text in "xy")
    assert first == second
    assert capture(caught(lambda: parse("x"))).stack_id != first
    assert first.startswith("b2:")
    assert len(first) == 35


def test_a_verdict_is_kept_with_the_rule_that_gave_it() -> None:
    failure = capture(TimeoutError("late"))
    assert (failure.category, failure.class_, failure.rule) == (
        "transient",
        "timeout",
        "type:TimeoutError",
    )


def test_a_refusal_is_kept_in_the_record() -> None:
    failure = capture(Permanent("no such customer"))
    assert (failure.category, failure.retryable) == ("permanent", False)


def test_the_caller_may_know_the_category_better() -> None:
    failure = capture(TypeError(), category="permanent", class_="serialization")
    assert (failure.category, failure.class_, failure.rule) == (
        "permanent",
        "serialization",
        "given",
    )


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
    assert len(failure.frames) == 64
    assert failure.frames[0].function == "caught"
    assert failure.frames[-1].line == failure.frames[-2].line - 1
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
    "type": lambda: HostileType("x"),
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
    assert (failure.location, failure.frames, failure.function) == ("", (), "")
    assert failure.stack_id == ""
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


def test_nothing_of_the_exceptions_type_is_kept_alive() -> None:
    class Payload:
        pass

    def local_type() -> tuple[BaseException, weakref.ref[Payload]]:
        payload = Payload()

        class Local(Exception):
            held = payload

        return Local("x"), weakref.ref(payload)

    error, seen = local_type()
    capture(error)
    del error
    gc.collect()
    assert seen() is None


@given(st.text())
def test_every_message_can_be_stored(text: Any) -> None:
    failure = capture(RuntimeError(text))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(failure), type=FailureRecord) == failure
    assert len(failure.message) <= 2048


def test_the_failures_of_the_engine_have_their_categories() -> None:
    timeout = timeout_failure(0.25)
    assert (timeout.category, timeout.retryable) == ("timeout", True)
    assert (timeout.class_, timeout.rule) == ("timeout", "deadline")
    assert timeout.failure_id.startswith("F-")
    assert timeout.message == "not finished within its timeout of 250ms"
    cancelled = cancelled_failure("a sibling failed")
    assert (cancelled.category, cancelled.retryable) == ("cancelled", False)
    assert (cancelled.class_, cancelled.rule) == ("cancelled", "cancel")
    assert cancelled.message == "a sibling failed"
