"""Failures become rows and come back as they were."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effort import times
from tailrace.failures.supervision import advance
from tailrace.model.failure import (
    Cause,
    Directive,
    Disposition,
    FailureFilter,
    FailureSnapshot,
    Frame,
    Hop,
    Origin,
)
from tailrace.model.ids import new_sortable
from tailrace.store import SqliteFailureLog, StoreLimits

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
COUNT = st.integers(0, 2**31)
CAUSES = st.lists(st.builds(Cause, TEXT, TEXT, TEXT), max_size=3).map(tuple)
FRAMES = st.lists(st.builds(Frame, TEXT, TEXT, TEXT, COUNT, st.booleans()), max_size=3).map(tuple)
PATHS = st.lists(TEXT, min_size=1, max_size=5).map(tuple)
HEX = st.text("0123456789abcdef", min_size=32, max_size=32)


@st.composite
def snapshots(draw: st.DrawFn) -> FailureSnapshot:
    path = draw(PATHS)
    fields: dict[str, Any] = {
        name: draw(TEXT)
        for name in (
            "rule", "given_up", "location", "source_line", "function", "flow", "node_id",
            "task_ref", "input_digest", "policy_ref", "code_version", "worker_id", "span_id",
            "component", "endpoint", "transport", "description", "severity",
        )
    } | {
        name: draw(COUNT)
        for name in ("child_count", "attempt", "max_attempts", "generation", "dropped_tags")
    }  # fmt: skip
    frames = draw(FRAMES)
    snapshot = FailureSnapshot(
        failure_id=f"F-{new_sortable()}",
        captured_ns=draw(st.integers(0, 2**62)),
        type=draw(TEXT),
        message=draw(TEXT),
        category=draw(TEXT),
        class_=draw(TEXT),
        retryable=draw(st.booleans()),
        retry_after_s=draw(st.none() | st.floats(0, 1e9)),
        origin=Origin(path, draw(TEXT), draw(TEXT), draw(COUNT), draw(TEXT)),
        path=path,
        level=path[-1].partition(":")[0],
        disposition=draw(st.sampled_from(list(Disposition))).value,
        notes=tuple(draw(st.lists(TEXT, max_size=2))),
        redacted=tuple(draw(st.lists(TEXT, max_size=2))),
        cause_chain=draw(CAUSES),
        children=draw(CAUSES),
        frames=frames,
        stack_id=f"b2:{blake2b(repr(frames).encode()).hexdigest()[:32]}" if frames else "",
        fp_site=f"v1:{draw(HEX)}",
        fp_template=f"v1:{draw(HEX)}",
        trace_id=draw(TEXT.filter(bool)),
        tags=tuple(draw(st.lists(st.tuples(TEXT, TEXT), max_size=3))),
        **fields,
    )
    for at in range(draw(st.integers(0, len(path) - 1))):
        snapshot = advance(
            snapshot, Directive.ESCALATE.value, at, draw(TEXT), disposition=snapshot.disposition
        )
    return snapshot


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteFailureLog]:
    path = tmp_path_factory.mktemp("rows") / "runs.db"
    log = SqliteFailureLog(path, limits=StoreLimits(flood=0))
    yield log
    log.close()


@pytest.mark.no_cover
@settings(max_examples=times(30), deadline=None)
@given(ones=st.lists(snapshots(), min_size=1, max_size=3))
def test_any_failure_comes_back_as_it_was(
    log: SqliteFailureLog, ones: list[FailureSnapshot]
) -> None:
    log.record(ones)
    assert [log.failure(one.failure_id) for one in ones] == ones


def test_hops_that_do_not_follow_from_the_origin_come_back_too(tmp_path: Path) -> None:
    odd = FailureSnapshot(
        failure_id="F-1", captured_ns=1, type="E", message="m", category="unknown",
        origin=Origin(("root", "worker:1")), path=("elsewhere",), level="worker",
        trail=(Hop("worker", ("elsewhere",), "stop", "", "why", 3),), fp_site="v1:" + "0" * 32,
        run_id="r" * 32, trace_id="t" * 32,
    )  # fmt: skip
    log = SqliteFailureLog(tmp_path / "runs.db")
    log.record([odd])
    assert log.failure("F-1") == odd
    log.close()


def test_a_failure_without_fingerprint_is_grouped_by_its_type(tmp_path: Path) -> None:
    log = SqliteFailureLog(tmp_path / "runs.db")
    for name, kind in (("F-1", "A"), ("F-2", "A"), ("F-3", "B")):
        log.record([
            FailureSnapshot(failure_id=name, captured_ns=1, type=kind, message="", category="x")
        ])  # fmt: skip
    assert sorted(group.count for group in log.groups(FailureFilter())) == [1, 2]
    assert {group.title for group in log.groups(FailureFilter())} == {"A", "B"}
    log.close()


def test_frames_without_an_id_of_their_stack_are_kept(tmp_path: Path) -> None:
    frames = (Frame("m", "f", "f.py", 1, in_app=True),)
    one = FailureSnapshot(
        failure_id="F-1", captured_ns=1, type="E", message="", category="x", frames=frames
    )
    log = SqliteFailureLog(tmp_path / "runs.db")
    log.record([one, msgspec.structs.replace(one, failure_id="F-2")])
    assert log.failure("F-1").frames == frames
    assert log.failure("F-2").stack_id == log.failure("F-1").stack_id != ""
    log.close()
