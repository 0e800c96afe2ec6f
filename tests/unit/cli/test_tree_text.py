import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tailrace.cli.terminal import Terminal
from tailrace.cli.trace import _footer
from tailrace.cli.trace_rows import SIBLINGS, View, build_branches
from tailrace.cli.tree_text import render_tree
from tailrace.cli.width import cells
from tailrace.model import Folded, RunId, RunStatus, SpanId, SpanType
from tailrace.model.span import RunSummary, Span, Trace
from tailrace.model.states import SpanKind, SpanStatus
from tailrace.store import SqliteStore, SqliteTraceReader
from tailrace.traceql import check, parse
from tailrace.traceql.budget import Budget
from tailrace.traceql.checked import Chain
from tailrace.traceql.evaluate import evaluate
from tailrace.traceql.memory_block import memory_block

Screen = Callable[..., Terminal]
DURATION = re.compile(r" +(\d[\d.]*) (ms|s)\b")


def draw(journal: Any, terminal: Terminal, *, bars: bool = False, **view: Any) -> list[str]:
    trace = journal.trace()
    return render_tree(build_branches(trace, View(**view)), terminal, now_ns=journal.now, bars=bars)


def shape(lines: list[str]) -> list[str]:
    return [DURATION.sub("", line).rstrip() for line in lines]


def test_a_linear_flow_is_three_children_in_order(journal: Any, screen: Screen) -> None:
    for name in ("fetch", "parse", "load"):
        journal.node(name)
    journal.end()
    assert shape(draw(journal, screen())) == ["✔ nightly", "├─ ✔ fetch", "├─ ✔ parse", "└─ ✔ load"]


def test_a_loop_shows_its_iterations_and_what_they_ran(journal: Any, screen: Screen) -> None:
    loop = journal.open("container", "foreach", "each")
    for index in range(3):
        iteration = journal.open("iteration", "foreach", f"each[{index}]", loop)
        journal.node("load", iteration)
        journal.close(iteration)
    journal.close(loop, count=3)
    journal.end()
    lines = shape(draw(journal, screen()))
    assert lines[1].endswith("foreach · 3 iterations")
    assert lines[2:] == [
        "   ├─ ✔ each[0]",
        "   │  └─ ✔ load",
        "   ├─ ✔ each[1]",
        "   │  └─ ✔ load",
        "   └─ ✔ each[2]",
        "      └─ ✔ load",
    ]


def test_only_the_branch_that_ran_hangs_under_a_switch(journal: Any, screen: Screen) -> None:
    switch = journal.open("container", "switch", "mode")
    branch = journal.open("branch", "switch", "mode:fast", switch)
    journal.node("run_fast", branch)
    journal.close(branch)
    journal.close(switch, executed_branch_key="fast")
    journal.end()
    lines = shape(draw(journal, screen()))
    assert "switch · branch fast" in lines[1]
    assert lines[2:] == ["   └─ ✔ mode:fast", "      └─ ✔ run_fast"]


def test_a_failure_says_why_and_where_under_its_node_only(journal: Any, screen: Screen) -> None:
    journal.node("fetch")
    journal.node("transform", failure=journal.failure)
    journal.skip("load", "needs transform")
    journal.end(RunStatus.FAILED)
    lines = draw(journal, screen())
    assert shape(lines)[:1] == ["✘ nightly"]
    assert lines[3:5] == [
        "│    ValueError: bad row 17",
        "│    at etl/tasks.py:41  rows.append(parse(row))",
    ]
    assert sum("bad row 17" in line for line in lines) == 1
    assert lines[-1].startswith("└─ ⏭ load")
    assert lines[-1].endswith("skipped: needs transform")


def test_attempts_are_lines_only_when_there_was_more_than_one(journal: Any, screen: Screen) -> None:
    spans = journal.retry(journal.start("transform"))
    journal.finish(spans)
    journal.end()
    lines = draw(journal, screen())
    assert lines[1].startswith("└─ ✔ transform")
    assert lines[1].endswith("2 attempts")
    assert lines[2].startswith("   ├─ ✘ attempt 1")
    assert lines[2].endswith("ValueError")
    assert lines[3].endswith("after 0.5 s")


def test_log_lines_are_shown_on_request(journal: Any, screen: Screen) -> None:
    spans = journal.start("fetch")
    journal.log(spans[1], "got \x1b[31m3 rows")
    journal.finish(spans)
    journal.end()
    assert not any("3 rows" in line for line in draw(journal, screen()))
    shown = [line for line in draw(journal, screen(), events=True) if "rows" in line]
    assert [line.strip() for line in shown] == ["log: INFO got \\x1b[31m3 rows"]


