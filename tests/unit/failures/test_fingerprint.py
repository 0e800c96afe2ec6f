"""Which failures count as the same one."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.failures import capture
from tailrace.failures.fingerprint import template_fingerprint, template_of

SOURCE = """
def fail(kind, text):
    raise kind(text)

def other(kind, text):
    raise kind(text)

def dive(depth):
    if depth:
        dive(depth - 1)
    fail(ValueError, "bottom")
"""


def caught(function: Callable[[], Any]) -> BaseException:
    try:
        function()
    except BaseException as error:  # noqa: BLE001 - the test takes what the function raises
        return error
    raise AssertionError("nothing was raised")


def compiled(file: str, source: str = SOURCE) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "etl.tasks"}
    exec(compile(source, file, "exec"), names)  # noqa: S102 - the text stands above
    return names


def fingerprint(function: Callable[..., Any], *args: Any) -> str:
    return capture(caught(lambda: function(*args))).fingerprint


def test_a_fingerprint_knows_neither_lines_nor_files_nor_messages_nor_depth() -> None:
    here, there = compiled("/a/tasks.py"), compiled("/b/c/tasks.py", "\n\n# moved\n" + SOURCE)
    same = fingerprint(here["fail"], ValueError, "row 17")
    assert fingerprint(there["fail"], ValueError, "row 99") == same
    assert fingerprint(here["dive"], 3) == fingerprint(there["dive"], 40)
    assert same.startswith("v1:")
    assert len(same) == 35


def test_a_fingerprint_tells_types_functions_and_causes_apart() -> None:
    names = compiled("/a/tasks.py")
    plain = fingerprint(names["fail"], ValueError, "x")
    assert fingerprint(names["fail"], TypeError, "x") != plain
    assert fingerprint(names["other"], ValueError, "x") != plain

    def with_cause(text: str) -> BaseException:
        error = ValueError(text)
        error.__cause__ = KeyError(text)
        return error

    assert fingerprint(names["fail"], with_cause, "x") != plain


SCRIPT = """
import asyncio, multiprocessing, sys, threading
from tailrace.failures import capture

class NoRow(Exception):
    pass

def load(number):
    raise NoRow(f"row {number} is missing")

def other(number):
    raise NoRow(f"row {number} is missing")

def show(mode, function, number):
    try:
        function(number)
    except NoRow as error:
        failure = capture(error)
        print(mode, failure.fingerprint, failure.fp_template, flush=True)

async def inside():
    show("asyncio", load, 3)

if __name__ == "__main__":
    show("plain", load, 1)
    thread = threading.Thread(target=show, args=("thread", load, 2))
    thread.start()
    thread.join()
    asyncio.run(inside())
    process = multiprocessing.get_context("spawn").Process(target=show, args=("process", load, 4))
    process.start()
    process.join()
    show("other", other, 5)
