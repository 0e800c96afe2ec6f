"""Runs that are killed at any instant, and resumed until they are done, do nothing twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from effort import times

PROGRAM = '''
"""A flow with every construct; goes on with its newest run, if there is one."""
import json, os, time
from tailrace import Flow, Policy, Retry, foreach, repeat, subflow, switch, task, until
from tailrace.errors import NotFound, StoreError

def effect(ctx):
    """Do something outside that can be told from a second time."""
    line = f"{os.environ['SEGMENT']} {ctx.idempotency_key}\\n"
    file = os.open("effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)
    time.sleep(0.001)

@task
def first(ctx):
    effect(ctx)
    return list(range(30))

@task
def one(item, ctx):
    effect(ctx)
    return item * 2

@task
def two(one, ctx):
    effect(ctx)
    return one + 1

@task
def again(ctx):
    effect(ctx)
    return ctx.loop.iteration

@task
def poll(ctx):
    effect(ctx)
    return ctx.loop.iteration

@task
def even(item, ctx):
    effect(ctx)
    return "even"

@task
def odd(item, ctx):
    effect(ctx)
    return "odd"

@task
async def quick(ctx):
    effect(ctx)
    return "quick"

@task
async def slow(ctx):
    import asyncio
    await asyncio.Event().wait()

@task
def left(ctx):
    effect(ctx)
    return 1

@task
def right(ctx):
    effect(ctx)
    return 2

@task
def middle(ctx):
    effect(ctx)
    return 3

@task(policy=Policy(retry=Retry(max_attempts=3, delay=0.01)))
def shaky(ctx):
    if ctx.attempt == 1:
        raise ConnectionError("not the first time")
    effect(ctx)
    return "at last"

@task
def inner(value, ctx):
    effect(ctx)
    return value + 1

@task
def outer(inner, ctx):
    effect(ctx)
    return inner * 10

@task
def total(alone, side_by_side, rounds, wait, chosen, sub, shaky, ctx):
    effect(ctx)
    return {"alone": alone, "side_by_side": side_by_side, "rounds": rounds, "wait": wait,
            "chosen": chosen, "sub": sub, "shaky": shaky}

nested = Flow("nested", inner >> outer, defaults={"value": 0})
flow = Flow("all",
    first
    >> foreach("$node.first.output", item="item", name="alone")(one >> two)
    >> foreach("$node.first.output", item="item", name="side_by_side", concurrency=4)(
        one.named("uno") >> shaky.named("due"))
    >> repeat(20, name="rounds", collect="list")(again)
    >> until("$node.poll.output == 15", name="wait")(poll)
    >> foreach("$node.first.output", item="item", name="chosen", concurrency=4)(
        switch("item % 2", {0: even, 1: odd}))
    >> (quick | slow)
    >> (left & right & middle)
    >> shaky
    >> foreach([1, 2, 3], item="item", name="sub")(
        subflow(nested, name="nested", inputs={"value": "{{ item }}"}))
    >> total)

class Reporter:
    def on_start(self, span): pass
    def on_end(self, span):
        if span.name.startswith("node ") and span.status.value != "error":
            if "tailrace.reused_from" not in span.attributes:
                print(span.attributes["tailrace.node.path"], flush=True)
    def close(self): pass

if __name__ == "__main__":
    options = {"db": "all.db", "tracers": [Reporter()]}
    print("go", flush=True)
    try:
        result = flow.resume("@last", **options)
    except (NotFound, StoreError):  # killed before the first commit, or even earlier
        result = flow.run(**options)
    print("result", json.dumps(None if result is None else result.output), flush=True)
'''


class Project:
    """A folder in which the flow is run, killed and resumed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reported: dict[str, int] = {}
        """Path of each node that was reported finished, and the process that said so."""
        self.output: Any = None
        self.is_over = False
        self._processes = 0
        folder.mkdir()
        (folder / "flow.py").write_text(PROGRAM)

    def run(self, *, lines: int | None = None) -> None:
        """Run or go on; kill it after so many reports, or let it end."""
        number, self._processes = self._processes, self._processes + 1
        with subprocess.Popen(
            [sys.executable, "flow.py"],
            cwd=self.folder,
            env={**os.environ, "SEGMENT": str(number)},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "go\n"
            read = [] if lines is None else [process.stdout.readline() for _ in range(lines)]
            if lines is not None:
                process.send_signal(signal.SIGKILL)
            read += process.stdout.readlines()
        self._take(number, [line.strip() for line in read if line.endswith("\n")])

    def _take(self, number: int, lines: list[str]) -> None:
        for line in lines:
            if line.startswith("result "):
                self.is_over, self.output = True, json.loads(line.removeprefix("result "))
            else:
                self.reported[line] = number

    def effects(self) -> list[tuple[int, str, str]]:
        """Return what was done outside: process, lineage, path."""
        file = self.folder / "effects"
        lines = file.read_text().splitlines() if file.exists() else []
        found = []
        for line in lines:
            number, key = line.split()
            lineage, _, path = key.partition(":")
            found.append((int(number), lineage, path))
        return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("resume") / "undisturbed")
    project.run()
    assert project.output["shaky"] == "at last"
    return project


@pytest.mark.parametrize("seed", range(times(3)))
def test_a_run_killed_again_and_again_ends_as_if_nothing_had_happened(
    seed: int, tmp_path: Path, undisturbed: Project
) -> None:
    rng = random.Random(seed)
    project = Project(tmp_path / "killed")
    for _ in range(4):
        project.run(lines=rng.randrange(0, 90))
    if not project.is_over:
        project.run()

    assert project.output == undisturbed.output
    done = project.effects()
    assert {path for _, _, path in done} == {path for _, _, path in undisturbed.effects()}
    assert len({lineage for _, lineage, _ in done}) == 1
    twice = [
        (number, path) for number, _, path in done if project.reported.get(path, number) < number
    ]
    assert not twice
