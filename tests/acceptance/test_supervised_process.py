"""A process whose work crashes too often, seen from outside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path
from tailrace.failures.supervision.child import Child
from tailrace.failures.supervision.supervisor import run_supervised

starts = Path(sys.argv[1])
last = int(sys.argv[2])

async def pull_messages():
    with starts.open("a") as file:
        file.write("start\\n")
    begun = len(starts.read_text().splitlines())
    if begun <= last:
        raise ConnectionResetError(f"broker gone, start {begun}")

sys.exit(run_supervised([Child("pull", pull_messages)], name="w1"))
"""


def supervised(folder: Path, crashes: int) -> tuple[subprocess.CompletedProcess[str], int]:
    starts = folder / "starts"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(starts), str(crashes)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done, len(starts.read_text().splitlines())


def test_a_worker_that_crashes_four_times_in_five_seconds_exits_with_70_and_its_last_failure(
    tmp_path: Path,
) -> None:
    done, starts = supervised(tmp_path, crashes=4)
    assert (done.returncode, starts) == (70, 4)
    assert "intensity_exceeded: more than 3 restarts within 5 s" in done.stderr
    assert "ConnectionResetError: broker gone, start 4" in done.stderr
    assert "F-" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_worker_that_crashes_three_times_goes_on_and_ends_well(tmp_path: Path) -> None:
    done, starts = supervised(tmp_path, crashes=3)
    assert (done.returncode, starts, done.stderr) == (0, 4, "")
