"""Runs that are executed elsewhere: what travels between client, gateway, queue and worker.

Bodies on the wire are these structs as MessagePack maps. ``v`` is the version of a body: readers
refuse a newer one, ignore fields they do not know, and give defaults to fields they miss.
Instants named ``*_at`` and ``*_time`` are Unix seconds, as the HTTP contract has them.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec
from msgspec import Struct

BODY_VERSION = 1
DEFAULT_TAG = "default"


class Job(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything a worker needs to execute a run; the message that waits in the queue."""

    v: int = BODY_VERSION
    run_id: str
    flow_name: str
    params: dict[str, Any] = {}
    params_object: str = ""
    """Name of the object that holds ``params`` and ``workflow_yaml`` where they are too large."""
    tag: str = DEFAULT_TAG
    """Routes the run to workers."""
    tags: tuple[str, ...] = ()
    """Shown and searched for; the routing tag where none was given."""
    tenant_id: str | None = None
    api_key_id: str | None = None
    submitted_at: float = 0.0
    priority: str = "normal"
    """``high``, ``normal`` or ``low``."""
    run_at: float | None = None
    """Not before this instant."""
    policy: dict[str, Any] | None = None
    label: str = ""
    workflow_yaml: str = ""
    """Text of the ``flow.yaml`` that came with the run; empty: the worker knows the flow."""
    workflow_yaml_sha256: str | None = None
    workflow_yaml_bytes: int | None = None
    idempotency_key: str = ""
    traceparent: str = ""
    tracestate: str = ""
    source: str = "http"
    resumed_from: str = ""
    """The run that this one goes on with."""
    lineage: str = ""
    letter: str = ""
    """Dead letter that this run redrives."""
    generation: int = 0
    start_from: tuple[str, ...] = ()
    """Nodes from which on nothing is reused, with ``resumed_from``."""
    on_change: str = ""
    """What to do about finished nodes that have changed: ``refuse``, ``rerun`` or ``keep``; empty:
    ``rerun`` for a redrive, else ``refuse``."""


class TaskRecord(Struct, kw_only=True):
    """How a node of a run went, as the older HTTP contract has it."""

    state: str
    """``PENDING RUNNING SUCCEEDED FAILED CANCELLED SKIPPED``."""
    started_at: float | None = None
    ended_at: float | None = None
    duration_ms: float | None = None
    error: str | None = None
    traceback: str | None = None
    inputs: dict[str, Any] = {}
    output: Any = None
    artifacts: dict[str, Any] = {}
    attempt: int = 1


class RunState(Struct, kw_only=True, omit_defaults=True):
    """A run as it stands. Written by compare-and-set only; terminal is final.

    The sequence under which it was stored last is the claim: the worker that wrote it owns the
    run, and everything it writes besides is fenced by that sequence.
    """

    v: int = BODY_VERSION
    job: Job
    status: str = "PENDING"
    """A value of ``RunStatus``."""
    tasks: dict[str, str] = {}
    task_records: dict[str, TaskRecord] = {}
    task_records_truncated: bool = False
    start_time: float | None = None
    end_time: float | None = None
    heartbeat_at: float | None = None
    updated_at: float = 0.0
    error: str | None = None
    output: Any = None
    """What the run returned, as JSON has it; a summary where that is too large."""
    output_object: str = ""
    """Name of the object that then holds it, as JSON text."""
    output_bytes: int = 0
    """Bytes of that text."""
    worker_id: str | None = None
    instance_id: str | None = None
    """Of the process; two processes may share a worker id by mistake."""
    claims: int = 0
    """Deliveries that a worker has claimed so far."""
    crashes: int = 0
    """Claims whose worker never came back."""
    cancel_requested_at: float | None = None
    cancel_requested_by: str | None = None
    cancel_reason: str = ""
    batches: int = 0
    """Batches of the journal so far, those in ``journal`` included."""
    journal: tuple[bytes, ...] = ()
    """The last batches of the journal, which have no message of their own (yet)."""
    letter: str = ""
    """Dead letter that the run has left."""
    seen_before: int = 0
    failed_node: str = ""
    failure_id: str = ""
    findings: list[dict[str, Any]] = []
    """All that is wrong with the definition of a run that could not begin for that."""


class CancelRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The wish to cancel a run. It is kept apart from the state, which its worker owns."""

    v: int = BODY_VERSION
    at: float
    by: str | None = None
    reason: str = ""


class WorkerRecord(Struct, kw_only=True, omit_defaults=True):
    """A worker, as it writes it itself."""

    v: int = BODY_VERSION
    worker_id: str
    instance_id: str
    state: str = "IDLE"
    """``RUNNING``, ``IDLE`` or ``STOPPED_GRACEFUL``; DISCONNECTED is derived by readers."""
    tags: tuple[str, ...] = ()
    flows: tuple[str, ...] = ()
    """Names of the flows it knows."""
    concurrency: int = 1
    host: str = ""
    pid: int = 0
    machine: str = ""
    """Tells where ``pid`` means something; empty: nobody knows."""
    version: str = ""
    started_at: float = 0.0
    last_seen_at: float = 0.0
    last_heartbeat_at: float = 0.0
    current_run_id: str | None = None
    current_run_ids: tuple[str, ...] = ()
    last_run_id: str | None = None
    last_run_status: str | None = None
    last_run_started_at: float | None = None
    last_run_finished_at: float | None = None
    stopped_at: float | None = None
    stop_reason: str | None = None
    updated_at: float = 0.0
    runs_done: int = 0
    spooled: int = 0
    """Batches that wait on its disk for NATS to come back."""
    wheel_sync: dict[str, Any] = {}


class StoredLetter(Struct, kw_only=True, omit_defaults=True):
    """A dead letter on the wire: the fields of the older contract, the job, and ours."""

    v: int = BODY_VERSION
    letter_id: str
    timestamp: float
    reason: str
    """``invalid_job``, ``flow_not_found``, ``execution_error``, ``poison``, ``worker_lost`` …"""
    error: str
    run_id: str | None = None
    flow_name: str | None = None
    tag: str | None = None
    tags: tuple[str, ...] = ()
    worker_id: str | None = None
    num_delivered: int = 0
    subject: str = ""
    tenant_id: str | None = None
    api_key_id: str | None = None
    payload: str | None = None
    """The first 4,096 characters of a message that is no job."""
    job: Job | None = None
    """What to run again."""
    letter: bytes = b""
    """Ours (``model.letter.DeadLetter``), encoded; empty for a message that is no job."""


class KeyRecord(Struct, kw_only=True, omit_defaults=True):
    """An API key as it is kept: never the key itself, only what it is recognised by."""

    v: int = BODY_VERSION
    key_id: str
    tenant_id: str | None = None
    """Whose runs it sees; None: everybody's."""
    role: str = "submit"
    """``read``, ``submit``, ``operate`` or ``admin``; each may what the ones before it may."""
    label: str = ""
    scheme: str = "scrypt"
    """How ``digest`` was made from the secret; ``pbkdf2_hmac_sha256`` for keys of older servers."""
    salt: bytes = b""
    digest: bytes = b""
    iterations: int = 0
    """Of ``pbkdf2_hmac_sha256``."""
    created_at: float = 0.0
    expires_at: float | None = None
    revoked_at: float | None = None


encode = msgspec.msgpack.Encoder().encode
"""Of any of these bodies."""
decode_job = msgspec.msgpack.Decoder(Job).decode
_decode_state = msgspec.msgpack.Decoder(RunState).decode
decode_cancel = msgspec.msgpack.Decoder(CancelRequest).decode
decode_worker = msgspec.msgpack.Decoder(WorkerRecord).decode
decode_key = msgspec.msgpack.Decoder(KeyRecord).decode
decode_letter = msgspec.msgpack.Decoder(StoredLetter).decode

_PACKED = b"\x78"
"""First byte of what zlib has packed; a MessagePack map never begins with it."""
_MOST_UNPACKED = 256 * 1024 * 1024


def packed(body: bytes) -> bytes:
    """Return a state's body so that it takes less room, for flows of very many nodes."""
    return zlib.compress(body, 1)


def decode_state(body: bytes) -> RunState:
    """Return a state, packed or not.

    Raises:
        msgspec.DecodeError: the body is none, or unreasonably large.
    """
    if not body.startswith(_PACKED):
        return _decode_state(body)
    unpacking = zlib.decompressobj()
    try:
        whole = unpacking.decompress(body, _MOST_UNPACKED)
    except zlib.error as error:
        raise msgspec.DecodeError(str(error)) from error
    if unpacking.unconsumed_tail:
        raise msgspec.DecodeError(f"more than {_MOST_UNPACKED:,} bytes")
    return _decode_state(whole)
