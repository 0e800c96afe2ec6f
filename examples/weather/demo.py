"""What ``make demo`` shows: a flow that works, the same flow on bad data, and why it failed."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DATA = HERE / "seattle-weather.csv"
BROKEN = ROOT / ".tailrace" / "demo" / "broken-weather.csv"
BAD_LINE = 718
FLOW = "examples/weather/flow.yaml"


def main() -> int:
    """Run the demo; return 0 when everything went as told."""
    tailrace = shutil.which("tailrace", path=str(Path(sys.executable).parent))
    if tailrace is None:
        print("install Tailrace first: make install", file=sys.stderr)
        return 2

    say("1  Four years of real weather: read, validate, fan out by year, compare, report.")
    good = run(tailrace, "run", FLOW)
    say("2  The span tree that run left behind. Nothing was configured, no service runs.")
    shown = run(tailrace, "trace", "show", "@last")

    write_broken_copy()
    say(f"3  The same flow on a copy of the data whose line {BAD_LINE} is broken.")
    bad = run(tailrace, "run", FLOW, "-p", f"source={BROKEN.relative_to(ROOT)}")
    say("4  Where it failed, and why.")
    seen = run(tailrace, "trace", "show", "@last-failed", "--include-events")

    say("Try next:")
    command = Path(tailrace).relative_to(ROOT) if Path(tailrace).is_relative_to(ROOT) else tailrace
    for rest, meaning in NEXT:
        print(f"  {command} {rest:<49} {meaning}")
    print()
    expected = (good, shown, bad, seen) == (0, 0, 1, 0)
    return 0 if expected else 1


NEXT = (
    (f"flow show {FLOW}", "the flow as a tree"),
    ("trace list", "every run so far"),
    ("trace show @last-failed --format waterfall", "where the time went"),
    ("init my_flow", "a flow of your own"),
)


def say(text: str) -> None:
    """Print a heading."""
    bold = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold[0]}{text}{bold[1]}", flush=True)


def run(tailrace: str, *arguments: str) -> int:
    """Show a command, run it in the repository's folder, and return its exit code."""
    print(f"$ tailrace {shlex.join(arguments)}\n", flush=True)
    code = subprocess.run([tailrace, *arguments], cwd=ROOT, check=False).returncode  # noqa: S603 - our own command
    print(f"[exit code {code}]", flush=True)
    return code


def write_broken_copy() -> None:
    """Write a copy of the data in which one temperature is a word."""
    lines = DATA.read_text("utf-8").splitlines()
    cells = lines[BAD_LINE - 1].split(",")
    lines[BAD_LINE - 1] = ",".join([*cells[:2], "mild", *cells[3:]])
    BROKEN.parent.mkdir(parents=True, exist_ok=True)
    BROKEN.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
