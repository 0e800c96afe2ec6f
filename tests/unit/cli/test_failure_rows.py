from collections.abc import Callable
from typing import Any

import pytest

from tailrace.cli.failure_rows import (
    FAILURE_COLUMNS,
    GROUP_COLUMNS,
    failure_row,
    group_row,
    short_fingerprints,
)
from tailrace.cli.table_text import Row, render_table
from tailrace.cli.terminal import Terminal
from tailrace.cli.width import cells
from tailrace.model.failure import FailureGroup, FailureSnapshot

NOW = 1_763_700_000_000_000_000 + 2 * 86_400 * 10**9
MakeFailure = Callable[..., FailureSnapshot]
MakeGroup = Callable[..., FailureGroup]
Screen = Callable[..., Terminal]


def row_of(group: FailureGroup, terminal: Terminal, **more: Any) -> Row:
    names = short_fingerprints([group.fp_site], terminal)
    return group_row(group, names=names, trend=[0, 0, 1, 0, 3, 8, 0], now_ns=NOW, **more)


def test_a_group_tells_what_hurts_on_one_line(group: MakeGroup, screen: Screen) -> None:
    terminal = screen(200, is_tty=True)
    line = render_table(GROUP_COLUMNS, [row_of(group(), terminal)], terminal)[1]
    for fact in (
        "v1:3ac9f0d2 ",
        " 12  ",
        "··▁·▃█·",
        "transient/network",
        "nightly/transform",
        "TimeoutError: upstream timed out after 2.0 s",
        "etl/steps.py:42",
        "2d ago",
        "redrive",
    ):
        assert fact in line


@pytest.mark.parametrize("width", [80, 100, 200])
@pytest.mark.parametrize(
    "name", ["transform", "外部API呼出し・請求書作成", "a" * 60, "😀👩‍👩‍👧", "\u202eevil\x1b[31m"]
)
def test_a_group_fits_the_terminal_whatever_its_names(
    group: MakeGroup, screen: Screen, width: int, name: str
) -> None:
    terminal = screen(width, is_tty=True)
    rows = [row_of(group(node_id=name, title=name * 3, flow="夜間" * 8, count=10**9), terminal)]
    lines = render_table(GROUP_COLUMNS, rows, terminal)
    assert max(map(cells, lines)) <= width
    assert not any(sign in "".join(lines) for sign in "\x1b\u202e")
    assert lines[1].endswith("redrive")


def test_at_forty_columns_the_group_and_the_advice_are_still_whole(
    group: MakeGroup, screen: Screen
) -> None:
    terminal = screen(40, is_tty=True)
    line = render_table(GROUP_COLUMNS, [row_of(group(), terminal)], terminal)[1]
    assert line.startswith("v1:3ac9f0d2")
    assert line.endswith("redrive")


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_the_id_of_a_failure_is_never_cut(failure: MakeFailure, screen: Screen, width: int) -> None:
    one = failure(node_id="外部API呼出", message="時間切れ " * 20)
    lines = render_table(FAILURE_COLUMNS, [failure_row(one)], screen(width))
    assert lines[1].startswith(one.failure_id)
    assert width == 40 or max(map(cells, lines)) <= width


def test_fingerprints_are_whole_in_a_pipe(screen: Screen) -> None:
    fingerprint = "v1:" + "3a" * 16
    assert short_fingerprints([fingerprint], screen()) == {fingerprint: fingerprint}


def test_on_a_terminal_fingerprints_are_as_long_as_tells_them_apart(screen: Screen) -> None:
    first, second = "v1:" + "a" * 32, "v1:" + "a" * 11 + "b" * 21
    names = short_fingerprints([first, second, ""], screen(is_tty=True))
    assert names == {first: "v1:" + "a" * 12, second: "v1:" + "a" * 11 + "b", "": ""}


def test_a_failure_with_nothing_known_has_a_row_all_the_same(
    failure: MakeFailure, screen: Screen
) -> None:
    bare = FailureSnapshot(failure_id="F-1", captured_ns=-1, type="", message="", category="?")
    far = failure(captured_ns=10**21)
    lines = render_table(FAILURE_COLUMNS, [failure_row(bare), failure_row(far)], screen())
    assert lines[1].startswith("F-1")
    assert "9999" in lines[2]
