"""``POST /v1/traces``: spans of any programs (OTLP over HTTP)."""

from __future__ import annotations

import asyncio
import gzip
import io
import zlib

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tailrace.errors import SettingsError
from tailrace.gateway.caller import Caller
from tailrace.gateway.index.spans import JOINS, TENANT
from tailrace.gateway.problems import Json, Problem
from tailrace.gateway.routes.asked import caller_of, gateway_of
from tailrace.gateway.service import Gateway
from tailrace.gateway.shapes import PROBLEMS
from tailrace.jetstream.objects import REFERENCE
from tailrace.store.foreign.convert import Converter, Intern
from tailrace.store.foreign.from_otlp import ExportReader
from tailrace.store.foreign.intake import DEFAULT_LIMITS
from tailrace.tracing.otlp import FileFormat, ReadReport, read_exports, unpacked

router = APIRouter(tags=["traces"], responses=PROBLEMS)
_PROTO, _JSON = "application/x-protobuf", "application/json"
_LONGEST = 512 * 1024
"""Bytes of an export above which it is kept beside its message."""
_READING = asyncio.Semaphore(2)
"""Exports that are read at the same time."""


@router.post(
    "/v1/traces",
    response_class=Response,
    responses={
        200: {"content": {_JSON: {}, _PROTO: {}}, "description": "Taken."},
        415: {"description": "Neither JSON nor protobuf."},
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                _JSON: {"schema": {"type": "object"}},
                _PROTO: {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
)
async def take_spans(request: Request) -> Response:
    """Take an export of spans; it is stored when this answers."""
    gateway = gateway_of(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in {_PROTO, _JSON}:
        raise Problem(
            415,
            "unsupported media type",
            code="TR434",
            message=f"spans come as {_JSON} or {_PROTO}, not as {kind[:100]!r}",
            hint="Set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf.",
        )
    body = await request.body()
    async with _READING:
        plain, report = await asyncio.to_thread(
            _read,
            body,
            FileFormat.PROTO if kind == _PROTO else FileFormat.JSON,
            request.headers.get("content-encoding", ""),
            gateway.settings.max_body,
        )
    if report.broken and not report.spans:
        raise Problem(
            400,
            "the export cannot be read",
            code="TR434",
            message=report.problems[0].reason if report.problems else "it is no export",
            hint="Send an ExportTraceServiceRequest.",
        )
    if report.spans:
        await _store(gateway, plain, kind, caller_of(request))
    return _taken(kind, report)


def _read(body: bytes, form: FileFormat, encoding: str, most: int) -> tuple[bytes, ReadReport]:
    plain = _unpacked(body, encoding, most)
    report = ReadReport()
    reader = unpacked(io.BytesIO(plain))
    taking = ExportReader(Converter(Intern(_no_row, _no_row), DEFAULT_LIMITS), report)
    try:
        for export in read_exports(reader, form, report):
            taking.read(export, {})
    except SettingsError as error:
        raise Problem(
            415, "unsupported media type", code=error.code, message=error.message, hint=error.hint
        ) from error
    except RecursionError:
        report.note(1, "it is nested too deeply")
        report.spans = 0
    return plain, report


def _no_row(_: str) -> int:
    return 0


def _unpacked(body: bytes, encoding: str, most: int) -> bytes:
    if encoding.lower() in {"", "identity"}:
        return body
    if encoding.lower() != "gzip":
        raise Problem(
            415,
            "unsupported content encoding",
            code="TR434",
            message=f"exports come plain or with gzip, not with {encoding[:100]!r}",
        )
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            plain = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Problem(
            400, "the export cannot be read", code="TR434", message=f"gzip: {error}"
        ) from error
    if len(plain) > most:
        raise Problem(
            413,
            "request too large",
            code="TR425",
            message=f"the export is larger than {most:,} bytes when it is unpacked",
        )
    return plain


async def _store(gateway: Gateway, plain: bytes, kind: str, caller: Caller) -> None:
    headers = {"Content-Type": kind}
    if caller.tenant_id is not None:
        headers[TENANT] = caller.tenant_id
    if caller.sees_all:
        headers[JOINS] = "1"
    if len(plain) > _LONGEST:
        keep = gateway.limits.span_days * 86_400
        headers[REFERENCE] = await gateway.states.objects.put(plain, keep=keep)
        plain = b""
    await gateway.link.store(gateway.names.foreign(gateway.name), plain, headers=headers)


def _taken(kind: str, report: ReadReport) -> Response:
    refused = sum(report.refused.values()) + report.broken
    if kind == _PROTO:
        return Response(_partial(refused, report), media_type=_PROTO)
    if not refused:
        return Json({})
    return Json({"partialSuccess": {"rejectedSpans": str(refused), "errorMessage": _why(report)}})


def _why(report: ReadReport) -> str:
    reasons = [*report.refused, *(one.reason for one in report.problems)]
    return "; ".join(reasons[:3])


def _partial(refused: int, report: ReadReport) -> bytes:
    """Return an ExportTraceServiceResponse: field 1 holds the count (1) and the reasons (2)."""
    if not refused:
        return b""
    text = _why(report).encode()
    inner = b"\x08" + _varint(refused) + b"\x12" + _varint(len(text)) + text
    return b"\x0a" + _varint(len(inner)) + inner


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
