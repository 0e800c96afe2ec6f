from collections.abc import Callable

import pytest

from tailrace.cli.failure_rows import short_fingerprints
from tailrace.cli.letter_rows import (
    LETTER_COLUMNS,
    LETTER_GROUP_COLUMNS,
    group_letters,
    letter_advice,
    letter_facts,
    letter_group_row,
    letter_row,
    states_text,
)
from tailrace.cli.table_text import render_table
from tailrace.cli.terminal import Terminal
from tailrace.cli.width import cells
from tailrace.model.letter import DeadLetter, Redrive

HOUR = 3_600 * 10**9
MakeLetter = Callable[..., DeadLetter]
Screen = Callable[..., Terminal]


def test_letters_are_grouped_by_fingerprint_the_largest_group_first(letter: MakeLetter) -> None:
    start = letter().created_ns
    letters = [
        letter(dl_id="DL-1", fp_site="v1:a"),
        letter(dl_id="DL-2", fp_site="v1:b"),
        letter(dl_id="DL-3", fp_site="v1:b", created_ns=start - HOUR, updated_ns=start + HOUR),
        letter(dl_id="DL-4", fp_site="v1:b", state="parked"),
    ]
    first, second = group_letters(letters)
    assert (first.fingerprint, first.count, first.open) == ("v1:b", 3, 2)
    assert (first.first_ns, first.last_ns, first.newest.dl_id) == (
        start - HOUR,
        start + HOUR,
        "DL-3",
    )
    assert second.count == 1


def test_the_list_has_the_columns_of_a_post_office(letter: MakeLetter, screen: Screen) -> None:
    terminal = screen(100, is_tty=True)
    groups = group_letters([letter(dl_id=f"DL-{n}") for n in range(12)])
    names = short_fingerprints([groups[0].fingerprint], terminal)
    rows = [letter_group_row(groups[0], names=names, now_ns=letter().created_ns + 3 * 60 * 10**9)]
    head, line = render_table(LETTER_GROUP_COLUMNS, rows, terminal)
    assert " ".join(head.split()) == ("GROUP COUNT CATEGORY FLOW/NODE LAST ERROR FIRST LAST ADVICE")
    assert line.split()[:3] == ["v1:3ac9f0d2", "12", "transient"]
    assert "nightly/transform" in line
    assert line.endswith("3m ago  3m ago  redrive")


def test_at_eighty_columns_the_first_time_is_dropped_and_the_advice_stays(
    letter: MakeLetter, screen: Screen
) -> None:
    terminal = screen(80, is_tty=True)
    groups = group_letters([letter(node_id="外部API呼出し" * 4)])
    names = short_fingerprints([groups[0].fingerprint], terminal)
    rows = [letter_group_row(groups[0], names=names, now_ns=letter().created_ns)]
    lines = render_table(LETTER_GROUP_COLUMNS, rows, terminal)
    assert "FIRST" not in lines[0]
    assert max(map(cells, lines)) <= 80
    assert lines[1].endswith("redrive")


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_the_id_of_a_letter_is_never_cut(letter: MakeLetter, screen: Screen, width: int) -> None:
    one = letter(message="時間切れ " * 20)
    lines = render_table(LETTER_COLUMNS, [letter_row(one)], screen(width))
    assert lines[1].startswith(one.dl_id)
    assert width == 40 or max(map(cells, lines)) <= width


def test_a_letter_tells_its_redrives_and_what_was_changed(letter: MakeLetter) -> None:
    redrive = Redrive(
        dl_id="DL-1",
        generation=1,
        batch_id="monday",
        actor="ana",
        reason="timeout raised",
        patch={"params": {"timeout": 5}},
        run_id="r2",
        at_ns=1,
        outcome="failed",
    )
    facts = dict(letter_facts(letter(policy={"timeout": 2.0}), [redrive]))
    assert facts["policy"] == '{"timeout": 2.0}'
    assert facts["redrive 1"].startswith("failed ")
    assert facts["redrive 1"].endswith("by ana (timeout raised), resume, patched, run r2")
    assert "crashes" not in facts


def test_letters_that_are_over_need_nothing(letter: MakeLetter) -> None:
    assert letter_advice(letter(), open_letters=1) == "redrive"
    assert letter_advice(letter(state="resolved"), open_letters=1) == "-"
    assert letter_advice(letter(state="discarded"), open_letters=1) == "-"


def test_an_action_that_only_its_process_could_call_is_looked_at(letter: MakeLetter) -> None:
    assert letter_advice(letter(kind="event", task_ref="shop:pay"), open_letters=1) == "redrive"
    assert letter_advice(letter(kind="event"), open_letters=1) == "inspect"
    assert letter_advice(letter(kind="event", category="permanent"), open_letters=1) == "fix"


def test_states_are_counted(letter: MakeLetter) -> None:
    assert states_text([letter(), letter(), letter(state="parked")]) == "2 open, 1 parked"
