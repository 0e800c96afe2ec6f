"""Measure speed and memory and print them beside raw limits of the same run: ``make bench``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from row import Row
from suites import LARGE, SUITES, Bench

START, END = "<!-- results -->", "<!-- end of results -->"
STATE = Path(__file__).resolve().parent.parent / ".tailrace"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the chosen suites; return 1 when an aim is missed and ``--strict`` is given."""
    options = _options(argv)
    rows: list[Row] = []
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as folder:
        bench = Bench(folder=Path(folder), quick=options.quick)
        for name in options.suites or [name for name in SUITES if name not in LARGE]:
            print(f"measuring {name} …", file=sys.stderr)
            rows.extend(SUITES[name](bench))
    lines = [machine(), "", *table(rows)]
    if options.json:
        body = {"machine": machine(), "rows": [_to_dict(row) for row in rows]}
        print(json.dumps(body, ensure_ascii=False, indent=2))
    else:
        print("\n".join(lines))
    if options.page is not None:
        write_results(options.page, lines)
    missed = any(row.is_met is False for row in rows)
    return 1 if missed and options.strict else 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run.py", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repetitions")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--strict", action="store_true", help="exit 1 when an aim is missed")
    parser.add_argument(
        "--folder",
        type=Path,
        default=STATE,
        help="where to put the databases; a real disk, not one in memory (%(default)s)",
    )
    parser.add_argument("--page", type=Path, help="write the results into this page, too")
    options = parser.parse_args(argv)
    unknown = [name for name in options.suites if name not in SUITES]
    if unknown:
        parser.error(f"no suite {unknown[0]!r} (known: {', '.join(SUITES)})")
    return options


def write_results(page: Path, lines: Sequence[str]) -> None:
    """Replace what stands between the two marks of a Markdown page."""
    before, _, rest = page.read_text("utf-8").partition(START)
    after = rest.partition(END)[2]
    page.write_text("\n".join([f"{before}{START}", "", *lines, "", f"{END}{after}"]), "utf-8")


def machine() -> str:
    """Return one line about what this was measured on."""
    return (
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    )


def table(rows: Sequence[Row]) -> list[str]:
    """Return a Markdown table whose columns line up in a terminal, too."""
    head = ("measurement", "value", "raw limit", "ratio", "aim", "met")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    rule = [f"{'-' * (width - 1)}:" for width in widths]
    rule[0], rule[4] = "-" * widths[0], "-" * widths[4]
    lines = [_line(head, widths), f"| {' | '.join(rule)} |"]
    return lines + [_line(line, widths) for line in cells[1:]]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    left = {0, 4}
    padded = [
        cell.ljust(width) if column in left else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


def _cells(row: Row) -> tuple[str, ...]:
    limit = "" if row.limit is None else f"{_number(row.limit)} {row.unit} ({row.limit_name})"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    aims = []
    if row.most is not None:
        aims.append(f"{_number(row.most)} {row.unit}")
    if row.most_ratio is not None:
        aims.append(f"{row.most_ratio:g} times")
    met = {True: "yes", False: "NO", None: ""}[row.is_met]
    aim = (" or " if row.either else " and ").join(aims)
    return (row.name, f"{_number(row.value)} {row.unit}", limit, ratio, aim, met)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _to_dict(row: Row) -> dict[str, object]:
    return {**asdict(row), "ratio": row.ratio, "is_met": row.is_met}


if __name__ == "__main__":
    sys.exit(main())
