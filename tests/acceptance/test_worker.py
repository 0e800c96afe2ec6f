"""Worker processes on a real nats-server: what they execute, refuse, cancel and hand back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from jetstream_server import NatsServer
from tailrace.model.remote import Job, encode
from waiting import wait_until
from workers import Cluster, cluster

FLOWS = """
import os, time
from pathlib import Path
from tailrace import Context, Flow, OnError, Policy, foreach, task

def note(name, text):
    with open(name, "a") as file:
        file.write(f"{text}\\n")

@task
def one(n: int = 1):
    return n + 1

@task
def two(one):
    return one * 2

@task
def boom():
    raise ValueError("no good")

@task
def waits(ctx: Context):
    note("begun", ctx.run_id)
    while not Path("go").exists():
        ctx.check_cancelled()
        time.sleep(0.01)
    note("done", ctx.run_id)
    return "waited"

@task
def stubborn(ctx: Context):
    note("begun", ctx.run_id)
    while not Path("go").exists():
        try:
            time.sleep(0.01)
        except BaseException:
            note("broken off", ctx.run_id)
            raise

@task
def big():
    return "x" * 10_000_000

@task
def size(big):
    return len(big)

@task
def talks(ctx: Context):
    print("hello from the task")
    ctx.log.info("logged")
    with ctx.span("inside"):
        ctx.progress(1, 2)
    return 1

@task
def step(item):
    note("steps", item)
    time.sleep(0.02)

