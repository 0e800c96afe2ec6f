"""Rows that are made straight from records: those that the projection makes."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from effort import times
from tailrace.model import (
    AnyRecord,
    FailureRecord,
    NodeFinished,
    NodeStarted,
    NodeState,
    RunFinished,
    RunStarted,
    RunStatus,
    ShapeDeclared,
)
from tailrace.model.journal import Logged, UserSpanFinished, UserSpanStarted
from tailrace.model.remote import Job, RunState
from tailrace.store.remote import Message, Position, RemoteWriter, Stands
from tailrace.store.remote.brief import Brief, BriefRuns
from tailrace.tracing.wire import encode

_TABLES = {
    "run": "SELECT * FROM run",
    "span": """SELECT s.*, h.type, h.construct, h.task, h.attributes, a.attributes FROM span AS s
        JOIN shape AS h ON h.id = s.shape LEFT JOIN shape AS a ON a.id = s.attempt""",
    "checkpoint": "SELECT * FROM checkpoint",
    "event": "SELECT * FROM event",
    "failure": "SELECT run, node, type FROM failure",
}
_ROW_IDS = {"span": (12, 3)}
"""Numbers of shapes, which depend on what came first: their contents are compared."""

TEXTS = st.sampled_from(["load", "größe", "each[3].load", "tailrace.x", ""])
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    TEXTS,
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(TEXTS, st.integers(0, 3), max_size=2),
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["kind", "worker.id", "tailrace.y", "executed_branch_key", "größe"]),
    VALUES,
    max_size=3,
)
RARELY = st.sampled_from([False] * 9 + [True])
FAILURE = FailureRecord("ValueError", "no", "permanent", failure_id="F-" + "A" * 26)


def started(**more: Any) -> RunStarted:
    known: dict[str, Any] = {
        "run_id": "", "flow": "etl", "flow_hash": "h", "flow_source": "m:etl", "at": 1_000,
        "params": {"n": 1}, "source": "http", "span_base": 99, "code_version": "v1",
        "attributes": {"worker.id": "w1"}, "inputs": b"{}", "inputs_codec": "json",
        "fingerprints": b'{"load":"1"}', "policies": {"fail_fast": True},
    }  # fmt: skip
    return RunStarted(**(known | more))


def queued() -> list[AnyRecord]:
    return [UserSpanStarted(2, 1, "accept", 900, {}), UserSpanFinished(2, 950, {})]


def plain(*, nodes: int = 1) -> list[AnyRecord]:
    records: list[AnyRecord] = [started(), *queued(), ShapeDeclared(1, "m:load", {"kind": "sync"})]
    for number in range(3, 3 + 2 * nodes, 2):
        name = f"n{number}"
        records += [
            NodeStarted(number, number + 1, 1, 1, name, "", 1_000 + number, {"n": 1}),
            NodeFinished(
                number, number + 1, NodeState.SUCCEEDED, 1_010 + number, name, b"1", "json", 1,
                "stored",
            ),
        ]  # fmt: skip
    return [*records, RunFinished(2_000, RunStatus.COMPLETED, output=2)]


@st.composite
def runs(draw: st.DrawFn) -> list[AnyRecord]:
    """Draw the records of a run in which few things, or none, are out of the ordinary."""
    more: dict[str, Any] = {"params": draw(st.dictionaries(TEXTS, VALUES, max_size=2))}
    more["attributes"] = draw(ATTRIBUTES)
    if draw(RARELY):
        more |= {"resumed_from": "r", "lineage": "l", "inputs": None, "code_version": ""}
    records: list[AnyRecord] = [started(**more)]
    records += queued() if draw(st.booleans()) else []
    records.append(ShapeDeclared(1, draw(TEXTS), draw(ATTRIBUTES)))
    at, number, parent = 1_000, 2, 1
    ends: list[AnyRecord] = []
    for _ in range(draw(st.integers(0, 4))):
        number, at = number + 1, at + 10
        what = draw(st.sampled_from(["node", "node", "span", "log" if draw(RARELY) else "node"]))
        name = draw(TEXTS)
        if what == "log":
            records.append(Logged(parent, at, "log", {"message": "m"}))
            continue
        if what == "span":
            failure = FAILURE if draw(RARELY) else None
            records.append(UserSpanStarted(number, parent, name, at, draw(ATTRIBUTES)))
            end: AnyRecord = UserSpanFinished(number, at + 5, draw(ATTRIBUTES), failure)
        else:
            most = 2 if draw(RARELY) else 1
            records.append(
                NodeStarted(
                    number, number + 1, parent, draw(st.sampled_from([1, 1, 1, 2])), name,
                    draw(TEXTS), at, draw(ATTRIBUTES), most, 1, "why" if draw(RARELY) else "",
                )
            )  # fmt: skip
            end = _finished(draw, number, at + 5)
            number += 1
        if draw(RARELY):
            continue  # nobody says that it ended
        if draw(st.booleans()):
            records.append(end)
        else:
            ends.append(end)
            parent = number
    records += reversed(ends)
    status = RunStatus.FAILED if draw(RARELY) else RunStatus.COMPLETED
    return [*records, RunFinished(2_000, status, output=draw(VALUES), reason=draw(_REASONS))]


_REASONS = st.sampled_from([""] * 5 + ["why"])


def _finished(draw: st.DrawFn, number: int, at: int) -> NodeFinished:
    if draw(RARELY):
        return NodeFinished(
            number, number + 1, NodeState.FAILED, at, "n", failure=FAILURE, handled="continue"
        )
    body = b"1" if draw(st.booleans()) else None
    stored = draw(st.sampled_from(["stored", "none", "", "too large"]))
    return NodeFinished(
        number, number + 1, NodeState.SUCCEEDED, at, "n", body, "json" if body else "",
        draw(VALUES), stored, attributes=draw(ATTRIBUTES) if draw(RARELY) else None,
        extra=b"x" if draw(RARELY) else None, key="k" if body and draw(RARELY) else "",
    )  # fmt: skip


def told(number: int, records: list[AnyRecord]) -> Message:
    """Return the message that says that a run is over."""
    run_id = f"{number:032x}"
    first, *rest = records
    assert isinstance(first, RunStarted)
    state = RunState(
        job=Job(run_id=run_id, flow_name="etl"),
        status="COMPLETED",
        batches=1,
        journal=(encode([replace(first, run_id=run_id), *rest]),),
        updated_at=0.0000025,
    )
    return Stands(number, 3, state)


def rows(*told_of: list[AnyRecord]) -> dict[str, list[Any]]:
    """Return what an index holds after it was told of runs that are over."""
    messages = [told(number, records) for number, records in enumerate(told_of, 1)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "index.db")
        writer = RemoteWriter(path)
        writer.apply(messages, messages, "runs", Position("made", 1, 1))
        writer.close()
        with closing(sqlite3.connect(path)) as db:
            found = {name: db.execute(query).fetchall() for name, query in _TABLES.items()}
    for name, columns in _ROW_IDS.items():
        for column in columns:
            found[name] = [(*row[:column], *row[column + 1 :]) for row in found[name]]
    return found


@contextmanager
def short_way(*, is_open: bool) -> Iterator[list[Brief | None]]:
    """Watch the short way, or close it."""
    taken: list[Brief | None] = []
    real = BriefRuns.take

    def take(self: BriefRuns, *args: Any) -> Brief | None:
        taken.append(real(self, *args) if is_open else None)
        return taken[-1]

    with patch.object(BriefRuns, "take", take):
        yield taken


def test_a_run_in_which_nothing_unusual_happened_needs_no_projection() -> None:
    for nodes in (0, 1, 5):
        with short_way(is_open=True) as taken:
            short = rows(plain(nodes=nodes))
        assert taken != [None]
        with short_way(is_open=False):
            assert rows(plain(nodes=nodes)) == short
        assert short["span"][-1][3] == "settle"


@settings(max_examples=times(15), deadline=None)
@given(st.lists(runs(), min_size=4, max_size=8))
def test_the_short_way_and_the_projection_make_the_same_rows(
    told_of: list[list[AnyRecord]],
) -> None:
    with short_way(is_open=True):
        short = rows(*told_of)
    with short_way(is_open=False):
        assert rows(*told_of) == short
