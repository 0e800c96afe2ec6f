"""Plots fit their terminal and show every series."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.cli.plot import MOST, Curve, number, render_plot
from tailrace.cli.terminal import Terminal
from tailrace.cli.width import cells

Screen = Callable[..., Terminal]
TIMES = ("2026-11-21 07:00", "2026-11-21 08:00")
values = st.lists(st.none() | st.floats(), max_size=60)


@settings(deadline=None)
@given(
    series=st.lists(values, max_size=MOST),
    width=st.sampled_from((40, 80, 200)),
    has_signs=st.booleans(),
)
def test_a_plot_of_any_numbers_fits_and_is_ascii_where_it_must(
    series: list[list[float | None]], width: int, has_signs: bool
) -> None:
    terminal = Terminal(stream=io.StringIO(), width=width, unicode=has_signs)
    curves = [Curve(label=f"series {n}", values=one) for n, one in enumerate(series)]
    lines = render_plot(curves, TIMES, terminal)
    assert all(cells(line) <= width for line in lines)
    assert has_signs or all(line.isascii() for line in lines)


def test_one_series_is_drawn_in_dots_between_its_least_and_greatest(screen: Screen) -> None:
    lines = render_plot([Curve(label="rate", values=[0, 1, 2, 3])], TIMES, screen(60), height=4)
    assert lines[0].startswith("3 ┤")
    assert lines[3].startswith("0 ┤")
    assert lines[0].rstrip() != "3 ┤"
    assert lines[-1] == "━━ rate  last 3  max 3"
    assert lines[-2].split() == [*TIMES[0].split(), *TIMES[1].split()]


def test_several_series_without_colour_have_signs_of_their_own(screen: Screen) -> None:
    curves = [Curve(label="a", values=[0, 1]), Curve(label="b", values=[1, 0])]
    text = "\n".join(render_plot(curves, TIMES, screen(60)))
    assert "● a" in text
    assert "▲ b" in text
    assert "\x1b" not in text
    coloured = "\n".join(render_plot(curves, TIMES, screen(60, color=True)))
    assert "\x1b[36m" in coloured
    assert "●" not in coloured


def test_where_there_is_no_point_nothing_is_drawn(screen: Screen) -> None:
    assert render_plot([Curve(label="a", values=[None])], TIMES, screen(60)) == ["no points"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.25, "0.25"), (1_204, "1,204"), (3.2e9, "3.2e+09"), (123.456, "123.46"), (-2, "-2")],
)
def test_numbers_take_few_signs(value: float, text: str) -> None:
    assert number(value) == text
