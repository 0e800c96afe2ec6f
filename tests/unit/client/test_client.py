from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest

from http_stub import Answer, Stub, stub
from jetstream_server import free_port
from tailrace.client import AsyncClient, Client, Run
from tailrace.client.patience import Patience
from tailrace.client.session import Connection, Tries
from tailrace.client.target import Target
from tailrace.errors import (
    Conflict,
    DefinitionError,
    NotAllowed,
    NotFound,
    RunCancelled,
    RunFailed,
    SettingsError,
    TailraceError,
    TransportError,
)

EVENTS = {"Content-Type": "text/event-stream; charset=utf-8"}
_QUICK = 5.0


def event(status: str, number: str, **more: Any) -> bytes:
    run = {"run_id": "r", "flow_name": "f", "status": status, **more}
    data = json.dumps({"run_id": "r", "snapshot": run, "ts": 1.5})
    return f"id: {number}\nevent: snapshot\ndata: {data}\n\n".encode()


def refusal(status: int, **body: Any) -> Answer:
    return Answer(status, json.dumps(body).encode())


def watched(server: Stub, **options: Any) -> list[tuple[str, str]]:
    with Client(server.url, retry_for=_QUICK) as client:
        return [(one.run.status, one.event_id) for one in client.watch("r", **options)]


async def watched_async(server: Stub) -> list[tuple[str, str]]:
    async with AsyncClient(server.url, retry_for=_QUICK) as client:
        return [(one.run.status, one.event_id) async for one in client.watch("r")]


def test_a_submission_carries_a_key_and_is_sent_again_with_the_same_one() -> None:
    answer = Answer(body=b'{"run_id":"r","status":"PENDING","new":1}')
    with stub(Answer(0), refusal(503, detail="nats unavailable: X"), answer) as server:
        with Client(server.url, api_key="k", retry_for=_QUICK) as client:
            submitted = client.submit("f", {"a": 1}, tag="gpu", tags=["x"])
        assert submitted.run_id == "r"
        bodies = [json.loads(asked.body) for asked in server.asked]
    assert len(bodies) == 3
    assert len({body["idempotency_key"] for body in bodies}) == 1
    assert bodies[0] | {"idempotency_key": ""} == {
        "flow_name": "f", "params": {"a": 1}, "tag": "gpu", "tags": ["x"], "idempotency_key": "",
    }  # fmt: skip
    assert all(asked.headers["x-api-key"] == "k" for asked in server.asked)


def test_the_asynchronous_client_does_the_same() -> None:
    async def run() -> Run:
        async with AsyncClient(server.url, retry_for=_QUICK) as client:
            return await client.run("f", {"a": 1})

    with stub(
        Answer(0),
        Answer(body=b'{"run_id":"r"}'),
        Answer(body=event("COMPLETED", "1"), headers=EVENTS),
        Answer(body=b'{"run_id":"r","status":"COMPLETED","output":42}'),
    ) as server:
        assert asyncio.run(run()).raise_for_status().output == 42


def test_a_workflow_is_sent_as_a_form() -> None:
    with stub(Answer(body=b'{"run_id":"r"}')) as server, Client(server.url) as client:
        client.submit_yaml("version: 1\n", "f", {"a": 1}, tag="gpu")
        asked = server.asked[0]
    assert asked.headers["content-type"].startswith("multipart/form-data; boundary=")
    for part in (b'name="flow_name"\r\n\r\nf\r\n', b'{"a":1}', b'name="tag"\r\n\r\ngpu\r\n'):
        assert part in asked.body
    assert b'filename="flow.yaml"' in asked.body


@pytest.mark.parametrize("run", [watched, lambda server: asyncio.run(watched_async(server))])
def test_watching_goes_on_after_breaks_without_gaps_or_repeats(run: Any) -> None:
    heartbeat = b'event: heartbeat\ndata: {"run_id":"r","ts":1}\n\n'
    with stub(
        Answer(body=event("PENDING", "1") + heartbeat, headers=EVENTS, breaks=True),
        Answer(0),
        refusal(503, detail="nats unavailable: X"),
        Answer(body=event("PENDING", "1") + event("RUNNING", "2"), headers=EVENTS),
        Answer(body=event("COMPLETED", "3") + event("RUNNING", "4"), headers=EVENTS),
    ) as server:
        assert run(server) == [("PENDING", "1"), ("RUNNING", "2"), ("COMPLETED", "3")]
        last = [asked.headers.get("last-event-id") for asked in server.asked]
    assert last == [None, "1", "1", "1", "2"]


def test_watching_ends_in_time_whatever_the_run_does() -> None:
    with stub(Answer(body=event("RUNNING", "1"), headers=EVENTS)) as server:
        assert watched(server, timeout=0.2) == [("RUNNING", "1")]


def test_watching_a_run_that_is_not_there_says_so() -> None:
    with stub(refusal(404, detail="run not found")) as server, pytest.raises(NotFound):
        watched(server)


