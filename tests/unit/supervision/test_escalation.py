"""The way of a failure, folded from the records of its run."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace import Flow, OnError, Policy, Retry, foreach, subflow, task
from tailrace.failures.supervision import Escalation, FailureChanges, RunContext
from tailrace.failures.supervision.escalation import MOST_OPEN
from tailrace.failures.supervision.scopes import containers_around
from tailrace.model import (
    AnyRecord,
    AttemptFailed,
    FailureOrigin,
    FailureRecord,
    FailureSnapshot,
    Logged,
    NodeFinished,
    NodeState,
    RunFinished,
    RunStarted,
    RunStatus,
    ScopeFinished,
    new_sortable,
)
from tailrace.testing import MemoryStore

RUN = "0" * 31 + "1"
WITHIN = ("root", "worker:w1", f"run:{RUN}")


@dataclass
class Script:
    """Writes the records that an engine would write; each instant is one later."""

    layers: tuple[str, ...] = ()
    """Kinds of the containers, outermost first: ``foreach``, ``switch`` or ``subflow``."""
    retries: int = 0

    def __post_init__(self) -> None:
        self._clock = count(1)
        prefix, segments = "", ["flow:etl"]
        self.containers: list[str] = []
        for depth, kind in enumerate(self.layers):
            self.containers.append(f"{prefix}{kind}{depth}")
            segments.append(f"node:{kind}{depth}")
            if kind == "foreach":
                prefix = f"{prefix}{kind}{depth}[{depth}]."
            elif kind == "subflow":
                prefix = f"{prefix}{kind}{depth}."
                segments.append(f"flow:inner{depth}")
        self.node = f"{prefix}load"
        self.segments = (*segments, "node:load")

    def at(self) -> int:
        return next(self._clock)

    def failure(self, attempt: int = 1, **fields: Any) -> FailureRecord:
        origin = FailureOrigin(
            (*self.segments, f"task:{attempt}"),
            self.node,
            "etl:load",
            3,
            attempt,
            self.retries + 1,
            "sha256:in",
            "sha256:policy",
        )
        told = {
            "type": "ConnectionError",
            "message": "refused",
            "category": "transient",
            "class_": "network",
            "retryable": True,
            "failure_id": f"F-{new_sortable()}",
            "captured_ns": 7,
            "origin": origin,
            "fingerprint": "v1:aa",
            **fields,
        }
        return FailureRecord(**told)

    def started(self, **fields: Any) -> RunStarted:
        told = {"inputs": b"{}", "policies": {"fail_fast": True}, "span_base": 16, **fields}
        return RunStarted(
            RUN, "etl", "hash", "etl.yaml", self.at(), {}, "test", code_version="sha256:c", **told
        )

    def retried(self, attempt: int, **fields: Any) -> AttemptFailed:
        return AttemptFailed(3, self.at(), self.failure(attempt, **fields), attempt, 0.5)

    def ended(
        self,
        failure: FailureRecord | None,
        handled: str = "",
        state: NodeState = NodeState.FAILED,
        policy: dict[str, Any] | None = None,
    ) -> NodeFinished:
        return NodeFinished(
            2, 3, state, self.at(), self.node, failure=failure, handled=handled, policy=policy
        )

    def closed(self, depth: int, failure: FailureRecord | None) -> list[AnyRecord]:
        """The iteration inside and the container at that depth."""
        state = NodeState.SUCCEEDED if failure is None else NodeState.FAILED
        return [
            ScopeFinished(9, state, self.at(), "", {}, failure),
            ScopeFinished(8, state, self.at(), self.containers[depth], {}, failure),
        ]

    def over(self, status: RunStatus, failure: FailureRecord | None = None) -> RunFinished:
        return RunFinished(self.at(), status, failure, self.node if failure else "")

    def failed(self, failure: FailureRecord) -> list[AnyRecord]:
        """A run that ``failure`` ends, from its start."""
        records: list[AnyRecord] = [self.started(), self.ended(failure)]
        for depth in reversed(range(len(self.layers))):
            records += self.closed(depth, failure)
        return [*records, self.over(RunStatus.FAILED, failure)]


@pytest.fixture
def script() -> Script:
    return Script()


def fold(records: Sequence[AnyRecord], **options: Any) -> FailureChanges:
    escalation = Escalation(worker_id="w1", host="h1", **options)
    escalation.apply(records)
    return escalation.drain()


def way(snapshot: FailureSnapshot) -> list[tuple[str, str]]:
    return [(hop.level, hop.directive) for hop in snapshot.trail]


def check(snapshot: FailureSnapshot) -> None:
    hops = snapshot.stage.hops()
    origin = snapshot.origin.path
    assert len(snapshot.trail) == hops
    assert (origin[:-hops] if hops else origin) == snapshot.path
    assert snapshot.level == snapshot.path[-1].partition(":")[0]
    assert [hop.path for hop in snapshot.trail] == [origin[: -1 - n] for n in range(hops)]
    instants = [hop.at_ns for hop in snapshot.trail]
    assert instants == sorted(instants)


# A plain run.


def test_a_failed_run_ends_its_failure_after_three_hops(script: Script) -> None:
    failure = script.failure(given_up="max_attempts")
    (ended,) = fold(script.failed(failure)).ended
    assert way(ended) == [("node", "escalate"), ("flow", "escalate"), ("run", "stop")]
    assert ended.trail[0].reason == "max_attempts: attempt 1 of 1"
    assert ended.trail[0].policy_ref == "on_error@sha256:policy"
    assert ended.path == WITHIN
    assert ended.disposition == "terminal"
    check(ended)


def test_a_failure_says_where_in_which_run_and_on_which_machine_it_was_raised(
    script: Script,
) -> None:
    failure = script.failure()
    (ended,) = fold(script.failed(failure)).ended
    assert ended.origin.path == (*WITHIN, "flow:etl", "node:load", "task:1")
    assert (ended.origin.host, ended.worker_id) == ("h1", "w1")
    assert (ended.run_id, ended.trace_id, ended.flow) == (RUN, RUN, "etl")
    assert (ended.node_id, ended.task_ref, ended.attempt) == ("load", "etl:load", 1)
    assert ended.span_id == f"{16 + 3:016x}"
    assert ended.code_version == "sha256:c"
    assert (ended.failure_id, ended.captured_ns) == (failure.failure_id, 7)


def test_three_nested_flows_make_seven_hops_and_the_origin_stays() -> None:
    script = Script(layers=("subflow", "subflow"))
    failure = script.failure()
    changes = fold(script.failed(failure))
    (ended,) = changes.ended
    assert [level for level, _ in way(ended)] == [
        "node", "flow", "node", "flow", "node", "flow", "run",
    ]  # fmt: skip
    assert ended.stage.hops() == 7
    assert {one.origin for one, _ in changes.hops} == {ended.origin}
    assert [hop for _, hop in changes.hops] == list(ended.trail)


def test_a_failed_attempt_is_retried_under_an_id_of_its_own() -> None:
    script = Script(retries=1)
    first, last = script.retried(1), script.failure(2, given_up="max_attempts")
    changes = fold([script.started(), first, *script.failed(last)[1:]])
    retried, terminal = changes.ended
    assert retried.failure_id == first.failure.failure_id != terminal.failure_id
    assert retried.disposition == "retried"
    assert way(retried) == [("node", "retry")]
    assert retried.trail[0].reason == "attempt 1 of 2; next in 0.5 s"
    assert retried.trail[0].policy_ref == "retry@sha256:policy"
    assert terminal.trail[0].reason == "max_attempts: attempt 2 of 2"


@pytest.mark.parametrize("action", ["continue", "isolate", "goto", "fallback"])
def test_a_failure_that_its_node_handles_ends_there(script: Script, action: str) -> None:
    failure = script.failure()
    records: list[AnyRecord] = [
        script.started(),
        script.ended(failure, action),
        script.over(RunStatus.COMPLETED),
    ]
    changes = fold(records)
    (ended,) = changes.ended
    assert way(ended) == [("node", "resume")]
    assert ended.trail[0].reason == f"on_error: {action}"
    assert ended.disposition == "handled"
    assert changes.letter is None


def test_a_cancelled_node_leaves_a_cancelled_failure(script: Script) -> None:
    failure = script.failure(category="cancelled", message="fail-fast: x failed")
    records: list[AnyRecord] = [script.started(), script.ended(failure, state=NodeState.CANCELLED)]
    (ended,) = fold([*records, script.over(RunStatus.CANCELLED)]).ended
    assert (ended.disposition, way(ended)) == ("cancelled", [("node", "stop")])
    assert ended.trail[0].reason == "fail-fast: x failed"


def test_an_interrupt_that_cancels_the_run_is_cancelled_and_leaves_no_letter(
    script: Script,
) -> None:
    failure = script.failure(type="KeyboardInterrupt", category="cancelled")
    records: list[AnyRecord] = [
        script.started(),
        script.ended(failure),
        script.over(RunStatus.CANCELLED, failure),
    ]
    changes = fold(records)
    assert [one.disposition for one in changes.ended] == ["cancelled"]
    assert changes.letter is None


def test_only_infrastructure_passes_the_run_to_the_root() -> None:
    script = Script()
    failure = script.failure(class_="infrastructure")
    changes = fold(script.failed(failure))
    (ended,) = changes.ended
    assert way(ended)[2:] == [("run", "escalate"), ("worker", "escalate"), ("root", "stop")]
    assert (ended.path, ended.stage.hops()) == (("root",), 5)
    assert changes.letter is not None
    check(ended)


def test_a_container_that_fails_by_itself_begins_at_its_own_node(script: Script) -> None:
    origin = FailureOrigin(("flow:etl", "node:each"), "each", span=2, attempt=0, max_attempts=0)
    failure = script.failure(origin=origin, given_up="permanent")
    scope = ScopeFinished(2, NodeState.FAILED, script.at(), "each", {}, failure)
    (ended,) = fold([script.started(), scope, script.over(RunStatus.FAILED, failure)]).ended
    assert way(ended) == [("flow", "escalate"), ("run", "stop")]
    check(ended)


# Failures that end otherwise than their run.


def test_the_loser_of_a_race_is_handled_by_the_race_that_succeeds() -> None:
    script = Script(layers=("switch",))
    failure = script.failure()
    escalation = Escalation(worker_id="w1")
    escalation.apply([script.started(), script.ended(failure), *script.closed(0, None)])
    (ended,) = escalation.drain().ended
    assert way(ended) == [("node", "escalate"), ("node", "resume")]
    assert ended.path == (*WITHIN, "flow:etl", "node:switch0")
    assert ended.disposition == "handled"
    escalation.apply([script.over(RunStatus.COMPLETED)])
    assert not escalation.drain()


def test_a_failure_the_run_completed_in_spite_of_is_handled(script: Script) -> None:
    failure = script.failure()
    records: list[AnyRecord] = [
        script.started(),
        script.ended(failure),
        script.over(RunStatus.COMPLETED),
    ]
    changes = fold(records)
    (ended,) = changes.ended
    assert (ended.disposition, way(ended)[-1]) == ("handled", ("flow", "resume"))
    assert changes.letter is None


def test_a_second_failure_is_terminal_where_the_run_ended_by_another() -> None:
    script = Script(layers=("foreach",))
    first, second = script.failure(), script.failure()
    records: list[AnyRecord] = [script.started(), script.ended(first), script.ended(second)]
    records += [*script.closed(0, first), script.over(RunStatus.FAILED, first)]
    changes = fold(records)
    ended = {one.failure_id: one for one in changes.ended}
    assert ended[first.failure_id].path == WITHIN
    assert ended[second.failure_id].disposition == "terminal"
    assert way(ended[second.failure_id])[-1] == ("node", "stop")
    assert first.failure_id in ended[second.failure_id].trail[-1].reason
    assert changes.letter is not None
    assert changes.letter.failure_id == first.failure_id


def test_a_failure_whose_target_could_not_run_ends_the_run_after_all(script: Script) -> None:
    failure = script.failure()
    records: list[AnyRecord] = [script.started(), script.ended(failure, "goto")]
    changes = fold([*records, script.over(RunStatus.FAILED, failure)])
    (newest,) = changes.moved
    assert (newest.failure_id, newest.disposition) == (failure.failure_id, "terminal")
    assert newest.path == WITHIN
    check(newest)


def test_a_container_of_the_same_name_elsewhere_handles_nothing() -> None:
    script = Script(layers=("subflow", "foreach"))
    failure = script.failure()
    elsewhere = ScopeFinished(4, NodeState.SUCCEEDED, 3, "foreach1", {})
    (moved,) = fold([script.started(), script.ended(failure), elsewhere]).moved
    assert moved.disposition == "open"


def test_an_outer_container_that_fails_takes_a_failure_from_however_deep() -> None:
    script = Script(layers=("foreach", "switch", "subflow"))
    failure = script.failure()
    records: list[AnyRecord] = [script.started(), script.ended(failure), *script.closed(0, failure)]
    (moved,) = fold(records).moved
    assert moved.path == (*WITHIN, "flow:etl", "node:foreach0")
    check(moved)


@pytest.mark.parametrize("key", ["3", '"a.b"', '"q\\"].x"', "(1, 'y')"])
def test_containers_are_found_whatever_the_key_of_an_iteration(key: str) -> None:
    path = ("flow:f", "node:each", "node:pick", "node:sub", "flow:g", "node:load", "task:1")
    node = f"each[{key}].sub.load"
    assert containers_around(path, node) == {
        "each": 2,
        f"each[{key}].pick": 3,
        f"each[{key}].sub": 4,
    }


# Properties.

LAYERS = st.lists(st.sampled_from(["foreach", "switch", "subflow"]), max_size=5).map(tuple)


@st.composite
def scripts(draw: st.DrawFn) -> list[AnyRecord]:
    """Several nodes at one place: each is retried, then handled, cancelled, raced or fatal."""
    script = Script(layers=draw(LAYERS), retries=draw(st.integers(0, 3)))
    records: list[AnyRecord] = [script.started()]
    fatal: FailureRecord | None = None
    for _ in range(draw(st.integers(1, 6))):
        records += [script.retried(n + 1) for n in range(script.retries)]
        failure = script.failure(script.retries + 1, given_up="max_attempts")
        fate = draw(st.sampled_from(["handled", "cancelled", "open", "fatal"]))
        if fate == "handled":
            records.append(script.ended(failure, "continue"))
        elif fate == "cancelled":
            records.append(script.ended(failure, state=NodeState.CANCELLED))
        else:
            records.append(script.ended(failure))
        if fate == "fatal":
            fatal = failure
            break
    outermost = draw(st.integers(0, len(script.layers)))
    for depth in reversed(range(outermost, len(script.layers))):
        records += script.closed(depth, fatal)
    if fatal is not None:
        for depth in reversed(range(outermost)):
            records += script.closed(depth, fatal)
    status = RunStatus.COMPLETED if fatal is None else RunStatus.FAILED
    return [*records, script.over(status, fatal)]


@given(scripts())
def test_every_state_of_every_failure_keeps_its_invariants(records: list[AnyRecord]) -> None:
    changes = fold(records)
    born: dict[str, FailureSnapshot] = {}
    for snapshot, hop in changes.hops:
        check(snapshot)
        assert snapshot.trail[-1] == hop
        first = born.setdefault(snapshot.failure_id, snapshot)
        assert (first.origin, first.captured_ns) == (snapshot.origin, snapshot.captured_ns)
    assert {one.failure_id for one in changes.ended} == set(born)


@given(scripts())
def test_every_failure_ends_exactly_once(records: list[AnyRecord]) -> None:
    changes = fold(records)
    ids = [one.failure_id for one in changes.ended]
    assert len(ids) == len(set(ids))
    assert "open" not in {one.disposition for one in changes.ended}
    assert {one.failure_id: one for one in changes.moved} == {
        one.failure_id: one for one in changes.ended
    }


@given(scripts(), st.data())
def test_a_fold_may_be_drained_and_rebuilt_at_any_point(
    records: list[AnyRecord], data: st.DataObject
) -> None:
    whole = fold(records)
    cut = data.draw(st.integers(1, len(records) - 1))
    before = Escalation(worker_id="w1", host="h1")
    before.apply(records[:cut])
    early = before.drain()
    way_out = [one for one in early.moved if one.disposition == "open"]
    rebuilt = Escalation(before.context, way_out)
    rebuilt.apply(records[cut:])
    late = rebuilt.drain()
    assert [*early.hops, *late.hops] == whole.hops
    assert [*early.ended, *late.ended] == whole.ended
    assert {one.failure_id: one for one in [*early.moved, *late.moved]} == {
        one.failure_id: one for one in whole.moved
    }


@given(scripts())
def test_two_folds_of_one_journal_leave_the_same_letter(records: list[AnyRecord]) -> None:
    assert fold(records).letter == fold(records).letter


# Bounds and cost.


@pytest.mark.no_cover
def test_a_loop_of_handled_failures_does_not_grow_the_fold(script: Script) -> None:
    escalation = Escalation(worker_id="w1")
    escalation.apply([script.started()])
    one = script.ended(script.failure(), "continue")

    def loop(times: int) -> None:
        for _ in range(times):
            escalation.apply([one])
            escalation.drain()

    loop(100)
    tracemalloc.start()
    loop(5_000)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 20_000


def test_failures_that_wait_for_their_scope_are_bounded_and_none_is_lost() -> None:
    script = Script(layers=("foreach",))
    failures = [script.failure() for _ in range(3 * MOST_OPEN)]
    escalation = Escalation(worker_id="w1")
    escalation.apply([script.started()])
    ended: list[FailureSnapshot] = []
    for failure in failures:
        escalation.apply([script.ended(failure)])
        ended += escalation.drain().ended
        assert len(escalation._open) <= MOST_OPEN
    first = failures[0]
    escalation.apply([*script.closed(0, first), script.over(RunStatus.FAILED, first)])
    changes = escalation.drain()
    ended += changes.ended
    assert sorted(one.failure_id for one in ended) == sorted(one.failure_id for one in failures)
    assert changes.letter is not None
    assert changes.letter.failure_id == first.failure_id


def test_records_without_a_failure_change_nothing(script: Script) -> None:
    quiet: list[AnyRecord] = [
        script.started(),
        NodeFinished(2, 3, NodeState.SUCCEEDED, 1, "load"),
        ScopeFinished(2, NodeState.SUCCEEDED, 1, "each", {}),
        Logged(2, 1, "log", {}),
        RunFinished(2, RunStatus.COMPLETED),
    ]
    assert not fold(quiet)


def test_a_failure_from_before_failures_had_ids_is_passed_over(script: Script) -> None:
    assert not fold(script.failed(script.failure(failure_id="")))


def test_a_failure_without_an_origin_takes_its_record_for_it(script: Script) -> None:
    (ended,) = fold(script.failed(script.failure(origin=None))).ended
    assert ended.node_id == "load"
    assert ended.origin.path[-2:] == ("node:load", "task:1")
    assert way(ended)[-1] == ("run", "stop")


def test_a_context_is_made_of_the_record_that_starts_the_run(script: Script) -> None:
    context = RunContext.of(script.started(letter="DL-1", generation=2), worker_id="w9")
    assert context.path == ("root", "worker:w9", f"run:{RUN}")
    assert (context.letter, context.generation) == ("DL-1", 2)
    assert context.payload_digest.startswith("sha256:44136fa355b3678a")
    assert RunContext.of(script.started(inputs=None)).payload_digest == ""


# The engine's own records.


@task
def broken() -> None:
    raise ValueError("no")


@task
def refused() -> None:
    raise ConnectionError("refused")


@task
def fine() -> int:
    return 1


def journal_of(flow: Flow, **inputs: Any) -> FailureChanges:
    store = MemoryStore()
    result: Any = flow.run(store=store, raise_on_failure=False, **inputs)
    return fold(store.records(result.run_id))


def test_a_flow_three_deep_is_followed_through_every_boundary() -> None:
    inner = Flow("inner", subflow(Flow("innermost", broken)))
    changes = journal_of(Flow("outer", subflow(inner)))
    (ended,) = changes.ended
    assert ended.stage.hops() == 7
    assert ended.node_id == "inner.innermost.broken"
    check(ended)


def test_every_failure_of_a_loop_that_goes_on_is_accounted_for() -> None:
    flow = Flow("loop", foreach("{{ params.items }}")(broken), policy=Policy(fail_fast=False))
    changes = journal_of(flow, items=[1, 2, 3])
    assert len(changes.ended) == 3
    assert {one.disposition for one in changes.ended} == {"terminal"}
    assert changes.letter is not None
    assert changes.letter.node_id == "foreach[0].broken"


def test_a_race_handles_what_its_losers_raised() -> None:
    changes = journal_of(Flow("race", broken | fine))
    assert [one.disposition for one in changes.ended] == ["handled"]
    assert changes.letter is None


def test_retries_handled_failures_and_the_last_one_tell_themselves_apart() -> None:
    patient = refused.with_policy(Policy(retry=Retry(max_attempts=1)))
    calm = fine.with_policy(Policy(on_error=OnError("continue", value=0)))
    changes = journal_of(Flow("mixed", calm >> patient))
    assert [one.disposition for one in changes.ended] == ["retried", "terminal"]
    assert changes.letter is not None
    assert (changes.letter.reason, changes.letter.attempts_total) == ("max_attempts", 2)
    assert changes.letter.policy["retry"]["max_attempts"] == 1
