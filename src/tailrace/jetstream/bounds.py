"""States of runs that fit into a message: records are cut first, the tasks' states never."""

from __future__ import annotations

from msgspec.structs import replace

from tailrace.errors import TransportError
from tailrace.model.remote import RunState, TaskRecord, encode, packed

MOST_BYTES = 256 * 1024
"""Of a state as it is shown; the journal that travels with it comes on top."""
_TEXT = 2000
_ERROR = 4096


def fit(state: RunState, *, most: int = MOST_BYTES) -> bytes:
    """Return a state as a message of at most ``most`` bytes, its journal aside.

    Records of tasks lose their payloads, the largest first, then their texts, then the records
    go. A state whose bare tasks take more is packed.

    Raises:
        TransportError: TR403, it holds something that no message can.
    """
    try:
        body = encode(state)
    except (OverflowError, TypeError, UnicodeError) as error:
        raise TransportError(f"a state holds what no message can: {error}", code="TR403") from error
    spare = sum(map(len, state.journal))
    if len(body) - spare <= most:
        return body
    for smaller in (_without_payloads, _without_texts, _without_records):
        state = smaller(state, len(body) - spare - most)
        body = encode(state)
        if len(body) - spare <= most:
            return body
    return packed(body)


def _without_payloads(state: RunState, excess: int) -> RunState:
    sizes = {name: len(encode(record)) for name, record in state.task_records.items()}
    records = dict(state.task_records)
    for name in sorted(records, key=sizes.__getitem__, reverse=True):
        if excess <= 0:
            break
        short = _shortened(records[name])
        excess -= sizes[name] - len(encode(short))
        records[name] = short
    return replace(state, task_records=records, task_records_truncated=True)


def _shortened(record: TaskRecord) -> TaskRecord:
    return replace(
        record,
        inputs={},
        output=None,
        artifacts={},
        error=record.error and record.error[:_TEXT],
        traceback=record.traceback and record.traceback[-_TEXT:],
    )


def _without_texts(state: RunState, _excess: int) -> RunState:
    records = {
        name: replace(_shortened(record), error=None, traceback=None)
        for name, record in state.task_records.items()
    }
    return replace(state, task_records=records, error=state.error and state.error[:_ERROR])


def _without_records(state: RunState, _excess: int) -> RunState:
    return replace(state, task_records={})
