"""``tailrace resume`` and ``run --resume`` as people use them: real processes, real files."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

import processes
from tailrace.model import RunSummary
from tailrace.store import SqliteTraceReader
from waiting import wait_until

TASKS = """
import os, pathlib, time

def note(name):
    with open("done", "a") as file:
        file.write(name + "\\n")

def load(rows):
    note("load")
    return list(range(rows))

def clean(load, drop=0):
    note("clean")
    return load[drop:]

def send(clean, host):
    note("send")
    while pathlib.Path("hang").exists():
        time.sleep(0.01)
    if not pathlib.Path("mended").exists():
        raise ConnectionError(f"no route to {host}")
    return f"{len(clean)} rows to {host}"
"""
FLOW = """
flow:
  graph: load >> clean >> send
  defaults: {rows: 5, host: old.example}
tasks:
  load: {callable: "steps:load"}
  clean: {callable: "steps:clean"}
  send: {callable: "steps:send"}
"""


class Shop:
    """A folder with a flow whose last task fails until it is mended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "steps.py").write_text(TASKS)
        (folder / "flow.yaml").write_text(FLOW)

    @property
    def db(self) -> Path:
        """The store."""
        return self.folder / ".tailrace" / "tailrace.db"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command."""
        return processes.start(self.folder, *arguments)

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Run a command and return what it says."""
        done = processes.tailrace(self.folder, *arguments)
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert "Traceback" not in said
        return said

    def fail(self) -> None:
        """Run the flow, which fails at its last task."""
        self("run", "flow.yaml", "--quiet", code=1)

    def mend(self) -> None:
        """Mend what the last task needs, and forget what was done so far."""
        (self.folder / "mended").touch()
        (self.folder / "done").write_text("")

    def change(self, old: str, new: str) -> None:
        """Change the code of the tasks."""
        code = (self.folder / "steps.py").read_text()
        (self.folder / "steps.py").write_text(code.replace(old, new))

    def done(self) -> list[str]:
        """Return the tasks that have run."""
        file = self.folder / "done"
        return file.read_text().split() if file.exists() else []

    def runs(self) -> list[RunSummary]:
        """Return the runs, newest first."""
        with closing(SqliteTraceReader(self.db)) as reader:
            return reader.runs()

    def kill(self, *arguments: str) -> None:
        """Start a command and kill it in the last task."""
        (self.folder / "hang").touch()
        before = self.done().count("send")
        with self.start(*arguments) as process:
            self.wait_for_send(before + 1)
            process.send_signal(signal.SIGKILL)
        (self.folder / "hang").unlink()

    def wait_for_send(self, count: int) -> None:
        """Wait until the last task has started so many times."""
        wait_until(lambda: self.done().count("send") >= count, f"send has started {count} times")

    def sql(self, statement: str, *values: str) -> None:
        """Change the store behind everybody's back."""
        with closing(sqlite3.connect(self.db)) as db, db:
            db.execute(statement, values)


