"""The threads in which an index reads and writes its file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from tailrace.store.remote import RemoteReader, RemoteWriter

P = ParamSpec("P")
T = TypeVar("T")


class Desk:
    """One thread writes, in the order of the calls, and one reads.

    A call that is cancelled is carried out all the same.

    Raises:
        StoreError: the file cannot be opened, or is a store of local runs.
    """

    def __init__(self, path: Path) -> None:
        self.writer = RemoteWriter(path)
        self.reader = RemoteReader(path)
        self._writing = ThreadPoolExecutor(1, "index-writer")
        self._reading = ThreadPoolExecutor(1, "index-reader")

    async def write(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something in the thread that writes."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writing, partial(action, *args, **kwargs))

    async def read(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something in the thread that reads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reading, partial(action, *args, **kwargs))

    async def close(self) -> None:
        """Finish what was asked for, and let the file go."""
        await self.write(self.writer.close)
        await self.read(self.reader.close)
        self._writing.shutdown()
        self._reading.shutdown()
