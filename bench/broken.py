"""What fails in the measurements: exceptions, the failures that they are, and a flow to redrive."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tailrace.failures.snapshot import capture_snapshot
from tailrace.flows.load import load_definition
from tailrace.model import Flow
from tailrace.model.failure import FailureSnapshot
from tailrace.model.ids import new_sortable
from tailrace.model.letter import DeadLetter

FRAMES = 15
WEEK = 7 * 24 * 3_600 * 10**9
STEPS = """\
from pathlib import Path


def fetch(item):
    return item


def load(fetch):
    if not Path(__file__).with_name("mended").exists():
        raise ConnectionError(f"no route for {fetch}")
    return fetch
"""
FLOW = """\
version: 1
name: shop
tasks:
  fetch: {callable: "broken_steps:fetch"}
  load: {callable: "broken_steps:load"}
flow:
  defaults: {item: 0}
  graph: fetch >> load
"""


def errors(folder: Path) -> Iterator[Exception]:
    """Yield an exception that was raised ``FRAMES`` deep, each time with another id in its message.

    It is always the same one: a thousand tracebacks would be work for the garbage collector.
    """
    calls = [f"def f{depth}(n):\n    return f{depth + 1}(n)\n" for depth in range(FRAMES - 2)]
    last = f"def f{FRAMES - 2}(n):\n    raise ConnectionError(n)\n"
    file = folder / "orders.py"
    file.write_text("\n".join([*calls, last]), "utf-8")
    names: dict[str, Any] = {"__name__": "orders"}
    exec(compile(file.read_text("utf-8"), str(file), "exec"), names)  # noqa: S102 - our own text
    error = _caught(names["f0"])
    for number in itertools.count():
        error.args = (f"no answer for order {number}",)
        yield error


def _caught(function: Any) -> Exception:
    try:
        function(0)
    except ConnectionError as error:
        return error
    raise AssertionError("it did not fail")


def failure(error: BaseException) -> FailureSnapshot:
    """Return the failure that an exception outside of runs is, at its end."""
    found = capture_snapshot(error, source="thread", code_version="sha256:0123456789abcdef")
    return msgspec.structs.replace(found, disposition="terminal")


def failures_of_a_week(one: FailureSnapshot, count: int, groups: int) -> list[FailureSnapshot]:
    """Return failures of the last week; half of them belong to the first group, and so on."""
    now = time.time_ns()
    sizes = itertools.cycle([(number & -number).bit_length() for number in range(1, 1 << 12)])
    return [
        msgspec.structs.replace(
            one,
            failure_id=f"F-{new_sortable()}",
            captured_ns=now - WEEK + 10**9 + number * (WEEK // count),
            fp_site=f"v1:{number % groups if size > 6 else size:032x}",
            flow="shop",
            node_id=f"load_{number % 40}",
        )
        for number, size in zip(range(count), sizes, strict=False)
    ]


def letters(count: int) -> list[DeadLetter]:
    """Return letters that can be claimed."""
    return [
        DeadLetter(
            dl_id=f"DL-{new_sortable()}",
            task_key=f"key-{number}",
            category="transient",
            kind="event",
            created_ns=number + 1,
        )
        for number in range(count)
    ]


def shop(folder: Path) -> Flow:
    """Return a flow whose second task fails until there is a file ``mended`` beside it."""
    (folder / "broken_steps.py").write_text(STEPS, "utf-8")
    (folder / "shop.yaml").write_text(FLOW, "utf-8")
    return load_definition(str(folder / "shop.yaml"))
