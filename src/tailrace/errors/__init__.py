"""One error tree with stable codes."""

from tailrace.errors.tree import (
    DefinitionError,
    ExpressionError,
    NotFound,
    PolicyValidationError,
    QueryError,
    RunCancelled,
    RunError,
    RunFailed,
    SettingsError,
    StoreError,
    TailraceError,
    TransportError,
)

__all__ = [
    "DefinitionError",
    "ExpressionError",
    "NotFound",
    "PolicyValidationError",
    "QueryError",
    "RunCancelled",
    "RunError",
    "RunFailed",
    "SettingsError",
    "StoreError",
    "TailraceError",
    "TransportError",
]
