"""Rules of users and of plug-ins, asked before the rules of our own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from tailrace.errors import SettingsError
from tailrace.failures.types import names_of
from tailrace.failures.verdict import Verdict
from tailrace.model import ErrorCategory, FailureClass

if TYPE_CHECKING:
    from tailrace.model.rule import Rule

GROUP = "tailrace.classifiers"
"""Entry point group of classifiers: callables that take an exception and return a ``Verdict``, the
value of an ``ErrorCategory``, or None where they have no answer."""
_MAX_TEXT = 2048
_MAX_RULE = 128
_REFUSED = frozenset({ErrorCategory.PERMANENT, ErrorCategory.CANCELLED})

Classifier = Callable[[BaseException], Verdict | str | None]


class _Matcher:
    """A rule made ready: pattern compiled, callable found, verdict made."""

    __slots__ = ("_attributes", "_callable", "_pattern", "_type", "rule", "verdict")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._type = rule.type
        self._attributes = [
            (attrgetter(name), wanted, isinstance(wanted, str))
            for name, wanted in rule.attribute.items()
        ]
        self._pattern = re.compile(rule.message) if rule.message else None
        named = rule.callable
        self._callable = _load(named) if isinstance(named, str) else named
        category = ErrorCategory(rule.category)
        self.verdict = Verdict(
            category,
            f"rule:{rule.label}",
            category in _REFUSED,
            rule.retry_after,
            FailureClass(rule.class_ or FailureClass.UNKNOWN),
            rule.fingerprint,
        )

    def is_about(self, names: Iterable[str]) -> bool:
        """Tell whether the rule can be meant for a type with these names in its ancestry."""
        wanted = self._type
        if not wanted:
            return True
        if "." in wanted:
            return wanted.removeprefix("builtins.") in names
        return any(name == wanted or name.endswith(f".{wanted}") for name in names)

    def matches(self, error: BaseException) -> bool:
        """Tell whether the other conditions hold. May raise what foreign code raises."""
        for get, wanted, is_text in self._attributes:
            try:
                value = get(error)
            except AttributeError:
                return False
            if value != wanted and not (is_text and str(value) == wanted):
                return False
        if self._pattern is not None and self._pattern.search(str(error)[:_MAX_TEXT]) is None:
            return False
        return self._callable is None or bool(self._callable(error))


class _Rules:
    """Rules in order, and per type those that can be meant for it."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.matchers = tuple(_Matcher(rule) for rule in rules)
        self._by_type: WeakKeyDictionary[type, list[_Matcher]] = WeakKeyDictionary()

    def judge(self, error: BaseException) -> Verdict | None:
        """Return the verdict of the first rule that is meant."""
        kind = type(error)
        matchers = self._by_type.get(kind)
        if matchers is None:
            names = names_of(kind)
            matchers = [matcher for matcher in self.matchers if matcher.is_about(names)]
            self._by_type[kind] = matchers
        for matcher in matchers:
            try:
                if matcher.matches(error):
                    return matcher.verdict
            except (Exception, SystemExit):  # noqa: BLE001 - a condition may raise anything
                _faults[matcher.verdict.rule] += 1
        return None


class _Plugin(NamedTuple):
    name: str
    classifier: Classifier


_faults: Counter[str] = Counter()
_installed: _Rules | None = None
_plugins: tuple[_Plugin, ...] | None = None


def use_rules(rules: Iterable[Rule]) -> None:
    """Take the rules of the project, in place of those given before.

    Raises:
        SettingsError: the callable of a rule cannot be loaded (TR195).
    """
    global _installed  # noqa: PLW0603 - one process has one set of rules, as it has one settings tree
    found = _Rules(rules)
    _installed = found if found.matchers else None


def rules_in_use() -> tuple[Rule, ...]:
    """Return the rules of the project, as ``use_rules`` took them."""
    return () if _installed is None else tuple(matcher.rule for matcher in _installed.matchers)


def classifier_faults() -> dict[str, int]:
    """Return how often each rule or plug-in raised, or gave no valid answer, and was skipped."""
    return dict(_faults)


def judge(error: BaseException, rules: Sequence[Rule] = ()) -> Verdict | None:
    """Return the verdict of the first rule that is meant: given here, the project's, a plug-in's.

    A rule or a plug-in that raises is skipped and counted.
    """
    if rules:
        verdict = _prepared(tuple(rules)).judge(error)
        if verdict is not None:
            return verdict
    if _installed is not None:
        verdict = _installed.judge(error)
        if verdict is not None:
            return verdict
    for plugin in _plugins if _plugins is not None else _load_plugins():
        verdict = _ask(plugin, error)
        if verdict is not None:
            return verdict
    return None


@lru_cache(maxsize=256)
def _prepared(rules: tuple[Rule, ...]) -> _Rules:
    return _Rules(rules)


def _ask(plugin: _Plugin, error: BaseException) -> Verdict | None:
    rule = f"plugin:{plugin.name}"
    try:
        answer = plugin.classifier(error)
        if answer is None:
            return None
        if isinstance(answer, Verdict):
            name = f"{rule}:{answer.rule}" if answer.rule else rule
            category, class_ = ErrorCategory(answer.category), FailureClass(answer.class_)
            return answer._replace(category=category, class_=class_, rule=name[:_MAX_RULE])
        category = ErrorCategory(answer)
    except (Exception, SystemExit):  # noqa: BLE001 - a plug-in may raise anything
        _faults[rule] += 1
        return None
    return Verdict(category, rule, category in _REFUSED)


def _load_plugins() -> tuple[_Plugin, ...]:
    """Load the plug-ins, once per process, when the first failure is looked at."""
    global _plugins  # noqa: PLW0603 - as above
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow to import

    found = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        try:
            classifier = entry.load()
        except (Exception, SystemExit):  # noqa: BLE001 - a plug-in may raise anything
            _faults[f"plugin:{entry.name}"] += 1
        else:
            found.append(_Plugin(entry.name, classifier))
    _plugins = tuple(found)
    return _plugins


def _load(reference: str) -> Callable[[BaseException], object]:
    from importlib import import_module  # noqa: PLC0415 - only where a rule names a function

    module, _, name = reference.partition(":")
    try:
        found = attrgetter(name)(import_module(module))
    except (Exception, SystemExit) as error:
        raise SettingsError(
            f"the rule's callable {reference!r} cannot be loaded: {error}",
            code="TR195",
            hint="Name it as module:function, in a module that can be imported here.",
        ) from error
    if not callable(found):
        raise SettingsError(
            f"the rule's callable {reference!r} is {found!r}, which cannot be called",
            code="TR195",
            hint="Name a function that takes the exception.",
        )
    return found  # type: ignore[no-any-return]  # whatever can be called
