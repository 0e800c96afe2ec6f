"""What must never be shown: secret values, and names and texts that give a secret away."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Generic, TypeVar

from tailrace.errors import SettingsError

REDACTED = "[redacted]"
"""What stands where a secret was."""

T_co = TypeVar("T_co", covariant=True)

_WORDS = (
    r"passw(?:or)?d|passphrase|secret|token(?!i[sz])|api[_-]?key|authorization|cookie"
    r"|credential|private[_-]?key|access[_-]?key|session[_-]?(?:id|key)|bearer|jwt"
)
_NAMES = re.compile(rf"{_WORDS}|(?:^|[_-])(?:pwd|auth)$", re.IGNORECASE)
_HINTS = (
    "pass", "secret", "token", "key", "auth", "cookie", "credential", "session", "bearer", "jwt",
    "pwd",
)  # fmt: skip
"""A text without one of these, in any case, has no name in it that ``_NAMES`` knows."""
_WINDOW = 4096
"""Characters of a text that are looked at; no summary shows more."""
_SHORTEST_KEY = 15
"""Characters of the shortest text that ``_token`` matches."""
_SHORTEST_TOKEN = 12
"""A shorter value after ``token:`` is a word that a parser did not expect."""
_MAX_NAMES = 4096

_MOST_VALUES = 256
_SHORTEST_VALUE = 6

_values: dict[str, None] = {}
_rules: re.Pattern[str] | None = None
_known: dict[str, bool] = {}


class Secret(Generic[T_co]):
    """A value that is never shown: ``repr``, ``str``, traces and reports say ``[redacted]``.

    ``Secret(value)`` wraps a value; as an annotation, ``Secret[str]``. The value itself comes from
    ``reveal()``. No checkpoint stores it, unless a task asks for pickle.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T_co) -> None:
        self._value = value
        hide(value)

    def reveal(self) -> T_co:
        """Return the value."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({REDACTED})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and bool(self._value == other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))


def use_rules(patterns: Sequence[str]) -> None:
    """Take regular expressions of further secret names, in place of those given before.

    Raises:
        SettingsError: one is no regular expression (TR193).
    """
    global _rules  # noqa: PLW0603 - one process has one set of rules, as it has one settings tree
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise SettingsError(
                f"redact: {pattern!r} is no regular expression: {error}",
                code="TR193",
                hint="Mend the pattern; a plain name such as iban is one, too.",
            ) from error
    joined = "|".join(f"(?:{pattern})" for pattern in patterns)
    _rules = re.compile(joined, re.IGNORECASE) if patterns else None
    _known.clear()


def is_secret(name: str, value: object) -> bool:
    """Return whether a value under this name must not be shown.

    Booleans and None are shown under any name, and numbers where the name counts tokens, as
    ``max_tokens`` does.
    """
    found = _known.get(name)
    if found is None:
        found = _remember(name)
    if not found or value is None or isinstance(value, bool):
        return False
    return not (isinstance(value, int | float) and "token" in name.casefold())


def _remember(name: str) -> bool:
    if len(_known) >= _MAX_NAMES:
        _known.clear()
    rules = _rules
    found = _NAMES.search(name) is not None or (rules is not None and bool(rules.search(name)))
    _known[name] = found
    return found


def hide(value: object) -> str:
    """Return what is shown for a secret value; texts are redacted of it from now on.

    Values of fewer than six characters are too likely to be part of an innocent word.
    """
    if isinstance(value, str) and _SHORTEST_VALUE <= len(value) <= _WINDOW:
        remember_values((value,))
    return REDACTED


def known_values() -> tuple[str, ...]:
    """Return the secret values that texts are redacted of; at most 256, the newest."""
    return tuple(_values)


def remember_values(values: Iterable[str]) -> None:
    """Redact texts of these values from now on."""
    for value in values:
        _values.pop(value, None)
        _values[value] = None
    while len(_values) > _MOST_VALUES:
        del _values[next(iter(_values))]


def redact_text(text: str) -> str:
    """Return the first 4,096 characters without what gives a secret away.

    Hidden are passwords in URLs, values of ``key=value`` pairs whose name is a secret's, keys and
    tokens of a well-known shape, and values that were hidden elsewhere.
    """
    if _values:
        for value in tuple(_values):
            text = text.replace(value, REDACTED)
    text = text[:_WINDOW]
    if "://" in text:
        text = _login().sub(rf"\1:{REDACTED}@", text)
    if ("=" in text or ":" in text) and _may_name_secret(text):
        text = _redact_pairs(text)
    if "earer " in text or "asic " in text:
        text = _bearer().sub(rf"\1 {REDACTED}", text)
    if len(text) >= _SHORTEST_KEY and _may_hold_token(text):
        text = _token().sub(REDACTED, text)
    return text


# The patterns below are made when a text first needs them: few runs have one that does.
@cache
def _key() -> re.Pattern[str]:
    return re.compile(r"""(?<![\w.-])([\w.-]{1,128}+)["']?\s{0,4}[=:]\s{0,4}""")


@cache
def _value() -> re.Pattern[str]:
    return re.compile(
        r"""(?:bearer|basic)\s+[^\s,;"'&]+|"[^"]*"?|'[^']*'?|[^\s,;&"']+""", re.IGNORECASE
    )


@cache
def _bearer() -> re.Pattern[str]:
    return re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)


@cache
def _login() -> re.Pattern[str]:
    return re.compile(r"(://[^\s/:@]{0,256}):[^\s/]{1,512}@")


@cache
def _token() -> re.Pattern[str]:
    """Keys of GitHub, Amazon, Slack and OpenAI, and JSON Web Tokens: known by their shape alone."""
    return re.compile(
        r"""
        gh(?<!\wgh)[oprsu]_\w{30,}
        | github_pat_(?<!\wgithub_pat_)\w{20,}
        | A[KS]IA(?<!\wA[KS]IA)[A-Z0-9]{16}(?!\w)
        | xox(?<!\wxox)[a-z](?:\.xox[a-z])?-[\w-]{10,}
        | eyJ(?<!\weyJ)[\w-]{5,512}\.[\w-]{5,}\.[\w-]*
        | sk-(?<!\wsk-)(?=[A-Za-z_-]{0,40}\d)[\w-]{20,}
        """,
        re.VERBOSE | re.ASCII,
    )


def _may_hold_token(text: str) -> bool:
    """Return False for nearly all texts without a token, at a tenth of what the search costs."""
    return (
        ("-" in text and ("sk-" in text or "xox" in text))
        or ("_" in text and ("gh" in text or "_pat_" in text))
        or ("." in text and "eyJ" in text)
        or "IA" in text
    )


def _may_name_secret(text: str) -> bool:
    if _rules is not None:
        return True
    folded = text.casefold()
    for hint in _HINTS:  # noqa: SIM110 - a generator takes three times as long
        if hint in folded:
            return True
    return False


def _redact_pairs(text: str) -> str:
    parts = []
    done = 0
    for key in _key().finditer(text):
        value = _value().match(text, key.end())
        if key.start() >= done and value is not None and _gives_away(key, value[0]):
            parts += [text[done : key.end()], REDACTED]
            done = value.end()
    return "".join((*parts, text[done:])) if parts else text


def _gives_away(key: re.Match[str], value: str) -> bool:
    name = key[1]
    if not is_secret(name, 0 if value.isdigit() else value):
        return False
    is_word = name.lower() == "token" and ":" in key[0] and len(value) < _SHORTEST_TOKEN
    return not is_word
