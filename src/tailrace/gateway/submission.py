"""From a request to a job: the body of ``POST /runs``, checked and with everything filled in."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tailrace.errors import PolicyValidationError
from tailrace.gateway.caller import Caller
from tailrace.gateway.problems import Problem, invalid, invalid_list
from tailrace.model.ids import new_run_id
from tailrace.model.remote import DEFAULT_TAG, Job
from tailrace.tracing.propagation import parse_traceparent

TAG = r"^[A-Za-z0-9_-]{1,64}$"
MOST_NESTED = 100
"""Objects and lists inside one another, at most."""
_TAG = r"\A[A-Za-z0-9_-]{1,64}\Z"
_NAME = 256
_TAGS = 32
_YEAR = 366 * 86_400.0
_SHOWN = 200

Tag = Annotated[str, Meta(pattern=_TAG)]


class Submission(Struct, kw_only=True):
    """The body of ``POST /runs``, as nearly everybody sends it."""

    flow_name: Annotated[str, Meta(min_length=1, max_length=_NAME)]
    params: dict[str, Any] = {}
    tag: Tag | None = None
    tags: Annotated[list[Tag], Meta(max_length=_TAGS)] = []
    idempotency_key: Annotated[str, Meta(max_length=_NAME)] = ""
    priority: Literal["high", "normal", "low"] = "normal"
    delay: Annotated[float, Meta(ge=0, le=_YEAR)] | None = None
    run_at: float | str | None = None
    policy: dict[str, Any] | None = None
    label: Annotated[str, Meta(max_length=_NAME)] = ""


class SubmitRun(BaseModel):
    """A run of a flow that workers know."""

    model_config = ConfigDict(extra="ignore")

    flow_name: str = Field(min_length=1, max_length=_NAME, description="Name of the flow.")
    params: dict[str, Any] = Field(default_factory=dict, description="Its params.")
    tag: Annotated[str, Field(pattern=TAG)] | None = Field(
        default=None, description="Workers with this tag take it; `default` otherwise."
    )
    tags: list[Annotated[str, Field(pattern=TAG)]] = Field(
        default_factory=list, max_length=_TAGS, description="To be shown and searched for."
    )
    idempotency_key: str = Field(
        default="", max_length=_NAME, description="The same key is the same run."
    )
    priority: Literal["high", "normal", "low"] = "normal"
    delay: Annotated[float, Field(ge=0, le=_YEAR, allow_inf_nan=False)] | None = Field(
        default=None, description="Seconds to wait before it may start."
    )
    run_at: Annotated[float, Field(allow_inf_nan=False)] | str | None = Field(
        default=None,
        description="Instant before which it does not start: Unix seconds or ISO 8601.",
    )
    policy: dict[str, Any] | None = Field(
        default=None, description="Policy of this run, over that of the flow."
    )
    label: str = Field(default="", max_length=_NAME)


_decode = msgspec.json.Decoder(Submission).decode
_slow = TypeAdapter(SubmitRun)


def read_submission(body: bytes) -> Submission:
    """Return the body of ``POST /runs``.

    Raises:
        Problem: 422, in the form and the words of a validation.
    """
    if body.count(b"{") + body.count(b"[") > MOST_NESTED:
        _demand_shallow(body)
    try:
        return _decode(body)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, ValueError):
        return _read_slowly(body)


def _read_slowly(body: bytes) -> Submission:
    """Read what the fast way refused: what is wrong is told as older clients expect it."""
    if not body:
        raise invalid(["body"], "Field required", kind="missing")
    try:
        plain = json.loads(body)
        json.dumps(plain, allow_nan=False).encode()
        found = _slow.validate_python(plain)
        return msgspec.convert(found.model_dump(), Submission)
    except json.JSONDecodeError as error:
        raise invalid_list([_broken(error.pos, error.msg)]) from None
    except UnicodeError:
        raise invalid_list([_broken(0, "the text is no valid UTF-8")]) from None
    except RecursionError:
        raise _too_deep() from None
    except ValidationError as error:
        raise invalid_list(listed(error)) from None
    except (msgspec.ValidationError, ValueError) as error:
        raise invalid(["body"], str(error)) from None


def listed(error: ValidationError) -> list[dict[str, Any]]:
    """Return what is wrong as FastAPI lists it, long values cut."""
    found = error.errors(include_url=False)
    return [
        {
            "type": one["type"],
            "loc": ["body", *one["loc"]],
            "msg": one["msg"],
            "input": _short(one["input"]),
            **_context(one.get("ctx")),
        }
        for one in found[:50]
    ]


def _context(context: Mapping[str, Any] | None) -> dict[str, Any]:
    plain = {
        key: value for key, value in (context or {}).items() if isinstance(value, str | int | float)
    }
    return {"ctx": plain} if plain else {}


def _short(value: Any) -> Any:
    """Return a value to be shown: an answer must not be larger than the request."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()[:_SHOWN]
    if value is None or isinstance(value, bool | float):
        return value
    text = repr(value) if not isinstance(value, dict | list) or len(value) < _SHOWN else "…"
    return value if len(text) <= _SHOWN and text != "…" else text[:_SHOWN]


