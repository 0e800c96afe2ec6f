"""A command line that is understood but not carried out as it stands."""

from __future__ import annotations

import click


class Refusal(click.UsageError):
    """Nothing was done; the hint says what to type instead. Exit code 2."""

    def __init__(self, message: str, *, code: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
