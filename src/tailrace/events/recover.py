"""Taking over what processes left that died: nothing vanishes."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NoReturn

import msgspec

from tailrace.errors import DefinitionError
from tailrace.events.action import Action, find_action
from tailrace.events.attempts import AttemptRow, AttemptState
from tailrace.events.failing import process_lost
from tailrace.events.order import Order
from tailrace.events.work import Step, Work, work_of
from tailrace.model.letter import POISON_LIMIT, LetterReason
from tailrace.policy.retry import GiveUp


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the work of processes that died."""

    resumed: int = 0
    """Pieces of work that this process goes on with, each at its time."""
    given_up: int = 0
    """Pieces of work that only their own process could do: dead letters, where they leave one."""


class Found(msgspec.Struct, frozen=True):
    """One piece of lost work."""

    work: Work
    step: Step | None = None
    """What its lost attempt leads to; None: it goes on waiting."""
    due_ns: int | None = None
    """When it goes on; None: it does not."""


def look_into(
    row: AttemptRow,
    *,
    order: Callable[[dict[str, Any], Action], Order],
    now_ns: int,
    rng: Random,
    poison_limit: int = POISON_LIMIT,
) -> Found:
    """Return what becomes of an open attempt whose process died; nothing is written.

    Args:
        row: the attempt, which is this process's own by now.
        order: makes the order of a row's body and an action.
        now_ns: nanoseconds since the epoch.
        rng: source of the jitter.
        poison_limit: processes that one piece of work may take down.
    """
    body = row.body.get("order") or {}
    action, why_not = _action(body)
    work = work_of(row, order(body, action))
    if work.letter:
        why_not = "the process of its redrive died"
    if row.state == AttemptState.WAITING.value and not why_not:
        return Found(work, due_ns=row.next_retry_ns or now_ns)
    record = process_lost(now_ns, row.attempt)
    if row.state == AttemptState.RUNNING.value:
        work.crashes += 1
    if work.crashes >= poison_limit:
        text = f"{work.crashes} processes died over it"
        decision: Any = GiveUp(text, LetterReason.POISON.value)
    elif why_not:
        decision = GiveUp(why_not, LetterReason.WORKER_LOST.value)
    else:
        decision = work.decide(record, rng, now_ns)
    step = work.fail(record, decision, now_ns, state=AttemptState.LOST)
    return Found(work, step, step.retry_at_ns)


def _action(body: dict[str, Any]) -> tuple[Action, str]:
    """Return the action of an order's body, and why it cannot be called (empty: it can)."""
    name = str(body.get("action") or "(unknown)")
    why = f"{name} was a function of the process that died, which no other can call"
    if body.get("task_ref"):
        try:
            found = find_action(body["task_ref"], body.get("payload"), body.get("home") or "")
        except DefinitionError as error:
            why = error.message
        else:
            return found, ""
    return lost_action(name, why), why


def lost_action(name: str, why: str) -> Action:
    """Return the action that stands for one that cannot be found: calling it says so."""

    def call() -> NoReturn:
        raise DefinitionError(why, code="TR336")

    return Action(call=call, name=name)
