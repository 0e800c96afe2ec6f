"""Looking at runs, flows and the rest of the house through the command line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import processes

TASKS = '''
import logging


def items():
    return ["a", "b", "c"]


def load(item):
    """Load one item."""
    logging.getLogger("load").warning("loading %s", item)
    return item.upper()


def check(each):
    if len(each) > 2:
        raise ValueError("too \\x1b[31mmany")
    return each
'''
FLOW = """
version: 1
name: nightly
tasks:
  items: {callable: "steps:items"}
  load: {callable: "steps:load", policy: {timeout: 5s}}
  check: {callable: "steps:check"}
flow:
  policy: {retry: {max_attempts: 1}}
  graph: |
    items
    >> each: foreach(over={{ results.items }}, item=item){ load }
    >> check
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tailrace(tmp_path: Path) -> Run:
    (tmp_path / "steps.py").write_text(TASKS, "utf-8")
    (tmp_path / "flow.yaml").write_text(FLOW, "utf-8")
    return partial(processes.tailrace, tmp_path)


@pytest.fixture
def failed(tailrace: Run) -> str:
    done = tailrace("run", "flow.yaml", "--json")
    assert done.returncode == 1, done.stderr
    return str(json.loads(done.stdout)["run_id"])


def test_runs_are_listed_with_full_ids_and_why_they_failed(tailrace: Run, failed: str) -> None:
    out = tailrace("trace", "list").stdout
    assert failed in out
    assert "FAILED" in out
    assert "check" in out
    assert "\x1b" not in out
    (run,) = json.loads(tailrace("trace", "list", "--json", "--status", "ERROR").stdout)
    assert (run["run_id"], run["flow"], run["failed_node"]) == (failed, "nightly", "check")
    assert run["start"].endswith("Z")
    assert json.loads(tailrace("trace", "list", "--json", "--status", "OK").stdout) == []
    assert json.loads(tailrace("trace", "list", "--json", "--until", "2020-01-01").stdout) == []
    assert f"| {failed} |" in tailrace("trace", "list", "--format", "markdown").stdout
    assert json.loads(tailrace("trace", "list", "--format", "jsonl").stdout)["run_id"] == failed


@pytest.mark.parametrize("name", ["@last", "@last-failed", ""])
def test_a_run_is_shown_as_a_tree(tailrace: Run, failed: str, name: str) -> None:
    done = tailrace("trace", "show", *([name] if name else []))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert failed in lines[0]
    assert "FAILED" in lines[0]
    labels = [line.strip("│├└─ ").split()[:2] for line in lines[2:]]
    assert labels[0] == ["✘", "nightly"]
    assert ["✔", "items"] in labels
    assert ["✔", "each[1]"] in labels
    assert ["✘", "check"] in labels
    assert sum("ValueError: too \\x1b[31mmany" in line for line in lines) == 1
    assert "2 attempts" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_prefix_of_the_id_is_enough(tailrace: Run, failed: str) -> None:
    assert failed in tailrace("trace", "show", failed[:10]).stdout


def test_log_lines_appear_on_request(tailrace: Run, failed: str) -> None:
    plain = tailrace("trace", "show").stdout
    assert "loading b" not in plain
    assert "--include-events" in plain
    full = tailrace("trace", "show", "--include-events").stdout
    assert "loading b" in full
    assert "--include-events" not in full


LARGE = """
from tailrace import Flow, OnError, Policy, foreach, task


@task
def numbers():
    return list(range(1_000))


@task
def odd(number):
    if number % 100 == 99:
        raise ValueError(f"no {number}")


tolerant = odd.with_policy(Policy(on_error=OnError(action="continue", value=0)))
flow = Flow("large", numbers >> foreach("{{ results.numbers }}", item="number")(tolerant))
"""


@pytest.mark.parametrize(
    "command", [("trace", "show"), ("trace", "show", "-o", "markdown"), ("lens", "trace")]
)
def test_a_large_trace_is_folded_and_counts_what_it_leaves_out(
    tailrace: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "large.py").write_text(LARGE, "utf-8")
    assert tailrace("run", "large.py", "--quiet").returncode == 0
    out = tailrace(*command).stdout
    assert len(out.splitlines()) < 60
    assert "ValueError: no 299" in out
    assert "… 992 more iterations, 7 of them failed" in out
    assert "3,004" in out
    assert "of the time" not in out


def test_a_large_trace_is_whole_on_request_and_as_data(tailrace: Run, tmp_path: Path) -> None:
    (tmp_path / "large.py").write_text(LARGE, "utf-8")
    assert tailrace("run", "large.py", "--quiet").returncode == 0
    out = tailrace("trace", "show", "--all").stdout
    assert "foreach[998]" in out
    assert "more iterations" not in out
    assert len(json.loads(tailrace("trace", "show", "--json").stdout)["spans"]) == 3_004
    narrow = tailrace("trace", "show", "--errors-only").stdout
    assert "foreach[0]" not in narrow
    assert "… 5 more iterations, 5 of them failed" in narrow


