"""Processes that are killed, crowd, or fill the disk while spans come in: nothing is torn."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tailrace.errors import StoreError
from tailrace.model import RunId, SpanType
from tailrace.model.ids import SpanId
from tailrace.model.span import Span
from tailrace.store import verify_store
from tailrace.store.foreign import ForeignWriter

SENDING = """
import sys
from tailrace.model import RunId, SpanType
from tailrace.model.ids import SpanId
from tailrace.model.span import Span
from tailrace.store.foreign import ForeignWriter
path, own, most = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
writer = ForeignWriter(path)
print("ready", flush=True)
for number in range(most):
    batch = [Span(trace_id=RunId(f"{1 + (number + step) % 5:032x}"), name="op",
                  span_id=SpanId(f"{own << 32 | number << 8 | step + 1:016x}"), parent_id=None,
                  type=SpanType.FOREIGN, start_ns=1 + number, end_ns=9 + number,
                  attributes={"text": "x" * (number % 7 * 500), "n": number},
                  resource={"service.name": f"service {number % 3}"})
             for step in range(40)]
    print(number, writer.write(batch).spans, flush=True)
"""


def sender(path: Path, own: int, most: int = 1_000_000) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SENDING, str(path), str(own), str(most)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def counted(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT sum(spans) FROM foreign_trace").fetchone()[0])


@pytest.mark.parametrize("seed", range(3))
def test_a_kill_while_spans_come_in_loses_none_that_was_acknowledged(
    tmp_path: Path, seed: int
) -> None:
    path = tmp_path / "runs.db"
    process = sender(path, 1)
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(random.Random(seed).randrange(1, 40))]
    process.send_signal(signal.SIGKILL)
    said += process.stdout.readlines()
    process.communicate()
    told = len([line for line in said if line.endswith("\n")])

    assert counted(path) in {told * 40, (told + 1) * 40}
    assert verify_store(path) == []


def test_four_processes_that_send_spans_of_the_same_traces_lose_and_double_none(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.db"
    senders = [sender(path, own, 15) for own in (1, 2, 3, 3)]
    written = 0
    for process in senders:
        written += sum(int(line.split()[1]) for line in process.communicate()[0].splitlines())
        assert process.returncode == 0
    assert written == counted(path) == 3 * 15 * 40
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM foreign_trace").fetchone() == (5,)
        assert db.execute("SELECT count(*) FROM resource").fetchone() == (3,)
    assert verify_store(path) == []


def spans(first: int, count: int) -> list[Span]:
    return [
        Span(
            trace_id=RunId("ab" * 16),
            span_id=SpanId(f"{number:016x}"),
            parent_id=None,
            name="op",
            type=SpanType.FOREIGN,
            start_ns=number,
            end_ns=number,
            attributes={"text": "x" * 20_000},
        )
        for number in range(first, first + count)
    ]


def test_a_full_disk_takes_the_whole_of_a_commit_or_nothing(
    make_disk: Callable[[int], Path],
) -> None:
    path = make_disk(8) / "runs.db"
    with closing(ForeignWriter(path)) as writer:
        taken = 0
        code = ""
        while not code:
            try:
                taken += writer.write(spans(1 + taken, 20)).spans
            except StoreError as error:
                code = error.code
        assert code == "TR504"
        assert counted(path) == taken > 0
        assert writer.write(spans(1, 20)).repeated == 20
    assert verify_store(path) == []
