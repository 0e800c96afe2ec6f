"""``POST /runs`` and ``POST /runs/yaml``."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec
from fastapi import APIRouter
from msgspec.structs import replace
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tailrace.errors import TransportError
from tailrace.gateway.gate import MOST_WORKFLOW, TooLarge
from tailrace.gateway.problems import Json, Problem, invalid, invalid_list
from tailrace.gateway.routes.asked import caller_of, gateway_of
from tailrace.gateway.service import Gateway
from tailrace.gateway.shapes import PROBLEMS, Submitted
from tailrace.gateway.submission import Submission, SubmitRun, job_of, read_submission
from tailrace.gateway.workflow import check_workflow
from tailrace.model.remote import Job

router = APIRouter(tags=["runs"])
_SCHEMA = SubmitRun.model_json_schema(ref_template="#/components/schemas/{model}")
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key is the same run, however often it is submitted.",
    "schema": {"type": "string", "maxLength": 256},
}
_WORKFLOW = {
    "type": "object",
    "required": ["workflow", "flow_name"],
    "properties": {
        "workflow": {"type": "string", "format": "binary", "description": "A flow.yaml."},
        "flow_name": {"type": "string", "minLength": 1},
        "tag": {"type": "string"},
        "params": {"type": "string", "description": "A JSON object, over the flow's defaults."},
        "idempotency_key": {"type": "string", "maxLength": 256},
        "priority": {"type": "string", "enum": ["high", "normal", "low"]},
        "label": {"type": "string", "maxLength": 256},
    },
}
_OPTIONAL = ("idempotency_key", "priority", "label")
_COUNTING = {
    name.encode(): name for name in ("content-type", "idempotency-key", "traceparent", "tracestate")
}
_JSON = ("application/json", "+json")


@router.post(
    "/runs",
    response_model=Submitted,
    responses=PROBLEMS,
    openapi_extra={
        "parameters": [_KEY],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}},
    },
)
async def submit_run(request: Request) -> Response:
    """Queue a run of a flow that workers know. It is queued when this answers."""
    gateway = gateway_of(request)
    body = await _body(request)
    headers = counting(request.scope["headers"])
    try:
        if not is_json(headers.get("content-type", "")):
            raise invalid(["header", "Content-Type"], "the body must be application/json")
        job = job_of(read_submission(body), caller_of(request), headers)
    except Problem:
        gateway.counters.refused.inc()
        raise
    return await _queue(gateway, job, "flow")


async def _body(request: Request) -> bytes:
    """Return the body, which mostly comes in one piece."""
    pieces: list[bytes] = []
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def is_json(content_type: str) -> bool:
    """Whether a content type is one of JSON."""
    return content_type.partition(";")[0].strip().lower().endswith(_JSON)


def counting(given: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers that count here; of one that comes twice the first."""
    found: dict[str, str] = {}
    for name, value in given:
        known = _COUNTING.get(name)
        if known is not None:
            found.setdefault(known, value.decode("latin-1"))
    return found


@router.post(
    "/runs/yaml",
    response_model=Submitted,
    responses=PROBLEMS,
    openapi_extra={
        "parameters": [_KEY],
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": _WORKFLOW}},
        },
    },
)
async def submit_workflow(request: Request) -> Response:
    """Queue a run of the ``flow.yaml`` that comes with the request."""
    gateway = gateway_of(request)
    try:
        job = await _workflow_job(request)
    except Problem:
        gateway.counters.refused.inc()
        raise
    return await _queue(gateway, job, "yaml")


async def _workflow_job(request: Request) -> Job:
    fields, workflow = await _form(request)
    missing = [
        {"type": "missing", "loc": ["body", name], "msg": "Field required", "input": None}
        for name, value in (("workflow", workflow), ("flow_name", fields.get("flow_name")))
        if value is None
    ]
    if missing:
        raise invalid_list(missing)
    assert workflow is not None  # noqa: S101 - listed as missing otherwise
    name, tag = fields["flow_name"].strip(), fields.get("tag", "").strip()
    if len(workflow) > MOST_WORKFLOW:
        raise TooLarge(MOST_WORKFLOW, is_workflow=True)
    if not name:
        raise Problem(422, "missing flow_name", code="TR420", hint="Name the flow.")
    wanted = _wanted(name, tag, fields)
    params = _params(fields.get("params", ""))
    text, defaults = await asyncio.to_thread(check_workflow, workflow)
    wanted = msgspec.structs.replace(wanted, params={**defaults, **params})
    return replace(
        job_of(wanted, caller_of(request), request.headers),
        workflow_yaml=text,
        workflow_yaml_sha256=hashlib.sha256(workflow).hexdigest(),
        workflow_yaml_bytes=len(workflow),
    )


def _wanted(name: str, tag: str, fields: dict[str, str]) -> Submission:
    given: dict[str, Any] = {key: fields[key] for key in _OPTIONAL if fields.get(key)}
    try:
        return msgspec.convert(
            {"flow_name": name, **({"tag": tag} if tag else {}), **given}, Submission
        )
    except msgspec.ValidationError as error:
        if "$.tag" in str(error):
            raise Problem(
                422,
                "invalid tag",
                code="TR420",
                hint="A tag has 1 to 64 letters, digits, _ and -.",
            ) from None
        raise invalid(["body"], str(error)) from None


def _params(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    return read_submission(b'{"flow_name":"-","params":%b}' % text.encode()).params


async def _form(request: Request) -> tuple[dict[str, str], bytes | None]:
    """Return the fields of a form, and the file ``workflow``."""
    try:
        form = await request.form(max_files=1, max_fields=20, max_part_size=1024 * 1024)
    except (MultiPartException, HTTPException) as error:
        text = getattr(error, "detail", None) or getattr(error, "message", "")
        raise invalid(["body"], str(text) or "the body is no form") from None
    fields: dict[str, str] = {}
    workflow: bytes | None = None
    try:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                workflow = await value.read(MOST_WORKFLOW + 1) if name == "workflow" else workflow
            elif name == "workflow":
                workflow = value.encode("utf-8", "surrogateescape")
            else:
                fields[name] = value
    finally:
        await form.close()
    return fields, workflow


async def _queue(gateway: Gateway, job: Job, kind: str) -> Response:
    try:
        known = await gateway.submit(job)
    except TransportError as error:
        error.details["run_id"] = job.run_id
        raise
    except UnicodeEncodeError as error:
        half = f"U+{ord(error.object[error.start]):04X}"
        message = f"a text holds half a character ({half}, a lone surrogate), which UTF-8 cannot"
        raise invalid(["body", "params"], f"{message}; send such data as base64") from None
    except (OverflowError, RecursionError, TypeError, ValueError) as error:
        raise invalid(["body", "params"], f"params cannot be sent: {error}") from None
    body = accepted(gateway, job)
    if known is not None:
        body |= {"status": known.status, "duplicate": True}
    else:
        gateway.counters.submitted.labels(kind).inc()
    return Json(body)


def accepted(gateway: Gateway, job: Job) -> dict[str, Any]:
    """Return the answer to the submission of a new run."""
    body: dict[str, Any] = {"run_id": job.run_id, "status": "PENDING"}
    if gateway.board.serves(job.tag) is False:
        body["warning"] = f"no worker for tag {job.tag!r} is alive; the run waits until one starts"
    elif not job.workflow_yaml and gateway.board.serves(job.tag, job.flow_name) is False:
        body["warning"] = (
            f"no worker for tag {job.tag!r} has a flow {job.flow_name!r}; the run fails when one"
            " of them takes it"
        )
    return body
