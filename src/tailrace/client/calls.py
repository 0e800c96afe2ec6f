"""Every request that a client can make, as data; both clients send these."""

from __future__ import annotations

import math
import secrets
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from tailrace.client.refusals import error_of, not_ours
from tailrace.client.shapes import Page, Run, Submitted, Tasks, Worker
from tailrace.errors import DefinitionError

T = TypeVar("T")
Pairs = tuple[tuple[str, str], ...]
_REDIRECT = 300
_JSON: Pairs = (("Content-Type", "application/json"),)


class Call(Struct, Generic[T], frozen=True, kw_only=True):
    """A request and the shape of its answer."""

    method: str
    path: str
    shape: Any
    """What the answer is decoded to; None: text."""
    query: Pairs = ()
    body: bytes | None = None
    headers: Pairs = ()
    may_repeat: bool = True
    """Whether sending it twice does what sending it once does."""

    @property
    def asked(self) -> str:
        """What is asked for, for messages."""
        return f"{self.method} {self.path}"

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> T:
        """Return what the answer says.

        Raises:
            TailraceError: it says no, each in its class (see ``refusals``).
        """
        if status >= _REDIRECT:
            raise error_of(status, headers, body, asked=self.asked)
        if self.shape is None:
            return body.decode("utf-8", "replace")  # type: ignore[return-value]
        try:
            found: T = msgspec.json.decode(body, type=self.shape)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise not_ours(self.asked, str(error)) from error
        return found


class SubmitOptions(TypedDict, total=False):
    """What a submission may say besides flow and params."""

    tag: str
    """Which workers take it; ``default``."""
    tags: Iterable[str]
    """Shown and searched for."""
    idempotency_key: str
    """The same key is the same run; made up for each call where none is given."""
    priority: str
    """``high``, ``normal`` or ``low``."""
    delay: float
    """Seconds before it may start."""
    run_at: float
    """Unix seconds before which it may not start."""
    policy: Mapping[str, Any]
    label: str
    traceparent: str
    """The span that this run belongs under, as W3C Trace Context has it."""
    tracestate: str
    """What other systems want passed on with it."""


def submit(flow: str, params: Mapping[str, Any] | None, options: SubmitOptions) -> Call[Submitted]:
    """Return the call that queues a run of a flow that workers know."""
    body: dict[str, Any] = {"flow_name": flow, "params": dict(params or {}), **options}
    headers = _JSON + _parent(body)
    body["idempotency_key"] = body.get("idempotency_key") or new_key()
    if "tags" in body:
        body["tags"] = list(body["tags"])
    return Call(
        method="POST",
        path="/runs",
        shape=Submitted,
        body=encode(body, "params"),
        headers=headers,
    )


class WorkflowOptions(TypedDict, total=False):
    """What a submission of a workflow may say besides its text, name and params."""

    tag: str
    idempotency_key: str
    priority: str
    label: str
    traceparent: str
    tracestate: str


def submit_yaml(
    workflow: str | bytes,
    flow: str,
    params: Mapping[str, Any] | None,
    options: WorkflowOptions,
) -> Call[Submitted]:
    """Return the call that queues a run of a workflow that is sent along."""
    fields: dict[str, Any] = {"flow_name": flow, **options}
    headers = _parent(fields)
    fields["idempotency_key"] = fields.get("idempotency_key") or new_key()
    if params:
        fields["params"] = encode(dict(params), "params").decode()
    content = workflow.encode() if isinstance(workflow, str) else workflow
    body, kind = _form(fields, content)
    return Call(
        method="POST",
        path="/runs/yaml",
        shape=Submitted,
        body=body,
        headers=(("Content-Type", kind), *headers),
    )


def get(run_id: str, *, records: bool = False) -> Call[Run]:
    """Return the call for a run."""
    query: Pairs = (("states", "full"), *([("include", "full")] if records else []))
    return Call(method="GET", path=_run(run_id), shape=Run, query=query)


def tasks(run_id: str) -> Call[Tasks]:
    """Return the call for the tasks of a run."""
    path = f"{_run(run_id)}/tasks"
    return Call(method="GET", path=path, shape=Tasks, query=(("states", "full"),))


class ListOptions(TypedDict, total=False):
    """Which runs a list holds."""

    status: str
    flow: str
    tag: str
    updated_after: float
    """Unix seconds."""
    workflow_yaml_sha256: str
    limit: int
    """Of a page, up to 200; 50."""
    cursor: str
    """``next_cursor`` of the page before."""
    full: bool
    """Whole snapshots rather than rows."""


