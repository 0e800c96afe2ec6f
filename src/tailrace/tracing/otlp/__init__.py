"""Spans as other programs write and read them: OTLP, Chrome's traces, Jaeger's JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.lazy import lazy_names

if TYPE_CHECKING:
    from tailrace.tracing.otlp.chrome import chrome_trace
    from tailrace.tracing.otlp.files import (
        Export,
        FileFormat,
        guess_format,
        read_exports,
        read_spans,
        unpacked,
    )
    from tailrace.tracing.otlp.jaeger import jaeger_trace
    from tailrace.tracing.otlp.refused import Problem, ReadReport
    from tailrace.tracing.otlp.write_json import encode_export

_HOMES = {
    "Export": "files",
    "FileFormat": "files",
    "Problem": "refused",
    "ReadReport": "refused",
    "chrome_trace": "chrome",
    "encode_export": "write_json",
    "guess_format": "files",
    "jaeger_trace": "jaeger",
    "read_exports": "files",
    "read_spans": "files",
    "unpacked": "files",
}

__all__ = [
    "Export",
    "FileFormat",
    "Problem",
    "ReadReport",
    "chrome_trace",
    "encode_export",
    "guess_format",
    "jaeger_trace",
    "read_exports",
    "read_spans",
    "unpacked",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
