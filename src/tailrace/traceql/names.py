"""The words of the language and the types of what they name."""

from __future__ import annotations

from tailrace.traceql.limits import MAX_INT, MIN_INT
from tailrace.traceql.tree import IntrinsicName, Type

STATUSES = ("ok", "error", "unset")
KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
NIL = "nil"

_N = IntrinsicName
INTRINSIC_TYPES: dict[IntrinsicName, Type] = {
    _N.DURATION: Type.DURATION,
    _N.NAME: Type.STRING,
    _N.STATUS: Type.STATUS,
    _N.STATUS_MESSAGE: Type.STRING,
    _N.KIND: Type.KIND,
    _N.PARENT: Type.NIL,
    _N.ROOT_NAME: Type.STRING,
    _N.ROOT_SERVICE_NAME: Type.STRING,
    _N.TRACE_DURATION: Type.DURATION,
    _N.NESTED_SET_LEFT: Type.INT,
    _N.NESTED_SET_RIGHT: Type.INT,
    _N.NESTED_SET_PARENT: Type.INT,
    _N.TRACE_ID: Type.STRING,
    _N.SPAN_ID: Type.STRING,
    _N.SPAN_PARENT_ID: Type.STRING,
    _N.SPAN_CHILD_COUNT: Type.INT,
    _N.EVENT_NAME: Type.STRING,
    _N.EVENT_TIME_SINCE_START: Type.DURATION,
    _N.LINK_TRACE_ID: Type.STRING,
    _N.LINK_SPAN_ID: Type.STRING,
    _N.INSTRUMENTATION_NAME: Type.STRING,
    _N.INSTRUMENTATION_VERSION: Type.STRING,
}

UNSCOPED = {name.value: name for name in _N if ":" not in name.value} | {
    "childCount": _N.SPAN_CHILD_COUNT
}
SCOPED: dict[str, dict[str, IntrinsicName]] = {
    "trace:": {
        "duration": _N.TRACE_DURATION,
        "rootName": _N.ROOT_NAME,
        "rootService": _N.ROOT_SERVICE_NAME,
        "id": _N.TRACE_ID,
    },
    "span:": {
        "duration": _N.DURATION,
        "name": _N.NAME,
        "kind": _N.KIND,
        "status": _N.STATUS,
        "statusMessage": _N.STATUS_MESSAGE,
        "id": _N.SPAN_ID,
        "parentID": _N.SPAN_PARENT_ID,
        "childCount": _N.SPAN_CHILD_COUNT,
    },
    "event:": {"name": _N.EVENT_NAME, "timeSinceStart": _N.EVENT_TIME_SINCE_START},
    "link:": {"traceID": _N.LINK_TRACE_ID, "spanID": _N.LINK_SPAN_ID},
    "instrumentation:": {
        "name": _N.INSTRUMENTATION_NAME,
        "version": _N.INSTRUMENTATION_VERSION,
    },
}

ID_DIGITS = {
    _N.TRACE_ID: 32,
    _N.LINK_TRACE_ID: 32,
    _N.SPAN_ID: 16,
    _N.SPAN_PARENT_ID: 16,
    _N.LINK_SPAN_ID: 16,
}
"""Hexadecimal digits of the ids."""
MIN_MAX_INT = {"minInt": MIN_INT, "maxInt": MAX_INT}
