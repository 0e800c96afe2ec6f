"""The benchmark measures the real thing and says whether its aims are met."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "bench" / "run.py"), "--quick", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def rows_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return rows


def test_each_value_stands_beside_a_limit_of_the_same_run(tmp_path: Path) -> None:
    done = bench("rows", "groups", "--json", "--folder", str(tmp_path))
    assert done.returncode == 0, done.stderr
    rows = rows_of(done)
    limited = [row for row in rows if row["limit"] is not None]
    assert len(limited) == 5
    for row in limited:
        assert row["value"] > 0
        assert row["ratio"] == row["value"] / row["limit"]
    assert not list(tmp_path.iterdir())


def test_results_are_written_between_the_marks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n", "utf-8")
    done = bench("rows", "--page", str(page), "--folder", str(tmp_path / "work"))
    assert done.returncode == 0, done.stderr
    text = page.read_text("utf-8")
    assert text.startswith("before\n<!-- results -->\n")
    assert text.endswith("\n<!-- end of results -->\nafter\n")
    assert "| span rows into the store " in text
    assert "old" not in text


def test_an_unknown_suite_is_refused_with_the_known_ones() -> None:
    done = bench("chain")
    assert done.returncode == 2
    assert "no suite 'chain' (known: chains, scale, loops" in done.stderr