@pytest.fixture(scope="module")
def failed_before(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Return a shop in which the flow has failed; for copying, which costs no process."""
    shop = Shop(tmp_path_factory.mktemp("shop") / "failed")
    shop("run", "flow.yaml", code=1)
    return shop


@pytest.fixture
def shop(tmp_path: Path, failed_before: Shop) -> Shop:
    """Return a shop in which the flow has failed once."""
    shop = Shop(tmp_path / "shop")
    shutil.copytree(failed_before.folder, shop.folder, dirs_exist_ok=True)
    shop.sql(
        """UPDATE checkpoint SET body = CAST(replace(CAST(body AS TEXT), ?, ?) AS BLOB)
        WHERE id & 268435455 = 1""",
        str(failed_before.folder),
        str(shop.folder),
    )
    return shop


@pytest.mark.parametrize("command", [("resume",), ("run", "flow.yaml", "--resume", "@last-failed")])
def test_only_what_had_not_finished_runs(shop: Shop, command: tuple[str, ...]) -> None:
    shop.mend()
    assert "5 rows to old.example" in shop(*command)
    assert shop.done() == ["send"]


def test_a_completed_run_needs_nothing_and_one_that_came_of_a_failed_one_neither(
    shop: Shop,
) -> None:
    [failed] = shop.runs()
    shop.mend()
    shop("resume", failed.run_id)
    assert "has finished everything" in shop("resume", "@last")
    assert "has finished everything" in shop("resume", failed.run_id)
    assert "every run has completed" in shop("resume", code=3)
    assert shop.done() == ["send"]


def test_a_run_that_was_gone_on_with_in_vain_is_gone_on_with_where_the_last_try_stood(
    shop: Shop,
) -> None:
    [failed] = shop.runs()
    shop("resume", failed.run_id, "--from", "clean", code=1)
    shop.mend()
    shop("resume", failed.run_id)
    assert shop.done() == ["send"]
    newest, second, _ = shop.runs()
    assert second.run_id in shop("trace", "show", newest.run_id)


def test_a_running_run_is_refused_and_of_two_resumes_at_once_one_wins(shop: Shop) -> None:
    [failed] = shop.runs()
    shop.mend()
    (shop.folder / "hang").touch()
    both = [shop.start("resume", failed.run_id) for _ in range(2)]
    shop.wait_for_send(1)
    wait_until(
        lambda: any(process.poll() is not None for process in both), "one of the two has ended"
    )
    refused = shop("resume", "@last", code=1)
    (shop.folder / "hang").unlink()
    ended = [(process.communicate(timeout=60), process.returncode) for process in both]

    assert "TR312" in refused
    assert sorted(code for _, code in ended) == [0, 1]
    assert [err.count("TR312") for (_, err), code in ended if code] == [1]
    assert shop.done() == ["send"]
    assert "TR312" not in shop("resume", failed.run_id)


def test_all_interrupted_runs_are_gone_on_with_once(shop: Shop) -> None:
    for _ in range(3):
        shop.kill("run", "flow.yaml")
    shop.mend()
    said = shop("resume", "--all-interrupted")
    assert said.count("going on with run") == 3
    assert shop.done() == ["send"] * 3
    assert [run.status for run in shop.runs()] == ["COMPLETED"] * 3 + ["INTERRUPTED"] * 3 + [
        "FAILED"
    ]
    assert "no run was interrupted" in shop("resume", "--all-interrupted")


def test_an_input_is_changed_and_its_node_and_what_depends_on_it_run_again(shop: Shop) -> None:
    shop.mend()
    assert "3 rows to old.example" in shop("resume", "--set", "clean.drop=2")
    assert shop.done() == ["clean", "send"]


def test_a_changed_input_holds_in_later_resumes_even_when_its_node_was_killed_before_its_end(
    shop: Shop,
) -> None:
    shop.mend()
    shop.kill("run", "flow.yaml", "--resume", "@last", "--set", "clean.drop=2")
    assert "3 rows to old.example" in shop("resume")
    assert shop.done() == ["clean", "send", "send"]


def test_what_was_to_run_again_does_so_even_after_the_process_was_killed_before_it(
    shop: Shop,
) -> None:
    shop.mend()
    code = (shop.folder / "steps.py").read_text()
    (shop.folder / "steps.py").write_text(code.replace('note("load")', "os.kill(os.getpid(), 9)"))
    with shop.start("resume", "--rerun-changed") as process:
        process.communicate(timeout=60)
    (shop.folder / "steps.py").write_text(code)
    shop("resume", "--rerun-changed")
    assert shop.done() == ["load", "clean", "send"]


def test_an_unknown_node_or_input_is_refused_with_the_nearest_name(shop: Shop) -> None:
    assert "did you mean 'clean'" in shop("resume", "--set", "clena.drop=2", code=2)
    said = shop("run", "flow.yaml", "--resume", "@last", "--set", "clean.dorp=2", code=2)
    assert "TR313" in said
    assert "did you mean 'drop'" in said
    assert "NODE.INPUT" in shop("resume", "--set", "drop=2", code=2)
    assert "did you mean 'clean'" in shop("resume", "--from", "claen", code=2)


def test_a_param_that_is_given_differs_from_that_of_the_run(shop: Shop) -> None:
    shop.mend()
    assert "5 rows to new.example" in shop("resume", "-p", "host=new.example")
    assert shop.done() == ["send"]


def test_changed_code_is_refused_by_name_run_again_or_kept(shop: Shop) -> None:
    shop.mend()
    shop.change("load[drop:]", "load[drop + 1:]")
    refused = shop("resume", code=1)
    assert "clean (changed)" in refused
    assert "TR310" in refused
    assert shop.done() == []
    first = shop.runs()[-1].run_id
    assert "4 rows to" in shop("resume", first, "--rerun-changed")
    assert shop.done() == ["clean", "send"]


def test_changed_code_is_seen_under_a_version_that_was_pinned(shop: Shop) -> None:
    (shop.folder / "tailrace.toml").write_text('[failures]\ncode_version = "v1"\n')
    shop.fail()
    shop.change("load[drop:]", "load[drop + 1:]")
    assert "clean (changed)" in shop("resume", code=1)
    shop.fail()
    shop.mend()
    assert "4 rows to" in shop("resume")
    assert shop.done() == ["send"]


def test_changed_code_may_be_reused_by_force(shop: Shop) -> None:
    shop.mend()
    shop.change("load[drop:]", "load[drop + 1:]")
    assert "5 rows to" in shop("resume", "--force")
    assert shop.done() == ["send"]


def test_a_node_that_was_put_before_a_finished_one_is_a_change_of_that(shop: Shop) -> None:
    flow = FLOW.replace('{callable: "steps:clean"}', '{callable: "steps:tidy"}')
    tasks = TASKS + "\ndef tidy(payload):\n    note('tidy')\n    return payload\n"
    (shop.folder / "steps.py").write_text(tasks)
    (shop.folder / "flow.yaml").write_text(flow)
    shop.fail()
    shop.mend()
    more = flow.replace("load >>", "load >> new >>") + "  new: {callable: 'steps:tidy'}\n"
    (shop.folder / "flow.yaml").write_text(more)
    assert "clean (changed)" in shop("resume", code=1)


def test_a_checkpoint_that_is_damaged_makes_its_node_run_again_and_the_trace_says_why(
    shop: Shop,
) -> None:
    shop.mend()
    shop.sql("UPDATE checkpoint SET body = x'7b' WHERE id & 268435455 = 4")
    assert "5 rows to" in shop("resume")
    assert shop.done() == ["clean", "send"]
    said = " ".join(shop("trace", "show", "@last", "--format", "json").split())
    assert "cannot be reused" in said


def test_a_checkpoint_that_is_gone_makes_its_node_run_again_and_the_trace_says_why(
    shop: Shop,
) -> None:
    shop.mend()
    shop.sql("DELETE FROM checkpoint WHERE id & 268435455 = 4")
    assert "5 rows to" in shop("resume")
    assert shop.done() == ["clean", "send"]
    said = " ".join(shop("trace", "show", "@last", "--format", "json").split())
    assert "cannot be reused" in said
    assert "somebody has deleted it from the store" in said


def test_the_next_run_says_that_the_last_one_failed_and_how_to_go_on_with_it(shop: Shop) -> None:
    [failed] = shop.runs()
    said = shop("run", "flow.yaml", code=1)
    assert "the last run of flow failed at send" in said
    assert f"tailrace resume {failed.run_id}" in said


def test_a_flow_file_that_moved_is_an_error_that_names_it(shop: Shop) -> None:
    (shop.folder / "flow.yaml").rename(shop.folder / "moved.yaml")
    assert "there is no file" in shop("resume", code=3)
    shop.mend()
    assert "5 rows to" in shop("run", "moved.yaml", "--resume", "@last")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DELETE FROM checkpoint WHERE id & 268435455 = 1", "has no inputs in the store"),
        ("UPDATE checkpoint SET codec = 'none', body = x'6e6f' WHERE id & 268435455 = 1", ": no"),
        ("UPDATE checkpoint SET body = x'5b5d' WHERE id & 268435455 = 1", "cannot be read"),
        ("UPDATE checkpoint SET body = x'7b' WHERE id & 268435455 = 1", "cannot be read"),
    ],
)
def test_inputs_that_were_not_kept_or_are_damaged_are_a_clear_error(
    shop: Shop, statement: str, message: str
) -> None:
    shop.mend()
    shop.sql(statement)
    with shop.start("resume") as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode in {3, 5}
    assert message in err
    assert "Traceback" not in out + err
    assert shop.done() == []
