"""Processes of the command line that need not load it: forks of one that has.

A start of the interpreter with the package costs a quarter of a second, and tests make thousands.
What is forked is a process like any other, with its own folder, environment and streams, and it
ends as the interpreter ends. Tests of how the command line is loaded start their own.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

_AT_THE_START = ("PYTHON", "LC_", "LANG", "LD_", "TZ", "COVERAGE")
"""Variables that only the start of an interpreter reads."""
_ROOMS = ("engine", "errors", "failures", "flows", "model", "policy", "store")
_NOT_LOADED = ("tailrace.engine.child",)
_MORE = (
    *(f"tailrace.cli.{name}" for name in ("main", "run", "check", "trace", "runs", "letters")),
    *("tailrace.cli.letter_rows", "tailrace.cli.load_flow", "tailrace.cli.progress"),
    *("tailrace.client.sync", "tailrace.client.watching", "httpx"),
)
_EXTRAS = ("fastapi", "nats", "numpy", "opentelemetry", "pandas", "pydantic")
"""What changes what a run does once it is loaded, or takes long."""
_MOST_TYPED = 60_000
"""Bytes that surely fit into a pipe."""


class Nursery:
    """A process that has loaded the command line and forks on demand."""

    def __init__(self) -> None:
        self.environ = dict(os.environ)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        atexit.register(self.close)

    def close(self) -> None:
        """End the process that forks."""
        self._control.close()
        self._process.wait(60)

    def serves(self, environ: Mapping[str, str], typed: str) -> bool:
        """Whether a fork would do what a process started anew does."""

        def fixed(variables: Mapping[str, str]) -> dict[str, str]:
            given = {k: v for k, v in variables.items() if k.startswith(_AT_THE_START)}
            return given | {"PYTHONPATH": ""}

        return fixed(environ) == fixed(self.environ) and len(typed) < _MOST_TYPED // 4

    def run(
        self,
        folder: Path,
        arguments: tuple[str, ...],
        *,
        environ: Mapping[str, str],
        typed: str,
        seconds: float,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, as :func:`subprocess.run` does."""
        wanted = {"folder": str(folder), "arguments": arguments, "environ": dict(environ)}
        mine, theirs = socket.socketpair()
        with mine, tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            reader, writer = os.pipe()
            streams = (reader, out.fileno(), err.fileno())
            socket.send_fds(self._control, [b"fork"], [theirs.fileno(), *streams])
            os.close(reader)
            theirs.close()
            with os.fdopen(writer, "w") as keyboard:
                keyboard.write(typed)
            mine.sendall(json.dumps(wanted).encode())
            mine.shutdown(socket.SHUT_WR)
            code = _wait(mine, seconds)
            if code is None:
                raise subprocess.TimeoutExpired(["tailrace", *arguments], seconds)
            return subprocess.CompletedProcess(["tailrace", *arguments], code, _all(out), _all(err))


def _wait(answers: socket.socket, seconds: float) -> int | None:
    """Return the exit code; None: it took longer, and the process has been killed."""
    end = time.monotonic() + seconds
    said = b""
    while said.count(b"\n") < 2:
        answers.settimeout(max(0.0, end - time.monotonic()))
        try:
            part = answers.recv(64)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(said), signal.SIGKILL)
            return None
        assert part, "the process that forks has died"
        said += part
    return int(said.split()[1])


def _all(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


@functools.cache
def nursery() -> Nursery:
    """Return the one of this process."""
    return Nursery()


def _load() -> None:
    """Load what most commands load."""
    for room in _ROOMS:
        package = importlib.import_module(f"tailrace.{room}")
        for module in pkgutil.walk_packages(package.__path__, f"tailrace.{room}."):
            if module.name not in _NOT_LOADED:
                importlib.import_module(module.name)
    for name in _MORE:
        importlib.import_module(name)
    assert not set(_EXTRAS) & set(sys.modules), set(_EXTRAS) & set(sys.modules)


def _serve(control: socket.socket) -> None:
    """Fork for each request; return in the process that is to become the command."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        said, descriptors, _, _ = socket.recv_fds(control, 16, 4)
        if not said:
            os._exit(0)
        if os.fork():
            for one in descriptors:
                os.close(one)
            continue
        control.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        answer, *streams = descriptors
        with socket.socket(fileno=answer) as answers:
            wanted = json.loads(b"".join(iter(lambda: answers.recv(65536), b"")))
            child = os.fork()
            if not child:
                answers.close()
                _become(wanted["folder"], wanted["arguments"], wanted["environ"], streams)
                return
            for one in streams:
                os.close(one)
            answers.sendall(b"%d\n" % child)
            _, status = os.waitpid(child, 0)
            with contextlib.suppress(OSError):  # nobody waits any more
                answers.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
        os._exit(0)


def _become(
    folder: str, arguments: list[str], environ: Mapping[str, str], streams: list[int]
) -> None:
    """Make this process look as if the command had been started in a shell."""
    for number, one in enumerate(streams):
        os.dup2(one, number)
        os.close(one)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    import tailrace.__main__ as program

    sys.modules["__main__"] = program
    sys.argv = [str(program.__file__), *arguments]
    more = environ.get("PYTHONPATH", "")
    sys.path[0:1] = [folder, *filter(None, more.split(os.pathsep))]


def _main() -> None:
    import gc

    _load()
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        _serve(control)
    from tailrace.__main__ import run

    sys.exit(run())


if __name__ == "__main__":
    _main()
