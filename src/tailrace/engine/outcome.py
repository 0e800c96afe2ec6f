"""How a step of a scope ended, as its dependants see it."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec

from tailrace.engine.scratch import Scratch
from tailrace.model import FailureRecord


class End(Enum):
    """OK: dependants run. INACTIVE: not chosen, joins do not wait for it.

    BLOCKED: it failed, or needs what failed, so its dependants are skipped. CANCELLED: stopped.
    DIVERTED: it failed and an ``on_error`` target runs in the place of its dependants.
    """

    OK = "ok"
    INACTIVE = "inactive"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"
    DIVERTED = "diverted"


class Outcome(msgspec.Struct, eq=False, gc=False):
    """The end of one step. Nothing a user holds refers to it, so no cycle goes through it."""

    end: End
    value: Any = None
    scratch: Scratch | None = None
    routes: frozenset[str] | None = None
    """Names of the successors a route chose; None: all."""
    failure: FailureRecord | None = None
    failed_path: str = ""
    """Path of the node where ``failure`` was raised."""
    handled: str = ""
    """The ``on_error`` action; empty when nothing handled the failure."""
