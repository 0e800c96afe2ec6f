"""The catalogue of error codes: what each means and how to mend it.

The texts stand in ``codes.toml`` beside this file; they are read only when someone asks.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple


class Explanation(NamedTuple):
    """One code."""

    code: str
    title: str
    """What is wrong, in a few words."""
    title_ja: str
    text: str
    """What it means, in two or three sentences."""
    mend: str
    """What to do about it."""


@cache
def catalogue() -> dict[str, Explanation]:
    """Return every code, in order."""
    import tomllib  # noqa: PLC0415 - only when someone asks
    from importlib.resources import files  # noqa: PLC0415 - likewise

    text = files("tailrace.errors").joinpath("codes.toml").read_text("utf-8")
    entries = tomllib.loads(text)
    return {code: Explanation(code=code, **entries[code]) for code in sorted(entries)}


def nearest_codes(code: str) -> list[str]:
    """Return at most three known codes that look like ``code``, the nearest first."""
    from difflib import get_close_matches  # noqa: PLC0415 - only when a code is wrong

    return get_close_matches(code.upper(), catalogue(), n=3, cutoff=0.0)
