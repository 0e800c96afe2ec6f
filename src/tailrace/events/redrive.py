"""Running the action of a dead letter again."""

from __future__ import annotations

from typing import Any

from tailrace.errors import DefinitionError, StoreError
from tailrace.events.action import Action, find_action
from tailrace.events.attempts import AttemptState
from tailrace.events.instants import utc_text
from tailrace.events.letters import KIND
from tailrace.events.recover import lost_action
from tailrace.events.story import Story
from tailrace.events.stream import ResilientEventStream
from tailrace.events.work import Work
from tailrace.model.letter import DeadLetter
from tailrace.model.patch import merge_patch

_RESOLVED, _FAILED = "resolved", "failed"


def why_not(letter: DeadLetter) -> str:
    """Return why the action of a letter cannot be run again; empty when it can.

    Its module is imported to know it.
    """
    try:
        _find(letter, None)
    except DefinitionError as error:
        return error.message
    return ""


def redrive_event_letter(
    letter: DeadLetter, stream: ResilientEventStream, *, patch: Any = None
) -> bool:
    """Run the action of a claimed letter again, settle the letter, and return whether it succeeded.

    It is a new generation of the same work: it keeps its ``task_key``, its events follow those of
    the generation before, and it has the retries it had at first. An action that another redrive
    has completed already, without coming to settle the letter, is not run again. One that cannot
    be found fails.

    Args:
        letter: as ``DeadLetters.claim`` returned it, with the generation it has now.
        stream: which tells of it; its ``letters`` settle the letter, where it has some.
        patch: ``{"payload": {"args": […], "kwargs": {…}}}``, a JSON merge patch of the payload.

    Raises:
        DefinitionError: TR337, the letter is of another kind.
        StoreError: the log cannot be written; the letter stays claimed.
        BaseException: ``KeyboardInterrupt`` and cancels, after the letter is open again.
    """
    if letter.kind != KIND:
        raise DefinitionError(
            f"{letter.dl_id} is a letter of kind {letter.kind!r}, not of the event stream",
            code="TR337",
            hint=f"redrive it with: tailrace dlq redrive {letter.dl_id}",
        )
    earlier = stream.log.attempts(letter.task_key)
    if any(attempt.state == AttemptState.SUCCEEDED.value for attempt in earlier):
        _settle(stream, letter, _RESOLVED, None)
        return True
    work = _work(letter, stream, patch)
    try:
        emitted = stream.run(work).emitted
    except StoreError:
        raise
    except BaseException:  # cancelled: the work is there to be redriven again
        _settle(stream, letter, _FAILED, None)
        raise
    _settle(stream, letter, _RESOLVED if emitted.is_success else _FAILED, emitted.failure)
    return emitted.is_success


def _work(letter: DeadLetter, stream: ResilientEventStream, patch: Any) -> Work:
    try:
        action = _find(letter, patch)
    except DefinitionError as error:
        action = lost_action(letter.node_id or "(unknown)", error.message)
    now_ns = stream.clock.now_ns()
    last_event = letter.source.get("last_event") or letter.source.get("event_id")
    redriven = {
        "timestamp": utc_text(now_ns),
        "action": "redrive",
        "backoff_seconds": 0.0,
        "event_id": last_event,
        "actor": "operator",
        "detail": {"dl_id": letter.dl_id, "generation": letter.generation},
    }
    story = Story(
        order=stream.order_of(letter.source, action),
        key=letter.task_key,
        generation=letter.generation,
        last_event=last_event,
        recovery=[redriven],
    )
    return Work(story=story, letter=letter.dl_id)


def _find(letter: DeadLetter, patch: Any) -> Action:
    if not letter.task_ref:
        raise DefinitionError(
            f"the action {letter.node_id or '(unnamed)'} cannot be run again: "
            "it was no function of a module, or its arguments were no JSON",
            code="TR336",
            hint="give emit_with_retry a function of a module, in a partial with plain arguments",
            details={"dl_id": letter.dl_id},
        )
    payload = letter.payload
    if patch is not None:
        payload = merge_patch({"payload": payload}, patch).get("payload")
    return find_action(letter.task_ref, payload, str(letter.source.get("home") or ""))


def _settle(stream: ResilientEventStream, letter: DeadLetter, outcome: str, failure: Any) -> None:
    if stream.letters is not None:
        stream.letters.settle(letter, outcome, failure=failure)