def list_runs(options: ListOptions) -> Call[Page]:
    """Return the call for a page of runs."""
    wanted: dict[str, Any] = {"cursor": "", **options}
    if wanted.pop("full", False):
        wanted["include"] = "full"
    query = tuple((name, str(value)) for name, value in wanted.items() if value is not None)
    return Call(method="GET", path="/runs", shape=Page, query=query)


def cancel(run_id: str, *, reason: str = "", requested_by: str = "") -> Call[Run]:
    """Return the call that cancels a run."""
    body = encode({"reason": reason, "requested_by": requested_by}, "reason")
    return Call(method="POST", path=f"{_run(run_id)}/cancel", shape=Run, body=body, headers=_JSON)


def workers(
    *, scope: str = "active", state: str = "", include_hidden: bool = False, limit: int = 100
) -> Call[list[Worker]]:
    """Return the call for workers."""
    query = [("scope", scope), ("limit", str(limit))]
    query += [("state", state)] if state else []
    query += [("include_hidden", "true")] if include_hidden else []
    return Call(method="GET", path="/workers", shape=list[Worker], query=tuple(query))


def hide_worker(worker_id: str, *, hidden: bool) -> Call[dict[str, Any]]:
    """Return the call that hides a worker, or shows it again."""
    return Call(
        method="PATCH",
        path=f"/workers/{quote(worker_id, safe='')}",
        shape=dict[str, Any],
        body=encode({"hidden": hidden}, "hidden"),
        headers=_JSON,
    )


def ready() -> Call[dict[str, Any]]:
    """Return the call that asks whether the server can do its work."""
    return Call(method="GET", path="/readyz", shape=dict[str, Any], may_repeat=False)


def document(path: str, query: Pairs = (), *, may_repeat: bool = True) -> Call[Any]:
    """Return the call for any JSON document of the server."""
    return Call(method="GET", path=path, shape=Any, query=query, may_repeat=may_repeat)


def post(path: str, body: Mapping[str, Any], *, may_repeat: bool = False) -> Call[Any]:
    """Return the call that sends a JSON document anywhere."""
    return Call(
        method="POST",
        path=path,
        shape=Any,
        body=encode(dict(body), "body"),
        headers=_JSON,
        may_repeat=may_repeat,
    )


def watch_path(run_id: str) -> str:
    """Return where a run's events are."""
    return f"{_run(run_id)}/watch"


def new_key() -> str:
    """Return an idempotency key that nobody else has."""
    return uuid.uuid4().hex


def encode(value: Any, name: str) -> bytes:
    """Return a value as JSON.

    Raises:
        DefinitionError: JSON has no word for something in it (TR408).
    """
    try:
        body = msgspec.json.encode(value)
        if b"null" in body:
            _demand_numbers(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise DefinitionError(
            f"{name} cannot be sent: {error}",
            code="TR408",
            hint="send what JSON knows: texts, numbers, lists, objects, true, false, null",
        ) from error
    return body


def _demand_numbers(value: Any) -> None:
    """See to it that no number becomes null on its way.

    Raises:
        ValueError: there is one that JSON has no word for.
    """
    match value:
        case float() if not math.isfinite(value):
            raise ValueError(f"JSON has no number {value}")
        case Mapping():
            for one in value.values():
                _demand_numbers(one)
        case list() | tuple() | set() | frozenset():
            for one in value:
                _demand_numbers(one)


def _run(run_id: str) -> str:
    return f"/runs/{quote(run_id, safe='')}"


def _parent(options: dict[str, Any]) -> Pairs:
    """Take the caller's span out of the options and return it as headers."""
    pairs = [(name, options.pop(name, "")) for name in ("traceparent", "tracestate")]
    return tuple((name, value) for name, value in pairs if value)


def _form(fields: Mapping[str, str], workflow: bytes) -> tuple[bytes, str]:
    """Return a multipart body and its content type."""
    boundary = secrets.token_hex(16)
    while boundary.encode() in workflow:
        boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = 'Content-Disposition: form-data; name="workflow"; filename="flow.yaml"'
    parts.append(f"--{boundary}\r\n{head}\r\nContent-Type: application/yaml\r\n\r\n".encode())
    parts += [workflow, f"\r\n--{boundary}--\r\n".encode()]
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"
