import io

import pytest

from tailrace.cli.terminal import PIPE_WIDTH, inspect_stream


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Ascii(Screen):
    encoding = "ascii"


def test_a_pipe_has_no_colour_and_a_fixed_width() -> None:
    terminal = inspect_stream(io.StringIO(), environ={})
    assert (terminal.color, terminal.is_tty, terminal.width) == (False, False, PIPE_WIDTH)


def test_a_terminal_has_colour() -> None:
    assert inspect_stream(Screen(), environ={"TERM": "xterm"}).color


@pytest.mark.parametrize(
    "environ",
    [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}],
    ids=["NO_COLOR", "dumb", "NO_COLOR wins"],
)
def test_colour_can_be_refused(environ: dict[str, str]) -> None:
    assert not inspect_stream(Screen(), environ=environ).color


@pytest.mark.parametrize("name", ["FORCE_COLOR", "CLICOLOR_FORCE"])
def test_colour_can_be_forced_into_a_pipe(name: str) -> None:
    assert inspect_stream(io.StringIO(), environ={name: "1"}).color
    assert not inspect_stream(io.StringIO(), environ={name: "0"}).color


def test_the_flag_is_stronger_than_the_environment() -> None:
    assert not inspect_stream(Screen(), color=False, environ={"FORCE_COLOR": "1"}).color


def test_columns_sets_the_width() -> None:
    assert inspect_stream(io.StringIO(), environ={"COLUMNS": "72"}).width == 72
    assert inspect_stream(io.StringIO(), environ={"COLUMNS": "wide"}).width == PIPE_WIDTH


def test_marks_follow_the_encoding_of_the_stream() -> None:
    assert inspect_stream(Screen(), environ={}).marks.done == "✔"
    assert inspect_stream(Ascii(), environ={}).marks.done == "+"
    assert inspect_stream(Ascii(), environ={}).marks.tee.isascii()


def test_styles_are_written_only_with_colour() -> None:
    assert inspect_stream(Screen(), environ={}).style("x", "bold red") == "\x1b[1;31mx\x1b[0m"
    assert inspect_stream(io.StringIO(), environ={}).style("x", "bold red") == "x"
