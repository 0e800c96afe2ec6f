from collections.abc import Callable

import pytest

from tailrace.cli.redrive_text import batch_code, batch_lines, plan_lines, plan_to_dict
from tailrace.cli.terminal import Terminal
from tailrace.cli.width import cells
from tailrace.model.letter import DeadLetter, RedriveBatch
from tailrace.runtime.redrive import PlannedRedrive, RedrivePlan

MakeLetter = Callable[..., DeadLetter]
Screen = Callable[..., Terminal]


def plan_of(letter: MakeLetter, count: int = 12, **settings: object) -> RedrivePlan:
    items = tuple(
        PlannedRedrive(
            letter=letter(dl_id=f"DL-{number:02d}"),
            cautions=("notify does not ask for ctx.idempotency_key",),
            reuse=("fetch", "parse"),
            rerun=("transform", "load", "notify"),
            results=2,
        )
        for number in range(count)
    )
    refused = PlannedRedrive(letter=letter(), refusal="ValueError is permanent")
    known = {"mode": "resume", "items": (*items, refused), "matched": count + 1}
    return RedrivePlan(**known | settings)  # type: ignore[arg-type]  # fields by name


def test_a_dry_run_tells_what_is_reused_rerun_and_left(letter: MakeLetter, screen: Screen) -> None:
    lines = plan_lines(plan_of(letter), screen())
    assert lines[:4] == [
        "would redrive 12 letters (nightly/transform 12), inputs and policy unchanged",
        "  reuse    fetch, parse   24 stored results",
        "  rerun    transform, load, notify",
        "  caution  notify does not ask for ctx.idempotency_key (12 letters)",
    ]
    assert lines[4] == "  letter   DL-00"
    assert lines[-2:] == ["  letter   and 2 more", "  leave    1 letter: ValueError is permanent"]


def test_a_dry_run_says_what_was_changed_and_what_the_limit_leaves(
    letter: MakeLetter, screen: Screen
) -> None:
    lines = plan_lines(plan_of(letter, 1, patch={}, matched=9), screen())
    assert lines[0].endswith("patch changed")
    assert lines[-1] == "  beyond   7 letters more match than --limit takes"


def test_a_plan_fits_the_terminal(letter: MakeLetter, screen: Screen) -> None:
    assert max(map(cells, plan_lines(plan_of(letter), screen(40)))) <= 40


def test_a_plan_for_programs_names_every_letter(letter: MakeLetter) -> None:
    body = plan_to_dict(plan_of(letter))
    assert (body["ready"], body["refused"], len(body["letters"])) == (12, 1, 13)
    assert body["letters"][-1]["refusal"] == "ValueError is permanent"


def batch(state: str = "done", **counts: int) -> RedriveBatch:
    return RedriveBatch(batch_id="monday", filter={}, actor="ana", state=state, counts=counts)


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (batch(claimed=3, resolved=3, failed=0), 0),
        (batch(claimed=3, resolved=2, failed=1), 6),
        (batch(claimed=1, resolved=0, failed=1), 1),
        (batch("stopped", claimed=5, resolved=3, failed=2), 6),
        (batch("paused", claimed=5, resolved=5, failed=0), 6),
        (batch(claimed=1, resolved=1, refused=1), 6),
        (batch(), 0),
    ],
)
def test_the_exit_code_tells_whole_part_and_none(ended: RedriveBatch, code: int) -> None:
    assert batch_code(ended) == code


def test_a_batch_is_told_in_one_line() -> None:
    assert batch_lines(batch(claimed=3, resolved=2, failed=1)) == [
        "monday: done, 3 claimed, 2 resolved, 1 failed"
    ]
