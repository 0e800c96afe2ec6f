"""The gateway in a process, over a real NATS server, as clients of the older server use it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from statistics import median
from typing import Any

import httpx
import pytest

from gateway_process import Backstage, GatewayProcess, events, running_gateway
from jetstream_server import NatsServer
from tailrace.jetstream.letters import JetStreamLetters
from tailrace.model.remote import StoredLetter, TaskRecord
from waiting import wait_until

YAML = """
version: 1
tasks:
  load: {callable: "shop.orders:load", inputs: {day: "{{ params.day }}"}}
flow:
  graph: load
  defaults: {day: 2020-01-01, n: 3}
"""
TERMINAL = {"COMPLETED", "FAILED", "CANCELLED"}


@pytest.fixture(scope="module")
def prefix() -> str:
    return "gw"


@pytest.fixture(scope="module")
def gateway(
    nats_server: NatsServer, prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("gateway")
    with running_gateway(folder, nats_server.url, prefix) as one:
        wait_until(one.is_ready, "the gateway is ready")
        yield one


@pytest.fixture(scope="module")
def backstage(nats_server: NatsServer, prefix: str) -> Iterator[Backstage]:
    one = Backstage(nats_server.url, prefix)
    yield one
    one.close()


def post_yaml(gateway: GatewayProcess, text: str | bytes, **fields: str) -> httpx.Response:
    body = text.encode() if isinstance(text, str) else text
    files = {"workflow": ("flow.yaml", body, "application/x-yaml")}
    return gateway.client.post(
        "/runs/yaml", files=files, data={"flow_name": "f", "tag": "cpu", **fields}
    )


def test_a_submitted_run_is_pending_and_listed_at_once(gateway: GatewayProcess) -> None:
    answer = gateway.client.post("/runs", json={"flow_name": "orders", "params": {"n": 1}})
    assert answer.status_code == 200
    assert answer.json()["status"] == "PENDING"
    run_id = answer.json()["run_id"]
    shown = gateway.show(run_id)
    assert shown["run_id"] == run_id
    assert (shown["status"], shown["params"], shown["tasks"]) == ("PENDING", {"n": 1}, {})
    assert (shown["tag"], shown["tags"]) == ("default", ["default"])
    assert shown["start_time"] is None
    assert shown["end_time"] is None
    assert "task_records" not in shown
    listed = gateway.client.get("/runs", params={"flow": "orders"}).json()
    assert [one["run_id"] for one in listed] == [run_id]


def test_a_run_shows_what_its_worker_writes(gateway: GatewayProcess, backstage: Backstage) -> None:
    run_id = gateway.submit("steps", tag="cpu")
    backstage.put_worker("w1", state="RUNNING", tags=("cpu",), current_run_id=run_id)
    record = TaskRecord(state="SUCCEEDED", started_at=1.0, ended_at=2.0, output={"rows": 3})
    backstage.write(
        run_id,
        status="RUNNING",
        worker_id="w1",
        claims=1,
        tasks={"a": "SUCCEEDED", "b": "SKIPPED"},
        task_records={"a": record},
    )
    wait_until(lambda: gateway.show(run_id)["worker_alive"], "the worker is seen")
    shown = gateway.show(run_id, include="records")
    assert shown["status"] == "RUNNING"
    assert shown["worker_id"] == "w1"
    assert shown["worker_tags"] == ["cpu"]
    assert shown["tasks"] == {"a": "SUCCEEDED", "b": "CANCELLED"}
    assert shown["task_records"]["a"]["output"] == {"rows": 3}
    assert shown["task_records_truncated"] is False
    assert gateway.show(run_id, states="full")["tasks"]["b"] == "SKIPPED"
    tasks = gateway.client.get(f"/runs/{run_id}/tasks").json()
    assert set(tasks) == {
        "run_id", "flow_name", "status", "tasks", "task_records", "task_records_truncated",
    }  # fmt: skip


def test_changes_are_dated_by_the_clock_of_the_server_wherever_they_are_shown(
    gateway: GatewayProcess, backstage: Backstage
) -> None:
    now = time.time()
    run_id = gateway.submit("dated")
    wrong = now + 7200
    backstage.put_worker("fast", state="RUNNING", current_run_id=run_id, current_run_ids=(run_id,))
    backstage.write(
        run_id, status="RUNNING", worker_id="fast", updated_at=wrong, heartbeat_at=wrong
    )
    shown = gateway.show(run_id)
    assert [shown["updated_at"], shown["heartbeat_at"]] == pytest.approx([now, now], abs=60)

    def listed() -> float:
        found = gateway.client.get("/runs", params={"flow": "dated"}).json()
        return float(found[0]["updated_at"])

    wait_until(lambda: listed() == shown["updated_at"], "the list says the same")
    with gateway.client.stream("GET", f"/runs/{run_id}/watch") as response:
        first = next(events(response))
    assert first["data"]["snapshot"]["updated_at"] == shown["updated_at"]
    backstage.put_worker("fast", state="RUNNING", current_run_id=run_id, current_run_ids=(run_id,))
    wait_until(
        lambda: gateway.show(run_id)["heartbeat_at"] > shown["updated_at"],
        "a sign of life of the worker is one of its run",
    )


def test_the_same_idempotency_key_is_the_same_run(gateway: GatewayProcess) -> None:
    body = {"flow_name": "pay-once", "params": {"order": 7}}
    headers = {"Idempotency-Key": "order-7"}
    first = gateway.client.post("/runs", json=body, headers=headers).json()
    again = gateway.client.post("/runs", json=body | {"idempotency_key": "order-7"}).json()
    assert again["run_id"] == first["run_id"]
    assert again["duplicate"] is True
    listed = gateway.client.get("/runs", params={"flow": "pay-once"}).json()
    assert len(listed) == 1
    other = gateway.client.post("/runs", json=body | {"params": {"order": 8}}, headers=headers)
    assert other.status_code == 409
    assert other.json()["code"] == "TR426"


def test_a_tag_without_workers_is_warned_about(
    gateway: GatewayProcess, backstage: Backstage
) -> None:
    backstage.put_worker("w-tagged", tags=("served",))
    wait_until(
        lambda: (
            "warning"
            not in gateway.client.post("/runs", json={"flow_name": "f", "tag": "served"}).json()
        ),
        "the worker is known",
    )
    answer = gateway.client.post("/runs", json={"flow_name": "f", "tag": "nobody"}).json()
    assert "nobody" in answer["warning"]


def test_a_flow_that_no_worker_has_is_warned_about_though_a_worker_is_there(
    gateway: GatewayProcess, backstage: Backstage
) -> None:
    def warning(**body: str) -> str:
        return str(gateway.client.post("/runs", json=body).json().get("warning", ""))

    backstage.put_worker("w-knows", tags=("shop",), flows=("pay", "ship"))
    wait_until(lambda: not warning(flow_name="pay", tag="shop"), "the worker is known")
    assert "has a flow 'pya'" in warning(flow_name="pya", tag="shop")
    sent = post_yaml(gateway, YAML, tag="shop").json()
    assert "warning" not in sent, "what is sent along needs no worker that has it"


@pytest.mark.parametrize("tag", ["a.b", "a b", "*", ">", "日本", "a\n", "", "x" * 65])
def test_a_tag_is_one_token(gateway: GatewayProcess, tag: str) -> None:
    answer = gateway.client.post("/runs", json={"flow_name": "f", "tag": tag})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "tag"]
    assert gateway.client.post("/runs", json={"flow_name": "f", "tags": [tag]}).status_code == 422
    if tag.strip() not in {"", "a"}:
        answer = post_yaml(gateway, YAML, tag=tag)
        assert (answer.status_code, answer.json()["detail"]) == (422, "invalid tag")


@pytest.mark.parametrize("run_id", ["*", "%3E", "a.b", "😀", "%20", "x" * 65, "no-such-run"])
def test_an_id_of_no_run_is_not_found(gateway: GatewayProcess, run_id: str) -> None:
    for path in ("", "/tasks", "/watch"):
        answer = gateway.client.get(f"/runs/{run_id}{path}")
        assert (answer.status_code, answer.json()["detail"]) == (404, "run not found")
    answer = gateway.client.post(f"/runs/{run_id}/cancel")
    assert (answer.status_code, answer.json()["detail"]) == (404, "run not found")


def test_large_params_are_kept_and_larger_ones_refused(
    nats_server: NatsServer, gateway: GatewayProcess, tmp_path: Any
) -> None:
    run_id = gateway.submit("large", params={"text": "x" * 1_500_000})
    assert gateway.show(run_id)["params_kept_apart"] is True
    assert len(gateway.show(run_id, include="full")["params"]["text"]) == 1_500_000
    answer = gateway.client.post(
        "/runs", json={"flow_name": "f", "params": {"x": "y" * 20_000_000}}
    )
    assert answer.status_code == 413
    assert answer.json()["code"] == "TR425"


def test_a_body_without_length_is_bounded_too(gateway: GatewayProcess) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"flow_name": "f", "params": {"x": "'
        for _ in range(40):
            yield b"y" * 524_288
        yield b'"}}'

    answer = gateway.client.post(
        "/runs", content=endless(), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b'{"params": {}}',
        b'{"flow_name": 7}',
        b'{"flow_name": "a\\u001b[2J"}',
        b'{"flow_name": "f", "params": []}',
        b'{"flow_name": "f", "params": {"a": "\\ud800"}}',
        b'{"flow_name": "f", "params": {"a": 1e999}}',
        b'{"flow_name": "f", "priority": "urgent"}',
        b'{"flow_name": "f", "delay": -1}',
        b'{"flow_name": "f", "delay": 1, "run_at": 5}',
        b'{"flow_name": "f", "run_at": "tomorrow"}',
        b'{"flow_name": "f", "policy": {"retries": 3}}',
        b'{"flow_name": "f", "params": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
        b'{"flow_name": "f", "params": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b"\xff\xfe",
    ],
)
def test_a_submission_that_is_wrong_says_where(gateway: GatewayProcess, body: bytes) -> None:
    answer = gateway.client.post(
        "/runs", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422, answer.text
    found = answer.json()
    assert all({"type", "loc", "msg"} <= set(one) for one in found["detail"])
    assert found["code"] == "TR420"
    assert found["message"]
    assert len(answer.content) < 10_000


def test_a_number_of_any_length_is_taken_or_refused(gateway: GatewayProcess) -> None:
    for digits in (18, 30, 5000):
        body = b'{"flow_name": "f", "params": {"a": %b}}' % (b"9" * digits)
        headers = {"content-type": "application/json"}
        answer = gateway.client.post("/runs", content=body, headers=headers)
        assert answer.status_code == (422 if digits > 4300 else 200)
        if answer.status_code == 200:
            shown = gateway.show(answer.json()["run_id"], include="full")
            assert shown["params"] == {"a": int("9" * digits)}


def test_half_a_character_is_refused_with_what_to_do(gateway: GatewayProcess) -> None:
    for params in (rb'{"a": "b\ud800"}', rb'{"\udfff": [1]}'):
        body = b'{"flow_name": "f", "params": %b}' % params
        headers = {"content-type": "application/json"}
        answer = gateway.client.post("/runs", content=body, headers=headers)
        assert answer.status_code == 422
        assert "half a character" in answer.json()["message"]
        assert "base64" in answer.json()["message"]


def test_a_workflow_is_checked_without_its_code(gateway: GatewayProcess) -> None:
    text = f"{YAML}# sent by nobody else\n"
    answer = post_yaml(gateway, text)
    assert answer.status_code == 200, answer.text
    shown = gateway.show(answer.json()["run_id"])
    assert shown["params"] == {"day": "2020-01-01", "n": 3}
    assert shown["tag"] == "cpu"
    assert shown["workflow_yaml_bytes"] == len(text)
    sha256 = shown["workflow_yaml_sha256"]
    page = gateway.client.get("/runs", params={"workflow_yaml_sha256": sha256}).json()
    assert [one["run_id"] for one in page["items"]] == [shown["run_id"]]
    assert page["next_cursor"] is None
    answer = post_yaml(gateway, YAML, params='{"n": 4}')
    assert gateway.show(answer.json()["run_id"])["params"]["n"] == 4


BOMB = "version: 1\nflow:\n  graph: a\n  defaults:\n    a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"    a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "just text",
        "version: 1\nflows: {}\n",
        "version: 1\ndiscovery: {}\nflow: {graph: a}\ntasks: {a: {callable: 'm:a'}}\n",
        "version: 1\nsurprise: 1\nflow: {graph: a}\ntasks: {a: {callable: 'm:a'}}\n",
        "version: 1\nflow: {graph: \"__import__('os').system('id')\"}\n",
        "version: 1\nflow: {graph: a >> nope}\ntasks: {a: {callable: 'm:a'}}\n",
        "{" * 10_000,
        "- " * 50_000,
        BOMB,
        b"\xff\xfe",
    ],
)
def test_a_workflow_that_is_wrong_is_refused_quickly(
    gateway: GatewayProcess, text: str | bytes
) -> None:
    answer = post_yaml(gateway, text)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "invalid workflow yaml"
    assert answer.json()["message"]


def test_a_workflow_needs_its_file_and_a_name(gateway: GatewayProcess) -> None:
    answer = gateway.client.post("/runs/yaml", data={"tag": "cpu"})
    assert answer.status_code == 422
    assert [one["loc"][1] for one in answer.json()["detail"]] == ["workflow", "flow_name"]
    answer = post_yaml(gateway, YAML, flow_name="  ")
    assert answer.json()["detail"] == "missing flow_name"


def test_a_large_workflow_is_refused_before_it_is_read(gateway: GatewayProcess) -> None:
    for size in (262_145, 10_000_000):
        answer = post_yaml(gateway, b"#" * size)
        assert (answer.status_code, answer.json()["detail"]) == (413, "workflow too large")
    assert post_yaml(gateway, YAML.encode().ljust(262_144)).status_code == 200


def test_what_waits_is_cancelled_at_once(gateway: GatewayProcess, backstage: Backstage) -> None:
    run_id = gateway.submit("waiting")
    answer = gateway.client.post(
        f"/runs/{run_id}/cancel", json={"reason": "wrong day", "requested_by": "mia"}
    )
    assert answer.status_code == 200
    assert answer.json()["status"] == "CANCELLED"
    assert answer.json()["cancel_requested_by"] == "mia"
    assert backstage.run(backstage.queue.find(run_id)) is None
    first = answer.json()["cancel_requested_at"]
    again = gateway.client.post(f"/runs/{run_id}/cancel").json()
    assert (again["status"], again["cancel_requested_at"]) == ("CANCELLED", first)


def test_what_runs_is_cancelling_until_its_worker_ends_it(
    gateway: GatewayProcess, backstage: Backstage
) -> None:
    run_id = gateway.submit("running")
    backstage.write(run_id, status="RUNNING", claims=1, worker_id="w1")
    first = gateway.client.post(f"/runs/{run_id}/cancel").json()
    assert first["status"] == "CANCELLING"
    backstage.write(run_id, status="RUNNING", tasks={"a": "RUNNING"})
    shown = gateway.show(run_id)
    assert (shown["status"], shown["tasks"]) == ("CANCELLING", {"a": "RUNNING"})
    again = gateway.client.post(f"/runs/{run_id}/cancel").json()
    assert again["cancel_requested_at"] == first["cancel_requested_at"]
    backstage.write(run_id, status="CANCELLED")
    backstage.settle(run_id)
    assert gateway.show(run_id)["status"] == "CANCELLED"


def test_a_finished_run_stays_as_it_is_when_cancelled(
    gateway: GatewayProcess, backstage: Backstage
) -> None:
    run_id = gateway.submit("done")
    backstage.write(run_id, status="COMPLETED", claims=1)
    backstage.settle(run_id)
    before = gateway.show(run_id)
    answer = gateway.client.post(f"/runs/{run_id}/cancel")
    assert answer.status_code == 200
    assert answer.json()["status"] == "COMPLETED"
    assert answer.json()["updated_at"] == before["updated_at"]


def test_an_orphan_that_no_worker_can_end_is_cancelled(
    gateway: GatewayProcess, backstage: Backstage
) -> None:
    run_id = gateway.submit("orphan")
    backstage.write(run_id, status="RUNNING", claims=1, worker_id="gone")
    backstage.settle(run_id)
    assert gateway.client.post(f"/runs/{run_id}/cancel").json()["status"] == "CANCELLED"


def test_an_empty_list_is_empty(gateway: GatewayProcess) -> None:
    answer = gateway.client.get("/runs", params={"flow": "never"})
    assert (answer.status_code, answer.json()) == (200, [])
    answer = gateway.client.get("/runs", params={"flow": "never", "cursor": ""})
    assert answer.json() == {"items": [], "next_cursor": None}


def test_pages_neither_skip_nor_repeat(gateway: GatewayProcess) -> None:
    wanted = {gateway.submit("paged", label=str(n)) for n in range(7)}
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query: dict[str, Any] = {"flow": "paged", "limit": 3, "cursor": cursor}
        page = gateway.client.get("/runs", params=query).json()
        found += [one["run_id"] for one in page["items"]]
        cursor = page["next_cursor"]
        gateway.submit("elsewhere")
    assert len(found) == 7
    assert set(found) == wanted


@pytest.mark.parametrize("cursor", ["!", "e30", "x" * 5000, "eyJ1IjoxfQ", "日本"])
def test_a_cursor_of_nobody_is_refused(gateway: GatewayProcess, cursor: str) -> None:
    answer = gateway.client.get("/runs", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["detail"]) == (422, "invalid list query")


@pytest.mark.parametrize("limit", [0, 201, "x"])
def test_a_limit_out_of_bounds_is_refused(gateway: GatewayProcess, limit: Any) -> None:
    answer = gateway.client.get("/runs", params={"limit": limit})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "limit"]


def test_a_watcher_sees_every_state_and_the_end(
    gateway: GatewayProcess, backstage: Backstage
) -> None:
    run_id = gateway.submit("watched")
    with gateway.client.stream("GET", f"/runs/{run_id}/watch") as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["x-accel-buffering"] == "no"
        stream = events(response)
        first = next(stream)
        assert first["event"] == "snapshot"
        assert set(first["data"]) == {"run_id", "snapshot", "ts"}
        assert first["data"]["snapshot"]["status"] == "PENDING"
        sequence = backstage.write(run_id, status="RUNNING", claims=1)
        second = next(one for one in stream if one["event"] == "snapshot")
        assert second["data"]["snapshot"]["status"] == "RUNNING"
        assert second["id"] == str(sequence)
        gateway.client.post(f"/runs/{run_id}/cancel")
        third = next(one for one in stream if one["event"] == "snapshot")
        assert third["data"]["snapshot"]["status"] == "CANCELLING"
        backstage.write(run_id, status="CANCELLED")
        rest = [one for one in stream if one["event"] == "snapshot"]
        assert [one["data"]["snapshot"]["status"] for one in rest] == ["CANCELLED"]


def test_a_quiet_run_sends_signs_of_life_within_two_seconds(gateway: GatewayProcess) -> None:
    run_id = gateway.submit("quiet")
    times: list[float] = []
    with gateway.client.stream("GET", f"/runs/{run_id}/watch?timeout_sec=4") as response:
        names = []
        for one in events(response):
            times.append(time.monotonic())
            names.append(one["event"])
    assert names[0] == "snapshot"
    assert set(names[1:]) == {"heartbeat"}
    assert median(later - earlier for earlier, later in pairwise(times)) < 2


def test_a_watcher_that_comes_back_is_not_told_again(
    gateway: GatewayProcess, backstage: Backstage
) -> None:
    run_id = gateway.submit("again")
    sequence = backstage.write(run_id, status="COMPLETED", claims=1)
    path = f"/runs/{run_id}/watch"
    with gateway.client.stream("GET", path, headers={"Last-Event-ID": str(sequence)}) as response:
        assert [one["event"] for one in events(response)] == ["heartbeat"]
    with gateway.client.stream("GET", path, params={"since": time.time() + 60}) as response:
        assert [one["event"] for one in events(response)] == ["heartbeat"]
    with gateway.client.stream("GET", path, headers={"Last-Event-ID": "1"}) as response:
        assert [one["event"] for one in events(response)] == ["snapshot"]


def test_many_watchers_of_one_run_all_see_its_end(
    gateway: GatewayProcess, backstage: Backstage
) -> None:
    run_id = gateway.submit("popular")
    begun = threading.Semaphore(0)

    def watch(_: int) -> str:
        with (
            httpx.Client(base_url=gateway.url, timeout=20) as client,
            client.stream("GET", f"/runs/{run_id}/watch") as response,
        ):
            last = ""
            for one in events(response):
                if one["event"] == "snapshot":
                    last = one["data"]["snapshot"]["status"]
                begun.release()
        return last

    with ThreadPoolExecutor(40) as pool:
        ends = [pool.submit(watch, number) for number in range(40)]
        for _ in ends:
            assert begun.acquire(timeout=60)
        backstage.write(run_id, status="COMPLETED", claims=1)
        assert {end.result() for end in ends} == {"COMPLETED"}
    metrics = gateway.client.get("/metrics").text
    assert "\ntailrace_watchers 0.0\n" in metrics


def test_all_changes_come_in_one_stream(gateway: GatewayProcess, backstage: Backstage) -> None:
    with gateway.client.stream("GET", "/api/events", params={"flow": "fed"}) as response:
        stream = events(response)
        assert next(stream)["event"] == "heartbeat"
        run_id = gateway.submit("fed")
        backstage.write(gateway.submit("hidden"), status="RUNNING")
        backstage.write(run_id, status="RUNNING")
        found = next(one for one in stream if one["event"] == "run")
        assert (found["data"]["run_id"], found["data"]["status"]) == (run_id, "RUNNING")


def test_workers_are_seen_by_the_clock_of_the_server(
    gateway: GatewayProcess, backstage: Backstage
) -> None:
    now = time.time()
    backstage.put_worker("fresh", state="IDLE")
    backstage.put_worker("behind", state="IDLE", last_seen_at=now - 7200)
    backstage.put_worker("ahead", state="IDLE", last_seen_at=now + 7200)
    backstage.put_worker("stopped", state="STOPPED_GRACEFUL", stop_reason="graceful_shutdown")

    def states(**query: Any) -> dict[str, str]:
        found = gateway.client.get("/workers", params=query).json()
        return {one["worker_id"]: one["state"] for one in found}

    wait_until(lambda: "stopped" in states(scope="all"), "all workers are read")
    shown = states(scope="ALL")
    assert {shown[name] for name in ("fresh", "behind", "ahead")} == {"IDLE"}
    assert shown["stopped"] == "STOPPED_GRACEFUL"
    assert {"fresh", "behind", "ahead"} <= set(states())
    assert "stopped" not in states()
    assert "stopped" in states(scope="all", state="stopped_graceful")
    assert "fresh" not in states(scope="all", state="disconnected")
    seen = {one["worker_id"]: one["last_seen_at"] for one in gateway.client.get("/workers").json()}
    assert [seen[name] for name in ("behind", "ahead")] == pytest.approx([now, now], abs=60)
    assert gateway.client.get("/workers?scope=some").json()["detail"] == "invalid workers request"
    assert gateway.client.get("/workers?state=BUSY").status_code == 422
    assert gateway.client.get("/workers?limit=501").status_code == 422


def test_hiding_a_worker_outlives_its_restart(
    gateway: GatewayProcess, backstage: Backstage
) -> None:
    backstage.put_worker("shy", state="IDLE")
    answer = gateway.client.patch("/workers/shy", json={"hidden": True})
    assert answer.status_code == 200
    assert set(answer.json()) == {"worker_id", "hidden", "updated_at"}
    backstage.put_worker("shy", state="IDLE", instance_id="i2")

    def seen(**query: Any) -> dict[str, Any] | None:
        found = gateway.client.get("/workers", params=query).json()
        return next((one for one in found if one["worker_id"] == "shy"), None)

    assert seen() is None
    shown = seen(include_hidden=True)
    assert shown is not None
    assert shown["hidden"] is True
    assert gateway.client.patch("/workers/shy", json={}).status_code == 422
    answer = gateway.client.patch("/workers/nobody", json={"hidden": True})
    assert (answer.status_code, answer.json()["detail"]) == (404, "worker not found")


def test_metrics_have_our_names_and_the_older_ones(gateway: GatewayProcess) -> None:
    gateway.submit("counted")
    wait_until(lambda: 'flow="counted"' in gateway.client.get("/metrics").text, "it is counted")
    answer = gateway.client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    for name in (
        'pyoco_runs_total{status="PENDING"}',
        'pyoco_runs_today_total{status="PENDING"}',
        "pyoco_workers_alive_total",
        "pyoco_dlq_messages_total",
        'tailrace_runs{flow="counted",status="PENDING"} 1.0',
        "tailrace_submit_seconds_count",
        "tailrace_nats_up 1.0",
    ):
        assert name in answer.text


def test_paths_and_methods_answer_as_before(gateway: GatewayProcess) -> None:
    answer = gateway.client.get("/nowhere")
    assert (answer.status_code, answer.json()["detail"]) == (404, "Not Found")
    answer = gateway.client.put("/runs")
    assert (answer.status_code, answer.json()["detail"]) == (405, "Method Not Allowed")
    assert answer.headers["allow"]
    assert gateway.client.get("/health").json() == {"status": "ok"}
    assert gateway.client.get("/livez").json() == {"status": "ok"}
    assert gateway.client.get("/wheels").json() == []
    assert gateway.client.get("/wheels/history").json() == []
    answer = gateway.client.get("/wheels/x-1-py3-none-any.whl")
    assert (answer.status_code, answer.json()["detail"]) == (404, "wheel not found")
    assert gateway.client.post("/wheels").status_code == 501
    assert gateway.client.get("/openapi.json").status_code == 200
    assert gateway.client.get("/docs").status_code == 200


def test_a_failed_run_goes_on_as_a_new_one(gateway: GatewayProcess, backstage: Backstage) -> None:
    run_id = gateway.submit("broken", params={"n": 1})
    answer = gateway.client.post(f"/api/runs/{run_id}/resume")
    assert (answer.status_code, answer.json()["code"]) == (409, "TR432")
    backstage.write(run_id, status="FAILED", claims=1, error="boom")
    backstage.settle(run_id)
    answer = gateway.client.post(f"/api/runs/{run_id}/resume", json={"start_from": ["b"]})
    assert answer.status_code == 200, answer.text
    other = answer.json()["run_id"]
    job = backstage.run(backstage.queue.find(other))
    assert job is not None
    assert (job.resumed_from, job.start_from, job.params) == (run_id, ("b",), {"n": 1})
    again = gateway.client.post(f"/api/runs/{run_id}/resume", json={"start_from": ["b"]})
    assert again.json()["run_id"] == other


def test_flows_are_those_that_workers_know(gateway: GatewayProcess, backstage: Backstage) -> None:
    backstage.put_worker("knows", flows=("nightly", "hourly"), tags=("cpu",))

    def flows() -> dict[str, Any]:
        items = gateway.client.get("/api/flows").json()["items"]
        return {one["name"]: one for one in items}

    wait_until(lambda: "nightly" in flows(), "the worker is known")
    assert flows()["hourly"]["workers"] == ["knows"]


def test_spans_are_taken_as_json_and_refused_where_they_are_none(gateway: GatewayProcess) -> None:
    span = {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
        "name": "charge",
        "startTimeUnixNano": "1795284978000000000",
        "endTimeUnixNano": "1795284979000000000",
    }
    export = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    answer = gateway.client.post("/v1/traces", json=export)
    assert (answer.status_code, answer.json()) == (200, {})
    assert gateway.client.post("/v1/traces", content=b"x").status_code == 415
    headers = {"content-type": "application/json"}
    assert gateway.client.post("/v1/traces", content=b"{", headers=headers).status_code == 400
    packed = headers | {"content-encoding": "gzip"}
    assert gateway.client.post("/v1/traces", content=b"no", headers=packed).status_code == 400
    broken = {"resourceSpans": [{"scopeSpans": [{"spans": [span, {"name": "x"}]}]}]}
    answer = gateway.client.post("/v1/traces", json=broken)
    assert answer.json()["partialSuccess"]["rejectedSpans"] == "1"


def test_spans_that_were_taken_are_found(gateway: GatewayProcess) -> None:
    trace_id = "6c8efff798038103d269b633813fc60c"
    span = {
        "traceId": trace_id,
        "spanId": "eee19b7ec3c1b174",
        "name": "refund",
        "startTimeUnixNano": "1795284978000000000",
        "endTimeUnixNano": "1795284979000000000",
    }
    export = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    assert gateway.client.post("/v1/traces", json=export).status_code == 200
    wait_until(
        lambda: gateway.client.get(f"/api/traces/{trace_id}").status_code == 200, "it is indexed"
    )
    trace = gateway.client.get(f"/api/traces/{trace_id[:12]}").json()
    assert [one["name"] for one in trace["spans"]] == ["refund"]
    found = gateway.client.get("/api/search", params={"q": '{ name = "refund" }'}).json()
    assert [one["trace_id"] for one in found["traces"]] == [trace_id]
    query: dict[str, Any] = {
        "q": "{} | rate()",
        "since_ns": 1795284970 * 10**9,
        "until_ns": 1795284990 * 10**9,
    }
    assert gateway.client.get("/api/metrics/query_range", params=query).json()["series"]
    answer = gateway.client.get("/api/search", params={"q": "{ name = "})
    assert answer.status_code == 422
    assert answer.json()["code"].startswith("TR2")
    assert gateway.client.get("/api/traces/nope").status_code == 404
    assert gateway.client.get("/api/failures").json() == {"items": []}
    groups = gateway.client.get("/api/failures/groups").json()
    assert groups == {"items": [], "matching": 0, "failures": 0}


def test_dead_letters_are_shown_changed_and_redriven(
    gateway: GatewayProcess, backstage: Backstage
) -> None:
    run_id = gateway.submit("lettered", params={"n": 1})
    job = backstage.run(backstage.queue.find(run_id))
    letters = JetStreamLetters(backstage.link, backstage.names)
    letter = StoredLetter(
        letter_id="DL-01TEST00000000000000000000",
        timestamp=time.time(),
        reason="execution_error",
        error="boom",
        run_id=run_id,
        job=job,
    )
    assert backstage.run(letters.put(letter))
    path = f"/api/dead-letters/{letter.letter_id}"
    items = gateway.client.get("/api/dead-letters", params={"flow": "lettered"}).json()["items"]
    assert [one["dl_id"] for one in items] == [letter.letter_id]
    shown = gateway.client.get(path).json()
    assert (shown["reason"], shown["run_id"], shown["job"]["params"]) == (
        "execution_error",
        run_id,
        {"n": 1},
    )
    parked = gateway.client.post(path, json={"action": "park", "reason": "not now"})
    assert (parked.status_code, parked.json()["state"]) == (200, "parked")
    assert gateway.client.post(f"{path}/redrive").status_code == 409
    assert gateway.client.post(path, json={"action": "park", "reason": "x"}).status_code == 409
    gateway.client.post(path, json={"action": "reopen", "reason": "now"})
    answer = gateway.client.post(f"{path}/redrive", json={"params": {"n": 2}})
    assert answer.status_code == 200, answer.text
    again = backstage.run(backstage.queue.find(answer.json()["run_id"]))
    assert again is not None
    assert (again.letter, again.params) == (letter.letter_id, {"n": 2})
    assert gateway.client.get("/api/dead-letters/DL-none").status_code == 404
    assert gateway.client.post(path, json={"action": "park"}).status_code == 422


def test_a_run_may_wait_for_its_time(gateway: GatewayProcess, backstage: Backstage) -> None:
    run_id = gateway.submit("later", delay=3600, priority="high")
    job = backstage.run(backstage.queue.find(run_id))
    assert job is not None
    assert job.run_at is not None
    assert gateway.show(run_id)["run_at"] == pytest.approx(time.time() + 3600, abs=60)
    assert gateway.client.post(f"/runs/{run_id}/cancel").json()["status"] == "CANCELLED"
    assert backstage.run(backstage.queue.find(run_id)) is None


def test_the_callers_trace_goes_with_the_run(gateway: GatewayProcess, backstage: Backstage) -> None:
    parent = "00-5b8efff798038103d269b633813fc60c-eee19b7ec3c1b174-01"
    for given, kept in ((parent, parent), ("rubbish", "")):
        answer = gateway.client.post(
            "/runs", json={"flow_name": "traced"}, headers={"traceparent": given}
        )
        job = backstage.run(backstage.queue.find(answer.json()["run_id"]))
        assert job is not None
        assert job.traceparent == kept


def test_a_web_page_cannot_make_a_browser_ask(gateway: GatewayProcess) -> None:
    body = {"flow_name": "f"}
    for headers in (
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
    ):
        answer = gateway.client.post("/runs", json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "TR427")
    headers = {"content-type": "text/plain"}
    assert (
        gateway.client.post("/runs", content=json.dumps(body), headers=headers).status_code == 422
    )
    own = {"Origin": gateway.url}
    assert gateway.client.post("/runs", json=body, headers=own).status_code == 200
