from hypothesis import given
from hypothesis import strategies as st

from tailrace.cli.sparkline import sparkline


def test_the_largest_is_highest_and_none_is_a_dot() -> None:
    assert sparkline([0, 1, 4, 8]) == "·▁▄█"
    assert sparkline([0, 1, 4, 8], unicode=False) == "._+@"


def test_equal_days_are_equally_high() -> None:
    assert sparkline([3, 3, 3]) == "███"
    assert sparkline([0, 0]) == "··"
    assert sparkline([]) == ""


@given(st.lists(st.integers(-5, 10**12), max_size=14))
def test_there_is_one_sign_per_value_and_what_happened_is_seen(values: list[int]) -> None:
    drawn = sparkline(values)
    assert len(drawn) == len(values)
    assert [sign != "·" for sign in drawn] == [value > 0 for value in values]
    assert sparkline(values, unicode=False).isascii()