steps = Flow("steps", foreach("params.items", item="item", name="loop")(step))
single = Flow("single", one)
chain = Flow("chain", one >> two)
bad = Flow("bad", one >> boom)
long = Flow("long", one >> waits)
deaf = Flow("deaf", stubborn)
large = Flow("large", big >> size)
chatty = Flow("chatty", talks)
"""


@pytest.fixture
def site(tmp_path: Path, nats_server: NatsServer, nats_prefix: str) -> Iterator[Cluster]:
    with cluster(tmp_path, nats_server.url, nats_prefix, FLOWS) as found:
        yield found


def test_a_run_is_executed_with_its_state_its_records_and_its_trace(site: Cluster) -> None:
    site.start("w1")
    run_id = site.queue.submit("chain", params={"n": 4})
    state = site.queue.ended(run_id)
    assert (state.status, state.output) == ("COMPLETED", 10)
    assert state.tasks == {"one": "SUCCEEDED", "two": "SUCCEEDED"}
    assert state.task_records["two"].output == 10
    assert (state.worker_id, state.claims, state.crashes) == ("w1", 1, 0)
    trace = site.queue.trace(run_id)
    root = trace.spans[0]
    assert root.attributes["tailrace.worker.id"] == "w1"
    assert root.attributes["tailrace.delivery"] == 1
    assert root.attributes["tailrace.queue.wait_ns"] >= 0
    assert [span.name for span in trace.spans] == [
        "run chain", "accept", "queue", "node one", "attempt one", "node two", "attempt two",
    ]  # fmt: skip
    wait_until(lambda: not site.queue.waiting(), "the queue is empty")


def test_the_parent_of_the_run_is_the_span_that_the_job_names(site: Cluster) -> None:
    site.start("w1")
    own, other = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    site.queue.submit("single", run_id=own, traceparent=f"00-{own}-{other}-01")
    site.queue.ended(own)
    assert site.queue.trace(own).spans[0].parent_id == other


def test_what_a_task_prints_logs_and_spans_is_in_the_trace(site: Cluster) -> None:
    site.start("w1")
    run_id = site.queue.submit("chatty")
    site.queue.ended(run_id)
    spans = site.queue.trace(run_id).spans
    events = {event.name for span in spans for event in span.events}
    assert {"stdout", "log"} <= events
    assert "inside" in [span.name for span in spans]
    assert "hello from the task" not in site.said("w1")


def test_a_failed_run_leaves_its_state_and_a_dead_letter(site: Cluster) -> None:
    site.start("w1")
    run_id = site.queue.submit("bad", tenant_id="t1")
    state = site.queue.ended(run_id)
    assert (state.status, state.error, state.failed_node) == ("FAILED", "no good", "boom")
    assert "ValueError: no good" in (state.task_records["boom"].traceback or "")
    wait_until(lambda: not site.queue.waiting(), "the message is settled")
    (letter,) = site.queue.letters()
    assert (letter.letter_id, letter.reason, letter.error) == (
        state.letter,
        "execution_error",
        "no good",
    )
    assert (letter.run_id, letter.tenant_id, letter.worker_id) == (run_id, "t1", "w1")
    assert letter.job is not None


def test_without_the_setting_a_failed_run_leaves_no_letter(site: Cluster) -> None:
    (site.folder / "tailrace.toml").write_text("[worker]\ndlq_execution_error = false\n")
    site.start("w1")
    state = site.queue.ended(site.queue.submit("bad"))
    assert (state.status, state.letter) == ("FAILED", "")
    wait_until(lambda: not site.queue.waiting(), "the message is settled")
    assert site.queue.letters() == []


def test_rubbish_unknown_flows_and_wrong_workflows_end_as_letters_and_the_worker_lives(
    site: Cluster,
) -> None:
    site.queue.put(b"\x93garbage", run_id="r1")
    site.queue.put(b"", run_id="r2")
    site.queue.put(encode({"run_id": 7, "flow_name": "single"}), run_id="r3")
    site.queue.put(encode(Job(run_id="a b", flow_name="single")), run_id="r4")
    site.start("w1")
    unknown = site.queue.submit("nope", tag="default", tags=("x",), params={"n": 1})
    wrong = site.queue.submit("sent", workflow_yaml="tasks: [1]\n")
    refused = site.queue.submit(
        "sent",
        workflow_yaml="tasks: {a: {callable: 'os:getcwd'}}\nflow: {graph: a}\n",
    )
    good = site.queue.submit("single")
    assert site.queue.ended(good).status == "COMPLETED"
    state = site.queue.ended(unknown)
    assert (state.status, state.error) == ("FAILED", "flow_not_found: 'nope'")
    assert (state.job.tags, state.job.params) == (("x",), {"n": 1})
    assert site.queue.ended(wrong).status == "FAILED"
    assert "may not import the module 'os'" in (site.queue.ended(refused).error or "")
    wait_until(lambda: not site.queue.waiting(), "the queue is empty")
    reasons = sorted(letter.reason for letter in site.queue.letters())
    assert reasons == ["execution_error"] * 2 + ["flow_not_found"] + ["invalid_job"] * 4
    payloads = [letter.payload for letter in site.queue.letters() if letter.payload is not None]
    assert any("garbage" in payload for payload in payloads)


def test_a_workflow_that_comes_with_the_run_may_use_allowed_modules(site: Cluster) -> None:
    site.start("w1", "--allow-modules", "flows")
    text = "tasks: {a: {callable: 'flows:one'}}\nflow: {graph: a}\n"
    state = site.queue.ended(site.queue.submit("mine", workflow_yaml=text, params={"n": 8}))
    assert (state.status, state.output) == ("COMPLETED", 9)


def test_tasks_of_a_workflow_that_its_graph_does_not_reach_are_not_run(site: Cluster) -> None:
    site.start("w1", "--allow-modules", "flows")
    text = "tasks: {a: {callable: 'flows:one'}, b: {callable: 'flows:boom'}}\nflow: {graph: a}\n"
    state = site.queue.ended(site.queue.submit("mine", workflow_yaml=text))
    assert (state.status, state.tasks) == ("COMPLETED", {"a": "SUCCEEDED"})


def test_an_output_of_ten_megabytes_is_kept_and_passed_on(site: Cluster) -> None:
    site.start("w1")
    run_id = site.queue.submit("large")
    state = site.queue.ended(run_id)
    assert (state.status, state.output, state.claims) == ("COMPLETED", 10_000_000, 1)
    assert len(state.task_records["big"].output) < 1000


def test_a_run_that_is_cancelled_before_it_starts_never_does(site: Cluster) -> None:
    run_id = site.queue.submit("long")
    site.queue.cancel(run_id, "not wanted")
    site.queue.cancel(run_id, "twice")
    site.start("w1")
    state = site.queue.ended(run_id)
    assert (state.status, state.cancel_reason) == ("CANCELLED", "not wanted")
    assert site.lines("begun") == []
    wait_until(lambda: not site.queue.waiting(), "the message is settled")


def test_a_running_run_stops_cooperatively(site: Cluster) -> None:
    site.start("w1")
    run_id = site.queue.submit("long")
    site.queue.running(run_id, "waits")
    wait_until(lambda: site.lines("begun"), "the task has begun")
    site.queue.cancel(run_id, "enough")
    state = site.queue.ended(run_id)
    assert (state.status, state.error) == ("CANCELLED", "enough")
    assert state.tasks == {"one": "SUCCEEDED", "waits": "CANCELLED"}
    assert state.cancel_requested_by == "tests"
    assert site.lines("done") == []
    assert site.queue.ended(site.queue.submit("single")).status == "COMPLETED"


def test_a_run_of_many_short_tasks_is_cancelled_wherever_it_is(site: Cluster) -> None:
    site.start("w1", "--concurrency", "4")
    runs = [site.queue.submit("steps", params={"items": list(range(300))}) for _ in range(4)]
    for number, run_id in enumerate(runs):
        wait_until(lambda least=20 * number: len(site.lines("steps")) > least, "steps are taken")  # type: ignore[misc]
        site.queue.cancel(run_id)
    states = [site.queue.ended(run_id) for run_id in runs]
    assert [state.status for state in states] == ["CANCELLED"] * 4
    assert len(site.lines("steps")) < 600


def test_a_task_that_does_not_listen_is_broken_off_after_the_grace_time(site: Cluster) -> None:
    (site.folder / "tailrace.toml").write_text("[worker]\ngrace = 0.2\nconcurrency = 1\n")
    site.start("w1")
    run_id = site.queue.submit("deaf")
    wait_until(lambda: site.lines("begun"), "the task has begun")
    site.queue.cancel(run_id)
    assert site.queue.ended(run_id).status == "CANCELLED"
    assert site.queue.ended(site.queue.submit("single")).status == "COMPLETED"


def test_a_cancel_after_the_end_changes_nothing(site: Cluster) -> None:
    site.start("w1")
    run_id = site.queue.submit("single")
    before = site.queue.ended(run_id)
    site.queue.cancel(run_id)
    assert site.queue.ended(site.queue.submit("single")).status == "COMPLETED"
    assert site.queue.ended(run_id) == before


def test_a_worker_that_is_stopped_ends_its_runs_and_says_goodbye(site: Cluster) -> None:
    worker = site.start("w1")
    run_id = site.queue.submit("long")
    wait_until(lambda: site.lines("begun"), "the task has begun")
    worker.send_signal(signal.SIGTERM)
    wait_until(lambda: "stops:" in site.said("w1"), "the worker has heard it")
    later = site.queue.submit("single")
    (site.folder / "go").touch()
    assert worker.wait(60) == 0
    assert site.queue.ended(run_id).status == "COMPLETED"
    assert site.queue.state(later) is None
    record = site.queue.workers()["w1"]
    assert (record.state, record.stop_reason) == ("STOPPED_GRACEFUL", "graceful_shutdown")


def test_what_does_not_end_in_time_is_handed_back_and_continued_without_a_crash(
    site: Cluster,
) -> None:
    first = site.start("w1", "--drain", "100ms")
    run_id = site.queue.submit("long")
    wait_until(lambda: site.lines("begun"), "the task has begun")
    site.start("w2")
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 0
    wait_until(lambda: len(site.lines("begun")) == 2, "the task has begun elsewhere")
    (site.folder / "go").touch()
    state = site.queue.ended(run_id)
    assert (state.status, state.worker_id, state.crashes) == ("COMPLETED", "w2", 0)
    nodes = [span for span in site.queue.trace(run_id).spans if span.name == "node one"]
    assert len(nodes) == 1


def test_the_second_signal_ends_the_process_at_once(site: Cluster) -> None:
    worker = site.start("w1")
    site.queue.submit("long")
    wait_until(lambda: site.lines("begun"), "the task has begun")
    worker.send_signal(signal.SIGINT)
    wait_until(lambda: "stops:" in site.said("w1"), "the worker has heard it")
    worker.send_signal(signal.SIGINT)
    assert worker.wait(60) == 130


def test_a_worker_waits_for_its_server_and_says_so_once(
    tmp_path: Path, own_nats_server: NatsServer
) -> None:
    own_nats_server.stop()
    (tmp_path / "flows.py").write_text(FLOWS)
    import processes

    log = tmp_path / "log"
    with log.open("w") as out:
        worker = processes.start(
            tmp_path, "worker", "start", "--flows", "flows", "--nats-url", own_nats_server.url,
            stdout=out, stderr=out, env=processes.environ(),
        )  # fmt: skip
    try:
        wait_until(lambda: "no NATS server answers" in log.read_text(), "it says so")
        own_nats_server.start()
        wait_until(lambda: "serves tags" in log.read_text(), "it serves")
        assert log.read_text().count("no NATS server answers") == 1
    finally:
        os.kill(worker.pid, signal.SIGTERM)
        assert worker.wait(60) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--tags", "a.b"], "'a.b' is no tag"),
        (["--worker-id", "a b"], "'a b' is no worker id"),
        (["--flows", "no_such_module"], "no_such_module"),
        (["--flows", "twice"], "two flows are called 'single'"),
        (["--flows-dir", "nowhere"], "there is no folder nowhere"),
    ],
)
def test_what_a_worker_cannot_do_is_said_before_it_connects(
    tmp_path: Path, arguments: list[str], told: str
) -> None:
    import processes

    (tmp_path / "twice.py").write_text(
        "from tailrace import Flow, task\n@task\ndef a(): pass\n@task\ndef b(): pass\n"
        "one = Flow('single', a)\ntwo = Flow('single', b)\n"
    )
    ended = processes.tailrace(tmp_path, "worker", "start", *arguments)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
