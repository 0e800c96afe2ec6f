from __future__ import annotations

import zlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effort import times
from tailrace.jetstream.bounds import MOST_BYTES, fit
from tailrace.model import remote
from tailrace.model.remote import Job, RunState, TaskRecord, decode_state, encode

sizes = st.integers(min_value=0, max_value=200_000)


def state(records: dict[str, tuple[int, int]], **more: int) -> RunState:
    return RunState(
        job=Job(run_id="r1", flow_name="f"),
        status="FAILED",
        tasks=dict.fromkeys(records, "FAILED"),
        task_records={
            name: TaskRecord(
                state="FAILED",
                inputs={"x": "i" * inputs},
                output="o" * inputs,
                error="e" * errors,
                traceback="t" * errors,
            )
            for name, (inputs, errors) in records.items()
        },
        error="e" * more.get("error", 0),
    )


def test_a_state_that_fits_is_left_alone() -> None:
    small = state({"a": (10, 10)})
    assert fit(small) == encode(small)


@settings(max_examples=times(40), deadline=None)
@given(
    records=st.dictionaries(st.text("abcd", min_size=1, max_size=3), st.tuples(sizes, sizes)),
    error=sizes,
    journal=st.lists(sizes, max_size=2),
)
def test_a_state_fits_whatever_its_tasks_hold(
    records: dict[str, tuple[int, int]], error: int, journal: list[int]
) -> None:
    given_state = state(records, error=error)
    given_state.journal = tuple(bytes(size) for size in journal)
    body = fit(given_state)
    found = decode_state(body)
    assert found.tasks == given_state.tasks
    assert found.status == given_state.status
    assert found.journal == given_state.journal
    assert len(body) - sum(journal) <= MOST_BYTES
    if len(encode(given_state)) - sum(journal) > MOST_BYTES:
        assert found.task_records_truncated
        assert all(one.state == "FAILED" for one in found.task_records.values())


def test_the_largest_records_are_cut_first() -> None:
    found = decode_state(fit(state({"small": (100, 100), "large": (200_000, 100)})))
    assert found.task_records["small"].output == "o" * 100
    assert found.task_records["large"].output is None
    assert found.task_records["large"].error == "e" * 100


def test_tasks_are_never_cut() -> None:
    names = [f"task-{number:05}" for number in range(20_000)]
    found = decode_state(fit(state(dict.fromkeys(names, (0, 0)))))
    assert list(found.tasks) == names
    assert found.task_records == {}


@pytest.mark.no_cover
def test_a_state_of_very_many_tasks_is_packed_into_what_a_message_may_hold() -> None:
    names = [f"task-{number:05}" for number in range(60_000)]
    given_state = state(dict.fromkeys(names, (0, 0)))
    body = fit(given_state)
    assert len(body) < len(encode(given_state)) / 3
    assert decode_state(body).tasks == given_state.tasks


@given(st.binary(max_size=200))
def test_what_only_looks_packed_is_refused(rest: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_state(b"\x78" + rest)


def test_what_would_unpack_to_more_than_memory_should_hold_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote, "_MOST_UNPACKED", 1024 * 1024)
    bomb = zlib.compress(bytes(3 * 1024 * 1024), 9)
    with pytest.raises(msgspec.DecodeError, match="more than"):
        decode_state(bomb)
