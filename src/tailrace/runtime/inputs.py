"""What a run was started with, kept with it so that it can be started again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tailrace.codecs import Encoded, decode, encode
from tailrace.errors import StoreError
from tailrace.model import Checkpoint, Policy
from tailrace.policy import PolicyValidator
from tailrace.policy.validate import to_dict

_NONE = "none"
"""Stands as the codec of inputs that no codec knows; their body says why."""


class RunInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was started with."""

    params: dict[str, Any] = {}
    payload: Any = None
    scratch: dict[str, Any] = {}
    policy: dict[str, Any] | None = None
    """The policy that overrode the flow's, as written."""
    target: str = ""
    """Where the flow can be loaded from; empty: nowhere."""

    @property
    def override(self) -> Policy | None:
        """The policy that overrode the flow's."""
        return None if self.policy is None else PolicyValidator.from_dict(self.policy)


def encode_inputs(
    params: Mapping[str, Any],
    payload: Any,
    scratch: Mapping[str, Any],
    *,
    policy: Policy | None,
    target: str,
) -> Encoded:
    """Return the inputs as bytes; where no codec knows them, why."""
    data: dict[str, Any] = {"target": target, "params": dict(params)}
    if payload is not None:
        data["payload"] = payload
    if scratch:
        data["scratch"] = dict(scratch)
    if policy is not None:
        data["policy"] = to_dict(policy)
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
    return RunInputs(**decode(checkpoint.codec, checkpoint.body))
