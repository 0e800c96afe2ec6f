"""Bounds that keep every query short and quick to read, whatever its text says."""

from __future__ import annotations

MAX_QUERY = 131_072
"""Characters of one query."""
MAX_NESTING = 60
"""Brackets and prefix operators inside one another."""
MAX_HEIGHT = 200
"""Operators on top of one another in a tree; ``a && b && c`` counts two."""
MAX_INT = 2**63 - 1
"""Largest integer, and longest duration in nanoseconds."""
MIN_INT = -(2**63)
MAX_PATTERN = 10_000
"""Characters of one regular expression."""
MAX_REPEAT = 1000
"""Largest count of a repetition in a regular expression, those inside it multiplied."""
MAX_GROUPS = 5
"""Fields that metrics are grouped by."""
MAX_COMPARED = 1000
"""Largest first argument of ``compare()`` after the filter."""
