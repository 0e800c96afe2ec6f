"""The resilient event stream: what happened, what failed, and what was done about it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from random import Random
from typing import Any, ParamSpec, TypeVar

from tailrace.errors import DefinitionError
from tailrace.events.action import Action, describe_action
from tailrace.events.attempts import AttemptRow, StreamChanges, StreamLog
from tailrace.events.clean import clean, clean_text
from tailrace.events.clock import Clock, SystemClock
from tailrace.events.drive import Driver, Result, judged
from tailrace.events.emitted import Emitted
from tailrace.events.event_json import new_event
from tailrace.events.forms import Attempting, decorate
from tailrace.events.ids import new_event_id
from tailrace.events.order import Order, order_of
from tailrace.events.outbox import Outbox
from tailrace.events.recover import Recovery, look_into
from tailrace.events.reruns import Reruns
from tailrace.events.work import Work, new_work
from tailrace.failures.classification import classify
from tailrace.failures.snapshot import border_category
from tailrace.model import ErrorCategory, FailureRecord
from tailrace.model.event import Event, EventStatus
from tailrace.model.failure import FailureSnapshot
from tailrace.policy.retry_policy import RetryPolicy
from tailrace.ports import DeadLetters

P = ParamSpec("P")
T = TypeVar("T")

_ONCE = RetryPolicy(max_attempts=0, on_exhausted="fail")
"""How a block is tried: it cannot be run again, neither now nor by a redrive."""


class ResilientEventStream:
    """Events that are on disk before and after what they tell of.

    ``emit`` records that something happened. ``emit_with_retry`` runs an action: that it begins is
    durable before it runs, each failure and the time of the next attempt before the wait, and how
    it ended after it; that it succeeded is never doubted because of the log. What gave up leaves a
    dead letter. ``recover`` goes on with what processes left that died.

    Thread-safe. The variants with ``a`` in front never block an event loop.
    """

    def __init__(  # noqa: PLR0913 - what is given once need not be given with each call
        self,
        log: StreamLog,
        *,
        letters: DeadLetters | None = None,
        policy: RetryPolicy | None = None,
        source: str = "",
        worker_id: str = "",
        code_version: str = "",
        clock: Clock | None = None,
        rng: Random | None = None,
        on_failure: Callable[[FailureSnapshot, BaseException | None], None] | None = None,
    ) -> None:
        """Tie a stream to its log.

        Args:
            log: where events and attempts are written, and failures and letters with them.
            letters: settles the letters that are redriven.
            policy: how failures are met where a call says nothing; None: 3 retries after about
                2, 4 and 8 seconds (``RetryPolicy.resonant()``).
            source: of events that name none.
            worker_id: names this process in failures; empty: the log's name for it.
            code_version: of the program, kept with failures and letters.
            clock: tells the time and lets it pass; None: the machine's.
            rng: source of the jitter.
            on_failure: told of each failure for which nothing is tried any more, and of the
                exception where there is one; what it raises is logged.
        """
        self.log = log
        self.letters = letters
        self.policy = policy or RetryPolicy.resonant()
        self.source = source
        self.clock = clock or SystemClock()
        self._worker_id = worker_id
        self._code_version = code_version
        self._rng = rng or Random()  # noqa: S311 - jitter, no secret
        self._override = self._classify_error if _overrides(type(self)) else None
        self._policies: dict[int, RetryPolicy] = {}
        self._outbox = Outbox(log)
        self._driver = Driver(self._outbox, self.clock, self._rng, self._judge, on_failure)
        self._reruns = Reruns(self._driver.attempt, self.clock)

    def emit(  # noqa: PLR0913, PLR0917 - the older program's signature
        self,
        event_type: str,
        source: str = "",
        data: Mapping[str, Any] | None = None,
        parent_event_id: str | None = None,
        related_hypothesis_id: str | None = None,
        tags: Sequence[str] | None = None,
        importance: int = 3,
        status: EventStatus | Enum | str = EventStatus.SUCCESS,
        error_info: Mapping[str, Any] | None = None,
        retry_info: Mapping[str, Any] | None = None,
        recovery_actions: Sequence[Mapping[str, Any]] | None = None,
        latency_ms: int | None = None,
        exit_code: int | None = None,
        **more: Any,
    ) -> str:
        """Record that something happened, durably, and return the event's id.

        Args:
            event_type: such as ``intent``, ``action``, ``result``, ``observation``.
            source: who says so.
            data: anything; what JSON has no word for is replaced and flagged under ``cleaned``.
            parent_event_id: the event that led to it.
            related_hypothesis_id: what it is evidence for.
            tags: to find it by.
            importance: 1 (low) to 5.
            status: a value of ``EventStatus``.
            error_info: what failed; ``category`` is ``transient``, ``permanent`` or ``unknown``.
            retry_info: how often it was tried.
            recovery_actions: what was done about it.
            latency_ms: how long it took.
            exit_code: 0 for success.
            more: further keys of the event.

        Raises:
            DefinitionError: TR338, the status is none.
            StoreError: it could not be written.
        """
        given = {"data": data, "tags": tags, "importance": importance, **more}
        if parent_event_id or related_hypothesis_id:
            given["parent_event_id"] = parent_event_id
            given["related_hypothesis_id"] = related_hypothesis_id
        if error_info or retry_info or recovery_actions:
            given["error_info"] = error_info
            given["retry_info"] = retry_info
            given["recovery_actions"] = recovery_actions
        if latency_ms is not None or exit_code is not None:
            given["latency_ms"] = latency_ms
            given["exit_code"] = exit_code
        event = self._event(event_type, source, status, given)
        self._outbox.append(event)
        return event.event_id

    async def aemit(self, event_type: str, source: str = "", **keys: Any) -> str:
        """Do as ``emit`` without blocking the event loop."""
        return await asyncio.to_thread(self.emit, event_type, source, **keys)

    def emit_with_retry(  # noqa: PLR0913, PLR0917 - the older program's signature
        self,
        event_type: str,
        source: str,
        action: Callable[[], Any],
        parent_event_id: str | None = None,
        related_hypothesis_id: str | None = None,
        tags: Sequence[str] | None = None,
        importance: int = 3,
        max_retries: int | None = None,
        timeout_seconds: float | None = None,
        *,
        data: Mapping[str, Any] | None = None,
        policy: RetryPolicy | None = None,
    ) -> Emitted:
        """Run an action, try it again where that can help, and return the closing event's id.

        The id is a ``str`` that also knows ``status``, ``result``, ``failure`` and ``attempts``.
        What the action raises is recorded, not raised, but for what must not be swallowed.

        Args:
            event_type: of all events about it.
            source: who runs it.
            action: called without arguments; bind some with ``functools.partial``. A function of
                a module with plain arguments can be taken over when this process dies.
            parent_event_id: the event that led to it.
            related_hypothesis_id: what it is evidence for.
            tags: to find it by; failures get some more.
            importance: 1 (low) to 5; a dead letter has 5.
            max_retries: tries after the first; None: as the policy says.
            timeout_seconds: end of each attempt; a thread that does not end is left to itself.
            data: kept with the events that do not hold the action's result.
            policy: how failures are met; None: as the stream's.

        Raises:
            DefinitionError: TR338, the action cannot be called, or gives a coroutine.
            StoreError: the beginning could not be written; nothing ran.
            BaseException: ``KeyboardInterrupt``, ``SystemExit`` and cancels, after recording.
        """
        order = self._order(
            event_type,
            source,
            describe_action(_callable(action)),
            parent_event_id=parent_event_id,
            related_hypothesis_id=related_hypothesis_id,
            tags=tags,
            importance=importance,
            max_retries=max_retries,
            timeout_seconds=timeout_seconds,
            data=data,
            policy=policy,
        )
        if order.action.is_async:
            raise DefinitionError(
                f"the action {order.action.name} gives a coroutine",
                code="TR338",
                hint="await aemit_with_retry with it instead",
            )
        return self._driver.run(new_work(order)).emitted

    async def aemit_with_retry(
        self, event_type: str, source: str, action: Callable[[], Any], **options: Any
    ) -> Emitted:
        """Do as ``emit_with_retry`` without blocking the event loop.

        The action may be a coroutine function, which runs in the loop and is cancelled at its
        deadline; a plain function runs in a thread. ``options`` are those of ``emit_with_retry``.
        """
        order = self._order(event_type, source, describe_action(_callable(action)), **options)
        result = await self._driver.run_async(new_work(order))
        return result.emitted

    def attempting(self, event_type: str, source: str = "", **options: Any) -> Attempting:
        """Return a context manager that records a block as one attempt.

        Args:
            event_type: of its events.
            source: who runs it.
            options: ``name`` (of the block), ``tags``, ``data``, ``importance``,
                ``parent_event_id``, ``related_hypothesis_id``.
        """
        name = options.pop("name", event_type)
        action = Action(call=lambda: None, name=name)
        order = self._order(event_type, source, action, policy=_ONCE, **options)
        return Attempting(self._driver, new_work(order))

    def resilient(
        self, event_type: str = "action", source: str = "", **options: Any
    ) -> Callable[[Callable[P, T]], Callable[P, T]]:
        """Return a decorator: each call of the function is recorded and tried again.

        The function returns what it returned, and raises what its last attempt raised. ``options``
        are those of ``emit_with_retry``. Works on coroutine functions, too.
        """

        def decorator(function: Callable[P, T]) -> Callable[P, T]:
            def order_work(call: Callable[[], Any]) -> Work:
                order = self._order(event_type, source, describe_action(call), **options)
                return new_work(order)

            return decorate(function, self._driver, order_work)

        return decorator

    def recover(self, *, wait: bool = False) -> Recovery:
        """Go on with the work of processes that died, each at its time, in threads of its own.

        What was running is recorded as lost, and tried again where its policy allows; what waited
        keeps its time and number. An action that this process cannot find becomes a dead letter.

        Args:
            wait: return when all of it has ended.

        Raises:
            StoreError: the log cannot be read or written.
        """
        resumed = given_up = 0
        for row in self.log.take_lost():
            due_ns, work = self._take_over(row)
            if due_ns is None:
                given_up += 1
            else:
                resumed += 1
                self._reruns.add(due_ns, work)
        if wait:
            self._reruns.wait()
        return Recovery(resumed=resumed, given_up=given_up)

    @property
    def unwritten(self) -> int:
        """Changes that the log could not take yet; they go with the next write, or ``flush``."""
        return len(self._outbox)

    def flush(self) -> None:
        """Write what the log could not take.

        Raises:
            StoreError: it still cannot.
        """
        self._outbox.flush()

    def close(self) -> None:
        """Start no more of what was taken over, leave it to others, and write what waits.

        Raises:
            StoreError: what waits cannot be written.
        """
        left = self._reruns.close()
        if left:
            rows = tuple(work.left_behind() for work in left)
            self._outbox.hand_over(StreamChanges(attempts=rows))
        self._outbox.flush()

    def order_of(self, body: Mapping[str, Any], action: Action) -> Order:
        """Return the order that an open attempt or a dead letter holds, met by this stream."""
        policy = self._policy_for(self.policy, body.get("max_attempts"))
        return order_of(
            body,
            action,
            policy=policy,
            worker_id=self._worker_name(),
            code_version=self._code_version,
        )

    def run(self, work: Work) -> Result:
        """Take work to its end, in this thread.

        Raises:
            StoreError: the beginning could not be written; nothing ran.
            BaseException: ``KeyboardInterrupt``, ``SystemExit`` and cancels, after recording.
        """
        return self._driver.run(work)

    def _classify_error(self, error: Exception) -> Any:
        """Return the category of an error: ``transient``, ``permanent`` or ``unknown``.

        A subclass may override it; what it answers goes before all rules.
        """
        return ErrorCategory(border_category(classify(error).category.value))

    def _judge(self, error: BaseException) -> FailureRecord:
        return judged(error, self._override)

    def _event(
        self, event_type: str, source: str, status: Enum | str, given: Mapping[str, Any]
    ) -> Event:
        word = str(getattr(status, "value", status))
        if word not in _STATUSES:
            raise DefinitionError(
                f"an event has no status {word!r} (known: {', '.join(_STATUSES)})",
                code="TR338",
                hint="choose one of them",
            )
        now_ns = self.clock.now_ns()
        return new_event(
            event_id=new_event_id(now_ns),
            ts_ns=now_ns,
            type=clean_text(event_type),
            source=clean_text(source or self.source),
            status=word,
            keys={key: value for key, value in given.items() if value is not None},
        )

    def _order(
        self,
        event_type: str,
        source: str,
        action: Action,
        *,
        max_retries: int | None = None,
        timeout_seconds: float | None = None,
        policy: RetryPolicy | None = None,
        **keys: Any,
    ) -> Order:
        policy = self._policy_for(policy or self.policy, max_retries)
        if timeout_seconds is not None and not 0 <= timeout_seconds < math.inf:
            raise DefinitionError(
                f"timeout_seconds is {timeout_seconds}; it must be a number of seconds from 0 on",
                code="TR338",
                hint="leave it out, or pass 0, for attempts without end",
            )
        return Order(
            event_type=clean_text(event_type),
            source=clean_text(source or self.source),
            action=action,
            policy=policy,
            tags=tuple(clean_text(str(tag)) for tag in keys.pop("tags", None) or ()),
            data=clean(dict(keys.pop("data", None) or {})).value,
            timeout=policy.timeout if timeout_seconds is None else timeout_seconds,
            worker_id=self._worker_name(),
            code_version=self._code_version,
            **keys,
        )

    def _policy_for(self, policy: RetryPolicy, retries: int | None) -> RetryPolicy:
        if retries is None or retries == policy.max_attempts:
            return policy
        if policy is not self.policy:
            return replace(policy, max_attempts=retries)
        known = self._policies.get(retries)
        if known is None:
            known = self._policies[retries] = replace(policy, max_attempts=retries)
        return known

    def _worker_name(self) -> str:
        if not self._worker_id:
            self._worker_id = self.log.owner
        return self._worker_id

    def _take_over(self, row: AttemptRow) -> tuple[int | None, Work]:
        now_ns = self.clock.now_ns()
        found = look_into(row, order=self.order_of, now_ns=now_ns, rng=self._rng)
        if found.step is not None:
            changes = found.step.changes
        else:
            changes = found.work.taken_over(now_ns, found.due_ns or now_ns)
        self._outbox.hand_over(changes)
        return found.due_ns, found.work


def _overrides(kind: type[ResilientEventStream]) -> bool:
    """Return whether a subclass has a classification of its own."""
    name = ResilientEventStream._classify_error.__name__  # noqa: SLF001 - the module's own class
    return getattr(kind, name) is not getattr(ResilientEventStream, name)


_STATUSES = tuple(status.value for status in EventStatus)


def _callable(action: Any) -> Callable[[], Any]:
    if callable(action):
        return action  # type: ignore[no-any-return]  # ``callable`` says nothing of its result
    raise DefinitionError(
        f"the action is {action!r:.80}, which cannot be called",
        code="TR338",
        hint="pass the function itself, without calling it; bind arguments with functools.partial",
    )
