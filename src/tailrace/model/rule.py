"""Rules with which users say what failures mean. ``failures`` asks them before its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct, field

from tailrace.errors import DefinitionError
from tailrace.model.failure import FailureClass
from tailrace.model.states import ErrorCategory

_MAX_LABEL = 64
_CONDITIONS = ("type", "attribute", "message", "callable")


class Rule(Struct, frozen=True, kw_only=True):
    """What failures of one kind mean. All conditions that are given must hold; one must be given.

    Raises:
        DefinitionError: a field cannot be what it is, or there is no condition (TR320).
    """

    category: str
    """A value of ``ErrorCategory``. ``permanent`` and ``cancelled`` forbid every other attempt."""
    class_: str = ""
    """A value of ``FailureClass``; empty: as it would be without the rule."""
    type: str = ""
    """Name of the exception's type or of one it inherits from; qualified (``httpx.ReadTimeout``)
    or plain (``ReadTimeout``)."""
    attribute: Mapping[str, Any] = field(default_factory=dict)
    """Attributes and their values, such as ``{"code": "55P03"}``; a name may have dots."""
    message: str = ""
    """Regular expression, looked for in the first 2,048 characters of the message."""
    callable: Callable[[BaseException], object] | str | None = None
    """Takes the exception and returns whether the rule is meant; as text, ``module:function``."""
    fingerprint: str = ""
    """Name of the group that these failures form; ``{{default}}`` stands for the usual one."""
    retry_after: float | None = None
    """Seconds to wait at least, where the failure itself does not say it."""
    name: str = ""
    """Shown with every failure that it decided on; the first condition where it is empty."""

    def __post_init__(self) -> None:
        problem = next(_problems(self), None)
        if problem is not None:
            raise DefinitionError(
                f"a rule for failures is wrong: {problem}",
                code="TR320",
                hint="Mend that field of the rule.",
                details={"problem": problem},
            )

    def __hash__(self) -> int:
        """Return a hash without the attributes, which have none."""
        return hash((self.category, self.type, self.message, self.callable, self.name))

    @property
    def label(self) -> str:
        """What the rule is called: its name, or its first condition; at most 64 characters."""
        label = self.name or self.type or self.message
        if not label and self.attribute:
            label = " ".join(f"{key}={value}" for key, value in self.attribute.items())
        if not label:
            label = getattr(self.callable, "__qualname__", None) or str(self.callable)
        return label[:_MAX_LABEL]

    def as_table(self) -> dict[str, Any]:
        """Return the rule as it stands in ``tailrace.toml``, empty fields left out."""
        table: dict[str, Any] = {}
        for key in KEYS:
            value = getattr(self, _FIELDS.get(key, key))
            if callable(value):
                value = f"{value.__module__}:{value.__qualname__}"
            if value not in ("", None, {}):
                table[key] = value
        return table


_FIELDS = {"class": "class_"}
KEYS = tuple("class" if name == "class_" else name for name in Rule.__struct_fields__)
"""The keys of a rule in ``tailrace.toml``."""


def read_rule(table: object) -> Rule:
    """Return the rule that a table of ``tailrace.toml`` holds.

    Raises:
        ValueError: it is none; the text says which key is wrong, the value seen and what is right.
    """
    if not isinstance(table, dict):
        raise ValueError(f"{table!r} is no table")  # noqa: TRY004 - one kind of problem
    for key in table:
        if key not in KEYS:
            raise ValueError(f"unknown key {key!r} (known: {', '.join(KEYS)}){meant(key, KEYS)}")
    if "category" not in table:
        known = ", ".join(ErrorCategory)
        raise ValueError(f"there is no category; say what it means (one of {known})")
    values: dict[str, Any] = dict(table)
    values["class_"] = values.pop("class", "")
    try:
        return Rule(**values)
    except DefinitionError as error:
        raise ValueError(error.details["problem"]) from error


def meant(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean …?`` with the nearest known word, or nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - only where a word is wrong

    near = get_close_matches(word, list(known), 1)
    return f"; did you mean {str(near[0])!r}?" if near else ""


def _problems(rule: Rule) -> Iterator[str]:
    yield from _wrong_word("category", rule.category, tuple(ErrorCategory))
    if rule.class_ != "":
        yield from _wrong_word("class", rule.class_, tuple(FailureClass))
    for name in ("type", "message", "fingerprint", "name"):
        value = getattr(rule, name)
        if not isinstance(value, str):
            yield f"{name} is {value!r}; it must be a text"
    if not isinstance(rule.attribute, Mapping) or not all(
        isinstance(key, str) and key for key in rule.attribute
    ):
        yield f"attribute is {rule.attribute!r}; it must be a table of names and values"
    yield from _wrong_pattern(rule.message)
    yield from _wrong_callable(rule.callable)
    wait = rule.retry_after
    if wait is not None and not _is_wait(wait):
        yield f"retry_after is {wait!r}; it must be seconds, 0 or more"
    if not any(getattr(rule, name) for name in _CONDITIONS):
        yield f"there is no condition; give at least one of {', '.join(_CONDITIONS)}"


def _wrong_word(name: str, word: object, known: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(word, str) or word not in known:
        near = meant(word, known) if isinstance(word, str) else ""
        allowed = ", ".join(str(value) for value in known)
        yield f"{name} is {word!r}; it must be one of {allowed}{near}"


def _wrong_pattern(pattern: str) -> Iterator[str]:
    try:
        re.compile(pattern)
    except re.error as error:
        yield f"message is {pattern!r}, which is no regular expression: {error}"


def _wrong_callable(value: object) -> Iterator[str]:
    if isinstance(value, str):
        module, colon, name = value.partition(":")
        if not (colon and _is_dotted(module) and _is_dotted(name)):
            yield f"callable is {value!r}; it must be module:function"
    elif value is not None and not callable(value):
        yield f"callable is {value!r}; it must be a function, or module:function"


def _is_dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _is_wait(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9
