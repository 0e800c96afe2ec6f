import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.cli.advice import advice
from tailrace.model.failure import FailureClass
from tailrace.model.states import ErrorCategory


@pytest.mark.parametrize(
    ("category", "class_", "letters", "says"),
    [
        ("transient", "network", 3, "redrive"),
        ("timeout", "timeout", 1, "redrive"),
        ("transient", "network", 0, "-"),
        ("permanent", "validation", 0, "fix"),
        ("permanent", "bug", 4, "fix"),
        ("unknown", "unknown", 0, "inspect"),
        ("unknown", "worker_lost", 2, "redrive"),
        ("unknown", "poison", 2, "inspect"),
        ("cancelled", "cancelled", 0, "-"),
    ],
)
def test_the_advice_follows_category_class_and_what_waits(
    category: str, class_: str, letters: int, says: str
) -> None:
    assert advice(category, class_, open_letters=letters) == says


@given(
    st.sampled_from(ErrorCategory) | st.text(max_size=5),
    st.sampled_from(FailureClass) | st.text(max_size=5),
    st.integers(0, 3),
)
def test_whatever_a_failure_is_called_the_advice_is_one_of_four_words(
    category: str, class_: str, letters: int
) -> None:
    assert advice(category, class_, open_letters=letters) in {"redrive", "fix", "inspect", "-"}
