"""How much tests with random inputs and instants try: ``TEST_EFFORT=10`` is ten times more."""

from __future__ import annotations

import os

EFFORT = float(os.environ.get("TEST_EFFORT", "1"))
"""1 keeps the whole suite short; see CONTRIBUTING."""


def times(count: int) -> int:
    """Return how often to try what takes ``count`` tries at an effort of 1; at least once."""
    return max(1, round(count * EFFORT))
