import io
import json
import subprocess
import sys
from typing import Any

import pytest

from tailrace.cli.main import main
from tailrace.cli.query_problem import query_problem
from tailrace.errors import QueryError

Capture = pytest.CaptureFixture[str]


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8"))


def test_a_valid_query_is_told_in_one_line(capsys: Capture) -> None:
    assert main(["trace", "check", "{status=error}|count()>2"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "valid traceql, gives traces: { status = error } | count() > 2\n"
    assert captured.err == ""


def test_a_query_of_metrics_and_its_ignored_hints_are_told(capsys: Capture) -> None:
    assert main(["trace", "check", "{} | rate() with(job_size=3)"]) == 0
    assert "gives metrics; ignored hints: job_size:" in capsys.readouterr().out


def test_the_older_short_form_is_named(capsys: Capture) -> None:
    assert main(["trace", "check", 'trace_id == "ab" | limit 5', "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert (body["dialect"], body["limit"]) == ("short form", 5)


def test_json_holds_the_checked_tree(capsys: Capture) -> None:
    assert main(["trace", "check", "{ .a = 1 + 2 }", "--format", "json"]) == 0
    body: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert body["valid"] is True
    assert body["tree"]["stages"][0]["condition"] == {
        "node": "Comparison",
        "op": "=",
        "left": {"node": "Attribute", "scope": ".", "name": "a"},
        "right": {"node": "Literal", "type": "integer", "value": 3},
    }


def test_json_holds_the_sql_and_nothing_of_the_query_is_part_of_its_text(capsys: Capture) -> None:
    query = '{ span."x\\"; DROP TABLE run; --" = "\' OR 1=1" && duration > 1s }'
    assert main(["trace", "check", query, "--format", "json"]) == 0
    catalogue, *bounds = json.loads(capsys.readouterr().out)["sql"]
    assert catalogue["statement"].startswith("SELECT id, traces, spans")
    assert [one["parameters"][1:] for one in bounds] == [
        ["span", 'x"; DROP TABLE run; --'],
        ["block", "durations"],
    ]
    assert not any("DROP" in one["statement"] for one in bounds)


def test_the_sql_of_a_query_for_one_trace_asks_for_it_alone(capsys: Capture) -> None:
    assert main(["trace", "check", '{ trace:id = "ab" } | rate()', "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["sql"]
    assert [one["parameters"] for one in found] == [[f'["{"ab":0>32}"]']] * 2


def test_a_wrong_query_gets_a_caret_under_its_place(capsys: Capture) -> None:
    assert main(["trace", "check", "{ duraton > 1s }"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "error[TR203]: unknown name 'duraton' at column 3",
        " --> query:1:3",
        "  |",
        "1 | { duraton > 1s }",
        "  |   ^^^^^^^",
        "  = help: Did you mean 'duration'?",
    ]


def test_a_type_that_does_not_fit_is_refused_too(capsys: Capture) -> None:
    assert main(["trace", "check", "{ status = 2 }", "--json"]) == 2
    body = json.loads(capsys.readouterr().out)
    assert body["valid"] is False
    assert (body["problem"]["code"], body["problem"]["column"]) == ("TR204", 10)


def test_a_dash_reads_standard_input(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    feed(monkeypatch, b"{ .a = 1 }\n  && { .b == 2 }\n")
    assert main(["trace", "check", "-"]) == 2
    assert " --> query:2:12\n" in capsys.readouterr().err
    feed(monkeypatch, '{ .a = "é" }\r\n'.encode())
    assert main(["trace", "check", "-"]) == 0


def test_what_is_no_utf_8_is_a_wrong_query(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(monkeypatch, b'{ .a = "\xff" }')
    assert main(["trace", "check", "-"]) == 2
    assert "TR201" in capsys.readouterr().err


def test_a_problem_without_a_place_has_no_caret() -> None:
    problem = query_problem(QueryError("no", code="TR204", hint="yes"))
    assert (problem.where, problem.hint) == (None, "yes")


def test_reading_a_query_loads_no_database_and_no_event_loop() -> None:
    script = (
        "import sys; before = set(sys.modules);"
        "from tailrace.traceql import check, parse; check(parse('{ .a }'));"
        "print(sorted({'sqlite3', 'asyncio', 'click'} & (set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
