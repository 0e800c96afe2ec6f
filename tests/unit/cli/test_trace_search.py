"""The commands that take TraceQL: search, list, metrics, check, tail, summary."""

from __future__ import annotations

import json
import re
import shlex
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tailrace import Flow, Policy, Retry, Transient, task
from tailrace.cli.main import main
from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import Span
from tailrace.model.states import SpanStatus, SpanType
from tailrace.store.foreign import ForeignWriter
from tailrace.traceql.budget import Budget, OutOfBudget

ELSEWHERE = "5b8efff798038103d269b633813fc60c"
HOSTILE = "a\x1b[2J\nb\u202e|`c`"
Capture = pytest.CaptureFixture[str]
_tries: list[int] = []


@task
def load() -> int:
    return 1


@task(policy=Policy(retry=Retry(max_attempts=2, delay=0)))
def fetch(load: int) -> int:
    _tries.append(load)
    if len(_tries) % 3:
        raise Transient("busy")
    return load


@task(policy=Policy(timeout="10ms"))
async def slow(fetch: int) -> int:
    import asyncio

    await asyncio.Event().wait()
    return fetch


@pytest.fixture(autouse=True)
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make a run that fails by a timeout, one that completes, and a trace from elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    _tries.clear()
    Flow("nightly", load >> fetch >> slow).run(db="runs.db", raise_on_failure=False)
    Flow("calm", load).run(db="runs.db")
    spans = [
        Span(
            trace_id=RunId(ELSEWHERE),
            span_id=SpanId(f"{number:016x}"),
            parent_id=None if number == 1 else SpanId(f"{1:016x}"),
            name=f"GET /{number}",
            type=SpanType.FOREIGN,
            start_ns=1_700_000_000_000_000_000 + number,
            end_ns=1_700_000_000_000_100_000 + number,
            status=SpanStatus.ERROR if number == 2 else SpanStatus.UNSET,
            message=HOSTILE if number == 2 else "",
            attributes={HOSTILE: HOSTILE, "n": number, "big": "z" * 100_000},
            resource={"service.name": f"shop{HOSTILE}"},
        )
        for number in range(1, 8)
    ]
    with closing(ForeignWriter("runs.db")) as writer:
        writer.write(spans)


