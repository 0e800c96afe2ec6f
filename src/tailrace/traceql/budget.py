"""The most that one query may cost."""

from __future__ import annotations

import time


class OutOfBudget(Exception):  # noqa: N818 - the search that set the budget catches it, nobody else
    """A query has used up its time or its rows."""


class Budget:
    """Counts the rows that a query has looked at, and its time.

    Args:
        seconds: from now.
        rows: spans, events and values, each time one is looked at by itself.
    """

    def __init__(self, *, seconds: float = 30.0, rows: int = 200_000_000) -> None:
        self.seconds = seconds
        self.rows = rows
        self.spent = 0
        self._deadline = time.monotonic() + seconds

    def spend(self, rows: int) -> None:
        """Count rows before they are looked at; call it for every some thousand rows.

        Raises:
            OutOfBudget: this is more than the query may cost.
        """
        self.spent += rows
        if self.spent > self.rows or time.monotonic() > self._deadline:
            raise OutOfBudget