def test_a_trace_is_shown_without_what_only_runs_need(tailrace: Run, tmp_path: Path) -> None:
    tailrace("run", "flow.yaml")
    code = "import sys; from tailrace.cli.main import main; main({}); print(*sys.modules)"
    needless = {"logging", "asyncio", "json", "yaml", "rich", "tailrace.engine", "tailrace.flows"}
    needless |= {"tailrace.model.flow", "tailrace.model.plan", "tailrace.model.policy"}
    plain = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")}
    for arguments in (["--help"], ["trace", "show"], ["trace", "list"]):
        done = subprocess.run(
            [sys.executable, "-c", code.format(arguments)],
            cwd=tmp_path,
            env=plain,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        loaded = set(done.stdout.splitlines()[-1].split())
        assert "tailrace.cli.main" in loaded
        assert not needless & loaded


def test_the_trace_is_data_too(tailrace: Run, failed: str) -> None:
    body = json.loads(tailrace("trace", "show", "--format", "json").stdout)
    assert body["run"]["run_id"] == failed
    names = [span["name"] for span in body["spans"]]
    assert names[0] == "run nightly"
    assert "node check" in names
    lines = tailrace("trace", "show", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line)["name"] for line in lines] == names
    markdown = tailrace("trace", "show", "--format", "markdown").stdout
    assert markdown.startswith("# nightly: FAILED")
    assert "█" in tailrace("trace", "show", "--format", "waterfall").stdout


def test_errors_only_and_depth_narrow_the_view(tailrace: Run, failed: str) -> None:
    out = tailrace("trace", "show", "--errors-only").stdout
    assert "check" in out
    assert "items" not in out.partition("\n\n")[2].partition("\n\n")[0]
    assert "each[0]" not in tailrace("trace", "show", "--depth", "1").stdout


@pytest.mark.parametrize("command", ["trace", "show"])
def test_the_older_names_show_the_same(tailrace: Run, failed: str, command: str) -> None:
    done = tailrace("lens", command, failed)
    assert done.returncode == 0, done.stderr
    assert "nightly" in done.stdout
    assert failed in tailrace("lens", "list").stdout
    spans = json.loads(tailrace("lens", "spans", failed, "--json").stdout)
    assert spans[0]["name"] == "run nightly"
    assert "iteration" in tailrace("lens", "spans", failed).stdout


def test_the_database_is_described_and_verified(tailrace: Run, failed: str) -> None:
    stats = json.loads(tailrace("db", "stats", "--json").stdout)
    assert stats["runs"] == 1
    assert stats["spans"] > 5
    assert tailrace("db", "check").returncode == 0


def test_there_is_no_database_before_the_first_run(tailrace: Run) -> None:
    done = tailrace("trace", "list")
    assert done.returncode == 5
    assert done.stderr.startswith("error[TR501]")


def test_a_good_flow_passes_its_check(tailrace: Run, tmp_path: Path) -> None:
    policy = "{timeout: 1m, retry: {max_attempts: 1, delay: 10ms}}"
    text = FLOW.replace("{retry: {max_attempts: 1}}", policy)
    (tmp_path / "good.yaml").write_text(text, "utf-8")
    done = tailrace("check", "good.yaml")
    assert done.returncode == 0, done.stdout
    assert "no problems in 1 file" in done.stdout


