from collections.abc import Callable

import pytest

from tailrace.cli.failure_detail import failure_lines, failure_markdown
from tailrace.cli.terminal import Terminal
from tailrace.cli.width import cells
from tailrace.model.failure import Cause, FailureSnapshot
from tailrace.model.letter import DeadLetter

MakeFailure = Callable[..., FailureSnapshot]
MakeLetter = Callable[..., DeadLetter]
Screen = Callable[..., Terminal]


def test_a_failure_is_told_with_verdict_cause_way_and_next_step(
    failure: MakeFailure, letter: MakeLetter, screen: Screen
) -> None:
    lines = failure_lines(failure(), [letter()], screen(120))
    text = "\n".join(lines)
    assert lines[0] == "TimeoutError: upstream timed out after 2.0 s"
    for fact in (
        "category      transient/timeout",
        "rule          type:TimeoutError",
        "outcome       terminal, given up: max_attempts",
        "at            etl/steps.py:42  r.raise_for_status()",
        "attempt       3 of 3",
        "caused by     ConnectionResetError: peer went away",
        "fingerprint   v1:3ac9f0d2e17b4c58a6930d1f7e2b8c45",
        "open letter   DL-01KAHV6X3Q8Z04YQ0M5VNW2C7R",
        "next: tailrace trace show 019aa0c4d1f27c3e8a5b6c7d8e9f0a1b",
        "next: tailrace dlq redrive DL-01KAHV6X3Q8Z04YQ0M5VNW2C7R",
    ):
        assert fact in text
    assert [line.split()[0] for line in lines if " escalate " in line or " stop " in line] == [
        "node",
        "flow",
        "run",
    ]


def test_frames_of_libraries_are_counted_unless_asked_for(
    failure: MakeFailure, screen: Screen
) -> None:
    short = failure_lines(failure(), [], screen())
    assert "  (2 frames of libraries: --with-stack)" in short
    assert "  etl/steps.py:42 in call_api" in short
    whole = failure_lines(failure(), [], screen(), with_stack=True)
    assert "  /lib/httpx.py:7 in send" in whole
    assert not any("--with-stack" in line for line in whole)


def test_a_permanent_failure_is_not_advised_to_be_redriven(
    failure: MakeFailure, letter: MakeLetter, screen: Screen
) -> None:
    text = "\n".join(failure_lines(failure(category="permanent"), [letter()], screen()))
    assert "dlq show DL-" in text
    assert "dlq redrive" not in text


def test_a_failure_with_nothing_known_is_shown_without_empty_lines_of_facts(
    screen: Screen,
) -> None:
    bare = FailureSnapshot(
        failure_id="F-1", captured_ns=0, type="E", message="", category="unknown"
    )
    lines = failure_lines(bare, [], screen())
    assert lines[0] == "E"
    assert all(line.split()[1:] for line in lines[2:] if line)
    assert failure_markdown(bare, [])[0] == "# E"


def test_what_a_user_wrote_cannot_break_out_of_terminal_or_markdown(
    failure: MakeFailure, screen: Screen
) -> None:
    evil = "a|b\n# h\x1b]0;title\x07\u202e"
    one = failure(message=evil, notes=(evil,), children=(Cause("E", evil),), source_line=evil)
    lines = failure_lines(one, [], screen())
    assert not any(sign in "".join(lines) for sign in "\x1b\x07\u202e\n")
    markdown = failure_markdown(one, [])
    assert "\n" not in "".join(markdown)
    assert all(line.count(" | ") == 1 for line in markdown if line.startswith("| note"))


@pytest.mark.parametrize("width", [80, 100, 200])
def test_facts_fit_the_terminal(failure: MakeFailure, screen: Screen, width: int) -> None:
    one = failure(source_line="時間切れ " * 50, trail=(), frames=())
    lines = failure_lines(one, [], screen(width))
    facts = [line for line in lines[1:] if not line.startswith("next")]
    assert max(map(cells, facts)) <= width


def test_ids_are_whole_on_the_narrowest_terminal(
    failure: MakeFailure, letter: MakeLetter, screen: Screen
) -> None:
    one = failure(input_digest="sha256:" + "9c" * 32)
    words = "\n".join(failure_lines(one, [letter()], screen(40))).split()
    ids = {one.failure_id, one.run_id, one.fp_site, one.input_digest, letter().dl_id}
    assert ids <= set(words)
