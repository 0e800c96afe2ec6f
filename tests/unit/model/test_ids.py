"""Identifiers that sort by the time they were made."""

from __future__ import annotations

import re

import pytest

from tailrace.model import ids


def test_sortable_ids_are_ulids_and_no_two_are_the_same() -> None:
    made = [ids.new_sortable() for _ in range(2_000)]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch("[0-7][0-9A-HJKMNP-TV-Z]{25}", one) for one in made)


def test_sortable_ids_begin_with_their_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    instants = [0, 1, 31, 32, 1_023, 1_024, 1_763_700_000_123, (1 << 48) - 1]
    made = []
    for instant in instants:
        monkeypatch.setattr("tailrace.model.ids.time.time_ns", lambda at=instant: at * 1_000_000)
        made.append(ids.new_sortable())
    assert made == sorted(made)
    assert [one[:10] for one in made[:4]] == [
        "0000000000",
        "0000000001",
        "000000000Z",
        "0000000010",
    ]
    assert made[-1][:10] == "7ZZZZZZZZZ"
