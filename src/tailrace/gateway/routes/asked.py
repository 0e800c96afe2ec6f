"""What a route wants to know of its request."""

from __future__ import annotations

from typing import cast

from starlette.requests import Request

from tailrace.gateway.caller import ANYBODY, Caller
from tailrace.gateway.service import Gateway


def gateway_of(request: Request) -> Gateway:
    """Return the gateway that serves the request."""
    return cast("Gateway", request.app.state.gateway)


def caller_of(request: Request) -> Caller:
    """Return who asks."""
    return getattr(request.state, "caller", ANYBODY)


def tenant_of(caller: Caller) -> str | None:
    """Return the tenant whose runs are listed; None: all."""
    return None if caller.sees_all else caller.tenant_id
