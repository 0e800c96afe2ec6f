"""Words for kinds of failure: categories, classes and exception types by name."""

from __future__ import annotations

import builtins
from collections.abc import Collection
from itertools import chain

from tailrace.model import ErrorCategory, FailureClass
from tailrace.model.policy import name_of_type

CATEGORIES = tuple(
    category.value for category in ErrorCategory if category is not ErrorCategory.CANCELLED
)
"""Categories that a policy may name; a cancelled attempt is never tried again."""
CLASSES = tuple(
    kind.value
    for kind in FailureClass
    if kind.value not in CATEGORIES and kind is not FailureClass.CANCELLED
)
"""Classes that a policy may name. A word that is a category, too, means the category."""
_RESERVED = frozenset({*CATEGORIES, *CLASSES})


def names_of(kind: type[BaseException]) -> tuple[str, ...]:
    """Return the qualified names of an exception type and of its bases, nearest first."""
    return tuple(name_of_type(base) for base in kind.__mro__ if issubclass(base, BaseException))


def is_type_name(word: str) -> bool:
    """Return whether a word can be the name of an exception type.

    A plain name needs a capital letter, so that a misspelt category is found; a dotted one not.
    """
    parts = word.split(".")
    return all(part.isidentifier() for part in parts) and (len(parts) > 1 or word != word.lower())


def is_named(
    words: Collection[str], category: str, class_: str, type_names: Collection[str]
) -> bool:
    """Return whether one of the words means a failure.

    Args:
        words: categories, classes or names of types; ``transient`` means timeouts, too.
        category: of the failure.
        class_: of the failure; empty when it is not known.
        type_names: its qualified type, and those of its bases where they are known.
    """
    if category in words or (category == "timeout" and "transient" in words):
        return True
    if class_ in words and class_ not in CATEGORIES:
        return True
    types = set(words) - _RESERVED
    return bool(types) and not types.isdisjoint(chain.from_iterable(map(_spellings, type_names)))


def _spellings(name: str) -> Collection[str]:
    """Return a qualified name, its last part, and the bases of what is built in."""
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, BaseException):
        return names_of(kind)
    return (name, name.rpartition(".")[2])
