"""What a child of ``tailrace up`` begins as: it ends with its parent, however that ends.

Arguments are PARENT FD PROGRAM ARGUMENTS; PROGRAM ``tailrace`` is our own command line. On Linux
the kernel ends the child (PR_SET_PDEATHSIG); elsewhere the end of the pipe FD does, which the
parent holds. Runs survive that a process is killed, so nothing gentler is tried.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import NoReturn

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> NoReturn:
    """Become the program that ``arguments`` name."""
    parent, pipe, program, *rest = arguments
    end = int(pipe)
    os.set_inheritable(end, False)  # noqa: FBT003 - the signature of the standard library
    kernel_cares = _end_with_parent()
    if os.getppid() != int(parent):
        sys.exit(1)  # it has died meanwhile
    if program == "tailrace":
        from tailrace.__main__ import run  # noqa: PLC0415 - the other program needs none of it

        threading.Thread(target=_end_with_pipe, args=(end,), daemon=True).start()
        sys.argv = ["tailrace", *rest]
        sys.exit(run())
    if not kernel_cares:
        _guard(end)
    os.execv(program, [program, *rest])  # noqa: S606 - no shell: a program by its path


def _end_with_parent() -> bool:
    """Have the kernel end this process with its parent; False: this kernel does not."""
    try:
        return bool(ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0)
    except (AttributeError, OSError):
        return False


def _end_with_pipe(pipe: int) -> None:
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def _guard(pipe: int) -> None:
    """Fork a process that ends this one, whatever it has become, when the pipe ends."""
    guarded = os.getpid()
    if os.fork():
        return
    for stream in range(3):
        os.close(stream)
    os.read(pipe, 1)
    if os.getppid() == guarded:
        os.kill(guarded, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
