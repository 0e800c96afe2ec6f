"""Redriving the dead letters of the stream."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from tailrace.errors import DefinitionError, NotFound
from tailrace.events.event_json import to_json
from tailrace.events.redrive import redrive_event_letter, why_not
from tailrace.events.stream import ResilientEventStream
from tailrace.model.event import EventFilter
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import DeadLetter, Redrive
from tailrace.store import SqliteDeadLetters, SqliteFailureLog
from tailrace.store.event_log import SqliteEventLog


class Jobs(ModuleType):
    """A module whose function fails until it is mended."""

    calls: list[Any]
    is_mended = False


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    module = Jobs("jobs_that_fail")
    module.calls = []

    def work(number: int) -> dict[str, int]:
        module.calls.append(number)
        if not module.is_mended:
            raise ConnectionError("still broken")
        return {"n": number}

    work.__module__, work.__qualname__ = module.__name__, "work"
    module.work = work  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def claim(letters: SqliteDeadLetters) -> list[DeadLetter]:
    redrive = Redrive(dl_id="", generation=0, batch_id="B-1", actor="me", reason="mended")
    return letters.claim(FailureFilter(), redrive, limit=9)


def fail(stream: ResilientEventStream, jobs: Jobs) -> str:
    return stream.emit_with_retry(
        "action", "svc", partial(jobs.work, number=1), max_retries=1, tags=["t"]
    )


def test_a_mended_action_is_run_again_and_its_letter_resolved(
    stream: ResilientEventStream, log: SqliteEventLog, letters: SqliteDeadLetters, jobs: Jobs
) -> None:
    dead = fail(stream, jobs)
    jobs.is_mended = True
    (letter,) = claim(letters)
    assert redrive_event_letter(letter, stream) is True
    assert jobs.calls == [1, 1, 1]
    after = letters.letter(letter.dl_id)
    assert (after.state, after.attempts_total) == ("resolved", 3)
    newest = to_json(log.events(EventFilter())[0])
    assert (newest["status"], newest["tags"], newest["data"]) == ("success", ["t"], {"n": 1})
    assert newest["retry_info"]["generation"] == 1
    assert newest["recovery_actions"][0]["action"] == "redrive"
    assert newest["run"]["task_key"] == letter.task_key
    pending = log.events(EventFilter())[1]
    assert pending.parent_id == dead


def test_a_redrive_that_fails_opens_the_letter_again_with_the_next_generation(
    stream: ResilientEventStream,
    letters: SqliteDeadLetters,
    failures: SqliteFailureLog,
    jobs: Jobs,
) -> None:
    fail(stream, jobs)
    (letter,) = claim(letters)
    assert redrive_event_letter(letter, stream) is False
    after = letters.letter(letter.dl_id)
    assert (after.state, after.generation) == ("open", 1)
    assert after.failure_id != letter.failure_id
    assert after.attempts_total == 4
    assert failures.failure(after.failure_id).generation == 1
    assert len(letters.letters(FailureFilter())) == 1


def test_five_redrives_that_fail_park_the_letter(
    stream: ResilientEventStream, letters: SqliteDeadLetters, jobs: Jobs
) -> None:
    fail(stream, jobs)
    for _ in range(5):
        (letter,) = letters.claim(
            FailureFilter(),
            Redrive(dl_id="", generation=0, batch_id=f"B-{len(jobs.calls)}", actor="me"),
            limit=1,
        )
        redrive_event_letter(letter, stream)
    assert letters.letter(letter.dl_id).state == "parked"


def test_retrying_twice_runs_the_action_once(
    stream: ResilientEventStream, letters: SqliteDeadLetters, jobs: Jobs
) -> None:
    """Two log lines, nothing run, and an exit code of 0 for an unknown id."""
    fail(stream, jobs)
    jobs.is_mended = True
    (letter,) = claim(letters)
    assert claim(letters) == []
    redrive_event_letter(letter, stream)
    assert claim(letters) == []
    assert len(jobs.calls) == 3
    with pytest.raises(NotFound):
        letters.letter("DL-unknown")


def test_an_action_that_was_done_before_its_redrive_died_is_not_done_again(
    stream: ResilientEventStream, log: SqliteEventLog, letters: SqliteDeadLetters, jobs: Jobs
) -> None:
    fail(stream, jobs)
    jobs.is_mended = True
    (letter,) = claim(letters)
    unsettled = ResilientEventStream(log, policy=stream.policy, clock=stream.clock)
    assert redrive_event_letter(letter, unsettled)
    assert letters.letter(letter.dl_id).state == "redriving"
    assert redrive_event_letter(letter, stream)
    assert len(jobs.calls) == 3
    assert letters.letter(letter.dl_id).state == "resolved"


def test_a_patch_changes_the_arguments_and_not_the_letter(
    stream: ResilientEventStream, letters: SqliteDeadLetters, jobs: Jobs
) -> None:
    fail(stream, jobs)
    jobs.is_mended = True
    (letter,) = claim(letters)
    assert redrive_event_letter(letter, stream, patch={"payload": {"kwargs": {"number": 2}}})
    assert jobs.calls[-1] == 2
    after = letters.letter(letter.dl_id)
    assert after.payload_digest == letter.payload_digest
    assert after.payload == {"args": [], "kwargs": {"number": 1}}


def test_a_letter_without_an_action_fails_and_says_why(
    stream: ResilientEventStream, log: SqliteEventLog, letters: SqliteDeadLetters
) -> None:
    def local() -> None:
        raise ConnectionError

    stream.emit_with_retry("action", "svc", local, max_retries=0)
    (letter,) = claim(letters)
    assert "cannot be run again" in why_not(letter)
    assert redrive_event_letter(letter, stream) is False
    after = letters.letter(letter.dl_id)
    assert (after.state, after.category) == ("open", "permanent")
    assert "cannot be run again" in after.message


def test_an_action_that_can_be_found_has_nothing_against_it(
    stream: ResilientEventStream, letters: SqliteDeadLetters, jobs: Jobs
) -> None:
    fail(stream, jobs)
    assert why_not(letters.letters(FailureFilter())[0]) == ""


def test_letters_of_runs_are_refused(stream: ResilientEventStream) -> None:
    letter = DeadLetter(dl_id="DL-1", task_key="k", kind="run")
    with pytest.raises(DefinitionError, match="letter of kind 'run'") as seen:
        redrive_event_letter(letter, stream)
    assert seen.value.code == "TR337"


def test_a_redrive_that_is_interrupted_opens_the_letter_again(
    stream: ResilientEventStream, letters: SqliteDeadLetters, jobs: Jobs
) -> None:
    fail(stream, jobs)
    (letter,) = claim(letters)

    def interrupted(number: int) -> None:
        raise KeyboardInterrupt

    jobs.work = interrupted  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        redrive_event_letter(letter, stream)
    assert letters.letter(letter.dl_id).state == "open"
