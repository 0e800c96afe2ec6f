"""A store of letters in memory, a clock that only sleeping moves, and work that does as told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tailrace.errors import NotFound
from tailrace.model import Policy
from tailrace.model.failure import FailureFilter, FailureSnapshot
from tailrace.model.letter import (
    MOST_GENERATIONS,
    DeadLetter,
    RecoveryAction,
    Redrive,
    RedriveBatch,
)
from tailrace.runtime.redrive import Desk, RerunOutcome


class Letters:
    """``DeadLetters`` and ``RedriveLog`` over dictionaries."""

    def __init__(self) -> None:
        self.kept: dict[str, DeadLetter] = {}
        self.rows: list[Redrive] = []
        self.kept_batches: dict[str, RedriveBatch] = {}
        self.writes = 0

    def add(self, count: int, **fields: Any) -> list[str]:
        first = len(self.kept)
        ids = [f"DL-{number:05}" for number in range(first, first + count)]
        for number, dl_id in enumerate(ids, first):
            given: dict[str, Any] = {"category": "transient", "kind": "event"}
            given |= {"created_ns": number + 1} | fields
            self.kept[dl_id] = DeadLetter(dl_id=dl_id, task_key=dl_id.lower(), **given)
        return ids

    def _matches(self, letter: DeadLetter, wanted: FailureFilter) -> bool:
        return (
            (not wanted.ids or letter.dl_id in wanted.ids)
            and (letter.state == wanted.state if wanted.state else letter.state in _LISTED)
            and wanted.category in {"", letter.category}
            and (wanted.until_ns is None or letter.created_ns < wanted.until_ns)
        )

    def letters(self, wanted: FailureFilter, *, limit: int = 50) -> list[DeadLetter]:
        newest_first = sorted(self.kept.values(), key=lambda one: one.created_ns, reverse=True)
        return [one for one in newest_first if self._matches(one, wanted)][:limit]

    def letter(self, prefix: str) -> DeadLetter:
        if prefix not in self.kept:
            raise NotFound(f"no letter {prefix}")
        return self.kept[prefix]

    def claim(self, wanted: FailureFilter, redrive: Redrive, *, limit: int) -> list[DeadLetter]:
        wanted = msgspec.structs.replace(wanted, state="open")
        found = list(reversed(self.letters(wanted, limit=len(self.kept))))[:limit]
        claimed = [
            self._put(one, state="redriving", generation=one.generation + 1) for one in found
        ]
        self.rows += [
            msgspec.structs.replace(redrive, dl_id=one.dl_id, generation=one.generation)
            for one in claimed
        ]
        return claimed

    def settle(self, letter: DeadLetter, outcome: str, *, failure: FailureSnapshot | None) -> None:
        del failure  # kept by the real store
        for place, row in enumerate(self.rows):
            if (row.dl_id, row.generation) == (letter.dl_id, letter.generation):
                self.rows[place] = msgspec.structs.replace(row, outcome=outcome)
        state = "open" if outcome != "resolved" else "resolved"
        if outcome == "failed" and letter.generation >= MOST_GENERATIONS:
            state = "parked"
        self._put(letter, state=state)

    def _put(self, letter: DeadLetter, **changes: Any) -> DeadLetter:
        self.writes += 1
        self.kept[letter.dl_id] = msgspec.structs.replace(letter, **changes)
        return self.kept[letter.dl_id]

    def change(
        self, wanted: FailureFilter, action: str, *, actor: str, reason: str
    ) -> list[DeadLetter]:
        raise NotImplementedError

    def put_batch(self, batch: RedriveBatch) -> None:
        self.writes += 1
        self.kept_batches[batch.batch_id] = batch

    def batches(self, *, limit: int = 50) -> list[RedriveBatch]:
        newest = list(reversed(self.kept_batches.values()))[:limit]
        return [msgspec.structs.replace(one, counts=self.counts(one.batch_id)) for one in newest]

    def counts(self, batch_id: str) -> dict[str, int]:
        rows = [row for row in self.rows if row.batch_id == batch_id]
        return {
            "claimed": len(rows),
            "resolved": sum(row.outcome == "resolved" for row in rows),
            "failed": sum(row.outcome == "failed" for row in rows),
        }

    def redrives(self, *, batch_id: str = "", dl_id: str = "") -> list[Redrive]:
        return [
            row for row in self.rows if batch_id in {"", row.batch_id} and dl_id in {"", row.dl_id}
        ]

    def actions(self, subject: str = "", *, limit: int = 500) -> list[RecoveryAction]:
        raise NotImplementedError

    def verify(self) -> int | None:
        raise NotImplementedError

    def states(self) -> dict[str, str]:
        return {letter.dl_id: letter.state for letter in self.kept.values()}


_LISTED = frozenset({"open", "parked"})


class Bench:
    """A desk with its parts at hand."""

    def __init__(self) -> None:
        self.letters = Letters()
        self.now = 0.0
        self.started: list[tuple[float, str]] = []
        self.bad: set[str] = set()
        self.takes = 0.0
        """Seconds that one run takes."""
        self.refused: set[str] = set()
        self.run_id = ""
        self.before: Callable[[DeadLetter], None] = lambda _: None
        """Called as a run starts."""
        self.policies: list[Policy | None] = []
        self.redrives: list[Redrive] = []

    def run(self, letter: DeadLetter, redrive: Redrive, *, policy: Policy | None) -> RerunOutcome:
        self.started.append((self.now, letter.dl_id))
        self.policies.append(policy)
        self.redrives.append(redrive)
        self.before(letter)
        self.now += self.takes
        return RerunOutcome(ok=letter.dl_id not in self.bad, run_id=self.run_id)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def desk(self) -> Desk:
        return Desk(
            letters=self.letters,
            log=self.letters,
            run=self.run,
            refusal=lambda letter: "no" * (letter.dl_id in self.refused),
            clock=lambda: self.now,
            sleep=self.sleep,
            now_ns=lambda: int(self.now * 1e9),
        )

    @property
    def ran(self) -> list[str]:
        return [dl_id for _, dl_id in self.started]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def batch() -> Callable[..., RedriveBatch]:
    def make(**fields: Any) -> RedriveBatch:
        given: dict[str, Any] = {"batch_id": "B-1", "filter": {}, "actor": "ann"}
        return RedriveBatch(**(given | fields))

    return make
