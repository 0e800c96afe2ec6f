"""What somebody has decided about a group of failures, as gateways tell one another."""

from __future__ import annotations

import msgspec
from msgspec import Struct


class GroupDecision(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to become of a group; the last decision about it counts."""

    v: int = 1
    fp_site: str
    tenant: str = ""
    """Whose view of the group it is; empty: that of those who see all tenants."""
    state: str = "open"
    """``resolved``, ``ignored`` or ``open``."""
    at_ns: int = 0
    """When, nanoseconds since the epoch; what fails later may open the group again."""
    until_ns: int = 0
    """Of an ignored group: when failures open it again; 0: never."""
    resolved_version: str = ""
    """Of a resolved group: the code that had failed last."""
    actor: str = ""
    reason: str = ""


encode_decision = msgspec.msgpack.Encoder().encode
decode_decision = msgspec.msgpack.Decoder(GroupDecision).decode
