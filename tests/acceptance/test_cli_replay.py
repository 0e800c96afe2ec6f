"""``tailrace replay`` on real runs: what it shows, what it runs, and that it leaves no trace."""

from __future__ import annotations

import json
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import processes

FLOW = """
from pathlib import Path
from tailrace import Flow, foreach, task

HERE = Path(__file__).parent


def note(text):
    with open(HERE / "world.txt", "a") as file:
        file.write(text + "\\n")


@task
def fetch(n: int):
    note("fetch")
    return [{"id": i, "price": i * 1.5} for i in range(n)]


@task
def load(item: dict, rate: float):
    note(f"load {item['id']}")
    print("loading", item["id"])
    if item["id"] == 6 and not (HERE / "mended").exists():
        raise ValueError(f"no price for {item['id']}")
    return {"id": item["id"], "total": item["price"] * rate}


@task
def total(each: list):
    return sum(row["total"] for row in each)


loop = foreach("$node.fetch.output", item="item", name="each")(load)
flow = Flow("prices", fetch >> loop >> total, defaults={"n": 8, "rate": 2.0})
"""


def is_empty_log(file: Path) -> bool:
    return file.name.endswith("-wal") and not file.stat().st_size


class Project:
    """A folder with a flow that has run and failed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "flow.py").write_text(FLOW)

    def tailrace(
        self, *arguments: str, code: int = 0, typed: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = processes.tailrace(self.folder, *arguments, typed=typed or "")
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr or typed is not None
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.tailrace(*arguments, "--json", code=code).stdout)

    def change(self, old: str, new: str) -> None:
        file = self.folder / "flow.py"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def picture(self) -> dict[str, tuple[str, int]]:
        """Return digest and time of each file, without the empty ones of SQLite's readers."""
        return {
            str(file.relative_to(self.folder)): (
                sha256(file.read_bytes()).hexdigest(),
                file.stat().st_mtime_ns,
            )
            for file in self.folder.rglob("*")
            if file.is_file() and not file.name.endswith("-shm") and not is_empty_log(file)
        }

    def world(self) -> list[str]:
        return (self.folder / "world.txt").read_text().splitlines()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One failed run for all tests, which leave the project as it is."""
    made = Project(tmp_path_factory.mktemp("prices"))
    made.tailrace("run", "flow.py", "-q", code=1)
    return made


def test_a_run_is_shown_node_by_node_without_touching_anything(project: Project) -> None:
    before = project.picture()
    shown = project.tailrace("replay").stdout.splitlines()

    assert shown[0].endswith("FAILED  replayed: nothing ran")
    assert '    item       dict[2] {"id": 6, "price": 9.0}' in shown
    assert "    →          ValueError: no price for 6  at flow.py:24" in shown
    assert "… 4 more of each.load: --all shows them" in shown
    assert shown[-1] == "⏭ total  needs each"
    everything = project.tailrace("replay", "@last-failed", "--all").stdout
    assert everything.count("    item  ") == 8
    assert "(each[7].load did not run)" in everything
    assert project.picture() == before


def test_until_a_node_and_one_node_alone_are_shown_for_programs_too(project: Project) -> None:
    nodes = project.json("replay", "--until", "each[2].load")
    assert [node["path"] for node in nodes] == ["fetch", *(f"each[{i}].load" for i in range(3))]
    [node] = project.json("lens", "replay", "@last", "--node", "each[6].load")
    assert node["inputs"] == {"item": {"id": 6, "price": 9.0}, "rate": 2.0}
    assert node["failure"]["message"] == "no price for 6"
    assert (node["has_output"], node["why"]) == (False, "each[6].load failed")


STATEMENTS = """
item['id'], rate
for i in range(2):
    print('row', i)

failure.type
1 / 0
output
task.__name__
sorted(inputs)
if rate:
    task({'id': 3, 'price': 1}, rate=2)"""


def test_a_prompt_has_the_inputs_of_its_node(project: Project) -> None:
    done = project.tailrace("replay", "--break", "each[6].load", typed=STATEMENTS)

    assert done.stdout.splitlines() == [
        "(6, 2.0)",
        "row 0",
        "row 1",
        "'ValueError'",
        "'load'",
        "['item', 'rate']",
        "loading 3",
        "{'id': 3, 'total': 2}",
    ]
    assert "ZeroDivisionError" in done.stderr
    assert "✘ each[6].load" in done.stderr
    assert project.world()[-1] == "load 3"


def test_the_code_of_now_is_run_with_the_inputs_of_then_and_compared(project: Project) -> None:
    ran = len(project.world())
    same = project.tailrace("replay", "--node", "each[2].load", "--run")
    assert same.stdout.splitlines()[-1] == "equal"
    assert "warning: each[2].load really runs" in same.stderr
    assert "loading 2" in same.stderr
    assert "loading 2" not in same.stdout
    assert project.world()[ran:] == ["load 2"]

    project.change('price"] * rate}', 'price"] * rate + 1}')
    try:
        other = project.tailrace("replay", "--node", "each[2].load", "--run", code=1).stdout
    finally:
        project.change('price"] * rate + 1}', 'price"] * rate}')
    assert other.splitlines()[-3:] == ["different", "- .total  6.0", "+ .total  7.0"]
    assert "changed since" in other
    assert len(project.json("trace", "list")) == 1


def test_failures_are_compared_and_a_resumed_run_shows_what_it_reused(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.tailrace("run", "flow.py", "-q", code=1)
    (tmp_path / "mended").touch()
    mended = project.json("replay", "--node", "each[6].load", "--run", code=1)
    assert mended["verdict"] == "different"
    assert mended["output"] == {"id": 6, "total": 18.0}
    assert mended["node"]["failure"]["message"] == "no price for 6"

    project.tailrace("resume", "-q")
    lines = project.tailrace("replay", "--format", "jsonl").stdout.splitlines()
    nodes = {node["path"]: node for node in map(json.loads, lines)}
    assert len({node["run_id"] for node in nodes.values()}) == 2
    assert nodes["fetch"]["reused_from"] == nodes["fetch"]["run_id"]
    assert nodes["total"]["reused_from"] is None
    assert nodes["fetch"]["run_id"] != nodes["total"]["run_id"]
    assert len(nodes["total"]["inputs"]["each"]) == 8
    assert nodes["total"]["output"] == sum(i * 1.5 * 2 for i in range(8))
