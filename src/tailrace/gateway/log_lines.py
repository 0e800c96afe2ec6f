"""Log records of the gateway, for people and for programs."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

_PLAIN = frozenset(vars(logging.makeLogRecord({})))
"""What every record has; the rest is what ``extra`` gave."""


class JsonLines(logging.Formatter):
    """Log records as one line of JSON each."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "ts": round(record.created, 6),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _PLAIN}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """Log records as lines for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and what goes with it."""
        more = " ".join(
            f"{key}={value}"
            for key, value in vars(record).items()
            if key not in _PLAIN and value not in {"", None} and key != "color_message"
        )
        text = f"{record.levelname.lower()}: {record.getMessage()}" + (f" ({more})" if more else "")
        return text + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")


def log_to_stderr(*, as_json: bool) -> None:
    """Send what the gateway and the server under it have to say to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "nats"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("nats").setLevel(logging.CRITICAL)
