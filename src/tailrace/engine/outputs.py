"""Where else a node's output goes: the names its ``outputs`` give."""

from __future__ import annotations

from typing import Any

from tailrace.engine.frame import Frame
from tailrace.engine.scratch import Scratch


def write_outputs(targets: tuple[str, ...], value: Any, scratch: Scratch, frame: Frame) -> None:
    """Write the output under dotted names below ``scratch``, ``params`` or ``results``."""
    for target in targets:
        root, *keys = target.split(".")
        if root == "scratch":
            holder: Any = scratch
        elif root == "params":
            holder = frame.flow.plain_params
        else:
            holder = frame.results
            frame.order.setdefault(keys[0], frame.sequence)
        for key in keys[:-1]:
            holder = holder.setdefault(key, {})
        holder[keys[-1]] = value
