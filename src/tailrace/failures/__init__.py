"""Exceptions turned into data: category, place, causes and fingerprint."""

from tailrace.failures.capture import cancelled_failure, capture, timeout_failure
from tailrace.failures.classify import Verdict, classify
from tailrace.failures.explicit import Permanent, Transient

__all__ = [
    "Permanent",
    "Transient",
    "Verdict",
    "cancelled_failure",
    "capture",
    "classify",
    "timeout_failure",
]
