"""The command line in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nursery import nursery

OURS = ("TAILRACE_", "GITHUB_", "COLUMNS")
"""What would change what a command does; test runners set the width of their own terminal."""
TERMINAL = ("LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR")
"""What would change how a command looks."""


def environ(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of this process without what would change what a command does."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
    return plain | dict(more or {})


def start(folder: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start a command; what it prints can be read."""
    given: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environ()}
    command = [sys.executable, "-m", "tailrace", *arguments]
    return subprocess.Popen(command, cwd=folder, text=True, **given | options)


def tailrace(
    folder: Path,
    *arguments: str,
    typed: str = "",
    more: Mapping[str, str] | None = None,
    seconds: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in a process that need not load it where that is the same.

    Args:
        folder: where it runs.
        arguments: what stands behind ``tailrace``.
        typed: its standard input.
        more: variables of its environment.
        seconds: the longest it may take.
    """
    variables = environ(more)
    if nursery().serves(variables, typed):
        return nursery().run(folder, arguments, environ=variables, typed=typed, seconds=seconds)
    return subprocess.run(
        [sys.executable, "-m", "tailrace", *arguments],
        cwd=folder,
        env=variables,
        input=typed,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
