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
    assert client.get("/api/search?q={}", headers=mine).status_code == 403
    cancelled = client.post(f"/runs/{run_id}/cancel", json={"requested_by": "x"}, headers=mine)
    assert cancelled.json()["cancel_requested_by"] == f"api_key:{shown['api_key_id']}"


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
        seconds=10,
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
