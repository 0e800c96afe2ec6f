"""What loading a flow gives: the flow, and all that was found in it."""

from __future__ import annotations

from msgspec import Struct

from tailrace.model import Finding, Flow


class LoadedFlow(Struct, frozen=True):
    """A flow with its findings. ``flow`` is None when there is too little left to build one.

    A flow that comes with errors may be shown, never run.
    """

    flow: Flow | None
    findings: list[Finding]
