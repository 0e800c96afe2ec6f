"""Stacks of a process that dies of a signal."""

from __future__ import annotations

import faulthandler
import subprocess
import sys
from pathlib import Path

import pytest

from tailrace.errors import SettingsError
from tailrace.failures.supervision.fault_file import enable_faulthandler

DIES = """
import ctypes, sys
from pathlib import Path
from tailrace.failures.supervision.fault_file import enable_faulthandler

def deep():
    ctypes.string_at(0)

file = enable_faulthandler(Path(sys.argv[1]))
print(file.path, flush=True)
if sys.argv[2] == "die":
    deep()
"""


def run(folder: Path, how: str) -> tuple[int, Path]:
    done = subprocess.run(
        [sys.executable, "-c", DIES, str(folder), how],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, Path(done.stdout.strip())


def test_a_process_that_dies_of_a_signal_leaves_its_stacks_in_a_file_of_its_own(
    tmp_path: Path,
) -> None:
    code, path = run(tmp_path / "faults", "die")
    assert code < 0
    assert path.parent == tmp_path / "faults"
    assert "in deep" in path.read_text()


def test_a_process_that_ends_well_leaves_no_file(tmp_path: Path) -> None:
    code, path = run(tmp_path, "live")
    assert code == 0
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []


def test_closing_twice_is_fine_and_other_files_stay(tmp_path: Path) -> None:
    was_enabled = faulthandler.is_enabled()
    other = tmp_path / "fault-1.txt"
    other.write_text("Fatal Python error")
    try:
        file = enable_faulthandler(tmp_path)
        file.close()
        file.close()
        assert list(tmp_path.iterdir()) == [other]
    finally:
        if was_enabled:
            faulthandler.enable(sys.__stderr__ or sys.stderr)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(SettingsError, match=r"taken.* cannot be written to") as caught:
        enable_faulthandler(taken)
    assert caught.value.code == "TR327"
    assert caught.value.hint
