"""Run one foreach in a process of its own: ``loop_memory.py ITEMS DB``.

Prints seconds and the peak of resident memory in bytes, as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from shapes import loop


def peak_memory() -> int:
    """Return the most memory this process has had resident, in bytes.

    Linux hands ``ru_maxrss`` down from the parent that started the process, but not ``VmHWM``.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text("ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    """Measure one run."""
    items, db = int(sys.argv[1]), sys.argv[2]
    flow = loop(items)
    started = time.perf_counter()
    result = flow.run(db=db)
    took = time.perf_counter() - started
    assert result.output[-1] == items - 1  # noqa: S101 - a benchmark of the wrong thing is none
    print(json.dumps({"seconds": took, "memory": peak_memory()}))


if __name__ == "__main__":
    main()
