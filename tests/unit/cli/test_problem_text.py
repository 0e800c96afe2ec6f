import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tailrace.cli.problem_text import Problem, annotation, render_problem
from tailrace.cli.terminal import Terminal
from tailrace.cli.width import cells
from tailrace.model import SourceSpan


def terminal(width: int = 100, *, color: bool = False) -> Terminal:
    return Terminal(stream=io.StringIO(), width=width, color=color)


def span(text: str, column: int, end: int, *, line: int = 17) -> SourceSpan:
    return SourceSpan(
        file="flows/invoice.yaml",
        line=line,
        column=column,
        end_line=line,
        end_column=end,
        text=text,
    )


def test_a_problem_shows_what_where_and_how_to_mend_it() -> None:
    problem = Problem(
        code="TR104",
        message="retry.max_attempts must be 0 or more",
        hint="write max_attempts: 3",
        where=span("      retry: {max_attempts: -1, delay: 500ms}", 29, 31),
    )
    assert render_problem(problem, terminal()) == [
        "error[TR104]: retry.max_attempts must be 0 or more",
        "  --> flows/invoice.yaml:17:29",
        "   |",
        "17 |       retry: {max_attempts: -1, delay: 500ms}",
        "   |                             ^^",
        "   = help: write max_attempts: 3",
    ]


def test_the_caret_stands_under_its_word_after_wide_characters_and_tabs() -> None:
    lines = render_problem(
        Problem(code="TR104", message="x", where=span("\t請求: bad", 6, 9)), terminal()
    )
    source, caret = lines[3], lines[4]
    assert cells(source[: source.index("bad")]) == cells(caret[: caret.index("^^^")])


def test_a_long_line_is_cut_around_the_mark() -> None:
    text = "a" * 300 + " WRONG " + "b" * 300
    lines = render_problem(
        Problem(code="TR104", message="x", where=span(text, 302, 307)), terminal(60)
    )
    assert all(cells(line) <= 60 for line in lines)
    assert "WRONG" in lines[3]
    assert lines[4].index("^^^^^") == lines[3].index("WRONG")


def test_a_place_without_its_text_has_no_caret() -> None:
    lines = render_problem(Problem(code="TR104", message="x", where=span("", 3, 4)), terminal())
    assert lines == ["error[TR104]: x", "  --> flows/invoice.yaml:17:3"]


def test_further_lines_of_message_and_hint_are_kept() -> None:
    problem = Problem(code="TR170", message="two things\nfirst\nsecond", hint="mend\nboth")
    assert render_problem(problem, terminal()) == [
        "error[TR170]: two things",
        "   | first",
        "   | second",
        "   = help: mend",
        "           both",
    ]


def test_user_text_cannot_reach_the_terminal_raw() -> None:
    problem = Problem(
        code="TR104", message="\x1b[2J", hint="\u202e", where=span("\x1b]0;t\x07", 1, 3)
    )
    text = "".join(render_problem(problem, terminal()))
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_an_annotation_escapes_what_github_reads_as_syntax() -> None:
    problem = Problem(code="TR104", message="50% of\nit", where=span("abc", 1, 2))
    assert annotation(problem) == (
        "::error file=flows/invoice.yaml,line=17,col=1,title=TR104::50%25 of%0Ait"
    )


@pytest.mark.parametrize("width", [40, 80, 100, 200])
@given(text=st.text(max_size=300), column=st.integers(1, 320), size=st.integers(0, 40))
@example(text="0" * 34 + "x", column=36, size=0)
def test_any_source_line_can_be_shown(width: int, text: str, column: int, size: int) -> None:
    problem = Problem(code="TR104", message="x", where=span(text, column, column + size))
    lines = render_problem(problem, terminal(width))
    assert all(cells(line) <= width for line in lines)
