"""Large traces are read in part: the parts are true, and what is missing is counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.model import (
    FailureRecord,
    Logged,
    NodeFinished,
    NodeStarted,
    NodeState,
    RunId,
    RunStarted,
    ScopeFinished,
    ScopeStarted,
    SpanType,
    new_run_id,
)
from tailrace.store import SqliteStore, SqliteTraceReader
from tailrace.store.outline import FAILED_KEPT, Outline

BOOM = FailureRecord("ValueError", "boom", "unknown")


def loop(run_id: RunId, iterations: int, failing: set[int]) -> list[list[Any]]:
    """A loop of one node, some of whose iterations fail."""
    appends: list[list[Any]] = [
        [
            RunStarted(run_id, "loop", "h", "", 1_000, {}, "test", 9),
            ScopeStarted(2, 1, "container", "foreach", "each", "", 1_000, {}),
        ]
    ]
    for index in range(iterations):
        first, at = 3 + 3 * index, 1_001 + index
        failure = BOOM if index in failing else None
        state = NodeState.FAILED if failure else NodeState.SUCCEEDED
        name, path = f"each[{index}]", f"each[{index}].load"
        appends.append([
            ScopeStarted(first, 2, "iteration", "foreach", name, "", at, {"item": index}),
            NodeStarted(first + 1, first + 2, first, 0, "load", path, at, {}),
            Logged(first + 2, at, "log", {"index": index}),
            NodeFinished(first + 1, first + 2, state, at + 1, path, failure=failure),
            ScopeFinished(first, state, at + 1, "", {}, failure),
        ])  # fmt: skip
    return appends


@pytest.mark.no_cover
@pytest.mark.parametrize("failing", [set(), {3, 700}, set(range(500, 900))])
def test_a_large_live_trace_is_read_in_part(tmp_path: Path, failing: set[int]) -> None:
    store = SqliteStore(tmp_path / "runs.db")
    run_id = new_run_id()
    journal = store.open_journal(run_id)
    for records in loop(run_id, 1_000, failing):
        journal.append(records)
    reader = SqliteTraceReader(tmp_path / "runs.db")

    whole = reader.trace(run_id)
    part = reader.trace(run_id, siblings=10)

    known = {span.span_id: span for span in whole.spans}
    assert all(known[span.span_id] == span for span in part.spans)
    assert part.run == whole.run
    shown = [span for span in part.spans if span.type is SpanType.ITERATION]
    late = sum(index >= 10 for index in failing)
    assert len(shown) == 10 + min(late, FAILED_KEPT)
    assert len(part.spans) == 2 + 3 * len(shown)
    (left,) = part.folded[part.spans[1].span_id]
    assert left.type is SpanType.ITERATION
    assert left.count == 1_000 - len(shown)
    assert left.failed == late - min(late, FAILED_KEPT)
    assert whole.folded == {}
    reader.close()
    store.close()


def test_a_small_trace_is_read_whole(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "runs.db")
    run_id = new_run_id()
    journal = store.open_journal(run_id)
    for records in loop(run_id, 50, set()):
        journal.append(records)
    reader = SqliteTraceReader(tmp_path / "runs.db")

    assert reader.trace(run_id, siblings=10) == reader.trace(run_id)
    reader.close()
    store.close()


@given(
    parents=st.lists(st.tuples(st.integers(0, 10**6), st.booleans(), st.booleans()), max_size=80),
    siblings=st.integers(1, 4),
)
def test_chosen_and_left_out_are_all_children_of_what_is_chosen(
    parents: list[tuple[int, bool, bool]], siblings: int
) -> None:
    outline = Outline(1)
    outline.add(1, 0, SpanType.RUN, failed=False)
    parent_of = {1: 0}
    for number, (draw, node, failed) in enumerate(parents, 2):
        parent_of[number] = 1 + draw % (number - 1)
        kind = SpanType.NODE if node else SpanType.CONTAINER
        outline.add(number, parent_of[number], kind, failed=failed)

    chosen, folded = outline.choose(siblings)

    assert 1 in chosen
    assert all(parent_of[number] in chosen for number in chosen if number != 1)
    assert set(folded) <= set(chosen)
    children = Counter(parent_of.values())
    present = Counter(parent_of[number] for number in chosen)
    for number in chosen:
        left = sum(one.count for one in folded.get(number, ()))
        assert present[number] + left == children[number]
        assert all(0 <= one.failed <= one.count for one in folded.get(number, ()))
