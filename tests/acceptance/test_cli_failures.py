"""What failed, told by the command line of another process, after real runs."""

import io
import json
import re
import signal
import subprocess
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import processes
from tailrace.cli.main import main

TASKS = """
from pathlib import Path


def fetch():
    with Path("fetched").open("a") as file:
        file.write("once\\n")
    return [1, 2, 3]


def transform(fetch, factor=1):
    if not Path("mended").exists():
        try:
            raise ConnectionResetError("peer went away")
        except ConnectionResetError as error:
            raise TimeoutError("order 8841 timed out, token=s3cr3t-t0k3n") from error
    return factor * sum(fetch)


def check(fetch):
    raise ValueError(f"amount {len(fetch)} must not be negative")
"""
NIGHTLY = """
version: 1
name: nightly
tasks:
  fetch: {callable: "steps:fetch"}
  transform: {callable: "steps:transform", policy: {retry: {max_attempts: 1}}}
flow:
  graph: fetch >> transform
"""
INVOICE = """
version: 1
name: 請求書
tasks:
  fetch: {callable: "steps:fetch"}
  check: {callable: "steps:check"}
flow:
  graph: fetch >> check
"""
Process = subprocess.CompletedProcess[str]


class Desk:
    """The command line in a folder with two flows that fail."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "steps.py").write_text(TASKS, "utf-8")
        (folder / "nightly.yaml").write_text(NIGHTLY, "utf-8")
        (folder / "invoice.yaml").write_text(INVOICE, "utf-8")

    def __call__(self, line: str, *, code: int = 0, **more: str) -> Process:
        """Run a command in a process of its own."""
        done = processes.tailrace(self.folder, *line.split(), more=more)
        assert done.returncode == code, (line, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done

    def data(self, line: str) -> Any:
        """Return what a command that only looks says as JSON; read in this process."""
        out = io.StringIO()
        with chdir(self.folder), redirect_stdout(out):
            assert main([*line.split(), "--json"]) == 0, line
        return json.loads(out.getvalue())


@pytest.fixture
def tailrace(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The command line where ``nightly`` failed, then ``invoice``; only looked at."""
    run = Desk(tmp_path_factory.mktemp("looking"))
    run("run nightly.yaml -q", code=1)
    run("run invoice.yaml -q", code=1)
    return run


@pytest.fixture
def failed(tailrace: Desk) -> dict[str, Any]:
    """The report of a run of ``nightly`` that gave up."""
    done = tailrace("run nightly.yaml --json", code=1)
    report: dict[str, Any] = json.loads(done.stdout)["report"]
    return report


def test_the_report_of_a_run_knows_its_failure_and_the_letter_it_left(
    tailrace: Desk, failed: dict[str, Any]
) -> None:
    assert failed["failure_id"].startswith("F-")
    assert (failed["category"], failed["error_class"]) == ("transient", "timeout")
    assert failed["rule"] == "type:TimeoutError"
    assert failed["given_up"] == "max_attempts"
    assert re.fullmatch(r"v1:[0-9a-f]{32}", failed["fingerprint"])
    assert re.fullmatch(r"v1:[0-9a-f]{32}", failed["fingerprint_template"])
    assert failed["seen_before"] == {"count": 0}
    assert [hop["level"] for hop in failed["trail"]] == ["node", "flow", "run"]
    letter = tailrace.data("dlq show @last")
    assert failed["dead_letter"] == letter["dl_id"]
    assert letter["failure_id"] == failed["failure_id"]
    shown = tailrace.data(f"failures show {failed['failure_id']}")
    assert shown["run_id"] == failed["trace_id"]
    assert shown["dead_letters"] == [letter["dl_id"]]


def test_the_failure_block_has_one_fact_a_line_in_its_order(tailrace: Desk, failed: Any) -> None:
    block = tailrace("run nightly.yaml", code=1).stdout.splitlines()
    assert block[0] == "Flow failed."
    facts = dict(line.strip().split(": ", 1) for line in block[1:])
    assert list(facts) == [
        "trace_id", "failed_node", "reason", "category", "policy", "at", "caused by", "input",
        "seen before", "dead letter", "next",
    ]  # fmt: skip
    assert facts["category"] == "transient (timeout), rule type:TimeoutError"
    assert facts["seen before"].startswith("2 times since 20")  # two attempts of one run
    assert facts["seen before"].endswith(f"fingerprint {failed['fingerprint']}")
    assert facts["next"].split("   ·   ") == [
        f"tailrace trace show {facts['trace_id']}",
        f"tailrace failures show {tailrace.data('failures show @last')['failure_id']}",
        f"tailrace resume {facts['trace_id']}",
    ]


def test_the_commands_of_the_failure_block_work(
    tailrace: Desk, failed: Any, tmp_path: Path
) -> None:
    (tmp_path / "mended").touch()
    for step in failed["next_steps"]:
        tailrace(step.removeprefix("tailrace "))


def test_what_hurts_most_is_one_screen(looking: Desk) -> None:
    screen = looking("failures groups", COLUMNS="200").stdout.splitlines()
    assert len(screen) == 3
    for fact in (" 2 ", "transient/timeout", "nightly/transform", "TimeoutError", "redrive"):
        assert fact in screen[1]
    for fact in (" 1 ", "permanent/validation", "請求書/check", "ValueError", "fix"):
        assert fact in screen[2]


def test_a_secret_of_a_message_is_shown_by_no_command(looking: Desk) -> None:
    name = looking.data("failures list --flow nightly")[0]["failure_id"]
    for line in (f"failures show {name}", "dlq list", "failures export"):
        assert "s3cr3t" not in looking(line).stdout
    assert "message" in looking.data(f"failures show {name}")["redacted"]


