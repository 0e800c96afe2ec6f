"""What the events about one piece of work tell: each follows from the one before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from tailrace.events.event_json import new_event
from tailrace.events.failing import error_info, failure_json, hop_json
from tailrace.events.ids import new_event_id
from tailrace.events.instants import utc_text
from tailrace.events.order import Order
from tailrace.model.event import Event, EventStatus
from tailrace.model.failure import FailureSnapshot


class Story(Struct, kw_only=True):
    """What has been told so far, and how the next event is told."""

    order: Order
    key: str = ""
    """Of the work, the same for all attempts and generations; the first event's id."""
    generation: int = 0
    last_event: str | None = None
    """Id of the newest event: the parent of the next."""
    recovery: list[dict[str, Any]] = field(default_factory=list)
    """What was done about its failures, oldest first."""
    trail: list[dict[str, Any]] = field(default_factory=list)
    """What was decided about them, oldest first."""

    def tell(
        self,
        now_ns: int,
        status: EventStatus,
        keys: Mapping[str, Any],
        *,
        attempt_id: str,
        latency_ms: int | None = None,
    ) -> Event:
        """Return the next event.

        Args:
            now_ns: nanoseconds since the epoch.
            status: how the work stands.
            keys: what this event says beside what all of them say, which they win over.
            attempt_id: the attempt it is about.
            latency_ms: how long that took.
        """
        order, event_id = self.order, new_event_id(now_ns)
        self.key = self.key or event_id
        full: dict[str, Any] = {
            "parent_event_id": self.last_event or order.parent_event_id,
            "related_hypothesis_id": order.related_hypothesis_id,
            "tags": list(order.tags),
            "importance": order.importance,
            "recovery_actions": list(self.recovery),
            "latency_ms": latency_ms,
            "run": {
                "attempt_id": attempt_id,
                "task_key": self.key,
                "worker_id": order.worker_id,
                "code_version": order.code_version,
            },
            **keys,
        }
        self.last_event = event_id
        return new_event(
            event_id=event_id,
            ts_ns=now_ns,
            type=order.event_type,
            source=order.source,
            status=status.value,
            keys=full,
        )

    def intent(self) -> dict[str, Any]:
        """Return the data of an event that holds no result."""
        return {"attempted_action": self.order.action.name, **self.order.data}

    def failing(self, tag: str) -> dict[str, Any]:
        """Return what every failing event says."""
        tags = [*self.order.tags, "error", tag]
        return {"data": self.intent(), "tags": tags, "exit_code": 1}

    def failure(self, snapshot: FailureSnapshot, context: Mapping[str, Any]) -> dict[str, Any]:
        """Return what an event says of a failure, whose hop joins the trail."""
        self.trail += map(hop_json, snapshot.trail)
        return {
            "error_info": error_info(snapshot, context),
            "failure": failure_json(snapshot, list(self.trail)),
        }

    def retry(
        self,
        count: int,
        *,
        elapsed: float,
        delay: float = 0.0,
        due_ns: int | None = None,
        source: str = "schedule",
    ) -> dict[str, Any]:
        """Return what an event says of retries.

        Args:
            count: retries, the one to come included.
            elapsed: seconds since the first attempt.
            delay: seconds until the next attempt.
            due_ns: when that is; None: there is none.
            source: what asked for the delay.
        """
        policy = self.order.policy
        info: dict[str, Any] = {"count": count, "max_retries": policy.max_attempts}
        if due_ns is not None:
            info["next_retry_at"] = utc_text(due_ns)
            info["backoff_seconds"] = delay
        return {
            **info,
            "exhausted": False,
            "attempt": count + 1,
            "generation": self.generation,
            "jitter": policy.jitter,
            "source": source,
            "budget_key": policy.budget,
            "elapsed_seconds": max(elapsed, 0.0),
        }

    def recovered(self, now_ns: int, action: str, *, delay: float, attempt: int) -> None:
        """Note what is done about a failure; the events from now on tell of it."""
        self.recovery.append(
            {
                "timestamp": utc_text(now_ns),
                "action": action,
                "backoff_seconds": delay,
                "event_id": self.last_event,
                "actor": "runtime",
                "detail": {"attempt": attempt},
            }
        )
