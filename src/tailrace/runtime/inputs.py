"""What a run was started with, kept with it so that it can be started again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from tailrace.codecs import Encoded, decode, encode
from tailrace.errors import StoreError
from tailrace.model import Checkpoint, Policy

_NONE = "none"
"""Stands as the codec of inputs that no codec knows; their body says why."""

_NOTHING: Mapping[str, Mapping[str, Any]] = {}


class RunInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was started with."""

    params: dict[str, Any] = {}
    payload: Any = None
    scratch: dict[str, Any] = {}
    policy: dict[str, Any] | None = None
    """The policy that overrode the flow's, as written."""
    target: str = ""
    """Where the flow can be loaded from; empty: nowhere."""
    changes: dict[str, dict[str, Any]] = {}
    """Inputs of nodes that were given other values, by static path."""
    taken_back: list[str] = []
    """Static paths of nodes whose earlier results this run did not want."""

    @property
    def override(self) -> Policy | None:
        """The policy that overrode the flow's."""
        if self.policy is None:
            return None
        from tailrace.policy import PolicyValidator  # noqa: PLC0415 - few runs are given a policy

        return PolicyValidator.from_dict(self.policy)


def encode_inputs(
    params: Mapping[str, Any],
    payload: Any,
    scratch: Mapping[str, Any],
    *,
    policy: Policy | None,
    target: str,
    changes: Mapping[str, Mapping[str, Any]] = _NOTHING,
    taken_back: Collection[str] = (),
) -> Encoded:
    """Return the inputs as bytes; where no codec knows them, why."""
    data: dict[str, Any] = {"target": target, "params": dict(params)}
    if payload is not None:
        data["payload"] = payload
    if scratch:
        data["scratch"] = dict(scratch)
    if policy is not None:
        from tailrace.policy import to_dict  # noqa: PLC0415 - few runs are given a policy

        data["policy"] = to_dict(policy)
    if changes:
        data["changes"] = {path: dict(values) for path, values in changes.items()}
    if taken_back:
        data["taken_back"] = sorted(taken_back)
    encoded = encode(data)
    if isinstance(encoded, Encoded):
        return encoded
    return Encoded(_NONE, encoded.reason.encode("utf-8", "backslashreplace"))


def decode_inputs(checkpoint: Checkpoint) -> RunInputs:
    """Return the inputs that were kept.

    Raises:
        StoreError: they could not be kept (TR517), or cannot be read.
    """
    if checkpoint.codec == _NONE:
        why = checkpoint.body.decode("utf-8", "replace")
        raise StoreError(
            f"the inputs of this run could not be kept: {why}",
            code="TR517",
            hint="start it again by hand with inputs that JSON or a registered codec knows",
        )
    value = decode(checkpoint.codec, checkpoint.body)
    try:
        return msgspec.convert(value, RunInputs)
    except msgspec.ValidationError as error:
        raise StoreError(
            f"the inputs of this run cannot be read: {error}",
            code="TR507",
            hint="start it again by hand; tailrace db check looks for damage",
        ) from error
