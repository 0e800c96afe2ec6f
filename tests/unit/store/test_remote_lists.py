"""Lists of runs that are executed elsewhere: any filter, in pages, in order."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effort import times
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import DeadLetter
from tailrace.model.remote import Job, RunState
from tailrace.store import SqliteDeadLetters
from tailrace.store.remote import (
    LetterMessage,
    ListedRun,
    ListFilter,
    Message,
    Position,
    Queued,
    RemoteReader,
    RemoteWriter,
    Stands,
)

START = 1_700_000_000_000_000
STATUSES = ("PENDING", "RUNNING", "COMPLETED", "FAILED")


def message(sequence: int, run: int, rng: random.Random) -> Message:
    status = rng.choices(STATUSES, (1, 2, 10, 1))[0]
    job = Job(
        run_id=f"{run:032x}",
        flow_name=f"flow{run % 3}",
        tag=("cpu", "gpu")[run % 2],
        tenant_id=(None, "a", "b")[run % 3],
        workflow_yaml_sha256=f"{run % 5:064x}" if run % 4 == 0 else None,
        submitted_at=1.0,
    )
    at = START + sequence * 1_000
    if status == "PENDING":
        return Queued(sequence, at, job)
    return Stands(sequence, at, RunState(job=job, status=status, worker_id="w1"))


@pytest.fixture(scope="module")
def runs() -> Iterator[tuple[Path, list[Message]]]:
    """An index of some hundred runs that changed some times, and the newest message of each."""
    rng = random.Random(7)
    newest: dict[str, Message] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "index.db")
        writer = RemoteWriter(path)
        for first in range(1, 1_200, 100):
            page = [message(seq, rng.randrange(400), rng) for seq in range(first, first + 100)]
            writer.apply(page, page, "runs", Position("made", first + 99, first + 99))
            for one in page:
                known = newest.get(one.run_id)
                if not (isinstance(known, Stands) and isinstance(one, Queued)):
                    newest[one.run_id] = one
        writer.close()
        yield path, sorted(newest.values(), key=lambda one: one.sequence, reverse=True)


def status_of(one: Message) -> str:
    return one.state.status if isinstance(one, Stands) else "PENDING"


def job_of(one: Message) -> Job:
    if isinstance(one, Stands):
        return one.state.job
    assert isinstance(one, Queued)
    return one.job


def matches(one: Message, wanted: ListFilter) -> bool:
    job = job_of(one)
    assert isinstance(one, Stands | Queued)
    return (
        wanted.status in {"", status_of(one)}
        and wanted.flow in {"", job.flow_name}
        and wanted.tag in {"", job.tag}
        and (wanted.tenant is None or wanted.tenant == (job.tenant_id or ""))
        and wanted.workflow in {"", job.workflow_yaml_sha256 or ""}
        and (wanted.updated_after is None or one.at > wanted.updated_after)
    )


FILTERS = st.builds(
    ListFilter,
    status=st.sampled_from(["", *STATUSES, "CANCELLED", "' OR 1"]),
    flow=st.sampled_from(["", "flow0", "flow1", "none"]),
    tag=st.sampled_from(["", "cpu", "gpu"]),
    tenant=st.sampled_from([None, "", "a", "c"]),
    workflow=st.sampled_from(["", f"{0:064x}", f"{3:064x}", "f" * 64]),
    updated_after=st.none() | st.integers(START - 5, START + 1_200_005),
)


def paged(reader: RemoteReader, wanted: ListFilter, limit: int) -> list[ListedRun]:
    found: list[ListedRun] = []
    before = None
    while page := reader.runs(wanted, before=before, limit=limit):
        found += page
        before = page[-1].sequence
    return found


@settings(
    max_examples=times(80),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(FILTERS, st.integers(1, 60))
def test_pages_of_any_filter_hold_each_run_once_the_last_changed_first(
    runs: tuple[Path, list[Message]], wanted: ListFilter, limit: int
) -> None:
    path, newest = runs
    with closing(RemoteReader(path)) as reader:
        found = paged(reader, wanted, limit)

    expected = [one for one in newest if matches(one, wanted)]
    assert [(one.job.run_id, one.status, one.at) for one in found] == [
        (one.run_id, status_of(one), getattr(one, "at", 0)) for one in expected
    ]


def test_counts_are_those_of_the_lists(runs: tuple[Path, list[Message]]) -> None:
    path, newest = runs
    with closing(RemoteReader(path)) as reader:
        counts, mine = reader.counts(), reader.counts("a")
        since = reader.updated_since(START + 600_000)

    assert counts == Counter((status_of(one), job_of(one).flow_name) for one in newest)
    assert mine == Counter(
        (status_of(one), job_of(one).flow_name) for one in newest if job_of(one).tenant_id == "a"
    )
    assert since == Counter(status_of(one) for one in newest if one.sequence > 600)


def test_a_run_that_does_not_change_is_neither_skipped_nor_repeated_while_others_do(
    tmp_path: Path,
) -> None:
    rng = random.Random(3)
    path = tmp_path / "index.db"
    writer = RemoteWriter(path)
    first = [message(seq, seq, rng) for seq in range(1, 301)]
    writer.apply(first, first, "runs", Position("made", 300))
    still = {f"{run:032x}" for run in range(1, 301) if run % 7}
    seen: list[str] = []
    before, sequence = None, 300
    with closing(RemoteReader(path)) as reader:
        while page := reader.runs(ListFilter(), before=before, limit=20):
            seen += [one.job.run_id for one in page if one.job.run_id in still]
            before = page[-1].sequence
            changing = [run for run in rng.sample(range(1, 301), 30) if run % 7 == 0]
            news = [message(sequence + n, run, rng) for n, run in enumerate(changing, 1)]
            sequence += len(news)
            writer.apply(news, news, "runs", Position("made", sequence))
    writer.close()

    assert sorted(seen) == sorted(still)


def test_many_kinds_of_runs_are_listed_in_order_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    writer = RemoteWriter(path)
    page = [
        Stands(
            seq,
            START + seq,
            RunState(
                job=Job(run_id=f"{seq:032x}", flow_name=f"f{seq % 211}", tag=f"t{seq % 7}"),
                status="FAILED" if seq % 500 == 0 else "COMPLETED",
            ),
        )
        for seq in range(1, 3_001)
    ]
    writer.apply(page, page, "runs", Position("made", 3_000))
    writer.close()

    with closing(RemoteReader(path)) as reader:
        done = reader.runs(ListFilter(status="COMPLETED"), limit=50)
        failed = reader.runs(ListFilter(status="FAILED"), limit=50)
    assert [one.sequence for one in done] == [seq for seq in range(3_000, 0, -1) if seq % 500][:50]
    assert [one.sequence for one in failed] == [3_000, 2_500, 2_000, 1_500, 1_000, 500]


def test_letters_stand_as_told_last_and_go_when_their_messages_do(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    writer = RemoteWriter(path)
    first = DeadLetter(dl_id="DL-1", task_key="k", flow="etl", created_ns=5)
    claimed = DeadLetter(dl_id="DL-1", task_key="k", flow="etl", created_ns=5, state="redriving")
    other = DeadLetter(dl_id="DL-2", task_key="l", flow="etl", created_ns=6)
    writer.take_letters(
        [LetterMessage(3, claimed), LetterMessage(2, first), LetterMessage(4, other)],
        "letters",
        Position("made", 4),
    )
    writer.close()
    again = RemoteWriter(path)  # would open the letters of dead processes again
    with closing(SqliteDeadLetters(path)) as letters:
        assert letters.letter("DL-1").state == "redriving"
        assert again.letter_sequences() == [3, 4]
        again.remove_letters([3])
        assert again.letter_sequences() == [4]
        assert [one.dl_id for one in letters.letters(FailureFilter())] == ["DL-2"]
    again.close()
