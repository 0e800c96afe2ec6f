"""What every store keeps and gives back, whatever it is made of."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effort import times
from tailrace.errors import NotFound
from tailrace.model import (
    AnyRecord,
    AttemptFailed,
    AttemptStarted,
    Checkpoint,
    EventsDropped,
    FailureRecord,
    Logged,
    NodeFinished,
    NodeSkipped,
    NodeStarted,
    NodeState,
    Progress,
    RunFinished,
    RunId,
    RunStarted,
    RunStatus,
    ScopeFinished,
    ScopeStarted,
    ShapeDeclared,
    Trace,
    UserSpanFinished,
    UserSpanStarted,
    new_run_id,
)
from tailrace.ports import RunStore, TraceReader
from tailrace.store import SqliteStore, SqliteTraceReader
from tailrace.testing.memory import MemoryStore
from tailrace.tracing.spans import fold


class Reader(TraceReader, Protocol):
    """A reader that also gives checkpoints."""

    def checkpoints(self, run_id: RunId) -> Iterator[Checkpoint]: ...


class Stores:
    """One kind of store: opened once, read as often as wished."""

    def __init__(self, store: RunStore, reader: Callable[[], Any]) -> None:
        self.store = store
        self._reader = reader

    def read(self, ask: Callable[[Any], Any]) -> Any:
        reader = self._reader()
        try:
            return ask(reader)
        finally:
            reader.close()

    def trace(self, run_id: RunId) -> Trace:
        trace: Trace = self.read(lambda reader: reader.trace(run_id))
        return trace


def sqlite_stores(folder: Path) -> Stores:
    path = folder / "runs.db"
    return Stores(SqliteStore(path), lambda: SqliteTraceReader(path))


def memory_stores(_folder: Path) -> Stores:
    store = MemoryStore()
    return Stores(store, store.reader)


@pytest.fixture(params=[sqlite_stores, memory_stores], ids=["sqlite", "memory"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    made: Stores = request.param(tmp_path)
    yield made
    made.store.close()


def start(run_id: RunId, *, flow: str = "weather", at: int = 1_000) -> RunStarted:
    return RunStarted(run_id, flow, "h" * 64, "flow.yaml", at, {"day": "today"}, "test", 77)


def chain(run_id: RunId, length: int, *, flow: str = "weather", at: int = 1_000) -> list[list[Any]]:
    """The appends of a run of ``length`` nodes in a row, as an engine makes them."""
    appends: list[list[Any]] = [
        [start(run_id, flow=flow, at=at), ShapeDeclared(1, "m:f", {"kind": "sync"})]
    ]
    for index in range(length):
        span, name = 2 + 2 * index, f"n{index}"
        appends[-1].append(NodeStarted(span, span + 1, 1, 1, name, "", at + index, {"x": index}))
        done = NodeFinished(
            span, span + 1, NodeState.SUCCEEDED, at + index + 1, name, b"%d" % index, "json",
            index, "stored",
        )  # fmt: skip
        appends.append([done])
    appends[-1].append(RunFinished(at + length, RunStatus.COMPLETED, output=length))
    return appends


def write(store: RunStore, appends: list[list[Any]]) -> None:
    journal = store.open_journal(appends[0][0].run_id)
    for records in appends:
        assert journal.append(records) is None
    journal.close()


def test_a_finished_run_is_read_as_it_was_written(stores: Stores) -> None:
    run_id = new_run_id()
    appends = chain(run_id, 5)
    write(stores.store, appends)

    assert stores.trace(run_id) == fold([record for batch in appends for record in batch]).trace()


def test_a_live_run_is_readable_after_every_append(stores: Stores) -> None:
    run_id = new_run_id()
    journal = stores.store.open_journal(run_id)
    seen: list[AnyRecord] = []
    for records in chain(run_id, 3):
        journal.append(records)
        seen += records
        assert stores.trace(run_id) == fold(seen).trace()
    journal.close()


def test_checkpoints_are_the_outputs_by_path(stores: Stores) -> None:
    run_id = new_run_id()
    write(stores.store, chain(run_id, 3))

    kept = stores.read(lambda reader: list(reader.checkpoints(run_id)))

    assert [(one.path, one.codec, one.body) for one in kept] == [
        ("n0", "json", b"0"), ("n1", "json", b"1"), ("n2", "json", b"2"),
    ]  # fmt: skip


def test_events_can_be_left_out(stores: Stores) -> None:
    run_id = new_run_id()
    journal = stores.store.open_journal(run_id)
    journal.append([start(run_id), Logged(1, 1_001, "log", {"message": "hi"})])

    with_events = stores.trace(run_id)
    without = stores.read(lambda reader: reader.trace(run_id, events=False))

    assert [event.attributes for event in with_events.spans[0].events] == [{"message": "hi"}]
    assert without.spans[0].events == []
    journal.close()


def test_what_was_noted_comes_with_the_next_append_and_before_it(stores: Stores) -> None:
    run_id = new_run_id()
    journal = stores.store.open_journal(run_id)
    journal.append([start(run_id)])
    journal.note(Logged(1, 1_001, "first", {}))
    journal.append([Logged(1, 1_002, "second", {})])

    names = [event.name for event in stores.trace(run_id).spans[0].events]

    assert names == ["first", "second"]
    journal.close()


def test_notes_of_many_threads_all_arrive(stores: Stores) -> None:
    run_id = new_run_id()
    journal = stores.store.open_journal(run_id)
    journal.append([start(run_id)])

    def talk(thread: int) -> None:
        for line in range(50):
            journal.note(Logged(1, 1_001, "log", {"who": thread, "line": line}))

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.append([RunFinished(1_010, RunStatus.COMPLETED)])
    journal.close()

    events = [event.attributes for event in stores.trace(run_id).spans[0].events]
    for number in range(4):
        assert [event["line"] for event in events if event["who"] == number] == list(range(50))


def test_a_note_that_holds_anything_is_kept(stores: Stores) -> None:
    run_id = new_run_id()
    journal = stores.store.open_journal(run_id)
    journal.append([start(run_id)])
    journal.note(Logged(1, 1_001, "odd", {"object": object(), "big": 2**70, "text": "\ud800"}))
    journal.append([Logged(1, 1_002, "next", {})])

    odd, _ = stores.trace(run_id).spans[0].events

    assert odd.attributes == {"object": "<object>", "big": str(2**70), "text": "\\ud800"}
    journal.close()


def test_runs_are_listed_newest_first_and_filtered(stores: Stores) -> None:
    ids = [new_run_id() for _ in range(4)]
    ids.sort()
    for position, run_id in enumerate(ids):
        flow = "even" if position % 2 == 0 else "odd"
        write(stores.store, chain(run_id, 1, flow=flow, at=1_000 * (position + 1)))

    def listed(**filters: Any) -> list[RunId]:
        return [run.run_id for run in stores.read(lambda reader: reader.runs(**filters))]

    assert listed() == ids[::-1]
    assert listed(limit=2) == [ids[3], ids[2]]
    assert listed(flow="odd") == [ids[3], ids[1]]
    assert listed(flow="none") == []
    assert listed(since_ns=2_000, until_ns=4_000) == [ids[2], ids[1]]
    assert listed(status="COMPLETED") == ids[::-1]
    assert listed(status="FAILED") == []


def test_a_run_id_is_found_by_prefix_and_by_its_age(stores: Stores) -> None:
    first, second = RunId("aa" + "0" * 30), RunId("ab" + "0" * 30)
    write(stores.store, chain(first, 1, at=1_000))
    journal = stores.store.open_journal(second)
    journal.append([start(second, at=2_000), RunFinished(2_001, RunStatus.FAILED)])
    journal.close()

    def resolved(prefix: str) -> RunId:
        found: RunId = stores.read(lambda reader: reader.resolve(prefix))
        return found

    assert resolved("aa") == resolved(first) == first
    assert resolved("@last") == resolved("@last-failed") == second
    for nothing in ("a", "b", "", "zz", "%"):
        with pytest.raises(NotFound):
            resolved(nothing)


def test_what_is_not_there_is_not_found(stores: Stores) -> None:
    with pytest.raises(NotFound):
        stores.trace(new_run_id())
    with pytest.raises(NotFound):
        stores.read(lambda reader: reader.resolve("@last"))


class _Script:
    """Makes a valid sequence of records out of any sequence of numbers."""

    def __init__(self, run_id: RunId) -> None:
        self.records: list[AnyRecord] = [start(run_id)]
        self._next_span = 2
        self._shapes = 0
        self._at = 1_000
        self._nodes: dict[int, tuple[int, int, str]] = {}
        self._scopes: dict[int, str] = {}
        self._users: list[int] = []

    def span(self) -> int:
        self._next_span += 1
        return self._next_span - 1

    def now(self) -> int:
        self._at += 7
        return self._at

    def any_parent(self, choice: int) -> int:
        parents = [1, *self._scopes]
        return parents[choice % len(parents)]

    def step(self, kind: int, choice: int) -> None:
        steps = [
            self._start_node, self._start_node, self._finish_node, self._finish_node,
            self._fail_attempt, self._skip_node, self._open_scope, self._close_scope,
            self._open_user_span, self._close_user_span, self._log, self._drop, self._progress,
        ]  # fmt: skip
        steps[kind % len(steps)](choice)

    def _start_node(self, choice: int) -> None:
        if not self._shapes or choice % 5 == 0:
            self._shapes += 1
            attributes = {"kind": "sync", "policy": {"timeout": self._shapes % 3}}
            self.records.append(ShapeDeclared(self._shapes, f"m:t{self._shapes % 2}", attributes))
        span, attempt = self.span(), self.span()
        name, path = f"n{span}", f"each[{choice}].n{span}" if choice % 2 else ""
        self._nodes[span] = (attempt, 1, path or name)
        self.records.append(
            NodeStarted(
                span, attempt, self.any_parent(choice), 1 + choice % self._shapes, name, path,
                self.now(), {"x": choice, "y": [1.5, None][choice % 2]}, 1 + choice % 3,
            )
        )  # fmt: skip

    def _finish_node(self, choice: int) -> None:
        if not self._nodes:
            return
        span = list(self._nodes)[choice % len(self._nodes)]
        attempt, number, path = self._nodes.pop(span)
        states = (NodeState.SUCCEEDED, NodeState.SUCCEEDED, NodeState.FAILED, NodeState.CANCELLED)
        state = states[choice % 4]
        failed = state is not NodeState.SUCCEEDED
        self.records.append(
            NodeFinished(
                span, attempt, state, self.now(), path, None if failed else b"[%d]" % choice,
                "" if failed else "json", choice, ("stored", "none", "too big: x")[choice % 3],
                self._failure(choice) if failed else None, "continue" if choice % 8 == 2 else "",
                number, {"rows": choice} if choice % 5 == 0 else None,
            )
        )  # fmt: skip

    def _failure(self, choice: int) -> FailureRecord:
        category = "timeout" if choice % 2 else "unknown"
        return FailureRecord("ValueError", f"bad {choice}", category, stack=(("f.py", 3, "g"),))

    def _fail_attempt(self, choice: int) -> None:
        if not self._nodes:
            return
        span = list(self._nodes)[choice % len(self._nodes)]
        attempt, number, path = self._nodes[span]
        self.records.append(AttemptFailed(attempt, self.now(), self._failure(choice), number, 0.5))
        again = self.span()
        self._nodes[span] = (again, number + 1, path)
        self.records.append(AttemptStarted(again, span, number + 1, self.now(), 0.5, 3))

    def _skip_node(self, choice: int) -> None:
        state = NodeState.SKIPPED if choice % 2 else NodeState.CANCELLED
        span, parent = self.span(), self.any_parent(choice)
        self.records.append(NodeSkipped(span, parent, 0, "s", "", self.now(), state, "needs n"))

    def _open_scope(self, choice: int) -> None:
        kinds = (("container", "foreach"), ("iteration", "foreach"), ("branch", "switch"))
        kind, construct = kinds[choice % 3]
        parent, span = self.any_parent(choice), self.span()
        self._scopes[span] = kind
        self.records.append(
            ScopeStarted(
                span, parent, kind, construct, f"s{span}", "", self.now(), {"item": choice}
            )
        )

    def _close_scope(self, choice: int) -> None:
        if not self._scopes:
            return
        span = list(self._scopes)[choice % len(self._scopes)]
        del self._scopes[span]
        failure = self._failure(choice) if choice % 4 == 0 else None
        state = NodeState.FAILED if failure else NodeState.SUCCEEDED
        attributes = {"executed_branch_key": "a", "count": choice}
        self.records.append(
            ScopeFinished(span, state, self.now(), "", attributes, failure, b"1", "json")
        )

    def _open_user_span(self, choice: int) -> None:
        if self._nodes:
            attempt, _, _ = self._nodes[list(self._nodes)[choice % len(self._nodes)]]
            span = self.span()
            self._users.append(span)
            self.records.append(UserSpanStarted(span, attempt, "parse", self.now(), {"n": choice}))

    def _close_user_span(self, choice: int) -> None:
        if self._users:
            span = self._users.pop(choice % len(self._users))
            failure = self._failure(choice) if choice % 2 else None
            self.records.append(UserSpanFinished(span, self.now(), {"done": True}, failure))

    def _log(self, choice: int) -> None:
        span = 1 + choice % (self._next_span - 1)
        self.records.append(Logged(span, self.now(), "log", {"message": "m", "level": choice}))

    def _drop(self, choice: int) -> None:
        self.records.append(EventsDropped(1 + choice % (self._next_span - 1), 1 + choice % 9))

    def _progress(self, choice: int) -> None:
        span = 1 + choice % (self._next_span - 1)
        total = 9.0 if choice % 2 else None
        self.records.append(Progress(span, self.now(), float(choice % 9), total))


@st.composite
def sequences(draw: st.DrawFn) -> list[AnyRecord]:
    """Valid records of one run, finished or not."""
    script = _Script(RunId(f"{draw(st.integers(1, 2**120)):032x}"))
    number = st.integers(0, 59)
    for kind, choice in draw(st.lists(st.tuples(number, number), max_size=40)):
        script.step(kind, choice)
    ends = [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, None]
    status = draw(st.sampled_from(ends))
    if status is not None:
        failure = FailureRecord("E", "gone", "unknown") if status is RunStatus.FAILED else None
        script.records.append(RunFinished(script.now(), status, failure, "n", 1, "out", "why"))
    return script.records


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@settings(
    max_examples=times(60),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(records=sequences(), cuts=st.lists(st.integers(0, 3), min_size=1))
def test_any_records_in_any_batches_give_the_spans_of_one_fold(
    records: list[AnyRecord], cuts: list[int], shared_folder: Path
) -> None:
    """Each cut ends an append; some also make the store write its rows, or forget its state."""
    path = shared_folder / "batches.db"
    run_id = RunId(records[0].run_id) if isinstance(records[0], RunStarted) else RunId("")
    path.unlink(missing_ok=True)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    store = SqliteStore(path)
    journal = store.open_journal(run_id)
    reader = SqliteTraceReader(path)
    waiting: list[AnyRecord] = []
    for position, record in enumerate(records):
        waiting.append(record)
        cut = cuts[position % len(cuts)]
        if cut:
            journal.append(waiting)
            waiting = []
        if cut == 2:
            journal.flush()
        if cut == 3:
            journal._projection = None
    journal.append(waiting)

    expected = fold(records)
    assert reader.trace(run_id) == expected.trace()
    assert sorted(reader.checkpoints(run_id), key=repr) == sorted(expected.checkpoints(), key=repr)

    reader.close()
    store.close()


@settings(max_examples=times(50), deadline=None)
@given(records=sequences(), cuts=st.lists(st.booleans(), min_size=1))
def test_live_folding_in_any_batches_gives_the_spans_of_one_fold(
    records: list[AnyRecord], cuts: list[bool]
) -> None:
    live = fold([])
    waiting: list[AnyRecord] = []
    for position, record in enumerate(records):
        waiting.append(record)
        if cuts[position % len(cuts)]:
            live.apply(waiting)
            waiting = []
    live.apply(waiting)

    assert live.trace() == fold(records).trace()
