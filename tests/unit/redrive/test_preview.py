from __future__ import annotations

from typing import Any

import pytest

from tailrace.errors import DefinitionError, NotFound, PolicyValidationError
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import DeadLetter
from tailrace.runtime.redrive import RedrivePlan, plan_redrive
from tailrace.runtime.redrive.judge import cautions, refusal
from tailrace.runtime.redrive.order import check_order, filter_data, filter_of
from tailrace.runtime.redrive.outlook import FlowToday

OLD, NEW = "sha256:0000000000000001", "sha256:0000000000000002"
MODES = ["resume", "node", "new-run"]


class Fixed:
    """An outlook that knows one flow."""

    def __init__(self, today: FlowToday, finished: frozenset[str] = frozenset()) -> None:
        self.today = today
        self.done = finished

    def flow(self, _: DeadLetter) -> FlowToday:
        return self.today

    def finished(self, _: DeadLetter) -> frozenset[str]:
        return self.done


def letter(**fields: Any) -> DeadLetter:
    given: dict[str, Any] = {
        "dl_id": "DL-1",
        "task_key": "r:load",
        "node_id": "load",
        "task_ref": "steps:load",
        "category": "transient",
        "code_version": OLD,
    }
    return DeadLetter(**(given | fields))


TODAY = FlowToday(code_version=OLD, nodes=("fetch", "load", "notify"), keyed={"steps:load": True})


@pytest.mark.parametrize("mode", MODES)
def test_an_open_letter_of_unchanged_code_may_be_redriven(mode: str) -> None:
    assert refusal(letter(), TODAY, mode=mode, force=False) == ""
    assert cautions(letter(), TODAY, mode=mode, force=False) == ()


@pytest.mark.parametrize("mode", MODES)
def test_a_permanent_failure_needs_force(mode: str) -> None:
    broken = letter(category="permanent", type="ValueError")
    why = refusal(broken, TODAY, mode=mode, force=False)
    assert "ValueError" in why
    assert "force" in why
    assert refusal(broken, TODAY, mode=mode, force=True) == ""
    assert "permanent" in cautions(broken, TODAY, mode=mode, force=True)[0]


CHANGED = FlowToday(code_version=NEW, nodes=TODAY.nodes, changed={"fetch": "changed"})


@pytest.mark.parametrize("mode", ["resume", "node"])
def test_outputs_of_other_code_are_reused_with_force_alone(mode: str) -> None:
    why = refusal(letter(), CHANGED, mode=mode, force=False)
    assert "fetch (changed)" in why
    assert "force" in why
    assert refusal(letter(), CHANGED, mode=mode, force=True) == ""
    assert "fetch (changed)" in cautions(letter(), CHANGED, mode=mode, force=True)[0]


def test_a_new_run_reuses_nothing_so_changed_nodes_do_not_stop_it() -> None:
    assert refusal(letter(), CHANGED, mode="new-run", force=False) == ""
    assert "reused" not in cautions(letter(), CHANGED, mode="new-run", force=False)[0]


def test_a_fix_in_what_runs_again_anyway_needs_no_force_but_is_said() -> None:
    mended = FlowToday(code_version=NEW, nodes=TODAY.nodes)
    assert refusal(letter(), mended, mode="resume", force=False) == ""
    assert "has changed" in cautions(letter(), mended, mode="resume", force=False)[0]


@pytest.mark.parametrize("force", [False, True])
def test_a_flow_that_cannot_be_loaded_is_refused_whatever_is_forced(force: bool) -> None:
    gone = FlowToday(problem="its flow cannot be run: there is no file flow.yaml")
    assert refusal(letter(), gone, mode="resume", force=force) == gone.problem


@pytest.mark.parametrize(
    ("state", "said"),
    [("parked", "reopen"), ("redriving", "already"), ("resolved", "resolved")],
)
def test_a_letter_that_is_not_open_is_refused_and_force_does_not_help(
    state: str, said: str
) -> None:
    assert said in refusal(letter(state=state), TODAY, mode="resume", force=True)


def test_one_node_alone_needs_a_node_that_failed() -> None:
    assert "new-run" in refusal(letter(node_id=""), TODAY, mode="node", force=False)
    assert refusal(letter(node_id="", kind="event"), FlowToday(), mode="node", force=False) == ""


def test_a_node_without_an_idempotency_key_is_a_caution() -> None:
    today = FlowToday(code_version=OLD, keyed={"steps:load": False})
    (said,) = cautions(letter(), today, mode="resume", force=False)
    assert said.startswith("load ")
    assert "idempotency_key" in said


def test_processes_that_died_over_it_are_a_caution() -> None:
    assert cautions(letter(crash_attempts=2), FlowToday(), mode="resume", force=False) == (
        "2 process(es) died over it",
    )


