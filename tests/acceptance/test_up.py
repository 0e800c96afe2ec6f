"""``tailrace up``: all parts as one, whatever happens to them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import processes
from local_cluster import Cluster, cluster, is_alive, tree_of, wait_for_end
from waiting import wait_until

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "distributed"
GIVER = """
from tailrace import Flow, task

VALUES = {
    "zero": 0, "no": False, "nothing": None, "long": 2**80, "large": ["x" * 1000] * 1000,
    "nested": {"a": [1, None, {"b": 2.5}]}, "set": {1, 2}, "odd": object(),
}


@task
def give(what: str):
    return VALUES[what]


flow = Flow("give", give)
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for the tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("up")
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__*"))
    (folder / "giver.py").write_text(GIVER)
    with cluster(folder, "--flows", "orders", "--flows", "giver:flow") as running:
        yield running


def test_a_second_one_in_the_same_folder_is_refused_with_the_process(up: Cluster) -> None:
    done = up.run("up", "--port", "0")
    assert done.returncode == 4
    assert "TR198" in done.stderr
    assert str(up.process.pid) in done.stderr
    assert up.url in done.stderr


def test_a_port_that_is_taken_is_said_before_anything_starts(up: Cluster, tmp_path: Path) -> None:
    done = up.run("up", "--port", str(up.port), "--data-dir", str(tmp_path / "other"))
    assert done.returncode == 4
    assert f"port {up.port}" in done.stderr
    assert not (tmp_path / "other" / "nats").exists()


def test_nobody_else_may_read_the_token_of_the_server(up: Cluster) -> None:
    data = up.folder / ".tailrace"
    for file in (data / "up.json", data / "nats" / "url", data / "nats" / "server.conf"):
        assert file.stat().st_mode & 0o077 == 0
    with socket.create_connection(("127.0.0.1", int(up.said["nats"].rpartition(":")[2]))) as one:
        one.sendall(b'CONNECT {"verbose":true}\r\nPING\r\n')
        one.settimeout(10)
        said = b""
        while part := one.recv(4096):
            said += part
        assert b"Authorization Violation" in said


def test_commands_of_the_folder_find_the_gateway(up: Cluster) -> None:
    done = up.run("server", "status", "--format", "json")
    facts = json.loads(done.stdout)
    assert (done.returncode, facts["server"], facts["ready"]) == (0, up.url, True)
    assert facts["origin"].startswith("tailrace up in ")


def test_a_flow_is_submitted_and_watched_to_its_result(up: Cluster) -> None:
    done = up.run("submit", "sums", "-p", "a=40", "--watch")
    assert (done.returncode, done.stdout) == (0, "84\n")
    assert [line.split()[1] for line in done.stderr.splitlines()[:2]] == ["add", "double"]


