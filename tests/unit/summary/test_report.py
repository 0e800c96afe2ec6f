"""The report of a failed run in its four forms."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tailrace.model.report import RuntimeExecutionReport

FULL = RuntimeExecutionReport(
    trace_id="019aa0c4" * 4,
    flow="etl",
    status="FAILED",
    failed_node_id="transform",
    node_path="transform",
    summary="Retry max attempts exceeded (attempt 3 of 3): ValueError: bad row 17",
    policy="fail_fast=True, timeout=5s, retry=exponential(max_attempts=2, delay=500ms), "
    "on_error=stop",
    policy_snapshot={"timeout": 5.0},
    location="etl/tasks.py:41",
    source_line="rows.append(parse(row))",
    input_summary={"rows": 'list[1461] first={"date": "2012/01/01", …}', "limit": 3},
    seen_before={
        "count": 4,
        "first": "2026-11-18T09:00:00+00:00",
        "last": "2026-11-19T09:00:00+00:00",
        "last_success": "2026-11-17T09:00:00+00:00",
    },
    resumable=True,
    category="transient",
    error_class="timeout",
    rule="type:TimeoutError",
    given_up="max_attempts",
    failure_id="F-01KAHV6X3Q8Z04YQ0M5VNW2C7R",
    fingerprint="v1:3ac9f0d2e17b4c58a6930d1f7e2b8c45",
    cause_chain=["ConnectionResetError: peer went away"],
    dead_letter="DL-01KAHV6X3Q8Z04YQ0M5VNW2C7R",
    trail=[{"level": "node", "directive": "escalate", "path": ["run:1", "flow:etl", "node:t"]}],
    next_steps=[
        "tailrace trace show 019aa0c4",
        "tailrace failures show F-01KAHV6X3Q8Z04YQ0M5VNW2C7R",
        "tailrace dlq redrive DL-01KAHV6X3Q8Z04YQ0M5VNW2C7R",
    ],
)


def test_the_failure_block_tells_everything_one_fact_a_line() -> None:
    assert FULL.to_text() == (
        "Flow failed.\n"
        f"  trace_id: {'019aa0c4' * 4}\n"
        "  failed_node: transform\n"
        "  reason: Retry max attempts exceeded (attempt 3 of 3): ValueError: bad row 17\n"
        "  category: transient (timeout), rule type:TimeoutError\n"
        "  policy: fail_fast=True, timeout=5s, retry=exponential(max_attempts=2, delay=500ms), "
        "on_error=stop\n"
        "  at: etl/tasks.py:41  rows.append(parse(row))\n"
        "  caused by: ConnectionResetError: peer went away\n"
        '  input: rows=list[1461] first={"date": "2012/01/01", …}, limit=3\n'
        "  seen before: 4 times since 2026-11-18, last success 2026-11-17,"
        " fingerprint v1:3ac9f0d2e17b4c58a6930d1f7e2b8c45\n"
        "  dead letter: DL-01KAHV6X3Q8Z04YQ0M5VNW2C7R\n"
        "  next: tailrace trace show 019aa0c4"
        "   ·   tailrace failures show F-01KAHV6X3Q8Z04YQ0M5VNW2C7R"
        "   ·   tailrace dlq redrive DL-01KAHV6X3Q8Z04YQ0M5VNW2C7R"
    )


def test_what_is_not_known_has_no_line() -> None:
    assert RuntimeExecutionReport().to_text() == "Flow failed."
    cancelled = RuntimeExecutionReport(status="CANCELLED", summary="Cancelled: Ctrl-C")
    assert cancelled.to_text() == "Flow cancelled.\n  reason: Cancelled: Ctrl-C"


def test_a_first_failure_names_the_last_success_only() -> None:
    report = RuntimeExecutionReport(seen_before={"count": 0, "last_success": "2026-11-17T09:00"})
    assert report.to_text().endswith("seen before: never, last success 2026-11-17")
    once = RuntimeExecutionReport(seen_before={"count": 1, "first": "2026-11-18T09:00"})
    assert once.to_text().endswith("seen before: 1 time since 2026-11-18")
    assert RuntimeExecutionReport(seen_before={"count": 0}).to_text() == "Flow failed."


def test_a_failure_never_seen_before_is_named_by_its_fingerprint() -> None:
    report = RuntimeExecutionReport(seen_before={"count": 0}, fingerprint="v1:3a")
    assert report.to_text().endswith("seen before: never, fingerprint v1:3a")
    assert RuntimeExecutionReport(fingerprint="v1:3a").to_text() == "Flow failed."


def test_a_class_that_says_no_more_than_the_category_is_left_out() -> None:
    report = RuntimeExecutionReport(category="timeout", error_class="timeout", rule="deadline")
    assert report.to_text().endswith("category: timeout, rule deadline")
    bare = RuntimeExecutionReport(category="unknown", error_class="unknown")
    assert bare.to_text().endswith("category: unknown")


def test_members_of_a_group_have_their_place_in_markdown() -> None:
    report = RuntimeExecutionReport(children=["ValueError: a", "KeyError: 'b'"])
    assert "## Members\n\n- `ValueError: a`\n- `KeyError: 'b'`\n" in report.to_markdown()


def test_a_message_of_several_lines_stays_on_its_line() -> None:
    report = RuntimeExecutionReport(summary="first\nsecond\r\n  third\n", cause_chain=["A: x"])
    assert report.to_text().splitlines() == [
        "Flow failed.",
        "  reason: first ⏎ second ⏎ third",
        "  caused by: A: x",
    ]


def test_the_dict_has_the_public_fields_and_only_plain_values() -> None:
    report = RuntimeExecutionReport(
        trace_id="1",
        policy_snapshot={"retry": {"on": frozenset({"timeout"})}, "delay": math.inf},
        input_summary={"a": object()},
    )
    facts = report.to_dict()
    assert {
        "trace_id", "failed_node_id", "summary", "policy_snapshot", "context_digest", "node_path",
        "attempt", "attempts", "error_type", "error_message", "category", "fingerprint",
        "cause_chain", "location", "input_summary", "seen_before", "resumable", "next_steps",
        "failure_id", "error_class", "rule", "fingerprint_template", "dead_letter", "trail",
        "children", "given_up",
    } <= set(facts)  # fmt: skip
    assert facts["policy_snapshot"] == {"retry": {"on": ["timeout"]}, "delay": "inf"}
    assert facts["input_summary"] == {"a": "<object>"}
    assert json.loads(report.to_json()) == facts


def test_a_nested_or_cyclic_digest_ends() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    assert "…" in RuntimeExecutionReport(context_digest=loop).to_json()


def test_markdown_shows_user_data_as_it_is_and_not_as_markup() -> None:
    report = RuntimeExecutionReport(
        flow="a|b",
        status="FAILED",
        summary="<script> | `code` **bold** [x](y)\n# title",
        cause_chain=["E: `` x"],
        next_steps=["tailrace trace show 1"],
    )
    assert report.to_markdown() == (
        "# Flow failed\n"
        "\n"
        "| fact | value |\n"
        "|---|---|\n"
        "| flow | `a\\|b` |\n"
        "| reason | ``<script> \\| `code` **bold** [x](y) ⏎ # title`` |\n"
        "| caused by | ```E: `` x``` |\n"
        "\n"
        "## Causes\n"
        "\n"
        "1. ```E: `` x```\n"
        "\n"
        "## Next steps\n"
        "\n"
        "- `tailrace trace show 1`\n"
    )


any_text = st.text(alphabet=st.characters(exclude_categories=()), max_size=40)


@given(any_text, st.dictionaries(any_text, any_text | st.floats() | st.none(), max_size=3))
def test_any_text_gives_one_line_per_fact_and_valid_json(text: Any, inputs: Any) -> None:
    report = RuntimeExecutionReport(
        trace_id="1", summary=text, location="a:1", source_line=text, input_summary=inputs
    )
    lines = report.to_text().splitlines()
    assert len(lines) <= 5
    assert all(line.startswith("  ") for line in lines[1:])
    table = [line for line in report.to_markdown().splitlines() if line.startswith("|")]
    assert len(table) <= 6
    assert isinstance(json.loads(report.to_json()), dict)
    report.to_json().encode()
