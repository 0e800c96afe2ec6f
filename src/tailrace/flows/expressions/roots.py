"""What an expression can start with."""

from __future__ import annotations

ROOTS = frozenset(
    {"params", "results", "node", "payload", "joins", "scratch", "artifacts", "env", "loop",
     "loops", "ctx"}
)  # fmt: skip
"""The names every expression can start with."""
