import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.cli.table_text import Cell, Column, render_markdown, render_pairs, render_table
from tailrace.cli.terminal import Terminal
from tailrace.cli.width import cells

COLUMNS = (
    Column(title="RUN"),
    Column(title="FLOW", drop=1),
    Column(title="SPANS", right=True, drop=2),
    Column(title="REASON", flex=True),
)
RUN = "019aa0c4d1f27c3e8a5b6c7d8e9f0a1b"
ROWS = [
    (RUN, "nightly", "3", "TimeoutError: upstream timed out after 2.0 s"),
    (RUN, "請求書作成", "1", "read \x1b[31mtimed [red]"),
    (RUN, "👩\u200d👧 emoji", "1,204", "\u202eevil"),
    (RUN, "مرحبا", "12", "-"),
]


def terminal(width: int, *, color: bool = False, unicode: bool = True) -> Terminal:
    return Terminal(stream=io.StringIO(), width=width, color=color, unicode=unicode)


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_ids_are_never_cut_and_lines_fit_where_columns_can_give_way(width: int) -> None:
    lines = render_table(COLUMNS, ROWS, terminal(width))
    assert all(RUN in line for line in lines[1:])
    limit = max(width, len(RUN) + 2 + 12)
    assert max(cells(line) for line in lines) <= limit


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_control_and_bidi_characters_never_reach_the_terminal(width: int) -> None:
    text = "\n".join(render_table(COLUMNS, ROWS, terminal(width)))
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_the_column_with_the_highest_drop_number_leaves_first() -> None:
    heads = {width: render_table(COLUMNS, ROWS, terminal(width))[0].split() for width in (200, 62)}
    assert heads[200] == ["RUN", "FLOW", "SPANS", "REASON"]
    assert heads[62] == ["RUN", "FLOW", "REASON"]
    assert render_table(COLUMNS, ROWS, terminal(48))[0].split() == ["RUN", "REASON"]


def test_columns_align_whatever_the_script() -> None:
    lines = render_table(COLUMNS, ROWS, terminal(200))
    starts = {cells(line[: line.index("TimeoutError")]) for line in lines[1:2]}
    for line, reason in zip(lines[1:], ("TimeoutError", "read", "\\u202eevil", "-"), strict=True):
        starts.add(cells(line[: line.rindex(reason)]))
    assert len(starts) == 1


def test_colour_does_not_change_the_layout() -> None:
    rows = [(RUN, Cell("nightly", "bold red"), "3", "x")]
    coloured = render_table(COLUMNS, rows, terminal(100, color=True))[1]
    assert "\x1b[1;31mnightly\x1b[0m" in coloured
    plain = render_table(COLUMNS, rows, terminal(100))[1]
    stripped = coloured.replace("\x1b[1;31m", "").replace("\x1b[0m", "")
    assert stripped == plain


def test_markdown_shows_user_text_as_it_is() -> None:
    lines = render_markdown(COLUMNS, [(RUN, "a|b", "1", "*bold* `code` <br> [x](y)")])
    assert lines[0] == "| run | flow | spans | reason |"
    assert lines[1] == "|---|---|---:|---|"
    assert "a\\|b" in lines[2]
    assert "\\*bold\\* \\`code\\` \\<br\\> \\[x\\](y)" in lines[2]


def test_pairs_are_padded_to_one_width() -> None:
    assert render_pairs([("a", "1"), ("名前", "2")], terminal(80)) == ["a     1", "名前  2"]


@given(st.lists(st.tuples(st.text(), st.text(), st.text(), st.text()), max_size=5))
def test_any_text_gives_one_line_per_row(rows: list[tuple[str, str, str, str]]) -> None:
    lines = render_table(COLUMNS, rows, terminal(80))
    assert len(lines) == len(rows) + 1
    assert not any("\n" in line for line in lines)