@pytest.mark.parametrize(
    ("mode", "reuse", "rerun", "results"),
    [
        ("resume", ("fetch",), ("load", "notify"), 3),
        ("node", ("fetch",), ("load",), 3),
        ("new-run", (), ("fetch", "load", "notify"), 0),
    ],
)
def test_a_dry_run_says_what_is_reused_and_what_runs_and_changes_nothing(
    bench: Any, mode: str, reuse: tuple[str, ...], rerun: tuple[str, ...], results: int
) -> None:
    bench.letters.add(2, kind="run", node_id="load")
    before = dict(bench.letters.kept)
    outlook = Fixed(TODAY, frozenset({"fetch", "each[0].a", "each[1].a"}))
    found = plan_redrive(bench.letters, FailureFilter(), outlook, mode=mode)
    assert [(one.reuse, one.rerun, one.results) for one in found.ready] == [
        (reuse, rerun, results)
    ] * 2
    assert (bench.letters.kept, bench.letters.writes, bench.letters.rows) == (before, 0, [])


def test_outputs_made_from_unpatched_inputs_are_a_caution(bench: Any) -> None:
    bench.letters.add(1, kind="run")
    outlook = Fixed(TODAY, frozenset({"fetch"}))
    patch = {"params": {"n": 1}}

    def said(**order: Any) -> bool:
        (item,) = plan_redrive(bench.letters, FailureFilter(), outlook, **order).items
        return any("old inputs" in caution for caution in item.cautions)

    assert said(patch=patch)
    assert not said()
    assert not said(patch=patch, mode="new-run")


def test_a_dry_run_names_each_letter_that_would_be_left_alone_and_why(bench: Any) -> None:
    (good,) = bench.letters.add(1)
    (bad,) = bench.letters.add(1, category="permanent")
    found = plan_redrive(bench.letters, FailureFilter(), Fixed(TODAY))
    assert [one.letter.dl_id for one in found.ready] == [good]
    assert [(one.letter.dl_id, "force" in one.refusal) for one in found.refused] == [(bad, True)]


def test_the_limit_counts_letters_that_would_be_run(bench: Any) -> None:
    bench.letters.add(1, category="permanent")
    ids = bench.letters.add(9)
    found = plan_redrive(bench.letters, FailureFilter(), Fixed(TODAY), limit=2)
    assert [one.letter.dl_id for one in found.ready] == ids[:2]
    assert (len(found.refused), found.matched) == (1, 10)


def test_a_filter_means_open_letters_and_ids_mean_letters_in_any_state(bench: Any) -> None:
    (parked,) = bench.letters.add(1, state="parked")
    (free,) = bench.letters.add(1)

    def planned(wanted: FailureFilter) -> RedrivePlan:
        return plan_redrive(bench.letters, wanted, Fixed(TODAY))

    assert [one.letter.dl_id for one in planned(FailureFilter()).items] == [free]
    (named,) = planned(FailureFilter(ids=(parked,))).items
    assert "reopen" in named.refusal


def test_other_fields_narrow_the_ids_further(bench: Any) -> None:
    ids = bench.letters.add(1) + bench.letters.add(1, category="unknown")
    wanted = FailureFilter(ids=tuple(ids), category="unknown")
    found = plan_redrive(bench.letters, wanted, Fixed(TODAY))
    assert [one.letter.dl_id for one in found.items] == ids[1:]


def test_a_filter_that_matches_nothing_plans_nothing(bench: Any) -> None:
    bench.letters.add(1, category="unknown")
    found = plan_redrive(bench.letters, FailureFilter(category="timeout"), Fixed(TODAY))
    assert (found.items, found.matched) == ((), 0)


def test_an_id_of_no_letter_is_not_found(bench: Any) -> None:
    with pytest.raises(NotFound):
        plan_redrive(bench.letters, FailureFilter(ids=("DL-nope",)), Fixed(TODAY))


def test_a_filter_comes_back_from_its_data_and_empty_fields_take_no_room() -> None:
    wanted = FailureFilter(class_="timeout", flow="etl", since_ns=0, ids=("DL-1", "DL-2"))
    data = filter_data(wanted)
    assert data == {"class": "timeout", "flow": "etl", "since_ns": 0, "ids": ["DL-1", "DL-2"]}
    assert filter_of(data) == wanted


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ({"mode": "resumee"}, "resume"),
        ({"rate": -1.0}, "-1.0"),
        ({"rate": float("nan")}, "nan"),
        ({"canary": -1}, "canary"),
        ({"limit": -5}, "limit"),
        ({"stop_ratio": 1.5}, "from 0 to 1"),
        ({"parallel": 0}, "from 1 to 64"),
        ({"batch_id": "two words"}, "two words"),
        ({"batch_id": "x" * 129}, "name a batch"),
    ],
)
def test_an_order_out_of_its_bounds_is_refused_with_what_is_allowed(
    order: dict[str, Any], said: str
) -> None:
    with pytest.raises(DefinitionError) as refused:
        check_order(order)
    assert refused.value.code == "TR346"
    assert said in refused.value.message
    assert refused.value.hint


def test_the_nearest_mode_is_named() -> None:
    with pytest.raises(DefinitionError) as refused:
        check_order({"mode": "newrun"})
    assert refused.value.hint == "did you mean 'new-run'?"


def test_the_policy_of_an_order_is_checked_like_any_other() -> None:
    check_order({"policy": {"timeout": "5s"}, "mode": "node", "rate": 0.0, "stop_ratio": 0.0})
    with pytest.raises(PolicyValidationError, match="max_atempts"):
        check_order({"policy": {"retry": {"max_atempts": 1}}})