@pytest.mark.no_cover
def test_many_iterations_are_folded_but_failed_ones_stay(journal: Any, screen: Screen) -> None:
    loop = journal.open("container", "foreach", "each")
    for index in range(10_000):
        failure = journal.failure if index in (7_000, 7_001, 7_002, 7_003) else None
        iteration = journal.open("iteration", "foreach", f"each[{index}]", loop)
        journal.close(iteration, failure)
    journal.close(loop, count=10_000)
    journal.end()
    lines = draw(journal, screen())
    assert len(lines) < 25
    assert "each[7002]" in "".join(lines)
    assert "… 9,992 more iterations, 1 of them failed" in lines[-1]
    assert len(draw(journal, screen(), fold=False)) > 10_000


@pytest.mark.parametrize("failing", [set(), {2, 700, 701, 702, 703, 704, 705, 706}])
def test_a_trace_read_in_part_is_drawn_like_the_whole(
    journal: Any, screen: Screen, tmp_path: Path, failing: set[int]
) -> None:
    loop = journal.open("container", "foreach", "each")
    for index in range(1_000):
        iteration = journal.open("iteration", "foreach", f"each[{index}]", loop)
        journal.node("load", iteration, journal.failure if index in failing else None)
        journal.close(iteration)
    journal.close(loop, count=1_000)
    journal.end()
    run_id = journal.records[0].run_id
    with closing(SqliteStore(tmp_path / "runs.db")) as store:
        store.open_journal(run_id).append(journal.records)
    with closing(SqliteTraceReader(tmp_path / "runs.db")) as reader:
        whole, part = reader.trace(run_id), reader.trace(run_id, siblings=SIBLINGS)
    assert len(part.spans) < len(whole.spans)
    whole_lines, part_lines = (
        render_tree(build_branches(trace, View()), screen(), now_ns=journal.now)
        for trace in (whole, part)
    )
    assert part_lines == whole_lines


def test_attempts_that_were_not_read_are_counted(journal: Any, screen: Screen) -> None:
    journal.finish(journal.retry(journal.start("load")))
    journal.end()
    trace = journal.trace()
    load = next(span for span in trace.spans if span.name == "node load")
    trace.folded[load.span_id] = [Folded(type=SpanType.ATTEMPT, count=2_000, failed=1_999)]
    lines = render_tree(build_branches(trace, View()), screen(), now_ns=journal.now)
    assert lines[1].endswith("2,002 attempts")
    assert lines[-1].endswith("… 2,000 more attempts, 1,999 of them failed")


def test_the_slowest_node_is_named_only_where_all_are_known(journal: Any, screen: Screen) -> None:
    journal.node("quick")
    spans = journal.start("slow")
    journal.tick(500)
    journal.finish(spans)
    journal.end()
    trace = journal.trace()
    assert "of the time is in slow" in _footer(trace, View(), screen())
    left_out = Folded(type=SpanType.NODE, count=1, failed=0)
    trace.folded[trace.spans[0].span_id] = [left_out]
    assert _footer(trace, View(), screen()) == "5 spans"


def test_errors_only_keeps_what_failed_and_what_it_is_part_of(journal: Any, screen: Screen) -> None:
    group = journal.open("container", "all", "all")
    journal.node("good", group)
    journal.node("bad", group, journal.failure)
    journal.close(group, journal.failure)
    journal.node("other")
    journal.end(RunStatus.FAILED)
    labels = [line.split()[-1] for line in shape(draw(journal, screen(), errors_only=True))]
    assert "good" not in labels
    assert "other" not in labels
    assert {"nightly", "all", "bad"} <= set(labels)


def test_depth_counts_levels_under_the_run(journal: Any, screen: Screen) -> None:
    loop = journal.open("container", "repeat", "three")
    journal.close(journal.open("iteration", "repeat", "three[0]", loop))
    journal.close(loop)
    journal.end()
    assert len(draw(journal, screen(), depth=0)) == 1
    assert len(draw(journal, screen(), depth=1)) == 2
    assert len(draw(journal, screen())) == 3


def test_an_open_span_runs_in_a_live_run_and_is_interrupted_in_a_dead_one(
    journal: Any, screen: Screen
) -> None:
    spans = journal.start("fetch")
    journal.progress(spans[1], 71, 120)
    live = draw(journal, screen())
    assert live[1].startswith("└─ ● fetch")
    assert live[1].endswith("71/120")
    journal.end(RunStatus.INTERRUPTED)
    dead = draw(journal, screen())
    assert dead[1].startswith("└─ ↯ fetch")
    assert "interrupted" in dead[1]


def test_attributes_are_shown_by_name(journal: Any, screen: Screen) -> None:
    spans = journal.start("fetch")
    journal.finish(spans, attributes={"days": ["Mon", "Tue"], "dry": True, "left": None})
    journal.end()
    shown = draw(journal, screen(), attributes=("task", "days", "dry", "left"))[1]
    assert 'task=tasks:run · days=["Mon", "Tue"] · dry=true · left=null' in shown


