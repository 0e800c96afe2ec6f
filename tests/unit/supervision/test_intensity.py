"""How often a scope may begin its children afresh."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import DefinitionError
from tailrace.failures.supervision.intensity import Crashes, RestartIntensity


def left_after(intensity: RestartIntensity, instants: list[float]) -> list[int]:
    crashes: Crashes = ()
    left = []
    for now in instants:
        crashes = intensity.after(crashes, now)
        left.append(intensity.left(crashes))
    return left


def test_three_restarts_in_five_seconds_are_admitted_and_a_fourth_is_not() -> None:
    assert left_after(RestartIntensity(), [0.0, 1.0, 2.0, 4.9]) == [3, 2, 1, 0]


def test_a_quiet_window_forgets_what_was_before() -> None:
    assert left_after(RestartIntensity(), [0.0, 1.0, 2.0, 7.0, 12.0]) == [3, 2, 1, 3, 3]


def test_crashes_far_enough_apart_are_admitted_for_ever() -> None:
    instants = [index * 2.0 for index in range(100)]
    assert set(left_after(RestartIntensity(), instants)[3:]) == {1}


def test_no_restart_can_be_asked_for() -> None:
    assert left_after(RestartIntensity(restarts=0), [1.0]) == [0]


@given(
    st.integers(0, 5),
    st.floats(0.1, 10),
    st.lists(st.floats(0, 100), max_size=30).map(sorted),
)
def test_it_gives_up_exactly_when_the_window_holds_too_many(
    restarts: int, window: float, instants: list[float]
) -> None:
    intensity = RestartIntensity(restarts, window)
    for index, left in enumerate(left_after(intensity, instants)):
        now = instants[index]
        recent = [one for one in instants[: index + 1] if one > now - window]
        assert (left == 0) == (len(recent) > restarts)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"restarts": -1}, "restarts of a restart intensity is -1; allowed: 0 or more"),
        ({"window": 0.0}, "window of a restart intensity is 0.0; allowed: a number of seconds"),
        ({"window": float("nan")}, "window of a restart intensity is nan"),
        ({"window": float("inf")}, "window of a restart intensity is inf"),
    ],
)
def test_bounds_are_checked(fields: dict[str, float], words: str) -> None:
    with pytest.raises(DefinitionError, match=words) as caught:
        RestartIntensity(**fields)  # type: ignore[arg-type]
    assert caught.value.code == "TR325"
    assert caught.value.hint
