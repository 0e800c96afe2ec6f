from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tailrace.gateway.app import documentation

FROZEN = Path(__file__).parents[3] / "docs" / "openapi.json"
CALLS = {
    "/health": {"get"},
    "/livez": {"get"},
    "/readyz": {"get"},
    "/metrics": {"get"},
    "/runs": {"get", "post"},
    "/runs/yaml": {"post"},
    "/runs/{run_id}": {"get"},
    "/runs/{run_id}/tasks": {"get"},
    "/runs/{run_id}/watch": {"get"},
    "/runs/{run_id}/cancel": {"post"},
    "/workers": {"get"},
    "/workers/{worker_id}": {"patch"},
    "/wheels": {"get", "post"},
    "/wheels/history": {"get"},
    "/wheels/{name}": {"get", "delete"},
    "/v1/traces": {"post"},
}


def test_the_frozen_description_is_what_the_gateway_serves() -> None:
    served = json.loads(json.dumps(documentation().openapi()))
    frozen = json.loads(FROZEN.read_text("utf-8"))
    assert served == frozen, "run .ci/openapi.py, and look at what changed: clients rely on it"


def test_every_call_of_the_contract_is_described() -> None:
    paths: dict[str, dict[str, Any]] = json.loads(FROZEN.read_text("utf-8"))["paths"]
    for path, methods in CALLS.items():
        assert methods <= set(paths[path])
    for calls in paths.values():
        for call in calls.values():
            assert call["description"]
            assert call["responses"]
