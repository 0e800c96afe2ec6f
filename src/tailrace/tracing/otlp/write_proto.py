"""Spans as OTLP's protobuf, through the official package."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from tailrace.errors import SettingsError
from tailrace.model.span import Span
from tailrace.tracing.otlp.read_proto import EXTRA
from tailrace.tracing.otlp.write_json import cleaned, export_of

_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


def encode_proto(spans: Iterable[Span]) -> bytes:
    """Return spans as one export.

    Raises:
        SettingsError: the package that writes it is not installed (TR196).
    """
    try:
        from google.protobuf.json_format import ParseDict  # noqa: PLC0415 - an extra
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415 - an extra
            ExportTraceServiceRequest,
        )
    except ImportError as error:
        raise SettingsError(
            f"OTLP in protobuf needs the package opentelemetry-proto: {error}",
            code="TR196",
            hint=f"pip install '{EXTRA}', or choose otlp-json",
            details={"package": "opentelemetry-proto"},
        ) from error
    document = _with_base64(cleaned(export_of(spans)))
    body: bytes = ParseDict(document, ExportTraceServiceRequest()).SerializeToString()
    return body


def _with_base64(value: Any) -> Any:
    """Return an export with its ids as protobuf's own JSON writes bytes; OTLP's writes hex."""
    match value:
        case dict():
            return {
                key: base64.b64encode(bytes.fromhex(item)).decode()
                if key in _IDS and item.__class__ is str
                else _with_base64(item)
                for key, item in value.items()
            }
        case list():
            return [_with_base64(item) for item in value]
        case _:
            return value
