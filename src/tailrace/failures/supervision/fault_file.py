"""Where the interpreter writes its stacks when it dies of a signal: one file per process."""

from __future__ import annotations

import atexit
import faulthandler
import os
from pathlib import Path

from tailrace.errors import SettingsError


class FaultFile:
    """The file of this process; removed on ``close`` and at exit when nothing stands in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pid = os.getpid()
        self._file = path.open("wb", buffering=0)
        faulthandler.enable(self._file)
        atexit.register(self.close)

    def close(self) -> None:
        """Stop writing there; may be called twice."""
        if self._file.closed or os.getpid() != self._pid:
            return  # a forked child leaves its parent's file alone
        atexit.unregister(self.close)
        faulthandler.disable()
        is_empty = os.fstat(self._file.fileno()).st_size == 0
        self._file.close()
        if is_empty:
            self.path.unlink(missing_ok=True)


def enable_faulthandler(folder: Path) -> FaultFile:
    """Have the stacks of all threads written to ``folder/fault-<pid>.txt`` on a fatal signal.

    Raises:
        SettingsError: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return FaultFile(folder / f"fault-{os.getpid()}.txt")
    except OSError as error:
        raise SettingsError(
            f"the folder for crash stacks {str(folder)!r} cannot be written to: {error.strerror}",
            code="TR327",
            hint="name a folder that this user may write to",
        ) from error
