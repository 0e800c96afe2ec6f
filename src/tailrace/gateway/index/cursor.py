"""Where a page of a list ends, as opaque text."""

from __future__ import annotations

import base64
import re

from tailrace.errors import QueryError

_FORM = re.compile(rb"1:(\d{1,18})")


def cursor_of(sequence: int) -> str:
    """Return the cursor of a page whose last run has that sequence."""
    return base64.urlsafe_b64encode(b"1:%d" % sequence).rstrip(b"=").decode()


def read_cursor(cursor: str) -> int:
    """Return the sequence before which a page begins.

    Raises:
        QueryError: the cursor is none of ours.
    """
    try:
        body = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except ValueError:
        body = b""
    found = _FORM.fullmatch(body)
    if found is None:
        raise QueryError(
            "the cursor is none that a list has given",
            hint="Pass next_cursor of the page before, or leave it out to begin anew.",
        )
    return int(found[1])