def test_pages_are_read_one_after_the_other() -> None:
    with stub(
        Answer(body=b'{"items":[{"run_id":"a"},{"run_id":"b"}],"next_cursor":"c"}'),
        Answer(body=b'{"items":[{"run_id":"d"}],"next_cursor":null}'),
    ) as server:
        with Client(server.url) as client:
            assert [run.run_id for run in client.runs(status="FAILED")] == ["a", "b", "d"]
        assert [asked.path for asked in server.asked] == [
            "/runs?cursor=&status=FAILED",
            "/runs?cursor=c&status=FAILED",
        ]


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (refusal(401, detail="api key required"), NotAllowed, "TR409"),
        (refusal(403, detail="x", code="TR423", message="no", hint="h"), NotAllowed, "TR423"),
        (refusal(404, detail="run not found"), NotFound, "TR503"),
        (refusal(409, detail="x"), Conflict, "TR402"),
        (refusal(413, detail="workflow too large"), DefinitionError, "TR408"),
        (refusal(422, detail=[{"loc": ["body", "tag"], "msg": "no"}]), DefinitionError, "TR408"),
        (refusal(500, detail="Internal Server Error"), TransportError, "TR407"),
        (Answer(302, headers={"Location": "http://x"}), TransportError, "TR407"),
        (Answer(200, b"<html>"), TransportError, "TR407"),
        (Answer(200, b'{"status":7}'), TransportError, "TR407"),
    ],
)
def test_an_answer_that_says_no_is_an_error_of_our_tree(
    answer: Answer, kind: type[TailraceError], code: str
) -> None:
    with (
        stub(answer) as server,
        Client(server.url, retry_for=0) as client,
        pytest.raises(kind) as caught,
    ):
        client.get("r")
    assert caught.value.code == code


def test_a_server_that_is_not_there_is_said_with_what_to_do() -> None:
    with (
        Client(f"127.0.0.1:{free_port()}", retry_for=0) as client,
        pytest.raises(TransportError, match="connection refused") as caught,
    ):
        client.get("r")
    assert (caught.value.code, "tailrace up" in caught.value.hint) == ("TR400", True)


def test_what_json_has_no_word_for_is_refused_before_it_is_sent() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(DefinitionError, match="params"):
        client.submit("f", {"a": object()})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [{"deep": float("-inf")}]])
def test_a_number_that_json_has_no_word_for_does_not_become_null(value: Any) -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(DefinitionError, match="no number"):
        client.submit("f", {"a": value})


def test_a_key_that_no_header_can_hold_is_said_to_be_wrong() -> None:
    with pytest.raises(SettingsError, match="API key"):
        Client("http://127.0.0.1:1", api_key="ünï")


def test_all_that_is_wrong_with_a_workflow_comes_with_the_refusal() -> None:
    findings = [
        {"code": "TR123", "message": "no task", "hint": "Name one.", "subject": "",
         "line": 2, "column": 5, "end_line": 2, "end_column": 9},
        {"code": "TR106", "message": "unknown key", "line": None, "column": None},
    ]  # fmt: skip
    answer = refusal(422, code="TR123", message="no task (and 1 more)", findings=findings)
    with stub(answer) as server, Client(server.url, retry_for=0) as client:
        with pytest.raises(DefinitionError, match="and 1 more") as caught:
            client.submit_yaml(b"version: 1", "f")
        first, second = caught.value.findings
    assert (first.message, first.hint, second.where) == ("no task", "Name one.", None)
    assert (first.where.line, first.where.column, first.where.end_column) == (2, 5, 9)


@pytest.mark.parametrize("findings", [7, "x", [7], [{"code": 1}], None])
def test_findings_of_another_shape_are_left_out(findings: Any) -> None:
    answer = refusal(422, code="TR123", message="no", findings=findings)
    with stub(answer) as server, Client(server.url, retry_for=0) as client:
        with pytest.raises(DefinitionError) as caught:
            client.submit_yaml(b"version: 1", "f")
        assert caught.value.findings == ()


def test_ids_cannot_reach_other_paths() -> None:
    with stub(Answer(body=b'{"run_id":"r"}')) as server, Client(server.url) as client:
        client.get("../workers?x=1")
        assert server.asked[0].path.startswith("/runs/..%2Fworkers%3Fx%3D1?")


def test_how_a_run_ended_can_be_raised() -> None:
    with pytest.raises(RunFailed, match="at node b: no"):
        Run(run_id="r", status="FAILED", failed_node="b", error="no").raise_for_status()
    with pytest.raises(RunCancelled):
        Run(run_id="r", status="CANCELLED").raise_for_status()


def test_patience_obeys_the_server_and_ends() -> None:
    patience, rng = Patience(seconds=10), random.Random(1)

    def delay(attempt: int, elapsed: float, **details: Any) -> float | None:
        error = TransportError("x", details=details)
        return patience.delay(error, attempt=attempt, elapsed=elapsed, rng=rng)

    assert delay(1, 0) is None
    assert delay(1, 0, retryable=True, retry_after=3.0) == 3.0
    assert delay(1, 9, retryable=True, retry_after=3.0) is None
    assert all(0.05 <= (delay(n, 0, retryable=True) or 0) <= 2.0 for n in range(1, 2000, 13))


def test_a_server_that_was_never_heard_of_is_given_up_sooner() -> None:
    refused = TransportError("x", details={"retryable": True, "was_sent": False})
    busy = TransportError("x", details={"retryable": True})
    connection = Connection(
        target=Target(server="http://127.0.0.1:9"), patience=Patience(seconds=60), unheard=0.0
    )
    with pytest.raises(TransportError):
        Tries(connection, may_repeat=True, is_heard=False).after(refused)
    assert Tries(connection, may_repeat=True, is_heard=True).after(refused) > 0
    tries = Tries(connection, may_repeat=True, is_heard=False)
    assert tries.after(busy) > 0
    assert tries.after(refused) > 0
