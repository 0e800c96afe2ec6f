"""A task that hangs, and a flow that goes on: isolation, timeout and what happens on error.

A thread cannot be killed in Python; a process can. ``exact`` and ``tune`` never return, so each
runs in a child process that is killed when its time is over. Then the policy decides how the flow
goes on: ``exact`` is replaced by the result of ``estimate``, ``tune`` by a plain value::

    tailrace run examples/hanging_task/flow.py
    tailrace run examples/hanging_task/flow.py --strict    # handled failures count: exit code 1
"""

from __future__ import annotations

import os
from itertools import count

from tailrace import Flow, OnError, Policy, task


@task
def load(numbers: list[int]) -> list[int]:
    """Return the numbers to work on."""
    return sorted(numbers)


@task(
    isolation="process",
    policy=Policy(timeout="3s", on_error=OnError(action="fallback", target="estimate")),
)
def exact(load: list[int]) -> float:
    """Search for ever: a bug, or a problem that is too large."""
    print(f"exact runs in process {os.getpid()}", flush=True)
    for _ in count():
        load.reverse()
    return 0.0


@task
def estimate(load: list[int]) -> float:
    """Return a good guess at once; stands outside the graph and runs only when ``exact`` fails."""
    return sum(load) / len(load)


@task(
    isolation="process",
    policy=Policy(timeout="3s", on_error=OnError(action="continue", value="default tuning")),
)
def tune(load: list[int]) -> str:
    """Hang as well."""
    print(f"tune runs in process {os.getpid()}", flush=True)
    for _ in count():
        load.reverse()
    return "fine tuning"


@task
def report(exact: float, tune: str) -> str:
    """Return one line; ``exact`` holds the estimate here."""
    return f"{exact:.1f} by {tune}"


flow = Flow(
    "hanging_task",
    load >> (exact & tune) >> report,
    defaults={"numbers": [3, 1, 4, 1, 5]},
    handlers=[estimate],
)
