"""Rules of users and of plug-ins: what they match, what they say, and what broken ones do."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import DefinitionError, SettingsError
from tailrace.failures import (
    Permanent,
    Verdict,
    capture,
    classifier_faults,
    classify,
    rules,
    use_rules,
)
from tailrace.model import ErrorCategory, FailureClass
from tailrace.model.rule import KEYS, Rule, read_rule


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Leave the process without rules and without the plug-ins of a test."""
    yield
    use_rules([])
    rules._plugins = None
    rules._faults.clear()


class SlotTaken(Exception):
    code = "55P03"


class OneSlotTaken(SlotTaken):
    pass


QUALIFIED = f"{__name__}.SlotTaken"


@pytest.mark.parametrize(
    ("conditions", "is_meant"),
    [
        ({"type": QUALIFIED}, True),
        ({"type": "SlotTaken"}, True),
        ({"type": "Taken"}, False),
        ({"type": "elsewhere.SlotTaken"}, False),
        ({"type": "Exception"}, True),
        ({"type": "builtins.Exception"}, True),
        ({"attribute": {"code": "55P03"}}, True),
        ({"attribute": {"code": "55P04"}}, False),
        ({"attribute": {"response.status": 409}}, True),
        ({"attribute": {"response.status": "409"}}, True),
        ({"attribute": {"response.missing": 409}}, False),
        ({"attribute": {"code": "55P03", "response.status": 404}}, False),
        ({"message": r"slot \d+"}, True),
        ({"message": r"^\d"}, False),
        ({"callable": lambda error: error.response.status == 409}, True),
        ({"callable": lambda _: False}, False),
        ({"type": "SlotTaken", "message": "slot", "attribute": {"code": "55P03"}}, True),
        ({"type": "SlotTaken", "message": "lost"}, False),
    ],
)
def test_a_rule_is_meant_when_all_its_conditions_hold(conditions: Any, is_meant: Any) -> None:
    error = OneSlotTaken("slot 7 is taken")
    error.response = SimpleNamespace(status=409)  # type: ignore[attr-defined]
    verdict = classify(error, [Rule(category="transient", **conditions)])
    assert verdict.rule.startswith("rule:") is is_meant
    assert verdict.category == ("transient" if is_meant else "permanent")


def test_the_first_rule_that_is_meant_wins_and_those_of_the_call_come_first() -> None:
    use_rules(
        [
            Rule(type="SlotTaken", category="timeout", name="first of the project"),
            Rule(type="Exception", category="permanent", name="second of the project"),
        ]
    )
    error = SlotTaken("x")
    assert classify(error).rule == "rule:first of the project"
    given_here = [Rule(type="SlotTaken", category="transient", name="of the task")]
    assert classify(error, given_here).rule == "rule:of the task"
    assert classify(ValueError()).rule == "rule:second of the project"
    use_rules([])
    assert classify(error).rule == "unknown"


def test_what_an_exception_says_of_itself_comes_before_any_rule() -> None:
    rule = Rule(type="Permanent", category="transient")
    assert classify(Permanent("no"), [rule]).rule == "explicit"


def test_a_rule_comes_before_what_we_know_of_a_type_and_leaves_the_class_as_it_was() -> None:
    verdict = classify(ValueError(), [Rule(type="ValueError", category="transient")])
    assert (verdict.category, verdict.class_) == ("transient", "validation")
    classed = [Rule(type="ValueError", category="transient", class_="throttled", retry_after=3)]
    verdict = classify(ValueError(), classed)
    assert (verdict.class_, verdict.retry_after) == ("throttled", 3)


def test_the_other_sides_own_wish_to_wait_goes_before_the_rules() -> None:
    error = SlotTaken()
    error.retry_after = 9  # type: ignore[attr-defined]
    rule = Rule(type="SlotTaken", category="transient", retry_after=3)
    assert classify(error, [rule]).retry_after == 9.0


