"""The shapes that events had over the years, each brought to the present one.

``v0`` has 8 keys, ``v1`` 14, ``v2`` 15; ``dead-letter`` has 7 and no type of event; ``tailrace``
is this program's own JSON; ``foreign`` is any other object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tailrace.model.event import EventStatus
from tailrace.model.failure import FailureClass

_CATEGORIES = {
    "network": ("transient", FailureClass.NETWORK),
    "rate_limit": ("transient", FailureClass.THROTTLED),
    "api_error": ("transient", FailureClass.UNKNOWN),
    "auth_error": ("permanent", FailureClass.AUTH),
    "validation": ("permanent", FailureClass.VALIDATION),
    "transient": ("transient", FailureClass.UNKNOWN),
    "permanent": ("permanent", FailureClass.UNKNOWN),
}
_STATUSES = {
    "success": EventStatus.SUCCESS,
    "ok": EventStatus.SUCCESS,
    "error": EventStatus.FAILED,
    "failure": EventStatus.FAILED,
    "running": EventStatus.PENDING,
    **{status.value: status for status in EventStatus},
}
_ERROR_KEYS = {
    "error_type": "type",
    "error_message": "message",
    "error_category": "category",
    "stack_trace": "stacktrace",
}
_RETRY_KEYS = {"retry_count": "count"}
_INSTANTS = ("timestamp", "time", "ts", "created_at", "date")
"""Keys under which foreign objects keep their instant."""


def shape_of(found: Mapping[str, Any]) -> str:
    """Return the name of an object's shape."""
    if "event_id" not in found:
        return "foreign"
    if "event_type" not in found:
        return "dead-letter" if "error_category" in found else "foreign"
    if "schema" in found:
        return "tailrace"
    if "recovery_actions" in found:
        return "v2"
    return "v1" if "status" in found or "error_info" in found else "v0"


def present_shape(found: Mapping[str, Any], shape: str, name: str) -> dict[str, Any]:
    """Return an object in the present shape; ``timestamp`` is empty where it has none.

    Args:
        found: the object.
        shape: as ``shape_of`` says.
        name: of the file, without its ending: the source of what names none.
    """
    return _READERS[shape](found, name)


def _whole(found: Mapping[str, Any], _name: str) -> dict[str, Any]:
    keys = dict(found)
    for key in ("data", "error_info", "retry_info"):
        if keys.get(key) is None:
            keys[key] = {}
    for key in ("tags", "recovery_actions"):
        if keys.get(key) is None:
            keys[key] = []
    keys["status"] = _status(keys)
    return keys


def _older(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Rename what ``v1`` called otherwise."""
    keys = _whole(found, name)
    error = _renamed(keys["error_info"], _ERROR_KEYS)
    if "category" in error:
        error["category"], error["class"] = _category(error["category"])
    keys["error_info"] = error
    keys["retry_info"] = _renamed(keys["retry_info"], _RETRY_KEYS)
    return keys


def _dead_letter(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    rest = {key: value for key, value in found.items() if key not in {*_ERROR_KEYS, *_RETRY_KEYS}}
    context = rest.pop("context", None)
    error = _renamed({key: found[key] for key in _ERROR_KEYS if key in found}, _ERROR_KEYS)
    error["category"], error["class"] = _category(found["error_category"])
    error["context"] = context if isinstance(context, dict) else {"context": context}
    return {
        **rest,
        "event_type": "error",
        "source": name,
        "data": error["context"],
        "status": EventStatus.DEAD_LETTER.value,
        "error_info": error,
        "retry_info": {"count": found.get("retry_count", 0), "exhausted": True},
        "importance": 5,
    }


def _foreign(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    kind = found.get("event_type") or found.get("type") or "imported"
    source = found.get("source")
    instant = next((found[key] for key in _INSTANTS if found.get(key)), "")
    return {
        "timestamp": instant,
        "event_type": kind if isinstance(kind, str) else "imported",
        "source": source if isinstance(source, str) and source else name,
        "data": dict(found),
        "status": _status(found),
        "tags": ["imported"],
    }


_READERS: dict[str, Callable[[Mapping[str, Any], str], dict[str, Any]]] = {
    "tailrace": _whole,
    "v2": _whole,
    "v1": _older,
    "v0": _older,
    "dead-letter": _dead_letter,
    "foreign": _foreign,
}


def _status(found: Mapping[str, Any]) -> str:
    """Return the status an object says or lets see: its own, its data's, its exit code's."""
    data = found.get("data")
    for word in (found.get("status"), data.get("status") if isinstance(data, dict) else None):
        if isinstance(word, str) and word.lower() in _STATUSES:
            return _STATUSES[word.lower()].value
    code = found.get("exit_code")
    if isinstance(code, int) and code != 0:
        return EventStatus.FAILED.value
    if found.get("error_info"):
        return EventStatus.FAILED.value
    return EventStatus.SUCCESS.value


def _category(word: Any) -> tuple[str, str]:
    category, class_ = _CATEGORIES.get(str(word).lower(), ("unknown", FailureClass.UNKNOWN))
    return category, class_.value


def _renamed(found: Any, names: Mapping[str, str]) -> dict[str, Any]:
    if not isinstance(found, dict):
        return {"message": str(found)} if found else {}
    return {names.get(key, key): value for key, value in found.items()}
