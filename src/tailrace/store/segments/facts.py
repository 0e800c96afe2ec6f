"""What stands in stored intrinsics and in the bodies of scopes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tailrace.store.foreign.bodies import read_scope
from tailrace.traceql.tree import IntrinsicName

_N = IntrinsicName
OF_SPANS = (_N.NAME, _N.STATUS, _N.STATUS_MESSAGE, _N.KIND)
OF_SCOPES = (_N.INSTRUMENTATION_NAME, _N.INSTRUMENTATION_VERSION)
OF_EVENTS = (_N.EVENT_NAME, _N.EVENT_TIME_SINCE_START)
OF_LINKS = (_N.LINK_TRACE_ID, _N.LINK_SPAN_ID)
STORED_INTRINSICS = tuple(one.value for one in (*OF_SPANS, *OF_SCOPES, *OF_EVENTS, *OF_LINKS))


def scope_facts(body: str) -> Mapping[str, Any]:
    """Return name and version of a scope, by the names of their columns."""
    scope = read_scope(body)
    values = (scope.name, scope.version)
    return dict(zip((name.value for name in OF_SCOPES), values, strict=True))


def scope_attributes(body: str) -> Mapping[str, Any]:
    """Return the attributes of a scope."""
    return read_scope(body).attributes
