"""API keys: who may what, and what it costs to ask."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gateway_process import Backstage, GatewayProcess, running_gateway
from jetstream_server import NatsServer
from tailrace.gateway.keys import make_key, record_of_older
from tailrace.model.remote import encode
from waiting import wait_until

PREFIX = "gwkeys"
HEADER = "X-API-Key"


@pytest.fixture(scope="module")
def gateway(
    nats_server: NatsServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("keys")
    with running_gateway(folder, nats_server.url, PREFIX, "--auth", "api_key") as one:
        wait_until(one.is_ready, "the gateway is ready")
        yield one


@pytest.fixture(scope="module")
def backstage(nats_server: NatsServer, gateway: GatewayProcess) -> Iterator[Backstage]:
    one = Backstage(nats_server.url, PREFIX)
    yield one
    one.close()


def new_key(backstage: Backstage, **fields: Any) -> dict[str, str]:
    key, record = make_key(**{"tenant_id": "acme", **fields})
    backstage.run(backstage.registry.put_key(record.key_id, encode(record), expected=0))
    return {HEADER: key}


def test_everything_but_health_needs_a_key(gateway: GatewayProcess) -> None:
    client = gateway.client
    for path in ("/health", "/livez", "/readyz"):
        assert client.get(path).status_code == 200
    for path in ("/runs", "/workers", "/metrics", "/docs", "/openapi.json", "/api/flows", "/no"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["detail"]) == (401, "api key required")
    assert "www-authenticate" not in answer.headers
    answer = client.patch("/workers/w", json={"hidden": True})
    assert answer.status_code == 401


def test_a_key_comes_before_the_body(gateway: GatewayProcess) -> None:
    headers = {"content-type": "application/json"}
    assert gateway.client.post("/runs", content=b"{", headers=headers).status_code == 401


@pytest.mark.parametrize(
    "key", ["x", "tr_", "tr_abcdefgh", "pyoco_abcdefgh.short", "tr_" + "a" * 16 + "." + "b" * 43]
)
def test_a_key_of_nobody_is_refused(gateway: GatewayProcess, key: str) -> None:
    answer = gateway.client.get("/runs", headers={HEADER: key})
    assert (answer.status_code, answer.json()["detail"]) == (403, "invalid api key")


def test_a_wrong_secret_is_refused(gateway: GatewayProcess, backstage: Backstage) -> None:
    headers = new_key(backstage)
    assert gateway.client.get("/runs", headers=headers).status_code == 200
    wrong = {HEADER: headers[HEADER][:-1] + ("A" if headers[HEADER][-1] != "A" else "B")}
    assert gateway.client.get("/runs", headers=wrong).status_code == 403


def test_each_role_may_what_it_may(gateway: GatewayProcess, backstage: Backstage) -> None:
    keys = {role: new_key(backstage, role=role) for role in ("read", "submit", "operate", "admin")}
    client = gateway.client

    def statuses(role: str) -> list[int]:
        headers = keys[role]
        return [
            client.get("/runs", headers=headers).status_code,
            client.post("/runs", json={"flow_name": "f"}, headers=headers).status_code,
            client.patch("/workers/none", json={"hidden": True}, headers=headers).status_code,
            client.delete("/wheels/none.whl", headers=headers).status_code,
        ]

    assert statuses("read") == [200, 403, 403, 403]
    assert statuses("submit") == [200, 200, 403, 403]
    assert statuses("operate") == [200, 200, 404, 403]
    assert statuses("admin") == [200, 200, 404, 404]
    answer = client.post("/runs", json={"flow_name": "f"}, headers=keys["read"])
    assert answer.json()["code"] == "TR423"


def test_runs_of_other_tenants_are_not_there(gateway: GatewayProcess, backstage: Backstage) -> None:
    mine, theirs = new_key(backstage), new_key(backstage, tenant_id="other")
    everybody = new_key(backstage, tenant_id=None, role="admin")
    client = gateway.client
    body = {"flow_name": "tenants", "idempotency_key": "same"}
    run_id = client.post("/runs", json=body, headers=mine).json()["run_id"]
    other = client.post("/runs", json=body, headers=theirs).json()["run_id"]
    assert other != run_id
    shown = client.get(f"/runs/{run_id}", headers=mine).json()
    assert shown["tenant_id"] == "acme"
    assert mine[HEADER].startswith(f"tr_{shown['api_key_id']}.")
    for path in ("", "/tasks", "/watch"):
        assert client.get(f"/runs/{run_id}{path}", headers=theirs).status_code == 404
    assert client.post(f"/runs/{run_id}/cancel", headers=theirs).status_code == 404
    listed = client.get("/runs?flow=tenants", headers=theirs).json()
    assert [one["run_id"] for one in listed] == [other]
    assert len(client.get("/runs?flow=tenants", headers=everybody).json()) == 2
    assert 'flow="tenants"' in client.get("/metrics", headers=theirs).text
    nobody = client.get("/metrics", headers=new_key(backstage, tenant_id="nobody")).text
    assert 'pyoco_runs_total{status="PENDING"} 0.0' in nobody
    assert not any(word in nobody for word in ("tenants", "tailrace_queue", "submitted"))
    assert "tailrace_queue_depth" in client.get("/metrics", headers=everybody).text
    cancelled = client.post(f"/runs/{run_id}/cancel", json={"requested_by": "x"}, headers=mine)
    assert cancelled.json()["cancel_requested_by"] == f"api_key:{shown['api_key_id']}"


def test_workers_do_not_tell_of_runs_of_other_tenants(
    gateway: GatewayProcess, backstage: Backstage
) -> None:
    mine, theirs = new_key(backstage), new_key(backstage, tenant_id="other")
    client = gateway.client
    body = {"flow_name": "hidden"}
    own = client.post("/runs", json=body, headers=mine).json()["run_id"]
    other = client.post("/runs", json=body, headers=theirs).json()["run_id"]
    backstage.put_worker(
        "shared",
        state="RUNNING",
        current_run_id=other,
        current_run_ids=(other, own),
        last_run_id=other,
        last_run_status="FAILED",
    )

    def seen(headers: dict[str, str]) -> tuple[Any, ...]:
        found = client.get("/workers", headers=headers).json()
        one: dict[str, Any] = next((one for one in found if one["worker_id"] == "shared"), {})
        shown = ("current_run_id", "current_run_ids", "last_run_id", "last_run_status")
        return tuple(one.get(name) for name in shown)

    wait_until(lambda: seen(mine)[0] is not None, "the worker is shown")
    assert seen(mine) == (own, [own], None, None)
    assert seen(theirs) == (other, [other], other, "FAILED")
    assert seen(new_key(backstage, tenant_id="third")) == (None, [], None, None)
    everybody = new_key(backstage, tenant_id=None, role="admin")
    assert seen(everybody) == (other, [other, own], other, "FAILED")
    with client.stream("GET", "/api/events", headers=mine, timeout=10) as answer:
        data = next(line for line in answer.iter_lines() if line.startswith("data: ["))
    assert own in data
    assert other not in data


def test_a_revoked_or_expired_key_is_soon_refused(
    gateway: GatewayProcess, backstage: Backstage
) -> None:
    key, record = make_key(tenant_id="acme")
    registry, headers = backstage.registry, {HEADER: key}
    sequence = backstage.run(registry.put_key(record.key_id, encode(record), expected=0))
    assert gateway.client.get("/runs", headers=headers).status_code == 200
    record.revoked_at = time.time()
    backstage.run(registry.put_key(record.key_id, encode(record), expected=sequence))
    wait_until(
        lambda: gateway.client.get("/runs", headers=headers).status_code == 403,
        "the key is refused",
        seconds=30,
    )
    expired = new_key(backstage, expires_at=time.time() - 1)
    assert gateway.client.get("/runs", headers=expired).status_code == 403


def test_a_key_of_the_older_server_is_good(gateway: GatewayProcess, backstage: Backstage) -> None:
    secret, salt = "s" * 43, b"0123456789abcdef"
    digest = hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, 200_000, dklen=32)
    record = record_of_older(
        {
            "key_id": "0123456789abcdef01234567",
            "tenant_id": "acme",
            "kdf": "pbkdf2_hmac_sha256",
            "iterations": 200_000,
            "salt_b64": base64.urlsafe_b64encode(salt).rstrip(b"=").decode(),
            "hash_b64": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "created_at": 1.0,
            "revoked_at": None,
        }
    )
    backstage.run(backstage.registry.put_key(record.key_id, encode(record), expected=0))
    headers = {HEADER: f"pyoco_{record.key_id}.{secret}"}
    assert gateway.client.get("/runs", headers=headers).status_code == 200
    assert gateway.client.get("/runs", headers={HEADER: headers[HEADER] + "x"}).status_code == 403


def span(trace_id: str, secret: str) -> dict[str, Any]:
    """Return an export of one span."""
    made = {
        "traceId": trace_id,
        "spanId": "00f067aa0ba902b7",
        "name": f"span of {secret}",
        "startTimeUnixNano": str(time.time_ns() - 1_000_000),
        "endTimeUnixNano": str(time.time_ns()),
        "attributes": [{"key": "secret", "value": {"stringValue": secret}}],
    }
    return {"resourceSpans": [{"scopeSpans": [{"spans": [made]}]}]}


def test_spans_belong_to_the_tenant_of_the_key(
    gateway: GatewayProcess, backstage: Backstage
) -> None:
    keys = {name: new_key(backstage, tenant_id=name) for name in ("spans-a", "spans-b")}
    everybody = new_key(backstage, tenant_id=None, role="admin")
    client = gateway.client
    traces = {name: f"{number:032x}" for number, name in enumerate(keys, 0xABC)}
    for name, headers in keys.items():
        body = span(traces[name], name)
        assert client.post("/v1/traces", json=body, headers=headers).status_code == 200

    def found(headers: dict[str, str]) -> set[str]:
        query = {"q": '{ span.secret =~ "spans-.*" }'}
        answer = client.get("/api/search", params=query, headers=headers)
        assert answer.status_code == 200, answer.text
        return {one["trace_id"] for one in answer.json()["traces"]}

    wait_until(lambda: found(everybody) == set(traces.values()), "both exports are in the index")
    for name, headers in keys.items():
        assert found(headers) == {traces[name]}
        listed = client.get("/api/traces", headers=headers).json()["items"]
        assert {one["run_id"] for one in listed} == {traces[name]}
        metrics = {"q": "{ } | count_over_time() by (span.secret)", "instant": "true"}
        answer = client.get("/api/metrics/query_range", params=metrics, headers=headers).json()
        assert answer["inspected_spans"] == 1
        assert name in str(answer["series"])
        assert len(answer["series"]) == 1
        for other, trace_id in traces.items():
            status = client.get(f"/api/traces/{trace_id}", headers=headers).status_code
            assert status == (200 if other == name else 404)
    intruding = span(traces["spans-b"], "spans-a")
    intruding["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["spanId"] = "11f067aa0ba902b7"
    last = span(f"{0xDEF:032x}", "spans-a")
    for body in (intruding, last):
        assert client.post("/v1/traces", json=body, headers=keys["spans-a"]).status_code == 200
    wait_until(lambda: f"{0xDEF:032x}" in found(keys["spans-a"]), "what came last is in the index")
    assert found(keys["spans-b"]) == {traces["spans-b"]}
    shown = client.get(f"/api/traces/{traces['spans-b']}", headers=keys["spans-b"]).json()
    assert [one["attributes"]["secret"] for one in shown["spans"]] == ["spans-b"]


def test_a_tenant_hears_of_its_own_spans_only(
    gateway: GatewayProcess, backstage: Backstage
) -> None:
    mine, theirs = (new_key(backstage, tenant_id=name) for name in ("tail-a", "tail-b"))
    client = gateway.client
    path = "/api/traces/tail"
    with client.stream("GET", path, params={"timeout_sec": 30}, headers=mine) as answer:
        lines = answer.iter_lines()
        assert next(line for line in lines if line.startswith("event:")) == "event: heartbeat"
        for headers, number, secret in ((theirs, 0xB0, "tail-b"), (mine, 0xA0, "tail-a")):
            body = span(f"{number:032x}", secret)
            assert client.post("/v1/traces", json=body, headers=headers).status_code == 200
        said = next(line for line in lines if line.startswith("data:") and "items" in line)
    assert "span of tail-a" in said
    assert "tail-b" not in said
