"""Exceptions turned into data: category, place, causes and fingerprint."""

from tailrace.failures.capture import cancelled_failure, capture, timeout_failure
from tailrace.failures.classify import classify, explain_verdict
from tailrace.failures.explicit import Permanent, Transient
from tailrace.failures.rules import classifier_faults, use_rules
from tailrace.failures.snapshot import capture_snapshot, record_of, snapshot_of
from tailrace.failures.tags import select_tags
from tailrace.failures.thread import thread_name
from tailrace.failures.verdict import Verdict, is_exhausted

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