def test_the_program_of_the_example_sends_its_orders(up: Cluster) -> None:
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "send_orders.py"],
            cwd=up.folder,
            env=up.environ(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.splitlines() == [
            "COMPLETED order A1: payment of 30",
            "COMPLETED order A2: payment of 12",
            "FAILED reserve: order A3: an amount of 0 cannot be charged",
        ], done.stderr
    listed = json.loads(up.run("runs", "list", "--flow", "orders", "--format", "json").stdout)
    assert len(listed) == 3


def test_run_remote_gives_what_a_local_run_gives(up: Cluster) -> None:
    here = up.run("run", "sent.yaml", "--tracer", "none", "--no-diary")
    there = up.run("run", "sent.yaml", "--remote")
    assert there.returncode == here.returncode == 0
    assert there.stdout == here.stdout == "42\n"
    keys = {"run_id", "flow", "status", "output", "report"}
    done = up.run("run", "sums", "--remote", "--json")
    assert keys <= set(json.loads(done.stdout))


@pytest.mark.parametrize("kind", ["zero", "no", "nothing", "long", "large", "nested", "set", "odd"])
def test_what_a_flow_returns_there_is_what_it_returns_here(up: Cluster, kind: str) -> None:
    what = f"what={kind}"
    here = up.run("run", "giver.py", "-p", what, "--tracer", "none", "--no-diary")
    there = up.run("submit", "give", "-p", what, "--watch")
    assert there.returncode == here.returncode == 0, there.stderr
    assert there.stdout == here.stdout


def test_all_mistakes_of_a_file_that_is_sent_are_shown_in_their_places(up: Cluster) -> None:
    text = "version: 1\nflow: {graph: a >> b}\ntasks: {a: {callable: 'os:system', zz: 1}}\n"
    (up.folder / "wrong.yaml").write_text(text)
    done = up.run("submit", "wrong.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    for said in ("wrong.yaml:2:20", "flow: {graph: a >> b}", "unknown key 'zz'", "wrong.yaml:3:"):
        assert said in done.stderr


def test_run_remote_that_fails_exits_1_with_a_report(up: Cluster) -> None:
    done = up.run("run", "broken", "--remote", "--report-path", "why.md")
    assert done.returncode == 1
    assert "Flow failed." in done.stdout
    assert "failed_node: refuse" in done.stdout
    assert "reason: ValueError: no such order" in done.stdout
    assert "rule type:ValueError" in done.stdout
    assert 'raise ValueError("no such order")' in done.stdout
    assert "no such order" in (up.folder / "why.md").read_text()


def test_run_remote_with_a_timeout_cancels_the_run(up: Cluster) -> None:
    gate = up.folder / "timeout"
    with processes.start(
        up.folder, "run", "held", "--remote", "-p", f"gate={gate}", "--timeout", "300ms",
        env=up.environ(),
    ) as run:  # fmt: skip
        wait_until(lambda: "cancelling" in (run.stderr.readline() if run.stderr else ""), "told")
        gate.touch()
        out, _ = run.communicate(timeout=60)
    assert run.returncode == 124
    assert "Flow cancelled." in out


def test_ctrl_c_while_watching_leaves_the_run_alone(up: Cluster) -> None:
    gate = up.folder / "left-alone"
    submitted = up.run("submit", "held", "-p", f"gate={gate}")
    run_id = submitted.stdout.strip()
    watch = ("runs", "watch", run_id, "--format", "jsonl")
    with processes.start(up.folder, *watch, env=up.environ()) as watching:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["run"]["run_id"] == run_id
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=60)
    assert watching.returncode == 130
    assert f"tailrace runs cancel {run_id}" in err
    gate.touch()
    assert up.run("runs", "watch", run_id).returncode == 0


def test_runs_are_listed_shown_and_cancelled(up: Cluster) -> None:
    gate = up.folder / "cancelled"
    run_id = up.run("submit", "held", "-p", f"gate={gate}", "--tag", "nobody").stdout.strip()
    waiting = up.run("runs", "list", "--status", "pending", "--format", "json")
    assert [run["run_id"] for run in json.loads(waiting.stdout)] == [run_id]
    cancelled = up.run("runs", "cancel", run_id, "--reason", "a mistake", "--wait")
    assert cancelled.returncode == 0
    shown = json.loads(up.run("runs", "show", run_id, "--format", "json").stdout)
    assert (shown["status"], shown["cancel_reason"]) == ("CANCELLED", "a mistake")
    assert up.run("runs", "show", "no-such-run").returncode == 3


def test_a_run_for_later_says_when_it_begins(up: Cluster) -> None:
    run_id = up.run("submit", "order", "--delay", "1h").stdout.strip()
    facts = up.run("runs", "show", run_id).stdout.splitlines()
    assert sum(line.startswith("begins ") for line in facts) == 1
    up.run("runs", "cancel", run_id)
    assert "begins " not in up.run("runs", "show", run_id).stdout


def test_workers_are_listed_and_hidden(up: Cluster) -> None:
    def names(*options: str) -> list[str]:
        found = up.run("worker", "list", "--format", "json", *options)
        return [worker["worker_id"] for worker in json.loads(found.stdout)]

    assert names() == ["local-1"]
    assert up.run("worker", "hide", "local-1").returncode == 0
    assert names() == []
    assert names("--hidden") == ["local-1"]
    assert up.run("worker", "unhide", "local-1").returncode == 0
    assert names() == ["local-1"]
    assert up.run("worker", "hide", "nobody").returncode == 3


def test_dead_letters_of_the_server_are_shown_and_redriven(up: Cluster) -> None:
    run_id = json.loads(up.run("run", "broken", "--remote", "--json").stdout)["run_id"]
    shown = json.loads(up.run("runs", "show", run_id, "--format", "json").stdout)
    letter = shown["letter"]
    listed = up.run("dlq", "list", "--server", up.url, "--format", "json")
    assert letter in [one["dl_id"] for one in json.loads(listed.stdout)]
    one = up.run("dlq", "show", letter, "--server", up.url)
    assert letter in one.stdout
    assert f"tailrace dlq redrive {letter} --dry-run --server {up.url}\n" in one.stderr
    redrive = ("dlq", "redrive", letter, "--server", up.url, "--format", "json")
    left = up.run(*redrive)  # its failure is permanent
    assert (left.returncode, json.loads(left.stdout)["counts"]["refused"]) == (1, 1)
    done = up.run(*redrive, "--force")
    assert (done.returncode, json.loads(done.stdout)["counts"]["failed"]) == (1, 1), done.stderr


def test_keys_are_made_listed_and_revoked(up: Cluster) -> None:
    made = up.run("admin", "key", "create", "--role", "read", "--label", "a test", "-o", "json")
    key = json.loads(made.stdout)
    assert key["api_key"].startswith(f"tr_{key['key_id']}.")
    assert up.run("admin", "key", "revoke", key["key_id"]).returncode == 0
    listed = json.loads(up.run("admin", "key", "list", "--format", "json").stdout)
    assert [one["revoked_at"] is not None for one in listed if one["key_id"] == key["key_id"]] == [
        True
    ]
    assert up.run("admin", "key", "revoke", "nobody").returncode == 3


def test_parts_that_die_are_started_again_until_one_dies_too_often(tmp_path: Path) -> None:
    up = Cluster(tmp_path, "--ack-wait", "2s")
    try:
        up.wait()
        gate = tmp_path / "gate"
        run_id = up.run("submit", "held", "-p", f"gate={gate}").stdout.strip()
        wait_until(Path(f"{gate}.begun").exists, "the task has begun")
        for part in ("nats", "gateway", "local-1"):
            os.kill(up.pid_of(part), signal.SIGKILL)
        gate.touch()
        assert up.run("runs", "watch", run_id, seconds=90).stdout == '"through"\n'
        log = up.log.read_text()
        assert all(f"{part} ended (SIGKILL); restart 1 of 3" in log for part in ("nats", "gateway"))

        others = set(tree_of(up.process.pid))
        while up.process.poll() is None:
            for pid in filter(_is_worker, tree_of(up.process.pid)):
                os.kill(pid, signal.SIGKILL)
        assert up.process.returncode == 5
        log = up.log.read_text()
        assert "local-1 ended 4 times in 60 s (SIGKILL)" in log
        assert "TR406" in log
        wait_for_end(sorted(others))
    finally:
        up.end()


def test_nothing_is_left_of_one_that_is_killed_and_the_next_one_goes_on(tmp_path: Path) -> None:
    up = Cluster(tmp_path)
    try:
        up.wait()
        gate = tmp_path / "gate"
        run_id = up.run("submit", "held", "-p", f"gate={gate}", "--tag", "later").stdout.strip()
        children = tree_of(up.process.pid)
        assert len(children) >= 3
        os.kill(children[0], signal.SIGSTOP)  # one that cannot help itself
        up.end(signal.SIGKILL)
        wait_for_end(children)
    finally:
        up.end(signal.SIGKILL)
    with cluster(tmp_path, "--tags", "default,later", "--ack-wait", "7s") as again:
        assert again.said["nats"] == up.said["nats"]
        assert "the ack wait of the runs in this folder is 7 s now" in again.log.read_text()
        wait_until(Path(f"{gate}.begun").exists, "the run that waited has begun")
        children = tree_of(again.process.pid)
        again.process.send_signal(signal.SIGINT)
        wait_until(lambda: "takes no more runs" in again.log.read_text(), "the worker drains")
        assert all(is_alive(again.pid_of(part)) for part in ("nats", "gateway", "local-1"))
        gate.touch()
        assert again.process.wait(60) == 0
        wait_for_end(children)
        assert f"run {run_id} held COMPLETED" in again.log.read_text()


def _is_worker(pid: int) -> bool:
    try:
        return b"\0worker\0start\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_a_worker_that_cannot_start_ends_all_with_its_last_words(tmp_path: Path) -> None:
    done = processes.tailrace(tmp_path, "up", "--port", "0", "--flows", "no_such_module_here")
    assert done.returncode == 5
    assert "local-1 did not start" in done.stderr
    assert "no_such_module_here" in done.stderr
    assert "Traceback" not in done.stderr
