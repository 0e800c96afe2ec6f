"""Batches of journals on disk while NATS is away, so that even a killed worker loses nothing.

One file per run: a head that names the run and the claim, then one frame per batch. A worker that
starts ships what it finds; the claim fences it, so that what another worker has taken over since
stays as it is.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec

from tailrace.errors import Conflict, TransportError
from tailrace.jetstream.answers import is_final
from tailrace.ports import RunStates

_log = logging.getLogger("tailrace.worker")
_encode = msgspec.msgpack.Encoder().encode
_SUFFIX = ".batches"


class _Frame(msgspec.Struct, array_like=True):
    """A batch of a run's journal."""

    run_id: str
    number: int
    claim: int
    body: bytes


_decode = msgspec.msgpack.Decoder(_Frame).decode


class DiskSpool:
    """See ``writer.Spool``. Beyond its bound nothing is written: the runs wait in memory only."""

    def __init__(self, folder: Path, *, most: int) -> None:
        self._folder = folder
        self._most = most
        self._kept: dict[str, set[int]] = {}
        self._sizes: dict[str, int] = {}

    @property
    def count(self) -> int:
        """Batches that wait."""
        return sum(len(numbers) for numbers in self._kept.values())

    def keep(self, run_id: str, number: int, batch: bytes, claim: int) -> None:
        """Write a batch; one that is there already stays. A full disk is only logged."""
        known = self._kept.setdefault(run_id, set())
        if number in known or not claim or sum(self._sizes.values()) + len(batch) > self._most:
            return
        frame = _encode(_Frame(run_id, number, claim, batch))
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._file(run_id).open("ab") as file:
                file.write(len(frame).to_bytes(4, "big") + frame)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            _log.warning("the spool cannot be written: %s", error, extra={"run": run_id})
            return
        known.add(number)
        self._sizes[run_id] = self._sizes.get(run_id, 0) + len(frame)

    def drop(self, run_id: str) -> None:
        """Forget the batches of a run."""
        self._kept.pop(run_id, None)
        self._sizes.pop(run_id, None)
        self._file(run_id).unlink(missing_ok=True)

    async def ship(self, states: RunStates) -> int:
        """Store what an earlier process has left and return how many batches were still wanted.

        Raises:
            TransportError: NATS does not answer; what is left stays on disk.
        """
        shipped = 0
        for file in sorted(self._folder.glob(f"*{_SUFFIX}")):
            for frame in _frames(file):
                try:
                    await states.append(frame.run_id, frame.number, frame.body, claim=frame.claim)
                except Conflict:
                    break
                except TransportError as error:
                    if not is_final(error):
                        raise
                    _log.error("a spooled batch is lost: %s", error, extra={"run": frame.run_id})
                    break
                shipped += 1
            file.unlink(missing_ok=True)
        return shipped

    def _file(self, run_id: str) -> Path:
        return self._folder / f"{run_id}{_SUFFIX}"


def _frames(file: Path) -> list[_Frame]:
    """Return the whole frames of a file; what a crash has cut off is left out."""
    data, frames, start = file.read_bytes(), [], 0
    while start + 4 <= len(data):
        end = start + 4 + int.from_bytes(data[start : start + 4], "big")
        if end > len(data):
            break
        try:
            frames.append(_decode(data[start + 4 : end]))
        except msgspec.DecodeError:
            break
        start = end
    return frames