def test_a_rule_that_says_permanent_forbids_another_try() -> None:
    assert classify(SlotTaken(), [Rule(type="SlotTaken", category="permanent")]).is_refused
    assert not classify(SlotTaken(), [Rule(type="SlotTaken", category="unknown")]).is_refused


def test_a_rule_may_name_the_group_of_its_failures() -> None:
    rule = Rule(type="Exception", category="unknown", fingerprint="billing")
    assert (
        capture(SlotTaken(), rules=[rule]).fingerprint
        == capture(KeyError(), rules=[rule]).fingerprint
    )
    default = Rule(type="Exception", category="unknown", fingerprint="{{default}}-eu")
    found = {capture(error, rules=[default]).fingerprint for error in (SlotTaken(), KeyError())}
    assert len(found) == 2


def test_members_of_a_group_and_causes_are_asked_for_by_the_rules_too() -> None:
    rule = Rule(type="SlotTaken", category="transient", name="busy")
    assert classify(ExceptionGroup("x", [SlotTaken()]), [rule]).rule == "group:rule:busy"
    error = RuntimeError()
    error.__cause__ = SlotTaken()
    assert classify(error, [rule]).rule == "cause:rule:busy"


def test_a_rule_whose_callable_raises_is_skipped_and_counted() -> None:
    def broken(_: BaseException) -> bool:
        raise KeyError("no")

    def leaving(_: BaseException) -> bool:
        raise SystemExit(3)

    use_rules(
        [
            Rule(callable=broken, category="permanent", name="broken"),
            Rule(callable=leaving, category="permanent", name="leaving"),
            Rule(type="SlotTaken", category="transient"),
        ]
    )
    assert classify(SlotTaken()).rule == "rule:SlotTaken"
    assert classify(SlotTaken()).rule == "rule:SlotTaken"
    assert classifier_faults() == {"rule:broken": 2, "rule:leaving": 2}


