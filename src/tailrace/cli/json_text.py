"""Values as JSON text, whatever a task returned."""

from __future__ import annotations

import re
from typing import Any

_HIDDEN = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What moves a terminal's cursor, reorders its line, or ends a line of JSON lines for some readers;
JSON itself escapes only what is below the space."""


def pretty(value: Any) -> str:
    """Return indented JSON that keeps every script readable."""
    import json  # noqa: PLC0415 - tables and trees need none

    from tailrace.tracing.json_value import json_value  # noqa: PLC0415 - likewise

    return spelled(json.dumps(json_value(value), ensure_ascii=False, indent=2))


def compact(value: Any) -> str:
    """Return JSON on one line."""
    import json  # noqa: PLC0415 - likewise

    from tailrace.tracing.json_value import json_value  # noqa: PLC0415 - likewise

    return spelled(json.dumps(json_value(value), ensure_ascii=False))


def spelled(text: str) -> str:
    """Return JSON with those characters escaped that must not reach a terminal."""
    return (
        text
        if text.isascii() and "\x7f" not in text
        else _HIDDEN.sub(lambda sign: f"\\u{ord(sign[0]):04x}", text)
    )