"""


def printed(*command: str | Path, folder: Path) -> dict[str, tuple[str, str]]:
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, check=True, capture_output=True, text=True
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    return {mode: (site, template) for mode, site, template in lines}


def test_the_same_bug_has_one_fingerprint_in_every_mode_and_checkout_and_another_function_another(
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "one" / "orders.py", tmp_path / "two" / "src" / "orders.py"
    for file, above in ((first, ""), (second, "# added\n# above\n# all\n")):
        file.parent.mkdir(parents=True)
        file.write_text(above + SCRIPT)
    here = printed(first, folder=first.parent)
    there = printed(second, folder=tmp_path)
    named = printed("-m", "orders", folder=first.parent)
    imported = printed(
        "-c", "import orders; orders.show('imported', orders.load, 6)", folder=first.parent
    )
    assert list(here) == ["plain", "thread", "asyncio", "process", "other"]
    runs = (here, there, named, imported)
    assert len({run[mode] for run in runs for mode in run if mode != "other"}) == 1
    assert here["other"] == there["other"] == named["other"]
    assert set(here["other"]).isdisjoint(here["plain"])


@pytest.mark.parametrize(
    ("message", "template"),
    [
        ("row 17 of 'x17'", "row <n> of <text>"),
        ("at 2026-11-21T06:55:23.281787Z and 2026-11-21 06:55", "at <time> and <time>"),
        ("550e8400-e29b-41d4-a716-446655440000 gone", "<n> gone"),
        ("object at 0x7f3a2b", "object at <n>"),
        ("10.0.0.3:5432 refused", "<ip> refused"),
        ("fe80:0:0::1 is down", "<ip> is down"),
        ("digest 9f86d081884c7d659a2feaa0c55ad015", "digest <n>"),
        ("event 01kahv6x3q8zt2m4 lost", "event <n> lost"),
        ("worker3 lost", "worker<n> lost"),
        ("-1.5e3 and +7", "<n> and <n>"),
        ("can't open \"a b\", isn't there", "can't open <text>, isn't there"),
        ("cut 'off", "cut <text>"),
        ("nothing varies", "nothing varies"),
        ("", ""),
    ],
)
def test_a_template_has_what_varies_taken_out_of_the_message(message: Any, template: Any) -> None:
    assert template_of(message) == template


@given(st.integers(0), st.uuids(), st.text(alphabet="abcxyz -", max_size=20))
def test_ids_in_a_message_do_not_count(number: int, uuid: UUID, name: str) -> None:
    names = compiled("/a/tasks.py")

    def template(number: int, uuid: UUID, name: str) -> str:
        text = f"row {number} of {uuid} in '{name}'"
        return capture(caught(lambda: names["fail"](ValueError, text))).fp_template

    assert template(number, uuid, name) == template(1, UUID(int=7), "orders")


@given(st.text(max_size=3000))
def test_every_message_has_a_bounded_template(message: str) -> None:
    assert template_of(message) == template_of(message)
    assert len(template_of(message)) <= 512 * len("<text>")


def test_the_template_tells_messages_of_one_place_apart() -> None:
    names = compiled("/a/tasks.py")
    full = capture(caught(lambda: names["fail"](OSError, "disk 3 is full")))
    gone = capture(caught(lambda: names["fail"](OSError, "disk 3 is gone")))
    assert full.fingerprint == gone.fingerprint
    assert full.fp_template != gone.fp_template


def test_an_exception_may_name_its_own_group() -> None:
    def fail(name: str) -> None:
        error = ValueError("x")
        error.fingerprint = name  # type: ignore[attr-defined]
        raise error

    assert fingerprint(fail, "billing") == fingerprint(fail, "billing")
    assert fingerprint(fail, "billing") != fingerprint(fail, "shipping")
    assert fingerprint(fail, "{{default}}-eu") != fingerprint(fail, "-eu")


@given(
    st.text(alphabet="abc_é+-.:\n\t ", max_size=12),
    st.text(alphabet="ab_é0123456789.:-+'\"`\n\tTZfx,e ", max_size=30),
)
def test_words_before_the_first_that_varies_do_not_change_what_varies(
    words: str, text: str
) -> None:
    assert template_of(f"{words} {text}") == f"{words} {template_of(text)}"


VARYING = re.compile(
    r"""
    (?P<text> "[^"\n]*(?:"|\Z) | `[^`\n]*(?:`|\Z) | (?<!\w)'[^'\n]*(?:'(?!\w)|\Z) )
    | \b(?=[A-Za-z_]*\d)(?:
        0[xX][0-9a-fA-F]+\b
        | [0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b
        | (?P<time> \d{4}-\d\d-\d\d
            (?:[T\ ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:\ ?Z|\ ?[+-]\d\d:?\d\d)?)?\b )
        | (?P<ip> \d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b
            | (?:[0-9a-fA-F]{1,4}:){2,7}:?(?:[0-9a-fA-F]{1,4})?(?![\w:]) )
        | [0-9a-fA-F]{6,}\b
        | (?=\d*[A-Za-z_])\w{16,}\b
    )
    | [-+]?\d+(?:[.,]\d+)*(?:[eE][-+]?\d+)?
    """,
    re.VERBOSE,
)
"""What varies, as version 1 of fingerprints says; they stand in files and must not change."""
SITE = "v1:0123456789abcdef0123456789abcdef"
PIECES = st.one_of(
    st.sampled_from(["0x1F", "0X", "x", "a:b:", "::", "-", "+", ".", ",", " ", "'", '"', "`", "e"]),
    st.sampled_from(["2026-11-21T06:55:23.281787Z", "10.0.0.3:54", "9f86d081884c", "٣", "row "]),
    st.uuids().map(str),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=4),
)


@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=600))
def test_fingerprints_are_what_version_1_says(message: str) -> None:
    fixed = VARYING.sub(lambda match: f"<{match.lastgroup or 'n'}>", message[:512])
    data = f"v1\x1e{SITE}\x1e{fixed}".encode("utf-8", "backslashreplace")
    wanted = f"v1:{blake2b(data, digest_size=16).hexdigest()}"
    assert template_of(message) == fixed
    assert template_fingerprint(SITE, message) == wanted
    assert template_fingerprint(SITE, message) == wanted  # remembered by now


@given(st.lists(PIECES, max_size=12).map("".join))
def test_messages_that_differ_in_digits_alone_share_a_template_unless_it_is_hexadecimal(
    message: str,
) -> None:
    other = message.translate({ord(digit): "7" for digit in "123456789"})
    if not {"0x", "0X"} & {message[at : at + 2] for at in range(len(message))}:
        assert template_fingerprint(SITE, other) == template_fingerprint(SITE, message)


def test_the_site_of_one_place_is_the_same_whatever_came_from_there_before() -> None:
    here, there = compiled("/a/tasks.py"), compiled("/a/tasks.py")
    first = [fingerprint(here["fail"], kind, "x") for kind in (ValueError, TypeError, ValueError)]
    assert first[0] == first[2] != first[1]
    again = [fingerprint(there["fail"], kind, "x") for kind in (TypeError, ValueError)]
    assert again == [first[1], first[0]]
