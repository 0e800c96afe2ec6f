"""Exceptions with which a task itself says whether trying again can help."""

from __future__ import annotations


class Transient(Exception):  # noqa: N818 - says what the failure is, as in `raise Transient(...)`
    """The cause will pass: trying again can help.

    Attributes:
        retry_after: seconds to wait at least before the next attempt; None: as the policy says.
    """

    __module__ = "tailrace"  # where users import it from; failures are named so
    retryable = True

    def __init__(self, *args: object, retry_after: float | None = None) -> None:
        super().__init__(*args)
        self.retry_after = retry_after


class Permanent(Exception):  # noqa: N818 - says what the failure is, as in `raise Permanent(...)`
    """Trying again cannot help: no policy retries it."""

    __module__ = "tailrace"
    retryable = False
