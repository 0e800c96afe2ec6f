"""Resolve the dependencies of pyproject.toml and write the pins: ``make lock``.

``requirements.txt`` holds what runs Tailrace and what builds it, ``requirements-dev.txt`` the
tools beside that. pip resolves both; nothing is installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Written by `make lock` from pyproject.toml; do not edit.\n"


def resolve(requirements: list[str]) -> dict[str, str]:
    """Return the version of every distribution that the requirements need, by name."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
    command += ["--ignore-installed", "--report", "-", *requirements]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 - pip itself
    found = [entry["metadata"] for entry in json.loads(answer.stdout)["install"]]
    return {metadata["name"]: metadata["version"] for metadata in found}


def write(path: Path, pins: dict[str, str], *, first: str = "") -> None:
    """Write one pin a line, sorted without regard to case."""
    lines = [f"{name}=={pins[name]}\n" for name in sorted(pins, key=str.lower)]
    path.write_text(HEADER + first + "".join(lines), "utf-8")
    print(f"wrote {path.name}: {len(lines)} pins")  # noqa: T201 - the voice of a script


def main() -> None:
    """Pin what runs Tailrace first, then the tools around it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    base = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    runtime = resolve(base)
    pinned = [f"{name}=={version}" for name, version in runtime.items()]
    everything = resolve([*pinned, *project["dependency-groups"]["dev"]])
    tools = {name: version for name, version in everything.items() if name not in runtime}
    write(ROOT / "requirements.txt", runtime)
    write(ROOT / "requirements-dev.txt", tools, first="--requirement requirements.txt\n")


if __name__ == "__main__":
    main()
