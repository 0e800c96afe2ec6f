"""What is wrong with a policy: every problem at once, each with path, value and mend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from tailrace.errors import PolicyValidationError
from tailrace.model import OnError, Policy, Retry
from tailrace.model.policy import SYNONYMS
from tailrace.policy.durations import parse_duration
from tailrace.policy.fields import FIELDS, SECTIONS, WORDS, Field

_SHOWN = 60
_KINDS: Mapping[str, type] = {"": Policy, "retry": Retry, "on_error": OnError}
_TARGETED = frozenset({"goto", "fallback"})


class Problem(Struct, frozen=True):
    """One thing that is wrong with a policy."""

    code: str
    """``TR170`` value, ``TR171`` unknown key, ``TR172`` values that contradict each other,
    ``TR173`` something missing, ``TR174`` allowed but doubtful."""
    path: str
    """Such as ``tasks.load.policy.retry.delay``."""
    message: str
    """What is wrong, with path, value seen and what is allowed."""
    hint: str = ""
    """The smallest mend."""


class PolicyValidator:
    """Checks policies and builds them from plain mappings, with the same answers for both."""

    @staticmethod
    def validate(policy: Policy | Mapping[str, Any], path: str = "policy") -> None:
        """Return when the policy is in bounds.

        Raises:
            PolicyValidationError: it is not; ``errors`` lists every problem.
        """
        found = problems(policy, path)
        if found:
            raise PolicyValidationError([problem.message for problem in found], code=found[0].code)

    @staticmethod
    def from_dict(mapping: Mapping[str, Any] | Policy, path: str = "policy") -> Policy:
        """Return the policy that a mapping spells, as ``flow.yaml`` has it.

        A policy is returned as it is, once it is found to be in bounds.

        Raises:
            PolicyValidationError: it is out of bounds or has unknown keys; all problems at once.
        """
        PolicyValidator.validate(mapping, path)
        if isinstance(mapping, Policy):
            return mapping
        top: dict[str, Any] = dict(mapping)
        for name, kind in (("retry", Retry), ("on_error", OnError)):
            if isinstance(top.get(name), Mapping):
                top[name] = kind(**top[name])
        return Policy(**top)


def to_dict(policy: Policy) -> dict[str, Any]:
    """Return the mapping that ``PolicyValidator.from_dict`` turns into an equal policy.

    Only what was given is in it, as it was written; each field by its first word.
    """
    plain: dict[str, Any] = {}
    for name in SECTIONS[""]:
        if name in policy.given:
            value = getattr(policy, name)
            plain[name] = _fields_of(value) if isinstance(value, Retry | OnError) else value
    return plain


def _fields_of(section: Retry | OnError) -> dict[str, Any]:
    names = SECTIONS["retry" if isinstance(section, Retry) else "on_error"]
    return {name: getattr(section, name) for name in names if name in section.given}


def written(policy: Policy | Mapping[str, Any]) -> dict[str, Any]:
    """Return the values a policy gives, by dotted name; unknown keys and wrong shapes left out.

    A field that is given by two words has the value of its first word.
    """
    plain = to_dict(policy) if isinstance(policy, Policy) else policy
    flat: dict[str, Any] = {}
    for name, value in plain.items():
        if name in ("retry", "on_error"):
            inner = _fields_of(value) if isinstance(value, Retry | OnError) else value
            if isinstance(inner, Mapping):
                flat |= {f"{name}.{key}": item for key, item in _by_first_word(name, inner)}
        else:
            flat[name] = value
    return {name: value for name, value in flat.items() if name in FIELDS}


def _by_first_word(section: str, given: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    for word, value in given.items():
        name = SYNONYMS.get(word, word) if section == "retry" else word
        if name == word or name not in given:
            yield name, value


def _words(policy: Policy | Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
    """Return for each dotted field given by another word all words it is given by."""
    retry = policy.retry if isinstance(policy, Policy) else policy.get("retry")
    if isinstance(retry, Retry):
        return {f"retry.{name}": words for name, words in retry.words.items()}
    if not isinstance(retry, Mapping):
        return {}
    return {
        f"retry.{name}": (name, word) if name in retry else (word,)
        for word, name in SYNONYMS.items()
        if word in retry
    }


def problems(policy: Policy | Mapping[str, Any], path: str = "policy") -> list[Problem]:
    """Return every reason why a policy cannot be used; empty when it can.

    ``policy`` may be anything: what is no policy at all is one problem.
    """
    found = [*_shape(policy, path)]
    if isinstance(policy, Policy | Mapping):
        given, words = written(policy), _words(policy)
        wrong = {name for name, value in given.items() if not FIELDS[name].accepts(value)}
        found += [
            value_problem(FIELDS[name], f"{path}.{_spelt(name, words)}", given[name])
            for name in FIELDS
            if name in wrong
        ]
        found += _twice(words, path)
        sound = {name: value for name, value in given.items() if name not in wrong}
        found += _contradictions(sound, words, path)
        if "on_error.action" not in wrong:
            found += _on_error_problems(sound, path)
    return found


def cautions(policy: Policy | Mapping[str, Any], path: str = "policy") -> list[Problem]:
    """Return what is allowed but rarely meant. Nothing for a policy that has problems."""
    if problems(policy, path):
        return []
    given = written(policy)
    return [*_cautions(given, path)]


def _shape(policy: object, path: str) -> Iterator[Problem]:
    if isinstance(policy, Policy):
        for section in ("retry", "on_error"):
            if section in policy.given:
                yield from _section(getattr(policy, section), section, f"{path}.{section}")
        return
    yield from _section(policy, "", path)
    if isinstance(policy, Mapping):
        for section in ("retry", "on_error"):
            if section in policy:
                yield from _section(policy[section], section, f"{path}.{section}")


def _section(value: object, section: str, path: str) -> Iterator[Problem]:
    """Yield what is wrong with the shape of a policy, or of one section of it."""
    if isinstance(value, _KINDS[section]):
        return
    known = WORDS[section]
    if not isinstance(value, Mapping):
        example = f"a mapping with the keys {', '.join(SECTIONS[section])}"
        yield Problem("TR170", path, f"{path} is {shown(value)}; it must be {example}")
        return
    for key in value:
        if key not in known:
            listed = ", ".join(SECTIONS[section])
            near = _nearest(key, known)
            message = f"unknown key {shown(key)} in {path} (known: {listed}){_meant(near)}"
            hint = f"Write {near}." if near else f"Remove {shown(key)}."
            yield Problem("TR171", f"{path}.{_key(key)}", message, hint)


def _spelt(name: str, words: Mapping[str, tuple[str, ...]]) -> str:
    """Return a dotted name with the word the user wrote."""
    section, _, _ = name.rpartition(".")
    return f"{section}.{words[name][0]}" if name in words else name


def value_problem(field: Field, dotted: str, value: Any) -> Problem:
    """Return what is wrong with the value of a field; ``dotted`` is its path."""
    wrong = value
    if field.accepts_member is not None and isinstance(value, list | tuple):
        wrong = next((item for item in value if not field.accepts_member(item)), value)
    near = _nearest(wrong, field.choices) if field.choices else None
    if near is not None and near == value:  # the word is right, a list of it is wanted
        message = f"{dotted} is {value!r}; it must be {field.allowed}"
        return Problem("TR170", dotted, message, f"Write [{near!r}].")
    message = f"{dotted} is {shown(value)}; it must be {field.allowed}{_meant(near)}"
    return Problem("TR170", dotted, message, f"Write {near}." if near else "")


def _twice(words: Mapping[str, tuple[str, ...]], path: str) -> Iterator[Problem]:
    for name, spellings in words.items():
        if len(spellings) > 1:
            first, second = spellings
            dotted = f"{path}.{name.rpartition('.')[0]}.{second}"
            message = f"{dotted} is another word for {first}, which is given, too"
            yield Problem("TR172", dotted, message, f"Remove {second}.")


def _contradictions(
    given: Mapping[str, Any], words: Mapping[str, tuple[str, ...]], path: str
) -> Iterator[Problem]:
    for smaller, larger in (("timeout", "total_timeout"), ("retry.delay", "retry.max_delay")):
        low, high = _seconds(given, smaller), _seconds(given, larger)
        if low and high and low > high:
            dotted = f"{path}.{larger}"
            message = (
                f"{dotted} is {shown(given[larger])}; it must not be less than "
                f"{_spelt(smaller, words).rpartition('.')[2]}, which is {shown(given[smaller])}"
            )
            yield Problem("TR172", dotted, message, f"Write {given[smaller]} or more.")
    jitter = given.get("retry.jitter", "none")
    if jitter not in ("none", 0) and _seconds(given, "retry.delay") == 0:
        delay = _spelt("retry.delay", words).rpartition(".")[2]
        dotted = f"{path}.retry.jitter"
        message = f"{dotted} is {jitter!r}, but {delay} is 0, so there is nothing to vary"
        yield Problem("TR172", dotted, message, f"Give {delay} a length, or write jitter: none.")
    yield from _both_ways(given, words, path)


def _both_ways(
    given: Mapping[str, Any], words: Mapping[str, tuple[str, ...]], path: str
) -> Iterator[Problem]:
    wanted, final = given.get("retry.on") or (), given.get("retry.give_up_on") or ()
    both = sorted(set(wanted) & set(final))
    if both:
        dotted = f"{path}.retry.give_up_on"
        other = _spelt("retry.on", words).rpartition(".")[2]
        message = (
            f"{dotted} names {both[0]!r}, which {other} names, too; it cannot be retried and final"
        )
        yield Problem("TR172", dotted, message, f"Remove {both[0]} from one of the two.")


def _on_error_problems(given: Mapping[str, Any], path: str) -> Iterator[Problem]:
    prefix = f"{path}.on_error"
    action = given.get("on_error.action", "stop")
    target = given.get("on_error.target")
    if action in _TARGETED and target is None:
        message = f"{prefix}.action is {action!r}, but target is missing; it must name a node"
        yield Problem("TR173", f"{prefix}.target", message, "Add target: and the name of a node.")
    for name, actions in _USED_BY.items():
        given_value = given.get(f"on_error.{name}")
        is_given = f"on_error.{name}" in given and (name == "value" or given_value is not None)
        if is_given and action not in actions:
            listed = " or ".join(map(repr, actions))
            message = (
                f"{prefix}.{name} is {shown(given_value)}, but action is {action!r}; "
                f"{name} belongs to {listed}"
            )
            hint = f"Write action: {actions[0]}, or remove {name}."
            yield Problem("TR172", f"{prefix}.{name}", message, hint)


_USED_BY: Mapping[str, tuple[str, ...]] = {
    "target": ("goto", "fallback"),
    "value": ("continue",),
    "rejoin": ("goto",),
}


def _cautions(given: Mapping[str, Any], path: str) -> Iterator[Problem]:
    retries = given.get("retry.max_attempts", 0)
    if retries and not (given.get("timeout") or given.get("total_timeout")):
        message = (
            f"{path}.retry tries again, but no timeout is set; an attempt that hangs is never "
            "given up"
        )
        yield Problem("TR174", f"{path}.timeout", message, "Add timeout: 30s, or what suits it.")
    if retries and not _seconds(given, "retry.delay"):
        message = f"{path}.retry tries again at once; most causes need a moment to pass"
        yield Problem("TR174", f"{path}.retry.delay", message, "Add delay: 200ms.")
    if "retry.max_attempts" in given and not retries and len(_retry_fields(given)) > 1:
        message = f"{path}.retry.max_attempts is 0, so the rest of retry has no effect"
        yield Problem("TR174", f"{path}.retry.max_attempts", message, "Write max_attempts: 2.")


def _retry_fields(given: Mapping[str, Any]) -> list[str]:
    return [name for name in given if name.startswith("retry.")]


def _seconds(given: Mapping[str, Any], name: str) -> float | None:
    value = given.get(name)
    return None if value is None else parse_duration(value)


def shown(value: object) -> str:
    """Return the value as a message shows it, bounded; never raises."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a foreign object's own code may raise anything
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _key(key: object) -> str:
    return key if isinstance(key, str) else shown(key)


def _nearest(value: object, known: tuple[str, ...]) -> str | None:
    import difflib  # noqa: PLC0415 - only where something is wrong

    if not isinstance(value, str):
        return None
    found = difflib.get_close_matches(value.lower().replace("-", "_"), known, 1)
    return found[0] if found else None


def _meant(near: str | None) -> str:
    return f"; did you mean {near!r}?" if near else ""
