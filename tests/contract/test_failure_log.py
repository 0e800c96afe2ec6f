"""What every failure log and every keeper of dead letters promises, whatever it is made of."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest

from tailrace.errors import NotFound, StoreError
from tailrace.model import (
    AttemptFailed,
    NodeFinished,
    NodeStarted,
    NodeState,
    RunFinished,
    RunId,
    RunStarted,
    RunStatus,
    ShapeDeclared,
    new_run_id,
)
from tailrace.model.failure import FailureFilter, FailureGroup, FailureSnapshot, Frame, Origin
from tailrace.model.ids import new_sortable
from tailrace.model.journal import FailureOrigin, FailureRecord
from tailrace.model.letter import MOST_GENERATIONS, DeadLetter, Redrive
from tailrace.ports import DeadLetters, FailureLog, Journal
from tailrace.store import SqliteDeadLetters, SqliteFailureLog, SqliteStore
from tailrace.testing.memory import MemoryStore

ANY = FailureFilter()
SITE, OTHER = "v1:" + "a" * 32, "v1:" + "b" * 32
MINUTE = 60_000_000_000


class Log(FailureLog, Protocol):
    """A failure log whose groups can be changed."""

    def change_group(
        self,
        fingerprint: str,
        action: str,
        *,
        actor: str,
        reason: str = "",
        until_ns: int = 0,
        into: str = "",
    ) -> FailureGroup: ...


class Room:
    """One store with all that is about failures."""

    def __init__(self, log: Log, letters: DeadLetters, journal: Callable[[RunId], Journal]) -> None:
        self.log = log
        self.letters = letters
        self.journal = journal

    def run(self, records: list[Any]) -> None:
        journal = self.journal(records[0].run_id)
        journal.append(records[:3])
        for record in records[3:]:
            journal.append([record])
        journal.close()


@pytest.fixture(params=["sqlite", "memory"])
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Room]:
    if request.param == "memory":
        memory = MemoryStore()
        yield Room(memory, memory, memory.open_journal)
        return
    store = SqliteStore(tmp_path / "runs.db")
    log, letters = SqliteFailureLog(store.path), SqliteDeadLetters(store.path)
    yield Room(log, letters, store.open_journal)
    log.close()
    letters.close()
    store.close()


def failure(at: int = MINUTE, /, **changes: Any) -> FailureSnapshot:
    known: dict[str, Any] = {
        "failure_id": f"F-{new_sortable()}",
        "captured_ns": at,
        "type": "shop.errors.Broken",
        "message": "no answer",
        "category": "transient",
        "class_": "network",
        "origin": Origin(("root",), "thread", "MainThread", 7, "host"),
        "path": ("root",),
        "level": "root",
        "disposition": "terminal",
        "fp_site": SITE,
        "fp_template": "v1:" + "c" * 32,
        "stack_id": "b2:" + "d" * 32,
        "frames": (Frame("shop", "buy", "shop.py", 3, in_app=True),),
    }
    return FailureSnapshot(**(known | changes))


def letter(number: int = 1, /, **changes: Any) -> DeadLetter:
    known: dict[str, Any] = {
        "dl_id": f"DL-{new_sortable()}",
        "task_key": f"work-{number}",
        "kind": "event",
        "category": "transient",
        "type": "shop.errors.Broken",
        "fp_site": SITE,
        "created_ns": number * MINUTE,
        "updated_ns": number * MINUTE,
        "attempts_total": 3,
        "failure_id": f"F-{number}",
    }
    return DeadLetter(**(known | changes))


def redrive(**changes: Any) -> Redrive:
    known: dict[str, Any] = {
        "dl_id": "",
        "generation": 0,
        "batch_id": "B-1",
        "actor": "ann",
        "at_ns": 99 * MINUTE,
    }
    return Redrive(**(known | changes))


# Failures.


def test_a_failure_is_given_back_as_it_was_recorded(room: Room) -> None:
    one = failure(
        notes=("seen",), tags=(("component", "http"),), retry_after_s=2.5, code_version="sha256:1",
        description="d", redacted=("message",), child_count=2, given_up="permanent",
    )  # fmt: skip
    room.log.record([one])

    assert room.log.failures(ANY) == [one]
    assert room.log.failure(one.failure_id) == one
    assert room.log.failure(one.failure_id[2:12].lower()) == one


def test_an_id_that_names_nothing_or_too_much_is_not_found(room: Room) -> None:
    room.log.record([failure(failure_id="F-01AA"), failure(failure_id="F-01AB")])
    for prefix in ("F-01A", "F-02", "", "%", "_1AA"):
        with pytest.raises(NotFound):
            room.log.failure(prefix)
    assert room.log.failure("01ab").failure_id == "F-01AB"


def test_a_failure_recorded_again_takes_the_newer_disposition_and_counts_once(room: Room) -> None:
    one = failure(disposition="open")
    room.log.record([one])
    later = msgspec.structs.replace(one, disposition="handled", message="in the end")
    room.log.record([later, failure(2 * MINUTE)])

    assert room.log.failure(one.failure_id) == later
    assert [group.count for group in room.log.groups(ANY)] == [2]


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        (FailureFilter(category="permanent"), 1),
        (FailureFilter(class_="bug"), 1),
        (FailureFilter(fingerprint=OTHER), 1),
        (FailureFilter(fingerprint="BBBB"), 1),
        (FailureFilter(fingerprint="v1:ee"), 1),
        (FailureFilter(fingerprint="'; DROP TABLE failure; --"), 0),
        (FailureFilter(type="ValueError"), 1),
        (FailureFilter(type="errors.Broken"), 2),
        (FailureFilter(type="Broke%"), 0),
        (FailureFilter(flow="etl"), 1),
        (FailureFilter(node="load"), 1),
        (FailureFilter(node="each[3].load"), 1),
        (FailureFilter(tag="tenant"), 1),
        (FailureFilter(tag="tenant=a"), 1),
        (FailureFilter(tag="tenant=b"), 0),
        (FailureFilter(code_version="sha256:2"), 1),
        (FailureFilter(state="handled"), 1),
        (FailureFilter(since_ns=2 * MINUTE), 2),
        (FailureFilter(until_ns=2 * MINUTE), 1),
        (FailureFilter(since_ns=2 * MINUTE, until_ns=3 * MINUTE), 1),
        (FailureFilter(ids=("F-2", "F-3")), 2),
        (FailureFilter(ids=("F-2",), category="transient"), 0),
        (FailureFilter(run="0" * 32), 0),
        (FailureFilter(reason="permanent"), 1),
    ],
)
def test_a_filter_selects_what_it_says(room: Room, wanted: FailureFilter, number: int) -> None:
    odd = failure(
        2 * MINUTE, failure_id="F-2", category="permanent", class_="bug", fp_site=OTHER,
        fp_template="v1:" + "e" * 32, type="ValueError", flow="etl", node_id="each[3].load",
        tags=(("tenant", "a"),), code_version="sha256:2", disposition="handled",
    )  # fmt: skip
    ones = [failure(failure_id="F-1"), odd, failure(3 * MINUTE, failure_id="F-3")]
    room.log.record(ones, [letter(failure_id="F-2", reason="permanent")])

    assert len(room.log.failures(wanted)) == number
    counts = room.log.counts(wanted)
    assert counts["total"] == {"failures": number, "records": number, "suppressed": 0}
    assert sum(group.count for group in room.log.groups(wanted)) == number


def test_the_newest_failure_comes_first(room: Room) -> None:
    ones = [failure(at * MINUTE) for at in (2, 5, 3)]
    room.log.record(ones)
    assert [one.captured_ns // MINUTE for one in room.log.failures(ANY)] == [5, 3, 2]
    assert [one.captured_ns // MINUTE for one in room.log.failures(ANY, limit=1)] == [5]


def test_counts_are_exact_and_never_capped(room: Room) -> None:
    room.log.record([failure(at * MINUTE, disposition="handled") for at in range(250)])
    room.log.record([], [letter(number) for number in range(250)])

    counts = room.log.counts(ANY)
    assert counts["total"]["failures"] == counts["disposition"]["handled"] == 250
    assert counts["letters"] == {"open": 250}
    assert counts["letter_reasons"] == {"permanent": 250}
    assert counts["groups"] == {"open": 1}


def test_eight_threads_lose_no_failure_and_repeat_no_id(room: Room) -> None:
    def record() -> None:
        for _ in range(10):
            room.log.record([failure() for _ in range(20)])

    threads = [threading.Thread(target=record) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert room.log.counts(ANY)["total"]["failures"] == 1_600
    assert [group.count for group in room.log.groups(ANY)] == [1_600]


# Groups.


def test_groups_are_ranked_by_what_failed_in_the_time_asked_for(room: Room) -> None:
    room.log.record([failure(at * MINUTE) for at in (1, 2, 3)])
    room.log.record([failure(at * MINUTE, fp_site=OTHER, message="x") for at in (8, 9)])

    def ranked(wanted: FailureFilter) -> list[tuple[str, int]]:
        return [(group.fp_site, group.count) for group in room.log.groups(wanted)]

    assert ranked(ANY) == [(SITE, 3), (OTHER, 2)]
    assert ranked(FailureFilter(since_ns=3 * MINUTE)) == [(OTHER, 2), (SITE, 1)]
    newest = room.log.groups(FailureFilter(fingerprint=OTHER))[0]
    assert (newest.title, newest.first_ns, newest.last_ns) == (
        "shop.errors.Broken: x", 8 * MINUTE, 9 * MINUTE,
    )  # fmt: skip
    assert room.log.groups(ANY, states=["resolved"]) == []
    assert len(room.log.groups(ANY, limit=1)) == 1


def test_a_resolved_group_regresses_with_newer_code_and_stays_resolved_with_older(
    room: Room,
) -> None:
    for at, version in enumerate(("sha256:old", "sha256:now"), 1):
        room.log.record([failure(at * MINUTE, code_version=version)])
    room.log.record([failure(3 * MINUTE, fp_site=OTHER, code_version="sha256:new")])

    resolved = room.log.change_group("aaaa", "resolve", actor="ann", reason="mended")
    assert (resolved.state, resolved.resolved_version) == ("resolved", "sha256:now")
    for version, state in (
        ("", "resolved"), ("sha256:old", "resolved"), ("sha256:now", "resolved"),
        ("sha256:new", "regressed"), ("sha256:now", "regressed"),
    ):  # fmt: skip
        room.log.record([failure(9 * MINUTE, code_version=version)])
        assert room.log.groups(FailureFilter(fingerprint=SITE))[0].state == state
    assert room.log.counts(ANY)["groups"] == {"regressed": 1, "open": 1}


def test_an_ignored_group_opens_when_it_is_seen_after_its_time(room: Room) -> None:
    room.log.record([failure()])
    room.log.change_group(SITE, "ignore", actor="ann", until_ns=5 * MINUTE)
    for at, state in ((4, "ignored"), (5, "open")):
        room.log.record([failure(at * MINUTE)])
        assert room.log.groups(ANY)[0].state == state


def test_failures_of_a_merged_group_count_in_the_other_until_it_is_reopened(room: Room) -> None:
    room.log.record([failure(), failure(2 * MINUTE, fp_site=OTHER)])
    merged = room.log.change_group(OTHER, "merge", actor="ann", into=SITE)
    assert (merged.fp_site, merged.count) == (SITE, 2)

    room.log.record([failure(3 * MINUTE, fp_site=OTHER)])
    assert [(one.fp_site, one.count) for one in room.log.groups(ANY)] == [(SITE, 3)]
    assert len(room.log.failures(FailureFilter(fingerprint=SITE))) == 3
    assert room.log.groups(FailureFilter(fingerprint=SITE))[0].last_ns == 3 * MINUTE

    alone = room.log.change_group(OTHER, "reopen", actor="ann")
    assert (alone.count, alone.alias_of) == (2, "")
    assert len(room.log.groups(ANY)) == 2


def test_a_group_is_not_changed_otherwise(room: Room) -> None:
    room.log.record([failure()])
    with pytest.raises(NotFound):
        room.log.change_group("ffff", "resolve", actor="ann")
    for action in ("explode", "merge"):
        with pytest.raises(StoreError) as caught:
            room.log.change_group(SITE, action, actor="ann", into=SITE)
        assert caught.value.code == "TR509"


# Runs.


def record_of(number: int, *, given_up: str = "") -> FailureRecord:
    origin = FailureOrigin(
        ("flow:etl", "node:load", f"task:{number}"), "load", "m:load", 3, number, 2
    )
    return FailureRecord(
        "ConnectionError", "gone", "transient", retryable=True, fingerprint=SITE,
        failure_id=f"F-{new_sortable()}", captured_ns=number * MINUTE, class_="network",
        fp_template=SITE, given_up=given_up, origin=origin,
    )  # fmt: skip


def failing_run(run_id: RunId | None = None, **changes: Any) -> list[Any]:
    """Records of a run whose only node fails twice; the run fails with it."""
    run_id = run_id or new_run_id()
    known: dict[str, Any] = {
        "run_id": run_id, "flow": "etl", "flow_hash": "h", "flow_source": "flow.yaml", "at": 1,
        "params": {}, "source": "test", "span_base": 77, "code_version": "sha256:1",
        "inputs": b'{"params":{}}', "inputs_codec": "json",
    }  # fmt: skip
    last = record_of(2, given_up="max_attempts")
    return [
        RunStarted(**(known | changes)),
        ShapeDeclared(1, "m:load", {}),
        NodeStarted(2, 3, 1, 1, "load", "", 2, {}, 2),
        AttemptFailed(3, MINUTE, record_of(1), 1, 0.5),
        NodeFinished(
            2, 4, NodeState.FAILED, 2 * MINUTE, "load", failure=last, attempt=2,
            policy={"retry": {"max_attempts": 1}},
        ),
        RunFinished(2 * MINUTE + 1, RunStatus.FAILED, last, "load"),
    ]  # fmt: skip


def good_run(**changes: Any) -> list[Any]:
    started, shape, node, *_ = failing_run(**changes)
    done = NodeFinished(2, 3, NodeState.SUCCEEDED, 5, "load", b"1", "json", 1, "stored")
    return [started, shape, node, done, RunFinished(6, RunStatus.COMPLETED)]


def test_a_failed_run_leaves_its_failures_and_one_dead_letter(room: Room) -> None:
    records = failing_run()
    room.run(records)

    final, first = room.log.failures(ANY)
    assert (first.disposition, final.disposition) == ("retried", "terminal")
    assert (final.run_id, final.node_id, final.task_ref) == (records[0].run_id, "load", "m:load")
    assert [hop.level for hop in final.trail] == ["node", "flow", "run"]
    assert final.code_version == "sha256:1"
    (kept,) = room.letters.letters(ANY)
    assert (kept.state, kept.reason, kept.failure_id) == ("open", "max_attempts", final.failure_id)
    assert (kept.run_id, kept.payload_ref) == (final.run_id, f"run:{final.run_id}")
    assert kept.payload_digest.startswith("sha256:")
    assert kept.policy == {"retry": {"max_attempts": 1}}
    assert (kept.attempts_total, kept.generation, kept.flow_source) == (2, 0, "flow.yaml")
    (group,) = room.log.groups(ANY)
    assert (group.count, group.runs, group.nodes, group.open_letters) == (2, 1, 1, 1)


def test_a_good_run_leaves_no_failure(room: Room) -> None:
    room.run(good_run())
    assert room.log.failures(ANY) == []
    assert room.letters.letters(ANY) == []
    assert room.log.counts(ANY)["total"]["failures"] == 0


def test_a_redrive_that_succeeds_resolves_its_letter(room: Room) -> None:
    room.run(failing_run())
    (claimed,) = room.letters.claim(ANY, redrive(), limit=9)
    room.run(good_run(letter=claimed.dl_id, generation=claimed.generation))

    settled = room.letters.letter(claimed.dl_id)
    assert (settled.state, settled.generation, settled.attempts_total) == ("resolved", 1, 3)
    assert room.letters.letters(ANY) == []


def test_a_redrive_that_fails_opens_its_letter_again_and_adds_its_attempts(room: Room) -> None:
    room.run(failing_run())
    (claimed,) = room.letters.claim(ANY, redrive(), limit=9)
    assert (claimed.state, claimed.generation) == ("redriving", 1)
    room.run(failing_run(letter=claimed.dl_id, generation=1))

    (again,) = room.letters.letters(ANY)
    assert (again.dl_id, again.state, again.generation) == (claimed.dl_id, "open", 1)
    assert again.attempts_total == 4
    assert again.failure_id != claimed.failure_id
    assert again.payload_digest == claimed.payload_digest
    assert len(room.log.failures(ANY)) == 4


def test_a_letter_is_parked_after_its_last_generation(room: Room) -> None:
    room.run(failing_run())
    for generation in range(1, MOST_GENERATIONS + 1):
        (claimed,) = room.letters.claim(ANY, redrive(batch_id=f"B-{generation}"), limit=1)
        assert claimed.generation == generation
        room.run(failing_run(letter=claimed.dl_id, generation=generation))

    (parked,) = room.letters.letters(ANY)
    assert (parked.state, parked.generation) == ("parked", MOST_GENERATIONS)
    assert parked.attempts_total == 2 * (MOST_GENERATIONS + 1)
    assert room.letters.claim(ANY, redrive(batch_id="B-9"), limit=1) == []


# Letters.


def test_a_letter_is_given_back_as_it_was_kept(room: Room) -> None:
    one = letter(payload_ref="inline", payload={"a": [1, None]}, policy={"retry": {}},
                 tags=(("tenant", "a"),), source={"event": "EVT-1"})  # fmt: skip
    room.log.record([failure()], [one])
    assert room.letters.letters(ANY) == [room.letters.letter(one.dl_id[:12].lower())] == [one]


def test_letters_come_newest_first_and_without_a_state_those_that_wait(room: Room) -> None:
    room.log.record([], [letter(number) for number in (1, 2, 3)])
    (first,) = room.letters.letters(FailureFilter(until_ns=2 * MINUTE))
    only = FailureFilter(ids=(first.dl_id,))
    room.letters.change(only, "discard", actor="ann", reason="of no use")

    assert [one.created_ns // MINUTE for one in room.letters.letters(ANY)] == [3, 2]
    assert [one.state for one in room.letters.letters(only)] == ["discarded"]
    assert len(room.letters.letters(FailureFilter(state="discarded"))) == 1
    assert len(room.letters.letters(FailureFilter(tag="none"))) == 0


def test_letters_are_parked_discarded_and_reopened(room: Room) -> None:
    room.log.record([], [letter()])
    for action, state in (("park", "parked"), ("reopen", "open"), ("discard", "discarded")):
        (changed,) = room.letters.change(ANY, action, actor="ann", reason="because")
        assert changed.state == state
        assert room.letters.letter(changed.dl_id).state == state
    assert room.letters.change(ANY, "reopen", actor="ann", reason="") == []
    only = FailureFilter(ids=(changed.dl_id,))
    assert [one.state for one in room.letters.change(only, "reopen", actor="a", reason="")] == [
        "open"
    ]


def test_a_letter_is_not_discarded_without_a_reason(room: Room) -> None:
    room.log.record([], [letter()])
    for action, reason in (("discard", " "), ("burn", "why not")):
        with pytest.raises(StoreError) as caught:
            room.letters.change(ANY, action, actor="ann", reason=reason)
        assert caught.value.code == "TR508"
    assert room.letters.letters(ANY)[0].state == "open"


def test_the_oldest_open_letters_are_claimed_and_each_once(room: Room) -> None:
    room.log.record([], [letter(number) for number in (3, 1, 2)])
    first = room.letters.claim(ANY, redrive(), limit=2)
    assert [one.created_ns // MINUTE for one in first] == [1, 2]
    assert [one.created_ns // MINUTE for one in room.letters.claim(ANY, redrive(), limit=2)] == [3]
    assert room.letters.claim(ANY, redrive(), limit=2) == []
    assert {one.state for one in room.letters.letters(FailureFilter(state="redriving"))} == {
        "redriving"
    }


def test_only_open_letters_that_match_are_claimed(room: Room) -> None:
    room.log.record([], [letter(1), letter(2, category="permanent"), letter(3)])
    room.letters.change(FailureFilter(since_ns=3 * MINUTE), "park", actor="a", reason="")
    assert room.letters.claim(FailureFilter(state="parked"), redrive(), limit=9) == []
    claimed = room.letters.claim(FailureFilter(category="transient"), redrive(), limit=9)
    assert [one.created_ns // MINUTE for one in claimed] == [1]


def test_a_letter_whose_redrive_ended_is_not_claimed_again_in_its_batch(room: Room) -> None:
    room.log.record([], [letter()])
    (one,) = room.letters.claim(ANY, redrive(), limit=1)
    room.letters.settle(one, "failed", failure=failure())

    assert room.letters.letter(one.dl_id).state == "open"
    assert room.letters.claim(ANY, redrive(), limit=1) == []
    (again,) = room.letters.claim(ANY, redrive(batch_id="B-2"), limit=1)
    assert again.generation == 2


def test_a_redrive_outside_of_runs_is_settled_by_hand(room: Room) -> None:
    room.log.record([], [letter()])
    (one,) = room.letters.claim(ANY, redrive(), limit=1)
    failed = failure(attempt=2)
    room.letters.settle(one, "failed", failure=failed)
    after = room.letters.letter(one.dl_id)
    assert (after.state, after.failure_id, after.attempts_total) == ("open", failed.failure_id, 5)
    assert room.log.failure(failed.failure_id) == failed

    room.letters.settle(one, "resolved", failure=None)
    assert room.letters.letter(one.dl_id).state == "resolved"
    with pytest.raises(StoreError) as caught:
        room.letters.settle(one, "lovely", failure=None)
    assert caught.value.code == "TR508"


def test_the_end_of_an_older_redrive_does_not_touch_the_newer_one(room: Room) -> None:
    room.log.record([], [letter()])
    (old,) = room.letters.claim(ANY, redrive(), limit=1)
    room.letters.settle(old, "failed", failure=None)
    (new,) = room.letters.claim(ANY, redrive(batch_id="B-2"), limit=1)

    room.letters.settle(old, "resolved", failure=None)
    assert room.letters.letter(new.dl_id).state == "redriving"