def test_the_callable_of_a_rule_may_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "billing_errors.py").write_text("def is_busy(error): return 'busy' in str(error)\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        use_rules([Rule(callable="billing_errors:is_busy", category="transient")])
        assert classify(Exception("busy")).rule == "rule:billing_errors:is_busy"
        assert classify(Exception("idle")).rule == "unknown"
    finally:
        sys.modules.pop("billing_errors", None)


@pytest.mark.parametrize(
    ("reference", "part"),
    [
        ("no_such_module_of_ours:x", "No module named"),
        ("json:no_such", "no attribute 'no_such'"),
        ("json:__name__", "cannot be called"),
    ],
)
def test_a_callable_that_cannot_be_loaded_is_said_at_the_start(reference: Any, part: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        use_rules([Rule(callable=reference, category="transient")])
    assert caught.value.code == "TR195"
    assert reference in caught.value.message
    assert part in caught.value.message


@pytest.mark.parametrize(
    ("table", "part"),
    [
        ({"type": "X"}, "there is no category; say what it means (one of transient, permanent"),
        ({"category": "transiant", "type": "X"}, "did you mean 'transient'?"),
        ({"category": "transient", "type": "X", "class": "netwrk"}, "did you mean 'network'?"),
        ({"category": "transient"}, "there is no condition; give at least one of type, attribute"),
        ({"category": "transient", "typ": "X"}, "unknown key 'typ'"),
        ({"category": "transient", "message": "("}, "no regular expression"),
        ({"category": "transient", "callable": "nothing"}, "it must be module:function"),
        ({"category": "transient", "callable": 3}, "it must be a function"),
        ({"category": "transient", "type": 3}, "type is 3; it must be a text"),
        ({"category": "transient", "attribute": 3}, "it must be a table of names and values"),
        ({"category": "transient", "type": "X", "retry_after": -1}, "seconds, 0 or more"),
        ({"category": "transient", "type": "X", "retry_after": True}, "seconds, 0 or more"),
        ({"category": ["transient"], "type": "X"}, "category is ['transient']"),
        (3, "3 is no table"),
    ],
    ids=repr,
)
def test_what_is_wrong_with_a_rule_is_said_with_the_value_and_what_is_allowed(
    table: Any, part: Any
) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        read_rule(table)
    assert part in str(caught.value)


def test_a_rule_can_be_sent_to_another_process() -> None:
    rule = Rule(type="X", attribute={"code": 3}, callable="pkg.errors:is_busy", category="timeout")
    assert pickle.loads(pickle.dumps(rule)) == rule  # noqa: S301 - our own
    use_rules([Rule(type="X", category="timeout")])
    assert rules.rules_in_use() == (Rule(type="X", category="timeout"),)


def test_a_rule_made_in_python_is_checked_too() -> None:
    with pytest.raises(DefinitionError) as caught:
        Rule(category="sometimes", type="X")
    assert caught.value.code == "TR320"
    assert "category is 'sometimes'; it must be one of transient" in caught.value.message


@given(
    st.fixed_dictionaries(
        {"category": st.sampled_from(ErrorCategory), "type": st.just("pkg.Error")},
        optional={
            "class": st.sampled_from(FailureClass),
            "message": st.just("^x"),
            "attribute": st.dictionaries(st.text(min_size=1), st.integers(), min_size=1),
            "fingerprint": st.text(min_size=1),
            "name": st.text(min_size=1),
            "retry_after": st.floats(0, 1e8),
            "callable": st.just("pkg.errors:is_busy"),
        },
    )
)
def test_a_rule_is_written_back_as_it_was_read(table: Any) -> None:
    assert set(table) <= set(KEYS)
    assert read_rule(table).as_table() == table


class Entry:
    """An entry point."""

    def __init__(self, name: str, classifier: Any) -> None:
        self.name = name
        self.value = f"{name}:classify"
        self._classifier = classifier

    def load(self) -> Any:
        if isinstance(self._classifier, Exception):
            raise self._classifier
        return self._classifier


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(**classifiers: Any) -> None:
        entries = [Entry(name, classifier) for name, classifier in classifiers.items()]
        monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: entries)
        rules._plugins = None

    return use


def test_plugins_are_asked_after_the_rules_in_the_order_of_their_names(install: Any) -> None:
    install(
        zeta=lambda _: "permanent",
        alpha=lambda error: "transient" if "slot" in str(error) else None,
    )
    assert classify(SlotTaken("slot")).rule == "plugin:alpha"
    verdict = classify(SlotTaken("other"))
    assert (verdict.rule, verdict.category, verdict.is_refused) == (
        "plugin:zeta",
        "permanent",
        True,
    )
    assert classify(SlotTaken(), [Rule(type="SlotTaken", category="timeout")]).category == "timeout"


def test_a_plugin_may_give_a_whole_verdict(install: Any) -> None:
    whole = Verdict(ErrorCategory.TRANSIENT, "slots", retry_after=4, class_=FailureClass.THROTTLED)
    install(slots=lambda _: whole)
    verdict = classify(SlotTaken())
    assert verdict == whole._replace(rule="plugin:slots:slots")


def test_a_plugin_that_raises_or_answers_nonsense_is_skipped_and_counted(install: Any) -> None:
    def raising(_: BaseException) -> str:
        raise RuntimeError("broken plug-in")

    install(
        absent=ImportError("no module"),
        broken=raising,
        odd=lambda _: "sometimes",
        strange=lambda _: 3,
        works=lambda _: "transient",
    )
    assert classify(SlotTaken()).rule == "plugin:works"
    assert classifier_faults() == {
        "plugin:absent": 1,
        "plugin:broken": 1,
        "plugin:odd": 1,
        "plugin:strange": 1,
    }


def test_plugins_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def entry_points(*, group: str) -> list[Entry]:
        asked.append(group)
        return []

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    rules._plugins = None
    classify(SlotTaken())
    classify(SlotTaken())
    assert asked == ["tailrace.classifiers"]
