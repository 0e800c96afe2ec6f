"""Which letters a verb is meant for: ids, groups, or filters."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tailrace.cli.filters import is_empty
from tailrace.cli.letters import find_letters
from tailrace.cli.refusal import Refusal
from tailrace.cli.stores import Letters
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import LetterState

NONE_NAMED = "TR341"


def choose(
    letters: Letters,
    subjects: Sequence[str],
    wanted: FailureFilter,
    *,
    state: str = LetterState.OPEN.value,
    everything: bool = False,
) -> FailureFilter:
    """Return the filter narrowed to the letters that were named.

    Args:
        letters: where they are.
        subjects: ids of letters or fingerprints of groups, or their beginnings.
        wanted: the filter options that were given.
        state: the state of a group's letters that are meant.
        everything: an empty choice means all letters.

    Raises:
        NotFound: a subject names no letter.
        Refusal: neither subject nor filter was given (TR341).
    """
    if subjects:
        named = [
            letter.dl_id
            for subject in subjects
            for letter in find_letters(letters, subject, state=state)
        ]
        return msgspec.structs.replace(wanted, ids=tuple(dict.fromkeys(named)))
    if is_empty(wanted) and not everything:
        raise Refusal(
            "no letters are named",
            code=NONE_NAMED,
            hint="name ids or groups (tailrace dlq list), narrow with a filter such as"
            " --flow, or say --all",
        )
    return wanted
