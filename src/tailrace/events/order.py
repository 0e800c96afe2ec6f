"""What is to be done: an action, how it is told of, and how its failures are met."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from tailrace.events.action import Action
from tailrace.policy.retry_policy import RetryPolicy


class Order(Struct, frozen=True, kw_only=True):
    """What is to be done, and how its failures are met."""

    event_type: str
    source: str
    action: Action
    policy: RetryPolicy
    tags: tuple[str, ...] = ()
    importance: int = 3
    parent_event_id: str | None = None
    related_hypothesis_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 0.0
    """Seconds of one attempt; 0: no end."""
    worker_id: str = ""
    code_version: str = ""

    @property
    def schedule(self) -> str:
        """Name of the policy's schedule."""
        schedule = self.policy.schedule
        return schedule if isinstance(schedule, str) else "custom"

    def policy_data(self) -> dict[str, Any]:
        """Return the policy as JSON-able data, durations in seconds."""
        retry = self.policy.retry
        return {
            "max_attempts": retry.max_attempts,
            "schedule": self.schedule,
            "base": retry.delay,
            "max_delay": retry.max_delay,
            "jitter": self.policy.jitter,
            "max_elapsed": retry.max_elapsed,
            "timeout": self.timeout,
        }

    def to_body(self) -> dict[str, Any]:
        """Return what another process needs to go on with the order; JSON-able."""
        return {
            "event_type": self.event_type,
            "source": self.source,
            "tags": list(self.tags),
            "importance": self.importance,
            "parent_event_id": self.parent_event_id,
            "related_hypothesis_id": self.related_hypothesis_id,
            "data": dict(self.data),
            "max_attempts": self.policy.max_attempts,
            "timeout": self.timeout,
            "action": self.action.name,
            "task_ref": self.action.task_ref,
            "payload": self.action.payload,
            "home": self.action.home,
        }


def order_of(body: Mapping[str, Any], action: Action, **given: Any) -> Order:
    """Return the order of a body that ``to_body`` made, or of a dead letter's ``source``.

    Args:
        body: keys that are missing take their defaults.
        action: what is called.
        given: fields that the body does not hold: ``policy``, ``worker_id``, ``code_version``.
    """
    return Order(
        event_type=str(body.get("event_type") or "action"),
        source=str(body.get("source") or ""),
        action=action,
        tags=tuple(body.get("tags") or ()),
        importance=int(body.get("importance", 3)),
        parent_event_id=body.get("parent_event_id"),
        related_hypothesis_id=body.get("related_hypothesis_id"),
        data=dict(body.get("data") or {}),
        timeout=float(body.get("timeout") or 0.0),
        **given,
    )
