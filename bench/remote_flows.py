"""The flows that the workers of the measurements know."""

from __future__ import annotations

import time
from pathlib import Path

from tailrace import Flow, task
from tailrace.model import Seq


@task
def increase(n: int) -> int:
    """Return the next number."""
    return n + 1


@task
def stay(n: int, folder: str) -> int:
    """Stay for a minute the first time, and not at all the second; both leave a file."""
    mark = Path(folder, "first")
    if mark.exists():
        Path(folder, "second").touch()
        return n
    mark.touch()
    time.sleep(60)
    return n


one = Flow("one", increase.node)
two = Flow("two", Seq(children=(increase.node, stay.node)))