def test_attempts_of_a_run_are_listed_with_their_failures(looking: Desk) -> None:
    newest = looking.data("failures list --flow nightly")[0]
    attempts = looking.data(f"failures attempts {newest['run_id'][:16]}")
    assert [(one["node"], one["attempt"], one["state"]) for one in attempts] == [
        ("fetch", 1, "ok"),
        ("transform", 1, "failed"),
        ("transform", 2, "failed"),
    ]
    assert attempts[-1]["failure_id"] == newest["failure_id"]


def test_a_dry_run_changes_nothing(looking: Desk) -> None:
    before = looking.data("dlq list --flow nightly")[0]
    planned = looking.data(f"dlq redrive {before['fp_site'][:10]} --dry-run")
    assert [one["rerun"] for one in planned["letters"]] == [["transform"]]
    assert looking.data("dlq list --flow nightly") == [before]


def test_a_trace_tells_the_verdict_of_each_attempt_in_its_details(looking: Desk) -> None:
    newest = looking.data("failures list --flow nightly")[0]
    assert "type:TimeoutError" not in looking(f"trace show {newest['run_id']}").stdout
    details = looking(f"trace show {newest['run_id']} --include-events").stdout
    assert details.count("transient (timeout), rule type:TimeoutError, fingerprint v1:") == 2
    assert newest["failure_id"] in details


def test_a_redrive_that_fails_leaves_both_trails_and_one_that_does_not_settles(
    tailrace: Desk, failed: Any, tmp_path: Path
) -> None:
    letter = failed["dead_letter"]
    tailrace(f"dlq redrive {letter}", code=1)
    trail = tailrace.data(f"failures trail {letter}")
    assert [one["generation"] for one in trail["chapters"]] == [0, 1]
    assert len({one["failure"]["failure_id"] for one in trail["chapters"]}) == 2
    assert trail["dead_letter"]["state"] == "open"
    (tmp_path / "mended").touch()
    tailrace(f"dlq redrive {letter} --batch mended --actor ana")
    assert tailrace.data(f"dlq show {letter}")["state"] == "resolved"
    assert (tmp_path / "fetched").read_text("utf-8") == "once\n"  # finished nodes are not run again
    batch = tailrace.data("failures batches show mended")
    assert (batch["state"], batch["actor"], batch["counts"]["resolved"]) == ("done", "ana", 1)
    again = tailrace(f"failures retry {letter}", code=1)
    assert "it is resolved" in again.stderr
    assert tailrace.data("failures audit verify") == {"sound": True, "first_broken": None}


def test_a_redrive_of_some_exits_6(tailrace: Desk, failed: Any, tmp_path: Path) -> None:
    tailrace("run invoice.yaml -q", code=1)
    (tmp_path / "mended").touch()
    tailrace("dlq redrive --all --force", code=6)
    assert tailrace.data("failures status")["letters"] == {"open": 1, "resolved": 1}


def test_a_permanent_failure_is_redriven_by_force_only(tailrace: Desk) -> None:
    tailrace("run invoice.yaml -q", code=1)
    refused = tailrace("dlq redrive @last", code=1)
    assert "permanent" in refused.stderr
    assert tailrace.data("dlq show @last")["generation"] == 0
    tailrace("dlq redrive @last --force", code=1)
    assert tailrace.data("dlq show @last")["generation"] == 1


def test_a_patch_is_applied_and_on_record(tailrace: Desk, tmp_path: Path) -> None:
    flow = NIGHTLY.replace(
        '"steps:transform",', '"steps:transform", inputs: {factor: $params.factor},'
    )
    (tmp_path / "nightly.yaml").write_text(flow, "utf-8")
    tailrace("run nightly.yaml -q -p factor=1", code=1)
    (tmp_path / "mended").touch()
    before = tailrace.data("dlq show @last")
    tailrace(f"""dlq redrive {before["dl_id"]} --patch {{"params":{{"factor":10}}}}""")
    after = tailrace.data(f"dlq show {before['dl_id']}")
    assert after["payload_digest"] == before["payload_digest"] != ""
    assert after["redrives"][0]["patch"] == {"params": {"factor": 10}}
    done = tailrace.data(f"trace show {after['redrives'][0]['run_id']}")
    assert done["run"]["status"] == "COMPLETED"


def test_failures_are_shown_while_another_process_makes_them(
    tailrace: Desk, tmp_path: Path
) -> None:
    tailrace("run nightly.yaml -q", code=1)
    watch = processes.start(
        tmp_path,
        *("failures", "watch", "--interval", "0.1", "--count", "1"),
        env=processes.environ({"COLUMNS": "160"}),
    )
    assert watch.stderr is not None
    assert watch.stderr.readline() == "watching; Ctrl-C ends it\n"
    tailrace("run invoice.yaml -q", code=1)
    out, _ = watch.communicate(timeout=60)
    assert "ValueError: amount 3 must not be negative" in out
    assert watch.returncode == 0


@pytest.mark.parametrize("line", ["failures watch --since 1h", "events tail --since 1h"])
def test_ctrl_c_ends_the_following_of_a_stream_with_130(tailrace: Desk, line: str) -> None:
    tailrace("run nightly.yaml -q", code=1)
    tailrace("events emit deployed ci")
    following = processes.start(tailrace.folder, *line.split())
    assert following.stdout is not None
    assert following.stdout.readline()
    following.send_signal(signal.SIGINT)
    _, err = following.communicate(timeout=60)
    assert following.returncode == 130
    assert err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in err