def test_findings_have_place_caret_and_mend_and_exit_1(tailrace: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(FLOW.replace(">> check", ">> chekc"), "utf-8")
    done = tailrace("check", "bad.yaml")
    assert done.returncode == 1
    assert "error[TR" in done.stdout
    assert "--> bad.yaml:" in done.stdout
    assert "^^^^^" in done.stdout
    found = json.loads(tailrace("check", "bad.yaml", "--format", "json").stdout)
    assert found["errors"] >= 1
    assert {"code", "severity", "message", "line", "column"} <= set(found["findings"][0])
    sarif = json.loads(tailrace("check", "bad.yaml", "--format", "sarif").stdout)
    assert sarif["version"] == "2.1.0"
    (run,) = sarif["runs"]
    assert {result["ruleId"] for result in run["results"]} == {
        rule["id"] for rule in run["tool"]["driver"]["rules"]
    }
    assert tailrace("run", "bad.yaml").returncode == 2
    assert tailrace("flow", "check", "bad.yaml").returncode == 1


def test_a_param_that_runs_will_give_is_no_finding(tailrace: Run, tmp_path: Path) -> None:
    text = FLOW.replace("results.items", "params.todo").replace("items\n    >> ", "")
    text = text.replace('  items: {callable: "steps:items"}\n', "")
    (tmp_path / "open.yaml").write_text(text, "utf-8")
    assert tailrace("check", "open.yaml").returncode == 1
    assert tailrace("check", "open.yaml", "--param", "todo").returncode == 0
    done = tailrace("run", "open.yaml", "--param", 'todo=["x"]')
    assert json.loads(done.stdout) == ["X"], done.stderr


@pytest.mark.parametrize("output", ["tree", "mermaid", "dot", "json"])
def test_a_flow_can_be_seen(tailrace: Run, output: str) -> None:
    done = tailrace("flow", "show", "flow.yaml", "--format", output)
    assert done.returncode == 0, done.stderr
    assert "load" in done.stdout


@pytest.mark.parametrize("spelling", ["graph", "edges"])
def test_a_flow_can_be_converted_and_still_runs(
    tailrace: Run, tmp_path: Path, spelling: str
) -> None:
    target = str(tmp_path / "again.yaml")
    done = tailrace("flow", "convert", "flow.yaml", "--to", spelling, "--output", target)
    assert done.returncode == 0, done.stderr
    assert tailrace("check", target).returncode == 0
    assert tailrace("flow", "convert", "flow.yaml", "--output", target).returncode == 2


def test_policies_are_explained_with_their_origins(tailrace: Run) -> None:
    rows = json.loads(tailrace("policy", "explain", "flow.yaml", "load", "--json").stdout)
    assert rows["timeout"] == {"value": "5s", "from": "node"}
    assert rows["retry.max_attempts"] == {"value": 1, "from": "flow"}
    assert rows["retry.delay"]["from"] == "default"
    done = tailrace("policy", "explain", "flow.yaml", "laod")
    assert done.returncode == 3
    assert "'load'" in done.stderr
    override = '{"timeout": "9s", "fail_fast": false}'
    rows = json.loads(
        tailrace("policy", "explain", "flow.yaml", "load", "--policy", override, "--json").stdout
    )
    assert rows["timeout"]["from"] == "node"
    assert rows["fail_fast"] == {"value": False, "from": "--policy"}


def test_wrong_policies_are_found(tailrace: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(FLOW.replace("timeout: 5s", "timeout: soon"), "utf-8")
    done = tailrace("policy", "lint", "bad.yaml")
    assert done.returncode == 1
    assert "timeout" in done.stdout
    assert tailrace("policy", "lint", "flow.yaml").returncode == 0
    assert tailrace("policy", "lint", "flow.yml").returncode == 3


def test_doubts_about_a_policy_are_raised_where_policies_are_looked_at(tailrace: Run) -> None:
    assert "warning[TR174]" in tailrace("check", "flow.yaml").stdout
    assert "warning[TR174]" in tailrace("policy", "lint", "flow.yaml").stdout
    for command in (
        ("run", "flow.yaml"),
        ("run", "flow.yaml", "--dry-run"),
        ("policy", "explain", "flow.yaml", "load"),
        ("flow", "show", "flow.yaml"),
        ("tasks", "list", "flow.yaml"),
    ):
        done = tailrace(*command)
        assert "TR174" not in done.stdout + done.stderr


def test_tasks_of_a_flow_are_listed_and_described(tailrace: Run) -> None:
    out = tailrace("tasks", "list", "flow.yaml").stdout
    assert all(name in out for name in ("items", "load", "check"))
    shown = tailrace("tasks", "show", "load", "--flow", "flow.yaml").stdout
    assert "Load one item." in shown
    assert "item" in shown
    assert tailrace("tasks", "show", "laod", "--flow", "flow.yaml").returncode == 3


def test_plugins_are_listed_and_linted(tailrace: Run) -> None:
    assert tailrace("plugins", "list").returncode == 0
    assert tailrace("plugins", "lint").returncode == 0


def test_a_first_flow_is_written_runs_and_is_never_overwritten(
    tailrace: Run, tmp_path: Path
) -> None:
    assert tailrace("init", "first").returncode == 0
    done = tailrace("run", "first/flow.yaml")
    assert json.loads(done.stdout) == "HELLO, ADA! HELLO, GRACE!", done.stderr
    head = (tmp_path / "first/flow.yaml").read_text("utf-8").splitlines()[0]
    schema = tmp_path / "first" / head.partition("$schema=")[2]
    assert json.loads(schema.read_text("utf-8"))["$schema"].startswith("http://json-schema.org/")
    assert json.loads(tailrace("schema").stdout) == json.loads(schema.read_text("utf-8"))
    assert tailrace("init", "first").returncode == 2


def test_settings_are_shown_with_their_origin(tailrace: Run, tmp_path: Path) -> None:
    (tmp_path / "tailrace.toml").write_text('durability = "power"\n')
    rows = json.loads(tailrace("config", "show", "--json").stdout)
    assert rows["durability"] == {"value": "power", "from": str(tmp_path / "tailrace.toml")}
    assert rows["grace"]["from"] == "default"
    assert rows["db"]["value"].endswith(".tailrace/tailrace.db")
