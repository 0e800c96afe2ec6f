"""No request, however wrong, is answered with a fault of ours."""

from __future__ import annotations

import json
import random
import string
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from effort import EFFORT, times
from gateway_process import GatewayProcess, running_gateway
from jetstream_server import NatsServer
from waiting import wait_until

DESCRIPTION = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text("utf-8"))
ODD = [
    "",
    "0",
    "-1",
    "null",
    "NaN",
    "1e999",
    "%00",
    "\x7f",
    "日本",
    "'\"",
    "{{x}}",
    "a" * 5000,
    "*",
]
JUNK: list[Any] = [None, True, -1, 2**70, 1.5, "", "\u0000", "😀", [], {}, [[]], {"a": {"b": [1]}}]


@pytest.fixture
def gateway(nats_server: NatsServer, tmp_path: Path, nats_prefix: str) -> Iterator[GatewayProcess]:
    with running_gateway(tmp_path, nats_server.url, nats_prefix) as one:
        wait_until(one.is_ready, "the gateway is ready")
        yield one


def made(  # noqa: PLR0911 - one for each kind
    schema: dict[str, Any], rng: random.Random, depth: int = 0
) -> Any:
    """Return a value for a schema: mostly of its kind, sometimes of any."""
    if depth > 4 or rng.random() < 0.15:
        return rng.choice(JUNK)
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return made(DESCRIPTION["components"]["schemas"].get(name, {}), rng, depth)
    if "anyOf" in schema:
        return made(rng.choice(schema["anyOf"]), rng, depth + 1)
    if "enum" in schema:
        return rng.choice(schema["enum"])
    match schema.get("type"):
        case "object":
            fields = schema.get("properties", {})
            wanted = {name for name in fields if rng.random() < 0.7} | set(
                schema.get("required", ())
            )
            return {name: made(fields.get(name, {}), rng, depth + 1) for name in sorted(wanted)}
        case "array":
            item = schema.get("items", {})
            return [made(item, rng, depth + 1) for _ in range(rng.randrange(3))]
        case "integer":
            return rng.choice([0, 1, 50, 200, 201, -1, 2**63])
        case "number":
            return rng.choice([0, 0.5, -1, 1e18, 1e308])
        case "boolean":
            return rng.random() < 0.5
        case _:
            letters = rng.choices(string.printable, k=rng.randrange(12))
            return rng.choice([*ODD, "".join(letters), "default", "COMPLETED", "{}"])


def ask(client: httpx.Client, run_id: str, rng: random.Random) -> httpx.Response:
    path, calls = rng.choice(list(DESCRIPTION["paths"].items()))
    method, call = rng.choice(list(calls.items()))
    query: dict[str, Any] = {}
    for parameter in call.get("parameters", ()):
        name = parameter["name"]
        value = made(parameter["schema"], rng)
        if parameter["in"] == "path":
            text = run_id if rng.random() < 0.5 else str(value).replace("/", "") or "x"
            path = path.replace(f"{{{name}}}", quote(text, safe=""))
        elif rng.random() < 0.6:
            query[name] = value if isinstance(value, list) else str(value)
    if any(one["name"] == "timeout_sec" for one in call.get("parameters", ())):
        query["timeout_sec"] = rng.choice(["1", "0", "0.5", "-1"])  # a second is waited for
    body: dict[str, Any] = {}
    content = call.get("requestBody", {}).get("content", {})
    if "multipart/form-data" in content:
        fields = made(content["multipart/form-data"]["schema"], rng)
        fields = fields if isinstance(fields, dict) else {}
        text = str(fields.pop("workflow", ""))
        body = {
            "files": {"workflow": ("flow.yaml", text.encode("utf-8", "replace"))},
            "data": {name: str(value) for name, value in fields.items()},
        }
    elif content:
        schema = content.get("application/json", {}).get("schema", {})
        text = json.dumps(made(schema, rng))
        text = text if rng.random() < 0.9 else text[: len(text) // 2]
        body = {"content": text, "headers": {"content-type": "application/json"}}
    return client.request(method.upper(), path, params=query, **body)


def test_no_request_is_answered_with_a_fault_of_ours(gateway: GatewayProcess) -> None:
    seed = 1 if EFFORT == 1 else time.time_ns()
    rng = random.Random(seed)
    run_id = gateway.submit()
    seen: set[int] = set()
    for _ in range(times(150)):
        answer = ask(gateway.client, run_id, rng)
        seen.add(answer.status_code)
        where = f"seed {seed}: {answer.request.method} {answer.request.url}"
        assert answer.status_code not in {500, 502, 503, 504}, f"{where}: {answer.text[:500]}"
        if answer.status_code >= 400:
            found = answer.json()
            assert found["detail"], where
            assert found["code"].startswith("TR"), where
            assert found["message"], where
    assert {200, 404, 422} <= seen
    assert "Traceback" not in gateway.log
