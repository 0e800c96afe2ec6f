"""When a request is sent again, and after how long."""

from __future__ import annotations

from random import Random

from msgspec import Struct

from tailrace.errors import TransportError

_FIRST = 0.1
_MOST = 2.0


class Patience(Struct, frozen=True, kw_only=True):
    """How long a server is asked again that does not answer."""

    seconds: float = 10.0
    """From the first request on; 0: it is asked once."""

    def delay(
        self, error: TransportError, *, attempt: int, elapsed: float, rng: Random
    ) -> float | None:
        """Return the seconds until the next request after number ``attempt`` (1-based); None: none.

        The server's own wish (``Retry-After``) goes before ours.
        """
        if not error.details.get("retryable"):
            return None
        wished = error.details.get("retry_after")
        ceiling = min(_MOST, _FIRST * 2 ** min(attempt - 1, 16))
        delay = rng.uniform(ceiling / 2, ceiling) if wished is None else float(wished)
        return delay if elapsed + delay <= self.seconds else None
