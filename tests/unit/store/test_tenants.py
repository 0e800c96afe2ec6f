"""A tenant of an index is told exactly what an index of its own would tell it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stream_model import StreamModel, WorkerModel
from tailrace.errors import NotFound, StoreError
from tailrace.gateway.stored_traces import StoredTraces
from tailrace.model import (
    FailureOrigin,
    FailureRecord,
    NodeFinished,
    NodeStarted,
    NodeState,
    RunFinished,
    RunId,
    RunStarted,
    RunStatus,
    ShapeDeclared,
    Span,
    SpanId,
    SpanType,
)
from tailrace.model.decision import GroupDecision
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import DeadLetter
from tailrace.model.remote import Job
from tailrace.model.states import SpanStatus
from tailrace.store import SqliteFailureLog
from tailrace.store.foreign import Intake
from tailrace.store.remote import LetterMessage, Position, RemoteWriter
from tailrace.store.segments.seal import seal
from tailrace.tracing.otlp import FileFormat, ReadReport, encode_export, read_exports

Appends = Callable[..., list[list[Any]]]
TENANTS = ("acme", "other")
START = 1_700_000_000_000_000_000
QUERIES = (
    "{ }",
    "{ status = error }",
    '{ name = "node load" }',
    '{ name =~ "run.*" } >> { status = error }',
    "{ } | by(name) | count() > 0",
    "{ span.secret != nil }",
    "{ trace:rootName != nil && traceDuration >= 0s }",
    "{ } | select(span.secret, resource.service.name)",
)
METRICS = (
    "{ } | count_over_time() by (name)",
    "{ status = error } | rate()",
    "{ } | quantile_over_time(duration, .5) by (resource.service.name)",
    "{ } | compare({ status = error }, 5)",
    "{ span.secret != nil } | count_over_time() by (span.secret)",
)


def job(number: int, tenant: str) -> Job:
    return Job(
        run_id=f"{number + 1:x}{number:031x}",
        flow_name=f"flow-of-{tenant}",
        submitted_at=1.5,
        tenant_id=tenant,
    )


def sent(trace: int, number: int, tenant: str) -> Span:
    at = START + trace * 1_000_000_000 + number
    return Span(
        trace_id=RunId(f"f{trace:031x}"),
        span_id=SpanId(f"{number + 1:016x}"),
        parent_id=None if number == 0 else SpanId(f"{1:016x}"),
        name=f"sent {number}",
        type=SpanType.USER,
        start_ns=at,
        end_ns=at + 1_000,
        status=SpanStatus.ERROR if number == 2 else SpanStatus.UNSET,
        attributes={"secret": tenant, "number": number},
        resource={"service.name": f"service of {tenant}"},
    )


def letter(number: int, tenant: str) -> DeadLetter:
    return DeadLetter(
        dl_id=f"DL-{number:026d}",
        task_key=f"key {number}",
        flow=f"flow-of-{tenant}",
        type="ValueError",
        message=tenant,
        created_ns=START + number,
        updated_ns=START + number,
    )


def fill(path: Path, makes: Sequence[Callable[[RunId], Any]], tenants: Sequence[str]) -> None:
    """Make an index of everything that some of the tenants have done."""
    stream = StreamModel()
    for number, make in enumerate(makes):
        tenant = TENANTS[number % 2]
        if tenant not in tenants:
            continue
        worker = WorkerModel(stream, job(number, tenant), make(RunId(job(number, tenant).run_id)))
        worker.submit()
        while not worker.is_over:
            worker.step()
    with closing(RemoteWriter(path)) as writer:
        news = stream.after(0)
        writer.apply(news, news, "runs", Position("made", stream.sequence, stream.sequence))
        for number in range(6):
            tenant = TENANTS[number % 2]
            if tenant in tenants:
                message = LetterMessage(number + 1, letter(number, tenant), tenant)
                writer.take_letters([message], "letters", Position("made", number + 1))
                spans = [sent(number, one, tenant) for one in range(4)]
                take(writer, spans, tenant=tenant, joins=False)


def take(writer: RemoteWriter, spans: Sequence[Span], *, tenant: str, joins: bool) -> Intake:
    """Have an index take spans as they come over HTTP."""
    read = read_exports(
        io.BufferedReader(io.BytesIO(encode_export(spans))), FileFormat.JSON, ReadReport()
    )
    return writer.take_exports(read, tenant=tenant, joins=joins)


def fails(run_id: RunId, at: int, tenant: str) -> list[list[Any]]:
    """Return the appends of a run that fails, of the kind of which all tenants have some."""
    failure = FailureRecord(
        "ValueError",
        f"no good for {tenant}",
        "permanent",
        fingerprint="v1:" + "a" * 32,
        failure_id=f"F-{at % 10**26:026d}",
        captured_ns=at + 2,
        origin=FailureOrigin((f"flow:{tenant}", "node:load", "task:1"), "load", "m:load", 3, 1, 1),
        given_up="permanent",
    )
    started = RunStarted(
        run_id, f"flow-of-{tenant}", "h" * 64, "flow.yaml", at, {}, "http", at,
        code_version="sha256:1", attributes={"worker.id": "w1"},
    )  # fmt: skip
    return [
        [
            started,
            ShapeDeclared(1, "m:load", {}),
            NodeStarted(2, 3, 1, 1, "load", "", at + 1, {}),
        ],
        [
            NodeFinished(2, 3, NodeState.FAILED, at + 2, "load", failure=failure),
            RunFinished(at + 3, RunStatus.FAILED, failure, "load"),
        ],
    ]


@pytest.fixture
def makes(chain: Appends) -> list[Callable[[RunId], Any]]:
    def make(number: int, run_id: RunId) -> list[list[Any]]:
        at, tenant = START + number * 10**9, TENANTS[number % 2]
        if number in {0, 1, 4, 7}:
            return fails(run_id, at, tenant)
        return chain(run_id, length=number, at=at, flow=f"flow-of-{tenant}")

    return [partial(make, number) for number in range(8)]


@pytest.fixture(params=["loose", "sealed"])
def both(request: pytest.FixtureRequest, tmp_path: Path, makes: Any) -> tuple[Path, Path]:
    """Return an index of two tenants, and one of the first tenant alone."""
    shared, own = tmp_path / "shared.db", tmp_path / "own.db"
    fill(shared, makes, TENANTS)
    fill(own, makes, TENANTS[:1])
    if request.param == "sealed":
        for path in (shared, own):
            assert seal(path, everything=True).segments
    return shared, own


def plain(value: Any) -> Any:
    return msgspec.to_builtins(value)


def test_a_tenant_is_told_what_an_index_of_its_own_would_tell(both: tuple[Path, Path]) -> None:
    shared, own = (StoredTraces(path) for path in both)
    wanted = FailureFilter(tenant="acme")
    with closing(shared), closing(own):
        runs = own.runs(foreign=True, limit=500)
        assert len(runs) == 7
        assert shared.runs(tenant="acme", foreign=True, limit=500) == runs
        for status in ("FAILED", "COMPLETED", "RUNNING"):
            assert shared.runs(tenant="acme", status=status) == own.runs(status=status)
        for run in runs:
            assert shared.trace(run.run_id, tenant="acme") == own.trace(run.run_id)
        for query in QUERIES:
            assert shared.search(query, tenant="acme") == own.search(query), query
        for query in METRICS:
            for instant in (False, True):
                given: dict[str, Any] = {"since_ns": 0, "until_ns": 2 * START, "instant": instant}
                told = shared.metrics(query, tenant="acme", **given)
                assert told == own.metrics(query, **given), query
        failures = own.failures(FailureFilter(), limit=500)
        assert failures
        assert shared.failures(wanted, limit=500) == failures
        assert shared.failure_counts(wanted) == own.failure_counts(FailureFilter())
        everything = own.failure_groups(FailureFilter(), states=(), limit=500)
        assert plain(shared.failure_groups(wanted, states=(), limit=500)) == plain(everything)
        edges = [0, START, 2 * START]
        named = [group.fp_site for group in everything.groups]
        assert shared.trends(wanted, named, edges) == own.trends(FailureFilter(), named, edges)
        letters = own.letters(FailureFilter(), limit=500)
        assert len(letters) == 3
        assert shared.letters(wanted, limit=500) == letters


def test_whoever_sees_all_tenants_is_told_everything(both: tuple[Path, Path]) -> None:
    with closing(StoredTraces(both[0])) as shared:
        assert len(shared.runs(foreign=True, limit=500)) == 14
        assert shared.search("{ }", limit=500).inspected_traces == 14
        assert len(shared.letters(FailureFilter(), limit=500)) == 6


def test_ids_of_others_are_not_there_and_the_beginning_of_an_id_tells_nothing(
    both: tuple[Path, Path],
) -> None:
    with closing(StoredTraces(both[0])) as shared:
        theirs = [
            *(run.run_id for run in shared.runs(tenant="other", foreign=True, limit=500)),
            "none",
        ]
        for trace_id in theirs:
            for part in (trace_id, trace_id[:2], trace_id[:9]):
                with pytest.raises(NotFound) as refused:
                    shared.trace(part, tenant="acme")
                assert str(both[0]) not in refused.value.message
                assert all(one not in refused.value.message for one in theirs if one != part)
            with pytest.raises(NotFound):
                shared.lineage(trace_id, tenant="acme")
            assert shared.summaries([trace_id], tenant="acme") == []
        for failure in shared.failures(FailureFilter(tenant="other"), limit=500):
            with pytest.raises(NotFound):
                shared.failure(failure.failure_id, tenant="acme")
        with pytest.raises(NotFound):
            shared.letter(letter(1, "other").dl_id, tenant="acme")
        assert shared.letter(letter(1, "other").dl_id, tenant="other").flow == "flow-of-other"
        assert not shared.failures(FailureFilter(tenant="nobody"), limit=5)
        assert shared.search("{ }", tenant="nobody").inspected_spans == 0


def test_spans_sent_to_a_trace_of_another_tenant_are_left_out(both: tuple[Path, Path]) -> None:
    path = both[0]
    run_id = job(1, "other").run_id
    intruding = [
        msgspec.structs.replace(sent(1, 9, "acme"), trace_id=RunId(trace_id))
        for trace_id in (run_id, sent(1, 0, "other").trace_id)
    ]
    with closing(StoredTraces(path)) as shared:
        before = [shared.trace(one.trace_id, tenant="other") for one in intruding]
    with closing(RemoteWriter(path)) as writer:
        assert take(writer, intruding, tenant="acme", joins=False).spans == 0
    with closing(StoredTraces(path)) as shared:
        assert [shared.trace(one.trace_id, tenant="other") for one in intruding] == before
        for one in intruding:
            with pytest.raises(NotFound):
                shared.trace(one.trace_id, tenant="acme")


def test_a_tenant_may_add_to_its_own_runs_and_who_sees_all_to_those_of_anybody(
    both: tuple[Path, Path],
) -> None:
    path = both[0]
    mine, theirs = (
        msgspec.structs.replace(sent(1, 9, "x"), trace_id=RunId(job(number, tenant).run_id))
        for number, tenant in ((0, "acme"), (1, "other"))
    )
    with closing(RemoteWriter(path)) as writer:
        assert take(writer, [mine], tenant="acme", joins=False).spans == 1
        assert take(writer, [theirs], tenant="acme", joins=True).spans == 1
    with closing(StoredTraces(path)) as shared:
        for one, tenant in ((mine, "acme"), (theirs, "other")):
            trace, _ = shared.trace(one.trace_id, tenant=tenant)
            assert one.span_id in {span.span_id for span in trace.spans}


def test_what_was_sent_under_the_id_of_another_tenants_run_to_come_goes_when_it_has_come(
    tmp_path: Path, chain: Appends
) -> None:
    path = tmp_path / "index.db"
    theirs = job(1, "other")
    early = msgspec.structs.replace(sent(1, 0, "acme"), trace_id=RunId(theirs.run_id))
    stream = StreamModel()
    worker = WorkerModel(stream, theirs, chain(RunId(theirs.run_id), length=1))
    worker.submit()
    while not worker.is_over:
        worker.step()
    with closing(RemoteWriter(path)) as writer:
        take(writer, [early], tenant="acme", joins=False)
        with closing(StoredTraces(path)) as shared:
            assert shared.trace(theirs.run_id, tenant="acme")
        news = stream.after(0)
        writer.apply(news, news, "runs", Position("made", stream.sequence, stream.sequence))
        with closing(StoredTraces(path)) as shared, pytest.raises(NotFound):
            shared.trace(theirs.run_id, tenant="acme")
        writer.drop_strangers()
    with closing(StoredTraces(path)) as shared:
        trace, _ = shared.trace(theirs.run_id, tenant="other")
        assert all(span.name != early.name for span in trace.spans)


def test_each_tenant_decides_for_itself_and_later_news_win(both: tuple[Path, Path]) -> None:
    path = both[0]
    scopes = {name: FailureFilter(tenant=name) for name in (*TENANTS, None)}
    with closing(StoredTraces(path)) as shared:
        group = shared.failure_groups(scopes["acme"], states=(), limit=1).groups[0]
    decided = GroupDecision(
        fp_site=group.fp_site,
        tenant="acme",
        state="resolved",
        at_ns=2 * START,
        resolved_version=group.last_version,
    )
    again = msgspec.structs.replace(decided, state="ignored", until_ns=3 * START)

    def states() -> list[str]:
        with closing(StoredTraces(path)) as shared:
            return [
                shared.failure_groups(scope, states=(), limit=1).groups[0].state
                for scope in scopes.values()
            ]

    assert states() == ["open", "open", "open"]
    with closing(RemoteWriter(path)) as writer:
        writer.take_decisions([(7, decided)])
        assert states() == ["resolved", "open", "open"]
        writer.take_decisions([(6, again), (8, msgspec.structs.replace(again, tenant=""))])
        assert states() == ["resolved", "open", "ignored"]
        writer.take_decisions([(9, again)])
        assert states() == ["ignored", "open", "ignored"]
    with closing(StoredTraces(path)) as shared:
        counts = shared.failure_counts(scopes["acme"])["groups"]
        assert counts["ignored"] == 1
        assert not [
            one
            for one in shared.failure_groups(scopes["acme"], states=("open",), limit=9).groups
            if one.fp_site == group.fp_site
        ]


def test_a_decision_holds_for_what_failed_before_it_and_until_it_ends(
    both: tuple[Path, Path],
) -> None:
    path = both[0]
    with closing(StoredTraces(path)) as shared:
        group = shared.failure_groups(FailureFilter(), states=(), limit=1).groups[0]
    expired = GroupDecision(fp_site=group.fp_site, state="ignored", at_ns=1, until_ns=2)
    older = GroupDecision(fp_site=group.fp_site, state="resolved", at_ns=1)
    for number, (decision, state) in enumerate(
        [
            (expired, "open"),
            (msgspec.structs.replace(expired, until_ns=0), "ignored"),
            (older, "regressed" if group.last_version else "resolved"),
            (msgspec.structs.replace(older, at_ns=2 * START), "resolved"),
        ]
    ):
        with closing(RemoteWriter(path)) as writer:
            writer.take_decisions([(number + 1, decision)])
        with closing(StoredTraces(path)) as shared:
            found = shared.failure_groups(FailureFilter(), states=(), limit=1).groups[0]
        assert found.state == state


def test_groups_of_an_index_are_not_changed_in_its_file_alone(both: tuple[Path, Path]) -> None:
    with closing(SqliteFailureLog(both[0])) as log:
        group = log.groups(FailureFilter(), limit=1)[0]
        with pytest.raises(StoreError, match="through a gateway"):
            log.change_group(group.fp_site, "resolve", actor="me")