def tailrace(capsys: Capture, *arguments: str, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert main(["trace", *arguments, "--db", "runs.db"]) == code
    captured = capsys.readouterr()
    for text in captured:
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    return captured.out, captured.err


def answer(capsys: Capture, *arguments: str, code: int = 0) -> Any:
    return json.loads(tailrace(capsys, *arguments, "--json", code=code)[0])


def test_traces_are_shown_with_the_spans_that_matched_under_them(capsys: Capture) -> None:
    out, err = tailrace(capsys, "search", '{ name = "attempt fetch" && status = error }')
    head, *spans = out.splitlines()
    assert re.match(r"[0-9a-f]{32}  nightly  .*  2 of 9 spans  5 failed$", head)
    assert [line.split()[:4] for line in spans] == [
        ["├─", "✘", "attempt", "fetch"],
        ["└─", "✘", "attempt", "fetch"],
    ]
    assert re.search(r"^1 trace · looked through 3 traces with 19 spans in", err)


def test_groups_aggregates_and_selected_fields_are_shown(capsys: Capture) -> None:
    query = '{ name =~ "attempt.*" } | by(name) | count() > 1 | select(span.error.type)'
    out, _ = tailrace(capsys, "search", query)
    assert "by(name) = attempt fetch  count() = 3  (3 spans)" in out
    assert "span.error.type=" in out
    (trace,) = answer(capsys, "search", query)["traces"]
    (group,) = trace["sets"]
    assert group["values"] == {"by(name)": "attempt fetch", "count()": 3}
    assert len(group["spans"]) == 3


def test_what_is_not_shown_of_a_trace_is_counted(capsys: Capture) -> None:
    out, _ = tailrace(capsys, "search", "{ .n > 0 }")
    assert out.splitlines()[-1] == "└─ … 4 more spans"
    out, _ = tailrace(capsys, "search", "{ .n > 0 }", "--spans-per-trace", "7")
    assert len(out.splitlines()) == 8
    assert "more" not in out


def test_values_of_users_move_no_terminal_in_any_format(capsys: Capture) -> None:
    query = "{ .big != nil && status = error } | by(.n) | select(statusMessage)"
    for output in ("table", "json", "jsonl", "markdown"):
        out, _ = tailrace(capsys, "search", query, "-o", output)
        assert ELSEWHERE in out
    assert len(tailrace(capsys, "search", query)[0]) < 1_000
    for options in (("--include-events", "--attr", "big"), ("-o", "waterfall"), ("-o", "markdown")):
        tailrace(capsys, "show", ELSEWHERE, *options)
    tailrace(capsys, "summary")
    tailrace(capsys, "tail", "--since", "2000-01-01", "--count", "7")
    tailrace(
        capsys, "metrics", "{ } | count_over_time() by (statusMessage)", "--since", "2023-01-01"
    )


@pytest.mark.parametrize("width", ["40", "80", "200"])
def test_what_is_under_a_trace_fits_the_terminal(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    out, _ = tailrace(capsys, "search", "{ .n > 0 } | select(.big)")
    assert all(len(line) <= int(width) for line in out.splitlines()[1:])


def test_markdown_has_a_row_for_each_span(capsys: Capture) -> None:
    out, _ = tailrace(capsys, "search", "{ .n > 0 } | by(.n)", "-o", "markdown")
    head, _, *rows = out.splitlines()
    assert head.endswith("| by(.n) | .n |")
    assert len(rows) == 7


def test_filters_narrow_what_is_searched(capsys: Capture) -> None:
    assert len(answer(capsys, "search")["traces"]) == 3
    assert len(answer(capsys, "search", "--since", "1h")["traces"]) == 2
    assert len(answer(capsys, "search", "--until", "2024-01-01")["traces"]) == 1
    assert len(answer(capsys, "search", "--flow", "calm")["traces"]) == 1
    assert len(answer(capsys, "search", "--status", "error", "--since", "1h")["traces"]) == 1
    assert len(answer(capsys, "search", "--limit", "1")["traces"]) == 1


def test_timeouts_alone_are_found_on_request(capsys: Capture) -> None:
    (trace,) = answer(capsys, "search", '{ name =~ "attempt.*" }', "--timeout-only")["traces"]
    assert [span["name"] for one in trace["sets"] for span in one["spans"]] == ["attempt slow"]
    metrics = answer(capsys, "search", "{ } | rate()", "--timeout-only")
    assert [trace["root_service"] for trace in metrics["traces"]] == ["nightly"]


def test_the_short_form_chooses_columns_and_count(capsys: Capture) -> None:
    query = "traces{} | pick(trace_id, root_service, span_count) | limit 2"
    out, err = tailrace(capsys, "search", query)
    head, *rows = out.splitlines()
    assert head.split() == ["TRACE_ID", "ROOT_SERVICE", "SPAN_COUNT"]
    assert [row.split()[1] for row in rows] == ["calm", "nightly"]
    assert "read as { }" in err
    found = answer(capsys, "search", query, "--limit", "1")["traces"]
    assert [list(one) for one in found] == [["trace_id", "root_service", "span_count"]]
    assert len(tailrace(capsys, "search", query, "-o", "markdown")[0].splitlines()) == 4


@pytest.mark.parametrize("command", ["search", "metrics", "tail"])
def test_a_query_that_is_wrong_is_an_error_with_a_caret(capsys: Capture, command: str) -> None:
    query = ["--traceql", "{ status = eror }"] if command == "tail" else ["{ status = eror }"]
    out, err = tailrace(capsys, command, *query, code=2)
    assert out == ""
    assert "error[TR203]: unknown name 'eror' at column 12" in err
    assert "           ^^^^" in err
    _, err = tailrace(capsys, command, *query, "--json", code=2)
    (problem,) = json.loads(err)["error"]["details"]["problems"]
    assert (problem["line"], problem["column"]) == (1, 12)


def test_what_cannot_be_calculated_is_an_error(capsys: Capture) -> None:
    _, err = tailrace(capsys, "search", "{ 1 / (.n - .n) = 1 }", code=2)
    assert "TR207" in err
    _, err = tailrace(capsys, "metrics", "{ }", code=2)
    assert "TR206" in err
    _, err = tailrace(capsys, "search", "({} | rate()) / ({} | rate())", code=2)
    assert "TR209" in err


@pytest.mark.parametrize(
    "arguments", [["search"], ["list", "--traceql", "{ }"], ["metrics", "{ } | rate()"]]
)
def test_an_answer_that_is_cut_off_says_so_and_exits_with_6(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    def refuse(_: Budget, rows: int) -> None:
        raise OutOfBudget

    monkeypatch.setattr(Budget, "spend", refuse)
    _, err = tailrace(capsys, *arguments, code=6)
    assert "was cut off" in err
    assert "--since" in err


def test_a_list_shows_the_runs_that_match(capsys: Capture) -> None:
    found = answer(capsys, "list", "--traceql", "{ status = error }")
    assert found[0]["flow"] == "nightly"
    assert found[1]["run_id"] == ELSEWHERE
    found = answer(capsys, "list", "--traceql", "{ status = error }", "--flow", "nightly")
    assert [run["status"] for run in found] == ["FAILED"]
    assert answer(capsys, "list", "--traceql", "{ .nothing = 1 }") == []
    _, err = tailrace(capsys, "list", "--lineage", "@last", "--traceql", "{ }", code=2)
    assert "give no other filter" in err


def test_metrics_are_a_table_of_steps(capsys: Capture) -> None:
    out, err = tailrace(
        capsys, "metrics", "{ } | count_over_time() by (status)", "--since", "1h", "--step", "5m"
    )
    head, *rows = out.splitlines()
    assert head.split() == ["TIME", '{status="error"}', '{status="unset"}']
    assert any(row.startswith("… ") for row in rows)
    counts = [row.split()[-2:] for row in rows if not row.startswith("…")]
    assert [sum(int(one) for one in column) for column in zip(*counts, strict=True)] == [5, 7]
    assert "2 series · 14 steps of 5 m" in err


def test_metrics_of_many_series_are_a_row_each(capsys: Capture) -> None:
    out, _ = tailrace(
        capsys, "metrics", "{ } | rate() by (name, status, kind)", "--since", "30m", "--step", "5m"
    )
    head, *rows = out.splitlines()
    assert head.split() == ["SERIES", "LAST", "MIN", "MEAN", "MAX", "OVER", "TIME"]
    assert len(rows) > 5


def test_metrics_at_once_are_one_number_a_series(capsys: Capture) -> None:
    query = "{ } | count_over_time() by (resource.service.name)"
    out, _ = tailrace(capsys, "metrics", query, "--since", "1h", "--instant")
    assert out.splitlines()[0].split() == ["SERIES", "VALUE"]
    assert re.search(r'\{resource.service.name="nightly"\} +9$', out, re.MULTILINE)
    out, _ = tailrace(capsys, "metrics", query, "--since", "1h", "--instant", "-o", "markdown")
    assert "| series | value |" in out


def test_metrics_as_data_name_examples(capsys: Capture) -> None:
    query = "{ status = error } | count_over_time()"
    body = answer(capsys, "metrics", query, "--since", "1h", "--step", "5m")
    (series,) = body["series"]
    assert sum(series["values"]) == 5
    assert len(series["values"]) == len(body["times"])
    assert series["exemplars"]
    out, _ = tailrace(capsys, "metrics", query, "--since", "1h", "-o", "jsonl")
    assert json.loads(out)["points"]


def test_metrics_are_plotted(capsys: Capture) -> None:
    out, _ = tailrace(capsys, "metrics", "{ } | rate() by (status)", "--since", "1h", "-o", "plot")
    assert '● {status="unset"}' in out
    assert all(len(line) <= 120 for line in out.splitlines())


def test_a_range_that_ends_before_it_begins_is_refused(capsys: Capture) -> None:
    _, err = tailrace(capsys, "metrics", "{ } | rate()", "--until", "2000-01-01", code=2)
    assert "--since is not before --until" in err


def test_a_check_shows_how_a_query_would_be_answered(capsys: Capture) -> None:
    query = '{ name = "a" && span.x + 1 > 2 } >> { duration > 1s }'
    out, _ = tailrace(capsys, "check", query, "--explain")
    assert "segments: 0 of 0 may hold an answer; 3 traces besides in rows" in out
    assert '  name = "a"' in out
    assert "  (span.x + 1) > 2" in out
    plan = answer(capsys, "check", query, "--explain")["plan"]
    assert plan["relations"]
    assert plan["traces"] is None


def test_a_tail_shows_what_ended_since_a_time_and_what_matches(capsys: Capture) -> None:
    since = ("--since", "1h")
    out, _ = tailrace(capsys, "tail", *since, "--count", "10")
    assert len(out.splitlines()) == 10
    out, _ = tailrace(
        capsys, "tail", *since, "--count", "3", "--traceql", "{ status = error }", "-o", "jsonl"
    )
    assert {json.loads(line)["status"] for line in out.splitlines()} == {"error"}
    query = '{ name = "run nightly" && resource.service.name = "nightly" } > { name =~ "node.*" }'
    out, _ = tailrace(capsys, "tail", *since, "--count", "3", "--traceql", query)
    assert [line.split()[-1] for line in out.splitlines()][:2] == ["load", "fetch"]
    out, _ = tailrace(capsys, "tail", *since, "--count", "1", "-o", "markdown")
    assert out.startswith("- ")


def test_every_command_of_a_summary_works(capsys: Capture) -> None:
    out, _ = tailrace(capsys, "summary")
    assert "- status: 2 COMPLETED, 1 FAILED" in out or "- status: 1 COMPLETED, 2 FAILED" in out
    sections = dict(re.findall(r"^## (.+)\n\n((?:\|.*\n)+)", out, re.MULTILINE))
    assert list(sections) == ["Failures", "Slowest nodes", "Retries"]
    assert "| nightly/fetch | 2 | 1 | 1 | 3 |" in sections["Retries"]
    commands = re.findall(r"`(tailrace .+)` \|$", out, re.MULTILINE)
    assert len(commands) > 8
    for line in dict.fromkeys(commands):
        assert main(shlex.split(line)[1:]) == 0
    assert capsys.readouterr().out


def test_a_summary_may_be_narrowed_and_go_to_a_file(capsys: Capture) -> None:
    out, err = tailrace(capsys, "summary", "--failed", "--since", "1h", "--output", "new/report.md")
    assert out == ""
    assert "1 run summed up" in err
    assert "calm" not in Path("new/report.md").read_text("utf-8")
    out, _ = tailrace(capsys, "summary", "--flow", "calm")
    assert "Nothing failed." in out
    assert "Nothing was tried again." in out
    assert "No runs match." in tailrace(capsys, "summary", "--flow", "none")[0]
