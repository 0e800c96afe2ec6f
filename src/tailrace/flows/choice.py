"""Reading one of a few words."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from tailrace.errors import DefinitionError
from tailrace.flows.findings import meant

E = TypeVar("E", bound=StrEnum)


def choice(kind: type[E], value: str, field: str) -> E:
    """Return the member of ``kind`` that ``value`` names.

    Raises:
        DefinitionError: it names none; the message lists them.
    """
    try:
        return kind(value)
    except ValueError:
        known = [member.value for member in kind]
        raise DefinitionError(
            f"{field} is {value!r}; allowed: {', '.join(known)}{meant(str(value), known)}",
            code="TR136",
        ) from None
