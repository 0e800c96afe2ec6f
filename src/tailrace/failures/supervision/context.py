"""What the failures of one run have in common."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from tailrace.model.journal import RunStarted


class RunContext(msgspec.Struct, frozen=True, kw_only=True):
    """The run that failures belong to, and where it runs."""

    run_id: str = ""
    flow: str = ""
    flow_source: str = ""
    """Where the flow can be loaded from; empty: nowhere."""
    code_version: str = ""
    lineage: str = ""
    """First run of the chain of resumes and redrives; empty: this one."""
    letter: str = ""
    """Dead letter that the run redrives; empty: none."""
    generation: int = 0
    payload_digest: str = ""
    """``sha256:…`` of the encoded inputs; empty when there are none."""
    policies: dict[str, Any] = {}
    """Snapshot of the flow's policy."""
    worker_id: str = ""
    host: str = ""
    span_base: int = 0
    """The number from which span ids are counted; 0: they are not known."""
    parent: tuple[str, ...] = ("root", "worker:")
    """Path of the scope around the run."""

    @classmethod
    def of(cls, record: RunStarted, *, worker_id: str = "", host: str = "") -> RunContext:
        """Return the context of the run that the record starts."""
        inputs = record.inputs
        return cls(
            run_id=record.run_id,
            flow=record.flow,
            flow_source=record.flow_source,
            code_version=record.code_version,
            lineage=record.lineage,
            letter=record.letter,
            generation=record.generation,
            payload_digest="" if inputs is None else digest_of(inputs),
            policies=record.policies,
            worker_id=worker_id,
            host=host,
            span_base=record.span_base,
            parent=("root", f"worker:{worker_id}"),
        )

    @property
    def path(self) -> tuple[str, ...]:
        """Path of the run."""
        return (*self.parent, f"run:{self.run_id}")


def digest_of(inputs: bytes) -> str:
    """Return ``sha256:…`` of encoded inputs."""
    return f"sha256:{sha256(inputs).hexdigest()}"
