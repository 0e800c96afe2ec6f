"""Exceptions turned into data: category, place, causes and fingerprint.

Most runs fail nowhere: what looks at a failure is loaded with the first one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.lazy import lazy_names

if TYPE_CHECKING:
    from tailrace.failures.capturing import cancelled_failure, capture, timeout_failure
    from tailrace.failures.classification import classify, explain_verdict
    from tailrace.failures.explicit import Permanent, Transient
    from tailrace.failures.rules import classifier_faults, use_rules
    from tailrace.failures.snapshot import capture_snapshot, record_of, snapshot_of
    from tailrace.failures.tags import select_tags
    from tailrace.failures.thread import thread_name
    from tailrace.failures.verdict import Verdict, is_exhausted

_HOMES = {
    "Permanent": "explicit",
    "Transient": "explicit",
    "Verdict": "verdict",
    "cancelled_failure": "capturing",
    "capture": "capturing",
    "capture_snapshot": "snapshot",
    "classifier_faults": "rules",
    "classify": "classification",
    "explain_verdict": "classification",
    "is_exhausted": "verdict",
    "record_of": "snapshot",
    "select_tags": "tags",
    "snapshot_of": "snapshot",
    "thread_name": "thread",
    "timeout_failure": "capturing",
    "use_rules": "rules",
}

__all__ = [
    "Permanent",
    "Transient",
    "Verdict",
    "cancelled_failure",
    "capture",
    "capture_snapshot",
    "classifier_faults",
    "classify",
    "explain_verdict",
    "is_exhausted",
    "record_of",
    "select_tags",
    "snapshot_of",
    "thread_name",
    "timeout_failure",
    "use_rules",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
