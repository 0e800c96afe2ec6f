"""Why a run did not end well: facts first, then their forms as dict, JSON, Markdown and text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct, field

_GAP = "   ·   "
_DEPTH = 32
_BREAKS = re.compile(r"\s*[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+\s*")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&])")


class RuntimeExecutionReport(Struct, kw_only=True):
    """What is known about a run that failed or was cancelled.

    Made empty by the caller and filled by the runtime: ``FlowRuntime.run(flow, report=report)``.
    What is not known stays empty and is left out of the text forms. Values of inputs are
    summaries, bounded and redacted.
    """

    trace_id: str = ""
    """Id of the run, 32 hex digits."""
    failed_node_id: str | None = None
    """Name of the node whose failure ended the run."""
    summary: str = ""
    """One sentence: the reason."""
    policy_snapshot: Mapping[str, Any] = field(default_factory=dict)
    """The node's policy; durations in seconds."""
    context_digest: Mapping[str, Any] = field(default_factory=dict)
    """``params`` as summaries and the names of ``results``."""
    flow: str = ""
    status: str = ""
    """A value of ``RunStatus``."""
    node_path: str | None = None
    """With loop iterations, such as ``each[3].load``."""
    attempt: int = 0
    """Number of the last attempt, from 1; 0 when none is known."""
    attempts: int = 0
    """Attempts the policy allowed, the first included."""
    error_type: str = ""
    error_message: str = ""
    category: str = ""
    """A value of ``ErrorCategory``."""
    error_class: str = ""
    """A value of ``FailureClass``: finer than the category."""
    rule: str = ""
    """The rule of classification that decided, such as ``type:TimeoutError``."""
    given_up: str = ""
    """Why nothing tried again: a value of ``LetterReason``; empty where nothing was to try."""
    failure_id: str = ""
    """``F-`` and 26 characters; the same from the first raise to the end."""
    fingerprint: str = ""
    """Equal for failures of one kind at one place."""
    fingerprint_template: str = ""
    """As ``fingerprint``, with the message in it, ids and numbers taken out."""
    cause_chain: list[str] = field(default_factory=list)
    """``Type: message`` of each cause, nearest first."""
    children: list[str] = field(default_factory=list)
    """``Type: message`` of each member of an exception group."""
    location: str = ""
    """``file:line`` of the innermost frame of the user's own code."""
    source_line: str = ""
    input_summary: dict[str, Any] = field(default_factory=dict)
    """Inputs of the failed node by parameter."""
    seen_before: dict[str, Any] = field(default_factory=dict)
    """``count``, ``first`` and ``last`` of equal failures before this run, and ``last_success``
    of the flow (ISO instants)."""
    trail: list[dict[str, Any]] = field(default_factory=list)
    """The scopes the failure reached, innermost first: ``level``, ``path``, ``directive``,
    ``policy``, ``reason`` and ``at`` (ISO instant)."""
    dead_letter: str = ""
    """Id of the letter that keeps the work for a redrive; empty when there is none."""
    resumable: bool = False
    next_steps: list[str] = field(default_factory=list)
    """Commands to type next."""
    policy: str = ""
    """The node's policy in one line."""

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON-able data."""
        return {name: _plain(getattr(self, name), 0) for name in self.__struct_fields__}

    def to_json(self) -> str:
        """Return indented JSON of all fields."""
        text = json.dumps(self.to_dict(), ensure_ascii=False, indent=2, allow_nan=False)
        return text.encode("utf-8", "backslashreplace").decode()

    def to_text(self) -> str:
        """Return the failure block: a title, then one indented ``name: value`` line per fact."""
        lines = [f"  {name}: {_one_line(value)}" for name, value in self._facts()]
        return "\n".join([self._title(), *lines])

    def to_markdown(self) -> str:
        """Return a Markdown document; user data in it is escaped."""
        parts = [f"# {_escaped(self._title().removesuffix('.'))}", ""]
        facts = [(name, value) for name, value in self._facts() if name != "next"]
        if self.flow:
            facts.insert(0, ("flow", self.flow))
        if facts:
            parts += ["| fact | value |", "|---|---|"]
            parts += [f"| {_escaped(name)} | {_code(value)} |" for name, value in facts]
        if self.cause_chain:
            parts += ["", "## Causes", ""]
            parts += [f"{count}. {_code(cause)}" for count, cause in enumerate(self.cause_chain, 1)]
        if self.children:
            parts += ["", "## Members", ""]
            parts += [f"- {_code(member)}" for member in self.children]
        if self.next_steps:
            parts += ["", "## Next steps", ""]
            parts += [f"- {_code(step)}" for step in self.next_steps]
        return "\n".join(parts) + "\n"

    def _title(self) -> str:
        return "Flow cancelled." if self.status == "CANCELLED" else "Flow failed."

    def _facts(self) -> Iterator[tuple[str, str]]:
        facts = (
            ("trace_id", self.trace_id),
            ("failed_node", self.node_path or self.failed_node_id or ""),
            ("reason", self.summary),
            ("category", _verdict(self.category, self.error_class, self.rule)),
            ("policy", self.policy),
            ("at", f"{self.location}  {self.source_line}".rstrip()),
            ("caused by", " <- ".join(self.cause_chain)),
            ("input", ", ".join(_inputs(self.input_summary))),
            ("seen before", _seen(self.seen_before, self.fingerprint)),
            ("dead letter", self.dead_letter),
            ("next", _GAP.join(self.next_steps)),
        )
        return ((name, value) for name, value in facts if value)


def _inputs(summaries: Mapping[str, Any]) -> Iterator[str]:
    for name, value in summaries.items():
        shown = value if isinstance(value, str) else json.dumps(_plain(value, 0))
        yield f"{name}={shown}"


def _verdict(category: str, class_: str, rule: str) -> str:
    """Return such as ``transient (timeout), rule type:TimeoutError``."""
    finer = f" ({class_})" if class_ and class_ not in (category, "unknown") else ""
    why = f", rule {rule}" if rule else ""
    return f"{category}{finer}{why}" if category else ""


def _seen(seen: Mapping[str, Any], fingerprint: str) -> str:
    """Return such as ``4 times since 2026-11-18, last success 2026-11-17, fingerprint v1:…``.

    Without a count nobody looked, and nothing is claimed.
    """
    count = seen.get("count")
    parts = []
    if count:
        since = f" since {_day(seen['first'])}" if seen.get("first") else ""
        parts.append(f"{count:,} time{'' if count == 1 else 's'}{since}")
    elif count is not None and (seen.get("last_success") or fingerprint):
        parts.append("never")
    if seen.get("last_success"):
        parts.append(f"last success {_day(seen['last_success'])}")
    if parts and fingerprint:
        parts.append(f"fingerprint {fingerprint}")
    return ", ".join(parts)


def _day(instant: Any) -> str:
    return str(instant)[:10]


def _one_line(text: str) -> str:
    return _BREAKS.sub(" ⏎ ", text.strip())


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", _one_line(text))


def _code(text: str) -> str:
    """Return a code span that holds the text, whatever backticks and pipes are in it."""
    text = _one_line(text)
    runs: Iterable[str] = re.findall(r"`+", text)
    fence = "`" * (1 + max((len(run) for run in runs), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")


def _plain(value: Any, depth: int) -> Any:
    """Return the value made of what JSON knows; what it lacks becomes text."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return value
        case _ if depth > _DEPTH:
            return "…"
        case Mapping():
            return {str(key): _plain(item, depth + 1) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item, depth + 1) for item in value]
        case _:
            return f"<{type(value).__name__}>"
