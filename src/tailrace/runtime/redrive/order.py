"""How letters are to be redriven, and what may be asked for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypedDict

import msgspec

from tailrace.errors import DefinitionError
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import FailureFilterData
from tailrace.policy import PolicyValidator
from tailrace.runtime.redrive.outcome import RedriveMode
from tailrace.runtime.redrive.patch import check_patch

_NAME = re.compile(r"[\w.:@/+-]{1,128}")
_FROM_ZERO = ("rate", "canary", "limit")
_MOST_PARALLEL = 64


class Order(TypedDict, total=False):
    """The fields of ``RedriveBatch`` that somebody may ask for, with its defaults."""

    reason: str
    mode: str
    rate: float
    canary: int
    limit: int
    stop_ratio: float
    patch: Any
    policy: Any
    force: bool
    batch_id: str


def check_order(order: Mapping[str, Any]) -> None:
    """Accept an order; fields that are missing are.

    Raises:
        DefinitionError: a field is out of its bounds (TR346), or the patch is no patch (TR345).
        PolicyValidationError: the policy is not valid; all problems at once.
    """
    _check_mode(order.get("mode", RedriveMode.RESUME))
    for name in _FROM_ZERO:
        _demand(name, order.get(name, 0), 0, math.inf)
    _demand("stop_ratio", order.get("stop_ratio", 1.0), 0, 1)
    _demand("parallel", order.get("parallel", 1), 1, _MOST_PARALLEL)
    name = order.get("batch_id", "")
    if name and not _NAME.fullmatch(name):
        raise DefinitionError(
            f"{name!r} cannot name a batch",
            code="TR346",
            hint="use 1 to 128 letters, digits and . : @ / + - _",
        )
    check_patch(order.get("patch"))
    if order.get("policy") is not None:
        PolicyValidator.validate(order["policy"])


def _check_mode(mode: str) -> None:
    known = [known.value for known in RedriveMode]
    if mode not in known:
        near = get_close_matches(mode, known, 1)
        raise DefinitionError(
            f"unknown mode {mode!r} (known: {', '.join(known)})",
            code="TR346",
            hint=f"did you mean {near[0]!r}?" if near else "leave it out to resume",
        )


def _demand(name: str, value: float, least: float, most: float) -> None:
    if isinstance(value, bool) or not (least <= value <= most and math.isfinite(value)):
        bounds = f"at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
        raise DefinitionError(
            f"{name} is {value!r}; it must be {bounds}",
            code="TR346",
            hint=f"leave {name} out for its default",
        )


def filter_data(wanted: FailureFilter) -> FailureFilterData:
    """Return a filter as JSON-able data, empty fields left out."""
    data: FailureFilterData = msgspec.json.decode(msgspec.json.encode(wanted))
    return {key: value for key, value in data.items() if value not in ("", None, [])}


def filter_of(data: FailureFilterData) -> FailureFilter:
    """Return the filter that ``filter_data`` was given."""
    return msgspec.convert(data, FailureFilter)


def without_end(data: FailureFilterData) -> FailureFilterData:
    """Return a filter's data without the instant up to which it looks."""
    return {key: value for key, value in data.items() if key != "until_ns"}
