"""The letters that are in hand at one time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Self

from tailrace.model.letter import DeadLetter
from tailrace.runtime.redrive.outcome import RerunOutcome


class Hands:
    """A number of workers. A single one works in the caller's own thread.

    Left by an error, it waits for what is in hand; left by Ctrl-C, it does not.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool = ThreadPoolExecutor(count, "tailrace-redrive") if count > 1 else None
        self._letters: dict[Future[RerunOutcome], DeadLetter] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=kind is not KeyboardInterrupt, cancel_futures=True)

    def __len__(self) -> int:
        return len(self._letters)

    @property
    def are_full(self) -> bool:
        """Whether a further letter has to wait."""
        return len(self._letters) >= self._count

    def take(self, letter: DeadLetter, work: Callable[[], RerunOutcome]) -> None:
        """Begin the work on a letter."""
        if self._pool is not None:
            self._letters[self._pool.submit(work)] = letter
            return
        done: Future[RerunOutcome] = Future()
        done.set_result(work())
        self._letters[done] = letter

    def ended(self) -> list[tuple[DeadLetter, RerunOutcome]]:
        """Wait until at least one letter has ended, and return those that have.

        Raises:
            Exception: what the work on a letter raised.
        """
        done = wait(self._letters, return_when=FIRST_COMPLETED).done
        return [(self._letters.pop(future), future.result()) for future in done]