def _broken(position: int, why: str) -> dict[str, Any]:
    error = {"type": "json_invalid", "loc": ["body", position], "msg": "JSON decode error"}
    return error | {"input": {}, "ctx": {"error": why}}


def _too_deep() -> Problem:
    message = f"objects and lists lie more than {MOST_NESTED} deep in one another"
    return invalid(["body"], message, kind="recursion_loop")


def _demand_shallow(body: bytes) -> None:
    """Refuse what is nested too deeply, before anything that recurses reads it."""
    depth, inside, at = 0, False, 0
    while at < len(body):
        byte = body[at]
        if inside:
            if byte == _BACKSLASH:
                at += 1
            elif byte == _QUOTE:
                inside = False
        elif byte == _QUOTE:
            inside = True
            end = body.find(b'"', at + 1)
            slash = body.find(b"\\", at + 1, end)
            if end > 0 and slash < 0:
                inside, at = False, end
        elif byte in b"{[":
            depth += 1
            if depth > MOST_NESTED:
                raise _too_deep()
        elif byte in b"}]":
            depth -= 1
        at += 1


_QUOTE, _BACKSLASH = ord('"'), ord("\\")


def instant_of(value: float | str | None, delay: float | None, *, now: float) -> float | None:
    """Return the Unix seconds before which a run does not start.

    Raises:
        Problem: 422, it is no instant, or too far away.
    """
    if delay is not None:
        if value is not None:
            raise invalid(["body", "delay"], "give delay or run_at, not both", given=delay)
        return now + delay if delay > 0 else None
    if value is None:
        return None
    at = _seconds(value)
    if at is None or not now - _YEAR <= at <= now + _YEAR:
        message = "run_at must be Unix seconds or ISO 8601 with an offset, at most a year away"
        raise invalid(["body", "run_at"], message, given=value)
    return at if at > now else None


def _seconds(value: float | str) -> float | None:
    if isinstance(value, int | float):
        return float(value)
    try:
        moment = datetime.fromisoformat(value)
        return None if moment.tzinfo is None else moment.timestamp()
    except (ValueError, OverflowError):
        return None


def check_policy(policy: Mapping[str, Any] | None) -> None:
    """Refuse a policy that is out of its bounds.

    Raises:
        Problem: 422 with every problem.
    """
    if not policy:
        return
    from tailrace.policy import PolicyValidator  # noqa: PLC0415 - few runs bring a policy

    try:
        PolicyValidator.validate(policy)
    except PolicyValidationError as error:
        found = [
            {"type": "policy", "loc": ["body", "policy"], "msg": text, "input": None}
            for text in error.errors
        ]
        raise invalid_list(found) from None


def run_id_for(caller: Caller, key: str) -> str:
    """Return the id of the run that an idempotency key of a tenant means."""
    digest = hashlib.sha256(f"{caller.tenant_id or ''}\0{key}".encode()).hexdigest()
    return f"{digest[:12]}8{digest[13:16]}8{digest[17:32]}"


def job_of(wanted: Submission, caller: Caller, headers: Mapping[str, str]) -> Job:
    """Return the job that a submission means.

    Args:
        wanted: the body.
        caller: who submits.
        headers: of the request; ``Idempotency-Key``, ``traceparent`` and ``tracestate`` count.

    Raises:
        Problem: 422.
    """
    for name, text in (("flow_name", wanted.flow_name), ("label", wanted.label)):
        if not text.isprintable():
            raise invalid(["body", name], "control characters are not allowed", given=_short(text))
    now = time.time()
    key = wanted.idempotency_key or headers.get("idempotency-key", "")
    if len(key) > _NAME:
        message = f"an idempotency key has at most {_NAME} characters"
        raise invalid(["header", "Idempotency-Key"], message)
    if wanted.policy:
        check_policy(wanted.policy)
    parent, state = headers.get("traceparent", ""), ""
    if parent:
        context = parse_traceparent(parent, headers.get("tracestate", ""))
        parent = "" if context is None else context.traceparent
        state = "" if context is None else context.state
    tag = wanted.tag or DEFAULT_TAG
    return Job(
        run_id=run_id_for(caller, key) if key else new_run_id(),
        flow_name=wanted.flow_name,
        params=wanted.params,
        tag=tag,
        tags=tuple(wanted.tags) or (tag,),
        tenant_id=caller.tenant_id,
        api_key_id=caller.key_id,
        submitted_at=now,
        priority=wanted.priority,
        run_at=instant_of(wanted.run_at, wanted.delay, now=now),
        policy=wanted.policy,
        label=wanted.label,
        idempotency_key=key,
        traceparent=parent,
        tracestate=state,
    )


def same_work(one: Job, other: Job) -> bool:
    """Whether two jobs ask for the same, as far as can be seen without what is kept apart."""
    apart = one.params_object or other.params_object
    return (
        one.flow_name == other.flow_name
        and one.tag == other.tag
        and one.workflow_yaml_sha256 == other.workflow_yaml_sha256
        and (bool(apart) or one.params == other.params)
    )
