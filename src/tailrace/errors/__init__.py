"""One error tree with stable codes."""

from tailrace.errors.tree import (
    Conflict,
    DefinitionError,
    ExpressionError,
    NotAllowed,
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
    "Conflict",
    "DefinitionError",
    "ExpressionError",
    "NotAllowed",
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
