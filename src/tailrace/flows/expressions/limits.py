"""Bounds that keep every expression short, quick and small, whatever its text says."""

from __future__ import annotations

from tailrace.errors import ExpressionError

MAX_SOURCE = 100_000
"""Characters of one expression."""
MAX_TEMPLATE = 1_000_000
"""Characters of one text with templates in it."""
MAX_NESTING = 50
"""Brackets, filters' arguments and prefix operators inside one another while parsing."""
MAX_HEIGHT = 120
"""Operators on top of one another in the parsed tree; ``a + b + c`` counts two."""
MAX_INTEGER_BITS = 4096
"""Size of an integer that arithmetic may give."""
MAX_TEXT = 1_000_000
"""Characters of a text that an operator, filter or template may give."""
MAX_ITEMS = 100_000
"""Items of a list that an operator may give."""
MAX_STEPS = 1_000_000
"""Work of one evaluation: about one step per value touched."""


def too_much(what: str, limit: int, column: int, hint: str = "") -> ExpressionError:
    """Return the error for a bound that was reached."""
    return ExpressionError(
        f"{what} exceeds the limit of {limit}",
        code="TR147",
        column=column,
        hint=hint or "Do this work in a task, and read the task's output here.",
    )
