"""The execution diary: appended by many, read from its end, and never confused by torn lines."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tailrace.diary import FILE_NAME, append_entry, last_failure
from tailrace.model.report import RuntimeExecutionReport


def write(folder: Path, flow: str, status: str, trace_id: str = "1", **facts: Any) -> None:
    report = RuntimeExecutionReport(**facts) if status == "FAILED" else None
    assert append_entry(folder, flow=flow, trace_id=trace_id, status=status, report=report)


def lines(folder: Path) -> list[dict[str, Any]]:
    """Return the entries; two processes that write at once may leave an empty line between."""
    text = (folder / FILE_NAME).read_text("utf-8")
    return [json.loads(line) for line in text.splitlines() if line]


def test_a_failed_run_leaves_its_node_reason_policy_and_input(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    report = RuntimeExecutionReport(
        failed_node_id="load",
        node_path="each[3].load",
        summary="ValueError: bad row 17",
        policy_snapshot={"timeout": 5.0},
        input_summary={"row": "17"},
    )
    append_entry(
        folder, flow="etl", trace_id="abc", status="FAILED", report=report, inputs={"day": "x"}
    )
    (entry,) = lines(folder)
    assert entry.pop("time").endswith("+00:00")
    assert entry == {
        "trace_id": "abc",
        "flow": "etl",
        "status": "FAILED",
        "params": {"day": "x"},
        "failed_node": "each[3].load",
        "summary": "ValueError: bad row 17",
        "policy_snapshot": {"timeout": 5.0},
        "input_summary": {"row": "17"},
    }


def test_the_last_run_of_the_same_flow_decides(tmp_path: Path) -> None:
    assert last_failure(tmp_path, "etl") is None
    write(tmp_path, "etl", "FAILED", "1", summary="old")
    write(tmp_path, "other", "COMPLETED", "2")
    assert (last_failure(tmp_path, "etl") or {})["summary"] == "old"
    write(tmp_path, "etl", "CANCELLED", "3")
    assert (last_failure(tmp_path, "etl") or {})["trace_id"] == "1"
    write(tmp_path, "etl", "COMPLETED", "4")
    assert last_failure(tmp_path, "etl") is None
    assert last_failure(tmp_path, "et") is None


def test_a_torn_line_is_passed_over_and_does_not_swallow_the_next(tmp_path: Path) -> None:
    write(tmp_path, "etl", "FAILED", "1", summary="whole")
    with (tmp_path / FILE_NAME).open("ab") as file:
        file.write(b'{"flow":"etl","status":"COMPL')
    assert (last_failure(tmp_path, "etl") or {})["trace_id"] == "1"
    write(tmp_path, "etl", "FAILED", "2", summary="after")
    assert (last_failure(tmp_path, "etl") or {})["trace_id"] == "2"


def test_an_entry_is_found_behind_many_others(tmp_path: Path) -> None:
    write(tmp_path, "rare é", "FAILED", "1", summary="far back")
    other = json.dumps({"flow": "other", "status": "COMPLETED", "params": {"x": "y" * 300}})
    with (tmp_path / FILE_NAME).open("a") as file:
        file.write(f"{other}\n" * 3000)
    assert (last_failure(tmp_path, "rare é") or {})["summary"] == "far back"


def test_bytes_that_are_no_diary_are_no_entry(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b'\xff\x00 "etl"\n[1, "etl"]\n"etl"\n\n')
    assert last_failure(tmp_path, "etl") is None


def test_text_that_utf_8_cannot_hold_is_written_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, "etl", "FAILED", "1", summary="\ud800")
    assert lines(tmp_path)[0]["summary"] == "\ud800"


def test_a_diary_that_cannot_be_written_is_a_warning_and_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        assert not append_entry(tmp_path / "logs", flow="etl", trace_id="1", status="COMPLETED")
    assert "the diary could not be written" in caplog.text
    assert last_failure(tmp_path / "logs", "etl") is None


PROGRAM = """
import sys
from pathlib import Path
from tailrace.diary import append_entry
for number in range(200):
    append_entry(Path(sys.argv[1]), flow=sys.argv[2], trace_id=str(number), status="COMPLETED",
                 inputs={"text": "x" * 3000})
"""


def test_several_processes_append_whole_lines(tmp_path: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path), name]) for name in "abc"
    ]
    assert [child.wait(timeout=60) for child in children] == [0, 0, 0]
    found = lines(tmp_path)
    assert len(found) == 600
    for name in "abc":
        mine = [entry["trace_id"] for entry in found if entry["flow"] == name]
        assert mine == [str(number) for number in range(200)]