def test_a_waterfall_places_every_bar_in_the_time_of_the_run(journal: Any, screen: Screen) -> None:
    for name in ("first", "second"):
        spans = journal.start(name)
        journal.tick(500)
        journal.finish(spans)
    journal.end()
    lines = draw(journal, screen(80), bars=True)
    first, second = (re.search(r"[█·]{10,}", line) for line in lines[1:])
    assert first is not None
    assert second is not None
    assert first[0].startswith("█")
    assert second[0].endswith("█")
    assert first[0].count("█") + second[0].count("█") <= len(first[0]) + 2


def test_ascii_terminals_get_ascii_only(journal: Any, screen: Screen) -> None:
    journal.node("fetch")
    journal.skip("load", "no reason")
    loop = journal.open("container", "foreach", "each")
    for index in range(30):
        journal.close(journal.open("iteration", "foreach", f"each[{index}]", loop))
    journal.close(loop, count=30)
    journal.end()
    lines = draw(journal, screen(unicode=False), bars=True)
    assert all(line.isascii() for line in lines)
    assert lines[1].startswith("|- + fetch")


@pytest.mark.parametrize("width", [40, 80, 100, 200])
@pytest.mark.parametrize("bars", [False, True])
def test_every_line_fits_whatever_the_names_hold(
    journal: Any, screen: Screen, width: int, bars: bool
) -> None:
    for name in (
        "外部API呼出の非常に長い名前",
        "👩\u200d👩\u200d👧 family",
        "مرحبا بالعالم",
        "x\x1b[31my\u202ez",
        "long" * 40,
    ):
        journal.node(name, failure=journal.failure)
    journal.end(RunStatus.FAILED)
    lines = draw(journal, screen(width), bars=bars)
    assert all(cells(line) <= width for line in lines)
    assert not any(sign in "".join(lines) for sign in "\x1b\u202e")


@pytest.mark.no_cover
def test_a_very_deep_trace_is_drawn_without_recursion(journal: Any, screen: Screen) -> None:
    parent = 1
    opened = []
    for depth in range(3_000):
        parent = journal.open("container", "all", f"all_{depth}", parent)
        opened.append(parent)
    for span in reversed(opened):
        journal.close(span)
    journal.end()
    lines = draw(journal, screen(80))
    assert len(lines) == 3_001
    assert all(cells(line) <= 80 for line in lines)


def test_the_child_of_two_spans_with_one_id_hangs_where_a_search_finds_it() -> None:
    def span(number: int, name: str, parent: int = 0, kind: SpanKind = SpanKind.INTERNAL) -> Span:
        return Span(
            trace_id=RunId(f"{1:032x}"),
            span_id=SpanId(f"{number:016x}"),
            parent_id=SpanId(f"{parent:016x}") if parent else None,
            name=name,
            type=SpanType.FOREIGN,
            start_ns=number,
            end_ns=number + 1,
            kind=kind,
        )

    spans = [
        span(1, "root"),
        span(2, "call", 1, SpanKind.CLIENT),
        span(2, "serve", 2, SpanKind.SERVER),
        span(3, "query", 2),
        span(4, "lost", 9),
    ]
    run = RunSummary(
        run_id=RunId(f"{1:032x}"), flow="shop", status=RunStatus.COMPLETED, start_ns=1, end_ns=9,
        spans=5,
    )  # fmt: skip
    told: list[tuple[str, int]] = []
    waiting = [(branch, 0) for branch in build_branches(Trace(run=run, spans=spans), View())]
    while waiting:
        branch, depth = waiting.pop(0)
        told.append((branch.label, depth))
        waiting[:0] = [(child, depth + 1) for child in branch.children]
    assert told == [("root", 0), ("call", 1), ("serve", 2), ("query", 3), ("lost", 0)]
    found = evaluate(chain_of('{ name = "serve" } > { }'), memory_block(spans), Budget())
    assert [spans[number].name for one in found for number in one.spans] == ["query"]


def test_what_a_program_says_of_a_failed_span_is_shown_above_those_that_failed_in_it() -> None:
    run_id = RunId(f"{1:032x}")
    spans = [
        Span(
            trace_id=run_id,
            span_id=SpanId(f"{number:016x}"),
            parent_id=SpanId(f"{number - 1:016x}") if number > 1 else None,
            name=f"s{number}",
            type=SpanType.USER,
            start_ns=number,
            end_ns=9,
            status=SpanStatus.ERROR,
            message="no stock" if kind == "_OTHER" else "'pear'",
            attributes={"error.type": kind},
        )
        for number, kind in ((1, "KeyError"), (2, "_OTHER"), (3, "KeyError"))
    ]
    run = RunSummary(
        run_id=run_id, flow="shop", status=RunStatus.FAILED, start_ns=1, end_ns=9, spans=3
    )
    (outer,) = build_branches(Trace(run=run, spans=spans), View())
    (middle,) = outer.children
    (inner,) = middle.children
    assert [outer.below, middle.below, inner.below] == [[], ["no stock"], ["KeyError: 'pear'"]]


def chain_of(query: str) -> Chain:
    plan = check(parse(query)).plan
    assert isinstance(plan, Chain)
    return plan
